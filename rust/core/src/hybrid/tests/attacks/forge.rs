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

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};
use rayon::prelude::*;

use super::judge::{Edited, Table, key};
use super::rows;
use super::subjects::{SUBJECTS, Subject};
use super::wraps::lies;
use crate::hash::{Elem, P};
use crate::hybrid::tables::{TABLES, bus, index};
use crate::stark::air::{Air, BLIND, Lookup, Node};

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
        index::GATE => Some(43),
        index::PICK => Some(13),
        index::SCAN => Some(12),
        index::DIV => Some(29),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
    Range,
    None,
}

/// What an expression looks at.
#[derive(Clone, Default)]
struct Cone {
    nodes: Vec<u32>,
    mains: Vec<usize>,
    nexts: Vec<usize>,
}

fn cone(air: &Air, root: u32) -> Cone {
    let mut seen = BTreeSet::from([root]);
    let mut open = vec![root];
    let mut cone = Cone::default();
    while let Some(node) = open.pop() {
        match air.nodes[node as usize] {
            Node::Add(a, b) | Node::Sub(a, b) | Node::Mul(a, b) => {
                open.extend([a, b].into_iter().filter(|&n| seen.insert(n)));
            }
            Node::Main(c) => cone.mains.push(c as usize),
            Node::Next(c) => cone.nexts.push(c as usize),
            _ => {}
        }
    }
    cone.nodes = seen.into_iter().collect();
    cone.mains.sort_unstable();
    cone.nexts.sort_unstable();
    cone
}

/// Something that a row must satisfy.
#[derive(Clone, Copy)]
enum Equation {
    Constraint(usize),
    /// Element of the tuple of a lookup whose tuple may not change.
    Tuple(usize, usize),
}

type Cell = (usize, usize);

struct Search<'a> {
    table: Table<'a>,
    /// Behind the table's: where lookups stand.
    lookups: Vec<&'a Lookup>,
    cones: Vec<Cone>,
    known: &'a HashSet<(u32, Vec<u32>)>,
    /// Of sponges: digests may not change, bytes may; else the other way round.
    reverse: bool,
    budget: usize,
    /// Only the obvious repair: a permutation is computed anew cell by cell.
    straight: bool,
    values: Vec<Elem>,
    /// Nodes of the true rows, and their columns that may not change.
    honest: HashMap<usize, (Vec<Elem>, Vec<usize>)>,
}

impl<'a> Search<'a> {
    fn new(table: Table<'a>, known: &'a HashSet<(u32, Vec<u32>)>, reverse: bool) -> Self {
        let air = table.air;
        Self {
            table,
            lookups: air.lookups().collect(),
            cones: air.constraints.iter().map(|&c| cone(air, c)).collect(),
            known,
            reverse,
            budget: 0,
            straight: is_hash(air),
            values: vec![],
            honest: HashMap::new(),
        }
    }

    fn side(&self, lookup: &Lookup, times: Elem) -> Side {
        let index = self.table.public.index;
        let is_output = |column| {
            let element = lookup.tuple.get(1).map(|&e| self.table.air.nodes[e as usize]);
            element == Some(Node::Main(column))
        };
        match (index, lookup.bus) {
            (_, BLIND) => Side::None,
            // Whether or not anyone takes the block; whether or not the child is known otherwise.
            (index::SPONGE, bus::BLOCK) => {
                if self.reverse {
                    Side::Out
                } else {
                    Side::In
                }
            }
            (index::NODE, _) if times.as_canonical_u32() <= P / 2 => Side::In,
            _ if times.is_zero() => Side::None,
            (_, bus::RANGE | bus::ACT) if index < index::ACT => Side::Range,
            (index::SPONGE, bus::DIGEST) => {
                if self.reverse {
                    Side::In
                } else {
                    Side::Out
                }
            }
            _ if output(index).is_some_and(is_output) => Side::Out,
            _ if times.as_canonical_u32() > P / 2 => Side::Out,
            _ => Side::In,
        }
    }

