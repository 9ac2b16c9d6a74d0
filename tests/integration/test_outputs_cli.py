"""Hidden outputs by the command line: made, shown, judged by both verifiers, refused."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import zktally as api
from support import programs
from support.cli import Zktally
from zktally.prover.outputs import HeldOutputs
from zktally.verifier.cli import main as verify_alone

STEPS = 6


@dataclass(frozen=True)
class Project:
    """A folder with a model, its inputs, and a receipt of each mode that hides its outputs."""

    folder: Path
    model_id: str

    def path(self, name: str) -> Path:
        return self.folder / name

    def published(self) -> np.ndarray:
        """What the outputs are."""
        model = api.load(self.path("m.zkt"))
        inputs = dict(np.load(self.path("x.npz")))
        receipt = api.prove(model, inputs, "fast", reveal=True, progress=False)
        return receipt.verify(model.model_id).outputs["y"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, zktally: Zktally) -> Project:
    folder = tmp_path_factory.mktemp("outputs")
    model = api.assemble(*programs.EVERY["running_average"]())
    model.save(folder / "m.zkt")
    np.savez(folder / "x.npz", x=np.random.default_rng(0).integers(-40, 40, (STEPS, 5)))
    for mode in ("fast", "hybrid", "strict"):
        done = zktally(
            "prove", folder / "m.zkt", "--input", folder / "x.npz", "--mode", mode, "--outputs",
            "hidden", *(["--reveal"] if mode == "fast" else []), "-o", folder / f"{mode}.receipt",
        )  # fmt: skip
        assert done.code == 0, done.err
        assert "its outputs, hidden, to be shown with `zktally outputs`" in done.out
    return Project(folder, model.model_id.hex())


def shown(project: Project, zktally: Zktally, mode: str, name: str, *steps: str) -> Path:
    path = project.path(name)
    each = [word for step in steps for word in ("--step", step)]
    done = zktally("outputs", project.path(f"{mode}.receipt"), *each, "--force", "-o", path)
    assert done.code == 0, done.err
    return path


@pytest.mark.parametrize("backend", ["rust", "python"])
@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
def test_steps_are_shown_and_judged(
    project: Project, zktally: Zktally, mode: str, backend: str
) -> None:
    held = project.path(f"{mode}.receipt.outputs")
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    showing = shown(project, zktally, mode, f"{mode}.shown", "4", "1-2")
    table = project.path(f"{mode}-{backend}.npz")
    verify = ("verify", project.path(f"{mode}.receipt"), "--model-id", project.model_id)
    done = zktally(*verify, "--backend", backend, "--shown", showing, "--outputs", table)
    assert done.code == 0, done.err
    assert "shown      outputs of steps 1-2, 4" in done.out
    assert "not published: bound by the chain root" in done.out
    with np.load(table) as arrays:
        assert (arrays["y"] == project.published()[[1, 2, 4]]).all()
        assert arrays["rows:y"].tolist() == [1, 2, 4]
    told = json.loads(zktally(*verify, "--shown", showing, "--json").out)
    assert (told["outputs"], told["outputs_public"]) == ([], False)
    assert told["shown"]["steps"] == [1, 2, 4]
    assert told["shown"]["outputs"][0]["status"] == told["guarantee"]["outputs"]["y"]


def test_the_verifier_alone_judges_them(
    project: Project, zktally: Zktally, capsys: pytest.CaptureFixture[str]
) -> None:
    showing = shown(project, zktally, "hybrid", "alone.shown", "0")
    words = [str(project.path("hybrid.receipt")), "--model-id", project.model_id]
    assert verify_alone([*words, "--shown", str(showing)]) == 0
    assert "shown      outputs of step 0" in capsys.readouterr().out
    other = shown(project, zktally, "strict", "strict.shown", "0")
    assert verify_alone([*words, "--shown", str(other)]) == 1
    assert "[shown.mismatch]" in capsys.readouterr().err
    assert verify_alone([*words, "--shown", str(project.path("m.zkt"))]) == 3
    assert "[shown.malformed]" in capsys.readouterr().err


def test_a_showing_of_another_receipt_is_refused(project: Project, zktally: Zktally) -> None:
    showing = shown(project, zktally, "fast", "of-fast.shown", "3")
    verify = ("verify", project.path("hybrid.receipt"), "--model-id", project.model_id)
    zktally(*verify, "--shown", showing).refused(1, "shown.mismatch")
    told = json.loads(zktally(*verify, "--shown", showing, "--json").out)
    assert (told["verified"], told["code"]) == (False, "shown.mismatch")
    outputs = ("outputs", project.path("hybrid.receipt"), "--step", "3", "-o", "-")
    held = project.path("fast.receipt.outputs")
    zktally(*outputs, "--from", held).refused(2, "the outputs of another receipt")


def test_a_wrapped_receipt_has_the_showings_of_the_fast_one(
    project: Project, zktally: Zktally
) -> None:
    wrapped = project.path("wrapped.receipt")
    done = zktally("wrap", project.path("fast.receipt"), "-o", wrapped)
    assert done.code == 0, done.err
    showing = shown(project, zktally, "fast", "wrapped.shown", "5")
    verify = ("verify", wrapped, "--model-id", project.model_id)
    for backend in ("rust", "python"):
        done = zktally(*verify, "--shown", showing, "--backend", backend)
        assert done.code == 0, done.err
    assert "hidden     weights, inputs, outputs" in done.out


def test_the_report_says_it(project: Project, zktally: Zktally) -> None:
    showing = shown(project, zktally, "strict", "report.shown", "2-3")
    report = ("report", project.path("strict.receipt"), "--model-id", project.model_id, "--force")
    page = project.path("page.html")
    assert zktally(*report, "-o", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert "does not publish its outputs" in text
    assert "Shown here" not in text
    assert zktally(*report, "-o", page, "--shown", showing).code == 0
    text = page.read_text(encoding="utf-8")
    assert "Shown here are those of steps 2-3." in text
    assert "--shown=report.shown" in text


def test_inspect_says_it(project: Project, zktally: Zktally) -> None:
    done = zktally("inspect", project.path("hybrid.receipt"))
    assert "outputs    hidden, bound by the chain root" in done.out
    told = json.loads(zktally("inspect", project.path("hybrid.receipt"), "--json").out)
    assert told["outputs"] == "hidden"
    assert "all outputs" not in zktally("inspect", project.path("fast.receipt")).out


def test_what_does_not_go_together(project: Project, zktally: Zktally) -> None:
    prove = ("prove", project.path("m.zkt"), "--input", project.path("x.npz"))
    receipt, model = project.path("hybrid.receipt"), ("--model-id", project.model_id)
    zktally(*prove, "--outputs-file", "a", "-o", "b").refused(2, "--outputs hidden")
    zktally(*prove, "--outputs", "hidden", "-o", "-").refused(2, "--outputs-file FILE")
    zktally(*prove, "--outputs", "hidden", "-o", receipt).refused(2, "usage.file-exists")
    new, held = project.path("new.receipt"), project.path("hybrid.receipt.outputs")
    zktally(*prove, "--outputs", "hidden", "--outputs-file", held, "-o", new).refused(
        2, "usage.file-exists"
    )
    # Not with --force either: an earlier receipt may need it.
    zktally(*prove, "--outputs", "hidden", "--outputs-file", held, "-o", new, "--force").refused(
        2, "usage.file-exists"
    )
    assert not new.exists()
    snark = zktally(*prove, "--mode", "snark", "--outputs", "hidden", "-o", new)
    snark.refused(2, "options that say nothing of a SNARK receipt")
    table = project.path("none.csv")
    zktally("verify", receipt, *model, "--outputs", table).refused(2, "--shown FILE")
    assert not table.exists()
    showing = shown(project, zktally, "hybrid", "one.shown", "0")
    zktally("verify", receipt, receipt, *model, "--shown", showing).refused(2, "one receipt")
    zktally("verify", receipt, *model, "--shown", "nowhere").refused(2, "usage.unreadable")
    outputs = ("outputs", receipt, "-o", project.path("never.shown"))
    for step in ("x", "-1", "3-1", "0-9999999", "1-", "6", "9" * 99):
        zktally(*outputs, "--step", step).refused(2, "usage")
    zktally(*outputs, "--step", "0", "--from", receipt).refused(3, "outputs.malformed")
    assert not project.path("never.shown").exists()


def test_a_refused_showing_has_its_page(project: Project, zktally: Zktally) -> None:
    other = shown(project, zktally, "strict", "other.shown", "0")
    page = project.path("refused.html")
    words = ("verify", project.path("hybrid.receipt"), "--model-id", project.model_id)
    done = zktally(*words, "--shown", other, "--report", page, "--even-refused")
    assert done.code == 1
    assert "shown.mismatch" in page.read_text()


def test_steps_that_somebody_chose(project: Project, zktally: Zktally) -> None:
    """Where outputs are not certified, the verdict says what a choice of steps means."""
    showing = shown(project, zktally, "hybrid", "chosen.shown", "3")
    model = api.load(project.path("m.zkt"))
    found = api.Receipt.load(project.path("hybrid.receipt")).verify(
        model.model_id, shown=showing.read_bytes()
    )
    assert len(found.about_shown()) == 1
    sampled = replace(found.guarantee, outputs={"y": "consistent"})
    vars(found)["guarantee"] = sampled
    first, second = found.about_shown()
    assert first == "shown      outputs of step 3"
    assert "may choose these" in second


def test_a_changed_file_shows_nothing(project: Project, zktally: Zktally) -> None:
    held = HeldOutputs.load(project.path("hybrid.receipt.outputs"))
    body = bytearray(held.body)
    body[-21] ^= 1
    changed = project.path("changed.outputs")
    HeldOutputs(held.chain_root, held.steps, bytes(body)).save(changed)
    outputs = ("outputs", project.path("hybrid.receipt"), "-o", project.path("changed.shown"))
    zktally(*outputs, "--from", changed, "--step", str(STEPS - 1)).refused(1, "shown.mismatch")
