//! The expressions of a table as a list of operations on many rows at once.
//!
//! The list works in one array, its *room*: columns stand at its front, and a result is kept only while
//! something needs it. So the room stays in the first cache, and nothing is done for a leaf.

use p3_field::PrimeCharacteristicRing;

use super::air::{Air, Node};
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

/// The operations of a table, ready to be run.
pub struct Tape {
    steps: Vec<Step>,
    constants: Vec<(usize, Elem)>,
    slots: usize,
    /// Where the main columns begin, those one row on, and the two ends.
    mains: usize,
    next: usize,
    ends: usize,
    /// Of each node; whatever is no constraint and in no lookup may have given its slot away.
    slot_of: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Step {
    kind: Kind,
    a: u32,
    b: u32,
    to: u32,
}

#[derive(Clone, Copy)]
enum Kind {
    Add,
    Sub,
    Mul,
}

impl Tape {
    pub fn new(air: &Air) -> Self {
        let (mains, next) = (air.publics, air.publics + air.mains);
        let ends = next + air.next.len();
        let mut tape = Self {
            steps: vec![],
            constants: vec![],
            slots: ends + 2,
            mains,
            next,
            ends,
            slot_of: Vec::with_capacity(air.nodes.len()),
        };
        let last_uses = last_uses(air);
        let mut free = Vec::new();
        for (i, node) in air.nodes.iter().enumerate() {
            let slot = match *node {
                Node::Const(value) => {
                    tape.constants.push((tape.slots, Elem::new(value)));
                    tape.new_slot()
                }
                Node::Public(c) => c as usize,
                Node::Main(c) => mains + c as usize,
                Node::Next(c) => {
                    next + air.next.binary_search(&(c as usize)).expect("listed by the builder")
                }
                Node::First => ends,
                Node::Last => ends + 1,
                Node::Add(a, b) => tape.step(Kind::Add, (i, a, b), air, &last_uses, &mut free),
                Node::Sub(a, b) => tape.step(Kind::Sub, (i, a, b), air, &last_uses, &mut free),
                Node::Mul(a, b) => tape.step(Kind::Mul, (i, a, b), air, &last_uses, &mut free),
            };
            tape.slot_of.push(slot);
        }
        tape
    }

    fn new_slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    fn step(
        &mut self,
        kind: Kind,
        (i, a, b): (usize, u32, u32),
        air: &Air,
        last_uses: &[usize],
        free: &mut Vec<usize>,
    ) -> usize {
        let [from_a, from_b] = [a, b].map(|operand| self.slot_of[operand as usize]);
        // Operands are read before the result is written: it may take their place.
        let done = |operand: u32| {
            let node = air.nodes[operand as usize];
            let is_step = matches!(node, Node::Add(..) | Node::Sub(..) | Node::Mul(..));
            is_step && last_uses[operand as usize] == i
        };
        if done(a) {
            free.push(from_a);
        }
        if done(b) && a != b {
            free.push(from_b);
        }
        let to = free.pop().unwrap_or_else(|| self.new_slot());
        self.steps.push(Step { kind, a: from_a as u32, b: from_b as u32, to: to as u32 });
        to
    }

    /// An array to run in.
    pub fn room(&self) -> Vec<Packed> {
        let mut room = vec![Packed::ZERO; self.slots];
        self.constants.iter().for_each(|&(slot, value)| room[slot] = Packed::from(value));
        room
    }

    pub fn publics<'a>(&self, room: &'a mut [Packed]) -> &'a mut [Packed] {
        &mut room[..self.mains]
    }

    pub fn mains<'a>(&self, room: &'a mut [Packed]) -> &'a mut [Packed] {
        &mut room[self.mains..self.next]
    }

    /// The columns in `Air::next`, in that order.
    pub fn next<'a>(&self, room: &'a mut [Packed]) -> &'a mut [Packed] {
        &mut room[self.next..self.ends]
    }

    /// Whether a row is the first one, and the last.
    pub fn ends<'a>(&self, room: &'a mut [Packed]) -> &'a mut [Packed] {
        &mut room[self.ends..self.ends + 2]
    }

    /// Computes all nodes from the columns.
    pub fn run(&self, room: &mut [Packed]) {
        for step in &self.steps {
            let (a, b) = (room[step.a as usize], room[step.b as usize]);
            room[step.to as usize] = match step.kind {
                Kind::Add => a + b,
                Kind::Sub => a - b,
                Kind::Mul => a * b,
            };
        }
    }

    /// Where a constraint or an element of a lookup stands after a run.
    pub fn slot_of(&self, node: u32) -> usize {
        self.slot_of[node as usize]
    }
}

/// The number of the last node that needs each node; none for what is needed after all of them.
fn last_uses(air: &Air) -> Vec<usize> {
    let mut last = vec![usize::MAX; air.nodes.len()];
    for (i, node) in air.nodes.iter().enumerate() {
        if let Node::Add(a, b) | Node::Sub(a, b) | Node::Mul(a, b) = *node {
            (last[a as usize], last[b as usize]) = (i, i);
        }
    }
    let elements = air.lookups().flat_map(|l| l.tuple.iter().chain([&l.multiplicity]));
    for &root in air.constraints.iter().chain(elements) {
        last[root as usize] = usize::MAX;
    }
    last
}
