"""Operators that put values in other places: exactly what onnxruntime has, integer by integer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import zktally
from support.compared import floats, network, node, run_both, steps_off
from zktally.circuits.errors import UnsupportedOp
from zktally.verifier.program.types import Gather, Pick

Case = tuple[list[Any], Sequence[int | str], dict[str, Any], int]

IMAGE = ("n", 3, 5, 4)
FIXED = (2, 3, 5, 4)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def one(op: str, opset: int = 17, shape: Sequence[int | str] = IMAGE, **parts: Any) -> Case:
    """A node of an operator on x; arrays among the parts are its further inputs, in order."""
    constants = {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
    attributes = {name: part for name, part in parts.items() if name not in constants}
    return [node(op, " ".join(["x", *constants]), "y", **attributes)], shape, constants, opset


def pad(*widths: int, opset: int = 17, **more: Any) -> Case:
    return one("Pad", opset, p=ints(*widths), **more)


CASES: dict[str, Case] = {
    "slice": one("Slice", s=ints(1, 0), e=ints(4, 3), a=ints(2, -1)),
    "slice steps": one("Slice", s=ints(0, 3), e=ints(9, -9), a=ints(2, 3), t=ints(2, -2)),
    "slice backwards": one("Slice", s=ints(-1), e=ints(-(2**63)), a=ints(-2), t=ints(-1)),
    "slice all axes": one("Slice", shape=FIXED, s=ints(1, 0, 1, 1), e=ints(2, 2, 9, 3)),
    "slice one element": one("Slice", s=ints(2), e=ints(3), a=ints(2), t=ints(7)),
    "slice opset 9": one("Slice", 9, starts=[-3, 0], ends=[-1, 2], axes=[2, 3]),
    "slice opset 10": one("Slice", 10, s=ints(-3), e=ints(-1), a=ints(3)),
    "pad": pad(0, 0, 1, 2, 0, 1, 0, 3),
    "pad crop": pad(0, 0, -1, 2, 0, 0, 0, -3),
    "pad only crop": pad(0, -1, -1, 0, 0, 0, -2, -1),
    "pad opset 10": one("Pad", 10, pads=[0, 0, 2, 0, 0, 0, 1, 1], value=0.0),
    "pad edge": pad(0, 0, 3, 1, 0, 0, 0, 2, mode="edge"),
    "pad reflect": pad(0, 1, 3, 0, 0, 1, 0, 2, mode="reflect"),
    "pad reflect opset 7": one("Pad", 7, pads=[0, 0, 2, 1, 0, 0, 2, 1], mode="reflect"),
    "pad wrap": pad(0, 0, 3, 1, 0, 2, 1, 2, mode="wrap", opset=19),
    "pad edge axes": one(
        "Pad", 18, p=ints(1, 2), v=np.zeros((), np.float32), a=ints(-2), mode="edge"
    ),
    "pad edge crop": pad(0, 0, 2, -1, 0, 0, -2, 1, mode="edge"),
    "expand": one("Expand", shape=("n", 1, 5, 1), s=ints(1, 3, 1, 4)),
    "expand rank": one("Expand", shape=(3, 1), s=ints(2, 1, 1, 7)),
    "expand nothing": one("Expand", s=ints(1)),
    "tile": one("Tile", r=ints(1, 2, 1, 3)),
    "tile axis of one": one("Tile", shape=("n", 1, 5), r=ints(1, 4, 2)),
    "tile opset 7": one("Tile", 7, r=ints(1, 1, 2, 1)),
    "transpose": one("Transpose", perm=[0, 2, 3, 1]),
    "transpose reversed": one("Transpose", 7, shape=FIXED),
    "depth to space": one("DepthToSpace", 7, shape=("n", 12, 3, 2), blocksize=2),
    "depth to space crd": one("DepthToSpace", shape=("n", 18, 2, 1), blocksize=3, mode="CRD"),
    "space to depth": one("SpaceToDepth", 7, shape=("n", 3, 4, 6), blocksize=2),
    "space to depth crd": one("SpaceToDepth", 28, shape=("n", 3, 6, 4), blocksize=2, mode="CRD"),
    "trilu": one("Trilu", shape=("n", 4, 5)),
    "trilu lower": one("Trilu", shape=("n", 2, 5, 3), k=ints(-1), upper=0),
    "trilu all": one("Trilu", shape=("n", 3, 3), k=np.array(-7, np.int64)),
    "reverse sequence": one(
        "ReverseSequence", shape=(5, 3, 2), k=ints(1, 4, 5), batch_axis=1, time_axis=0
    ),
    "reverse sequence rows": one(
        "ReverseSequence", shape=(3, 5, 2), k=ints(5, 2, 3), batch_axis=0, time_axis=1
    ),
    "flatten": one("Flatten", axis=2, shape=FIXED),
    "flatten last": one("Flatten", 11, axis=-1, shape=FIXED),
    "flatten none": one("Flatten", axis=0, shape=FIXED),
    "reshape": one("Reshape", s=ints(0, -1, 4)),
    "reshape opset 7": one("Reshape", 7, s=ints(-1, 60)),
    "reshape allowzero": one("Reshape", 19, shape=FIXED, s=ints(5, -1, 2), allowzero=1),
    "squeeze": one("Squeeze", shape=("n", 1, 5, 1), a=ints(1, -1)),
    "squeeze all": one("Squeeze", shape=(1, 3, 1)),
    "squeeze opset 7": one("Squeeze", 7, shape=("n", 1, 5), axes=[1]),
    "unsqueeze": one("Unsqueeze", a=ints(-1, 1)),
    "unsqueeze opset 7": one("Unsqueeze", 7, axes=[1, 3]),
}
"""By name: nodes, shape of x, constants, opset."""


def feeds(shape: Sequence[int | str], batch: int = 3) -> dict[str, np.ndarray]:
    return {"x": floats(*(batch if dim == "n" else int(dim) for dim in shape))}


@pytest.mark.parametrize("case", CASES)
def test_a_move_changes_no_value(case: str) -> None:
    nodes, shape, constants, opset = CASES[case]
    model = network(nodes, {"x": shape}, constants, opset=opset)
    assert steps_off(model, feeds(shape), feeds(shape)) < 1e-3


SPLITS: dict[str, tuple[int, dict[str, Any]]] = {
    "equal opset 7": (7, {"axis": 1}),
    "sizes opset 11": (11, {"axis": -1, "split": [1, 4, 1]}),
    "sizes opset 13": (13, {"axis": 2, "s": ints(2, 3, 1)}),
    "num_outputs": (18, {"axis": 2, "num_outputs": 3}),
    "uneven num_outputs": (18, {"axis": 3, "num_outputs": 3}),
}


@pytest.mark.parametrize("case", SPLITS)
def test_split_in_three(case: str) -> None:
    opset, parts = SPLITS[case]
    shape = ("n", 3, 6, 8 if "uneven" in case else 6)
    (split,), _, constants, _ = one("Split", opset, **parts)
    split.output[:] = ["a", "b", "c"]
    model = network([split], {"x": shape}, constants, outputs=["a", "b", "c"], opset=opset)
    assert steps_off(model, feeds(shape), feeds(shape)) < 1e-3


@pytest.mark.parametrize("used", [["a"], ["b"], ["c"], ["c", "a"]], ids="".join)
def test_a_part_that_is_not_used_costs_nothing(used: list[str]) -> None:
    nodes = [node("Split", "x", "a b c", axis=1), *(node("Relu", u, f"r{u}") for u in used)]
    model = network(nodes, {"x": IMAGE}, outputs=[f"r{u}" for u in used])
    compiled, _, _ = run_both(model, feeds(IMAGE))
    assert sum(isinstance(op, Pick) for op in compiled.checked.program.ops) == len(used)
    assert steps_off(model, feeds(IMAGE), feeds(IMAGE)) < 1


def test_split_by_the_batch_mixes_items() -> None:
    model = network([node("Split", "x", "y z", axis=0)], {"x": (4, 3)}, outputs=["y", "z"])
    assert steps_off(model, {"x": floats(4, 3)}, {"x": floats(4, 3)}) < 1e-3


AFFINE = [name for name in CASES if not any(w in name for w in ("edge", "reflect", "wrap"))]


@pytest.mark.parametrize("case", [c for c in AFFINE if c.split()[0] in ("slice", "pad", "tile")])
def test_an_affine_move_is_one_copy(case: str) -> None:
    nodes, shape, constants, opset = CASES[case]
    compiled, _, _ = run_both(network(nodes, {"x": shape}, constants, opset=opset), feeds(shape))
    assert [type(op) for op in compiled.checked.program.ops] == [Pick]


def test_each_axis_of_another_move_is_a_gather() -> None:
    nodes, shape, constants, opset = CASES["pad reflect"]
    compiled, _, _ = run_both(network(nodes, {"x": shape}, constants, opset=opset), feeds(shape))
    assert [type(op) for op in compiled.checked.program.ops] == [Gather, Gather, Gather]


def pooled(value: float, *, outputs: Sequence[str] = ("y",), opset: int = 17, **pool: Any) -> Any:
    nodes = [node("Pad", "x p v", "h"), node("MaxPool", "h", "y", kernel_shape=[3, 2], **pool)]
    constants = {"p": ints(0, 0, 1, 0, 0, 0, 2, 1), "v": np.float32(value)}
    return network(nodes, {"x": IMAGE}, constants, outputs=outputs, opset=opset)


@pytest.mark.parametrize("value", [-math.inf, -1e4, -3e38])
@pytest.mark.parametrize("pool", [{}, {"strides": [2, 2]}, {"pads": [1, 0, 0, 1]}], ids=str)
def test_a_low_pad_before_a_max_pool_never_wins(value: float, pool: dict[str, Any]) -> None:
    model = pooled(value, **pool)
    assert steps_off(model, feeds(IMAGE), feeds(IMAGE)) < 1e-3


def test_an_infinite_pad_elsewhere_is_refused() -> None:
    with pytest.raises(UnsupportedOp, match="pads with -inf"):
        zktally.compile(pooled(-math.inf, outputs=["y", "h"]), feeds(IMAGE))
    with pytest.raises(UnsupportedOp, match="pads with inf"):
        zktally.compile(pooled(math.inf), feeds(IMAGE))


def test_a_value_that_no_integer_stands_for_is_refused() -> None:
    nodes, constants = [node("Pad", "x p v", "y")], {"p": ints(0, 1, 0, 0), "v": np.float32(-1e4)}
    with pytest.raises(UnsupportedOp, match="outside the range of its input"):
        zktally.compile(network(nodes, {"x": ("n", 4)}, constants), {"x": floats(3, 4)})


def test_an_index_keeps_its_kind() -> None:
    """Classes of an ArgMax are integers behind any move, in as many bytes."""
    nodes = [
        node("ArgMax", "x", "h", axis=1, keepdims=1),
        node("Transpose", "h", "t", perm=[1, 0]),
        node("Tile", "t r", "y"),
    ]
    model = network(nodes, {"x": (4, 300)}, {"r": ints(2, 1)}, kind=7)
    feeds = {"x": floats(4, 300)}
    assert steps_off(model, feeds, feeds) == 0
    compiled, _, _ = run_both(model, feeds)
    assert {tensor.width for tensor in compiled.checked.program.tensors} == {1, 2}


@pytest.mark.parametrize("mode", ["fast", "hybrid"])
def test_a_receipt_of_moves(mode: str) -> None:
    nodes = [
        node("Pad", "x p", "a", mode="reflect"),
        node("Tile", "a r", "b"),
        node("Trilu", "b", "c"),
        node("Slice", "c s e q t", "y"),
    ]
    constants = {
        "p": ints(0, 2, 0, 0, 1, 0), "r": ints(1, 1, 2),
        "s": ints(-1), "e": ints(-99), "q": ints(1), "t": ints(-2),
    }  # fmt: skip
    model = network(nodes, {"x": ("n", 4, 3)}, constants)
    data = {"x": floats(2, 4, 3)}
    compiled = zktally.compile(model, data, batch=2)
    receipt = zktally.prove(compiled, data, mode, reveal=mode == "fast")
    _, expected, _ = run_both(model, data)
    for backend in ("rust", "python"):
        verified = receipt.verify(compiled.model_id, backend=backend)
        assert np.abs(verified.outputs["y"] - expected[0]).max() < 0.03
