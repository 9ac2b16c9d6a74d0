//! The verifier (docs/stark.md). Reads untrusted bytes; every failure is an error.
//!
//! Challenges are numbered like section 3. In parentheses: the term of section 8 that pays for a challenge
//! or a check.

use p3_field::{Field, PrimeCharacteristicRing};
use rayon::prelude::*;

use super::columns;
use super::domain::SelectorsAt;
use super::eval::{Buses, Point, evaluate_at, fraction};
use super::field::{DIM, K, TWO_ADICITY, elem_of, from_coefficients, powers, reverse, root, shift};
use super::fri::{self, Commitments};
use super::grid::Publics;
use super::logup::public_sum;
use super::parameters::Hashing;
use super::statement::{CHUNKS, Statement};
use super::transcript::{Transcript, tag};
use super::tree::{Hash, Opened, Shape};
use crate::bytes::Reader;
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::watch::{Part, timed};

fn refused(what: &str) -> Error {
    Error::new("verify.stark", what)
}

fn demand(holds: bool, what: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(refused(what)) }
}

/// A list of elements, its length before its values.
fn elements(reader: &mut Reader, count: usize) -> Result<Vec<K>> {
    let bytes = reader.take(4 * DIM * count)?;
    let parts: Option<Vec<Elem>> = bytes.chunks_exact(4).map(elem_of).collect();
    let parts = parts.ok_or_else(|| reader.bad("an element of the proof is not below p"))?;
    Ok(parts.chunks(DIM).map(from_coefficients).collect())
}

fn read_root(reader: &mut Reader, hashing: Hashing) -> Result<Hash> {
    let root = reader.array()?;
    hashing.judge(reader, &root)?;
    Ok(root)
}

fn read_work(reader: &mut Reader, hashing: Hashing) -> Result<u64> {
    let witness = reader.u64()?;
    hashing.judge_work(reader, witness)?;
    Ok(witness)
}

/// The part of a proof before the openings.
#[derive(Clone)]
pub struct Head {
    pub roots: [Hash; 3],
    pub terminals: Vec<K>,
    /// Per table, then per height.
    pub opened: Vec<Vec<K>>,
    pub batch_work: u64,
    pub rounds: Vec<(Hash, u64)>,
    pub last: Vec<K>,
    pub query_work: u64,
}

impl Head {
    pub fn read<T: Publics>(statement: &Statement<T>, reader: &mut Reader) -> Result<Self> {
        let hashing = statement.parameters.hashing;
        let main = read_root(reader, hashing)?;
        let auxiliary = read_root(reader, hashing)?;
        let tables = statement.publics.len();
        let terminals = elements(reader, tables)?;
        let quotient = read_root(reader, hashing)?;
        let sizes = statement.airs().map(|(air, _)| air.openings());
        let sizes: Vec<usize> = sizes.chain(statement.heights().iter().map(|_| CHUNKS)).collect();
        let mut rest = elements(reader, sizes.iter().sum())?.into_iter();
        let opened = sizes.iter().map(|&size| rest.by_ref().take(size).collect()).collect();
        let batch_work = read_work(reader, hashing)?;
        let mut rounds = Vec::new();
        for _ in statement.rounds() {
            rounds.push((read_root(reader, hashing)?, read_work(reader, hashing)?));
        }
        let last = elements(reader, 1 << statement.parameters.log_final)?;
        let query_work = read_work(reader, hashing)?;
        let roots = [main, auxiliary, quotient];
        Ok(Self { roots, terminals, opened, batch_work, rounds, last, query_work })
    }

    /// What the transcript absorbs, as it is on the wire.
    pub fn message(&self, message: Message) -> Vec<u8> {
        match message {
            Message::Main => self.roots[0].to_vec(),
            Message::Auxiliary => [&self.roots[1][..], &put_all(&self.terminals)].concat(),
            Message::Quotient => self.roots[2].to_vec(),
            Message::Opened => put_all(&self.opened.concat()),
            Message::Round(round) => self.rounds[round].0.to_vec(),
            Message::Final => put_all(&self.last),
        }
    }
}

/// A message of the prover, in the order of section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Main,
    Auxiliary,
    Quotient,
    Opened,
    Round(usize),
    Final,
}

impl Message {
    pub fn tag(self) -> u8 {
        match self {
            Self::Main => tag::MAIN,
            Self::Auxiliary => tag::AUXILIARY,
            Self::Quotient => tag::QUOTIENT,
            Self::Opened => tag::OPENED,
            Self::Round(_) => tag::ROUND,
            Self::Final => tag::FINAL,
        }
    }
}

