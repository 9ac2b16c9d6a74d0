//! The ledger of the transcript (docs/stark.md section 3): what is absorbed, what it changes, and what
//! is not absorbed and why.

use super::super::field::{K, basis, coefficients};
use super::super::transcript::{Prefix, Transcript, tag};
use super::super::verify::{Challenges, Head, challenge, verify};
use super::*;

/// What a proof does not absorb, and what binds it instead.
const NOT_ABSORBED: &[(&str, &str)] = &[
    ("openings", "rows, salts and siblings lead to roots that are absorbed"),
    ("public columns", "functions of what the context binds; evaluated by the verifier itself"),
    ("public terms", "functions of what the context binds; summed by the verifier itself"),
    ("target", "decides whether a proof is looked at, not what it says; follows from the segments"),
];

/// A statement's parts and a proof's head, to be changed.
#[derive(Clone)]
struct Parts {
    context: [u8; 32],
    tables: Tables,
    publics: Vec<PublicTable>,
    parameters: Parameters,
    head: Head,
}

impl Parts {
    fn new(toy: &Toy, proof: &[u8]) -> Self {
        let head = Head::read(&toy.statement(7), &mut Reader::new(proof, CODES)).unwrap();
        Self {
            context: [7; 32],
            tables: toy.tables.clone(),
            publics: toy.publics.clone(),
            parameters: toy.parameters,
            head,
        }
    }

    fn statement(&self) -> Statement<'_> {
        Statement {
            tables: &self.tables,
            publics: &self.publics,
            terms: &[],
            parameters: &self.parameters,
            context: self.context,
        }
    }

    /// The verifier's challenges in their order, as bytes.
    fn challenges(&self) -> Option<Vec<Vec<u8>>> {
        challenge(&self.statement(), &self.head).ok().map(|found| listed(&found))
    }

    /// The same by the page: absorbs and squeezes in the order of its table.
    fn by_the_page(&self) -> Vec<Vec<u8>> {
        let (p, head) = (&self.parameters, &self.head);
        let bytes = |values: &[K]| -> Vec<u8> {
            let parts = values.iter().flat_map(coefficients);
            parts.flat_map(|c| p3_field::PrimeField32::as_canonical_u32(c).to_le_bytes()).collect()
        };
        let [queries, hiding] = [p.queries, p.hiding_rows].map(|x| (x as u16).to_le_bytes());
        let mut parameters = vec![p.log_blowup as u8, p.log_folding as u8, p.log_final as u8];
        parameters.extend([queries, hiding].concat());
        parameters.extend([p.batch_bits as u8, p.commit_bits as u8, p.query_bits as u8]);
        let mut tables = self.tables.digest.to_vec();
        tables.push(self.publics.len() as u8);
        self.publics.iter().for_each(|t| tables.extend([t.index as u8, t.log_rows as u8]));
        let (context, parameters) = (&self.context, &parameters);
        let prefix = Prefix { context, parameters, tables: &tables };
        let mut t = Transcript::new(p.hashing, prefix);
        t.absorb(4, &head.roots[0]);
        let mut out = vec![t.element(), t.element()];
        t.absorb(5, &[&head.roots[1][..], &bytes(&head.terminals)].concat());
        out.push(t.element());
        t.absorb(6, &head.roots[2]);
        out.push(t.element());
        t.absorb(7, &bytes(&head.opened.concat()));
        t.check_work(p.batch_bits, head.batch_work);
        out.push(t.element());
        for (root, work) in &head.rounds {
            t.absorb(8, root);
            t.check_work(p.commit_bits, *work);
            out.push(t.element());
        }
        t.absorb(9, &bytes(&head.last));
        t.check_work(p.query_bits, head.query_work);
        let bits = self.statement().heights()[0] + p.log_blowup;
        let drawn = t.indices(p.queries, bits);
        let mut out: Vec<Vec<u8>> = out.iter().map(|x| bytes(&[*x])).collect();
        out.push(drawn.into_iter().flat_map(usize::to_le_bytes).collect());
        out
    }
}

fn listed(found: &Challenges) -> Vec<Vec<u8>> {
    let bytes = |x: &K| {
        let mut out = Vec::new();
        super::super::field::put(&mut out, x);
        out
    };
    let mut out = vec![bytes(&found.buses.alpha), bytes(&found.buses.powers[1])];
    out.extend([&found.gamma, &found.zeta, &found.eta].map(bytes));
    out.extend(found.commitments.rounds.iter().map(|(_, _, beta)| bytes(beta)));
    out.push(found.drawn.iter().flat_map(|i| i.to_le_bytes()).collect());
    let mut once = found.drawn.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, found.indices);
    out
}

/// Numbers of challenges.
const ALPHA: usize = 0;
const GAMMA: usize = 2;
const ZETA: usize = 3;
const ETA: usize = 4;
const ROUNDS: usize = 5;

struct Ledger {
    parts: Parts,
    honest: Vec<Vec<u8>>,
    items: usize,
}

