//! Whole proofs: what is inside changed in each field, and what the verifier knows of it.
//!
//! A liar here works out every row from what he has, and passes over what is demanded; nothing that he
//! then has may pass.

use p3_field::PrimeCharacteristicRing;
use rayon::prelude::*;

use super::subjects::{FEW, OTHER, SUBJECT, TOYS, machine, refusal};
use crate::hash::Elem;
use crate::recursion::child::{Child, HeightAt, Inner, Path, Points};
use crate::recursion::inner::Proven;
use crate::stark::field::K;
use crate::stark::parameters::Parameters;
use crate::stark::tests::{Toy, toy, values};

/// A field of a proof, and how to change it.
struct Change {
    name: String,
    change: Box<dyn Fn(&mut Inner) + Send + Sync>,
}

fn change(name: String, change: impl Fn(&mut Inner) + Send + Sync + 'static) -> Change {
    Change { name, change: Box::new(change) }
}

/// A path of a query: one of the three trees, or behind them that of a round.
fn path(inner: &mut Inner, q: usize, number: usize) -> &mut Path {
    let query = &mut inner.queries[q];
    if number < 3 { &mut query.trees[number] } else { &mut query.rounds[number - 3] }
}

/// Changes of every word of a path, or of every so many.
fn of_path(of: &Path, q: usize, number: usize, step: usize) -> Vec<Change> {
    let mut all = Vec::new();
    for (i, row) in of.rows.iter().enumerate() {
        for word in (0..row.len()).step_by(step) {
            let name = format!("query {q} path {number}: word {word} of row {i}");
            let change = move |inner: &mut Inner| path(inner, q, number).rows[i][word] += Elem::ONE;
            all.push(self::change(name, change));
        }
    }
    for level in (0..of.siblings.len()).step_by(step) {
        let name = format!("query {q} path {number}: sibling {level}");
        all.push(change(name, move |inner| {
            path(inner, q, number).siblings[level].0[level % 8] += Elem::ONE;
        }));
    }
    all
}

/// Changes of every field.
fn changes(inner: &Inner) -> Vec<Change> {
    let mut all = Vec::new();
    for tree in 0..3 {
        for word in 0..8 {
            let name = format!("root {tree}, word {word}");
            all.push(change(name, move |inner| inner.roots[tree].0[word] += Elem::ONE));
        }
    }
    for i in 0..inner.terminals.len() {
        all.push(change(format!("terminal {i}"), move |inner| inner.terminals[i] += K::ONE));
    }
    all.push(change("terminals, balanced".into(), |inner| {
        inner.terminals[0] += K::ONE;
        inner.terminals[1] -= K::ONE;
    }));
    for i in 0..inner.opened.len() {
        all.push(change(format!("opened value {i}"), move |inner| inner.opened[i] += K::ONE));
    }
    all.push(change("batch work".into(), |inner| inner.batch_work += Elem::ONE));
    all.push(change("query work".into(), |inner| inner.query_work += Elem::ONE));
    for i in 0..inner.rounds.len() {
        let root = move |inner: &mut Inner| inner.rounds[i].0.0[i % 8] += Elem::ONE;
        all.push(change(format!("root of round {i}"), root));
        let work = move |inner: &mut Inner| inner.rounds[i].1 += Elem::ONE;
        all.push(change(format!("work of round {i}"), work));
    }
    for i in 0..inner.last.len() {
        all.push(change(format!("final coefficient {i}"), move |inner| inner.last[i] += K::ONE));
    }
    for (q, query) in inner.queries.iter().enumerate() {
        // One query is as good as another.
        let step = if q == 0 { 1 } else { 13 };
        for (number, path) in query.trees.iter().chain(&query.rounds).enumerate() {
            all.extend(of_path(path, q, number, step));
        }
    }
    all
}

#[test]
fn a_true_proof_passes() {
    for subject in [&SUBJECT, &OTHER] {
        let Proven { child, inner } = subject.proven();
        let machine = machine([(&child, &inner)]);
        machine.witness().unwrap();
        assert_eq!(refusal(&machine), None);
    }
}

