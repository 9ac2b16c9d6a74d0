"""Hidden outputs behind one proof: resumed, compressed, aggregated; judged alike, shown alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import zktally as api
from support import programs
from support.cli import Zktally
from zktally.prover import ProverOptions, Work, wrapping_job
from zktally.verifier.errors import ZktallyError

STEPS = 300
SHOWN = (0, 17, 299)
BACKENDS = ("rust", "python")


@dataclass(frozen=True)
class Project:
    """A chain whose outputs are hidden, and what was made of its one run.

    Attributes:
        model: the model.
        values: what the outputs are, [steps, 5].
        foldable, succinct: receipts.
        showing: of some of the steps.
    """

    model: api.CompiledModel
    values: np.ndarray
    foldable: api.Receipt
    succinct: api.Receipt
    showing: bytes


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, zktally: Zktally) -> Project:
    """A fast receipt of a chain is wrapped in a folder, where another process goes on."""
    folder = tmp_path_factory.mktemp("hidden")
    model = api.assemble(*programs.EVERY["running_average"]())
    inputs = {"x": np.random.default_rng(0).integers(-40, 40, (STEPS, 5))}
    common = {"mode": "fast", "reveal": True, "bits": 102, "visibility": "private"}
    published = api.prove(model, inputs, **common)  # type: ignore[arg-type]
    held = folder / "run.outputs"
    fast = api.prove(model, inputs, outputs="hidden", outputs_file=held, **common)  # type: ignore[arg-type]
    work = Work.create(folder / "work")
    work.start(wrapping_job(fast.data, ProverOptions(foldable=True).profile))
    done = zktally("resume", work.folder, "-o", folder / "foldable.receipt")
    assert done.code == 0, done.err
    foldable = api.Receipt.load(folder / "foldable.receipt")
    return Project(
        model,
        published.verify(model.model_id).outputs["y"],
        foldable,
        api.compress(foldable),
        api.HeldOutputs.load(held).show(fast.data, SHOWN),
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("profile", ["foldable", "succinct"])
def test_both_verifiers_accept_it_and_what_is_shown(
    project: Project, profile: str, backend: str
) -> None:
    receipt = getattr(project, profile)
    found = receipt.verify(project.model.model_id, shown=project.showing, backend=backend)
    assert (found.profile, found.outputs, found.outputs_public) == (profile, {}, False)
    assert found.guarantee.outputs == {"y": "certified"}
    assert (found.shown.outputs["y"] == project.values[list(SHOWN)]).all()


def test_it_stays_small_however_many_steps(project: Project) -> None:
    assert len(project.succinct.data) < 200_000
    assert len(project.succinct.journal.encode()) < 500


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_other_outputs_can_be_put_in(project: Project, backend: str) -> None:
    """Neither into the statement nor into a showing."""
    changed = bytearray(project.showing)
    changed[-1] ^= 1
    model = project.model.model_id
    with pytest.raises(ZktallyError) as refused:
        project.succinct.verify(model, shown=bytes(changed), backend=backend)
    assert refused.value.code == "shown.mismatch"
    data = bytearray(project.succinct.data)
    journal = bytes(project.succinct.journal.encode())
    data[data.index(journal) + 2] ^= 3  # hybrid to strict: another statement over the same proof
    with pytest.raises(ZktallyError):
        api.verify(bytes(data), model, backend=backend)


def test_an_aggregate_passes_it_on(project: Project, tmp_path: Path) -> None:
    other = api.prove(
        project.model, {"x": np.random.default_rng(1).integers(-40, 40, (2, 5))}, foldable=True
    )
    made = api.aggregate([project.foldable, other])
    for backend in BACKENDS:
        hidden, published = api.verify_aggregate(
            made,
            [project.model.model_id],
            backend=backend,  # type: ignore[arg-type]
        )
        assert (hidden.outputs_public, published.outputs_public) == (False, True)
        assert hidden.outputs == {}
        assert "not published" in hidden.guarantee.text()
        assert published.outputs["y"].shape == (2, 5)
