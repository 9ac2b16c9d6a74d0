//! Keys: salts of leaves, class keys, prf tensors.

use std::array;

use p3_field::{PackedValue, PrimeCharacteristicRing, PrimeField32};

use super::domain;
use super::poseidon::{
    Digest, Elem, LANES, P, Packed, canonical_elements, elem, keyed, keyed_packed, sponge,
};

/// Five elements that hide a leaf.
pub type Salt = [Elem; 5];

/// Leaves that share one keyed call.
pub const SALTS_PER_CALL: usize = 3;
/// Elements of a prf tensor that share one keyed call.
pub const PRF_PER_CALL: usize = 16;

/// Classes of `Key::class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Inputs = 0,
    Values = 1,
    States = 2,
}

/// Eight uniform field elements; the zero key is that of a public model.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Key([Elem; 8]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// The key of these 8 little-endian words; `None` unless each is below `P`.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Some(Self(canonical_elements(bytes)?))
    }

    /// The key whose elements are those of a digest.
    pub fn from_digest(digest: Digest) -> Self {
        Self(digest.0)
    }

    pub fn to_bytes(self) -> [u8; 32] {
        Digest(self.0).to_bytes()
    }

    /// The key of a class of salts.
    pub fn class(&self, class: Class) -> Self {
        let y = keyed(self.input(domain::KEY, [class as usize, 0, 0]));
        Self(array::from_fn(|i| y[i]))
    }

    /// The salt of a leaf of a tensor at a position.
    pub fn salt(&self, position: usize, tensor: usize, leaf: usize) -> Salt {
        let y = keyed(self.input(domain::SALT, [position, tensor, leaf / SALTS_PER_CALL]));
        array::from_fn(|i| y[5 * (leaf % SALTS_PER_CALL) + i])
    }

    /// The salts of any leaves of a tensor at a position.
    pub fn salts(&self, position: usize, tensor: usize, leaves: &[usize]) -> Vec<Salt> {
        let mut salts = Vec::with_capacity(leaves.len());
        for some in leaves.chunks(LANES) {
            let mut x = self.input(domain::SALT, [position, tensor, 0]).map(Packed::from);
            let group = |lane: usize| some.get(lane).map_or(0, |leaf| leaf / SALTS_PER_CALL);
            x[11] = Packed::from_fn(|lane| elem(group(lane)));
            let y = keyed_packed(x);
            salts.extend(some.iter().enumerate().map(|(lane, leaf)| {
                array::from_fn(|i| y[5 * (leaf % SALTS_PER_CALL) + i].as_slice()[lane])
            }));
        }
        salts
    }

    /// Appends the salts of `3·LANES` leaves from `first`, a multiple of three.
    pub fn extend_salts(
        &self,
        position: usize,
        tensor: usize,
        first: usize,
        salts: &mut Vec<Salt>,
    ) {
        debug_assert_eq!(first % SALTS_PER_CALL, 0);
        let group = first / SALTS_PER_CALL;
        let mut x = self.input(domain::SALT, [position, tensor, 0]).map(Packed::from);
        x[11] = Packed::from_fn(|lane| elem(group + lane));
        let y = keyed_packed(x);
        for lane in 0..LANES {
            for part in 0..SALTS_PER_CALL {
                salts.push(array::from_fn(|i| y[5 * part + i].as_slice()[lane]));
            }
        }
    }

    /// Sixteen consecutive words of a prf domain in a step, each below `P`.
    pub fn prf_block(&self, step: usize, domain: u32, block: usize) -> [u32; PRF_PER_CALL] {
        let mut x = self.input(domain::PRF, [step, 0, block]);
        x[10] = Elem::from_u32(domain);
        keyed(x).map(|e| e.as_canonical_u32())
    }

    /// Fills `out` with what `value` makes of the words of a prf domain in a step, from a block on.
    pub fn prf_words<T: Copy>(
        &self,
        step: usize,
        domain: u32,
        first_block: usize,
        out: &mut [T],
        value: impl Fn(u32) -> T,
    ) {
        let mut x = self.input(domain::PRF, [step, 0, 0]).map(Packed::from);
        x[10] = Packed::from(Elem::from_u32(domain));
        for (call, out) in out.chunks_mut(PRF_PER_CALL * LANES).enumerate() {
            let block = first_block + call * LANES;
            x[11] = Packed::from_fn(|lane| elem(block + lane));
            let y = keyed_packed(x);
            for (lane, out) in out.chunks_mut(PRF_PER_CALL).enumerate() {
                let word = |i: usize| y[i].as_slice()[lane].as_canonical_u32();
                out.iter_mut().enumerate().for_each(|(i, out)| *out = value(word(i)));
            }
        }
    }

    /// The commitment to a prf seed.
    pub fn commitment(&self) -> Digest {
        sponge(domain::SEED, 0, &self.0)
    }

    fn input(&self, domain: u32, numbers: [usize; 3]) -> [Elem; 16] {
        let mut x = [Elem::ZERO; 16];
        x[..8].copy_from_slice(&self.0);
        x[8] = Elem::new(domain);
        for (x, number) in x[9..12].iter_mut().zip(numbers) {
            *x = elem(number);
        }
        x
    }
}

