//! The public columns of a machine's rows.

use p3_field::PrimeCharacteristicRing;

use super::machine::{
    BitsRow, Block, Cell, CellsRow, Coefficients, DotRow, FieldRow, HashRow, Machine, Use, is_top,
};
use super::tables::field::Place;
use super::tables::{BLOCK, CELLS, TABLES, bits, bus, cells, dot, field, hash, index};
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::stark::field::{DIM, K, coefficients};
use crate::stark::parameters::Parameters;
use crate::stark::{Grid, PublicTable, PublicTerms, Publics};
use crate::table::columns::Row;
use crate::table::unwritten::Unwritten;

/// Rows of a table at most.
const MAX_LOG_ROWS: usize = 22;

fn flag(on: bool) -> Elem {
    Elem::from_bool(on)
}

fn given(uses: u32) -> Elem {
    -Elem::from_u32(uses)
}

fn elements(x: &K) -> [Elem; DIM] {
    std::array::from_fn(|i| coefficients(x)[i])
}

impl Machine {
    /// The public columns of all tables, which are of one height: the least that holds the rows of each.
    /// A proof of one height has one word to fold: fewer rounds, and fewer bytes, than the rows that
    /// short tables would save are worth.
    ///
    /// # Errors
    /// `verify.too-large` for a table of more than 2^22 rows.
    pub fn tables(&self, parameters: &Parameters) -> Result<Vec<Unwritten<'_>>> {
        let tables = [
            columns(index::HASH, &self.hash, |row| self.hash_row(row)),
            columns(index::DOT, &self.dot, |row| self.dot_row(row)),
            columns(index::CELLS, &self.cells, |row| self.cells_row(row)),
            columns(index::BITS, &self.bits, |row| self.bits_row(row)),
            columns(index::FIELD, &self.field, |row| self.field_row(row)),
        ];
        let most = tables.iter().map(Publics::rows).max().unwrap_or(0);
        let log_rows = parameters.log_rows(most);
        if log_rows > MAX_LOG_ROWS {
            return Err(Error::new("verify.too-large", "too many rows verify the segments"));
        }
        Ok(tables.map(|table| table.at_height(log_rows)).into())
    }

    /// The same, written.
    ///
    /// # Errors
    /// As of [`Machine::tables`].
    pub fn publics(&self, parameters: &Parameters) -> Result<Vec<PublicTable>> {
        Ok(self.tables(parameters)?.iter().map(Unwritten::written).collect())
    }

    /// The blocks that the verifier knows.
    pub fn terms(&self) -> Vec<PublicTerms> {
        let width = 1 + BLOCK;
        let tuple = |(block, digest): &(Block, crate::hash::Digest)| {
            [Elem::from_u32(block.0)].into_iter().chain(digest.0)
        };
        let values = self.known.iter().flat_map(tuple).collect();
        vec![PublicTerms { bus: bus::BLOCK, tuples: Grid { width, values } }]
    }

    fn block(&self, block: Use<Block>) -> [Elem; 2] {
        let uses = |block: Block| given(self.block_uses[block.0 as usize]);
        match block {
            Use::Nothing => [Elem::ZERO; 2],
            Use::Take(block) => [Elem::from_u32(block.0), Elem::ONE],
            Use::Give(block) => [Elem::from_u32(block.0), uses(block)],
        }
    }

    fn given_cell(&self, cell: Cell) -> [Elem; 2] {
        [Elem::from_u32(cell.0), given(self.cell_uses[cell.0 as usize])]
    }

    fn cell(&self, cell: Use<Cell>) -> [Elem; 2] {
        match cell {
            Use::Nothing => [Elem::ZERO; 2],
            Use::Take(cell) => [Elem::from_u32(cell.0), Elem::ONE],
            Use::Give(cell) => self.given_cell(cell),
        }
    }

    fn hash_row(&self, row: &HashRow) -> hash::Public<Elem> {
        let [left, left_times] = self.block(row.left);
        let [right, right_times] = self.block(row.right);
        let [out, out_times] = self.block(row.out);
        hash::Public {
            left,
            left_times,
            right,
            right_times,
            out,
            out_times,
            bit: row.bit.map_or(Elem::ZERO, |bit| Elem::from_u32(bit.0)),
            has_bit: flag(row.bit.is_some()),
            feed: flag(row.feed),
            fresh: flag(row.begin.is_some()),
            begin: row.begin.unwrap_or_default().map(Elem::from_u32),
            keep: flag(row.keep),
            path: flag(row.path),
            zero: std::array::from_fn(|i| flag(i + row.zeros >= BLOCK)),
        }
    }

    fn dot_row(&self, row: &DotRow) -> dot::Public<Elem> {
        let Coefficients(coefficients) = row.coefficients;
        let [cell, times] = row.cell.map_or([Elem::ZERO; 2], |cell| self.given_cell(cell));
        dot::Public {
            on: Elem::ONE,
            block: Elem::from_u32(row.block.0),
            coefficients: Elem::from_u32(coefficients),
            link: flag(row.link),
            cell,
            times,
        }
    }

    fn cells_row(&self, row: &CellsRow) -> cells::Public<Elem> {
        let cells = row.cells.map(|cell| self.cell(cell));
        let coefficients = row.coefficients.map(|Coefficients(number)| {
            let uses = self.coefficient_uses[number as usize];
            [Elem::from_u32(number), given(uses)]
        });
        let [coefficients, coefficients_times] = coefficients.unwrap_or_default();
        cells::Public {
            block: Elem::from_u32(row.first.0),
            has_block: std::array::from_fn(|i| flag(i < row.blocks)),
            cell: std::array::from_fn(|i: usize| cells[i % CELLS][0]),
            cell_times: std::array::from_fn(|i: usize| cells[i % CELLS][1]),
            coefficients,
            coefficients_times,
        }
    }

    fn bits_row(&self, row: &BitsRow) -> bits::Public<Elem> {
        let bit = row.bit.0;
        let [cell, cell_times] = self.given_cell(row.cell);
        let point = row.end.map(|end| self.given_cell(end.point));
        let [point, point_times] = point.unwrap_or_default();
        bits::Public {
            start: flag(row.number + 1 == super::tables::BITS),
            link: flag(row.number > 0),
            top: flag(row.number > 0 && is_top(row.number - 1)),
            low: flag(!is_top(row.number)),
            zero: flag(row.zero),
            end: flag(row.end.is_some()),
            choice: std::array::from_fn(|i| flag(row.end.is_some_and(|end| end.element == i))),
            block: row.end.map_or(Elem::ZERO, |end| Elem::from_u32(end.block.0)),
            step: row.step,
            bit: Elem::from_u32(bit),
            bit_times: given(self.bit_uses[bit as usize]),
            cell,
            cell_times,
            point,
            point_times,
        }
    }

    fn field_row(&self, row: &FieldRow) -> field::Public<Elem> {
        let place = |cell| {
            let [at, times] = self.cell(cell);
            Place { at, times }
        };
        field::Public {
            a: place(row.a),
            b: place(row.b),
            c: place(row.c),
            d: place(row.d),
            product: row.product,
            sum: row.sum,
            constant: elements(&row.constant),
        }
    }
}

/// A table with these rows.
fn columns<'a, T: Sync, R: Row>(
    index: usize,
    rows: &'a [T],
    row: impl Fn(&T) -> R + Sync + 'a,
) -> Unwritten<'a> {
    let size = (TABLES.airs[index].publics, rows.len());
    Unwritten::new(index, 0, size, move |i| row(&rows[i]))
}
