//! The engine on toy tables: what is true is proven, what is not is refused.

mod fixed;
mod ledger;
mod secrecy;

use p3_field::PrimeCharacteristicRing;

use super::air::{Builder, Tables};
use super::check::first_failure;
use super::eval::Buses;
use super::field::K;
use super::grid::{Grid, MainTable, PublicTable, PublicTerms};
use super::logup::auxiliary;
use super::parameters::{Hashing, Parameters};
use super::prove::prove;
use super::rng::Stream;
use super::statement::Statement;
use super::verify::{Head, verify};
use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};
use crate::hash::{Elem, P};

const CODES: Codes = Codes {
    short: "receipt.truncated",
    trailing: "receipt.trailing-bytes",
    bad: "receipt.non-canonical",
};
const BOTH: [Hashing; 2] = [Hashing::Sha256, Hashing::Poseidon2];
const RANGE: u32 = 7;
const SUM: u32 = 8;

/// A running sum of cubes of bytes, sent out once; a table of bytes.
pub(crate) fn tables() -> Tables {
    let mut b = Builder::new("sums", false);
    let [on, link, last] = [2, 3, 4].map(|c| b.public(c));
    let [x, y, base, run] = [1, 2, 3, 4].map(|c| b.main(c));
    b.equal(y.clone(), x.cube());
    b.equal(run.clone(), base.clone() + y);
    let start = b.first() * base.clone();
    b.zero(start);
    let next = b.next(&base);
    let inside = 1 - b.last();
    b.zero(inside * (next - link * run.clone()));
    b.lookup(RANGE, on.clone(), [x.clone()]);
    b.lookup(SUM, -last, [run]);
    // In a group of its own, without the engine's lookup.
    b.lookup(RANGE, on, [255 - x]);
    let sums = b.build();
    let mut b = Builder::new("bytes", true);
    let value = b.public(2);
    let times = b.main(1);
    b.lookup(RANGE, -times, [value]);
    Tables::new(vec![sums, b.build()])
}

pub(crate) struct Toy {
    pub tables: Tables,
    pub publics: Vec<PublicTable>,
    pub mains: Vec<MainTable>,
    pub terms: Vec<PublicTerms>,
    pub parameters: Parameters,
}

pub(crate) fn toy(values: &[u32], log_rows: [usize; 2]) -> Toy {
    let tables = tables();
    let parameters =
        Parameters { queries: 40, hiding_rows: 96, ..Parameters::new(0, 1, 0).unwrap() };
    let parameters = Parameters { target: 0.0, ..parameters };
    let n = values.len();
    let mut sums = (Grid::zeros(5, n), Grid::zeros(5, n));
    let mut bytes = (Grid::zeros(3, 256), Grid::zeros(2, 256));
    let mut run = Elem::ZERO;
    for (i, &x) in values.iter().enumerate() {
        let last = Elem::from_bool(i + 1 == n);
        sums.0.row_mut(i)[2..].copy_from_slice(&[Elem::ONE, Elem::ONE - last, last]);
        let x = Elem::new(x);
        let (base, y) = (run, x.cube());
        run += y;
        sums.1.row_mut(i)[1..].copy_from_slice(&[x, y, base, run]);
    }
    for i in 0..256 {
        bytes.0.row_mut(i)[2] = Elem::new(i as u32);
        let times = values.iter().filter(|&&x| x == i as u32).count();
        let times = times + values.iter().filter(|&&x| x + i as u32 == 255).count();
        bytes.1.row_mut(i)[1] = Elem::from_u64(times as u64);
    }
    let table =
        |index: usize, publics: Grid| PublicTable { index, log_rows: log_rows[index], publics };
    let main = |main: Grid| MainTable { padding: vec![Elem::ZERO; main.width], main };
    Toy {
        tables,
        publics: vec![table(0, sums.0), table(1, bytes.0)],
        mains: vec![main(sums.1), main(bytes.1)],
        terms: vec![PublicTerms { bus: SUM, tuples: Grid { width: 1, values: vec![run] } }],
        parameters,
    }
}

impl Toy {
    pub fn hashed(mut self, hashing: Hashing) -> Self {
        self.parameters.hashing = hashing;
        self
    }

