//! The transcript (docs/stark.md section 3): SHA-256 over everything, in order.

use p3_field::BasedVectorSpace;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::field::K;
use super::lanes::{Unit, first_work};
use crate::hash::{Elem, P};

const TAG: &[u8] = b"zktally stark v1\0";
const POW: u8 = 0x20;
const POW_CHECK: u8 = 0xfd;
const NEXT: u8 = 0xfe;
const SQUEEZE: u8 = 0xff;
/// Witnesses that one task tries, and tasks between two looks at what was found: few, since a witness
/// that a later task finds does not end the earlier ones.
const TRIES: u64 = 1 << 10;
const TASKS: u64 = 1 << 5;

/// Tags of what is absorbed.
pub mod tag {
    pub const CONTEXT: u8 = 1;
    pub const PARAMETERS: u8 = 2;
    pub const TABLES: u8 = 3;
    pub const MAIN: u8 = 4;
    pub const AUXILIARY: u8 = 5;
    pub const QUOTIENT: u8 = 6;
    pub const OPENED: u8 = 7;
    pub const ROUND: u8 = 8;
    pub const FINAL: u8 = 9;
}

#[derive(Clone, Debug)]
pub struct Transcript {
    state: [u8; 32],
}

fn absorbed(state: &[u8; 32], tag: u8, data: &[u8]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(state).chain_update([tag]);
    hash.chain_update((data.len() as u64).to_le_bytes()).chain_update(data).finalize().into()
}

/// The word that a proof of work must make small, after absorbing a witness.
fn work(state: &[u8; 32], witness: u64) -> u64 {
    let state = absorbed(state, POW, &witness.to_le_bytes());
    let hash = Sha256::new().chain_update(state).chain_update([POW_CHECK]).finalize();
    u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
}

fn enough(word: u64, bits: usize) -> bool {
    word & ((1 << bits) - 1) == 0
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl Transcript {
    pub fn new() -> Self {
        Self { state: Sha256::digest(TAG).into() }
    }

    pub fn absorb(&mut self, tag: u8, data: &[u8]) {
        self.state = absorbed(&self.state, tag, data);
    }

    /// Calls `take` with the words of a squeeze until it returns a value.
    fn squeeze<T>(&mut self, mut take: impl FnMut(u32) -> Option<T>) -> T {
        let mut counter = 0u64;
        loop {
            let hash = Sha256::new()
                .chain_update(self.state)
                .chain_update([SQUEEZE])
                .chain_update(counter.to_le_bytes())
                .finalize();
            for word in hash.as_chunks::<4>().0 {
                if let Some(value) = take(u32::from_le_bytes(*word)) {
                    self.state = Sha256::new()
                        .chain_update(self.state)
                        .chain_update([NEXT])
                        .finalize()
                        .into();
                    return value;
                }
            }
            counter += 1;
        }
    }

    /// A uniform element of K.
    pub fn element(&mut self) -> K {
        let mut found = Vec::with_capacity(5);
        self.squeeze(|word| {
            let word = word & 0x7fff_ffff;
            if word < P {
                found.push(Elem::new(word));
            }
            (found.len() == 5).then(|| K::from_basis_coefficients_fn(|i| found[i]))
        })
    }

    /// `count` uniform numbers below `2^bits`.
    pub fn indices(&mut self, count: usize, bits: usize) -> Vec<usize> {
        let mut found = Vec::with_capacity(count);
        self.squeeze(|word| {
            found.push(word as usize & ((1 << bits) - 1));
            (found.len() == count).then(|| std::mem::take(&mut found))
        })
    }

    /// Finds the least proof of work, whatever the number of threads, and absorbs it.
    pub fn grind(&mut self, bits: usize) -> u64 {
        if bits == 0 {
            return 0;
        }
        let (state, unit) = (self.state, Unit::best());
        let witness = (0..)
            .find_map(|round: u64| {
                let tasks = (round * TASKS..(round + 1) * TASKS).into_par_iter();
                tasks.find_map_first(|task| {
                    let tries = task * TRIES..(task + 1) * TRIES;
                    let good = |witness| enough(work(&state, witness), bits);
                    first_work(unit, &state, [POW, POW_CHECK], tries, bits, good)
                })
            })
            .expect("the search has no end");
        self.absorb(POW, &witness.to_le_bytes());
        witness
    }

    /// Absorbs a proof of work; false where it is none.
    pub fn check_work(&mut self, bits: usize, witness: u64) -> bool {
        if bits == 0 {
            return witness == 0;
        }
        let good = enough(work(&self.state, witness), bits);
        self.absorb(POW, &witness.to_le_bytes());
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_absorbed_byte_changes_what_follows() {
        let mut a = Transcript::new();
        a.absorb(1, b"ab");
        let mut others = vec![Transcript::new(); 4];
        others[0].absorb(2, b"ab");
        others[1].absorb(1, b"a");
        others[1].absorb(1, b"b");
        others[2].absorb(1, b"ab\0");
        let first = a.element();
        assert!(others.into_iter().all(|mut other| other.element() != first));
        assert_ne!(a.element(), first);
    }

    #[test]
    fn work_is_found_and_checked() {
        let (mut prover, mut verifier) = (Transcript::new(), Transcript::new());
        let witness = prover.grind(10);
        assert!(verifier.clone().check_work(10, witness));
        assert!(!(0..3).all(|i| verifier.clone().check_work(10, witness ^ (1 << i))));
        assert!(verifier.check_work(10, witness));
        assert_eq!(prover.indices(9, 7), verifier.indices(9, 7));
        assert!(!verifier.check_work(0, 1));
    }
}
