//! What tests of receipts share: keys, random arrays, a run of a program, the statement about it.

use std::sync::Arc;

use super::{Dataset, Initial, Model, Run, SeedSource, Setting, Statement};
use crate::exec::Array;
use crate::hash::{Digest, Key};
use crate::program::testing::Rng;
use crate::program::{Checked, Program, Role};
use crate::receipt::Journal;

pub fn key(seed: u8) -> Key {
    Key::from_bytes(&std::array::from_fn(|i| {
        if i % 4 == 3 { 1 } else { seed.wrapping_mul(i as u8 + 3) }
    }))
    .unwrap()
}

/// Random values inside the ranges of all tensors of a role.
pub fn arrays(program: &Program, role: Role, rng: &mut Rng) -> Vec<Array> {
    let array = |t: usize| {
        let tensor = &program.tensors[t];
        let values: Vec<i64> = (0..tensor.committed_shape().iter().product())
            .map(|_| rng.between(tensor.lo, tensor.hi).into())
            .collect();
        Array::from_i64(tensor.width, &values).unwrap()
    };
    program.of_role(&[role]).into_iter().map(array).collect()
}

/// What a run of any program can begin with: random data, a random or the declared state.
pub fn setting(model: &Model, rng: &mut Rng) -> Setting {
    let program = &model.prepared.checked.program;
    let own = (!program.of_role(&[Role::Prf]).is_empty()).then(|| key(5));
    let derived = program.data().is_some() || program.draws_start();
    let seed = if derived { SeedSource::Derived { nonce: None } } else { SeedSource::Own(own) };
    let declared = program.declares_start();
    let initial =
        if declared { Initial::Declared } else { Initial::Own(arrays(program, Role::State, rng)) };
    let data = program.data().map(|_| Arc::new(dataset(model, rng)));
    Setting { first: 0, seed, initial, data }
}

/// Random records for all data tensors.
pub fn dataset(model: &Model, rng: &mut Rng) -> Dataset {
    Dataset::new(&model.prepared, arrays(&model.prepared.checked.program, Role::Data, rng), key(3))
        .unwrap()
}

/// A model with random weights, and a run of `steps` committed steps with random inputs.
pub fn run(checked: Arc<Checked>, steps: usize, keep_bytes: usize) -> (Arc<Model>, Run) {
    let rng = &mut Rng(77);
    let program = &checked.program;
    let weights = arrays(program, Role::Weight, rng);
    let model = Arc::new(Model::new(checked.clone(), weights, key(9)).unwrap());
    let setting = setting(&model, rng);
    let mut run = Run::new(model.clone(), key(1), setting, keep_bytes).unwrap();
    for _ in 0..steps {
        run.execute(arrays(program, Role::Input, rng)).unwrap();
        run.commit();
    }
    (model, run)
}

/// The fast statement about a run, with public inputs and λ = 128.
pub fn journal(model: &Model, statement: Statement, delta_ppm: u32) -> Journal {
    let checked = &model.prepared.checked;
    Journal {
        mode: 0,
        program_id: checked.id,
        weights_root: model.weights_root,
        dataset_root: statement.dataset_root,
        first: statement.first as u32,
        steps: statement.steps as u32,
        items: (statement.steps * checked.program.batch()) as u32,
        delta_ppm,
        delta_step_ppm: 0,
        delta_op_ppm: 0,
        bits: 128,
        exact: vec![],
        chain_root: statement.digests.chain_root,
        input_root: statement.digests.input_root,
        initial_state: statement.digests.initial_state,
        final_state: statement.digests.final_state,
        exported_root: statement.digests.exported_root,
        prf_seed: statement.prf_seed,
        seed: u8::from(statement.derived),
        start: u8::from(statement.declared),
        input_key: Some(Digest::from_bytes(&statement.input_key.to_bytes()).unwrap()),
        inputs: Some(statement.inputs),
        outputs: statement.outputs,
        audience: None,
        nonce: None,
    }
}
