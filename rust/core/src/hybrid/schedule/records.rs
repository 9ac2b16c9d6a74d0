//! Which digests the records of a segment take from whom: tables 13 and 14 of docs/hybrid.md section 4.

use std::collections::BTreeMap;

use p3_field::PrimeCharacteristicRing;

use super::Draft;
use super::nodes::Nodes;
use super::write::{number, table};
use crate::commit::Prepared;
use crate::error::Result;
use crate::hash::Elem;
use crate::hybrid::leaves::Leaves;
use crate::hybrid::records::{Name, Part, Record};
use crate::hybrid::tables::{RATE, digest, index, record};
use crate::receipt::Journal;
use crate::table::unwritten::Unwritten;

/// A row of the digest table.
#[derive(Clone, Copy, Debug)]
pub struct DigestRow {
    pub name: Name,
    /// The node or record whose digest it is, where that is hashed in the segment.
    pub node: Option<u32>,
    /// Records that take it.
    uses: u32,
}

/// What stands in the records of a segment.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Of each record.
    pub parts: Vec<Vec<Part>>,
    /// Digests that are hashed in the segment or taken more than once.
    pub digests: Vec<DigestRow>,
    /// Record and block within it, of each row of the record table.
    pub(super) rows: Vec<(u32, u32)>,
}

impl Contents {
    pub fn new(prepared: &Prepared, journal: &Journal, leaves: &Leaves, nodes: &Nodes) -> Self {
        let records = &leaves.records;
        let parts: Vec<Vec<Part>> =
            records.list.iter().map(|record| record.parts(prepared, journal)).collect();
        let mut uses: BTreeMap<Name, u32> = BTreeMap::new();
        for part in parts.iter().flatten() {
            if let Part::Taken(name) = *part {
                *uses.entry(name).or_default() += 1;
            }
        }
        let node = |name: Name| match name {
            Name::Root(place, tensor) => {
                let of =
                    leaves.trees.binary_search_by_key(&(place, tensor), |t| (t.place, t.tensor));
                of.ok().map(|tree| nodes.roots[tree])
            }
            Name::After(step) => {
                let found = records.find(Record::After(step));
                found.map(|record| (leaves.count + record) as u32)
            }
            Name::Chain => nodes.chain,
            Name::Inputs => nodes.inputs,
        };
        let rows = uses.into_iter().map(|(name, uses)| DigestRow { name, node: node(name), uses });
        let digests = rows.filter(|row| row.node.is_some() || row.uses > 1).collect();
        let firsts = records.firsts.windows(2).enumerate();
        let blocks = |(record, ends): (usize, &[usize])| {
            (0..(ends[1] - ends[0]) as u32).map(move |block| (record as u32, block))
        };
        Self { parts, digests, rows: firsts.flat_map(blocks).collect() }
    }

    /// Where the first element of a digest stands on its bus, if a row gives it.
    fn address(&self, name: Name) -> Option<usize> {
        self.digests
            .binary_search_by_key(&name, |row| row.name)
            .ok()
            .map(|row| digest::DIGEST * row)
    }

    /// The elements of a record: what each is held to.
    fn elements(&self, record: usize) -> Vec<Held> {
        let held = |part: &Part| match *part {
            Part::Fixed(value) => vec![Held::Fixed(value)],
            Part::Taken(name) => match self.address(name) {
                None => vec![Held::Free; digest::DIGEST],
                Some(first) => (first..first + digest::DIGEST).map(Held::Taken).collect(),
            },
        };
        self.parts[record].iter().flat_map(held).collect()
    }
}

/// What an element of a record is held to.
#[derive(Clone, Copy)]
enum Held {
    Free,
    Fixed(Elem),
    Taken(usize),
}

impl Draft<'_> {
    pub(super) fn digest(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.contents.digests;
        table(index::DIGEST, rows.len(), self.heights, move |i| digest::Public {
            node: number(rows[i].node.unwrap_or(0) as usize),
            has: Elem::from_bool(rows[i].node.is_some()),
            at: number(digest::DIGEST * i),
            uses: number(rows[i].uses as usize),
        })
    }

    pub(super) fn record(&self) -> Result<Option<Unwritten<'_>>> {
        let contents = &self.contents;
        let elements: Vec<Vec<Held>> =
            (0..contents.parts.len()).map(|record| contents.elements(record)).collect();
        table(index::RECORD, contents.rows.len(), self.heights, move |i| {
            let (record, block) = contents.rows[i];
            let mut row = record::Public {
                on: Elem::ONE,
                block: number(self.leaves.blocks + i),
                taken: [Elem::ZERO; RATE],
                fixed: [Elem::ZERO; RATE],
                at: [Elem::ZERO; RATE],
            };
            let held = elements[record as usize].iter().skip(RATE * block as usize);
            for (j, held) in held.take(RATE).enumerate() {
                match *held {
                    Held::Free => {}
                    Held::Fixed(value) => (row.fixed[j], row.at[j]) = (Elem::ONE, value),
                    Held::Taken(address) => {
                        (row.taken[j], row.at[j]) = (Elem::ONE, number(address));
                    }
                }
            }
            row
        })
    }
}