    /// Whether an element of a tuple matters. A block's salt says nothing, and what should be zero behind
    /// it or in place of a missing child is not taken from anywhere.
    fn counts(&self, row: usize, lookup: &Lookup, element: usize) -> bool {
        let public =
            |column: usize| self.table.publics(row).get(column).is_some_and(|x| !x.is_zero());
        match (self.table.public.index, lookup.bus, element) {
            (_, _, 0) => true,
            (index::SPONGE, bus::BLOCK, byte) if self.reverse => public(9 + (byte - 1) / 3),
            (index::SPONGE, bus::BLOCK, byte) => !public(74 + (byte - 1) / 3),
            (index::NODE, bus::DIGEST, _) => {
                let right = self.table.air.nodes[lookup.tuple[1] as usize] == Node::Main(9);
                !(right && public(8))
            }
            _ => true,
        }
    }

    /// Nodes of a true row, and its columns that may not change.
    fn honest(&mut self, row: usize) -> &(Vec<Elem>, Vec<usize>) {
        if !self.honest.contains_key(&row) {
            let (mut values, mut columns) = (Vec::new(), vec![0]);
            Edited::new(self.table).evaluate(row, &mut values);
            for lookup in &self.lookups {
                if self.side(lookup, values[lookup.multiplicity as usize]) == Side::In {
                    for (i, &e) in lookup.tuple.iter().enumerate() {
                        match self.table.air.nodes[e as usize] {
                            Node::Main(c) if self.counts(row, lookup, i) => {
                                columns.push(c as usize)
                            }
                            _ => {}
                        }
                    }
                }
            }
            self.honest.insert(row, (values, columns));
        }
        &self.honest[&row]
    }

    /// `None` where a range refuses; else the first equation that fails, and whether an output changed.
    fn look(&mut self, edited: &Edited) -> Option<(Option<(usize, Equation)>, bool)> {
        let (mut failing, mut changed) = (None, false);
        for row in edited.reached() {
            edited.evaluate(row, &mut self.values);
            if edited.rows.contains_key(&row) {
                self.honest(row);
                let before = &self.honest[&row].0;
                for (n, lookup) in self.lookups.iter().enumerate() {
                    let side = self.side(lookup, self.values[lookup.multiplicity as usize]);
                    if side == Side::None {
                        continue;
                    }
                    let mut elements = lookup.tuple.iter().enumerate();
                    let other = elements.find(|(i, e)| {
                        self.values[**e as usize] != before[**e as usize]
                            && self.counts(row, lookup, *i)
                    });
                    match (side, other) {
                        (Side::Range, Some(_))
                            if !self.known.contains(&key(lookup, &self.values)) =>
                        {
                            return None;
                        }
                        (Side::Out, Some(_)) => changed = true,
                        (Side::In, Some((e, _))) if failing.is_none() => {
                            failing = Some((row, Equation::Tuple(n, e)));
                        }
                        _ => {}
                    }
                }
            }
            let constraints = &self.table.air.constraints;
            let broken = constraints.iter().position(|&c| !self.values[c as usize].is_zero());
            if let Some(i) =
                broken.filter(|_| !matches!(failing, Some((_, Equation::Constraint(_)))))
            {
                failing = Some((row, Equation::Constraint(i)));
            }
        }
        Some((failing, changed))
    }

    /// The value of an equation, from its cone alone.
    fn value(&mut self, edited: &Edited, row: usize, equation: Equation) -> Elem {
        let (root, nodes) = match equation {
            Equation::Constraint(i) => (self.table.air.constraints[i], self.cones[i].nodes.clone()),
            Equation::Tuple(n, e) => {
                let root = self.lookups[n].tuple[e];
                (root, cone(self.table.air, root).nodes)
            }
        };
        let air = self.table.air;
        self.values.resize(air.nodes.len(), Elem::ZERO);
        let publics = self.table.publics(row);
        let last = row + 1 == self.table.active;
        for node in nodes {
            let at = |a: u32| self.values[a as usize];
            let value = match air.nodes[node as usize] {
                Node::Const(value) => Elem::new(value),
                Node::Public(c) => publics.get(c as usize).copied().unwrap_or_default(),
                Node::Main(c) => edited.get(row, c as usize),
                Node::Next(_) if last => Elem::new(123_456_789),
                Node::Next(c) => edited.get(row + 1, c as usize),
                Node::First => Elem::from_bool(row == 0),
                Node::Last => Elem::from_bool(last),
                Node::Add(a, b) => at(a) + at(b),
                Node::Sub(a, b) => at(a) - at(b),
                Node::Mul(a, b) => at(a) * at(b),
            };
            self.values[node as usize] = value;
        }
        let value = self.values[root as usize];
        match equation {
            Equation::Constraint(_) => value,
            Equation::Tuple(..) => value - self.honest(row).0[root as usize],
        }
    }

