//! How often each entry of the range and act tables is looked up.

use std::sync::LazyLock;

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::MainOf;
use super::memory::{number, signed};
use crate::hash::{Elem, P};
use crate::hybrid::schedule::Schedule;
use crate::hybrid::tables::{TABLES, act, bus, index, range};
use crate::stark::air::{Air, evaluate_row};
use crate::stark::{Grid, MainTable};

/// The tables with nothing but their range and act lookups.
static COUNTED: LazyLock<Vec<Air>> = LazyLock::new(|| {
    let counted = |air: &Air| air.only_lookups(|l| l.bus == bus::RANGE || l.bus == bus::ACT);
    TABLES.airs.iter().map(counted).collect()
});

/// Rows that one task looks at.
const ROWS_PER_TASK: usize = 2048;

/// Where the entries of a provider stand: by table (or class), first row, first value, number.
struct Entries {
    starts: Vec<Option<(usize, i64, usize)>>,
}

impl Entries {
    /// Of rows that stand together by table: the columns of the table and of the value.
    fn new(publics: Option<&Grid>, table: usize, x: usize) -> Self {
        let mut starts: Vec<Option<(usize, i64, usize)>> = Vec::new();
        for row in 0..publics.map_or(0, Grid::rows) {
            let Some(publics) = publics.map(|publics| publics.row(row)) else { break };
            let table = number(publics[table]);
            if starts.len() <= table {
                starts.resize(table + 1, None);
            }
            match &mut starts[table] {
                Some((_, _, count)) => *count += 1,
                none => *none = Some((row, signed(publics[x]), 1)),
            }
        }
        Self { starts }
    }

    fn row(&self, table: Elem, x: Elem) -> Option<usize> {
        let (first, lo, count) = (*self.starts.get(number(table))?)?;
        let at = usize::try_from(signed(x) - lo).ok()?;
        (at < count).then_some(first + at)
    }
}

/// Appends the act and range tables, with the numbers of lookups of `mains`.
pub fn count(schedule: &Schedule, mains: &mut Vec<MainOf>) {
    let publics = |index| schedule.table(index).map(|table| &table.publics);
    let acts = Entries::new(publics(index::ACT), act::PUBLIC.table, act::PUBLIC.x);
    let ranges = Entries::new(publics(index::RANGE), range::PUBLIC.class, range::PUBLIC.x);
    let sizes = [index::ACT, index::RANGE].map(|index| publics(index).map_or(0, Grid::rows));
    let tasks: Vec<(usize, usize)> = mains
        .iter()
        .enumerate()
        .flat_map(|(i, (_, main))| {
            (0..main.main.rows()).step_by(ROWS_PER_TASK).map(move |first| (i, first))
        })
        .collect();
    let none = || sizes.map(|size| vec![0u64; size]);
    let [act, range] = tasks
        .par_iter()
        .fold(none, |mut times, &(i, first)| {
            let (index, main) = &mains[i];
            if let Some(publics) = publics(*index) {
                count_rows(*index, publics, main, first, [&acts, &ranges], &mut times);
            }
            times
        })
        .reduce(none, |mut all, some| {
            for (all, some) in all.iter_mut().zip(some) {
                all.iter_mut().zip(some).for_each(|(all, some)| *all += some);
            }
            all
        });
    let (of_act, of_range) = (act::MAIN.times, range::MAIN.times);
    for (index, column, times) in [(index::ACT, of_act, act), (index::RANGE, of_range, range)] {
        if publics(index).is_some() {
            let width = TABLES.airs[index].mains;
            let mut main = Grid::zeros(width, times.len());
            for (cells, times) in main.values.chunks_exact_mut(width).zip(times) {
                cells[column] = Elem::from_u32((times % u64::from(P)) as u32);
            }
            mains.push((index, MainTable { main, padding: vec![Elem::ZERO; width] }));
        }
    }
}

fn count_rows(
    index: usize,
    publics: &Grid,
    main: &MainTable,
    first: usize,
    [acts, ranges]: [&Entries; 2],
    times: &mut [Vec<u64>; 2],
) {
    let (air, mut values) = (&COUNTED[index], Vec::new());
    for row in first..main.main.rows().min(first + ROWS_PER_TASK) {
        let cells = main.main.row(row);
        // No lookup looks at the next row.
        evaluate_row(air, publics.row(row), cells, cells, (false, false), &mut values);
        for lookup in air.lookups() {
            let multiplicity = values[lookup.multiplicity as usize];
            if multiplicity.is_zero() {
                continue;
            }
            let [table, x] = [0, 1].map(|i| values[lookup.tuple[i] as usize]);
            let (entries, times) = match lookup.bus {
                bus::ACT => (acts, &mut times[0]),
                _ => (ranges, &mut times[1]),
            };
            // What stands in no table has no witness.
            if let Some(at) = entries.row(table, x) {
                times[at] += u64::from(multiplicity.as_canonical_u32());
            }
        }
    }
}
