//! Lies about the bits of an element, and about the point that they choose.

use p3_field::PrimeCharacteristicRing;

use super::{Removed, Told, lie};
use crate::hash::{Digest, Elem, P};
use crate::recursion::machine::{Machine, Terms, is_top};
use crate::recursion::tables::bits::MAIN;
use crate::recursion::tables::{BITS, index};
use crate::stark::field::{K, reverse, root};

/// Log of the size of the domain.
const LOG_SIZE: usize = 5;
const ELEMENT: usize = 2;

/// What is claimed of an element: its bits, highest first, the point, low bits that are zero.
#[derive(Clone, Debug, PartialEq)]
struct Claim {
    digits: Vec<Elem>,
    point: Elem,
    zeros: usize,
}

/// That these are the bits of an element.
fn drawn(element: u32) -> impl Fn(&Claim) -> Machine {
    move |claim| {
        let mut machine = Machine::default();
        let mut block = Digest::default();
        block.0[ELEMENT] = Elem::new(element);
        let block = machine.known_block(block);
        let found = machine.bits(block, ELEMENT, claim.zeros, LOG_SIZE);
        for (&cell, &digit) in found.cells.iter().rev().zip(&claim.digits) {
            machine.demand(Terms::default().plus(K::from(digit)), cell);
        }
        machine.demand(Terms::default().plus(K::from(claim.point)), found.point);
        machine
    }
}

fn digits(number: u64) -> Vec<Elem> {
    (0..BITS).rev().map(|i| Elem::from_bool(number >> i & 1 == 1)).collect()
}

fn truth(element: u32) -> Claim {
    let place = reverse(element as usize % (1 << LOG_SIZE), LOG_SIZE);
    Claim { digits: digits(element.into()), point: root(LOG_SIZE).exp_u64(place as u64), zeros: 0 }
}

/// Where the rows of other digits begin.
struct Start {
    sum: Elem,
    ones: Elem,
    x: Elem,
}

/// Writes the rows of these digits, each from the one above.
fn write(told: &mut Told, digits: &[Elem], start: &Start) {
    let steps: Vec<Elem> = told.machine.bits.iter().map(|row| row.step).collect();
    let Start { mut sum, mut ones, mut x } = *start;
    for (i, &digit) in digits.iter().enumerate() {
        if i > 0 {
            sum = sum.double() + digit;
            ones = if is_top(BITS - 1 - i) { ones * digit } else { ones };
            x *= Elem::ONE + steps[i - 1] * digit;
        }
        let row = told.row(index::BITS, i);
        (row[MAIN.digit], row[MAIN.sum], row[MAIN.ones], row[MAIN.x]) = (digit, sum, ones, x);
    }
}

/// The same, beginning with the first digit.
fn write_all(told: &mut Told, digits: &[Elem]) {
    write(told, digits, &Start { sum: digits[0], ones: digits[0], x: Elem::ONE });
}

fn read(told: &mut Told) -> Claim {
    let mut column = |row: usize, column: usize| told.row(index::BITS, row)[column];
    let digits = (0..BITS).map(|row| column(row, MAIN.digit)).collect();
    Claim { digits, point: column(BITS - 1, MAIN.x), zeros: 0 }
}

pub fn lies() -> Vec<Removed> {
    let constraint = |i: usize| Removed::Constraint(index::BITS, i);
    let tell = |removed: Removed, element: u32, edit: &dyn Fn(&mut Told)| {
        lie(removed, &truth(element), drawn(element), edit, read)
    };
    let (five, nine) = (digits(5), digits(9));
    // 5 again, in 31 bits.
    let wrapped = digits(u64::from(P) + 5);
    let last = BITS - 1;
    let boolean = |told: &mut Told| {
        let mut two = digits(0);
        two[last] = Elem::TWO;
        write_all(told, &two);
    };
    let zeros = |told: &mut Told| Claim { zeros: 2, ..read(told) };
    let sum_start = |told: &mut Told| {
        write(told, &five, &Start { sum: Elem::ONE, ones: Elem::ZERO, x: Elem::ONE });
    };
    let ones_start = |told: &mut Told| {
        write(told, &wrapped, &Start { sum: Elem::ONE, ones: Elem::ZERO, x: Elem::ONE });
    };
    let x_start = |told: &mut Told| {
        write(told, &five, &Start { sum: Elem::ZERO, ones: Elem::ZERO, x: Elem::TWO });
    };
    let sum = |told: &mut Told| {
        write_all(told, &nine);
        told.row(index::BITS, last)[MAIN.sum] = Elem::from_u8(5);
    };
    // From a row on, the product of the top bits is said to be zero.
    let ones_from = |first: usize| {
        let wrapped = wrapped.clone();
        move |told: &mut Told| {
            write_all(told, &wrapped);
            (first..BITS).for_each(|row| told.row(index::BITS, row)[MAIN.ones] = Elem::ZERO);
        }
    };
    let point = |told: &mut Told| told.row(index::BITS, last)[MAIN.x] += Elem::ONE;
    let block = |told: &mut Told| {
        write_all(told, &nine);
        told.row(index::BITS, last)[MAIN.words[ELEMENT]] = Elem::from_u8(9);
    };
    vec![
        tell(constraint(0), 2, &boolean),
        lie(constraint(1), &truth(5), drawn(5), |_| {}, zeros),
        tell(constraint(2), (1 << 30) + 5, &sum_start),
        tell(constraint(3), 5, &ones_start),
        tell(constraint(4), 5, &x_start),
        tell(constraint(5), 5, &sum),
        tell(constraint(6), 5, &ones_from(6)),
        tell(constraint(7), 5, &ones_from(7)),
        tell(constraint(8), 5, &|told| write_all(told, &wrapped)),
        tell(constraint(9), 5, &point),
        tell(constraint(10), 5, &|told| write_all(told, &nine)),
        tell(Removed::Take(index::BITS, 1), 5, &block),
    ]
}
