//! What is committed, and under which digests (docs/protocol.md section 4).

mod order;
mod prepared;
pub mod rates;
mod roots;
mod start;
mod trees;

pub use order::{Course, MAX_SLOTS, Order};
pub use prepared::{Place, Prepared, first_outside, prf_bits};
pub use roots::{
    AllRoots, ChainDigests, Committed, Export, StepDigests, dataset_root, exported_root, model_id,
    state_digest, weights_root,
};
pub use start::{derived_seed, initial_root, initial_values};
pub use trees::{Salting, salted_tree};
