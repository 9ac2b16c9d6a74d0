//! Selectors and vanishing polynomials of tables, on whole domains and at a point.

use p3_dft::{Radix2DitParallel, TwoAdicSubgroupDft};
use p3_field::{Field, PackedValue, PrimeCharacteristicRing};
use p3_matrix::Matrix;
use p3_matrix::bitrev::BitReversibleMatrix;
use p3_matrix::dense::RowMajorMatrix;
use p3_monty_31::dft::RecursiveDft;
use rayon::prelude::*;

use super::eval::{LANES, invert_lanes, lane_of};
use super::field::{K, PackedK, inverses, powers, reverse, root, shift};
use super::grid::Grid;
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

/// With fewer columns than that, vectors along columns beat vectors along rows.
const WIDE: usize = 32;

/// Transforms of all columns of a matrix.
#[derive(Default)]
pub struct Dft {
    /// Vectors along rows.
    wide: Radix2DitParallel<Elem>,
    /// Vectors along columns, for which the matrix is transposed.
    narrow: RecursiveDft<Elem>,
}

impl Dft {
    /// Values on a coset from values at roots of unity; the values are in bit-reversed order.
    fn extend(&self, width: usize, values: Vec<Elem>, added: usize, shift: Elem) -> Vec<Elem> {
        let matrix = RowMajorMatrix::new(values, width);
        let reversed = if width < WIDE {
            self.narrow.coset_lde_batch(matrix, added, shift)
        } else {
            self.wide.coset_lde_batch(matrix, added, shift)
        };
        reversed.bit_reverse_rows().to_row_major_matrix().values
    }

    /// Values on a coset, in bit-reversed order, from coefficients.
    fn evaluate(&self, width: usize, coefficients: Vec<Elem>) -> Vec<Elem> {
        let matrix = RowMajorMatrix::new(coefficients, width);
        let reversed = if width < WIDE {
            self.narrow.coset_dft_batch(matrix, shift())
        } else {
            self.wide.coset_dft_batch(matrix, shift())
        };
        reversed.bit_reverse_rows().to_row_major_matrix().values
    }

    /// Coefficients from values on a coset.
    fn interpolate(&self, matrix: RowMajorMatrix<Elem>) -> Vec<Elem> {
        if matrix.width < WIDE {
            self.narrow.coset_idft_batch(matrix, shift()).values
        } else {
            self.wide.coset_idft_batch(matrix, shift()).values
        }
    }
}

/// Vectors of weights that are inverted together.
const TASK: usize = 64;

/// Codewords of columns given by their rows, in bit-reversed order.
pub fn extend(dft: &Dft, grid: Grid, added: usize) -> Grid {
    Grid { width: grid.width, values: dft.extend(grid.width, grid.values, added, shift()) }
}

/// Longer codewords of the columns of shorter ones, both in bit-reversed order.
pub fn extend_coset(dft: &Dft, grid: &Grid, added: usize) -> Grid {
    // Taken for values at roots of unity, they are those of p(shift·x): so are those of the longer word.
    let values = dft.extend(grid.width, natural(grid).values, added, Elem::ONE);
    Grid { width: grid.width, values }
}

/// Rows in natural order, of a grid in bit-reversed order.
fn natural(grid: &Grid) -> RowMajorMatrix<Elem> {
    let bits = grid.rows().ilog2() as usize;
    let mut values = Elem::zero_vec(grid.values.len());
    let rows = values.par_chunks_exact_mut(grid.width).enumerate().with_min_len(256);
    rows.for_each(|(i, row)| row.copy_from_slice(grid.row(reverse(i, bits))));
    RowMajorMatrix::new(values, grid.width)
}

/// Codewords of columns given by coefficients (one a row), in bit-reversed order.
pub fn evaluate(dft: &Dft, mut grid: Grid, log_rows: usize) -> Grid {
    grid.values.resize(grid.width << log_rows, Elem::ZERO);
    Grid { width: grid.width, values: dft.evaluate(grid.width, grid.values) }
}

