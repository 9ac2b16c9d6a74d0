//! How long the parts of a verification take, for whoever measures them. Nothing depends on it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A part of the work of a verifier. None stands within another.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Sections 7 to 10 of docs/hybrid.md section 7: plan, inputs, outputs, number of segments.
    Claims,
    /// Which leaves a segment opens.
    Leaves,
    /// What is hashed above the leaves.
    Records,
    /// Which rows its gates have.
    Rows,
    /// How often everything is read.
    Addresses,
    /// The public columns of its tables, as far as they are made before ζ is known.
    Tables,
    /// The rows that verify proofs inside a proof.
    Machine,
    /// The public columns at ζ.
    Columns,
    /// The public terms.
    Terms,
}

const PARTS: [Part; 9] = [
    Part::Claims,
    Part::Leaves,
    Part::Records,
    Part::Rows,
    Part::Addresses,
    Part::Tables,
    Part::Machine,
    Part::Columns,
    Part::Terms,
];

static NANOSECONDS: [AtomicU64; PARTS.len()] = [const { AtomicU64::new(0) }; PARTS.len()];

/// Does the work of a part.
pub(crate) fn timed<T>(part: Part, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let taken = start.elapsed().as_nanos() as u64;
    NANOSECONDS[part as usize].fetch_add(taken, Ordering::Relaxed);
    done
}

/// The seconds of each part since this was last asked, by all threads together.
pub fn taken() -> [(Part, f64); PARTS.len()] {
    PARTS.map(|part| (part, NANOSECONDS[part as usize].swap(0, Ordering::Relaxed) as f64 * 1e-9))
}
