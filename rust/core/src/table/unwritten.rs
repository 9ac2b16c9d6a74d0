//! Public columns before they are written: how a row is made stands in one place, and whether rows are kept
//! or summed is up to whoever asks.

use std::ops::Range;

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;

use super::columns::Row;
use crate::hash::Elem;
use crate::stark::domain::weighted;
use crate::stark::field::K;
use crate::stark::{Grid, PublicTable, Publics};

/// Rows that are written before they are summed: few enough for the nearest caches.
const ROWS_PER_BLOCK: usize = 128;
/// Blocks that one task writes at least.
const BLOCKS_PER_TASK: usize = 4;

/// Writes every column but the engine's of some rows.
type Write<'a> = dyn Fn(Range<usize>, &mut [Elem]) + Sync + 'a;

/// A table of which the height is known, and what writes its public columns.
pub struct Unwritten<'a> {
    index: usize,
    log_rows: usize,
    width: usize,
    rows: usize,
    write: Box<Write<'a>>,
}

impl<'a> Unwritten<'a> {
    /// A table of so many rows and columns, each row of which `row` gives.
    pub fn new<R: Row>(
        index: usize,
        log_rows: usize,
        (width, rows): (usize, usize),
        row: impl Fn(usize) -> R + Sync + 'a,
    ) -> Self {
        let write = move |rows: Range<usize>, cells: &mut [Elem]| {
            let cells = cells.chunks_exact_mut(width);
            rows.zip(cells).for_each(|(i, cells)| row(i).write(cells));
        };
        Self { index, log_rows, width, rows, write: Box::new(write) }
    }

    /// The table with its columns.
    pub fn written(&self) -> PublicTable {
        let mut publics = Grid::zeros(self.width, self.rows);
        let blocks = publics.values.par_chunks_mut(self.width * ROWS_PER_BLOCK).enumerate();
        blocks.with_min_len(BLOCKS_PER_TASK).for_each(|(block, cells)| {
            let first = block * ROWS_PER_BLOCK;
            (self.write)(first..first + cells.len() / self.width, cells);
        });
        PublicTable { index: self.index, log_rows: self.log_rows, publics }
    }

    /// The same, of the height that holds all tables of a statement.
    pub fn at_height(self, log_rows: usize) -> Self {
        Self { log_rows, ..self }
    }

    /// Rows of a block, and the sums so far.
    fn room(&self) -> (Grid, Vec<K>) {
        (Grid::zeros(self.width, ROWS_PER_BLOCK), vec![K::ZERO; self.width])
    }
}

fn sum(mut a: Vec<K>, b: Vec<K>) -> Vec<K> {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    a
}

impl Publics for Unwritten<'_> {
    fn index(&self) -> usize {
        self.index
    }

    fn log_rows(&self) -> usize {
        self.log_rows
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> usize {
        self.rows
    }

    /// A block of rows is written over the one before, and summed while it is still near.
    fn weighted(&self, weights: &[K]) -> Vec<K> {
        let blocks = weights[..self.rows].par_chunks(ROWS_PER_BLOCK).enumerate();
        let add = |(mut block, sums): (Grid, Vec<K>), (number, weights): (usize, &[K])| {
            let first = number * ROWS_PER_BLOCK;
            (self.write)(first..first + weights.len(), &mut block.values);
            let sums = sum(sums, weighted(&block, weights));
            (block, sums)
        };
        let tasks = blocks.with_min_len(BLOCKS_PER_TASK).fold(|| self.room(), add);
        tasks.map(|(_, sums)| sums).reduce(|| vec![K::ZERO; self.width], sum)
    }
}

#[cfg(test)]
mod tests {
    use p3_field::BasedVectorSpace;

    use super::*;

    struct Plain([Elem; 3]);

    impl Row for Plain {
        fn write(self, cells: &mut [Elem]) {
            cells[2..].copy_from_slice(&self.0);
        }
    }

    #[test]
    fn what_is_summed_is_what_is_written() {
        let weight = |i: usize| K::from_basis_coefficients_fn(|j| Elem::new((7 * i + j) as u32));
        for rows in [1, 5, ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK, 9 * ROWS_PER_BLOCK + 3] {
            let cells = |i: usize| [i, i * i, rows - i].map(|x| Elem::new(x as u32));
            let table = Unwritten::new(4, 11, (5, rows), |i| Plain(cells(i)));
            let written = table.written();
            assert_eq!((written.index, written.log_rows, written.publics.width), (4, 11, 5));
            assert_eq!((table.rows(), written.publics.rows()), (rows, rows));
            let whole = |i| [&[Elem::ZERO; 2][..], &cells(i)].concat();
            assert!((0..rows).all(|i| written.publics.row(i) == whole(i)));
            let weights: Vec<K> = (0..rows + 3).map(weight).collect();
            let plain =
                |c: usize| -> K { (0..rows).map(|i| weights[i] * written.publics.row(i)[c]).sum() };
            assert_eq!(table.weighted(&weights), (0..5).map(plain).collect::<Vec<_>>());
            assert_eq!(written.weighted(&weights), table.weighted(&weights));
        }
    }
}
