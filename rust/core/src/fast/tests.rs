//! End to end: programs are proven and verified, and every tampering has its code.

mod training;

use std::sync::Arc;

use super::opened::Proof;
use super::testing::{self, key};
use super::{Model, Run, Setting};
use crate::commit::{Prepared, model_id};
use crate::error::Error;
use crate::exec::Array;
use crate::program::testing::{
    Builder, Rng, by_i, by_k, dot, linear, random, read, shuffle_layouts,
};
use crate::program::*;
use crate::receipt::{Journal, Receipt};
use crate::sampling::{Plan, SEED_BYTES, course, seed};
use crate::statement::inputs::{CallerArray, CallerInputs, CallerValues};
use crate::statement::{Expectations, OutputValues, Policy, Status, Verified};
use crate::verify;

const KEEP: usize = 1 << 30;

/// A model with random weights, and a run of `steps` steps with random inputs.
fn run(program: &Program, steps: usize, keep_bytes: usize) -> (Arc<Model>, Run) {
    testing::run(Arc::new(load(&encode(program)).expect("valid")), steps, keep_bytes)
}

/// A receipt of a run, its journal changed before the openings are made.
fn receipt(model: &Model, run: &mut Run, change: impl Fn(&mut Journal)) -> Vec<u8> {
    let program = &model.prepared.checked.program;
    let mut journal = testing::journal(model, run.statement().unwrap(), 100_000);
    change(&mut journal);
    let journal = journal.encode();
    let proof = run.open(&journal).unwrap();
    Receipt { program: &encode(program), journal: &journal, proof: &proof }.join().unwrap()
}

fn expectations(model: &Model) -> Expectations {
    Expectations {
        model_id: model.model_id,
        policy: Policy { min_bits: 100, ..Policy::lax(&["fast"], 100_000) },
        audience: None,
        nonce: None,
        initial_state: None,
        dataset_root: None,
        any_dataset: true,
        input_root: None,
    }
}

fn judge(model: &Model, receipt: &[u8]) -> Result<Verified, Error> {
    verify(receipt, &expectations(model), None)
}

fn code(result: Result<Verified, Error>) -> &'static str {
    result.unwrap_err().code
}

/// `state' = clamp((state + W·x + ρ) / 2^s)`, with a prf tensor as rounding, two rows a step.
fn recurrent() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[2, 4]);
    let w = b.tensor(Role::Weight, 1, &[3, 4]);
    let state = b.tensor(Role::State, 1, &[2, 3]);
    let prf = b.ranged(Role::Prf, 2, 0, 255, &[2, 3]);
    let next = b.tensor(Role::Value, 1, &[2, 3]);
    let cell = |t| read(t, &[2, 3], &[by_i(0), by_i(1)]);
    let term = Term {
        window: vec![4],
        a: read(x, &[2, 4], &[by_i(0), by_k(0)]),
        b: read(w, &[3, 4], &[by_i(1), by_k(0)]),
    };
    let kind = Dot { bias: Some(cell(state)), rounding: Some(cell(prf)), ..dot(vec![term], 8) };
    b.op(next, &[2, 3], OpKind::Dot(kind));
    let out = b.tensor(Role::Value, 2, &[2]);
    let pick = Pick {
        mode: PickMode::Argmax,
        window: vec![3],
        operands: vec![read(next, &[2, 3], &[by_i(0), by_k(0)])],
    };
    b.op(out, &[2], OpKind::Pick(pick));
    let mut program = b.finish();
    program.tensors[state].source = program.tensors[next].source.clone();
    program.states.push(StateLink { state, value: next, start: None });
    program.outputs.retain(|port| port.tensor == out);
    program
}

#[test]
fn random_programs_verify_whatever_their_layouts_and_the_memory() {
    for seed in 0..60 {
        let mut program = random(seed);
        shuffle_layouts(&mut program, &mut Rng(seed + 1));
        let (model, mut kept) = run(&program, 3, KEEP);
        let bytes = receipt(&model, &mut kept, |journal| journal.delta_step_ppm = 400_000);
        judge(&model, &bytes).unwrap();
        let (_, mut dropped) = run(&program, 3, 0);
        assert!(receipt(&model, &mut dropped, |journal| journal.delta_step_ppm = 400_000) == bytes);
    }
}

