//! Inputs as a verifier has them: the caller's arrays, and the values that a journal publishes.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::opened::first_outside;
use super::openings::Prepared;
use crate::error::{Error, Result};
use crate::hash::{Digest, Ints, Key, Tree, unpack};
use crate::program::{Port, PortKind, Tensor};

/// Flat row-major values of one input port for all items (or, without a batch axis, all steps).
#[derive(Clone, Debug, PartialEq)]
pub enum CallerArray {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
}

impl CallerArray {
    fn len(&self) -> usize {
        match self {
            Self::Floats(v) => v.len(),
            Self::Integers(v) => v.len(),
        }
    }
}

/// The caller's arrays by port name.
pub type CallerInputs = BTreeMap<String, CallerArray>;

/// `q = clamp(rint(x/scale) + zero, lo, hi)`; the value must be finite.
pub fn quantise(port: &Port, tensor: &Tensor, x: f64) -> i32 {
    let q = (x / port.scale).round_ties_even() + f64::from(port.zero);
    q.clamp(tensor.lo.into(), tensor.hi.into()) as i32
}

/// `x = (q − zero)·scale`.
pub fn dequantise(port: &Port, q: i32) -> f64 {
    (f64::from(q) - f64::from(port.zero)) * port.scale
}

/// What stands in the item slots of the last step that no item fills.
fn padding(port: &Port, tensor: &Tensor) -> i32 {
    port.zero.clamp(tensor.lo, tensor.hi)
}

/// Integers of all steps of one port, the last step padded.
///
/// # Errors
/// `usage.input` for values that the port does not take, `verify.input-mismatch` for another number
/// of values than the receipt is about.
fn caller_values(
    port: &Port,
    tensor: &Tensor,
    array: &CallerArray,
    steps: usize,
    items: usize,
) -> Result<Vec<i32>> {
    let total = steps * tensor.size();
    let expected = match port.batch {
        Some(axis) => items * (tensor.size() / tensor.shape[axis]),
        None => total,
    };
    if array.len() != expected {
        return Err(mismatch(format!("input {} has another number of values", port.name))
            .expected(expected)
            .received(array.len()));
    }
    let refused = |what: &str| Error::new("usage.input", format!("input {} {what}", port.name));
    let mut values: Vec<i32> = match (port.kind, array) {
        (PortKind::Float, CallerArray::Floats(x)) => {
            if !x.iter().all(|x| x.is_finite()) {
                return Err(refused("has values that are not finite"));
            }
            x.iter().map(|&x| quantise(port, tensor, x)).collect()
        }
        (PortKind::Float, CallerArray::Integers(x)) => {
            x.iter().map(|&x| quantise(port, tensor, x as f64)).collect()
        }
        (PortKind::Integer, CallerArray::Integers(x)) => {
            let range = i64::from(tensor.lo)..=i64::from(tensor.hi);
            if let Some(x) = x.iter().find(|x| !range.contains(x)) {
                return Err(refused("is out of range")
                    .expected(format!("{} to {}", tensor.lo, tensor.hi))
                    .received(x));
            }
            x.iter().map(|&x| x as i32).collect()
        }
        (PortKind::Integer, CallerArray::Floats(_)) => return Err(refused("takes integers")),
    };
    values.resize(total, padding(port, tensor));
    Ok(values)
}

/// A check of input values against the committed roots.
pub struct InputCheck<'a> {
    pub prepared: &'a Prepared,
    pub key: Key,
    /// Per step, the roots of its input and value tensors.
    pub roots: &'a [&'a [Digest]],
}

impl InputCheck<'_> {
    /// Checks the values that a journal publishes, packed step by step, port by port.
    ///
    /// # Errors
    /// `verify.range`, `verify.input-mismatch`.
    pub fn published(&self, bytes: &[u8]) -> Result<()> {
        let program = &self.prepared.checked.program;
        let mut rest = bytes;
        for step in 0..self.roots.len() {
            for port in &program.inputs {
                let tensor = &program.tensors[port.tensor];
                let (packed, after) = rest.split_at(tensor.size() * tensor.width);
                rest = after;
                if let Some(value) = first_outside(packed, tensor) {
                    let message = format!("a published input leaves the range of {}", tensor.name);
                    return Err(Error::new("verify.range", message)
                        .expected(format!("{} to {}", tensor.lo, tensor.hi))
                        .received(value));
                }
                let values: Vec<i32> = packed.chunks_exact(tensor.width).map(unpack).collect();
                self.step(step, port, &values)?;
            }
        }
        Ok(())
    }

    /// Checks the caller's arrays.
    ///
    /// # Errors
    /// `usage.input`, `verify.input-mismatch`.
    pub fn given(&self, inputs: &CallerInputs, items: usize) -> Result<()> {
        let program = &self.prepared.checked.program;
        if !inputs.keys().all(|name| program.inputs.iter().any(|port| port.name == *name)) {
            let names: Vec<_> = program.inputs.iter().map(|port| port.name.as_str()).collect();
            return Err(Error::new("usage.input", "no such input").expected(names.join(", ")));
        }
        let steps = self.roots.len();
        for port in &program.inputs {
            let tensor = &program.tensors[port.tensor];
            let array = inputs.get(&port.name).ok_or_else(|| {
                Error::new("usage.input", format!("input {} is missing", port.name))
            })?;
            let values = caller_values(port, tensor, array, steps, items)?;
            let wrong = values
                .par_chunks(tensor.size())
                .enumerate()
                .find_map_first(|(step, values)| self.step(step, port, values).err());
            wrong.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Checks the values of one tensor in one step; they lie in its declared range.
    fn step(&self, step: usize, port: &Port, values: &[i32]) -> Result<()> {
        let tensor = &self.prepared.checked.program.tensors[port.tensor];
        let found = salted_root(self.prepared, &self.key, step, port.tensor, values);
        let root = self.prepared.committed.root_in_step(self.roots[step], port.tensor);
        if found == root {
            return Ok(());
        }
        Err(mismatch(format!("input {} of step {step} is not the committed one", tensor.name))
            .expected(root.hex())
            .received(found.hex()))
    }
}

pub(super) fn mismatch(message: impl Into<String>) -> Error {
    Error::new("verify.input-mismatch", message)
}

/// The root of row-major values of a committed tensor.
fn salted_root(
    prepared: &Prepared,
    key: &Key,
    position: usize,
    tensor: usize,
    values: &[i32],
) -> Digest {
    let layout = prepared.layout(tensor);
    let values = layout.to_leaf_order(values);
    let tree = |ints: Ints| Tree::salted(ints, layout, key, position, tensor).root();
    match prepared.checked.program.tensors[tensor].width {
        1 => tree(Ints::I8(&values.iter().map(|&v| v as i8).collect::<Vec<_>>())),
        2 => tree(Ints::I16(&values.iter().map(|&v| v as i16).collect::<Vec<_>>())),
        _ => tree(Ints::I32(&values)),
    }
}
