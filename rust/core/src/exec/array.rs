//! Arrays of tensor values, row-major, in the narrowest machine type of their width.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::program::Tensor;

/// The values of a tensor: `I8` for width 1, `I16` for width 2, `I32` for width 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Array {
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
}

/// Runs `$body` with `$values` bound to the typed vector or slice.
macro_rules! typed {
    ($array:expr, $values:ident => $body:expr) => {
        match $array {
            $crate::exec::Array::I8($values) => $body,
            $crate::exec::Array::I16($values) => $body,
            $crate::exec::Array::I32($values) => $body,
        }
    };
}
pub(crate) use typed;

/// An element type of [`Array`].
pub trait Element: Copy + Send + Sync + 'static {
    fn wide(self) -> i32;
    /// The value in this type; it must fit, as all values of a checked range do.
    fn narrow(value: i64) -> Self;
    fn array(values: Vec<Self>) -> Array;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            fn wide(self) -> i32 {
                self as i32
            }

            fn narrow(value: i64) -> Self {
                debug_assert!(Self::try_from(value).is_ok());
                value as Self
            }

            fn array(values: Vec<Self>) -> Array {
                Array::$variant(values)
            }
        }
    };
}

element!(i8, I8);
element!(i16, I16);
element!(i32, I32);

impl Array {
    /// An array for a tensor of this width.
    ///
    /// # Errors
    /// `usage.input` if a value does not fit the element type.
    pub fn from_i64(width: usize, values: &[i64]) -> Result<Self> {
        fn all<T: TryFrom<i64>>(values: &[i64]) -> Result<Vec<T>> {
            let narrow = |&value| {
                T::try_from(value)
                    .map_err(|_| usage("a value does not fit its width").received(value))
            };
            values.iter().map(narrow).collect()
        }
        Ok(match width {
            1 => Self::I8(all(values)?),
            2 => Self::I16(all(values)?),
            _ => Self::I32(all(values)?),
        })
    }

    /// An array for a tensor of this width, whose values these are.
    ///
    /// # Errors
    /// `usage.input` if a value does not fit the element type.
    pub fn from_i32(width: usize, values: Vec<i32>) -> Result<Self> {
        match width {
            1 | 2 => Self::from_i64(width, &values.into_iter().map(i64::from).collect::<Vec<_>>()),
            _ => Ok(Self::I32(values)),
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        typed!(self, values => values.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a row-major offset.
    ///
    /// # Panics
    /// If the offset is out of range.
    pub fn get(&self, offset: usize) -> i32 {
        typed!(self, values => values[offset].wide())
    }

    pub fn to_i64(&self) -> Vec<i64> {
        typed!(self, values => values.iter().map(|&value| value.into()).collect())
    }

    /// Bytes of an element: 1, 2 or 4.
    fn element(&self) -> usize {
        typed!(self, values => size_of_val(values.as_slice()) / values.len().max(1))
    }

    /// Refuses an array that does not have the length, type and declared range of a tensor.
    ///
    /// # Errors
    /// `usage.input`.
    pub fn check(&self, tensor: &Tensor) -> Result<()> {
        let name = &tensor.name;
        if self.len() != tensor.size() {
            let message = format!("tensor {name:?} has another number of values");
            return Err(usage(&message).expected(tensor.size()).received(self.len()));
        }
        if self.element() != [1, 2, 4][tensor.width - 1] {
            let message = format!("tensor {name:?} has values of another type");
            let bits = 8 * self.element();
            return Err(usage(&message)
                .expected(format!("width {}", tensor.width))
                .received(format!("i{bits}")));
        }
        let (lo, hi) = typed!(self, values => extremes(values));
        if lo < tensor.lo || hi > tensor.hi {
            let message = format!("tensor {name:?} has values outside its declared range");
            let range = format!("[{}, {}]", tensor.lo, tensor.hi);
            return Err(usage(&message).expected(range).received(format!("[{lo}, {hi}]")));
        }
        Ok(())
    }

    /// The largest of some elements.
    ///
    /// # Panics
    /// If the range is empty or out of range.
    pub(super) fn max(&self, range: Range<usize>) -> i32 {
        typed!(self, values => largest(&values[range]).wide())
    }

    /// Writes `value − zero` of the elements `start`, `start + step`, … to `out`.
    ///
    /// The caller knows that the differences fit i32.
    pub(super) fn load(&self, start: isize, step: isize, zero: i32, out: &mut [i32]) {
        typed!(self, values => load(values, start, step, zero, out));
    }
}

fn usage(message: &str) -> Error {
    Error::new("usage.input", message)
}

fn extremes<T: Element + Ord>(values: &[T]) -> (i32, i32) {
    let Some(&first) = values.first() else { return (0, 0) };
    let (lo, hi) = values.iter().fold((first, first), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    (lo.wide(), hi.wide())
}

fn largest<T: Element + Ord>(values: &[T]) -> T {
    values.iter().fold(values[0], |largest, &value| largest.max(value))
}

fn load<T: Element>(values: &[T], start: isize, step: isize, zero: i32, out: &mut [i32]) {
    let at = start as usize;
    match step {
        0 => out.fill(values[at].wide().wrapping_sub(zero)),
        1 => {
            let source = &values[at..at + out.len()];
            out.iter_mut().zip(source).for_each(|(out, &v)| *out = v.wide().wrapping_sub(zero));
        }
        step if step > 0 => {
            let source = values[at..].iter().step_by(step as usize);
            out.iter_mut().zip(source).for_each(|(out, &v)| *out = v.wide().wrapping_sub(zero));
        }
        _ => {
            let source = values[..=at].iter().rev().step_by(step.unsigned_abs());
            out.iter_mut().zip(source).for_each(|(out, &v)| *out = v.wide().wrapping_sub(zero));
        }
    }
}
