"""LSTM, GRU and RNN against onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper

import zktally
from support.compared import floats, infer, network, node, run_both, sqnr, steps_off
from zktally.circuits.errors import CompileError, UnsupportedOp
from zktally.circuits.recurrent import time_first
from zktally.circuits.source import Source

RNG = np.random.default_rng(27)
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
OUTPUTS = {"LSTM": ("y", "h", "c"), "GRU": ("y", "h"), "RNN": ("y", "h")}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
T, B, I, H = 5, 2, 3, 7  # noqa: E741


def uniform(*shape: int, reach: float | None = None) -> np.ndarray:
    """As torch draws them: within 1/√hidden."""
    reach = 1.0 / np.sqrt(shape[-1]) if reach is None else reach
    return RNG.uniform(-reach, reach, shape).astype(np.float32)


def recurrent(
    op: str,
    *,
    shape: Sequence[int | str] = (T, B, I),
    hidden: int = H,
    inputs: str = "x w r b",
    outputs: Sequence[str] | None = None,
    given: Mapping[str, Sequence[int | str]] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    direction: str = "forward",
    reach: float | None = None,
    opset: int = 14,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node; a name of `inputs` that is `-` is absent."""
    count, gates = DIRECTIONS[direction], GATES[op]
    size = shape[-1]
    assert isinstance(size, int)
    reach = 1.0 / np.sqrt(hidden) if reach is None else reach
    known = {
        "w": uniform(count, gates * hidden, size, reach=reach),
        "r": uniform(count, gates * hidden, hidden, reach=reach),
        "b": uniform(count, 2 * gates * hidden, reach=reach),
        **(constants or {}),
    }
    names = ["" if name == "-" else name for name in inputs.split()]
    outputs = OUTPUTS[op] if outputs is None else outputs
    made = helper.make_node(
        op, names, outputs, name="layer", hidden_size=hidden, direction=direction, **attributes
    )
    return network(
        [made],
        {"x": shape, **(given or {})},
        {name: array for name, array in known.items() if name in names},
        outputs=[name for name in outputs if name],
        opset=opset,
    )


