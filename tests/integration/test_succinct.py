"""Succinct receipts as a user meets them: made at once, compressed, resumed, judged, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import zktally as api
from support import programs
from support.cli import Zktally
from support.runs import shop as opened
from zktally.prover import ProverOptions, Work, prove_job, wrapping_job
from zktally.prover.receipt import encode_receipt
from zktally.verifier.describe import describe_receipt
from zktally.verifier.errors import ZktallyError
from zktally.verifier.profiles import SUCCINCT
from zktally.verifier.receipt import split_receipt

HEAD = 33
"""Bytes of a proof section before the roots: digest of the statement, profile."""

WORDS = "the receipt holds one proof, which shows that the proof of the one segment verifies"


@dataclass(frozen=True)
class Project:
    """A private model, inputs of two steps, and receipts about them."""

    folder: Path
    model: api.CompiledModel
    inputs: dict[str, np.ndarray]
    foldable: api.Receipt
    succinct: api.Receipt

    @property
    def model_id(self) -> str:
        return self.model.model_id.hex()

    def path(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, zktally: Zktally) -> Project:
    """All of it by the command line; the receipt is compressed where nothing else is."""
    folder = tmp_path_factory.mktemp("succinct")
    model = api.assemble(*programs.EVERY["running_average"]())
    inputs = {"x": np.random.default_rng(0).integers(-40, 40, (2, 5))}
    model.save(folder / "model.zkt")
    np.savez(folder / "x.npz", **inputs)  # type: ignore[arg-type]
    foldable, alone = folder / "foldable.receipt", tmp_path_factory.mktemp("alone")
    prove = ("prove", folder / "model.zkt", "--input", folder / "x.npz", "--foldable")
    done = zktally(*prove, "-o", foldable)
    assert done.code == 0, done.err
    done = zktally("compress", "-", "-o", "s.receipt", stdin=foldable.read_bytes(), cwd=alone)
    assert done.code == 0, done.err
    for words in ("2 proofs of proofs to make", "fold proofs: 0/2", "fold proofs: 2/2"):
        assert words in done.err, done.err
    succinct = api.Receipt.load(alone / "s.receipt")
    succinct.save(folder / "succinct.receipt")
    return Project(folder, model, inputs, api.Receipt.load(foldable), succinct)


def code(receipt: bytes, model_id: str) -> str:
    try:
        api.verify(receipt, model_id)
    except ZktallyError as error:
        return error.code
    return "accepted"


def test_compressing_changes_the_proof_alone(project: Project) -> None:
    before, after = (split_receipt(r.data) for r in (project.foldable, project.succinct))
    assert (before.program, before.journal) == (after.program, after.journal)
    assert len(after.proof) < len(before.proof)
    verified = [r.verify(project.model_id) for r in (project.foldable, project.succinct)]
    assert [each.profile for each in verified] == ["foldable", "succinct"]
    assert [each.segments for each in verified] == [1, 1]
    assert verified[0].stark_bits == verified[1].stark_bits
    assert verified[1].headline_bits == 100
    np.testing.assert_array_equal(*(each.outputs["y"] for each in verified))


def test_compressed_again_it_is_another_proof_of_the_same(project: Project) -> None:
    seen: list[tuple[str, int, int]] = []
    again = api.compress(project.foldable, progress=lambda *told: seen.append(told))
    assert seen == [("fold proofs", done, 2) for done in range(3)]
    assert again.data != project.succinct.data
    assert again.journal == project.succinct.journal
    assert code(again.data, project.model_id) == "accepted"


def test_the_verdict_says_what_was_folded(
    zktally: Zktally, project: Project, tmp_path: Path
) -> None:
    receipt = project.path("succinct.receipt")
    verify = ("verify", receipt, "--model-id", project.model_id)
    done = zktally(*verify)
    assert done.code == 0, done.err
    assert WORDS in done.out
    shown = json.loads(zktally(*verify, "--json").out)
    assert (shown["profile"], shown["segments"]) == ("succinct", 1)
    assert shown["guarantee"]["folded"] == 1
    foldable = zktally("verify", project.path("foldable.receipt"), *verify[2:])
    assert foldable.code == 0
    assert "holds one proof" not in foldable.out
    page = tmp_path / "page.html"
    done = zktally("report", receipt, "--model-id", project.model_id, "-o", page)
    assert done.code == 0, done.err
    assert "one proof stands in their place" in page.read_text()


def test_inspect(zktally: Zktally, project: Project) -> None:
    done = zktally("inspect", project.path("succinct.receipt"))
    assert done.code == 0, done.err
    assert "one proof that the proofs of 1 segment verify (succinct profile)" in done.out
    shown = json.loads(zktally("inspect", project.path("succinct.receipt"), "--json").out)
    assert shown["stark"] == {"profile": "succinct", "segments": 1}
    assert describe_receipt(project.succinct.data)[0]["stark"] == shown["stark"]


def prove_at_once(zktally: Zktally, project: Project, out: Path) -> None:
    prove = ("prove", project.path("model.zkt"), "--input", project.path("x.npz"))
    done = zktally(*prove, "--succinct", "--processes", 2, "-o", out)
    assert done.code == 0, done.err
    for words in ("1 segment to prove and to fold", "prove segments: 1/1", "fold proofs: 2/2"):
        assert words in done.err, done.err


def wrap_a_fast_one(zktally: Zktally, project: Project, out: Path) -> None:
    fast = api.prove(project.model, project.inputs, "fast", reveal=True)
    done = zktally("wrap", "-", "--succinct", "-o", out, stdin=fast.data)
    assert done.code == 0, done.err


def resume_where_it_was(zktally: Zktally, project: Project, out: Path) -> None:
    fast = api.prove(project.model, project.inputs, "fast", reveal=True)
    work = Work.create(out.with_name("work"))
    work.start(wrapping_job(fast.data, ProverOptions(succinct=True).profile))
    done = zktally("resume", work.folder, "-o", out)
    assert done.code == 0, done.err
    assert [path.name for path in work.folder.iterdir()] == ["receipt"]


@pytest.mark.parametrize("make", [prove_at_once, wrap_a_fast_one, resume_where_it_was])
def test_other_ways_to_one(
    make: Callable[[Zktally, Project, Path], None],
    zktally: Zktally,
    project: Project,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run.receipt"
    make(zktally, project, out)
    assert api.Receipt.load(out).verify(project.model_id).profile == "succinct"


def test_a_fold_that_was_interrupted_goes_on(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished before is not proven again: neither the segment nor the node over it."""
    fast = api.prove(project.model, project.inputs, "fast", reveal=True)
    work, written = Work.create(tmp_path / "work"), list[int]()

    def stop(phase: str, done: int, _total: int) -> None:
        if (phase, done) == ("fold proofs", 1):
            raise KeyboardInterrupt

    def write_node(self: Work, number: int, proof: bytes) -> None:
        written.append(number)
        kept(self, number, proof)

    kept = Work.write_node
    monkeypatch.setattr(Work, "write_node", write_node)
    job = wrapping_job(fast.data, SUCCINCT)
    with pytest.raises(KeyboardInterrupt):
        prove_job(job, work, options=ProverOptions(progress=stop, succinct=True))
    assert written == [0]
    made = api.resume(work.folder, progress=False)
    assert written == [0, 1]
    assert code(made.data, project.model_id) == "accepted"
    assert [path.name for path in work.folder.iterdir()] == ["receipt"]


