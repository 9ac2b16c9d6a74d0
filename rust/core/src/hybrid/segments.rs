//! What a segment checks (docs/hybrid.md section 1): items, their costs, and the cut into segments.
//!
//! Items are never listed as a whole: every group of them has a closed form for its costs, so a
//! segment is found by bisection.

use std::ops::Range;

use super::leaves::blocks;
use super::records::Sizes;
use super::support::is_direct;
use crate::commit::Prepared;
use crate::program::{LayoutMap, Op, OpKind};
use crate::sampling::Mark;
use crate::sampling::{Draw, Plan};

/// What is checked: a gate of a step, a leaf of an output, or the record of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Gate { op: usize, step: usize, gate: usize },
    Output { step: usize, port: usize, leaf: usize },
    Record { step: usize },
}

impl Item {
    /// The op of a gate.
    pub fn op(&self) -> Option<usize> {
        match self {
            Self::Gate { op, .. } => Some(*op),
            Self::Output { .. } | Self::Record { .. } => None,
        }
    }

    /// Step and number of a gate.
    pub fn gate(&self) -> Option<(usize, usize)> {
        if let Self::Gate { step, gate, .. } = *self { Some((step, gate)) } else { None }
    }
}

/// What a segment may hold on average.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub blocks: u64,
    pub cost: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { blocks: 98_304, cost: 1 << 24 }
    }
}

const ITEM_COST: u64 = 64;
/// Cost of a block of what the record of a step has to hash.
const BLOCK_COST: u64 = 160;

/// Sponge blocks of leaves.
pub fn total_blocks(prepared: &Prepared, marks: &[Mark]) -> u64 {
    marks.iter().map(|&mark| blocks(prepared.leaf_bytes(mark)) as u64).sum()
}

/// The items of a plan in order, and their segments.
pub struct Segments<'a> {
    groups: Vec<Group<'a>>,
    /// Items before each group, and of all.
    firsts: Vec<u64>,
    /// Cost before each group, and of all.
    costs: Vec<u64>,
    count: u64,
}

impl<'a> Segments<'a> {
    /// The segments of a plan; `blocks` are those of all leaves that it opens ([`total_blocks`]), to
    /// which those of the records of all steps are added.
    pub fn new(
        prepared: &'a Prepared,
        plan: &'a Plan,
        steps: usize,
        blocks: u64,
        limits: Limits,
    ) -> Self {
        let program = &prepared.checked.program;
        let of_op = |(c, op): (usize, &Op)| {
            let first = plan.draws.partition_point(|draw| draw.op() < c);
            let gates = if plan.counts.enumerated[c] {
                Gates::All { per_step: op.gates() as u64, steps: steps as u64 }
            } else {
                let draws = &plan.draws[first..];
                Gates::Drawn(&draws[..draws.partition_point(|draw| draw.op() == c)])
            };
            Group::Gates { op: c, cost: ITEM_COST + factor(prepared, c) * size(op), gates }
        };
        let mut groups: Vec<Group> = program.ops.iter().enumerate().map(of_op).collect();
        groups.push(Group::Steps(Steps::new(prepared, plan, steps as u64)));
        let (mut firsts, mut costs) = (vec![0], vec![0]);
        for (i, group) in groups.iter().enumerate() {
            firsts.push(firsts[i] + group.items());
            costs.push(costs[i] + group.cost_before(group.items()));
        }
        let cost = costs[groups.len()];
        let blocks = blocks + steps as u64 * record_blocks(prepared);
        let count = blocks.div_ceil(limits.blocks).max(cost.div_ceil(limits.cost)).max(1);
        Self { groups, firsts, costs, count }
    }

    /// Number of segments.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The items of a segment, in order.
    pub fn items(&self, segment: u64) -> Vec<Item> {
        let Range { start, end } = self.range(segment);
        let mut items = Vec::with_capacity((end - start) as usize);
        for (group, first) in self.groups.iter().zip(self.firsts.windows(2)) {
            let inside = start.max(first[0])..end.min(first[1]);
            items.extend(inside.map(|i| group.item(i - first[0])));
        }
        items
    }

    /// The numbers of a segment's items.
    pub fn range(&self, segment: u64) -> Range<u64> {
        self.first_of(segment)..self.first_of(segment + 1)
    }

    /// The first item with `cost before it · segments div all cost ≥ segment`.
    fn first_of(&self, segment: u64) -> u64 {
        let all = u128::from(self.costs[self.groups.len()]);
        let least = (u128::from(segment) * all).div_ceil(self.count.into());
        let total = self.firsts[self.groups.len()];
        if segment >= self.count {
            return total;
        }
        bisect(total, |item| u128::from(self.cost_before(item)) >= least)
    }

    fn cost_before(&self, item: u64) -> u64 {
        let group = self.firsts[1..].partition_point(|&end| end <= item);
        let Some(of_group) = self.groups.get(group) else { return self.costs[group] };
        self.costs[group] + of_group.cost_before(item - self.firsts[group])
    }
}