    /// The slope of an equation in a cell; `None` where it is not linear in it or does not see it.
    fn slope(
        &mut self,
        edited: &mut Edited,
        row: usize,
        equation: Equation,
        cell: Cell,
        at: Elem,
    ) -> Option<Elem> {
        let old = edited.get(cell.0, cell.1);
        edited.set(cell.0, cell.1, old + Elem::ONE);
        let one = self.value(edited, row, equation);
        edited.set(cell.0, cell.1, old + Elem::TWO);
        let two = self.value(edited, row, equation);
        edited.set(cell.0, cell.1, old);
        let slope = one - at;
        (two - one == slope && !slope.is_zero()).then_some(slope)
    }

    /// Repairs what fails, as far as the budget goes.
    fn repair(&mut self, edited: &mut Edited, touched: &mut Vec<Cell>, depth: usize) -> bool {
        if self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        let Some((failing, changed)) = self.look(edited) else { return false };
        let Some((row, equation)) = failing else { return changed };
        if depth == 0 {
            return false;
        }
        let cone = match equation {
            Equation::Constraint(i) => self.cones[i].clone(),
            Equation::Tuple(n, e) => cone(self.table.air, self.lookups[n].tuple[e]),
        };
        let mut cells: Vec<Cell> = cone.mains.iter().map(|&c| (row, c)).collect();
        if row + 1 < self.table.active {
            cells.extend(cone.nexts.iter().map(|&c| (row + 1, c)));
        }
        cells.retain(|cell| !touched.contains(cell) && !self.honest(cell.0).1.contains(&cell.1));
        cells.reverse();
        if self.straight {
            cells.truncate(1);
        }
        let at = self.value(edited, row, equation);
        let mut slopes: Vec<(Cell, Elem)> = Vec::new();
        for cell in cells {
            let Some(slope) = self.slope(edited, row, equation, cell, at) else { continue };
            slopes.push((cell, slope));
            let old = edited.get(cell.0, cell.1);
            edited.set(cell.0, cell.1, old - at * slope.inverse());
            touched.push(cell);
            if self.repair(edited, touched, depth - 1) {
                return true;
            }
            touched.pop();
            edited.set(cell.0, cell.1, old);
            if self.budget == 0 {
                return false;
            }
        }
        // A limb and the one above it.
        for &(low, slope) in &slopes {
            for &(high, above) in &slopes {
                for radix in [256i64, 4096, -256, -4096] {
                    if above != slope * Elem::from_i64(radix) {
                        continue;
                    }
                    let need = signed(-at * slope.inverse());
                    let (a, b) = (edited.get(low.0, low.1), edited.get(high.0, high.1));
                    let new = (signed(a) + need).rem_euclid(radix.abs());
                    let rest = need - (new - signed(a));
                    edited.set(low.0, low.1, Elem::from_i64(new));
                    edited.set(high.0, high.1, b + Elem::from_i64(rest / radix));
                    touched.extend([low, high]);
                    if self.repair(edited, touched, depth - 1) {
                        return true;
                    }
                    touched.truncate(touched.len() - 2);
                    edited.set(low.0, low.1, a);
                    edited.set(high.0, high.1, b);
                    if self.budget == 0 {
                        return false;
                    }
                }
            }
        }
        false
    }

    /// Tries changes of a column in a row.
    fn start(&mut self, row: usize, column: usize, deltas: &[i64]) -> Option<Edited<'a>> {
        let (budget, depth) = if self.straight { (400, 400) } else { (60, 40) };
        if self.honest(row).1.contains(&column) {
            return None;
        }
        for &delta in deltas {
            let mut edited = Edited::new(self.table);
            edited.set(row, column, edited.get(row, column) + Elem::from_i64(delta));
            self.budget = budget;
            if self.repair(&mut edited, &mut vec![(row, column)], depth) {
                return Some(edited);
            }
        }
        // A limb and the one above it the other way, also by a fraction.
        let high = column + 1;
        if high < self.table.air.mains && !self.honest(row).1.contains(&high) {
            let [byte, limb] = [256, 4096].map(|radix| Elem::from_i64(radix).inverse());
            let whole = [(256, -1), (-256, 1), (4096, -1), (-4096, 1)];
            let whole = whole.map(|(low, carry)| (low, Elem::from_i64(carry)));
            for (low, carry) in
                whole.into_iter().chain([(1, -byte), (-1, byte), (1, -limb), (-1, limb)])
            {
                let mut edited = Edited::new(self.table);
                edited.set(row, column, edited.get(row, column) + Elem::from_i64(low));
                edited.set(row, high, edited.get(row, high) + carry);
                self.budget = budget;
                if self.repair(&mut edited, &mut vec![(row, column), (row, high)], depth) {
                    return Some(edited);
                }
            }
        }
        None
    }
}

