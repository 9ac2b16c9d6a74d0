//! The constraints at ζ, and the balance of the buses.

use p3_field::{PrimeCharacteristicRing, PrimeField32};

use super::super::child::{Child, HeightAt};
use super::super::machine::{Cell, Machine, Terms};
use super::transcript::{Opened, OpenedTable, Transcribed};
use crate::hash::Elem;
use crate::stark::air::{Air, Lookup, Node};
use crate::stark::field::K;

/// A value of an expression: one that is known, or a cell.
#[derive(Clone, Copy)]
enum Value {
    Known(Elem),
    Cell(Cell),
}

/// What all tables share.
struct Shared {
    alpha: Cell,
    /// `β^0, β^1, …`
    betas: Vec<Cell>,
}

/// The ends of a height at ζ.
struct Ends {
    first: Cell,
    last: Cell,
}

/// Demands that the buses balance and that all constraints hold.
pub fn check(machine: &mut Machine, child: &Child, said: &Transcribed, opened: &Opened) {
    let total = machine.total(&said.terminals);
    machine.demand(Terms::default().plus(-child.public_sum), total);
    let mut betas = vec![machine.one()];
    for i in 0..child.statement().longest_tuple() {
        betas.push(machine.product(betas[i], said.beta));
    }
    let shared = Shared { alpha: said.alpha, betas };
    for (height, chunks) in child.heights.iter().zip(&opened.chunks) {
        check_height(machine, child, said, opened, &shared, height, chunks);
    }
}

fn check_height(
    machine: &mut Machine,
    child: &Child,
    said: &Transcribed,
    opened: &Opened,
    shared: &Shared,
    height: &HeightAt,
    chunks: &[Cell],
) {
    let statement = &child.statement();
    let ends = Ends { first: machine.constant(height.first), last: machine.constant(height.last) };
    let mut constraints = Vec::new();
    for t in statement.of_height(height.log_rows) {
        let table = Table {
            air: statement.air(t),
            publics: &child.publics[t],
            opened: &opened.tables[t],
            terminal: said.terminals[t],
        };
        table.constraints(machine, shared, &ends, &mut constraints);
    }
    let sum = machine.horner(said.gamma, &constraints);
    let step = machine.constant(height.step);
    let quotient = machine.horner(step, chunks);
    let vanishing = machine.constant(height.vanishing);
    machine.demand(Terms::default().product(quotient, vanishing), sum);
}

struct Table<'a> {
    air: &'a Air,
    publics: &'a [K],
    opened: &'a OpenedTable,
    terminal: Cell,
}

impl Table<'_> {
    /// Appends the values of all constraints of a table, in order.
    fn constraints(
        &self,
        machine: &mut Machine,
        shared: &Shared,
        ends: &Ends,
        out: &mut Vec<Cell>,
    ) {
        let values = self.nodes(machine, ends);
        let own = self.air.constraints.iter().map(|&c| cell(machine, values[c as usize]));
        out.extend(own.collect::<Vec<_>>());
        for (group, &fraction) in self.air.groups.iter().zip(&self.opened.fractions) {
            let (numerator, denominator) = quotient(machine, shared, group, &values);
            let terms = Terms::default().product(fraction, denominator);
            out.push(machine.compute(terms.plus_c(numerator, Elem::NEG_ONE)));
        }
        let OpenedTable { fractions, sum, sum_after, .. } = self.opened;
        out.push(machine.product(ends.first, *sum));
        let total = machine.total(fractions);
        let after = machine.sum(*sum, total);
        let rest = machine.difference(*sum_after, after);
        let inside = Terms::default().scaled(ends.last, rest, Elem::NEG_ONE);
        out.push(machine.compute(inside.plus_b(rest, Elem::ONE)));
        let factors = [Elem::ONE, Elem::NEG_ONE];
        let end = Terms::default().products(ends.last, [after, self.terminal], factors);
        out.push(machine.compute(end));
    }

    /// The values of all nodes.
    fn nodes(&self, machine: &mut Machine, ends: &Ends) -> Vec<Value> {
        let mut values: Vec<Value> = Vec::with_capacity(self.air.nodes.len());
        for node in &self.air.nodes {
            let at = |i: u32| values[i as usize];
            let value = match *node {
                Node::Const(value) => Value::Known(Elem::new(value)),
                Node::Public(c) => Value::Cell(machine.constant(self.publics[c as usize])),
                Node::Main(c) => Value::Cell(self.opened.main[c as usize]),
                Node::Next(c) => {
                    let place = self.air.next.binary_search(&(c as usize));
                    Value::Cell(self.opened.next[place.expect("listed by the builder")])
                }
                Node::First => Value::Cell(ends.first),
                Node::Last => Value::Cell(ends.last),
                Node::Add(a, b) => add(machine, at(a), at(b), Elem::ONE),
                Node::Sub(a, b) => add(machine, at(a), at(b), Elem::NEG_ONE),
                Node::Mul(a, b) => multiply(machine, at(a), at(b)),
            };
            values.push(value);
        }
        values
    }
}

