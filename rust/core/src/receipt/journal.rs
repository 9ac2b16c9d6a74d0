//! The journal: the statement of a receipt (docs/receipt-format.md, Journal).

use serde::{Deserialize, Serialize};

use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};
use crate::hash::Digest;
use crate::json;

pub const VERSION: u16 = 3;
pub const FAST: u8 = 0;
pub const HYBRID: u8 = 1;
pub const STRICT: u8 = 2;
/// Offset of the mode byte.
pub const MODE_AT: usize = 2;
/// Seed sources: the prover's own, or derived from program, data set and nonce.
pub const OWN: u8 = 0;
pub const DERIVED: u8 = 1;
/// Starts: some root, or as the program declares.
pub const ROOT: u8 = 0;
pub const DECLARED: u8 = 1;
/// First step and steps together: the positions from there on are not those of steps.
pub const MAX_POSITION: u32 = 1 << 30;
pub const MAX_STEPS: u32 = 1 << 20;
const MAX_PPM: u32 = 500_000;

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};

/// What a receipt claims; `inputs` and `outputs` are packed values. As JSON, bytes are hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    pub mode: u8,
    #[serde(with = "json::hex")]
    pub program_id: [u8; 32],
    #[serde(with = "json::hex")]
    pub weights_root: Digest,
    /// Zero without data tensors.
    #[serde(with = "json::hex")]
    pub dataset_root: Digest,
    /// Position of the first step in its run.
    pub first: u32,
    pub steps: u32,
    pub items: u32,
    /// δ in parts per million.
    pub delta_ppm: u32,
    /// The same for every step; 0: none claimed.
    pub delta_step_ppm: u32,
    /// The same for every op; 0: none claimed.
    pub delta_op_ppm: u32,
    /// λ.
    pub bits: u16,
    pub exact: Vec<u16>,
    #[serde(with = "json::hex")]
    pub chain_root: Digest,
    #[serde(with = "json::hex")]
    pub input_root: Digest,
    #[serde(with = "json::hex")]
    pub initial_state: Digest,
    #[serde(with = "json::hex")]
    pub final_state: Digest,
    /// Zero without exports.
    #[serde(with = "json::hex")]
    pub exported_root: Digest,
    #[serde(with = "json::hex")]
    pub prf_seed: Digest,
    /// [`OWN`] or [`DERIVED`].
    pub seed: u8,
    /// [`ROOT`] or [`DECLARED`].
    pub start: u8,
    /// The key of the input salts: 8 elements, like a digest.
    #[serde(with = "json::hex")]
    pub input_key: Option<Digest>,
    #[serde(with = "json::hex")]
    pub inputs: Option<Vec<u8>>,
    /// Of all steps and ports, or empty: hidden ones are bound by the chain root alone.
    #[serde(with = "json::hex")]
    pub outputs: Vec<u8>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub audience: Option<String>,
    #[serde(with = "json::hex")]
    pub nonce: Option<Vec<u8>>,
}

