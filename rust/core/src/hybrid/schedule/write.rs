//! Writing public columns.

use p3_field::PrimeCharacteristicRing;

use super::addresses::Addresses;
use super::operands::{self, At};
use super::too_large;
use crate::error::Result;
use crate::hash::Elem;
use crate::hybrid::tables::TABLES;
use crate::hybrid::tables::columns::Factor;
use crate::stark::field::TWO_ADICITY;
use crate::stark::parameters::Parameters;
use crate::table::columns::Row;
use crate::table::unwritten::Unwritten;

const MIN_LOG_ROWS: usize = 11;
pub const MAX_LOG_ROWS: usize = 22;

/// How tall the tables of a segment can be.
#[derive(Clone, Copy, Debug)]
pub struct Heights {
    hiding_rows: usize,
    /// Of the tallest.
    log_rows: usize,
}

impl Heights {
    /// With so many hiding rows, as tall as a table can be at all.
    pub fn hiding(hiding_rows: usize) -> Self {
        Self { hiding_rows, log_rows: MAX_LOG_ROWS }
    }

    /// Of proofs with these parameters: codewords have a domain, too.
    pub fn of(parameters: &Parameters) -> Self {
        let log_rows = MAX_LOG_ROWS.min(TWO_ADICITY - parameters.log_blowup);
        Self { hiding_rows: parameters.hiding_rows, log_rows }
    }

    /// The height of a table of so many rows.
    ///
    /// # Errors
    /// `verify.too-large` for more rows than a table can have.
    pub fn log_rows(self, rows: usize) -> Result<usize> {
        self.judge(rows)?;
        let log_rows = (rows + self.hiding_rows).next_power_of_two().ilog2() as usize;
        Ok(log_rows.max(MIN_LOG_ROWS))
    }

    /// Whether so many rows fit, which is asked as soon as a number of rows is known.
    ///
    /// # Errors
    /// `verify.too-large`.
    pub fn judge(self, rows: usize) -> Result<()> {
        let most = (1usize << self.log_rows).saturating_sub(self.hiding_rows);
        if rows <= most { Ok(()) } else { Err(too_large("rows in a table")) }
    }
}

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
pub fn table<'a, R: Row>(
    index: usize,
    rows: usize,
    heights: Heights,
    row: impl Fn(usize) -> R + Sync + 'a,
) -> Result<Option<Unwritten<'a>>> {
    if rows == 0 {
        return Ok(None);
    }
    let size = (TABLES.airs[index].publics, rows);
    Ok(Some(Unwritten::new(index, heights.log_rows(rows)?, size, row)))
}
