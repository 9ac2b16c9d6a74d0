//! Writing public columns.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;

use super::addresses::Addresses;
use super::operands::{At, Factor};
use super::too_large;
use crate::error::Result;
use crate::hash::Elem;
use crate::hybrid::tables::TABLES;
use crate::stark::{Grid, PublicTable};

/// Columns that belong to the engine.
const ENGINE: usize = 2;
const MIN_LOG_ROWS: usize = 11;
pub const MAX_LOG_ROWS: usize = 22;
/// Rows that one task writes.
const ROWS_PER_TASK: usize = 256;

/// The public columns of a row, from left to right.
pub struct Row<'a> {
    cells: &'a mut [Elem],
    at: usize,
}

impl<'a> Row<'a> {
    pub fn new(cells: &'a mut [Elem]) -> Self {
        Self { cells, at: ENGINE }
    }

    pub fn element(&mut self, value: Elem) {
        self.cells[self.at] = value;
        self.at += 1;
    }

    pub fn elements(&mut self, values: &[Elem]) {
        self.cells[self.at..self.at + values.len()].copy_from_slice(values);
        self.at += values.len();
    }

    pub fn number(&mut self, value: usize) {
        self.element(Elem::from_u32(value as u32));
    }

    pub fn signed(&mut self, value: i64) {
        self.element(Elem::from_i64(value));
    }

    pub fn flag(&mut self, value: bool) {
        self.element(if value { Elem::ONE } else { Elem::ZERO });
    }

    pub fn address(&mut self, addresses: &Addresses, at: At) {
        self.number(addresses.address(at).unwrap_or(0));
    }

    pub fn factor(&mut self, addresses: &Addresses, factor: Factor) {
        let address = addresses.address(factor.at);
        self.number(address.unwrap_or(0));
        self.flag(address.is_some());
        self.element(factor.k);
    }
}

/// A table of so many rows, written by `write(row, columns)`; none without rows.
///
/// # Errors
/// `verify.too-large` for more rows than a table can have.
pub fn table(
    index: usize,
    rows: usize,
    hiding_rows: usize,
    write: impl Fn(usize, &mut Row) + Sync,
) -> Result<Option<PublicTable>> {
    if rows == 0 {
        return Ok(None);
    }
    let log_rows = log_rows(rows, hiding_rows)?;
    let width = TABLES.airs[index].publics;
    let mut publics = Grid::zeros(width, rows);
    publics.values.par_chunks_mut(width * ROWS_PER_TASK).enumerate().for_each(|(task, cells)| {
        for (i, cells) in cells.chunks_exact_mut(width).enumerate() {
            let mut row = Row::new(cells);
            write(task * ROWS_PER_TASK + i, &mut row);
            debug_assert_eq!(row.at, width);
        }
    });
    Ok(Some(PublicTable { index, log_rows, publics }))
}

fn log_rows(rows: usize, hiding_rows: usize) -> Result<usize> {
    let log_rows = (rows + hiding_rows).next_power_of_two().trailing_zeros() as usize;
    if log_rows > MAX_LOG_ROWS {
        return Err(too_large("rows in a table"));
    }
    Ok(log_rows.max(MIN_LOG_ROWS))
}
