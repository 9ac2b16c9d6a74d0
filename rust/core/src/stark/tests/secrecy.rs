//! Zero knowledge: what two proofs share, and what each source of blinding is needed for.

use std::collections::{BTreeMap, HashSet};

use super::super::air::{BLIND, evaluate_row};
use super::super::columns;
use super::super::domain::row_weights;
use super::super::eval::Buses;
use super::super::field::{DIM, K, coefficients};
use super::super::logup::public_sum;
use super::super::prove::prove_with;
use super::super::rng::{Source, Stream};
use super::super::statement::CHUNKS;
use super::super::tree::{Opened, Shape, Widths, above};
use super::super::verify::{Challenges, Head, challenge};
use super::*;

const SOURCES: [Source; 6] = [
    Source::Masks,
    Source::MainRows,
    Source::AuxiliaryRows,
    Source::Chunks,
    Source::Folding,
    Source::Salts,
];

type Rows = BTreeMap<(usize, usize), Vec<[u8; 4]>>;

/// A proof taken apart.
struct Parsed {
    head: Head,
    challenges: Challenges,
    /// Opened rows of each tree (main, auxiliary, quotient, rounds), by log height and index.
    rows: Vec<Rows>,
    salts: Vec<[u8; 16]>,
    hashes: Vec<[u8; 32]>,
}

impl Parsed {
    fn new(toy: &Toy, proof: &[u8]) -> Self {
        let statement = toy.statement(7);
        let mut reader = Reader::new(proof, CODES);
        let head = Head::read(&statement, &mut reader).unwrap();
        let challenges = challenge(&statement, &head).unwrap();
        let hashes = head.roots.iter().chain(head.rounds.iter().map(|(root, _)| root)).copied();
        let hashes = hashes.collect();
        let mut parsed = Self { head, challenges, rows: vec![], salts: vec![], hashes };
        let roots = parsed.head.roots;
        let hashing = statement.parameters.hashing;
        for (widths, root) in statement.widths().iter().zip(&roots) {
            let indices = parsed.challenges.indices.clone();
            let shape = Shape { hashing, widths, salted: true };
            parsed.tree(proof, &mut reader, shape, &indices, root);
        }
        let mut shift = 0;
        for (round, (root, _)) in statement.rounds().iter().zip(parsed.head.rounds.clone()) {
            shift += round.log_arity;
            let height = round.log_size - round.log_arity;
            let widths: Widths = [(height, vec![DIM << round.log_arity])].into();
            let indices = above(&parsed.challenges.indices, shift);
            let shape = Shape { hashing, widths: &widths, salted: false };
            parsed.tree(proof, &mut reader, shape, &indices, &root);
        }
        assert_eq!(reader.remaining(), 0);
        parsed
    }

    fn tree(
        &mut self,
        proof: &[u8],
        reader: &mut Reader,
        shape: Shape,
        indices: &[usize],
        root: &[u8; 32],
    ) {
        let mut at = proof.len() - reader.remaining();
        assert!(Opened::read(reader, shape, indices, root).unwrap().is_some());
        let end = proof.len() - reader.remaining();
        let mut rows = Rows::new();
        for (&level, widths) in shape.widths.iter().rev() {
            let width: usize = widths.iter().sum();
            for i in above(indices, shape.height() - level) {
                let row = proof[at..at + 4 * width].as_chunks::<4>().0.to_vec();
                at += 4 * width;
                rows.insert((level, i), row);
                if shape.salted {
                    self.salts.push(proof[at..at + 16].try_into().unwrap());
                    at += 16;
                }
            }
        }
        self.hashes.extend_from_slice(proof[at..end].as_chunks::<32>().0);
        self.rows.push(rows);
    }

    /// All elements of K that a proof shows, as bytes.
    fn words(&self) -> Vec<Vec<u8>> {
        let head = &self.head;
        let values = head.terminals.iter().chain(head.opened.iter().flatten()).chain(&head.last);
        let mut words: Vec<Vec<u8>> = values.map(bytes).collect();
        // Of the main tree single elements of F are opened; any two may be equal.
        for row in self.rows[1..].iter().flat_map(Rows::values) {
            words.extend(row.chunks(DIM).map(<[_]>::as_flattened).map(<[u8]>::to_vec));
        }
        words
    }
}

fn bytes(x: &K) -> Vec<u8> {
    let mut out = Vec::new();
    super::super::field::put(&mut out, x);
    out
}

fn witness(toy: &Toy, table: usize, row: usize) -> &[Elem] {
    let main = &toy.mains[table];
    if row < main.main.rows() { main.main.row(row) } else { &main.padding }
}

