//! Poseidon2 over KoalaBear: permutations, the sponge `H`, the compression `C`, the keyed `F`.
//!
//! Each comes for one input and for `LANES` inputs at once; both give the same digests.

use std::array;
use std::sync::LazyLock;

use p3_field::{Field, PackedValue, PrimeCharacteristicRing, PrimeField32};
use p3_koala_bear::{
    KoalaBear, Poseidon2KoalaBear, default_koalabear_poseidon2_16, default_koalabear_poseidon2_24,
};
use p3_symmetric::Permutation;
use rayon::prelude::*;

/// An element of the field of `P` elements.
pub type Elem = KoalaBear;
/// `LANES` elements that are computed on at once.
pub type Packed = <KoalaBear as Field>::Packing;
pub const LANES: usize = <Packed as PackedValue>::WIDTH;
/// `2^31 - 2^24 + 1`.
pub const P: u32 = (1 << 31) - (1 << 24) + 1;
/// Elements that a sponge takes in per permutation.
pub const RATE: usize = 16;

const LEVEL_CHUNK: usize = 16 * LANES;

static P16: LazyLock<Poseidon2KoalaBear<16>> = LazyLock::new(default_koalabear_poseidon2_16);
static P24: LazyLock<Poseidon2KoalaBear<24>> = LazyLock::new(default_koalabear_poseidon2_24);

/// Eight field elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(pub [Elem; 8]);

impl Digest {
    pub const BYTES: usize = 32;

    /// The digest of these little-endian words; `None` unless each is below `P`.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Some(Self(canonical_elements(bytes)?))
    }

    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (out, element) in bytes.chunks_exact_mut(4).zip(self.0) {
            out.copy_from_slice(&element.as_canonical_u32().to_le_bytes());
        }
        bytes
    }

    /// Lower-case hexadecimal digits of the bytes.
    pub fn hex(self) -> String {
        hex(&self.to_bytes())
    }

    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `N` elements from their `4·N` little-endian bytes; `None` unless each is below `P`.
pub fn canonical_elements<const N: usize>(bytes: &[u8]) -> Option<[Elem; N]> {
    let (words, rest) = bytes.as_chunks::<4>();
    if words.len() != N || !rest.is_empty() {
        return None;
    }
    let words: [u32; N] = array::from_fn(|i| u32::from_le_bytes(words[i]));
    words.iter().all(|&word| word < P).then(|| words.map(Elem::new))
}

/// The elements of these words; `None` unless each is below `P`.
pub fn from_words(words: &[u32]) -> Option<Vec<Elem>> {
    words.iter().map(|&word| (word < P).then(|| Elem::new(word))).collect()
}

/// The words of elements, each below `P`.
pub fn words(elements: &[Elem]) -> Vec<u32> {
    elements.iter().map(|element| element.as_canonical_u32()).collect()
}

/// The element of an integer below `P`.
pub fn elem(value: usize) -> Elem {
    debug_assert!(value < P as usize);
    Elem::from_u64(value as u64)
}

/// Bytes as elements: groups of three, little-endian, the last filled with zeros.
pub fn pack_bytes(bytes: &[u8]) -> Vec<Elem> {
    let group = |b: &[u8]| b.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
    bytes.chunks(3).map(|b| Elem::new(group(b))).collect()
}

/// The permutation of width 16, in place.
pub fn p16(state: &mut [Elem; 16]) {
    P16.permute_mut(state);
}

/// The permutation of width 16 of `LANES` states, in place.
pub fn p16_packed(state: &mut [Packed; 16]) {
    P16.permute_mut(state);
}

/// The permutation of width 24, in place.
pub fn p24(state: &mut [Elem; 24]) {
    P24.permute_mut(state);
}

/// `H(domain, aux, elements)`.
pub fn sponge(domain: u32, aux: u32, elements: &[Elem]) -> Digest {
    let mut state = sponge_state(domain, aux, elements.len());
    for b in 0..elements.len().div_ceil(RATE).max(1) {
        let block = &elements[b * RATE..elements.len().min((b + 1) * RATE)];
        state[..RATE].fill(Elem::ZERO);
        state[..block.len()].copy_from_slice(block);
        p24(&mut state);
    }
    Digest(array::from_fn(|i| state[i]))
}

fn sponge_state(domain: u32, aux: u32, n: usize) -> [Elem; 24] {
    let mut state = [Elem::ZERO; 24];
    state[16] = elem(n);
    state[17] = Elem::new(domain);
    state[18] = Elem::new(aux);
    state
}

/// `LANES` sponges over inputs of equal length.
pub struct Sponges([Packed; 24]);

impl Sponges {
    pub fn new(domain: u32, aux: u32, n: usize) -> Self {
        Self(sponge_state(domain, aux, n).map(Packed::from))
    }

    pub fn absorb(&mut self, block: &[Packed; RATE]) {
        self.0[..RATE].copy_from_slice(block);
        P24.permute_mut(&mut self.0);
    }

    pub fn digest(&self, lane: usize) -> Digest {
        Digest(array::from_fn(|i| self.0[i].as_slice()[lane]))
    }
}

