//! Wide accumulators, from the sums of their pairs of limbs.

use super::columns::Factor;
use super::parts::{below, in_class, limb, pair, sum};
use super::{LIMB_OFFSET, PAIRS, bus, class};
use crate::stark::air::{Air, Builder, Expr};

table! {
    public { on, gate, slot, has: [T; PAIRS], bias: Factor, cst: [T; 3] }
    main {
        /// Of each pair's sum + O.
        bytes: [[T; 4]; PAIRS],
        /// The bias as read.
        v_bias,
        u: [T; 4],
        /// The two carries, plus 32.
        carries: [T; 2],
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("limbs", false);
    let Public { on, gate, slot, has, bias, cst } = PUBLIC.map(|c| b.public(c));
    let Main { bytes, v_bias, u, carries } = MAIN.map(|c| b.main(c));
    let mut positions: Vec<Vec<Expr>> = vec![vec![]; 8];
    for (n, (has, bytes)) in has.iter().zip(&bytes).enumerate() {
        let joined = sum((0..4).map(|m| bytes[m].clone() * (1i64 << (8 * m))));
        let slot = slot.clone() + n as i64;
        b.lookup(bus::ACC, has.clone(), [slot, joined - LIMB_OFFSET]);
        for (m, byte) in bytes.iter().enumerate() {
            let class = b.constant(if m == 3 { class::TOP } else { class::BYTE });
            in_class(b, has, class, byte.clone());
            positions[n / 3 + n % 3 + m].push(has.clone() * byte.clone());
        }
    }
    let at: Vec<Expr> = positions.into_iter().map(sum).collect();
    let digit = |i: usize| {
        let higher =
            (1..3).filter_map(|j| at.get(3 * i + j).map(|p| p.clone() * (1i64 << (8 * j))));
        at[3 * i].clone() + sum(higher)
    };
    let centered: Vec<Expr> = carries.iter().map(|c| c.clone() - 32).collect();
    let on_carries: Vec<Expr> = centered.iter().map(|c| on.clone() * c.clone()).collect();
    let low = digit(0) + bias.value(&v_bias) + cst[0].clone();
    b.zero(low - pair(&u[..2]) - (1 << 24) * on_carries[0].clone());
    let middle = digit(1) + cst[1].clone() + on_carries[0].clone();
    b.zero(middle - pair(&u[2..]) - (1 << 24) * on_carries[1].clone());
    b.zero(digit(2) + cst[2].clone() + on_carries[1].clone());
    u.iter().for_each(|u| limb(b, &on, u));
    carries.iter().for_each(|c| below(b, &on, 64, c));
    bias.read(b, &v_bias);
    b.lookup(bus::LIMB, -on, [gate].into_iter().chain(u));
    b.build()
}
