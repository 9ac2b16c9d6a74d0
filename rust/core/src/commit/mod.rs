//! What is committed, and under which digests (docs/protocol.md section 4).

mod prepared;
pub mod rates;
mod roots;
mod trees;

pub use prepared::{Place, Prepared, first_outside, prf_bits};
pub use roots::{ChainDigests, Committed, model_id, weights_root};
pub use trees::{Salting, salted_tree};
