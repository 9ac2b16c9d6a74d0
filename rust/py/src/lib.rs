//! Thin Python bindings of the zktally core. What they offer is documented in
//! `src/zktally/_core.pyi`; every refusal is a typed exception of
//! `zktally.verifier.errors`.

use pyo3::prelude::*;

mod arrays;
mod errors;
mod hybrid;
mod journal;
mod needs;
mod pool;
mod proving;
mod testing;
mod verifying;

#[global_allocator]
static ALLOCATOR: zktally_core::stark::memory::Pool = zktally_core::stark::memory::Pool;

/// Version, vector lanes and threads of this build, and what it needs of a processor.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
    let info = pyo3::types::PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
    info.set_item("lanes", zktally_core::hash::poseidon::LANES)?;
    let needs = needs::ZKTALLY_NEEDS.iter().take_while(|byte| **byte > 0).map(|byte| *byte as char);
    info.set_item("needs", needs.collect::<String>().split_whitespace().collect::<Vec<_>>())?;
    info.set_item("threads", std::thread::available_parallelism().map_or(1, usize::from))?;
    Ok(info)
}

/// Seconds of one salted tree over int8 rows, and of a SHA-256 tree over the same rows.
#[pyfunction]
pub fn tree_times(py: Python<'_>, rows: usize, row: usize, threads: usize) -> PyResult<(f64, f64)> {
    if rows == 0 || row == 0 || rows.saturating_mul(row) > 1 << 30 || row > 1 << 16 {
        return Err(errors::usage("1 to 2^30 values in rows of 1 to 2^16"));
    }
    let (ours, sha) =
        pool::Pool::new(threads)?.run(py, || zktally_core::commit::rates::tree_times(rows, row));
    Ok((ours.as_secs_f64(), sha.as_secs_f64()))
}

#[pymodule]
mod _core {
    use super::*;

    /// Panics become exceptions or refusals; nobody reads them on stderr.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        std::panic::set_hook(Box::new(|_| {}));
        // A module inside an extension is not found by its name unless it is entered there.
        let modules = module.py().import("sys")?.getattr("modules")?;
        modules.set_item("zktally._core.testing", module.getattr("testing")?)
    }

    /// What only tests call, to hold the core against plain Python.
    #[pymodule]
    mod testing {
        #[pymodule_export]
        use super::super::journal::{journal_decode, journal_encode};
        #[pymodule_export]
        use super::super::testing::{
            compress, keyed, poseidon2_16, poseidon2_24, sample_count, sponge, tensor_root,
        };
    }

    #[pymodule_export]
    use super::hybrid::{Folder, HybridProver, NodeProver, SegmentProver, hybrid_segments};
    #[pymodule_export]
    use super::proving::{Dataset, Executor, Model, Program, Run};
    #[pymodule_export]
    use super::verifying::{verify, verify_aggregate};
    #[pymodule_export]
    use super::{build_info, tree_times};
}
