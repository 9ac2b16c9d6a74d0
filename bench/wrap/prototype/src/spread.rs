//! SHA-256's compression with lookups of numbers and their spread-out bits.
//!
//! Where bits are spread out, a zero behind each, the sum of three words has their exclusive or
//! in the even bits and their majority in the odd ones; a rotation moves pieces.

use ark_ff::PrimeField;
use num_bigint::BigInt;

use crate::circuit::{Circuit, spread_out};
use crate::sha256::{INITIAL, round_constants};
use crate::sum::Sum;

const WORD: u32 = 32;
/// Where pieces begin, by what is rotated: Σ0 of a, Σ1 of e, σ0 and σ1 of the schedule, nothing.
const OF_A: &[u32] = &[0, 2, 13, 22];
const OF_E: &[u32] = &[0, 6, 11, 25];
const OF_SCHEDULE: &[u32] = &[0, 3, 7, 10, 17, 18, 19];
const HALVES: &[u32] = &[0, 16];

/// A word, its spread pieces with where they begin.
#[derive(Clone)]
pub struct Word {
    pub number: Sum,
    pieces: Vec<(u32, Sum)>,
}

impl Word {
    fn constant(value: u32) -> Self {
        let bit = |at| (at, Sum::constant(value >> at & 1));
        Self { number: Sum::constant(value), pieces: (0..WORD).map(bit).collect() }
    }

    fn new<F: PrimeField>(circuit: &mut Circuit<F>, value: u32, starts: &[u32]) -> Self {
        let ends = starts.iter().skip(1).chain([&WORD]);
        let (mut number, mut pieces) = (Sum::default(), Vec::new());
        for (start, end) in starts.iter().zip(ends) {
            let bits = end - start;
            let part = u64::from(value >> start) & ((1 << bits) - 1);
            let piece = circuit.witness(part.into(), 0.into(), (1u64 << bits).into());
            let spread = spread_out(part);
            let spread = circuit.witness(spread.into(), 0.into(), spread_out(1 << bits).into());
            circuit.spread(&piece, &spread, bits);
            number = &number + &piece.scaled(&(BigInt::from(1) << *start));
            pieces.push((*start, spread));
        }
        Self { number: circuit.shared(&number), pieces }
    }

    fn spread(&self) -> Sum {
        self.rotated(0)
    }

    fn rotated(&self, by: u32) -> Sum {
        let place = |start: u32| (start + WORD - by) % WORD;
        self.pieces.iter().map(|(start, piece)| piece.scaled(&power_of_4(place(*start)))).sum()
    }

    fn shifted(&self, by: u32) -> Sum {
        let left = self.pieces.iter().filter(|(start, _)| *start >= by);
        left.map(|(start, piece)| piece.scaled(&power_of_4(start - by))).sum()
    }
}