impl Journal {
    /// Reads a journal; the first breach, field by field, is reported.
    ///
    /// # Errors
    /// `receipt.truncated`, `receipt.trailing-bytes`, `receipt.unsupported-version`,
    /// `receipt.unsupported-mode`, `receipt.non-canonical`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let r = &mut Reader::new(bytes, CODES);
        let version = r.u16()?;
        if version != VERSION {
            return Err(Error::new("receipt.unsupported-version", "unknown journal version")
                .expected(VERSION)
                .received(version));
        }
        let mode = r.u8()?;
        if mode_name(mode).is_none() {
            return Err(Error::new("receipt.unsupported-mode", "unknown mode")
                .expected("0 (fast), 1 (hybrid) or 2 (strict)")
                .received(mode));
        }
        // A strict statement samples nothing: what is about samples is void.
        let (least, most) = if mode == STRICT { (0, 0) } else { (1, MAX_PPM) };
        let journal = Self {
            mode,
            program_id: r.array()?,
            weights_root: digest(r)?,
            dataset_root: digest(r)?,
            first: r.u32()?,
            steps: in_range(r, "steps", 1, MAX_STEPS)?,
            items: in_range(r, "items", 1, u32::MAX)?,
            delta_ppm: in_range(r, "delta", least, most)?,
            delta_step_ppm: in_range(r, "delta per step", 0, most)?,
            delta_op_ppm: in_range(r, "delta per op", 0, most)?,
            bits: bits(r, mode)?,
            exact: exact(r, mode)?,
            chain_root: digest(r)?,
            input_root: digest(r)?,
            initial_state: digest(r)?,
            final_state: digest(r)?,
            exported_root: digest(r)?,
            prf_seed: digest(r)?,
            seed: choice(r, "seed source")?,
            start: choice(r, "start")?,
            input_key: r.opt(digest)?,
            inputs: r.opt(blob)?,
            outputs: blob(r)?,
            audience: r.opt(audience)?,
            nonce: r.opt(nonce)?,
        };
        if journal.inputs.is_some() && journal.input_key.is_none() {
            return Err(r.bad("inputs without an input key"));
        }
        match r.remaining() {
            0 => Ok(journal),
            left => Err(Error::new(CODES.trailing, format!("{left} bytes after the journal"))),
        }
    }

    /// Whether the values of the outputs stand in the statement; never of a program without any.
    pub fn publishes(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The bytes of a journal. Writes what it is given: only `decode` judges.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.outputs.len());
        out.extend(VERSION.to_le_bytes());
        out.push(self.mode);
        out.extend(self.program_id);
        out.extend(self.weights_root.to_bytes());
        out.extend(self.dataset_root.to_bytes());
        out.extend(self.first.to_le_bytes());
        for number in
            [self.steps, self.items, self.delta_ppm, self.delta_step_ppm, self.delta_op_ppm]
        {
            out.extend(number.to_le_bytes());
        }
        out.extend(self.bits.to_le_bytes());
        out.extend((self.exact.len() as u16).to_le_bytes());
        self.exact.iter().for_each(|op| out.extend(op.to_le_bytes()));
        for digest in [
            self.chain_root,
            self.input_root,
            self.initial_state,
            self.final_state,
            self.exported_root,
            self.prf_seed,
        ] {
            out.extend(digest.to_bytes());
        }
        out.extend([self.seed, self.start]);
        put_opt(&mut out, self.input_key, |out, key| out.extend(key.to_bytes()));
        put_opt(&mut out, self.inputs.as_deref(), put_blob);
        put_blob(&mut out, &self.outputs);
        put_opt(&mut out, self.audience.as_deref().map(str::as_bytes), put_str);
        put_opt(&mut out, self.nonce.as_deref(), put_str);
        out
    }
}

/// The name of a mode, if this release knows it.
pub fn mode_name(mode: u8) -> Option<&'static str> {
    match mode {
        FAST => Some("fast"),
        HYBRID => Some("hybrid"),
        STRICT => Some("strict"),
        _ => None,
    }
}

/// A digest, each of its words below P.
pub(crate) fn digest(r: &mut Reader) -> Result<Digest> {
    Digest::from_bytes(&r.array()?).ok_or_else(|| r.bad("a word of a digest is not below P"))
}

fn in_range(r: &mut Reader, what: &str, lo: u32, hi: u32) -> Result<u32> {
    let value = r.u32()?;
    if (lo..=hi).contains(&value) {
        return Ok(value);
    }
    Err(r.bad(format!("{what} is out of range")).expected(format!("{lo} to {hi}")).received(value))
}

/// A byte that says which of two things holds.
fn choice(r: &mut Reader, what: &str) -> Result<u8> {
    match r.u8()? {
        choice @ 0..=1 => Ok(choice),
        other => Err(r.bad(format!("unknown {what}")).expected("0 or 1").received(other)),
    }
}

fn bits(r: &mut Reader, mode: u8) -> Result<u16> {
    match r.u16()? {
        0 if mode == STRICT => Ok(0),
        bits @ 1..=256 if mode != STRICT => Ok(bits),
        other => Err(r
            .bad("lambda is out of range")
            .expected("1 to 256, in strict mode 0")
            .received(other)),
    }
}

fn exact(r: &mut Reader, mode: u8) -> Result<Vec<u16>> {
    let ops = ascending(r)?;
    if mode == STRICT && !ops.is_empty() {
        return Err(r.bad("a strict statement lists exact ops"));
    }
    Ok(ops)
}

fn ascending(r: &mut Reader) -> Result<Vec<u16>> {
    let ops = r.list16(Reader::u16)?;
    if ops.is_sorted_by(|a, b| a < b) { Ok(ops) } else { Err(r.bad("exact ops are not ascending")) }
}

fn blob(r: &mut Reader) -> Result<Vec<u8>> {
    let length = r.u32()?;
    r.take(length as usize).map(<[u8]>::to_vec)
}

