//! The bytes of blocks, one by one.

use super::{BLOCK, bus};
use crate::stark::air::{Air, Builder};

table! {
    public { on, block, uses: [T; BLOCK] }
    main { bytes: [T; BLOCK] }
}

pub fn air() -> Air {
    let b = &mut Builder::new("spread", false);
    let Public { on, block, uses } = PUBLIC.map(|c| b.public(c));
    let Main { bytes } = MAIN.map(|c| b.main(c));
    b.lookup(bus::BLOCK, on, [block.clone()].into_iter().chain(bytes.iter().cloned()));
    for (j, (uses, byte)) in uses.into_iter().zip(&bytes).enumerate() {
        let address = BLOCK as i64 * block.clone() + j as i64;
        b.lookup(bus::READ, -uses, [address, byte.clone() - 128]);
    }
    b.build()
}
