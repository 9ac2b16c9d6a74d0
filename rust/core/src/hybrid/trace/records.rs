//! Main columns of what records hold: tables 13 and 14, and the elements that sponge rows hash.

use super::opened::Opened;
use super::{Filler, MainOf, fill};
use crate::commit::{Place, StepDigests, state_digest, weights_root};
use crate::hash::{Digest, Elem, Tree};
use crate::hybrid::records::{Name, Part, Record};
use crate::hybrid::schedule::Schedule;
use crate::hybrid::tables::{RATE, digest, index, record};

/// The digests of all steps, and the trees over them.
pub struct Chain<'a> {
    opened: &'a Opened<'a>,
    pub steps: Vec<StepDigests>,
    pub records: Tree,
    pub inputs: Tree,
}

impl<'a> Chain<'a> {
    /// Of a chain whose first step stands at this position of its run.
    pub fn new(opened: &'a Opened<'a>, first: usize) -> Self {
        let Opened { prepared, proof, .. } = opened;
        let (weights, initial) = (weights_root(&proof.weights), state_digest(&proof.initial));
        let steps = prepared.committed.step_digests(weights, initial, first, &proof.steps());
        let tree =
            |of: fn(&StepDigests) -> Digest| Tree::over(steps.iter().map(of).collect::<Vec<_>>());
        let (records, inputs) = (tree(|digests| digests.step), tree(|digests| digests.input));
        Self { opened, steps, records, inputs }
    }

    fn digest(&self, name: Name) -> Digest {
        match name {
            Name::Root(place, tensor) => self.root(place, tensor),
            Name::After(step) => self.steps[step].after,
            Name::Chain => self.records.root(),
            Name::Inputs => self.inputs.root(),
        }
    }

    fn root(&self, place: Place, tensor: usize) -> Digest {
        self.opened.proof.root(self.opened.prepared, place, tensor)
    }
}

impl Schedule {
    /// The elements of every record.
    pub(in crate::hybrid) fn contents(&self, chain: &Chain) -> Vec<Vec<Elem>> {
        let elements = |part: &Part| match *part {
            Part::Fixed(value) => vec![value],
            Part::Taken(name) => chain.digest(name).0.to_vec(),
        };
        let parts = self.contents.parts.iter();
        parts.map(|parts| parts.iter().flat_map(elements).collect()).collect()
    }
}

impl Filler<'_> {
    pub(super) fn digest(&self, chain: &Chain) -> Option<MainOf> {
        let rows = &self.schedule.contents.digests;
        fill(self.schedule, index::DIGEST, |i, _| digest::Main {
            digest: chain.digest(rows[i].name).0,
        })
    }

    pub(super) fn record(&self, contents: &[Vec<Elem>]) -> Option<MainOf> {
        let records = &self.schedule.leaves.records;
        fill(self.schedule, index::RECORD, |i, _| {
            let own = records.firsts.partition_point(|&first| first <= i) - 1;
            let first = RATE * (i - records.firsts[own]);
            let element = |j: usize| contents[own].get(first + j).copied().unwrap_or_default();
            record::Main { elements: std::array::from_fn(element) }
        })
    }

    /// Domain and aux of the hash of a record.
    pub(super) fn hash_of(&self, chain: &Chain, record: Record) -> (u32, usize) {
        record.hash(chain.opened.prepared)
    }
}
