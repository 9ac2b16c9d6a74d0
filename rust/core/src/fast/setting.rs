//! What a run begins with: its place, its seed, its first state, its data set.

use std::sync::Arc;

use super::dataset::Dataset;
use super::model::{check_arrays, usage};
use crate::commit::{Order, Prepared, Salting, derived_seed, initial_values};
use crate::error::Result;
use crate::exec::Array;
use crate::hash::{Class, Digest, Key};
use crate::program::{Start, StateLink};

/// Where the seed of noise, order of records and drawn start comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum SeedSource {
    /// The prover's own; `None` where nothing follows from it.
    Own(Option<Key>),
    /// Derived from program, data set and this nonce.
    Derived { nonce: Option<Vec<u8>> },
}

/// The state that a run begins in: one array per state tensor, in tensor order.
#[derive(Clone, Debug, PartialEq)]
pub enum Initial {
    /// Under the run's own salts.
    Own(Vec<Array>),
    /// The state in which another run ended, under that run's key of states, at its position.
    Carried { arrays: Vec<Array>, key: Key, position: usize },
    /// As the program declares; without salts.
    Declared,
}

/// What a run begins with.
pub struct Setting {
    /// Global position of the first step.
    pub first: usize,
    pub seed: SeedSource,
    pub initial: Initial,
    /// Where the program has data tensors.
    pub data: Option<Arc<Dataset>>,
}

impl Setting {
    /// A run of steps from 0 on, without a data set.
    pub fn new(seed: Option<Key>, initial: Vec<Array>) -> Self {
        let (seed, initial) = (SeedSource::Own(seed), Initial::Own(initial));
        Self { first: 0, seed, initial, data: None }
    }

    pub(super) fn derived(&self) -> bool {
        matches!(self.seed, SeedSource::Derived { .. })
    }

    pub(super) fn declared(&self) -> bool {
        self.initial == Initial::Declared
    }

    pub(super) fn dataset_root(&self) -> Digest {
        self.data.as_ref().map(|data| data.root).unwrap_or_default()
    }

    /// Refuses what no statement about the program could say (docs/protocol.md section 6, step 5).
    pub(super) fn judge(&self, prepared: &Prepared) -> Result<()> {
        let program = &prepared.checked.program;
        let (data, drawn) = (program.data().is_some(), program.draws_start());
        let (has_prf, derived, declared) = (prepared.has_prf(), self.derived(), self.declared());
        let own = matches!(self.seed, SeedSource::Own(Some(_)));
        let fits = self.data.as_ref().is_none_or(|data| data.fits(prepared));
        let rules = [
            (fits, "the data set is one of other data tensors"),
            (
                data == self.data.is_some(),
                "a data set is needed exactly where the program has data tensors",
            ),
            (
                !declared || program.declares_start() && self.first == 0,
                "a declared start is that of step 0 of a program which declares one",
            ),
            (!derived || has_prf || data || drawn, "nothing follows from a derived seed"),
            (
                derived || !(data || declared && drawn),
                "a data set's order and a drawn start need a derived seed",
            ),
            (
                derived || own == has_prf,
                "a prf seed is needed exactly where the program has prf tensors",
            ),
        ];
        let broken = rules.into_iter().find(|(holds, _)| !holds);
        broken.map_or(Ok(()), |(_, rule)| Err(usage(rule)))
    }

    /// The seed, where there is one.
    pub(super) fn seed(&self, prepared: &Prepared) -> Option<Key> {
        match &self.seed {
            SeedSource::Own(seed) => *seed,
            SeedSource::Derived { nonce } => {
                let id = &prepared.checked.id;
                Some(derived_seed(id, self.dataset_root(), nonce.as_deref()))
            }
        }
    }

    pub(super) fn order(&self, prepared: &Prepared) -> Option<Order> {
        let (batch, records) = prepared.checked.program.data()?;
        Some(Order::new(self.seed(prepared)?, batch, records))
    }

    /// The first state and its salts, by the key of the run's states.
    pub(super) fn start(
        &mut self,
        prepared: &Prepared,
        own: Key,
    ) -> Result<(Vec<Array>, StateSalts)> {
        let seed = self.seed(prepared).unwrap_or_default();
        let salts = match self.initial {
            Initial::Own(_) => StateSalts::Keyed { key: own, position: self.first },
            Initial::Carried { key, position, .. } => StateSalts::Keyed { key, position },
            Initial::Declared => StateSalts::Zero,
        };
        let arrays = match &mut self.initial {
            Initial::Own(arrays) | Initial::Carried { arrays, .. } => std::mem::take(arrays),
            Initial::Declared => declared(prepared, seed)?,
        };
        check_arrays(prepared, &prepared.committed.states, &arrays)?;
        Ok((arrays, salts))
    }
}

/// The arrays of all states as the program declares them.
fn declared(prepared: &Prepared, seed: Key) -> Result<Vec<Array>> {
    let program = &prepared.checked.program;
    let array = |&state: &usize| {
        let of_state = |link: &&StateLink| link.state == state;
        let start = program.states.iter().find(of_state).and_then(|link| link.start);
        let tensor = &program.tensors[state];
        let values = initial_values(start.unwrap_or(Start::Constant(0)), tensor.size(), seed);
        Array::from_i32(tensor.width, values)
    };
    prepared.committed.states.iter().map(array).collect()
}

/// What salts the trees of a state.
#[derive(Clone, Copy, Debug)]
pub(super) enum StateSalts {
    Zero,
    Keyed { key: Key, position: usize },
}

impl StateSalts {
    /// Of a state tensor.
    pub fn of(self, tensor: usize) -> Salting {
        match self {
            Self::Zero => Salting::Zero,
            Self::Keyed { key, position } => Salting::Keyed { key, position, tensor },
        }
    }
}

/// The keys of a run, by what they salt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub inputs: Key,
    pub values: Key,
    pub states: Key,
}

impl Keys {
    pub fn of(run_key: Key) -> Self {
        Self {
            inputs: run_key.class(Class::Inputs),
            values: run_key.class(Class::Values),
            states: run_key.class(Class::States),
        }
    }
}
