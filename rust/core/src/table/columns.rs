//! Columns by name: a table declares each of its columns once, and everything else asks here for them.
//!
//! A group of columns is a struct over whatever stands for a column. Of indices it says where they are
//! (`PUBLIC`, `MAIN`), of expressions it is what constraints are made of, of elements it is a row, which is
//! written whole, so that no column can be forgotten.

use rayon::prelude::*;

use crate::hash::Elem;
use crate::stark::Grid;

/// Rows that one task writes.
const ROWS_PER_TASK: usize = 256;

/// A whole row of a table, but for the engine's columns.
pub trait Row {
    /// Writes every column to its place.
    fn write(self, cells: &mut [Elem]);
}

/// The columns of so many rows, each of which `row` gives.
pub fn written<R: Row>(width: usize, rows: usize, row: impl Fn(usize) -> R + Sync) -> Grid {
    let mut grid = Grid::zeros(width, rows);
    grid.values.par_chunks_mut(width * ROWS_PER_TASK).enumerate().for_each(|(task, cells)| {
        for (i, cells) in cells.chunks_exact_mut(width).enumerate() {
            row(task * ROWS_PER_TASK + i).write(cells);
        }
    });
    grid
}

/// Declares a group of columns. A field is a column, `[T; n]` of them, another group, or an array of those.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$about:meta])* $field:ident $(: $kind:tt)?),+ $(,)?
    }) => {
        $(#[$doc])*
        pub struct $name<T> {
            $($(#[$about])* pub $field: columns!(@type T $($kind)?)),+
        }

        // What `derive` would write, if it could see through the types of the fields.
        impl<T: Clone> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self { $($field: self.$field.clone()),+ }
            }
        }

        impl<T: Copy> Copy for $name<T> {}

        impl<T: std::fmt::Debug> std::fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                let mut fields = f.debug_struct(stringify!($name));
                $(fields.field(stringify!($field), &self.$field);)+
                fields.finish()
            }
        }

        impl<T> $name<T> {
            /// Number of columns.
            pub const WIDTH: usize = 0 $(+ columns!(@width $($kind)?))+;

            /// Something else for each column, made in their order.
            #[inline]
            pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> $name<U> {
                $name { $($field: columns!(@map f, self.$field, $($kind)?)),+ }
            }
        }

        impl $name<usize> {
            /// Where the columns are if the first one is `next`.
            pub const fn at(mut next: usize) -> Self {
                let first = next;
                let columns = Self {
                    $($field: {
                        let at = next;
                        next += columns!(@width $($kind)?);
                        columns!(@at at, $($kind)?)
                    }),+
                };
                assert!(next == first + Self::WIDTH);
                columns
            }
        }

        impl $name<$crate::hash::Elem> {
            /// Writes every column to its place.
            #[inline]
            pub fn put(self, at: $name<usize>, cells: &mut [$crate::hash::Elem]) {
                $(columns!(@put cells, at.$field, self.$field, $($kind)?);)+
            }
        }

        #[cfg(test)]
        impl $name<()> {
            /// The names of all columns.
            pub fn names() -> Vec<String> {
                let mut names = Vec::with_capacity(Self::WIDTH);
                $(columns!(@names names, stringify!($field).to_string(), $($kind)?);)+
                names
            }

            /// Each field as it is declared, and its number of columns.
            pub fn fields() -> Vec<(String, usize)> {
                vec![$((
                    [stringify!($field).to_string(), columns!(@shape $($kind)?)].concat(),
                    columns!(@width $($kind)?),
                )),+]
            }
        }
    };

    (@type $t:ident) => { $t };
    (@type $t:ident T) => { $t };
    (@type $t:ident [$kind:tt; $n:expr]) => { [columns!(@type $t $kind); $n] };
    (@type $t:ident $group:ident) => { $group<$t> };

    (@width) => { 1 };
    (@width T) => { 1 };
    (@width [$kind:tt; $n:expr]) => { $n * columns!(@width $kind) };
    (@width $group:ident) => { $group::<()>::WIDTH };

    (@map $f:ident, $value:expr,) => { $f($value) };
    (@map $f:ident, $value:expr, T) => { $f($value) };
    (@map $f:ident, $value:expr, [$kind:tt; $n:expr]) => {
        $value.map(|value| columns!(@map $f, value, $kind))
    };
    (@map $f:ident, $value:expr, $group:ident) => { $value.map(&mut $f) };

    (@at $first:expr,) => { $first };
    (@at $first:expr, T) => { $first };
    (@at $first:expr, [$kind:tt; $n:expr]) => {{
        let mut all = [columns!(@at $first, $kind); $n];
        let mut i = 1;
        while i < $n {
            all[i] = columns!(@at $first + i * columns!(@width $kind), $kind);
            i += 1;
        }
        all
    }};
    (@at $first:expr, $group:ident) => { $group::at($first) };

    (@put $cells:ident, $at:expr, $value:expr,) => { $cells[$at] = $value };
    (@put $cells:ident, $at:expr, $value:expr, [T; $n:expr]) => {
        $cells[$at[0]..][..$n].copy_from_slice(&$value)
    };
    (@put $cells:ident, $at:expr, $value:expr, [$kind:tt; $n:expr]) => {
        for (at, value) in $at.into_iter().zip($value) {
            columns!(@put $cells, at, value, $kind);
        }
    };
    (@put $cells:ident, $at:expr, $value:expr, $group:ident) => { $value.put($at, $cells) };

    (@names $names:ident, $name:expr,) => { $names.push($name) };
    (@names $names:ident, $name:expr, T) => { $names.push($name) };
    (@names $names:ident, $name:expr, [$kind:tt; $n:expr]) => {
        for i in 0..$n {
            columns!(@names $names, format!("{}[{i}]", $name), $kind);
        }
    };
    (@names $names:ident, $name:expr, $group:ident) => {
        $names.extend($group::names().iter().map(|of| format!("{}.{of}", $name)))
    };

    (@shape) => { String::new() };
    (@shape T) => { String::new() };
    (@shape [$kind:tt; $n:expr]) => { format!("[{}]{}", $n, columns!(@shape $kind)) };
    (@shape $group:ident) => {{
        let fields: Vec<String> = $group::fields().into_iter().map(|(field, _)| field).collect();
        format!(".({})", fields.join(", "))
    }};
}

/// Declares the public and the main columns of a table, behind the engine's.
macro_rules! table {
    (public {$($public:tt)+} main {$($main:tt)+}) => {
        columns! {
            /// The public columns.
            Public { $($public)+ }
        }
        columns! {
            /// The main columns.
            Main { $($main)+ }
        }

        pub const PUBLIC: Public<usize> = Public::at($crate::stark::air::ENGINE_PUBLICS);
        pub const MAIN: Main<usize> = Main::at($crate::stark::air::ENGINE_MAINS);

        impl $crate::table::columns::Row for Public<$crate::hash::Elem> {
            #[inline]
            fn write(self, cells: &mut [$crate::hash::Elem]) {
                self.put(PUBLIC, cells);
            }
        }

        impl $crate::table::columns::Row for Main<$crate::hash::Elem> {
            #[inline]
            fn write(self, cells: &mut [$crate::hash::Elem]) {
                self.put(MAIN, cells);
            }
        }
    };
}
