//! Inputs as a verifier has them: the caller's arrays, and the values that a journal publishes.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::commit::{Prepared, Salting, first_outside, salted_tree};
use crate::error::{Error, Result};
use crate::hash::{Digest, Ints, Key, unpack};
use crate::program::{Port, PortKind, Program, Tensor};
use crate::receipt::Journal;

/// What a caller gives for one input port: [items, ...], without a batch axis [steps, ...] or, for
/// one step, the port's own shape.
#[derive(Clone, Debug, PartialEq)]
pub struct CallerArray {
    pub shape: Vec<usize>,
    pub values: CallerValues,
}

/// Row-major values of a caller's array.
#[derive(Clone, Debug, PartialEq)]
pub enum CallerValues {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
    /// Of another dtype, which is refused when the inputs are looked at and not before.
    Unsupported,
}

/// The caller's arrays.
#[derive(Clone, Debug, PartialEq)]
pub enum CallerInputs {
    /// One array for a program with one input.
    Single(CallerArray),
    ByName(BTreeMap<String, CallerArray>),
    /// Arrays under names that no port can have.
    Misnamed,
}

impl CallerInputs {
    /// One array per input port, in port order.
    fn in_port_order(&self, program: &Program) -> Result<Vec<&CallerArray>> {
        let ports = &program.inputs;
        let found: Option<Vec<_>> = match self {
            Self::Single(array) => (ports.len() == 1).then(|| vec![array]),
            Self::ByName(arrays) if arrays.len() == ports.len() => {
                ports.iter().map(|port| arrays.get(&port.name)).collect()
            }
            Self::ByName(_) | Self::Misnamed => None,
        };
        found.ok_or_else(|| {
            let names: Vec<_> = ports.iter().map(|port| format!("{:?}", port.name)).collect();
            refused("the names of the inputs do not fit").expected(names.join(", "))
        })
    }
}

/// Steps and items, from the leading axes of all arrays; `claimed` items where there are no inputs.
fn extent(program: &Program, arrays: &[&CallerArray], claimed: usize) -> Result<(usize, usize)> {
    let batch = program.batch();
    let (mut items, mut steps) = (Vec::new(), Vec::new());
    for (port, array) in program.inputs.iter().zip(arrays) {
        let shape = &program.tensors[port.tensor].shape;
        let (counts, rest) = match port.batch {
            Some(axis) => (&mut items, &shape[axis + 1..]),
            None if array.shape == *shape => {
                steps.push(1);
                continue;
            }
            None => (&mut steps, shape.as_slice()),
        };
        match array.shape.split_first() {
            Some((&count, found)) if found == rest => counts.push(count),
            _ => {
                return Err(refused(format!("input {:?} has a wrong shape", port.name))
                    .expected(format!("a leading axis, then {rest:?}"))
                    .received(format!("{:?}", array.shape)));
            }
        }
    }
    if items.iter().any(|&count| count != items[0]) {
        return Err(refused("inputs have different numbers of items"));
    }
    let items = match (items.first(), steps.first()) {
        (Some(&count), _) => count,
        (None, Some(steps)) => batch.saturating_mul(*steps),
        (None, None) => claimed,
    };
    if items < 1 {
        return Err(refused("there are no items"));
    }
    let needed = items.div_ceil(batch);
    if steps.iter().any(|&count| count != needed) {
        return Err(refused("inputs have different numbers of steps"));
    }
    Ok((needed, items))
}

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

/// Integers by the port's rule, without padding.
fn integers(port: &Port, tensor: &Tensor, array: &CallerArray) -> Result<Vec<i32>> {
    let refused = |what: &str| refused(format!("input {:?} {what}", port.name));
    match (port.kind, &array.values) {
        (PortKind::Float, CallerValues::Floats(x)) => {
            if !x.iter().all(|x| x.is_finite()) {
                return Err(refused("has NaN or infinite values"));
            }
            Ok(x.iter().map(|&x| quantise(port, tensor, x)).collect())
        }
        (PortKind::Float, CallerValues::Integers(x)) => {
            Ok(x.iter().map(|&x| quantise(port, tensor, x as f64)).collect())
        }
        (PortKind::Integer, CallerValues::Integers(x)) => {
            let range = i64::from(tensor.lo)..=i64::from(tensor.hi);
            if let Some(x) = x.iter().find(|x| !range.contains(x)) {
                return Err(refused("is out of range")
                    .expected(format!("{} to {}", tensor.lo, tensor.hi))
                    .received(x));
            }
            Ok(x.iter().map(|&x| x as i32).collect())
        }
        (PortKind::Integer, CallerValues::Floats(_)) => {
            Err(refused("has a wrong dtype").expected("integers"))
        }
        (_, CallerValues::Unsupported) => {
            Err(refused("has a wrong dtype").expected("real numbers"))
        }
    }
}

