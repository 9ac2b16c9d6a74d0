//! The headline of a receipt: what the sum of all errors leaves (docs/stark.md section 8).

/// Collision resistance of a digest of 8 elements: no confidence goes beyond it.
pub const HASH_BITS: u16 = 124;

/// The headline of a receipt without a STARK, with so many bits of sampling, 0 where nothing is.
pub fn fast_headline(sampling: u16) -> u16 {
    headline(sampling, Some(0))
}

/// Errors are counted in whole units of 2^−127, each rounded up: no rounding can flatter a receipt, and
/// another verifier finds the same (docs/stark.md section 8).
const LOG_UNIT: u32 = 127;
/// `2^(j/10)` in units of 2^−16, rounded up.
const TENTHS: [u64; 10] =
    [65_536, 70_240, 75_282, 80_685, 86_476, 92_682, 99_335, 106_464, 114_105, 122_295];

/// `floor(−log2(2^−λ + STARK + 2^−124))`; `None` is an error of 2 or more.
pub(super) fn headline(sampling: u16, stark: Option<u128>) -> u16 {
    let power = |bits: u16| 1u128 << LOG_UNIT.saturating_sub(u32::from(bits));
    let sampling = if sampling == 0 { 0 } else { power(sampling) };
    let sum = stark.and_then(|stark| stark.checked_add(sampling + power(HASH_BITS)));
    // The least power of two of units that is not below the sum.
    sum.map_or(0, |sum| LOG_UNIT.saturating_sub(u128::BITS - (sum - 1).leading_zeros()) as u16)
}

/// `segments·2^(−tenths/10)` in units.
pub(super) fn units_of_segments(tenths: u32, segments: u32) -> Option<u128> {
    let whole = tenths.div_ceil(10);
    let mantissa = u128::from(segments) * u128::from(TENTHS[(10 * whole - tenths) as usize]);
    match (LOG_UNIT - 16).checked_sub(whole) {
        Some(left) => (left <= mantissa.leading_zeros()).then(|| mantissa << left),
        None => Some(mantissa.div_ceil(1 << (whole - (LOG_UNIT - 16)).min(LOG_UNIT))),
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::super::StarkFacts;
    use super::*;
    use crate::hash::hex;

    fn stark(bits: f64, segments: u32) -> StarkFacts {
        StarkFacts { profile: 0, segments, bits }
    }

    fn shown_bits(stark: &StarkFacts) -> f64 {
        serde_json::to_value(stark).unwrap()["bits"].as_f64().unwrap_or(f64::NEG_INFINITY)
    }

    #[test]
    fn the_headline_is_of_the_sum_and_never_rounded_up() {
        let headline = |bits, segments, lambda| {
            let stark = stark(bits, segments);
            (shown_bits(&stark), stark.headline(lambda))
        };
        // Nothing is sampled: the STARK and the hashes alone, of which 2^-124 costs the last bit.
        assert_eq!(headline(100.09, 1, 0), (100.0, 99));
        assert_eq!(headline(100.1, 1, 0), (100.1, 100));
        assert_eq!(headline(102.1, 4, 0), (102.1, 100));
        assert_eq!(headline(101.0, 1, 102), (101.0, 100));
        assert_eq!(headline(101.0, 1, 101), (101.0, 99));
        assert_eq!(headline(103.0, 3, 102), (103.0, 100));
        assert_eq!(headline(110.0, 1, 90), (110.0, 89));
        assert_eq!(headline(200.0, 1, 256), (200.0, 123));
        assert_eq!(headline(1.0, 4, 90), (1.0, 0));
        assert_eq!(headline(f64::NEG_INFINITY, 1024, 90).1, 0);
        let fast: Vec<u16> = [0, 1, 100, 123, 124, 125, 128, 256].map(fast_headline).into();
        assert_eq!(fast, [124, 0, 99, 122, 123, 123, 123, 123]);
    }

    /// As tests/unit/test_confidence.py: both verifiers find the same headlines.
    #[test]
    fn the_headlines_of_many_receipts() {
        let mut found = Sha256::new();
        for lambda in (0..=256).step_by(2) {
            found.update(fast_headline(lambda).to_le_bytes());
            for tenths in (0..1400).step_by(7) {
                for segments in [1, 2, 3, 7, 64, 1000, 1024] {
                    // In the middle of a tenth, where no rounding of a product matters.
                    let stark = stark((f64::from(tenths) + 0.5) / 10.0, segments);
                    found.update(stark.headline(lambda).to_le_bytes());
                }
            }
        }
        assert_eq!(hex(&found.finalize()), HEADLINES);
    }

    const HEADLINES: &str = "ce5e6c2b2a4f9551b10813948702a85648fbac797666377ff001eb3d5c94e682";
}
