//! Matrix products of 16-bit integers with sums in 32 bits, two positions of the window at a time.
//!
//! A *pair* holds two neighbouring window positions of one row or column as the halves of an i32: what
//! the multiply-add instructions of vector units take. Rows stand in tiles of [`ROWS`], columns in panels
//! of [`COLS`]; both are ordered `[tile][pair][row or column]`, so that a kernel reads them from end to end.
//!
//! Sums wrap, so the order in which they are taken does not matter: where the derived bound of the whole
//! sum fits an i32, the result is that sum. All kernels give the same integers; which one runs is asked of
//! the processor.

/// Rows of a tile and columns of a panel: their sums fit the registers of every kernel.
pub(super) const ROWS: usize = 6;
pub(super) const COLS: usize = 32;

/// Two window positions as one operand.
pub(super) fn pair(first: i16, second: i16) -> i32 {
    i32::from(first) & 0xffff | i32::from(second) << 16
}

/// Tiles or panels in memory: their pairs, and the distance from one to the next.
pub(super) struct Tiles<'a> {
    pub pairs: &'a [i32],
    pub stride: usize,
}

impl Tiles<'_> {
    fn get(&self, number: usize, len: usize) -> &[i32] {
        &self.pairs[number * self.stride..][..len]
    }
}

/// `out[r][c] += Σ_k rows[r][k]·cols[k][c]`, `out` row-major with rows `ld` apart.
///
/// `rows` has `r` rows in whole tiles, `cols` has `c` columns in whole panels, of `pairs` pairs each.
///
/// # Panics
/// If a slice is too short.
pub(super) fn add_products(
    rows: &Tiles<'_>,
    cols: &Tiles<'_>,
    extents: (usize, usize, usize),
    out: &mut [i32],
    ld: usize,
) {
    add_by(kernel(), rows, cols, extents, out, ld);
}

/// [`add_products`] with a kernel of the caller's.
fn add_by(
    kernel: Kernel,
    rows: &Tiles<'_>,
    cols: &Tiles<'_>,
    (r, c, pairs): (usize, usize, usize),
    out: &mut [i32],
    ld: usize,
) {
    let mut sums = [0; ROWS * COLS];
    for first_col in (0..c).step_by(COLS) {
        let panel = cols.get(first_col / COLS, COLS * pairs);
        let width = COLS.min(c - first_col);
        for first_row in (0..r).step_by(ROWS) {
            kernel(rows.get(first_row / ROWS, ROWS * pairs), panel, &mut sums);
            for (row, sums) in (first_row..r).zip(sums.chunks_exact(COLS)) {
                let out = &mut out[row * ld + first_col..][..width];
                out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = out.wrapping_add(sum));
            }
        }
    }
}

/// The products of a tile with a panel, of equally many pairs.
type Kernel = fn(&[i32], &[i32], &mut [i32; ROWS * COLS]);