def test_a_training_run_is_one_succinct_receipt(zktally: Zktally, tmp_path: Path) -> None:
    shop, receipt = opened(tmp_path), tmp_path / "run.receipt"
    train = ("train", shop.model, "--data", shop.arrays, "--batch", 16, "--rehearsal", 20)
    train += ("--steps", 2, "--succinct", "-o", receipt)
    zktally(*train, "--receipt-every", 1).refused(2, "fewer than 100 bits")
    done = zktally(*train, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    verify = ("verify", receipt, "--model-id", said["model_id"])
    done = zktally(*verify, "--dataset-root", said["dataset_root"], "--json")
    assert done.code == 0, done.err
    verified = json.loads(done.out)
    assert (verified["profile"], verified["steps"]) == ("succinct", 2)


def changed(receipt: api.Receipt, at: int, to: int | None = None) -> bytes:
    """The receipt with one byte of its proof section exchanged, its lowest bit by default."""
    data = bytearray(receipt.data)
    start = len(data) - len(split_receipt(receipt.data).proof)
    place = start + at if at >= 0 else len(data) + at
    data[place] = data[place] ^ 1 if to is None else to
    return bytes(data)


def test_no_changed_byte_is_accepted(project: Project) -> None:
    length = len(split_receipt(project.succinct.data).proof)
    roots = HEAD + 32 * (2 * 3 + 1)
    places = [0, HEAD, roots, roots + 60, roots + 120, *range(roots + 200, length, length // 40)]
    found = {at: code(changed(project.succinct, at), project.model_id) for at in places}
    assert "accepted" not in found.values()
    assert found[0] == "verify.journal-mismatch"
    assert {found[roots], found[roots + 60], found[roots + 120]} == {"verify.stark"}
    assert code(project.succinct.data[:-1], project.model_id) == "receipt.truncated"


def test_no_proof_passes_as_another(project: Project) -> None:
    """Neither under another profile, nor in the receipt of another run."""
    for profile in (0, 1, 2, 3):
        assert code(changed(project.succinct, HEAD - 1, profile), project.model_id) != "accepted"
    assert code(changed(project.foldable, HEAD - 1, SUCCINCT), project.model_id) != "accepted"
    other = api.prove(project.model, project.inputs, foldable=True)
    parts, mine = split_receipt(other.data), split_receipt(project.succinct.data)
    proof = bytes(parts.proof[: HEAD - 1]) + bytes(mine.proof[HEAD - 1 :])
    swapped = encode_receipt(bytes(parts.program), bytes(parts.journal), proof)
    assert code(swapped, project.model_id) not in ("accepted", "verify.journal-mismatch")


# What cannot be compressed.


def test_only_a_good_receipt_is_compressed(
    zktally: Zktally, project: Project, tmp_path: Path
) -> None:
    out = ("-o", tmp_path / "r")
    spoilt = changed(project.foldable, -8)
    zktally("compress", "-", *out, stdin=spoilt).refused(1, "verify.stark")
    for data, exit_code, word in (
        (b"", 3, "receipt.truncated"),
        (b"nothing", 3, "receipt.bad-magic"),
        (project.foldable.data + b"\0", 3, "receipt.trailing-bytes"),
        (changed(project.foldable, HEAD - 1, 9), 3, "receipt.non-canonical"),
    ):
        zktally("compress", "-", *out, stdin=data).refused(exit_code, word)
    assert not (tmp_path / "r").exists()


def test_only_a_foldable_receipt_is_compressed(
    zktally: Zktally, project: Project, tmp_path: Path
) -> None:
    out = ("-o", tmp_path / "r")
    others = {
        "a standard one": {},
        "a small one": {"small": True},
        "a fast one": {"mode": "fast", "reveal": True},
    }
    for words, how in others.items():
        made = api.prove(project.model, project.inputs, **how)
        done = zktally("compress", "-", *out, stdin=made.data)
        done.refused(2, words)
        assert "--foldable" in done.err
    done = zktally("compress", project.path("succinct.receipt"), *out)
    done.refused(2, "a succinct one")
    assert "compressed already" in done.err
    assert not (tmp_path / "r").exists()


def test_files_are_not_overwritten(zktally: Zktally, project: Project, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    foldable = project.path("foldable.receipt")
    zktally("compress", foldable, "-o", mine).refused(2, "usage.file-exists")
    zktally("compress", foldable, "-o", foldable, "--force").refused(2, "usage")
    assert mine.read_text() == "mine"
    zktally("compress", foldable, "-o", tmp_path / "r", "--threads", -1).refused(2, "threads")


@pytest.mark.parametrize("other", ["--small", "--foldable"])
def test_a_receipt_has_one_profile(zktally: Zktally, project: Project, other: str) -> None:
    prove = ("prove", project.path("model.zkt"), "--input", project.path("x.npz"), "-o", "r")
    zktally(*prove, "--succinct", other).refused(2, "a receipt has one profile")


def test_a_fast_receipt_has_no_proof_to_fold(zktally: Zktally, project: Project) -> None:
    prove = ("prove", project.path("model.zkt"), "--input", project.path("x.npz"), "-o", "r")
    zktally(*prove, "--mode", "fast", "--reveal", "--succinct").refused(2, "usage")