#[test]
fn a_chain_with_state_and_randomness_verifies_and_drops_traces() {
    let program = recurrent();
    let (model, mut kept) = run(&program, 4, KEEP);
    let bytes = receipt(&model, &mut kept, |_| ());
    let verified = judge(&model, &bytes).unwrap();
    assert_eq!(verified.facts.outputs[0].status, Status::Certified);
    assert_eq!(verified.outputs[0].shape, [4, 2]);
    let OutputValues::Integers(values) = &verified.outputs[0].values else { panic!("integers") };
    assert_eq!(values.len(), 8);
    let (_, mut dropped) = run(&program, 4, 0);
    assert!(receipt(&model, &mut dropped, |_| ()) == bytes);
    assert_eq!(dropped.values(2, 4).unwrap(), kept.values(2, 4).unwrap());
}

#[test]
fn a_sampled_op_is_opened_in_part_and_still_checked() {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[32, 40]);
    let w = b.tensor(Role::Weight, 1, &[50, 40]);
    let y = b.tensor(Role::Value, 1, &[32, 50]);
    let z = b.tensor(Role::Value, 1, &[32]);
    let term = Term {
        window: vec![40],
        a: read(x, &[32, 40], &[by_i(0), by_k(0)]),
        b: read(w, &[50, 40], &[by_i(1), by_k(0)]),
    };
    b.op(y, &[32, 50], OpKind::Dot(dot(vec![term], 9)));
    let pick = Pick {
        mode: PickMode::Max,
        window: vec![50],
        operands: vec![read(y, &[32, 50], &[by_i(0), by_k(0)])],
    };
    b.op(z, &[32], OpKind::Pick(pick));
    let mut program = b.finish();
    program.outputs.retain(|port| port.tensor == z);
    let (model, mut honest) = run(&program, 2, KEEP);
    let bytes = receipt(&model, &mut honest, |_| ());
    let facts = judge(&model, &bytes).unwrap().facts;
    assert!(!facts.ops[0].enumerated && facts.ops[1].enumerated);
    assert_eq!(facts.outputs[0].status, Status::Consistent);

    // Every gate of the sampled op wrong: refused. The same openings of an honest run: not.
    let mut forged = Run::new(model.clone(), key(1), Setting::new(None, vec![]), KEEP).unwrap();
    for step in 0..2 {
        let value = |t| honest.values(step, t).unwrap();
        let wrong: Vec<i64> =
            value(y).to_i64().iter().map(|v| if *v > 0 { v - 1 } else { v + 1 }).collect();
        let wrong_max: Vec<i64> = wrong.chunks(50).map(|row| *row.iter().max().unwrap()).collect();
        let arrays =
            vec![Array::from_i64(1, &wrong).unwrap(), Array::from_i64(1, &wrong_max).unwrap()];
        forged.push(vec![value(x)], arrays).unwrap();
    }
    assert_eq!(code(judge(&model, &receipt(&model, &mut forged, |_| ()))), "verify.gate");
}

#[test]
fn hidden_outputs_are_bound_and_not_opened() {
    for seed in 0..40 {
        let mut program = random(seed);
        shuffle_layouts(&mut program, &mut Rng(seed + 1));
        let (model, mut kept) = run(&program, 3, KEEP);
        let published = receipt(&model, &mut kept, |_| ());
        let hidden = receipt(&model, &mut kept, |journal| journal.outputs.clear());
        let verified = judge(&model, &hidden).unwrap();
        assert!(!verified.facts.outputs_public && verified.outputs.is_empty());
        assert_eq!(verified.facts.outputs.len(), program.outputs.len());
        assert!(judge(&model, &published).unwrap().facts.outputs_public);
        let part = receipt_of_part(&model, &mut kept);
        assert_eq!(code(judge(&model, &part)), "receipt.non-canonical");
        // What it takes to show them does not depend on what is kept in memory.
        let (_, mut dropped) = run(&program, 3, 0);
        assert_eq!(dropped.held_outputs().unwrap(), kept.held_outputs().unwrap());
    }
}

