//! Training runs: data, declared starts, runs that go on, exports; and what is refused of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::commit::{Order, Salting, derived_seed};
use crate::error::Error;
use crate::exec::Array;
use crate::fast::testing::{self, key};
use crate::fast::{Dataset, Initial, Model, Run, SeedSource, Setting};
use crate::hash::{Digest, Key};
use crate::program::testing::{Builder, RECORDS, Rng, by_i, learner, read};
use crate::program::*;
use crate::receipt::{Journal, Receipt};
use crate::statement::policy::{Id, SeedPolicy, StartPolicy};
use crate::statement::{Expectations, Policy, Verified, check_shape};
use crate::verify;

const KEEP: usize = 1 << 30;

fn checked() -> Arc<Checked> {
    Arc::new(load(&encode(&learner())).unwrap())
}

fn model() -> Arc<Model> {
    let checked = checked();
    let weights = testing::arrays(&checked.program, Role::Weight, &mut Rng(8));
    Arc::new(Model::new(checked, weights, key(9)).unwrap())
}

fn dataset(model: &Model, seed: u64) -> Arc<Dataset> {
    Arc::new(testing::dataset(model, &mut Rng(seed)))
}

/// A run from the declared start.
fn setting(model: &Model, nonce: Option<&[u8]>) -> Setting {
    Setting {
        first: 0,
        seed: SeedSource::Derived { nonce: nonce.map(<[u8]>::to_vec) },
        initial: Initial::Declared,
        data: Some(dataset(model, 5)),
    }
}

fn executed(model: &Arc<Model>, setting: Setting, steps: usize, keep: usize) -> Run {
    let mut run = Run::new(model.clone(), key(1), setting, keep).unwrap();
    steps_of(&mut run, steps);
    run
}

fn steps_of(run: &mut Run, steps: usize) {
    for _ in 0..steps {
        run.execute(vec![]).unwrap();
        run.commit();
    }
}

