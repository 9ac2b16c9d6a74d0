//! Programs, models and runs.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde_json::{Value, json};
use zktally_core::commit::{Prepared, Salting};
use zktally_core::error::Error;
use zktally_core::exec;
use zktally_core::fast::{self, FinalState, Initial, SeedSource, Setting};
use zktally_core::hash::hex;
use zktally_core::program::{self, Checked, PortKind, Role, Source, Start};
use zktally_core::statement::kind_name;

use super::arrays::{arrays, numpy_of};
use super::errors::{key, raise, usage};
use super::pool::Pool;

/// A program that passed every rule.
#[pyclass(frozen, module = "zktally._core")]
pub struct Program(Arc<Checked>);

#[pymethods]
impl Program {
    #[new]
    pub fn new(py: Python<'_>, data: &[u8]) -> PyResult<Self> {
        py.detach(|| program::load(data)).map(|checked| Self(Arc::new(checked))).map_err(raise)
    }

    #[getter]
    fn program_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.id)
    }

    fn facts(&self) -> String {
        facts(&self.0).to_string()
    }
}

impl Program {
    pub fn checked(&self) -> Arc<Checked> {
        self.0.clone()
    }
}

fn facts(checked: &Checked) -> Value {
    let program = &checked.program;
    let role = |role: Role| match role {
        Role::Input => "input",
        Role::Weight => "weight",
        Role::State => "state",
        Role::Prf => "prf",
        Role::Value => "value",
        Role::Data => "data",
    };
    let tensors = program.tensors.iter().map(|tensor| {
        let mut facts = json!({
            "name": tensor.name, "role": role(tensor.role), "width": tensor.width,
            "lo": tensor.lo, "hi": tensor.hi, "shape": tensor.shape,
        });
        match &tensor.source {
            Source::Prf { domain } => facts["domain"] = json!(domain),
            Source::Committed(layout) | Source::Data { layout, .. } => {
                facts["layout"] = json!({
                    "order": layout.order, "trailing": layout.trailing, "piece": layout.piece,
                    "leaves": layout.leaves(&tensor.committed_shape()),
                });
            }
        }
        if let Some(records) = tensor.records() {
            facts["records"] = json!(records);
        }
        facts
    });
    let ops = program.ops.iter().enumerate().map(|(c, op)| {
        json!({
            "name": op.name, "kind": kind_name(&op.kind), "out": op.out, "exact": op.exact,
            "gates": op.gates(), "own": checked.own[c], "weight": checked.gate_weight[c],
            "macs": checked.gate_macs[c], "live": checked.live[c],
        })
    });
    let bounds = checked.bounds.iter().map(|bound| {
        json!({
            "op": bound.op, "identity": bound.identity, "limbs": bound.limbs,
            "bound": bound.bound.to_string(), "limit": bound.limit.to_string(),
        })
    });
    let ports = |ports: &[program::Port]| -> Vec<Value> {
        let port = |port: &program::Port| {
            json!({
                "name": port.name, "tensor": port.tensor, "batched": port.batch.is_some(),
                "kind": if port.kind == PortKind::Float { "float" } else { "integer" },
                "scale": port.scale, "zero": port.zero,
            })
        };
        ports.iter().map(port).collect()
    };
    json!({
        "program_id": hex(&checked.id),
        "name": program.name,
        "batch": program.batch(),
        "step_weight": checked.step_weight,
        "step_macs": checked.step_macs,
        "live_macs": checked.live_macs,
        "tensors": tensors.collect::<Vec<_>>(),
        "tables": program.tables.iter().map(|table| &table.name).collect::<Vec<_>>(),
        "ops": ops.collect::<Vec<_>>(),
        "bounds": bounds.collect::<Vec<_>>(),
        "inputs": ports(&program.inputs),
        "outputs": ports(&program.outputs),
        "states": program.states.iter().map(|link| [link.state, link.value]).collect::<Vec<_>>(),
        "starts": program.states.iter().map(|link| start(link.start)).collect::<Vec<_>>(),
        "exports": program.exports,
    })
}

fn start(start: Option<Start>) -> Value {
    match start {
        None => Value::Null,
        Some(Start::Constant(value)) => json!({ "constant": value }),
        Some(Start::Drawn { domain, lo, hi }) => json!({ "domain": domain, "lo": lo, "hi": hi }),
    }
}

/// A program with its weights and the commitment to them.
#[pyclass(frozen, module = "zktally._core")]
pub struct Model {
    model: Arc<fast::Model>,
    pool: Pool,
}

