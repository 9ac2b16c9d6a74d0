//! The tables of hybrid receipts (docs/hybrid.md section 4): their columns, constraints and lookups.
//!
//! Columns are declared in the order of that page; `// main:` comments name the witness columns.

use std::sync::LazyLock;

use super::permutation::{HALF, P16, P24, Rounds};
use crate::stark::air::{Air, Builder, Expr, Tables};

pub mod bus {
    pub const DIGEST: u32 = 1;
    pub const BLOCK: u32 = 2;
    pub const READ: u32 = 3;
    pub const ACC: u32 = 4;
    pub const LIMB: u32 = 5;
    pub const WORD: u32 = 6;
    pub const ACT: u32 = 7;
    pub const RANGE: u32 = 8;
}

pub mod class {
    pub const LIMB: i64 = 0;
    pub const BYTE: i64 = 1;
    pub const TOP: i64 = 2;
    pub const ZERO: i64 = 3;
}

/// Indices in the tables file.
pub mod index {
    pub const SPONGE: usize = 0;
    pub const NODE: usize = 1;
    pub const SPREAD: usize = 2;
    pub const WIDE: usize = 3;
    pub const ROW_DOT: usize = 4;
    pub const READ_DOT: usize = 5;
    pub const LIMBS: usize = 6;
    pub const GATE: usize = 7;
    pub const PICK: usize = 8;
    pub const SCAN: usize = 9;
    pub const DIV: usize = 10;
    pub const NOISE: usize = 11;
    pub const BITS: usize = 12;
    pub const ACT: usize = 13;
    pub const RANGE: usize = 14;
}

/// Bytes of a block.
pub const BLOCK: usize = 48;
/// Products of a row of read_dot.
pub const PRODUCTS: usize = 16;

/// All tables, in the order of [`index`].
pub static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    Tables::new(vec![
        sponge(),
        node(),
        spread(),
        wide(),
        row_dot(),
        read_dot(),
        limbs(),
        gate(),
        pick(),
        scan(),
        div(),
        noise(),
        bits(),
        act(),
        range(),
    ])
});

/// `r·v + k`, with `v` from the read bus at address `x`; only bound where `r = 1`.
struct Factor {
    x: Expr,
    r: Expr,
    k: Expr,
}

impl Factor {
    fn new(b: &mut Builder) -> Self {
        let [x, r, k] = b.publics();
        Self { x, r, k }
    }

    /// Reads `v` where `r = 1`.
    fn read(&self, b: &mut Builder, v: &Expr) {
        b.lookup(bus::READ, self.r.clone(), [self.x.clone(), v.clone()]);
    }

    fn value(&self, v: &Expr) -> Expr {
        self.r.clone() * v.clone() + self.k.clone()
    }
}

/// `x` in a class.
fn in_class(b: &mut Builder, on: &Expr, class: Expr, x: Expr) {
    b.lookup(bus::RANGE, on.clone(), [class, x]);
}

/// `x` in [0, 4096).
fn limb(b: &mut Builder, on: &Expr, x: &Expr) {
    let class = b.constant(class::LIMB);
    in_class(b, on, class, x.clone());
}

/// `x < 2^n` with a public `sigma = 2^(12 − n)`: both x and σ·x are limbs. The product has degree 2, so
/// it stands in a column of its own.
fn scaled(b: &mut Builder, on: &Expr, sigma: &Expr, x: &Expr, product: &Expr) {
    limb(b, on, x);
    b.equal(product.clone(), sigma.clone() * x.clone());
    limb(b, on, product);
}

/// `x < 2^n` with a constant scale.
fn below(b: &mut Builder, on: &Expr, sigma: i64, x: &Expr) {
    limb(b, on, x);
    limb(b, on, &(sigma * x.clone()));
}

/// `low + 4096·high`.
fn pair(low: &Expr, high: &Expr) -> Expr {
    low.clone() + 4096 * high.clone()
}

fn sum(terms: impl IntoIterator<Item = Expr>) -> Expr {
    terms.into_iter().reduce(|a, b| a + b).expect("at least one term")
}

/// The three bytes of each element of a block, joined.
fn elements(bytes: &[Expr]) -> Vec<Expr> {
    let join = |b: &[Expr]| b[0].clone() + 256 * b[1].clone() + 65536 * b[2].clone();
    bytes.chunks(3).map(join).collect()
}

