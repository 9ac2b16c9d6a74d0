//! The core of zktally: programs and their execution, commitments, receipts of every mode, and the
//! verifier. No Python in here.
//!
//! A room uses only rooms above it in this list, but for the small ones at its end:
//!
//! | room | what it holds | specification |
//! |---|---|---|
//! | [`hash`] | Poseidon2, keys, salts, Merkle trees over digests | protocol.md §4 |
//! | [`program`] | programs: bytes, rules, ranges, weights, gates | protocol.md §1–3 |
//! | [`exec`] | the executor | protocol.md §1 |
//! | [`commit`] | trees over tensors, the digests of chains and models | protocol.md §4 |
//! | [`receipt`] | envelope and journal | receipt-format.md |
//! | [`sampling`] | counts, plan, leaves to open | protocol.md §5 |
//! | [`statement`] | the statement judged: policy, roots, inputs, facts | protocol.md §6 |
//! | [`fast`] | models, runs, openings in the clear | protocol.md §5–6 |
//! | [`stark`] | the STARK engine | stark.md |
//! | [`table`] | what tables are written with | hybrid.md |
//! | [`hybrid`] | openings inside a STARK: hybrid and strict receipts | hybrid.md |
//! | [`recursion`] | proofs verified inside a proof: succinct receipts | recursion.md |
//! | [`mod@verify`] | the entry: dispatch by mode | protocol.md §6 |
//! | [`bytes`], `json`, [`error`], [`watch`] | reading bytes, writing them as digits, failing with a code, time | |

#[macro_use]
pub mod table;

pub mod bytes;
pub mod commit;
pub mod error;
pub mod exec;
pub mod fast;
pub mod hash;
pub mod hybrid;
mod json;
pub mod program;
pub mod receipt;
pub mod recursion;
pub mod sampling;
pub mod stark;
pub mod statement;
pub mod verify;
pub mod watch;

pub use error::{Error, Result};
pub use verify::{verify, verify_aggregate};
