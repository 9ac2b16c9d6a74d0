"""Loop and Scan with a known number of steps, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally
from support import compared
from support.compared import floats, network, run_both, sqnr
from zktally.circuits import loops
from zktally.circuits.errors import CompileError, UnsupportedOp
from zktally.circuits.loops import unrolled
from zktally.circuits.source import load

ROWS, WIDTH = 2, 4
FLOAT = TensorProto.FLOAT


@pytest.fixture(autouse=True)
def own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test draws must not depend on which tests ran before it in the same process."""
    monkeypatch.setattr(compared, "RNG", np.random.default_rng(11))


def value(name: str, kind: int = FLOAT, shape: tuple[int, ...] = (ROWS, WIDTH)) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


CELL = [
    helper.make_node("MatMul", ["before", "r"], ["seen"]),
    helper.make_node("Add", ["seen", "now"], ["sum"]),
    helper.make_node("Tanh", ["sum"], ["after"]),
    helper.make_node("Identity", ["after"], ["kept"]),
]
RECURRENT = np.random.default_rng(7).normal(0, 0.3, (WIDTH, WIDTH)).astype(np.float32)
KNOWN = {"h0": np.zeros((ROWS, WIDTH), np.float32), "r": RECURRENT}


def scanned(shape: tuple[int, ...], opset: int = 17, **attributes: Any) -> onnx.ModelProto:
    """A cell over the steps of x."""
    inputs, outputs = [value("before"), value("now")], [value("after"), value("kept")]
    body = helper.make_graph(CELL, "body", inputs, outputs)
    scan = helper.make_node(
        "Scan", ["h0", "x"], ["h", "y"], name="scan", body=body, num_scan_inputs=1, **attributes
    )
    return network([scan], {"x": shape}, KNOWN, outputs=("h", "y"), opset=opset)


CONDITIONS: dict[str, list[onnx.NodeProto]] = {
    "handed on": [helper.make_node("Identity", ["going"], ["goes"])],
    "constant": [
        helper.make_node("Constant", [], ["goes"], value=numpy_helper.from_array(np.array(True)))
    ],
    "ended": [
        helper.make_node("Constant", [], ["goes"], value=numpy_helper.from_array(np.array(False)))
    ],
    "data": [
        helper.make_node("ReduceSum", ["after"], ["total"], keepdims=0),
        helper.make_node("Less", ["total", "limit"], ["goes"]),
    ],
}


def looped(
    steps: int | None, condition: str = "handed on", *, begins: str = "yes", opset: int = 17
) -> onnx.ModelProto:
    """The same with x [rows, steps, width]; None: as many steps as x has, by its shape."""
    body = helper.make_graph(
        [helper.make_node("Gather", ["x", "number"], ["now"], axis=1), *CELL]
        + CONDITIONS[condition],
        "body",
        [
            value("number", TensorProto.INT64, ()),
            value("going", TensorProto.BOOL, ()),
            value("before"),
        ],
        [value("goes", TensorProto.BOOL, ()), value("after"), value("kept")],
    )
    nodes = [helper.make_node("Loop", ["n", begins, "h0"], ["h", "y"], name="loop", body=body)]
    known = {**KNOWN, "yes": np.array(True), "no": np.array(False), "one": np.array(1)}
    known["limit"] = np.array(9, np.float32)
    if steps is None:
        shape = helper.make_node("Shape", ["x"], ["shape"])
        nodes = [shape, helper.make_node("Gather", ["shape", "one"], ["n"]), *nodes]
    else:
        known["n"] = np.array(steps)
    dims = (ROWS, steps or 7, WIDTH)
    return network(nodes, {"x": dims}, known, outputs=("h", "y"), opset=opset)


