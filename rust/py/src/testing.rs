//! Hashes and counts of the protocol, for tests against the plain Python verifier.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zktally_core::commit::{Salting, salted_tree};
use zktally_core::exec::Array;
use zktally_core::hash::poseidon::{self, from_words, words};
use zktally_core::hash::{Elem, Ints};
use zktally_core::program::{Layout, LayoutMap};
use zktally_core::sampling;

use super::arrays::array;
use super::errors::{digest, key, usage};

fn elements(numbers: &[u32]) -> PyResult<Vec<Elem>> {
    from_words(numbers).ok_or_else(|| usage("a field element is below the prime"))
}

fn fixed<const N: usize>(numbers: &[u32]) -> PyResult<[Elem; N]> {
    elements(numbers)?.try_into().map_err(|_| usage(format!("{N} elements are needed")))
}

/// Poseidon2 of width 16.
#[pyfunction]
pub fn poseidon2_16(state: Vec<u32>) -> PyResult<Vec<u32>> {
    let mut state = fixed::<16>(&state)?;
    poseidon::p16(&mut state);
    Ok(words(&state))
}

/// Poseidon2 of width 24.
#[pyfunction]
pub fn poseidon2_24(state: Vec<u32>) -> PyResult<Vec<u32>> {
    let mut state = fixed::<24>(&state)?;
    poseidon::p24(&mut state);
    Ok(words(&state))
}

/// `H(domain, aux, elements)`.
#[pyfunction]
pub fn sponge(
    py: Python<'_>,
    domain: u32,
    aux: u32,
    input: Vec<u32>,
) -> PyResult<Bound<'_, PyBytes>> {
    let digest = poseidon::sponge(domain, aux, &elements(&input)?);
    Ok(PyBytes::new(py, &digest.to_bytes()))
}

/// `C(left, right)`.
#[pyfunction]
pub fn compress<'py>(py: Python<'py>, left: &[u8], right: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let parent = poseidon::compress(digest(left)?, digest(right)?);
    Ok(PyBytes::new(py, &parent.to_bytes()))
}

/// `F(x)`.
#[pyfunction]
pub fn keyed(x: Vec<u32>) -> PyResult<Vec<u32>> {
    Ok(words(&poseidon::keyed(fixed(&x)?)))
}

/// The root of a salted tensor.
#[pyfunction]
#[pyo3(signature = (values, shape, width, order, trailing, piece, salt_key, position, tensor))]
#[allow(clippy::too_many_arguments)]
pub fn tensor_root<'py>(
    values: &Bound<'py, PyAny>,
    shape: Vec<usize>,
    width: usize,
    order: Vec<usize>,
    trailing: usize,
    piece: usize,
    salt_key: &[u8],
    position: usize,
    tensor: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let array = array(values)?;
    let mut axes = order.clone();
    axes.sort_unstable();
    let size = shape.iter().try_fold(1usize, |size, &dim| size.checked_mul(dim));
    let fits =
        axes.into_iter().eq(0..shape.len()) && size == Some(array.len()) && !array.is_empty();
    if !fits
        || !(1..=shape.len()).contains(&trailing)
        || piece == 0
        || position.max(tensor) >> 30 > 0
    {
        return Err(usage("shape, order, trailing or piece do not fit the values"));
    }
    let layout = LayoutMap::new(&Layout { order, trailing, piece }, &shape);
    let salting = Salting::Keyed { key: key(salt_key)?, position, tensor };
    let root = |ints: Ints| salted_tree(ints, &layout, salting).root();
    let root = match (&array, width) {
        (Array::I8(v), 1) => root(Ints::I8(v)),
        (Array::I16(v), 2) => root(Ints::I16(v)),
        (Array::I32(v), 3) => root(Ints::I32(v)),
        _ => return Err(usage("int8, int16 and int32 are for the widths 1, 2 and 3")),
    };
    Ok(PyBytes::new(values.py(), &root.to_bytes()))
}

/// `s(u, r, n, λ)`, or `None` above 2^24.
#[pyfunction]
pub fn sample_count(u: u32, r: u64, n: u64, lam: u16) -> PyResult<Option<u64>> {
    if u == 0 || u > 500_000 || r == 0 || r > n {
        return Err(usage("0 < u ≤ 500,000 and 0 < r ≤ n"));
    }
    Ok(sampling::sample_count(u, r.into(), n.into(), lam))
}
