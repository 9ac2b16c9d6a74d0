//! The verifier of a proof, written as rows of a machine (docs/recursion.md section 4). It follows
//! `stark/verify.rs` line by line: the same checks in the same order.

mod batch;
mod constraints;
mod queries;
pub(super) mod transcript;

use self::batch::Batch;
use self::transcript::{Transcribed, Transcript};
use super::child::{Child, Inner};
use super::machine::Machine;

/// Writes the rows that verify a proof; of which a prover has what is inside.
pub fn verify(machine: &mut Machine, child: &Child, inner: Option<&Inner>) {
    let transcribed: Transcribed = Transcript::run(machine, child, inner);
    let opened = transcribed.split(&child.statement());
    constraints::check(machine, child, &transcribed, &opened);
    let batch = Batch::new(machine, child, transcribed.eta, &opened);
    queries::check(machine, child, &transcribed, &batch, inner);
}
