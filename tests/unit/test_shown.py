"""Hidden outputs, held and shown: the values are those that a published receipt would state."""

from __future__ import annotations

import itertools
import json
import stat
from dataclasses import replace

import numpy as np
import pytest

import zktally
from support import programs
from support.receipts import Prover
from support.showings import held_of
from zktally import Policy, ProveError, UsageError
from zktally.prover import Claims, FastRun
from zktally.prover.errors import BadOutputsFile
from zktally.prover.estimate import estimate_job
from zktally.prover.outputs import HeldOutputs, _siblings
from zktally.verifier import shown
from zktally.verifier.errors import InvalidShowing
from zktally.verifier.inputs import pack_values
from zktally.verifier.keys import Class, class_key
from zktally.verifier.merkle import leaf_digests, opened_roots, plan_openings, tree_roots
from zktally.verifier.quoting import steps_text
from zktally.verifier.reader import P
from zktally.verifier.roots import digest_bytes, salted_roots
from zktally.verifier.shown import judge_shown

STEPS = 5
LAX = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)


def inputs_of(program):
    """Random inputs of five steps, the last slot of which is padding where there are slots."""
    rng, found = np.random.default_rng(3), {}
    for port in program.inputs:
        tensor = program.tensors[port.tensor]
        shape = [STEPS, *tensor.shape]
        if port.batch != 255:
            shape = list(tensor.shape)
            shape[port.batch] = STEPS * program.batch - (program.batch > 1)
        found[port.name] = rng.integers(max(tensor.lo, -40), min(tensor.hi, 40) + 1, shape)
    return found


@pytest.fixture(scope="module", params=programs.EVERY)
def case(request, tmp_path_factory):
    """A model, the verdict on a published receipt, and a hidden one of the same inputs."""
    model = zktally.assemble(*programs.EVERY[request.param]())
    file = tmp_path_factory.mktemp("held") / "run.outputs"
    inputs, common = inputs_of(model.checked.program), {"reveal": True, "progress": False}
    published = zktally.prove(model, inputs, "fast", **common)
    hidden = zktally.prove(model, inputs, "fast", outputs="hidden", outputs_file=file, **common)
    return model, published.verify(model.model_id, LAX), hidden, HeldOutputs.load(file)


