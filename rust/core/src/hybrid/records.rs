//! The records of a segment: what the roots of trees are hashed to, up to the digests of the journal
//! (docs/hybrid.md section 2).

use super::leaves::TreeLeaves;
use super::segments::Item;
use super::tables::RATE;
use crate::commit::{Committed, Place, Prepared};
use crate::hash::domain;
use crate::hash::poseidon::elem;
use crate::hash::{Digest, Elem};
use crate::receipt::Journal;

/// Something that is hashed with `H` from roots and digests; in the order of their blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    Weights,
    Data,
    /// The state that the chain begins with.
    Initial,
    Step(usize),
    /// The state that a step ends in.
    After(usize),
    Input(usize),
    Exported,
    Chain,
    Inputs,
}

/// A digest that a record takes; in the order of the rows of the digest table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    Root(Place, usize),
    After(usize),
    Chain,
    Inputs,
}

/// What stands side by side in a record.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Fixed(Elem),
    Taken(Name),
}

impl Part {
    pub fn elements(self) -> usize {
        match self {
            Self::Fixed(_) => 1,
            Self::Taken(_) => 8,
        }
    }
}

/// What records are made of: the program, and the number of steps.
#[derive(Clone, Copy)]
pub struct Sizes<'a> {
    pub committed: &'a Committed,
    pub steps: usize,
}

impl Sizes<'_> {
    /// Field elements of a record.
    pub fn elements(&self, record: Record) -> usize {
        let of = |tensors: &[usize]| 8 * tensors.len();
        match record {
            Record::Weights => of(&self.committed.weights),
            Record::Data => 1 + of(&self.committed.data),
            Record::Initial | Record::After(_) => of(&self.committed.states),
            Record::Step(_) => self.committed.step_elements(),
            Record::Input(_) => 1 + of(&self.committed.inputs),
            Record::Exported => 8 * self.committed.exports().count(),
            Record::Chain | Record::Inputs => 9,
        }
    }

    pub fn blocks(&self, record: Record) -> usize {
        self.elements(record).div_ceil(RATE).max(1)
    }

    /// Blocks of what the item of a step has to hash.
    pub fn item_blocks(&self) -> usize {
        let after =
            if self.committed.states.is_empty() { 0 } else { self.blocks(Record::After(0)) };
        self.blocks(Record::Step(0)) + after + self.blocks(Record::Input(0))
    }
}

/// The records of a segment, in order.
#[derive(Clone, Debug, Default)]
pub struct Records {
    pub list: Vec<Record>,
    /// First block of each among those of records, and of all.
    pub firsts: Vec<usize>,
}

impl Records {
    /// Those that bind the roots of these trees, and those of these items.
    pub fn new(prepared: &Prepared, steps: usize, trees: &[TreeLeaves], items: &[Item]) -> Self {
        let committed = &prepared.committed;
        let mut list: Vec<Record> = trees.iter().map(|tree| Record::of_tree(tree.place)).collect();
        for item in items {
            let Item::Record { step } = *item else { continue };
            list.extend([Record::Step(step), Record::Input(step), Record::Inputs]);
            if !committed.states.is_empty() {
                let before = step.checked_sub(1).map_or(Record::Initial, Record::Step);
                list.extend([Record::After(step), before]);
            }
            if step == 0 {
                list.push(Record::Weights);
                list.extend((!committed.data.is_empty()).then_some(Record::Data));
            }
            if step + 1 == steps && committed.exports().next().is_some() {
                list.extend([Record::Exported, Record::Weights]);
            }
        }
        if list.iter().any(|record| matches!(record, Record::Step(_))) {
            list.push(Record::Chain);
        }
        list.sort_unstable();
        list.dedup();
        let sizes = Sizes { committed, steps };
        let mut firsts = vec![0];
        for &record in &list {
            firsts.push(firsts[firsts.len() - 1] + sizes.blocks(record));
        }
        Self { list, firsts }
    }

    pub fn blocks(&self) -> usize {
        self.firsts.last().copied().unwrap_or(0)
    }

    /// The number of a record among those of the segment.
    pub fn find(&self, record: Record) -> Option<usize> {
        self.list.binary_search(&record).ok()
    }

