//! Liars who change something that they commit to, and compute everything behind it as they should.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;

use super::judge::{Edited, Failure, Table, refusal};
use super::subjects::{SUBJECTS, Subject, subject};
use crate::bytes::{Codes, Reader};
use crate::commit::{ChainDigests, Committed, Place, dataset_root, weights_root};
use crate::error::Result;
use crate::fast::Proof;
use crate::hash::{Digest, Elem, Key};
use crate::hybrid::schedule::Schedule;
use crate::hybrid::segments::Limits;
use crate::hybrid::tables::{TABLES, bus};
use crate::hybrid::tests::fixture::{Case, HIDING};
use crate::hybrid::trace::Opened;
use crate::program::testing::Rng;
use crate::program::{Role, Source};
use crate::receipt::Journal;
use crate::stark::parameters::Parameters;
use crate::stark::prove::prove;
use crate::stark::statement::Statement;
use crate::stark::verify::verify;
use crate::stark::{MainTable, PublicTable};

fn parse<'a>(case: &Case, openings: &'a [u8]) -> Proof<'a> {
    let course = case.course();
    let marks = case.prepared.marks(&course, &case.plan(), u64::MAX).unwrap();
    Proof::parse(openings, &case.prepared, &course, &marks).unwrap()
}

/// Openings whose roots are those that the opened leaves hash to.
fn rooted(case: &Case, openings: &[u8]) -> Vec<u8> {
    let (prepared, proof) = (&case.prepared, parse(case, openings));
    let opened = Opened::new(prepared, &proof);
    let mut told = openings.to_vec();
    for tree in &proof.trees {
        let leaves = prepared.layout(tree.tensor).leaves();
        let top = leaves.next_power_of_two().ilog2() as usize;
        let root = opened.tree(tree.place, tree.tensor).unwrap().node(top, 0);
        let at = Digest::BYTES * root_number(case, tree.place, tree.tensor);
        told[at..at + Digest::BYTES].copy_from_slice(&root.to_bytes());
    }
    told
}

/// The number of a root among all roots of openings.
pub fn root_number(case: &Case, place: Place, tensor: usize) -> usize {
    let Committed { weights, data, states, steps, .. } = &case.prepared.committed;
    let at = |list: &[usize]| list.partition_point(|&t| t < tensor);
    let once = weights.len() + data.len() + states.len();
    match place {
        Place::Weights => at(weights),
        Place::Data => weights.len() + at(data),
        Place::Initial => weights.len() + data.len() + at(states),
        Place::Step(step) => once + step * steps.len() + at(steps),
    }
}

/// The journal of who commits to these roots.
pub fn committed(case: &Case, proof: &Proof) -> Journal {
    let (prepared, journal) = (&case.prepared, case.journal());
    let steps = proof.steps();
    let chain =
        prepared.committed.chain(&proof.weights, &proof.initial, journal.first as usize, &steps);
    let records = prepared.checked.program.data().map_or(0, |(_, records)| records);
    let ChainDigests { initial_state, input_root, final_state, exported_root, chain_root } = chain;
    Journal {
        weights_root: weights_root(&proof.weights),
        dataset_root: dataset_root(records, &proof.data),
        initial_state,
        input_root,
        final_state,
        exported_root,
        chain_root,
        ..journal
    }
}

/// What a liar tells who commits to these openings from the start: roots, digests and outputs fit them.
pub fn told(case: &Case, openings: &[u8], outputs: &[u8]) -> (Schedule, Vec<MainTable>) {
    let openings = rooted(case, openings);
    let proof = parse(case, &openings);
    let opened = Opened::new(&case.prepared, &proof);
    let items = case.segments(Limits::default()).remove(0);
    let journal = Journal { outputs: outputs.to_vec(), ..committed(case, &proof) };
    let schedule = Schedule::new(&case.prepared, &journal, &items, HIDING).unwrap();
    let mains = schedule.witness(&opened, proof.prf_seed).unwrap();
    (schedule, mains)
}

/// Where the packed values of a leaf stand in the openings.
pub fn position(case: &Case, place: Place, tensor: usize, leaf: usize) -> std::ops::Range<usize> {
    let proof = case.proof();
    let values = proof.tree(place, tensor).unwrap().values(leaf);
    let start = values.as_ptr() as usize - case.openings.as_ptr() as usize;
    start..start + values.len()
}

#[test]
fn liars_who_commit_honestly_are_told_apart_from_nobody() {
    for subject in SUBJECTS.iter() {
        let (case, outputs) = (&subject.case, subject.case.journal().outputs);
        let (schedule, mains) = told(case, &case.openings, &outputs);
        assert_eq!(case.judge(&schedule, &mains), None);
        assert!(schedule.terms == subject.schedule.terms && mains == subject.mains);
    }
}