def judge(model: onnx.ModelProto) -> None:
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    _, expected, found = run_both(model, {"x": floats(*shape)})
    for real, ours in zip(expected, found, strict=True):
        assert sqnr(real, ours) > 32.0


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((7, ROWS, WIDTH), {}),
        ((1, ROWS, WIDTH), {}),
        ((ROWS, 7, WIDTH), {"scan_input_axes": [1]}),
        ((ROWS, WIDTH, 7), {"scan_input_axes": [-1], "scan_input_directions": [1]}),
        ((7, ROWS, WIDTH), {"scan_output_axes": [2], "scan_output_directions": [1]}),
        ((67, ROWS, WIDTH), {}),
    ],
)
@pytest.mark.parametrize("opset", [11, 17])
def test_scan(shape: tuple[int, ...], attributes: dict[str, Any], opset: int) -> None:
    judge(scanned(shape, opset, **attributes))


def test_scan_of_two_sequences_of_other_axes() -> None:
    nodes = [helper.make_node("Mul", ["now", "gain"], ["kept"])]
    inputs = [value("now"), value("gain", shape=(WIDTH,))]
    body = helper.make_graph(nodes, "body", inputs, [value("kept")])
    axes = {"scan_input_axes": [1, 0], "scan_input_directions": [0, 1]}
    scan = helper.make_node("Scan", ["x", "g"], ["y"], body=body, num_scan_inputs=2, **axes)
    judge(network([scan], {"x": (ROWS, 3, WIDTH)}, {"g": floats(3, WIDTH)}))


def test_a_scan_of_opset_8_is_refused() -> None:
    """It has lengths and a batch."""
    body = helper.make_graph(CELL[2:3], "body", [value("sum")], [value("after")])
    scan = helper.make_node("Scan", ["", "x"], ["y"], body=body, num_scan_inputs=1)
    model = network([scan], {"x": (1, 3, ROWS, WIDTH)}, opset=8)
    with pytest.raises(UnsupportedOp, match="known number of steps"):
        zktally.compile(model, floats(1, 3, ROWS, WIDTH))


@pytest.mark.parametrize("steps", [1, 7, 67, None])
@pytest.mark.parametrize("condition", ["handed on", "constant"])
def test_loop(steps: int | None, condition: str) -> None:
    judge(looped(steps, condition))


def test_a_loop_of_an_old_opset() -> None:
    judge(looped(7, opset=11))


def test_a_loop_whose_condition_nobody_gives() -> None:
    judge(looped(7, "constant", begins=""))


@pytest.mark.parametrize("condition", ["data", "ended"])
def test_a_loop_that_may_end_before_is_refused(condition: str) -> None:
    with pytest.raises(UnsupportedOp, match="known number of steps"):
        zktally.compile(looped(7, condition), floats(ROWS, 7, WIDTH))


@pytest.mark.parametrize(("steps", "begins"), [(5000, "yes"), (7, "no")])
def test_steps_that_cannot_stand_beside_each_other_are_refused(steps: int, begins: str) -> None:
    with pytest.raises(CompileError, match="cannot stand in a program"):
        zktally.compile(looped(steps, begins=begins), floats(ROWS, steps, WIDTH))


def nested(depth: int, steps: int) -> onnx.ModelProto:
    """Loops inside loops, each of so many steps."""
    inner = [helper.make_node("Relu", ["before 0"], ["after 0"])]
    for at in range(depth):
        inputs = [value(f"i {at}", TensorProto.INT64, ()), value(f"on {at}", TensorProto.BOOL, ())]
        outputs = [value(f"goes {at}", TensorProto.BOOL, ()), value(f"after {at}")]
        nodes = [helper.make_node("Identity", [f"on {at}"], [f"goes {at}"]), *inner]
        body = helper.make_graph(nodes, "body", [*inputs, value(f"before {at}")], outputs)
        names = ["n", "yes", f"before {at + 1}"], [f"after {at + 1}"]
        inner = [helper.make_node("Loop", *names, body=body)]
    inner[0].input[2], inner[0].output[0] = "x", "y"
    known = {"n": np.array(steps), "yes": np.array(True)}
    return network(inner, {"x": (ROWS, WIDTH)}, known)


