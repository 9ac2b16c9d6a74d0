//! The sponge `S` on the permutation of width 16 (docs/stark.md section 3): what the second
//! configuration of the STARK hashes with, so that a proof can check its hashes with one permutation.
//!
//! It comes for one input and for `LANES` inputs at once; both give the same digests.

use std::array;

use p3_field::{PackedValue, PrimeCharacteristicRing};

use super::poseidon::{Digest, Elem, Packed, elem, p16, p16_packed};

/// Elements that `S` takes in per permutation: they overwrite as many of the state.
pub const RATE16: usize = 8;

/// Length and domain stand in the capacity, where no input reaches.
fn start(domain: u32, n: usize) -> [Elem; 16] {
    let mut state = [Elem::ZERO; 16];
    state[RATE16] = elem(n);
    state[RATE16 + 1] = Elem::new(domain);
    state
}

/// `S(domain, elements)`, of at least one element.
pub fn sponge16(domain: u32, elements: &[Elem]) -> Digest {
    let mut state = start(domain, elements.len());
    for block in elements.chunks(RATE16) {
        state[..block.len()].copy_from_slice(block);
        state[block.len()..RATE16].fill(Elem::ZERO);
        p16(&mut state);
    }
    Digest(array::from_fn(|i| state[i]))
}

/// `LANES` sponges over inputs of equal length.
#[derive(Clone, Copy)]
pub struct Sponges16([Packed; 16]);

impl Sponges16 {
    /// Sponges for inputs of `n` elements.
    pub fn new(domain: u32, n: usize) -> Self {
        Self(start(domain, n).map(Packed::from))
    }

    pub fn absorb(&mut self, block: &[Packed; RATE16]) {
        self.0[..RATE16].copy_from_slice(block);
        p16_packed(&mut self.0);
    }

    /// The digests, in lanes.
    pub fn digests(&self) -> [Packed; RATE16] {
        array::from_fn(|i| self.0[i])
    }
}

/// `C(left, right)` of `LANES` pairs.
pub fn compress_packed(left: &[Packed; RATE16], right: &[Packed; RATE16]) -> [Packed; RATE16] {
    let mut state = array::from_fn(|i| if i < RATE16 { left[i] } else { right[i - RATE16] });
    p16_packed(&mut state);
    array::from_fn(|i| state[i] + left[i])
}

/// The digest in one lane.
pub fn lane(digests: &[Packed; RATE16], lane: usize) -> Digest {
    Digest(array::from_fn(|i| digests[i].as_slice()[lane]))
}

#[cfg(test)]
mod tests {
    use super::super::poseidon::{LANES, compress, words};
    use super::*;

    fn input(n: usize, seed: usize) -> Vec<Elem> {
        (0..n).map(|i| elem(1000 * seed + 7 * i + 1)).collect()
    }

    /// As tests/unit/test_stark_transcript.py: the verifier in Python finds the same digests.
    #[test]
    fn digests_are_those_of_the_other_verifier() {
        let found = |n| words(&sponge16(0x40, &input(n, 0)).0[..4]);
        assert_eq!([1, 8, 9, 100].map(found), KNOWN);
    }

    #[rustfmt::skip]
    const KNOWN: [[u32; 4]; 4] = [
        [1_222_557_382, 1_321_678_859, 542_207_180, 1_584_053_998],
        [1_958_128_139, 1_478_461_680, 1_044_746_400, 1_376_431_536],
        [63_491_674, 753_155_510, 586_128_279, 405_415_073],
        [642_441_297, 409_583_007, 1_900_437_226, 1_277_406_985],
    ];

    #[test]
    fn lanes_equal_the_single_sponge() {
        for n in [1, 7, 8, 9, 40] {
            let mut sponges = Sponges16::new(3, n);
            for first in (0..n).step_by(RATE16) {
                sponges.absorb(&array::from_fn(|i| {
                    Packed::from_fn(|lane| {
                        input(n, lane).get(first + i).copied().unwrap_or_default()
                    })
                }));
            }
            for of in 0..LANES {
                assert_eq!(lane(&sponges.digests(), of), sponge16(3, &input(n, of)));
            }
        }
    }

    #[test]
    fn lanes_compress_alike() {
        let digest = |seed| sponge16(1, &input(3, seed));
        let side =
            |first: usize| array::from_fn(|i| Packed::from_fn(|lane| digest(first + lane).0[i]));
        let found = compress_packed(&side(0), &side(LANES));
        for of in 0..LANES {
            assert_eq!(lane(&found, of), compress(digest(of), digest(LANES + of)));
        }
    }

    #[test]
    fn domain_length_and_every_element_count() {
        let base = sponge16(1, &input(9, 0));
        assert_ne!(base, sponge16(2, &input(9, 0)));
        assert_ne!(sponge16(1, &[elem(5)]), sponge16(1, &[elem(5), elem(0)]));
        for i in 0..9 {
            let mut other = input(9, 0);
            other[i] += Elem::ONE;
            assert_ne!(base, sponge16(1, &other));
        }
    }
}
