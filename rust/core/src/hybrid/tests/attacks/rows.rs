//! Rows on which one constraint or one range refuses a wrong value, and nothing else does.
//!
//! `rows.txt` has for each the public columns, a true row, and a lie that takes the same from the buses
//! and puts another value on them. The lies are wraps around p: a limb, a carry or a fraction `k/σ` outside
//! its range that fits all other digits, found by solving the digits' equations for the one value. No
//! search from a true row reaches them, since all other limbs change as well.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use super::forge::{Removed, output};
use crate::hash::{Elem, P};
use crate::hybrid::tables::{TABLES, bus, class, index};
use crate::stark::air::{Air, BLIND, Node, evaluate_row};

/// A true row and a lie for the same public columns.
struct Row {
    index: usize,
    only: Removed,
    public: Vec<Elem>,
    honest: Vec<Elem>,
    lie: Vec<Elem>,
}

static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| include_str!("rows.txt").split("\n\n").map(Row::parse).collect());

impl Row {
    fn parse(text: &str) -> Self {
        let mut lines = text.trim().lines();
        let head: Vec<&str> = lines.next().expect("a head").split(' ').collect();
        let number = head[2].parse().expect("a number");
        let mut cells = |name: &str| {
            let line = lines.next().and_then(|line| line.strip_prefix(name)).expect(name);
            let cells = line.split_whitespace().map(|x| x.parse::<i64>().expect("an integer"));
            cells.map(Elem::from_i64).collect::<Vec<Elem>>()
        };
        Self {
            index: TABLES.airs.iter().position(|air| air.name == head[0]).expect("a table"),
            only: match head[1] {
                "constraint" => Removed::Constraint(number),
                _ => Removed::Lookup(number),
            },
            public: cells("public"),
            honest: cells("true"),
            lie: cells("lie"),
        }
    }

    fn air(&self) -> &'static Air {
        &TABLES.airs[self.index]
    }

    fn nodes(&self, main: &[Elem]) -> Vec<Elem> {
        let (air, mut values) = (self.air(), Vec::new());
        assert_eq!((self.public.len(), main.len()), (air.publics, air.mains), "{}", air.name);
        evaluate_row(air, &self.public, main, main, (false, false), &mut values);
        values
    }

    /// The constraints and ranges that refuse a row.
    fn refusals(&self, main: &[Elem]) -> BTreeSet<Removed> {
        let values = self.nodes(main);
        let constraints = self.air().constraints.iter().enumerate();
        let broken = constraints.filter(|(_, c)| !values[**c as usize].is_zero());
        let ranges = self.air().lookups().enumerate().filter(|(_, lookup)| {
            let at = |node: u32| values[node as usize];
            let used = lookup.bus == bus::RANGE && !at(lookup.multiplicity).is_zero();
            used && at(lookup.tuple[1]).as_canonical_u32() >= size(at(lookup.tuple[0]))
        });
        let broken = broken.map(|(i, _)| Removed::Constraint(i));
        broken.chain(ranges.map(|(n, _)| Removed::Lookup(n))).collect()
    }

    /// The tuples that a row takes from buses, or those that it puts on them; outputs are put.
    fn tuples(&self, main: &[Elem], put: bool) -> Vec<(u32, Vec<Elem>)> {
        let (air, values) = (self.air(), self.nodes(main));
        let is_output = |node: u32| {
            output(self.index).is_some_and(|c| air.nodes[node as usize] == Node::Main(c))
        };
        let lookups = air.lookups().filter(|lookup| {
            let times = values[lookup.multiplicity as usize];
            let puts =
                times.as_canonical_u32() > P / 2 || is_output(lookup.tuple[lookup.tuple.len() - 1]);
            !matches!(lookup.bus, BLIND | bus::RANGE) && !times.is_zero() && puts == put
        });
        let tuple = |tuple: &[u32]| tuple.iter().map(|&e| values[e as usize]).collect();
        lookups.map(|lookup| (lookup.bus, tuple(&lookup.tuple))).collect()
    }
}

/// Values of a class that is the same in every proof.
fn size(number: Elem) -> u32 {
    match i64::from(number.as_canonical_u32()) {
        class::LIMB => 4096,
        class::BYTE => 256,
        class::TOP => 127,
        _ => panic!("not a class of these rows"),
    }
}

/// What has a row here on which it alone refuses a lie.
pub fn needed() -> impl Iterator<Item = (usize, Removed)> {
    ROWS.iter().map(|row| (row.index, row.only))
}

#[test]
fn of_each_row_one_thing_alone_refuses_the_lie() {
    for row in ROWS.iter() {
        let name = format!("{} {:?}", row.air().name, row.only);
        assert_eq!(row.refusals(&row.honest), BTreeSet::new(), "{name}");
        assert_eq!(row.refusals(&row.lie), BTreeSet::from([row.only]), "{name}");
        assert_eq!(row.tuples(&row.honest, false), row.tuples(&row.lie, false), "{name}");
        assert_ne!(row.tuples(&row.honest, true), row.tuples(&row.lie, true), "{name}");
    }
}

#[test]
fn rows_are_there_for_what_they_are_said_to_be() {
    let of = |of: usize| needed().filter(move |(table, _)| *table == of).count();
    assert_eq!([index::LIMBS, index::GATE, index::DIV].map(of), [3, 7, 10]);
    assert_eq!(needed().collect::<BTreeSet<_>>().len(), ROWS.len());
}
