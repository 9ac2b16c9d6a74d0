"""Gathers, scatters and their kin against onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import zktally
from support.compared import floats, network, node, run_both, steps_off
from zktally.circuits.errors import CompileError, UnsupportedOp
from zktally.verifier.program.types import Gather, Pick

RNG = np.random.default_rng(3)
FIXED = (2, 5, 4)


def ints(*values: Any) -> np.ndarray:
    return np.array(values, np.int64)


def index(shape: Sequence[int], *dims: int) -> np.ndarray:
    """Random indices, some from the end; for several dims, tuples."""
    columns = [RNG.integers(-dim, dim, shape) for dim in dims]
    return columns[0] if len(dims) == 1 else np.stack(columns, -1)


GATHERS: dict[str, tuple[str, Sequence[int | str], np.ndarray, dict[str, Any], int]] = {
    "scalar": ("Gather", FIXED, np.array(-2, np.int64), {"axis": 1}, 17),
    "run": ("Gather", ("n", 5, 4), ints(1, 2, 3), {"axis": 1}, 17),
    "stride": ("Gather", ("n", 5, 4), ints(4, 2, 0), {"axis": -2}, 13),
    "repeat": ("Gather", ("n", 5, 4), ints(0, 0, 1, 1, 2, 2), {"axis": 1}, 11),
    "any": ("Gather", ("n", 5, 4), index((7,), 5), {"axis": 1}, 7),
    "matrix": ("Gather", FIXED, index((2, 3), 4), {"axis": 2}, 17),
    "rows": ("Gather", FIXED, ints(1, 0, 1), {}, 17),
    "one": ("Gather", (3, 1), ints(0, 0), {"axis": 1}, 17),
    "elements": ("GatherElements", FIXED, index(FIXED, 5), {"axis": 1}, 17),
    "elements part": ("GatherElements", FIXED, index((2, 3, 7), 4), {"axis": -1}, 11),
    "elements rows": ("GatherElements", FIXED, index((4, 2, 1), 2), {}, 13),
    "nd": ("GatherND", FIXED, index((3, 2), 2, 5), {}, 17),
    "nd all": ("GatherND", FIXED, index((3,), 2, 5, 4), {}, 11),
    "nd first": ("GatherND", FIXED, index((3, 1), 2)[..., None], {}, 13),
    "nd batch": ("GatherND", FIXED, index((2, 3), 5)[..., None], {"batch_dims": 1}, 17),
}


def data(shape: Sequence[int | str]) -> dict[str, np.ndarray]:
    return {"x": floats(*(3 if dim == "n" else int(dim) for dim in shape))}


@pytest.mark.parametrize("case", GATHERS)
def test_a_gather_by_constants_changes_no_value(case: str) -> None:
    op, shape, indices, attributes, opset = GATHERS[case]
    model = network([node(op, "x i", "y", **attributes)], {"x": shape}, {"i": indices}, opset=opset)
    assert steps_off(model, data(shape), data(shape)) < 1e-3


@pytest.mark.parametrize(("case", "kind"), [("run", Pick), ("stride", Pick), ("repeat", Pick),
                                            ("scalar", Pick), ("any", Gather)])  # fmt: skip
def test_affine_indices_are_a_copy(case: str, kind: type) -> None:
    op, shape, indices, attributes, _ = GATHERS[case]
    model = network([node(op, "x i", "y", **attributes)], {"x": shape}, {"i": indices})
    compiled, _, _ = run_both(model, data(shape))
    assert [type(op) for op in compiled.checked.program.ops] == [kind]


CLASSES = [node("ArgMax", "x", "i", axis=-1, keepdims=0)]


def test_rows_of_a_table_by_a_computed_index() -> None:
    nodes = [*CLASSES, node("Gather", "t i", "y")]
    model = network(nodes, {"x": ("n", 3, 6)}, {"t": floats(6, 5)})
    assert steps_off(model, data(("n", 3, 6)), data(("n", 3, 6))) < 0.51


@pytest.mark.parametrize("axis", [1, 2])
def test_slices_of_a_value_by_a_computed_index(axis: int) -> None:
    nodes = [*CLASSES, node("Gather", "x i", "y", axis=axis)]
    model = network(nodes, {"x": (4, 6, 4)})
    feeds = {"x": floats(4, 6, 4)}
    assert steps_off(model, feeds, {"x": floats(4, 6, 4)}) < 1e-3


def test_elements_by_a_computed_index() -> None:
    nodes = [node("ArgMax", "x", "i", axis=1), node("GatherElements", "x i", "y", axis=1)]
    model = network(nodes, {"x": ("n", 6, 4)})
    assert steps_off(model, data(("n", 6, 4)), data(("n", 6, 4))) < 1e-3


def test_an_index_that_may_leave_the_axis_is_refused() -> None:
    nodes = [*CLASSES, node("Gather", "t i", "y")]
    model = network(nodes, {"x": ("n", 6)}, {"t": floats(5, 2)})
    with pytest.raises(UnsupportedOp, match="may leave the axis"):
        zktally.compile(model, np.eye(5, 6, dtype=np.float32))
    fixed = network([node("Gather", "x i", "y")], {"x": (2, 3)}, {"i": ints(1, 0)})
    fixed.graph.initializer[0].int64_data[:] = []
    fixed.graph.initializer[0].raw_data = ints(2, 0).tobytes()
    with pytest.raises(CompileError, match="out of data bounds"):
        zktally.compile(fixed, floats(2, 3))


SHAPES = {"x": FIXED}
SCATTERS: dict[str, tuple[str, np.ndarray, Sequence[int], dict[str, Any], int]] = {
    "nd rows": ("ScatterND", ints([1]), (1, 5, 4), {}, 17),
    "nd": ("ScatterND", ints([0, 4], [1, -5], [0, 0]), (3, 4), {}, 11),
    "nd elements": ("ScatterND", ints([[0, 1, 2], [1, 2, 3]]), (1, 2), {}, 13),
    "nd add": ("ScatterND", ints([0, 4], [0, 4], [1, 0]), (3, 4), {"reduction": "add"}, 17),
    "elements": ("ScatterElements", ints([[3, -1], [0, 1]], [[4, 3], [0, 0]])[:, :, :1],
                 (2, 2, 1), {"axis": 1}, 17),
    "elements rows": ("ScatterElements", ints([[1, 0, 1, 0]] * 3), (1, 3, 4), {}, 11),
    "opset 9": ("Scatter", ints([[1, 0, 1, 0]] * 3), (1, 3, 4), {}, 9),
    "elements last": ("ScatterElements", ints([[2], [0]], [[1], [3]]), (2, 2, 1), {"axis": -1}, 13),
    "elements add": ("ScatterElements", ints([[1, 1], [1, 0]]), (1, 2, 2),
                     {"axis": 2, "reduction": "add"}, 18),
}  # fmt: skip


@pytest.mark.parametrize("constant", ["", "x", "u"])
@pytest.mark.parametrize("case", SCATTERS)
def test_updates_come_to_their_places(case: str, constant: str) -> None:
    op, indices, shape, attributes, opset = SCATTERS[case]
    inputs = {"x": FIXED, "u": shape}
    constants = {"i": indices}
    if constant:
        constants[constant] = floats(*inputs.pop(constant))
    model = network([node(op, "x i u", "y", **attributes)], inputs, constants, opset=opset)
    feeds = [{name: floats(*dims) for name, dims in inputs.items()} for _ in range(2)]
    assert steps_off(model, *feeds) < 1.1


def test_what_a_scatter_does_not_do_is_refused() -> None:
    def refusal(**attributes: Any) -> str:
        scatter = node("ScatterND", "x i u", "y", **attributes)
        model = network([scatter], {"x": (4,), "u": (2,)}, {"i": ints([1], [1])}, opset=18)
        with pytest.raises(UnsupportedOp) as caught:
            zktally.compile(model, {"x": floats(4), "u": floats(2)})
        return caught.value.message

    assert "two of its updates go to the same place" in refusal()
    assert "reduction 'max'" in refusal(reduction="max")


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("values", [[0.0, 1.0], [-2.0, 0.5], [3.0, 3.0]], ids=str)
def test_one_hot(axis: int, values: list[float]) -> None:
    nodes = [*CLASSES, node("OneHot", "i d v", "y", axis=axis)]
    constants = {"d": ints(7), "v": np.array(values, np.float32)}
    model = network(nodes, {"x": (5, 3, 6)}, constants)
    assert steps_off(model, {"x": floats(5, 3, 6)}, {"x": floats(5, 3, 6)}) < 0.51


def test_one_hot_of_integers() -> None:
    nodes = [*CLASSES, node("OneHot", "i d v", "y")]
    constants = {"d": ints(6), "v": ints(-1, 1000)}
    model = network(nodes, {"x": ("n", 6)}, constants, kind=TensorProto.INT64)
    assert steps_off(model, {"x": floats(4, 6)}, {"x": floats(4, 6)}) == 0


@pytest.mark.parametrize(("opset", "axis"), [(11, -1), (11, 1), (10, 0)])
@pytest.mark.parametrize("used", [("v", "i"), ("v",), ("i",)], ids="".join)
def test_top_1(opset: int, axis: int, used: tuple[str, ...]) -> None:
    nodes = [node("TopK", "x k", "a b", axis=axis)]
    nodes += [node("Mul", "a c", "v")] * ("v" in used)
    nodes += [node("Identity", "b", "i")] * ("i" in used)
    constants = {"k": ints(1)} | ({"c": np.float32(2.0)} if "v" in used else {})
    model = network(nodes, {"x": (4, 5, 6)}, constants, outputs=used, opset=opset)
    for value in model.graph.output:
        kind = TensorProto.INT64 if value.name == "i" else TensorProto.FLOAT
        value.type.tensor_type.elem_type = kind
    model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    assert steps_off(model, {"x": floats(4, 5, 6)}, {"x": floats(4, 5, 6)}) < 1.1


def test_a_long_line_is_not_put_in_order() -> None:
    top = node("TopK", "x k", "y i")
    with pytest.raises(UnsupportedOp, match="more than 4096 values"):
        zktally.compile(network([top], {"x": (1, 5000)}, {"k": ints(2)}), floats(1, 5000))


@pytest.mark.parametrize("mode", ["fast", "hybrid"])
def test_a_receipt_of_gathers(mode: str) -> None:
    """An embedding, a gather by elements, a scatter and a one-hot."""
    nodes = [
        node("ArgMax", "x", "i", axis=-1, keepdims=0),
        node("Gather", "t i", "e"),
        node("GatherElements", "e j", "g", axis=1),
        node("ScatterND", "g k x", "s"),
        node("OneHot", "i d v", "h"),
        node("Add", "s h", "y"),
    ]
    constants = {
        "t": floats(3, 3), "j": index((4, 3), 3), "k": ints([3], [1], [2], [0]),
        "d": ints(3), "v": np.array([0, 1], np.float32),
    }  # fmt: skip
    model = network(nodes, {"x": (4, 3)}, constants)
    feeds = {"x": floats(4, 3)}
    compiled = zktally.compile(model, feeds)
    receipt = zktally.prove(compiled, feeds, mode, reveal=mode == "fast")
    _, expected, _ = run_both(model, feeds)
    for backend in ("rust", "python"):
        verified = receipt.verify(compiled.model_id, backend=backend)
        found = verified.outputs["y"].reshape(expected[0].shape)
        assert np.abs(found - expected[0]).max() < 0.05
