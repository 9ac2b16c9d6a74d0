//! The verifier.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};
use zktally_core::Error;
use zktally_core::fast::facts::{Facts, profile_name};
use zktally_core::fast::inputs::CallerInputs;
use zktally_core::fast::verify::{self as core, Expectations, OutputValues};

use super::arrays::{caller_array, numpy};
use super::errors::raise;
use super::journal::Fields;
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
    let expect = expectations(expectations_json)?;
    let inputs = inputs.map(caller_inputs);
    let judge = || core::verify(receipt, &expect, inputs.as_ref());
    let verified = Pool::new(threads)?.run(py, || catch_unwind(AssertUnwindSafe(judge)));
    // No input should get here; if one does, it is refused like any other bad proof.
    let verified =
        verified.unwrap_or_else(|_| Err(Error::new("verify.opening", "internal check failed")));
    let verified = verified.map_err(raise)?;
    let outputs = PyDict::new(py);
    for output in verified.outputs {
        let values = match output.values {
            OutputValues::Floats(values) => numpy(py, values, &output.shape)?,
            OutputValues::Integers(values) => numpy(py, values, &output.shape)?,
        };
        outputs.set_item(output.name, values)?;
    }
    Ok((facts_json(&verified.facts).to_string(), outputs))
}

fn expectations(text: &str) -> PyResult<Expectations> {
    let fields = Fields::parse(text)?;
    Ok(Expectations {
        model_id: fields.required32("model_id")?,
        modes: fields.list("modes", |mode| mode.as_str().map(str::to_string))?,
        min_bits: fields.number("min_bits")?,
        max_delta_ppm: fields.number("max_delta_ppm")?,
        max_delta_step_ppm: fields.optional_number("max_delta_step_ppm")?.filter(|&ppm| ppm > 0),
        max_delta_op_ppm: fields.optional_number("max_delta_op_ppm")?.filter(|&ppm| ppm > 0),
        outputs_exact: fields.flag("outputs_exact")?,
        audience: fields.text("audience")?,
        nonce: fields.bytes("nonce")?,
        initial_state: fields.bytes32("initial_state")?,
        input_root: fields.bytes32("input_root")?,
    })
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

fn facts_json(facts: &Facts) -> Value {
    // Exhaustive, so that a new fact cannot be forgotten here.
    let Facts {
        mode,
        stark,
        headline_bits,
        model_id,
        program_id,
        weights_root,
        program_name,
        steps,
        items,
        batch,
        itemised,
        delta_ppm,
        delta_step_ppm,
        delta_op_ppm,
        lambda,
        samples,
        samples_per_op,
        samples_per_step,
        step_weight,
        step_macs,
        live_macs,
        checked_gates,
        ops,
        outputs,
        input_root,
        initial_state,
        final_state,
        chain_root,
        prf_seed,
        input_key,
        inputs_public,
        audience,
        nonce,
        receipt_bytes,
    } = facts;
    let ops: Vec<Value> = ops
        .iter()
        .map(|op| {
            json!({
                "name": op.name, "kind": op.kind, "gates": op.gates, "live": op.live, "weight": op.weight,
                "macs": op.macs, "draws": op.draws, "enumerated": op.enumerated,
            })
        })
        .collect();
    let outputs: Vec<Value> = outputs
        .iter()
        .map(|output| json!({ "name": output.name, "status": output.status.name() }))
        .collect();
    let mut facts = json!({
        "mode": mode,
        "headline_bits": headline_bits,
        "model_id": model_id,
        "program_id": program_id,
        "weights_root": weights_root,
        "program_name": program_name,
        "steps": steps,
        "items": items,
        "batch": batch,
        "itemised": itemised,
        "delta_ppm": delta_ppm,
        "delta_step_ppm": delta_step_ppm,
        "delta_op_ppm": delta_op_ppm,
        "lambda": lambda,
        "samples": samples,
        "samples_per_op": samples_per_op,
        "samples_per_step": samples_per_step,
        "step_weight": step_weight,
        "step_macs": step_macs,
        "live_macs": live_macs,
        "checked_gates": checked_gates,
        "ops": ops,
        "outputs": outputs,
        "input_root": input_root,
        "initial_state": initial_state,
        "final_state": final_state,
        "chain_root": chain_root,
        "prf_seed": prf_seed,
        "input_key": input_key,
        "inputs_public": inputs_public,
        "audience": audience,
        "nonce": nonce,
        "receipt_bytes": receipt_bytes,
    });
    if let Some(stark) = stark {
        facts["profile"] = json!(profile_name(stark.profile));
        facts["segments"] = json!(stark.segments);
        facts["stark_bits"] = json!(stark.shown_bits());
    }
    facts
}