fn external(state: &[Expr]) -> Vec<Expr> {
    let mut out: Vec<Expr> = Vec::with_capacity(state.len());
    for quad in state.chunks(4) {
        let total = sum(quad.iter().cloned());
        for i in 0..4 {
            out.push(total.clone() + quad[i].clone() + 2 * quad[(i + 1) % 4].clone());
        }
    }
    let sums: Vec<Expr> = (0..4).map(|i| sum(out.iter().skip(i).step_by(4).cloned())).collect();
    out.into_iter().enumerate().map(|(i, x)| x + sums[i % 4].clone()).collect()
}

/// Constrains a permutation of `input`; declares its columns and returns its output.
///
/// main: states after full rounds 1–4, cubes of the partial rounds, states after full rounds 5–8.
fn permutation(b: &mut Builder, rounds: &Rounds, input: &[Expr]) -> Vec<Expr> {
    let mut state = external(input);
    for constants in &rounds.initial[..HALF] {
        state = full_round(b, &state, constants);
    }
    for &constant in &rounds.partial {
        let cube = b.main();
        b.equal(cube.clone(), (state[0].clone() + b.element(constant)).cube());
        state[0] = cube;
        let total = sum(state.iter().cloned());
        state = state
            .iter()
            .zip(&rounds.diagonal)
            .map(|(x, &v)| x.clone() * b.element(v) + total.clone())
            .collect();
    }
    for constants in &rounds.last[..HALF] {
        state = full_round(b, &state, constants);
    }
    state
}

fn full_round(b: &mut Builder, state: &[Expr], constants: &[crate::hash::Elem]) -> Vec<Expr> {
    let cubes: Vec<Expr> =
        state.iter().zip(constants).map(|(x, &c)| (x.clone() + b.element(c)).cube()).collect();
    let mixed = external(&cubes);
    mixed
        .into_iter()
        .map(|wanted| {
            let column = b.main();
            b.equal(column.clone(), wanted);
            column
        })
        .collect()
}

fn sponge() -> Air {
    let b = &mut Builder::new("sponge", false);
    let [first, n, domain, link, uses, last, node] = b.publics();
    let data: [Expr; 16] = b.publics();
    let class: [Expr; BLOCK] = b.publics();
    let block = b.public();
    let filling: [Expr; 16] = b.publics();
    // main: bytes[48], cap[8], then the permutation.
    let bytes: [Expr; BLOCK] = b.mains();
    let cap: [Expr; 8] = b.mains();
    let input: Vec<Expr> = elements(&bytes).into_iter().chain(cap.iter().cloned()).collect();
    let out = permutation(b, &P24, &input);
    // The first block starts from length and domain, the others from where the last one ended.
    for (i, cap) in cap.iter().enumerate() {
        let start = [&n, &domain].get(i).map_or(b.constant(0), |e| (*e).clone());
        b.zero(first.clone() * cap.clone() - start);
        let next = b.next(cap);
        b.zero(link.clone() * (next - out[16 + i].clone()));
    }
    // What stands behind the salt is zero.
    for (filling, element) in filling.into_iter().zip(&input) {
        b.zero(filling * element.clone());
    }
    for (j, byte) in bytes.iter().enumerate() {
        in_class(b, &data[j / 3], class[j].clone(), byte.clone());
    }
    b.lookup(bus::BLOCK, -uses, [block].into_iter().chain(bytes.iter().cloned()));
    b.lookup(bus::DIGEST, -last, [node].into_iter().chain(out[..8].iter().cloned()));
    b.build()
}

fn node() -> Air {
    let b = &mut Builder::new("node", false);
    let [on, left, has_left, right, has_right, out_node, alone] = b.publics();
    // main: left digest, right digest, then the permutation.
    let input: [Expr; 16] = b.mains();
    let out = permutation(b, &P16, &input);
    // A right child that does not exist is the zero digest.
    for element in &input[8..] {
        b.zero(alone.clone() * element.clone());
    }
    let digest = |node: Expr, elements: &[Expr]| -> Vec<Expr> {
        [node].into_iter().chain(elements.iter().cloned()).collect()
    };
    b.lookup(bus::DIGEST, has_left, digest(left, &input[..8]));
    b.lookup(bus::DIGEST, has_right, digest(right, &input[8..]));
    let forward: Vec<Expr> = (0..8).map(|i| out[i].clone() + input[i].clone()).collect();
    b.lookup(bus::DIGEST, -on, digest(out_node, &forward));
    b.build()
}

