//! Products of any two factors, sixteen a row.

use super::columns::{Product, Reads};
use super::parts::{running, sum};
use super::{PRODUCTS, bus};
use crate::stark::air::{Air, Builder};

table! {
    public { link, slot, last, products: [Product; PRODUCTS] }
    main { reads: [Reads; PRODUCTS], base, run }
}

pub fn air() -> Air {
    let b = &mut Builder::new("read_dot", false);
    let Public { link, slot, last, products } = PUBLIC.map(|c| b.public(c));
    let Main { reads, base, run } = MAIN.map(|c| b.main(c));
    let values = products.iter().zip(&reads);
    let part = sum(values.map(|(of, v)| of.a.value(&v.a) * of.b.value(&v.b)));
    running(b, &link, &base, &run, part);
    for (factors, v) in products.iter().zip(&reads) {
        factors.a.read(b, &v.a);
        factors.b.read(b, &v.b);
    }
    b.lookup(bus::ACC, -last, [slot, run]);
    b.build()
}
