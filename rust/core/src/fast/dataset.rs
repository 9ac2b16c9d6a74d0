//! A data set, committed once, and the batches that steps take of it.

use rayon::prelude::*;

use super::model::{ints, usage};
use crate::commit::{Prepared, Salting, dataset_root, salted_tree};
use crate::error::Result;
use crate::exec::{Array, Element, typed};
use crate::hash::{Digest, Key, Tree};
use crate::program::{Layout, Tensor};

/// The records of all data tensors of a program, and the commitment to them.
pub struct Dataset {
    /// In tensor order, each of shape [records, …].
    pub(super) arrays: Vec<Array>,
    pub(super) trees: Vec<Tree>,
    key: Key,
    forms: Vec<Form>,
    pub roots: Vec<Digest>,
    pub root: Digest,
}

/// What of a data tensor its tree depends on: width, range, shape and layout.
type Form = (usize, [i32; 2], Vec<usize>, Option<Layout>);

/// Of all data tensors of a program.
fn forms(prepared: &Prepared) -> Vec<Form> {
    let form = |&tensor: &usize| {
        let tensor = &prepared.checked.program.tensors[tensor];
        let Tensor { width, lo, hi, .. } = *tensor;
        (width, [lo, hi], tensor.committed_shape(), tensor.source.layout().cloned())
    };
    prepared.committed.data.iter().map(form).collect()
}

impl Dataset {
    /// Commits to one row-major array per data tensor, in tensor order, under the data set's own key
    /// (zero for a public one).
    ///
    /// # Errors
    /// `usage` for a program without data tensors or another number of arrays, `usage.input` for
    /// arrays that do not fit.
    pub fn new(prepared: &Prepared, arrays: Vec<Array>, key: Key) -> Result<Self> {
        let program = &prepared.checked.program;
        let tensors = &prepared.committed.data;
        let Some((_, records)) = program.data().filter(|_| tensors.len() == arrays.len()) else {
            return Err(usage("another number of arrays than data tensors")
                .expected(tensors.len())
                .received(arrays.len()));
        };
        tensors.iter().zip(&arrays).try_for_each(|(&tensor, array)| {
            let tensor = &program.tensors[tensor];
            array.check(&Tensor { shape: tensor.committed_shape(), ..tensor.clone() })
        })?;
        let trees: Vec<Tree> = tensors
            .par_iter()
            .zip(&arrays)
            .enumerate()
            .map(|(rank, (&tensor, array))| {
                salted_tree(ints(array), prepared.layout(tensor), salting(key, rank))
            })
            .collect();
        let roots: Vec<Digest> = trees.iter().map(Tree::root).collect();
        let (root, forms) = (dataset_root(records, &roots), forms(prepared));
        Ok(Self { root, arrays, trees, key, forms, roots })
    }

    /// Whether this is what the data tensors of a program are batches of.
    pub(super) fn fits(&self, prepared: &Prepared) -> bool {
        self.forms == forms(prepared)
    }

    /// What salts the tree of a data tensor, by its place among them.
    pub(super) fn salting(&self, rank: usize) -> Salting {
        salting(self.key, rank)
    }

    /// The batches of all data tensors that these records make.
    pub(super) fn batches(&self, tensors: &[&Tensor], records: &[usize]) -> Vec<Array> {
        let batch = |(array, tensor): (&Array, &&Tensor)| {
            let inner = tensor.size() / tensor.shape[0];
            typed!(array, values => gathered(values, inner, records))
        };
        self.arrays.iter().zip(tensors).map(batch).collect()
    }
}

fn salting(key: Key, rank: usize) -> Salting {
    Salting::Keyed { key, position: 0, tensor: rank }
}

/// Records of `inner` values each, side by side.
fn gathered<T: Element>(values: &[T], inner: usize, records: &[usize]) -> Array {
    let mut out = Vec::with_capacity(inner * records.len());
    for record in records {
        out.extend_from_slice(&values[record * inner..(record + 1) * inner]);
    }
    T::array(out)
}