/// `C(left, right)`.
pub fn compress(left: Digest, right: Digest) -> Digest {
    let mut state = pair(&[left, right]);
    p16(&mut state);
    Digest(array::from_fn(|i| state[i] + left.0[i]))
}

/// `C` of the pairs (2i, 2i + 1); a missing last right node is the zero digest.
pub fn compress_pairs(nodes: &[Digest]) -> Vec<Digest> {
    let mut parents = vec![Digest::default(); nodes.len().div_ceil(2)];
    let fill = |(parents, nodes): (&mut [Digest], &[Digest])| compress_into(nodes, parents);
    if parents.len() <= LEVEL_CHUNK {
        fill((&mut parents, nodes));
    } else {
        let children = nodes.par_chunks(2 * LEVEL_CHUNK);
        parents.par_chunks_mut(LEVEL_CHUNK).zip(children).for_each(fill);
    }
    parents
}

fn compress_into(nodes: &[Digest], parents: &mut [Digest]) {
    for (parents, nodes) in parents.chunks_mut(LANES).zip(nodes.chunks(2 * LANES)) {
        if parents.len() == 1 {
            parents[0] = compress(nodes[0], nodes.get(1).copied().unwrap_or_default());
            continue;
        }
        let inputs: [[Elem; 16]; LANES] =
            array::from_fn(|lane| pair(nodes.get(2 * lane..).unwrap_or_default()));
        let left = Packed::pack_columns(&inputs);
        let mut state = left;
        P16.permute_mut(&mut state);
        for (lane, parent) in parents.iter_mut().enumerate() {
            *parent =
                Digest(array::from_fn(|i| state[i].as_slice()[lane] + left[i].as_slice()[lane]));
        }
    }
}

/// The first two digests side by side; zeros for what is missing.
fn pair(nodes: &[Digest]) -> [Elem; 16] {
    let mut state = [Elem::ZERO; 16];
    for (half, node) in state.chunks_exact_mut(8).zip(nodes) {
        half.copy_from_slice(&node.0);
    }
    state
}

/// `F(x) = P16(x) + x`.
pub fn keyed(x: [Elem; 16]) -> [Elem; 16] {
    let mut y = x;
    p16(&mut y);
    array::from_fn(|i| y[i] + x[i])
}

/// `F` of `LANES` inputs.
pub fn keyed_packed(x: [Packed; 16]) -> [Packed; 16] {
    let mut y = x;
    P16.permute_mut(&mut y);
    array::from_fn(|i| y[i] + x[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs on 0, 1, 2, …; the plain Python verifier, written from the paper, gives the same.
    #[test]
    fn permutations_give_known_answers() {
        let mut state: [Elem; 16] = array::from_fn(elem);
        p16(&mut state);
        assert_eq!(words(&state)[..4], [1_259_554_834, 663_463_928, 1_989_430_097, 476_523_442]);
        let mut state: [Elem; 24] = array::from_fn(elem);
        p24(&mut state);
        assert_eq!(words(&state)[..4], [723_511_737, 87_131_171, 587_052_829, 1_323_145_575]);
    }

    #[test]
    fn sponge_lanes_equal_the_single_sponge() {
        for n in [1, 15, 16, 17, 40] {
            let input = |lane: usize| (0..n).map(|i| elem(1000 * lane + i)).collect::<Vec<_>>();
            let mut sponges = Sponges::new(1, 2, n);
            for b in 0..n.div_ceil(RATE) {
                sponges.absorb(&array::from_fn(|i| {
                    Packed::from_fn(|lane| {
                        input(lane).get(b * RATE + i).copied().unwrap_or_default()
                    })
                }));
            }
            for lane in 0..LANES {
                assert_eq!(sponges.digest(lane), sponge(1, 2, &input(lane)));
            }
        }
    }

    #[test]
    fn sponge_separates_domain_aux_length_and_trailing_zeros() {
        let input = [elem(5), elem(6)];
        let base = sponge(1, 0, &input);
        assert_ne!(base, sponge(2, 0, &input));
        assert_ne!(base, sponge(1, 1, &input));
        assert_ne!(base, sponge(1, 0, &[elem(5), elem(6), elem(0)]));
        assert_ne!(sponge(1, 0, &[]), sponge(1, 0, &[elem(0)]));
    }

    #[test]
    fn pairs_equal_single_compressions() {
        for n in [1, 2, 3, 31, 32, 33, 1100] {
            let nodes: Vec<_> = (0..n).map(|i| sponge(1, 0, &[elem(i)])).collect();
            let want: Vec<_> = nodes
                .chunks(2)
                .map(|c| compress(c[0], c.get(1).copied().unwrap_or_default()))
                .collect();
            assert_eq!(compress_pairs(&nodes), want);
        }
    }

    #[test]
    fn digest_bytes_are_canonical() {
        let digest = sponge(1, 0, &[elem(1)]);
        assert_eq!(Digest::from_bytes(&digest.to_bytes()), Some(digest));
        let mut bytes = digest.to_bytes();
        bytes[..4].copy_from_slice(&P.to_le_bytes());
        assert_eq!(Digest::from_bytes(&bytes), None);
    }
}
