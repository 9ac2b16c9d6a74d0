//! SHA-256 of many messages of one length at once: a message in each lane of vector registers.
//!
//! The processor decides when the program runs: sixteen lanes with AVX-512; one message after another
//! where it has instructions for SHA-256; eight lanes with AVX2; else one message after another.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::hashes::Hash;

/// Messages that are hashed together at most.
pub const MOST: usize = 16;

/// What hashes; only those that the processor has are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Sixteen,
    #[cfg(target_arch = "x86_64")]
    Eight,
    One,
}

impl Unit {
    /// Those of this processor, the best one first.
    pub fn all() -> Vec<Self> {
        let mut kinds = vec![Kind::One];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                // The crate uses SHA instructions where there are any: they beat eight lanes.
                kinds.insert(usize::from(is_x86_feature_detected!("sha")), Kind::Eight);
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                kinds.insert(0, Kind::Sixteen);
            }
        }
        kinds.into_iter().map(Self).collect()
    }

    pub fn best() -> Self {
        Self::all()[0]
    }
}

/// Room for messages of a byte and `length` words (little-endian), padded for SHA-256.
pub struct Messages {
    length: usize,
    /// Words from one message to the next: whole blocks.
    stride: usize,
    words: Vec<u32>,
}

impl Messages {
    pub fn new(length: usize) -> Self {
        // A byte before the words, one and the number of bits (8 bytes) behind.
        let stride = 16 * (1 + 4 * length + 9).div_ceil(64);
        let mut words = vec![0; MOST * stride];
        words.chunks_exact_mut(stride).for_each(|message| message[length] = 0x80);
        Self { length, stride, words }
    }

    /// The words of message `i`.
    pub fn message(&mut self, i: usize) -> &mut [u32] {
        &mut self.words[i * self.stride..i * self.stride + self.length]
    }

    /// Hashes the first messages, each behind this byte.
    pub fn hash(&self, unit: Unit, prefix: u8, out: &mut [Hash]) {
        match unit.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Sixteen => {
                let (whole, rest) = out.as_chunks_mut::<16>();
                for (group, out) in whole.iter_mut().enumerate() {
                    let words = &self.words[16 * group * self.stride..];
                    // SAFETY: there is such a unit only where the processor has these features.
                    unsafe { sixteen::hash(prefix, words, self.length, self.stride, out) };
                }
                self.hash_each(prefix, 16 * whole.len(), rest);
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Eight => {
                let (whole, rest) = out.as_chunks_mut::<8>();
                for (group, out) in whole.iter_mut().enumerate() {
                    let words = &self.words[8 * group * self.stride..];
                    // SAFETY: there is such a unit only where the processor has these features.
                    unsafe { eight::hash(prefix, words, self.length, self.stride, out) };
                }
                self.hash_each(prefix, 8 * whole.len(), rest);
            }
            Kind::One => self.hash_each(prefix, 0, out),
        }
    }

    fn hash_each(&self, prefix: u8, first: usize, out: &mut [Hash]) {
        for (i, out) in (first..).zip(out) {
            let words = &self.words[i * self.stride..i * self.stride + self.length];
            let mut bytes = vec![prefix];
            bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            *out = Sha256::digest(bytes).into();
        }
    }
}

/// The words of bytes.
pub fn words_of(bytes: &[u8], out: &mut [u32]) {
    let words = bytes.as_chunks::<4>().0.iter();
    out.iter_mut().zip(words).for_each(|(out, bytes)| *out = u32::from_le_bytes(*bytes));
}

/// The first witness in a range for which `low` bits of `SHA-256(SHA-256(state ‖ tag ‖ 8 ‖ witness) ‖
/// check)` may be zero and `good` says that it will do.
pub fn first_work(
    unit: Unit,
    state: &[u8; 32],
    [tag, check]: [u8; 2],
    tries: Range<u64>,
    low: usize,
    good: impl Fn(u64) -> bool,
) -> Option<u64> {
    let mask = (1u64 << low.min(32)) as u32;
    let mask = mask.wrapping_sub(1);
    let in_lanes = |words: &[u32], first: u64| {
        let hit = |(i, word): (u64, &u32)| (word & mask == 0).then_some(first + i);
        (0..).zip(words).filter_map(hit).find(|&witness| tries.contains(&witness) && good(witness))
    };
    match unit.0 {
        #[cfg(target_arch = "x86_64")]
        Kind::Sixteen => tries.clone().step_by(16).find_map(|first| {
            // SAFETY: there is such a unit only where the processor has these features.
            in_lanes(&unsafe { sixteen::work(state, tag, check, first) }, first)
        }),
        #[cfg(target_arch = "x86_64")]
        Kind::Eight => tries.clone().step_by(8).find_map(|first| {
            // SAFETY: there is such a unit only where the processor has these features.
            in_lanes(&unsafe { eight::work(state, tag, check, first) }, first)
        }),
        Kind::One => tries.clone().find(|&witness| good(witness)),
    }
}

#[rustfmt::skip]
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];
#[rustfmt::skip]
const START: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// Where the eight words stand in a round. A constant in each: the state stays in registers.
#[cfg(target_arch = "x86_64")]
const fn places(round: usize) -> [usize; 8] {
    let mut places = [0; 8];
    let mut k = 0;
    while k < 8 {
        places[k] = (k + 8 - round % 8) % 8;
        k += 1;
    }
    places
}

