//! What the circuit checks, and what each check looks at.
//!
//! The transcript makes every challenge hang on every message, so that a changed message is refused
//! whatever else is checked. Here the transcript is cut off: what is left is who looks at a value itself.

use std::collections::{BTreeSet, HashMap};

use p3_field::{Field, PrimeCharacteristicRing};

use super::subjects::{FEW, SUBJECT, Subject, TOYS, machine, refusal};
use crate::hash::Elem;
use crate::recursion::child::Child;
use crate::recursion::circuit;
use crate::recursion::circuit::transcript::{Opened, Transcribed, Transcript};
use crate::recursion::inner::Proven;
use crate::recursion::machine::{Bit, Block, Cell, Coefficients, FieldRow, Machine, Use};
use crate::recursion::tables::BLOCK;
use crate::stark::field::DIM;
use crate::stark::tests::{Toy, toy, values};

/// Something that a machine works with, or one of its checks: a demand (of a field row), the end of a
/// path (of a hash row).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Node {
    Block(u32),
    Cell(u32),
    Coefficients(u32),
    Bit(u32),
    Hash(usize),
    Demand(usize),
    Arrive(usize),
}

fn cell(Cell(number): Cell) -> Node {
    Node::Cell(number)
}

fn block(Block(number): Block) -> Node {
    Node::Block(number)
}

fn used<T: Copy>(place: Use<T>) -> Option<T> {
    match place {
        Use::Nothing => None,
        Use::Take(x) | Use::Give(x) => Some(x),
    }
}

/// What looks at what.
#[derive(Default)]
struct Graph(HashMap<Node, Vec<Node>>);

impl Graph {
    /// Of a machine without the hashes of its first rows, which are the transcript.
    fn new(machine: &Machine, transcript: usize) -> Self {
        let mut graph = Self::default();
        graph.add_hashes(machine, transcript);
        graph.add_sums(machine);
        graph.add_fields(machine);
        graph
    }

    fn add(&mut self, from: Node, to: Node) {
        self.0.entry(from).or_default().push(to);
    }

    fn add_hashes(&mut self, machine: &Machine, transcript: usize) {
        for (i, row) in machine.hash.iter().enumerate().skip(transcript) {
            let own = Node::Hash(i);
            let halves = [row.left, row.right].into_iter().filter_map(used);
            halves.for_each(|from| self.add(block(from), own));
            if let Some(Bit(bit)) = row.bit {
                self.add(Node::Bit(bit), own);
            }
            if row.keep || row.path {
                self.add(own, Node::Hash(i + 1));
            }
            match row.out {
                Use::Nothing => {}
                Use::Give(to) => self.add(own, block(to)),
                Use::Take(root) => {
                    self.add(own, Node::Arrive(i));
                    self.add(block(root), Node::Arrive(i));
                }
            }
        }
    }

    fn add_sums(&mut self, machine: &Machine) {
        for row in &machine.cells {
            for (i, place) in row.cells.iter().enumerate() {
                match *place {
                    Use::Give(to) => {
                        let blocks = i * DIM / BLOCK..=(i * DIM + DIM - 1) / BLOCK;
                        let from = blocks.map(|at| Node::Block(row.first.0 + at as u32));
                        from.for_each(|from| self.add(from, cell(to)));
                    }
                    Use::Take(from) => {
                        let Coefficients(to) = row.coefficients.expect("a row that packs");
                        self.add(cell(from), Node::Coefficients(to));
                    }
                    Use::Nothing => {}
                }
            }
        }
        let mut begun = Vec::new();
        for row in &machine.dot {
            begun.extend([block(row.block), Node::Coefficients(row.coefficients.0)]);
            if let Some(to) = row.cell {
                begun.drain(..).for_each(|from| self.add(from, cell(to)));
            }
        }
        let end = |i: usize| machine.bits[i + machine.bits[i].number].end.expect("the last row");
        for (i, row) in machine.bits.iter().enumerate() {
            let end = end(i);
            for to in [Node::Bit(row.bit.0), cell(row.cell), cell(end.point)] {
                self.add(block(end.block), to);
            }
        }
    }

