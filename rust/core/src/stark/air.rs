//! Tables as data (docs/stark.md section 1): expressions, constraints, lookups, their canonical bytes.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::{Add, Mul, Neg, Sub};
use std::rc::Rc;

use p3_field::{PrimeCharacteristicRing, PrimeField32};
use sha2::{Digest, Sha256};

use crate::hash::{Elem, P};

const MAGIC: &[u8; 8] = b"ZKTAIR01";
const DIGEST_TAG: &[u8] = b"zktally tables v1\0";
/// Lookups of one fraction column.
const GROUP: usize = 3;
pub const MAX_DEGREE: usize = 4;
/// The bus that blinds terminals.
pub const BLIND: u32 = 0;
/// Public columns of the engine, which come first in every table: whether a row has a mask, its tag.
pub const ENGINE_PUBLICS: usize = 2;
/// Main columns of the engine: the mask.
pub const ENGINE_MAINS: usize = 1;

/// One node of an expression; operands are earlier nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    Const(u32),
    Public(u32),
    Main(u32),
    Next(u32),
    First,
    Last,
    Add(u32, u32),
    Sub(u32, u32),
    Mul(u32, u32),
}

/// A claim that a tuple stands on a bus, so many times; nodes of expressions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    pub bus: u32,
    pub multiplicity: u32,
    pub tuple: Vec<u32>,
}

/// A table: columns, constraints, lookups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Air {
    pub name: String,
    pub publics: usize,
    pub mains: usize,
    pub nodes: Vec<Node>,
    pub constraints: Vec<u32>,
    pub groups: Vec<Vec<Lookup>>,
    /// Main columns that are read one row on, ascending.
    pub next: Vec<usize>,
}

impl Air {
    /// Constraints of the table with those of its groups and accumulator.
    pub fn all_constraints(&self) -> usize {
        self.constraints.len() + self.groups.len() + 3
    }

    /// Elements of K that are opened for the table.
    pub fn openings(&self) -> usize {
        self.mains + self.next.len() + self.groups.len() + 2
    }

    pub fn lookups(&self) -> impl Iterator<Item = &Lookup> {
        self.groups.iter().flatten()
    }

    /// The same table with only these lookups and no constraints.
    pub fn only_lookups(&self, keep: impl Fn(&Lookup) -> bool) -> Self {
        let groups = vec![self.lookups().filter(|l| keep(l)).cloned().collect()];
        Self { constraints: vec![], groups, ..self.clone() }.compact()
    }

    /// The same table without constraint `i` (for tests of what each one is for).
    pub fn without_constraint(&self, i: usize) -> Self {
        let mut air = self.clone();
        air.constraints.remove(i);
        air
    }

    /// The same table without some of its lookups, by their numbers (for the same tests).
    pub fn without_lookups(&self, remove: impl Fn(usize, &Lookup) -> bool) -> Self {
        let mut number = 0;
        let mut air = self.clone();
        for group in &mut air.groups {
            group.retain(|lookup| {
                number += 1;
                !remove(number - 1, lookup)
            });
        }
        air
    }

