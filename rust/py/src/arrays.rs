//! NumPy arrays in and out.

use numpy::{
    Element, PyArray1, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use zktally_core::Error;
use zktally_core::exec::Array;
use zktally_core::statement::inputs::{CallerArray, CallerValues};

use super::errors::raise;

/// The values in row-major order, if the array has this element type.
fn typed<T: Element + Copy>(object: &Bound<'_, PyAny>) -> Option<Vec<T>> {
    let array = object.extract::<PyReadonlyArrayDyn<'_, T>>().ok()?;
    Some(match array.as_slice() {
        Ok(values) if array.is_c_contiguous() => values.to_vec(),
        _ => array.as_array().iter().copied().collect(),
    })
}

/// An integer array: int8, int16 or int32.
pub fn array(object: &Bound<'_, PyAny>) -> PyResult<Array> {
    let found = typed::<i8>(object)
        .map(Array::I8)
        .or_else(|| typed::<i16>(object).map(Array::I16))
        .or_else(|| typed::<i32>(object).map(Array::I32));
    found.ok_or_else(|| dtype(object, "int8, int16 or int32"))
}

pub fn arrays(objects: &[Bound<'_, PyAny>]) -> PyResult<Vec<Array>> {
    objects.iter().map(array).collect()
}

/// A caller's input: float64 or int64, and anything else as unsupported, to be refused in its turn.
pub fn caller_array(object: &Bound<'_, PyAny>) -> CallerArray {
    let values = typed(object)
        .map(CallerValues::Floats)
        .or_else(|| typed(object).map(CallerValues::Integers))
        .unwrap_or(CallerValues::Unsupported);
    let shape = object.cast::<PyUntypedArray>().map(|array| array.shape().to_vec());
    CallerArray { shape: shape.unwrap_or_default(), values }
}

fn dtype(object: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let received = object.getattr("dtype").unwrap_or_else(|_| object.get_type().into_any());
    raise(
        Error::new("usage.input", "an array has another dtype")
            .expected(expected)
            .received(received),
    )
}

/// A new NumPy array of this shape.
pub fn numpy<'py, T: Element>(
    py: Python<'py>,
    values: Vec<T>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    Ok(PyArray1::from_vec(py, values).reshape(shape)?.into_any())
}

/// A new NumPy array of a tensor's values.
pub fn numpy_of<'py>(
    py: Python<'py>,
    array: Array,
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    match array {
        Array::I8(values) => numpy(py, values, shape),
        Array::I16(values) => numpy(py, values, shape),
        Array::I32(values) => numpy(py, values, shape),
    }
}