/// Another salt, sibling or prf seed than what was committed: some digest is off.
#[test]
fn another_opening_does_not_lead_to_its_root() {
    let mut refused = 0;
    for subject in SUBJECTS.iter() {
        let case = &subject.case;
        let mut proof = case.proof();
        let refuse = |proof: &Proof, seed: Option<Key>| {
            let opened = Opened::new(&case.prepared, proof);
            let mains = subject.schedule.witness(&opened, seed).unwrap();
            case.judge(&subject.schedule, &mains).expect("refused")
        };
        for t in 0..proof.trees.len() {
            for leaf in [0, proof.trees[t].salts.len() - 1] {
                for i in 0..5 {
                    proof.trees[t].salts[leaf][i] += Elem::ONE;
                    let failure = refuse(&proof, proof.prf_seed);
                    assert!(failure.starts_with("bus 1:"), "{failure}");
                    proof.trees[t].salts[leaf][i] -= Elem::ONE;
                    refused += 1;
                }
            }
            for sibling in 0..proof.trees[t].siblings.len() {
                for i in 0..8 {
                    proof.trees[t].siblings[sibling].0[i] += Elem::ONE;
                    let failure = refuse(&proof, proof.prf_seed);
                    assert!(failure.starts_with("bus 1:"), "{failure}");
                    proof.trees[t].siblings[sibling].0[i] -= Elem::ONE;
                    refused += 1;
                }
            }
        }
        if let Some(seed) = proof.prf_seed {
            let mut bytes = seed.to_bytes();
            bytes[0] ^= 1;
            // Gates that take the noise fail, or the seed's digest does.
            let failure = refuse(&proof, Key::from_bytes(&bytes));
            let expected = ["bus 1:", "gate: ", "pick: ", "scan: "];
            assert!(expected.iter().any(|e| failure.starts_with(e)), "{failure}");
            refused += 1;
        }
    }
    println!("{refused} openings refused");
    assert!(refused > 150);
}

/// A value byte that is not what was committed, everything behind it computed honestly.
#[test]
fn another_byte_than_the_committed_one_is_refused() {
    let mut refused = 0;
    for subject in SUBJECTS.iter() {
        let case = &subject.case;
        let places: Vec<(Place, usize)> =
            case.proof().trees.iter().map(|tree| (tree.place, tree.tensor)).collect();
        for (place, tensor) in places {
            for at in position(case, place, tensor, 0).step_by(3) {
                let mut openings = case.openings.clone();
                openings[at] ^= 1;
                let proof = parse(case, &openings);
                let mains = case.witness_of(&subject.schedule, &proof);
                assert!(case.judge(&subject.schedule, &mains).is_some(), "{}: {at}", subject.name);
                // Were the gates content, too: the digest alone refuses it.
                let opened = Opened::new(&case.prepared, &proof);
                let top = case.prepared.layout(tensor).leaves().next_power_of_two().ilog2();
                let root = opened.tree(place, tensor).unwrap().node(top as usize, 0);
                assert!(root != proof.root(&case.prepared, place, tensor));
                refused += 1;
            }
        }
    }
    println!("{refused} bytes refused");
    assert!(refused > 300);
}

/// A wrong result, committed to and published: only the op that computes it can tell.
#[test]
fn committed_lies_fail_in_the_op_that_computes_them() {
    let mut told_of: std::collections::BTreeMap<String, usize> = Default::default();
    for subject in SUBJECTS.iter() {
        let case = &subject.case;
        let program = &case.prepared.checked.program;
        let outputs = case.journal().outputs;
        let mut starts = vec![0];
        for port in &program.outputs {
            let tensor = &program.tensors[port.tensor];
            starts.push(starts.last().unwrap() + tensor.size() * tensor.width);
        }
        for (port, &start) in program.outputs.iter().zip(&starts) {
            let tensor = port.tensor;
            assert_eq!(program.tensors[tensor].role, Role::Value);
            let layout = case.prepared.layout(tensor);
            for leaf in 0..layout.leaves().min(6) {
                let mut slots = Vec::new();
                layout.runs(leaf, |run| slots.extend(run));
                let position = position(case, Place::Step(0), tensor, leaf);
                let width = program.tensors[tensor].width;
                for (i, byte) in position.enumerate() {
                    let (mut openings, mut outputs) = (case.openings.clone(), outputs.clone());
                    let out = start + slots[i / width] * width + i % width;
                    assert_eq!(openings[byte], outputs[out]);
                    // ±1, and the largest byte: some of them stay in range.
                    for value in [openings[byte] ^ 1, openings[byte] ^ 0x80] {
                        openings[byte] = value;
                        outputs[out] = value;
                        let (schedule, mains) = told(case, &openings, &outputs);
                        let failure = case.judge(&schedule, &mains);
                        let failure =
                            failure.unwrap_or_else(|| panic!("{}: byte {byte}", subject.name));
                        let by = failure.split(':').next().unwrap().to_string();
                        let honest = ["gate", "pick", "scan", "div", "wide", "bus 7", "bus 8"];
                        assert!(honest.contains(&by.as_str()), "{failure}");
                        *told_of.entry(by).or_default() += 1;
                    }
                }
            }
        }
    }
    println!("lies by what refused them: {told_of:?}");
    for by in ["gate", "pick", "scan", "div", "bus 7"] {
        assert!(told_of.get(by).is_some_and(|&n| n > 0), "no lie was refused by {by}");
    }
}