fn spread() -> Air {
    let b = &mut Builder::new("spread", false);
    let [on, block] = b.publics();
    let uses: [Expr; BLOCK] = b.publics();
    // main: bytes[48].
    let bytes: [Expr; BLOCK] = b.mains();
    b.lookup(bus::BLOCK, on, [block.clone()].into_iter().chain(bytes.iter().cloned()));
    for (j, (uses, byte)) in uses.into_iter().zip(&bytes).enumerate() {
        let address = BLOCK as i64 * block.clone() + j as i64;
        b.lookup(bus::READ, -uses, [address, byte.clone() - 128]);
    }
    b.build()
}

fn wide() -> Air {
    let b = &mut Builder::new("wide", false);
    let [on, x, three, offset, lo, hi, uses] = b.publics();
    // The address of the value: 48·Σ + row.
    let address = b.public();
    // main: three bytes (less 128), v, limbs of v − lo, limbs of hi − v.
    let [b0, b1, b2, v] = b.mains();
    let above: [Expr; 2] = b.mains();
    let under: [Expr; 2] = b.mains();
    let joined = (b0.clone() + 128) + 256 * (b1.clone() + 128);
    let top = 65536 * (three.clone() * (b2.clone() + 128));
    b.zero(on.clone() * (joined - offset.clone() - v.clone()) + top);
    b.zero(on.clone() * (v.clone() - lo.clone()) - pair(&above[0], &above[1]));
    b.zero(on.clone() * (hi.clone() - v.clone()) - pair(&under[0], &under[1]));
    above.iter().chain(&under).for_each(|x| limb(b, &on, x));
    b.lookup(bus::READ, on.clone(), [x.clone(), b0]);
    b.lookup(bus::READ, on.clone(), [x.clone() + 1, b1]);
    b.lookup(bus::READ, three, [x + 2, b2]);
    b.lookup(bus::READ, -uses, [address, v]);
    b.build()
}

/// A running sum through linked rows: `run = base + part`, `base` of the next row = `link·run`.
fn running(b: &mut Builder, link: &Expr, base: &Expr, run: &Expr, part: Expr) {
    b.equal(run.clone(), base.clone() + part);
    let start = b.first() * base.clone();
    b.zero(start);
    let next = b.next(base);
    let inside = 1 - b.last();
    b.zero(inside * (next - link.clone() * run.clone()));
}

fn row_dot() -> Air {
    let b = &mut Builder::new("row_dot", false);
    let [on, block_a, block_b, ca, cb] = b.publics();
    let times: [Expr; BLOCK] = b.publics();
    let [link, slot, last] = b.publics();
    // main: a[48], b[48], base, run.
    let a: [Expr; BLOCK] = b.mains();
    let c: [Expr; BLOCK] = b.mains();
    let [base, run] = b.mains();
    let products = times
        .iter()
        .zip(&a)
        .zip(&c)
        .map(|((m, a), c)| m.clone() * ((a.clone() - ca.clone()) * (c.clone() - cb.clone())));
    let part = sum(products);
    running(b, &link, &base, &run, part);
    b.lookup(bus::BLOCK, on.clone(), [block_a].into_iter().chain(a));
    b.lookup(bus::BLOCK, on, [block_b].into_iter().chain(c));
    b.lookup(bus::ACC, -last, [slot, run]);
    b.build()
}

fn read_dot() -> Air {
    let b = &mut Builder::new("read_dot", false);
    let [link, slot, last] = b.publics();
    let factors: Vec<[Factor; 2]> =
        (0..PRODUCTS).map(|_| [Factor::new(b), Factor::new(b)]).collect();
    // main: (a, b) of each product, base, run.
    let values: Vec<[Expr; 2]> = (0..PRODUCTS).map(|_| b.mains()).collect();
    let [base, run] = b.mains();
    let products = factors.iter().zip(&values).map(|([a, c], [va, vc])| a.value(va) * c.value(vc));
    let part = sum(products);
    running(b, &link, &base, &run, part);
    for (pair, values) in factors.iter().zip(&values) {
        pair.iter().zip(values).for_each(|(factor, v)| factor.read(b, v));
    }
    b.lookup(bus::ACC, -last, [slot, run]);
    b.build()
}