#[test]
fn a_proof_changed_in_any_field_is_refused() {
    let all = changes(&SUBJECT.proven().inner);
    println!("{} changes", all.len());
    assert!(all.len() > 300, "{}", all.len());
    let accepted: Vec<String> = all
        .into_par_iter()
        .filter_map(|Change { name, change }| {
            let Proven { child, mut inner } = SUBJECT.proven();
            change(&mut inner);
            let machine = machine([(&child, &inner)]);
            // One who does not pass over demands sees it by himself.
            let seen = machine.witness().is_err_and(|error| error.code == "prove.witness");
            (!seen || refusal(&machine).is_none()).then_some(name)
        })
        .collect();
    assert!(accepted.is_empty(), "{accepted:?}");
}

/// Demands that a true proof is refused by a verifier who knows something else.
fn refused(name: &str, change: impl FnOnce(&mut Child)) {
    let Proven { mut child, inner } = SUBJECT.proven();
    change(&mut child);
    let machine = machine([(&child, &inner)]);
    assert!(machine.witness().is_err(), "{name}");
    assert!(refusal(&machine).is_some(), "{name}");
}

#[test]
fn everything_that_the_verifier_works_out_counts() {
    for i in 0..8 {
        refused("start", |child| child.start.0[i] += Elem::ONE);
    }
    refused("α", |child| child.points.alpha += K::ONE);
    refused("β", |child| child.points.beta += K::ONE);
    refused("ζ", |child| child.points.zeta += K::ONE);
    refused("public sum", |child| child.public_sum += K::ONE);
    let Proven { child, .. } = SUBJECT.proven();
    for (t, publics) in child.publics.iter().enumerate() {
        for c in 0..publics.len() {
            refused("a public column at ζ", |child| child.publics[t][c] += K::ONE);
        }
    }
    type Field = fn(&mut HeightAt) -> &mut K;
    let fields: [(&str, Field); 5] = [
        ("first", |at| &mut at.first),
        ("last", |at| &mut at.last),
        ("vanishing", |at| &mut at.vanishing),
        ("step", |at| &mut at.step),
        ("next", |at| &mut at.next),
    ];
    for height in 0..child.heights.len() {
        for (name, field) in fields {
            refused(name, |child| *field(&mut child.heights[height]) += K::ONE);
        }
    }
}

/// What a verifier of another statement knows at the points of the proof.
fn child_of(change: impl FnOnce(&mut Toy)) -> Child {
    let mut toy = Toy { parameters: *FEW, ..toy(&values(300), [12, 11]) };
    change(&mut toy);
    Child::new(&toy.statement(7), &TOYS, SUBJECT.proven().child.points).unwrap()
}

/// A true proof before a verifier of another statement; whether both begin with the same state.
fn refused_for(name: &str, change: impl FnOnce(&mut Toy)) -> bool {
    let Proven { child: of_proof, inner } = SUBJECT.proven();
    let child = child_of(change);
    let machine = machine([(&child, &inner)]);
    assert!(machine.witness().is_err(), "{name}");
    assert!(refusal(&machine).is_some(), "{name}");
    child.start == of_proof.start
}

/// The columns at ζ and the public sum are the verifier's own: that they count does not hang on what a
/// context binds.
#[test]
fn a_proof_of_other_columns_is_refused() {
    let same = [
        refused_for("a public cell", |toy| toy.publics[0].publics.row_mut(3)[2] = Elem::ZERO),
        refused_for("a public term", |toy| toy.terms[0].tuples.values[0] += Elem::ONE),
        refused_for("a term less", |toy| toy.terms[0].tuples.values.clear()),
        refused_for("a term twice", |toy| toy.terms[0].tuples.values.extend_from_within(..)),
    ];
    assert_eq!(same, [true; 4]);
}

