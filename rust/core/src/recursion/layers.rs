//! Layers of proofs: nodes over leaves, nodes over nodes, and the outer proof over the last one
//! (docs/recursion.md section 1).

use sha2::{Digest as _, Sha256};

use super::child::{Child, Points};
use super::circuit;
use super::inner::Proven;
use super::machine::Machine;
use super::tables::TABLES;
use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::stark::parameters::{FOLDABLE, OUTER, Parameters, RECURSION_BITS, more_bits};
use crate::stark::prove::Timings;
use crate::stark::statement::Statement;
use crate::stark::{PublicTable, PublicTerms, prove as stark_prove, verify as stark_verify};

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
/// λ, the largest of all receipts.
///
/// # Errors
/// `security.insufficient`; `usage` without leaves: there is no proof of nothing.
pub fn parameters(leaves: usize, lambda: u16) -> Result<[Parameters; 2]> {
    if leaves == 0 {
        return Err(Error::new("usage", "there are no proofs to verify inside another"));
    }
    let proofs = layers(leaves).iter().sum::<usize>() + 1;
    let bits = RECURSION_BITS + u32::from(more_bits(lambda));
    let target = f64::from(bits + proofs.next_power_of_two().ilog2());
    Ok([Parameters::reaching(FOLDABLE, target)?, Parameters::reaching(OUTER, target)?])
}

/// The statement of a node or of the outer proof.
pub(super) struct Node {
    pub(super) publics: Vec<PublicTable>,
    pub(super) terms: Vec<PublicTerms>,
    parameters: Parameters,
    pub(super) context: [u8; 32],
}

impl Node {
    fn new(
        machine: &Machine,
        tag: &[u8],
        children: &[Child],
        parameters: Parameters,
    ) -> Result<Self> {
        Ok(Self {
            publics: machine.publics(&parameters)?,
            terms: machine.terms(),
            parameters,
            context: context(tag, children),
        })
    }

    fn statement(&self) -> Statement<'_> {
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

/// Proves that these proofs verify: the points of all nodes, and the outer proof; what each took.
///
/// # Errors
/// `prove.witness` for a proof that does not verify; those of the prover.
pub fn prove(mut row: Vec<Proven>, lambda: u16) -> Result<(Vec<u8>, Vec<Timings>)> {
    let [of_nodes, of_outer] = parameters(row.len(), lambda)?;
    let (mut out, mut timings) = (Vec::new(), Vec::new());
    let mut arity = LEAVES;
    loop {
        let mut above = Vec::new();
        let mut below = row.into_iter().peekable();
        while below.peek().is_some() {
            let children: Vec<Proven> = below.by_ref().take(arity).collect();
            let (node, proof, took) = prove_node(NODE_TAG, children, of_nodes)?;
            timings.push(took);
            let proven = Proven::read(&node.statement(), &TABLES, &proof)?;
            out.extend(proven.child.points.bytes());
            above.push(proven);
        }
        row = above;
        arity = NODES;
        if row.len() == 1 {
            break;
        }
    }
    let (_, proof, took) = prove_node(OUTER_TAG, row, of_outer)?;
    out.extend(proof);
    timings.push(took);
    Ok((out, timings))
}

fn prove_node(
    tag: &[u8],
    children: Vec<Proven>,
    parameters: Parameters,
) -> Result<(Node, Vec<u8>, Timings)> {
    let mut machine = Machine::default();
    for Proven { child, inner } in &children {
        circuit::verify(&mut machine, child, Some(inner));
    }
    let children: Vec<Child> = children.into_iter().map(|proven| proven.child).collect();
    let node = Node::new(&machine, tag, &children, parameters)?;
    let witness = machine.witness()?;
    drop(machine);
    let statement = node.statement();
    stark_verify::judge(&statement)?;
    let (proof, timings) = stark_prove::prove(&statement, witness)?;
    Ok((node, proof, timings))
}

/// Judges what [`prove`] wrote, over these leaves: the bits of the proof with the fewest.
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
            let node = node(NODE_TAG, children, of_nodes)?;
            let statement = node.statement();
            bits = bits.min(stark_verify::judge(&statement)?);
            above.push(Child::new(&statement, &TABLES, Points::read(reader)?)?);
        }
        row = above;
        arity = NODES;
    }
    let outer = node(OUTER_TAG, &row, of_outer)?;
    Ok(bits.min(stark_verify::verify(&outer.statement(), reader)?))
}

pub(super) fn node(tag: &[u8], children: &[Child], parameters: Parameters) -> Result<Node> {
    let mut machine = Machine::default();
    children.iter().for_each(|child| circuit::verify(&mut machine, child, None));
    Node::new(&machine, tag, children, parameters)
}
