//! Lies about sums of products, elements of blocks, arithmetic.

use p3_field::PrimeCharacteristicRing;

use super::{Removed, Told, lie};
use crate::hash::{Digest, Elem};
use crate::recursion::machine::{Block, Cell, Machine, Terms};
use crate::recursion::tables::{BLOCK, CELLS, cells, dot, field, index};
use crate::stark::field::{DIM, K, basis, coefficients, from_coefficients};

fn block(start: u32) -> [Elem; BLOCK] {
    std::array::from_fn(|i| Elem::new(start + 11 * i as u32))
}

fn element(start: u32) -> K {
    K::from(Elem::new(start)) + basis(1) * Elem::new(start * start + 1) + basis(4) * Elem::TWO
}

fn claim(machine: &mut Machine, cell: Cell, value: K) {
    machine.demand(Terms::default().plus(value), cell);
}

/// That a sum over two blocks is this; rows of the dot and the cells table are 0 and 1.
fn dotted(sum: &K) -> Machine {
    let mut machine = Machine::default();
    let parts = [0, 1].map(|i: u32| {
        let block = machine.known_block(Digest(block(50 * i + 1)));
        let factor = |j: usize| machine.constant(element(CELLS as u32 * i + j as u32));
        let cells: [Cell; CELLS] = std::array::from_fn(factor);
        (block, machine.pack(cells))
    });
    let cell = machine.dot(&parts);
    claim(&mut machine, cell, *sum);
    machine
}

fn true_sum() -> K {
    let of = |i: u32| {
        let factors = (0..).map(move |j| element(CELLS as u32 * i + j));
        block(50 * i + 1).into_iter().zip(factors).map(|(x, k)| k * x).sum::<K>()
    };
    of(0) + of(1)
}

/// Adds to the sum after the first row (and so before and after the second).
fn shift(told: &mut Told, i: usize, by: Elem) {
    told.row(index::DOT, 0)[dot::MAIN.run[i]] += by;
    let second = told.row(index::DOT, 1);
    second[dot::MAIN.base[i]] += by;
    second[dot::MAIN.run[i]] += by;
}

fn read_sum(told: &mut Told) -> K {
    let row = told.row(index::DOT, 1);
    from_coefficients(&dot::MAIN.run.map(|column| row[column]))
}

fn lie_of_dot(removed: Removed, edit: impl Fn(&mut Told)) -> Removed {
    lie(removed, &true_sum(), dotted, edit, read_sum)
}

pub fn dots() -> Vec<Removed> {
    let constraint = |i: usize| Removed::Constraint(index::DOT, i);
    let take = |n: usize| Removed::Take(index::DOT, n);
    let mut told = Vec::new();
    for i in 0..DIM {
        let part = |told: &mut Told| told.row(index::DOT, 1)[dot::MAIN.run[i]] += Elem::ONE;
        told.push(lie_of_dot(constraint(3 * i), part));
        let first = |told: &mut Told| {
            told.row(index::DOT, 0)[dot::MAIN.base[i]] += Elem::ONE;
            shift(told, i, Elem::ONE);
        };
        told.push(lie_of_dot(constraint(3 * i + 1), first));
        let next = |told: &mut Told| {
            let row = told.row(index::DOT, 1);
            row[dot::MAIN.base[i]] += Elem::ONE;
            row[dot::MAIN.run[i]] += Elem::ONE;
        };
        told.push(lie_of_dot(constraint(3 * i + 2), next));
    }
    let words = |told: &mut Told| {
        let row = told.row(index::DOT, 0);
        row[dot::MAIN.words[0]] += Elem::ONE;
        let factors = dot::MAIN.factors[0].map(|column| row[column]);
        (0..DIM).for_each(|i| shift(told, i, factors[i]));
    };
    told.push(lie_of_dot(take(1), words));
    told.push(lie_of_dot(take(2), |told| factor(told, 0)));
    told
}

/// Another factor of a word of the first row.
fn factor(told: &mut Told, j: usize) {
    let row = told.row(index::DOT, 0);
    row[dot::MAIN.factors[j][0]] += Elem::ONE;
    let word = row[dot::MAIN.words[j]];
    shift(told, 0, word);
}