fn receipt(model: &Model, run: &mut Run, change: impl Fn(&mut Journal)) -> Vec<u8> {
    let mut journal = testing::journal(model, run.statement().unwrap(), 100_000);
    change(&mut journal);
    let journal = journal.encode();
    let proof = run.open(&journal).unwrap();
    let program = encode(&model.prepared.checked.program);
    Receipt { program: &program, journal: &journal, proof: &proof }.join().unwrap()
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

#[test]
fn a_training_run_verifies_whatever_is_kept_of_it() {
    let model = model();
    let mut kept = executed(&model, setting(&model, None), 70, KEEP);
    let bytes = receipt(&model, &mut kept, |_| ());
    let facts = judge(&model, &bytes).unwrap().facts;
    assert_eq!((facts.records, facts.data_slots), (RECORDS as u64, 4));
    let mut dropped = executed(&model, setting(&model, None), 70, 0);
    assert!(receipt(&model, &mut dropped, |_| ()) == bytes);
    for (step, tensor) in [(69, 8), (3, 7), (64, 8), (0, 6)] {
        assert_eq!(dropped.values(step, tensor).unwrap(), kept.values(step, tensor).unwrap());
    }
    assert_eq!(dropped.final_state().unwrap(), kept.final_state().unwrap());
}

#[test]
fn a_step_reads_the_records_of_its_order() {
    let model = model();
    let data = dataset(&model, 5);
    let mut run = executed(&model, setting(&model, None), 5, KEEP);
    let statement = run.statement().unwrap();
    let seed = derived_seed(&model.prepared.checked.id, data.root, None);
    assert_eq!(statement.prf_seed, seed.commitment());
    let order = Order::new(seed, 4, RECORDS);
    // m' = (7·m + Σ y·x + 4) >> 3 of two steps, by hand.
    let (x, y) = (data.arrays[0].to_i64(), data.arrays[1].to_i64());
    let mut m = [3i64; 12];
    for step in 0..5 {
        let records: Vec<usize> = (0..4).map(|slot| order.record(step, slot)).collect();
        m = std::array::from_fn(|i| {
            let sum: i64 = records.iter().map(|r| y[2 * r + i / 6] * x[6 * r + i % 6]).sum();
            (7 * m[i] + sum + 4) >> 3
        });
        assert_eq!(run.values(step, 7).unwrap().to_i64(), m);
    }
}

#[test]
fn a_run_goes_on_where_another_ended() {
    let model = model();
    let mut whole = executed(&model, setting(&model, None), 9, KEEP);
    let mut first = executed(&model, setting(&model, None), 4, KEEP);
    let state = first.final_state().unwrap();
    assert_eq!(state.position, 4);
    let going_on = Setting {
        first: 4,
        initial: Initial::Carried { arrays: state.arrays, key: state.key, position: 4 },
        ..setting(&model, None)
    };
    let mut second = Run::new(model.clone(), key(2), going_on, 0).unwrap();
    steps_of(&mut second, 5);
    for tensor in [6, 7, 8] {
        assert_eq!(second.values(4, tensor).unwrap(), whole.values(8, tensor).unwrap());
    }
    let [a, b] = [&mut first, &mut second].map(|run| {
        let bytes = receipt(&model, run, |_| ());
        judge(&model, &bytes).unwrap().facts.journal
    });
    assert_eq!((a.first, a.steps, b.first, b.steps), (0, 4, 4, 5));
    assert_eq!((a.start, b.start), (1, 0));
    assert_eq!((a.final_state, a.prf_seed), (b.initial_state, b.prf_seed));
    let once = whole.statement().unwrap();
    assert_ne!(once.digests.final_state, b.final_state, "another key of salts");
}

/// The program that is served: the two exported tensors as its weights, an element of each a step.
fn served() -> Program {
    let mut b = Builder::default();
    let fixed = b.tensor(Role::Weight, 1, &[2, 6]);
    let w = b.tensor(Role::Weight, 1, &[2, 6]);
    let out = b.tensor(Role::Value, 1, &[2, 6]);
    let cell = |t| read(t, &[2, 6], &[by_i(0), by_i(1)]);
    let pick =
        Pick { mode: PickMode::Greater, window: vec![], operands: vec![cell(fixed), cell(w)] };
    b.op(out, &[2, 6], OpKind::Pick(pick));
    b.finish()
}

#[test]
fn what_is_exported_is_what_is_served() {
    let model = model();
    let mut run = executed(&model, setting(&model, None), 6, KEEP);
    let journal = judge(&model, &receipt(&model, &mut run, |_| ())).unwrap().facts.journal;
    let state = run.final_state().unwrap();
    let weights = vec![model.executor.weights()[0].clone(), state.arrays[0].clone()];
    let salts = vec![
        Salting::Keyed { key: key(9), position: 0, tensor: 5 },
        Salting::Keyed { key: state.key, position: state.position, tensor: 2 },
    ];
    let program = Arc::new(load(&encode(&served())).unwrap());
    let serving = Arc::new(Model::salted(program.clone(), weights.clone(), salts).unwrap());
    assert_eq!(serving.weights_root, journal.exported_root);
    assert_ne!(Model::new(program, weights, key(9)).unwrap().weights_root, journal.exported_root);
    let mut inference =
        Run::new(serving.clone(), key(4), Setting::new(None, vec![]), KEEP).unwrap();
    inference.execute(vec![]).unwrap();
    judge(&serving, &receipt(&serving, &mut inference, |_| ())).unwrap();
}

/// A run of steps that a liar executed, with the seed that the statement derives put in its place.
fn told(mut run: Run, honest: &Run) -> Run {
    run.seed = honest.seed;
    run
}

#[test]
fn lies_about_a_training_run_have_their_codes() {
    let model = model();
    let honest = || executed(&model, setting(&model, None), 5, KEEP);
    let lie = |mut run: Run, change: &dyn Fn(&mut Journal)| {
        code(judge(&model, &receipt(&model, &mut run, change)))
    };
    let mut truth = honest();
    let statement = truth.statement().unwrap();

    // A label flipped, under the root of the honest data.
    let mut arrays = testing::arrays(&learner(), Role::Data, &mut Rng(5));
    let Array::I8(labels) = &mut arrays[1] else { panic!("int8") };
    labels[0] = if labels[0] == 1 { -1 } else { 1 };
    let flipped = Arc::new(Dataset::new(&model.prepared, arrays, key(3)).unwrap());
    let with_data = Setting { data: Some(flipped), ..setting(&model, None) };
    let mut run = Run::new(model.clone(), key(1), with_data, KEEP).unwrap();
    (run.seed, run.order) = (truth.seed, Some(Order::new(truth.seed.unwrap(), 4, RECORDS)));
    steps_of(&mut run, 5);
    let root = statement.dataset_root;
    assert_eq!(lie(run, &|j| j.dataset_root = root), "verify.dataset-root");

    // Records in the order of another seed.
    let mut run = Run::new(model.clone(), key(1), setting(&model, None), KEEP).unwrap();
    run.order = Some(Order::new(key(8), 4, RECORDS));
    steps_of(&mut run, 5);
    assert_eq!(lie(run, &|_| ()), "verify.gate");

    // Noise of a seed of one's own, which is committed to; or not.
    for commits in [true, false] {
        let mut run = Run::new(model.clone(), key(1), setting(&model, None), KEEP).unwrap();
        run.seed = Some(key(5));
        steps_of(&mut run, 5);
        let own = key(5).commitment();
        let change = |j: &mut Journal| {
            j.prf_seed = if commits { own } else { statement.prf_seed };
        };
        let expected = if commits { "verify.prf-seed" } else { "verify.gate" };
        assert_eq!(lie(told(run, &truth), &change), expected);
    }

    // Steps that stand elsewhere than they say: in the digests, or in the noise alone.
    let state = truth.final_state().unwrap();
    let later = |first| Setting {
        first,
        initial: Initial::Own(state.arrays.clone()),
        ..setting(&model, None)
    };
    let run = executed(&model, later(3), 2, KEEP);
    assert_eq!(lie(run, &|j| j.first = 2), "verify.input-root");
    let mut run = Run::new(model.clone(), key(1), later(3), KEEP).unwrap();
    (0..2).for_each(|_| run.execute(vec![]).unwrap());
    run.first = 2;
    assert_eq!(lie(run, &|_| ()), "verify.gate");

    let other = model.weights_root;
    assert_eq!(lie(honest(), &|j| j.exported_root = other), "verify.exported-root");
    assert_eq!(lie(honest(), &|j| j.final_state = other), "verify.final-state");
}

#[test]
fn a_declared_start_is_recomputed_even_if_the_caller_names_the_state() {
    let model = model();
    let honest = executed(&model, setting(&model, None), 2, KEEP);
    let declared = |w: i64, m: i64| {
        // Of the right values, but salted; or of others.
        let shift = |array: &Array, by: i64| {
            let values: Vec<i64> = array.to_i64().iter().map(|v| v + by).collect();
            Array::from_i64(if matches!(array, Array::I8(_)) { 1 } else { 2 }, &values).unwrap()
        };
        let seed = honest.seed.unwrap();
        let w_of =
            crate::commit::initial_values(Start::Drawn { domain: 9, lo: -50, hi: 49 }, 12, seed);
        let w_of = Array::from_i32(1, w_of).unwrap();
        let arrays = vec![shift(&w_of, w), shift(&Array::I16(vec![3; 12]), m)];
        let own = Setting { initial: Initial::Own(arrays), ..setting(&model, None) };
        let mut run = executed(&model, own, 2, KEEP);
        receipt(&model, &mut run, |journal| journal.start = 1)
    };
    for (w, m) in [(0, 0), (1, 0), (0, 1)] {
        let bytes = declared(w, m);
        assert_eq!(code(judge(&model, &bytes)), "verify.start");
        let sections = Receipt::split(&bytes, usize::MAX).unwrap();
        let journal = Journal::decode(sections.journal).unwrap();
        let initial_state = Some(journal.initial_state.to_bytes());
        let expect = Expectations { initial_state, ..expectations(&model) };
        assert_eq!(code(verify(&bytes, &expect, None)), "verify.start");
    }
}

#[test]
fn the_nonce_of_a_derived_seed_is_bound() {
    let model = model();
    let mut run = executed(&model, setting(&model, Some(b"mine")), 2, KEEP);
    let other = |journal: &mut Journal| journal.nonce = Some(b"other".to_vec());
    let mut journal = testing::journal(&model, run.statement().unwrap(), 100_000);
    other(&mut journal);
    assert_eq!(run.open(&journal.encode()).unwrap_err().code, "usage");
    // The openings of a liar: with the seed of the nonce that is told.
    let told = derived_seed(&model.prepared.checked.id, journal.dataset_root, Some(b"other"));
    run.seed = Some(told);
    let statement =
        receipt(&model, &mut executed(&model, setting(&model, Some(b"mine")), 2, KEEP), |j| {
            j.nonce = Some(b"mine".to_vec());
        });
    let expect =
        |nonce: &[u8]| Expectations { nonce: Some(nonce.to_vec()), ..expectations(&model) };
    verify(&statement, &expect(b"mine"), None).unwrap();
    assert_eq!(code(verify(&statement, &expect(b"other"), None)), "verify.nonce-mismatch");
    let honest = Journal::decode(Receipt::split(&statement, usize::MAX).unwrap().journal).unwrap();
    let bytes = receipt(&model, &mut run, |journal| {
        other(journal);
        journal.prf_seed = honest.prf_seed;
    });
    assert_eq!(code(verify(&bytes, &expect(b"other"), None)), "verify.prf-seed");
}

#[test]
fn what_no_statement_can_say_is_no_statement() {
    let model = model();
    let mut run = executed(&model, setting(&model, None), 2, KEEP);
    let journal = testing::journal(&model, run.statement().unwrap(), 100_000);
    let breach = |checked: &Checked, change: &dyn Fn(&mut Journal)| {
        let mut journal = journal.clone();
        change(&mut journal);
        check_shape(checked, &journal).map_err(|error| (error.code, error.message))
    };
    let checked = checked();
    breach(&checked, &|_| ()).unwrap();
    let refused = |checked: &Checked, rule: &str, change: &dyn Fn(&mut Journal)| {
        let (code, message) = breach(checked, change).unwrap_err();
        assert!(code == "receipt.non-canonical" && message.contains(rule), "{message}, not {rule}");
    };
    refused(&checked, "data set's root", &|j| j.dataset_root = Digest::default());
    refused(&checked, "exported root", &|j| j.exported_root = Digest::default());
    refused(&checked, "beyond the last", &|j| (j.start, j.first) = (0, (1 << 30) - 1));
    breach(&checked, &|j| (j.start, j.first) = (0, (1 << 30) - 2)).unwrap();
    refused(&checked, "that of step 0", &|j| j.first = 1);
    refused(&checked, "need a derived seed", &|j| j.seed = 0);
    refused(&checked, "commitment to a seed", &|j| j.prf_seed = Digest::default());
    // Without data, noise or drawn start nothing follows from a seed; then a start is some root.
    let plain = Arc::new(load(&encode(&served())).unwrap());
    let none = |j: &mut Journal| {
        (j.dataset_root, j.exported_root) = Default::default();
        (j.prf_seed, j.seed, j.start) = (Digest::default(), 0, 0);
        (j.initial_state, j.final_state) = Default::default();
        (j.items, j.inputs, j.outputs) = (2, None, vec![0; 24]);
    };
    breach(&plain, &none).unwrap();
    let other = journal.chain_root;
    type Lie<'a> = (&'a str, &'a dyn Fn(&mut Journal));
    let lies: [Lie; 5] = [
        ("data set's root", &|j| j.dataset_root = other),
        ("exported root", &|j| j.exported_root = other),
        ("that of step 0", &|j| j.start = 1),
        ("nothing follows", &|j| (j.seed, j.prf_seed) = (1, other)),
        ("commitment to a seed", &|j| j.prf_seed = other),
    ];
    for (rule, change) in lies {
        refused(&plain, rule, &|journal| {
            none(journal);
            change(journal);
        });
    }
    // A declared start that is drawn needs a derived seed although nothing else does.
    let mut started = served();
    started.tensors[1].role = Role::State;
    let drawn = Some(Start::Drawn { domain: 1, lo: 0, hi: 1 });
    started.states.push(StateLink { state: 1, value: 2, start: drawn });
    let started = load(&encode(&started)).unwrap();
    refused(&started, "need a derived seed", &|journal| {
        none(journal);
        journal.start = 1;
    });
}

#[test]
fn every_demand_on_a_training_run_refuses_what_does_not_meet_it() {
    let model = model();
    // Steps 4 to 8 of 2 to an epoch, without a nonce, from some root.
    let arrays = testing::arrays(&learner(), Role::State, &mut Rng(2));
    let later = Setting { first: 4, initial: Initial::Own(arrays), ..setting(&model, None) };
    let mut run = executed(&model, later, 5, KEEP);
    let bytes = receipt(&model, &mut run, |_| ());
    let with = |change: &dyn Fn(&mut Expectations)| {
        let mut expect = expectations(&model);
        change(&mut expect);
        verify(&bytes, &expect, None).map(|_| ()).map_err(|error| error.code)
    };
    let root = run.statement().unwrap().dataset_root.to_bytes();
    let id = Id(model.prepared.checked.id);
    type Demand<'a> =
        (&'a str, Box<dyn Fn(&mut Expectations) + 'a>, Box<dyn Fn(&mut Expectations) + 'a>);
    let demands: Vec<Demand> = vec![
        (
            "verify.dataset-mismatch",
            Box::new(|e| (e.dataset_root, e.any_dataset) = (Some(root), false)),
            Box::new(|e| e.any_dataset = false),
        ),
        (
            "verify.dataset-mismatch",
            Box::new(|e| e.dataset_root = Some(root)),
            Box::new(|e| e.dataset_root = Some([1; 32])),
        ),
        (
            "policy.seed",
            Box::new(|e| e.policy.seed = SeedPolicy::Derived),
            Box::new(|e| e.policy.seed = SeedPolicy::Nonce),
        ),
        (
            "policy.start",
            Box::new(|e| e.policy.start = StartPolicy::Any),
            Box::new(|e| e.policy.start = StartPolicy::Declared),
        ),
        (
            "policy.steps",
            Box::new(|e| e.policy.max_steps = Some(9)),
            Box::new(|e| e.policy.max_steps = Some(8)),
        ),
        (
            "policy.epochs",
            Box::new(|e| e.policy.max_epochs = Some(5)),
            Box::new(|e| e.policy.max_epochs = Some(4)),
        ),
        (
            "policy.batch",
            Box::new(|e| e.policy.batch = Some([4, 4])),
            Box::new(|e| e.policy.batch = Some([5, 9])),
        ),
        (
            "policy.program",
            Box::new(|e| e.policy.programs = Some(vec![Id([0; 32]), id])),
            Box::new(|e| e.policy.programs = Some(vec![])),
        ),
        (
            "policy.range",
            Box::new(|e| e.policy.ranges = BTreeMap::new()),
            Box::new(|e| e.policy.ranges = BTreeMap::from([("rate".into(), [0.0, 1.0])])),
        ),
    ];
    for (code, met, broken) in demands {
        assert_eq!(with(&met), Ok(()), "{code}");
        assert_eq!(with(&broken), Err(code));
    }
}

/// `y = x`, of a port of floats at steps of a half.
fn rated() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[2]);
    let y = b.tensor(Role::Value, 1, &[2]);
    let operands = vec![read(x, &[2], &[by_i(0)])];
    b.op(y, &[2], OpKind::Pick(Pick { mode: PickMode::Copy, window: vec![], operands }));
    let mut program = b.finish();
    let port = &mut program.inputs[0];
    (port.kind, port.scale, port.zero) = (PortKind::Float, 0.5, 1);
    port.name = "rate".into();
    program
}

