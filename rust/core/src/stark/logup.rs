//! The auxiliary columns: fractions of the groups and their running sum (docs/stark.md section 2).

use p3_field::{BasedVectorSpace, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::air::Air;
use super::eval::{Buses, LANES, invert_lanes, lane_of};
use super::field::{DIM, K, PackedK, coefficients, inverses};
use super::grid::{Grid, PublicTerms};
use super::parameters::Parameters;
use super::rng::{Source, Stream};
use super::tape::Tape;
use super::tiles::{self, Fractions};
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

/// Rows of one task, whose denominators are inverted together.
const TASK: usize = 256;

/// The auxiliary columns of a table (5 base columns each; the running sum last), and its terminal.
///
/// # Errors
/// `prove.retry` where a challenge meets a tuple (below 2^-120).
pub fn auxiliary(
    air: &Air,
    publics: &Grid,
    main: &Grid,
    buses: &Buses,
    parameters: &Parameters,
    stream: &mut Stream,
) -> Result<(Grid, K)> {
    let groups = air.groups.len();
    let active = main.rows() - parameters.hiding_rows;
    // Only rows with public values have lookups.
    let used = publics.rows().min(active);
    let table = Table::new(air, publics, main, buses, used);
    let width = (groups + 1) * DIM;
    let Grid { mut values, .. } = Grid::zeros_with_room(width, main.rows(), parameters.log_blowup);
    let totals: Option<Vec<K>> = values
        .par_chunks_mut(TASK * width)
        .enumerate()
        .take(used.div_ceil(TASK))
        .map(|(task, out)| table.divide(task, out))
        .collect();
    let totals =
        totals.ok_or_else(|| Error::new("prove.retry", "a challenge met a tuple; prove again"))?;
    // Each task summed from zero on: the sums before it come to that.
    let mut before = vec![K::ZERO];
    totals.iter().for_each(|&total| before.push(before[before.len() - 1] + total));
    let terminal = before[totals.len()];
    values.par_chunks_mut(TASK * width).enumerate().for_each(|(task, rows)| {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            let sum = &mut row[groups * DIM..];
            if task * TASK + i < used {
                let before = coefficients(&before[task]);
                sum.iter_mut().zip(before).for_each(|(sum, &before)| *sum += before);
            } else {
                sum.copy_from_slice(coefficients(&terminal));
            }
        }
    });
    let hidden = &mut values[active * width..];
    hidden.fill_with(|| stream.element(Source::AuxiliaryRows));
    Ok((Grid { width, values }, terminal))
}

/// A table whose fractions are made.
struct Table<'a> {
    /// Only what the lookups need.
    tape: Tape,
    fractions: Fractions,
    groups: usize,
    publics: &'a Grid,
    main: &'a Grid,
    used: usize,
}

impl<'a> Table<'a> {
    fn new(air: &Air, publics: &'a Grid, main: &'a Grid, buses: &Buses, used: usize) -> Self {
        let lookups = air.only_lookups(|_| true);
        let mut rest = &lookups.groups[0][..];
        let mut groups = Vec::new();
        for group in &air.groups {
            let (own, after) = rest.split_at(group.len());
            groups.push(own);
            rest = after;
        }
        let tape = Tape::new(&lookups);
        let fractions = Fractions::new(groups.into_iter(), buses, &tape);
        Self { tape, fractions, groups: air.groups.len(), publics, main, used }
    }

    /// Writes the fractions of the rows of a task, and their running sum from zero on; the whole sum.
    /// `None` where a denominator is zero.
    fn divide(&self, task: usize, out: &mut [Elem]) -> Option<K> {
        let (groups, width) = (self.groups, (self.groups + 1) * DIM);
        let rows = (self.used - task * TASK).min(TASK);
        let tiles = rows.div_ceil(LANES);
        let (mut numerators, mut denominators) = (Vec::new(), Vec::new());
        let mut room = self.tape.room();
        let nothing = vec![Elem::ZERO; self.publics.width];
        for i in 0..tiles {
            let start = task * TASK + i * LANES;
            let public = |row: usize| {
                if row < self.publics.rows() { self.publics.row(row) } else { &nothing }
            };
            let publics = self.tape.publics(&mut room);
            tiles::read(std::array::from_fn(|lane| public(start + lane)), publics);
            let mains = self.tape.mains(&mut room);
            tiles::read(std::array::from_fn(|lane| self.main.row(start + lane)), mains);
            self.tape.run(&mut room);
            self.fractions.each(&room, |_, numerator, denominator| {
                numerators.push(numerator);
                denominators.push(denominator);
            });
        }
        invert_lanes(&mut denominators)?;
        let mut columns = vec![Packed::ZERO; groups * DIM];
        let mut sum = K::ZERO;
        let divided = numerators.chunks_exact(groups).zip(denominators.chunks_exact(groups));
        for (i, (numerators, denominators)) in divided.enumerate() {
            let mut total = PackedK::ZERO;
            for (g, (&n, &d)) in numerators.iter().zip(denominators).enumerate() {
                let phi = n * d;
                total += phi;
                columns[g * DIM..(g + 1) * DIM].copy_from_slice(phi.as_basis_coefficients_slice());
            }
            let here = i * LANES..rows.min((i + 1) * LANES);
            let out = &mut out[here.start * width..here.end * width];
            tiles::write(&columns, out.chunks_exact_mut(width));
            for (lane, row) in out.chunks_exact_mut(width).enumerate() {
                row[groups * DIM..].copy_from_slice(coefficients(&sum));
                sum += lane_of(&total, lane);
            }
        }
        Some(sum)
    }
}

/// The sum of the terms that the verifier adds itself; `None` where a challenge meets a tuple.
pub fn public_sum(terms: &[PublicTerms], buses: &Buses) -> Option<K> {
    let mut denominators = Vec::new();
    for of_bus in terms {
        let rows = (0..of_bus.tuples.rows()).into_par_iter();
        denominators.par_extend(rows.map(|row| {
            let tuple = of_bus.tuples.row(row).iter().copied();
            buses.denominator(of_bus.bus, tuple, |sum: K, power, e: Elem| sum - power * e)
        }));
    }
    if denominators.contains(&K::ZERO) {
        return None;
    }
    Some(inverses(&denominators).into_iter().sum())
}
