//! The transcript: what is absorbed, what is drawn.

use super::super::child::{Child, Inner};
use super::super::machine::{Bits, Block, Cell, End, Machine, Terms};
use super::super::tables::BLOCK;
use crate::hash::Elem;
use crate::stark::field::{DIM, K, coefficients};
use crate::stark::statement::{CHUNKS, Statement};
use crate::stark::transcript::tag;

const POW: u32 = 0x20;
const POW_CHECK: u32 = 0xfd;
const NEXT: u32 = 0xfe;
const SQUEEZE: u32 = 0xff;

/// Everything that the messages of a proof say, and the challenges.
pub struct Transcribed {
    /// Of the main, the auxiliary and the quotient tree.
    pub roots: [Block; 3],
    pub terminals: Vec<Cell>,
    opened: Vec<Cell>,
    pub alpha: Cell,
    pub beta: Cell,
    pub gamma: Cell,
    pub eta: Cell,
    /// Roots of the rounds, and what folds them.
    pub rounds: Vec<(Block, Cell)>,
    /// Coefficients of the final polynomial.
    pub last: Vec<Cell>,
    /// The query indices.
    pub indices: Vec<Bits>,
}

/// The opened values of a table.
pub struct OpenedTable {
    pub main: Vec<Cell>,
    pub next: Vec<Cell>,
    pub fractions: Vec<Cell>,
    pub sum: Cell,
    pub sum_after: Cell,
}

/// The opened values by table, and the chunks by height; `starts` are the numbers of their first openings.
pub struct Opened {
    pub tables: Vec<OpenedTable>,
    pub chunks: Vec<Vec<Cell>>,
    pub table_starts: Vec<usize>,
    pub chunk_starts: Vec<usize>,
    pub count: usize,
}

impl Transcribed {
    pub fn split(&self, statement: &Statement) -> Opened {
        let mut rest = &self.opened[..];
        let mut take = |count: usize| {
            let (own, after) = rest.split_at(count);
            rest = after;
            own.to_vec()
        };
        let (mut at, mut tables, mut table_starts) = (0, vec![], vec![]);
        for (air, _) in statement.airs() {
            table_starts.push(at);
            at += air.openings();
            let (main, next) = (take(air.mains), take(air.next.len()));
            let (fractions, ends) = (take(air.groups.len()), take(2));
            let [sum, sum_after] = [ends[0], ends[1]];
            tables.push(OpenedTable { main, next, fractions, sum, sum_after });
        }
        let (mut chunks, mut chunk_starts) = (vec![], vec![]);
        for _ in statement.heights() {
            chunk_starts.push(at);
            at += CHUNKS;
            chunks.push(take(CHUNKS));
        }
        Opened { tables, chunks, table_starts, chunk_starts, count: at }
    }
}

/// The transcript while it runs.
pub struct Transcript<'a> {
    machine: &'a mut Machine,
    state: Block,
}

fn words(values: &[K]) -> Vec<Elem> {
    values.iter().flat_map(coefficients).copied().collect()
}

impl Transcript<'_> {
    /// All rounds, in the order of docs/stark.md section 3.
    pub fn run(machine: &mut Machine, child: &Child, inner: Option<&Inner>) -> Transcribed {
        let statement = &child.statement();
        let parameters = statement.parameters;
        let state = machine.known_block(child.start);
        let mut transcript = Transcript { machine, state };
        let t = &mut transcript;
        let root = |i: usize| inner.map(|inner| inner.roots[i].0.to_vec());

        let main = t.absorb(tag::MAIN, BLOCK, root(0));
        let (alpha, beta) = (t.element(), t.element());
        t.known(alpha, child.points.alpha);
        t.known(beta, child.points.beta);

        let tables = statement.publics.len();
        let message =
            inner.map(|inner| [inner.roots[1].0.to_vec(), words(&inner.terminals)].concat());
        let auxiliary = t.absorb(tag::AUXILIARY, BLOCK + DIM * tables, message);
        let terminals = t.machine.unpack(Block(auxiliary.0 + 1), tables);
        let gamma = t.element();

        let quotient = t.absorb(tag::QUOTIENT, BLOCK, root(2));
        let zeta = t.element();
        t.known(zeta, child.points.zeta);

        let count = statement.batched() - 1;
        let message = inner.map(|inner| words(&inner.opened));
        let first = t.absorb(tag::OPENED, DIM * count, message);
        let opened = t.machine.unpack(first, count);
        t.work(parameters.batch_bits, inner.map(|inner| inner.batch_work));
        let eta = t.element();

        let mut rounds = Vec::new();
        for i in 0..statement.rounds().len() {
            let of = inner.map(|inner| &inner.rounds[i]);
            let root = t.absorb(tag::ROUND, BLOCK, of.map(|(root, _)| root.0.to_vec()));
            t.work(parameters.commit_bits, of.map(|(_, work)| *work));
            rounds.push((root, t.element()));
        }

        let count = 1 << parameters.log_final;
        let message = inner.map(|inner| words(&inner.last));
        let first = t.absorb(tag::FINAL, DIM * count, message);
        let last = t.machine.unpack(first, count);
        t.work(parameters.query_bits, inner.map(|inner| inner.query_work));
        let bits = statement.heights()[0] + parameters.log_blowup;
        let indices = t.indices(parameters.queries, bits);
        let roots = [main, auxiliary, quotient];
        Transcribed { roots, terminals, opened, alpha, beta, gamma, eta, rounds, last, indices }
    }

    /// Absorbs a message; its first block.
    fn absorb(&mut self, tag: u8, count: usize, message: Option<Vec<Elem>>) -> Block {
        let state = Some(self.state);
        let message = message.as_deref();
        let sponge = self.machine.sponge(tag.into(), state, count, message, End::Digest);
        self.state = sponge.digest.expect("it ends in a digest");
        sponge.first
    }

    fn next(&mut self) {
        self.state = self.machine.squeeze(self.state, [0, NEXT]);
    }

    /// An element of K.
    fn element(&mut self) -> Cell {
        let block = self.machine.squeeze(self.state, [0, SQUEEZE]);
        self.next();
        self.machine.unpack(block, 1)[0]
    }

    /// Demands that a challenge is the one that the verifier worked with.
    fn known(&mut self, cell: Cell, value: K) {
        self.machine.demand(Terms::default().plus(value), cell);
    }

    /// A proof of work.
    fn work(&mut self, bits: usize, witness: Option<Elem>) {
        if bits == 0 {
            return;
        }
        self.absorb(POW as u8, 1, witness.map(|witness| vec![witness]));
        let block = self.machine.squeeze(self.state, [0, POW_CHECK]);
        self.machine.bits(block, 0, bits, 0);
    }

    /// The query indices, of so many bits.
    fn indices(&mut self, count: usize, bits: usize) -> Vec<Bits> {
        let mut found = Vec::with_capacity(count);
        for i in 0..count.div_ceil(BLOCK) {
            let block = self.machine.squeeze(self.state, [i as u32, SQUEEZE]);
            for element in 0..BLOCK.min(count - i * BLOCK) {
                found.push(self.machine.bits(block, element, 0, bits));
            }
        }
        found
    }
}
