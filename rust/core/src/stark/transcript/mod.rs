//! The transcript (docs/stark.md section 3): everything that is sent binds every later challenge.

mod poseidon2;
mod sha256;

use std::ops::Range;

use rayon::prelude::*;

use super::field::K;
use super::parameters::Hashing;
use crate::hash::Digest;

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

/// What both sides know before a proof, in bytes: steps 0 to 2.
#[derive(Clone, Copy, Debug)]
pub struct Prefix<'a> {
    pub context: &'a [u8; 32],
    pub parameters: &'a [u8],
    /// Digest of the tables, how many are present, index and height of each.
    pub tables: &'a [u8],
}

/// The operations of a transcript. A message is the bytes of its words, as they are on the wire.
trait Sponge: Sync {
    fn absorb(&mut self, tag: u8, message: &[u8]);
    fn absorb_work(&mut self, witness: u64);
    fn element(&mut self) -> K;
    fn indices(&mut self, count: usize, bits: usize) -> Vec<usize>;
    /// The word of which work makes low bits zero, after absorbing a witness.
    fn work(&self, witness: u64) -> u64;
    /// The first of these witnesses that makes so many low bits zero, of at most 31.
    fn first_work(&self, tries: Range<u64>, bits: usize) -> Option<u64>;
}

fn enough(word: u64, bits: usize) -> bool {
    word & ((1 << bits) - 1) == 0
}

/// What was sent so far, in either configuration.
#[derive(Clone, Debug)]
pub struct Transcript(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(sha256::State),
    Poseidon2(poseidon2::State),
}

impl Transcript {
    pub fn new(hashing: Hashing, prefix: Prefix) -> Self {
        Self(match hashing {
            Hashing::Sha256 => State::Sha256(sha256::State::new(prefix)),
            Hashing::Poseidon2 => State::Poseidon2(poseidon2::State::new(prefix)),
        })
    }

    /// One whose state is this digest of Poseidon2.
    pub fn at(state: Digest) -> Self {
        Self(State::Poseidon2(poseidon2::State::at(state)))
    }

    /// The state, where it is a digest of Poseidon2.
    pub fn digest(&self) -> Option<Digest> {
        match &self.0 {
            State::Sha256(_) => None,
            State::Poseidon2(state) => Some(state.digest()),
        }
    }

    fn sponge(&self) -> &dyn Sponge {
        match &self.0 {
            State::Sha256(state) => state,
            State::Poseidon2(state) => state,
        }
    }

    fn sponge_mut(&mut self) -> &mut dyn Sponge {
        match &mut self.0 {
            State::Sha256(state) => state,
            State::Poseidon2(state) => state,
        }
    }

    /// Absorbs a message: whole words as they are on the wire, each below p where it is an element.
    pub fn absorb(&mut self, tag: u8, message: &[u8]) {
        self.sponge_mut().absorb(tag, message);
    }

    /// A uniform element of K.
    pub fn element(&mut self) -> K {
        self.sponge_mut().element()
    }

    /// `count` uniform numbers below `2^bits`, in the order in which they are drawn.
    pub fn indices(&mut self, count: usize, bits: usize) -> Vec<usize> {
        self.sponge_mut().indices(count, bits)
    }

    /// Finds the least proof of work, whatever the number of threads, and absorbs it.
    pub fn grind(&mut self, bits: usize) -> u64 {
        if bits == 0 {
            return 0;
        }
        let sponge = self.sponge();
        let witness = (0..)
            .find_map(|round: u64| {
                let tasks = (round * TASKS..(round + 1) * TASKS).into_par_iter();
                tasks.find_map_first(|task| {
                    sponge.first_work(task * TRIES..(task + 1) * TRIES, bits)
                })
            })
            .expect("the search has no end");
        self.sponge_mut().absorb_work(witness);
        witness
    }

    /// Absorbs a proof of work; false where it is none.
    pub fn check_work(&mut self, bits: usize, witness: u64) -> bool {
        if bits == 0 {
            return witness == 0;
        }
        let good = enough(self.sponge().work(witness), bits);
        self.sponge_mut().absorb_work(witness);
        good
    }
}

#[cfg(test)]
mod tests;
