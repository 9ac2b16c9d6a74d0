//! The queries: opened rows lead to roots, words fold to the final polynomial.

use p3_field::{Field, PrimeCharacteristicRing};

use super::super::child::{Child, Inner, Path};
use super::super::machine::{Bit, Bits, Block, Cell, End, Machine, Terms};
use super::batch::{Batch, OfHeight, OfRow};
use super::transcript::Transcribed;
use crate::hash::{Digest, Elem};
use crate::stark::field::{DIM, K, reverse, root, shift};
use crate::stark::statement::Round;

/// Domain of the hashes of rows.
const ROW: u32 = 0x40;

/// What all queries share.
struct Shared<'a> {
    child: &'a Child,
    said: &'a Transcribed,
    batch: &'a Batch,
    rounds: Vec<Round>,
    /// Of each round: β to the power of its arity.
    joins: Vec<Cell>,
    /// Log of the tallest domain, and of the one of the final polynomial.
    top: usize,
    bottom: usize,
}

/// Demands of every query what stands in docs/stark.md section 6.
pub fn check(
    machine: &mut Machine,
    child: &Child,
    said: &Transcribed,
    batch: &Batch,
    inner: Option<&Inner>,
) {
    let statement = child.statement();
    let parameters = statement.parameters;
    let rounds = statement.rounds();
    let mut joins = Vec::new();
    for (round, &(_, beta)) in rounds.iter().zip(&said.rounds) {
        joins.push((0..round.log_arity).fold(beta, |power, _| machine.product(power, power)));
    }
    let top = child.heights[0].log_rows + parameters.log_blowup;
    let bottom = parameters.log_blowup + parameters.log_final;
    let shared = Shared { child, said, batch, rounds, joins, top, bottom };
    for (q, bits) in said.indices.iter().enumerate() {
        let query = inner.map(|inner| &inner.queries[q]);
        let rows = [0, 1, 2].map(|tree: usize| {
            let path = query.map(|query| &query.trees[tree]);
            shared.open(machine, tree, bits, path)
        });
        let opened = (0..shared.rounds.len()).map(|r| {
            let path = query.map(|query| &query.rounds[r]);
            shared.open_round(machine, r, bits, path)
        });
        let opened: Vec<Block> = opened.collect();
        shared.fold(machine, bits, &rows, &opened);
    }
}

/// Climbs from a row to a root: a bit and a sibling for each level; rows of lower levels join.
fn climb(
    machine: &mut Machine,
    bits: &[Bit],
    siblings: Option<&[Digest]>,
    mut joined: impl FnMut(usize) -> Option<Block>,
    root: Block,
) {
    for (i, &bit) in bits.iter().enumerate() {
        machine.ascend(bit, siblings.map(|siblings| siblings[i]));
        if let Some(digest) = joined(bits.len() - 1 - i) {
            machine.join(digest);
        }
    }
    machine.arrive(root);
}

