//! Quotients and roots.

use super::columns::{Carry, Factor};
use super::parts::{below, clamp, digits_vanish, limb, pair};
use super::{NUMERATOR_OFFSET, bus};
use crate::stark::air::{Air, Builder, Expr};

table! {
    public { on, quotient, two, scale, q_offset, zero, lo, hi, num: Factor, den: Factor, y_at }
    main {
        /// Numerator and denominator as read.
        v_num,
        v_den,
        n: [T; 3],
        d: [T; 3],
        q: [T; 2],
        r: [T; 3],
        /// What r lacks to its largest value.
        w: [T; 3],
        carries: [Carry; 4],
        e_lo: [T; 2],
        e_hi: [T; 2],
        y,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("div", false);
    let Public { on, quotient, two, scale, q_offset, zero, lo, hi, num, den, y_at } =
        PUBLIC.map(|c| b.public(c));
    let Main { v_num, v_den, n, d, q, r, w, carries, e_lo, e_hi, y } = MAIN.map(|c| b.main(c));
    let joined = |x: &[Expr; 3]| pair(&x[..2]) + (1 << 24) * x[2].clone();

    // n' = numerator + 2^24; d is the denominator, or the root itself.
    b.zero(on.clone() * (joined(&n) - num.value(&v_num) - NUMERATOR_OFFSET));
    b.zero(quotient.clone() * (joined(&d) - den.value(&v_den)));
    let root = on.clone() - quotient.clone();
    b.zero(root.clone() * (d[0].clone() - q[0].clone()));
    b.zero(root.clone() * (d[1].clone() - q[1].clone()));
    b.zero(root * d[2].clone());
    b.boolean(&n[2]);
    b.boolean(&d[2]);

    // scale·n + d·(1 + 2^24) − scale·2^24 = two·q'·d + r; a root has no d on the left.
    let left = |x: &Expr| quotient.clone() * x.clone();
    let times = |x: &Expr, y: &Expr| two.clone() * (x.clone() * y.clone());
    let digits = vec![
        scale.clone() * n[0].clone() + left(&d[0]) - times(&q[0], &d[0]) - r[0].clone(),
        scale.clone() * n[1].clone() + left(&d[1])
            - times(&q[0], &d[1])
            - times(&q[1], &d[0])
            - r[1].clone(),
        scale.clone() * n[2].clone() + left(&d[2]) + left(&d[0])
            - scale.clone()
            - times(&q[1], &d[1])
            - times(&q[0], &d[2])
            - r[2].clone(),
        left(&d[1]) - times(&q[1], &d[2]),
        left(&d[2]),
    ];
    digits_vanish(b, &on, digits, &carries);
    // 0 ≤ r < 2d, or r ≤ 2q.
    b.zero(2 * joined(&d) - quotient - joined(&r) - joined(&w));
    for x in [&n[0], &n[1], &d[0], &d[1], &q[0], &q[1], &r[0], &r[1], &w[0], &w[1]] {
        limb(b, &on, x);
    }
    below(b, &on, 1024, &r[2]);
    below(b, &on, 1024, &w[2]);

    let q = pair(&q) - q_offset + zero;
    clamp(b, &on, q, &y, [&lo, &hi], [&e_lo, &e_hi]);
    num.read(b, &v_num);
    den.read(b, &v_den);
    b.lookup(bus::READ, on, [y_at, y]);
    b.build()
}