/// The 20 bytes of a salt: little-endian words below `P`.
pub fn salt_bytes(salt: &Salt) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (out, element) in bytes.chunks_exact_mut(4).zip(salt) {
        out.copy_from_slice(&element.as_canonical_u32().to_le_bytes());
    }
    bytes
}

/// The value that a prf word stands for.
pub fn prf_value(word: u32, lo: i32, bits: u32) -> i32 {
    debug_assert!(word < P && bits <= 24);
    lo + (word & ((1 << bits) - 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes(&array::from_fn(|i| if i % 4 == 3 { 0 } else { i as u8 + 1 })).unwrap()
    }

    #[test]
    fn salts_in_bulk_equal_single_salts() {
        let mut salts = Vec::new();
        key().extend_salts(7, 3, 6, &mut salts);
        assert_eq!(salts.len(), 3 * LANES);
        for (i, salt) in salts.iter().enumerate() {
            assert_eq!(*salt, key().salt(7, 3, 6 + i));
        }
        let leaves: Vec<usize> = (0..2 * LANES + 3).map(|i| i * i).collect();
        let single = leaves.iter().map(|&leaf| key().salt(7, 3, leaf));
        assert!(single.eq(key().salts(7, 3, &leaves)));
    }

    #[test]
    fn salts_differ_by_key_position_tensor_and_leaf() {
        let salts = [
            key().salt(0, 0, 0),
            key().class(Class::Inputs).salt(0, 0, 0),
            key().class(Class::Values).salt(0, 0, 0),
            key().salt(1, 0, 0),
            key().salt(0, 1, 0),
            key().salt(0, 0, 1),
            key().salt(0, 0, 3),
        ];
        for (i, a) in salts.iter().enumerate() {
            assert!(salts[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn prf_tensor_has_its_range_and_depends_on_step_and_domain() {
        let tensor = |step, domain, size| {
            let mut values = vec![0; size];
            key().prf_words(step, domain, 0, &mut values, |word| prf_value(word, -8, 4));
            values
        };
        let values = tensor(2, 9, 2000);
        assert!(values.iter().all(|v| (-8..8).contains(v)));
        assert_eq!(values[..5], tensor(2, 9, 5));
        assert_ne!(values, tensor(3, 9, 2000));
        assert_ne!(values, tensor(2, 10, 2000));
        for (i, &value) in values.iter().enumerate() {
            assert_eq!(value, prf_value(key().prf_block(2, 9, i / 16)[i % 16], -8, 4));
        }
        let mut later = [0; 40];
        key().prf_words(2, 9, 7, &mut later, |word| prf_value(word, -8, 4));
        assert_eq!(later, values[7 * 16..7 * 16 + 40]);
    }

    #[test]
    fn keys_are_canonical() {
        assert_eq!(Key::from_bytes(&[0xff; 32]), None);
        assert_eq!(Key::from_bytes(&key().to_bytes()), Some(key()));
    }
}