def test_loops_inside_loops_have_one_limit_together() -> None:
    with pytest.raises(CompileError, match="steps cannot stand in a program"):
        zktally.compile(nested(2, 100), {"x": floats(ROWS, WIDTH)})


@pytest.mark.parametrize(("depth", "steps"), [(2, 100), (2, 10**6), (3, 5000), (5, 30)])
def test_what_loops_become_is_counted_before(
    depth: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a step of the outermost is written out, where inner ones have too many in all."""

    def never(*args: Any) -> None:
        raise AssertionError("a step is written out")

    monkeypatch.setattr(loops, "inline", never)
    with pytest.raises(CompileError, match=r"node 'Loop' .* steps cannot stand in a program"):
        zktally.compile(nested(depth, steps), {"x": floats(ROWS, WIDTH)})


@pytest.mark.parametrize("inside", ["Constant", "initialiser", "outside", "input"])
def test_nodes_of_inner_loops_are_counted(inside: str) -> None:
    model = nested(2, 7)
    body = helper.get_attribute_value(model.graph.node[0].attribute[0])
    inner = next(node for node in body.node if node.op_type == "Loop")
    number = numpy_helper.from_array(np.array(50), "own")
    if inside != "outside":
        inner.input[0] = "own"
    if inside == "Constant":
        body.node.insert(0, helper.make_node("Constant", [], ["own"], value=number))
    elif inside == "initialiser":
        body.initializer.append(number)
    elif inside == "input":  # what is handed in is another value, though a constant has its name
        body.input.append(value("own", TensorProto.INT64, ()))
    known = {"n": 7, "own": 2}
    nodes = {"Constant": 2 + 50 * 2, "initialiser": 1 + 50 * 2, "outside": 1 + 7 * 2, "input": 3}
    assert loops._least(body, known) == nodes[inside]


def test_steps_share_the_constants_of_their_body() -> None:
    known = numpy_helper.from_array(floats(ROWS, WIDTH), "r")
    nodes = [
        helper.make_node("Constant", [], ["k"], value=known),
        helper.make_node("Add", ["before", "k"], ["sum"]),
        helper.make_node("Add", ["sum", "r"], ["more"]),
        helper.make_node("Add", ["more", "now"], ["after"]),
        helper.make_node("Identity", ["after"], ["kept"]),
    ]
    inputs, outputs = [value("before"), value("now")], [value("after"), value("kept")]
    body = helper.make_graph(nodes, "body", inputs, outputs, [known])
    scan = helper.make_node("Scan", ["h0", "x"], ["h", "y"], body=body, num_scan_inputs=1)
    model = network([scan], {"x": (9, ROWS, WIDTH)}, KNOWN, outputs=("h", "y"))
    read = unrolled(load(model), {}, {"x": (9, ROWS, WIDTH)})
    large = [t for t in read.model.graph.initializer if list(t.dims) == [ROWS, WIDTH]]
    assert len(large) == 3
    _, expected, found = run_both(model, {"x": floats(9, ROWS, WIDTH)})
    for real, ours in zip(expected, found, strict=True):
        assert sqnr(real, ours) > 36


def test_names_of_a_branch_meet_no_others() -> None:
    """A file may name its constants as those of a branch are named when it is written out."""
    graphs = [
        helper.make_graph(
            [helper.make_node("Add", ["x", "w"], [name])],
            name,
            [],
            [value(name)],
            [numpy_helper.from_array(np.full((ROWS, WIDTH), 9, np.float32), "w")],
        )
        for name in ("a", "b")
    ]
    branch = helper.make_node("If", ["yes"], ["sum"], then_branch=graphs[0], else_branch=graphs[1])
    last = helper.make_node("Mul", ["sum", "If_0/w"], ["y"])
    known = {"yes": np.array(True), "If_0/w": floats(ROWS, WIDTH)}
    model = network([branch, last], {"x": (ROWS, WIDTH)}, known)
    _, (expected,), (found,) = run_both(model, {"x": floats(ROWS, WIDTH)})
    assert sqnr(expected, found) > 36
