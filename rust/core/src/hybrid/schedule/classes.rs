//! Classes of ranges (docs/hybrid.md section 3).

use crate::hybrid::tables::class;
use crate::program::Program;

/// Which values each class has, and which class each tensor's bytes.
#[derive(Clone, Debug)]
pub struct Classes {
    /// First and last value of each class.
    pub ranges: Vec<(u32, u32)>,
    of_tensor: Vec<usize>,
}

impl Classes {
    pub fn new(program: &Program) -> Self {
        let fixed = vec![(0, 4095), (0, 255), (0, 126), (0, 0)];
        let mut classes = Self { ranges: fixed, of_tensor: Vec::new() };
        let first = classes.ranges.len();
        for tensor in &program.tensors {
            let packed = |value: i32| (value + 128) as u32;
            let narrow = tensor.width == 1 && tensor.source.layout().is_some();
            let mut class = class::BYTE as usize;
            if narrow && (tensor.lo, tensor.hi) != (-128, 127) {
                let range = (packed(tensor.lo), packed(tensor.hi));
                let found = classes.ranges[first..].iter().position(|known| *known == range);
                class = first + found.unwrap_or(classes.ranges.len() - first);
                if found.is_none() {
                    classes.ranges.push(range);
                }
            }
            classes.of_tensor.push(class);
        }
        classes
    }

    /// The class of the bytes of a committed tensor.
    pub fn of(&self, tensor: usize) -> usize {
        self.of_tensor[tensor]
    }

    /// Number of values of all classes.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|(lo, hi)| (hi - lo + 1) as usize).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Class and value of each row of the range table.
    pub fn rows(&self) -> Vec<(u32, u32)> {
        let of_class = |(class, &(lo, hi))| (lo..=hi).map(move |x| (class, x));
        (0..).zip(&self.ranges).flat_map(of_class).collect()
    }
}
