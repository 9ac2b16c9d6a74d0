//! Accumulators: i32 where the derived bound of a dot allows it, else i64.

/// The integers in which a dot is summed. Sums wrap: in whichever order they are taken, the result is
/// the sum itself where its bound fits.
pub(super) trait Acc: Copy + Default + Into<i64> + Ord + Send + Sync + 'static {
    /// Whether it has 32 bits.
    const NARROW: bool;
    /// The sum that this number stands for.
    fn of(value: i64) -> Self;
    fn plus(self, other: Self) -> Self;
    fn product(a: i32, b: i32) -> Self;
}

impl Acc for i32 {
    const NARROW: bool = true;

    fn of(value: i64) -> Self {
        value as Self
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn product(a: i32, b: i32) -> Self {
        a.wrapping_mul(b)
    }
}

impl Acc for i64 {
    const NARROW: bool = false;

    fn of(value: i64) -> Self {
        value
    }

    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn product(a: i32, b: i32) -> Self {
        Self::from(a).wrapping_mul(b.into())
    }
}
