//! What each constraint and each lookup is for: without it, some row can lie.
//!
//! A row of a table takes something from the buses and puts something on them (of gates, picks, scans
//! and divs the output counts as what they put). A **lie** is a change of rows after which everything
//! holds, what is taken is the same, and what is put is another: whoever goes on from there computes
//! honestly from a wrong value. With all constraints and lookups the search below finds no lie; without
//! one of them it does, or the one is listed in [`NOT_FORGEABLE`] with the reason.
//!
//! The search changes one or two cells, then repairs what fails, cell by cell, by solving the failing
//! constraint for a cell in which it is linear (or for a limb and the one above it).

mod listed;
mod search;
mod starts;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use p3_field::Field;
use rayon::prelude::*;

use self::listed::{NOT_FORGEABLE, listed};
use self::search::{Search, Side};
use self::starts::lie;
use super::judge::{Edited, key};
use super::rows;
use super::subjects::{SUBJECTS, Subject};
use super::wraps::lies;
use crate::hybrid::tables::{TABLES, bus, div, gate, index, pick, scan};
use crate::stark::air::{Air, Lookup, Node};

/// What is taken away from a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removed {
    Nothing,
    Constraint(usize),
    Lookup(usize),
    Bus(u32),
}

impl Removed {
    /// The table of an index without it. Of a bus, what puts something on it stays.
    fn from(self, index: usize) -> Air {
        let air = &TABLES.airs[index];
        match self {
            Self::Nothing => air.clone(),
            Self::Constraint(i) => air.without_constraint(i),
            Self::Lookup(n) => air.without_lookups(|i, _| i == n),
            Self::Bus(bus) => {
                air.without_lookups(|n, lookup| lookup.bus == bus && takes(index, n, lookup))
            }
        }
    }
}

/// Column of the output in tables that put none on a bus.
pub fn output(index: usize) -> Option<u32> {
    match index {
        index::GATE => Some(gate::MAIN.y as u32),
        index::PICK => Some(pick::MAIN.y as u32),
        index::SCAN => Some(scan::MAIN.y as u32),
        index::DIV => Some(div::MAIN.y as u32),
        _ => None,
    }
}

/// Whether a lookup takes tuples from its bus: providers have a multiplicity below zero, `0 − …`.
fn takes(index: usize, number: usize, lookup: &Lookup) -> bool {
    let air = &TABLES.airs[index];
    let provides = match air.nodes[lookup.multiplicity as usize] {
        Node::Sub(a, _) => air.nodes[a as usize] == Node::Const(0),
        _ => false,
    };
    let is_output = |column| {
        lookup.bus == bus::READ && air.nodes[lookup.tuple[1] as usize] == Node::Main(column)
    };
    // A record row puts what it holds on the block that is hashed.
    let is_record = index == index::RECORD && lookup.bus == bus::BLOCK;
    number > 0 && !provides && !is_record && !output(index).is_some_and(is_output)
}

/// Tables that are mostly a permutation.
fn is_hash(air: &Air) -> bool {
    air.nodes.len() > 2000
}

/// All that refuses a lie told by hand, and whether its output is another one.
fn refusals(told: &Edited, known: &HashSet<(u32, Vec<u32>)>) -> (BTreeSet<Removed>, bool) {
    let mut search = Search::new(told.table, known, false);
    let (mut refusals, mut changed) = (BTreeSet::new(), false);
    for row in told.reached() {
        told.evaluate(row, &mut search.values);
        let broken = told.table.air.constraints.iter().enumerate();
        let broken = broken.filter(|(_, c)| !search.values[**c as usize].is_zero());
        refusals.extend(broken.map(|(i, _)| Removed::Constraint(i)));
        if !told.rows.contains_key(&row) {
            continue;
        }
        search.honest(row);
        let before = &search.honest[&row].0;
        for (n, lookup) in search.lookups.iter().enumerate() {
            let differs =
                lookup.tuple.iter().any(|&e| search.values[e as usize] != before[e as usize]);
            match search.side(lookup, search.values[lookup.multiplicity as usize]) {
                Side::In if differs => _ = refusals.insert(Removed::Lookup(n)),
                Side::Range if !known.contains(&key(lookup, &search.values)) => {
                    refusals.insert(Removed::Lookup(n));
                }
                Side::Out => changed |= differs,
                _ => {}
            }
        }
    }
    (refusals, changed)
}

