//! Liars who write other records than their trees have, hash them honestly, and claim the digests that
//! come out: only what binds a record to trees, steps and journal refuses them.

use p3_field::PrimeCharacteristicRing;

use super::smart::told;
use crate::commit::Place;
use crate::fast::Proof;
use crate::hash::poseidon::sponge;
use crate::hash::{Digest, Elem, Tree};
use crate::hybrid::records::{Part, Record};
use crate::hybrid::segments::{Item, Limits};
use crate::hybrid::tables::{index, record};
use crate::hybrid::tests::MANY;
use crate::hybrid::tests::fixture::{Case, HIDING};
use crate::hybrid::tests::programs::{dense, padded, wide};
use crate::hybrid::trace::{Chain, Opened};
use crate::hybrid::{Schedule, leaves::Leaves};
use crate::program::Operand;
use crate::program::testing::{learner, map, read};
use crate::receipt::Journal;

/// What stands in a record before the roots: program id, position, three digests.
const POSITION: usize = 11;
const WEIGHTS: usize = 12;
const BEFORE: usize = 20;
const AFTER: usize = 28;
const ROOTS: usize = 36;

/// The records of a liar, by their kinds.
struct Lie {
    records: Vec<Record>,
    contents: Vec<Vec<Elem>>,
}

impl Lie {
    fn of(&mut self, record: Record) -> &mut Vec<Elem> {
        let at = self.records.iter().position(|&r| r == record);
        &mut self.contents[at.unwrap_or_else(|| panic!("no {record:?}"))]
    }

    fn digest(&mut self, record: Record, at: usize) -> [Elem; 8] {
        *self.of(record)[at..].first_chunk().expect("a digest")
    }

    fn write(&mut self, record: Record, at: usize, digest: [Elem; 8]) {
        self.of(record)[at..at + 8].copy_from_slice(&digest);
    }

    /// Two digests exchanged.
    fn swap(&mut self, a: (Record, usize), b: (Record, usize)) {
        let (of_a, of_b) = (self.digest(a.0, a.1), self.digest(b.0, b.1));
        assert_ne!(of_a, of_b);
        self.write(a.0, a.1, of_b);
        self.write(b.0, b.1, of_a);
    }
}

/// The first failure of records changed by `change`, all that is above them hashed anew and claimed; but
/// for the data set, on whose root the order of records depends.
fn judged(case: &Case, items: &[Item], change: impl FnOnce(&mut Lie)) -> Option<String> {
    let (prepared, mut journal) = (&case.prepared, case.journal());
    let proof: Proof = case.proof();
    let opened = Opened::new(prepared, &proof);
    let schedule = case.schedule(items).unwrap();
    let mut chain = Chain::new(&opened, schedule.first_step);
    let honest = schedule.contents(&chain);
    let records = schedule.leaves.records.list.clone();
    let mut lie = Lie { contents: honest.clone(), records };
    change(&mut lie);
    let hash = |record: Record, contents: &[Elem]| {
        let (domain, aux) = record.hash(prepared);
        sponge(domain, aux as u32, contents)
    };
    // What stands in the records of steps comes first.
    for (&record, contents) in lie.records.iter().zip(&lie.contents) {
        let digest = hash(record, contents);
        match record {
            Record::Weights => journal.weights_root = digest,
            Record::Initial => journal.initial_state = digest,
            Record::Exported => journal.exported_root = digest,
            Record::After(step) => chain.steps[step].after = digest,
            _ => {}
        }
    }
    if lie.records.contains(&Record::After(journal.steps as usize - 1)) {
        journal.final_state = chain.steps[journal.steps as usize - 1].after;
    }
    // Public elements that the lie is not about are what is claimed.
    let claimed = Schedule::new(prepared, &journal, items, HIDING).unwrap().contents(&chain);
    let parts = schedule.contents.parts.iter().map(|parts| {
        let fixed = |part: &Part| vec![matches!(part, Part::Fixed(_)); part.elements()];
        parts.iter().flat_map(fixed).collect::<Vec<bool>>()
    });
    for (((own, honest), claimed), fixed) in
        lie.contents.iter_mut().zip(&honest).zip(&claimed).zip(parts)
    {
        for (i, own) in own.iter_mut().enumerate().filter(|(i, own)| honest[*i] == **own) {
            *own = if fixed[i] { claimed[i] } else { *own };
        }
    }
    let mut leaves = [chain.records.levels()[0].clone(), chain.inputs.levels()[0].clone()];
    let trees = [chain.records.root(), chain.inputs.root()];
    for (&record, contents) in lie.records.iter().zip(&lie.contents) {
        match record {
            Record::Step(step) => leaves[0][step] = hash(record, contents),
            Record::Input(step) => leaves[1][step] = hash(record, contents),
            _ => {}
        }
    }
    [chain.records, chain.inputs] = leaves.map(Tree::over);
    let of_trees =
        [(Record::Chain, trees[0], &chain.records), (Record::Inputs, trees[1], &chain.inputs)];
    for (record, old, tree) in of_trees {
        // Who did not write another root of a tree takes the one that comes out.
        if lie.digest(record, 1) == old.0 {
            lie.write(record, 1, tree.root().0);
        }
    }
    journal.chain_root = hash(Record::Chain, lie.of(Record::Chain));
    journal.input_root = hash(Record::Inputs, lie.of(Record::Inputs));
    let claimed = Schedule::new(prepared, &journal, items, HIDING).unwrap();
    let mains = claimed.witness_of(&opened, proof.prf_seed, &chain, &lie.contents).unwrap();
    case.judge(&claimed, &mains)
}

