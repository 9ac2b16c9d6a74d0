//! The provers of hybrid receipts, and of one proof for all of their segments.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use zktally_core::commit::Prepared;
use zktally_core::hybrid::{self, Timings};
use zktally_core::stark::memory::Keeper;
use zktally_core::stark::parameters::FOLDABLE;

use super::errors::{raise, usage};
use super::pool::Pool;
use super::proving::{Model, Program};

/// The segments of one hybrid receipt.
#[pyclass(frozen, module = "zktally._core")]
pub struct HybridProver {
    prover: hybrid::Prover,
    pool: Pool,
}

#[pymethods]
impl HybridProver {
    #[new]
    #[pyo3(signature = (program, journal, openings, profile = 0, threads = 0))]
    fn new(
        py: Python<'_>,
        program: &Bound<'_, PyAny>,
        journal: Vec<u8>,
        openings: Vec<u8>,
        profile: u8,
        threads: usize,
    ) -> PyResult<Self> {
        check_profile(profile)?;
        let prepared = prepared(py, program)?;
        let pool = Pool::new(threads)?;
        let prover = pool
            .run(py, || hybrid::Prover::new(prepared, journal, openings, profile))
            .map_err(raise)?;
        Ok(Self { prover, pool })
    }

    #[getter]
    fn segments(&self) -> usize {
        self.prover.segments()
    }

    #[getter]
    fn stark_bits(&self) -> f64 {
        self.prover.stark_bits()
    }

    fn head<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.prover.head())
    }

    fn prove_segment<'py>(
        &self,
        py: Python<'py>,
        segment: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyDict>)> {
        let count = self.prover.segments();
        if segment >= count {
            return Err(usage(format!("there is no segment {segment}, only {count} of them")));
        }
        let (proof, timings) =
            self.pool.run(py, || self.prover.prove_segment(segment)).map_err(raise)?;
        Ok((PyBytes::new(py, &proof), timings_dict(py, timings)?))
    }

    fn share<'py>(&self, py: Python<'py>, segment: usize) -> PyResult<Bound<'py, PyBytes>> {
        let share = self.pool.run(py, || self.prover.share(segment)).map_err(raise)?;
        Ok(PyBytes::new(py, &share))
    }

    fn check(&self, py: Python<'_>, segment: usize, proof: &[u8]) -> PyResult<()> {
        let check = || self.prover.outline().check(segment, &self.prover.head(), proof);
        self.pool.run(py, check).map_err(raise)
    }
}

/// Proves segments of a hybrid receipt from their shares.
#[pyclass(frozen, module = "zktally._core")]
pub struct SegmentProver {
    outline: hybrid::Outline,
    pool: Pool,
}

#[pymethods]
impl SegmentProver {
    #[new]
    #[pyo3(signature = (program, journal, profile = 0, threads = 0))]
    fn new(
        py: Python<'_>,
        program: &Bound<'_, PyAny>,
        journal: Vec<u8>,
        profile: u8,
        threads: usize,
    ) -> PyResult<Self> {
        check_profile(profile)?;
        let (prepared, pool) = (prepared(py, program)?, Pool::new(threads)?);
        let outline =
            pool.run(py, || hybrid::Outline::new(prepared, journal, profile)).map_err(raise)?;
        Ok(Self { outline, pool })
    }

    #[getter]
    fn segments(&self) -> usize {
        self.outline.segments()
    }

    fn prove<'py>(
        &self,
        py: Python<'py>,
        segment: usize,
        share: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let prove = || self.outline.prove_share(segment, share);
        let (proof, _) = self.pool.run(py, prove).map_err(raise)?;
        Ok(PyBytes::new(py, &proof))
    }
}

fn check_profile(profile: u8) -> PyResult<()> {
    if profile > FOLDABLE {
        return Err(usage(format!("there is no profile {profile}, only 0 to {FOLDABLE}")));
    }
    Ok(())
}

/// Foldable receipts on their way to one proof.
#[pyclass(frozen, module = "zktally._core")]
pub struct Folder {
    folder: hybrid::Folder,
    pool: Pool,
}