#[pymethods]
impl Model {
    #[new]
    #[pyo3(signature = (program, weights, key, threads = 0))]
    fn new(
        py: Python<'_>,
        program: &Bound<'_, PyAny>,
        weights: Vec<Bound<'_, PyAny>>,
        key: Salts,
        threads: usize,
    ) -> PyResult<Self> {
        let checked = match program.cast::<Program>() {
            Ok(program) => program.get().0.clone(),
            Err(_) => Program::new(py, program.extract()?)?.0,
        };
        let (weights, pool) = (arrays(&weights)?, Pool::new(threads)?);
        let model = match key {
            Salts::Key(key) => {
                let key = self::key(&key)?;
                pool.run(py, || fast::Model::new(checked, weights, key))
            }
            Salts::Each(salts) => {
                let salts = salts.iter().map(salting).collect::<PyResult<_>>()?;
                pool.run(py, || fast::Model::salted(checked, weights, salts))
            }
        };
        let model = model.map_err(raise)?;
        Ok(Self { model: Arc::new(model), pool })
    }

    #[getter]
    fn weights_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.model.weights_root.to_bytes())
    }

    #[getter]
    fn model_id<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.model.model_id)
    }

    #[getter]
    fn weight_roots<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.model.roots.iter().map(|root| PyBytes::new(py, &root.to_bytes())).collect()
    }
}

impl Model {
    pub fn prepared(&self) -> Arc<Prepared> {
        self.model.prepared.clone()
    }
}

/// What salts the weights of a model: one key, or of each weight its key, position and number.
#[derive(FromPyObject)]
enum Salts {
    Key(Vec<u8>),
    Each(Vec<(Vec<u8>, usize, usize)>),
}

fn salting((key, position, tensor): &(Vec<u8>, usize, usize)) -> PyResult<Salting> {
    if position.max(tensor) >> 31 > 0 {
        return Err(usage("positions and numbers of salts are below 2^31"));
    }
    Ok(Salting::Keyed { key: self::key(key)?, position: *position, tensor: *tensor })
}

/// The data set of a training run, committed.
#[pyclass(frozen, module = "zktally._core")]
pub struct Dataset(Arc<fast::Dataset>);

#[pymethods]
impl Dataset {
    #[new]
    #[pyo3(signature = (model, arrays, key))]
    fn new(
        py: Python<'_>,
        model: &Model,
        arrays: Vec<Bound<'_, PyAny>>,
        key: &[u8],
    ) -> PyResult<Self> {
        let (arrays, key) = (self::arrays(&arrays)?, self::key(key)?);
        let data = || fast::Dataset::new(&model.model.prepared, arrays, key);
        Ok(Self(Arc::new(model.pool.run(py, data).map_err(raise)?)))
    }

    #[getter]
    fn root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.root.to_bytes())
    }

    #[getter]
    fn roots<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.0.roots.iter().map(|root| PyBytes::new(py, &root.to_bytes())).collect()
    }
}

/// A program with its weights, to run steps that nobody commits to.
#[pyclass(frozen, module = "zktally._core")]
pub struct Executor {
    executor: exec::Executor,
    pool: Pool,
}

#[pymethods]
impl Executor {
    #[new]
    #[pyo3(signature = (program, weights, threads = 0))]
    fn new(
        py: Python<'_>,
        program: &[u8],
        weights: Vec<Bound<'_, PyAny>>,
        threads: usize,
    ) -> PyResult<Self> {
        let checked = Program::new(py, program)?.0;
        let (weights, pool) = (arrays(&weights)?, Pool::new(threads)?);
        let executor = pool.run(py, || exec::Executor::new(checked, weights)).map_err(raise)?;
        Ok(Self { executor, pool })
    }

    fn execute<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Vec<(usize, Bound<'py, PyAny>)>> {
        let inputs = arrays(&inputs)?;
        let none = |_| Err(Error::new("usage", "the program has prf tensors"));
        let values =
            self.pool.run(py, || self.executor.run(&inputs, &[], &[], &none)).map_err(raise)?;
        let tensors = &self.executor.checked().program.tensors;
        let shaped = |(t, array): (usize, _)| Ok((t, numpy_of(py, array, &tensors[t].shape)?));
        values.into_iter().map(shaped).collect()
    }

    fn op_seconds(&self) -> Vec<f64> {
        self.executor.spent().iter().map(Duration::as_secs_f64).collect()
    }
}

/// A chain of steps of one model under one run key.
#[pyclass(module = "zktally._core")]
pub struct Run {
    run: fast::Run,
    model: Arc<fast::Model>,
    pool: Pool,
}

