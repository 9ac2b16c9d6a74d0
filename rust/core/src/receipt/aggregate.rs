//! Several receipts in one file, with one proof for all of them (docs/recursion.md section 6).

use std::collections::HashSet;

use super::MAX_BYTES;
use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};

const MAGIC: &[u8; 7] = b"ZKTMANY";
const VERSION: u8 = 1;
const MEBIBYTE: usize = 1 << 20;
const MAX_PROGRAM: usize = 16 * MEBIBYTE;
const MAX_JOURNAL: usize = 256 * MEBIBYTE;
const MAX_PROOF: usize = 1024 * MEBIBYTE;
const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};

/// The parts of an aggregate, unjudged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate<'a> {
    /// Program and journal of each receipt.
    pub receipts: Vec<(&'a [u8], &'a [u8])>,
    pub proof: &'a [u8],
}

fn section<'a>(reader: &mut Reader<'a>, name: &str, limit: usize) -> Result<&'a [u8]> {
    let length = reader.u32()? as usize;
    if length > limit {
        return Err(Error::new("receipt.too-large", format!("the {name} is too large"))
            .expected(format!("at most {limit} bytes"))
            .received(length));
    }
    reader.take(length)
}

impl<'a> Aggregate<'a> {
    /// Whether bytes begin like an aggregate.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Splits an aggregate.
    ///
    /// # Errors
    /// `receipt.bad-magic`, `receipt.unsupported-version`, `receipt.truncated`, `receipt.too-large`,
    /// `receipt.non-canonical` (programs stand once, in the order in which receipts first name them),
    /// `receipt.trailing-bytes`.
    pub fn split(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::new("receipt.too-large", "the aggregate is too large")
                .expected(format!("at most {MAX_BYTES} bytes"))
                .received(bytes.len()));
        }
        let mut reader = Reader::new(bytes, CODES);
        if !Self::is_one(bytes) {
            return Err(Error::new("receipt.bad-magic", "these are no aggregated receipts"));
        }
        reader.take(MAGIC.len())?;
        let version = reader.u8()?;
        if version != VERSION {
            return Err(Error::new(
                "receipt.unsupported-version",
                "unknown version of an aggregate",
            )
            .expected(VERSION)
            .received(version));
        }
        let programs = reader.list16(|reader| section(reader, "program", MAX_PROGRAM))?;
        let named = reader.list16(|reader| {
            let number = usize::from(reader.u16()?);
            Ok((number, section(reader, "journal", MAX_JOURNAL)?))
        })?;
        let proof = section(&mut reader, "proof", MAX_PROOF)?;
        let mut seen = 0;
        for &(number, _) in &named {
            if number > seen || number >= programs.len() {
                return Err(
                    reader.bad("programs do not stand in the order of their first receipts")
                );
            }
            seen = seen.max(number + 1);
        }
        let distinct: HashSet<&[u8]> = programs.iter().copied().collect();
        if named.is_empty() || seen != programs.len() || distinct.len() < seen {
            return Err(reader.bad("a program stands twice, or without a receipt"));
        }
        // A statement counts once, however many proofs of it there are.
        if named.iter().copied().collect::<HashSet<_>>().len() < named.len() {
            return Err(reader.bad("a statement stands twice"));
        }
        reader.finish()?;
        let receipts = named.into_iter().map(|(number, journal)| (programs[number], journal));
        Ok(Self { receipts: receipts.collect(), proof })
    }

    /// The bytes of the aggregate.
    ///
    /// # Errors
    /// `prove.too-large` where a part is above its limit.
    pub fn join(&self) -> Result<Vec<u8>> {
        let mut programs: Vec<&[u8]> = Vec::new();
        for (program, _) in &self.receipts {
            if !programs.contains(program) {
                programs.push(program);
            }
        }
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        put_count(&mut out, programs.len())?;
        for program in &programs {
            put(&mut out, program, MAX_PROGRAM)?;
        }
        put_count(&mut out, self.receipts.len())?;
        for (program, journal) in &self.receipts {
            let number = programs.iter().position(|other| other == program).expect("put above");
            put_count(&mut out, number)?;
            put(&mut out, journal, MAX_JOURNAL)?;
        }
        put(&mut out, self.proof, MAX_PROOF)?;
        Ok(out)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    let count = u16::try_from(count).map_err(|_| too_large(u16::MAX.into(), count))?;
    out.extend(count.to_le_bytes());
    Ok(())
}

fn put(out: &mut Vec<u8>, bytes: &[u8], limit: usize) -> Result<()> {
    if bytes.len() > limit {
        return Err(too_large(limit, bytes.len()));
    }
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
    Ok(())
}

fn too_large(limit: usize, received: usize) -> Error {
    Error::new("prove.too-large", "a part of the aggregate is too large")
        .expected(format!("at most {limit}"))
        .received(received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_has_one_encoding() {
        let (a, b): (&[u8], &[u8]) = (b"program a", b"program b");
        let receipts = vec![(a, &b"1"[..]), (b, &b"2"[..]), (a, &b"3"[..])];
        let aggregate = Aggregate { receipts, proof: b"proof" };
        let bytes = aggregate.join().unwrap();
        assert_eq!(Aggregate::split(&bytes).unwrap(), aggregate);
        for cut in 0..bytes.len() {
            let code = Aggregate::split(&bytes[..cut]).unwrap_err().code;
            assert!(["receipt.truncated", "receipt.bad-magic"].contains(&code), "{cut}: {code}");
        }
        let code = |bytes: &[u8]| Aggregate::split(bytes).unwrap_err().code;
        assert_eq!(code(&[&bytes[..], b"x"].concat()), "receipt.trailing-bytes");
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            // Whatever is read again has these bytes.
            if let Ok(read) = Aggregate::split(&other) {
                assert_eq!(read.join().unwrap(), other);
            }
        }
        let swapped = |one: usize| {
            let mut other = bytes.clone();
            let at = 8 + 2 + 2 * 13 + 2;
            other[at] = one as u8;
            other
        };
        assert_eq!(code(&swapped(1)), "receipt.non-canonical");
        assert_eq!(code(&swapped(9)), "receipt.non-canonical");
        let twice = Aggregate { receipts: vec![(a, b"1"), (b, b"2"), (a, b"1")], proof: b"" };
        assert_eq!(code(&twice.join().unwrap()), "receipt.non-canonical");
    }

    #[test]
    fn no_receipt_and_no_program_stand_idle() {
        let none = Aggregate { receipts: vec![], proof: b"" }.join().unwrap();
        assert_eq!(Aggregate::split(&none).unwrap_err().code, "receipt.non-canonical");
        let mut idle = MAGIC.to_vec();
        idle.push(VERSION);
        idle.extend([2, 0, 1, 0, 0, 0, 7, 1, 0, 0, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Aggregate::split(&idle).unwrap_err().code, "receipt.non-canonical");
    }
}