fn cell(machine: &mut Machine, value: Value) -> Cell {
    match value {
        Value::Cell(cell) => cell,
        Value::Known(value) => machine.constant(K::from(value)),
    }
}

/// `a + sign·b`.
fn add(machine: &mut Machine, a: Value, b: Value, sign: Elem) -> Value {
    let terms = match (a, b) {
        (Value::Known(a), Value::Known(b)) => return Value::Known(a + sign * b),
        (Value::Cell(a), Value::Known(b)) => {
            Terms::default().plus_a(a, Elem::ONE).plus(K::from(sign * b))
        }
        (Value::Known(a), Value::Cell(b)) => Terms::default().plus_a(b, sign).plus(K::from(a)),
        (Value::Cell(a), Value::Cell(b)) => Terms::default().plus_a(a, Elem::ONE).plus_b(b, sign),
    };
    Value::Cell(machine.compute(terms))
}

fn multiply(machine: &mut Machine, a: Value, b: Value) -> Value {
    let terms = match (a, b) {
        (Value::Known(a), Value::Known(b)) => return Value::Known(a * b),
        (Value::Cell(a), Value::Known(b)) | (Value::Known(b), Value::Cell(a)) => {
            Terms::default().plus_a(a, b)
        }
        (Value::Cell(a), Value::Cell(b)) => Terms::default().product(a, b),
    };
    Value::Cell(machine.compute(terms))
}

/// Numerator and denominator of the fraction of a group.
fn quotient(
    machine: &mut Machine,
    shared: &Shared,
    group: &[Lookup],
    values: &[Value],
) -> (Cell, Cell) {
    let mut found: Option<(Cell, Cell)> = None;
    for lookup in group {
        let own = denominator(machine, shared, lookup, values);
        let times = cell(machine, values[lookup.multiplicity as usize]);
        found = Some(match found {
            None => (times, own),
            Some((numerator, denominator)) => {
                let added = machine.product(denominator, times);
                (machine.fused(numerator, own, added), machine.product(denominator, own))
            }
        });
    }
    found.expect("a group has a lookup")
}

/// `α − (bus + Σ β^i·e_i)`.
fn denominator(machine: &mut Machine, shared: &Shared, lookup: &Lookup, values: &[Value]) -> Cell {
    let bus = K::from(-Elem::from_u32(lookup.bus));
    let start = machine.compute(Terms::default().plus_a(shared.alpha, Elem::ONE).plus(bus));
    lookup.tuple.iter().zip(&shared.betas[1..]).fold(start, |sum, (&e, &power)| {
        let terms = match values[e as usize] {
            Value::Known(value) if value.as_canonical_u32() == 0 => return sum,
            Value::Known(value) => Terms::default().plus_a(power, -value),
            Value::Cell(e) => Terms::default().scaled(power, e, Elem::NEG_ONE),
        };
        machine.compute(terms.plus_c(sum, Elem::ONE))
    })
}
