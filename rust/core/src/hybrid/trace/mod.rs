//! The main columns of a segment's tables: the witness.
//!
//! What is opened is taken as it is. Of wrong values, columns that have no right value hold whatever the
//! same computation gives: the witness then breaks a constraint or a bus, and nothing panics.

mod counts;
mod dots;
mod hashes;
mod memory;
mod opened;
mod others;
mod records;

use p3_field::PrimeCharacteristicRing;

use self::dots::Sums;
use self::memory::Memory;
pub use self::opened::{Opened, OpenedNodes};
pub(super) use self::records::Chain;
use super::schedule::Schedule;
use super::tables::{SLOTS, TABLES, bits, index, wide};
use crate::error::Result;
use crate::hash::{Digest, Elem, Key};
use crate::stark::MainTable;
use crate::table::columns::{Row, written};

/// A table by its index.
type MainOf = (usize, MainTable);

struct Filler<'a> {
    schedule: &'a Schedule,
}

impl Schedule {
    /// The main columns of every table, in the order of `self.tables`.
    ///
    /// # Errors
    /// `usage` where the openings lack a leaf of the segment.
    pub fn witness(&self, opened: &Opened, seed: Option<Key>) -> Result<Vec<MainTable>> {
        let chain = Chain::new(opened, self.first_step);
        let contents = self.contents(&chain);
        self.witness_of(opened, seed, &chain, &contents)
    }

    /// The same with these digests of steps, and records with these elements.
    pub(super) fn witness_of(
        &self,
        opened: &Opened,
        seed: Option<Key>,
        chain: &Chain,
        contents: &[Vec<Elem>],
    ) -> Result<Vec<MainTable>> {
        let filler = Filler { schedule: self };
        let key = seed.unwrap_or_default();
        let elements = Digest::from_bytes(&key.to_bytes()).unwrap_or_default().0;
        let ((sponge, plain), node) = {
            let sponge = || filler.sponge((opened, chain), contents, &elements);
            let (sponge, node) = rayon::join(sponge, || filler.node(opened, chain));
            (sponge?, node?)
        };
        let blocks = &sponge.1.main;
        let mut memory = Memory::new(plain, self.first_wide, self.first_bits);
        let wide = filler.wide(&memory);
        let (noise, words) = filler.noise(blocks, &key);
        let bits = filler.bits(&words);
        memory.wide = values(&wide, |cells| cells[wide::MAIN.v]);
        if let (Some((_, bits)), Some(table)) = (&bits, self.table(index::BITS)) {
            let value = |row: usize| {
                let [low, high] = bits::MAIN.v.map(|c| bits.main.row(row)[c]);
                table.publics.row(row)[bits::PUBLIC.lo] + low + high * Elem::from_u32(4096)
            };
            memory.bits = (0..bits.main.rows()).map(value).collect();
        }

        let mut sums = Sums::new(SLOTS * self.gate_ops.len());
        let row_dot = filler.row_dot(blocks, &mut sums);
        let read_dot = filler.read_dot(&memory, &mut sums);
        let (limbs, accumulators) = filler.limbs(&memory, &sums);
        let mut mains: Vec<MainOf> = [
            filler.spread(blocks),
            filler.gate(&memory, &sums, &accumulators),
            filler.pick(&memory),
            filler.scan(&memory),
            filler.div(&memory),
            filler.digest(chain),
            filler.record(contents),
        ]
        .into_iter()
        .chain([Some(sponge), node, wide, row_dot, read_dot, limbs, noise, bits])
        .flatten()
        .filter(|(index, _)| self.table(*index).is_some())
        .collect();
        counts::count(self, &mut mains);
        mains.sort_by_key(|(index, _)| *index);
        Ok(mains.into_iter().map(|(_, main)| main).collect())
    }
}

/// One value of each row of a table.
fn values(table: &Option<MainOf>, of_row: impl Fn(&[Elem]) -> Elem) -> Vec<Elem> {
    table.as_ref().map_or_else(Vec::new, |(_, table)| {
        table.main.values.chunks_exact(table.main.width).map(of_row).collect()
    })
}

/// Fills the used rows of a table that has some: `row(number, publics)` gives the main columns.
fn fill<R: Row>(
    schedule: &Schedule,
    index: usize,
    row: impl Fn(usize, &[Elem]) -> R + Sync,
) -> Option<MainOf> {
    let publics = &schedule.table(index)?.publics;
    let width = TABLES.airs[index].mains;
    let main = written(width, publics.rows(), |number| row(number, publics.row(number)));
    Some((index, MainTable { main, padding: vec![Elem::ZERO; width] }))
}
