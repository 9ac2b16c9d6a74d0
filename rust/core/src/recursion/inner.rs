//! A proof taken apart for those who prove that it verifies.

use super::child::{Child, Inner, Path, Points, Query};
use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};
use crate::hash::poseidon::canonical_elements;
use crate::hash::{Digest, Elem};
use crate::stark::air::Tables;
use crate::stark::fri;
use crate::stark::statement::Statement;
use crate::stark::transcript::Transcript;
use crate::stark::tree::{Hash, Opened, Shape};
use crate::stark::verify::{Challenges, Head, challenge, challenge_from};

const CODES: Codes = Codes::all("prove.witness");

fn witness(what: &str) -> Error {
    Error::new("prove.witness", "a proof that is to be proven does not verify").received(what)
}

fn digest(hash: &Hash) -> Digest {
    Digest::from_bytes(hash).expect("read as elements")
}

fn work(witness: u64) -> Elem {
    Elem::new(u32::try_from(witness).expect("read as an element"))
}

impl Points {
    pub const BYTES: usize = 60;

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        [self.alpha, self.beta, self.zeta]
            .iter()
            .for_each(|x| crate::stark::field::put(&mut out, x));
        out
    }

    /// # Errors
    /// `receipt.truncated`, `receipt.non-canonical`.
    pub fn read(reader: &mut Reader) -> Result<Self> {
        let bytes = reader.take(Self::BYTES)?;
        let words: Option<[Elem; 15]> = canonical_elements(bytes);
        let words = words.ok_or_else(|| reader.bad("an element of a point is not below p"))?;
        let at = |i: usize| crate::stark::field::from_coefficients(&words[5 * i..5 * i + 5]);
        Ok(Self { alpha: at(0), beta: at(1), zeta: at(2) })
    }

    /// Those that a proof draws after a state of its transcript; of its statement the shape is enough.
    pub(super) fn drawn(statement: &Statement, start: Digest, proof: &[u8]) -> Result<Self> {
        let head = Head::read(statement, &mut Reader::new(proof, CODES))?;
        Ok(Self::of(&challenge_from(Transcript::at(start), statement, &head)?))
    }

    fn of(challenges: &Challenges) -> Self {
        let Challenges { buses, zeta, .. } = challenges;
        Self { alpha: buses.alpha, beta: buses.powers[1], zeta: *zeta }
    }
}

/// A proof in bytes with what its verifier knows of it.
pub struct Made {
    pub child: Child,
    pub proof: Vec<u8>,
}

impl Made {
    /// The whole proof of a statement, at the points of its transcript.
    ///
    /// # Errors
    /// `prove.witness` for one that is cut short; those of [`Child::new`].
    pub fn new(statement: &Statement, tables: &'static Tables, proof: &[u8]) -> Result<Self> {
        let head = Head::read(statement, &mut Reader::new(proof, CODES))?;
        let points = Points::of(&challenge(statement, &head)?);
        Ok(Self { child: Child::new(statement, tables, points)?, proof: proof.to_vec() })
    }

    /// Takes the proof apart: for this the shape of its statement is enough, and where its transcript
    /// starts.
    ///
    /// # Errors
    /// `prove.witness` for one that does not verify.
    pub fn opened(self) -> Result<Proven> {
        let inner = Inner::read(&self.child.statement(), self.child.start, &self.proof)?;
        Ok(Proven { child: self.child, inner })
    }
}

/// A proof taken apart, with what its verifier knows of it.
pub struct Proven {
    pub child: Child,
    pub inner: Inner,
}

impl Proven {
    /// Takes a whole proof of a statement apart.
    ///
    /// # Errors
    /// `prove.witness` for one that does not verify.
    pub fn read(statement: &Statement, tables: &'static Tables, proof: &[u8]) -> Result<Self> {
        Made::new(statement, tables, proof)?.opened()
    }
}

impl Inner {
    fn read(statement: &Statement, start: Digest, proof: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(proof, CODES);
        let head = Head::read(statement, &mut reader)?;
        let challenges = challenge_from(Transcript::at(start), statement, &head)?;
        let indices = &challenges.indices;
        let hashing = statement.parameters.hashing;
        let mut trees = Vec::new();
        for (widths, root) in statement.widths().iter().zip(&head.roots) {
            let shape = Shape { hashing, widths, salted: true };
            trees.push(Opened::read(&mut reader, shape, indices, root)?);
        }
        let rounds = fri::read_rounds(&mut reader, hashing, &challenges.commitments, indices)?;
        let all: Option<Vec<Opened>> = trees.into_iter().chain(rounds).collect();
        let all = all.ok_or_else(|| witness("opened rows do not lead to a root"))?;
        if reader.remaining() > 0 {
            return Err(witness("bytes follow the proof"));
        }
        Ok(Self {
            roots: head.roots.map(|root| digest(&root)),
            terminals: head.terminals.clone(),
            opened: head.opened.concat(),
            batch_work: work(head.batch_work),
            rounds: head.rounds.iter().map(|(root, w)| (digest(root), work(*w))).collect(),
            last: head.last.clone(),
            query_work: work(head.query_work),
            queries: challenges.drawn.iter().map(|&index| query(statement, &all, index)).collect(),
        })
    }
}

/// The paths of one query.
fn query(statement: &Statement, opened: &[Opened], index: usize) -> Query {
    let blowup = statement.parameters.log_blowup;
    let heights: Vec<usize> = statement.heights().iter().map(|height| height + blowup).collect();
    let mut folded = 0;
    let rounds = statement.rounds().into_iter().zip(&opened[3..]).map(|(round, opened)| {
        folded += round.log_arity;
        path(opened, &[opened.height()], index >> folded)
    });
    let rounds = rounds.collect();
    let trees = std::array::from_fn(|tree| path(&opened[tree], &heights, index));
    Query { trees, rounds }
}

fn path(opened: &Opened, heights: &[usize], index: usize) -> Path {
    let row = |&height: &usize| {
        let salt = opened.salt(height, index);
        let salt = salt.map(|salt| canonical_elements::<4>(salt).expect("read as elements"));
        [opened.row(height, index), &salt.unwrap_or_default()[..salt.map_or(0, |s| s.len())]]
            .concat()
    };
    let siblings = (1..=opened.height()).rev().map(|level| digest(opened.sibling(level, index)));
    Path { rows: heights.iter().map(row).collect(), siblings: siblings.collect() }
}
