//! Public columns that are summed as they are made, and tables that are refused before any is.

use p3_field::PrimeCharacteristicRing;

use super::fixture::{Case, HIDING};
use super::programs::{convolution, dense, lookups, padded, picks, wide};
use crate::hybrid::schedule::{Draft, Heights};
use crate::hybrid::segments::Limits;
use crate::hybrid::support::check_supported;
use crate::hybrid::tables::{TABLES, index};
use crate::program::testing::{Rng, learner, random, read, shuffle_layouts};
use crate::program::{Operand, Program, encode, load};
use crate::stark::PublicTable;
use crate::stark::columns::{publics, publics_at};
use crate::stark::domain::row_weights;
use crate::stark::field::{K, basis};
use crate::stark::parameters::{Parameters, STANDARD};
use crate::stark::statement::Statement;

/// Every kind of gate and of record, then programs by chance.
fn programs() -> Vec<(Program, usize)> {
    let bias = padded(read(1, &[8], &[super::map(Some(1), 3, None, 0, 0)]), 17, -5);
    let mut programs = vec![
        (dense(100, 48), 2),
        (dense(13, 13), 1),
        (convolution(), 1),
        (wide(Operand::Const(1)), 3),
        (wide(bias), 2),
        (picks(), 1),
        (lookups(), 2),
        (learner(), 3),
    ];
    for seed in 1..40 {
        let mut program = random(seed);
        shuffle_layouts(&mut program, &mut Rng(seed));
        if check_supported(&load(&encode(&program)).unwrap()).is_ok() {
            programs.push((program, 1 + seed as usize % 3));
        }
    }
    programs
}

/// The columns of a table at a point, by their rows and the engine's own columns as a prover has them.
fn by_definition(tables: &[PublicTable], position: usize, zeta: K) -> Vec<K> {
    let grid = publics(tables, position);
    let weights = row_weights(tables[position].log_rows, grid.rows(), zeta);
    let column = |c: usize| weights.iter().enumerate().map(|(i, &w)| w * grid.row(i)[c]).sum();
    (0..grid.width).map(column).collect()
}

#[test]
fn what_a_verifier_sums_is_what_a_prover_writes() {
    let parameters = Parameters::new(STANDARD, 1, 102).unwrap();
    let mut seen = [false; 17];
    for (number, (program, steps)) in programs().into_iter().enumerate() {
        let case = Case::new(&program, steps, 300_000);
        for items in case.segments(Limits { blocks: 90, cost: 30_000 }) {
            let journal = case.journal();
            let heights = Heights::hiding(HIDING);
            let draft = Draft::new(&case.prepared, &journal, &items, heights).unwrap();
            let (tables, schedule) = (draft.tables().unwrap(), case.schedule(&items).unwrap());
            assert!(draft.terms == schedule.terms);
            let statement = Statement {
                tables: &TABLES,
                publics: &tables,
                terms: &draft.terms,
                parameters: &parameters,
                context: [0; 32],
            };
            let zeta = basis(1) + basis(4) * K::from_usize(number + 7);
            for (t, values) in publics_at(&statement, zeta).into_iter().enumerate() {
                assert!(tables[t].written() == schedule.tables[t], "{number}");
                seen[schedule.tables[t].index] = true;
                assert!(values == by_definition(&schedule.tables, t, zeta), "{number}");
            }
        }
    }
    assert_eq!(seen, [true; 17]);
}

/// Heights are judged when numbers of rows are known: of blocks and nodes before there is any row of a
/// gate, of all others before a column is written.
#[test]
fn tables_that_are_too_tall_are_refused_before_they_are_written() {
    let standard = Parameters::new(STANDARD, 1, 102).unwrap();
    let (mut early, mut late) = (0, 0);
    for (program, steps) in programs() {
        let case = Case::new(&program, steps, 300_000);
        let (items, journal) = (case.segments(Limits::default()).remove(0), case.journal());
        let schedule = case.schedule(&items).unwrap();
        for log_rows in 8..13 {
            let parameters = Parameters { log_blowup: 24 - log_rows, ..standard };
            let fits = |index: usize| {
                let rows = schedule.table(index).map_or(0, |table| table.publics.rows());
                rows + parameters.hiding_rows <= 1 << log_rows
            };
            let draft = Draft::new(&case.prepared, &journal, &items, Heights::of(&parameters));
            assert_eq!(draft.is_ok(), fits(index::SPONGE) && fits(index::NODE));
            let tables = draft.as_ref().map_err(Clone::clone).and_then(|draft| draft.tables());
            assert_eq!(tables.is_ok(), (0..17).all(fits));
            if let Err(error) = tables {
                assert_eq!(error.code, "verify.too-large");
                *(if draft.is_ok() { &mut late } else { &mut early }) += 1;
            }
        }
    }
    assert!(early > 5 && late > 5, "{early} early, {late} late");
}

#[test]
fn the_tallest_table_is_that_of_the_largest_domain() {
    for (log_blowup, log_rows) in [(1, 22), (2, 22), (3, 21), (4, 20)] {
        let parameters = Parameters { log_blowup, ..Parameters::new(STANDARD, 1, 102).unwrap() };
        let heights = Heights::of(&parameters);
        let most = (1 << log_rows) - parameters.hiding_rows;
        assert_eq!(heights.log_rows(most).unwrap(), log_rows);
        assert_eq!(heights.log_rows(most + 1).unwrap_err().code, "verify.too-large");
        assert_eq!(heights.log_rows(1).unwrap(), 11);
    }
}