/// A journal with another output than the committed one.
#[test]
fn published_outputs_are_the_committed_ones() {
    let mut refused = 0;
    for subject in SUBJECTS.iter() {
        let case = &subject.case;
        let outputs = case.journal().outputs;
        for at in (0..outputs.len()).step_by(outputs.len() / 12 + 1) {
            let mut outputs = outputs.clone();
            outputs[at] ^= 4;
            let journal = Journal { outputs, ..case.journal() };
            let items = case.segments(Limits::default()).remove(0);
            let schedule = case.schedule_for(&journal, &items).unwrap();
            let failure = case.judge(&schedule, &subject.mains).unwrap();
            assert!(failure.starts_with("bus 3:"), "{failure}");
            refused += 1;
        }
    }
    assert!(refused > 50);
}

/// Little work to prove, whatever that proves.
pub fn quick() -> Parameters {
    Parameters {
        queries: 20,
        hiding_rows: HIDING,
        batch_bits: 0,
        commit_bits: 0,
        query_bits: 0,
        target: 0.0,
        ..Parameters::new(0, 1, 0).unwrap()
    }
}

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};

/// Proves `mains` by `claimed` public columns, and judges the proof by the schedule's.
pub fn proven(
    schedule: &Schedule,
    claimed: &[PublicTable],
    mains: Vec<MainTable>,
) -> (Result<()>, Option<&'static str>) {
    let parameters = quick();
    let statement = |publics| Statement {
        tables: &TABLES,
        publics,
        terms: &schedule.terms,
        parameters: &parameters,
        context: [3; 32],
    };
    match prove(&statement(claimed), mains) {
        Err(error) => (Ok(()), Some(error.code)),
        Ok((proof, _)) => {
            let mut reader = Reader::new(&proof, CODES);
            (verify(&statement(&schedule.tables), &mut reader).map(|_| ()), None)
        }
    }
}

/// A witness with random cells changed that the direct checker refuses, and whether a constraint or a
/// bus refuses it.
fn mutant(subject: &Subject, rng: &mut Rng, want_bus: bool) -> Vec<MainTable> {
    let tables: Vec<Table> = subject.tables().collect();
    loop {
        let t = rng.below(tables.len());
        let table = tables[t];
        let (row, column) = (rng.below(table.used()), 1 + rng.below(table.air.mains - 1));
        let mut edited = Edited::new(table);
        edited.set(row, column, table.row(row)[column] + Elem::from_usize(1 + rng.below(3)));
        let refusal = refusal(&[&edited]);
        if matches!(refusal, Some(Failure::Bus(_))) == want_bus && refusal.is_some() {
            let mut mains = subject.mains.clone();
            mains[t].main.row_mut(row).copy_from_slice(edited.row(row));
            return mains;
        }
    }
}

fn whole_proofs(mutants: u64) {
    let subjects: Vec<&Subject> =
        ["lookups", "picks", "precise", "biased", "dense"].map(subject).into();
    for subject in &subjects {
        let (verdict, error) =
            proven(&subject.schedule, &subject.schedule.tables, subject.mains.clone());
        assert!(verdict.is_ok() && error.is_none(), "{}: {verdict:?} {error:?}", subject.name);
    }
    let outcomes: Vec<&str> = (0..mutants)
        .into_par_iter()
        .map(|i| {
            let subject = subjects[i as usize % subjects.len()];
            // Two of three satisfy all constraints, so that there is a proof to refuse.
            let mains = mutant(subject, &mut Rng(i + 1), i % 3 != 0);
            match proven(&subject.schedule, &subject.schedule.tables, mains) {
                (_, Some(code)) => code,
                (verdict, None) => verdict.expect_err("a mutant is accepted").code,
            }
        })
        .collect();
    let count = |code| outcomes.iter().filter(|&&outcome| outcome == code).count();
    let (unprovable, refused) = (count("prove.witness"), count("verify.stark"));
    println!("{unprovable} mutants cannot be proven, {refused} proofs are refused");
    assert_eq!(unprovable + refused, mutants as usize, "{outcomes:?}");
    assert!(unprovable > 0 && refused > 0);
}

#[test]
fn ten_mutants_as_whole_proofs() {
    whole_proofs(10);
}

#[test]
#[ignore = "nightly"]
fn a_hundred_mutants_as_whole_proofs() {
    whole_proofs(100);
}

/// Buses of the tables, for the messages above.
const _: () = assert!(bus::DIGEST == 1 && bus::READ == 3 && bus::ACT == 7 && bus::RANGE == 8);

#[test]
fn all_values_of_these_programs_are_committed() {
    for subject in SUBJECTS.iter() {
        let program = &subject.case.prepared.checked.program;
        let values = program.tensors.iter().filter(|tensor| tensor.role == Role::Value);
        assert!(values.clone().all(|tensor| matches!(tensor.source, Source::Committed(_))));
        assert_eq!(values.count(), program.outputs.len());
    }
}