    fn add_fields(&mut self, machine: &Machine) {
        for (i, row) in machine.field.iter().enumerate() {
            let [m, n] = row.product;
            let [f, g, h] = row.sum;
            let to = match (row.a, row.d) {
                // An inverse.
                (Use::Give(to), _) | (_, Use::Give(to)) => cell(to),
                (_, Use::Take(result)) => {
                    self.add(cell(result), Node::Demand(i));
                    Node::Demand(i)
                }
                (_, Use::Nothing) => panic!("a row of arithmetic without a result"),
            };
            let operands: [(Use<Cell>, &[Elem]); 3] =
                [(row.a, &[m, n, f]), (row.b, &[m, g]), (row.c, &[n, h])];
            for (operand, factors) in operands {
                match operand {
                    Use::Take(from) if factors.iter().any(|x| !x.is_zero()) => {
                        self.add(cell(from), to);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The checks that look at something.
    fn checks(&self, from: Node) -> BTreeSet<Node> {
        let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(node) = open.pop() {
            let next = self.0.get(&node).into_iter().flatten();
            open.extend(next.copied().filter(|&node| seen.insert(node)));
        }
        seen.retain(|node| matches!(node, Node::Demand(_) | Node::Arrive(_)));
        seen
    }
}

/// The checks of the rows that verify the subject, by what they are for.
struct Checks {
    graph: Graph,
    said: Transcribed,
    opened: Opened,
    known: [Node; 3],
    balance: Node,
    /// Of each height.
    constraints: Vec<Node>,
    /// Of each query: one for each round, and that of the final polynomial.
    folds: Vec<Vec<Node>>,
    /// Of each query: the ends of its paths, three and one for each round.
    ends: Vec<Vec<Node>>,
    child: Child,
}

impl Checks {
    fn new() -> Self {
        let Proven { child, inner } = SUBJECT.proven();
        let machine = machine([(&child, &inner)]);
        let mut begun = Machine::default();
        let said = Transcript::run(&mut begun, &child, None);
        let opened = said.split(&child.statement());
        let graph = Graph::new(&machine, begun.hash.len());
        let demands =
            |row: &FieldRow| matches!(row.d, Use::Take(_)) && !matches!(row.a, Use::Give(_));
        let rows = machine.field.iter().enumerate().filter(|(_, row)| demands(row));
        let mut demands = rows.map(|(i, _)| Node::Demand(i));
        let known = [(); 3].map(|()| demands.next().unwrap());
        let balance = demands.next().unwrap();
        let constraints = child.heights.iter().map(|_| demands.next().unwrap()).collect();
        let rest: Vec<Node> = demands.collect();
        let rounds = inner.rounds.len();
        let folds: Vec<Vec<Node>> = rest.chunks(rounds + 1).map(<[Node]>::to_vec).collect();
        let rows = machine.hash.iter().enumerate();
        let arrives: Vec<Node> = rows
            .filter(|(_, row)| matches!(row.out, Use::Take(_)))
            .map(|(i, _)| Node::Arrive(i))
            .collect();
        let ends: Vec<Vec<Node>> = arrives.chunks(rounds + 3).map(<[Node]>::to_vec).collect();
        for of_query in [&folds, &ends] {
            assert_eq!(of_query.len(), FEW.queries);
        }
        assert!(folds.iter().all(|own| own.len() == rounds + 1));
        assert!(ends.iter().all(|own| own.len() == rounds + 3));
        Self { graph, said, opened, known, balance, constraints, folds, ends, child }
    }

    /// Of every query, the check that a round begins with, or that of the final polynomial behind all of
    /// them. It compares with what was committed to, and folding goes on from there.
    fn folds_at(&self, round: usize) -> BTreeSet<Node> {
        self.folds.iter().map(|own| own[round]).collect()
    }

    /// The first round that sees the word of a height.
    fn joins(&self, height: usize) -> usize {
        let statement = self.child.statement();
        let size = self.child.heights[height].log_rows + statement.parameters.log_blowup;
        statement.rounds().iter().position(|round| round.log_size == size).expect("a round")
    }

    fn demand(&self, name: &str, from: Node, wanted: BTreeSet<Node>) {
        assert_eq!(self.graph.checks(from), wanted, "{name}");
    }
}

fn with(mut checks: BTreeSet<Node>, more: impl IntoIterator<Item = Node>) -> BTreeSet<Node> {
    checks.extend(more);
    checks
}

#[test]
fn every_message_is_looked_at_by_what_it_is_for() {
    let checks = Checks::new();
    let height_of = |t: usize| {
        let log_rows = checks.child.statement().publics[t].log_rows;
        checks.child.heights.iter().position(|at| at.log_rows == log_rows).unwrap()
    };
    let opened = |name: &str, height: usize, value: Cell| {
        let folds = checks.folds_at(checks.joins(height));
        checks.demand(name, cell(value), with(folds, [checks.constraints[height]]));
    };
    for (t, table) in checks.opened.tables.iter().enumerate() {
        let ends = [table.sum, table.sum_after];
        let all = table.main.iter().chain(&table.next).chain(&table.fractions).chain(&ends);
        all.for_each(|&value| opened("an opened value", height_of(t), value));
    }
    for (height, chunks) in checks.opened.chunks.iter().enumerate() {
        chunks.iter().for_each(|&chunk| opened("a chunk", height, chunk));
    }
    for (t, &terminal) in checks.said.terminals.iter().enumerate() {
        let wanted = BTreeSet::from([checks.balance, checks.constraints[height_of(t)]]);
        checks.demand("a terminal", cell(terminal), wanted);
    }
    let last: BTreeSet<Node> = checks.folds.iter().map(|own| own[own.len() - 1]).collect();
    for &coefficient in &checks.said.last {
        checks.demand("a final coefficient", cell(coefficient), last.clone());
    }
    for (tree, &root) in checks.said.roots.iter().enumerate() {
        let wanted = checks.ends.iter().map(|own| own[tree]).collect();
        checks.demand("a root", block(root), wanted);
    }
    for (r, &(root, _)) in checks.said.rounds.iter().enumerate() {
        let wanted = checks.ends.iter().map(|own| own[3 + r]).collect();
        checks.demand("the root of a round", block(root), wanted);
    }
}

#[test]
fn every_challenge_is_used_where_it_should_be() {
    let checks = Checks::new();
    let constraints = || checks.constraints.iter().copied().collect::<BTreeSet<Node>>();
    let said = &checks.said;
    checks.demand("α", cell(said.alpha), with(constraints(), [checks.known[0]]));
    checks.demand("β", cell(said.beta), with(constraints(), [checks.known[1]]));
    checks.demand("γ", cell(said.gamma), constraints());
    let words = (0..checks.constraints.len()).flat_map(|i| checks.folds_at(checks.joins(i)));
    checks.demand("η", cell(said.eta), words.collect());
    for (r, &(_, beta)) in said.rounds.iter().enumerate() {
        checks.demand("β of a round", cell(beta), checks.folds_at(r + 1));
    }
    let statement = checks.child.statement();
    let rounds = statement.rounds();
    let top = rounds[0].log_size;
    for (q, bits) in said.indices.iter().enumerate() {
        let folds: BTreeSet<Node> = checks.folds[q].iter().copied().collect();
        checks.demand("the point of a query", cell(bits.point), folds.clone());
        for (j, (&Bit(bit), &own)) in bits.bits.iter().zip(&bits.cells).enumerate() {
            // Trees are climbed by all bits, those of rounds by what folding leaves.
            let leaves = |r: usize| top - rounds[r].log_size + rounds[r].log_arity;
            let of_rounds = (0..rounds.len()).filter(|&r| (leaves(r)..top).contains(&j));
            let numbers = (0..3).filter(|_| j < top).chain(of_rounds.map(|r| 3 + r));
            let wanted = numbers.map(|number| checks.ends[q][number]).collect();
            checks.demand("a bit of a query", Node::Bit(bit), wanted);
            // The round that folds by a bit picks by it, and ends in what the next one begins with.
            let folding = (0..rounds.len()).find(|&r| j < leaves(r));
            let wanted = folding
                .map_or(BTreeSet::new(), |r| checks.folds[q][r..r + 2].iter().copied().collect());
            checks.demand("a bit of a query, as an element", cell(own), wanted);
        }
    }
}

/// Work is asked for by as many zeros as the parameters say, wherever the page says so.
#[test]
fn every_proof_of_work_is_asked_for() {
    let Proven { child, .. } = SUBJECT.proven();
    let mut machine = Machine::default();
    circuit::verify(&mut machine, &child, None);
    let elements = machine.bits.chunks(31);
    let zeros: Vec<usize> =
        elements.map(|rows| rows.iter().filter(|row| row.zero).count()).collect();
    let mut wanted = vec![FEW.batch_bits];
    wanted.extend(vec![FEW.commit_bits; child.statement().rounds().len()]);
    wanted.push(FEW.query_bits);
    wanted.extend(vec![0; FEW.queries]);
    assert_eq!(zeros, wanted);
}

/// Every block of an opened row leads to one root, and every word counts in the query's folding, but for
/// blocks that are all salt.
#[test]
fn every_opened_row_is_looked_at() {
    let checks = Checks::new();
    let Proven { child, inner } = SUBJECT.proven();
    let machine = machine([(&child, &inner)]);
    let mut begun = Machine::default();
    Transcript::run(&mut begun, &child, None);
    let mut unfolded = 0;
    let mut blocks = 0;
    for row in &machine.hash[begun.hash.len()..] {
        let Use::Give(from) = row.left else { continue };
        let (ends, folds): (Vec<Node>, Vec<Node>) = checks
            .graph
            .checks(block(from))
            .into_iter()
            .partition(|check| matches!(check, Node::Arrive(_)));
        assert_eq!(ends.len(), 1, "{from:?}");
        let query = checks.ends.iter().position(|own| own.contains(&ends[0])).expect("a query");
        assert!(folds.iter().all(|fold| checks.folds[query].contains(fold)), "{from:?}");
        unfolded += usize::from(folds.is_empty());
        blocks += 1;
    }
    // Rows of 2 or 5 elements and 4 of salt, of more, whose salts end in a block of their own.
    let salts = [0, 1, 2].map(|tree: usize| {
        let widths = child.statement().widths();
        let alone = |width: usize| (width + 4).div_ceil(BLOCK) - width.div_ceil(BLOCK);
        widths[tree].values().map(|of| alone(of.iter().sum())).sum::<usize>()
    });
    assert_eq!(unfolded, FEW.queries * salts.iter().sum::<usize>());
    assert!(blocks > 3 * FEW.queries);
}

/// The prover does not add up terminals: a proof of what the buses do not say is true but for that.
#[test]
fn a_proof_whose_buses_do_not_balance_is_refused() {
    let mut toy = Toy { parameters: *FEW, ..toy(&values(300), [12, 11]) };
    let run = toy.terms[0].tuples.values[0];
    toy.terms[0].tuples.values[0] = run + Elem::TWO;
    let subject = Subject::new(toy, 7);
    let Proven { mut child, inner } = subject.proven();
    let machine = super::subjects::machine([(&child, &inner)]);
    assert!(machine.witness().is_err());
    assert!(refusal(&machine).is_some());
    // With the sum of the true term, nothing else refuses it.
    let mut truth = subject.statement().terms.to_vec();
    truth[0].tuples.values[0] = run;
    let statement = crate::stark::statement::Statement { terms: &truth, ..subject.statement() };
    child.public_sum = Child::new(&statement, &TOYS, child.points).unwrap().public_sum;
    assert_eq!(refusal(&super::subjects::machine([(&child, &inner)])), None);
}
