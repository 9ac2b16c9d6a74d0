//! A constraint system with range checks in three styles. The system itself counts.

use std::collections::BTreeMap;

use ark_ff::PrimeField;
use ark_relations::r1cs::{ConstraintSystemRef, LinearCombination, Variable};
use num_bigint::{BigInt, BigUint};
use num_traits::Signed;

use crate::sum::{P, Sum, field};

const LIMB: u64 = 16;

/// How a number is shown to be small, and what a constraint may look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// R1CS, a constraint for each bit: plain Groth16.
    Bits,
    /// R1CS, limbs of 16 bits looked up by LogUp: Groth16 with one commitment before a challenge.
    Lookups,
    /// Rows of four wires `q·ab + Σ qᵢ·wᵢ + q₀ = 0`, limbs looked up beside them: PLONK.
    Rows,
}

pub struct Circuit<F: PrimeField> {
    pub cs: ConstraintSystemRef<F>,
    pub style: Style,
    /// Limbs that were looked up.
    pub lookups: usize,
    challenge: Option<Challenge<F>>,
    tables: BTreeMap<Table, Counted<F>>,
    /// In rows: what is looked up beside them, for `holds`.
    beside: Vec<(Table, LinearCombination<F>, LinearCombination<F>)>,
}

/// Table 0 has all limbs; table k > 0 pairs of a number of k bits and its bits spread out.
type Table = u32;

/// How often each entry was looked up, and the sum of their fractions.
struct Counted<F: PrimeField> {
    counts: Vec<u64>,
    fractions: LinearCombination<F>,
}

/// Stands for hashes of a commitment to all that is looked up: α, β.
#[derive(Clone, Copy)]
struct Challenge<F> {
    variables: [Variable; 2],
    values: [F; 2],
}

impl<F: PrimeField> Circuit<F> {
    pub fn new(cs: ConstraintSystemRef<F>, style: Style) -> Self {
        let challenge = (style == Style::Lookups).then(|| {
            let values = [3u64, 5].map(|base| F::from(base).pow([1 << 40]));
            let variables =
                values.map(|value| cs.new_input_variable(|| Ok(value)).expect("no error"));
            Challenge { variables, values }
        });
        Self { cs, style, lookups: 0, challenge, tables: BTreeMap::new(), beside: Vec::new() }
    }

    pub fn constraints(&self) -> usize {
        self.cs.num_constraints()
    }

    fn allocate(&self, value: F) -> Variable {
        self.cs.new_witness_variable(|| Ok(value)).expect("no error in a closure")
    }

    /// A witness; that it lies in the interval is for the caller to show.
    pub fn witness(&self, value: BigInt, low: BigInt, high: BigInt) -> Sum {
        Sum::variable(self.allocate(field(&value)), value, low, high)
    }

    /// A word that is shown to have 31 bits (in limbs 32).
    pub fn word(&mut self, value: u64) -> Sum {
        let high = self.greatest(31);
        let word = self.witness(value.into(), 0.into(), high);
        self.range(&word.combination(), &word.value(), 31);
        word
    }

    /// `a·b = c`.
    pub fn enforce(
        &self,
        a: LinearCombination<F>,
        b: LinearCombination<F>,
        c: LinearCombination<F>,
    ) {
        let sides = match self.style {
            Style::Rows => (self.shortened(a, 1), self.shortened(b, 1), self.shortened(c, 2)),
            _ => (a, b, c),
        };
        self.cs.enforce_constraint(sides.0, sides.1, sides.2).expect("the system is open");
    }

    /// `combination = 0`.
    pub fn enforce_zero(&self, combination: LinearCombination<F>) {
        let (zero, c) = match self.style {
            Style::Rows => (LinearCombination::zero(), self.shortened(combination, 4)),
            _ => (LinearCombination::zero(), combination),
        };
        self.cs.enforce_constraint(zero.clone(), zero, c).expect("the system is open");
    }

    /// The same value with at most so many variables: a row joins three into a new one.
    fn shortened(&self, combination: LinearCombination<F>, most: usize) -> LinearCombination<F> {
        let (one, mut terms): (Vec<_>, Vec<_>) =
            combination.0.into_iter().partition(|(_, at)| *at == Variable::One);
        while terms.len() > most {
            let taken: Vec<_> = terms.drain(..terms.len().min(3)).collect();
            let value = taken.iter().map(|(factor, at)| *factor * self.assigned(*at)).sum();
            let joined = self.allocate(value);
            let mut row = LinearCombination(taken);
            row.0.push((-F::one(), joined));
            let zero = LinearCombination::zero();
            self.cs.enforce_constraint(zero.clone(), zero, row).expect("the system is open");
            terms.push((F::one(), joined));
        }
        terms.extend(one);
        LinearCombination(terms)
    }

