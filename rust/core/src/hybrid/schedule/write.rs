//! Writing public columns.

use p3_field::PrimeCharacteristicRing;

use super::addresses::Addresses;
use super::operands::{self, At};
use super::too_large;
use crate::error::Result;
use crate::hash::Elem;
use crate::hybrid::tables::TABLES;
use crate::hybrid::tables::columns::Factor;
use crate::stark::PublicTable;
use crate::table::columns::{Row, written};

const MIN_LOG_ROWS: usize = 11;
pub const MAX_LOG_ROWS: usize = 22;

pub fn number(value: usize) -> Elem {
    Elem::from_u32(value as u32)
}

pub fn signed(value: impl Into<i64>) -> Elem {
    Elem::from_i64(value.into())
}

impl Addresses {
    /// The column of an address; 0 of nowhere.
    pub fn cell(&self, at: At) -> Elem {
        number(self.address(at).unwrap_or(0))
    }

    /// The columns of a factor.
    pub fn factor(&self, factor: operands::Factor) -> Factor<Elem> {
        let address = self.address(factor.at);
        let (x, r) = (number(address.unwrap_or(0)), Elem::from_bool(address.is_some()));
        Factor { x, r, k: factor.k }
    }
}

/// A table of so many rows, of which `row` gives the public columns; none without rows.
///
/// # Errors
/// `verify.too-large` for more rows than a table can have.
pub fn table<R: Row>(
    index: usize,
    rows: usize,
    hiding_rows: usize,
    row: impl Fn(usize) -> R + Sync,
) -> Result<Option<PublicTable>> {
    if rows == 0 {
        return Ok(None);
    }
    let log_rows = log_rows(rows, hiding_rows)?;
    let width = TABLES.airs[index].publics;
    Ok(Some(PublicTable { index, log_rows, publics: written(width, rows, row) }))
}

fn log_rows(rows: usize, hiding_rows: usize) -> Result<usize> {
    let log_rows = (rows + hiding_rows).next_power_of_two().trailing_zeros() as usize;
    if log_rows > MAX_LOG_ROWS {
        return Err(too_large("rows in a table"));
    }
    Ok(log_rows.max(MIN_LOG_ROWS))
}