impl Ledger {
    fn new(parts: Parts) -> Self {
        let honest = parts.challenges().unwrap();
        assert_eq!(
            honest,
            parts.by_the_page(),
            "the verifier's transcript is not that of the page"
        );
        Self { parts, honest, items: 0 }
    }

    /// Changes an item: challenges before `first` stay, all others change.
    fn item(&mut self, name: &str, first: usize, change: impl FnOnce(&mut Parts)) {
        let mut parts = self.parts.clone();
        change(&mut parts);
        let found = parts.challenges().unwrap_or_else(|| panic!("{name}: no challenges"));
        for (i, (found, honest)) in found.iter().zip(&self.honest).enumerate() {
            assert_eq!(found == honest, i < first, "{name}: challenge {i}");
        }
        self.items += 1;
    }
}

fn proven(hashing: Hashing, bits: usize) -> (Toy, Vec<u8>) {
    let mut toy = toy(&values(300), [12, 11]).hashed(hashing);
    let p = &mut toy.parameters;
    (p.batch_bits, p.commit_bits, p.query_bits) = (bits, bits, bits);
    let proof = toy.prove().unwrap();
    toy.check(&proof).unwrap();
    (toy, proof)
}

#[test]
fn every_absorbed_item_changes_every_later_challenge() {
    BOTH.into_iter().for_each(absorbed_items);
}

fn absorbed_items(hashing: Hashing) {
    let (toy, proof) = proven(hashing, 0);
    let mut ledger = Ledger::new(Parts::new(&toy, &proof));
    for i in 0..32 {
        ledger.item("context", ALPHA, |parts| parts.context[i] ^= 1);
        ledger.item("tables digest", ALPHA, |parts| parts.tables.digest[i] ^= 1);
    }
    ledger.item("log blowup", ALPHA, |parts| parts.parameters.log_blowup += 1);
    ledger.item("log folding", ALPHA, |parts| parts.parameters.log_folding -= 1);
    ledger.item("log final length", ALPHA, |parts| parts.parameters.log_final -= 1);
    ledger.item("queries, low byte", ALPHA, |parts| parts.parameters.queries -= 1);
    ledger.item("queries, high byte", ALPHA, |parts| parts.parameters.queries += 256);
    ledger.item("hiding rows, low byte", ALPHA, |parts| parts.parameters.hiding_rows += 1);
    ledger.item("hiding rows, high byte", ALPHA, |parts| parts.parameters.hiding_rows += 256);
    ledger.item("index of a table", ALPHA, |parts| parts.publics[0].index = 1);
    ledger.item("height of the tallest", ALPHA, |parts| parts.publics[0].log_rows = 13);
    ledger.item("height of a table", ALPHA, |parts| parts.publics[1].log_rows = 12);
    ledger.item("number of tables", ALPHA, |parts| parts.publics.truncate(1));
    for i in 0..32 {
        ledger.item("main root", ALPHA, |parts| parts.head.roots[0][i] ^= 1);
        ledger.item("auxiliary root", GAMMA, |parts| parts.head.roots[1][i] ^= 1);
        ledger.item("quotient root", ZETA, |parts| parts.head.roots[2][i] ^= 1);
    }
    let head = ledger.parts.head.clone();
    for i in 0..5 {
        for t in 0..head.terminals.len() {
            ledger.item("terminal", GAMMA, |parts| parts.head.terminals[t] += basis(i));
        }
        for (part, opened) in head.opened.iter().enumerate() {
            for j in 0..opened.len() {
                ledger.item("opened value", ETA, |parts| parts.head.opened[part][j] += basis(i));
            }
        }
        for j in 0..head.last.len() {
            let after = ROUNDS + head.rounds.len();
            ledger.item("final polynomial", after, |parts| parts.head.last[j] += basis(i));
        }
    }
    for round in 0..head.rounds.len() {
        for i in 0..32 {
            let first = ROUNDS + round;
            ledger.item("round root", first, |parts| parts.head.rounds[round].0[i] ^= 1);
        }
    }
    // Grinding bits: a proof of work that suffices for more bits suffices for none.
    for (name, bits) in
        [("batch bits", [1, 0, 0]), ("commit bits", [0, 1, 0]), ("query bits", [0, 0, 1])]
    {
        let mut parts = ledger.parts.clone();
        let p = &mut parts.parameters;
        [p.batch_bits, p.commit_bits, p.query_bits] = bits;
        let [a, b] = [&parts, &ledger.parts].map(|parts| parts.statement().transcript().element());
        assert!(a != b, "{name}");
        ledger.items += 1;
    }
    println!("{} items change all later challenges", ledger.items);
    assert!(ledger.items > 500);
}

#[test]
fn proofs_of_work_are_absorbed() {
    BOTH.into_iter().for_each(absorbed_work);
}