    /// Steps whose record is a leaf of the chain's tree (or of the inputs'), with its number.
    pub fn leaves(&self, of: impl Fn(Record) -> Option<usize>) -> Vec<(usize, usize)> {
        let numbered = self.list.iter().enumerate();
        numbered.filter_map(|(number, &record)| Some((of(record)?, number))).collect()
    }
}

impl Record {
    /// The record in which the root of a tree stands.
    fn of_tree(place: Place) -> Self {
        match place {
            Place::Weights => Self::Weights,
            Place::Data => Self::Data,
            Place::Initial => Self::Initial,
            Place::Step(step) => Self::Step(step),
        }
    }

    pub fn of_chain(self) -> Option<usize> {
        if let Self::Step(step) = self { Some(step) } else { None }
    }

    pub fn of_inputs(self) -> Option<usize> {
        if let Self::Input(step) = self { Some(step) } else { None }
    }

    /// Domain and aux of its hash.
    pub fn hash(self, prepared: &Prepared) -> (u32, usize) {
        let committed = &prepared.committed;
        match self {
            Self::Weights => (domain::WEIGHTS, committed.weights.len()),
            Self::Exported => (domain::WEIGHTS, committed.exports().count()),
            Self::Data => (domain::DATASET, committed.data.len()),
            Self::Initial | Self::After(_) => (domain::STATE, 0),
            Self::Step(_) => (domain::STEP, 0),
            Self::Input(_) => (domain::INPUT, 0),
            Self::Chain => (domain::CHAIN, 0),
            Self::Inputs => (domain::INPUTS, 0),
        }
    }

    /// The digest of the journal that it must have.
    pub fn claimed(self, journal: &Journal) -> Option<Digest> {
        match self {
            Self::Weights => Some(journal.weights_root),
            Self::Data => Some(journal.dataset_root),
            Self::Initial => Some(journal.initial_state),
            Self::After(step) if step + 1 == journal.steps as usize => Some(journal.final_state),
            Self::Exported => Some(journal.exported_root),
            Self::Chain => Some(journal.chain_root),
            Self::Inputs => Some(journal.input_root),
            Self::Step(_) | Self::After(_) | Self::Input(_) => None,
        }
    }

    /// What it holds.
    pub fn parts(self, prepared: &Prepared, journal: &Journal) -> Vec<Part> {
        let committed = &prepared.committed;
        let (first, steps) = (journal.first as usize, journal.steps as usize);
        let of = |place: Place, tensors: &[usize]| -> Vec<Part> {
            tensors.iter().map(|&t| Part::Taken(Name::Root(place, t))).collect()
        };
        let counted = |count: usize, mut rest: Vec<Part>| {
            rest.insert(0, Part::Fixed(elem(count)));
            rest
        };
        match self {
            Self::Weights => of(Place::Weights, &committed.weights),
            Self::Data => {
                let records = prepared.checked.program.data().map_or(0, |(_, records)| records);
                counted(records, of(Place::Data, &committed.data))
            }
            Self::Initial => of(Place::Initial, &committed.states),
            Self::After(step) => of(Place::Step(step), &committed.links),
            Self::Input(step) => counted(first + step, of(Place::Step(step), &committed.inputs)),
            Self::Exported => {
                let root = |(place, tensor)| Part::Taken(Name::Root(place, tensor));
                committed.exports().map(|export| root(export.tree(steps))).collect()
            }
            Self::Chain => counted(steps, vec![Part::Taken(Name::Chain)]),
            Self::Inputs => counted(steps, vec![Part::Taken(Name::Inputs)]),
            Self::Step(step) => {
                let fixed = |digest: Digest| digest.0.map(Part::Fixed).to_vec();
                // The state that step `j` ends in; −1: that the chain begins with.
                let state = |after: Option<usize>| match after {
                    _ if committed.states.is_empty() => fixed(Digest::default()),
                    None => fixed(journal.initial_state),
                    Some(j) if j + 1 == steps => fixed(journal.final_state),
                    Some(j) => vec![Part::Taken(Name::After(j))],
                };
                let mut parts: Vec<Part> =
                    committed.program_id().iter().copied().map(Part::Fixed).collect();
                parts.push(Part::Fixed(elem(first + step)));
                parts.extend(fixed(journal.weights_root));
                parts.extend(state(step.checked_sub(1)));
                parts.extend(state(Some(step)));
                parts.extend(of(Place::Step(step), &committed.steps));
                parts
            }
        }
    }
}