/// The first number below `end` for which a monotone condition holds, else `end`.
fn bisect(end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut lo, mut hi) = (0, end);
    while lo < hi {
        let middle = lo + (hi - lo) / 2;
        if holds(middle) {
            hi = middle;
        } else {
            lo = middle + 1;
        }
    }
    lo
}

/// What a product costs: most of a row where only one stands in it.
fn factor(prepared: &Prepared, op: usize) -> u64 {
    match prepared.checked.program.ops[op].kind {
        OpKind::Dot(_) if is_direct(&prepared.checked, op) => 2,
        // As many products as there are pairs of limbs.
        OpKind::Dot(_) => 18,
        _ => 16,
    }
}

/// Products of a gate; for a gather the size of its axis.
fn size(op: &Op) -> u64 {
    match &op.kind {
        OpKind::Gather(gather) => gather.source.view[gather.axis] as u64,
        _ => op.own(),
    }
}

enum Group<'a> {
    Gates { op: usize, cost: u64, gates: Gates<'a> },
    Steps(Steps<'a>),
}

enum Gates<'a> {
    All { per_step: u64, steps: u64 },
    Drawn(&'a [Draw]),
}

impl Group<'_> {
    fn items(&self) -> u64 {
        match self {
            Self::Gates { gates: Gates::All { per_step, steps }, .. } => per_step * steps,
            Self::Gates { gates: Gates::Drawn(draws), .. } => draws.len() as u64,
            Self::Steps(steps) => steps.steps * steps.items(),
        }
    }

    /// Cost of the items before item `i` of the group.
    fn cost_before(&self, i: u64) -> u64 {
        match self {
            Self::Gates { cost, .. } => cost * i,
            Self::Steps(steps) => steps.cost_before(i),
        }
    }

    fn item(&self, i: u64) -> Item {
        match self {
            Self::Gates { op, gates: Gates::All { per_step, .. }, .. } => {
                Item::Gate { op: *op, step: (i / per_step) as usize, gate: (i % per_step) as usize }
            }
            Self::Gates { op, gates: Gates::Drawn(draws), .. } => {
                let draw = draws[i as usize];
                Item::Gate { op: *op, step: draw.step(), gate: draw.gate() }
            }
            Self::Steps(steps) => steps.item(i),
        }
    }
}

/// What each step has once: the leaves of all published outputs, then its record.
struct Steps<'a> {
    steps: u64,
    /// Per port: the layout and width of its tensor.
    layouts: Vec<(&'a LayoutMap, u64)>,
    /// Leaves before each port, and of all.
    firsts: Vec<u64>,
    /// Cost before each port, and of all.
    costs: Vec<u64>,
    record_cost: u64,
}

impl<'a> Steps<'a> {
    fn new(prepared: &'a Prepared, plan: &Plan, steps: u64) -> Self {
        let program = &prepared.checked.program;
        let (mut firsts, mut costs, mut layouts) = (vec![0], vec![0], vec![]);
        for (i, port) in plan.published(program).iter().enumerate() {
            let (layout, tensor) = (prepared.layout(port.tensor), &program.tensors[port.tensor]);
            let leaves = layout.leaves() as u64;
            layouts.push((layout, tensor.width as u64));
            firsts.push(firsts[i] + leaves);
            costs.push(costs[i] + ITEM_COST * leaves + (tensor.size() * tensor.width) as u64);
        }
        let record_cost = ITEM_COST + BLOCK_COST * record_blocks(prepared);
        Self { steps, layouts, firsts, costs, record_cost }
    }

    /// Items of a step.
    fn items(&self) -> u64 {
        self.firsts[self.layouts.len()] + 1
    }

    fn item(&self, i: u64) -> Item {
        let (step, rest) = (i / self.items(), i % self.items());
        let port = self.firsts[1..].partition_point(|&end| end <= rest);
        if port == self.layouts.len() {
            return Item::Record { step: step as usize };
        }
        Item::Output { step: step as usize, port, leaf: (rest - self.firsts[port]) as usize }
    }

    fn cost_before(&self, i: u64) -> u64 {
        let of_step = self.costs[self.layouts.len()] + self.record_cost;
        let (step, rest) = (i / self.items(), i % self.items());
        let port = self.firsts[1..].partition_point(|&end| end <= rest);
        let within = self.layouts.get(port).map_or(0, |(layout, width)| {
            let leaf = rest - self.firsts[port];
            ITEM_COST * leaf + width * layout.start(leaf as usize) as u64
        });
        step * of_step + self.costs[port] + within
    }
}

/// Blocks of what the record of a step has to hash.
fn record_blocks(prepared: &Prepared) -> u64 {
    Sizes { committed: &prepared.committed, steps: 1 }.item_blocks() as u64
}
