//! The ledger of the transcript inside: what is absorbed changes every later challenge, and all are those
//! of `stark::verify`.

use p3_field::PrimeCharacteristicRing;

use super::subjects::SUBJECT;
use crate::hash::Elem;
use crate::recursion::child::{Child, Inner};
use crate::recursion::circuit::transcript::Transcript;
use crate::recursion::inner::Proven;
use crate::recursion::machine::{Machine, Use};
use crate::stark::field::K;
use crate::stark::statement::Statement;
use crate::stark::verify::{Head, Message, challenge};

/// Challenges in their order; the indices as elements.
type Challenges = Vec<Vec<K>>;

const ALPHA: usize = 0;
const GAMMA: usize = 2;
const ZETA: usize = 3;
const ETA: usize = 4;
const ROUNDS: usize = 5;

/// What the rows of a machine hold.
fn inside(child: &Child, inner: &Inner) -> Challenges {
    let mut machine = Machine::default();
    let said = Transcript::run(&mut machine, child, Some(inner));
    // The verifier's own challenges are demanded, and ζ is used by nobody else.
    let known: Vec<_> = machine.field.iter().map(|row| row.d).collect();
    let &[Use::Take(alpha), Use::Take(beta), Use::Take(zeta)] = &known[..] else {
        panic!("three challenges are demanded: {known:?}");
    };
    assert_eq!([alpha, beta], [said.alpha, said.beta]);
    let mut cells = vec![alpha, beta, said.gamma, zeta, said.eta];
    cells.extend(said.rounds.iter().map(|(_, beta)| *beta));
    let mut found: Challenges =
        machine.values(&cells).unwrap().into_iter().map(|x| vec![x]).collect();
    let statement = child.statement();
    let size = statement.heights()[0] + statement.parameters.log_blowup;
    let indices = said.indices.iter().map(|bits| {
        let bits = machine.values(&bits.cells[..size]).unwrap();
        bits.iter().rev().fold(K::ZERO, |index, &bit| index.double() + bit)
    });
    found.push(indices.collect());
    found
}

/// The head of a proof that says this.
fn head(inner: &Inner) -> Head {
    let work = |x: Elem| u64::from(p3_field::PrimeField32::as_canonical_u32(&x));
    Head {
        roots: inner.roots.map(|root| root.to_bytes()),
        terminals: inner.terminals.clone(),
        opened: vec![inner.opened.clone()],
        batch_work: work(inner.batch_work),
        rounds: inner.rounds.iter().map(|(root, w)| (root.to_bytes(), work(*w))).collect(),
        last: inner.last.clone(),
        query_work: work(inner.query_work),
    }
}

/// The challenges of docs/stark.md section 3, whatever the proofs of work.
fn by_the_page(statement: &Statement, head: &Head) -> Challenges {
    let parameters = statement.parameters;
    let mut t = statement.transcript();
    let absorb = |t: &mut crate::stark::transcript::Transcript, message: Message| {
        t.absorb(message.tag(), &head.message(message));
    };
    absorb(&mut t, Message::Main);
    let mut found = vec![t.element(), t.element()];
    absorb(&mut t, Message::Auxiliary);
    found.push(t.element());
    absorb(&mut t, Message::Quotient);
    found.push(t.element());
    absorb(&mut t, Message::Opened);
    t.check_work(parameters.batch_bits, head.batch_work);
    found.push(t.element());
    for (i, (_, work)) in head.rounds.iter().enumerate() {
        absorb(&mut t, Message::Round(i));
        t.check_work(parameters.commit_bits, *work);
        found.push(t.element());
    }
    absorb(&mut t, Message::Final);
    t.check_work(parameters.query_bits, head.query_work);
    let bits = statement.heights()[0] + parameters.log_blowup;
    let drawn = t.indices(parameters.queries, bits);
    let mut found: Challenges = found.into_iter().map(|x| vec![x]).collect();
    found.push(drawn.into_iter().map(K::from_usize).collect());
    found
}

/// Challenges before `first` stay, all others change, inside as outside.
fn item(name: &str, first: usize, change: impl FnOnce(&mut Inner)) {
    let Proven { child, mut inner } = SUBJECT.proven();
    let honest = inside(&child, &inner);
    change(&mut inner);
    let found = inside(&child, &inner);
    assert_eq!(found, by_the_page(&SUBJECT.statement(), &head(&inner)), "{name}");
    for (i, (found, honest)) in found.iter().zip(&honest).enumerate() {
        assert_eq!(found == honest, i < first, "{name}: challenge {i}");
    }
}

#[test]
fn challenges_are_those_of_the_verifier() {
    let Proven { child, inner } = SUBJECT.proven();
    let found = challenge(&SUBJECT.statement(), &head(&inner)).unwrap();
    let buses = &found.buses;
    let mut wanted = vec![buses.alpha, buses.powers[1], found.gamma, found.zeta, found.eta];
    wanted.extend(found.commitments.rounds.iter().map(|(_, _, beta)| *beta));
    let mut wanted: Challenges = wanted.into_iter().map(|x| vec![x]).collect();
    wanted.push(found.drawn.into_iter().map(K::from_usize).collect());
    assert_eq!(inside(&child, &inner), wanted);
    assert_eq!(by_the_page(&SUBJECT.statement(), &head(&inner)), wanted);
}

#[test]
fn every_message_changes_every_later_challenge() {
    let Proven { inner, .. } = SUBJECT.proven();
    let rounds = inner.rounds.len();
    for word in 0..8 {
        item("main root", ALPHA, |inner| inner.roots[0].0[word] += Elem::ONE);
        item("auxiliary root", GAMMA, |inner| inner.roots[1].0[word] += Elem::ONE);
        item("quotient root", ZETA, |inner| inner.roots[2].0[word] += Elem::ONE);
    }
    for i in 0..inner.terminals.len() {
        item("terminal", GAMMA, |inner| inner.terminals[i] += K::ONE);
    }
    for i in 0..inner.opened.len() {
        item("opened value", ETA, |inner| inner.opened[i] += K::ONE);
    }
    item("batch work", ETA, |inner| inner.batch_work += Elem::ONE);
    for i in 0..rounds {
        item("root of a round", ROUNDS + i, |inner| inner.rounds[i].0.0[7] += Elem::ONE);
        item("work of a round", ROUNDS + i, |inner| inner.rounds[i].1 += Elem::ONE);
    }
    for i in 0..inner.last.len() {
        let x = crate::stark::field::basis(i % 5);
        item("final coefficient", ROUNDS + rounds, |inner| inner.last[i] += x);
    }
    item("query work", ROUNDS + rounds, |inner| inner.query_work += Elem::ONE);
}

/// What comes before the first message changes all challenges.
#[test]
fn the_start_changes_every_challenge() {
    let Proven { child, inner } = SUBJECT.proven();
    let honest = inside(&child, &inner);
    let other = SUBJECT.toy.statement(8);
    let child = Child::new(&other, &super::subjects::TOYS, child.points).unwrap();
    let found = inside(&child, &inner);
    assert_eq!(found, by_the_page(&other, &head(&inner)));
    assert!(found.iter().zip(&honest).all(|(found, honest)| found != honest));
}