#[test]
fn ranges_are_of_published_values_in_every_step() {
    let checked = Arc::new(load(&encode(&rated())).unwrap());
    let model = Arc::new(Model::new(checked, vec![], Key::default()).unwrap());
    let mut run = Run::new(model.clone(), key(1), Setting::new(None, vec![]), KEEP).unwrap();
    run.execute(vec![Array::I8(vec![1, 3])]).unwrap();
    run.execute(vec![Array::I8(vec![2, 7])]).unwrap();
    let with = |range: [f64; 2], bytes: &[u8]| {
        let mut expect = expectations(&model);
        expect.policy.ranges.insert("rate".into(), range);
        verify(bytes, &expect, None).map(|_| ()).map_err(|error| error.code)
    };
    let bytes = receipt(&model, &mut run, |_| ());
    assert_eq!(with([0.0, 3.0], &bytes), Ok(()));
    assert_eq!(with([0.0, 2.9], &bytes), Err("policy.range"));
    assert_eq!(with([0.1, 3.0], &bytes), Err("policy.range"));
    let private = receipt(&model, &mut run, |journal| journal.inputs = None);
    assert_eq!(with([0.0, 3.0], &private), Err("policy.range"));
}

#[test]
fn settings_that_no_statement_could_be_about_are_refused() {
    let model = model();
    let refused = |change: &dyn Fn(&mut Setting)| {
        let mut setting = setting(&model, None);
        change(&mut setting);
        Run::new(model.clone(), key(1), setting, KEEP).map(|_| ()).unwrap_err().code
    };
    assert_eq!(refused(&|s| s.data = None), "usage");
    assert_eq!(refused(&|s| s.first = 1), "usage");
    assert_eq!(refused(&|s| s.seed = SeedSource::Own(Some(key(5)))), "usage");
    assert_eq!(refused(&|s| s.initial = Initial::Own(vec![])), "usage");
    // A data set of a program whose tensors are cut into other leaves.
    let mut other = learner();
    let Source::Data { layout, .. } = &mut other.tensors[0].source else { panic!("data") };
    layout.piece = 3;
    let other = Arc::new(load(&encode(&other)).unwrap());
    let weights = testing::arrays(&other.program, Role::Weight, &mut Rng(8));
    let other = Model::new(other, weights, key(9)).unwrap();
    assert_eq!(refused(&|s| s.data = Some(dataset(&other, 5))), "usage");
    let plain = testing::run(Arc::new(load(&encode(&served())).unwrap()), 0, KEEP).0;
    for (seed, initial) in [
        (SeedSource::Derived { nonce: None }, Initial::Own(vec![])),
        (SeedSource::Own(None), Initial::Declared),
        (SeedSource::Own(Some(key(5))), Initial::Own(vec![])),
    ] {
        let setting = Setting { first: 0, seed, initial, data: None };
        assert_eq!(
            Run::new(plain.clone(), key(1), setting, KEEP).map(|_| ()).unwrap_err().code,
            "usage"
        );
    }
}
