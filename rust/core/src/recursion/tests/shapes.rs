//! Statements of many shapes: the number of rows that verify them, and whole proofs.

use p3_field::PrimeCharacteristicRing;

use super::subjects::{FEW, Subject, machine, refusal};
use crate::bytes::{Codes, Reader};
use crate::hash::Elem;
use crate::recursion::inner::Proven;
use crate::recursion::machine::Machine;
use crate::recursion::tables::TABLES;
use crate::stark::parameters::Parameters;
use crate::stark::prove::prove;
use crate::stark::statement::{CHUNKS, Statement};
use crate::stark::tests::{Toy, toy, values};
use crate::stark::verify::verify;

const BLOCK: usize = 8;
const DIM: usize = 5;

/// Rows of the hash table that verify a proof of a statement, by docs/recursion.md section 4.
fn hash_rows(statement: &Statement) -> usize {
    let p = statement.parameters;
    let message = |elements: usize| 1 + elements.div_ceil(BLOCK);
    // The witness absorbed; the word that is looked at.
    let work = |bits: usize| if bits > 0 { message(1) + 1 } else { 0 };
    let element = 2;
    let opened = statement.airs().map(|(air, _)| air.openings()).sum::<usize>()
        + CHUNKS * statement.heights().len();
    let round = message(BLOCK) + work(p.commit_bits) + element;
    let transcript = 1
        + (message(BLOCK) + 2 * element)
        + (message(BLOCK + DIM * statement.publics.len()) + element)
        + (message(BLOCK) + element)
        + (message(DIM * opened) + work(p.batch_bits) + element)
        + statement.rounds().len() * round
        + message(DIM << p.log_final)
        + work(p.query_bits)
        + p.queries.div_ceil(BLOCK);
    let tree = |widths: crate::stark::tree::Widths| {
        let row = |widths: &Vec<usize>| (widths.iter().sum::<usize>() + 4).div_ceil(BLOCK);
        let levels = *widths.keys().last().unwrap();
        widths.values().map(row).sum::<usize>() + levels + widths.len() - 1
    };
    let folded = |round: crate::stark::statement::Round| {
        (DIM << round.log_arity).div_ceil(BLOCK) + round.log_size - round.log_arity
    };
    let query = statement.widths().into_iter().map(tree).sum::<usize>()
        + statement.rounds().into_iter().map(folded).sum::<usize>();
    transcript + p.queries * query
}

fn rows(machine: &Machine) -> [usize; 5] {
    let Machine { hash, dot, cells, bits, field, .. } = machine;
    [hash.len(), dot.len(), cells.len(), bits.len(), field.len()]
}

fn of(log_rows: [usize; 2], change: impl Fn(&mut Parameters)) -> Subject {
    let mut toy = Toy { parameters: *FEW, ..toy(&values(300), log_rows) };
    change(&mut toy.parameters);
    Subject::new(toy, 7)
}

/// The last table by itself: nothing is looked up in it.
fn alone() -> Subject {
    let mut toy = Toy { parameters: *FEW, ..toy(&values(300), [11, 11]) };
    toy.publics.remove(0);
    toy.mains.remove(0);
    toy.mains[0].main.values.fill(Elem::ZERO);
    toy.terms.clear();
    Subject::new(toy, 7)
}

/// Subjects with the rows that verify them, by table.
fn subjects() -> Vec<(&'static str, Subject, [usize; 5])> {
    let nothing = |_: &mut Parameters| {};
    let no_work = |p: &mut Parameters| {
        (p.batch_bits, p.commit_bits, p.query_bits) = (0, 0, 0);
    };
    vec![
        ("equal heights", of([11, 11], nothing), EQUAL),
        ("the first taller", of([13, 11], nothing), FIRST),
        ("the last taller", of([11, 14], nothing), LAST),
        ("one table", alone(), ALONE),
        ("folding by 2", of([12, 11], |p| p.log_folding = 1), BY_TWO),
        ("folding by 4", of([12, 11], |p| p.log_folding = 2), BY_FOUR),
        ("one query", of([12, 11], |p| p.queries = 1), ONE_QUERY),
        ("nine queries", of([12, 11], |p| p.queries = 9), NINE_QUERIES),
        ("no work", of([12, 11], no_work), NO_WORK),
        ("a long polynomial", of([12, 11], |p| p.log_final = 7), LONG),
        ("a blowup of 4", of([12, 11], |p| p.log_blowup = 2), BLOWUP),
    ]
}

