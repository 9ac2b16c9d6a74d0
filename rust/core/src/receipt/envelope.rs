//! The envelope of a receipt (docs/receipt-format.md, Receipt). Borrows; copies nothing.

use super::journal::{HYBRID, MODE_AT, STRICT};
use crate::error::{Error, Result};

const MAGIC: &[u8; 7] = b"ZKTALLY";
/// Of a fast receipt; of one with a STARK.
const VERSIONS: [u8; 2] = [3, 4];
const MEBIBYTE: usize = 1 << 20;
const SECTIONS: [(&str, usize); 3] =
    [("program", 16 * MEBIBYTE), ("journal", 256 * MEBIBYTE), ("proof", 1024 * MEBIBYTE)];
/// Largest receipt: 1.25 GiB.
pub const MAX_BYTES: usize = 1280 * MEBIBYTE;

/// The sections of a receipt, unjudged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt<'a> {
    pub program: &'a [u8],
    pub journal: &'a [u8],
    pub proof: &'a [u8],
}

impl<'a> Receipt<'a> {
    /// Splits a receipt of at most `limit` bytes.
    ///
    /// # Errors
    /// `receipt.too-large`, `receipt.bad-magic`, `receipt.unsupported-version`,
    /// `receipt.truncated`, `receipt.trailing-bytes`.
    pub fn split(bytes: &'a [u8], limit: usize) -> Result<Self> {
        let limit = limit.min(MAX_BYTES);
        if bytes.len() > limit {
            return Err(Error::new("receipt.too-large", "the receipt is too large")
                .expected(format!("at most {limit} bytes"))
                .received(bytes.len()));
        }
        let Some((head, mut rest)) = bytes.split_at_checked(MAGIC.len() + 1) else {
            return Err(if MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
                truncated("magic")
            } else {
                bad_magic()
            });
        };
        if &head[..MAGIC.len()] != MAGIC {
            return Err(bad_magic());
        }
        let version = head[MAGIC.len()];
        if !VERSIONS.contains(&version) {
            return Err(unsupported("3 or 4", version));
        }
        let mut sections = [&bytes[..0]; 3];
        for (section, (name, limit)) in sections.iter_mut().zip(SECTIONS) {
            (*section, rest) = take_section(rest, name, limit)?;
        }
        if !rest.is_empty() {
            return Err(Error::new("receipt.trailing-bytes", "bytes after the receipt")
                .received(rest.len()));
        }
        let [program, journal, proof] = sections;
        let receipt = Self { program, journal, proof };
        if receipt.version() != version {
            return Err(unsupported(receipt.version(), version));
        }
        Ok(receipt)
    }

    /// The version of its format: proofs with a STARK have had another one.
    fn version(&self) -> u8 {
        let with_stark = matches!(self.journal.get(MODE_AT), Some(&(HYBRID | STRICT)));
        VERSIONS[usize::from(with_stark)]
    }

    /// The bytes of the receipt.
    ///
    /// # Errors
    /// `prove.too-large` where a section is above its limit.
    pub fn join(&self) -> Result<Vec<u8>> {
        let sections = [self.program, self.journal, self.proof];
        let mut out = Vec::with_capacity(20 + sections.iter().map(|s| s.len()).sum::<usize>());
        out.extend(MAGIC);
        out.push(self.version());
        for (section, (name, limit)) in sections.into_iter().zip(SECTIONS) {
            if section.len() > limit {
                return Err(Error::new("prove.too-large", format!("the {name} is too large"))
                    .expected(format!("at most {limit} bytes"))
                    .received(section.len()));
            }
            out.extend((section.len() as u32).to_le_bytes());
            out.extend(section);
        }
        Ok(out)
    }
}

fn unsupported(expected: impl ToString, received: u8) -> Error {
    Error::new("receipt.unsupported-version", "unknown receipt version")
        .expected(expected.to_string())
        .received(received)
}

fn take_section<'a>(bytes: &'a [u8], name: &str, limit: usize) -> Result<(&'a [u8], &'a [u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| truncated(name))?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > limit {
        return Err(Error::new("receipt.too-large", format!("the {name} is too large"))
            .expected(format!("at most {limit} bytes"))
            .received(length));
    }
    rest.split_at_checked(length).ok_or_else(|| truncated(name))
}

fn truncated(what: &str) -> Error {
    Error::new("receipt.truncated", format!("the receipt ends inside its {what}"))
}

fn bad_magic() -> Error {
    Error::new("receipt.bad-magic", "not a receipt").expected("the first bytes ZKTALLY")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Vec<u8> {
        Receipt { program: b"pp", journal: b"j", proof: b"" }.join().unwrap()
    }

    fn code(bytes: &[u8]) -> &'static str {
        Receipt::split(bytes, MAX_BYTES).unwrap_err().code
    }

    #[test]
    fn each_breach_of_the_envelope_has_its_code() {
        let bytes = good();
        let receipt = Receipt::split(&bytes, MAX_BYTES).unwrap();
        assert_eq!(
            (receipt.program, receipt.journal, receipt.proof),
            (&b"pp"[..], &b"j"[..], &b""[..])
        );
        (0..bytes.len()).for_each(|end| assert_eq!(code(&bytes[..end]), "receipt.truncated"));
        assert_eq!(code(&[&bytes[..], b"x"].concat()), "receipt.trailing-bytes");
        let changed = |at: usize, byte: u8| {
            let mut bytes = good();
            bytes[at] = byte;
            bytes
        };
        assert_eq!(code(&changed(0, b'z')), "receipt.bad-magic");
        assert_eq!(code(&changed(7, 1)), "receipt.unsupported-version");
        assert_eq!(code(&changed(11, 0xff)), "receipt.too-large");
        assert_eq!(code(&changed(8, 0xff)), "receipt.truncated");
        assert_eq!(Receipt::split(&bytes, 5).unwrap_err().code, "receipt.too-large");
    }

    #[test]
    fn the_version_is_that_of_the_mode() {
        for (mode, version) in [(0, 3), (1, 4), (2, 4), (3, 3)] {
            let journal = [3, 0, mode];
            let receipt = Receipt { program: b"", journal: &journal, proof: b"" };
            let mut bytes = receipt.join().unwrap();
            assert_eq!((bytes[7], Receipt::split(&bytes, MAX_BYTES)), (version, Ok(receipt)));
            for other in (0..6).filter(|&other| other != version) {
                bytes[7] = other;
                assert_eq!(code(&bytes), "receipt.unsupported-version");
            }
        }
    }
}
