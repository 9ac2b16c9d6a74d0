//! Errors of the core as the typed Python exceptions of `zktally.errors`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use zktally_core::Error;
use zktally_core::hash::{Digest, Key};

/// The typed exception with this error's code.
pub fn raise(error: Error) -> PyErr {
    Python::attach(|py| typed(py, error).unwrap_or_else(|failure| failure))
}

fn typed(py: Python<'_>, error: Error) -> PyResult<PyErr> {
    let Error { code, message, expected, received } = error;
    let details = PyDict::new(py);
    details.set_item("expected", expected)?;
    details.set_item("received", received)?;
    let errors = py.import("zktally.errors")?;
    let found = errors.getattr("error_for")?.call((code, message), Some(&details))?;
    Ok(PyErr::from_value(found))
}

/// A `UsageError`: the call itself is wrong.
pub fn usage(message: impl Into<String>) -> PyErr {
    raise(Error::new("usage", message))
}

/// A key of 32 bytes: 8 little-endian words below the prime.
pub fn key(bytes: &[u8]) -> PyResult<Key> {
    let bytes = bytes.try_into().ok();
    bytes
        .and_then(Key::from_bytes)
        .ok_or_else(|| usage("a key is 32 bytes: 8 words below the prime"))
}

/// A digest of 32 bytes: 8 little-endian words below the prime.
pub fn digest(bytes: &[u8]) -> PyResult<Digest> {
    let bytes = bytes.try_into().ok();
    let found = bytes.and_then(Digest::from_bytes);
    found.ok_or_else(|| usage("a digest is 32 bytes: 8 words below the prime"))
}