    pub fn statement(&self, context: u8) -> Statement<'_> {
        Statement {
            tables: &self.tables,
            publics: &self.publics,
            terms: &self.terms,
            parameters: &self.parameters,
            context: [context; 32],
        }
    }

    fn prove(&self) -> Result<Vec<u8>> {
        prove(&self.statement(7), self.mains.clone()).map(|(proof, _)| proof)
    }

    fn check(&self, proof: &[u8]) -> Result<()> {
        let mut reader = Reader::new(proof, CODES);
        verify(&self.statement(7), &mut reader)?;
        if reader.remaining() == 0 { Ok(()) } else { Err(Error::new("receipt.trailing-bytes", "")) }
    }
}

pub(crate) fn values(n: u32) -> Vec<u32> {
    (0..n).map(|i| i * 7 % 256).collect()
}

/// By chance below 2^-120, so that a test must choose the challenge.
#[test]
fn a_challenge_that_meets_a_tuple_is_refused() {
    let toy = toy(&values(40), [6, 8]);
    let (bytes, rows) = (&toy.publics[1].publics, &toy.mains[1].main);
    let parameters = Parameters { hiding_rows: 0, ..Parameters::new(0, 1, 0).unwrap() };
    let met = |alpha: K| {
        let buses = Buses::new(alpha, K::ONE, 1);
        let mut stream = Stream::fresh().unwrap();
        auxiliary(&toy.tables.airs[1], bytes, rows, &buses, &parameters, &mut stream).map(|_| ())
    };
    for byte in [0, 100, 255] {
        let alpha = K::from(Elem::new(RANGE + byte));
        assert_eq!(met(alpha).unwrap_err().code, "prove.retry");
        assert_eq!(met(alpha + super::field::basis(1)), Ok(()));
    }
}

#[test]
fn a_true_statement_is_proven_at_all_heights() {
    let all = |hashing| [[11, 11], [12, 11], [11, 14]].map(|log_rows| (hashing, log_rows));
    for (hashing, log_rows) in BOTH.into_iter().flat_map(all) {
        let toy = toy(&values(1500), log_rows).hashed(hashing);
        assert_eq!(first_failure(&toy.tables, &toy.publics, &toy.mains, &toy.terms, 96), None);
        let proof = toy.prove().unwrap();
        toy.check(&proof).unwrap();
    }
    let mut small = toy(&values(100), [11, 12]);
    small.parameters.log_blowup = 3;
    small.check(&small.prove().unwrap()).unwrap();
}

#[test]
fn another_statement_is_refused() {
    BOTH.into_iter().for_each(another_statement_is_refused_with);
}

fn another_statement_is_refused_with(hashing: Hashing) {
    let toy_of = || toy(&values(300), [11, 11]).hashed(hashing);
    let proof = toy_of().prove().unwrap();
    let refused = |toy: Toy| assert_eq!(toy.check(&proof).unwrap_err().code, "verify.stark");
    let mut other = toy_of();
    other.terms[0].tuples.values[0] += Elem::ONE;
    refused(other);
    let mut other = toy_of();
    other.publics[0].publics.row_mut(3)[2] = Elem::ZERO;
    refused(other);
    let mut other = toy_of();
    other.parameters.batch_bits += 1;
    refused(other);
    let good = toy_of();
    let mut reader = Reader::new(&proof, CODES);
    assert_eq!(verify(&good.statement(8), &mut reader).unwrap_err().code, "verify.stark");
}

/// Two tables with a lookup of each length on one bus.
fn of_lengths(lengths: [usize; 2]) -> Tables {
    let table = |(name, length): (&'static str, usize)| {
        let mut b = Builder::new(name, name == "last");
        let column = b.main(1);
        let times = b.constant(1);
        b.lookup(RANGE, times, vec![column; length]);
        b.build()
    };
    Tables::new([("first", lengths[0]), ("last", lengths[1])].map(table).into())
}

#[test]
fn tuples_of_a_bus_are_of_one_length() {
    assert_eq!(of_lengths([2, 2]).tuple_length(RANGE), Some(2));
    assert_eq!(of_lengths([2, 2]).tuple_length(SUM), None);
}

