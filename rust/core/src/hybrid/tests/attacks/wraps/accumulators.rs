//! Wide accumulators: sums of pairs of limbs, and their digits.

use super::*;
use crate::hybrid::tables::{PAIRS, WIDE_OFFSET};
use limbs::{MAIN, PUBLIC};

/// The sum of a pair of limbs that is p larger: only the class of its top byte tells.
#[test]
fn a_sum_of_limbs_that_is_p_larger_is_refused() {
    let subject = subject("wide");
    let (limbs_table, gates) = (subject.table(index::LIMBS), subject.table(index::GATE));
    let mut forged = 0;
    for row in 0..limbs_table.used() {
        let publics = limbs_table.publics(row);
        for pair in (0..PAIRS).filter(|&pair| signed(publics[PUBLIC.has[pair]]) == 1) {
            let bytes = MAIN.bytes[pair];
            let at =
                |i: usize| i128::from(limbs_table.row(row)[bytes[i]].as_canonical_u32()) << (8 * i);
            let sum = (0..4).map(at).sum::<i128>() + MODULUS;
            if sum >= 1 << 32 {
                continue;
            }
            let place = 8 * (pair / 3 + pair % 3);
            let acc = joined(limbs_table.row(row), MAIN.u) + (MODULUS << place);
            if acc >= 1 << 48 {
                continue;
            }
            let mut edited = Edited::new(limbs_table);
            put(&mut edited, row, bytes, std::array::from_fn(|i| sum >> (8 * i) & 0xff));
            put(&mut edited, row, MAIN.u, limbs(acc));
            // The carries of the three digits of 24 bits.
            let mut positions = [0i128; 9];
            for n in (0..PAIRS).filter(|&n| signed(publics[PUBLIC.has[n]]) == 1) {
                for m in 0..4 {
                    positions[n / 3 + n % 3 + m] += signed(edited.get(row, MAIN.bytes[n][m]));
                }
            }
            let constants = PUBLIC.cst.map(|c| signed(publics[c]));
            let digit =
                |i: usize| positions[i] + (positions[i + 1] << 8) + (positions[i + 2] << 16);
            let bias = signed(publics[PUBLIC.bias.k]);
            let low = (digit(0) + bias + constants[0]) >> 24;
            let middle = (digit(3) + constants[1] + low) >> 24;
            put(&mut edited, row, MAIN.carries, [low + 32, middle + 32]);
            only_ranges(&failures(&edited, subject), index::LIMBS, &[bytes[3]]);
            // The accumulator is another one, so that the gate's quotient would be another, too.
            let offset = i128::from(WIDE_OFFSET);
            assert!(acc - offset != joined(gates.row(row), gate::MAIN.u) - offset);
            forged += 1;
        }
    }
    assert!(forged > 10, "{forged}");
}

/// A carry that makes up for a changed limb is refused by the third digit, and by its own range.
#[test]
fn the_third_digit_is_bound_twice() {
    let subject = subject("wide");
    let table = subject.table(index::LIMBS);
    for row in 0..table.used() {
        let mut edited = Edited::new(table);
        let (u, carry) = (MAIN.u[2], MAIN.carries[1]);
        let step = if signed(edited.get(row, u)) == 4095 { -1 } else { 1 };
        let changed = edited.get(row, u) + elem(step);
        edited.set(row, u, changed);
        let share = elem(-step) * elem(1 << 24).inverse();
        let changed = edited.get(row, carry) + share;
        edited.set(row, carry, changed);
        let ranges = lookups_of(index::LIMBS, carry);
        assert_eq!(ranges.len(), 2);
        // Less a 2^24-th is 127 more: beyond 64.
        let expected = [Failure::Constraint(2), Failure::Range(ranges[1])];
        assert_eq!(failures(&edited, subject), expected);
    }
}