#[pymethods]
impl Run {
    #[new]
    #[pyo3(signature = (
        model, run_key, prf_seed, initial_state, keep_bytes = 4 << 30, *, first = 0,
        derived = false, nonce = None, carried = None, data = None,
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        model: &Model,
        run_key: &[u8],
        prf_seed: Option<&[u8]>,
        initial_state: Option<Vec<Bound<'_, PyAny>>>,
        keep_bytes: usize,
        first: usize,
        derived: bool,
        nonce: Option<Vec<u8>>,
        carried: Option<(Vec<u8>, usize)>,
        data: Option<&Dataset>,
    ) -> PyResult<Self> {
        if (derived && prf_seed.is_some()) || (nonce.is_some() && !derived) {
            return Err(usage("a seed is derived, maybe from a nonce, or it is given"));
        }
        if first.max(carried.as_ref().map_or(0, |(_, position)| *position)) > 1 << 30 {
            return Err(usage("the last position is 2^30"));
        }
        let seed = match prf_seed.map(key).transpose()? {
            _ if derived => SeedSource::Derived { nonce },
            seed => SeedSource::Own(seed),
        };
        let initial = match (initial_state.as_deref().map(arrays).transpose()?, carried) {
            (Some(arrays), None) => Initial::Own(arrays),
            (Some(arrays), Some((states, position))) => {
                Initial::Carried { arrays, key: key(&states)?, position }
            }
            (None, None) => Initial::Declared,
            (None, Some(_)) => return Err(usage("a carried state has arrays")),
        };
        let setting = Setting { first, seed, initial, data: data.map(|data| data.0.clone()) };
        let (run_key, pool) = (key(run_key)?, model.pool.clone());
        let model = model.model.clone();
        let start = || fast::Run::new(model.clone(), run_key, setting, keep_bytes);
        let run = pool.run(py, start).map_err(raise)?;
        Ok(Self { run, model, pool })
    }

    fn execute(&mut self, py: Python<'_>, inputs: Vec<Bound<'_, PyAny>>) -> PyResult<()> {
        let inputs = arrays(&inputs)?;
        self.pool.run(py, || self.run.execute(inputs)).map_err(raise)
    }

    fn push(
        &mut self,
        py: Python<'_>,
        inputs: Vec<Bound<'_, PyAny>>,
        values: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (inputs, values) = (arrays(&inputs)?, arrays(&values)?);
        self.pool.run(py, || self.run.push(inputs, values)).map_err(raise)
    }

    fn commit(&mut self, py: Python<'_>) {
        self.pool.run(py, || self.run.commit());
    }

    fn statement<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let statement = self.pool.run(py, || self.run.statement()).map_err(raise)?;
        let dict = PyDict::new(py);
        dict.set_item("steps", statement.steps)?;
        dict.set_item("first", statement.first)?;
        dict.set_item("seed", u8::from(statement.derived))?;
        dict.set_item("start", u8::from(statement.declared))?;
        let digests = statement.digests;
        for (name, bytes) in [
            ("chain_root", digests.chain_root.to_bytes()),
            ("input_root", digests.input_root.to_bytes()),
            ("initial_state", digests.initial_state.to_bytes()),
            ("final_state", digests.final_state.to_bytes()),
            ("exported_root", digests.exported_root.to_bytes()),
            ("dataset_root", statement.dataset_root.to_bytes()),
            ("prf_seed", statement.prf_seed.to_bytes()),
            ("input_key", statement.input_key.to_bytes()),
        ] {
            dict.set_item(name, PyBytes::new(py, &bytes))?;
        }
        dict.set_item("inputs", PyBytes::new(py, &statement.inputs))?;
        dict.set_item("outputs", PyBytes::new(py, &statement.outputs))?;
        Ok(dict)
    }

    #[allow(clippy::type_complexity)]
    fn final_state<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Vec<Bound<'py, PyAny>>, Bound<'py, PyBytes>, usize)> {
        let FinalState { arrays, key, position } = self.run.final_state().map_err(raise)?;
        let prepared = &self.model.prepared;
        let shape = |t: &usize| &prepared.checked.program.tensors[*t].shape;
        let shapes = prepared.committed.states.iter().map(shape);
        let arrays =
            arrays.into_iter().zip(shapes).map(|(array, shape)| numpy_of(py, array, shape));
        Ok((arrays.collect::<PyResult<_>>()?, PyBytes::new(py, &key.to_bytes()), position))
    }

    #[getter]
    fn dataset_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.run.dataset_root().to_bytes())
    }

    fn open<'py>(&mut self, py: Python<'py>, journal: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let proof = self.pool.run(py, || self.run.open(journal)).map_err(raise)?;
        Ok(PyBytes::new(py, &proof))
    }

    fn held_outputs<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let held = self.pool.run(py, || self.run.held_outputs()).map_err(raise)?;
        Ok(PyBytes::new(py, &held))
    }

    fn values<'py>(
        &self,
        py: Python<'py>,
        step: usize,
        tensor: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let array = self.pool.run(py, || self.run.values(step, tensor)).map_err(raise)?;
        let tensors = &self.model.prepared.checked.program.tensors;
        let tensor = tensors.get(tensor).ok_or_else(|| usage("no such tensor"))?;
        numpy_of(py, array, &tensor.shape)
    }
}
