//! Parameters and what they prove (docs/stark.md section 8). No conjecture enters.

use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::hash::P;

/// What trees and transcript hash with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Fast in software.
    Sha256,
    /// Cheap to check inside a proof.
    Poseidon2,
}

/// Profile 0, standard.
pub const STANDARD: u8 = 0;
/// Profile 1, small: fewer queries.
pub const SMALL: u8 = 1;
/// Profile 2, foldable: can be verified inside a proof.
pub const FOLDABLE: u8 = 2;
/// Profile 3, outer: that of a proof around others; no receipt names it in its head.
pub const OUTER: u8 = 3;
/// Profile 4, succinct: foldable segments that are verified inside an outer proof. Only a head names it.
pub const SUCCINCT: u8 = 4;

/// Numbers of a proof system that both sides derive from profile and number of segments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    pub hashing: Hashing,
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
/// The same for nodes and outer proofs, whose tables are known.
pub const REFERENCE_OF_NODES: Shape =
    Shape { log_rows: 20, openings: 4096, constraints: 4096, lookups: 67_108_864.0, tuple: 10 };
const HASH_BITS: f64 = 124.0;
const MOST_QUERIES: usize = 196;
pub const MIN_LOG_ROWS: usize = 11;
/// Of the segments of a receipt together: λ = 102 beside it leaves more than 100 bits.
pub const PROVEN_BITS: f64 = 101.0;
/// Of all proofs above the segments of a succinct receipt together.
pub const RECURSION_BITS: u32 = 103;
const USUAL_LAMBDA: u16 = 102;
/// Bits that a λ above the usual one adds at most: those of 2^8 receipts of one run.
const MOST_MORE: u16 = 8;

/// Bits that a λ above the usual one asks for in everything else, too.
pub fn more_bits(lambda: u16) -> u16 {
    lambda.saturating_sub(USUAL_LAMBDA).min(MOST_MORE)
}

impl Parameters {
    /// The parameters of a profile for each of so many segments, beside a sampling with confidence λ
    /// (0 where nothing is sampled): a λ above the usual one asks for as many more bits here, so that
    /// the errors of several receipts can be added up.
    ///
    /// # Errors
    /// `security.insufficient` where no number of queries reaches the target; `usage` where there is
    /// no such profile.
    pub fn new(profile: u8, segments: usize, lambda: u16) -> Result<Self> {
        let segments = f64::from(segments.next_power_of_two().ilog2());
        let target = PROVEN_BITS + segments + f64::from(more_bits(lambda));
        Self::reaching(profile, &REFERENCE, target)
    }

