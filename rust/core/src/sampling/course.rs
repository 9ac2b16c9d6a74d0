//! The course of a statement: which steps of a run it is about, and which records they read.

use crate::commit::{Course, Prepared, derived_seed};
use crate::hash::Key;
use crate::receipt::Journal;
use crate::receipt::journal::DERIVED;

/// The seed of a statement that derives it.
pub fn seed_of(journal: &Journal) -> Option<Key> {
    let derived =
        || derived_seed(&journal.program_id, journal.dataset_root, journal.nonce.as_deref());
    (journal.seed == DERIVED).then(derived)
}

/// The course of a statement that fits the program.
pub fn course(prepared: &Prepared, journal: &Journal) -> Course {
    let (steps, first) = (journal.steps as usize, journal.first as usize);
    Course::new(steps, first, seed_of(journal), prepared.checked.program.data())
}
