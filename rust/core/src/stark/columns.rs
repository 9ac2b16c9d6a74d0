//! Whole columns of a proof: heights, blinding rows, masks (docs/stark.md sections 1 and 2).

use p3_field::PrimeCharacteristicRing;

use super::domain::row_weights;
use super::field::K;
use super::grid::{Grid, MainTable, PublicTable, Publics};
use super::rng::{Source, Stream};
use super::statement::Statement;
use crate::hash::Elem;

/// Rows that blind a terminal.
pub const MASKS: usize = 5;
/// Tags of one table.
const TAGS: usize = 8;

/// Where the masks of one of so many tables stand: (row, table whose mask it is, number of the mask).
pub fn masks(tables: usize, position: usize) -> Vec<(usize, usize, usize)> {
    let others = tables - 1;
    if position < others {
        return (0..MASKS).map(|k| (k, position, k)).collect();
    }
    (0..others * MASKS).map(|row| (row, row / MASKS, row % MASKS)).collect()
}

/// The public columns of a table with the engine's two, on the rows in which any is not zero.
pub fn publics(tables: &[PublicTable], position: usize) -> Grid {
    let table = &tables[position];
    let mut grid = table.publics.clone();
    grid.values.resize(used_rows(tables, position) * grid.width, Elem::ZERO);
    for (row, of_table, k) in masks(tables.len(), position) {
        let row = grid.row_mut(row);
        row[0] = Elem::ONE;
        row[1] = tag(tables, of_table, k);
    }
    grid
}

/// The public columns of all tables, with the engine's two, at a point; the weights of a height are
/// worked out once.
pub fn publics_at<T: Publics>(statement: &Statement<T>, zeta: K) -> Vec<Vec<K>> {
    let tables = statement.publics;
    let mut found = vec![vec![]; tables.len()];
    for height in statement.heights() {
        let used = statement.of_height(height).map(|t| used_rows(tables, t));
        let weights = row_weights(height, used.max().unwrap_or(0), zeta);
        for t in statement.of_height(height) {
            let mut values = tables[t].weighted(&weights);
            for (row, of_table, k) in masks(tables.len(), t) {
                values[0] += weights[row];
                values[1] += weights[row] * tag(tables, of_table, k);
            }
            found[t] = values;
        }
    }
    found
}

/// Rows on which any public column of a table can be other than zero.
pub fn used_rows<T: Publics>(tables: &[T], position: usize) -> usize {
    tables[position].rows().max(masks(tables.len(), position).len())
}

fn tag<T: Publics>(tables: &[T], position: usize, k: usize) -> Elem {
    Elem::new((TAGS * tables[position].index() + k) as u32)
}

/// Uniform masks for every table but the last.
pub fn draw_masks(tables: &[PublicTable], stream: &mut Stream) -> Vec<[Elem; MASKS]> {
    (1..tables.len()).map(|_| std::array::from_fn(|_| stream.element(Source::Masks))).collect()
}

/// The main columns of a table on all rows: witness, masks, padding, and random rows at the end.
pub fn mains(
    tables: &[PublicTable],
    position: usize,
    witness: &MainTable,
    drawn: &[[Elem; MASKS]],
    hiding_rows: usize,
    stream: &mut Stream,
) -> Grid {
    let (rows, width) = (1 << tables[position].log_rows, witness.main.width);
    let active = rows - hiding_rows;
    let mut values = Vec::with_capacity(rows * width);
    values.extend_from_slice(&witness.main.values);
    for _ in witness.main.rows()..active {
        values.extend_from_slice(&witness.padding);
    }
    values.extend((0..hiding_rows * width).map(|_| stream.element(Source::MainRows)));
    let mut grid = Grid { width, values };
    for (row, of_table, k) in masks(tables.len(), position) {
        grid.row_mut(row)[0] = drawn[of_table][k];
    }
    grid
}
