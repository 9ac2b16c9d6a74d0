//! What the search finds no lie without, and why.

use super::Removed;
use crate::hybrid::tables::{bus, index};

const UNREAD: &str =
    "redundant: nothing reads these cells of the last round (digests are 0 … 7, chains 16 … 23)";
const TWICE: &str = "redundant each by itself: that the third digit vanishes, and the range of the \
    carry into it, say the same (wraps::accumulators::the_third_digit_is_bound_twice)";
const DOMAIN: &str = "refuses values, not results: a leaf with a value outside its declared range; \
    shown by wraps::values::wide_values_outside_their_range_are_refused";
const FEW_WORDS: &str = "a lie takes a word of which there are few (below 2^24 − 1, or 2^24·k − 1); \
    shown by wraps::words::words_have_one_decomposition";
const ONE_SUM: &str = "redundant: bytes of this pair stand in digits 1 and 2 only. Those two added, \
    the second times 2^24, say its sum, which the acc bus gives modulo p: however it is cut, u2 and u3 \
    are the same";
const NO_FRACTION: &str = "redundant: this carry could be k/64 − 32, k below 4096; the next one is \
    what the third digit makes it, so the second digit may move by less than 2^24, and no k that 64 \
    does not divide has k/64 modulo p so near to an integer of its range (all k were tried)";
const HIGH_LIMB: &str = "redundant: 64 times the high limb is below 4096, so it is k/64 and the carry \
    low + 64·k: still an integer, below 2^17 + 4032, for which the bounds of the identity have room";
const TOP_CARRIES: &str = "redundant: shifts end at 44, so digit 5 is public and digit 4 public but \
    for 2^(s−36)·t1: both carries are what a ranged t1 makes them, at most 2^(κ+s−48) ≤ 2^15";
const QUOTIENT: &str = "redundant: t0 and t1 are limbs without it, so the identity holds over the \
    integers, and its quotient is the only one: t' < 2^(κ+1) follows";
const HIGH_QUOTIENT: &str = "redundant: t1 may be k/σ, and 4096·t1 is an integer. Where 2^b'·t1 is one, \
    too, the same t' is written otherwise; else it is a multiple of p/σ away, at least 2^(κ+8) and \
    more than the quotient has room for (searched over shifts, multipliers and all k: no lie)";
const ROUNDING: &str = "redundant: p0 + 4096·p1 is the value that was read, which is below 2^b where it \
    comes from; two limbs write it in one way. (p0 alone: with b < 12, p1 is zero; else σ is 1)";
const DIV_CARRIES: &str = "redundant: digit 4 is d2, a bit or zero, and makes the last carry; digit 3 \
    is d1 − two·q1·d2 and makes the third, below 2^14: integers in their range by themselves";
const MIDDLE_DENOMINATOR: &str = "redundant: digit 3 says that d1 is an integer below 2^18, and then \
    d0 + 4096·d1 + 2^24·d2 is the denominator over the integers, not only modulo p; a root's is q1";
const LAST_DIFFERENCE: &str = "redundant: 1024 times w2 is a limb, so 2^24·w2 = 2^14·k, an integer below \
    2^26 and not negative: w ≥ 0 all the same";

/// Without these the search finds no lie: table, first and last that is removed, why.
pub const NOT_FORGEABLE: &[(usize, Removed, Removed, &str)] = {
    use Removed::{Bus, Constraint, Lookup};
    &[
        (index::SPONGE, Constraint(199), Constraint(206), UNREAD),
        (index::NODE, Constraint(140), Constraint(147), UNREAD),
        (index::WIDE, Constraint(1), Constraint(2), DOMAIN),
        (index::WIDE, Lookup(1), Lookup(4), DOMAIN),
        (index::WIDE, Bus(bus::RANGE), Bus(bus::RANGE), DOMAIN),
        (index::LIMBS, Constraint(2), Constraint(2), TWICE),
        // Bytes of the pairs (1, 2), (2, 1), (2, 2).
        (index::LIMBS, Lookup(27), Lookup(30), ONE_SUM),
        (index::LIMBS, Lookup(37), Lookup(40), ONE_SUM),
        (index::LIMBS, Lookup(42), Lookup(45), ONE_SUM),
        // Carries.
        (index::LIMBS, Lookup(50), Lookup(50), NO_FRACTION),
        (index::LIMBS, Lookup(52), Lookup(53), TWICE),
        (index::GATE, Constraint(10), Constraint(11), QUOTIENT),
        (index::GATE, Constraint(16), Constraint(17), ROUNDING),
        (index::GATE, Lookup(8), Lookup(8), HIGH_LIMB),
        (index::GATE, Lookup(11), Lookup(11), HIGH_LIMB),
        (index::GATE, Lookup(14), Lookup(14), HIGH_LIMB),
        (index::GATE, Lookup(16), Lookup(21), TOP_CARRIES),
        (index::GATE, Lookup(23), Lookup(23), QUOTIENT),
        (index::GATE, Lookup(24), Lookup(24), HIGH_QUOTIENT),
        (index::GATE, Lookup(25), Lookup(25), QUOTIENT),
        (index::GATE, Lookup(34), Lookup(35), ROUNDING),
        (index::GATE, Lookup(37), Lookup(37), ROUNDING),
        (index::DIV, Lookup(2), Lookup(2), HIGH_LIMB),
        (index::DIV, Lookup(5), Lookup(5), HIGH_LIMB),
        (index::DIV, Lookup(7), Lookup(12), DIV_CARRIES),
        (index::DIV, Lookup(16), Lookup(16), MIDDLE_DENOMINATOR),
        (index::DIV, Lookup(25), Lookup(25), LAST_DIFFERENCE),
        (index::BITS, Constraint(2), Constraint(3), FEW_WORDS),
    ]
};

/// The number of the entry that lists something.
pub fn listed(index: usize, removed: Removed) -> Option<usize> {
    NOT_FORGEABLE
        .iter()
        .position(|(of, first, last, _)| *of == index && (*first..=*last).contains(&removed))
}
