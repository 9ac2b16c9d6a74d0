//! KoalaBear's quintic extension `F[X]/(X⁵ + X² − 1)` in circuits: docs/stark.md section 1.

use ark_ff::PrimeField;
use ark_relations::r1cs::LinearCombination;
use num_bigint::BigInt;
use num_traits::Signed;

use crate::circuit::{Circuit, Style};
use crate::sum::{P, Sum, centred};

pub const DEGREE: usize = 5;
pub const ROOT: u64 = 0x6ac4_9f88;
/// Sums of 2^17 products of words stay below 2^80: three of them fit a field of 254 bits.
const LANE: u64 = 80;
const LANES: usize = 3;

/// An element of K: lowest power first.
pub type Element = [Sum; DEGREE];

/// `a·b` of words, reduced.
pub fn word_product<F: PrimeField>(circuit: &mut Circuit<F>, a: &Sum, b: &Sum) -> Sum {
    let product = circuit.product(a, b);
    circuit.reduced(&product)
}

/// `a·b` in K, reduced.
pub fn product<F: PrimeField>(circuit: &mut Circuit<F>, a: &Element, b: &Element) -> Element {
    let wide = lazy_product(circuit, a, b);
    reduced(circuit, &wide)
}

pub fn reduced<F: PrimeField>(circuit: &mut Circuit<F>, wide: &Element) -> Element {
    std::array::from_fn(|i| circuit.reduced(&wide[i]))
}

/// `a·b` in K over the integers: what is left to reduce.
pub fn lazy_product<F: PrimeField>(circuit: &Circuit<F>, a: &Element, b: &Element) -> Element {
    let c = match circuit.style {
        Style::Rows => schoolbook(circuit, a, b),
        _ => interpolated(circuit, a, b),
    };
    // X⁵ = 1 − X², X⁶ = X − X³, X⁷ = X² − X⁴, X⁸ = X³ − X⁵ = X³ + X² − 1.
    [
        &(&c[0] + &c[5]) - &c[8],
        &c[1] + &c[6],
        &(&(&c[2] - &c[5]) + &c[7]) + &c[8],
        &(&c[3] - &c[6]) + &c[8],
        &c[4] - &c[7],
    ]
}

/// The nine coefficients by 25 rows that multiply and add.
fn schoolbook<F: PrimeField>(circuit: &Circuit<F>, a: &Element, b: &Element) -> Vec<Sum> {
    let mut c = vec![Sum::default(); 2 * DEGREE - 1];
    for i in 0..DEGREE {
        for j in 0..DEGREE {
            c[i + j] = circuit.product_and(&a[i], &b[j], &c[i + j]);
        }
    }
    c
}

/// The nine coefficients as witnesses: right at nine points, hence right.
fn interpolated<F: PrimeField>(circuit: &Circuit<F>, a: &Element, b: &Element) -> Vec<Sum> {
    let count = 2 * DEGREE - 1;
    let most = |e: &Element| {
        let ends = e.iter().map(Sum::interval).map(|(low, high)| low.abs().max(high.abs()));
        ends.max().expect("five")
    };
    let negative = a.iter().chain(b).any(|each| each.interval().0.is_negative());
    let high: BigInt = most(a) * most(b) * DEGREE;
    assert!(high.bits() + 2 < u64::from(F::MODULUS_BIT_SIZE), "wraps");
    let low = if negative { -high.clone() } else { BigInt::ZERO };
    let c: Vec<Sum> = (0..count)
        .map(|k| {
            let range = k.saturating_sub(DEGREE - 1)..=k.min(DEGREE - 1);
            let value = range.map(|i| a[i].value() * b[k - i].value()).sum();
            circuit.witness(value, low.clone(), high.clone())
        })
        .collect();
    for point in 0..count as i64 {
        let at = point - (count / 2) as i64;
        let [left, right, found] = [&a[..], &b[..], &c[..]].map(|e| evaluated(e, at));
        circuit.enforce(left, right, found);
    }
    c
}

fn evaluated<F: PrimeField>(coefficients: &[Sum], at: i64) -> LinearCombination<F> {
    let powers = (0..).map(|i| BigInt::from(at).pow(i));
    coefficients.iter().zip(powers).map(|(c, power)| c.scaled(&power)).sum::<Sum>().combination()
}

