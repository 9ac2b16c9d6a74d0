//! The outputs that a statement claims: the caller's, once everything is checked.

use super::inputs::dequantise;
use crate::hash::unpack;
use crate::program::{Checked, Port, PortKind};
use crate::receipt::Journal;

/// An output of a verified receipt, without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub name: String,
    /// `[items, …]` with a batch axis, else `[steps, …]`.
    pub shape: Vec<usize>,
    pub values: OutputValues,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OutputValues {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

/// The packed values of each step and output port, in the order of the journal.
pub(crate) fn port_values<'a>(
    checked: &'a Checked,
    outputs: &'a [u8],
) -> impl Iterator<Item = (&'a Port, &'a [u8])> {
    let program = &checked.program;
    let mut rest = outputs;
    program.outputs.iter().cycle().map_while(move |port| {
        let tensor = &program.tensors[port.tensor];
        let (values, after) = rest.split_at_checked(tensor.size() * tensor.width)?;
        rest = after;
        Some((port, values))
    })
}

/// All outputs, without padding; none where the statement hides them.
pub fn outputs(checked: &Checked, journal: &Journal) -> Vec<Output> {
    if !journal.publishes() {
        return Vec::new();
    }
    let program = &checked.program;
    let of_port = |port: &Port| {
        let tensor = &program.tensors[port.tensor];
        let mut packed = port_values(checked, &journal.outputs)
            .filter(|(other, _)| other.tensor == port.tensor)
            .flat_map(|(_, values)| values.chunks_exact(tensor.width));
        let mut shape = tensor.shape.clone();
        match port.batch {
            Some(axis) => shape[axis] = journal.items as usize,
            None => shape.insert(0, journal.steps as usize),
        }
        let packed = packed.by_ref().take(shape.iter().product()).map(unpack);
        let values = match port.kind {
            PortKind::Float => {
                OutputValues::Floats(packed.map(|q| dequantise(port, q) as f32).collect())
            }
            PortKind::Integer => OutputValues::Integers(packed.map(i64::from).collect()),
        };
        Output { name: port.name.clone(), shape, values }
    };
    program.outputs.iter().map(of_port).collect()
}