/// The state after one block of 16 words.
pub fn compress<F: PrimeField>(
    circuit: &mut Circuit<F>,
    state: &[Word],
    block: &[Word],
) -> Vec<Word> {
    let mut schedule = block.to_vec();
    for at in 16..64 {
        let (old, new) = (schedule[at - 15].clone(), schedule[at - 2].clone());
        let small0 = [old.rotated(7), old.rotated(18), old.shifted(3)].into_iter().sum();
        let small1 = [new.rotated(17), new.rotated(19), new.shifted(10)].into_iter().sum();
        let (small0, small1) = (even(circuit, &small0), even(circuit, &small1));
        let parts = [&schedule[at - 16].number, &small0, &schedule[at - 7].number, &small1];
        let total = parts.into_iter().cloned().sum();
        schedule.push(word(circuit, &total, 4, OF_SCHEDULE));
    }
    let mut s = state.to_vec();
    let ones = Sum::constant(spread_out(u64::from(u32::MAX)));
    for (w, constant) in schedule.iter().zip(round_constants()) {
        let large1 = [6, 11, 25].map(|by| s[4].rotated(by)).into_iter().sum();
        let large1 = even(circuit, &large1);
        let e = circuit.shared(&s[4].spread());
        let chosen = odd(circuit, &(&e + &s[5].spread()));
        let other = odd(circuit, &(&(&ones - &e) + &s[6].spread()));
        let parts = [s[7].number.clone(), large1, chosen, other, w.number.clone()];
        let first = parts.into_iter().chain([Sum::constant(constant)]).sum();
        let first = circuit.shared(&first);
        let large0 = [2, 13, 22].map(|by| s[0].rotated(by)).into_iter().sum();
        let large0 = even(circuit, &large0);
        let majority = s[0..3].iter().map(Word::spread).sum();
        let majority = odd(circuit, &majority);
        let e = word(circuit, &(&s[3].number + &first), 6, OF_E);
        let a = word(circuit, &[first, large0, majority].into_iter().sum(), 7, OF_A);
        s = [&[a], &s[0..3], &[e], &s[4..7]].concat();
    }
    let starts = [OF_A, HALVES, HALVES, HALVES, OF_E, HALVES, HALVES, HALVES];
    let sums = state.iter().zip(&s).map(|(old, new)| &old.number + &new.number);
    sums.zip(starts).map(|(sum, starts)| word(circuit, &sum, 2, starts)).collect()
}

/// The state before the first block.
pub fn initial() -> Vec<Word> {
    INITIAL.into_iter().map(Word::constant).collect()
}

/// 16 words of witnesses.
pub fn block<F: PrimeField>(circuit: &mut Circuit<F>, words: &[u32; 16]) -> Vec<Word> {
    words.iter().map(|value| Word::new(circuit, *value, OF_SCHEDULE)).collect()
}

/// The bytes of a word, for a message that is out of step with it by a byte.
pub fn bytes<F: PrimeField>(circuit: &mut Circuit<F>, word: &Word) {
    let value: u32 = word.number.value().try_into().expect("a word");
    let bytes = Word::new(circuit, value, &[0, 8, 16, 24]);
    circuit.enforce_zero((&word.number - &bytes.number).combination());
}

/// The sum of so many words modulo 2^32, its carry two or three bits.
fn word<F: PrimeField>(circuit: &mut Circuit<F>, total: &Sum, words: u64, starts: &[u32]) -> Word {
    let value: u64 = total.value().try_into().expect("not negative");
    let found = Word::new(circuit, value as u32, starts);
    let bits = u64::BITS - (words - 1).leading_zeros();
    let carry = circuit.witness((value >> WORD).into(), 0.into(), (1 << bits).into());
    let spread =
        circuit.witness(spread_out(value >> WORD).into(), 0.into(), (1 << (2 * bits)).into());
    circuit.spread(&carry, &spread, bits);
    let carried = carry.scaled(&(BigInt::from(1) << WORD));
    circuit.enforce_zero((&(total - &found.number) - &carried).combination());
    found
}

fn even<F: PrimeField>(circuit: &mut Circuit<F>, spread: &Sum) -> Sum {
    split(circuit, spread).0
}

fn odd<F: PrimeField>(circuit: &mut Circuit<F>, spread: &Sum) -> Sum {
    split(circuit, spread).1
}

/// The even and the odd bits of a sum of at most three spread words.
fn split<F: PrimeField>(circuit: &mut Circuit<F>, spread: &Sum) -> (Sum, Sum) {
    let value: u64 = spread.value().try_into().expect("three words at most");
    let every_other =
        |from: u32| (0..WORD).map(|at| ((value >> (2 * at + from) & 1) as u32) << at).sum();
    let (even, odd) = (every_other(0), every_other(1));
    let [even, odd] = [even, odd].map(|value| Word::new(circuit, value, HALVES));
    let both = &even.spread() + &odd.spread().scaled(&2.into());
    circuit.enforce_zero((spread - &both).combination());
    (even.number, odd.number)
}

fn power_of_4(exponent: u32) -> BigInt {
    BigInt::from(1) << (2 * exponent)
}