    fn assigned(&self, at: Variable) -> F {
        self.cs.assigned_value(at).expect("rows are only counted with a witness")
    }

    /// In rows one variable instead of many, where a sum is used more than once.
    pub fn shared(&self, sum: &Sum) -> Sum {
        let combination = sum.combination::<F>();
        if self.style != Style::Rows || combination.0.len() <= 1 {
            return sum.clone();
        }
        let (low, high) = sum.interval();
        let found = self.witness(sum.value(), low, high);
        self.enforce_zero(combination - found.combination());
        found
    }

    pub fn product(&self, a: &Sum, b: &Sum) -> Sum {
        self.product_and(a, b, &Sum::default())
    }

    /// `a·b + c`, one constraint.
    pub fn product_and(&self, a: &Sum, b: &Sum, c: &Sum) -> Sum {
        let ((a0, a1), (b0, b1), (c0, c1)) = (a.interval(), b.interval(), c.interval());
        let ends = [&a0 * &b0, &a0 * &b1, &a1 * &b0, &a1 * &b1];
        let low = ends.iter().min().expect("four") + c0;
        let high = ends.iter().max().expect("four") + c1;
        assert!(low.bits().max(high.bits()) + 2 < u64::from(F::MODULUS_BIT_SIZE), "wraps");
        let found = self.witness(a.value() * b.value() + c.value(), low, high);
        let right = found.combination::<F>() - c.combination();
        self.enforce(a.combination(), b.combination(), right);
        found
    }

    /// The greatest number that a range check of so many bits lets pass.
    pub fn greatest(&self, bits: u64) -> BigInt {
        let bits = if self.style == Style::Bits { bits } else { bits.div_ceil(LIMB) * LIMB };
        (BigInt::from(1) << bits) - 1
    }

    /// Show that a combination lies in `0 … greatest(bits)`.
    pub fn range(&mut self, combination: &LinearCombination<F>, value: &BigInt, bits: u64) {
        assert!(!value.is_negative() && *value <= self.greatest(bits), "out of its range");
        let (size, count) = match self.style {
            Style::Bits => (1, bits),
            _ => (LIMB, bits.div_ceil(LIMB)),
        };
        let mut rest = combination.clone();
        for (place, part) in parts(value, size, count).into_iter().enumerate() {
            let weight = F::from(2u64).pow([size * place as u64]);
            // The last part is what is left: it needs no variable and no constraint of its own.
            if place as u64 + 1 == count && self.style != Style::Rows {
                self.small(rest * weight.inverse().expect("not zero"), part);
                return;
            }
            let at = self.allocate(F::from(part));
            self.small(at.into(), part);
            rest = rest - (weight, at);
        }
        self.enforce_zero(rest);
    }

    /// A bit, or a limb of the table.
    fn small(&mut self, part: LinearCombination<F>, value: u64) {
        match self.style {
            Style::Bits => {
                let less = part.clone() - (F::one(), Variable::One);
                self.enforce(part, less, LinearCombination::zero());
            }
            Style::Lookups => self.counted(0, value, part, F::from(value)),
            Style::Rows => self.look_beside(0, part, LinearCombination::zero()),
        }
    }

    /// Show that a number has so many bits, at most 16, and that `spread` has a zero behind each.
    pub fn spread(&mut self, number: &Sum, spread: &Sum, bits: u32) {
        let value: u64 = number.value().try_into().expect("not negative");
        assert!(value < 1 << bits && spread.value() == BigInt::from(spread_out(value)));
        let Some(Challenge { variables, values }) = self.challenge else {
            self.look_beside(bits, number.combination(), spread.combination());
            return;
        };
        // Its fraction is 1/(α + number + β·spread).
        let scaled = values[1] * field::<F>(&spread.value());
        let product = self.allocate(scaled);
        self.enforce(variables[1].into(), spread.combination(), product.into());
        let key = number.combination::<F>() + product;
        self.counted(bits, value, key, F::from(value) + scaled);
    }