#[pymethods]
impl Folder {
    #[staticmethod]
    #[pyo3(signature = (program, journal, proof, threads = 0))]
    fn of_receipt(
        py: Python<'_>,
        program: &Bound<'_, PyAny>,
        journal: Vec<u8>,
        proof: &[u8],
        threads: usize,
    ) -> PyResult<Self> {
        let (prepared, pool) = (prepared(py, program)?, Pool::new(threads)?);
        let folder = || hybrid::Folder::of_receipt(prepared, journal, proof);
        let folder = pool.run(py, folder).map_err(raise)?;
        Ok(Self { folder, pool })
    }

    #[staticmethod]
    #[pyo3(signature = (receipts, threads = 0))]
    fn of_receipts(py: Python<'_>, receipts: Vec<Vec<u8>>, threads: usize) -> PyResult<Self> {
        let parts: Vec<&[u8]> = receipts.iter().map(Vec::as_slice).collect();
        let pool = Pool::new(threads)?;
        let folder = pool.run(py, || hybrid::Folder::of_receipts(&parts)).map_err(raise)?;
        Ok(Self { folder, pool })
    }

    #[getter]
    fn layers(&self) -> Vec<usize> {
        self.folder.folding.layers()
    }

    fn needs(&self, node: usize) -> PyResult<Vec<usize>> {
        self.folder.folding.needs(node).map_err(raise)
    }

    fn share<'py>(&self, py: Python<'py>, node: usize) -> PyResult<Bound<'py, PyBytes>> {
        let share = self.pool.run(py, || self.folder.folding.share(node)).map_err(raise)?;
        Ok(PyBytes::new(py, &share))
    }

    fn prove<'py>(&self, py: Python<'py>, node: usize) -> PyResult<Bound<'py, PyBytes>> {
        let proof = self.pool.run(py, || self.folder.folding.prove(node)).map_err(raise)?.0;
        Ok(PyBytes::new(py, &proof))
    }

    fn take(&self, py: Python<'_>, node: usize, proof: &[u8]) -> PyResult<()> {
        self.pool.run(py, || self.folder.folding.take(node, proof)).map_err(raise)
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let made = self.pool.run(py, || self.folder.finish()).map_err(raise)?;
        Ok(PyBytes::new(py, &made))
    }
}

/// Proves nodes from their shares.
#[pyclass(frozen, module = "zktally._core")]
pub struct NodeProver {
    pool: Pool,
    /// Nodes are much alike: the memory of one serves the next.
    _memory: Keeper,
}

#[pymethods]
impl NodeProver {
    #[new]
    #[pyo3(signature = (threads = 0))]
    fn new(threads: usize) -> PyResult<Self> {
        Ok(Self { pool: Pool::new(threads)?, _memory: Keeper::new() })
    }

    fn prove<'py>(
        &self,
        py: Python<'py>,
        node: usize,
        share: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let prove = || hybrid::Folder::prove_node(node, share);
        let proof = self.pool.run(py, prove).map_err(raise)?;
        Ok(PyBytes::new(py, &proof))
    }
}

/// The number of segments of a hybrid receipt with this program and journal.
#[pyfunction]
pub fn hybrid_segments(py: Python<'_>, program: &[u8], journal: &[u8]) -> PyResult<usize> {
    let program = Program::new(py, program)?;
    let count = || hybrid::segment_count(&Prepared::new(program.checked()), journal);
    py.detach(count).map_err(raise)
}

/// What a model holds already, or the program in these bytes.
fn prepared(py: Python<'_>, program: &Bound<'_, PyAny>) -> PyResult<Arc<Prepared>> {
    if let Ok(model) = program.cast::<Model>() {
        return Ok(model.get().prepared());
    }
    let checked = match program.cast::<Program>() {
        Ok(program) => program.get().checked(),
        Err(_) => Program::new(py, program.extract()?)?.checked(),
    };
    Ok(py.detach(|| Arc::new(Prepared::new(checked))))
}

fn timings_dict(py: Python<'_>, timings: Timings) -> PyResult<Bound<'_, PyDict>> {
    // Exhaustive, so that a new phase cannot be forgotten here.
    let Timings { schedule, witness, commit, lookups, quotient, opening, rows, tables: _ } =
        timings;
    let dict = PyDict::new(py);
    let phases = [
        ("schedule", schedule),
        ("witness", witness),
        ("commit", commit),
        ("lookups", lookups),
        ("quotient", quotient),
        ("opening", opening),
    ];
    for (phase, seconds) in phases {
        dict.set_item(phase, seconds)?;
    }
    dict.set_item("rows", rows)?;
    Ok(dict)
}