def drawn(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Data for its inputs."""
    return {
        value.name: floats(*(dim.dim_value or 3 for dim in value.type.tensor_type.shape.dim))
        for value in model.graph.input
    }


def judge(model: onnx.ModelProto, least: float = 36.0) -> int:
    """Both runs agree; the number of ops."""
    compiled, expected, found = run_both(model, drawn(model))
    for real, ours in zip(expected, found, strict=True):
        assert sqnr(real, ours) > least
    return len(compiled.checked.program.ops)


@pytest.mark.parametrize("opset", [7, 14, 22])
@pytest.mark.parametrize("op", GATES)
def test_a_layer(op: str, opset: int) -> None:
    judge(recurrent(op, opset=opset))


@pytest.mark.parametrize("op", GATES)
def test_errors_are_of_the_size_of_a_step(op: str) -> None:
    model = recurrent(op, direction="bidirectional")
    assert steps_off(model, drawn(model), drawn(model)) < 2.0


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("op", GATES)
def test_directions_cost_alike(op: str, direction: str) -> None:
    each = {"LSTM": 5, "GRU": 4, "RNN": 1}[op]
    # The projection, the outputs; in the first step there is no state.
    assert judge(recurrent(op, direction=direction)) <= T * each + 4


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 2), (2, 1, 1), (11, 1, 4)])
@pytest.mark.parametrize("op", GATES)
def test_sizes(op: str, shape: tuple[int, int, int]) -> None:
    judge(recurrent(op, shape=shape, hidden=1 if shape[0] == 2 else 13), least=32.0)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["constant", "input", "alike"])
def test_initial_states(op: str, direction: str, kind: str) -> None:
    count = DIRECTIONS[direction]
    cell = op == "LSTM"
    shapes = {"h0": (count, B, H)} | ({"c0": (count, B, H)} if cell else {})
    states = {name: floats(*dims) for name, dims in shapes.items()}
    if kind == "alike":
        states = {name: array[:, :1].repeat(B, 1) for name, array in states.items()}
    model = recurrent(
        op,
        direction=direction,
        inputs="x w r b - h0" + (" c0" if cell else ""),
        given=shapes if kind == "input" else None,
        constants=None if kind == "input" else states,
    )
    judge(model)


@pytest.mark.parametrize("op", GATES)
def test_an_initial_state_of_zeros_is_none(op: str) -> None:
    zeros = {"h0": np.zeros((1, B, H), np.float32)}
    assert judge(recurrent(op, inputs="x w r b - h0", constants=zeros)) == judge(recurrent(op))


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("lengths", [(5, 3, 4), (3, 3, 3), (1, 4, 2)])
def test_lengths(op: str, direction: str, lengths: tuple[int, ...]) -> None:
    judge(
        recurrent(
            op,
            shape=(T, 3, I),
            direction=direction,
            inputs="x w r b n",
            constants={"n": np.array(lengths, np.int32)},
        )
    )


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_computed_lengths(op: str, direction: str) -> None:
    model = recurrent(
        op, shape=(T, 3, I), direction=direction, inputs="x w r b n", given={"n": (3,)}
    )
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT32
    data = {"x": floats(T, 3, I), "n": np.array([5, 1, 4], np.int32)}
    _, expected, found = run_both(model, data)
    for real, ours in zip(expected, found, strict=True):
        assert sqnr(real, ours) > 36.0
    assert not found[0][4:, :, 2].any()
    assert not found[0][1:, :, 1].any()


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("computed", [False, True])
def test_a_sequence_without_a_step_ends_with_zeros(op: str, direction: str, computed: bool) -> None:
    directions = 2 if direction == "bidirectional" else 1
    lengths = np.array([5, 0, 4], np.int32)
    held = {"h0": floats(directions, 3, H) + np.float32(1)}
    model = recurrent(
        op,
        shape=(T, 3, I),
        direction=direction,
        inputs="x w r b n h0",
        constants=held if computed else held | {"n": lengths},
        given={"n": (3,)} if computed else {},
    )
    if computed:
        model.graph.input[1].type.tensor_type.elem_type = TensorProto.INT32
    data = {"x": floats(T, 3, I)} | ({"n": lengths} if computed else {})
    _, expected, found = run_both(model, data)
    for real, ours in zip(expected, found, strict=True):
        assert sqnr(real, ours) > 33.0
    assert not found[1][:, 1].any()


PARAMETERS: dict[str, dict[str, Any]] = {
    "Affine": {"activation_alpha": [0.3], "activation_beta": [0.2]},
    "Elu": {"activation_alpha": [0.5]},
    "HardSigmoid": {"activation_alpha": [0.3], "activation_beta": [0.4]},
    "LeakyRelu": {"activation_alpha": [0.02]},
    "Relu": {},
    "ScaledTanh": {"activation_alpha": [0.8], "activation_beta": [0.5]},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "ThresholdedRelu": {"activation_alpha": [0.1]},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_activations(name: str) -> None:
    # At a threshold the function jumps: an argument that was rounded may be on the other side.
    model = recurrent("RNN", activations=[name], **PARAMETERS[name])
    judge(model, least=20.0 if name == "ThresholdedRelu" else 36.0)


@pytest.mark.parametrize("name", ["Elu", "HardSigmoid", "LeakyRelu"])
def test_default_parameters(name: str) -> None:
    judge(recurrent("RNN", activations=[name]))


MIXED: dict[str, tuple[str, dict[str, Any]]] = {
    "parameters stand in order": (
        "LSTM",
        {
            "activations": ["HardSigmoid", "Tanh", "LeakyRelu"],
            "activation_alpha": [0.3, 0.1],
            "activation_beta": [0.4],
        },
    ),
    "as Keras has it": ("LSTM", {"activations": ["Sigmoid", "Relu", "Relu"]}),
    "a candidate without a bound": ("LSTM", {"activations": ["Sigmoid", "Relu", "Tanh"]}),
    "a new state without a bound": ("GRU", {"activations": ["Sigmoid", "Relu"]}),
    "the same after the reset": (
        "GRU",
        {"activations": ["Sigmoid", "Relu"], "linear_before_reset": 1},
    ),
    "gates below 0": ("GRU", {"activations": ["Tanh", "Tanh"]}),
    "other functions backwards": (
        "LSTM",
        {
            "direction": "bidirectional",
            "activations": ["Sigmoid", "Tanh", "Tanh", "HardSigmoid", "Softsign", "Tanh"],
        },
    ),
}


@pytest.mark.parametrize("case", MIXED)
def test_functions_of_several_gates(case: str) -> None:
    op, attributes = MIXED[case]
    judge(recurrent(op, **attributes))


@pytest.mark.parametrize("op", GATES)
def test_clip(op: str) -> None:
    judge(recurrent(op, clip=0.5, reach=1.0), least=34.0)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("first", ["-", "h0"])
def test_a_gru_whose_reset_comes_after_the_product(direction: str, first: str) -> None:
    count = DIRECTIONS[direction]
    judge(
        recurrent(
            "GRU",
            direction=direction,
            linear_before_reset=1,
            inputs=f"x w r b - {first}",
            constants={"h0": floats(count, B, H)},
        )
    )


@pytest.mark.parametrize("clip", [{}, {"clip": 0.7}])
@pytest.mark.parametrize("coupled", [0, 1])
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("shape", [(1, B, I), (T, B, I)])
def test_lstm_variants(
    clip: dict[str, float], coupled: int, peepholes: bool, shape: tuple[int, int, int]
) -> None:
    judge(
        recurrent(
            "LSTM",
            shape=shape,
            direction="bidirectional",
            inputs="x w r b - - - p" if peepholes else "x w r b",
            constants={"p": uniform(2, 3 * H, reach=1.0)},
            input_forget=coupled,
            **clip,
        ),
        least=34.0,
    )


@pytest.mark.parametrize("used", [("y",), ("", "h"), ("", "", "c"), ("", "h", "c"), ("y", "", "c")])
@pytest.mark.parametrize("peepholes", [False, True])
def test_outputs_that_are_used(used: tuple[str, ...], peepholes: bool) -> None:
    inputs = "x w r b - - - p" if peepholes else "x w r"
    constants = {"p": uniform(1, 3 * H)}
    judge(recurrent("LSTM", inputs=inputs, outputs=used, constants=constants))


@pytest.mark.parametrize("op", GATES)
def test_batch_first(op: str) -> None:
    """Only the transposes that we add make onnxruntime run it."""
    cell = op == "LSTM"
    model = recurrent(
        op,
        shape=(B, T, I),
        direction="bidirectional",
        layout=1,
        inputs="x w r b - h0" + (" c0" if cell else ""),
        given={"h0": (B, 2, H)} | ({"c0": (B, 2, H)} if cell else {}),
    )
    data = drawn(model)
    turned = time_first(Source(model, {})).model
    expected = onnx.reference.ReferenceEvaluator(model).run(None, data)
    for ours, theirs in zip(infer(turned, data), expected, strict=True):
        assert np.allclose(ours, theirs, atol=1e-5)
    compiled = zktally.compile(model, data)
    assert compiled.report.worst is not None
    assert min(layer.sqnr_db or 99.0 for layer in compiled.report.layers) > 36.0


def test_items_of_a_batch_do_not_mix() -> None:
    """A tagger: sentences are items, each with all of its words."""
    nodes = [
        node("Gather", "table x", "e"),
        node("Transpose", "e", "t", perm=[1, 0, 2]),
        node("GRU", "t w r b", "y", hidden_size=H, direction="bidirectional"),
        node("Transpose", "y", "s", perm=[2, 0, 1, 3]),
        node("Reshape", "s shape", "f"),
        node("MatMul", "f v", "tags"),
    ]
    known = {
        "table": floats(11, I),
        "w": uniform(2, 3 * H, I),
        "r": uniform(2, 3 * H, H),
        "b": uniform(2, 6 * H),
        "v": floats(2 * H, 4),
        "shape": np.array([0, 0, -1]),
    }
    model = network(nodes, {"x": ("n", T)}, known, outputs=("tags",))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    data = {"x": RNG.integers(0, 11, (16, T))}
    compiled, (expected,), (found,) = run_both(model, data)
    assert compiled.checked.program.batch == 16
    assert sqnr(expected, found) > 32.0
    assert (expected.argmax(-1) == found.argmax(-1)).mean() > 0.9


def test_a_keyword_spotter() -> None:
    """Convolutions over time and frequency, then an LSTM of which the last state is judged."""
    nodes = [
        node("Conv", "x k", "c", pads=[1, 1, 1, 1], strides=[1, 2]),
        node("Relu", "c", "p"),
        node("Transpose", "p", "t", perm=[2, 0, 1, 3]),
        node("Reshape", "t shape", "f"),
        helper.make_node("LSTM", ["f", "w", "r", "b"], ["", "h"], name="lstm", hidden_size=H),
        node("Squeeze", "h first", "s"),
        node("Gemm", "s v u", "y"),
    ]
    known = {
        "k": floats(2, 1, 3, 3),
        "shape": np.array([11, -1, 2 * 4]),
        "w": uniform(1, 4 * H, 8),
        "r": uniform(1, 4 * H, H),
        "b": uniform(1, 8 * H),
        "first": np.array([0]),
        "v": floats(H, 5),
        "u": floats(5),
    }
    model = network(nodes, {"x": ("n", 1, 11, 7)}, known)
    _, (expected,), (found,) = run_both(model, {"x": floats(12, 1, 11, 7)})
    assert sqnr(expected, found) > 30.0
    assert (expected.argmax(-1) == found.argmax(-1)).mean() > 0.9


def test_a_detector_whose_states_the_caller_keeps() -> None:
    """Like voice detectors: which branch runs follows from a size; states come and go."""
    states = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "hc"]
    chosen = helper.make_node(
        "LSTM", ["t", "w", "r", "b", "", "h0", "c0"], ["s", "h", "c"], name="lstm", hidden_size=H
    )
    head = helper.make_tensor_value_info("s", TensorProto.FLOAT, None)
    branch = helper.make_graph([chosen], "then", [], [head, *states])
    other = helper.make_graph(
        [
            helper.make_node("Identity", [old], [new])
            for old, new in (("t", "s"), ("h0", "h"), ("c0", "c"))
        ],
        "else",
        [],
        [head, *states],
    )
    nodes = [
        node("Transpose", "x", "t", perm=[2, 0, 1]),
        node("Shape", "x", "dims"),
        node("Gather", "dims two", "size"),
        node("Equal", "size steps", "right"),
        helper.make_node(
            "If", ["right"], ["o", "hn", "cn"], name="rate", then_branch=branch, else_branch=other
        ),
        node("Gather", "o last", "e"),
        node("Squeeze", "e first", "q"),
        node("Gemm", "q v", "z"),
        node("Sigmoid", "z", "y"),
    ]
    known = {
        "two": np.array(2),
        "steps": np.array(T),
        "w": uniform(1, 4 * H, I),
        "r": uniform(1, 4 * H, H),
        "b": uniform(1, 8 * H),
        "last": np.array(-1),
        "first": np.array([0]),
        "v": floats(H, 1),
    }
    given = {"x": (1, I, T), "h0": (1, 1, H), "c0": (1, 1, H)}
    model = network(nodes, given, known, outputs=("y", "hn", "cn"))
    data = drawn(model)
    _, expected, found = run_both(model, data)
    for real, ours in zip(expected, found, strict=True):
        assert sqnr(real, ours) > 36.0


@pytest.mark.parametrize("op", GATES)
def test_errors_do_not_grow_over_a_hundred_steps(op: str) -> None:
    model = recurrent(op, shape=(100, 1, 17), hidden=31)
    _, (real, *_), (ours, *_) = run_both(model, drawn(model))
    assert sqnr(real[-10:], ours[-10:]) > 34.0


@pytest.mark.nightly
@pytest.mark.parametrize("op", GATES)
def test_errors_do_not_grow_over_four_hundred_steps(op: str) -> None:
    model = recurrent(op, shape=(400, 1, 31), hidden=127)
    _, (real, *_), (ours, *_) = run_both(model, drawn(model))
    assert sqnr(real[-40:], ours[-40:]) > 34.0


@pytest.mark.nightly
def test_more_steps_than_two_sums_have_terms() -> None:
    judge(recurrent("RNN", shape=(1201, 1, 2), hidden=2, direction="bidirectional"), least=30.0)


def test_a_cell_that_only_grows_is_not_clamped() -> None:
    """Gates that are open throughout: the cell counts its steps."""
    steps = 60
    model = recurrent(
        "LSTM",
        shape=(steps, 1, 1),
        hidden=1,
        outputs=("", "", "c"),
        constants={
            "w": np.zeros((1, 4, 1), np.float32) + np.float32(1e-3),
            "r": np.zeros((1, 4, 1), np.float32),
            "b": np.array([[20, 20, 20, 20, 0, 0, 0, 0]], np.float32),
        },
    )
    _, (real,), (ours,) = run_both(model, {"x": np.ones((steps, 1, 1), np.float32)})
    assert abs(float(real.item()) - steps) < 0.1
    assert abs(float(ours.item()) - steps) < 0.5


def test_a_large_layer() -> None:
    """Where a state of 14 bits would not fit the accumulator it has fewer."""
    model = recurrent("LSTM", shape=(3, 1, 257), hidden=521)
    judge(model, least=34.0)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "too long": ("LSTM", {"shape": (900, 1, I)}, "its 900 steps are some 4,500 ops"),
    "computed weights": ("RNN", {"given": {"r": (1, H, H)}}, "input 2 is computed"),
    "computed peepholes": (
        "LSTM",
        {"inputs": "x w r b - - - p", "given": {"p": (1, 3 * H)}},
        "input 7 is computed",
    ),
    "no parameter": ("RNN", {"activations": ["Affine"]}, "Affine has no alpha"),
    "gates without a bound": (
        "LSTM",
        {"activations": ["Relu", "Tanh", "Tanh"]},
        "the activation of its gates can exceed 1",
    ),
    "coupled gates below 0": (
        "LSTM",
        {"activations": ["Tanh", "Tanh", "Tanh"], "input_forget": 1},
        "can be negative",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    op, options, reason = REFUSED[case]
    model = recurrent(op, **options)
    initial = {value.name for value in model.graph.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in initial]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    with pytest.raises(UnsupportedOp, match=reason):
        zktally.compile(model, drawn(model))


def test_sequences_without_a_step_are_refused() -> None:
    lengths = {"n": np.zeros(B, np.int32)}
    model = recurrent("GRU", inputs="x w r b n", constants=lengths)
    with pytest.raises(CompileError):
        zktally.compile(model, drawn(model))
