//! Thin Python bindings of the zktally core. What they offer is documented in
//! `src/zktally/_core.pyi`; every refusal is a typed exception of
//! `zktally.verifier.errors`.

use pyo3::prelude::*;

mod arrays;
mod errors;
mod hybrid;
mod journal;
mod pool;
mod primitives;
mod proving;
mod verifying;

/// Version, vector lanes and threads of this build.
#[pyfunction]
fn build_info(py: Python<'_>) -> PyResult<Bound<'_, pyo3::types::PyDict>> {
    let info = pyo3::types::PyDict::new(py);
    info.set_item("version", env!("CARGO_PKG_VERSION"))?;
    info.set_item("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS))?;
    info.set_item("lanes", zktally_core::hash::poseidon::LANES)?;
    info.set_item("threads", std::thread::available_parallelism().map_or(1, usize::from))?;
    Ok(info)
}

#[pymodule]
mod _core {
    use super::*;

    /// Panics become exceptions or refusals; nobody reads them on stderr.
    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        std::panic::set_hook(Box::new(|_| {}));
        Ok(())
    }

    #[pymodule_export]
    use super::build_info;
    #[pymodule_export]
    use super::hybrid::{HybridProver, hybrid_segments};
    #[pymodule_export]
    use super::journal::{journal_decode, journal_encode};
    #[pymodule_export]
    use super::primitives::{
        compress, keyed, poseidon2_16, poseidon2_24, sample_count, sponge, tensor_root, tree_times,
    };
    #[pymodule_export]
    use super::proving::{Model, Program, Run};
    #[pymodule_export]
    use super::verifying::verify;
}