/// The verifier's challenges.
pub struct Challenges {
    pub buses: Buses,
    pub gamma: K,
    pub zeta: K,
    pub eta: K,
    pub commitments: Commitments,
    /// The queries as they were drawn, repeats among them.
    pub drawn: Vec<usize>,
    /// The same, ascending, each once: where trees are opened.
    pub indices: Vec<usize>,
}

fn put_all(values: &[K]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * 4 * DIM);
    values.iter().for_each(|value| super::field::put(&mut bytes, value));
    bytes
}

pub fn challenge<T: Publics>(statement: &Statement<T>, head: &Head) -> Result<Challenges> {
    // 0 to 2. Context, parameters, tables and heights come first: a proof of another statement has
    // other challenges (hashes).
    challenge_from(statement.transcript(), statement, head)
}

/// The same, where only the shape of the statement and the transcript after steps 0 to 2 are known.
pub fn challenge_from<T: Publics>(
    mut transcript: Transcript,
    statement: &Statement<T>,
    head: &Head,
) -> Result<Challenges> {
    let parameters = statement.parameters;
    let absorb = |transcript: &mut Transcript, message: Message| {
        transcript.absorb(message.tag(), &head.message(message));
    };
    // 3. α and β tell tuples apart, once all main columns are fixed (LogUp).
    absorb(&mut transcript, Message::Main);
    let (alpha, beta) = (transcript.element(), transcript.element());
    // 4, 5. γ makes one of all constraints of a height, once fractions and terminals are fixed
    // (constraints).
    absorb(&mut transcript, Message::Auxiliary);
    let gamma = transcript.element();
    // 6. ζ is where identities of polynomials are tried, once the quotient is fixed (out of domain).
    absorb(&mut transcript, Message::Quotient);
    let zeta = transcript.element();
    // Off both domains: in them Z or x − ζ vanishes, and what is opened is a row.
    let whole = |x: K| x.exp_power_of_2(TWO_ADICITY) == K::ONE;
    demand(!whole(zeta) && !whole(zeta * shift().inverse()), "ζ lies in a domain")?;
    // 7, 8. η makes one word a height of all columns, once the values at ζ are fixed; work makes tries at
    // it dear (batching).
    absorb(&mut transcript, Message::Opened);
    demand(
        transcript.check_work(parameters.batch_bits, head.batch_work),
        "no proof of work (batch)",
    )?;
    let eta = transcript.element();
    // 9. Each β folds a word that is fixed by its root; work likewise (folding).
    let mut rounds = Vec::new();
    for (i, (round, (root, work))) in statement.rounds().into_iter().zip(&head.rounds).enumerate() {
        absorb(&mut transcript, Message::Round(i));
        demand(transcript.check_work(parameters.commit_bits, *work), "no proof of work (round)")?;
        rounds.push((round, *root, transcript.element()));
    }
    // 10. The queries come when there is nothing left to choose; work likewise (query).
    absorb(&mut transcript, Message::Final);
    demand(
        transcript.check_work(parameters.query_bits, head.query_work),
        "no proof of work (queries)",
    )?;
    let bits = statement.heights()[0] + parameters.log_blowup;
    let drawn = transcript.indices(parameters.queries, bits);
    let mut indices = drawn.clone();
    indices.sort_unstable();
    indices.dedup();
    Ok(Challenges {
        buses: Buses::new(alpha, beta, statement.longest_tuple()),
        gamma,
        zeta,
        eta,
        commitments: Commitments { rounds, last: head.last.clone() },
        drawn,
        indices,
    })
}

/// What all errors together leave, at these heights; nothing is taken from the proof.
///
/// # Errors
/// `verify.too-large`, `security.insufficient`.
pub fn judge<T: Publics>(statement: &Statement<T>) -> Result<f64> {
    let bits = statement.judge()?;
    if statement.is_well_formed() {
        return Ok(bits);
    }
    Err(Error::new("verify.too-large", "the tables of a segment do not fit"))
}

