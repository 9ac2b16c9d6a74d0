//! Groups of columns that several tables have.

columns! {
    /// `r·v + k`, with `v` from the read bus at address `x`; only bound where `r = 1`.
    Factor { x, r, k }
}

columns! {
    /// The two factors of a product.
    Product { a: Factor, b: Factor }
}

columns! {
    /// What is read for the two factors of a product.
    Reads { a, b }
}

columns! {
    /// A carry `low + 4096·high − 2^17` with `0 ≤ low + 4096·high < 2^18`.
    Carry { low, high }
}

/// Where columns are that stand side by side.
pub const fn span(columns: &[usize]) -> std::ops::Range<usize> {
    columns[0]..columns[0] + columns.len()
}