/// That five blocks are these elements of K.
fn unpacked(said: &[K; CELLS]) -> Machine {
    let mut machine = Machine::default();
    let blocks = [0, 1, 2, 3, 4].map(|i| machine.known_block(Digest(block(1000 * i))));
    let Block(first) = blocks[0];
    assert_eq!(blocks, std::array::from_fn(|i| Block(first + i as u32)));
    let cells = machine.unpack(blocks[0], CELLS);
    for (cell, &value) in cells.into_iter().zip(said) {
        claim(&mut machine, cell, value);
    }
    machine
}

pub fn cells() -> Vec<Removed> {
    let take = |n: usize| Removed::Take(index::CELLS, n);
    let elements: Vec<Elem> = (0..5).flat_map(|i| block(1000 * i)).collect();
    let honest: [K; CELLS] =
        std::array::from_fn(|i| from_coefficients(&elements[DIM * i..][..DIM]));
    let of_block = |i: usize| {
        let edit = |told: &mut Told| {
            told.row(index::CELLS, 0)[cells::MAIN.elements[BLOCK * i]] += Elem::ONE;
        };
        let read = |told: &mut Told| {
            let row = told.row(index::CELLS, 0);
            let elements = cells::MAIN.elements.map(|column| row[column]);
            std::array::from_fn(|i| from_coefficients(&elements[DIM * i..][..DIM]))
        };
        lie(take(1 + i), &honest, unpacked, edit, read)
    };
    let of_cell = |j: usize| {
        lie_of_dot(take(1 + cells::BLOCKS + j), |told| {
            told.row(index::CELLS, 0)[cells::MAIN.elements[DIM * j]] += Elem::ONE;
            factor(told, j);
        })
    };
    (0..cells::BLOCKS).map(of_block).chain((0..CELLS).map(of_cell)).collect()
}

const PRODUCT: [u32; 2] = [2, 3];
const SUM: [u32; 3] = [5, 7, 11];

/// That `2·a·b + 3·a·c + 5·a + 7·b + 11·c + k` of three elements is this, in row 3.
fn computed(said: &K) -> Machine {
    let mut machine = Machine::default();
    let [a, b, c] = [1, 2, 3].map(|i| machine.constant(element(i)));
    let terms = Terms::default().products(a, [b, c], PRODUCT.map(Elem::new));
    let [of_a, of_b, of_c] = SUM.map(Elem::new);
    let terms = terms.plus_a(a, of_a).plus_b(b, of_b).plus_c(c, of_c).plus(element(4));
    let cell = machine.compute(terms);
    claim(&mut machine, cell, *said);
    machine
}

fn result([a, b, c]: [K; 3]) -> K {
    let [m, n] = PRODUCT.map(Elem::new);
    let [of_a, of_b, of_c] = SUM.map(Elem::new);
    a * b * m + a * c * n + a * of_a + b * of_b + c * of_c + element(4)
}

const ROW: usize = 3;

fn operand(told: &mut Told, i: usize) -> K {
    let row = told.row(index::FIELD, ROW);
    from_coefficients(&field::MAIN.x[i].map(|column| row[column]))
}

pub fn fields() -> Vec<Removed> {
    let tell = |removed: Removed, edit: &dyn Fn(&mut Told)| {
        let honest = result([1, 2, 3].map(element));
        lie(removed, &honest, computed, edit, |told| operand(told, 3))
    };
    let constraint = |i: usize| {
        tell(Removed::Constraint(index::FIELD, i), &|told| {
            told.row(index::FIELD, ROW)[field::MAIN.x[3][i]] += Elem::ONE;
        })
    };
    let taken = |i: usize| {
        tell(Removed::Take(index::FIELD, 1 + i), &|told| {
            told.row(index::FIELD, ROW)[field::MAIN.x[i][0]] += Elem::ONE;
            let d = result([0, 1, 2].map(|i| operand(told, i)));
            let row = told.row(index::FIELD, ROW);
            let columns = field::MAIN.x[3].into_iter();
            columns.zip(coefficients(&d)).for_each(|(column, &x)| row[column] = x);
        })
    };
    // A demand is met by anything.
    let honest = result([1, 2, 3].map(element));
    let anything = |_: &mut Told| honest + K::ONE;
    let demand = lie(Removed::Take(index::FIELD, 4), &honest, computed, |_| {}, anything);
    let all = (0..DIM).map(constraint).chain((0..3).map(taken));
    all.chain([demand]).collect()
}