/// Reads and judges one proof; the caller goes on behind it.
///
/// # Errors
/// `verify.too-large`, `security.insufficient`, `receipt.truncated`, `receipt.non-canonical`,
/// `verify.stark`.
pub fn verify<T: Publics>(statement: &Statement<T>, reader: &mut Reader) -> Result<f64> {
    let bits = judge(statement)?;
    let head = Head::read(statement, reader)?;
    let challenges = challenge(statement, &head)?;
    // What is taken from a bus is given to it, the public terms among them (LogUp). A term whose
    // denominator is zero would have any value.
    let public = timed(Part::Terms, || public_sum(statement.terms, &challenges.buses));
    let public = public.ok_or_else(|| refused("a challenge meets a public term"))?;
    let total = head.terminals.iter().copied().sum::<K>() + public;
    demand(total == K::ZERO, "the buses do not balance")?;
    // Constraints, fractions and running sums hold on every active row (constraints, out of domain).
    check_constraints(statement, &head, &challenges)?;

    // Opened rows are those that were committed to before the challenges (hashes).
    let (hashing, indices) = (statement.parameters.hashing, &challenges.indices);
    let mut trees = Vec::new();
    for (widths, root) in statement.widths().iter().zip(&head.roots) {
        let shape = Shape { hashing, widths, salted: true };
        trees.push(Opened::read(reader, shape, indices, root)?);
    }
    let rounds = fri::read_rounds(reader, hashing, &challenges.commitments, indices)?;
    let trees: Option<Vec<Opened>> = trees.into_iter().collect();
    let trees = trees.ok_or_else(|| refused("opened rows do not lead to a root"))?;
    let rounds: Option<Vec<Opened>> = rounds.into_iter().collect();
    let rounds = rounds.ok_or_else(|| refused("opened rows do not lead to the root of a round"))?;
    // The words of which these are rows are near polynomials that have the opened values at ζ (batching),
    // through all rounds (folding), wherever the queries look (query).
    let batch = Batch::new(statement, &head, &challenges, &trees);
    let good = challenges.indices.par_iter().all(|&index| {
        let blowup = statement.parameters.log_blowup;
        let heights = statement.heights();
        fri::check_query(
            &challenges.commitments,
            &rounds,
            index,
            |log_size| heights.iter().any(|height| height + blowup == log_size),
            |log_size| batch.word(log_size - blowup, index),
        )
    });
    demand(good, "a query does not fold to the final polynomial")?;
    Ok(bits)
}

/// Heights by themselves: a table's rows are those of its own domain.
fn check_constraints<T: Publics>(
    statement: &Statement<T>,
    head: &Head,
    challenges: &Challenges,
) -> Result<()> {
    let publics = timed(Part::Columns, || columns::publics_at(statement, challenges.zeta));
    for (i, height) in statement.heights().into_iter().enumerate() {
        let chunks = &head.opened[statement.publics.len() + i];
        check_height(statement, height, (chunks, &publics), head, challenges)?;
    }
    Ok(())
}

fn check_height<T: Publics>(
    statement: &Statement<T>,
    height: usize,
    (chunks, publics): (&[K], &[Vec<K>]),
    head: &Head,
    challenges: &Challenges,
) -> Result<()> {
    let hiding = statement.parameters.hiding_rows;
    let zeta = challenges.zeta;
    let selectors = SelectorsAt::new(height, hiding, zeta);
    let selectors = selectors.ok_or_else(|| refused("ζ lies in a domain"))?;
    let (mut sum, mut power) = (K::ZERO, K::ONE);
    // One power of γ for each constraint: a false one shows in the sum (constraints).
    for t in statement.of_height(height) {
        let values = table_constraints(statement, (t, &publics[t]), head, challenges, &selectors);
        for value in values {
            sum += power * value;
            power *= challenges.gamma;
        }
    }
    // As polynomials the sum is Z times the quotient; ζ tells them apart if they differ (out of domain).
    let length = ((1usize << height) - hiding) as u64;
    let step = zeta.exp_u64(length);
    let quotient = chunks.iter().rev().fold(K::ZERO, |sum, &chunk| sum * step + chunk);
    demand(sum == quotient * selectors.vanishing, "the constraints do not hold")
}

/// All constraints of a table at ζ, in order.
fn table_constraints<T: Publics>(
    statement: &Statement<T>,
    (t, publics): (usize, &[K]),
    head: &Head,
    challenges: &Challenges,
    selectors: &SelectorsAt,
) -> Vec<K> {
    let air = statement.air(t);
    let (mains, rest) = head.opened[t].split_at(air.mains);
    let (next, rest) = rest.split_at(air.next.len());
    let (fractions, sums) = rest.split_at(air.groups.len());
    let (first, last) = (selectors.first, selectors.last);
    let values = evaluate_at(air, &Point { publics, mains, next, first, last });
    // What the table says of its rows.
    let mut out: Vec<K> = air.constraints.iter().map(|&c| values[c as usize]).collect();
    // Each fraction is that of its lookups.
    for (group, &phi) in air.groups.iter().zip(fractions) {
        let terms: Vec<(K, K)> = group
            .iter()
            .map(|l| (values[l.multiplicity as usize], challenges.buses.at(l, &values)))
            .collect();
        let (numerator, denominator) = fraction(&terms, |d, m| d * m);
        out.push(phi * denominator - numerator);
    }
    let total: K = fractions.iter().copied().sum();
    let (acc, after) = (sums[0], sums[1]);
    // They are summed from zero on, row by row, to the terminal, which the buses' balance takes.
    out.push(first * acc);
    out.push((K::ONE - last) * (after - acc - total));
    out.push(last * (acc + total - head.terminals[t]));
    out
}

