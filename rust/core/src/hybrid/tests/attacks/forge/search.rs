//! The search for a lie: a change of one or two cells, then repairs of what fails.

use std::collections::{BTreeSet, HashMap, HashSet};

use p3_field::{Field, PrimeCharacteristicRing, PrimeField32};

use super::{is_hash, output};
use crate::hash::{Elem, P};
use crate::hybrid::tables::{bus, index, node, record, sponge};
use crate::hybrid::tests::attacks::judge::{Edited, Table, key};
use crate::stark::air::{Air, BLIND, Lookup, Node};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    In,
    Out,
    Range,
    None,
}

/// What an expression looks at.
#[derive(Clone, Default)]
pub struct Cone {
    pub nodes: Vec<u32>,
    pub mains: Vec<usize>,
    pub nexts: Vec<usize>,
}

pub fn cone(air: &Air, root: u32) -> Cone {
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
pub enum Equation {
    Constraint(usize),
    /// Element of the tuple of a lookup whose tuple may not change.
    Tuple(usize, usize),
}

type Cell = (usize, usize);

pub struct Search<'a> {
    table: Table<'a>,
    /// Behind the table's: where lookups stand.
    pub lookups: Vec<&'a Lookup>,
    cones: Vec<Cone>,
    known: &'a HashSet<(u32, Vec<u32>)>,
    /// Of sponges: digests may not change, bytes may; else the other way round.
    reverse: bool,
    budget: usize,
    /// Only the obvious repair: a permutation is computed anew cell by cell.
    pub straight: bool,
    pub values: Vec<Elem>,
    /// Nodes of the true rows, and their columns that may not change.
    pub honest: HashMap<usize, (Vec<Elem>, Vec<usize>)>,
}

impl<'a> Search<'a> {
    pub fn new(table: Table<'a>, known: &'a HashSet<(u32, Vec<u32>)>, reverse: bool) -> Self {
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

    pub fn side(&self, lookup: &Lookup, times: Elem) -> Side {
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
            // What a record is said to hold.
            (index::RECORD, bus::BLOCK) => Side::Out,
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
            (index::SPONGE, bus::BLOCK, byte) if self.reverse => {
                public(sponge::PUBLIC.data[(byte - 1) / 3])
            }
            (index::SPONGE, bus::BLOCK, byte) => !public(sponge::PUBLIC.filling[(byte - 1) / 3]),
            // Not what a record holds to nothing.
            (index::RECORD, bus::BLOCK, byte) => {
                let [taken, fixed] = [record::PUBLIC.taken, record::PUBLIC.fixed];
                [taken, fixed].iter().any(|columns| public(columns[(byte - 1) / 3]))
            }
            (index::NODE, bus::DIGEST, _) => {
                let right = Node::Main(node::MAIN.right_digest[0] as u32);
                let of_right = self.table.air.nodes[lookup.tuple[1] as usize] == right;
                !(of_right && public(node::PUBLIC.alone))
            }
            _ => true,
        }
    }

    /// Nodes of a true row, and its columns that may not change.
    pub fn honest(&mut self, row: usize) -> &(Vec<Elem>, Vec<usize>) {
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
    pub fn look(&mut self, edited: &Edited) -> Option<(Option<(usize, Equation)>, bool)> {
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
    pub fn start(&mut self, row: usize, column: usize, deltas: &[i64]) -> Option<Edited<'a>> {
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
