//! SHA-256's compression in circuits, a variable for each bit.

use ark_ff::PrimeField;
use ark_relations::r1cs::LinearCombination;
use num_bigint::BigInt;

use crate::circuit::Circuit;
use crate::sum::Sum;

const WORD: usize = 32;
pub const INITIAL: [u32; 8] = first_bits([2, 3, 5, 7, 11, 13, 17, 19]);

/// The bits of a word, lowest first.
pub type Word = Vec<Sum>;

/// The state after one block of 16 words.
pub fn compress<F: PrimeField>(
    circuit: &mut Circuit<F>,
    state: &[Word],
    block: &[Word],
) -> Vec<Word> {
    let mut schedule = block.to_vec();
    for at in 16..64 {
        let small0 = mixed(circuit, &schedule[at - 15], [7, 18], 3);
        let small1 = mixed(circuit, &schedule[at - 2], [17, 19], 10);
        let parts = [&schedule[at - 16], &small0, &schedule[at - 7], &small1];
        let total = parts.into_iter().map(number).sum();
        schedule.push(word(circuit, &total, 4));
    }
    let mut s = state.to_vec();
    for (w, constant) in schedule.iter().zip(round_constants()) {
        let large1 = rotated(circuit, &s[4], [6, 11, 25]);
        let chosen = bitwise(&s[4..7], |[e, f, g]| &circuit.product(e, &(f - g)) + g);
        let constant = Sum::constant(constant);
        let parts = [&s[7], &large1, &chosen, w];
        let first = parts.into_iter().map(number).chain([constant]).sum::<Sum>();
        let large0 = rotated(circuit, &s[0], [2, 13, 22]);
        let majority = bitwise(&s[0..3], |[a, b, c]| {
            let both = circuit.product(b, c);
            let either = &(b + c) - &both.scaled(&2.into());
            &circuit.product(a, &either) + &both
        });
        let e = word(circuit, &(&number(&s[3]) + &first), 6);
        let a = [first, number(&large0), number(&majority)].into_iter().sum();
        let a = word(circuit, &a, 7);
        s = [&[a], &s[0..3], &[e], &s[4..7]].concat();
    }
    state
        .iter()
        .zip(&s)
        .map(|(old, new)| word(circuit, &(&number(old) + &number(new)), 2))
        .collect()
}

/// The state before the first block.
pub fn initial() -> Vec<Word> {
    INITIAL.iter().map(|word| (0..WORD).map(|at| Sum::constant(word >> at & 1)).collect()).collect()
}

/// 16 words of witnesses.
pub fn block<F: PrimeField>(circuit: &mut Circuit<F>, words: &[u32; 16]) -> Vec<Word> {
    words.iter().map(|value| bits(circuit, &(*value).into(), WORD)).collect()
}

pub fn number(word: &Word) -> Sum {
    let weighted = word.iter().enumerate().map(|(at, bit)| bit.scaled(&(BigInt::from(1) << at)));
    weighted.sum()
}

/// The sum of so many words modulo 2^32. Bits that are xors have intervals that are too wide, so
/// that the carry's size is told by the number of words.
fn word<F: PrimeField>(circuit: &mut Circuit<F>, total: &Sum, words: u64) -> Word {
    let found = bits(circuit, &(total.value() % (1u64 << WORD)), WORD);
    let carry: BigInt = total.value() >> WORD;
    let shift = F::from(1u64 << WORD).inverse().expect("not zero");
    let combination = (total - &number(&found)).combination::<F>() * shift;
    circuit.range(&combination, &carry, u64::from(u64::BITS - (words - 1).leading_zeros()));
    found
}

fn bits<F: PrimeField>(circuit: &mut Circuit<F>, value: &BigInt, count: usize) -> Word {
    (0..count as u64)
        .map(|at| {
            let bit = circuit.witness(value.bit(at).into(), 0.into(), 1.into());
            let combination = bit.combination::<F>();
            let less = (&bit - &Sum::constant(1)).combination::<F>();
            circuit.enforce(combination, less, LinearCombination(Vec::new()));
            bit
        })
        .collect()
}

fn rotated<F: PrimeField>(circuit: &Circuit<F>, x: &Word, by: [usize; 3]) -> Word {
    let at = |i: usize| &x[i % WORD];
    (0..WORD)
        .map(|i| {
            let two = xor(circuit, at(i + by[0]), at(i + by[1]));
            xor(circuit, &two, at(i + by[2]))
        })
        .collect()
}

/// Two rotations and a shift.
fn mixed<F: PrimeField>(circuit: &Circuit<F>, x: &Word, by: [usize; 2], shift: usize) -> Word {
    (0..WORD)
        .map(|i| {
            let two = xor(circuit, &x[(i + by[0]) % WORD], &x[(i + by[1]) % WORD]);
            x.get(i + shift).map_or(two.clone(), |bit| xor(circuit, &two, bit))
        })
        .collect()
}

fn xor<F: PrimeField>(circuit: &Circuit<F>, a: &Sum, b: &Sum) -> Sum {
    let both = circuit.product(a, b);
    &(a + b) - &both.scaled(&2.into())
}

fn bitwise(words: &[Word], each: impl Fn([&Sum; 3]) -> Sum) -> Word {
    (0..WORD).map(|i| each([&words[0][i], &words[1][i], &words[2][i]])).collect()
}

pub fn round_constants() -> impl Iterator<Item = u32> {
    // The first bits of the fractional parts of the cube roots of the first 64 primes.
    let primes = (2u128..).filter(|n| (2..*n).all(|d| n % d != 0)).take(64);
    primes.map(|prime| root(prime << 96, 3) as u32)
}

const fn first_bits(primes: [u128; 8]) -> [u32; 8] {
    let mut found = [0; 8];
    let mut at = 0;
    while at < 8 {
        found[at] = root(primes[at] << 64, 2) as u32;
        at += 1;
    }
    found
}

/// The whole part of a square or cube root below 2^36.
const fn root(of: u128, degree: u32) -> u128 {
    let mut found = 0u128;
    let mut bit = 1 << 35;
    while bit > 0 {
        let more = found | bit;
        if more.pow(degree) <= of {
            found = more;
        }
        bit >>= 1;
    }
    found
}
