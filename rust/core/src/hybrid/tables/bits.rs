//! Values of prf tensors, cut out of words.

use super::parts::{in_class, pair, scaled};
use super::{bus, class};
use crate::stark::air::{Air, Builder};

table! {
    public { on, word_at, lo, power, sigma_v: [T; 2], sigma_h: [T; 2], uses, address }
    main {
        word,
        /// The value less lo.
        v: [T; 2],
        /// What is left of the word below its top 7 bits.
        h: [T; 2],
        v_scaled: [T; 2],
        h_scaled: [T; 2],
        /// The top 7 bits.
        top,
        /// Whether the word is p − 1.
        largest,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("bits", false);
    let Public { on, word_at, lo, power, sigma_v, sigma_h, uses, address } =
        PUBLIC.map(|c| b.public(c));
    let Main { word, v, h, v_scaled, h_scaled, top, largest } = MAIN.map(|c| b.main(c));
    let value = pair(&v);
    let low = value.clone() + power * pair(&h);
    b.zero(low.clone() + (1 << 24) * (top.clone() + 127 * largest.clone()) - word.clone());
    // p − 1 = 127·2^24 is the one word whose top is 127.
    b.boolean(&largest);
    b.zero(largest.clone() * top.clone());
    b.zero(largest * low);
    let ranged = v.iter().zip(&sigma_v).zip(&v_scaled);
    for ((x, sigma), product) in ranged.chain(h.iter().zip(&sigma_h).zip(&h_scaled)) {
        scaled(b, &on, sigma, x, product);
    }
    let class = b.constant(class::TOP);
    in_class(b, &on, class, top);
    b.lookup(bus::WORD, on, [word_at, word]);
    b.lookup(bus::READ, -uses, [address, lo + value]);
    b.build()
}
