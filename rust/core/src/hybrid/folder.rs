//! Foldable receipts on their way to one proof: a succinct receipt, or an aggregate.

use std::sync::Arc;

use super::aggregate::MAX_SEGMENTS;
use super::head;
use super::outline::Outline;
use super::tables::TABLES;
use super::verify::MAX_INSIDE;
use crate::commit::Prepared;
use crate::error::{Error, Result};
use crate::program;
use crate::receipt::aggregate::Aggregate;
use crate::receipt::{MAX_BYTES, Receipt};
use crate::recursion::folding::{Folding, prove_share};
use crate::stark::memory::Keeper;
use crate::stark::parameters::{FOLDABLE, SUCCINCT};

/// The tree of proofs over receipts, and what they become.
pub struct Folder {
    pub folding: Folding,
    made: Becomes,
    /// Nodes are much alike: the memory of one serves the next.
    _memory: Keeper,
}

enum Becomes {
    /// The proof section of a succinct receipt, which begins so.
    Succinct { head: Vec<u8> },
    /// An aggregate of these programs and statements.
    Aggregate { receipts: Vec<(Vec<u8>, Vec<u8>)> },
}

impl Folder {
    /// Of one foldable receipt, whose segments are verified.
    ///
    /// # Errors
    /// Those of [`Outline::new`]; `usage` for another receipt or one of too many segments; those of the
    /// verifier for a segment.
    pub fn of_receipt(prepared: Arc<Prepared>, journal: Vec<u8>, section: &[u8]) -> Result<Self> {
        let memory = Keeper::new();
        let outline = Outline::new(prepared, journal, FOLDABLE)?;
        if outline.segments() as u64 > MAX_INSIDE {
            return Err(Error::new("usage", "too many segments for one succinct receipt")
                .expected(format!("at most {MAX_INSIDE}"))
                .received(outline.segments()));
        }
        let folding = Folding::new(outline.made(section)?, outline.journal.bits)?;
        let head = head::encode(&outline.statement, SUCCINCT);
        Ok(Self { folding, made: Becomes::Succinct { head }, _memory: memory })
    }

    /// Of several foldable receipts, whose segments are verified.
    ///
    /// # Errors
    /// `usage` for receipts of another kind, none, or too many segments; those of reading a receipt, of
    /// the verifier for its segments.
    pub fn of_receipts(receipts: &[&[u8]]) -> Result<Self> {
        let memory = Keeper::new();
        let (mut leaves, mut parts, mut lambda) = (Vec::new(), Vec::new(), 0);
        for bytes in receipts {
            let sections = Receipt::split(bytes, MAX_BYTES)?;
            let prepared = Arc::new(Prepared::new(Arc::new(program::load(sections.program)?)));
            let outline = Outline::new(prepared, sections.journal.to_vec(), FOLDABLE)?;
            lambda = lambda.max(outline.journal.bits);
            leaves.extend(outline.made(sections.proof)?);
            parts.push((sections.program.to_vec(), sections.journal.to_vec()));
        }
        if leaves.is_empty() || leaves.len() as u64 > MAX_SEGMENTS {
            return Err(Error::new("usage", "receipts without segments, or with too many of them")
                .expected(format!("1 to {MAX_SEGMENTS}"))
                .received(leaves.len()));
        }
        let folding = Folding::new(leaves, lambda)?;
        Ok(Self { folding, made: Becomes::Aggregate { receipts: parts }, _memory: memory })
    }

    /// The proof section of the succinct receipt, or the aggregate.
    ///
    /// # Errors
    /// `usage` while a node is missing; `prove.too-large`.
    pub fn finish(&self) -> Result<Vec<u8>> {
        let proof = self.folding.finish()?;
        match &self.made {
            Becomes::Succinct { head } => Ok([&head[..], &proof].concat()),
            Becomes::Aggregate { receipts } => {
                let receipts =
                    receipts.iter().map(|(program, journal)| (&program[..], &journal[..]));
                Aggregate { receipts: receipts.collect(), proof: &proof }.join()
            }
        }
    }

    /// Proves a node from its share.
    ///
    /// # Errors
    /// Those of [`prove_share`].
    pub fn prove_node(node: usize, share: &[u8]) -> Result<Vec<u8>> {
        Ok(prove_share(node, share, &TABLES)?.0)
    }
}
