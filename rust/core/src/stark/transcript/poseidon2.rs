//! The transcript of Poseidon2: its state is a digest, absorbed with `S`, squeezed with `C`.

use std::array;
use std::ops::Range;

use p3_field::{BasedVectorSpace, PackedValue, PrimeCharacteristicRing, PrimeField32};
use sha2::{Digest as _, Sha256};

use super::super::field::K;
use super::{NEXT, POW, POW_CHECK, Prefix, SQUEEZE, Sponge, enough};
use crate::hash::poseidon::{Digest, Elem, LANES, P, Packed, compress, elem, pack_bytes};
use crate::hash::sponge16::{Sponges16, compress_packed, sponge16};

const TAG: &[u8] = b"zktally stark poseidon2 v1\0";
/// The domain of the first state in `S`; those of messages are their tags.
const START: u32 = 0x41;

/// What binds a proof to its statement: the only bytes of it that are hashed with SHA-256.
pub fn seed(prefix: Prefix) -> [u8; 32] {
    let hash = Sha256::new().chain_update(TAG).chain_update(prefix.context);
    hash.chain_update(prefix.parameters).chain_update(prefix.tables).finalize().into()
}

#[derive(Clone, Debug)]
pub struct State(Digest);

/// `(i, purpose, 0, …)`: what a state is compressed with.
fn right(i: usize, purpose: u8) -> Digest {
    let mut right = Digest::default();
    (right.0[0], right.0[1]) = (elem(i), Elem::from_u8(purpose));
    right
}

impl State {
    pub fn new(prefix: Prefix) -> Self {
        Self(sponge16(START, &pack_bytes(&seed(prefix))))
    }

    pub fn at(state: Digest) -> Self {
        Self(state)
    }

    pub fn digest(&self) -> Digest {
        self.0
    }

    fn absorbed(&self, tag: u8, elements: &[Elem]) -> Digest {
        sponge16(u32::from(tag), &[&self.0.0, elements].concat())
    }

    fn squeezed(&self, i: usize) -> [Elem; 8] {
        compress(self.0, right(i, SQUEEZE)).0
    }

    fn step(&mut self) {
        self.0 = compress(self.0, right(0, NEXT));
    }
}

impl Sponge for State {
    fn absorb(&mut self, tag: u8, message: &[u8]) {
        let words = message.as_chunks::<4>().0.iter();
        let elements: Vec<Elem> = words.map(|word| Elem::new(u32::from_le_bytes(*word))).collect();
        self.0 = self.absorbed(tag, &elements);
    }

    fn absorb_work(&mut self, witness: u64) {
        self.0 = self.absorbed(POW, &[Elem::from_u64(witness)]);
    }

    fn element(&mut self) -> K {
        let drawn = self.squeezed(0);
        self.step();
        K::from_basis_coefficients_fn(|i| drawn[i])
    }

    /// p − 1 = 127·2^24, so of the residues of a size one has one preimage more than the others.
    fn indices(&mut self, count: usize, bits: usize) -> Vec<usize> {
        let drawn = (0..).flat_map(|i| self.squeezed(i));
        let drawn = drawn.map(|x| x.as_canonical_u32() as usize & ((1 << bits) - 1));
        let drawn = drawn.take(count).collect();
        self.step();
        drawn
    }

    /// No number from p on is a witness: it would be another one below p.
    fn work(&self, witness: u64) -> u64 {
        if witness >= u64::from(P) {
            return u64::MAX;
        }
        let state = self.absorbed(POW, &[Elem::from_u64(witness)]);
        u64::from(compress(state, right(0, POW_CHECK)).0[0].as_canonical_u32())
    }

    fn first_work(&self, tries: Range<u64>, bits: usize) -> Option<u64> {
        // The block of the state is the same for all witnesses.
        let mut begun = Sponges16::new(POW.into(), 9);
        begun.absorb(&self.0.0.map(Packed::from));
        let check = right(0, POW_CHECK).0.map(Packed::from);
        let offsets = Packed::from_fn(elem);
        tries.clone().step_by(LANES).find_map(|first| {
            let mut sponges = begun;
            let witnesses = Packed::from(Elem::from_u64(first)) + offsets;
            sponges.absorb(&array::from_fn(|i| if i == 0 { witnesses } else { Packed::ZERO }));
            let words = compress_packed(&sponges.digests(), &check)[0];
            let good = |word: &Elem| enough(word.as_canonical_u32().into(), bits);
            let mut lanes = (first..tries.end.min(P.into())).zip(words.as_slice());
            lanes.find(|(_, word)| good(word)).map(|(witness, _)| witness)
        })
    }
}
