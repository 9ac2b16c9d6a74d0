//! Row-major matrices of field elements: the public or the main columns of a table.

use super::domain::weighted;
use super::field::K;
use crate::hash::Elem;
use p3_field::PrimeCharacteristicRing;

/// `rows × width` elements, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    pub width: usize,
    pub values: Vec<Elem>,
}

impl Grid {
    /// `rows` rows of zeros.
    pub fn zeros(width: usize, rows: usize) -> Self {
        Self { width, values: Elem::zero_vec(width * rows) }
    }

    /// The same, which a block of memory of `2^added` times as much holds: its codeword, later.
    pub fn zeros_with_room(width: usize, rows: usize, added: usize) -> Self {
        let mut values = Vec::with_capacity((width * rows) << added);
        values.resize(width * rows, Elem::ZERO);
        Self { width, values }
    }

    /// A copy with such room.
    pub fn clone_with_room(&self, added: usize) -> Self {
        let mut values = Vec::with_capacity(self.values.len() << added);
        values.extend_from_slice(&self.values);
        Self { width: self.width, values }
    }

    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    pub fn row(&self, row: usize) -> &[Elem] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [Elem] {
        &mut self.values[row * self.width..(row + 1) * self.width]
    }
}

/// The public columns of a table that a proof has, on its used rows; later rows are zero.
/// Columns 0 and 1 belong to the engine and are zero here.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicTable {
    /// Index in the tables file.
    pub index: usize,
    pub log_rows: usize,
    pub publics: Grid,
}

/// What a verifier asks of the public columns of a table.
pub trait Publics: Sync {
    /// Index in the tables file.
    fn index(&self) -> usize;

    fn log_rows(&self) -> usize;

    /// Number of columns, the engine's two among them.
    fn width(&self) -> usize;

    /// Used rows: later ones are zero.
    fn rows(&self) -> usize;

    /// Every column summed over the used rows, weighted by row; there are at least as many weights.
    fn weighted(&self, weights: &[K]) -> Vec<K>;
}

impl Publics for PublicTable {
    fn index(&self) -> usize {
        self.index
    }

    fn log_rows(&self) -> usize {
        self.log_rows
    }

    fn width(&self) -> usize {
        self.publics.width
    }

    fn rows(&self) -> usize {
        self.publics.rows()
    }

    fn weighted(&self, weights: &[K]) -> Vec<K> {
        weighted(&self.publics, &weights[..self.rows()])
    }
}

/// The main columns of a table on its used rows, and the row that fills the others. Column 0
/// belongs to the engine and is zero here.
#[derive(Clone, Debug, PartialEq)]
pub struct MainTable {
    pub main: Grid,
    pub padding: Vec<Elem>,
}

/// Terms of the buses that the verifier knows, all of one bus and width, each of multiplicity 1
/// (a consumer).
#[derive(Clone, Debug, PartialEq)]
pub struct PublicTerms {
    pub bus: u32,
    /// One tuple a row.
    pub tuples: Grid,
}