#[test]
fn a_proof_of_another_statement_is_refused() {
    let same = [
        refused_for("fewer queries", |toy| toy.parameters.queries -= 1),
        refused_for("less work", |toy| toy.parameters.query_bits -= 1),
        refused_for("more work", |toy| toy.parameters.commit_bits += 9),
        refused_for("fewer hiding rows", |toy| toy.parameters.hiding_rows -= 1),
        refused_for("other tables", |toy| toy.tables.digest[0] ^= 1),
    ];
    assert_eq!(same, [false; 5]);
    let Proven { child, inner } = SUBJECT.proven();
    let other = SUBJECT.toy.statement(9);
    let child = Child::new(&other, &TOYS, child.points).unwrap();
    assert!(refusal(&machine([(&child, &inner)])).is_some(), "another context");
}

/// Of another shape, what is inside fits no row; it begins otherwise all the same.
#[test]
fn every_parameter_and_height_begins_otherwise() {
    let changes: [fn(&mut Toy); 11] = [
        |_| {},
        |toy| toy.parameters.queries += 1,
        |toy| toy.parameters.log_blowup = 2,
        |toy| toy.parameters.log_folding = 2,
        |toy| toy.parameters.log_final = 6,
        |toy| toy.parameters.hiding_rows += 1,
        |toy| toy.parameters.batch_bits = 0,
        |toy| toy.parameters.commit_bits = 0,
        |toy| toy.parameters.query_bits = 0,
        |toy| toy.publics[1].log_rows = 12,
        |toy| toy.publics[0].log_rows = 13,
    ];
    let mut starts: Vec<_> = changes.iter().map(|change| child_of(change).start).collect();
    assert_eq!(starts[0], SUBJECT.proven().child.start);
    starts.sort_unstable_by_key(|start| start.to_bytes());
    starts.dedup();
    assert_eq!(starts.len(), changes.len());
}

/// What has no transcript of Poseidon2 is not verified inside.
#[test]
fn a_proof_of_another_profile_is_refused() {
    let points = SUBJECT.proven().child.points;
    for profile in [0, 1, 3] {
        let parameters = Parameters::new(profile, 1, 0).unwrap();
        let toy = Toy { parameters, ..toy(&values(300), [12, 11]) };
        let refused = Child::new(&toy.statement(7), &TOYS, points).err();
        assert_eq!(refused.expect("refused").code, "usage");
    }
}

#[test]
fn points_that_no_verifier_may_have_are_refused() {
    let Proven { child, .. } = SUBJECT.proven();
    let new = |points| Child::new(&SUBJECT.statement(), &TOYS, points).err().map(|e| e.code);
    for zeta in [K::ZERO + K::ONE, K::from(crate::stark::field::shift())] {
        assert_eq!(new(Points { zeta, ..child.points }), Some("verify.stark"));
    }
    // The denominator of the public term vanishes.
    let run = SUBJECT.toy.terms[0].tuples.values[0];
    let bus = Elem::new(SUBJECT.toy.terms[0].bus);
    let alpha = child.points.beta * run + K::from(bus);
    assert_eq!(new(Points { alpha, ..child.points }), Some("verify.stark"));
    assert_eq!(new(child.points), None);
}

#[test]
fn a_proof_stands_in_no_other_place() {
    let (one, other) = (SUBJECT.proven(), OTHER.proven());
    let pairs = |inner: [&Inner; 2]| machine([&one.child, &other.child].into_iter().zip(inner));
    assert_eq!(refusal(&pairs([&one.inner, &other.inner])), None);
    assert!(refusal(&pairs([&other.inner, &one.inner])).is_some(), "exchanged");
    assert!(refusal(&pairs([&one.inner, &one.inner])).is_some(), "repeated");
    assert!(refusal(&pairs([&other.inner, &other.inner])).is_some(), "repeated");
    // The proof of one with its own points, where the other is asked for.
    let points = |from: &Child| Child::new(&SUBJECT.statement(), &TOYS, from.points).unwrap();
    let child = points(&other.child);
    assert!(refusal(&machine([(&child, &one.inner)])).is_some(), "points of the other");
    assert!(refusal(&machine([(&child, &other.inner)])).is_some(), "points and proof of the other");
}
