//! One error type: a stable code, a sentence, what was expected, what was received.
//!
//! docs/errors.md lists the codes; the Python side turns each into a class.

use std::fmt;

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: &'static str,
    pub message: String,
    pub expected: Option<String>,
    pub received: Option<String>,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), expected: None, received: None }
    }

    #[must_use]
    pub fn expected(mut self, value: impl fmt::Display) -> Self {
        self.expected = Some(value.to_string());
        self
    }

    #[must_use]
    pub fn received(mut self, value: impl fmt::Display) -> Self {
        self.received = Some(value.to_string());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl std::error::Error for Error {}

/// Refuses with what was expected and received unless `holds`.
pub(crate) fn demand(
    holds: bool,
    code: &'static str,
    message: &str,
    values: impl FnOnce() -> (String, String),
) -> Result<()> {
    if holds {
        return Ok(());
    }
    let (expected, received) = values();
    Err(Error::new(code, message).expected(expected).received(received))
}
