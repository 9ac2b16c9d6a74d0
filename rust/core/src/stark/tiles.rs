//! As many rows as a vector register has lanes, transposed: an element of each row beside the others.

use p3_field::{Algebra, BasedVectorSpace, PackedFieldPow2, PackedValue, PrimeCharacteristicRing};

use super::air::Lookup;
use super::eval::{Buses, LANES};
use super::field::{DIM, K, PackedK, coefficients};
use super::tape::Tape;
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

/// Swaps rows and lanes.
fn transpose(block: &mut [Packed; LANES]) {
    let mut length = 1;
    while length < LANES {
        for i in (0..LANES).filter(|i| i & length == 0) {
            let (low, high) = block[i].interleave(block[i | length], length);
            (block[i], block[i | length]) = (low, high);
        }
        length *= 2;
    }
}

/// Reads `LANES` rows into columns.
pub fn read(rows: [&[Elem]; LANES], columns: &mut [Packed]) {
    let width = columns.len();
    for first in firsts(width) {
        let row = |lane: usize| *Packed::from_slice(&rows[lane][first..first + LANES]);
        let mut block: [Packed; LANES] = std::array::from_fn(row);
        transpose(&mut block);
        columns[first..first + LANES].copy_from_slice(&block);
    }
    if width < LANES {
        for (c, column) in columns.iter_mut().enumerate() {
            *column = Packed::from_fn(|lane| rows[lane][c]);
        }
    }
}

/// Writes columns into the first elements of the rows that there are.
pub fn write<'a>(columns: &[Packed], rows: impl Iterator<Item = &'a mut [Elem]>) {
    for (lane, row) in rows.enumerate() {
        row.iter_mut().zip(columns).for_each(|(x, column)| *x = column.as_slice()[lane]);
    }
}

/// Where whole blocks of columns begin: the last one may cover some that the one before has covered.
fn firsts(width: usize) -> impl Iterator<Item = usize> {
    let blocks = if width < LANES { 0 } else { width.div_ceil(LANES) };
    (0..blocks).map(move |block| (block * LANES).min(width - LANES))
}

/// Elements of K by their coefficients, to weigh elements of F with.
pub struct Weights([Vec<Elem>; DIM]);

impl Weights {
    pub fn new(weights: &[K]) -> Self {
        Self(std::array::from_fn(|j| weights.iter().map(|w| coefficients(w)[j]).collect()))
    }

    /// `Σ weight·value`; products are added before they are reduced.
    pub fn sum(&self, values: &[Packed]) -> PackedK {
        PackedK::from_basis_coefficients_fn(|j| {
            Packed::batched_linear_combination(values, &self.0[j])
        })
    }
}

/// A lookup, ready to be evaluated on many rows.
struct Term {
    /// `α − bus`.
    start: PackedK,
    /// Slots of the tape's room.
    multiplicity: usize,
    tuple: Vec<usize>,
    powers: Weights,
}

/// The fractions of a table.
pub struct Fractions {
    groups: Vec<Vec<Term>>,
}

impl Fractions {
    pub fn new<'a>(groups: impl Iterator<Item = &'a [Lookup]>, buses: &Buses, tape: &Tape) -> Self {
        let term = |lookup: &Lookup| Term {
            start: PackedK::from(buses.alpha - K::from(Elem::new(lookup.bus))),
            multiplicity: tape.slot_of(lookup.multiplicity),
            tuple: lookup.tuple.iter().map(|&e| tape.slot_of(e)).collect(),
            powers: Weights::new(&buses.powers[1..=lookup.tuple.len()]),
        };
        Self { groups: groups.map(|group| group.iter().map(term).collect()).collect() }
    }

    /// Calls `take` with the numerator and denominator of each group, after a run in this room.
    pub fn each(&self, room: &[Packed], mut take: impl FnMut(usize, PackedK, PackedK)) {
        let mut tuple = Vec::new();
        for (g, group) in self.groups.iter().enumerate() {
            let mut terms = group.iter().map(|term| {
                tuple.clear();
                tuple.extend(term.tuple.iter().map(|&slot| room[slot]));
                (room[term.multiplicity], term.start - term.powers.sum(&tuple))
            });
            let Some((times, mut denominator)) = terms.next() else {
                take(g, PackedK::ZERO, PackedK::ONE);
                continue;
            };
            let mut numerator = PackedK::from(times);
            for (times, d) in terms {
                numerator = numerator * d + denominator * times;
                denominator *= d;
            }
            take(g, numerator, denominator);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns_and_back() {
        for width in (0..3 * LANES + 2).chain([5, 17, 33, 100]) {
            let element = |i: usize| Elem::new(i as u32 * 7919 + 3);
            let flat: Vec<Elem> = (0..LANES * width).map(element).collect();
            let row = |lane: usize| &flat[lane * width..(lane + 1) * width];
            let mut columns = vec![Packed::ZERO; width];
            read(std::array::from_fn(row), &mut columns);
            for (c, column) in columns.iter().enumerate() {
                assert!((0..LANES).all(|lane| column.as_slice()[lane] == row(lane)[c]), "{width}");
            }
            let mut back = vec![Elem::ZERO; LANES * width];
            write(&columns, back.chunks_mut(width.max(1)));
            assert_eq!(back, flat);
        }
    }

    #[test]
    fn weighted_sums_are_those_of_their_terms() {
        for count in (0..40).chain([64, 65, 130]) {
            let values: Vec<Packed> = (0..count)
                .map(|i| Packed::from_fn(|lane| Elem::new(i * 31 + lane as u32)))
                .collect();
            let weight = |i| K::from_basis_coefficients_fn(|j| Elem::new(i + 9 * j as u32));
            let weights: Vec<K> = (0..count).map(weight).collect();
            let terms = values.iter().zip(&weights).map(|(&v, &w)| PackedK::from(w) * v);
            assert_eq!(Weights::new(&weights).sum(&values), terms.sum::<PackedK>());
        }
    }
}
