//! What the blocks of records hold: elements of digests, public values, and what nobody asks for.

use super::{RATE, bus};
use crate::stark::air::{Air, Builder};

table! {
    public { on, block, taken: [T; RATE], fixed: [T; RATE], at: [T; RATE] }
    main { elements: [T; RATE] }
}

pub fn air() -> Air {
    let b = &mut Builder::new("record", false);
    let Public { on, block, taken, fixed, at } = PUBLIC.map(|c| b.public(c));
    let Main { elements } = MAIN.map(|c| b.main(c));
    // An element of a record stands where the first byte of three does; the others are zero.
    let zero = b.constant(0);
    let bytes = elements.iter().flat_map(|e| [e.clone(), zero.clone(), zero.clone()]);
    b.lookup(bus::BLOCK, on, [block].into_iter().chain(bytes.collect::<Vec<_>>()));
    let parts = taken.into_iter().zip(fixed).zip(at);
    for (((taken, fixed), at), element) in parts.zip(elements) {
        b.zero(fixed * (element.clone() - at.clone()));
        b.lookup(bus::ELEMENT, taken, [at, element]);
    }
    b.build()
}
