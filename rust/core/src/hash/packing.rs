//! Packing: values as field elements, three bytes each (section 4), and the hashes of leaves.

use std::array;
use std::ops::Range;

use p3_field::PackedValue;

use super::domain;
use super::keys::Salt;
use super::poseidon::{Digest, Elem, LANES, P, Packed, RATE, Sponges};

/// Bytes that a sponge takes in per permutation.
const BLOCK_BYTES: usize = 3 * RATE;
const SALT_LEN: usize = 5;

/// Borrowed values of a tensor, stored at the smallest machine integer that holds its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ints<'a> {
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
}

impl Ints<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::I8(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::I32(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of a packed value.
    pub fn width(&self) -> usize {
        match self {
            Self::I8(_) => 1,
            Self::I16(_) => 2,
            Self::I32(_) => 3,
        }
    }

    pub fn get(&self, i: usize) -> i32 {
        match self {
            Self::I8(v) => v[i].into(),
            Self::I16(v) => v[i].into(),
            Self::I32(v) => v[i],
        }
    }

    /// Smallest and largest value; `None` of no values.
    pub fn range(&self) -> Option<(i32, i32)> {
        fn ends<T: Copy + Ord + Into<i32>>(v: &[T]) -> Option<(i32, i32)> {
            Some(((*v.iter().min()?).into(), (*v.iter().max()?).into()))
        }
        match self {
            Self::I8(v) => ends(v),
            Self::I16(v) => ends(v),
            Self::I32(v) => ends(v),
        }
    }

    /// Appends the packed bytes of a run of values.
    pub fn extend_packed(&self, run: Range<usize>, bytes: &mut Vec<u8>) {
        match self {
            Self::I8(v) => bytes.extend(v[run].iter().map(|&x| x.packed()[0])),
            Self::I16(v) => bytes.extend(v[run].iter().flat_map(|&x| x.packed())),
            Self::I32(v) => bytes.extend(v[run].iter().flat_map(|&x| x.packed())),
        }
    }
}

/// The value of `w` packed bytes.
pub fn unpack(bytes: &[u8]) -> i32 {
    let raw = bytes.iter().rev().fold(0i32, |sum, &byte| sum << 8 | i32::from(byte));
    raw - (1 << (8 * bytes.len() - 1))
}

/// What a leaf is made of: integers of one width, or bytes that are packed already.
pub trait Packable: Copy + Default + Send + Sync {
    const WIDTH: usize;
    type Bytes: IntoIterator<Item = u8>;

    fn packed(self) -> Self::Bytes;
    /// The 16 elements of at most `BLOCK_BYTES / WIDTH` values, filled with zeros.
    fn block(values: &[Self]) -> [u32; RATE];
}

impl Packable for u8 {
    const WIDTH: usize = 1;
    type Bytes = [u8; 1];

    fn packed(self) -> [u8; 1] {
        [self]
    }

    fn block(values: &[Self]) -> [u32; RATE] {
        elements(filled(values, |byte| byte))
    }
}

impl Packable for i8 {
    const WIDTH: usize = 1;
    type Bytes = [u8; 1];

    fn packed(self) -> [u8; 1] {
        [self as u8 ^ 0x80]
    }

    fn block(values: &[Self]) -> [u32; RATE] {
        elements(filled(values, |value| value as u8 ^ 0x80))
    }
}

impl Packable for i16 {
    const WIDTH: usize = 2;
    type Bytes = [u8; 2];

    fn packed(self) -> [u8; 2] {
        (self as u16 ^ 0x8000).to_le_bytes()
    }

    fn block(values: &[Self]) -> [u32; RATE] {
        let words: [[u8; 2]; BLOCK_BYTES / 2] = filled(values, Self::packed);
        elements(array::from_fn(|i| words[i / 2][i % 2]))
    }
}

impl Packable for i32 {
    const WIDTH: usize = 3;
    type Bytes = [u8; 3];

    fn packed(self) -> [u8; 3] {
        let [a, b, c, _] = (self + (1 << 23)).to_le_bytes();
        [a, b, c]
    }

    fn block(values: &[Self]) -> [u32; RATE] {
        filled(values, |value| ((value + (1 << 23)) & 0xff_ffff) as u32)
    }
}

/// The first `N` values converted; zeros for what is missing.
#[inline(always)]
fn filled<T: Copy, U: Copy + Default, const N: usize>(
    values: &[T],
    convert: impl Fn(T) -> U,
) -> [U; N] {
    if let Some(full) = values.first_chunk::<N>() {
        return full.map(convert);
    }
    array::from_fn(|i| values.get(i).map_or_else(U::default, |&value| convert(value)))
}

#[inline(always)]
fn elements(bytes: [u8; BLOCK_BYTES]) -> [u32; RATE] {
    let mut out = [0; RATE];
    for (out, group) in out.iter_mut().zip(bytes.as_chunks::<3>().0) {
        *out = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    }
    out
}

/// `2^32`: what a word is divided by when it is taken for the Montgomery form of an element.
const MONTGOMERY: Elem = Elem::new(u32::MAX % P + 1);

/// Words below `P` as elements. The conversion of the field library divides; hashing a row of 192
/// bytes takes 1.5 times as long with it.
#[inline(always)]
pub(crate) fn packed(words: [u32; LANES]) -> Packed {
    const { assert!(size_of::<Elem>() == size_of::<u32>()) };
    debug_assert!(words.iter().all(|&word| word < P));
    // SAFETY: `MontyField31` is `repr(transparent)` over `u32`, and any word below `P` is a valid
    // Montgomery form.
    let elements = unsafe { std::mem::transmute::<[u32; LANES], [Elem; LANES]>(words) };
    Packed::from_fn(|lane| elements[lane]) * MONTGOMERY
}

/// The digests of `LANES` leaves of equal length.
pub fn hash_leaves<T: Packable>(leaves: &[&[T]; LANES], salts: &[Salt; LANES]) -> Sponges {
    let count = (leaves[0].len() * T::WIDTH).div_ceil(3);
    let total = count + SALT_LEN;
    let per_block = BLOCK_BYTES / T::WIDTH;
    let mut sponges = Sponges::new(domain::LEAF, 0, total);
    for b in 0..total.div_ceil(RATE) {
        let rows: [[u32; RATE]; LANES] =
            array::from_fn(|lane| T::block(leaves[lane].get(b * per_block..).unwrap_or_default()));
        let mut block: [Packed; RATE] =
            array::from_fn(|e| packed(array::from_fn(|lane| rows[lane][e])));
        for e in count.max(b * RATE)..total.min((b + 1) * RATE) {
            block[e % RATE] = Packed::from_fn(|lane| salts[lane][e - count]);
        }
        sponges.absorb(&block);
    }
    sponges
}

/// The digests of leaves of any lengths, given with their salts; leaves of one length together.
pub fn hash_all<T: Packable>(leaves: &[(&[T], Salt)], digests: &mut [Digest]) {
    let mut by_length: Vec<usize> = (0..leaves.len()).collect();
    by_length.sort_by_key(|&i| leaves[i].0.len());
    for run in by_length.chunk_by(|&i, &j| leaves[i].0.len() == leaves[j].0.len()) {
        for lanes in run.chunks(LANES) {
            let pick = |lane: usize| leaves[lanes[lane.min(lanes.len() - 1)]];
            let sponges =
                hash_leaves(&array::from_fn(|l| pick(l).0), &array::from_fn(|l| pick(l).1));
            for (lane, &i) in lanes.iter().enumerate() {
                digests[i] = sponges.digest(lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::poseidon::{pack_bytes, sponge};
    use super::*;
    use proptest::prelude::*;

    fn check<T: Packable>(leaves: &[Vec<T>]) {
        let salt = |i: usize| -> Salt { array::from_fn(|k| Elem::new((10 * i + k) as u32)) };
        let input: Vec<_> = leaves.iter().enumerate().map(|(i, v)| (&v[..], salt(i))).collect();
        let mut digests = vec![Digest::default(); leaves.len()];
        hash_all(&input, &mut digests);
        for (i, values) in leaves.iter().enumerate() {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.packed()).collect();
            let mut elements = pack_bytes(&bytes);
            elements.extend(salt(i));
            assert_eq!(digests[i], sponge(domain::LEAF, 0, &elements));
        }
    }

    proptest! {
        #[test]
        fn leaf_hashes_follow_the_definition(
            bytes in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..130), 1..40)
        ) {
            check(&bytes);
            check(&bytes.iter().map(|v| v.iter().map(|&b| b as i8).collect()).collect::<Vec<_>>());
            let short = |b: &u8| i16::from(*b).wrapping_mul(521);
            check(&bytes.iter().map(|v| v.iter().map(short).collect()).collect::<Vec<_>>());
            let long = |b: &u8| (i32::from(*b) - 128) * 65_521;
            check(&bytes.iter().map(|v| v.iter().map(long).collect()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn packing_is_offset_binary() {
        assert_eq!((-128i8).packed(), [0]);
        assert_eq!((-32768i16).packed(), [0, 0]);
        assert_eq!((-8_388_608i32).packed(), [0, 0, 0]);
        assert_eq!(1i32.packed(), [1, 0, 0x80]);
        for value in [-8_388_608, -1, 0, 1, 8_388_607] {
            let bytes: [u8; 3] = value.packed();
            assert_eq!(unpack(&bytes), value);
        }
    }
}
