//! What each constraint and each lookup is for: without it, rows prove something false.
//!
//! A **lie** is a small machine that claims something false (a digest that is not the one of what was
//! hashed, bits that are not those of an element, a product that is none), and a witness that all rows
//! refuse, but would not without one constraint, or if one lookup took whatever is given. The claims
//! are compared with plain arithmetic where they are true.

mod bits;
mod hash;
mod sums;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::subjects::{DENSE, Rows};
use crate::hash::Elem;
use crate::hybrid::tests::attacks::judge::{Edited, key};
use crate::recursion::machine::Machine;
use crate::recursion::tables::{TABLES, index};
use crate::stark::MainTable;
use crate::stark::air::BLIND;

/// What is taken away: a constraint of a table, or that a lookup of it takes what is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Removed {
    Nothing,
    Constraint(usize, usize),
    Take(usize, usize),
}

/// A machine with a witness, which lies write to.
struct Told {
    machine: Machine,
    mains: Vec<MainTable>,
}

impl Told {
    fn new(machine: Machine) -> Self {
        let mains = machine.lenient_witness().unwrap();
        Self { machine, mains }
    }

    fn row(&mut self, table: usize, row: usize) -> &mut [Elem] {
        self.mains[table].main.row_mut(row)
    }

    fn rows(&self) -> Rows {
        Rows::of(&self.machine, self.mains.clone())
    }
}

/// What refuses rows without something.
fn refusal(rows: &Rows, removed: Removed) -> Option<String> {
    let mut balance: HashMap<(u32, Vec<u32>), Elem> = HashMap::new();
    for terms in &rows.terms {
        for row in 0..terms.tuples.rows() {
            let tuple = terms.tuples.row(row).iter().map(Elem::as_canonical_u32).collect();
            *balance.entry((terms.bus, tuple)).or_default() += Elem::ONE;
        }
    }
    // What takes whatever is given.
    let mut blind = Vec::new();
    let mut values = Vec::new();
    for table in rows.tables() {
        let index = table.public.index;
        let edited = Edited::new(table);
        for row in (0..table.used() + 1).chain([table.active - 1]) {
            edited.evaluate(row, &mut values);
            for (i, &constraint) in table.air.constraints.iter().enumerate() {
                let holds = values[constraint as usize].is_zero();
                if !holds && removed != Removed::Constraint(index, i) {
                    return Some(format!("{} row {row}: constraint {i}", table.air.name));
                }
            }
            for (n, lookup) in table.air.lookups().enumerate() {
                let times = values[lookup.multiplicity as usize];
                if lookup.bus == BLIND || times.is_zero() {
                    continue;
                }
                let (bus, tuple) = key(lookup, &values);
                if removed == Removed::Take(index, n) && times == Elem::ONE {
                    blind.push((bus, tuple[0]));
                    continue;
                }
                *balance.entry((bus, tuple)).or_default() += times;
            }
        }
    }
    for (bus, number) in blind {
        let given = balance.iter_mut().find(|((of, tuple), sum)| {
            *of == bus && tuple[0] == number && **sum != Elem::ZERO && **sum != Elem::ONE
        });
        if let Some((_, sum)) = given {
            *sum += Elem::ONE;
        }
    }
    let off = balance.into_iter().find(|(_, sum)| !sum.is_zero());
    off.map(|((bus, tuple), _)| format!("bus {bus}: {tuple:?}"))
}

/// Tells a lie: a claim that follows from a changed witness, where the true one is `honest`. What was
/// removed, if all is as it should be.
fn lie<C: PartialEq + std::fmt::Debug>(
    removed: Removed,
    honest: &C,
    build: impl Fn(&C) -> Machine,
    edit: impl Fn(&mut Told),
    read: impl Fn(&mut Told) -> C,
) -> Removed {
    let mut told = Told::new(build(honest));
    assert_eq!(refusal(&told.rows(), Removed::Nothing), None, "{removed:?}: the truth is refused");
    assert_eq!(told.rows().refusal(), None, "{removed:?}");
    edit(&mut told);
    let claim = read(&mut told);
    assert_ne!(claim, *honest, "{removed:?}: nothing false is claimed");
    let mut told = Told::new(build(&claim));
    edit(&mut told);
    let rows = told.rows();
    assert!(rows.refusal().is_some(), "{removed:?}: accepted");
    assert!(refusal(&rows, Removed::Nothing).is_some(), "{removed:?}: accepted");
    assert_eq!(refusal(&rows, removed), None, "{removed:?}: something else refuses the lie");
    removed
}

/// What no lie is told for, and why.
fn implied() -> BTreeMap<Removed, &'static str> {
    const NEVER: &str =
        "a sponge takes in no empty block, so that its public column is always zero";
    const GIVES: &str = "only gives: without it there is less to take";
    let gives = [(index::DOT, 3), (index::CELLS, 14)];
    let gives = gives.into_iter().chain([2, 3, 4].map(|n| (index::BITS, n)));
    let mut all: BTreeMap<Removed, &str> =
        gives.map(|(index, n)| (Removed::Take(index, n), GIVES)).collect();
    all.insert(Removed::Constraint(index::HASH, hash::ZERO), NEVER);
    all
}

/// All constraints and lookups but the engine's, which blinds terminals.
fn all() -> BTreeSet<Removed> {
    let of = |(index, air): (usize, &crate::stark::air::Air)| {
        let constraints = (0..air.constraints.len()).map(move |i| Removed::Constraint(index, i));
        constraints.chain((1..air.lookups().count()).map(move |n| Removed::Take(index, n)))
    };
    TABLES.airs.iter().enumerate().flat_map(of).collect()
}

#[test]
fn without_a_constraint_or_a_lookup_something_false_passes() {
    let lies: Vec<fn() -> Vec<Removed>> = vec![
        hash::permutations,
        hash::begins,
        hash::carries,
        hash::takes,
        bits::lies,
        sums::dots,
        sums::cells,
        sums::fields,
    ];
    let told: Vec<Removed> = lies.into_par_iter().flat_map_iter(|lies| lies()).collect();
    let once: BTreeSet<Removed> = told.iter().copied().collect();
    assert_eq!(once.len(), told.len(), "a lie is told twice");
    let implied: BTreeSet<Removed> = implied().into_keys().collect();
    assert!(once.is_disjoint(&implied), "listed, but needed");
    let explained: BTreeSet<Removed> = once.union(&implied).copied().collect();
    let missing: Vec<_> = all().difference(&explained).copied().collect();
    assert!(missing.is_empty(), "nothing says what these are for: {missing:?}");
    assert_eq!(explained, all());
}

/// What is said of those that are not needed.
#[test]
fn what_is_implied_is_what_it_is_said_to_be() {
    let mut values = Vec::new();
    for table in DENSE.tables() {
        let index = table.public.index;
        let of_table = implied().into_keys().filter_map(|removed| match removed {
            Removed::Take(of, n) if of == index => Some(n),
            _ => None,
        });
        let gives: Vec<usize> = of_table.collect();
        for row in (0..table.used()).filter(|_| !gives.is_empty()) {
            Edited::new(table).evaluate(row, &mut values);
            for (n, lookup) in table.air.lookups().enumerate() {
                let takes = values[lookup.multiplicity as usize] == Elem::ONE;
                assert!(!takes || !gives.contains(&n), "{} lookup {n}", table.air.name);
            }
        }
    }
    // That public column: cells::there_are_rows_of_every_kind.
}
