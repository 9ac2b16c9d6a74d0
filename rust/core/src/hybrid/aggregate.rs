//! Several foldable receipts made one: every segment of all of them under one outer proof.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::head::Head;
use super::outline::Outline;
use super::verify::{CODES, Room, Session, judge_end};
use crate::bytes::Reader;
use crate::commit::{Prepared, model_id};
use crate::error::{Error, Result};
use crate::hash::hex;
use crate::program;
use crate::receipt::aggregate::Aggregate;
use crate::receipt::journal::FAST;
use crate::receipt::{Journal, MAX_BYTES, Receipt};
use crate::recursion::layers;
use crate::stark::parameters::{FOLDABLE, SUCCINCT};
use crate::statement::{Accepted, Expectations, Verified};

/// Segments of all receipts together.
const MAX_SEGMENTS: u64 = 256;
/// Gates that are drawn in all receipts together: what one of them may have.
const MAX_DRAWS: usize = 1 << 26;

/// The aggregate of these receipts, which are foldable.
///
/// # Errors
/// `usage` for receipts of another kind, none, or too many segments; those of reading a receipt, of the
/// verifier for its segments, of the prover.
pub fn aggregate(receipts: &[&[u8]]) -> Result<Vec<u8>> {
    let (mut leaves, mut parts, mut lambda) = (Vec::new(), Vec::new(), 0);
    for bytes in receipts {
        let sections = Receipt::split(bytes, MAX_BYTES)?;
        let prepared = Arc::new(Prepared::new(Arc::new(program::load(sections.program)?)));
        lambda = lambda.max(Journal::decode(sections.journal)?.bits);
        let outline = Outline::new(prepared, sections.journal.to_vec(), FOLDABLE)?;
        leaves.extend(outline.proven(sections.proof)?);
        parts.push((sections.program, sections.journal));
    }
    if leaves.is_empty() || leaves.len() as u64 > MAX_SEGMENTS {
        return Err(Error::new("usage", "receipts without segments, or with too many of them")
            .expected(format!("1 to {MAX_SEGMENTS}"))
            .received(leaves.len()));
    }
    let mut proof: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.child.points.bytes()).collect();
    proof.extend(layers::prove(leaves, lambda)?.0);
    Aggregate { receipts: parts, proof: &proof }.join()
}

/// Judges every receipt of an aggregate against the expectation that names its model (the first where
/// none does), then the proof of all, then that there is a receipt for each expectation.
///
/// # Errors
/// `usage` without expectations, or for two of one model; those of reading an aggregate; for each
/// receipt in order every code of docs/hybrid.md section 7; then those of the layers;
/// `verify.model-mismatch`.
pub(crate) fn verify_aggregate(bytes: &[u8], expect: &[Expectations]) -> Result<Vec<Verified>> {
    let models: HashSet<[u8; 32]> = expect.iter().map(|expect| expect.model_id).collect();
    let Some(first) = expect.first().filter(|_| models.len() == expect.len()) else {
        return Err(Error::new("usage", "every model that is expected is named once")
            .expected("at least one model")
            .received(expect.len()));
    };
    let aggregate = Aggregate::split(bytes)?;
    let mut reader = Reader::new(aggregate.proof, CODES);
    let (mut children, mut judged, mut drawn, mut lambda) = (Vec::new(), Vec::new(), 0, 0);
    let (mut programs, mut seen) = (HashMap::new(), HashSet::new());
    for &(program, journal) in &aggregate.receipts {
        let decoded = Journal::decode(journal)?;
        if decoded.mode == FAST {
            return Err(Error::new("receipt.unsupported-mode", "a statement of another mode")
                .expected("hybrid or strict")
                .received("fast"));
        }
        let model = model_id(&decoded.program_id, decoded.weights_root);
        seen.insert(model);
        lambda = lambda.max(decoded.bits);
        let expect = expect.iter().find(|expect| expect.model_id == model).unwrap_or(first);
        let sections = Receipt { program, journal, proof: &[] };
        // A program is judged once, however many receipts are about it.
        let known = programs.get(program).cloned();
        let accepted = Accepted::of(sections, bytes.len(), expect, known)?;
        programs.insert(program, Arc::clone(&accepted.prepared));
        let left = MAX_SEGMENTS.saturating_sub(children.len() as u64);
        let room = Room::inside(reader.remaining(), left);
        let open = || Ok((Head::of(journal, SUCCINCT), room));
        let session = Session::new(&accepted, expect, None, open)?;
        drawn += session.plan.draws.len();
        if drawn > MAX_DRAWS {
            return Err(Error::new(
                "verify.too-large",
                "the receipts have too many samples together",
            )
            .expected(format!("at most {MAX_DRAWS}"))
            .received(drawn));
        }
        let points = session.points(&mut reader)?;
        let (of_receipt, bits) = session.children(&points)?;
        children.extend(of_receipt);
        let (facts, plan) = (session.facts(bits), session.plan);
        judged.push((accepted, plan, facts));
    }
    layers::verify(children, lambda, &mut reader)?;
    judge_end(&reader)?;
    if let Some(idle) = expect.iter().find(|expect| !seen.contains(&expect.model_id)) {
        return Err(Error::new(
            "verify.model-mismatch",
            "no receipt is about a model that is expected",
        )
        .expected(hex(&idle.model_id)));
    }
    Ok(judged
        .into_iter()
        .map(|(accepted, plan, facts)| accepted.verified(&plan, Some(facts)))
        .collect())
}
