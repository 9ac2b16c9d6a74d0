//! What both sides know before a proof: tables present, heights, sizes, challenges' order.

use super::air::{Air, Tables};
use super::field::TWO_ADICITY;
use super::grid::{PublicTable, PublicTerms, Publics};
use super::parameters::{MIN_LOG_ROWS, Parameters, Shape};
use super::transcript::{Prefix, Transcript};
use super::tree::Widths;
use crate::error::{Error, Result};
use crate::hash::P;

/// Chunks of a quotient.
pub const CHUNKS: usize = 4;

/// A statement: the tables that a proof has, with their public columns.
pub struct Statement<'a, T = PublicTable> {
    pub tables: &'a Tables,
    pub publics: &'a [T],
    pub terms: &'a [PublicTerms],
    pub parameters: &'a Parameters,
    pub context: [u8; 32],
}

/// One round of folding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Log of the vector's size before the round.
    pub log_size: usize,
    /// Log of the arity.
    pub log_arity: usize,
}

impl<'a, T: Publics> Statement<'a, T> {
    pub fn air(&self, position: usize) -> &'a Air {
        &self.tables.airs[self.publics[position].index()]
    }

    pub fn airs(&self) -> impl Iterator<Item = (&'a Air, &'a T)> {
        self.publics.iter().map(|public| (&self.tables.airs[public.index()], public))
    }

    /// The distinct heights, tallest first.
    pub fn heights(&self) -> Vec<usize> {
        let mut heights: Vec<usize> = self.publics.iter().map(Publics::log_rows).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        heights.dedup();
        heights
    }

    /// Positions of the tables of a height.
    pub fn of_height(&self, log_rows: usize) -> impl Iterator<Item = usize> + Clone {
        let publics = self.publics;
        (0..publics.len()).filter(move |&t| publics[t].log_rows() == log_rows)
    }

    /// Elements of K that are batched: the opened ones and the mask.
    pub fn batched(&self) -> usize {
        self.openings() + 1
    }

    /// Elements of K that are opened.
    fn openings(&self) -> usize {
        self.airs().map(|(air, _)| air.openings()).sum::<usize>() + CHUNKS * self.heights().len()
    }

    pub fn shape(&self) -> Shape {
        let rows = |(air, public): (&Air, &T)| {
            air.lookups().count() as f64 * 2f64.powi(public.log_rows() as i32)
        };
        let terms: usize = self.terms.iter().map(|terms| terms.tuples.rows()).sum();
        Shape {
            log_rows: self.heights()[0],
            openings: self.batched(),
            constraints: self.airs().map(|(air, _)| air.all_constraints()).sum(),
            lookups: self.airs().map(rows).sum::<f64>() + terms as f64,
            tuple: self.longest_tuple(),
        }
    }

    pub fn longest_tuple(&self) -> usize {
        let of_tables = self.airs().flat_map(|(air, _)| air.lookups().map(|l| l.tuple.len()));
        of_tables.chain(self.terms.iter().map(|terms| terms.tuples.width)).max().unwrap_or(0)
    }

    /// Checks sizes, then that the parameters prove enough; the bits.
    ///
    /// # Errors
    /// `verify.too-large`, `security.insufficient`.
    pub fn judge(&self) -> Result<f64> {
        let shape = self.shape();
        if shape.log_rows + self.parameters.log_blowup > TWO_ADICITY
            || shape.lookups >= f64::from(P)
        {
            return Err(Error::new("verify.too-large", "the tables of a segment are too tall"));
        }
        self.parameters.judge(&shape)
    }

    /// Whether tables, heights, columns and public terms are those that the engine expects of its
    /// caller.
    pub fn is_well_formed(&self) -> bool {
        let ascending = self.publics.is_sorted_by(|a, b| a.index() < b.index());
        let last = self.publics.last().is_some_and(|t| t.index() + 1 == self.tables.airs.len());
        let fits = |(air, public): (&Air, &T)| {
            let active = (1usize << public.log_rows()) - self.parameters.hiding_rows;
            let used = public.rows().max(5 * self.publics.len());
            public.log_rows() >= MIN_LOG_ROWS && public.width() == air.publics && used <= active
        };
        let enough = 5 * self.parameters.hiding_rows <= 1 << MIN_LOG_ROWS;
        let of_bus =
            |terms: &PublicTerms| self.tables.tuple_length(terms.bus) == Some(terms.tuples.width);
        let terms = self.terms.iter().all(of_bus);
        ascending && last && enough && terms && self.airs().all(fits)
    }

    /// A transcript that has absorbed everything before the first commitment.
    pub fn transcript(&self) -> Transcript {
        let mut tables = self.tables.digest.to_vec();
        tables.push(self.publics.len() as u8);
        for public in self.publics {
            tables.extend([public.index() as u8, public.log_rows() as u8]);
        }
        let parameters = self.parameters.bytes();
        let (context, parameters) = (&self.context, &parameters);
        Transcript::new(self.parameters.hashing, Prefix { context, parameters, tables: &tables })
    }

    /// Widths of the matrices of the main, auxiliary and quotient tree.
    pub fn widths(&self) -> [Widths; 3] {
        let blowup = self.parameters.log_blowup;
        let mut widths: [Widths; 3] = Default::default();
        for (air, public) in self.airs() {
            let height = public.log_rows() + blowup;
            widths[0].entry(height).or_default().push(air.mains);
            widths[1].entry(height).or_default().push(5 * (air.groups.len() + 1));
        }
        for (i, height) in self.heights().into_iter().enumerate() {
            let mask = if i == 0 { 5 } else { 0 };
            widths[2].insert(height + blowup, vec![5 * CHUNKS + mask]);
        }
        widths
    }

    /// The rounds of folding.
    pub fn rounds(&self) -> Vec<Round> {
        let blowup = self.parameters.log_blowup;
        let heights = self.heights();
        let last = blowup + self.parameters.log_final;
        let (mut rounds, mut log_size) = (Vec::new(), heights[0] + blowup);
        while log_size > last {
            let next = heights.iter().map(|h| h + blowup).find(|&h| h < log_size).unwrap_or(last);
            let log_arity = self.parameters.log_folding.min(log_size - next.max(last));
            rounds.push(Round { log_size, log_arity });
            log_size -= log_arity;
        }
        rounds
    }
}