impl Shared<'_> {
    fn log_blowup(&self) -> usize {
        self.child.statement().parameters.log_blowup
    }

    /// The first blocks of a tree's rows, tallest first.
    fn open(
        &self,
        machine: &mut Machine,
        tree: usize,
        bits: &Bits,
        path: Option<&Path>,
    ) -> Vec<Block> {
        let mut firsts = Vec::new();
        let mut digests = Vec::new();
        let heights = &self.batch.heights;
        // The tallest row comes last: the path goes on with it.
        for (i, height) in heights.iter().enumerate().rev() {
            let row = path.map(|path| &path.rows[i][..]);
            let end = if i == 0 { End::Path } else { End::Digest };
            let sponge = machine.sponge(ROW, None, height.lengths[tree], row, end);
            firsts.push(sponge.first);
            let level = self.child.heights[i].log_rows + self.log_blowup();
            digests.extend(sponge.digest.map(|digest| (level, digest)));
        }
        let joined =
            |level: usize| digests.iter().find(|(of, _)| *of == level).map(|&(_, digest)| digest);
        let siblings = path.map(|path| &path.siblings[..]);
        climb(machine, &bits.bits[..self.top], siblings, joined, self.said.roots[tree]);
        firsts.reverse();
        firsts
    }

    /// The first block of the row of a round.
    fn open_round(
        &self,
        machine: &mut Machine,
        r: usize,
        bits: &Bits,
        path: Option<&Path>,
    ) -> Block {
        let Round { log_size, log_arity } = self.rounds[r];
        let row = path.map(|path| &path.rows[0][..]);
        let sponge = machine.sponge(ROW, None, DIM << log_arity, row, End::Path);
        let folded = self.top - log_size + log_arity;
        let siblings = path.map(|path| &path.siblings[..]);
        let (root, _) = self.said.rounds[r];
        climb(machine, &bits.bits[folded..self.top], siblings, |_| None, root);
        sponge.first
    }

    /// The words of the heights, folded through all rounds, are the final polynomial's.
    fn fold(&self, machine: &mut Machine, bits: &Bits, rows: &[Vec<Block>; 3], opened: &[Block]) {
        // x^(2^k) for all sizes.
        let mut points = vec![bits.point];
        for k in 0..self.top - self.bottom {
            points.push(machine.product(points[k], points[k]));
        }
        let mut words = Vec::new();
        for (i, height) in self.batch.heights.iter().enumerate() {
            let own = [0, 1, 2].map(|tree: usize| rows[tree][i]);
            words.push(self.word(machine, i, height, own, &points));
        }
        let mut value = words[0];
        for (r, &first) in opened.iter().enumerate() {
            let Round { log_size, log_arity } = self.rounds[r];
            value = self.fold_round(machine, r, bits, first, points[self.top - log_size], value);
            let size = log_size - log_arity;
            let joins =
                |at: &super::super::child::HeightAt| at.log_rows + self.log_blowup() == size;
            if let Some(i) = self.child.heights.iter().position(joins) {
                value = machine.fused(self.joins[r], words[i], value);
            }
        }
        let (&lowest, rest) = self.said.last.split_first().expect("a polynomial has coefficients");
        let x = points[self.top - self.bottom];
        let sum = machine.horner(x, rest);
        let terms = Terms::default().product(sum, x).plus_c(lowest, Elem::ONE);
        machine.demand(terms, value);
    }

    /// The batched word of a height at the query.
    fn word(
        &self,
        machine: &mut Machine,
        i: usize,
        height: &OfHeight,
        rows: [Block; 3],
        points: &[Cell],
    ) -> Cell {
        let parts = |of: &[OfRow; 3]| -> Vec<_> {
            let of_tree = |(tree, row): (usize, &OfRow)| -> Vec<_> {
                let at = |&(place, c): &(usize, _)| (Block(rows[tree].0 + place as u32), c);
                row.iter().map(at).collect()
            };
            of.iter().enumerate().flat_map(of_tree).collect()
        };
        let here = machine.dot(&parts(&height.here));
        let there = machine.dot(&parts(&height.there));
        let at = &self.child.heights[i];
        let point = points[self.child.heights[0].log_rows - at.log_rows];
        let mut quotient = |z: K, sum: Cell, value: Cell| {
            let apart = machine.compute(Terms::default().plus_a(point, shift()).plus(-z));
            let inverse = machine.invert(apart);
            let factors = [Elem::ONE, Elem::NEG_ONE];
            machine.compute(Terms::default().products(inverse, [sum, value], factors))
        };
        let mut all = vec![
            quotient(self.child.points.zeta, here, height.value_here),
            quotient(at.next, there, height.value_there),
        ];
        if !height.mask.is_empty() {
            let at = |&(place, c): &(usize, _)| (Block(rows[2].0 + place as u32), c);
            let mask: Vec<_> = height.mask.iter().map(at).collect();
            all.push(machine.dot(&mask));
        }
        machine.total(&all)
    }

    /// Demands that the opened row holds the value, and folds it.
    fn fold_round(
        &self,
        machine: &mut Machine,
        r: usize,
        bits: &Bits,
        first: Block,
        point: Cell,
        value: Cell,
    ) -> Cell {
        let Round { log_size, log_arity } = self.rounds[r];
        let lowest = self.top - log_size;
        let chosen = &bits.cells[lowest..lowest + log_arity];
        let mut values = machine.unpack(first, 1 << log_arity);
        choose(machine, &values, chosen, value);
        // The point of the row's first element: that of the query without its low bits.
        let mut base = point;
        for (m, &bit) in chosen.iter().enumerate() {
            let factor = root(m + 1).inverse() - Elem::ONE;
            base =
                machine.compute(Terms::default().scaled(base, bit, factor).plus_a(base, Elem::ONE));
        }
        let inverse = machine.invert(base);
        let (_, beta) = self.said.rounds[r];
        let mut factor = machine.product(beta, inverse);
        let half = Elem::ONE.halve();
        for level in 0..log_arity {
            if level > 0 {
                factor = machine.product(factor, factor);
            }
            let order = log_arity - level;
            let omega = root(order).inverse();
            let pair = |(i, pair): (usize, &[Cell; 2])| {
                let k = omega.exp_u64(reverse(i, order - 1) as u64) * half;
                let terms = Terms::default().products(factor, *pair, [k, -k]);
                machine.compute(terms.plus_b(pair[0], half).plus_c(pair[1], half))
            };
            values = values.as_chunks::<2>().0.iter().enumerate().map(pair).collect();
        }
        values[0]
    }
}

/// Demands that of these values the one that the bits choose is this.
fn choose(machine: &mut Machine, values: &[Cell], bits: &[Cell], value: Cell) {
    let (&top, lower) = bits.split_last().expect("a round folds");
    let pick = |bit: Cell, [low, high]: [Cell; 2]| {
        let terms = Terms::default().products(bit, [high, low], [Elem::ONE, Elem::NEG_ONE]);
        terms.plus_c(low, Elem::ONE)
    };
    let mut values = values.to_vec();
    for &bit in lower {
        let of_pair = |pair: &[Cell; 2]| machine.compute(pick(bit, *pair));
        values = values.as_chunks::<2>().0.iter().map(of_pair).collect();
    }
    machine.demand(pick(top, [values[0], values[1]]), value);
}
