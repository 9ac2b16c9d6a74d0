//! Expressions evaluated on many rows at once, and at one point.

use p3_field::{Field, PackedFieldExtension, PackedValue, PrimeCharacteristicRing};

use super::air::{Air, Lookup, Node};
use super::field::{K, PackedK};
use crate::hash::Elem;
use crate::hash::poseidon::Packed;

pub const LANES: usize = <Packed as PackedValue>::WIDTH;

/// Values at a point of K.
pub struct Point<'a> {
    pub publics: &'a [K],
    pub mains: &'a [K],
    /// Of the columns in `Air::next`, in that order.
    pub next: &'a [K],
    pub first: K,
    pub last: K,
}

pub fn evaluate_at(air: &Air, at: &Point) -> Vec<K> {
    let mut out: Vec<K> = Vec::with_capacity(air.nodes.len());
    for node in &air.nodes {
        out.push(match *node {
            Node::Const(value) => K::from(Elem::new(value)),
            Node::Public(c) => at.publics[c as usize],
            Node::Main(c) => at.mains[c as usize],
            Node::Next(c) => {
                at.next[air.next.binary_search(&(c as usize)).expect("listed by the builder")]
            }
            Node::First => at.first,
            Node::Last => at.last,
            Node::Add(a, b) => out[a as usize] + out[b as usize],
            Node::Sub(a, b) => out[a as usize] - out[b as usize],
            Node::Mul(a, b) => out[a as usize] * out[b as usize],
        });
    }
    out
}

/// The challenges of the buses.
pub struct Buses {
    pub alpha: K,
    /// `β^0, β^1, …`
    pub powers: Vec<K>,
}

impl Buses {
    pub fn new(alpha: K, beta: K, longest: usize) -> Self {
        Self { alpha, powers: super::field::powers(beta, longest + 1) }
    }

    /// `α − (bus + Σ β^i·e_i)` of elements of any kind.
    pub fn denominator<T: Copy, R: From<K>>(
        &self,
        bus: u32,
        tuple: impl Iterator<Item = T>,
        mut subtract: impl FnMut(R, K, T) -> R,
    ) -> R {
        let start = R::from(self.alpha - K::from(Elem::new(bus)));
        tuple.zip(&self.powers[1..]).fold(start, |sum, (e, &power)| subtract(sum, power, e))
    }

    pub fn at(&self, lookup: &Lookup, values: &[K]) -> K {
        let tuple = lookup.tuple.iter().map(|&e| values[e as usize]);
        self.denominator(lookup.bus, tuple, |sum: K, power, e| sum - power * e)
    }
}

/// The fraction `Σ m_i/D_i` as (numerator, denominator).
pub fn fraction<T: PrimeCharacteristicRing + Copy, M: Copy>(
    terms: &[(M, T)],
    times: impl Fn(T, M) -> T,
) -> (T, T) {
    let (mut numerator, mut denominator) = (T::ZERO, T::ONE);
    for &(m, d) in terms {
        numerator = numerator * d + times(denominator, m);
        denominator *= d;
    }
    (numerator, denominator)
}

/// The element in a lane.
pub fn lane_of(x: &PackedK, lane: usize) -> K {
    <PackedK as PackedFieldExtension<Elem, K>>::extract(x, lane)
}

/// Inverts all elements of a batch in lanes; `None` where one of them is zero.
pub fn invert_lanes(x: &mut [PackedK]) -> Option<()> {
    let mut prefix = Vec::with_capacity(x.len());
    let mut product = PackedK::ONE;
    for &x in x.iter() {
        prefix.push(product);
        product *= x;
    }
    let lanes = (0..LANES).map(|lane| lane_of(&product, lane).try_inverse());
    let mut inverse = PackedK::from_ext_slice(&lanes.collect::<Option<Vec<K>>>()?);
    for (x, prefix) in x.iter_mut().zip(prefix).rev() {
        let of_x = inverse * prefix;
        inverse *= *x;
        *x = of_x;
    }
    Some(())
}
