//! Journals as JSON (docs/receipt-format.md): bytes in hexadecimal digits.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zktally_core::receipt::Journal;

use super::errors::{raise, usage};

/// The bytes of a journal.
#[pyfunction]
pub fn journal_encode<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyBytes>> {
    let journal: Journal = serde_json::from_str(text).map_err(|error| usage(error.to_string()))?;
    Ok(PyBytes::new(py, &journal.encode()))
}

/// A journal as JSON.
#[pyfunction]
pub fn journal_decode(bytes: &[u8]) -> PyResult<String> {
    let journal = Journal::decode(bytes).map_err(raise)?;
    Ok(serde_json::to_string(&journal).expect("a journal is JSON"))
}