fn audience(r: &mut Reader) -> Result<String> {
    let bytes = r.str()?;
    match std::str::from_utf8(bytes) {
        Ok(text) if (1..=256).contains(&bytes.len()) => Ok(text.to_string()),
        _ => Err(r.bad("an audience is 1 to 256 bytes of UTF-8")),
    }
}

fn nonce(r: &mut Reader) -> Result<Vec<u8>> {
    let bytes = r.str()?;
    match bytes.len() {
        1..=64 => Ok(bytes.to_vec()),
        _ => Err(r.bad("a nonce is 1 to 64 bytes")),
    }
}

fn put_opt<T>(out: &mut Vec<u8>, value: Option<T>, put: impl Fn(&mut Vec<u8>, T)) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_blob(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}

fn put_str(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_le_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Journal {
        Journal {
            mode: FAST,
            program_id: [3; 32],
            weights_root: Digest::default(),
            dataset_root: Digest::default(),
            first: 7,
            steps: 2,
            items: 3,
            delta_ppm: 50_000,
            delta_step_ppm: 0,
            delta_op_ppm: 0,
            bits: 128,
            exact: vec![1, 4],
            chain_root: Digest::default(),
            input_root: Digest::default(),
            initial_state: Digest::default(),
            final_state: Digest::default(),
            exported_root: Digest::default(),
            prf_seed: Digest::default(),
            seed: DERIVED,
            start: ROOT,
            input_key: Some(Digest::default()),
            inputs: Some(vec![1, 2]),
            outputs: vec![3],
            audience: Some("bank".to_string()),
            nonce: Some(vec![9]),
        }
    }

    fn refused(change: impl Fn(&mut Journal)) -> &'static str {
        let mut journal = sample();
        change(&mut journal);
        Journal::decode(&journal.encode()).unwrap_err().code
    }

    #[test]
    fn decoding_is_the_inverse_of_encoding() {
        let bytes = sample().encode();
        assert_eq!(Journal::decode(&bytes).unwrap(), sample());
        for end in 0..bytes.len() {
            assert_eq!(Journal::decode(&bytes[..end]).unwrap_err().code, "receipt.truncated");
        }
        let long = [&bytes[..], &[0]].concat();
        assert_eq!(Journal::decode(&long).unwrap_err().code, "receipt.trailing-bytes");
    }

    #[test]
    fn any_changed_byte_is_refused_or_another_journal() {
        let bytes = sample().encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                if let Ok(journal) = Journal::decode(&changed) {
                    assert_ne!(journal, sample());
                    assert_eq!(journal.encode(), changed);
                }
            }
        }
    }

    #[test]
    fn a_strict_statement_says_nothing_of_samples() {
        let strict = |change: fn(&mut Journal)| {
            let mut journal = sample();
            (journal.mode, journal.delta_ppm, journal.bits) = (STRICT, 0, 0);
            journal.exact.clear();
            change(&mut journal);
            Journal::decode(&journal.encode()).map(|_| ()).map_err(|error| error.code)
        };
        assert_eq!(strict(|_| ()), Ok(()));
        let breaches: [fn(&mut Journal); 5] = [
            |j| j.delta_ppm = 1,
            |j| j.delta_step_ppm = 1,
            |j| j.delta_op_ppm = 1,
            |j| j.bits = 1,
            |j| j.exact = vec![0],
        ];
        for change in breaches {
            assert_eq!(strict(change), Err("receipt.non-canonical"));
        }
    }

    #[test]
    fn every_rule_has_a_breach() {
        for mode in [3, 4, 255] {
            assert_eq!(refused(|j| j.mode = mode), "receipt.unsupported-mode");
        }
        type Change = fn(&mut Journal);
        let breaches: [Change; 15] = [
            |j| j.steps = 0,
            |j| j.steps = MAX_STEPS + 1,
            |j| j.items = 0,
            |j| j.delta_ppm = 0,
            |j| j.delta_ppm = 500_001,
            |j| j.delta_step_ppm = 500_001,
            |j| j.delta_op_ppm = 500_001,
            |j| j.bits = 0,
            |j| j.bits = 257,
            |j| j.exact = vec![4, 4],
            |j| j.seed = 2,
            |j| j.start = 2,
            |j| j.input_key = None,
            |j| j.audience = Some(String::new()),
            |j| j.nonce = Some(vec![0; 65]),
        ];
        for change in breaches {
            assert_eq!(refused(change), "receipt.non-canonical");
        }
        let mut version = sample().encode();
        version[0] = 1;
        assert_eq!(Journal::decode(&version).unwrap_err().code, "receipt.unsupported-version");
    }
}