/// A statement that names one byte of its outputs; nothing is looked at behind it.
fn receipt_of_part(model: &Model, run: &mut Run) -> Vec<u8> {
    let mut journal = testing::journal(model, run.statement().unwrap(), 100_000);
    journal.outputs.truncate(1);
    let program = encode(&model.prepared.checked.program);
    Receipt { program: &program, journal: &journal.encode(), proof: &[] }.join().unwrap()
}

#[test]
fn an_output_that_is_only_sampled_is_opened_where_it_is_published() {
    let (model, mut run) = run(&random(3), 2, KEEP);
    let mut least = testing::journal(&model, run.statement().unwrap(), 500_000);
    (least.bits, least.exact) = (1, vec![]);
    let marks = |journal: &Journal| {
        let bytes = journal.encode();
        let plan = Plan::new(&model.prepared.checked, journal, &bytes).unwrap();
        assert_eq!(plan.publishes, journal.publishes());
        let marks = model.prepared.marks(&course(&model.prepared, journal), &plan, u64::MAX);
        marks.unwrap().len()
    };
    let all = marks(&least);
    least.outputs.clear();
    assert!(marks(&least) < all);
}

#[test]
fn what_the_caller_demands_is_compared() {
    let program = recurrent();
    let (model, mut honest) = run(&program, 2, KEEP);
    let bytes = receipt(&model, &mut honest, |journal| {
        journal.audience = Some("bank".into());
        journal.nonce = Some(vec![1, 2]);
        journal.delta_step_ppm = 300_000;
    });
    let good = Expectations {
        audience: Some("bank".into()),
        nonce: Some(vec![1, 2]),
        policy: Policy {
            max_delta_step_ppm: Some(300_000),
            outputs_exact: true,
            ..expectations(&model).policy
        },
        initial_state: Some(honest.statement().unwrap().digests.initial_state.to_bytes()),
        input_root: Some(honest.statement().unwrap().digests.input_root.to_bytes()),
        ..expectations(&model)
    };
    verify(&bytes, &good, None).unwrap();
    let demanding = |change: fn(&mut Policy)| {
        let mut expectations = good.clone();
        change(&mut expectations.policy);
        expectations
    };
    let cases: [(&str, Expectations); 11] = [
        ("verify.model-mismatch", Expectations { model_id: [0; 32], ..good.clone() }),
        ("policy.mode", demanding(|policy| policy.modes = vec!["strict".into()])),
        ("policy.bits", demanding(|policy| policy.min_bits = 129)),
        ("policy.delta", demanding(|policy| policy.max_delta_ppm = 99_999)),
        ("policy.delta-step", demanding(|policy| policy.max_delta_step_ppm = Some(299_999))),
        ("verify.audience-mismatch", Expectations { audience: None, ..good.clone() }),
        ("verify.audience-mismatch", Expectations { audience: Some("x".into()), ..good.clone() }),
        ("verify.nonce-mismatch", Expectations { nonce: None, ..good.clone() }),
        ("verify.nonce-mismatch", Expectations { nonce: Some(vec![1]), ..good.clone() }),
        ("verify.state-mismatch", Expectations { initial_state: Some([0; 32]), ..good.clone() }),
        ("verify.input-mismatch", Expectations { input_root: Some([0; 32]), ..good.clone() }),
    ];
    for (expected, expectations) in cases {
        assert_eq!(code(verify(&bytes, &expectations, None)), expected);
    }
}

