//! Where the search for a lie starts, and how often.

use std::collections::{BTreeSet, HashSet};

use p3_field::Field;

use super::search::{Search, cone};
use super::{Removed, is_hash};
use crate::hybrid::tables::{TABLES, index};
use crate::hybrid::tests::attacks::judge::{Edited, Table};
use crate::hybrid::tests::attacks::subjects::SUBJECTS;
use crate::stark::air::{Air, Lookup, Node};

/// Rows in which a search starts: some, and those in which publics that matter are not zero.
fn rows(table: Table, publics: &[usize]) -> Vec<usize> {
    let used = table.used();
    let on = |&c: &usize| (0..used).find(|&row| !table.publics(row)[c].is_zero());
    let mut rows: Vec<usize> = publics.iter().filter_map(on).collect();
    rows.truncate(4);
    rows.extend([0, 1.min(used - 1), used / 2, used - 1]);
    if !is_hash(table.air) {
        rows.extend((1..10).map(|i| used * i / 10));
    }
    let mut seen = BTreeSet::new();
    rows.retain(|&row| seen.insert(row));
    rows
}

/// Public columns that something removed looks at.
fn publics(air: &Air, removed: Removed) -> Vec<usize> {
    let of = |root: u32| {
        let nodes = cone(air, root).nodes.into_iter().map(|n| air.nodes[n as usize]);
        nodes
            .filter_map(|n| if let Node::Public(c) = n { Some(c as usize) } else { None })
            .collect::<Vec<_>>()
    };
    match removed {
        Removed::Constraint(i) => of(air.constraints[i]),
        Removed::Lookup(n) => of(air.lookups().nth(n).expect("a lookup").multiplicity),
        _ => vec![],
    }
}

/// Columns that something removed had to do with, with many changes; then all, with a few.
fn columns(air: &Air, removed: Removed) -> (Vec<usize>, Vec<usize>) {
    let of = |root: u32| cone(air, root).mains;
    let tuples = |keep: &dyn Fn(usize, &Lookup) -> bool| -> Vec<usize> {
        let lookups = air.lookups().enumerate().filter(|(n, lookup)| keep(*n, lookup));
        lookups
            .flat_map(|(_, lookup)| lookup.tuple.iter().flat_map(|&e| of(e)).collect::<Vec<_>>())
            .collect()
    };
    let mut first = match removed {
        Removed::Nothing => vec![],
        Removed::Constraint(i) => {
            let cone = cone(air, air.constraints[i]);
            cone.nexts.iter().chain(cone.mains.iter().rev()).copied().collect()
        }
        Removed::Lookup(n) => {
            let own = tuples(&|i, _| i == n);
            own.iter().copied().chain(own.iter().map(|c| c.saturating_sub(1))).collect()
        }
        Removed::Bus(bus) => tuples(&|_, lookup| lookup.bus == bus),
    };
    let mut seen = BTreeSet::from([0]);
    first.retain(|&column| seen.insert(column));
    let mut rest: Vec<usize> = (1..air.mains).rev().filter(|column| seen.insert(*column)).collect();
    if is_hash(air) {
        first.truncate(3);
        rest = if removed == Removed::Nothing {
            rest.into_iter().step_by(9).collect()
        } else {
            vec![]
        };
    }
    (first, rest)
}

const FEW: [i64; 7] = [1, -1, 16, -16, 4096, -4096, 123_456_789];
const MANY: [i64; 29] = [
    1,
    -1,
    2,
    -2,
    4,
    -4,
    8,
    -8,
    16,
    -16,
    32,
    -32,
    64,
    -64,
    128,
    -128,
    256,
    -256,
    1 << 10,
    -(1 << 10),
    1 << 12,
    -(1 << 12),
    1 << 14,
    -(1 << 14),
    1 << 16,
    -(1 << 16),
    1 << 20,
    1 << 22,
    123_456_789,
];

/// Which of a sponge's sides is taken as given: its bytes, or (of what ranges them) its digest.
fn modes(index: usize, removed: Removed) -> &'static [bool] {
    match removed {
        _ if index != index::SPONGE => &[false],
        Removed::Nothing => &[false, true],
        Removed::Constraint(_) => &[false],
        _ => &[true],
    }
}

/// Searches a lie in the rows of a table without something.
pub fn lie(index: usize, removed: Removed, known: &[HashSet<(u32, Vec<u32>)>]) -> Option<String> {
    let honest = &TABLES.airs[index];
    let weak = removed.from(index);
    let (first, rest) = columns(honest, removed);
    let publics = publics(honest, removed);
    for (columns, deltas) in [(first, &MANY[..]), (rest, &FEW[..])] {
        for &reverse in modes(index, removed) {
            let subjects = SUBJECTS.iter().zip(known);
            for (subject, known) in subjects {
                for table in subject.tables().filter(|table| table.public.index == index) {
                    let mut search = Search::new(Table { air: &weak, ..table }, known, reverse);
                    for row in rows(table, &publics) {
                        for &column in &columns {
                            // Bytes that say the same otherwise change two at once.
                            let deltas = match (search.straight, reverse) {
                                (true, true) => &[][..],
                                (true, false) => &[1],
                                _ => deltas,
                            };
                            let Some(found) = search.start(row, column, deltas) else { continue };
                            // With what was removed, it is refused.
                            let edited = Edited { table, rows: found.rows };
                            let mut whole = Search::new(table, known, reverse);
                            let refused =
                                whole.look(&edited).is_none_or(|(failing, _)| failing.is_some());
                            assert!(
                                refused || removed == Removed::Nothing,
                                "{} {removed:?}",
                                honest.name
                            );
                            return Some(format!("{} row {row} column {column}", subject.name));
                        }
                    }
                }
            }
        }
    }
    None
}