    /// The degree of a node in the columns.
    pub fn degrees(&self) -> Vec<usize> {
        let mut degrees: Vec<usize> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            degrees.push(match *node {
                Node::Const(_) => 0,
                Node::Add(a, b) | Node::Sub(a, b) => degrees[a as usize].max(degrees[b as usize]),
                Node::Mul(a, b) => degrees[a as usize] + degrees[b as usize],
                _ => 1,
            });
        }
        degrees
    }

    /// Drops nodes that nothing uses.
    fn compact(self) -> Self {
        let mut used = vec![false; self.nodes.len()];
        let roots =
            self.groups.iter().flatten().flat_map(|l| l.tuple.iter().chain([&l.multiplicity]));
        self.constraints.iter().chain(roots).for_each(|&root| used[root as usize] = true);
        for (i, node) in self.nodes.iter().enumerate().rev() {
            if let (true, Node::Add(a, b) | Node::Sub(a, b) | Node::Mul(a, b)) = (used[i], *node) {
                used[a as usize] = true;
                used[b as usize] = true;
            }
        }
        let mut number = vec![0u32; self.nodes.len()];
        let mut nodes = Vec::new();
        for (i, node) in self.nodes.iter().enumerate().filter(|(i, _)| used[*i]) {
            number[i] = nodes.len() as u32;
            let at = |a: u32| number[a as usize];
            nodes.push(match *node {
                Node::Add(a, b) => Node::Add(at(a), at(b)),
                Node::Sub(a, b) => Node::Sub(at(a), at(b)),
                Node::Mul(a, b) => Node::Mul(at(a), at(b)),
                leaf => leaf,
            });
        }
        let at = |a: &u32| number[*a as usize];
        let lookup = |l: &Lookup| Lookup {
            bus: l.bus,
            multiplicity: at(&l.multiplicity),
            tuple: l.tuple.iter().map(at).collect(),
        };
        let next: BTreeSet<usize> = nodes
            .iter()
            .filter_map(|node| if let Node::Next(c) = node { Some(*c as usize) } else { None })
            .collect();
        Self {
            constraints: self.constraints.iter().map(at).collect(),
            groups: self.groups.iter().map(|g| g.iter().map(lookup).collect()).collect(),
            next: next.into_iter().collect(),
            nodes,
            ..self
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.name.len() as u8);
        out.extend(self.name.as_bytes());
        let short = |out: &mut Vec<u8>, n: usize| out.extend((n as u16).to_le_bytes());
        let long = |out: &mut Vec<u8>, n: u32| out.extend(n.to_le_bytes());
        short(out, self.publics);
        short(out, self.mains);
        long(out, self.nodes.len() as u32);
        for node in &self.nodes {
            let (kind, operands): (u8, &[u32]) = match node {
                Node::Const(value) => (0, &[*value]),
                Node::Public(c) => (1, &[*c]),
                Node::Main(c) => (2, &[*c]),
                Node::Next(c) => (3, &[*c]),
                Node::First => (4, &[]),
                Node::Last => (5, &[]),
                Node::Add(a, b) => (6, &[*a, *b]),
                Node::Sub(a, b) => (7, &[*a, *b]),
                Node::Mul(a, b) => (8, &[*a, *b]),
            };
            out.push(kind);
            for &operand in operands {
                if (1..=3).contains(&kind) {
                    short(out, operand as usize);
                } else {
                    long(out, operand);
                }
            }
        }
        long(out, self.constraints.len() as u32);
        self.constraints.iter().for_each(|&c| long(out, c));
        short(out, self.groups.len());
        for group in &self.groups {
            out.push(group.len() as u8);
            for lookup in group {
                short(out, lookup.bus as usize);
                long(out, lookup.multiplicity);
                short(out, lookup.tuple.len());
                lookup.tuple.iter().for_each(|&e| long(out, e));
            }
        }
    }
}

/// All tables of a proof system, in order; the last one balances the blinding.
#[derive(Clone, Debug)]
pub struct Tables {
    pub airs: Vec<Air>,
    pub digest: [u8; 32],
}

impl Tables {
    /// Tables of these definitions.
    ///
    /// # Panics
    /// Where tuples on one bus differ in length: with zeros behind the shorter they would be equal
    /// (tables are code, not input).
    pub fn new(airs: Vec<Air>) -> Self {
        let mut lengths = HashMap::new();
        for (air, lookup) in airs.iter().flat_map(|air| air.lookups().map(move |l| (air, l))) {
            let length = *lengths.entry(lookup.bus).or_insert(lookup.tuple.len());
            assert_eq!(length, lookup.tuple.len(), "{}: tuple on bus {}", air.name, lookup.bus);
        }
        let digest = Sha256::new()
            .chain_update(DIGEST_TAG)
            .chain_update(Self::bytes_of(&airs))
            .finalize()
            .into();
        Self { airs, digest }
    }

    /// Elements of the tuples of a bus; `None` where no table uses it.
    pub fn tuple_length(&self, bus: u32) -> Option<usize> {
        let mut lookups = self.airs.iter().flat_map(Air::lookups);
        lookups.find(|lookup| lookup.bus == bus).map(|lookup| lookup.tuple.len())
    }