/// Coefficients of columns given on the coset domain in bit-reversed order.
pub fn interpolate(dft: &Dft, grid: &Grid) -> Grid {
    Grid { width: grid.width, values: dft.interpolate(natural(grid)) }
}

/// `Π (x − ω^i)` over the hidden rows, as coefficients.
fn hidden_polynomial(log_rows: usize, hiding_rows: usize) -> Vec<Elem> {
    let omega = root(log_rows);
    let mut point = omega.exp_u64(((1usize << log_rows) - hiding_rows) as u64);
    let mut coefficients = vec![Elem::ONE];
    for _ in 0..hiding_rows {
        coefficients.push(Elem::ZERO);
        for i in (0..coefficients.len()).rev() {
            let lower = if i == 0 { Elem::ZERO } else { coefficients[i - 1] };
            coefficients[i] = lower - point * coefficients[i];
        }
        point *= omega;
    }
    coefficients
}

/// Selectors on the quotient's domain (4 times the rows), in bit-reversed order.
pub struct Selectors {
    pub first: Vec<Elem>,
    pub last: Vec<Elem>,
    /// `1/Z`, Z vanishing on the active rows.
    pub inverse: Vec<Elem>,
}

impl Selectors {
    pub fn new(dft: &Dft, log_rows: usize, hiding_rows: usize, points: &[Elem]) -> Self {
        let rows = 1usize << log_rows;
        let bits = points.len().ilog2() as usize;
        // x^N − 1 takes as many values as the domain is longer than the rows.
        let cosets = points.len() >> log_rows;
        let base = shift().exp_u64(rows as u64);
        let step = root(bits - log_rows);
        let vanishing: Vec<Elem> =
            powers(step, cosets).into_iter().map(|power| base * power - Elem::ONE).collect();
        let at = |i: usize| vanishing[reverse(i, bits) % cosets];
        let scale = Elem::from_u64(rows as u64).inverse();
        let last_point = root(log_rows).exp_u64((rows - hiding_rows - 1) as u64);
        let lagrange = |point: Elem| -> Vec<Elem> {
            let differences: Vec<Elem> = points.par_iter().map(|&x| x - point).collect();
            let inverse = inverses(&differences);
            inverse
                .into_par_iter()
                .enumerate()
                .map(|(i, inverse)| at(i) * inverse * point * scale)
                .collect()
        };
        let hidden = Grid { width: 1, values: hidden_polynomial(log_rows, hiding_rows) };
        let hidden = evaluate(dft, hidden, bits);
        let inverse_vanishing = inverses(&vanishing);
        let inverse = hidden
            .values
            .par_iter()
            .enumerate()
            .map(|(i, &b)| b * inverse_vanishing[reverse(i, bits) % cosets])
            .collect();
        Self { first: lagrange(Elem::ONE), last: lagrange(last_point), inverse }
    }
}

/// Selectors at a point: first, last, and Z.
pub struct SelectorsAt {
    pub first: K,
    pub last: K,
    pub vanishing: K,
}

impl SelectorsAt {
    /// `None` for a point of the rows' domain.
    pub fn new(log_rows: usize, hiding_rows: usize, zeta: K) -> Option<Self> {
        let rows = 1usize << log_rows;
        let omega = root(log_rows);
        let whole = zeta.exp_power_of_2(log_rows) - K::ONE;
        let scale = Elem::from_u64(rows as u64).inverse();
        let lagrange = |point: Elem| {
            let inverse = (zeta - K::from(point)).try_inverse()?;
            Some(whole * inverse * point * scale)
        };
        let mut point = omega.exp_u64((rows - hiding_rows) as u64);
        let last = lagrange(point * omega.inverse())?;
        let mut hidden = K::ONE;
        for _ in 0..hiding_rows {
            hidden *= zeta - K::from(point);
            point *= omega;
        }
        Some(Self { first: lagrange(Elem::ONE)?, last, vanishing: whole * hidden.try_inverse()? })
    }
}

