//! What several tables have in common: ranges, digits.

use super::columns::{Carry, Factor};
use super::{bus, class};
use crate::stark::air::{Builder, Expr};
pub use crate::table::parts::{carried, permutation, running, sum};

impl Factor<Expr> {
    /// Reads `v` where `r = 1`.
    pub fn read(&self, b: &mut Builder, v: &Expr) {
        b.lookup(bus::READ, self.r.clone(), [self.x.clone(), v.clone()]);
    }

    pub fn value(&self, v: &Expr) -> Expr {
        self.r.clone() * v.clone() + self.k.clone()
    }
}

impl Carry<Expr> {
    fn value(&self, on: &Expr) -> Expr {
        on.clone() * (self.low.clone() + 4096 * self.high.clone() - (1 << 17))
    }

    fn check(&self, b: &mut Builder, on: &Expr) {
        limb(b, on, &self.low);
        below(b, on, 64, &self.high);
    }
}

/// `x` in a class.
pub fn in_class(b: &mut Builder, on: &Expr, class: Expr, x: Expr) {
    b.lookup(bus::RANGE, on.clone(), [class, x]);
}

/// `x` in [0, 4096).
pub fn limb(b: &mut Builder, on: &Expr, x: &Expr) {
    let class = b.constant(class::LIMB);
    in_class(b, on, class, x.clone());
}

/// `x < 2^n` with a public `sigma = 2^(12 − n)`: both x and σ·x are limbs. The product has degree 2, so
/// it stands in a column of its own.
pub fn scaled(b: &mut Builder, on: &Expr, sigma: &Expr, x: &Expr, product: &Expr) {
    limb(b, on, x);
    b.equal(product.clone(), sigma.clone() * x.clone());
    limb(b, on, product);
}

/// `x < 2^n` with a constant scale.
pub fn below(b: &mut Builder, on: &Expr, sigma: i64, x: &Expr) {
    limb(b, on, x);
    limb(b, on, &(sigma * x.clone()));
}

/// `low + 4096·high`, of the two.
pub fn pair(limbs: &[Expr]) -> Expr {
    limbs[0].clone() + 4096 * limbs[1].clone()
}

/// The three bytes of each element of a block, joined.
pub fn elements(bytes: &[Expr]) -> Vec<Expr> {
    let join = |b: &[Expr]| b[0].clone() + 256 * b[1].clone() + 65536 * b[2].clone();
    bytes.chunks(3).map(join).collect()
}

/// `out = q + e_lo − e_hi`, where e_lo > 0 only at the lower end and e_hi > 0 only at the upper.
pub fn clamp(
    b: &mut Builder,
    on: &Expr,
    q: Expr,
    out: &Expr,
    [lo, hi]: [&Expr; 2],
    [e_lo, e_hi]: [&[Expr; 2]; 2],
) {
    let (low, high) = (pair(e_lo), pair(e_hi));
    b.zero(on.clone() * (q + low.clone() - high.clone() - out.clone()));
    b.zero(low * (out.clone() - lo.clone()));
    b.zero(high * (out.clone() - hi.clone()));
    e_lo.iter().chain(e_hi).for_each(|x| limb(b, on, x));
}

/// `Σ 4096^i·x_i = 0` over the integers, digit by digit.
pub fn digits_vanish(b: &mut Builder, on: &Expr, digits: Vec<Expr>, carries: &[Carry<Expr>]) {
    let last = digits.len() - 1;
    for (i, digit) in digits.into_iter().enumerate() {
        let mut expr = digit;
        if i > 0 {
            expr = expr + carries[i - 1].value(on);
        }
        if i < last {
            expr = expr - 4096 * carries[i].value(on);
        }
        b.zero(expr);
    }
    carries.iter().for_each(|carry| carry.check(b, on));
}