/// What is all that refuses some lie of those that are told by hand.
fn by_hand() -> BTreeSet<(usize, Removed)> {
    let mut found: BTreeSet<(usize, Removed)> = rows::needed().collect();
    for (subject, told) in lies() {
        let (refusals, changed) = refusals(&told, &subject.known());
        let index = told.table.public.index;
        assert!(changed && !refusals.is_empty(), "{}: {refusals:?}", told.table.air.name);
        if let (1, Some(&only)) = (refusals.len(), refusals.first()) {
            found.insert((index, only));
            if let Removed::Lookup(n) = only {
                let lookup = told.table.air.lookups().nth(n).expect("a lookup");
                found.insert((index, Removed::Bus(lookup.bus)));
            }
        }
    }
    found
}

/// Everything that can be removed from a table, but for lookups that put tuples on their bus: without
/// one of those there is less to take, so that nothing is gained. The engine's lookup blinds terminals
/// (secrecy.rs).
fn removable(index: usize) -> Vec<Removed> {
    let air = &TABLES.airs[index];
    let lookups = air.lookups().enumerate();
    let taken: Vec<(usize, &Lookup)> = lookups.filter(|(n, l)| takes(index, *n, l)).collect();
    let buses: BTreeSet<u32> = taken.iter().map(|(_, lookup)| lookup.bus).collect();
    (0..air.constraints.len())
        .map(Removed::Constraint)
        .chain(taken.iter().map(|(n, _)| Removed::Lookup(*n)))
        .chain(buses.into_iter().map(Removed::Bus))
        .collect()
}

/// Removes everything, or all that is not listed and of permutations every ninth cell.
fn search(everything: bool) {
    let known: Vec<_> = SUBJECTS.iter().map(Subject::known).collect();
    let chosen = |&(index, removed): &(usize, Removed)| match removed {
        _ if everything => true,
        _ if listed(index, removed).is_some() => false,
        Removed::Constraint(i) if is_hash(&TABLES.airs[index]) => i % 9 == 4 || i >= 215,
        Removed::Lookup(n) if index == index::SPONGE => n % 5 == 1,
        _ => true,
    };
    let work: Vec<(usize, Removed)> = (0..TABLES.airs.len())
        .flat_map(|index| removable(index).into_iter().map(move |removed| (index, removed)))
        .filter(chosen)
        .collect();
    let told = by_hand();
    let found: Vec<(usize, Removed, Option<String>)> = work
        .into_par_iter()
        .with_max_len(1)
        .map(|(index, removed)| {
            let found = match told.contains(&(index, removed)) {
                true => Some("told by hand".into()),
                false => lie(index, removed, &known),
            };
            (index, removed, found)
        })
        .collect();
    let mut without: BTreeMap<&str, Vec<Removed>> = BTreeMap::new();
    let mut hit = vec![0; NOT_FORGEABLE.len()];
    let mut wrong = Vec::new();
    for (index, removed, lie) in &found {
        let name = TABLES.airs[*index].name.as_str();
        match (listed(*index, *removed), lie) {
            (Some(n), None) => hit[n] += 1,
            (Some(_), Some(lie)) => wrong.push(format!("{name} {removed:?}: listed, but {lie}")),
            (None, None) => without.entry(name).or_default().push(*removed),
            (None, Some(_)) => {}
        }
    }
    let lies = found.iter().filter(|(_, _, lie)| lie.is_some()).count();
    println!("{lies} of {} removals allow a lie", found.len());
    assert!(without.is_empty(), "no lie found: {without:?}");
    assert!(wrong.is_empty(), "{wrong:?}");
    for ((index, first, _, _), hits) in NOT_FORGEABLE.iter().zip(hit).filter(|_| everything) {
        assert!(hits > 0, "{}: {first:?} is not there", TABLES.airs[*index].name);
    }
}

#[test]
fn without_a_constraint_or_a_lookup_some_row_can_lie() {
    search(false);
}

#[test]
#[ignore = "nightly"]
fn without_any_constraint_or_lookup_some_row_can_lie() {
    search(true);
}

/// With everything in place no search finds a lie, wherever it starts.
#[test]
fn with_everything_in_place_no_row_can_lie() {
    let known: Vec<_> = SUBJECTS.iter().map(Subject::known).collect();
    let lies: Vec<String> = (0..index::ACT)
        .into_par_iter()
        .with_max_len(1)
        .filter_map(|index| {
            let found = lie(index, Removed::Nothing, &known)?;
            Some(format!("{}: {found}", TABLES.airs[index].name))
        })
        .collect();
    assert!(lies.is_empty(), "{lies:?}");
}