/// A run with states, and its one segment.
fn averaged(steps: usize) -> (Case, Vec<Item>) {
    let bias = padded(read(1, &[8], &[map(Some(1), 3, None, 0, 0)]), 17, -5);
    let case = Case::new(&wide(bias), steps, MANY);
    let items = case.segments(Limits::default()).remove(0);
    (case, items)
}

/// A training run: data, states that start as declared, exports.
fn trained(steps: usize) -> (Case, Vec<Item>) {
    let case = Case::new(&learner(), steps, MANY);
    let items = case.segments(Limits::default()).remove(0);
    (case, items)
}

fn refused(case: &(Case, Vec<Item>), by: &str, what: &str, change: impl FnOnce(&mut Lie)) {
    let failure = judged(&case.0, &case.1, change).unwrap_or_else(|| panic!("accepted: {what}"));
    assert!(failure.starts_with(by), "{what}: {failure}");
}

const FIXED: &str = "record: constraint";
const TAKEN: &str = "bus 9:";

#[test]
fn records_as_they_are_pass() {
    for case in [averaged(1), averaged(3), trained(1), trained(4)] {
        assert_eq!(judged(&case.0, &case.1, |_| {}), None);
    }
}

#[test]
fn what_is_public_in_a_record_is_fixed() {
    let (average, training) = (averaged(3), trained(3));
    for case in [&average, &training] {
        let add = |record: Record, at: usize| move |lie: &mut Lie| lie.of(record)[at] += Elem::ONE;
        refused(case, FIXED, "another program", add(Record::Step(1), 3));
        refused(case, FIXED, "a record of another position", add(Record::Step(1), POSITION));
        refused(case, FIXED, "other weights in a step", add(Record::Step(2), WEIGHTS + 2));
        refused(case, FIXED, "another first state in step 0", add(Record::Step(0), BEFORE));
        refused(case, FIXED, "another final state in the last step", add(Record::Step(2), AFTER));
        refused(case, FIXED, "inputs of another position", add(Record::Input(2), 0));
        refused(case, FIXED, "a longer chain", add(Record::Chain, 0));
        refused(case, FIXED, "a longer chain of inputs", add(Record::Inputs, 0));
    }
    refused(&training, FIXED, "more records of data", |lie| lie.of(Record::Data)[0] += Elem::ONE);
}

