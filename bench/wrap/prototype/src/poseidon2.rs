//! Poseidon2 over KoalaBear in circuits: docs/protocol.md section 4.

use ark_ff::PrimeField;
use num_bigint::BigInt;

use crate::circuit::Circuit;
use crate::koalabear::power;
use crate::sum::{P, Sum, centred};

const FULL_ROUNDS: usize = 8;
/// Above so many bits an S-box's input is reduced first: its cube would take more to reduce.
const NARROW: u64 = 40;

pub struct Poseidon2 {
    pub width: usize,
    /// Per full round a constant for each word.
    full: Vec<Vec<u64>>,
    partial: Vec<u64>,
    diagonal: Vec<BigInt>,
}

impl Poseidon2 {
    /// Width 16 or 24, constants from the Grain register of the reference.
    pub fn new(width: usize) -> Self {
        let partial = if width == 16 { 20 } else { 23 };
        let mut grain = Grain::new(width, partial);
        let mut words = |count: usize| (0..count).map(|_| grain.element()).collect::<Vec<_>>();
        let mut full: Vec<_> = (0..FULL_ROUNDS / 2).map(|_| words(width)).collect();
        let partial = words(partial);
        full.extend((0..FULL_ROUNDS / 2).map(|_| words(width)));
        Self { width, full, partial, diagonal: diagonal(width) }
    }

    /// The permutation; what comes out is not reduced.
    pub fn permute<F: PrimeField>(&self, circuit: &mut Circuit<F>, state: &[Sum]) -> Vec<Sum> {
        let mut state = external_layer(circuit, state);
        for constants in &self.full[..FULL_ROUNDS / 2] {
            state = full_round(circuit, &state, constants);
        }
        for constant in &self.partial {
            state[0] = cube(circuit, &(&state[0] + &Sum::constant(*constant)));
            let total: Sum = state.iter().cloned().sum();
            for (word, factor) in state.iter_mut().zip(&self.diagonal) {
                *word = (&total + &word.scaled(factor)).modulo();
            }
        }
        for constants in &self.full[FULL_ROUNDS / 2..] {
            state = full_round(circuit, &state, constants);
        }
        state
    }

    /// `C(l, r) = P16(l ‖ r)[0..8] + l`, reduced.
    pub fn compress<F: PrimeField>(
        &self,
        circuit: &mut Circuit<F>,
        left: &[Sum],
        right: &[Sum],
    ) -> Vec<Sum> {
        let mixed = self.permute(circuit, &[left, right].concat());
        left.iter().zip(mixed).map(|(a, b)| circuit.reduced(&(a + &b))).collect()
    }

    /// One step of a sponge that overwrites all but 8 words: those 8, reduced.
    pub fn absorb<F: PrimeField>(&self, circuit: &mut Circuit<F>, state: &[Sum]) -> Vec<Sum> {
        let mixed = self.permute(circuit, state);
        mixed[self.width - 8..].iter().map(|word| circuit.reduced(word)).collect()
    }
}

fn full_round<F: PrimeField>(
    circuit: &mut Circuit<F>,
    state: &[Sum],
    constants: &[u64],
) -> Vec<Sum> {
    let cubes: Vec<_> = state
        .iter()
        .zip(constants)
        .map(|(word, constant)| cube(circuit, &(word + &Sum::constant(*constant))))
        .collect();
    external_layer(circuit, &cubes)
}

fn cube<F: PrimeField>(circuit: &mut Circuit<F>, x: &Sum) -> Sum {
    let x = if x.bits() > NARROW { circuit.reduced(x) } else { circuit.shared(x) };
    let square = circuit.product(&x, &x);
    circuit.product(&square, &x)
}

/// circ(2·M4, M4, …), M4 = circ(2, 3, 1, 1) on groups of four.
fn external_layer<F: PrimeField>(circuit: &Circuit<F>, state: &[Sum]) -> Vec<Sum> {
    let mixed: Vec<Sum> = state
        .chunks(4)
        .flat_map(|group| {
            let total = circuit.shared(&group.iter().cloned().sum());
            (0..4).map(move |i| &(&total + &group[i]) + &group[(i + 1) % 4].scaled(&2.into()))
        })
        .collect();
    let totals: Vec<Sum> =
        (0..4).map(|i| circuit.shared(&mixed.iter().skip(i).step_by(4).cloned().sum())).collect();
    mixed.iter().enumerate().map(|(i, word)| word + &totals[i % 4]).collect()
}

/// V of the internal layer 1 + Diag(V), coefficients near zero.
fn diagonal(width: usize) -> Vec<BigInt> {
    let (plus, minus): (&[u64], &[u64]) = match width {
        16 => (&[8, 3, 24], &[8, 3, 4, 24]),
        _ => (&[8, 2, 3, 4, 5, 6, 24], &[8, 3, 4, 5, 6, 7, 9, 24]),
    };
    let half = power(2, P - 2);
    let inverse = |e: &u64| power(half, *e);
    let head = [P - 2, 1, 2, half, 3, 4, P - half, P - 3, P - 4];
    let tail = plus.iter().map(inverse).chain(minus.iter().map(|e| P - inverse(e)));
    head.into_iter().chain(tail).map(|word| centred(&word.into(), P)).collect()
}

/// The Grain register in self-shrinking mode.
struct Grain(Vec<bool>);

impl Grain {
    fn new(width: usize, partial: usize) -> Self {
        let fields = [(1, 2), (0, 4), (31, 12), (width, 12), (FULL_ROUNDS, 10), (partial, 10)];
        let bit = |value: usize, at: usize| value >> at & 1 == 1;
        let head =
            fields.iter().flat_map(|(value, bits)| (0..*bits).rev().map(|at| bit(*value, at)));
        let mut register = Self(head.chain([true; 30]).collect());
        for _ in 0..160 {
            register.clock();
        }
        register
    }

    fn clock(&mut self) -> bool {
        let bit = [0, 13, 23, 38, 51, 62].iter().fold(false, |bit, tap| bit ^ self.0[*tap]);
        self.0.remove(0);
        self.0.push(bit);
        bit
    }

    fn element(&mut self) -> u64 {
        loop {
            let mut element = 0;
            for _ in 0..31 {
                while !self.clock() {
                    self.clock();
                }
                element = 2 * element + u64::from(self.clock());
            }
            if element < P {
                return element;
            }
        }
    }
}