#[test]
fn caller_inputs_are_compared() {
    let program = recurrent();
    let (model, mut honest) = run(&program, 2, KEEP);
    let values: Vec<i64> =
        (0..2).flat_map(|step| honest.values(step, 0).unwrap().to_i64()).collect();
    let shaped = |shape: &[usize], values: CallerValues| {
        let array = CallerArray { shape: shape.to_vec(), values };
        CallerInputs::ByName([("t0".to_string(), array)].into())
    };
    let given =
        |values: Vec<i64>| shaped(&[values.len() / 8, 2, 4], CallerValues::Integers(values));
    let bytes = receipt(&model, &mut honest, |journal| journal.inputs = None);
    let judge =
        |bytes: &[u8], inputs: &CallerInputs| verify(bytes, &expectations(&model), Some(inputs));
    judge(&bytes, &given(values.clone())).unwrap();
    let mut wrong = values.clone();
    wrong[9] ^= 1;
    assert_eq!(code(judge(&bytes, &given(wrong))), "verify.input-mismatch");
    assert_eq!(code(judge(&bytes, &given(values[8..].to_vec()))), "verify.input-mismatch");
    for shape in [&[16][..], &[8, 2], &[4, 4], &[1, 4, 4], &[]] {
        let flat = shaped(shape, CallerValues::Integers(values.clone()));
        assert_eq!(code(judge(&bytes, &flat)), "usage.input");
    }
    let single = |values| CallerInputs::Single(CallerArray { shape: vec![2, 2, 4], values });
    judge(&bytes, &single(CallerValues::Integers(values.clone()))).unwrap();
    assert_eq!(code(judge(&bytes, &single(CallerValues::Unsupported))), "usage.input");
    assert_eq!(code(judge(&bytes, &CallerInputs::ByName([].into()))), "usage.input");
    assert_eq!(code(judge(&bytes, &CallerInputs::Misnamed)), "usage.input");
    // A receipt that fails before its inputs are looked at says so.
    assert_eq!(code(judge(&bytes[..9], &CallerInputs::Misnamed)), "receipt.truncated");
    let private =
        receipt(&model, &mut honest, |journal| (journal.inputs, journal.input_key) = (None, None));
    assert_eq!(code(judge(&private, &given(values))), "verify.input-mismatch");
}

#[test]
fn every_claim_is_bound() {
    let program = recurrent();
    let (model, mut honest) = run(&program, 2, KEEP);
    let statement = honest.statement().unwrap();
    let other = model.weights_root;
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[0] ^= 1;
        bytes
    };
    let (outputs, inputs) = (flipped(&statement.outputs), flipped(&statement.inputs));
    type Change<'a> = Box<dyn Fn(&mut Journal) + 'a>;
    let cases: Vec<(&str, Change)> = vec![
        ("verify.prf-seed", Box::new(|j| j.prf_seed = other)),
        ("verify.initial-state", Box::new(|j| j.initial_state = other)),
        ("verify.input-root", Box::new(|j| j.input_root = other)),
        ("verify.final-state", Box::new(|j| j.final_state = other)),
        ("verify.chain-root", Box::new(|j| j.chain_root = other)),
        ("verify.program-mismatch", Box::new(|j| j.program_id[0] ^= 1)),
        ("verify.model-mismatch", Box::new(|j| j.weights_root = statement.digests.chain_root)),
        ("verify.input-mismatch", Box::new(|j| j.input_key = Some(other))),
    ];
    for (expected, change) in &cases {
        assert_eq!(code(judge(&model, &receipt(&model, &mut honest, change))), *expected);
    }
    let swap = |outputs: &[u8], inputs: &[u8]| {
        let bytes = receipt(&model, &mut run(&program, 2, KEEP).1, |_| ());
        let sections = Receipt::split(&bytes, usize::MAX).unwrap();
        let journal = Journal::decode(sections.journal).unwrap();
        let (outputs, inputs) = (outputs.to_vec(), Some(inputs.to_vec()));
        let journal_bytes = Journal { outputs, inputs, ..journal }.encode();
        let proof = run(&program, 2, KEEP).1.open(&journal_bytes).unwrap();
        Receipt { journal: &journal_bytes, proof: &proof, ..sections }.join().unwrap()
    };
    assert_eq!(code(judge(&model, &swap(&outputs, &statement.inputs))), "verify.outputs");
    assert_eq!(code(judge(&model, &swap(&statement.outputs, &inputs))), "verify.input-mismatch");
}

