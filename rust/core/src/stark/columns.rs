//! Whole columns of a proof: heights, blinding rows, masks (docs/stark.md sections 1 and 2).

use p3_field::PrimeCharacteristicRing;

use super::domain::weighted;
use super::field::K;
use super::grid::{Grid, MainTable, PublicTable};
use super::rng::{Source, Stream};
use crate::hash::Elem;

/// Rows that blind a terminal.
pub const MASKS: usize = 5;
/// Tags of one table.
const TAGS: usize = 8;

/// Where the masks of a table stand: (row, table whose mask it is, number of the mask).
pub fn masks(tables: &[PublicTable], position: usize) -> Vec<(usize, usize, usize)> {
    let others = tables.len() - 1;
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
    for (row, of_table, k) in masks(tables, position) {
        let row = grid.row_mut(row);
        row[0] = Elem::ONE;
        row[1] = tag(tables, of_table, k);
    }
    grid
}

/// The public columns of a table, with the engine's two, at a point; `weights` are those of at least
/// as many rows as any column needs.
pub fn publics_at(tables: &[PublicTable], position: usize, weights: &[K]) -> Vec<K> {
    let grid = &tables[position].publics;
    let mut values = weighted(grid, &weights[..grid.rows()]);
    for (row, of_table, k) in masks(tables, position) {
        values[0] += weights[row];
        values[1] += weights[row] * tag(tables, of_table, k);
    }
    values
}

/// Rows on which any public column of a table can be other than zero.
pub fn used_rows(tables: &[PublicTable], position: usize) -> usize {
    tables[position].publics.rows().max(masks(tables, position).len())
}

fn tag(tables: &[PublicTable], position: usize, k: usize) -> Elem {
    Elem::new((TAGS * tables[position].index + k) as u32)
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
    for (row, of_table, k) in masks(tables, position) {
        grid.row_mut(row)[0] = drawn[of_table][k];
    }
    grid
}
