//! The quotients of all heights (docs/stark.md section 4).

use std::collections::HashMap;

use p3_field::{PackedValue, PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::domain::{Dft, Selectors, evaluate as evaluate_word, extend, interpolate};
use super::eval::{Buses, LANES, Rows, evaluate, fraction, lane_of};
use super::field::{DIM, K, PackedK, coefficients, powers, reverse};
use super::grid::Grid;
use super::rng::{Source, Stream};
use super::statement::{CHUNKS, Statement};
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

/// Log of how much longer the quotient's domain is than the rows.
const LOG_DEGREE: usize = 2;

/// What the prover has of a table.
pub struct Committed<'a> {
    /// Public columns on the rows in which they are not zero.
    pub publics: &'a Grid,
    /// Codewords.
    pub main: &'a Grid,
    pub auxiliary: &'a Grid,
    pub terminal: K,
}

/// Public columns on the quotient's domain. Many are equal (masks, classes) or zero: each different
/// one is extended once.
struct Publics {
    words: Grid,
    /// Per column, where it stands in `words`; zero columns stand nowhere.
    places: Vec<Option<usize>>,
}

impl Publics {
    fn new(dft: &Dft, grid: &Grid, log_rows: usize) -> Self {
        let mut kinds: HashMap<u64, Vec<usize>> = HashMap::new();
        let (mut places, mut distinct) = (Vec::new(), Vec::new());
        for (column, hash) in column_hashes(grid).into_iter().enumerate() {
            if (0..grid.rows()).all(|row| grid.row(row)[column] == Elem::ZERO) {
                places.push(None);
                continue;
            }
            let equal = |&place: &usize| equal_columns(grid, distinct[place], column);
            let of_hash = kinds.entry(hash).or_default();
            let place = of_hash.iter().copied().find(|place| equal(place)).unwrap_or_else(|| {
                of_hash.push(distinct.len());
                distinct.len()
            });
            if place == distinct.len() {
                distinct.push(column);
            }
            places.push(Some(place));
        }
        let width = distinct.len();
        let mut values = Vec::with_capacity(width << log_rows);
        for row in 0..grid.rows() {
            let row = grid.row(row);
            values.extend(distinct.iter().map(|&column| row[column]));
        }
        values.resize(width << log_rows, Elem::ZERO);
        Self { words: extend(dft, Grid { width, values }, LOG_DEGREE), places }
    }
}

fn column_hashes(grid: &Grid) -> Vec<u64> {
    let mut hashes = vec![0u64; grid.width];
    for row in grid.values.chunks_exact(grid.width) {
        for (hash, value) in hashes.iter_mut().zip(row) {
            let word = u64::from(value.as_canonical_u32()) + 1;
            *hash = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
    hashes
}

fn equal_columns(grid: &Grid, a: usize, b: usize) -> bool {
    grid.values.chunks_exact(grid.width).all(|row| row[a] == row[b])
}

/// `LANES` rows of the quotient's domain.
struct DomainRows<'a> {
    publics: &'a Publics,
    main: &'a Grid,
    selectors: &'a Selectors,
    start: usize,
    next: [usize; LANES],
}

impl Rows for DomainRows<'_> {
    fn public(&self, column: usize) -> Packed {
        let words = &self.publics.words;
        self.publics.places[column].map_or(Packed::ZERO, |place| {
            Packed::from_fn(|lane| words.values[(self.start + lane) * words.width + place])
        })
    }
    fn main(&self, column: usize) -> Packed {
        Packed::from_fn(|lane| self.main.values[(self.start + lane) * self.main.width + column])
    }
    fn next(&self, column: usize) -> Packed {
        Packed::from_fn(|lane| self.main.values[self.next[lane] * self.main.width + column])
    }
    fn first(&self) -> Packed {
        Packed::from_fn(|lane| self.selectors.first[self.start + lane])
    }
    fn last(&self) -> Packed {
        Packed::from_fn(|lane| self.selectors.last[self.start + lane])
    }
}

/// One element of K a lane, from a column of five.
fn extension(grid: &Grid, column: usize, row: impl Fn(usize) -> usize) -> PackedK {
    use p3_field::BasedVectorSpace;
    PackedK::from_basis_coefficients_fn(|i| {
        Packed::from_fn(|lane| grid.values[row(lane) * grid.width + DIM * column + i])
    })
}

/// What the tables of one height share.
struct Height<'a> {
    statement: &'a Statement<'a>,
    buses: &'a Buses,
    selectors: &'a Selectors,
    dft: &'a Dft,
}