    fn look_beside(
        &mut self,
        table: Table,
        number: LinearCombination<F>,
        spread: LinearCombination<F>,
    ) {
        self.lookups += 1;
        self.beside.push((table, number, spread));
    }

    /// Whether all constraints are satisfied, and in rows all that is looked up is in its table.
    pub fn holds(&self) -> bool {
        let value = |sum: &LinearCombination<F>| {
            sum.0.iter().map(|(factor, at)| *factor * self.assigned(*at)).sum::<F>()
        };
        let looked_up = |(table, number, spread): &(Table, _, _)| {
            let number: BigUint = value(number).into_bigint().into();
            let bits = if *table == 0 { LIMB as u32 } else { *table };
            number.bits() <= u64::from(bits) && {
                let number = number.try_into().expect("at most 16 bits");
                value(spread) == F::from(if *table == 0 { 0 } else { spread_out(number) })
            }
        };
        self.cs.is_satisfied().expect("assigned") && self.beside.iter().all(looked_up)
    }

    /// A fraction `1/(α + key)` for the sum of a table.
    fn counted(&mut self, table: Table, entry: u64, key: LinearCombination<F>, value: F) {
        let Challenge { variables, values } = self.challenge.expect("drawn at the start");
        let fraction = (values[0] + value).inverse().expect("but for one α in 2^200");
        let fraction = self.allocate(fraction);
        self.enforce(key + variables[0], fraction.into(), Variable::One.into());
        self.lookups += 1;
        let bits = if table == 0 { LIMB as u32 } else { table };
        let counted = self.tables.entry(table).or_insert_with(|| Counted {
            counts: vec![0; 1 << bits],
            fractions: LinearCombination::zero(),
        });
        counted.counts[entry as usize] += 1;
        counted.fractions.0.push((F::one(), fraction));
    }

    /// The tables' side of LogUp: a constraint for each entry, and the sum of each table.
    pub fn close(&mut self) {
        let Some(Challenge { variables, values }) = self.challenge else { return };
        for (table, counted) in std::mem::take(&mut self.tables) {
            let mut balance = counted.fractions;
            for (entry, count) in counted.counts.into_iter().enumerate() {
                let spread = if table == 0 { 0 } else { spread_out(entry as u64) };
                let (entry, spread) = (F::from(entry as u64), F::from(spread));
                let inverse = (values[0] + entry + values[1] * spread).inverse();
                let share = self.allocate(F::from(count) * inverse.expect("but for one α"));
                let times = self.allocate(F::from(count));
                let key = LinearCombination::from(variables[0])
                    + (spread, variables[1])
                    + (entry, Variable::One);
                self.enforce(share.into(), key, times.into());
                balance.0.push((-F::one(), share));
            }
            self.enforce_zero(balance);
        }
    }

    /// A number of 31 bits (in limbs 32) that is congruent modulo p.
    pub fn reduced(&mut self, sum: &Sum) -> Sum {
        let rest = self.word(crate::sum::residue(&sum.value(), P));
        self.divisible(&(sum - &rest));
        rest
    }

    /// Show that p divides it.
    pub fn divisible(&mut self, sum: &Sum) {
        let (low, high) = sum.interval();
        let more = if low.is_negative() { (-low + (P - 1)) / P } else { BigInt::ZERO };
        let bits = (&high / P + &more).bits();
        let value = sum.value() / P + &more;
        assert!(&value * P == sum.value() + &more * P, "p does not divide it");
        let wraps = (self.greatest(bits) * P).bits() + 2 >= u64::from(F::MODULUS_BIT_SIZE);
        assert!(!wraps, "wraps");
        let inverse = F::from(P).inverse().expect("not zero");
        let quotient = sum.combination::<F>() * inverse + (field::<F>(&more), Variable::One);
        self.range(&quotient, &value, bits);
    }
}

/// Bit i moved to bit 2i.
pub fn spread_out(value: u64) -> u64 {
    (0..32).map(|at| (value >> at & 1) << (2 * at)).sum()
}

/// `count` parts of `size` bits, lowest first.
fn parts(value: &BigInt, size: u64, count: u64) -> Vec<u64> {
    let value: BigUint = value.magnitude().clone();
    let mask = BigUint::from((1u64 << size) - 1);
    (0..count)
        .map(|at| ((&value >> (at * size)) & &mask).try_into().expect("at most 16 bits"))
        .collect()
}