fn signed(x: Elem) -> i64 {
    let x = i64::from(x.as_canonical_u32());
    if x > i64::from(P) / 2 { x - i64::from(P) } else { x }
}

pub fn known(subject: &Subject) -> HashSet<(u32, Vec<u32>)> {
    let mut entries = HashSet::new();
    for (index, bus, width) in [(index::RANGE, bus::RANGE, 2), (index::ACT, bus::ACT, 3)] {
        let Some(table) = subject.schedule.table(index) else { continue };
        for row in 0..table.publics.rows() {
            let tuple = &table.publics.row(row)[3..3 + width];
            entries.insert((bus, tuple.iter().map(|e| e.as_canonical_u32()).collect()));
        }
    }
    entries
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
    number > 0 && !provides && !output(index).is_some_and(is_output)
}

/// Tables that are mostly a permutation.
fn is_hash(air: &Air) -> bool {
    air.nodes.len() > 2000
}

/// Rows in which a search starts: some, and those in which publics that matter are not zero.
fn rows(table: Table, publics: &[usize]) -> Vec<usize> {
    let used = table.used();
    let on = |&c: &usize| (0..used).find(|&row| !table.publics(row)[c].is_zero());
    let mut rows: Vec<usize> = publics.iter().filter_map(on).collect();
    rows.truncate(4);
    rows.extend([0, 1.min(used - 1), used / 2, used - 1]);
    if !is_hash(table.air) {
        rows.extend((1..10).map(|i| used * i / 10));
    }
    let mut seen = BTreeSet::new();
    rows.retain(|&row| seen.insert(row));
    rows
}

/// Public columns that something removed looks at.
fn publics(air: &Air, removed: Removed) -> Vec<usize> {
    let of = |root: u32| {
        let nodes = cone(air, root).nodes.into_iter().map(|n| air.nodes[n as usize]);
        nodes
            .filter_map(|n| if let Node::Public(c) = n { Some(c as usize) } else { None })
            .collect::<Vec<_>>()
    };
    match removed {
        Removed::Constraint(i) => of(air.constraints[i]),
        Removed::Lookup(n) => of(air.lookups().nth(n).expect("a lookup").multiplicity),
        _ => vec![],
    }
}

/// Columns that something removed had to do with, with many changes; then all, with a few.
fn columns(air: &Air, removed: Removed) -> (Vec<usize>, Vec<usize>) {
    let of = |root: u32| cone(air, root).mains;
    let tuples = |keep: &dyn Fn(usize, &Lookup) -> bool| -> Vec<usize> {
        let lookups = air.lookups().enumerate().filter(|(n, lookup)| keep(*n, lookup));
        lookups
            .flat_map(|(_, lookup)| lookup.tuple.iter().flat_map(|&e| of(e)).collect::<Vec<_>>())
            .collect()
    };
    let mut first = match removed {
        Removed::Nothing => vec![],
        Removed::Constraint(i) => {
            let cone = cone(air, air.constraints[i]);
            cone.nexts.iter().chain(cone.mains.iter().rev()).copied().collect()
        }
        Removed::Lookup(n) => {
            let own = tuples(&|i, _| i == n);
            own.iter().copied().chain(own.iter().map(|c| c.saturating_sub(1))).collect()
        }
        Removed::Bus(bus) => tuples(&|_, lookup| lookup.bus == bus),
    };
    let mut seen = BTreeSet::from([0]);
    first.retain(|&column| seen.insert(column));
    let mut rest: Vec<usize> = (1..air.mains).rev().filter(|column| seen.insert(*column)).collect();
    if is_hash(air) {
        first.truncate(3);
        rest = if removed == Removed::Nothing {
            rest.into_iter().step_by(9).collect()
        } else {
            vec![]
        };
    }
    (first, rest)
}

