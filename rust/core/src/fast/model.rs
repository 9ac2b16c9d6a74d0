//! A model: a program with its weights, committed.

use std::sync::Arc;

use rayon::prelude::*;

use crate::commit::{Prepared, Salting, model_id, salted_tree, weights_root};
use crate::error::{Error, Result};
use crate::exec::{Array, Executor};
use crate::hash::{Digest, Ints, Key, Tree};
use crate::program::{Checked, Role};

/// A model: a program, its weights, and the commitment to them.
pub struct Model {
    pub prepared: Arc<Prepared>,
    pub(super) executor: Executor,
    pub(super) trees: Vec<Tree>,
    /// What salts each tree, in the order of the weights.
    pub(super) salts: Vec<Salting>,
    pub roots: Vec<Digest>,
    pub weights_root: Digest,
    pub model_id: [u8; 32],
}

impl Model {
    /// Commits to `weights`, one row-major array per weight tensor in tensor order, under the
    /// model's own key (zero for a public model).
    ///
    /// # Errors
    /// `usage` for arrays that do not fit their tensors.
    pub fn new(checked: Arc<Checked>, weights: Vec<Array>, key: Key) -> Result<Self> {
        let of_weight = |tensor| Salting::Keyed { key, position: 0, tensor };
        let salts = checked.program.of_role(&[Role::Weight]).into_iter().map(of_weight).collect();
        Self::salted(checked, weights, salts)
    }

    /// Commits to weights under salts of their own, such as those of a run that trained them.
    ///
    /// # Errors
    /// `usage` for arrays that do not fit their tensors, or another number of salts.
    pub fn salted(checked: Arc<Checked>, weights: Vec<Array>, salts: Vec<Salting>) -> Result<Self> {
        let prepared = Arc::new(Prepared::new(checked));
        let tensors = &prepared.committed.weights;
        check_arrays(&prepared, tensors, &weights)?;
        if salts.len() != tensors.len() {
            return Err(usage("another number of salts than weights"));
        }
        let jobs = tensors.par_iter().zip(&weights).zip(&salts);
        let trees: Vec<Tree> = jobs
            .map(|((&tensor, array), &salts)| {
                salted_tree(ints(array), prepared.layout(tensor), salts)
            })
            .collect();
        let roots: Vec<Digest> = trees.iter().map(Tree::root).collect();
        let weights_root = weights_root(&roots);
        Ok(Self {
            executor: Executor::new(prepared.checked.clone(), weights)?,
            model_id: model_id(&prepared.checked.id, weights_root),
            prepared,
            trees,
            salts,
            roots,
            weights_root,
        })
    }
}

/// The values of a tensor, to be packed and hashed.
pub(super) fn ints(array: &Array) -> Ints<'_> {
    match array {
        Array::I8(v) => Ints::I8(v),
        Array::I16(v) => Ints::I16(v),
        Array::I32(v) => Ints::I32(v),
    }
}

/// Checks numbers, widths, sizes and ranges of arrays for these tensors.
pub(super) fn check_arrays(prepared: &Prepared, tensors: &[usize], arrays: &[Array]) -> Result<()> {
    if tensors.len() != arrays.len() {
        return Err(usage("another number of arrays")
            .expected(tensors.len())
            .received(arrays.len()));
    }
    tensors
        .par_iter()
        .zip(arrays)
        .try_for_each(|(&tensor, array)| array.check(&prepared.checked.program.tensors[tensor]))
}

pub(super) fn usage(message: &str) -> Error {
    Error::new("usage", message)
}
