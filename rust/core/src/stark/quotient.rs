//! The quotients of all heights (docs/stark.md section 4).

use std::collections::HashMap;
use std::time::Instant;

use p3_field::{BasedVectorSpace, PackedValue, PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::domain::{Dft, Selectors, evaluate as evaluate_word, extend, interpolate};
use super::eval::{Buses, LANES, lane_of};
use super::field::{DIM, K, PackedK, coefficients, powers, reverse};
use super::grid::Grid;
use super::rng::{Source, Stream};
use super::statement::{CHUNKS, Statement};
use super::tape::Tape;
use super::tiles::{self, Fractions, Weights};
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

/// Log of how much longer the quotient's domain is than the rows.
const LOG_DEGREE: usize = 2;
/// Rows that one task looks at.
const TASK: usize = 256;

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
        let (places, distinct) = places(grid);
        let width = distinct.len();
        let mut words = Grid::zeros_with_room(width, 1 << log_rows, LOG_DEGREE);
        if width > 0 {
            let rows = words.values.par_chunks_mut(width).zip(grid.values.par_chunks(grid.width));
            rows.with_min_len(TASK).for_each(|(out, row)| {
                out.iter_mut().zip(&distinct).for_each(|(out, &column)| *out = row[column]);
            });
        }
        Self { words: extend(dft, words, LOG_DEGREE), places }
    }
}

/// For each column, which of the different ones it is (zero ones are none); the different ones.
fn places(grid: &Grid) -> (Vec<Option<usize>>, Vec<usize>) {
    let hashes = column_hashes(grid);
    let mut firsts: HashMap<u64, usize> = HashMap::new();
    let like: Vec<usize> =
        hashes.iter().enumerate().map(|(c, &hash)| *firsts.entry(hash).or_insert(c)).collect();
    // Equal hashes say little of columns that are made for it: they are compared, too.
    let [differs, nonzero] = compared(grid, &like);
    let mut distinct = Vec::new();
    let mut places: Vec<Option<usize>> = Vec::with_capacity(grid.width);
    for column in 0..grid.width {
        places.push(match like[column] {
            _ if !nonzero[column] => None,
            first if first < column && !differs[column] => places[first],
            _ => {
                distinct.push(column);
                Some(distinct.len() - 1)
            }
        });
    }
    (places, distinct)
}

/// Whether any element of each column differs from that of the column it is like; from zero.
fn compared(grid: &Grid, like: &[usize]) -> [Vec<bool>; 2] {
    let nothing = || [vec![false; grid.width], vec![false; grid.width]];
    let tasks = grid.values.par_chunks(TASK * grid.width.max(1)).map(|rows| {
        let [mut differs, mut nonzero] = nothing();
        for row in rows.chunks_exact(grid.width) {
            for (column, &first) in like.iter().enumerate() {
                differs[column] |= row[column] != row[first];
                nonzero[column] |= row[column] != Elem::ZERO;
            }
        }
        [differs, nonzero]
    });
    tasks.reduce(nothing, |mut all, one| {
        for (all, one) in all.iter_mut().flatten().zip(one.iter().flatten()) {
            *all |= one;
        }
        all
    })
}

