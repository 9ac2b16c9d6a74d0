//! Values of several bytes, in their ranges.

use super::bus;
use super::parts::{limb, pair};
use crate::stark::air::{Air, Builder};

table! {
    public { on, x, three, offset, lo, hi, uses, address }
    main {
        /// Less 128.
        bytes: [T; 3],
        v,
        /// Limbs of v − lo.
        above: [T; 2],
        /// Limbs of hi − v.
        under: [T; 2],
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("wide", false);
    let Public { on, x, three, offset, lo, hi, uses, address } = PUBLIC.map(|c| b.public(c));
    let Main { bytes: [b0, b1, b2], v, above, under } = MAIN.map(|c| b.main(c));
    let joined = (b0.clone() + 128) + 256 * (b1.clone() + 128);
    let top = 65536 * (three.clone() * (b2.clone() + 128));
    b.zero(on.clone() * (joined - offset.clone() - v.clone()) + top);
    b.zero(on.clone() * (v.clone() - lo.clone()) - pair(&above));
    b.zero(on.clone() * (hi.clone() - v.clone()) - pair(&under));
    above.iter().chain(&under).for_each(|x| limb(b, &on, x));
    b.lookup(bus::READ, on.clone(), [x.clone(), b0]);
    b.lookup(bus::READ, on.clone(), [x.clone() + 1, b1]);
    b.lookup(bus::READ, three, [x + 2, b2]);
    b.lookup(bus::READ, -uses, [address, v]);
    b.build()
}
