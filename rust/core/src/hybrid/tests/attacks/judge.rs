//! An evaluator of changed witnesses that looks at nothing but what a change can reach.

use std::collections::{BTreeMap, HashMap, HashSet};

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use crate::hash::Elem;
use crate::hybrid::tables::bus;
use crate::stark::air::{Air, BLIND, Lookup, evaluate_row};
use crate::stark::{MainTable, PublicTable};

/// One table of a true witness, on all active rows.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    pub air: &'a Air,
    pub public: &'a PublicTable,
    pub main: &'a MainTable,
    pub active: usize,
}

impl<'a> Table<'a> {
    pub fn used(&self) -> usize {
        self.main.main.rows()
    }

    pub fn row(&self, row: usize) -> &'a [Elem] {
        if row < self.used() { self.main.main.row(row) } else { &self.main.padding }
    }

    pub fn publics(&self, row: usize) -> &'a [Elem] {
        let publics = &self.public.publics;
        if row < publics.rows() { publics.row(row) } else { &[] }
    }
}

/// What refuses a changed witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// A constraint, by its number.
    Constraint(usize),
    /// A range or act lookup, by its number in the table: its tuple stands nowhere.
    Range(usize),
    /// A bus does not balance.
    Bus(u32),
}

type Balance = HashMap<(u32, Vec<u32>), Elem>;

/// A table with some rows written anew.
#[derive(Clone)]
pub struct Edited<'a> {
    pub table: Table<'a>,
    pub rows: BTreeMap<usize, Vec<Elem>>,
}

impl<'a> Edited<'a> {
    pub fn new(table: Table<'a>) -> Self {
        Self { table, rows: BTreeMap::new() }
    }

    pub fn get(&self, row: usize, column: usize) -> Elem {
        self.row(row)[column]
    }

    pub fn row(&self, row: usize) -> &[Elem] {
        self.rows.get(&row).map_or(self.table.row(row), |cells| cells)
    }

    pub fn set(&mut self, row: usize, column: usize, value: Elem) {
        let table = self.table;
        self.rows.entry(row).or_insert_with(|| table.row(row).to_vec())[column] = value;
    }

    /// All nodes of a row.
    pub fn evaluate(&self, row: usize, values: &mut Vec<Elem>) {
        let table = self.table;
        let ends = (row == 0, row + 1 == table.active);
        // What follows the last active row is random.
        let random;
        let next = if ends.1 {
            random = vec![Elem::new(123_456_789); table.air.mains];
            &random[..]
        } else {
            self.row(row + 1)
        };
        evaluate_row(table.air, table.publics(row), self.row(row), next, ends, values);
    }

    /// The rows whose constraints a change can reach.
    pub fn reached(&self) -> Vec<usize> {
        let before =
            |&row: &usize| (!self.table.air.next.is_empty()).then(|| row.checked_sub(1))?;
        let mut rows: Vec<usize> =
            self.rows.keys().copied().chain(self.rows.keys().filter_map(before)).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn first_constraint(&self, values: &mut Vec<Elem>) -> Option<usize> {
        self.reached().into_iter().find_map(|row| {
            self.evaluate(row, values);
            self.table.air.constraints.iter().position(|&c| !values[c as usize].is_zero())
        })
    }

    /// Adds what the changed rows put on the buses, and takes away what they had put there.
    fn add_to(&self, balance: &mut Balance, values: &mut Vec<Elem>) {
        for &row in self.rows.keys() {
            let before = Self::new(self.table);
            for (edited, sign) in [(self, Elem::ONE), (&before, -Elem::ONE)] {
                edited.evaluate(row, values);
                for lookup in self.table.air.lookups().filter(|lookup| lookup.bus != BLIND) {
                    let times = values[lookup.multiplicity as usize];
                    if !times.is_zero() {
                        *balance.entry(key(lookup, values)).or_default() += sign * times;
                    }
                }
            }
        }
    }

    /// Everything that fails in the changed rows by themselves: constraints, and range or act lookups
    /// of tuples that are not in `known`. What other buses say is not looked at.
    pub fn own_failures(&self, known: &HashSet<(u32, Vec<u32>)>) -> Vec<Failure> {
        let (mut failures, mut values) = (Vec::new(), Vec::new());
        for row in self.reached() {
            self.evaluate(row, &mut values);
            for (i, &c) in self.table.air.constraints.iter().enumerate() {
                if !values[c as usize].is_zero() {
                    failures.push(Failure::Constraint(i));
                }
            }
            for (i, lookup) in self.table.air.lookups().enumerate() {
                let looked_up = matches!(lookup.bus, bus::RANGE | bus::ACT);
                let used = looked_up && !values[lookup.multiplicity as usize].is_zero();
                if used && !known.contains(&key(lookup, &values)) {
                    failures.push(Failure::Range(i));
                }
            }
        }
        failures.sort_unstable();
        failures.dedup();
        failures
    }
}

pub fn key(lookup: &Lookup, values: &[Elem]) -> (u32, Vec<u32>) {
    let tuple = lookup.tuple.iter().map(|&e| values[e as usize].as_canonical_u32());
    (lookup.bus, tuple.collect())
}

/// The first thing that refuses a witness that is true but for these tables.
pub fn refusal(edited: &[&Edited]) -> Option<Failure> {
    let mut values = Vec::new();
    let broken = edited.iter().find_map(|edited| edited.first_constraint(&mut values));
    if let Some(constraint) = broken {
        return Some(Failure::Constraint(constraint));
    }
    let mut balance = Balance::new();
    edited.iter().for_each(|edited| edited.add_to(&mut balance, &mut values));
    let off = balance.into_iter().find(|(_, sum)| !sum.is_zero());
    off.map(|((bus, _), _)| Failure::Bus(bus))
}
