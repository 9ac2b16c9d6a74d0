//! What tables of several proof systems are made of: permutations, running sums.

use super::permutation::{HALF, Rounds};
use crate::hash::Elem;
use crate::stark::air::{Builder, Expr};

pub fn sum(terms: impl IntoIterator<Item = Expr>) -> Expr {
    terms.into_iter().reduce(|a, b| a + b).expect("at least one term")
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

/// Constrains a permutation of `input` and returns its output. Its columns: the states after full rounds
/// 1 to 4, the cubes of the partial rounds, the states after full rounds 5 to 8.
pub fn permutation<const W: usize>(
    b: &mut Builder,
    rounds: &Rounds<W>,
    input: &[Expr],
    early: &[[usize; W]; HALF],
    cubes: &[usize],
    late: &[[usize; W]; HALF],
) -> Vec<Expr> {
    let mut state = external(input);
    for (constants, columns) in rounds.initial.iter().zip(early) {
        state = full_round(b, &state, constants, columns);
    }
    for (&constant, &column) in rounds.partial.iter().zip(cubes) {
        let cube = b.main(column);
        b.equal(cube.clone(), (state[0].clone() + b.element(constant)).cube());
        state[0] = cube;
        let total = sum(state.iter().cloned());
        state = state
            .iter()
            .zip(&rounds.diagonal)
            .map(|(x, &v)| x.clone() * b.element(v) + total.clone())
            .collect();
    }
    for (constants, columns) in rounds.last.iter().zip(late) {
        state = full_round(b, &state, constants, columns);
    }
    state
}

fn full_round(b: &mut Builder, state: &[Expr], constants: &[Elem], columns: &[usize]) -> Vec<Expr> {
    let cubes: Vec<Expr> =
        state.iter().zip(constants).map(|(x, &c)| (x.clone() + b.element(c)).cube()).collect();
    let constrain = |(wanted, &column): (Expr, &usize)| {
        let state = b.main(column);
        b.equal(state.clone(), wanted);
        state
    };
    external(&cubes).into_iter().zip(columns).map(constrain).collect()
}

/// A running sum through linked rows: `run = base + part`, `base` of the next row = `link·run`.
pub fn running(b: &mut Builder, link: &Expr, base: &Expr, run: &Expr, part: Expr) {
    b.equal(run.clone(), base.clone() + part);
    carried(b, link, base, run);
}

/// What a row has before it: nothing on the first one, else `link` times what the row above had after it.
pub fn carried(b: &mut Builder, link: &Expr, before: &Expr, after: &Expr) {
    let start = b.first() * before.clone();
    b.zero(start);
    let next = b.next(before);
    let inside = 1 - b.last();
    b.zero(inside * (next - link.clone() * after.clone()));
}