/// Rows of hash, dot, cells, bits, field.
const EQUAL: [usize; 5] = [317, 42, 35, 217, 438];
const FIRST: [usize; 5] = [420, 54, 43, 248, 534];
const LAST: [usize; 5] = [435, 54, 43, 248, 568];
const ALONE: [usize; 5] = [301, 30, 30, 217, 352];
const BY_TWO: [usize; 5] = [574, 54, 59, 372, 476];
const BY_FOUR: [usize; 5] = [445, 54, 47, 279, 485];
const ONE_QUERY: [usize; 5] = [192, 18, 37, 186, 312];
const NINE_QUERIES: [usize; 5] = [1057, 162, 61, 434, 1112];
const NO_WORK: [usize; 5] = [393, 54, 43, 93, 512];
const LONG: [usize; 5] = [465, 54, 55, 248, 744];
const BLOWUP: [usize; 5] = [390, 54, 43, 248, 512];

#[test]
fn proofs_of_every_shape_pass() {
    let mut wrong = Vec::new();
    for (name, subject, wanted) in subjects() {
        let Proven { child, inner } = subject.proven();
        let machine = machine([(&child, &inner)]);
        assert_eq!(refusal(&machine), None, "{name}");
        machine.witness().unwrap();
        let found = rows(&machine);
        let statement = subject.statement();
        let works = [statement.parameters.batch_bits, statement.parameters.query_bits];
        let works = works.into_iter().filter(|&bits| bits > 0).count()
            + statement.rounds().len() * usize::from(statement.parameters.commit_bits > 0);
        assert_eq!(found[0], hash_rows(&statement), "{name}");
        assert_eq!(found[3], 31 * (works + statement.parameters.queries), "{name}");
        if found != wanted {
            wrong.push((name, found));
        }
        // The verifier finds the same rows without the proof.
        let mut again = Machine::default();
        crate::recursion::circuit::verify(&mut again, &child, None);
        assert_eq!(again.publics(&FEW).unwrap(), machine.publics(&FEW).unwrap(), "{name}");
        assert_eq!(again.terms(), machine.terms(), "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn statement<'a>(
    publics: &'a [crate::stark::PublicTable],
    terms: &'a [crate::stark::PublicTerms],
) -> Statement<'a> {
    Statement { tables: &TABLES, publics, terms, parameters: &FEW, context: [1; 32] }
}

/// A proof that a proof verifies is itself verified inside, and proven.
#[test]
fn a_proof_of_a_proof_of_a_proof_verifies() {
    let subjects = [of([12, 11], |_| {}), alone()];
    let leaves: Vec<Proven> = subjects.iter().map(Subject::proven).collect();
    let mut machine = machine(leaves.iter().map(|proven| (&proven.child, &proven.inner)));
    for layer in 0..2 {
        let (publics, terms) = (machine.publics(&FEW).unwrap(), machine.terms());
        let statement = statement(&publics, &terms);
        let (proof, _) = prove(&statement, machine.witness().unwrap()).unwrap();
        let mut reader = Reader::new(&proof, Codes::all("receipt.truncated"));
        verify(&statement, &mut reader).unwrap();
        assert_eq!(reader.remaining(), 0, "layer {layer}");
        // It is none of other rows.
        let mut other = publics.clone();
        let column = crate::recursion::tables::hash::PUBLIC.begin[0];
        other[0].publics.row_mut(1)[column] += Elem::ONE;
        let other = self::statement(&other, &terms);
        let mut reader = Reader::new(&proof, Codes::all("receipt.truncated"));
        assert_eq!(verify(&other, &mut reader).unwrap_err().code, "verify.stark");
        let Proven { child, inner } = Proven::read(&statement, &TABLES, &proof).unwrap();
        machine = super::subjects::machine([(&child, &inner)]);
        assert_eq!(refusal(&machine), None, "layer {layer}");
    }
}
