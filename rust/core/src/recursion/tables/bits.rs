//! The bits of elements that were drawn, and the points that they choose: 31 rows an element, the
//! highest bit first.

use super::{BLOCK, bus};
use crate::stark::air::{Air, Builder};

table! {
    public {
        /// Whether the row is the first of an element.
        start,
        /// Whether the next row goes on with this element.
        link,
        /// Whether the next row holds one of the top 7 bits.
        top,
        /// Whether the bit is one of the others.
        low,
        /// Whether the bit must be zero.
        zero,
        /// Whether the row is the last of an element: the sum is the chosen element of the block.
        end,
        choice: [T; BLOCK],
        block,
        /// Less one, what the next row's bit multiplies the point by.
        step,
        bit,
        bit_times,
        /// The bit as an element of K.
        cell,
        cell_times,
        /// The point as an element of K.
        point,
        point_times,
    }
    main {
        digit,
        /// The number of this and the higher bits.
        sum,
        /// The product of the top 7 bits, as far as they came.
        ones,
        x,
        words: [T; BLOCK],
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("bits", false);
    let public = PUBLIC.map(|c| b.public(c));
    let Public { start, link, top, low, zero, end, choice, block, step, .. } = public.clone();
    let Main { digit, sum, ones, x, words } = MAIN.map(|c| b.main(c));
    let next = [&digit, &sum, &ones, &x].map(|column| b.next(column));
    let [next_digit, next_sum, next_ones, next_x] = next;
    b.boolean(&digit);
    b.zero(zero * digit.clone());
    b.zero(start.clone() * (sum.clone() - digit.clone()));
    b.zero(start.clone() * (ones.clone() - digit.clone()));
    b.zero(start * (x.clone() - 1));
    b.zero(link.clone() * (next_sum - 2 * sum.clone() - next_digit.clone()));
    b.zero(top.clone() * (next_ones.clone() - ones.clone() * next_digit.clone()));
    b.zero((link.clone() - top) * (next_ones - ones.clone()));
    // p − 1 = 127·2^24 is the one element below p whose top bits are all ones.
    b.zero(low * (ones * digit.clone()));
    b.zero(link * (next_x - x.clone() * (1 + step * next_digit)));
    let chosen = choice.iter().zip(&words).map(|(choice, word)| choice.clone() * word.clone());
    let chosen = chosen.reduce(|a, b| a + b).expect("eight of them");
    b.zero(end.clone() * sum - chosen);
    let Public { bit, bit_times, cell, cell_times, point, point_times, .. } = public;
    let padded = |b: &Builder, x| [x].into_iter().chain(vec![b.constant(0); 4]).collect::<Vec<_>>();
    let (digit_cell, point_cell) = (padded(b, digit.clone()), padded(b, x));
    b.lookup(bus::BLOCK, end, [block].into_iter().chain(words));
    b.lookup(bus::BIT, bit_times, [bit, digit]);
    b.lookup(bus::CELL, cell_times, [cell].into_iter().chain(digit_cell));
    b.lookup(bus::CELL, point_times, [point].into_iter().chain(point_cell));
    b.build()
}
