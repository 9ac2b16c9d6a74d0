//! Eight lanes with AVX2.

use core::arch::x86_64::*;

use super::{Hash, ROUNDS, START};

pub const LANES: usize = 8;
type V = __m256i;

macro_rules! operations {
    ($($name:ident($($x:ident),*) = $value:expr;)*) => {$(
        #[inline]
        #[target_feature(enable = "avx2")]
        fn $name($($x: V),*) -> V {
            $value
        }
    )*};
}

operations! {
    add(x, y) = _mm256_add_epi32(x, y);
    or(x, y) = _mm256_or_si256(x, y);
    xor3(x, y, z) = _mm256_xor_si256(_mm256_xor_si256(x, y), z);
    choose(x, y, z) = _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)));
    majority(x, y, z) =
        _mm256_or_si256(_mm256_and_si256(x, y), _mm256_and_si256(z, _mm256_or_si256(x, y)));
    swap(x) = _mm256_shuffle_epi8(
        x,
        _mm256_broadcastsi128_si256(
            _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3),
        ),
    );
}

#[inline]
#[target_feature(enable = "avx2")]
fn left<const N: i32>(x: V) -> V {
    _mm256_slli_epi32::<N>(x)
}

#[inline]
#[target_feature(enable = "avx2")]
fn right<const N: i32>(x: V) -> V {
    _mm256_srli_epi32::<N>(x)
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotate<const N: i32>(x: V) -> V {
    or(_mm256_srli_epi32::<N>(x), _mm256_sll_epi32(x, _mm_cvtsi32_si128(32 - N)))
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u32) -> V {
    _mm256_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u32]) -> V {
    let words: &[u32; LANES] = words.try_into().expect("a word for each lane");
    // SAFETY: as many bytes are read as the array has; no alignment is asked for.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(x: V) -> [u32; LANES] {
    let mut words = [0; LANES];
    // SAFETY: as many bytes are written as the array has; no alignment is asked for.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), x) };
    words
}

/// Swaps rows and lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose(rows: &mut [V; LANES]) {
    let (mut t, mut u) = (*rows, *rows);
    for i in 0..4 {
        t[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    for i in 0..2 {
        u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for i in 0..4 {
        rows[i] = _mm256_permute2x128_si256::<0x20>(u[i], u[4 + i]);
        rows[4 + i] = _mm256_permute2x128_si256::<0x31>(u[i], u[4 + i]);
    }
}

sha256!("avx2");
