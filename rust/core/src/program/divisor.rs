//! Division by a number that is known long before what it divides.

/// Numbers below this are divided by a product.
const FAST: u64 = 1 << 32;
/// What the inverse of a divisor is scaled by.
const SHIFT: u32 = 63;

/// A divisor. A walk over leaves divides by the same few numbers at every step, and a product costs a
/// fraction of a division.
#[derive(Clone, Copy, Debug)]
pub struct Divisor {
    by: usize,
    /// `floor(2^63 / by) + 1`; 0 where that would not be exact, above 2^31.
    inverse: u64,
}

impl Divisor {
    pub fn new(by: usize) -> Self {
        let inverse = (1u64 << SHIFT).checked_div(by as u64).map_or(0, |inverse| inverse + 1);
        Self { by, inverse: if by as u64 <= FAST / 2 { inverse } else { 0 } }
    }

    /// What it divides by.
    pub fn get(self) -> usize {
        self.by
    }

    /// `n / by`.
    ///
    /// With `inverse = (2^63 + e)/by`, `0 < e ≤ by ≤ 2^31`, the product is off by `n·e/by`, and that is
    /// less than `2^63/by` for n below 2^32: too little to reach the next whole number.
    #[inline]
    pub fn quotient(self, n: usize) -> usize {
        if (n as u64) < FAST && self.inverse != 0 {
            ((n as u128 * u128::from(self.inverse)) >> SHIFT) as usize
        } else {
            n / self.by
        }
    }

    /// `n / by` and `n % by`.
    #[inline]
    pub fn divide(self, n: usize) -> (usize, usize) {
        let quotient = self.quotient(n);
        (quotient, n - quotient * self.by)
    }

    /// `n % by`.
    #[inline]
    pub fn remainder(self, n: usize) -> usize {
        self.divide(n).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_and_remainders_are_those_of_a_division() {
        let near = |x: usize| [x.saturating_sub(1), x, x + 1];
        let powers = (0..40).flat_map(|bits| near(1 << bits));
        let divisors = powers.clone().chain([3, 5, 7, 97, 641, 1437, 65_537, 6_700_417]);
        for by in divisors.filter(|&by| by > 0) {
            let divisor = Divisor::new(by);
            let edges = [1, 2, 3, (1 << 31) / by, FAST as usize / by]
                .into_iter()
                .flat_map(|q| near(q * by));
            for n in powers.clone().chain(edges).chain(near(FAST as usize)) {
                assert_eq!(divisor.divide(n), (n / by, n % by), "{n} by {by}");
                assert_eq!(divisor.remainder(n), n % by);
            }
            assert_eq!(divisor.get(), by);
        }
    }
}