    /// The canonical bytes of the tables file.
    pub fn bytes(&self) -> Vec<u8> {
        Self::bytes_of(&self.airs)
    }

    fn bytes_of(airs: &[Air]) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend((airs.len() as u16).to_le_bytes());
        airs.iter().for_each(|air| air.encode(&mut out));
        out
    }
}

#[derive(Default)]
struct Arena {
    nodes: Vec<Node>,
    numbers: HashMap<Node, u32>,
}

impl Arena {
    fn put(&mut self, node: Node) -> u32 {
        *self.numbers.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() as u32 - 1
        })
    }
}

/// An expression of a table under construction.
#[derive(Clone)]
pub struct Expr {
    arena: Rc<RefCell<Arena>>,
    id: u32,
}

impl Expr {
    fn node(&self) -> Node {
        self.arena.borrow().nodes[self.id as usize]
    }

    fn with(&self, node: Node) -> Self {
        let id = self.arena.borrow_mut().put(node);
        Self { arena: self.arena.clone(), id }
    }

    fn constant(&self, value: i64) -> Self {
        self.with(Node::Const(value.rem_euclid(i64::from(P)) as u32))
    }

    fn value(&self) -> Option<u32> {
        if let Node::Const(value) = self.node() { Some(value) } else { None }
    }

    /// The cube.
    pub fn cube(&self) -> Self {
        self.clone() * self.clone() * self.clone()
    }
}

fn folded(op: fn(Elem, Elem) -> Elem, a: &Expr, b: &Expr) -> Option<Expr> {
    let (x, y) = (a.value()?, b.value()?);
    Some(a.with(Node::Const(op(Elem::new(x), Elem::new(y)).as_canonical_u32())))
}

impl Add for Expr {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        match (self.value(), other.value()) {
            (Some(0), _) => other,
            (_, Some(0)) => self,
            _ => folded(|x, y| x + y, &self, &other)
                .unwrap_or_else(|| self.with(Node::Add(self.id, other.id))),
        }
    }
}

impl Sub for Expr {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        match other.value() {
            Some(0) => self,
            _ => folded(|x, y| x - y, &self, &other)
                .unwrap_or_else(|| self.with(Node::Sub(self.id, other.id))),
        }
    }
}

impl Mul for Expr {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        match (self.value(), other.value()) {
            (Some(0), _) | (_, Some(1)) => self,
            (_, Some(0)) | (Some(1), _) => other,
            _ => folded(|x, y| x * y, &self, &other)
                .unwrap_or_else(|| self.with(Node::Mul(self.id, other.id))),
        }
    }
}

impl Neg for Expr {
    type Output = Self;
    fn neg(self) -> Self {
        self.constant(0) - self
    }
}

macro_rules! with_constants {
    ($($op:ident $method:ident),*) => {$(
        impl $op<i64> for Expr {
            type Output = Expr;
            fn $method(self, other: i64) -> Expr {
                let other = self.constant(other);
                $op::$method(self, other)
            }
        }
        impl $op<Expr> for i64 {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                let this = other.constant(self);
                $op::$method(this, other)
            }
        }
    )*};
}
with_constants!(Add add, Sub sub, Mul mul);

/// A table under construction. Every table begins with the engine's columns and lookup.
pub struct Builder {
    name: &'static str,
    arena: Rc<RefCell<Arena>>,
    publics: usize,
    mains: usize,
    constraints: Vec<u32>,
    lookups: Vec<Lookup>,
}

impl Builder {
    /// A table; `balance` is true for the last one, which takes back what the others add to the
    /// blinding bus.
    pub fn new(name: &'static str, balance: bool) -> Self {
        let mut builder = Self {
            name,
            arena: Rc::default(),
            publics: 0,
            mains: 0,
            constraints: vec![],
            lookups: vec![],
        };
        let [on, tag] = [0, 1].map(|c| builder.public(c));
        let mask = builder.main(0);
        let times = on * mask;
        let times = if balance { -times } else { times };
        builder.lookup(BLIND, times, [tag]);
        builder
    }

