"""Training runs: data in a public order, a declared start, going on, exporting; both verifiers."""

from __future__ import annotations

import hashlib
import stat
import struct
from dataclasses import replace

import numpy as np
import pytest

import zktally
from support import programs, training
from zktally.circuits.keys import new_key
from zktally.circuits.model import Salt, from_bytes
from zktally.errors import BadModelFile, BadStateFile, ProveError
from zktally.prover import state as states
from zktally.verifier.errors import UsageError, VerificationFailed
from zktally.verifier.program.types import (
    ABSENT,
    Layout,
    Op,
    PickMode,
    Port,
    PortKind,
    Program,
    Role,
    Tensor,
)

BACKENDS = ("rust", "python")
KEY = struct.pack("<8I", *range(21, 29))
LAX = zktally.Policy(outputs_exact=False)
RATES = np.array([[0.5], [1.0], [0.25], [2.0], [0.125]])


@pytest.fixture(scope="module")
def model() -> zktally.CompiledModel:
    program, weights = training.learner()
    return zktally.assemble(program, weights, public=True)


@pytest.fixture
def zktally_command(zktally):
    """The command line; in this file the name of its fixture is that of the package."""
    return zktally


@pytest.fixture(scope="module")
def records(model: zktally.CompiledModel) -> dict[str, np.ndarray]:
    program = model.checked.program
    return {
        program.tensors[t].name: programs.random_records(
            program.tensors[t], np.random.default_rng(t)
        )
        for t in program.data
    }


def judged(receipt, model, records, backend, **expected):
    root = zktally.dataset_root(model, records, KEY)
    return receipt.verify(model.model_id, LAX, dataset_root=root, backend=backend, **expected)


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
def test_a_run_of_several_epochs_is_proven_in_every_mode(model, records, mode):
    receipt = zktally.prove(model, RATES, mode, data=records, data_key=KEY, reveal=True, nonce=b"n")
    for backend in BACKENDS:
        seen = judged(receipt, model, records, backend, nonce=b"n")
        journal = seen.facts.journal
        assert (journal.first, journal.steps, journal.seed, journal.start) == (0, 5, 1, 1)
        assert (seen.facts.records, seen.facts.data_slots) == (training.RECORDS, training.SLOTS)
        labels = seen.outputs["seen"].reshape(-1)
        epoch = training.RECORDS // training.SLOTS * training.SLOTS
        assert len(labels) == 5 * training.SLOTS > 2 * epoch
    assert receipt.journal.exported_root != bytes(32)


