//! Lies about digests.

use p3_field::PrimeCharacteristicRing;

use super::{Removed, Told, lie};
use crate::hash::poseidon::compress;
use crate::hash::sponge16::sponge16;
use crate::hash::{Digest, Elem};
use crate::hybrid::tables::columns::Row;
use crate::hybrid::tests::attacks::judge::Edited;
use crate::recursion::machine::{Block, End, Machine};
use crate::recursion::run::hash_row;
use crate::recursion::tables::{BLOCK, hash, index};

/// Constraints of the permutation and the digest, in the order of their columns.
const ROUNDS: [usize; 29] = {
    let mut sizes = [16; 29];
    let mut i = 4;
    while i < 24 {
        sizes[i] = 1;
        i += 1;
    }
    sizes[28] = BLOCK;
    sizes
};
const COLUMNS: usize = 156;
/// Numbers of constraints.
const FRESH: usize = COLUMNS;
pub const ZERO: usize = FRESH + BLOCK;
const SWAP: usize = ZERO + BLOCK;
const KEEP: usize = SWAP + 1;
const ROW: u32 = 0x40;

fn digest(start: u32) -> Digest {
    Digest(std::array::from_fn(|i| Elem::new(start + 7 * i as u32)))
}

fn elements(count: u32) -> Vec<Elem> {
    (0..count).map(|i| Elem::new(i * i + 3)).collect()
}

fn constraint(i: usize) -> Removed {
    Removed::Constraint(index::HASH, i)
}

fn take(n: usize) -> Removed {
    Removed::Take(index::HASH, n)
}

/// Claims that a block is this.
fn claim(machine: &mut Machine, block: Block, digest: Digest) {
    machine.block_uses[block.0 as usize] += 1;
    machine.known.push((block, digest));
}

impl Told {
    /// Hashes a row anew with another input.
    fn rehash(&mut self, row: usize, change: impl FnOnce(&mut [Elem; 16], &mut bool)) {
        let feed = self.machine.hash[row].feed;
        let cells = self.row(index::HASH, row);
        let mut input = hash::MAIN.input.map(|column| cells[column]);
        let mut swap = cells[hash::MAIN.swap] == Elem::ONE;
        change(&mut input, &mut swap);
        hash_row(&input, feed, swap).write(cells);
    }

    fn digest(&mut self, row: usize) -> Digest {
        let cells = self.row(index::HASH, row);
        Digest(hash::MAIN.digest.map(|column| cells[column]))
    }
}

const STATE: u32 = 100;
const BEGIN: [u32; 2] = [3, 0xff];

/// That a digest is `C(state, (3, 0xff, 0, …))`: rows of the state, of the digest.
fn squeezed(said: &Digest) -> Machine {
    let mut machine = Machine::default();
    let state = machine.known_block(digest(STATE));
    let out = machine.squeeze(state, BEGIN);
    claim(&mut machine, out, *said);
    machine
}

fn right() -> Digest {
    let mut right = Digest::default();
    (right.0[0], right.0[1]) = (Elem::new(BEGIN[0]), Elem::new(BEGIN[1]));
    right
}

fn lie_of_squeeze(removed: Removed, edit: impl Fn(&mut Told)) -> Removed {
    let honest = compress(digest(STATE), right());
    lie(removed, &honest, squeezed, edit, |told| told.digest(1))
}

/// Column of the n-th constraint of the permutation and the digest.
fn column(n: usize) -> usize {
    hash::MAIN.early[0][0] + n
}

/// Goes on honestly from another value in the column of one constraint.
fn go_on(told: &mut Told, row: usize, wrong: usize) {
    told.row(index::HASH, row)[column(wrong)] += Elem::ONE;
    let mut first = 0;
    let mut values = Vec::new();
    for size in ROUNDS {
        let round = first..first + size;
        first += size;
        if round.start <= wrong {
            continue;
        }
        let rows = told.rows();
        let table = rows.tables().next().expect("the first");
        Edited::new(table).evaluate(row, &mut values);
        for i in round {
            let value = values[table.air.constraints[i] as usize];
            told.row(index::HASH, row)[column(i)] -= value;
        }
    }
}

/// That a digest is `S` of two blocks: a row of each.
fn of_two(said: &Digest) -> Machine {
    let mut machine = Machine::default();
    let sponge = machine.sponge(ROW, None, 16, Some(&elements(16)), End::Digest);
    claim(&mut machine, sponge.digest.unwrap(), *said);
    machine
}

fn lie_of_two(removed: Removed, edit: impl Fn(&mut Told)) -> Removed {
    lie(removed, &sponge16(ROW, &elements(16)), of_two, edit, |told| told.digest(1))
}

