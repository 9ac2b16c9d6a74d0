//! Dot gates: from accumulators to outputs.

use super::columns::{Carry, Factor};
use super::parts::{clamp, digits_vanish, in_class, limb, pair, scaled};
use super::{DIGITS, bus};
use crate::stark::air::{Air, Builder, Expr};

table! {
    public {
        on,
        direct,
        slot_a,
        has_a,
        slot_b,
        has_b,
        row,
        bias: Factor,
        mult: Factor,
        rounding: Factor,
        y_at,
        offset,
        class_u2,
        sigma_u3,
        o: [T; DIGITS],
        cst: [T; DIGITS],
        alpha: [T; DIGITS],
        beta: [T; DIGITS],
        gamma: [T; DIGITS],
        delta: [T; DIGITS],
        sigma_t: [T; 2],
        sigma_r: [T; 4],
        sigma_p: [T; 2],
        qoff,
        clo,
        chi,
        has_act,
        act,
    }
    main {
        /// Sums of the two streams.
        sum_a,
        sum_b,
        /// Bias, multiplier and rounding as read.
        v_bias,
        v_mult,
        v_rounding,
        m,
        u: [T; 4],
        u3_scaled,
        t: [T; 2],
        t_scaled: [T; 2],
        r: [T; 4],
        r_scaled: [T; 4],
        p: [T; 2],
        p_scaled: [T; 2],
        carries: [Carry; 5],
        e_lo: [T; 2],
        e_hi: [T; 2],
        c,
        y,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("gate", false);
    let public = PUBLIC.map(|c| b.public(c));
    let main = MAIN.map(|c| b.main(c));
    accumulator(b, &public, &main);
    quotient(b, &public, &main);
    output(b, &public, &main);
    let Public { on, has_a, slot_a, has_b, slot_b, bias, mult, rounding, y_at, .. } = public;
    let Main { sum_a, sum_b, v_bias, v_mult, v_rounding, y, .. } = main;
    for (factor, v) in [(bias, v_bias), (mult, v_mult), (rounding, v_rounding)] {
        factor.read(b, &v);
    }
    b.lookup(bus::ACC, has_a, [slot_a, sum_a]);
    b.lookup(bus::ACC, has_b, [slot_b, sum_b]);
    b.lookup(bus::READ, on, [y_at, y]);
    b.build()
}

/// The accumulator, in limbs.
fn accumulator(b: &mut Builder, public: &Public<Expr>, main: &Main<Expr>) {
    let Public { on, direct, has_a, has_b, row, bias, offset, class_u2, sigma_u3, .. } =
        public.clone();
    let Main { sum_a, sum_b, v_bias, u, u3_scaled, .. } = main.clone();
    let acc = has_a * sum_a + has_b * sum_b + bias.value(&v_bias);
    let limbs = u[0].clone() + 4096 * u[1].clone() + (1 << 24) * u[2].clone();
    b.zero(direct.clone() * (acc + offset - limbs));
    limb(b, &on, &u[0]);
    limb(b, &on, &u[1]);
    in_class(b, &on, class_u2, u[2].clone());
    scaled(b, &on, &sigma_u3, &u[3], &u3_scaled);
    let wide = on - direct;
    b.lookup(bus::LIMB, wide, [row].into_iter().chain(u));
}

/// acc'·m + h + … = t'·2^s + r + O·m.
fn quotient(b: &mut Builder, public: &Public<Expr>, main: &Main<Expr>) {
    let Public { on, mult, rounding, o, cst, alpha, beta, gamma, delta, .. } = public.clone();
    let Main { v_mult, v_rounding, m, u, t, r, p, carries, .. } = main.clone();
    b.equal(m.clone(), mult.value(&v_mult));
    b.zero(on.clone() * (pair(&p) - rounding.value(&v_rounding)));
    let digits = (0..DIGITS).map(|i| {
        let mut x = cst[i].clone() - o[i].clone() * m.clone();
        if let Some(u) = u.get(i) {
            x = x + u.clone() * m.clone();
        }
        if let Some(r) = r.get(i) {
            x = x - r.clone();
        }
        x + gamma[i].clone() * p[0].clone() + delta[i].clone() * p[1].clone()
            - alpha[i].clone() * t[0].clone()
            - beta[i].clone() * t[1].clone()
    });
    let digits = digits.collect();
    digits_vanish(b, &on, digits, &carries);
    let ranged = t.iter().zip(&public.sigma_t).zip(&main.t_scaled);
    let ranged = ranged.chain(r.iter().zip(&public.sigma_r).zip(&main.r_scaled));
    let ranged = ranged.chain(p.iter().zip(&public.sigma_p).zip(&main.p_scaled));
    for ((x, sigma), product) in ranged {
        scaled(b, &on, sigma, x, product);
    }
}

/// Clamp, then the table or nothing.
fn output(b: &mut Builder, public: &Public<Expr>, main: &Main<Expr>) {
    let Public { on, qoff, clo, chi, has_act, act, .. } = public.clone();
    let Main { t, e_lo, e_hi, c, y, .. } = main.clone();
    let q = pair(&t) + qoff;
    clamp(b, &on, q, &c, [&clo, &chi], [&e_lo, &e_hi]);
    b.zero((on - has_act.clone()) * (y.clone() - c.clone()));
    b.lookup(bus::ACT, has_act, [act, c, y]);
}