fn limbs() -> Air {
    let b = &mut Builder::new("limbs", false);
    let [on, gate, slot] = b.publics();
    let has: [Expr; 9] = b.publics();
    let bias = Factor::new(b);
    let cst: [Expr; 3] = b.publics();
    // main: per pair (i, j) the four bytes of its sum + O; the bias read; u0 … u3; the carries + 32.
    let bytes: Vec<[Expr; 4]> = (0..9).map(|_| b.mains()).collect();
    let v = b.main();
    let u: [Expr; 4] = b.mains();
    let carry: [Expr; 2] = b.mains();
    let offset = 127 << 23;
    let mut positions: Vec<Vec<Expr>> = vec![vec![]; 8];
    for (n, (has, bytes)) in has.iter().zip(&bytes).enumerate() {
        let joined = sum((0..4).map(|m| bytes[m].clone() * (1i64 << (8 * m))));
        let slot = slot.clone() + n as i64;
        b.lookup(bus::ACC, has.clone(), [slot, joined - offset]);
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
    let carries: Vec<Expr> = carry.iter().map(|c| c.clone() - 32).collect();
    let on_carries: Vec<Expr> = carries.iter().map(|c| on.clone() * c.clone()).collect();
    let low = digit(0) + bias.value(&v) + cst[0].clone();
    b.zero(low - pair(&u[0], &u[1]) - (1 << 24) * on_carries[0].clone());
    let middle = digit(1) + cst[1].clone() + on_carries[0].clone();
    b.zero(middle - pair(&u[2], &u[3]) - (1 << 24) * on_carries[1].clone());
    b.zero(digit(2) + cst[2].clone() + on_carries[1].clone());
    u.iter().for_each(|u| limb(b, &on, u));
    carry.iter().for_each(|c| below(b, &on, 64, c));
    bias.read(b, &v);
    b.lookup(bus::LIMB, -on, [gate].into_iter().chain(u));
    b.build()
}

/// `out = q + e_lo − e_hi`, where e_lo > 0 only at the lower end and e_hi > 0 only at the upper.
///
/// main (declared by the caller): the limbs of e_lo, of e_hi.
fn clamp(b: &mut Builder, on: &Expr, q: Expr, out: &Expr, ends: [&Expr; 2], e: &[Expr; 4]) {
    let (low, high) = (pair(&e[0], &e[1]), pair(&e[2], &e[3]));
    b.zero(on.clone() * (q + low.clone() - high.clone() - out.clone()));
    b.zero(low * (out.clone() - ends[0].clone()));
    b.zero(high * (out.clone() - ends[1].clone()));
    e.iter().for_each(|x| limb(b, on, x));
}

/// A carry `low + 4096·high − 2^17` with `0 ≤ low + 4096·high < 2^18`.
struct Carry([Expr; 2]);

impl Carry {
    fn value(&self, on: &Expr) -> Expr {
        on.clone() * (pair(&self.0[0], &self.0[1]) - (1 << 17))
    }

    fn check(&self, b: &mut Builder, on: &Expr) {
        limb(b, on, &self.0[0]);
        below(b, on, 64, &self.0[1]);
    }
}

/// `Σ 4096^i·x_i = 0` over the integers, digit by digit.
fn digits_vanish(b: &mut Builder, on: &Expr, digits: Vec<Expr>, carries: &[Carry]) {
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

fn gate() -> Air {
    let b = &mut Builder::new("gate", false);
    let [on, direct, slot_a, has_a, slot_b, has_b, row] = b.publics();
    let [bias, mult, rounding] = [(); 3].map(|()| Factor::new(b));
    let [y_at, offset, class_u2, sigma_u3] = b.publics();
    let o: [Expr; 6] = b.publics();
    let cst: [Expr; 6] = b.publics();
    let alpha: [Expr; 6] = b.publics();
    let beta: [Expr; 6] = b.publics();
    let gamma: [Expr; 6] = b.publics();
    let delta: [Expr; 6] = b.publics();
    let sigma_t: [Expr; 2] = b.publics();
    let sigma_r: [Expr; 4] = b.publics();
    let sigma_p: [Expr; 2] = b.publics();
    let [qoff, clo, chi, has_act, act] = b.publics();
    // main: sums of the two streams; bias, multiplier and rounding as read; m; u[4], σ·u3;
    let [sum_a, sum_b, v_bias, v_mult, v_rounding, m] = b.mains();
    let u: [Expr; 4] = b.mains();
    let u3_scaled = b.main();
    // t[2], σ·t[2]; r[4], σ·r[4]; p[2], σ·p[2]; five carries (low, high); e[4]; c; y.
    let [t, t_scaled]: [[Expr; 2]; 2] = [(); 2].map(|()| b.mains());
    let [r, r_scaled]: [[Expr; 4]; 2] = [(); 2].map(|()| b.mains());
    let [p, p_scaled]: [[Expr; 2]; 2] = [(); 2].map(|()| b.mains());
    let carries: Vec<Carry> = (0..5).map(|_| Carry(b.mains())).collect();
    let e: [Expr; 4] = b.mains();
    let [c, y] = b.mains();

    // The accumulator, in limbs.
    let acc = has_a.clone() * sum_a.clone() + has_b.clone() * sum_b.clone() + bias.value(&v_bias);
    let limbs = u[0].clone() + 4096 * u[1].clone() + (1 << 24) * u[2].clone();
    b.zero(direct.clone() * (acc + offset - limbs));
    limb(b, &on, &u[0]);
    limb(b, &on, &u[1]);
    in_class(b, &on, class_u2, u[2].clone());
    scaled(b, &on, &sigma_u3, &u[3], &u3_scaled);
    let wide = on.clone() - direct;
    b.lookup(bus::LIMB, wide, [row].into_iter().chain(u.iter().cloned()));

    // acc'·m + h + … = t'·2^s + r + O·m.
    b.equal(m.clone(), mult.value(&v_mult));
    b.zero(on.clone() * (pair(&p[0], &p[1]) - rounding.value(&v_rounding)));
    let digits = (0..6).map(|i| {
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
    let ranged = t.iter().zip(&sigma_t).zip(&t_scaled);
    let ranged = ranged.chain(r.iter().zip(&sigma_r).zip(&r_scaled));
    let ranged = ranged.chain(p.iter().zip(&sigma_p).zip(&p_scaled));
    for ((x, sigma), product) in ranged {
        scaled(b, &on, sigma, x, product);
    }

    // Clamp, then the table or nothing.
    let q = pair(&t[0], &t[1]) + qoff;
    clamp(b, &on, q, &c, [&clo, &chi], &e);
    b.zero((on.clone() - has_act.clone()) * (y.clone() - c.clone()));
    b.lookup(bus::ACT, has_act, [act, c, y.clone()]);

    for (factor, v) in [(&bias, &v_bias), (&mult, &v_mult), (&rounding, &v_rounding)] {
        factor.read(b, v);
    }
    b.lookup(bus::ACC, has_a, [slot_a, sum_a]);
    b.lookup(bus::ACC, has_b, [slot_b, sum_b]);
    b.lookup(bus::READ, on, [y_at, y]);
    b.build()
}

fn pick() -> Air {
    let b = &mut Builder::new("pick", false);
    let [on, copy, greater, equal, select] = b.publics();
    let factors = [(); 3].map(|()| Factor::new(b));
    let y_at = b.public();
    // main: a, b, c as read; their values; the tested value x, its inverse; whether x ≠ 0; greater;
    // the limbs of the difference; y.
    let reads: [Expr; 3] = b.mains();
    let values: [Expr; 3] = b.mains();
    let [x, inverse, nonzero, larger, d0, d1, y] = b.mains();
    for ((factor, v), value) in factors.iter().zip(&reads).zip(&values) {
        b.equal(value.clone(), factor.value(v));
        factor.read(b, v);
    }
    let [va, vb, vc] = values;
    b.zero(equal.clone() * (x.clone() - va.clone() + vb.clone()));
    b.zero(select.clone() * (x.clone() - vc));
    b.equal(nonzero.clone(), x.clone() * inverse);
    b.zero(x * (1 - nonzero.clone()));
    b.boolean(&larger);
    let more = larger.clone() * (va.clone() - vb.clone() - 1);
    let less = (1 - larger.clone()) * (vb.clone() - va.clone());
    b.zero(greater.clone() * (more + less - pair(&d0, &d1)));
    limb(b, &on, &d0);
    limb(b, &on, &d1);
    b.zero(copy * (y.clone() - va.clone()));
    b.zero(greater * (y.clone() - larger));
    b.zero(equal * (y.clone() - 1 + nonzero.clone()));
    b.zero(select * (y.clone() - nonzero.clone() * va - (1 - nonzero) * vb));
    b.lookup(bus::READ, on, [y_at, y]);
    b.build()
}

fn scan() -> Air {
    let b = &mut Builder::new("scan", false);
    let [on, first_max, compare, larger, link, k, last_value, last_index, last_gather] =
        b.publics();
    let value = Factor::new(b);
    let index = Factor::new(b);
    let y_at = b.public();
    // main: v as read; whether it is taken; best, index and count before the row and after it; the
    // limbs of the difference; the index as read; y.
    let [v, taken] = b.mains();
    let before: [Expr; 3] = b.mains();
    let after: [Expr; 3] = b.mains();
    let [d0, d1, v_index, y] = b.mains();
    let now = value.value(&v);
    b.boolean(&taken);
    b.zero(first_max * (1 - taken.clone()));
    // A maximum replaces what was; a gather adds the one that it takes.
    let replaced = |old: &Expr| larger.clone() * taken.clone() * old.clone();
    let [best, position, count] = &before;
    b.equal(after[0].clone(), best.clone() + taken.clone() * now.clone() - replaced(best));
    b.equal(after[1].clone(), position.clone() + taken.clone() * k - replaced(position));
    b.equal(after[2].clone(), count.clone() + taken.clone());
    let more = taken.clone() * (now.clone() - best.clone() - 1);
    let less = (1 - taken.clone()) * (best.clone() - now);
    b.zero(compare * (more + less - pair(&d0, &d1)));
    limb(b, &on, &d0);
    limb(b, &on, &d1);
    for (before, after) in before.iter().zip(&after) {
        let start = b.first() * before.clone();
        b.zero(start);
        let next = b.next(before);
        let inside = 1 - b.last();
        b.zero(inside * (next - link.clone() * after.clone()));
    }
    b.zero(last_value.clone() * (y.clone() - after[0].clone()));
    b.zero(last_index.clone() * (y.clone() - after[1].clone()));
    b.zero(last_gather.clone() * (y.clone() - after[0].clone()));
    b.zero(last_gather.clone() * (after[2].clone() - 1));
    b.zero(last_gather.clone() * (after[1].clone() - index.value(&v_index)));
    value.read(b, &v);
    index.read(b, &v_index);
    b.lookup(bus::READ, last_value + last_index + last_gather, [y_at, y]);
    b.build()
}

fn div() -> Air {
    let b = &mut Builder::new("div", false);
    let [on, quotient, two, scale, q_offset, zero, lo, hi] = b.publics();
    let num = Factor::new(b);
    let den = Factor::new(b);
    let y_at = b.public();
    // main: numerator and denominator as read; n[3], d[3], q[2], r[3], w[3]; four carries (low, high);
    // e[4]; y.
    let [v_num, v_den] = b.mains();
    let n: [Expr; 3] = b.mains();
    let d: [Expr; 3] = b.mains();
    let q: [Expr; 2] = b.mains();
    let r: [Expr; 3] = b.mains();
    let w: [Expr; 3] = b.mains();
    let carries: Vec<Carry> = (0..4).map(|_| Carry(b.mains())).collect();
    let e: [Expr; 4] = b.mains();
    let y = b.main();
    let joined = |x: &[Expr; 3]| pair(&x[0], &x[1]) + (1 << 24) * x[2].clone();

    // n' = numerator + 2^24; d is the denominator, or the root itself.
    b.zero(on.clone() * (joined(&n) - num.value(&v_num) - (1 << 24)));
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

    let q = pair(&q[0], &q[1]) - q_offset + zero;
    clamp(b, &on, q, &y, [&lo, &hi], &e);
    num.read(b, &v_num);
    den.read(b, &v_den);
    b.lookup(bus::READ, on, [y_at, y]);
    b.build()
}

fn noise() -> Air {
    let b = &mut Builder::new("noise", false);
    let [on, seed_block, step, domain, block, first_word] = b.publics();
    let uses: [Expr; 16] = b.publics();
    // main: the 48 bytes of the seed's block, the 8 elements after the key, then the permutation.
    let bytes: [Expr; BLOCK] = b.mains();
    let rest: [Expr; 8] = b.mains();
    let key = elements(&bytes);
    let input: Vec<Expr> = key[..8].iter().chain(&rest).cloned().collect();
    let out = permutation(b, &P16, &input);
    let fixed = [i64::from(crate::hash::domain::PRF) * on.clone(), step, domain, block];
    for (i, rest) in rest.iter().enumerate() {
        let wanted = fixed.get(i).cloned().unwrap_or_else(|| b.constant(0));
        b.equal(rest.clone(), wanted);
    }
    b.lookup(bus::BLOCK, on, [seed_block].into_iter().chain(bytes));
    for (i, uses) in uses.into_iter().enumerate() {
        let word = out[i].clone() + input[i].clone();
        b.lookup(bus::WORD, -uses, [first_word.clone() + i as i64, word]);
    }
    b.build()
}

fn bits() -> Air {
    let b = &mut Builder::new("bits", false);
    let [on, word_at, lo, power] = b.publics();
    let sigma: [Expr; 4] = b.publics();
    let uses = b.public();
    // The address of the value: 48·Σ + wide rows + row.
    let address = b.public();
    // main: the word; v0, v1, h0, h1 and their scaled forms; the top 7 bits; whether the word is p − 1.
    let word = b.main();
    let x: [Expr; 4] = b.mains();
    let x_scaled: [Expr; 4] = b.mains();
    let [top, largest] = b.mains();
    let value = pair(&x[0], &x[1]);
    let low = value.clone() + power * pair(&x[2], &x[3]);
    b.zero(low.clone() + (1 << 24) * (top.clone() + 127 * largest.clone()) - word.clone());
    // p − 1 = 127·2^24 is the one word whose top is 127.
    b.boolean(&largest);
    b.zero(largest.clone() * top.clone());
    b.zero(largest * low);
    for ((x, sigma), product) in x.iter().zip(&sigma).zip(&x_scaled) {
        scaled(b, &on, sigma, x, product);
    }
    let class = b.constant(class::TOP);
    in_class(b, &on, class, top);
    b.lookup(bus::WORD, on, [word_at, word]);
    b.lookup(bus::READ, -uses, [address, lo + value]);
    b.build()
}

fn act() -> Air {
    let b = &mut Builder::new("act", false);
    let [on, table, x, y] = b.publics();
    // main: how often the entry is used; rows that are not on hold no entry.
    let times = b.main();
    b.lookup(bus::ACT, -(on * times), [table, x, y]);
    b.build()
}

fn range() -> Air {
    let b = &mut Builder::new("range", true);
    let [on, class, x] = b.publics();
    // main: how often the value is used; rows that are not on hold no value.
    let times = b.main();
    b.lookup(bus::RANGE, -(on * times), [class, x]);
    b.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_their_indices() {
        let names: Vec<&str> = TABLES.airs.iter().map(|air| air.name.as_str()).collect();
        assert_eq!(names[index::SPONGE], "sponge");
        assert_eq!(names[index::DIV], "div");
        assert_eq!(names[index::RANGE], "range");
    }

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../verifier/stark/tables.bin");

    #[test]
    fn the_tables_file_is_up_to_date() {
        let found = std::fs::read(FILE).unwrap();
        assert!(
            found == TABLES.bytes(),
            "run: cargo test -p zktally-core write_tables -- --ignored"
        );
    }

    #[test]
    #[ignore = "writes verifier/stark/tables.bin"]
    fn write_tables() {
        std::fs::write(FILE, TABLES.bytes()).unwrap();
    }
}