    /// The parameters of a profile that reach so many bits at a shape.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn reaching(profile: u8, shape: &Shape, target: f64) -> Result<Self> {
        let (hashing, log_blowup) = match profile {
            STANDARD => (Hashing::Sha256, 2),
            SMALL => (Hashing::Sha256, 3),
            FOLDABLE => (Hashing::Poseidon2, 3),
            OUTER => (Hashing::Sha256, 4),
            _ => return Err(Error::new("usage", "there is no such profile").received(profile)),
        };
        let mut parameters = Self {
            hashing,
            log_blowup,
            log_folding: 3,
            log_final: 5,
            queries: 0,
            hiding_rows: 0,
            batch_bits: 16,
            commit_bits: 12,
            query_bits: 20,
            target,
        };
        for queries in 1..=MOST_QUERIES {
            parameters.queries = queries;
            parameters.hiding_rows = 2 * queries + 16;
            if parameters.proven_bits(shape) >= parameters.target {
                return Ok(parameters);
            }
        }
        Err(insufficient(parameters.target, parameters.proven_bits(shape)))
    }

    /// The proven bits of a statement of this shape, refused below the target.
    ///
    /// # Errors
    /// `security.insufficient`.
    pub fn judge(&self, shape: &Shape) -> Result<f64> {
        let bits = self.proven_bits(shape);
        if bits >= self.target { Ok(bits) } else { Err(insufficient(self.target, bits)) }
    }

    /// The bits of all terms together, over the best proximity parameter.
    pub fn proven_bits(&self, shape: &Shape) -> f64 {
        let error = |m| self.errors(shape, f64::from(m)).iter().sum::<f64>();
        -(3..=100).map(error).fold(f64::INFINITY, f64::min).log2()
    }

    /// The terms of the soundness error (ePrint 2025/2055, theorems 1.5 and 4.6): query, batching,
    /// folding, constraints, out of domain, LogUp, hashes.
    fn errors(&self, shape: &Shape, m: f64) -> [f64; 7] {
        let field = f64::from(P).powi(5);
        let rho = 2f64.powi(-(self.log_blowup as i32));
        let alpha = (1.0 + 1.0 / (2.0 * m)) * rho.sqrt();
        let domain = 2f64.powi((shape.log_rows + self.log_blowup) as i32);
        let half = m + 0.5;
        let exceptions = (2.0 * half.powi(5) + 3.0 * half * (1.0 - alpha) * rho)
            / (3.0 * rho.powf(1.5))
            * domain
            + half / rho.sqrt();
        let list = list_size(alpha, rho, shape.log_rows);
        let openings = shape.openings as f64;
        let ground = |bits: usize| 2f64.powi(-(bits as i32));
        let folds = 2f64.powi(self.log_folding as i32);
        let degree = 5.0 * 2f64.powi(shape.log_rows as i32) + 2.0 * openings;
        [
            alpha.powi(self.queries as i32) * ground(self.query_bits),
            2.0 * exceptions * openings / field * ground(self.batch_bits),
            exceptions * folds / field * ground(self.commit_bits),
            list * shape.constraints as f64 / field,
            list * list * degree / field,
            list * shape.lookups.max(1.0) * (shape.tuple + 1) as f64 / field,
            2f64.powf(-HASH_BITS),
        ]
    }

    /// The bytes that a transcript absorbs.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![self.log_blowup as u8, self.log_folding as u8, self.log_final as u8];
        out.extend((self.queries as u16).to_le_bytes());
        out.extend((self.hiding_rows as u16).to_le_bytes());
        out.extend([self.batch_bits, self.commit_bits, self.query_bits].map(|bits| bits as u8));
        out
    }

    /// The inverse of [`Parameters::bytes`], for a proof that others judge: it has no target.
    ///
    /// # Errors
    /// `receipt.truncated`, `receipt.non-canonical`.
    pub fn read(hashing: Hashing, reader: &mut Reader) -> Result<Self> {
        let [log_blowup, log_folding, log_final] = reader.array()?.map(usize::from);
        let [queries, hiding_rows] = [reader.u16()?, reader.u16()?].map(usize::from);
        let [batch_bits, commit_bits, query_bits] = reader.array()?.map(usize::from);
        let known = (1..=4).contains(&log_blowup) && (1..=4).contains(&log_folding);
        let few = log_final <= 8 && (1..=MOST_QUERIES).contains(&queries);
        let work = [batch_bits, commit_bits, query_bits].iter().all(|&bits| bits <= 31);
        if !(known && few && work && 5 * hiding_rows <= 1 << MIN_LOG_ROWS) {
            return Err(reader.bad("the parameters are of no proof"));
        }
        Ok(Self {
            hashing,
            log_blowup,
            log_folding,
            log_final,
            queries,
            hiding_rows,
            batch_bits,
            commit_bits,
            query_bits,
            target: 0.0,
        })
    }

    /// The height of a table with so many used rows.
    pub fn log_rows(&self, used: usize) -> usize {
        MIN_LOG_ROWS.max((used + self.hiding_rows).next_power_of_two().ilog2() as usize)
    }
}