/// Weights by which the rows of a coset (first rows of a codeword, bit-reversed) give the value at a point.
pub fn coset_weights(points: &[Elem], log_rows: usize, at: K) -> Vec<K> {
    let rows = 1usize << log_rows;
    // Bit-reversed, the first rows of a longer domain are the coset of the subgroup of the rows.
    let points = &points[..rows];
    let differences: Vec<K> = points.par_iter().map(|&x| at - K::from(x)).collect();
    let base = shift().exp_u64(rows as u64);
    let factor = (at.exp_power_of_2(log_rows) - K::from(base))
        * (base * Elem::from_u64(rows as u64)).inverse();
    let inverse = inverses(&differences);
    inverse.into_par_iter().zip(points).map(|(d, &x)| factor * d * x).collect()
}

/// Weights by which the first `used` rows of public columns give the value at a point.
pub fn row_weights(log_rows: usize, used: usize, at: K) -> Vec<K> {
    let factor = (at.exp_power_of_2(log_rows) - K::ONE) * Elem::from_u64(1 << log_rows).inverse();
    let (at, factor) = (PackedK::from(at), PackedK::from(factor));
    let points = powers(root(log_rows), used.next_multiple_of(LANES));
    let mut weights = vec![K::ZERO; points.len()];
    let tasks = weights.par_chunks_mut(LANES * TASK).zip(points.par_chunks(LANES * TASK));
    tasks.for_each(|(weights, points)| {
        let points = Packed::pack_slice(points);
        let mut inverse: Vec<PackedK> = points.iter().map(|&x| at - x).collect();
        invert_lanes(&mut inverse).expect("the point is none of the rows' domain");
        for ((out, inverse), &x) in weights.chunks_exact_mut(LANES).zip(inverse).zip(points) {
            let weight = factor * inverse * x;
            out.iter_mut().enumerate().for_each(|(lane, out)| *out = lane_of(&weight, lane));
        }
    });
    weights.truncate(used);
    weights
}

/// The columns of the first rows of a grid, weighted and summed.
pub fn weighted(grid: &Grid, weights: &[K]) -> Vec<K> {
    let values = &grid.values[..weights.len() * grid.width];
    p3_matrix::dense::RowMajorMatrixView::new(values, grid.width).columnwise_dot_product(weights)
}

#[cfg(test)]
mod tests {
    use super::super::field::{basis, points};
    use super::*;

    #[test]
    fn selectors_agree_at_points_and_on_domains() {
        let (log_rows, hidden) = (5, 6);
        let dft = Dft::default();
        let points = points(log_rows + 2);
        let selectors = Selectors::new(&dft, log_rows, hidden, &points);
        for i in [0, 7, 100] {
            let at = SelectorsAt::new(log_rows, hidden, K::from(points[i])).unwrap();
            assert_eq!(at.first, K::from(selectors.first[i]));
            assert_eq!(at.last, K::from(selectors.last[i]));
            assert_eq!(at.vanishing * K::from(selectors.inverse[i]), K::ONE);
        }
    }

    #[test]
    fn weights_interpolate() {
        let (log_rows, dft) = (4, Dft::default());
        let coefficients: Vec<Elem> = (0..16).map(|i| Elem::new(i * i + 3)).collect();
        let zeta = basis(1) + basis(3);
        let wanted = coefficients.iter().rev().fold(K::ZERO, |sum, &c| sum * zeta + K::from(c));
        let word = evaluate(&dft, Grid { width: 1, values: coefficients.clone() }, log_rows + 2);
        let weights = coset_weights(&points(log_rows + 2), log_rows, zeta);
        assert_eq!(weighted(&word, &weights), [wanted]);
        let rows: Vec<Elem> = powers(root(log_rows), 16)
            .into_iter()
            .map(|x| coefficients.iter().rev().fold(Elem::ZERO, |sum, &c| sum * x + c))
            .collect();
        let rows = Grid { width: 1, values: rows };
        assert_eq!(weighted(&rows, &row_weights(log_rows, 16, zeta)), [wanted]);
        assert_eq!(extend(&dft, rows, 2), word);
        let short = Grid { width: 1, values: word.values[..16].to_vec() };
        assert_eq!(extend_coset(&dft, &short, 2), word);
        assert_eq!(interpolate(&dft, &word).values[..16], coefficients);
    }
}
