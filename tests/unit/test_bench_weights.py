"""Weights against MACs stay small at every depth, and the networks are what they say."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zktally.bench import networks, weights
from zktally.bench.cells import LINE, Row
from zktally.bench.training import training_step
from zktally.circuits import reference
from zktally.cli.main import parser
from zktally.verifier.program.checked import Checked, check
from zktally.verifier.program.types import Dot, PickMode, Role


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["bench", "weights", *words])


def made_up(ratio: float | None) -> Row:
    row: Row = {"network": "a network, 2 blocks", "ops": 4, "macs": 1000, "ratio": ratio}
    return row | ({"refused": "program.invalid"} if ratio is None else {"room": 30})


@pytest.mark.parametrize("name", networks.SUITE)
def test_weights_do_not_grow_with_depth(name: str) -> None:
    row = weights.weigh(name, networks.SUITE[name])
    assert row["ratio"] is not None, row["refused"]
    assert 1 <= row["ratio"] <= weights.MOST


@pytest.mark.parametrize(("ratio", "status"), [(1.5, 0), (3.0, 0), (3.1, 1), (None, 1)])
def test_the_command_fails_above_the_limit(
    ratio: float | None, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(made_up(ratio)) + "\n")
    assert weights.main(options("--rows", str(file), "--markdown")) == status
    shown = capsys.readouterr()
    assert max(map(len, shown.out.splitlines())) <= LINE
    assert ("W/M above 3: a network" in shown.err) == bool(status)


def test_a_program_that_readers_refuse_has_no_ratio() -> None:
    def build() -> Checked:
        program = training_step([4, 4], 2)
        return check(replace(program, outputs=(), states=()))

    row = weights.weigh("broken", build)
    assert row["ratio"] is None
    assert row["refused"] == "program.invalid"


def test_blocks_add_up() -> None:
    two, three = (networks.residual(n) for n in (2, 3))
    assert 2 * three.weights.step_macs == 3 * two.weights.step_macs


@pytest.mark.parametrize("name", ["attention, 2 blocks", "squeeze-and-excite, 2 blocks"])
def test_values_meet_values(name: str) -> None:
    """In gating and attention both operands of a product are computed."""
    program = networks.SUITE[name]().program
    computed = set(program.of_role(Role.VALUE))
    assert any(
        {getattr(o, "tensor", None) for o in (term.a, term.b)} <= computed
        for op in program.ops
        if isinstance(op, Dot)
        for term in op.terms
    )


def test_a_training_step_learns() -> None:
    """The loss falls: the hand-made gradients point where they should."""
    program = training_step([16, 16, 16], 8)
    assert any(getattr(op, "mode", None) is PickMode.SELECT for op in program.ops)
    x, target = program.of_role(Role.INPUT)
    (loss,) = (port.tensor for port in program.outputs)
    rng = np.random.default_rng(0)
    inputs = {x: rng.integers(0, 128, (8, 16)), target: rng.integers(0, 100, (8, 16))}
    state = {
        number: rng.integers(-(1 << 20), 1 << 20, tensor.shape) * (tensor.width == 3)
        for number, tensor in enumerate(program.tensors)
        if tensor.role is Role.STATE
    }
    losses = []
    for _ in range(60):
        found = reference.run(program, inputs, {}, state)
        losses.append(int(found[loss][0]))
        state = {link.state: found[link.value] for link in program.states}
    assert losses[-1] < losses[0] / 2
