//! The extension field K and the domains (docs/stark.md section 1).

use p3_field::extension::QuinticTrinomialExtensionField;
use p3_field::{
    BasedVectorSpace, ExtensionField, Field, PrimeCharacteristicRing, PrimeField32, TwoAdicField,
};
use rayon::prelude::*;

use crate::hash::{Elem, P};

/// `F[X]/(X^5 + X^2 - 1)`.
pub type K = QuinticTrinomialExtensionField<Elem>;
/// Elements of K in vector lanes.
pub type PackedK = <K as ExtensionField<Elem>>::ExtensionPacking;
pub const DIM: usize = 5;
/// Shift of the cosets on which codewords are evaluated.
pub const SHIFT: u32 = 3;
pub const TWO_ADICITY: usize = 24;
const TASK: usize = 1 << 12;

pub fn shift() -> Elem {
    Elem::new(SHIFT)
}

/// Generator of the subgroup of order `2^bits`.
pub fn root(bits: usize) -> Elem {
    Elem::two_adic_generator(bits)
}

pub fn coefficients(x: &K) -> &[Elem] {
    x.as_basis_coefficients_slice()
}

pub fn from_coefficients(x: &[Elem]) -> K {
    K::from_basis_coefficients_fn(|i| x[i])
}

/// `X^i`.
pub fn basis(i: usize) -> K {
    K::from_basis_coefficients_fn(|j| Elem::from_bool(i == j))
}

pub fn put_elem(out: &mut Vec<u8>, x: Elem) {
    out.extend(x.as_canonical_u32().to_le_bytes());
}

pub fn put(out: &mut Vec<u8>, x: &K) {
    coefficients(x).iter().for_each(|&c| put_elem(out, c));
}

/// The element of four little-endian bytes; `None` unless below `P`.
pub fn elem_of(bytes: &[u8]) -> Option<Elem> {
    let word = u32::from_le_bytes(bytes.try_into().ok()?);
    (word < P).then(|| Elem::new(word))
}

pub fn reverse(i: usize, bits: usize) -> usize {
    if bits == 0 { 0 } else { i.reverse_bits() >> (usize::BITS as usize - bits) }
}

/// `x^0 … x^(n−1)`.
pub fn powers<T: PrimeCharacteristicRing + Copy>(x: T, n: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(n);
    let mut power = T::ONE;
    for _ in 0..n {
        out.push(power);
        power *= x;
    }
    out
}

/// The points of the coset domain of `2^bits` in bit-reversed order.
pub fn points(bits: usize) -> Vec<Elem> {
    let natural = powers(root(bits), 1 << bits);
    (0..1 << bits).into_par_iter().map(|i| shift() * natural[reverse(i, bits)]).collect()
}

/// Inverses of all elements, none of which is zero.
pub fn inverses<T: Field>(x: &[T]) -> Vec<T> {
    let mut out = vec![T::ZERO; x.len()];
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(out, x)| {
        let mut product = T::ONE;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = product;
            product *= x;
        }
        let mut inverse = product.inverse();
        for (out, &x) in out.iter_mut().zip(x).rev() {
            *out *= inverse;
            inverse *= x;
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_the_page() {
        assert_eq!(root(24).as_canonical_u32(), 0x6ac4_9f88);
        assert_eq!(root(23), root(24).square());
        let x = basis(1);
        assert_eq!(x.exp_u64(5) + x.square(), K::ONE);
        assert_eq!(reverse(1, 3), 4);
        let values: Vec<K> = (1..9000).map(|i| basis(1) + K::from(Elem::new(i))).collect();
        assert!(values.iter().zip(inverses(&values)).all(|(&x, y)| x * y == K::ONE));
    }
}
