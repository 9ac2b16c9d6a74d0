//! Parameters and what they prove (docs/stark.md section 8). No conjecture enters.

use crate::error::{Error, Result};
use crate::hash::P;

/// Numbers of a proof system that both sides derive from profile and number of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    pub log_blowup: usize,
    pub log_folding: usize,
    pub log_final: usize,
    pub queries: usize,
    pub hiding_rows: usize,
    pub batch_bits: usize,
    pub commit_bits: usize,
    pub query_bits: usize,
    /// Bits that a proof must reach.
    pub target: f64,
}

/// What a statement's size contributes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    pub log_rows: usize,
    /// Elements of K that are batched.
    pub openings: usize,
    /// Constraints of all tables.
    pub constraints: usize,
    /// Lookups of all rows and public terms.
    pub lookups: f64,
    /// Elements of the longest tuple.
    pub tuple: usize,
}

const REFERENCE: Shape =
    Shape { log_rows: 22, openings: 4096, constraints: 4096, lookups: 268_435_456.0, tuple: 49 };
const HASH_BITS: f64 = 124.0;
const TERMS: f64 = 7.0;
pub const MIN_LOG_ROWS: usize = 11;
pub const PROVEN_BITS: f64 = 100.0;

impl Parameters {
    /// The parameters of a profile (0 standard, 1 small) for each of so many segments.
    ///
    /// # Errors
    /// `security.insufficient` where no number of queries reaches the target.
    pub fn new(profile: u8, segments: usize) -> Result<Self> {
        let mut parameters = Self {
            log_blowup: if profile == 0 { 2 } else { 3 },
            log_folding: 3,
            log_final: 5,
            queries: 0,
            hiding_rows: 0,
            batch_bits: 16,
            commit_bits: 12,
            query_bits: 20,
            target: PROVEN_BITS + segments.next_power_of_two().ilog2() as f64,
        };
        for queries in 1..=196 {
            parameters.queries = queries;
            parameters.hiding_rows = 2 * queries + 16;
            if parameters.proven_bits(&REFERENCE) >= parameters.target {
                return Ok(parameters);
            }
        }
        Err(insufficient(parameters.target, parameters.proven_bits(&REFERENCE)))
    }

    /// The proven bits of a statement of this shape, refused below the target.
    ///
    /// # Errors
    /// `security.insufficient`.
    pub fn judge(&self, shape: &Shape) -> Result<f64> {
        let bits = self.proven_bits(shape);
        if bits >= self.target { Ok(bits) } else { Err(insufficient(self.target, bits)) }
    }

    /// The least of all terms, over the best proximity parameter.
    pub fn proven_bits(&self, shape: &Shape) -> f64 {
        (3..=100).map(|m| self.bits_at(shape, f64::from(m))).fold(f64::MIN, f64::max) - TERMS.log2()
    }

    fn bits_at(&self, shape: &Shape, m: f64) -> f64 {
        let field = 5.0 * f64::from(P).log2();
        let rho = 2f64.powi(-(self.log_blowup as i32));
        let alpha = (1.0 + 1.0 / (2.0 * m)) * rho.sqrt();
        let domain = 2f64.powi((shape.log_rows + self.log_blowup) as i32);
        let half = m + 0.5;
        let list = half / rho.sqrt();
        let gap = (2.0 * half.powi(5) + 3.0 * half * (1.0 - alpha) * rho) / (3.0 * rho.powf(1.5))
            * domain
            + half / rho.sqrt();
        let gap = field - gap.log2();
        let openings = shape.openings as f64;
        let query = -(self.queries as f64) * alpha.log2() + self.query_bits as f64;
        let batching = gap - openings.log2() + self.batch_bits as f64;
        let folding = gap - self.log_folding as f64 + self.commit_bits as f64;
        let constraints = field - (list * shape.constraints as f64).log2();
        let degree = 5.0 * 2f64.powi(shape.log_rows as i32) + 2.0 * openings;
        let out_of_domain = field - (list * list * degree).log2();
        let lookup = field - (list * shape.lookups.max(1.0) * (shape.tuple + 1) as f64).log2();
        [query, batching, folding, constraints, out_of_domain, lookup, HASH_BITS]
            .into_iter()
            .fold(f64::INFINITY, f64::min)
    }

    /// The bytes that a transcript absorbs.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![self.log_blowup as u8, self.log_folding as u8, self.log_final as u8];
        out.extend((self.queries as u16).to_le_bytes());
        out.extend((self.hiding_rows as u16).to_le_bytes());
        out.extend([self.batch_bits, self.commit_bits, self.query_bits].map(|bits| bits as u8));
        out
    }

    /// The height of a table with so many used rows.
    pub fn log_rows(&self, used: usize) -> usize {
        MIN_LOG_ROWS.max((used + self.hiding_rows).next_power_of_two().ilog2() as usize)
    }
}

fn insufficient(target: f64, bits: f64) -> Error {
    Error::new("security.insufficient", "the parameters prove too few bits")
        .expected(format!("at least {target}"))
        .received(format!("{bits:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_reach_their_targets() {
        for (profile, queries) in [(0, 80..100), (1, 50..70)] {
            let parameters = Parameters::new(profile, 1).unwrap();
            assert!(queries.contains(&parameters.queries), "{parameters:?}");
            assert!(parameters.judge(&Shape { log_rows: 16, ..REFERENCE }).unwrap() >= 100.0);
            let fewer = Parameters { queries: parameters.queries - 1, ..parameters };
            assert_eq!(fewer.judge(&REFERENCE).unwrap_err().code, "security.insufficient");
        }
        let many = Parameters::new(0, 64).unwrap();
        assert!(many.target == 106.0 && many.queries > Parameters::new(0, 1).unwrap().queries);
    }

    #[test]
    fn every_term_can_be_the_least() {
        let parameters = Parameters::new(0, 1).unwrap();
        let good = parameters.proven_bits(&REFERENCE);
        let worse = [
            Shape { log_rows: 40, ..REFERENCE },
            Shape { openings: 1 << 40, ..REFERENCE },
            Shape { constraints: 1 << 60, ..REFERENCE },
            Shape { lookups: 1e20, ..REFERENCE },
        ];
        assert!(worse.iter().all(|shape| parameters.proven_bits(shape) < good));
    }
}