fn absorbed_work(hashing: Hashing) {
    let (toy, proof) = proven(hashing, 2);
    let mut ledger = Ledger::new(Parts::new(&toy, &proof));
    let rounds = ledger.parts.head.rounds.len();
    // Another proof of work that suffices where it stands; those behind it are found anew.
    let places = (0..rounds + 2).map(|i| if i == 0 { ETA } else { ROUNDS + i - 1 });
    for (place, first) in places.enumerate() {
        let mut parts = ledger.parts.clone();
        let old = *work(&mut parts.head, place);
        let mut tried = old;
        loop {
            tried += 1;
            *work(&mut parts.head, place) = tried;
            if let Some(found) = redone(&mut parts, place + 1) {
                for (i, (found, honest)) in found.iter().zip(&ledger.honest).enumerate() {
                    assert_eq!(found == honest, i < first, "work {place}: challenge {i}");
                }
                break;
            }
            assert!(tried < old + 1000);
        }
        ledger.items += 1;
    }
    assert_eq!(ledger.items, rounds + 2);
}

fn work(head: &mut Head, place: usize) -> &mut u64 {
    match place {
        0 => &mut head.batch_work,
        _ if place <= head.rounds.len() => &mut head.rounds[place - 1].1,
        _ => &mut head.query_work,
    }
}

/// Searches the proofs of work from a place on.
fn redone(parts: &mut Parts, place: usize) -> Option<Vec<Vec<u8>>> {
    if let Some(found) = parts.challenges() {
        return Some(found);
    }
    if place > parts.head.rounds.len() + 1 {
        return None;
    }
    (0..24).find_map(|tried| {
        *work(&mut parts.head, place) = tried;
        // Goes on only where this one suffices.
        parts.reaches(place).then(|| redone(parts, place + 1)).flatten()
    })
}

impl Parts {
    /// Whether the proofs of work up to a place suffice.
    fn reaches(&self, place: usize) -> bool {
        let mut t = self.statement().transcript();
        let (p, head) = (&self.parameters, &self.head);
        let bytes = |values: &[K]| {
            let mut out = Vec::new();
            values.iter().for_each(|x| super::super::field::put(&mut out, x));
            out
        };
        t.absorb(tag::MAIN, &head.roots[0]);
        let _ = (t.element(), t.element());
        t.absorb(tag::AUXILIARY, &[&head.roots[1][..], &bytes(&head.terminals)].concat());
        let _ = t.element();
        t.absorb(tag::QUOTIENT, &head.roots[2]);
        let _ = t.element();
        t.absorb(tag::OPENED, &bytes(&head.opened.concat()));
        let mut good = t.check_work(p.batch_bits, head.batch_work);
        let _ = t.element();
        for (root, work) in &head.rounds[..place.min(head.rounds.len())] {
            t.absorb(tag::ROUND, root);
            good &= t.check_work(p.commit_bits, *work);
            let _ = t.element();
        }
        if place > head.rounds.len() {
            t.absorb(tag::FINAL, &bytes(&head.last));
            good &= t.check_work(p.query_bits, head.query_work);
        }
        good
    }
}

#[test]
fn what_is_not_absorbed_is_bound_otherwise() {
    BOTH.into_iter().for_each(not_absorbed);
}

fn not_absorbed(hashing: Hashing) {
    let (toy, proof) = proven(hashing, 0);
    let honest = Parts::new(&toy, &proof).challenges().unwrap();
    let mut shown = Vec::new();

    // The openings: everything behind the head.
    let mut reader = Reader::new(&proof, CODES);
    Head::read(&toy.statement(7), &mut reader).unwrap();
    let head = proof.len() - reader.remaining();
    for at in (head..proof.len()).step_by(reader.remaining() / 40) {
        let mut bad = proof.clone();
        bad[at] ^= 1;
        assert_eq!(Parts::new(&toy, &bad).challenges().unwrap(), honest);
        assert!(toy.check(&bad).is_err());
    }
    // Nothing before them is free.
    for at in (0..head).step_by(61) {
        let mut bad = proof.clone();
        bad[at] ^= 1;
        assert!(toy.check(&bad).is_err());
    }
    shown.push("openings");

    let mut parts = Parts::new(&toy, &proof);
    parts.publics[0].publics.row_mut(3)[2] += Elem::ONE;
    assert_eq!(parts.challenges().unwrap(), honest);
    let mut reader = Reader::new(&proof, CODES);
    let statement = Statement { terms: &toy.terms, ..parts.statement() };
    assert_eq!(verify(&statement, &mut reader).unwrap_err().code, "verify.stark");
    shown.push("public columns");

    let mut terms = toy.terms.clone();
    terms[0].tuples.values[0] += Elem::ONE;
    let parts = Parts::new(&toy, &proof);
    let mut reader = Reader::new(&proof, CODES);
    let statement = Statement { terms: &terms, ..parts.statement() };
    assert_eq!(listed(&challenge(&statement, &parts.head).unwrap()), honest);
    assert_eq!(verify(&statement, &mut reader).unwrap_err().code, "verify.stark");
    shown.push("public terms");

    let mut parts = Parts::new(&toy, &proof);
    parts.parameters.target = 200.0;
    assert_eq!(parts.challenges().unwrap(), honest);
    let mut reader = Reader::new(&proof, CODES);
    let statement = Statement { terms: &toy.terms, ..parts.statement() };
    assert_eq!(verify(&statement, &mut reader).unwrap_err().code, "security.insufficient");
    shown.push("target");

    assert_eq!(shown, NOT_ABSORBED.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
