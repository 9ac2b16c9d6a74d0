//! What a node is proven from, in bytes, for whoever proves it elsewhere: the proofs below it, and what
//! the verifier knows of each. No model, statement or opening has a part in it.

use super::child::{Child, Hollow, Points, heights_at};
use super::inner::Made;
use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};
use crate::hash::Digest;
use crate::hash::poseidon::canonical_elements;
use crate::stark::air::Tables;
use crate::stark::field::{DIM, K, TWO_ADICITY, from_coefficients, put};
use crate::stark::parameters::{Hashing, MIN_LOG_ROWS, Parameters};
use crate::stark::{Grid, PublicTable, PublicTerms};

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};

/// What a tree of proofs follows from: how many leaves it has, and λ.
pub(super) struct Tree {
    pub leaves: usize,
    pub lambda: u16,
}

/// The share of a node over these proofs.
pub(super) fn encode<'a>(tree: &Tree, children: impl Iterator<Item = &'a Made>) -> Vec<u8> {
    let mut out = (tree.leaves as u16).to_le_bytes().to_vec();
    out.extend(tree.lambda.to_le_bytes());
    for Made { child, proof } in children {
        put_child(&mut out, child);
        out.extend((proof.len() as u32).to_le_bytes());
        out.extend(proof);
    }
    out
}

/// What the share of a node holds; `count` says of a tree how many proofs that are, over which tables.
///
/// # Errors
/// `receipt.*` for bytes that are none; `prove.witness` for a proof that is cut short; `verify.stark`
/// for points at which nothing can be verified; those of `count`.
pub(super) fn decode(
    share: &[u8],
    count: impl FnOnce(&Tree) -> Result<(usize, &'static Tables)>,
) -> Result<(Tree, Vec<Made>)> {
    let mut reader = Reader::new(share, CODES);
    let tree = Tree { leaves: reader.u16()?.into(), lambda: reader.u16()? };
    let (count, tables) = count(&tree)?;
    let children = (0..count).map(|_| take_made(&mut reader, tables)).collect::<Result<_>>()?;
    if reader.remaining() > 0 {
        return Err(Error::new(CODES.trailing, "bytes follow the share of a node"));
    }
    Ok((tree, children))
}

fn put_child(out: &mut Vec<u8>, child: &Child) {
    let Child { statement, start, points: _, publics, heights: _, public_sum } = child;
    out.push(statement.publics.len() as u8);
    for table in &statement.publics {
        out.extend([table.index as u8, table.log_rows as u8]);
    }
    out.extend(statement.parameters.bytes());
    out.push(statement.terms.len() as u8);
    out.extend(statement.terms.iter().map(|terms| terms.bus as u8));
    out.extend(start.to_bytes());
    publics.iter().flatten().chain([public_sum]).for_each(|value| put(out, value));
}

fn take_made(reader: &mut Reader, tables: &'static Tables) -> Result<Made> {
    let statement = take_shape(reader, tables)?;
    let start = Digest::from_bytes(&reader.array()?);
    let start = start.ok_or_else(|| reader.bad("a digest has a word that is not below p"))?;
    let widths = statement.publics.iter().map(|table| table.publics.width);
    let publics = widths.map(|width| take_elements(reader, width)).collect::<Result<_>>()?;
    let public_sum = take_elements(reader, 1)?[0];
    let length = reader.u32()?;
    let proof = reader.take(length as usize)?.to_vec();
    let points = Points::drawn(&statement.statement(), start, &proof)?;
    let heights = heights_at(&statement.statement(), points.zeta)?;
    Ok(Made { child: Child { statement, start, points, publics, heights, public_sum }, proof })
}

/// The shape of a statement: tables and heights, parameters, buses of public terms.
fn take_shape(reader: &mut Reader, tables: &'static Tables) -> Result<Hollow> {
    let mut publics = Vec::new();
    for _ in 0..reader.u8()? {
        let [index, log_rows] = reader.array()?.map(usize::from);
        let air =
            tables.airs.get(index).filter(|_| (MIN_LOG_ROWS..=TWO_ADICITY).contains(&log_rows));
        let air = air.ok_or_else(|| reader.bad("there is no such table"))?;
        let publics_of = Grid { width: air.publics, values: vec![] };
        publics.push(PublicTable { index, log_rows, publics: publics_of });
    }
    let parameters = Parameters::read(Hashing::Poseidon2, reader)?;
    let mut terms = Vec::new();
    for _ in 0..reader.u8()? {
        let bus = u32::from(reader.u8()?);
        let width = tables.tuple_length(bus).ok_or_else(|| reader.bad("there is no such bus"))?;
        terms.push(PublicTerms { bus, tuples: Grid { width, values: vec![] } });
    }
    let shape = Hollow { tables, publics, terms, parameters };
    let fits = shape.statement().is_well_formed() && shape.statement().judge().is_ok();
    if fits { Ok(shape) } else { Err(reader.bad("the tables are of no proof")) }
}

fn take_elements(reader: &mut Reader, count: usize) -> Result<Vec<K>> {
    let each = |_| {
        let words: Option<[_; DIM]> = canonical_elements(reader.take(4 * DIM)?);
        let words = words.ok_or_else(|| reader.bad("an element is not below p"))?;
        Ok(from_coefficients(&words))
    };
    (0..count).map(each).collect()
}
