//! Which gates are checked, and which leaves that opens (docs/protocol.md section 5).

mod counts;
mod course;
pub mod openings;
mod plan;

pub use counts::{Counts, sample_count};
pub use course::{course, seed_of};
pub use openings::Mark;
pub use plan::{Draw, Plan, SEED_BYTES, seed};
