"""`zktally bench agree`, a small run of it; and that it would see a disagreement."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from zktally.bench import agree, drawn
from zktally.cli import main
from zktally.verifier import layout
from zktally.verifier.errors import InvalidProof
from zktally.verifier.program.types import Dot, Gather, PickMode, Role, gates

TRIALS, SEED = 150, 5


def test_both_agree(tmp_path):
    agreed, disagreements = agree.run(TRIALS, SEED, tmp_path)
    assert (disagreements, agreed.total()) == (0, TRIALS)
    assert not list(tmp_path.iterdir())
    codes = {code for _, code in agreed}
    assert {agree.ACCEPTED, "verify.gate", "verify.opening", "verify.stark"} <= codes
    assert len(codes) > 15
    for mode in agree.MUTANTS:
        assert agreed[mode, agree.ACCEPTED]


def test_a_disagreement_is_kept_and_is_the_exit_code(tmp_path, monkeypatch, capsys):
    """Of a verifier that refuses what is good, and crashes on what is not."""

    def verify(receipt, expectations):
        honest(receipt, expectations)
        raise InvalidProof("out of spite", code="verify.gate")

    honest = agree.verify_plainly
    monkeypatch.setattr(agree, "verify_plainly", verify)
    assert main(["bench", "agree", "--trials", "1", "--seed", "1", "-o", str(tmp_path)]) == 1
    printed = capsys.readouterr().out.splitlines()
    line = json.loads(printed[0])
    assert (line["trial"], line["rust"], line["python"]) == ("honest", "accepted", "verify.gate")
    assert line["facts"]["mode"] == ["fast", None]
    assert printed[-1] == "0 agreements, 1 disagreements, seed 1"
    assert main(["bench", "agree", "--replay", line["file"]]) == 1
    monkeypatch.setattr(agree, "verify_plainly", honest)
    assert main(["bench", "agree", "--replay", line["file"]]) == 0


@pytest.mark.parametrize("spoiled", ["facts", "outputs", "crash"])
def test_other_facts_outputs_and_crashes_are_disagreements(spoiled, tmp_path, monkeypatch):
    def verify(receipt, expectations):
        facts, outputs = honest(receipt, expectations)
        if spoiled == "facts":
            facts = replace(facts, live_macs=-1)
        elif spoiled == "outputs":
            name = next(iter(outputs))
            outputs[name] = outputs[name].astype(np.float64)
        else:
            raise KeyError("missing")
        return facts, outputs

    honest = agree.verify_plainly
    monkeypatch.setattr(agree, "verify_plainly", verify)
    agreed, disagreements = agree.run(1, SEED, tmp_path)
    assert (agreed.total(), disagreements) == (0, 1)


def _wrong_behind_the_buffer(cut, shape, offsets):
    """What numpy's unravel_index did in 2.3 and 2.4 to arrays of [n, 1]."""
    at = right(cut, shape, offsets)
    if at.ndim == 2 and at.shape[1] == 1 and len(at) > 8193:
        at[8193:] = at[8192:-1]
    return at


right = layout.permuted_offsets


def test_the_fault_behind_8193_gates_would_be_seen(monkeypatch):
    """The one that no test of small receipts had met."""
    monkeypatch.setattr(layout, "permuted_offsets", _wrong_behind_the_buffer)
    monkeypatch.setattr(agree, "LARGE_EVERY", 1)
    monkeypatch.setattr(agree, "MUTANTS", {"hybrid": 0})
    honest = [trial for _, trial in islice(agree.trials(SEED), 3)]
    verdicts = Counter((agree.rust(t).code, agree.python(t).code) for t in honest)
    assert any(first == "accepted" != second for first, second in verdicts)


def test_a_kept_trial_is_the_trial(tmp_path):
    for _, trial in islice(agree.trials(3), 12):
        again = agree.from_json(json.loads(json.dumps(agree.to_json(trial))))
        assert again.receipt == trial.receipt
        assert agree.rust(again).agrees(agree.rust(trial))
        for field in ("model_id", "policy", "audience", "nonce", "initial_state", "input_root",
                      "dataset_root", "any_dataset"):  # fmt: skip
            assert getattr(again.expectations, field) == getattr(trial.expectations, field)


def test_programs_are_drawn_from_a_broad_space():
    """Every kind and mode of op, every role, option and width; what is drawn is valid."""
    seen: Counter[str] = Counter()
    for seed in range(150):
        checked = drawn.draw_program(np.random.default_rng(seed), large=seed % 10 == 0)
        program = checked.program
        seen["many gates"] += max(map(gates, program.ops)) > drawn.MANY
        seen["items"] += program.batch > 1
        seen["states"] += bool(program.states)
        seen["data"] += bool(program.data)
        seen["exports"] += bool(program.exports)
        seen["constant starts"] += program.declares_start and not program.draws_start
        seen["drawn starts"] += program.draws_start
        seen["several ports"] += len(program.inputs) > 1 and len(program.outputs) > 1
        seen["wide"] += any(b.identity == "accumulator" and b.limbs > 1 for b in checked.bounds)
        for tensor in program.tensors:
            seen[f"{tensor.role.name} {tensor.width}"] += 1
        for op in program.ops:
            seen[f"{type(op).__name__} {getattr(getattr(op, 'mode', None), 'name', '')}"] += 1
            if isinstance(op, Dot):
                seen["table"] += op.table is not None
                seen["rounding"] += op.rounding is not None
                seen["bias"] += op.bias is not None
    expected = {f"Pick {mode.name}" for mode in PickMode}
    expected |= {"Dot ", "Div QUOTIENT", "Div SQRT", f"{Gather.__name__} ", "PRF 1"}
    expected |= {f"{role.name} {width}" for role in (Role.INPUT, Role.VALUE) for width in (1, 2, 3)}
    expected |= {"data", "exports", "constant starts", "drawn starts", "DATA 1", "DATA 2"}
    expected |= {"many gates", "items", "states", "several ports", "wide", "table", "rounding",
                 "bias"}  # fmt: skip
    assert {name for name in expected if seen[name] < 3} == set()