#[test]
fn a_state_before_a_step_is_the_one_after_the_last() {
    for case in [averaged(3), trained(3)] {
        refused(&case, TAKEN, "another state before", |lie| {
            lie.of(Record::Step(1))[BEFORE] += Elem::ONE
        });
        refused(&case, TAKEN, "another state after", |lie| {
            lie.of(Record::Step(1))[AFTER] += Elem::ONE
        });
        // Both alike: then it is not what the linked tensors hash to.
        refused(&case, TAKEN, "a state of nothing", |lie| {
            lie.of(Record::Step(0))[AFTER] += Elem::ONE;
            lie.of(Record::Step(1))[BEFORE] += Elem::ONE;
        });
        refused(&case, TAKEN, "states of two steps exchanged", |lie| {
            lie.swap((Record::Step(0), AFTER), (Record::Step(1), AFTER));
        });
        refused(&case, TAKEN, "roots of another state", |lie| {
            lie.swap((Record::After(0), 0), (Record::After(1), 0));
        });
        refused(&case, TAKEN, "another final state", |lie| {
            lie.of(Record::After(2))[0] += Elem::ONE
        });
        refused(&case, TAKEN, "another first state", |lie| lie.of(Record::Initial)[0] += Elem::ONE);
    }
}

#[test]
fn roots_stand_in_their_places() {
    let case = averaged(3);
    refused(&case, TAKEN, "a root of another step", |lie| {
        lie.swap((Record::Step(0), ROOTS), (Record::Step(2), ROOTS));
    });
    refused(&case, TAKEN, "a root of another tensor", |lie| {
        lie.swap((Record::Step(1), ROOTS), (Record::Step(1), ROOTS + 8));
    });
    refused(&case, TAKEN, "inputs of another step", |lie| {
        lie.swap((Record::Input(0), 1), (Record::Input(1), 1));
    });
    refused(&case, TAKEN, "an input of nothing", |lie| lie.of(Record::Input(1))[3] += Elem::ONE);
    refused(&case, TAKEN, "another chain", |lie| lie.of(Record::Chain)[1] += Elem::ONE);
    refused(&case, TAKEN, "other inputs", |lie| lie.of(Record::Inputs)[8] += Elem::ONE);
    refused(&case, TAKEN, "another weight", |lie| lie.of(Record::Weights)[5] += Elem::ONE);
    let dense = Case::new(&dense(100, 40), 1, MANY);
    let items = dense.segments(Limits::default()).remove(0);
    refused(&(dense, items), TAKEN, "weights exchanged", |lie| {
        lie.swap((Record::Weights, 0), (Record::Weights, 8));
    });
    let training = trained(3);
    refused(&training, "bus", "data exchanged", |lie| {
        lie.swap((Record::Data, 1), (Record::Data, 9));
    });
    let exports = training.0.prepared.committed.exports().len();
    for export in 0..exports {
        refused(&training, TAKEN, "another export", |lie| {
            lie.of(Record::Exported)[8 * export] += Elem::ONE;
        });
    }
    assert!(exports > 0);
}

/// Roots of another run of the same program, under the openings of this one: everything above is hashed
/// anew, so the openings alone do not fit.
#[test]
fn roots_of_another_run_do_not_fit_the_openings() {
    let (case, _) = averaged(2);
    let proof = case.proof();
    let once = proof.weights.len() + proof.data.len() + proof.initial.len();
    let count = once + proof.steps().concat().len();
    let opened: Vec<usize> = proof
        .trees
        .iter()
        .map(|tree| super::smart::root_number(&case, tree.place, tree.tensor))
        .collect();
    drop(proof);
    for root in 0..count {
        let mut other = Case {
            prepared: crate::commit::Prepared::new(case.prepared.checked.clone()),
            journal: case.journal.clone(),
            openings: case.openings.clone(),
        };
        let digest = sponge(1, 0, &[Elem::from_usize(root)]);
        other.openings[Digest::BYTES * root..][..Digest::BYTES].copy_from_slice(&digest.to_bytes());
        let claimed: Journal = super::smart::committed(&other, &other.proof());
        let items = case.segments(Limits::default()).remove(0);
        let schedule = other.schedule_for(&claimed, &items).unwrap();
        let failure = other.judge(&schedule, &other.witness(&schedule));
        assert_eq!(failure.is_some(), opened.contains(&root), "root {root}");
        // Under the honest statement any other root fails.
        let schedule = other.schedule(&items).unwrap();
        assert!(other.judge(&schedule, &other.witness(&schedule)).is_some(), "root {root}");
    }
    assert!(opened.len() > 4);
    // The honest ones pass, hashed by the same hand.
    let (schedule, mains) = told(&case, &case.openings, &case.journal().outputs);
    assert_eq!(case.judge(&schedule, &mains), None);
}

