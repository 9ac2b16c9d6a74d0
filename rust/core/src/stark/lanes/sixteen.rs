//! Sixteen lanes with AVX-512.

use core::arch::x86_64::*;

use super::{Hash, ROUNDS, START};

pub const LANES: usize = 16;
type V = __m512i;

macro_rules! operations {
    ($($name:ident($($x:ident),*) = $value:expr;)*) => {$(
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw")]
        fn $name($($x: V),*) -> V {
            $value
        }
    )*};
}

macro_rules! shifts {
    ($($name:ident = $instruction:ident, $kind:ty;)*) => {$(
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw")]
        fn $name<const N: $kind>(x: V) -> V {
            $instruction::<N>(x)
        }
    )*};
}

operations! {
    add(x, y) = _mm512_add_epi32(x, y);
    or(x, y) = _mm512_or_si512(x, y);
    xor3(x, y, z) = _mm512_ternarylogic_epi32::<0x96>(x, y, z);
    choose(x, y, z) = _mm512_ternarylogic_epi32::<0xca>(x, y, z);
    majority(x, y, z) = _mm512_ternarylogic_epi32::<0xe8>(x, y, z);
    swap(x) = _mm512_shuffle_epi8(
        x,
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3)),
    );
}

shifts! {
    left = _mm512_slli_epi32, u32;
    right = _mm512_srli_epi32, u32;
    rotate = _mm512_ror_epi32, i32;
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn splat(word: u32) -> V {
    _mm512_set1_epi32(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(words: &[u32]) -> V {
    let words: &[u32; LANES] = words.try_into().expect("a word for each lane");
    // SAFETY: as many bytes are read as the array has; no alignment is asked for.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(x: V) -> [u32; LANES] {
    let mut words = [0; LANES];
    // SAFETY: as many bytes are written as the array has; no alignment is asked for.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), x) };
    words
}

/// Swaps rows and lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(rows: &mut [V; LANES]) {
    let (mut t, mut u) = (*rows, *rows);
    for i in 0..8 {
        t[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    for i in 0..4 {
        u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for i in 0..4 {
        t[i] = _mm512_shuffle_i32x4::<0x88>(u[i], u[4 + i]);
        t[4 + i] = _mm512_shuffle_i32x4::<0xdd>(u[i], u[4 + i]);
        t[8 + i] = _mm512_shuffle_i32x4::<0x88>(u[8 + i], u[12 + i]);
        t[12 + i] = _mm512_shuffle_i32x4::<0xdd>(u[8 + i], u[12 + i]);
    }
    for i in 0..8 {
        rows[i] = _mm512_shuffle_i32x4::<0x88>(t[i], t[8 + i]);
        rows[8 + i] = _mm512_shuffle_i32x4::<0xdd>(t[i], t[8 + i]);
    }
}

sha256!("avx512f,avx512bw");
