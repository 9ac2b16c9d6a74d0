//! Arithmetic in K: `d = m·a·b + n·a·c + f·a + g·b + h·c + k`. It is the last table and always present.

use super::{bus, times};
use crate::stark::air::{Air, Builder};
use crate::stark::field::DIM;

columns! {
    /// An address and how often what stands there is taken; given if negative.
    Place { at, times }
}

table! {
    public {
        a: Place,
        b: Place,
        c: Place,
        d: Place,
        /// The factors of a·b and a·c.
        product: [T; 2],
        /// Those of a, b and c.
        sum: [T; 3],
        constant: [T; DIM],
    }
    main { x: [[T; DIM]; 4] }
}

pub fn air() -> Air {
    let build = &mut Builder::new("field", true);
    let Public { a, b, c, d, product, sum, constant } = PUBLIC.map(|c| build.public(c));
    let Main { x } = MAIN.map(|c| build.main(c));
    let [x_a, x_b, x_c, x_d] = &x;
    let (by_b, by_c) = (times(x_a, x_b), times(x_a, x_c));
    for i in 0..DIM {
        let products = product[0].clone() * by_b[i].clone() + product[1].clone() * by_c[i].clone();
        let sums = sum[0].clone() * x_a[i].clone()
            + sum[1].clone() * x_b[i].clone()
            + sum[2].clone() * x_c[i].clone();
        build.equal(x_d[i].clone(), products + sums + constant[i].clone());
    }
    for (place, x) in [a, b, c, d].into_iter().zip(x) {
        build.lookup(bus::CELL, place.times, [place.at].into_iter().chain(x));
    }
    build.build()
}