/// However a receipt is cut, every step is an item once, every opened tree stands in a record of its
/// segment, and every record leads to the journal.
#[test]
fn no_record_is_missing() {
    for (steps, limits) in [(1, 9), (3, 9), (16, 60), (256, 4000)] {
        for program in [learner(), wide(Operand::Const(1)), dense(20, 20)] {
            let case = Case::new(&program, steps, MANY);
            let limits = Limits { blocks: limits, cost: 64 * limits };
            let mut seen = Vec::new();
            for items in case.segments(limits) {
                let leaves = Leaves::new(&case.prepared, &case.course(), &items).unwrap();
                let has = |record| assert!(leaves.records.find(record).is_some(), "{record:?}");
                for tree in &leaves.trees {
                    has(match tree.place {
                        Place::Weights => Record::Weights,
                        Place::Data => Record::Data,
                        Place::Initial => Record::Initial,
                        Place::Step(step) => Record::Step(step),
                    });
                }
                let stateful = !program.states.is_empty();
                for item in &items {
                    let Item::Record { step } = *item else { continue };
                    seen.push(step);
                    [Record::Step(step), Record::Input(step), Record::Inputs]
                        .into_iter()
                        .for_each(has);
                    if stateful {
                        has(Record::After(step));
                        has(step.checked_sub(1).map_or(Record::Initial, Record::Step));
                    }
                    if step == 0 {
                        has(Record::Weights);
                    }
                    if step + 1 == steps && !program.exports.is_empty() {
                        has(Record::Exported);
                    }
                }
                if leaves.records.list.iter().any(|record| record.of_chain().is_some()) {
                    has(Record::Chain);
                }
            }
            assert_eq!(seen, (0..steps).collect::<Vec<_>>());
        }
    }
}

#[test]
fn chains_of_one_sixteen_and_many_steps() {
    for (steps, limits) in [(1, 12), (16, 100), (256, 2000)] {
        for program in [wide(Operand::Const(1)), learner()] {
            let case = Case::new(&program, steps, MANY);
            case.check(Limits::default());
            case.check(Limits { blocks: limits, cost: 100 * limits });
        }
    }
}

/// A step less or more than the chain has: other trees, and another N.
#[test]
fn the_number_of_steps_is_that_of_the_chain() {
    let (case, items) = averaged(3);
    let schedule = case.schedule(&items).unwrap();
    let mains = case.witness(&schedule);
    for steps in [4, 5, 8] {
        let journal = Journal { steps, items: steps, ..case.journal() };
        let claimed = Schedule::new(&case.prepared, &journal, &items, HIDING).unwrap();
        let rows = |schedule: &Schedule| schedule.table(index::NODE).unwrap().publics.rows();
        let failure = (rows(&claimed) == rows(&schedule)).then(|| case.judge(&claimed, &mains));
        assert_ne!(failure, Some(None), "{steps} steps");
    }
    // N stands in two records, and is public.
    let table = schedule.table(index::RECORD).unwrap();
    let counted = (0..table.publics.rows()).filter(|&row| {
        let cells = table.publics.row(row);
        let [fixed, at] = [record::PUBLIC.fixed[0], record::PUBLIC.at[0]].map(|c| cells[c]);
        fixed == Elem::ONE && at == Elem::from_u8(3)
    });
    assert!(counted.count() >= 2);
}