/// `Σ words[j]·weights[j]`, reduced: one product for three of the five words of a weight.
pub fn dot<F: PrimeField>(
    circuit: &mut Circuit<F>,
    words: &[Sum],
    weights: &[[Sum; 2]],
) -> Element {
    let mut found = Vec::new();
    for (half, lanes) in [(0, LANES), (1, DEGREE - LANES)] {
        let mut total = Sum::default();
        for (word, weight) in words.iter().zip(weights) {
            total = match circuit.style {
                Style::Rows => circuit.product_and(word, &weight[half], &total),
                _ => &total + &circuit.product(word, &weight[half]),
            };
        }
        found.extend(unpacked(circuit, &total, lanes, words.len()));
    }
    found.try_into().expect("five")
}

/// The words of an element in two numbers, each in a lane of 80 bits.
pub fn packed<F: PrimeField>(circuit: &Circuit<F>, element: &Element) -> [Sum; 2] {
    element
        .chunks(LANES)
        .map(|words| {
            let shifted = words.iter().enumerate().map(|(i, w)| w.scaled(&lane(i)));
            circuit.shared(&shifted.sum())
        })
        .collect::<Vec<_>>()
        .try_into()
        .expect("two")
}

fn lane(number: usize) -> BigInt {
    BigInt::from(1) << (LANE * number as u64)
}

/// Residues of the lanes: `total = Σ 2^80i·(qᵢ·p + rᵢ)` has one solution with small qᵢ, rᵢ.
fn unpacked<F: PrimeField>(
    circuit: &mut Circuit<F>,
    total: &Sum,
    lanes: usize,
    terms: usize,
) -> Vec<Sum> {
    let bits = 64 + u64::from(terms.next_power_of_two().trailing_zeros());
    let quotient = bits - 30;
    let greatest = circuit.greatest(quotient) * P + circuit.greatest(31);
    assert!(greatest.bits() <= LANE, "a lane overflows into the next");
    let (mut found, mut rest) = (Vec::new(), total.clone());
    for number in 0..lanes {
        let value = (total.value() >> (LANE * number as u64)) & (lane(1) - 1);
        let word = circuit.word(crate::sum::residue(&value, P));
        let high = circuit.greatest(quotient);
        let times = circuit.witness(&value / P, 0.into(), high);
        circuit.range(&times.combination(), &times.value(), quotient);
        let all = &times.scaled(&P.into()) + &word;
        rest = &rest - &all.scaled(&lane(number));
        found.push(word);
    }
    let one = LinearCombination::from(ark_relations::r1cs::Variable::One);
    circuit.enforce(rest.combination(), one, LinearCombination::zero());
    found
}

/// Eight neighbours folded into one (docs/stark.md section 6).
///
/// `steps` are β/X, (β/X)², (β/X)⁴, X the point of the first of them.
pub fn fold<F: PrimeField>(
    circuit: &mut Circuit<F>,
    values: &[Element],
    steps: &[Element; 3],
) -> Element {
    let half = BigInt::from(P.div_ceil(2));
    let mut values = values.to_vec();
    for (level, step) in steps.iter().enumerate() {
        let log_size = 3 - level as u32;
        values = (0..values.len() / 2)
            .map(|pair| {
                let (first, second) = (&values[2 * pair], &values[2 * pair + 1]);
                // The pair stands at ±X·ω^rev: its step is that of the first pair over ω^rev.
                let factor = &half * inverse_root(log_size, pair);
                let turned = step.clone().map(|w| circuit.shared(&w.scaled(&factor).modulo()));
                let odd = std::array::from_fn(|i| circuit.shared(&(&first[i] - &second[i])));
                let odd = lazy_product(circuit, &odd, &turned);
                let wide = std::array::from_fn(|i| {
                    let even = (&first[i] + &second[i]).scaled(&half).modulo();
                    &even + &odd[i]
                });
                reduced(circuit, &wide)
            })
            .collect();
    }
    values.pop().expect("one is left")
}

/// `ω_l^−rev(2·pair)`, l = `log_size`.
fn inverse_root(log_size: u32, pair: usize) -> BigInt {
    let exponent = (2 * pair as u64).reverse_bits() >> (64 - log_size);
    let root = power(ROOT, 1 << (24 - log_size));
    centred(&power(root, (1 << log_size) - exponent).into(), P)
}

pub fn power(base: u64, mut exponent: u64) -> u64 {
    let (mut found, mut square) = (1, base % P);
    while exponent > 0 {
        if exponent & 1 == 1 {
            found = found * square % P;
        }
        square = square * square % P;
        exponent >>= 1;
    }
    found
}
