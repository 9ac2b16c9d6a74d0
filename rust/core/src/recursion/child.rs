//! A proof that is verified inside: what the verifier knows of it, and what its prover has.

use p3_field::PrimeCharacteristicRing;

use crate::error::{Error, Result};
use crate::hash::{Digest, Elem};
use crate::stark::air::Tables;
use crate::stark::columns;
use crate::stark::domain::SelectorsAt;
use crate::stark::eval::Buses;
use crate::stark::field::{K, TWO_ADICITY, root, shift};
use crate::stark::logup::public_sum;
use crate::stark::parameters::Parameters;
use crate::stark::statement::Statement;
use crate::stark::{Grid, PublicTable, PublicTerms, Publics};
use crate::watch::{Part, timed};

/// The challenges that the verifier must know to work out public columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Points {
    pub alpha: K,
    pub beta: K,
    pub zeta: K,
}

/// A statement whose proof is verified inside, and what the verifier works out itself.
#[derive(Clone)]
pub struct Child {
    /// Its tables and terms, without what stands in them.
    pub(super) statement: Hollow,
    /// The transcript's state before the first message.
    pub start: Digest,
    pub points: Points,
    /// Per table: its public columns at ζ.
    pub publics: Vec<Vec<K>>,
    /// Per height, tallest first.
    pub heights: Vec<HeightAt>,
    /// Of the public terms.
    pub public_sum: K,
}

/// What a height is at ζ.
#[derive(Clone, Copy)]
pub struct HeightAt {
    pub log_rows: usize,
    pub first: K,
    pub last: K,
    pub vanishing: K,
    /// ζ to the power of the active rows.
    pub step: K,
    /// ζ one row on.
    pub next: K,
}

fn refused(what: &str) -> Error {
    Error::new("verify.stark", what)
}

impl Child {
    /// Works out what the verifier adds at these points; `tables` are those of the statement.
    ///
    /// # Errors
    /// `verify.stark` for points at which nothing can be verified; `usage` for a statement whose proof
    /// cannot be verified inside.
    pub fn new<T: Publics>(
        statement: &Statement<T>,
        tables: &'static Tables,
        points: Points,
    ) -> Result<Self> {
        let zeta = points.zeta;
        let heights = heights_at(statement, zeta)?;
        let publics = timed(Part::Columns, || columns::publics_at(statement, zeta));
        let buses = Buses::new(points.alpha, points.beta, statement.longest_tuple());
        let public_sum = timed(Part::Terms, || public_sum(statement.terms, &buses))
            .ok_or_else(|| refused("a challenge meets a public term"))?;
        let start = statement.transcript().digest().ok_or_else(|| {
            Error::new("usage", "only a foldable proof can be verified inside another")
        })?;
        let statement = Hollow::new(statement, tables);
        Ok(Self { statement, start, points, publics, heights, public_sum })
    }

    pub fn statement(&self) -> Statement<'_> {
        self.statement.statement()
    }
}

/// The shape of a statement: public columns and terms without rows.
#[derive(Clone)]
pub(super) struct Hollow {
    pub tables: &'static Tables,
    pub publics: Vec<PublicTable>,
    pub terms: Vec<PublicTerms>,
    pub parameters: Parameters,
}

impl Hollow {
    fn new<T: Publics>(statement: &Statement<T>, tables: &'static Tables) -> Self {
        let empty = |width| Grid { width, values: vec![] };
        let table = |of: &T| PublicTable {
            index: of.index(),
            log_rows: of.log_rows(),
            publics: empty(of.width()),
        };
        let terms = |of: &PublicTerms| PublicTerms { bus: of.bus, tuples: empty(of.tuples.width) };
        Self {
            tables,
            publics: statement.publics.iter().map(table).collect(),
            terms: statement.terms.iter().map(terms).collect(),
            parameters: *statement.parameters,
        }
    }

    pub fn statement(&self) -> Statement<'_> {
        let Self { tables, publics, terms, parameters } = self;
        Statement { tables, publics, terms, parameters, context: [0; 32] }
    }
}

/// What the heights of a statement are at ζ.
pub(super) fn heights_at<T: Publics>(statement: &Statement<T>, zeta: K) -> Result<Vec<HeightAt>> {
    let whole = |x: K| x.exp_power_of_2(TWO_ADICITY) == K::ONE;
    if whole(zeta) || whole(zeta * p3_field::Field::inverse(&shift())) {
        return Err(refused("ζ lies in a domain"));
    }
    let hiding = statement.parameters.hiding_rows;
    let height = |log_rows: usize| {
        let at = SelectorsAt::new(log_rows, hiding, zeta);
        let SelectorsAt { first, last, vanishing } =
            at.ok_or_else(|| refused("ζ lies in a domain"))?;
        let step = zeta.exp_u64(((1usize << log_rows) - hiding) as u64);
        let next = zeta * root(log_rows);
        Ok(HeightAt { log_rows, first, last, vanishing, step, next })
    };
    statement.heights().into_iter().map(height).collect()
}

/// What the prover of a proof has of it.
pub struct Inner {
    pub roots: [Digest; 3],
    pub terminals: Vec<K>,
    /// In the order of docs/stark.md section 5.
    pub opened: Vec<K>,
    pub batch_work: Elem,
    pub rounds: Vec<(Digest, Elem)>,
    pub last: Vec<K>,
    pub query_work: Elem,
    /// As they were drawn.
    pub queries: Vec<Query>,
}

/// What one query opens: the three trees, the trees of the rounds.
pub struct Query {
    pub trees: [Path; 3],
    pub rounds: Vec<Path>,
}

/// Rows on the way from a leaf to a root, tallest first, their salts behind them; siblings from the
/// leaf up.
pub struct Path {
    pub rows: Vec<Vec<Elem>>,
    pub siblings: Vec<Digest>,
}