    fn leaf(&self, node: Node) -> Expr {
        let id = self.arena.borrow_mut().put(node);
        Expr { arena: self.arena.clone(), id }
    }

    /// Public column `c`.
    pub fn public(&mut self, c: usize) -> Expr {
        self.publics = self.publics.max(c + 1);
        self.leaf(Node::Public(c as u32))
    }

    /// Main column `c`.
    pub fn main(&mut self, c: usize) -> Expr {
        self.mains = self.mains.max(c + 1);
        self.leaf(Node::Main(c as u32))
    }

    /// A main column one row on.
    pub fn next(&self, column: &Expr) -> Expr {
        let Node::Main(c) = column.node() else { panic!("only main columns have a next row") };
        self.leaf(Node::Next(c))
    }

    pub fn constant(&self, value: i64) -> Expr {
        self.leaf(Node::Const(value.rem_euclid(i64::from(P)) as u32))
    }

    pub fn element(&self, value: Elem) -> Expr {
        self.leaf(Node::Const(value.as_canonical_u32()))
    }

    pub fn first(&self) -> Expr {
        self.leaf(Node::First)
    }

    pub fn last(&self) -> Expr {
        self.leaf(Node::Last)
    }

    /// Demands that an expression is zero on every active row.
    pub fn zero(&mut self, expr: Expr) {
        self.constraints.push(expr.id);
    }

    pub fn equal(&mut self, a: Expr, b: Expr) {
        self.zero(a - b);
    }

    /// Demands 0 or 1.
    pub fn boolean(&mut self, x: &Expr) {
        self.zero(x.clone() * (x.clone() - 1));
    }

    /// Takes a tuple from a bus, `times` times; negative for a provider.
    pub fn lookup(&mut self, bus: u32, times: Expr, tuple: impl IntoIterator<Item = Expr>) {
        let tuple = tuple.into_iter().map(|e| e.id).collect();
        self.lookups.push(Lookup { bus, multiplicity: times.id, tuple });
    }

    /// The finished table.
    ///
    /// # Panics
    /// Where a degree is above its limit: tables are code, not input.
    pub fn build(&self) -> Air {
        let groups = self.lookups.chunks(GROUP).map(<[Lookup]>::to_vec).collect();
        let nodes = self.arena.borrow().nodes.clone();
        let air = Air {
            name: self.name.to_string(),
            publics: self.publics,
            mains: self.mains,
            nodes,
            constraints: self.constraints.clone(),
            groups,
            next: vec![],
        }
        .compact();
        let degrees = air.degrees();
        let of = |node: u32| degrees[node as usize];
        for (i, &c) in air.constraints.iter().enumerate() {
            assert!(of(c) <= MAX_DEGREE, "{}: constraint {i} has degree {}", air.name, of(c));
        }
        for lookup in air.lookups() {
            assert!(of(lookup.multiplicity) <= 2, "{}: multiplicity of {lookup:?}", air.name);
            assert!(lookup.tuple.iter().all(|&e| of(e) <= 1), "{}: tuple of {lookup:?}", air.name);
        }
        air
    }
}

/// Evaluates all nodes on one row of base elements.
pub fn evaluate_row(
    air: &Air,
    publics: &[Elem],
    main: &[Elem],
    next: &[Elem],
    (first, last): (bool, bool),
    out: &mut Vec<Elem>,
) {
    out.clear();
    for node in &air.nodes {
        out.push(match *node {
            Node::Const(value) => Elem::new(value),
            Node::Public(c) => publics.get(c as usize).copied().unwrap_or_default(),
            Node::Main(c) => main[c as usize],
            Node::Next(c) => next[c as usize],
            Node::First => Elem::from_bool(first),
            Node::Last => Elem::from_bool(last),
            Node::Add(a, b) => out[a as usize] + out[b as usize],
            Node::Sub(a, b) => out[a as usize] - out[b as usize],
            Node::Mul(a, b) => out[a as usize] * out[b as usize],
        });
    }
}
