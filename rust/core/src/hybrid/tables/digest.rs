//! Digests that records take: those of trees and of other records, and what several records share.

use super::bus;
use crate::stark::air::{Air, Builder};

/// Elements of a digest.
pub const DIGEST: usize = 8;

table! {
    public { node, has, at, uses }
    main { digest: [T; DIGEST] }
}

pub fn air() -> Air {
    let b = &mut Builder::new("digest", false);
    let Public { node, has, at, uses } = PUBLIC.map(|c| b.public(c));
    let Main { digest } = MAIN.map(|c| b.main(c));
    b.lookup(bus::DIGEST, has, [node].into_iter().chain(digest.iter().cloned()));
    for (i, element) in digest.into_iter().enumerate() {
        b.lookup(bus::ELEMENT, -uses.clone(), [at.clone() + i as i64, element]);
    }
    b.build()
}