/// What someone who guesses the witness expects of the fractions of a row, the engine's left out.
fn fractions(toy: &Toy, table: usize, row: usize, buses: &Buses) -> Vec<K> {
    let (air, publics) = (&toy.tables.airs[table], &toy.publics[table].publics);
    let publics = if row < publics.rows() { publics.row(row) } else { &[] };
    let main = witness(toy, table, row);
    let mut values = Vec::new();
    evaluate_row(air, publics, main, main, (false, false), &mut values);
    let values: Vec<K> = values.into_iter().map(K::from).collect();
    let of_group = |group: &Vec<super::super::air::Lookup>| -> K {
        let own = group.iter().filter(|lookup| lookup.bus != BLIND);
        own.map(|l| values[l.multiplicity as usize] / buses.at(l, &values)).sum()
    };
    air.groups.iter().map(of_group).collect()
}

/// Attacks of someone who has guessed a witness and wants to know whether he is right, or who has two
/// proofs: one for each source of blinding.
fn attack(source: Source, toy: &Toy, proof: &Parsed, other: &Parsed) -> bool {
    let (zeta, buses) = (proof.challenges.zeta, &proof.challenges.buses);
    let log_rows = toy.publics[0].log_rows;
    let (air, active) = (&toy.tables.airs[0], (1 << log_rows) - toy.parameters.hiding_rows);
    let weights = || row_weights(log_rows, active, zeta);
    match source {
        // The terminal is what the guess says.
        Source::Masks => {
            let of_row = |row: usize| fractions(toy, 0, row, buses).into_iter().sum::<K>();
            (0..toy.publics[0].publics.rows()).map(of_row).sum::<K>() == proof.head.terminals[0]
        }
        // An opened column is what the guess says.
        Source::MainRows => {
            let weights = weights();
            let column = |c: usize| -> K {
                (0..active).map(|row| weights[row] * witness(toy, 0, row)[c]).sum()
            };
            (1..air.mains).any(|c| column(c) == proof.head.opened[0][c])
        }
        // The fractions of a group without masks are what the guess says.
        Source::AuxiliaryRows => {
            let weights = weights();
            let used = toy.publics[0].publics.rows();
            let phi = |row: usize| weights[row] * fractions(toy, 0, row, buses)[1];
            let opened = proof.head.opened[0][air.mains + air.next.len() + 1];
            (0..used).map(phi).sum::<K>() == opened
        }
        // Rows of the chunks that two proofs share, of all else the same.
        Source::Chunks => shared(proof, other, 0, DIM * CHUNKS),
        // Values of the mask that two proofs share: they say nothing, so the folding shows the columns.
        Source::Folding => shared(proof, other, DIM * CHUNKS, DIM),
        // Equal rows have equal hashes: guesses of unopened rows can be tried.
        Source::Salts => {
            let salts: HashSet<_> = proof.salts.iter().collect();
            salts.len() < proof.salts.len()
        }
    }
}

/// Whether opened rows of the quotient tree's tallest matrix agree in some columns.
fn shared(a: &Parsed, b: &Parsed, first: usize, count: usize) -> bool {
    let top = a.rows[2].keys().map(|(level, _)| *level).max().unwrap();
    let both: Vec<_> = a.rows[2].iter().filter(|((level, _), _)| *level == top).collect();
    let mut compared = 0;
    let mut equal = 0;
    for (key, row) in both {
        let Some(other) = b.rows[2].get(key) else { continue };
        compared += 1;
        equal += usize::from(row[first..first + count] == other[first..first + count]);
    }
    assert!(compared > 20, "{compared} rows in common");
    equal > 0
}

/// A toy with so many queries that two proofs open many rows in common.
fn open_toy(hashing: Hashing) -> Toy {
    let mut toy = toy(&values(300), [11, 11]).hashed(hashing);
    let p = &mut toy.parameters;
    (p.queries, p.batch_bits, p.commit_bits, p.query_bits) = (900, 0, 0, 0);
    toy
}

fn proof_with(toy: &Toy, seeds: [Option<u64>; 6]) -> Parsed {
    let stream = Stream::scripted(seeds);
    let (proof, _) = prove_with(&toy.statement(7), toy.mains.clone(), stream).unwrap();
    toy.check(&proof).unwrap();
    Parsed::new(toy, &proof)
}

/// Two proofs of one witness. What blinds quotients differs between them, all else is drawn alike: were
/// chunks or mask not blinded, they would be the same.
fn pair(toy: &Toy, without: Option<Source>) -> [Parsed; 2] {
    [1, 2].map(|proof| {
        proof_with(
            toy,
            SOURCES.map(|source| {
                let own = matches!(source, Source::Chunks | Source::Folding);
                let seed = 100 + source as u64 + if own { 1000 * proof } else { 0 };
                (Some(source) != without).then_some(seed)
            }),
        )
    })
}

#[test]
fn each_source_of_blinding_is_needed() {
    BOTH.into_iter().for_each(blinding);
}

fn blinding(hashing: Hashing) {
    let toy = open_toy(hashing);
    for without in [None].into_iter().chain(SOURCES.map(Some)) {
        let [a, b] = pair(&toy, without);
        for source in SOURCES {
            let succeeds = attack(source, &toy, &a, &b);
            assert_eq!(succeeds, Some(source) == without, "{source:?} without {without:?}");
        }
    }
}

