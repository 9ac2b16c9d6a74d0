//! The transcript of SHA-256.

use std::ops::Range;

use p3_field::BasedVectorSpace;
use sha2::{Digest, Sha256};

use super::super::field::K;
use super::super::lanes::{Unit, first_work};
use super::{NEXT, POW, POW_CHECK, Prefix, SQUEEZE, Sponge, enough, tag};
use crate::hash::{Elem, P};

const TAG: &[u8] = b"zktally stark v1\0";

#[derive(Clone, Debug)]
pub struct State([u8; 32]);

fn absorbed(state: &[u8; 32], tag: u8, data: &[u8]) -> [u8; 32] {
    let hash = Sha256::new().chain_update(state).chain_update([tag]);
    hash.chain_update((data.len() as u64).to_le_bytes()).chain_update(data).finalize().into()
}

impl State {
    pub fn new(prefix: Prefix) -> Self {
        let mut state = Self(Sha256::digest(TAG).into());
        state.absorb(tag::CONTEXT, prefix.context);
        state.absorb(tag::PARAMETERS, prefix.parameters);
        state.absorb(tag::TABLES, prefix.tables);
        state
    }

    /// Calls `take` with the words of a squeeze until it returns a value.
    fn squeeze<T>(&mut self, mut take: impl FnMut(u32) -> Option<T>) -> T {
        let mut counter = 0u64;
        loop {
            let hash = Sha256::new()
                .chain_update(self.0)
                .chain_update([SQUEEZE])
                .chain_update(counter.to_le_bytes())
                .finalize();
            for word in hash.as_chunks::<4>().0 {
                if let Some(value) = take(u32::from_le_bytes(*word)) {
                    let next = Sha256::new().chain_update(self.0).chain_update([NEXT]);
                    self.0 = next.finalize().into();
                    return value;
                }
            }
            counter += 1;
        }
    }
}

impl Sponge for State {
    fn absorb(&mut self, tag: u8, message: &[u8]) {
        self.0 = absorbed(&self.0, tag, message);
    }

    fn absorb_work(&mut self, witness: u64) {
        self.absorb(POW, &witness.to_le_bytes());
    }

    fn element(&mut self) -> K {
        let mut found = Vec::with_capacity(5);
        self.squeeze(|word| {
            let word = word & 0x7fff_ffff;
            if word < P {
                found.push(Elem::new(word));
            }
            (found.len() == 5).then(|| K::from_basis_coefficients_fn(|i| found[i]))
        })
    }

    fn indices(&mut self, count: usize, bits: usize) -> Vec<usize> {
        let mut found = Vec::with_capacity(count);
        self.squeeze(|word| {
            found.push(word as usize & ((1 << bits) - 1));
            (found.len() == count).then(|| std::mem::take(&mut found))
        })
    }

    fn work(&self, witness: u64) -> u64 {
        let state = absorbed(&self.0, POW, &witness.to_le_bytes());
        let hash = Sha256::new().chain_update(state).chain_update([POW_CHECK]).finalize();
        u64::from_le_bytes(std::array::from_fn(|i| hash[i]))
    }

    fn first_work(&self, tries: Range<u64>, bits: usize) -> Option<u64> {
        let good = |witness| enough(self.work(witness), bits);
        first_work(Unit::best(), &self.0, [POW, POW_CHECK], tries, bits, good)
    }
}
