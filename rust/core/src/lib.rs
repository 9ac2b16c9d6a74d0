//! The core of zktally: programs, hashing, execution and the fast check. No Python in here.
//!
//! The specification is docs/protocol.md; module names follow its sections.

pub mod bytes;
pub mod error;
pub mod exec;
pub mod fast;
pub mod hash;
pub mod hybrid;
pub mod program;
pub mod stark;

pub use error::{Error, Result};
