//! A cursor over untrusted bytes and the primitives of docs/receipt-format.md.

use crate::error::{Error, Result};

/// The error codes of one reader: bytes missing, bytes left over, a value with another encoding.
#[derive(Clone, Copy, Debug)]
pub struct Codes {
    pub short: &'static str,
    pub trailing: &'static str,
    pub bad: &'static str,
}

impl Codes {
    /// One code for all three.
    pub const fn all(code: &'static str) -> Self {
        Self { short: code, trailing: code, bad: code }
    }
}

/// Reads fixed-width little-endian integers, strings, options and lists; never past the end.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    codes: Codes,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8], codes: Codes) -> Self {
        Self { bytes, at: 0, codes }
    }

    /// Position of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Number of bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The error for a value that is not the one encoding of anything.
    pub fn bad(&self, message: impl Into<String>) -> Error {
        Error::new(self.codes.bad, message)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        if n > self.remaining() {
            return Err(Error::new(self.codes.short, format!("bytes end at offset {}", self.at))
                .expected(format!("{n} more bytes"))
                .received(self.remaining()));
        }
        let taken = &self.bytes[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A byte that is 0 or 1.
    pub fn flag(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.bad("a flag is 0 or 1").received(other)),
        }
    }

    /// `str`: a u16 length and that many bytes.
    pub fn str(&mut self) -> Result<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// `opt X`: a byte 0, or a byte 1 and X.
    pub fn opt<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// `n` elements, one after the other.
    pub fn repeat<T>(
        &mut self,
        n: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        // An element has at least one byte, so a false count cannot reserve more than the input's size.
        let mut out = Vec::with_capacity(n.min(self.remaining()));
        for _ in 0..n {
            out.push(read(self)?);
        }
        Ok(out)
    }

    /// `list16 X`: a u16 count and the elements.
    pub fn list16<T>(&mut self, read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.u16()?;
        self.repeat(count.into(), read)
    }

    /// Refuses bytes left over.
    pub fn finish(self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(Error::new(
                self.codes.trailing,
                format!("{left} bytes left over at offset {}", self.at),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: Codes = Codes { short: "short", trailing: "trailing", bad: "bad" };

    #[test]
    fn each_breach_has_its_code() {
        assert_eq!(Reader::new(&[1], CODES).u16().unwrap_err().code, "short");
        assert_eq!(Reader::new(&[1], CODES).finish().unwrap_err().code, "trailing");
        assert_eq!(Reader::new(&[2], CODES).flag().unwrap_err().code, "bad");
    }

    #[test]
    fn a_huge_count_is_short_not_an_allocation() {
        let mut reader = Reader::new(&[1, 2, 3], CODES);
        assert_eq!(reader.repeat(usize::MAX, Reader::u8).unwrap_err().code, "short");
    }

    #[test]
    fn lists_and_options_are_read_in_order() {
        let mut reader = Reader::new(&[2, 0, 7, 8, 1, 9, 0], CODES);
        assert_eq!(reader.list16(Reader::u8).unwrap(), [7, 8]);
        assert_eq!(reader.opt(Reader::u8).unwrap(), Some(9));
        assert_eq!(reader.opt(Reader::u8).unwrap(), None);
        reader.finish().unwrap();
    }
}