#[test]
#[should_panic(expected = "last: tuple on bus 7")]
fn tables_with_tuples_of_two_lengths_are_not_built() {
    of_lengths([2, 3]);
}

#[test]
fn public_terms_have_the_length_of_their_bus() {
    for (bus, width) in [(SUM, 2), (9, 1)] {
        let mut other = toy(&values(300), [11, 11]);
        other.terms[0] = PublicTerms { bus, tuples: Grid::zeros(width, 1) };
        assert!(!other.statement(7).is_well_formed());
    }
    assert!(toy(&values(300), [11, 11]).statement(7).is_well_formed());
}

#[test]
fn a_wrong_witness_is_not_proven() {
    let mut wrong = toy(&values(300), [11, 11]);
    wrong.mains[0].main.row_mut(5)[2] += Elem::ONE;
    assert_eq!(wrong.prove().unwrap_err().code, "prove.witness");
    // A value out of range satisfies every constraint, but the bus does not balance.
    let outside = toy(&[3, 256], [11, 11]);
    assert!(
        first_failure(&outside.tables, &outside.publics, &outside.mains, &outside.terms, 96)
            .is_some()
    );
    let proof = outside.prove().unwrap();
    assert_eq!(outside.check(&proof).unwrap_err().code, "verify.stark");
}

#[test]
fn every_byte_counts() {
    for hashing in BOTH {
        let toy = toy(&values(300), [11, 11]).hashed(hashing);
        let proof = toy.prove().unwrap();
        let step = proof.len() / 150;
        for at in (0..proof.len()).step_by(step) {
            let mut bad = proof.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(toy.check(&bad).is_err(), "byte {at} of {}", proof.len());
        }
        assert_eq!(toy.check(&proof[..proof.len() - 1]).unwrap_err().code, "receipt.truncated");
    }
}

/// Roots, work and all behind them: with Poseidon2 there is no word of a proof but elements.
#[test]
fn words_of_a_foldable_proof_are_below_p() {
    let toy = toy(&values(300), [11, 11]).hashed(Hashing::Poseidon2);
    let proof = toy.prove().unwrap();
    let head = Head::read(&toy.statement(7), &mut Reader::new(&proof, CODES)).unwrap();
    let refused = |proof: &[u8], what: &str| {
        assert_eq!(toy.check(proof).unwrap_err().code, "receipt.non-canonical", "{what}");
    };
    let add_p = |at: usize| {
        let mut bad = proof.clone();
        let word = u32::from_le_bytes(bad[at..at + 4].try_into().unwrap());
        bad[at..at + 4].copy_from_slice(&(word + P).to_le_bytes());
        bad
    };
    for root in head.roots.iter().chain(head.rounds.iter().map(|(root, _)| root)) {
        let at = proof.windows(32).position(|window| window == root).unwrap();
        (0..8).for_each(|word| refused(&add_p(at + 4 * word), "a root"));
    }
    // A proof of work of 20 bits is followed by the openings: rows, salts, siblings.
    let work = head.query_work.to_le_bytes();
    let at = proof.windows(8).position(|window| window == work).unwrap();
    refused(&add_p(at), "work");
    let mut bad = proof.clone();
    bad[at + 4] = 1;
    refused(&bad, "work of two words");
    for word in 1..60 {
        refused(&add_p(at + 8 + (proof.len() - at - 12) / 60 / 4 * 4 * word), "an opening");
    }
}

#[test]
fn proofs_share_no_randomness() {
    for hashing in BOTH {
        let toy = toy(&values(300), [11, 11]).hashed(hashing);
        let (a, b) = (toy.prove().unwrap(), toy.prove().unwrap());
        let equal = a.chunks(32).zip(b.chunks(32)).filter(|(a, b)| a == b).count();
        assert!(equal <= 1, "{equal} words of 32 bytes are equal");
    }
}

/// Parameters of both are the same bytes, but no proof of one is one of the other.
#[test]
fn configurations_are_told_apart() {
    let [a, b] = BOTH.map(|hashing| toy(&values(300), [11, 11]).hashed(hashing));
    assert_eq!(a.parameters.bytes(), b.parameters.bytes());
    assert!(a.check(&b.prove().unwrap()).is_err());
    assert!(b.check(&a.prove().unwrap()).is_err());
}
