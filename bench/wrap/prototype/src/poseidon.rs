//! Poseidon over the circuit's own field: width 3, 8 full and 57 partial rounds, x⁵.

use ark_crypto_primitives::sponge::poseidon::{PoseidonConfig, find_poseidon_ark_and_mds};
use ark_ff::PrimeField;
use num_bigint::{BigInt, BigUint};

use crate::circuit::Circuit;
use crate::sum::Sum;

const FULL: usize = 8;
const PARTIAL: usize = 57;
const RATE: usize = 2;
pub const WIDTH: usize = RATE + 1;

pub fn config<F: PrimeField>() -> PoseidonConfig<F> {
    let bits = u64::from(F::MODULUS_BIT_SIZE);
    let (ark, mds) = find_poseidon_ark_and_mds(bits, RATE, FULL as u64, PARTIAL as u64, 0);
    PoseidonConfig::new(FULL, PARTIAL, 5, mds, ark, RATE, 1)
}

pub fn permute<F: PrimeField>(
    circuit: &Circuit<F>,
    config: &PoseidonConfig<F>,
    state: &[Sum; WIDTH],
) -> [Sum; WIDTH] {
    let mut state = state.clone();
    for (round, constants) in config.ark.iter().enumerate() {
        let full = !(FULL / 2..FULL / 2 + PARTIAL).contains(&round);
        for (i, (word, constant)) in state.iter_mut().zip(constants).enumerate() {
            *word = &*word + &Sum::constant(integer(*constant));
            if full || i == 0 {
                *word = fifth_power(circuit, word);
            }
        }
        let mixed = config.mds.iter().map(|row| {
            let parts = row.iter().zip(&state);
            circuit.shared(&parts.map(|(factor, word)| word.scaled(&integer(*factor))).sum())
        });
        state = mixed.collect::<Vec<_>>().try_into().expect("a square matrix");
    }
    state
}

fn fifth_power<F: PrimeField>(circuit: &Circuit<F>, x: &Sum) -> Sum {
    let x = &circuit.shared(x);
    let square = &times(circuit, x, x);
    times(circuit, &times(circuit, square, square), x)
}

/// A product in the circuit's own field.
fn times<F: PrimeField>(circuit: &Circuit<F>, a: &Sum, b: &Sum) -> Sum {
    let modulus: BigUint = F::MODULUS.into();
    let modulus = BigInt::from(modulus);
    let value = ((a.value() * b.value()) % &modulus + &modulus) % &modulus;
    let found = circuit.witness(value, 0.into(), modulus);
    circuit.enforce(a.combination(), b.combination(), found.combination());
    found
}

fn integer<F: PrimeField>(value: F) -> BigInt {
    let found: BigUint = value.into_bigint().into();
    found.into()
}
