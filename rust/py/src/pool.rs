//! Threads: the global rayon pool, or one of a given size.

use std::sync::Arc;

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::errors::usage;

/// Where work runs.
#[derive(Clone)]
pub struct Pool(Option<Arc<ThreadPool>>);

impl Pool {
    /// A pool of so many threads; 0 for all cores.
    pub fn new(threads: usize) -> PyResult<Self> {
        if threads == 0 {
            return Ok(Self(None));
        }
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(|pool| Self(Some(Arc::new(pool)))).map_err(|error| usage(error.to_string()))
    }

    /// Runs `work` on the pool, without holding the interpreter.
    pub fn run<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
        py.detach(|| match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        })
    }
}