/// How many tuples of columns agree with the committed ones in a share `alpha` of all positions. What
/// an opening binds is a column of degree `2^k`, not below it, so the rate is `rho·(1 + 2^−k)`; the
/// bound of Guruswami and Sudan has an integer for multiplicity.
fn list_size(alpha: f64, rho: f64, log_rows: usize) -> f64 {
    let root = (rho * (1.0 + 2f64.powi(-(log_rows as i32)))).sqrt();
    let multiplicity = (1.0 / (2.0 * (alpha / root - 1.0))).ceil();
    (multiplicity + 0.5) / root
}

fn insufficient(target: f64, bits: f64) -> Error {
    Error::new("security.insufficient", "the parameters prove too few bits")
        .expected(format!("at least {target}"))
        .received(format!("{bits:.1}"))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn profiles_reach_their_targets() {
        for (profile, queries) in [(0, 83), (1, 55), (2, 55), (3, 42)] {
            let parameters = Parameters::new(profile, 1, 0).unwrap();
            assert_eq!(parameters.queries, queries);
            assert!(parameters.judge(&Shape { log_rows: 16, ..REFERENCE }).unwrap() >= 101.0);
            let fewer = Parameters { queries: parameters.queries - 1, ..parameters };
            assert_eq!(fewer.judge(&REFERENCE).unwrap_err().code, "security.insufficient");
        }
        let many = Parameters::new(0, 64, 0).unwrap();
        assert!(many.target == 107.0 && many.queries > Parameters::new(0, 1, 0).unwrap().queries);
    }

    #[test]
    fn there_are_four_profiles() {
        let all = [STANDARD, SMALL, FOLDABLE, OUTER].map(|p| Parameters::new(p, 1, 0).unwrap());
        assert_eq!(all.map(|p| p.log_blowup), [2, 3, 3, 4]);
        let folded = all.map(|p| p.hashing == Hashing::Poseidon2);
        assert_eq!(folded, [false, false, true, false]);
        assert_eq!(Parameters { hashing: Hashing::Sha256, ..all[2] }, all[1]);
        assert_eq!(Parameters::new(4, 1, 0).unwrap_err().code, "usage");
    }

    #[test]
    fn a_higher_lambda_asks_for_as_many_more_bits() {
        let target = |lambda| Parameters::new(0, 1, lambda).unwrap().target;
        assert_eq!([0, 1, 100, 102].map(target), [101.0; 4]);
        assert_eq!([103, 106, 110, 111, 256].map(target), [102.0, 105.0, 109.0, 109.0, 109.0]);
        let queries: Vec<usize> =
            [102, 106, 110].map(|l| Parameters::new(1, 3, l).unwrap().queries).into();
        assert!(queries.is_sorted_by(|a, b| a < b), "{queries:?}");
        // What nobody can reach is refused, and not forgotten.
        assert_eq!(Parameters::new(0, 1024, 110).unwrap_err().code, "security.insufficient");
    }

    #[test]
    fn every_size_counts() {
        let parameters = Parameters::new(0, 1, 0).unwrap();
        let good = parameters.proven_bits(&REFERENCE);
        let worse = [
            Shape { log_rows: 40, ..REFERENCE },
            Shape { openings: 1 << 40, ..REFERENCE },
            Shape { constraints: 1 << 60, ..REFERENCE },
            Shape { lookups: 1e20, ..REFERENCE },
            Shape { tuple: 1 << 30, ..REFERENCE },
        ];
        assert!(worse.iter().all(|shape| parameters.proven_bits(shape) < good - 1.0));
    }

    /// The union is one of sums: it is below the least of the terms by what the others weigh.
    #[test]
    fn terms_are_added() {
        let parameters = Parameters::new(0, 1, 0).unwrap();
        let terms = parameters.errors(&REFERENCE, 45.0);
        let sum: f64 = terms.iter().sum();
        for without in 0..terms.len() {
            let rest: f64 =
                terms.iter().enumerate().filter(|(i, _)| *i != without).map(|(_, t)| t).sum();
            assert!(rest < sum, "term {without}");
        }
        assert!(parameters.proven_bits(&REFERENCE) >= -sum.log2());
    }

    /// Columns of degree 2^k: the shorter the table, the more there are that agree.
    #[test]
    fn lists_grow_with_the_degree_that_openings_leave() {
        let alpha = (1.0 + 1.0 / 100.0) * 0.5;
        assert_eq!(list_size(alpha, 0.25, 60), 102.0 + 1.0 - 2.0);
        let (short, tall) = (list_size(alpha, 0.25, 11), list_size(alpha, 0.25, 22));
        assert!(short > tall && tall > 102.9 && short < 105.0, "{short} {tall}");
    }

    /// A query of Poseidon2 is not quite uniform: a set of positions has 2^-31 more at most.
    #[test]
    fn queries_of_a_foldable_proof_leave_room_for_their_draw() {
        for segments in (0..=10).map(|log| 1 << log) {
            for lambda in [0, 103, 104, 105, 106] {
                let parameters = Parameters::new(FOLDABLE, segments, lambda).unwrap();
                let errors = parameters.errors(&REFERENCE, 20.0);
                let share = 1.0 + 2f64.powi(-31) / 8f64.sqrt().recip();
                let lost = errors[0] * (share.powi(parameters.queries as i32) - 1.0);
                let all = 2f64.powf(-parameters.proven_bits(&REFERENCE));
                assert!(all + lost < 2f64.powf(-parameters.target));
            }
        }
    }

    /// As tests/unit/test_stark_params.py: both verifiers find the same parameters and bits.
    #[test]
    fn the_figures_of_many_statements() {
        assert_eq!([[0, 1], [2, 3]].map(figures), FIGURES);
    }

    fn figures(profiles: [u8; 2]) -> String {
        let mut found = Sha256::new();
        for profile in profiles {
            for segments in [1, 2, 3, 7, 64, 1000, 1024] {
                found.update([Parameters::new(profile, segments, 0).unwrap().queries as u8]);
            }
            for log_rows in [11, 16, 21] {
                for queries in [40, 83, 120, 196] {
                    for size in (1..40usize).step_by(3) {
                        let shape = Shape {
                            log_rows,
                            openings: 100 * size,
                            constraints: 37 * size,
                            lookups: (1000 * size * size) as f64,
                            tuple: size + 5,
                        };
                        let parameters =
                            Parameters { queries, ..Parameters::new(profile, 1, 0).unwrap() };
                        let tenths = (10.0 * parameters.proven_bits(&shape)).floor();
                        found.update((tenths as u16).to_le_bytes());
                    }
                }
            }
        }
        crate::hash::hex(&found.finalize())
    }

    /// As tests/unit/test_stark_params.py: λ moves the queries of both verifiers alike.
    #[test]
    fn the_queries_of_every_lambda() {
        assert_eq!([[0, 1], [2, 3]].map(queries), QUERIES);
    }

    fn queries(profiles: [u8; 2]) -> String {
        let mut found = Sha256::new();
        for profile in profiles {
            for segments in [1, 2, 3, 7, 64, 1000, 1024] {
                for lambda in [0, 100].into_iter().chain(102..=120) {
                    let chosen = Parameters::new(profile, segments, lambda);
                    found.update([chosen.map_or(0, |parameters| parameters.queries as u8)]);
                }
            }
        }
        crate::hash::hex(&found.finalize())
    }

    const QUERIES: [&str; 2] = [
        "481a3c4c1c6efb3237b1deb1592815759b9dea051a335d839ab92545441b8f5c",
        "7077cea973f7b18c5b58e1da4b418b192c222e7b4da5efb8a1643f206b1c390e",
    ];
    const FIGURES: [&str; 2] = [
        "6b03008671170394780e91013e3a2306077cde08c77ce30ad089306ed04562d3",
        "6e8b0f88bedf6b0addaa5c72d5d9f1bc1c029ba89be4e1ea0ede01e95130d61b",
    ];
}
