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

/// What values of inputs are compared with.
#[derive(Clone, Copy)]
pub(crate) enum InputRoots<'a> {
    /// Per step, the roots of its input and value tensors.
    OfSteps(&'a [&'a [Digest]]),
    /// The input root of the statement: the proof shows no roots.
    Digest,
}

/// 9. Published inputs, then the caller's, against what is committed.
pub(crate) fn check_inputs(
    prepared: &Prepared,
    journal: &Journal,
    roots: InputRoots,
    given: Option<&CallerInputs>,
) -> Result<()> {
    let Some(key) = journal.input_key else {
        return given.map_or(Ok(()), |_| {
            Err(mismatch(
                "the receipt keeps its input key private; compare its input root (--input-root)",
            ))
        });
    };
    let check = InputCheck { prepared, key: Key::from_digest(key), journal, roots };
    if let Some(published) = &journal.inputs {
        check.published(published)?;
    }
    given.map_or(Ok(()), |inputs| check.given(inputs, journal.items as usize))
}

/// A check of input values against what is committed.
struct InputCheck<'a> {
    prepared: &'a Prepared,
    key: Key,
    journal: &'a Journal,
    roots: InputRoots<'a>,
}

impl InputCheck<'_> {
    /// Checks the values that a journal publishes, packed step by step, port by port.
    ///
    /// # Errors
    /// `verify.range`, `verify.input-mismatch`.
    fn published(&self, bytes: &[u8]) -> Result<()> {
        let program = &self.prepared.checked.program;
        let mut rest = bytes;
        let mut all = vec![Vec::new(); program.inputs.len()];
        for step in 0..self.steps() {
            for (port, all) in program.inputs.iter().zip(&mut all) {
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
                match self.roots {
                    InputRoots::OfSteps(roots) => self.step(roots[step], step, port, &values)?,
                    InputRoots::Digest => all.extend(values),
                }
            }
        }
        match self.roots {
            InputRoots::OfSteps(_) => Ok(()),
            InputRoots::Digest => self.whole(&all),
        }
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
        let mut values: Vec<Vec<i32>> = ports()
            .zip(arrays)
            .map(|((port, tensor), array)| integers(port, tensor, array))
            .collect::<Result<_>>()?;
        let batched = program.inputs.iter().any(|port| port.batch.is_some());
        if steps != self.steps() || batched && items != claimed {
            return Err(mismatch("the receipt is about another number of items")
                .expected(format!("{items} items in {steps} steps"))
                .received(format!("{claimed} items in {} steps", self.steps())));
        }
        for ((port, tensor), values) in ports().zip(&mut values) {
            values.resize(steps * tensor.size(), padding(port, tensor));
        }
        let InputRoots::OfSteps(roots) = self.roots else { return self.whole(&values) };
        for ((port, tensor), values) in ports().zip(&values) {
            let wrong = values
                .par_chunks(tensor.size())
                .enumerate()
                .find_map_first(|(step, values)| self.step(roots[step], step, port, values).err());
            wrong.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    fn steps(&self) -> usize {
        self.journal.steps as usize
    }

    /// Checks the values of one tensor in one step; they lie in its declared range.
    fn step(&self, roots: &[Digest], step: usize, port: &Port, values: &[i32]) -> Result<()> {
        let tensor = &self.prepared.checked.program.tensors[port.tensor];
        let found = self.root(step, port, values);
        let root = self.prepared.committed.root_in_step(roots, port.tensor);
        if found == root {
            return Ok(());
        }
        Err(mismatch(format!("input {:?} of step {step} is not the committed one", tensor.name))
            .expected(root.hex())
            .received(found.hex()))
    }

    /// Checks all values, port by port, against the input root; they lie in their declared ranges.
    fn whole(&self, values: &[Vec<i32>]) -> Result<()> {
        let Prepared { checked, committed, .. } = self.prepared;
        let size = |port: &Port| checked.program.tensors[port.tensor].size();
        let place = |port: &Port| committed.inputs.partition_point(|&t| t < port.tensor);
        let of_step = |step: usize| {
            let mut roots = vec![Digest::default(); committed.inputs.len()];
            for (port, values) in checked.program.inputs.iter().zip(values) {
                let own = &values[step * size(port)..(step + 1) * size(port)];
                roots[place(port)] = self.root(step, port, own);
            }
            roots
        };
        let roots: Vec<Vec<Digest>> = (0..self.steps()).into_par_iter().map(of_step).collect();
        let found = committed.input_root(self.journal.first as usize, &roots);
        if found == self.journal.input_root {
            return Ok(());
        }
        Err(mismatch("the inputs are not the committed ones")
            .expected(self.journal.input_root.hex())
            .received(found.hex()))
    }

    fn root(&self, step: usize, port: &Port, values: &[i32]) -> Digest {
        let position = self.journal.first as usize + step;
        salted_root(self.prepared, self.key, position, port.tensor, values)
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
