//! The auxiliary columns: fractions of the groups and their running sum (docs/stark.md section 2).

use p3_field::{PackedValue, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::air::Air;
use super::eval::{Buses, LANES, Rows, evaluate, fraction, invert_lanes, lane_of};
use super::field::{DIM, K, PackedK, coefficients, inverses};
use super::grid::{Grid, PublicTerms};
use super::rng::{Source, Stream};
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

/// Rows of a trace in natural order.
struct TraceRows<'a> {
    publics: &'a Grid,
    main: &'a Grid,
    start: usize,
}

impl TraceRows<'_> {
    fn of(&self, grid: &Grid, column: usize) -> Packed {
        Packed::from_fn(|lane| {
            let at = (self.start + lane) * grid.width + column;
            grid.values.get(at).copied().unwrap_or_default()
        })
    }
}

impl Rows for TraceRows<'_> {
    fn public(&self, column: usize) -> Packed {
        self.of(self.publics, column)
    }
    fn main(&self, column: usize) -> Packed {
        self.of(self.main, column)
    }
    fn next(&self, _: usize) -> Packed {
        unreachable!("lookups read one row")
    }
    fn first(&self) -> Packed {
        unreachable!("lookups have no boundary")
    }
    fn last(&self) -> Packed {
        unreachable!("lookups have no boundary")
    }
}

/// The auxiliary columns of a table (5 base columns each; the running sum last), and its terminal.
///
/// # Errors
/// `prove.retry` where a challenge meets a tuple (below 2^-120).
pub fn auxiliary(
    air: &Air,
    publics: &Grid,
    main: &Grid,
    buses: &Buses,
    hiding_rows: usize,
    stream: &mut Stream,
) -> Result<(Grid, K)> {
    let groups = air.groups.len();
    let active = main.rows() - hiding_rows;
    // Only rows with public values have lookups.
    let used = publics.rows().min(active);
    let lookups = air.only_lookups(|_| true);
    let all: Vec<_> = lookups.lookups().collect();
    let sizes: Vec<usize> = air.groups.iter().map(Vec::len).collect();
    let mut fractions = vec![K::ZERO; used.next_multiple_of(LANES) * groups];
    let divided = fractions.par_chunks_mut(LANES * groups).enumerate().map(|(chunk, out)| {
        let mut values = Vec::with_capacity(lookups.nodes.len());
        evaluate(&lookups, &TraceRows { publics, main, start: chunk * LANES }, &mut values);
        let (mut numerators, mut denominators) = (Vec::new(), Vec::new());
        let mut rest = &all[..];
        for &size in &sizes {
            let (group, after) = rest.split_at(size);
            rest = after;
            let terms: Vec<(Packed, PackedK)> = group
                .iter()
                .map(|l| (values[l.multiplicity as usize], buses.packed(l, &values)))
                .collect();
            let (numerator, denominator) = fraction(&terms, |d, m| d * m);
            numerators.push(numerator);
            denominators.push(denominator);
        }
        invert_lanes(&mut denominators)?;
        for (g, (n, d)) in numerators.into_iter().zip(denominators).enumerate() {
            let quotient = n * d;
            (0..LANES).for_each(|lane| out[lane * groups + g] = lane_of(&quotient, lane));
        }
        Some(())
    });
    divided
        .collect::<Option<()>>()
        .ok_or_else(|| Error::new("prove.retry", "a challenge met a tuple; prove again"))?;
    let width = (groups + 1) * DIM;
    let mut grid = Grid { width, values: Vec::with_capacity(main.rows() * width) };
    let mut acc = K::ZERO;
    for of_row in fractions.chunks_exact(groups).take(used) {
        of_row.iter().for_each(|value| grid.values.extend_from_slice(coefficients(value)));
        grid.values.extend_from_slice(coefficients(&acc));
        acc += of_row.iter().copied().sum::<K>();
    }
    let nothing = vec![Elem::ZERO; groups * DIM];
    for _ in used..active {
        grid.values.extend_from_slice(&nothing);
        grid.values.extend_from_slice(coefficients(&acc));
    }
    grid.values.extend((0..hiding_rows * width).map(|_| stream.element(Source::AuxiliaryRows)));
    Ok((grid, acc))
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
