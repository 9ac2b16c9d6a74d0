//! The verifier.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use zktally_core::statement::inputs::CallerInputs;
use zktally_core::statement::{Expectations, OutputValues, Verified};
use zktally_core::{Error, verify as judge, verify_aggregate as judge_all};

use super::arrays::{caller_array, numpy};
use super::errors::{raise, usage};
use super::pool::Pool;

/// Judges a receipt: its facts as JSON, and its outputs by name.
#[pyfunction]
#[pyo3(signature = (receipt, expectations_json, inputs = None, threads = 0))]
pub fn verify<'py>(
    py: Python<'py>,
    receipt: &[u8],
    expectations_json: &str,
    inputs: Option<&Bound<'py, PyAny>>,
    threads: usize,
) -> PyResult<(String, Bound<'py, PyDict>)> {
    let expect: Expectations =
        serde_json::from_str(expectations_json).map_err(|error| usage(error.to_string()))?;
    let inputs = inputs.map(caller_inputs);
    let judged = || judge(receipt, &expect, inputs.as_ref());
    let verified = Pool::new(threads)?.run(py, || catch_unwind(AssertUnwindSafe(judged)));
    // No input should get here; if one does, it is refused like any other bad proof.
    let verified =
        verified.unwrap_or_else(|_| Err(Error::new("verify.opening", "internal check failed")));
    shown(py, verified.map_err(raise)?)
}

/// Judges an aggregate: of each receipt the facts as JSON, and the outputs by name.
#[pyfunction]
#[pyo3(signature = (aggregate, expectations_json, threads = 0))]
pub fn verify_aggregate<'py>(
    py: Python<'py>,
    aggregate: &[u8],
    expectations_json: &str,
    threads: usize,
) -> PyResult<Vec<(String, Bound<'py, PyDict>)>> {
    let expect: Vec<Expectations> =
        serde_json::from_str(expectations_json).map_err(|error| usage(error.to_string()))?;
    let judged = || judge_all(aggregate, &expect);
    let verified = Pool::new(threads)?.run(py, || catch_unwind(AssertUnwindSafe(judged)));
    let verified =
        verified.unwrap_or_else(|_| Err(Error::new("verify.opening", "internal check failed")));
    verified.map_err(raise)?.into_iter().map(|verified| shown(py, verified)).collect()
}

/// Facts as JSON, and outputs by name.
fn shown(py: Python<'_>, verified: Verified) -> PyResult<(String, Bound<'_, PyDict>)> {
    let outputs = PyDict::new(py);
    for output in verified.outputs {
        let values = match output.values {
            OutputValues::Floats(values) => numpy(py, values, &output.shape)?,
            OutputValues::Integers(values) => numpy(py, values, &output.shape)?,
        };
        outputs.set_item(output.name, values)?;
    }
    let facts = serde_json::to_string(&verified.facts).expect("facts are JSON");
    Ok((facts, outputs))
}

/// Nothing is refused here: the verifier looks at inputs in its own order.
fn caller_inputs(inputs: &Bound<'_, PyAny>) -> CallerInputs {
    let Ok(named) = inputs.cast::<PyDict>() else {
        return CallerInputs::Single(caller_array(inputs));
    };
    let arrays: PyResult<_> =
        named.iter().map(|(name, array)| Ok((name.extract()?, caller_array(&array)))).collect();
    arrays.map_or(CallerInputs::Misnamed, CallerInputs::ByName)
}
