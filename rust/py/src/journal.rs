//! Journals as JSON: digests and packed values in hexadecimal digits.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json};
use zktally_core::fast::journal::Journal;
use zktally_core::hash::{Digest, hex};

use super::errors::{digest, raise, unhex, usage};

/// Reads the fields of a JSON object.
pub struct Fields(Value);

impl Fields {
    pub fn parse(text: &str) -> PyResult<Self> {
        let value: Value = serde_json::from_str(text).map_err(|error| usage(error.to_string()))?;
        if value.is_object() { Ok(Self(value)) } else { Err(usage("not a JSON object")) }
    }

    fn present(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn wrong(name: &str) -> PyErr {
        usage(format!("field {name:?} is missing or has a wrong type"))
    }

    pub fn number<T: TryFrom<u64>>(&self, name: &str) -> PyResult<T> {
        self.optional_number(name)?.ok_or_else(|| Self::wrong(name))
    }

    pub fn optional_number<T: TryFrom<u64>>(&self, name: &str) -> PyResult<Option<T>> {
        let number = |value: &Value| value.as_u64().and_then(|number| T::try_from(number).ok());
        self.optional(name, number)
    }

    pub fn flag(&self, name: &str) -> PyResult<bool> {
        self.optional(name, Value::as_bool)?.ok_or_else(|| Self::wrong(name))
    }

    pub fn text(&self, name: &str) -> PyResult<Option<String>> {
        self.optional(name, |value| value.as_str().map(str::to_string))
    }

    pub fn list<T>(&self, name: &str, item: impl Fn(&Value) -> Option<T>) -> PyResult<Vec<T>> {
        let items = self.present(name).and_then(Value::as_array);
        let items = items.and_then(|items| items.iter().map(item).collect());
        items.ok_or_else(|| Self::wrong(name))
    }

    pub fn bytes(&self, name: &str) -> PyResult<Option<Vec<u8>>> {
        self.text(name)?.map(|digits| unhex(&digits)).transpose()
    }

    pub fn bytes32(&self, name: &str) -> PyResult<Option<[u8; 32]>> {
        let array =
            |bytes: Vec<u8>| bytes.try_into().map_err(|_| usage(format!("{name} is 32 bytes")));
        self.bytes(name)?.map(array).transpose()
    }

    pub fn required32(&self, name: &str) -> PyResult<[u8; 32]> {
        self.bytes32(name)?.ok_or_else(|| Self::wrong(name))
    }

    fn digest(&self, name: &str) -> PyResult<Digest> {
        digest(&self.required32(name)?)
    }

    fn optional<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> PyResult<Option<T>> {
        let read = |value| read(value).ok_or_else(|| Self::wrong(name));
        self.present(name).map(read).transpose()
    }
}

/// The bytes of a journal.
#[pyfunction]
pub fn journal_encode<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyBytes>> {
    let fields = Fields::parse(text)?;
    let inputs = fields.bytes("inputs")?;
    let outputs = fields.bytes("outputs")?.unwrap_or_default();
    let audience = fields.text("audience")?;
    let nonce = fields.bytes("nonce")?;
    let op = |value: &Value| value.as_u64().and_then(|op| u16::try_from(op).ok());
    let journal = Journal {
        mode: fields.number("mode")?,
        program_id: fields.required32("program_id")?,
        weights_root: fields.digest("weights_root")?,
        steps: fields.number("steps")?,
        items: fields.number("items")?,
        delta: fields.number("delta_ppm")?,
        delta_step: fields.number("delta_step_ppm")?,
        delta_op: fields.number("delta_op_ppm")?,
        lambda: fields.number("lambda")?,
        exact: fields.list("exact", op)?,
        chain_root: fields.digest("chain_root")?,
        input_root: fields.digest("input_root")?,
        initial_state: fields.digest("initial_state")?,
        final_state: fields.digest("final_state")?,
        prf_seed: fields.digest("prf_seed")?,
        input_key: fields.bytes("input_key")?.map(|key| digest(&key)).transpose()?,
        inputs: inputs.as_deref(),
        outputs: &outputs,
        audience: audience.as_deref(),
        nonce: nonce.as_deref(),
    };
    Ok(PyBytes::new(py, &journal.encode()))
}

/// A journal as JSON.
#[pyfunction]
pub fn journal_decode(bytes: &[u8]) -> PyResult<String> {
    let journal = Journal::decode(bytes).map_err(raise)?;
    Ok(json!({
        "mode": journal.mode,
        "program_id": hex(&journal.program_id),
        "weights_root": journal.weights_root.hex(),
        "steps": journal.steps,
        "items": journal.items,
        "delta_ppm": journal.delta,
        "delta_step_ppm": journal.delta_step,
        "delta_op_ppm": journal.delta_op,
        "lambda": journal.lambda,
        "exact": journal.exact,
        "chain_root": journal.chain_root.hex(),
        "input_root": journal.input_root.hex(),
        "initial_state": journal.initial_state.hex(),
        "final_state": journal.final_state.hex(),
        "prf_seed": journal.prf_seed.hex(),
        "input_key": journal.input_key.map(Digest::hex),
        "inputs": journal.inputs.map(hex),
        "outputs": hex(journal.outputs),
        "audience": journal.audience,
        "nonce": journal.nonce.map(hex),
    })
    .to_string())
}
