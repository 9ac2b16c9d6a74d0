//! The verifier: a receipt of any mode, judged as its statement says (docs/protocol.md section 6).

use crate::error::Result;
use crate::fast::verify_openings;
use crate::hybrid::verify_hybrid;
use crate::receipt::journal::FAST;
use crate::statement::inputs::CallerInputs;
use crate::statement::{Accepted, Expectations, Verified};

/// Judges every receipt of an aggregate, each against the expectation that names its model, on the
/// current rayon pool (docs/recursion.md section 6).
///
/// # Errors
/// Those of reading an aggregate, then of each receipt in order as by [`verify`], then of the proof of
/// all; `usage` where nothing is expected.
pub fn verify_aggregate(bytes: &[u8], expect: &[Expectations]) -> Result<Vec<Verified>> {
    crate::hybrid::verify_aggregate(bytes, expect)
}

/// Judges a receipt of any mode against what the caller expects, on the current rayon pool.
///
/// The first failure in the order of docs/protocol.md section 6 (docs/hybrid.md section 7) is
/// reported.
///
/// # Errors
/// Every code of these sections; `usage.input` for caller inputs that the program does not take.
pub fn verify(
    receipt: &[u8],
    expect: &Expectations,
    inputs: Option<&CallerInputs>,
) -> Result<Verified> {
    let accepted = Accepted::judge(receipt, expect)?;
    match accepted.journal.mode {
        FAST => verify_openings(accepted, inputs),
        _ => verify_hybrid(accepted, expect, inputs),
    }
}