/// Without any randomness two proofs are the same: nothing else varies.
#[test]
fn all_randomness_comes_from_these_sources() {
    BOTH.into_iter().for_each(randomness);
}

fn randomness(hashing: Hashing) {
    let mut toy = open_toy(hashing);
    toy.parameters.queries = 40;
    let prove = |seeds: [Option<u64>; 6]| {
        prove_with(&toy.statement(7), toy.mains.clone(), Stream::scripted(seeds)).unwrap().0
    };
    assert!(prove([None; 6]) == prove([None; 6]));
    assert!(prove([Some(1); 6]) == prove([Some(1); 6]));
    for i in 0..6 {
        let mut seeds = [Some(1); 6];
        seeds[i] = Some(2);
        assert!(prove(seeds) != prove([Some(1); 6]), "{:?} blinds nothing", SOURCES[i]);
    }
}

/// Two witnesses of one statement: all that their proofs show is fresh, and of the same form.
#[test]
fn two_witnesses_of_one_statement_look_alike() {
    BOTH.into_iter().for_each(two_witnesses);
}

fn two_witnesses(hashing: Hashing) {
    let list = values(300);
    let reversed: Vec<u32> = list.iter().rev().copied().collect();
    let toys = [&list, &reversed, &list].map(|list| {
        let mut toy = toy(list, [12, 11]).hashed(hashing);
        (toy.parameters.query_bits, toy.parameters.batch_bits) = (0, 0);
        toy
    });
    assert!(toys[0].publics == toys[1].publics && toys[0].terms == toys[1].terms);
    assert!(toys[0].mains != toys[1].mains);
    let proofs = toys.each_ref().map(|toy| toy.prove().unwrap());
    let parsed: Vec<Parsed> =
        toys.iter().zip(&proofs).map(|(toy, proof)| Parsed::new(toy, proof)).collect();
    let (mut salts, mut words, mut hashes) = (HashSet::new(), HashSet::new(), HashSet::new());
    for (toy, proof) in toys.iter().zip(&parsed) {
        // Terminals say nothing but that the buses balance.
        let public = public_sum(&toy.terms, &proof.challenges.buses).unwrap();
        assert_eq!(proof.head.terminals.iter().copied().sum::<K>() + public, K::ZERO);
        assert!(proof.salts.iter().all(|salt| salts.insert(*salt)), "a salt repeats");
        for word in proof.words() {
            assert!(words.insert(word), "a word repeats");
        }
        assert!(proof.hashes.iter().all(|hash| hashes.insert(*hash)), "a hash repeats");
        // Everything before the openings has its place and length from the statement.
        let sizes = |p: &Parsed| -> Vec<usize> {
            let rows = p.head.opened.iter().map(Vec::len);
            rows.chain([p.head.terminals.len(), p.head.rounds.len(), p.head.last.len()]).collect()
        };
        assert_eq!(sizes(proof), sizes(&parsed[0]));
    }
    println!("{} salts, {} words, {} hashes, none twice", salts.len(), words.len(), hashes.len());
    assert!(salts.len() > 300 && words.len() > 3000 && hashes.len() > 500);
    // Opened elements of the main tree are uniform: about half of each bit is set.
    let mut ones = [0usize; 30];
    let mut count = 0usize;
    for word in parsed.iter().flat_map(|p| p.rows[0].values().flatten()) {
        let word = u32::from_le_bytes(*word);
        (0..30).for_each(|bit| ones[bit] += (word >> bit & 1) as usize);
        count += 1;
    }
    for (bit, ones) in ones.into_iter().enumerate() {
        let expected = count as f64 / 2.0;
        let deviation = (ones as f64 - expected).abs() / (count as f64 / 4.0).sqrt();
        assert!(deviation < 6.0, "bit {bit}: {ones} of {count}");
    }
}

/// Terminals of many proofs of one witness: no two agree in any coefficient, and they fill the field.
#[test]
fn terminals_are_spread_over_the_field() {
    let mut toy = toy(&[1, 2, 3], [11, 11]);
    let p = &mut toy.parameters;
    (p.queries, p.batch_bits, p.commit_bits, p.query_bits) = (2, 0, 0, 0);
    let (proofs, mut seen, mut halves) = (40, HashSet::new(), [0; DIM]);
    for _ in 0..proofs {
        let parsed = Parsed::new(&toy, &toy.prove().unwrap());
        assert!(seen.insert(bytes(&parsed.head.terminals[0])));
        for (half, c) in halves.iter_mut().zip(coefficients(&parsed.head.terminals[0])) {
            *half += usize::from(p3_field::PrimeField32::as_canonical_u32(c) < crate::hash::P / 2);
        }
    }
    // Outside of 5 … 35 of 40 with probability below 2^-19 each.
    assert!(halves.iter().all(|half| (5..=35).contains(half)), "{halves:?}");
    assert_eq!(columns::MASKS, DIM);
}