/// The batched codewords, from opened rows.
struct Batch<'a, T> {
    statement: &'a Statement<'a, T>,
    opened: &'a [Opened],
    zeta: K,
    /// Per table, then per height: powers of η of its openings.
    etas: Vec<Vec<K>>,
    /// The power of η of the mask.
    eta_mask: K,
    /// Per height, tallest first: η-weighted opened values at ζ and at ωζ.
    values: Vec<(usize, K, K)>,
}

impl<'a, T: Publics> Batch<'a, T> {
    fn new(
        statement: &'a Statement<'a, T>,
        head: &Head,
        challenges: &Challenges,
        opened: &'a [Opened],
    ) -> Self {
        // A power for each opening and for the mask: each column is bound by itself (batching).
        let all = powers(challenges.eta, statement.batched());
        let mut rest = &all[..];
        let etas: Vec<Vec<K>> = head
            .opened
            .iter()
            .map(|values| {
                let (of_part, after) = rest.split_at(values.len());
                rest = after;
                of_part.to_vec()
            })
            .collect();
        let tables = statement.publics.len();
        let values = statement.heights().into_iter().enumerate().map(|(i, height)| {
            let (mut here, mut there) = (K::ZERO, K::ZERO);
            for t in statement.of_height(height) {
                for (j, (&eta, &value)) in etas[t].iter().zip(&head.opened[t]).enumerate() {
                    let sum = if is_next(statement, t, j) { &mut there } else { &mut here };
                    *sum += eta * value;
                }
            }
            let chunks = etas[tables + i].iter().zip(&head.opened[tables + i]);
            here += chunks.map(|(&eta, &value)| eta * value).sum::<K>();
            (height, here, there)
        });
        let (zeta, eta_mask) = (challenges.zeta, all[all.len() - 1]);
        Self { statement, opened, zeta, values: values.collect(), etas, eta_mask }
    }

    /// The batched codeword of a height above an index of the tallest domain.
    fn word(&self, height: usize, index: usize) -> K {
        let statement = self.statement;
        let bits = height + statement.parameters.log_blowup;
        let tallest = statement.heights()[0];
        let i = statement.heights().iter().position(|&h| h == height).expect("a height");
        let [mains, auxiliaries, chunks] =
            [0, 1, 2].map(|tree: usize| self.opened[tree].row(bits, index));
        let (mut main_at, mut aux_at) = (0, 0);
        let (mut here, mut there) = (K::ZERO, K::ZERO);
        for t in statement.of_height(height) {
            let air = statement.air(t);
            let etas = &self.etas[t];
            let main = &mains[main_at..main_at + air.mains];
            main_at += air.mains;
            let columns: Vec<K> = auxiliaries[aux_at..aux_at + DIM * (air.groups.len() + 1)]
                .chunks(DIM)
                .map(from_coefficients)
                .collect();
            aux_at += DIM * (air.groups.len() + 1);
            here += main.iter().zip(etas).map(|(&x, &eta)| eta * x).sum::<K>();
            let etas = &etas[air.mains..];
            there += air.next.iter().zip(etas).map(|(&c, &eta)| eta * main[c]).sum::<K>();
            let etas = &etas[air.next.len()..];
            here += columns.iter().zip(etas).map(|(&x, &eta)| eta * x).sum::<K>();
            there += etas[columns.len()] * columns[columns.len() - 1];
        }
        let etas = &self.etas[statement.publics.len() + i];
        let values: Vec<K> = chunks.chunks(DIM).map(from_coefficients).collect();
        here += values.iter().zip(etas).map(|(&x, &eta)| eta * x).sum::<K>();
        let mask = if height == tallest { self.eta_mask * values[CHUNKS] } else { K::ZERO };
        let (_, at_here, at_there) = self.values[i];
        let index = index >> (tallest - height);
        let x = K::from(shift() * root(bits).exp_u64(reverse(index, bits) as u64));
        let next = self.zeta * root(height);
        (here - at_here) * (x - self.zeta).inverse()
            + (there - at_there) * (x - next).inverse()
            + mask
    }
}

/// Whether opening `j` of a table is one at ωζ.
fn is_next<T: Publics>(statement: &Statement<T>, t: usize, j: usize) -> bool {
    let air = statement.air(t);
    (air.mains..air.mains + air.next.len()).contains(&j) || j + 1 == air.openings()
}