/// 9. Published inputs, then the caller's, against the roots of the steps.
pub(crate) fn check_inputs(
    prepared: &Prepared,
    journal: &Journal,
    roots: &[&[Digest]],
    given: Option<&CallerInputs>,
) -> Result<()> {
    let Some(key) = journal.input_key else {
        return given.map_or(Ok(()), |_| {
            Err(mismatch(
                "the receipt keeps its input key private; compare its input root (--input-root)",
            ))
        });
    };
    let key = Key::from_digest(key);
    let check = InputCheck { prepared, key, first: journal.first as usize, roots };
    if let Some(published) = &journal.inputs {
        check.published(published)?;
    }
    given.map_or(Ok(()), |inputs| check.given(inputs, journal.items as usize))
}

/// A check of input values against the committed roots.
struct InputCheck<'a> {
    prepared: &'a Prepared,
    key: Key,
    /// Position of the first step.
    first: usize,
    /// Per step, the roots of its input and value tensors.
    roots: &'a [&'a [Digest]],
}

impl InputCheck<'_> {
    /// Checks the values that a journal publishes, packed step by step, port by port.
    ///
    /// # Errors
    /// `verify.range`, `verify.input-mismatch`.
    fn published(&self, bytes: &[u8]) -> Result<()> {
        let program = &self.prepared.checked.program;
        let mut rest = bytes;
        for step in 0..self.roots.len() {
            for port in &program.inputs {
                let tensor = &program.tensors[port.tensor];
                let (packed, after) = rest.split_at(tensor.size() * tensor.width);
                rest = after;
                if let Some(value) = first_outside(packed, tensor) {
                    let message =
                        format!("a published input leaves the range of {:?}", tensor.name);
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

    /// Checks the caller's arrays: names, shapes, values, then whether they are the committed ones.
    ///
    /// # Errors
    /// `usage.input`, `verify.input-mismatch`.
    fn given(&self, inputs: &CallerInputs, claimed: usize) -> Result<()> {
        let program = &self.prepared.checked.program;
        let arrays = inputs.in_port_order(program)?;
        let (steps, items) = extent(program, &arrays, claimed)?;
        let ports = || program.inputs.iter().map(|port| (port, &program.tensors[port.tensor]));
        let values: Vec<Vec<i32>> = ports()
            .zip(arrays)
            .map(|((port, tensor), array)| integers(port, tensor, array))
            .collect::<Result<_>>()?;
        let batched = program.inputs.iter().any(|port| port.batch.is_some());
        if steps != self.roots.len() || batched && items != claimed {
            return Err(mismatch("the receipt is about another number of items")
                .expected(format!("{items} items in {steps} steps"))
                .received(format!("{claimed} items in {} steps", self.roots.len())));
        }
        for ((port, tensor), mut values) in ports().zip(values) {
            values.resize(steps * tensor.size(), padding(port, tensor));
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
        let found = salted_root(self.prepared, self.key, self.first + step, port.tensor, values);
        let root = self.prepared.committed.root_in_step(self.roots[step], port.tensor);
        if found == root {
            return Ok(());
        }
        Err(mismatch(format!("input {:?} of step {step} is not the committed one", tensor.name))
            .expected(root.hex())
            .received(found.hex()))
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new("usage.input", message)
}

fn mismatch(message: impl Into<String>) -> Error {
    Error::new("verify.input-mismatch", message)
}

/// The root of row-major values of a committed tensor.
fn salted_root(
    prepared: &Prepared,
    key: Key,
    position: usize,
    tensor: usize,
    values: &[i32],
) -> Digest {
    let salting = Salting::Keyed { key, position, tensor };
    let root = |ints: Ints| salted_tree(ints, prepared.layout(tensor), salting).root();
    match prepared.checked.program.tensors[tensor].width {
        1 => root(Ints::I8(&values.iter().map(|&v| v as i8).collect::<Vec<_>>())),
        2 => root(Ints::I16(&values.iter().map(|&v| v as i16).collect::<Vec<_>>())),
        _ => root(Ints::I32(values)),
    }
}
