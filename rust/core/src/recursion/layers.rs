//! Layers of proofs: nodes over leaves, nodes over nodes, and the outer proof over the last one
//! (docs/recursion.md section 1).

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::child::{Child, Points};
use super::circuit;
use super::inner::{Made, Proven};
use super::machine::Machine;
use super::tables::TABLES;
use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::stark::parameters::{
    FOLDABLE, OUTER, Parameters, RECURSION_BITS, REFERENCE_OF_NODES, more_bits,
};
use crate::stark::prove::Timings;
use crate::stark::statement::Statement;
use crate::stark::{
    PublicTable, PublicTerms, Publics, prove as stark_prove, verify as stark_verify,
};
use crate::watch::{Part, timed};

pub(super) const NODE_TAG: &[u8] = b"zktally node v1\0";
const OUTER_TAG: &[u8] = b"zktally outer v1\0";
/// Leaves under a node of the first layer, and nodes under one of a higher layer.
const LEAVES: usize = 2;
const NODES: usize = 4;

/// How many nodes each layer has, from the first one on.
pub fn layers(leaves: usize) -> Vec<usize> {
    let mut found = vec![leaves.div_ceil(LEAVES)];
    while found[found.len() - 1] > 1 {
        found.push(found[found.len() - 1].div_ceil(NODES));
    }
    found
}

/// Parameters of the nodes and of the outer proof over so many leaves, beside a sampling with confidence
/// λ, the largest of all receipts. Half of the error is the outer proof's, so that its size does not
/// follow from what is below it.
///
/// # Errors
/// `security.insufficient`; `usage` without leaves: there is no proof of nothing.
pub fn parameters(leaves: usize, lambda: u16) -> Result<[Parameters; 2]> {
    if leaves == 0 {
        return Err(Error::new("usage", "there are no proofs to verify inside another"));
    }
    let nodes = layers(leaves).iter().sum::<usize>();
    let half = RECURSION_BITS + u32::from(more_bits(lambda)) + 1;
    let of_each = half + nodes.next_power_of_two().ilog2();
    let reaching =
        |profile, bits| Parameters::reaching(profile, &REFERENCE_OF_NODES, f64::from(bits));
    Ok([reaching(FOLDABLE, of_each)?, reaching(OUTER, half)?])
}

/// The statement of a node or of the outer proof.
pub(super) struct Node<T = PublicTable> {
    pub(super) publics: Vec<T>,
    pub(super) terms: Vec<PublicTerms>,
    parameters: Parameters,
    pub(super) context: [u8; 32],
}

impl<T: Publics> Node<T> {
    /// Of a machine with these tables, which verifies the children.
    pub(super) fn new(
        publics: Vec<T>,
        machine: &Machine,
        (tag, children): (&[u8], &[Child]),
        parameters: Parameters,
    ) -> Self {
        Self { publics, terms: machine.terms(), parameters, context: context(tag, children) }
    }

    pub(super) fn statement(&self) -> Statement<'_, T> {
        Statement {
            tables: &TABLES,
            publics: &self.publics,
            terms: &self.terms,
            parameters: &self.parameters,
            context: self.context,
        }
    }
}

/// What a node is bound to: all that its public columns follow from.
fn context(tag: &[u8], children: &[Child]) -> [u8; 32] {
    let mut hash =
        Sha256::new().chain_update(tag).chain_update((children.len() as u32).to_le_bytes());
    for child in children {
        hash.update(child.start.to_bytes());
        hash.update(child.points.bytes());
    }
    hash.finalize().into()
}

/// Which proofs a node stands over, of all those of a tree: leaves in order, then nodes layer by layer.
/// The last node is the outer proof.
///
/// # Errors
/// `usage` for a node that is not there.
pub(super) fn children(leaves: usize, node: usize) -> Result<Range<usize>> {
    let (mut below, mut first, mut number) = (leaves, 0, node);
    for width in layers(leaves).into_iter().chain([1]) {
        let arity = if first == 0 { LEAVES } else { NODES };
        if number < width {
            let start = first + number * arity;
            return Ok(start..(start + arity).min(first + below));
        }
        (first, below, number) = (first + below, width, number - width);
    }
    Err(Error::new("usage", format!("there is no node {node}")))
}

/// The statement of a node over these proofs, in a tree of so many leaves.
pub(super) fn node_of(leaves: usize, lambda: u16, node: usize, below: &[Child]) -> Result<Node> {
    let (tag, parameters) = kind(leaves, lambda, node)?;
    let machine = machine(below);
    let publics = machine.publics(&parameters)?;
    Ok(Node::new(publics, &machine, (tag, below), parameters))
}

fn kind(leaves: usize, lambda: u16, node: usize) -> Result<(&'static [u8], Parameters)> {
    let [of_nodes, of_outer] = parameters(leaves, lambda)?;
    let is_outer = node == layers(leaves).iter().sum::<usize>();
    Ok(if is_outer { (OUTER_TAG, of_outer) } else { (NODE_TAG, of_nodes) })
}

/// Proves a node over these proofs, in a tree of so many leaves; what that took.
///
/// # Errors
/// `prove.witness` for a proof that does not verify; those of the prover.
pub(super) fn prove(
    leaves: usize,
    lambda: u16,
    node: usize,
    below: Vec<Made>,
) -> Result<(Vec<u8>, Timings)> {
    let (tag, parameters) = kind(leaves, lambda, node)?;
    let mut machine = Machine::default();
    let mut children = Vec::new();
    for made in below {
        let Proven { child, inner } = made.opened()?;
        circuit::verify(&mut machine, &child, Some(&inner));
        children.push(child);
    }
    let publics = machine.publics(&parameters)?;
    let node = Node::new(publics, &machine, (tag, &children), parameters);
    let witness = machine.witness()?;
    drop(machine);
    let statement = node.statement();
    stark_verify::judge(&statement)?;
    stark_prove::prove(&statement, witness)
}

/// Judges what [`Folding::finish`](super::folding::Folding::finish) wrote, over these leaves: the bits of the
/// proof with the fewest.
///
/// # Errors
/// Those of the verifier of a proof; of points that are not canonical.
pub fn verify(leaves: Vec<Child>, lambda: u16, reader: &mut Reader) -> Result<f64> {
    let [of_nodes, of_outer] = parameters(leaves.len(), lambda)?;
    let mut bits = f64::INFINITY;
    let mut row = leaves;
    let mut arity = LEAVES;
    while arity == LEAVES || row.len() > 1 {
        let mut above = Vec::new();
        for children in row.chunks(arity) {
            let machine = timed(Part::Machine, || machine(children));
            let tables = machine.tables(&of_nodes)?;
            let node = Node::new(tables, &machine, (NODE_TAG, children), of_nodes);
            let statement = node.statement();
            bits = bits.min(stark_verify::judge(&statement)?);
            above.push(Child::new(&statement, &TABLES, Points::read(reader)?)?);
        }
        row = above;
        arity = NODES;
    }
    let machine = timed(Part::Machine, || machine(&row));
    let outer = Node::new(machine.tables(&of_outer)?, &machine, (OUTER_TAG, &row), of_outer);
    Ok(bits.min(stark_verify::verify(&outer.statement(), reader)?))
}

/// The rows that verify these proofs.
pub(super) fn machine(children: &[Child]) -> Machine {
    let mut machine = Machine::default();
    children.iter().for_each(|child| circuit::verify(&mut machine, child, None));
    machine
}
