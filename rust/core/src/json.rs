//! Bytes in JSON: hexadecimal digits.

use crate::hash::{Digest, hex as digits};

/// What stands in JSON as hexadecimal digits, or as null.
pub trait Hex: Sized {
    fn to_digits(&self) -> Option<String>;
    /// `None` where the digits stand for nothing of this type.
    fn from_digits(digits: Option<&str>) -> Option<Self>;
}

impl Hex for Vec<u8> {
    fn to_digits(&self) -> Option<String> {
        Some(digits(self))
    }

    fn from_digits(digits: Option<&str>) -> Option<Self> {
        let pair = |pair: &[u8]| {
            let both = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
            both.then(|| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())?
        };
        digits?.as_bytes().chunks(2).map(pair).collect()
    }
}

impl Hex for [u8; 32] {
    fn to_digits(&self) -> Option<String> {
        Some(digits(self))
    }

    fn from_digits(digits: Option<&str>) -> Option<Self> {
        Vec::from_digits(digits)?.try_into().ok()
    }
}

impl Hex for Digest {
    fn to_digits(&self) -> Option<String> {
        Some(self.hex())
    }

    fn from_digits(digits: Option<&str>) -> Option<Self> {
        Self::from_bytes(&<[u8; 32]>::from_digits(digits)?)
    }
}

impl<T: Hex> Hex for Option<T> {
    fn to_digits(&self) -> Option<String> {
        self.as_ref().and_then(T::to_digits)
    }

    fn from_digits(digits: Option<&str>) -> Option<Self> {
        match digits {
            None => Some(None),
            some => T::from_digits(some).map(Some),
        }
    }
}

/// For `#[serde(with = "json::hex")]`.
pub mod hex {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Hex;

    pub fn serialize<T: Hex, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        value.to_digits().serialize(to)
    }

    pub fn deserialize<'de, T: Hex, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        let digits = Option::<String>::deserialize(from)?;
        let wrong = || D::Error::custom("not the hexadecimal digits of such a value");
        T::from_digits(digits.as_deref()).ok_or_else(wrong)
    }
}
