//! Constraints and buses evaluated directly on a witness: what a proof of it would establish.

use std::collections::HashMap;

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use super::air::{Tables, evaluate_row};
use super::grid::{MainTable, PublicTable, PublicTerms};
use crate::hash::Elem;

/// The first failure of a witness, in words.
///
/// Checks every active row of every table and the balance of every bus except the blinding one.
pub fn first_failure(
    tables: &Tables,
    publics: &[PublicTable],
    mains: &[MainTable],
    terms: &[PublicTerms],
    hiding_rows: usize,
) -> Option<String> {
    let mut balance: HashMap<(u32, Vec<u32>), Elem> = HashMap::new();
    for of_bus in terms {
        for row in 0..of_bus.tuples.rows() {
            add(&mut balance, of_bus.bus, of_bus.tuples.row(row).iter().copied(), Elem::ONE);
        }
    }
    for (public, main) in publics.iter().zip(mains) {
        let failure = check_table(tables, public, main, hiding_rows, &mut balance);
        if failure.is_some() {
            return failure;
        }
    }
    let unbalanced = balance.into_iter().find(|(_, sum)| !sum.is_zero());
    unbalanced.map(|((bus, tuple), sum)| format!("bus {bus}: {tuple:?} is off by {sum}"))
}

fn add(
    balance: &mut HashMap<(u32, Vec<u32>), Elem>,
    bus: u32,
    tuple: impl Iterator<Item = Elem>,
    times: Elem,
) {
    let key = (bus, tuple.map(|e| e.as_canonical_u32()).collect());
    *balance.entry(key).or_default() += times;
}

fn check_table(
    tables: &Tables,
    public: &PublicTable,
    main: &MainTable,
    hiding_rows: usize,
    balance: &mut HashMap<(u32, Vec<u32>), Elem>,
) -> Option<String> {
    let air = &tables.airs[public.index];
    let active = (1 << public.log_rows) - hiding_rows;
    let used = main.main.rows();
    if public.publics.width != air.publics || main.main.width != air.mains {
        return Some(format!("{}: wrong number of columns", air.name));
    }
    if used > active {
        return Some(format!("{}: {used} rows do not fit", air.name));
    }
    let row_of = |row: usize| if row < used { main.main.row(row) } else { &main.padding[..] };
    let mut values = Vec::new();
    // Beyond the rows of either side all look alike: one of them, and the last.
    let different = used.max(public.publics.rows());
    let rows = (0..(different + 2).min(active)).chain(std::iter::once(active - 1));
    for row in rows {
        let public_row = if row < public.publics.rows() { public.publics.row(row) } else { &[] };
        let ends = (row == 0, row + 1 == active);
        // Whatever stands in the row after the last active one is random.
        let random = vec![Elem::new(123_456_789); air.mains];
        let next = if ends.1 { &random[..] } else { row_of(row + 1) };
        evaluate_row(air, public_row, row_of(row), next, ends, &mut values);
        for (i, &constraint) in air.constraints.iter().enumerate() {
            if !values[constraint as usize].is_zero() {
                return Some(format!("{}: constraint {i} in row {row}", air.name));
            }
        }
        for lookup in air.lookups() {
            let times = values[lookup.multiplicity as usize];
            if !times.is_zero() {
                add(balance, lookup.bus, lookup.tuple.iter().map(|&e| values[e as usize]), times);
            }
        }
    }
    None
}
