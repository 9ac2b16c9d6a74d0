//! Public terms (docs/hybrid.md section 5).

use std::ops::Range;

use p3_field::PrimeCharacteristicRing;

use super::nodes::Nodes;
use crate::commit::{Place, Prepared};
use crate::error::{Error, Result};
use crate::hash::{Digest, Elem};
use crate::hybrid::leaves::Leaves;
use crate::hybrid::segments::Item;
use crate::hybrid::tables::bus;
use crate::receipt::Journal;
use crate::stark::{Grid, PublicTerms};

/// Digest elements and their node.
const DIGEST_TUPLE: usize = 9;
/// Address and value.
const READ_TUPLE: usize = 2;

/// An output leaf: its addresses, and its bytes by the journal.
pub struct Output {
    pub range: Range<usize>,
    bytes: Vec<u8>,
}

/// The output leaves among these items.
///
/// # Errors
/// `receipt.non-canonical` for outputs of another length than the program's.
pub fn outputs(
    prepared: &Prepared,
    leaves: &Leaves,
    journal: &Journal,
    items: &[Item],
) -> Result<Vec<Output>> {
    let program = &prepared.checked.program;
    let mut starts = vec![0];
    for (i, port) in program.outputs.iter().enumerate() {
        let tensor = &program.tensors[port.tensor];
        starts.push(starts[i] + tensor.size() * tensor.width);
    }
    let mut outputs = Vec::new();
    for item in items {
        let Item::Output { step, port, leaf } = *item else { continue };
        let tensor = program.outputs[port].tensor;
        let (layout, width) = (prepared.layout(tensor), program.tensors[tensor].width);
        let first = step * starts[program.outputs.len()] + starts[port];
        let mut bytes = Vec::with_capacity(layout.leaf_len(leaf) * width);
        layout.runs(leaf, |run| {
            let packed = first + run.start * width..first + run.end * width;
            bytes.extend(journal.outputs.get(packed).unwrap_or_default());
        });
        if bytes.len() != layout.leaf_len(leaf) * width {
            let message = "the outputs have another length than the program's";
            return Err(Error::new("receipt.non-canonical", message));
        }
        let address = leaves.tree(Place::Step(step), tensor)?.address(leaf, 0)? as usize;
        outputs.push(Output { range: address..address + bytes.len(), bytes });
    }
    Ok(outputs)
}

/// What the verifier adds to the buses.
pub fn terms(
    leaves: &Leaves,
    nodes: &Nodes,
    journal: &Journal,
    outputs: &[Output],
) -> Vec<PublicTerms> {
    let mut digests = Grid { width: DIGEST_TUPLE, values: Vec::new() };
    let mut add = |node: usize, digest: Digest| {
        digests.values.push(Elem::from_u32(node as u32));
        digests.values.extend(digest.0);
    };
    for (number, record) in leaves.records.list.iter().enumerate() {
        if let Some(digest) = record.claimed(journal) {
            add(leaves.count + number, digest);
        }
    }
    if !leaves.prf.is_empty() {
        add(nodes.number(nodes.rows.len()), journal.prf_seed);
    }
    let mut reads = Grid { width: READ_TUPLE, values: Vec::new() };
    for output in outputs {
        for (address, &byte) in output.range.clone().zip(&output.bytes) {
            let value = Elem::from_i32(i32::from(byte) - 128);
            reads.values.extend([Elem::from_u32(address as u32), value]);
        }
    }
    let terms = [(bus::DIGEST, digests), (bus::READ, reads)];
    let with_rows = terms.into_iter().filter(|(_, tuples)| !tuples.values.is_empty());
    with_rows.map(|(bus, tuples)| PublicTerms { bus, tuples }).collect()
}