@pytest.mark.parametrize("backend", ["rust", "python"])
@pytest.mark.parametrize("steps", [(0,), (4,), (1, 2), (0, 1, 2, 3, 4)])
def test_what_is_shown_is_what_would_be_published(case, steps, backend):
    model, published, receipt, held = case
    showing = held.show(receipt.data, steps)
    found = receipt.verify(model.model_id, LAX, shown=showing, backend=backend)
    assert found.outputs == {}
    assert found.shown.steps == steps
    for name, array in found.shown.outputs.items():
        want = published.outputs[name]
        per_step = -(-len(want) // STEPS)
        rows = [r for r in range(len(want)) if r // per_step in steps]
        assert found.shown.rows[name].tolist() == rows
        assert array.dtype == want.dtype
        assert (array == want[rows]).all()
    assert published.guarantee.outputs == found.guarantee.outputs


def test_the_receipt_says_that_it_hides_them(case):
    model, published, receipt, _ = case
    found = receipt.verify(model.model_id, LAX)
    assert (published.outputs_public, found.outputs_public) == (True, False)
    assert found.shown is None
    assert "not published: bound by the chain root" in found.guarantee.text()
    assert "outputs not published" in found.sentence()
    assert "what was opened of them stands in the receipt" in found.guarantee.text()
    assert "not published" not in published.guarantee.text()
    assert found.to_json()["outputs"] == []
    assert "shown" not in found.to_json()
    assert receipt.journal.outputs == b""


def test_json_has_what_was_shown(case):
    model, _, receipt, held = case
    showing = held.show(receipt.data, [2])
    told = receipt.verify(model.model_id, LAX, shown=showing).to_json()
    assert told["shown"]["steps"] == [2]
    assert {each["name"] for each in told["shown"]["outputs"]} == set(told["guarantee"]["outputs"])
    json.dumps(told)


@pytest.mark.parametrize("name", programs.EVERY)
def test_the_core_holds_what_the_plain_prover_holds(name):
    """Roots, values, salts: the same bytes from Rust and from one tree at a time in Python."""
    prover = Prover(name, steps=3, hidden=True).commit()
    held = held_of(prover)
    told = judge_shown(held.show(prover.receipt(), [0, 2]), prover.program, prover.journal)
    assert told.steps == (0, 2)
    for port in prover.program.outputs:
        want = np.stack([prover.trace[step][port.tensor] for step in (0, 2)])
        found = next(iter(told.codes.values())) if len(told.codes) == 1 else told.codes[port.name]
        assert (found.reshape(want.shape) == want).all()


def test_no_key_stands_in_the_file():
    """Salts of outputs alone: neither the run's key nor one that follows from it."""
    run_key = np.arange(1, 9, dtype="<u4").tobytes()
    model = zktally.assemble(*programs.EVERY["running_average"]())
    run = FastRun(model.core, model.checked, [np.zeros(5, np.int16)], run_key=run_key)
    run.execute([np.zeros(5, np.int8)])
    claims = Claims("fast", outputs="hidden")
    held = run.held_outputs(run.journal(claims, 1).chain_root).to_bytes()
    keys = [class_key(np.arange(1, 9, dtype=np.uint64), number) for number in Class]
    for key in (run_key, *map(digest_bytes, keys)):
        assert key not in held


def test_the_file_is_for_its_owner_and_comes_back(case, tmp_path):
    held = case[3]
    path = tmp_path / "a.outputs"
    held.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert HeldOutputs.load(path) == held
    with pytest.raises(UsageError) as refused:
        held.save(path)
    assert refused.value.code == "usage.file-exists"
    assert held.body.hex() not in repr(held)


def test_damaged_files_are_refused(case):
    data = case[3].to_bytes()
    for bad in (b"", data[:8], data[:-1], data + b"\0", b"ZKSTATE\x01" + data[8:]):
        with pytest.raises(BadOutputsFile) as refused:
            HeldOutputs.from_bytes(bad)
        assert refused.value.code == "outputs.malformed"


def test_files_that_do_not_fit_the_receipt_are_refused(case):
    _, _, receipt, held = case
    body = bytearray(held.body)
    body[0] ^= 1  # a root
    size = len(held.body) // held.steps
    for bad in (
        HeldOutputs(held.chain_root, held.steps, bytes(body)),
        HeldOutputs(held.chain_root, held.steps - 1, held.body[:-size]),
        HeldOutputs(held.chain_root, held.steps, held.body[:-1]),
    ):
        with pytest.raises(BadOutputsFile):
            bad.show(receipt.data, [0])
    with pytest.raises(UsageError, match="another receipt"):
        HeldOutputs(bytes(32), held.steps, held.body).show(receipt.data, [0])


def test_values_that_are_not_the_committed_ones_are_not_shown(case):
    """Whoever changes the file gets no showing out of it that would be refused."""
    _, _, receipt, held = case
    body = bytearray(held.body)
    body[-21] ^= 1  # a value or a salt of the last step
    with pytest.raises(InvalidShowing):
        HeldOutputs(held.chain_root, held.steps, bytes(body)).show(receipt.data, [STEPS - 1])


@pytest.mark.parametrize("steps", [(), (5,), (-1,), (0, 7), (1.5,), ("1",)])
def test_steps_that_are_none(case, steps):
    _, _, receipt, held = case
    with pytest.raises(UsageError):
        held.show(receipt.data, steps)


def test_published_outputs_are_not_shown(case):
    model, _, receipt, held = case
    showing = held.show(receipt.data, [0])
    published = zktally.prove(
        model, inputs_of(model.checked.program), "fast", reveal=True, progress=False
    )
    with pytest.raises(UsageError, match="no hidden outputs"):
        published.verify(model.model_id, LAX, shown=showing)
    with pytest.raises(UsageError, match="no hidden outputs"):
        held.show(published.data, [0])
    with pytest.raises(UsageError, match="a showing is bytes"):
        receipt.verify(model.model_id, LAX, shown="a path")


def test_a_file_is_for_hidden_outputs_only(tmp_path):
    model = zktally.assemble(*programs.EVERY["dense"]())
    with pytest.raises(UsageError, match="published"):
        zktally.prove(
            model,
            inputs_of(model.checked.program),
            "fast",
            reveal=True,
            outputs_file=tmp_path / "a",
            progress=False,
        )
    with pytest.raises(UsageError, match="unknown visibility of outputs"):
        zktally.prove(model, inputs_of(model.checked.program), outputs="secret")


def test_steps_are_counted_in_the_run():
    """A receipt that begins with step 3 of its run shows step 4 under that number."""
    model = zktally.assemble(*programs.EVERY["running_average"]())
    run = FastRun(model.core, model.checked, [np.zeros(5, np.int16)], first=3)
    for step in range(3):
        run.execute([np.full(5, step, np.int8)])
    claims = Claims("fast", outputs="hidden")
    receipt = zktally.Receipt(run.prove(claims, 3))
    held = run.held_outputs(receipt.journal.chain_root)
    found = receipt.verify(model.model_id, LAX, shown=held.show(receipt.data, [4, 5]))
    assert found.shown.steps == (4, 5)
    assert found.shown.rows["y"].tolist() == [4, 5]
    for wrong in (0, 2, 6):
        with pytest.raises(UsageError):
            held.show(receipt.data, [wrong])


def test_siblings_lead_to_the_root():
    rng = np.random.default_rng(1)
    for leaves in range(1, 40):
        digests = rng.integers(0, 2**31 - 2**24, (leaves, 8)).astype(np.uint64)
        root = tree_roots(digests[None])[0]
        for _ in range(3):
            opened = np.flatnonzero(rng.random(leaves) < rng.choice([0.05, 0.5, 1.0]))
            if not len(opened):
                continue
            trees = np.zeros(len(opened), np.int64)
            plan = plan_openings(np.array([leaves], np.int64), trees, opened)
            found = opened_roots(plan, digests[opened], _siblings(digests, opened))
            assert (found[0] == root).all(), (leaves, opened)


def test_estimates_leave_out_what_is_not_published():
    model = zktally.assemble(*programs.EVERY["conv"]())
    items = 64 * model.checked.program.batch
    sizes = [
        estimate_job(Claims("fast", outputs=outputs).counts(model.checked, items)).proof_bytes
        for outputs in ("published", "hidden")
    ]
    assert sizes[1] < sizes[0]


def test_numbers_of_steps_in_words():
    assert steps_text((3,)) == "3"
    assert steps_text((3, 7, 8, 9, 11)) == "3, 7-9, 11"


def test_a_showing_has_a_largest_size(case, monkeypatch, tmp_path):
    model, _, receipt, held = case
    showing = held.show(receipt.data, [0, 1])
    assert receipt.verify(model.model_id, LAX, shown=showing).shown.steps == (0, 1)
    monkeypatch.setattr(shown, "MAX_SHOWING", len(showing) - 1)
    with pytest.raises(InvalidShowing, match="too large"):
        receipt.verify(model.model_id, LAX, shown=showing)
    with pytest.raises(InvalidShowing, match="too large") as refused:
        held.show(receipt.data, [0, 1])
    assert "fewer steps" in refused.value.hint
    (tmp_path / "large.shown").write_bytes(showing)
    with pytest.raises(UsageError):
        shown.read_showing(tmp_path / "large.shown")


def test_a_fast_receipt_hides_nothing_unasked():
    model = zktally.assemble(*programs.EVERY["conv"](), public=True)
    assert model.public
    inputs = inputs_of(model.checked.program)
    with pytest.raises(ProveError) as refused:
        zktally.prove(model, inputs, "fast", outputs="hidden", progress=False)
    assert refused.value.code == "prove.needs-reveal"
    agreed = zktally.prove(model, inputs, "fast", outputs="hidden", reveal=True, progress=False)
    assert not agreed.journal.publishes


def test_rows_of_many_pieces_are_hashed_together():
    """As one piece after the other: the last of a row is shorter, or there is but one."""
    rng = np.random.default_rng(3)
    for row, piece, width in itertools.product((1, 3, 8, 37), (1, 2, 3, 8, 40), (1, 2, 3)):
        tensor = laid_out((4, row), piece, width)
        values = rng.integers(tensor.lo, tensor.hi + 1, (2, 4, row))
        per_row = -(-row // min(piece, row))
        salts = rng.integers(0, P, (2, 4 * per_row, 5)).astype(np.uint64)
        digests = [
            leaf_digests(
                np.frombuffer(
                    pack_values(values[step, line, None, start : start + piece], width), np.uint8
                ).reshape(1, -1),
                salts[step, None, line * per_row + start // piece],
            )
            for step, line in itertools.product(range(2), range(4))
            for start in range(0, row, piece)
        ]
        leaves = np.concatenate(digests).reshape(2, -1, 8)
        assert (salted_roots(tensor, values, salts) == tree_roots(leaves)).all(), tensor


def laid_out(shape, piece, width):
    """A value tensor whose rows are cut into pieces."""
    program, _ = programs.EVERY["running_average"]()
    tensor = program.tensors[program.outputs[0].tensor]
    half = 1 << 8 * width - 1
    layout = replace(tensor.layout, order=(0, 1), trailing=1, piece=min(piece, shape[1]))
    return replace(tensor, shape=shape, width=width, lo=-half, hi=half - 1, layout=layout)
