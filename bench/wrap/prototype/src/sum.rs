//! Integers as sums of variables, with the interval that each can lie in.
//!
//! A word of KoalaBear is an integer modulo p. Sums and products are taken over the integers, in a
//! field of 254 bits, for as long as they fit: that is what saves reductions.

use std::collections::BTreeMap;
use std::ops::{Add, Sub};

use ark_ff::PrimeField;
use ark_relations::r1cs::{LinearCombination, Variable};
use num_bigint::{BigInt, Sign};
use num_traits::{Signed, Zero};

/// The prime of KoalaBear.
pub const P: u64 = (1 << 31) - (1 << 24) + 1;

#[derive(Clone, Debug)]
struct Term {
    coefficient: BigInt,
    value: BigInt,
    low: BigInt,
    high: BigInt,
}

/// A linear combination of variables over the integers.
#[derive(Clone, Debug, Default)]
pub struct Sum(BTreeMap<Variable, Term>);

impl Sum {
    /// A variable whose value is known to lie between `low` and `high`.
    pub fn variable(variable: Variable, value: BigInt, low: BigInt, high: BigInt) -> Self {
        let term = Term { coefficient: 1.into(), value, low, high };
        Self(BTreeMap::from([(variable, term)]))
    }

    pub fn constant(value: impl Into<BigInt>) -> Self {
        let one = BigInt::from(1);
        Self::variable(Variable::One, one.clone(), one.clone(), one).scaled(&value.into())
    }

    pub fn scaled(&self, by: &BigInt) -> Self {
        self.with_coefficients(|coefficient| coefficient * by)
    }

    /// The same residue modulo p with coefficients of at most 30 bits and a sign.
    pub fn modulo(&self) -> Self {
        self.with_coefficients(|coefficient| centred(coefficient, P))
    }

    fn with_coefficients(&self, map: impl Fn(&BigInt) -> BigInt) -> Self {
        let mut terms = self.0.clone();
        for term in terms.values_mut() {
            term.coefficient = map(&term.coefficient);
        }
        terms.retain(|_, term| !term.coefficient.is_zero());
        Self(terms)
    }

    pub fn value(&self) -> BigInt {
        self.0.values().map(|term| &term.coefficient * &term.value).sum()
    }

    /// The least and the greatest integer that this can be.
    pub fn interval(&self) -> (BigInt, BigInt) {
        let mut ends = (BigInt::zero(), BigInt::zero());
        for term in self.0.values() {
            let (a, b) = (&term.coefficient * &term.low, &term.coefficient * &term.high);
            ends = if term.coefficient.is_negative() {
                (ends.0 + b, ends.1 + a)
            } else {
                (ends.0 + a, ends.1 + b)
            };
        }
        ends
    }

    /// Bits of the largest absolute value.
    pub fn bits(&self) -> u64 {
        let (low, high) = self.interval();
        low.bits().max(high.bits())
    }

    pub fn combination<F: PrimeField>(&self) -> LinearCombination<F> {
        LinearCombination(self.0.iter().map(|(at, term)| (field(&term.coefficient), *at)).collect())
    }
}

impl Add for &Sum {
    type Output = Sum;

    fn add(self, other: &Sum) -> Sum {
        let mut terms = self.0.clone();
        for (at, term) in &other.0 {
            terms
                .entry(*at)
                .and_modify(|mine| mine.coefficient += &term.coefficient)
                .or_insert_with(|| term.clone());
        }
        terms.retain(|_, term| !term.coefficient.is_zero());
        Sum(terms)
    }
}

impl Sub for &Sum {
    type Output = Sum;

    fn sub(self, other: &Sum) -> Sum {
        self + &other.scaled(&(-1).into())
    }
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), |total, each| &total + &each)
    }
}

/// The residue modulo `modulus` that is nearest to zero.
pub fn centred(value: &BigInt, modulus: u64) -> BigInt {
    let rest = residue(value, modulus);
    if 2 * rest > modulus { BigInt::from(rest) - modulus } else { rest.into() }
}

pub fn residue(value: &BigInt, modulus: u64) -> u64 {
    let modulus = BigInt::from(modulus);
    let rest: BigInt = ((value % &modulus) + &modulus) % &modulus;
    rest.try_into().expect("below the modulus")
}

pub fn field<F: PrimeField>(value: &BigInt) -> F {
    let (sign, magnitude) = value.clone().into_parts();
    let found = F::from(magnitude);
    if sign == Sign::Minus { -found } else { found }
}
