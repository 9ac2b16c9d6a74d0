"""Hybrid receipts, end to end: made, wrapped, resumed, judged by both verifiers, and bound."""

from __future__ import annotations

import hashlib
import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zktally as api
from support import programs
from support.cli import Zktally
from zktally.prover.receipt import encode_receipt
from zktally.prover.work import Job
from zktally.verifier.errors import UsageError, ZktallyError
from zktally.verifier.inputs import pack_values
from zktally.verifier.journal import FAST, HYBRID, Journal
from zktally.verifier.program.types import Role
from zktally.verifier.receipt import split_receipt

BACKENDS = ("rust", "python")
ACCEPTED = "accepted"
KNOWN = 32
"""Bytes of the digest of the statement, with which a proof begins; the profile follows."""


@dataclass(frozen=True)
class Made:
    """A private model, its inputs, and a hybrid receipt about them."""

    model: api.CompiledModel
    inputs: dict[str, np.ndarray]
    receipt: api.Receipt

    @property
    def head(self) -> int:
        """Bytes of the proof before its segments: digest, profile."""
        return KNOWN + 1


def model_of(name: str, seed: int | None = None) -> api.CompiledModel:
    """A small program with its weights, or with random ones."""
    program, weights = programs.EVERY[name]()
    if seed is not None:
        rng = np.random.default_rng(seed)
        weights = {t: programs.random_array(program.tensors[t], rng) for t in weights}
    return api.assemble(program, weights)


def inputs_of(model: api.CompiledModel, steps: int, seed: int) -> dict[str, np.ndarray]:
    """Random values of each input port, `steps` batches of them."""
    rng = np.random.default_rng(seed)
    program = model.checked.program
    found = {}
    for port in program.inputs:
        shape = program.tensors[port.tensor].shape
        whole = (steps * shape[0], *shape[1:]) if port.batch == 0 else (steps, *shape)
        found[port.name] = rng.integers(-40, 40, whole) * (0.05 if port.kind == 0 else 1)
    return found


def made(name: str = "dense", weights: int | None = None, seed: int = 0, **claims: Any) -> Made:
    model = model_of(name, weights)
    inputs = inputs_of(model, 2, seed)
    return Made(model, inputs, api.prove(model, inputs, **claims))


@pytest.fixture(scope="module")
def first() -> Made:
    return made(visibility="checkable")


@pytest.fixture(scope="module")
def second(first: Made) -> Made:
    """The same model on other inputs."""
    inputs = inputs_of(first.model, 2, 1)
    return Made(first.model, inputs, api.prove(first.model, inputs, visibility="checkable"))


@pytest.fixture(scope="module")
def stranger() -> Made:
    """Other weights of the same program, on the first one's inputs."""
    return made(weights=7)


@pytest.fixture(scope="module")
def chain() -> Made:
    return made("running_average")


def verdict(receipt: bytes, model_id: bytes | str, **expected: Any) -> str:
    """The code of both verifiers, or `ACCEPTED`; asserts that they agree."""
    codes = []
    for backend in BACKENDS:
        try:
            api.verify(receipt, model_id, backend=backend, **expected)  # type: ignore[arg-type]
        except ZktallyError as error:
            codes.append(error.code)
        else:
            codes.append(ACCEPTED)
    assert codes[0] == codes[1], codes
    return codes[0]


def joined(of: Made, **sections: bytes) -> bytes:
    """The receipt with sections exchanged."""
    parts = {name: bytes(part) for name, part in vars(split_receipt(of.receipt.data)).items()}
    return encode_receipt(**(parts | sections))


def proof_of(made: Made) -> bytes:
    return bytes(split_receipt(made.receipt.data).proof)


def restated(of: Made, **fields: object) -> bytes:
    """Another statement; the proof claims to be about that."""
    journal = replace(of.receipt.journal, **fields).encode()  # type: ignore[arg-type]
    proof = hashlib.sha256(journal).digest() + proof_of(of)[KNOWN:]
    return joined(of, journal=journal, proof=proof)


def flip(data: bytes, at: int = 0, bit: int = 0) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


