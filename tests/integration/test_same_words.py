"""Both verifiers, and the one that is installed alone, word the same receipt alike, literally."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from support.cli import Files, Outcome, Zktally
from zktally.cli import main

Both = Callable[[list[str]], list[Outcome]]


@pytest.fixture(scope="module")
def folder(zktally: Zktally, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good, bad and wrong files."""
    folder = tmp_path_factory.mktemp("words")
    for mode, visibility in (("fast", "public"), ("strict", "private")):
        done = zktally(
            "prove", files.model, "--mode", mode, "--input", files.images, "--inputs", visibility,
            "-q", "-o", folder / f"{mode}.receipt",
        )  # fmt: skip
        assert done.code == 0, done.err
    good = (folder / "fast.receipt").read_bytes()
    other = bytearray(good)
    other[60] ^= 1
    for name, data in {
        "cut": good[:-10],
        "longer": good + b"\0",
        "short": good[:5],
        "version": good[:7] + b"\x09" + good[8:],
        "program": bytes(other),
        "empty": b"",
    }.items():
        (folder / f"{name}.receipt").write_bytes(data)
    images = np.load(files.images)["image"]
    np.savez(folder / "other.npz", image=images * 0)
    np.savez(folder / "few.npz", image=images[:19])
    np.savez(folder / "named.npz", picture=images)
    np.savez(folder / "shape.npz", image=images[:, :, :7])
    return folder


GOOD = {
    "fast": ["fast.receipt"],
    "strict": ["strict.receipt"],
    "with inputs": ["fast.receipt", "--input", "{images}"],
    "as JSON": ["fast.receipt", "--json"],
}
BAD = {
    "another model": ["fast.receipt", "--model-id", "00" * 32],
    "delta": ["fast.receipt", "--max-delta", "0.0123"],
    "bits": ["fast.receipt", "--min-bits", "200"],
    "delta of steps": ["fast.receipt", "--max-delta-step", "0.05"],
    "delta of ops": ["fast.receipt", "--max-delta-op", "0.01"],
    "modes": ["fast.receipt", "--modes", "hybrid,strict"],
    "audience": ["fast.receipt", "--audience", "acme"],
    "nonce": ["fast.receipt", "--nonce", "0x01"],
    "root of inputs": ["fast.receipt", "--input-root", "11" * 32],
    "state": ["fast.receipt", "--initial-state", "11" * 32],
    "data set": ["fast.receipt", "--dataset-root", "11" * 32],
    "range": ["fast.receipt", "--range", "image=0:0.5"],
    "range of nothing": ["fast.receipt", "--range", "picture=0:1"],
    "range of private inputs": ["strict.receipt", "--range", "image=0:1"],
    "batch": ["fast.receipt", "--batch", "1:2"],
    "programs": ["fast.receipt", "--programs", "11" * 32],
    "steps": ["fast.receipt", "--max-steps", "2"],
    "other inputs": ["fast.receipt", "--input", "other.npz"],
    "fewer inputs": ["fast.receipt", "--input", "few.npz"],
    "inputs of another name": ["fast.receipt", "--input", "named.npz"],
    "inputs of another shape": ["fast.receipt", "--input", "shape.npz"],
    "private inputs": ["strict.receipt", "--input", "{images}"],
    "bits of a proof": ["strict.receipt", "--min-bits", "120"],
    "cut off": ["cut.receipt"],
    "longer": ["longer.receipt"],
    "the beginning of one": ["short.receipt"],
    "another version": ["version.receipt"],
    "another program": ["program.receipt"],
    "empty": ["empty.receipt"],
    "an ONNX file": ["{onnx}"],
    "a compiled model": ["{model}"],
    "arrays": ["other.npz"],
    "a folder": ["."],
    "nothing": ["absent.receipt"],
    "too large": ["fast.receipt", "--max-size", "1000"],
}


def words(case: list[str], files: Files) -> list[str]:
    args = [word.format(**vars(files)) for word in case]
    return args if "--model-id" in args else [*args, "--model-id", files.model_id]


ALONE = """
import contextlib, io, json, sys
from zktally_verifier.cli import main

def call(args):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(args)
    return code, out.getvalue(), err.getvalue()

print(json.dumps([call(args) for args in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def alone(files: Files, standalone: Path, folder: Path) -> dict[str, Outcome]:
    """What the verifier that is installed alone says in each case, in a process of its own."""
    cases = {**GOOD, **BAD}
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        input=json.dumps([words(case, files) for case in cases.values()]),
        env={"PYTHONPATH": str(standalone)},
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {name: Outcome(*each) for name, each in zip(cases, found, strict=True)}


@pytest.fixture
def both(files: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> Both:
    """What `zktally verify` says with each of its verifiers."""
    monkeypatch.chdir(folder)

    def call(case: list[str]) -> list[Outcome]:
        found = []
        for backend in ("rust", "python"):
            code = main(["verify", *words(case, files), "--backend", backend])
            found.append(Outcome(code, *capsys.readouterr()))
        return found

    return call


@pytest.mark.parametrize("case", GOOD)
def test_a_verdict(case: str, alone: dict[str, Outcome], both: Both) -> None:
    rust, python = both(GOOD[case])
    assert alone[case] == python
    assert python.code == 0, python.err
    if "--json" in GOOD[case]:
        shown = [json.loads(done.out) for done in (rust, python)]
        assert [each.pop("backend") for each in shown] == ["rust", "python"]
        assert shown[0] == shown[1]
    else:
        assert rust == python


@pytest.mark.parametrize("case", BAD)
def test_a_refusal(case: str, alone: dict[str, Outcome], both: Both) -> None:
    rust, python = both(BAD[case])
    assert rust == python == alone[case]
    assert python.code in (1, 2, 3)
    for told in ("Traceback", "internal error", "None"):
        assert told not in python.err
    assert case == "another model" or "0" * 64 not in python.err
