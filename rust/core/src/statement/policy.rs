//! What a caller demands, and step 6 of a verification: does the statement claim it?

use serde::Deserialize;

use super::confidence::fast_headline;
use crate::error::{Error, Result, demand};
use crate::hash::hex;
use crate::json;
use crate::program::Checked;
use crate::receipt::Journal;
use crate::receipt::journal::{FAST, STRICT, mode_name};
use crate::sampling::Counts;

/// What is demanded of any receipt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub modes: Vec<String>,
    pub min_bits: u16,
    pub max_delta_ppm: u32,
    /// `None`: no bound per step is demanded, which must be said.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_delta_step_ppm: Option<u32>,
    /// `None`: no bound per op is demanded, which must be said.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_delta_op_ppm: Option<u32>,
    /// Every op that defines an output must be enumerated.
    pub outputs_exact: bool,
}

/// What the caller means and demands; nothing of it is taken from the receipt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectations {
    #[serde(with = "json::hex")]
    pub model_id: [u8; 32],
    pub policy: Policy,
    /// `None`: the receipt must name none. Likewise `nonce`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub audience: Option<String>,
    #[serde(with = "json::hex")]
    pub nonce: Option<Vec<u8>>,
    /// `None`: any. Likewise `input_root`.
    #[serde(with = "json::hex")]
    pub initial_state: Option<[u8; 32]>,
    #[serde(with = "json::hex")]
    pub input_root: Option<[u8; 32]>,
}

/// 6. The caller's policy, then what the caller expects the receipt to be about.
///
/// # Errors
/// `policy.*`, `verify.*-mismatch`.
pub(super) fn check_policy(
    checked: &Checked,
    journal: &Journal,
    expect: &Expectations,
) -> Result<()> {
    let mode = mode_name(journal.mode).unwrap_or_default();
    let policy = &expect.policy;
    let mode_allowed = policy.modes.iter().any(|accepted| accepted == mode);
    demand(mode_allowed, "policy.mode", "the mode is not accepted", || {
        (policy.modes.join(", "), mode.to_string())
    })?;
    if journal.mode != STRICT {
        check_samples(journal, policy)?;
    }
    if policy.outputs_exact {
        check_outputs_exact(checked, journal)?;
    }
    let of =
        |name: Option<&str>| name.map_or_else(|| "none".to_string(), |name| format!("{name:?}"));
    demand(
        journal.audience == expect.audience,
        "verify.audience-mismatch",
        "the receipt is for another audience",
        || (of(expect.audience.as_deref()), of(journal.audience.as_deref())),
    )?;
    let of = |nonce: Option<&[u8]>| nonce.map_or_else(|| "none".to_string(), hex);
    demand(
        journal.nonce == expect.nonce,
        "verify.nonce-mismatch",
        "the receipt answers another nonce",
        || (of(expect.nonce.as_deref()), of(journal.nonce.as_deref())),
    )?;
    let digests = [
        (
            expect.initial_state,
            journal.initial_state,
            "verify.state-mismatch",
            "another initial state",
        ),
        (expect.input_root, journal.input_root, "verify.input-mismatch", "another input root"),
    ];
    for (expected, received, code, message) in digests {
        if let Some(expected) = expected {
            demand(received.to_bytes() == expected, code, message, || {
                (hex(&expected), received.hex())
            })?;
        }
    }
    Ok(())
}

/// What the sampling claims; a strict receipt samples nothing, and obeys every bound.
fn check_samples(journal: &Journal, policy: &Policy) -> Result<()> {
    // Of a fast receipt nothing but samples and hashes can fail; a hybrid one is judged again with
    // its proofs.
    let bits = match journal.mode {
        FAST => fast_headline(journal.bits),
        _ => journal.bits,
    };
    demand(bits >= policy.min_bits, "policy.bits", "fewer bits than demanded", || {
        (format!("at least {}", policy.min_bits), bits.to_string())
    })?;
    let bounds = [
        ("policy.delta", "", Some(policy.max_delta_ppm), journal.delta_ppm),
        ("policy.delta-step", " per step", policy.max_delta_step_ppm, journal.delta_step_ppm),
        ("policy.delta-op", " per op", policy.max_delta_op_ppm, journal.delta_op_ppm),
    ];
    for (code, of, most, claimed) in bounds {
        let Some(most) = most else { continue };
        let message = format!("no error bound{of}, or a larger one than accepted");
        demand((1..=most).contains(&claimed), code, &message, || {
            (format!("at most {most} ppm"), format!("{claimed} ppm"))
        })?;
    }
    Ok(())
}

fn check_outputs_exact(checked: &Checked, journal: &Journal) -> Result<()> {
    let counts = Counts::new(checked, journal);
    let program = &checked.program;
    let outputs: Vec<usize> = program.outputs.iter().map(|port| port.tensor).collect();
    let sampled = program
        .ops
        .iter()
        .zip(&counts.enumerated)
        .find(|(op, all)| !**all && outputs.contains(&op.out));
    sampled.map_or(Ok(()), |(op, _)| {
        Err(Error::new(
            "policy.exact",
            format!("op {:?} defines an output and is only sampled", op.name),
        )
        .expected("every gate of every op that defines an output checked")
        .received("a sample"))
    })
}