@pytest.mark.parametrize("mode", ["fast", "hybrid"])
def test_receipts_of_one_run_link(model, records, mode, tmp_path):
    """Two and three steps give what five at once give; the second begins with the first's state."""
    how = {"data": records, "data_key": KEY, "reveal": True, "nonce": b"run"}
    whole = zktally.prove(model, RATES, "fast", **how, final_state=tmp_path / "whole.zks")
    file = tmp_path / "run.zks"
    first = zktally.prove(model, RATES[:2], mode, **how, final_state=file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    second = zktally.prove(
        model, RATES[2:], mode, **how, state=file, final_state=tmp_path / "end.zks"
    )
    assert (second.journal.first, second.journal.start) == (2, 0)
    assert second.journal.initial_state == first.journal.final_state
    ends = [zktally.RunState.load(tmp_path / f"{name}.zks") for name in ("end", "whole")]
    for mine, other in zip(*(end.arrays for end in ends), strict=True):
        assert np.array_equal(mine, other)
    root = zktally.dataset_root(model, records, KEY)
    for backend in BACKENDS:
        run = zktally.verify_chain(
            [first, second], model.model_id, LAX, dataset_root=root, nonce=b"run", backend=backend
        )
        assert (run.first, run.steps) == (0, 5)
        outputs = np.concatenate([each.outputs["loss"] for each in run.receipts])
        at_once = judged(whole, model, records, backend, nonce=b"run").outputs["loss"]
        assert np.array_equal(outputs, at_once)
        with pytest.raises(VerificationFailed) as refused:
            zktally.verify_chain(
                [second, first], model.model_id, LAX, dataset_root=root, nonce=b"run",
                backend=backend,
            )  # fmt: skip
        assert refused.value.code == "verify.follows"


def test_three_receipts_of_more_bits_each_have_enough_together(model, records, tmp_path):
    """Errors are added up: λ asks for more of sampling and STARK alike."""
    how = {"data": records, "data_key": KEY, "reveal": True}
    root, parts, state = zktally.dataset_root(model, records, KEY), [], None
    for part in range(3):
        file = tmp_path / f"{part}.zks"
        rates = RATES[part : part + 1]
        made = zktally.prove(model, rates, "hybrid", bits=104, state=state, final_state=file, **how)
        parts, state = [*parts, made], file
    for backend in BACKENDS:
        run = zktally.verify_chain(parts, model.model_id, LAX, dataset_root=root, backend=backend)
        assert run.steps == 3
        assert run.bits >= 100


def test_the_command_line_trains_goes_on_and_verifies(model, records, tmp_path, zktally_command):
    """What `prove` prints is what `verify` takes."""
    zkt, data, key = tmp_path / "m.zkt", tmp_path / "data.npz", tmp_path / "key"
    model.save(zkt)
    np.savez(data, **records)
    key.write_text(KEY.hex())
    receipts = []
    for part, state in enumerate(([], ["--state", tmp_path / "0.zks"])):
        rates, receipt = tmp_path / f"{part}.npz", tmp_path / f"{part}.receipt"
        np.savez(rates, rate=RATES[2 * part : 2 * part + 2])
        done = zktally_command(
            "prove", zkt, "--mode", "fast", "--input", rates, "--data", data, "--data-key-file",
            key, "--nonce", "run", *state, "--final-state", tmp_path / f"{part}.zks",
            "--exact", "all", "--reveal", "-o", receipt,
        )  # fmt: skip
        assert done.code == 0, done.err
        assert "--dataset-root=" in done.out
        receipts.append(receipt)
    expected = [
        "--model-id", model.model_id.hex(), "--nonce", "run",
        "--dataset-root", zktally.dataset_root(model, records, KEY).hex(),
    ]  # fmt: skip
    assert zktally_command("verify", *receipts, *expected).code == 0
    zktally_command("verify", *receipts[::-1], *expected).refused(1, "verify.follows")
    zktally_command("verify", receipts[0], *expected[:4]).refused(1, "verify.dataset-mismatch")
    again = [
        "prove",
        zkt,
        "--mode",
        "fast",
        "--input",
        rates,
        "--data",
        data,
        "--reveal",
        "-o",
        "-",
    ]
    zktally_command(*again, "--data-key-file", zkt).refused(2, "usage.unreadable")


def test_a_run_that_goes_on_keeps_seed_data_and_place(model, records):
    how = {"data": records, "data_key": KEY, "reveal": True, "nonce": b"run"}
    run, _ = running(model, how)
    state = run.final_state()
    other = {**records, "label": records["label"][::-1].copy()}
    for change, what in (
        ({"first": 1}, "step behind its state"),
        ({"nonce": b"other"}, "keeps its nonce"),
        ({"nonce": None}, "keeps its nonce"),
        ({"data": other}, "keeps its data set"),
        ({"data_key": None}, "keeps its data set"),
        ({"seed": "own"}, "keeps its seed"),
        ({"start": "declared"}, "leaves no state to give"),
    ):
        with pytest.raises(UsageError, match=what):
            zktally.prove(model, RATES[2:], "fast", state=state, **{**how, **change})
    program, weights = training.learner()
    elsewhere = zktally.assemble(program, weights)
    with pytest.raises(UsageError, match="another weights"):
        zktally.prove(elsewhere, RATES[2:], "fast", state=state, **how)


def test_a_state_of_other_tensors_is_none_of_the_models(model, records):
    """Names and shapes of a state file are what the program has: going on reads them in order."""
    how = {"data": records, "data_key": KEY, "reveal": True}
    state = running(model, how | {"nonce": None})[0].final_state()
    w, momentum = state.arrays
    for other in (
        replace(state, names=("momentum", "w")),
        replace(state, arrays=(w.reshape(-1), momentum)),
        replace(state, names=("w",), arrays=(w,)),
    ):
        with pytest.raises(UsageError, match="other tensors"):
            zktally.prove(model, RATES[2:], "fast", state=other, **how)


def running(model, how, steps=2):
    """A run of some steps, as `prove` makes it."""
    from zktally.hybrid.chain import Training, run_chain

    begin = Training(data=how["data"], data_key=how["data_key"])
    return run_chain(model, RATES[:steps], training=begin, nonce=how["nonce"])


def test_a_derived_seed_answers_the_nonce_of_its_receipt(model, records):
    from zktally.prover import Claims

    run, count = running(model, {"data": records, "data_key": KEY, "reveal": True, "nonce": b"run"})
    with pytest.raises(UsageError, match="derived from another nonce"):
        run.job(Claims("fast", nonce=b"other"), count)


def test_a_fast_receipt_of_a_private_data_set_is_asked_for(model, records):
    """The model is public; what the receipt would open are records."""
    with pytest.raises(ProveError) as refused:
        zktally.prove(model, RATES, "fast", data=records, data_key=KEY)
    assert refused.value.code == "prove.needs-reveal"
    for public in (None, bytes(32)):
        zktally.prove(model, RATES, "fast", data=records, data_key=public)


def test_data_that_is_not_the_programs_is_refused(model, records):
    for data in (
        None,
        {"x": records["x"]},
        {**records, "y": records["x"]},
        {**records, "label": records["label"][:-1]},
        {**records, "label": records["label"] + 4},
        {**records, "label": records["label"].astype(float)},
    ):
        with pytest.raises(UsageError) as refused:
            zktally.prove(model, RATES, "fast", data=data)
        assert refused.value.code == "usage.input"
    average, weights = programs.running_average()
    plain = zktally.assemble(average, weights, public=True)
    with pytest.raises(UsageError):
        zktally.prove(plain, np.zeros((1, 4)), "fast", data=records)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_start_of_ones_own_is_no_declared_one(model, records, backend):
    how = {"data": records, "data_key": KEY, "reveal": True}
    own = zktally.prove(model, RATES, "fast", start="root", **how)
    declared = zktally.prove(model, RATES, "fast", **how)
    assert (own.journal.start, declared.journal.start) == (0, 1)
    root = zktally.dataset_root(model, records, KEY)
    demand = replace(LAX, start="declared")
    declared.verify(model.model_id, demand, dataset_root=root, backend=backend)
    with pytest.raises(VerificationFailed) as refused:
        own.verify(model.model_id, demand, dataset_root=root, backend=backend)
    assert refused.value.code == "policy.start"


def served_program(trained: Program) -> Program:
    """Whether each element of the learnt weights is above that of the scale of its row."""
    exported = [trained.tensors[t] for t in trained.exports]
    weights = [replace(each, role=Role.WEIGHT) for each in exported]
    shape = weights[0].shape
    out = Tensor("out", Role.VALUE, 1, 0, 1, shape, Layout((0, 1), 1, shape[1]))
    operands = (
        programs.read(0, shape, programs.i(0), programs.i(1)),
        programs.read(1, weights[1].shape, programs.i(0)),
    )
    op: Op = programs.pick("above", 2, shape, PickMode.GREATER, *operands)
    return Program(
        "served", (*weights, out), (), (op,), (), (Port("out", 2, ABSENT, PortKind.INTEGER),), ()
    )


def test_what_a_run_has_learnt_is_served_under_its_exported_root(model, records, tmp_path):
    zks, zkt = tmp_path / "run.zks", tmp_path / "served.zkt"
    receipt = zktally.prove(
        model, RATES, "fast", data=records, data_key=KEY, reveal=True, final_state=zks
    )
    program = served_program(model.checked.program)
    empty = {t: np.zeros(program.tensors[t].shape, np.int64) for t in range(2)}
    blank = zktally.assemble(program, empty)
    served = zktally.exported_model(model, zktally.RunState.load(zks), blank)
    assert served.weights_root == receipt.journal.exported_root
    assert not served.public
    served.save(zkt)
    assert zkt.read_bytes()[8] == 2
    loaded = zktally.load(zkt)
    assert loaded.model_id == served.model_id
    assert loaded.to_bytes() == served.to_bytes()
    answer = zktally.prove(loaded, {}, "fast", items=1, reveal=True)
    learnt = zktally.RunState.load(zks).by_name()["w"]
    scale = model.weights[0]
    for backend in BACKENDS:
        seen = judged(receipt, model, records, backend)
        assert seen.exported_model_id(loaded.program_id) == served.model_id.hex()
        found = answer.verify(served.model_id, LAX, backend=backend).outputs["out"]
        assert np.array_equal(found[0], learnt > scale[:, None])
    with pytest.raises(ProveError):
        zktally.prove(loaded, {}, "fast", items=1)
    narrow = replace(program.tensors[0], lo=-8999)
    other = replace(program, tensors=(narrow, *program.tensors[1:]))
    narrowed = zktally.assemble(other, empty)
    with pytest.raises(UsageError, match="another form"):
        zktally.exported_model(model, zktally.RunState.load(zks), narrowed)


def test_a_model_file_with_salts_of_its_own_is_read_strictly(model):
    salts = tuple(Salt(new_key(), 3, t) for t in model.checked.program.of_role(Role.WEIGHT))
    salted = replace(model, key=b"", salts=salts)
    data = salted.to_bytes()
    assert from_bytes(data).salts == salts
    changes = (
        replace(salted, salts=(Salt(b"\xff" * 32, 3, 5),)),
        replace(salted, salts=(Salt(new_key(), 1 << 31, 5),)),
        replace(salted, salts=(*salts, *salts)),
    )
    for changed in changes:
        with pytest.raises(BadModelFile):
            from_bytes(changed.to_bytes())
    body = b"ZKTMODEL\x03" + data[9:-32]
    with pytest.raises(BadModelFile):
        from_bytes(body + hashlib.sha256(body).digest())


def test_the_state_of_a_run_is_read_as_it_was_written(model, records, tmp_path):
    run, _ = running(model, {"data": records, "data_key": KEY, "reveal": True, "nonce": b"run"})
    state = run.final_state()
    assert state.position == 2
    assert "2 steps" in repr(state)
    state.save(tmp_path / "run.zks")
    data = (tmp_path / "run.zks").read_bytes()
    again = states.from_bytes(data)
    assert again.to_bytes() == data
    assert again.names == ("w", "momentum")
    with pytest.raises(UsageError) as refused:
        state.save(tmp_path / "run.zks")
    assert refused.value.code == "usage.file-exists"

    def resealed(body: bytes) -> bytes:
        return body + hashlib.sha256(body).digest()

    body = data[:-32]
    broken = [
        b"",
        data[:-1],
        b"ZKSTATE\x02" + data[8:],
        data[:40] + bytes([data[40] ^ 1]) + data[41:],
        resealed(body[:-1]),
        resealed(body + b"\0"),
        resealed(body[:104] + b"\xff" * 32 + body[136:]),  # the key
        resealed(body[:136] + struct.pack("<I", 2**31) + body[140:]),  # the position
        resealed(body[:140] + b"\2" + body[141:]),  # whether the seed is derived
    ]
    for bad in broken:
        with pytest.raises(BadStateFile) as refused:
            states.from_bytes(bad)
        assert refused.value.code == "state.malformed"


def test_a_run_with_noise_of_its_own_goes_on_with_the_same_noise():
    """`running_average` with noise: the seed is secret, and stands in the state."""
    name = next(
        name
        for name, build in programs.EVERY.items()
        if build()[0].states and build()[0].of_role(Role.PRF)
    )
    program, weights = programs.EVERY[name]()
    noisy = zktally.assemble(program, weights, public=True)
    rng = np.random.default_rng(1)
    shapes = {port.name: program.tensors[port.tensor] for port in program.inputs}
    inputs = {n: rng.integers(t.lo, t.hi + 1, (4, *t.shape)) for n, t in shapes.items()}
    from zktally.hybrid.chain import Training, run_chain
    from zktally.prover import Claims

    half = [{n: a[part] for n, a in inputs.items()} for part in (slice(0, 2), slice(2, 4))]
    first, _ = run_chain(noisy, half[0])
    state = first.final_state()
    assert (state.derived, len(state.prf_seed)) == (False, 32)
    second, count = run_chain(
        noisy, half[1], training=Training(states.from_bytes(state.to_bytes()))
    )
    receipts = [run.prove(Claims("fast"), 2) for run in (first, second)]
    assert count == 2
    run = zktally.verify_chain(receipts, noisy.model_id, LAX)
    assert run.steps == 4