/// What is the same for any number of lanes, in terms of the vector operations of the module around it.
#[cfg(target_arch = "x86_64")]
macro_rules! sha256 {
    ($features:literal) => {
        /// FIPS 180-4 section 6.2.2.
        #[inline]
        #[target_feature(enable = $features)]
        fn compress(state: &mut [V; 8], block: &[V; 16]) {
            let (mut w, mut s) = (*block, *state);
            for base in [0, 16, 32, 48] {
                round::<0>(base, &mut w, &mut s);
                round::<1>(base, &mut w, &mut s);
                round::<2>(base, &mut w, &mut s);
                round::<3>(base, &mut w, &mut s);
                round::<4>(base, &mut w, &mut s);
                round::<5>(base, &mut w, &mut s);
                round::<6>(base, &mut w, &mut s);
                round::<7>(base, &mut w, &mut s);
                round::<8>(base, &mut w, &mut s);
                round::<9>(base, &mut w, &mut s);
                round::<10>(base, &mut w, &mut s);
                round::<11>(base, &mut w, &mut s);
                round::<12>(base, &mut w, &mut s);
                round::<13>(base, &mut w, &mut s);
                round::<14>(base, &mut w, &mut s);
                round::<15>(base, &mut w, &mut s);
            }
            for (state, x) in state.iter_mut().zip(s) {
                *state = add(*state, x);
            }
        }

        /// Round `base + I`. Instead of moving all eight words by one, each round begins one earlier.
        #[inline]
        #[target_feature(enable = $features)]
        fn round<const I: usize>(base: usize, w: &mut [V; 16], s: &mut [V; 8]) {
            if base > 0 {
                let (x, y) = (w[(I + 1) % 16], w[(I + 14) % 16]);
                let x = xor3(rotate::<7>(x), rotate::<18>(x), right::<3>(x));
                let y = xor3(rotate::<17>(y), rotate::<19>(y), right::<10>(y));
                w[I] = add(add(w[I], x), add(w[(I + 9) % 16], y));
            }
            let [a, b, c, d, e, f, g, h] = const { super::places(I) };
            let sum = xor3(rotate::<6>(s[e]), rotate::<11>(s[e]), rotate::<25>(s[e]));
            let key = add(w[I], splat(ROUNDS[base + I]));
            let t = add(add(s[h], key), add(sum, choose(s[e], s[f], s[g])));
            let sum = xor3(rotate::<2>(s[a]), rotate::<13>(s[a]), rotate::<22>(s[a]));
            let u = add(sum, majority(s[a], s[b], s[c]));
            s[d] = add(s[d], t);
            s[h] = add(t, u);
        }

        /// Hashes a message in each lane: a byte, `length` words; `stride` words from one to the next.
        #[target_feature(enable = $features)]
        pub fn hash(
            prefix: u8,
            words: &[u32],
            length: usize,
            stride: usize,
            out: &mut [Hash; LANES],
        ) {
            let mut state = START.map(|word| splat(word));
            // The byte moves every word by three bytes: the last byte of each begins the next one.
            let mut before = splat(u32::from(prefix));
            for start in (0..stride).step_by(16) {
                let mut block = [splat(0); 16];
                for (part, block) in block.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                    for (lane, row) in block.iter_mut().enumerate() {
                        let at = lane * stride + start + part * LANES;
                        *row = swap(load(&words[at..at + LANES]));
                    }
                    transpose(block);
                }
                for word in &mut block {
                    (*word, before) = (or(left::<24>(before), right::<8>(*word)), *word);
                }
                if start + 16 == stride {
                    block[15] = or(block[15], splat(8 * (1 + 4 * length as u32)));
                }
                compress(&mut state, &block);
            }
            let mut rows = [splat(0); LANES];
            rows.iter_mut().zip(state).for_each(|(row, word)| *row = swap(word));
            transpose(&mut rows);
            for (out, row) in out.iter_mut().zip(rows) {
                let bytes = out.as_chunks_mut::<4>().0.iter_mut();
                bytes.zip(store(row)).for_each(|(out, word)| *out = word.to_le_bytes());
            }
        }

        /// The first word, little-endian, of the work of each witness from `first` on.
        #[target_feature(enable = $features)]
        pub fn work(state: &[u8; 32], tag: u8, check: u8, first: u64) -> [u32; LANES] {
            let mut words = [[0u32; LANES]; 3];
            for lane in 0..LANES {
                let witness = first.wrapping_add(lane as u64).swap_bytes();
                words[0][lane] = (witness >> 40) as u32;
                words[1][lane] = (witness >> 8) as u32;
                words[2][lane] = (witness as u32) << 24 | 0x0080_0000;
            }
            let mut block = [splat(0); 16];
            for (word, bytes) in block.iter_mut().zip(state.as_chunks::<4>().0) {
                *word = splat(u32::from_be_bytes(*bytes));
            }
            // The tag, 8 as a little-endian word of 8 bytes, the witness.
            block[8] = splat(u32::from(tag) << 24 | 8 << 16);
            block[10] = load(&words[0]);
            block[11] = load(&words[1]);
            block[12] = load(&words[2]);
            block[15] = splat(8 * 49);
            let mut hash = START.map(|word| splat(word));
            compress(&mut hash, &block);
            let mut block = [splat(0); 16];
            block[..8].copy_from_slice(&hash);
            block[8] = splat(u32::from(check) << 24 | 0x0080_0000);
            block[15] = splat(8 * 33);
            let mut hash = START.map(|word| splat(word));
            compress(&mut hash, &block);
            store(swap(hash[0]))
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod sixteen;

#[cfg(target_arch = "x86_64")]
mod eight;

#[cfg(test)]
mod tests;
