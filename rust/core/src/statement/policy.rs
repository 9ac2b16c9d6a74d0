//! What a caller demands, and step 6 of a verification: does the statement claim it?

use std::collections::BTreeMap;

use serde::Deserialize;

use super::confidence::fast_headline;
use super::training;
use crate::error::{Error, Result, demand};
use crate::hash::{Digest, hex};
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
    /// Where the seed of noise, order of records and drawn start comes from.
    pub seed: SeedPolicy,
    /// How the states begin.
    pub start: StartPolicy,
    /// `None`: any number. Steps of the run up to the last one of the statement.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_steps: Option<u32>,
    /// Epochs begun, likewise.
    #[serde(deserialize_with = "Option::deserialize")]
    pub max_epochs: Option<u32>,
    /// Least and largest size of a batch.
    #[serde(deserialize_with = "Option::deserialize")]
    pub batch: Option<[u32; 2]>,
    /// Ids of programs, one of which must have run.
    #[serde(deserialize_with = "Option::deserialize")]
    pub programs: Option<Vec<Id>>,
    /// By published input port: least and largest value.
    pub ranges: BTreeMap<String, [f64; 2]>,
}

#[cfg(test)]
impl Policy {
    /// What asks for next to nothing.
    pub fn lax(modes: &[&str], max_delta_ppm: u32) -> Self {
        Self {
            modes: modes.iter().map(|mode| (*mode).into()).collect(),
            min_bits: 1,
            max_delta_ppm,
            max_delta_step_ppm: None,
            max_delta_op_ppm: None,
            outputs_exact: false,
            seed: SeedPolicy::Any,
            start: StartPolicy::Any,
            max_steps: None,
            max_epochs: None,
            batch: None,
            programs: None,
            ranges: BTreeMap::new(),
        }
    }
}

/// 32 bytes, as JSON hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Id(#[serde(with = "json::hex")] pub [u8; 32]);

/// What is demanded of a seed, where something follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeedPolicy {
    Any,
    /// It follows from program and data set.
    Derived,
    /// And from a nonce.
    Nonce,
}

/// What is demanded of the first state, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartPolicy {
    Any,
    Declared,
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
    pub dataset_root: Option<[u8; 32]>,
    /// Whether the data set may be anyone's where `dataset_root` is `None`.
    pub any_dataset: bool,
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
    let pinned = |expected: Option<[u8; 32]>, received: Digest, code, message| match expected {
        None => Ok(()),
        Some(expected) => demand(received.to_bytes() == expected, code, message, || {
            (hex(&expected), received.hex())
        }),
    };
    let (state, message) = (expect.initial_state, "another initial state");
    pinned(state, journal.initial_state, "verify.state-mismatch", message)?;
    let (data, message) = (expect.dataset_root, "another data set");
    pinned(data, journal.dataset_root, "verify.dataset-mismatch", message)?;
    let unnamed = data.is_none() && !journal.dataset_root.is_zero();
    demand(
        !unnamed || expect.any_dataset,
        "verify.dataset-mismatch",
        "a data set of someone",
        || ("the root of the data set that is meant".into(), journal.dataset_root.hex()),
    )?;
    training::check_training(checked, journal, policy)?;
    pinned(expect.input_root, journal.input_root, "verify.input-mismatch", "another input root")
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
