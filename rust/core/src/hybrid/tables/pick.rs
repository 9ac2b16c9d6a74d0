//! Gates that copy, compare or select.

use super::bus;
use super::columns::Factor;
use super::parts::{limb, pair};
use crate::stark::air::{Air, Builder};

table! {
    public { on, copy, greater, equal, select, a: Factor, b: Factor, c: Factor, y_at }
    main {
        /// a, b, c as read.
        reads: [T; 3],
        /// Their values.
        values: [T; 3],
        /// What is compared with zero.
        x,
        inverse,
        /// Whether x is not zero.
        nonzero,
        /// Whether a is greater than b.
        larger,
        /// Limbs of the difference.
        d: [T; 2],
        y,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("pick", false);
    let Public { on, copy, greater, equal, select, a, b: factor_b, c, y_at } =
        PUBLIC.map(|c| b.public(c));
    let Main { reads, values, x, inverse, nonzero, larger, d, y } = MAIN.map(|c| b.main(c));
    for ((factor, v), value) in [a, factor_b, c].iter().zip(&reads).zip(&values) {
        b.equal(value.clone(), factor.value(v));
        factor.read(b, v);
    }
    let [va, vb, vc] = values;
    b.zero(equal.clone() * (x.clone() - va.clone() + vb.clone()));
    b.zero(select.clone() * (x.clone() - vc));
    b.equal(nonzero.clone(), x.clone() * inverse);
    b.zero(x * (1 - nonzero.clone()));
    b.boolean(&larger);
    let more = larger.clone() * (va.clone() - vb.clone() - 1);
    let less = (1 - larger.clone()) * (vb.clone() - va.clone());
    b.zero(greater.clone() * (more + less - pair(&d)));
    d.iter().for_each(|d| limb(b, &on, d));
    b.zero(copy * (y.clone() - va.clone()));
    b.zero(greater * (y.clone() - larger));
    b.zero(equal * (y.clone() - 1 + nonzero.clone()));
    b.zero(select * (y.clone() - nonzero.clone() * va - (1 - nonzero) * vb));
    b.lookup(bus::READ, on, [y_at, y]);
    b.build()
}
