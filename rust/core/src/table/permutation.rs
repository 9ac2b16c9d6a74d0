//! Poseidon2 round by round: constants, and the columns that its rounds take in a table.

use std::sync::LazyLock;

use p3_field::{Field, PrimeCharacteristicRing};
use p3_koala_bear::{
    KOALABEAR_POSEIDON2_RC_16_EXTERNAL_FINAL, KOALABEAR_POSEIDON2_RC_16_EXTERNAL_INITIAL,
    KOALABEAR_POSEIDON2_RC_16_INTERNAL, KOALABEAR_POSEIDON2_RC_24_EXTERNAL_FINAL,
    KOALABEAR_POSEIDON2_RC_24_EXTERNAL_INITIAL, KOALABEAR_POSEIDON2_RC_24_INTERNAL,
};

use crate::hash::Elem;

/// Full rounds before and after the partial ones.
pub const HALF: usize = 4;

/// The constants of one width.
pub struct Rounds<const W: usize> {
    pub initial: [[Elem; W]; HALF],
    pub partial: Vec<Elem>,
    pub last: [[Elem; W]; HALF],
    /// V of the internal layer 1 + Diag(V).
    pub diagonal: [Elem; W],
}

pub static P16: LazyLock<Rounds<16>> = LazyLock::new(|| Rounds {
    initial: KOALABEAR_POSEIDON2_RC_16_EXTERNAL_INITIAL,
    partial: KOALABEAR_POSEIDON2_RC_16_INTERNAL.to_vec(),
    last: KOALABEAR_POSEIDON2_RC_16_EXTERNAL_FINAL,
    diagonal: diagonal(&[8, 3, 24], &[8, 3, 4, 24]),
});

pub static P24: LazyLock<Rounds<24>> = LazyLock::new(|| Rounds {
    initial: KOALABEAR_POSEIDON2_RC_24_EXTERNAL_INITIAL,
    partial: KOALABEAR_POSEIDON2_RC_24_INTERNAL.to_vec(),
    last: KOALABEAR_POSEIDON2_RC_24_EXTERNAL_FINAL,
    diagonal: diagonal(&[8, 2, 3, 4, 5, 6, 24], &[8, 3, 4, 5, 6, 7, 9, 24]),
});

/// Small numbers, then the inverse powers of two with these exponents, then their negatives.
fn diagonal<const W: usize>(plus: &[u64], minus: &[u64]) -> [Elem; W] {
    let half = Elem::TWO.inverse();
    let small = [-2, 1, 2].map(Elem::from_i32);
    let more = [half, Elem::from_i32(3), Elem::from_i32(4), -half];
    let less = [-3, -4].map(Elem::from_i32);
    let powers = plus.iter().map(|&e| half.exp_u64(e));
    let negatives = minus.iter().map(|&e| -half.exp_u64(e));
    let mut all = small.into_iter().chain(more).chain(less).chain(powers).chain(negatives);
    std::array::from_fn(|_| all.next().expect("as many as the width"))
}

impl<const W: usize> Rounds<W> {
    /// Fills the columns of a permutation of `state`: the states after the first four full rounds,
    /// the cubes of the partial rounds, the states after the last four. Leaves the output in `state`.
    pub fn trace(
        &self,
        state: &mut [Elem; W],
        early: &mut [[Elem; W]; HALF],
        cubes: &mut [Elem],
        late: &mut [[Elem; W]; HALF],
    ) {
        external(state);
        for (constants, out) in self.initial.iter().zip(early) {
            full(state, constants);
            *out = *state;
        }
        for (&constant, out) in self.partial.iter().zip(cubes) {
            state[0] = (state[0] + constant).cube();
            *out = state[0];
            let sum: Elem = state.iter().copied().sum();
            state.iter_mut().zip(&self.diagonal).for_each(|(x, &v)| *x = *x * v + sum);
        }
        for (constants, out) in self.last.iter().zip(late) {
            full(state, constants);
            *out = *state;
        }
    }
}

fn full(state: &mut [Elem], constants: &[Elem]) {
    state.iter_mut().zip(constants).for_each(|(x, &c)| *x = (*x + c).cube());
    external(state);
}

/// circ(2·M4, M4, …) with M4 = circ(2, 3, 1, 1).
fn external(state: &mut [Elem]) {
    for quad in state.as_chunks_mut::<4>().0 {
        let [a, b, c, d] = *quad;
        let sum = a + b + c + d;
        *quad = [
            sum + a + b.double(),
            sum + b + c.double(),
            sum + c + d.double(),
            sum + d + a.double(),
        ];
    }
    let sums: [Elem; 4] =
        std::array::from_fn(|i| state.iter().skip(i).step_by(4).copied().sum::<Elem>());
    state.iter_mut().enumerate().for_each(|(i, x)| *x += sums[i % 4]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::poseidon::{p16, p24};

    fn traced<const W: usize>(rounds: &Rounds<W>, mut state: [Elem; W]) -> [Elem; W] {
        let (mut early, mut late) = ([[Elem::ZERO; W]; HALF], [[Elem::ZERO; W]; HALF]);
        let mut cubes = vec![Elem::ZERO; rounds.partial.len()];
        rounds.trace(&mut state, &mut early, &mut cubes, &mut late);
        assert_eq!(state, late[HALF - 1]);
        state
    }

    #[test]
    fn rounds_end_in_the_permutation() {
        let state: [Elem; 24] = std::array::from_fn(|i| Elem::new(7 * i as u32 + 1));
        let mut wanted = state;
        p24(&mut wanted);
        assert_eq!(traced(&P24, state), wanted);
        let state: [Elem; 16] = std::array::from_fn(|i| Elem::new(5 * i as u32 + 2));
        let mut wanted = state;
        p16(&mut wanted);
        assert_eq!(traced(&P16, state), wanted);
    }
}