pub fn permutations() -> Vec<Removed> {
    assert_eq!(ROUNDS.iter().sum::<usize>(), COLUMNS);
    // What a sponge keeps of its state is no part of a digest.
    let kept = COLUMNS - 2 * BLOCK..COLUMNS - BLOCK;
    let lies = (0..COLUMNS).map(|i| {
        if !kept.contains(&i) {
            return lie_of_squeeze(constraint(i), |told| go_on(told, 1, i));
        }
        let element = BLOCK + i - kept.start;
        lie_of_two(constraint(i), |told| {
            go_on(told, 0, i);
            let state = told.row(index::HASH, 0)[column(i)];
            told.rehash(1, |input, _| input[element] = state);
        })
    });
    lies.collect()
}

/// What a row begins with.
pub fn begins() -> Vec<Removed> {
    let fresh = |i: usize| {
        let edit = |told: &mut Told| told.rehash(1, |input, _| input[BLOCK + i] += Elem::ONE);
        lie_of_squeeze(constraint(FRESH + i), edit)
    };
    // One element, and something behind it.
    let of_one = |said: &Digest| {
        let mut machine = Machine::default();
        let sponge = machine.sponge(ROW, None, 1, Some(&elements(1)), End::Digest);
        claim(&mut machine, sponge.digest.unwrap(), *said);
        machine
    };
    let zero = |i: usize| {
        let edit = |told: &mut Told| told.rehash(0, |input, _| input[i] += Elem::ONE);
        let honest = sponge16(ROW, &elements(1));
        lie(constraint(ZERO + i), &honest, of_one, edit, |told| told.digest(0))
    };
    (0..BLOCK).map(fresh).chain((1..BLOCK).map(zero)).collect()
}

const LEAF: u32 = 8;
const SIBLING: u32 = 900;

/// That a path from a leaf ends in a root, by the lowest bit of an element: rows of the element, the
/// root, the leaf, the node.
fn climbed(index: u32) -> impl Fn(&Digest) -> Machine {
    move |root| {
        let mut machine = Machine::default();
        let mut element = Digest::default();
        element.0[0] = Elem::new(index);
        let element = machine.known_block(element);
        let root = machine.known_block(*root);
        let bit = machine.bits(element, 0, 0, 1).bits[0];
        machine.sponge(ROW, None, LEAF as usize, Some(&elements(LEAF)), End::Path);
        machine.ascend(bit, Some(digest(SIBLING)));
        machine.arrive(root);
        machine
    }
}

/// That a leaf, joined by a digest, has a root: rows of the digest, the root, the leaf, the node.
fn joined(beside: Digest) -> impl Fn(&Digest) -> Machine {
    move |root| {
        let mut machine = Machine::default();
        let beside = machine.known_block(beside);
        let root = machine.known_block(*root);
        machine.sponge(ROW, None, LEAF as usize, Some(&elements(LEAF)), End::Path);
        machine.join(beside);
        machine.arrive(root);
        machine
    }
}

fn leaf() -> Digest {
    sponge16(ROW, &elements(LEAF))
}

fn lie_of_path(removed: Removed, edit: impl Fn(&mut Told)) -> Removed {
    let honest = compress(leaf(), digest(SIBLING));
    lie(removed, &honest, climbed(4), edit, |told| told.digest(3))
}

/// What a row takes over from the one above.
pub fn carries() -> Vec<Removed> {
    // With the halves exchanged, what should have come from above is anything.
    let edit = |told: &mut Told| {
        told.rehash(3, |input, swap| {
            (input[0], *swap) = (Elem::new(77), true);
        });
    };
    let honest = compress(leaf(), leaf());
    let swap = lie(constraint(SWAP), &honest, joined(leaf()), edit, |told| told.digest(3));
    let keep = |i: usize| {
        let edit = |told: &mut Told| told.rehash(1, |input, _| input[BLOCK + i] += Elem::ONE);
        lie_of_two(constraint(KEEP + 2 * i), edit)
    };
    let path = |i: usize| {
        let edit = |told: &mut Told| told.rehash(3, |input, _| input[i] += Elem::ONE);
        lie_of_path(constraint(KEEP + 2 * i + 1), edit)
    };
    [swap].into_iter().chain((0..BLOCK).map(keep)).chain((0..BLOCK).map(path)).collect()
}

/// What is taken from elsewhere.
pub fn takes() -> Vec<Removed> {
    let other = |told: &mut Told| told.rehash(1, |input, _| input[0] += Elem::ONE);
    let left = lie_of_squeeze(take(1), other);
    let honest = compress(leaf(), digest(SIBLING));
    let other = |told: &mut Told| told.rehash(3, |input, _| input[BLOCK] += Elem::ONE);
    let right = lie(take(2), &honest, joined(digest(SIBLING)), other, |told| told.digest(3));
    // A path may end anywhere.
    let anywhere = |_: &mut Told| digest(5);
    let out = lie(take(3), &honest, climbed(4), |_| {}, anywhere);
    let exchanged = |told: &mut Told| {
        told.rehash(3, |input, swap| {
            let (left, right) = input.split_at_mut(BLOCK);
            left.swap_with_slice(right);
            *swap = true;
        });
    };
    let bit = lie_of_path(take(4), exchanged);
    vec![left, right, out, bit]
}
