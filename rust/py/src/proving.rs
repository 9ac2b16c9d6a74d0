//! Programs, models and runs.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde_json::{Value, json};
use zktally_core::commit::Prepared;
use zktally_core::error::Error;
use zktally_core::exec;
use zktally_core::fast;
use zktally_core::hash::hex;
use zktally_core::program::{self, Checked, PortKind, Role, Source};
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
    };
    let tensors = program.tensors.iter().map(|tensor| {
        let mut facts = json!({
            "name": tensor.name, "role": role(tensor.role), "width": tensor.width,
            "lo": tensor.lo, "hi": tensor.hi, "shape": tensor.shape,
        });
        match &tensor.source {
            Source::Prf { domain } => facts["domain"] = json!(domain),
            Source::Committed(layout) => {
                facts["layout"] = json!({
                    "order": layout.order, "trailing": layout.trailing, "piece": layout.piece,
                    "leaves": layout.leaves(&tensor.shape),
                });
            }
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
    })
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
        key: &[u8],
        threads: usize,
    ) -> PyResult<Self> {
        let checked = match program.cast::<Program>() {
            Ok(program) => program.get().0.clone(),
            Err(_) => Program::new(py, program.extract()?)?.0,
        };
        let (weights, key) = (arrays(&weights)?, self::key(key)?);
        let pool = Pool::new(threads)?;
        let model = pool.run(py, || fast::Model::new(checked, weights, key)).map_err(raise)?;
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
        let values = self.pool.run(py, || self.executor.run(&inputs, &[], &none)).map_err(raise)?;
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
    #[pyo3(signature = (model, run_key, prf_seed, initial_state, keep_bytes = 4 << 30))]
    fn new(
        py: Python<'_>,
        model: &Model,
        run_key: &[u8],
        prf_seed: Option<&[u8]>,
        initial_state: Vec<Bound<'_, PyAny>>,
        keep_bytes: usize,
    ) -> PyResult<Self> {
        let (run_key, prf_seed) = (key(run_key)?, prf_seed.map(key).transpose()?);
        let initial = arrays(&initial_state)?;
        let (model, pool) = (model.model.clone(), model.pool.clone());
        let start = || fast::Run::new(model.clone(), run_key, prf_seed, initial, keep_bytes);
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
        let digests = statement.digests;
        for (name, bytes) in [
            ("chain_root", digests.chain_root.to_bytes()),
            ("input_root", digests.input_root.to_bytes()),
            ("initial_state", digests.initial_state.to_bytes()),
            ("final_state", digests.final_state.to_bytes()),
            ("prf_seed", statement.prf_seed.to_bytes()),
            ("input_key", statement.input_key.to_bytes()),
        ] {
            dict.set_item(name, PyBytes::new(py, &bytes))?;
        }
        dict.set_item("inputs", PyBytes::new(py, &statement.inputs))?;
        dict.set_item("outputs", PyBytes::new(py, &statement.outputs))?;
        Ok(dict)
    }

    fn open<'py>(&mut self, py: Python<'py>, journal: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let proof = self.pool.run(py, || self.run.open(journal)).map_err(raise)?;
        Ok(PyBytes::new(py, &proof))
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