/// Adds `Σ γ^e·C_e` of a table to the sums of all rows.
fn add_table(
    height: &Height,
    position: usize,
    committed: &Committed,
    gammas: &[K],
    sums: &mut [K],
) {
    let Height { statement, buses, selectors, dft } = *height;
    let air = statement.air(position);
    let log_rows = statement.publics[position].log_rows;
    let bits = log_rows + LOG_DEGREE;
    let publics = Publics::new(dft, committed.publics, log_rows);
    let gammas: Vec<PackedK> = gammas.iter().map(|&g| PackedK::from(g)).collect();
    let groups = air.groups.len();
    let (aux, terminal) = (committed.auxiliary, PackedK::from(committed.terminal));
    sums.par_chunks_mut(LANES).enumerate().for_each_init(Vec::new, |values, (chunk, sums)| {
        let start = chunk * LANES;
        let next = std::array::from_fn(|lane| {
            let natural = reverse(start + lane, bits) + (1 << LOG_DEGREE);
            reverse(natural % (1 << bits), bits)
        });
        let rows = DomainRows { publics: &publics, main: committed.main, selectors, start, next };
        evaluate(air, &rows, values);
        let mut sum = PackedK::ZERO;
        let mut gammas = gammas.iter();
        let mut gamma = || *gammas.next().expect("a power for each constraint");
        for &constraint in &air.constraints {
            sum += gamma() * values[constraint as usize];
        }
        let here = |lane: usize| start + lane;
        let mut total = PackedK::ZERO;
        for (g, group) in air.groups.iter().enumerate() {
            let terms: Vec<(Packed, PackedK)> = group
                .iter()
                .map(|l| (values[l.multiplicity as usize], buses.packed(l, values)))
                .collect();
            let (numerator, denominator) = fraction(&terms, |d, m| d * m);
            let phi = extension(aux, g, here);
            sum += gamma() * (phi * denominator - numerator);
            total += phi;
        }
        let acc = extension(aux, groups, here);
        let after = extension(aux, groups, |lane| rows.next[lane]);
        sum += gamma() * (acc * rows.first());
        sum += gamma() * ((after - acc - total) * (Packed::ONE - rows.last()));
        sum += gamma() * ((acc + total - terminal) * rows.last());
        for (lane, out) in sums.iter_mut().enumerate() {
            *out += lane_of(&sum, lane);
        }
    });
}

/// The blinded chunks of the quotient of one height as codewords, the mask behind them if there is
/// to be one.
///
/// # Errors
/// `prove.witness` where the constraints do not hold.
#[expect(clippy::too_many_arguments)]
pub fn chunks(
    statement: &Statement,
    log_rows: usize,
    committed: &[Committed],
    buses: &Buses,
    gamma: K,
    points: &[Elem],
    masked: bool,
    dft: &Dft,
    stream: &mut Stream,
) -> Result<Grid> {
    let hiding = statement.parameters.hiding_rows;
    let size = 1usize << (log_rows + LOG_DEGREE);
    let selectors = Selectors::new(dft, log_rows, hiding, points);
    let mut sums = vec![K::ZERO; size];
    let count: usize =
        statement.of_height(log_rows).map(|t| statement.air(t).all_constraints()).sum();
    let gammas = powers(gamma, count);
    let height = Height { statement, buses, selectors: &selectors, dft };
    let mut used = 0;
    for t in statement.of_height(log_rows) {
        let of_table = &gammas[used..used + statement.air(t).all_constraints()];
        add_table(&height, t, &committed[t], of_table, &mut sums);
        used += of_table.len();
    }
    let values = sums
        .par_iter()
        .zip(&selectors.inverse)
        .flat_map_iter(|(&sum, &inverse)| coefficients(&(sum * inverse)).to_vec())
        .collect();
    let quotient = interpolate(dft, &Grid { width: DIM, values });
    let length = (1usize << log_rows) - hiding;
    if quotient.values[CHUNKS * length * DIM..].iter().any(|&c| c != Elem::ZERO) {
        return Err(Error::new("prove.witness", "the openings do not satisfy the checks")
            .received(format!("constraints of tables with 2^{log_rows} rows fail")));
    }
    let width = DIM * (CHUNKS + usize::from(masked));
    let mut grid = Grid::zeros(width, 1 << log_rows);
    for row in 0..length {
        for i in 0..CHUNKS {
            let from = quotient.row(i * length + row);
            grid.row_mut(row)[DIM * i..DIM * (i + 1)].copy_from_slice(from);
        }
    }
    for i in 0..CHUNKS - 1 {
        for row in 0..hiding {
            for j in 0..DIM {
                let blind = stream.element(Source::Chunks);
                grid.row_mut(length + row)[DIM * i + j] += blind;
                grid.row_mut(row)[DIM * (i + 1) + j] -= blind;
            }
        }
    }
    if masked {
        for row in 0..1 << log_rows {
            grid.row_mut(row)[DIM * CHUNKS..].fill_with(|| stream.element(Source::Folding));
        }
    }
    Ok(evaluate_word(dft, grid, log_rows + statement.parameters.log_blowup))
}