const FEW: [i64; 7] = [1, -1, 16, -16, 4096, -4096, 123_456_789];
const MANY: [i64; 29] = [
    1,
    -1,
    2,
    -2,
    4,
    -4,
    8,
    -8,
    16,
    -16,
    32,
    -32,
    64,
    -64,
    128,
    -128,
    256,
    -256,
    1 << 10,
    -(1 << 10),
    1 << 12,
    -(1 << 12),
    1 << 14,
    -(1 << 14),
    1 << 16,
    -(1 << 16),
    1 << 20,
    1 << 22,
    123_456_789,
];

/// Which of a sponge's sides is taken as given: its bytes, or (of what ranges them) its digest.
fn modes(index: usize, removed: Removed) -> &'static [bool] {
    match removed {
        _ if index != index::SPONGE => &[false],
        Removed::Nothing => &[false, true],
        Removed::Constraint(_) => &[false],
        _ => &[true],
    }
}

/// Searches a lie in the rows of a table without something.
fn lie(index: usize, removed: Removed, known: &[HashSet<(u32, Vec<u32>)>]) -> Option<String> {
    let honest = &TABLES.airs[index];
    let weak = removed.from(index);
    let (first, rest) = columns(honest, removed);
    let publics = publics(honest, removed);
    for (columns, deltas) in [(first, &MANY[..]), (rest, &FEW[..])] {
        for &reverse in modes(index, removed) {
            let subjects = SUBJECTS.iter().zip(known);
            for (subject, known) in subjects {
                for table in subject.tables().filter(|table| table.public.index == index) {
                    let mut search = Search::new(Table { air: &weak, ..table }, known, reverse);
                    for row in rows(table, &publics) {
                        for &column in &columns {
                            // Bytes that say the same otherwise change two at once.
                            let deltas = match (search.straight, reverse) {
                                (true, true) => &[][..],
                                (true, false) => &[1],
                                _ => deltas,
                            };
                            let Some(found) = search.start(row, column, deltas) else { continue };
                            // With what was removed, it is refused.
                            let edited = Edited { table, rows: found.rows };
                            let mut whole = Search::new(table, known, reverse);
                            let refused =
                                whole.look(&edited).is_none_or(|(failing, _)| failing.is_some());
                            assert!(
                                refused || removed == Removed::Nothing,
                                "{} {removed:?}",
                                honest.name
                            );
                            return Some(format!("{} row {row} column {column}", subject.name));
                        }
                    }
                }
            }
        }
    }
    None
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
        let (refusals, changed) = refusals(&told, &known(subject));
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

const UNREAD: &str =
    "redundant: nothing reads these cells of the last round (digests are 0 … 7, chains 16 … 23)";
const NEVER: &str = "redundant: the first element of a block is never filling";
const TWICE: &str = "redundant each by itself: that the third digit vanishes, and the range of the \
    carry into it, say the same (wraps::the_third_digit_is_bound_twice)";
const DOMAIN: &str = "refuses values, not results: a leaf with a value outside its declared range; \
    shown by wraps::wide_values_outside_their_range_are_refused";
const FEW_WORDS: &str = "a lie takes a word of which there are few (below 2^24 − 1, or 2^24·k − 1); \
    shown by wraps::words_have_one_decomposition";
const ONE_SUM: &str = "redundant: bytes of this pair stand in digits 1 and 2 only. Those two added, \
    the second times 2^24, say its sum, which the acc bus gives modulo p: however it is cut, u2 and u3 \
    are the same";
const NO_FRACTION: &str = "redundant: this carry could be k/64 − 32, k below 4096; the next one is \
    what the third digit makes it, so the second digit may move by less than 2^24, and no k that 64 \
    does not divide has k/64 modulo p so near to an integer of its range (all k were tried)";
const HIGH_LIMB: &str = "redundant: 64 times the high limb is below 4096, so it is k/64 and the carry \
    low + 64·k: still an integer, below 2^17 + 4032, for which the bounds of the identity have room";
const TOP_CARRIES: &str = "redundant: shifts end at 44, so digit 5 is public and digit 4 public but \
    for 2^(s−36)·t1: both carries are what a ranged t1 makes them, at most 2^(κ+s−48) ≤ 2^15";
const QUOTIENT: &str = "redundant: t0 and t1 are limbs without it, so the identity holds over the \
    integers, and its quotient is the only one: t' < 2^(κ+1) follows";
const HIGH_QUOTIENT: &str = "redundant: t1 may be k/σ, and 4096·t1 is an integer. Where 2^b'·t1 is one, \
    too, the same t' is written otherwise; else it is a multiple of p/σ away, at least 2^(κ+8) and \
    more than the quotient has room for (searched over shifts, multipliers and all k: no lie)";
const ROUNDING: &str = "redundant: p0 + 4096·p1 is the value that was read, which is below 2^b where it \
    comes from; two limbs write it in one way. (p0 alone: with b < 12, p1 is zero; else σ is 1)";
const DIV_CARRIES: &str = "redundant: digit 4 is d2, a bit or zero, and makes the last carry; digit 3 \
    is d1 − two·q1·d2 and makes the third, below 2^14: integers in their range by themselves";
const MIDDLE_DENOMINATOR: &str = "redundant: digit 3 says that d1 is an integer below 2^18, and then \
    d0 + 4096·d1 + 2^24·d2 is the denominator over the integers, not only modulo p; a root's is q1";
const LAST_DIFFERENCE: &str = "redundant: 1024 times w2 is a limb, so 2^24·w2 = 2^14·k, an integer below \
    2^26 and not negative: w ≥ 0 all the same";

/// Without these the search finds no lie: table, first and last that is removed, why.
const NOT_FORGEABLE: &[(usize, Removed, Removed, &str)] = {
    use Removed::{Bus, Constraint, Lookup};
    &[
        (index::SPONGE, Constraint(199), Constraint(206), UNREAD),
        (index::SPONGE, Constraint(231), Constraint(231), NEVER),
        (index::NODE, Constraint(140), Constraint(147), UNREAD),
        (index::WIDE, Constraint(1), Constraint(2), DOMAIN),
        (index::WIDE, Lookup(1), Lookup(4), DOMAIN),
        (index::WIDE, Bus(bus::RANGE), Bus(bus::RANGE), DOMAIN),
        (index::LIMBS, Constraint(2), Constraint(2), TWICE),
        // Bytes of the pairs (1, 2), (2, 1), (2, 2).
        (index::LIMBS, Lookup(27), Lookup(30), ONE_SUM),
        (index::LIMBS, Lookup(37), Lookup(40), ONE_SUM),
        (index::LIMBS, Lookup(42), Lookup(45), ONE_SUM),
        // Carries.
        (index::LIMBS, Lookup(50), Lookup(50), NO_FRACTION),
        (index::LIMBS, Lookup(52), Lookup(53), TWICE),
        (index::GATE, Constraint(10), Constraint(11), QUOTIENT),
        (index::GATE, Constraint(16), Constraint(17), ROUNDING),
        (index::GATE, Lookup(8), Lookup(8), HIGH_LIMB),
        (index::GATE, Lookup(11), Lookup(11), HIGH_LIMB),
        (index::GATE, Lookup(14), Lookup(14), HIGH_LIMB),
        (index::GATE, Lookup(16), Lookup(21), TOP_CARRIES),
        (index::GATE, Lookup(23), Lookup(23), QUOTIENT),
        (index::GATE, Lookup(24), Lookup(24), HIGH_QUOTIENT),
        (index::GATE, Lookup(25), Lookup(25), QUOTIENT),
        (index::GATE, Lookup(34), Lookup(35), ROUNDING),
        (index::GATE, Lookup(37), Lookup(37), ROUNDING),
        (index::DIV, Lookup(2), Lookup(2), HIGH_LIMB),
        (index::DIV, Lookup(5), Lookup(5), HIGH_LIMB),
        (index::DIV, Lookup(7), Lookup(12), DIV_CARRIES),
        (index::DIV, Lookup(16), Lookup(16), MIDDLE_DENOMINATOR),
        (index::DIV, Lookup(25), Lookup(25), LAST_DIFFERENCE),
        (index::BITS, Constraint(2), Constraint(3), FEW_WORDS),
    ]
};

/// The number of the entry that lists something.
fn listed(index: usize, removed: Removed) -> Option<usize> {
    NOT_FORGEABLE
        .iter()
        .position(|(of, first, last, _)| *of == index && (*first..=*last).contains(&removed))
}

/// Removes everything, or all that is not listed and of permutations every ninth cell.
fn search(everything: bool) {
    let known: Vec<_> = SUBJECTS.iter().map(known).collect();
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
    let known: Vec<_> = SUBJECTS.iter().map(known).collect();
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