#[cfg(target_arch = "x86_64")]
fn kernel() -> Kernel {
    if x86::has_avx512_vnni() {
        x86::avx512_vnni
    } else if is_x86_feature_detected!("avx2") {
        x86::avx2
    } else {
        portable
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn kernel() -> Kernel {
    portable
}

/// The kernel that every processor has, and what the others are compared with.
fn portable(tile: &[i32], panel: &[i32], sums: &mut [i32; ROWS * COLS]) {
    sums.fill(0);
    let halves = |pair: i32| (i32::from(pair as i16), pair >> 16);
    for (rows, cols) in tile.chunks_exact(ROWS).zip(panel.chunks_exact(COLS)) {
        for (&row, sums) in rows.iter().zip(sums.chunks_exact_mut(COLS)) {
            let (a, b) = halves(row);
            for (sum, &col) in sums.iter_mut().zip(cols) {
                let (x, y) = halves(col);
                *sum = sum.wrapping_add(a.wrapping_mul(x)).wrapping_add(b.wrapping_mul(y));
            }
        }
    }
}

/// Kernels in vector instructions, each behind a safe function that checks what it needs.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{COLS, ROWS};

    pub fn avx2(tile: &[i32], panel: &[i32], sums: &mut [i32; ROWS * COLS]) {
        assert!(is_x86_feature_detected!("avx2") && fit(tile, panel));
        // SAFETY: the processor has AVX2, and the panel as many pairs as the tile, as asserted.
        unsafe { with_avx2(tile, panel, sums) }
    }

    pub fn avx512_vnni(tile: &[i32], panel: &[i32], sums: &mut [i32; ROWS * COLS]) {
        assert!(has_avx512_vnni() && fit(tile, panel));
        // SAFETY: the processor has AVX-512 BW and VNNI, the panel as many pairs as the tile.
        unsafe { with_avx512_vnni(tile, panel, sums) }
    }

    /// Whether the processor has what [`avx512_vnni`] takes.
    pub fn has_avx512_vnni() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni")
    }

    /// Whether both have whole pairs, and equally many.
    fn fit(tile: &[i32], panel: &[i32]) -> bool {
        tile.len().is_multiple_of(ROWS)
            && panel.len().is_multiple_of(COLS)
            && tile.len() / ROWS == panel.len() / COLS
    }

    /// Two halves of a panel, one after the other: twelve registers of sums, two of columns, one of a row.
    ///
    /// # Safety
    /// The processor has AVX2, and the panel as many pairs as the tile.
    #[target_feature(enable = "avx2")]
    unsafe fn with_avx2(tile: &[i32], panel: &[i32], sums: &mut [i32; ROWS * COLS]) {
        const LANES: usize = 8;
        for half in 0..2 {
            let mut acc = [[_mm256_setzero_si256(); 2]; ROWS];
            for n in 0..tile.len() / ROWS {
                // SAFETY: `n` is below the number of pairs, so `COLS` columns and `ROWS` rows follow.
                let (rows, cols) = unsafe {
                    (tile.as_ptr().add(n * ROWS), panel.as_ptr().add(n * COLS + half * 2 * LANES))
                };
                // SAFETY: unaligned loads of 16 of those columns.
                let cols = unsafe {
                    [_mm256_loadu_si256(cols.cast()), _mm256_loadu_si256(cols.add(LANES).cast())]
                };
                for (r, acc) in acc.iter_mut().enumerate() {
                    // SAFETY: `r` is one of those rows.
                    let row = _mm256_set1_epi32(unsafe { *rows.add(r) });
                    acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(row, cols[0]));
                    acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(row, cols[1]));
                }
            }
            for (acc, out) in acc.iter().zip(sums.chunks_exact_mut(COLS)) {
                for (acc, out) in acc.iter().zip(out[half * 2 * LANES..].chunks_exact_mut(LANES)) {
                    // SAFETY: `out` has room for the eight lanes.
                    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), *acc) };
                }
            }
        }
    }

    /// A whole panel: twelve registers of sums, and an instruction that adds both products of a pair.
    ///
    /// # Safety
    /// The processor has AVX-512 BW and VNNI, and the panel as many pairs as the tile.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn with_avx512_vnni(tile: &[i32], panel: &[i32], sums: &mut [i32; ROWS * COLS]) {
        const LANES: usize = 16;
        let mut acc = [[_mm512_setzero_si512(); 2]; ROWS];
        for n in 0..tile.len() / ROWS {
            // SAFETY: `n` is below the number of pairs, so `COLS` columns and `ROWS` rows follow.
            let (rows, cols) =
                unsafe { (tile.as_ptr().add(n * ROWS), panel.as_ptr().add(n * COLS)) };
            // SAFETY: unaligned loads of those columns.
            let cols = unsafe {
                [_mm512_loadu_si512(cols.cast()), _mm512_loadu_si512(cols.add(LANES).cast())]
            };
            for (r, acc) in acc.iter_mut().enumerate() {
                // SAFETY: `r` is one of those rows.
                let row = _mm512_set1_epi32(unsafe { *rows.add(r) });
                acc[0] = _mm512_dpwssd_epi32(acc[0], row, cols[0]);
                acc[1] = _mm512_dpwssd_epi32(acc[1], row, cols[1]);
            }
        }
        for (acc, out) in acc.iter().zip(sums.chunks_exact_mut(COLS)) {
            for (acc, out) in acc.iter().zip(out.chunks_exact_mut(LANES)) {
                // SAFETY: `out` has room for the sixteen lanes.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), *acc) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of 16 bits with many extremes.
    fn numbers(seed: u64, count: usize) -> Vec<i16> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u32
        };
        (0..count)
            .map(|_| match next() % 8 {
                0 => i16::MIN,
                1 => i16::MAX,
                _ => next() as i16,
            })
            .collect()
    }

    /// `[tile][pair][row]` of a matrix `[rows][k]`.
    fn packed(values: &[i16], rows: usize, k: usize, tile: usize) -> Vec<i32> {
        let pairs = k.div_ceil(2);
        let mut out = vec![0; rows.next_multiple_of(tile) * pairs];
        for (r, row) in values.chunks(k.max(1)).enumerate() {
            for (n, two) in row.chunks(2).enumerate() {
                out[(r / tile * pairs + n) * tile + r % tile] =
                    pair(two[0], *two.get(1).unwrap_or(&0));
            }
        }
        out
    }

    /// Those that this processor has.
    fn kernels() -> Vec<Kernel> {
        let mut kernels: Vec<Kernel> = vec![portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                kernels.push(x86::avx2);
            }
            if x86::has_avx512_vnni() {
                kernels.push(x86::avx512_vnni);
            }
        }
        kernels
    }

    #[test]
    fn every_kernel_gives_the_sums_modulo_2_32() {
        let kernels = kernels();
        for pairs in [0, 1, 2, 3, 17, 600] {
            let (rows, cols) = (numbers(1, ROWS * 2 * pairs), numbers(2, COLS * 2 * pairs));
            let tile = packed(&rows, ROWS, 2 * pairs, ROWS);
            let panel = packed(&cols, COLS, 2 * pairs, COLS);
            for kernel in &kernels {
                let mut sums = [-1; ROWS * COLS];
                kernel(&tile, &panel, &mut sums);
                for r in 0..ROWS {
                    for c in 0..COLS {
                        let line = |of: &[i16], n: usize| of[n * 2 * pairs..][..2 * pairs].to_vec();
                        let (row, col) = (line(&rows, r), line(&cols, c));
                        let sum: i64 =
                            row.iter().zip(&col).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum();
                        assert_eq!(sums[r * COLS + c], sum as i32, "{pairs} pairs, {r}, {c}");
                    }
                }
            }
        }
    }

    #[test]
    fn products_of_any_extents_are_added_by_every_kernel() {
        for (r, c, k) in [(0, 0, 1), (1, 1, 1), (5, 31, 3), (6, 32, 4), (7, 33, 5), (13, 70, 129)] {
            let (rows, cols) = (numbers(3, r * k), numbers(4, c * k));
            let (tiles, panels) = (packed(&rows, r, k, ROWS), packed(&cols, c, k, COLS));
            let (ld, pairs) = (c + 2, k.div_ceil(2));
            let rows_of = Tiles { pairs: &tiles, stride: ROWS * pairs };
            let cols_of = Tiles { pairs: &panels, stride: COLS * pairs };
            for kernel in kernels() {
                let mut out = vec![5; r * ld];
                add_by(kernel, &rows_of, &cols_of, (r, c, pairs), &mut out, ld);
                for (at, &found) in out.iter().enumerate() {
                    let (i, j) = (at / ld, at % ld);
                    let product =
                        |n: usize| i64::from(rows[i * k + n]) * i64::from(cols[j * k + n]);
                    let sum = if j < c { (0..k).map(product).sum() } else { 0 };
                    assert_eq!(found, (sum as i32).wrapping_add(5), "{r}, {c}, {k} at {at}");
                }
            }
        }
    }
}