/// Sums of the elements of each column, weighted by row: equal for equal columns.
fn column_hashes(grid: &Grid) -> Vec<u64> {
    let tasks = grid.values.par_chunks(TASK * grid.width.max(1)).enumerate().map(|(task, rows)| {
        let mut hashes = vec![0u64; grid.width];
        for (i, row) in rows.chunks_exact(grid.width).enumerate() {
            let weight = ((task * TASK + i) as u64 * 2 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let weight = (weight ^ weight >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            for (hash, value) in hashes.iter_mut().zip(row) {
                let word = u64::from(value.as_canonical_u32());
                *hash = hash.wrapping_add(word.wrapping_mul(weight));
            }
        }
        hashes
    });
    tasks.reduce(
        || vec![0; grid.width],
        |mut all, one| {
            all.iter_mut().zip(one).for_each(|(all, one)| *all = all.wrapping_add(one));
            all
        },
    )
}

/// One element of K a lane, from a column of five.
fn extension(columns: &[Packed], column: usize) -> PackedK {
    PackedK::from_basis_coefficients_fn(|i| columns[DIM * column + i])
}

/// What one task keeps from one tile to the next.
struct Room {
    tape: Vec<Packed>,
    words: Vec<Packed>,
    fractions: Vec<Packed>,
    after: Vec<Packed>,
    constraints: Vec<Packed>,
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
    let (of_constraints, others) = gammas.split_at(air.constraints.len());
    let of_constraints = Weights::new(of_constraints);
    let others: Vec<PackedK> = others.iter().map(|&g| PackedK::from(g)).collect();
    let groups = air.groups.len();
    let tape = Tape::new(air);
    let constraints: Vec<usize> = air.constraints.iter().map(|&c| tape.slot_of(c)).collect();
    let fractions = Fractions::new(air.groups.iter().map(Vec::as_slice), buses, &tape);
    let (main, aux) = (committed.main, committed.auxiliary);
    let terminal = PackedK::from(committed.terminal);
    let room = || Room {
        tape: tape.room(),
        words: vec![Packed::ZERO; publics.words.width],
        fractions: vec![Packed::ZERO; aux.width],
        after: vec![Packed::ZERO; DIM],
        constraints: vec![Packed::ZERO; constraints.len()],
    };
    sums.par_chunks_mut(LANES).enumerate().for_each_init(room, |room, (chunk, sums)| {
        let start = chunk * LANES;
        let next: [usize; LANES] = std::array::from_fn(|lane| {
            let natural = reverse(start + lane, bits) + (1 << LOG_DEGREE);
            reverse(natural % (1 << bits), bits)
        });
        tiles::read(std::array::from_fn(|lane| publics.words.row(start + lane)), &mut room.words);
        for (public, place) in tape.publics(&mut room.tape).iter_mut().zip(&publics.places) {
            *public = place.map_or(Packed::ZERO, |place| room.words[place]);
        }
        let mains = tape.mains(&mut room.tape);
        tiles::read(std::array::from_fn(|lane| main.row(start + lane)), mains);
        for (x, &column) in tape.next(&mut room.tape).iter_mut().zip(&air.next) {
            *x = Packed::from_fn(|lane| main.row(next[lane])[column]);
        }
        let first = *Packed::from_slice(&selectors.first[start..start + LANES]);
        let last = *Packed::from_slice(&selectors.last[start..start + LANES]);
        tape.ends(&mut room.tape).copy_from_slice(&[first, last]);
        tiles::read(std::array::from_fn(|lane| aux.row(start + lane)), &mut room.fractions);
        let running = DIM * groups;
        let after = |lane: usize| &aux.row(next[lane])[running..];
        tiles::read(std::array::from_fn(after), &mut room.after);
        tape.run(&mut room.tape);
        for (x, &slot) in room.constraints.iter_mut().zip(&constraints) {
            *x = room.tape[slot];
        }
        let mut sum = of_constraints.sum(&room.constraints);
        let mut total = PackedK::ZERO;
        fractions.each(&room.tape, |g, numerator, denominator| {
            let phi = extension(&room.fractions, g);
            sum += others[g] * (phi * denominator - numerator);
            total += phi;
        });
        let (acc, after) = (extension(&room.fractions, groups), extension(&room.after, 0));
        sum += others[groups] * (acc * first);
        sum += others[groups + 1] * ((after - acc - total) * (Packed::ONE - last));
        sum += others[groups + 2] * ((acc + total - terminal) * last);
        for (lane, out) in sums.iter_mut().enumerate() {
            *out += lane_of(&sum, lane);
        }
    });
}

/// The blinded chunks of the quotient of one height as codewords, the mask behind them if there is
/// to be one; `took` is told the seconds of each table.
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
    mut took: impl FnMut(usize, f64),
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
        let start = Instant::now();
        add_table(&height, t, &committed[t], of_table, &mut sums);
        took(t, start.elapsed().as_secs_f64());
        used += of_table.len();
    }
    let mut word = Grid::zeros(DIM, size);
    let rows = word.values.par_chunks_exact_mut(DIM).zip(&sums).zip(&selectors.inverse);
    rows.with_min_len(TASK).for_each(|((row, &sum), &inverse)| {
        row.copy_from_slice(coefficients(&(sum * inverse)));
    });
    let quotient = interpolate(dft, &word);
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