#[test]
fn every_flipped_bit_of_a_small_receipt_is_refused() {
    fn journal(receipt: &[u8]) -> Journal {
        Journal::decode(Receipt::split(receipt, usize::MAX).unwrap().journal).unwrap()
    }
    let (model, mut honest) = run(&linear(), 1, KEEP);
    let bytes = receipt(&model, &mut honest, |_| ());
    judge(&model, &bytes).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            if judge(&model, &changed).is_ok() {
                // All is enumerated, hence true under whatever strength of sampling is claimed.
                let changed = journal(&changed);
                let (delta_ppm, delta_step_ppm, bits) =
                    (changed.delta_ppm, changed.delta_step_ppm, changed.bits);
                let same = Journal { delta_ppm, delta_step_ppm, bits, ..journal(&bytes) };
                assert_eq!(changed, same);
            }
        }
    }
    for end in 0..bytes.len() {
        assert!(judge(&model, &bytes[..end]).is_err());
    }
}

#[test]
fn openings_have_their_codes() {
    let (model, mut honest) = run(&linear(), 1, KEEP);
    let bytes = receipt(&model, &mut honest, |_| ());
    let at_end = |back: usize, change: fn(u8) -> u8| {
        let mut bytes = bytes.clone();
        let at = bytes.len() - back;
        bytes[at] = change(bytes[at]);
        code(judge(&model, &bytes))
    };
    // The last leaf: 3 values and a salt of 20 bytes, no siblings as all leaves are open.
    assert_eq!(at_end(23, |byte| byte ^ 1), "verify.opening");
    assert_eq!(at_end(1, |_| 0xff), "receipt.non-canonical");
    assert_eq!(at_end(2, |byte| byte ^ 1), "verify.opening");
}

/// A receipt about `linear` as a receipt about the same program with a narrower range.
fn narrowed(receipt: &[u8], narrow: &Program) -> (Vec<u8>, [u8; 32]) {
    let sections = Receipt::split(receipt, usize::MAX).unwrap();
    let journal = Journal::decode(sections.journal).unwrap();
    let prepared = |program: &Program| Prepared::new(Arc::new(load(&encode(program)).unwrap()));
    let (wide, narrow_prepared) = (prepared(&linear()), prepared(narrow));
    let plan = Plan::new(&wide.checked, &journal, sections.journal).unwrap();
    let marks = wide.marks(&course(&wide, &journal), &plan, u64::MAX).unwrap();
    let openings = &sections.proof[SEED_BYTES..];
    let proof = Proof::parse(openings, &wide, &course(&wide, &journal), &marks).unwrap();
    let chain = narrow_prepared.committed.chain(&proof.weights, &[], 0, &proof.steps());
    let program_id = narrow_prepared.checked.id;
    let journal = Journal { program_id, chain_root: chain.chain_root, ..journal }.encode();
    let proof = [seed(&journal).as_slice(), openings].concat();
    let program = encode(narrow);
    let bytes = Receipt { program: &program, journal: &journal, proof: &proof }.join().unwrap();
    (bytes, program_id)
}

#[test]
fn a_value_outside_its_declared_range_is_refused() {
    let (model, mut honest) = run(&linear(), 1, KEEP);
    let hidden = receipt(&model, &mut honest, |journal| journal.inputs = None);
    let published = receipt(&model, &mut honest, |_| ());
    let mut narrow = linear();
    narrow.tensors[0].lo = -3;
    for receipt in [hidden, published] {
        let (bytes, id) = narrowed(&receipt, &narrow);
        let model_id = model_id(&id, model.weights_root);
        let expect = Expectations { model_id, ..expectations(&model) };
        assert_eq!(code(verify(&bytes, &expect, None)), "verify.range");
    }
}

#[test]
fn more_work_than_the_limits_is_refused() {
    let (model, mut honest) = run(&linear(), 1, KEEP);
    let receipt = receipt(&model, &mut honest, |_| ());
    let sections = Receipt::split(&receipt, usize::MAX).unwrap();
    let journal = Journal { delta_ppm: 1, bits: 256, ..Journal::decode(sections.journal).unwrap() };
    let journal = journal.encode();
    let bytes = Receipt { journal: &journal, ..sections }.join().unwrap();
    assert_eq!(code(judge(&model, &bytes)), "verify.too-large");
}