# What a user does.


@dataclass(frozen=True)
class Project:
    folder: Path
    model: Path
    inputs: Path
    model_id: str


@pytest.fixture(scope="module")
def project(first: Made, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A private model and its inputs, as files."""
    folder = tmp_path_factory.mktemp("hybrid")
    first.model.save(folder / "model.zkt")
    np.savez(folder / "x.npz", **first.inputs)  # type: ignore[arg-type]
    return Project(folder, folder / "model.zkt", folder / "x.npz", first.model.model_id.hex())


def test_a_private_model_is_proven_without_revealing_it(
    zktally: Zktally, project: Project, first: Made, tmp_path: Path
) -> None:
    receipt = tmp_path / "run.receipt"
    done = zktally(
        "prove",
        project.model,
        "--input",
        project.inputs,
        "--input-visibility",
        "checkable",
        "-o",
        receipt,
    )
    assert done.code == 0, done.err
    for word in ("2 steps", "every gate checked", "segment", "memory"):
        assert word in done.err
    assert "hybrid" in done.out
    seen = []
    for backend in BACKENDS:
        verify = ("verify", receipt, "--model-id", project.model_id, "--backend", backend)
        done = zktally(*verify, "--input", project.inputs)
        assert done.code == 0, done.err
        assert done.out.startswith(f'OK "{receipt}": 2 steps, ')
        for words in (
            project.model_id[:4], ", hybrid, ", "every gate of every step", "(101 bits)",
            "outputs certified", "zero knowledge except",
        ):  # fmt: skip
            assert words in done.out, done.out
        verified = json.loads(zktally(*verify, "--json").out)
        assert verified.pop("backend") == backend
        seen.append(verified)
    assert seen[0] == seen[1]
    assert seen[0]["profile"] == "standard"
    assert seen[0]["headline_bits"] == 101 <= seen[0]["stark_bits"]
    data = receipt.read_bytes()
    tensors = first.model.checked.program.of_role(Role.WEIGHT)
    for number, array in zip(tensors, first.model.weights, strict=True):
        assert pack_values(array, first.model.checked.program.tensors[number].width) not in data


def test_the_policy_chooses_the_modes(zktally: Zktally, first: Made, tmp_path: Path) -> None:
    receipt = tmp_path / "run.receipt"
    first.receipt.save(receipt)
    for backend in BACKENDS:
        verify = ("verify", receipt, "--model-id", first.model.model_id.hex())
        verify += ("--backend", backend)
        assert zktally(*verify, "--modes", "hybrid").code == 0
        zktally(*verify, "--modes", "fast").refused(1, "policy.mode")
        zktally(*verify, "--min-bits", "101").refused(1, "policy.bits")


def test_a_small_receipt(first: Made) -> None:
    receipt = api.prove(first.model, first.inputs, small=True)
    for backend in BACKENDS:
        assert receipt.verify(first.model.model_id, backend=backend).profile == "small"  # type: ignore[arg-type]
    assert len(receipt.data) < len(first.receipt.data)


def test_a_foldable_receipt(zktally: Zktally, first: Made, tmp_path: Path) -> None:
    receipt = api.prove(first.model, first.inputs, foldable=True)
    for backend in BACKENDS:
        verified = receipt.verify(first.model.model_id, backend=backend)  # type: ignore[arg-type]
        assert verified.profile == "foldable"
    receipt.save(tmp_path / "r")
    found = zktally("inspect", tmp_path / "r")
    assert "foldable profile" in found.out
    with pytest.raises(UsageError, match="one profile"):
        api.prove(first.model, first.inputs, small=True, foldable=True)


def test_masks_are_fresh(first: Made) -> None:
    """The same statement, proven again, under masks of its own."""
    job = job_of(first)
    proofs = [proven(job), proven(job)]
    assert proofs[0] != proofs[1]
    assert [verdict(proof, first.model.model_id) for proof in proofs] == [ACCEPTED, ACCEPTED]


def job_of(of: Made) -> Job:
    """What a hybrid receipt is made from: here, a fast receipt of the same run."""
    from zktally.prover import wrapping_job

    return wrapping_job(api.prove(of.model, of.inputs, "fast", reveal=True).data, 0)


def proven(job: Job) -> bytes:
    from zktally.prover import prove_job

    return prove_job(job)


def test_inspect(zktally: Zktally, first: Made, tmp_path: Path) -> None:
    receipt = tmp_path / "run.receipt"
    first.receipt.save(receipt)
    described = json.loads(zktally("inspect", receipt, "--json").out)
    assert described["mode"] == "hybrid"
    assert described["stark"] == {"profile": "standard", "segments": 1}
    text = zktally("inspect", receipt).out
    for words in ("mode       hybrid", "1 segment (standard profile)", "UNVERIFIED"):
        assert words in text, text


def test_a_program_that_hybrid_does_not_cover(zktally: Zktally, tmp_path: Path) -> None:
    """Its shift is a tensor."""
    model = model_of("every_kind")
    model.save(tmp_path / "model.zkt")
    inputs = {
        port.name: np.zeros(model.checked.program.tensors[port.tensor].shape, np.int64)
        for port in model.checked.program.inputs
    }
    np.savez(tmp_path / "x.npz", **inputs)  # type: ignore[arg-type]
    prove = ("prove", tmp_path / "model.zkt", "--input", tmp_path / "x.npz", "-o", tmp_path / "r")
    zktally(*prove).refused(3, "hybrid.unsupported")
    assert not (tmp_path / "r").exists()
    assert zktally(*prove, "--mode", "fast", "--reveal").code == 0


# Wrapping.


def test_wrap(zktally: Zktally, project: Project, tmp_path: Path) -> None:
    fast, hybrid = tmp_path / "fast.receipt", tmp_path / "run.receipt"
    prove = ("prove", project.model, "--input", project.inputs, "--mode", "fast", "-o", fast)
    zktally(*prove).refused(2, "prove.needs-reveal")
    assert zktally(*prove, "--reveal").code == 0
    done = zktally("wrap", fast, "-o", hybrid)
    assert done.code == 0, done.err
    assert "stays public" in done.err
    before, after = (api.Receipt.load(path).journal for path in (fast, hybrid))
    assert (before.mode, after.mode) == (FAST, HYBRID)
    assert replace(after, mode=FAST) == before
    assert verdict(hybrid.read_bytes(), project.model_id) == ACCEPTED
    zktally("wrap", hybrid, "-o", tmp_path / "again").refused(2, "usage")
    zktally("wrap", project.model, "-o", tmp_path / "again").refused(3, "receipt.bad-magic")


def test_only_a_good_receipt_is_wrapped(zktally: Zktally, first: Made, tmp_path: Path) -> None:
    fast = api.prove(first.model, first.inputs, "fast", reveal=True)
    spoilt = tmp_path / "spoilt.receipt"
    spoilt.write_bytes(flip(fast.data, -4))  # the lowest byte of a word: still below p
    zktally("wrap", spoilt, "-o", tmp_path / "r").refused(1, "verify.opening")
    with pytest.raises(ZktallyError) as refused:
        api.wrap(fast, model_of("dense", 9))
    assert refused.value.code == "verify.model-mismatch"
    assert not (tmp_path / "r").exists()


# Interrupted and shared work.


Prove = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(project: Project, tmp_path: Path) -> Prove:
    """`zktally prove --work` in a process of its own, once its job is written."""

    def call(work: Path) -> subprocess.Popen[str]:
        command = ["prove", project.model, "--input", project.inputs, "--work", work]
        command += ["-o", tmp_path / "direct.receipt"]
        run = subprocess.Popen(
            [sys.executable, "-m", "zktally", *map(str, command)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        limit = time.monotonic() + 60
        while not (work / "job").exists():
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < limit
            time.sleep(0.005)
        return run

    return call


def test_a_killed_run_is_resumed(
    zktally: Zktally, project: Project, begin: Prove, tmp_path: Path
) -> None:
    work, receipt = tmp_path / "work", tmp_path / "run.receipt"
    run = begin(work)
    run.kill()
    run.communicate()
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in work.iterdir()} == {0o600}
    statement = Job.from_bytes((work / "job").read_bytes()).journal

    done = zktally("resume", work, "-o", receipt)
    assert done.code == 0, done.err
    assert bytes(split_receipt(receipt.read_bytes()).journal) == statement
    assert verdict(receipt.read_bytes(), project.model_id) == ACCEPTED
    assert [path.name for path in work.iterdir()] == ["receipt"]

    again = tmp_path / "again.receipt"
    assert zktally("resume", work, "-o", again).code == 0
    assert again.read_bytes() == receipt.read_bytes()


def test_two_processes_make_one_receipt(
    zktally: Zktally, project: Project, begin: Prove, tmp_path: Path
) -> None:
    work, receipt = tmp_path / "work", tmp_path / "helped.receipt"
    run = begin(work)
    done = zktally("resume", work, "-o", receipt)
    assert done.code == 0, done.err
    _, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert receipt.read_bytes() == (tmp_path / "direct.receipt").read_bytes()
    assert verdict(receipt.read_bytes(), project.model_id) == ACCEPTED
    assert [path.name for path in work.iterdir()] == ["receipt"]


def test_ctrl_c_keeps_the_work(begin: Prove, tmp_path: Path) -> None:
    work = tmp_path / "work"
    run = begin(work)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=120)
    if run.returncode == 0:
        pytest.skip("it was finished before the signal came")
    assert run.returncode == 130, err
    assert f"zktally resume {work}" in err
    assert "Traceback" not in err
    assert (work / "job").exists()
    assert not (tmp_path / "direct.receipt").exists()


def test_work_that_cannot_go_on(
    zktally: Zktally, project: Project, first: Made, tmp_path: Path
) -> None:
    resume = ("-o", tmp_path / "r")
    zktally("resume", tmp_path / "absent", *resume).refused(2, "usage.unreadable")
    (tmp_path / "empty").mkdir()
    zktally("resume", tmp_path / "empty", *resume).refused(2, "usage.unreadable")
    full = tmp_path / "full"
    full.mkdir()
    (full / "job").write_bytes(b"junk")
    zktally("resume", full, *resume).refused(2, "usage.unreadable")
    prove = ("prove", project.model, "--input", project.inputs, *resume)
    zktally(*prove, "--work", full).refused(2, "usage.file-exists")
    zktally(*prove, "--work", tmp_path / "no" / "folder").refused(2, "usage.unwritable")
    zktally(*prove, "--mode", "fast", "--small").refused(2, "usage")
    assert (full / "job").read_bytes() == b"junk"
    assert not (tmp_path / "r").exists()


# What a receipt is bound to.


def test_the_callers_inputs(first: Made, second: Made) -> None:
    receipt, identity = first.receipt.data, first.model.model_id
    assert verdict(receipt, identity, inputs=first.inputs) == ACCEPTED
    assert verdict(receipt, identity, input_root=first.receipt.journal.input_root) == ACCEPTED
    assert verdict(receipt, identity, inputs=second.inputs) == "verify.input-mismatch"
    other = second.receipt.journal.input_root
    assert verdict(receipt, identity, input_root=other) == "verify.input-mismatch"


def test_another_model(first: Made, stranger: Made) -> None:
    assert first.model.program_id == stranger.model.program_id
    assert verdict(stranger.receipt.data, first.model.model_id) == "verify.model-mismatch"
    claimed = restated(stranger, weights_root=first.model.weights_root)
    assert verdict(claimed, first.model.model_id) == "verify.stark"


def test_another_statement(first: Made) -> None:
    """Every field, whether or not the proof's digest of the statement is made to fit."""
    journal, identity = first.receipt.journal, first.model.model_id
    other = flip(bytes(32))
    changes: dict[str, tuple[object, str]] = {
        "outputs": (flip(journal.outputs), "verify.stark"),
        "input_root": (other, "verify.stark"),
        "chain_root": (other, "verify.stark"),
        "input_key": (None, "verify.stark"),
        "bits": (103, "verify.stark"),
        "delta_ppm": (49_999, "verify.stark"),
        "items": (3, "verify.stark"),
    }
    for name, (value, code) in changes.items():
        unfit = replace(journal, **{name: value}).encode()  # type: ignore[arg-type]
        assert verdict(joined(first, journal=unfit), identity) == "verify.journal-mismatch", name
        assert verdict(restated(first, **{name: value}), identity) == code, name


def test_another_first_state(chain: Made) -> None:
    journal, identity = chain.receipt.journal, chain.model.model_id
    assert verdict(chain.receipt.data, identity, initial_state=journal.initial_state) == ACCEPTED
    other = flip(journal.initial_state)
    mismatch = verdict(chain.receipt.data, identity, initial_state=other)
    assert mismatch == "verify.state-mismatch"
    assert verdict(restated(chain, initial_state=other), identity) == "verify.stark"
    assert verdict(restated(chain, final_state=other), identity) == "verify.stark"


def test_published_inputs() -> None:
    public = made(visibility="public")
    journal, identity = public.receipt.journal, public.model.model_id
    assert verdict(public.receipt.data, identity) == ACCEPTED
    spoilt = restated(public, inputs=flip(journal.inputs or b""))
    assert verdict(spoilt, identity) == "verify.input-mismatch"


def test_the_proof_of_another_run(first: Made, second: Made, stranger: Made) -> None:
    identity = first.model.model_id
    for other in (second, stranger):
        proof = proof_of(other)
        assert verdict(joined(first, proof=proof), identity) == "verify.journal-mismatch"
        own, head = proof_of(first), first.head
        assert verdict(joined(first, proof=own[:head] + proof[head:]), identity) == "verify.stark"
    mixed = joined(first, proof=proof_of(first)[:KNOWN] + proof_of(second)[KNOWN:])
    assert verdict(mixed, identity) == "verify.stark"
    mixed = joined(first, proof=proof_of(first)[:KNOWN] + proof_of(stranger)[KNOWN:])
    assert verdict(mixed, identity) == "verify.stark"


def test_the_mode_is_part_of_the_statement(first: Made) -> None:
    identity = first.model.model_id
    as_fast = replace(first.receipt.journal, mode=FAST).encode()
    assert verdict(joined(first, journal=as_fast), identity) == "verify.journal-mismatch"
    fast = Made(
        first.model, first.inputs, api.prove(first.model, first.inputs, "fast", reveal=True)
    )
    as_hybrid = replace(fast.receipt.journal, mode=HYBRID).encode()
    assert verdict(joined(fast, journal=as_hybrid), identity) == "verify.journal-mismatch"


def test_sizes_and_profile(first: Made) -> None:
    identity, proof = first.model.model_id, proof_of(first)
    assert verdict(joined(first, proof=proof[:-1]), identity) == "receipt.truncated"
    assert verdict(joined(first, proof=proof + b"\0"), identity) == "receipt.trailing-bytes"
    assert verdict(joined(first, proof=proof[: first.head]), identity) == "receipt.truncated"
    assert verdict(joined(first, proof=proof[:5]), identity) == "receipt.truncated"
    for profile in (1, 2, 255):
        changed = proof[:KNOWN] + bytes([profile]) + proof[KNOWN + 1 :]
        assert verdict(joined(first, proof=changed), identity) != ACCEPTED


def test_any_flipped_bit_is_refused_alike(first: Made) -> None:
    rng = np.random.default_rng(5)
    proof, identity = proof_of(first), first.model.model_id
    places = [0, KNOWN + 1, first.head, len(proof) - 1]
    places += rng.integers(first.head, len(proof), 12).tolist()
    for at in places:
        spoilt = joined(first, proof=flip(proof, at, int(rng.integers(8))))
        assert verdict(spoilt, identity) != ACCEPTED, at


def test_the_journal_of_the_receipt_is_the_one_that_was_proven(first: Made) -> None:
    journal = split_receipt(first.receipt.data).journal
    assert Journal.decode(journal).mode == HYBRID
    assert proof_of(first)[:KNOWN] == hashlib.sha256(journal).digest()
