"""Models whose steps hand a state on, with random weights, and their roll-out in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FEATURES, HIDDEN, CLASSES, KEPT = 6, 12, 4, 8


def _value(name: str, *shape: int, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: Mapping[str, np.ndarray],
) -> onnx.ModelProto:
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "chain", inputs, outputs, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tagger(kind: str, seed: int = 0) -> onnx.ModelProto:
    """A tagger of one recurrent layer (LSTM, GRU, RNN): x, h0 (and c0) to tags, hn (and cn)."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    rng = np.random.default_rng(seed)

    def drawn(*shape: int, times: float = 1.0) -> np.ndarray:
        reach = times / np.sqrt(HIDDEN)
        return rng.uniform(-reach, reach, shape).astype(np.float32)

    cell = kind == "LSTM"
    weights = {
        "W": drawn(1, gates * HIDDEN, FEATURES),
        "R": drawn(1, gates * HIDDEN, HIDDEN),
        "B": drawn(1, 2 * gates * HIDDEN),
        "V": drawn(HIDDEN, CLASSES, times=3.0),
    }
    read, made = ["x", "W", "R", "B", "", "h0"], ["", "hn"]
    inputs = [_value("x", 1, 1, FEATURES), _value("h0", 1, 1, HIDDEN)]
    outputs = [_value("tags", 1, 1, CLASSES), _value("hn", 1, 1, HIDDEN)]
    if cell:
        read, made = [*read, "c0"], [*made, "cn"]
        inputs.append(_value("c0", 1, 1, HIDDEN))
        outputs.append(_value("cn", 1, 1, HIDDEN))
    nodes = [
        helper.make_node(kind, read, made, hidden_size=HIDDEN),
        helper.make_node("MatMul", ["hn", "V"], ["tags"]),
    ]
    return _model(nodes, inputs, outputs, weights)


def states_of(kind: str) -> dict[str, str]:
    """The states of a `tagger`."""
    return {"h0": "hn"} | ({"c0": "cn"} if kind == "LSTM" else {})


def average(keep: float = 0.98, seed: int = 0) -> onnx.ModelProto:
    """One step: h' = keep·h + x·W, and y = h'·V: roundings of h stay."""
    rng = np.random.default_rng(seed)
    weights = {
        "W": rng.normal(0.0, 0.1, (FEATURES, HIDDEN)).astype(np.float32),
        "keep": np.full((1, HIDDEN), keep, np.float32),
        "V": rng.normal(0.0, 1.0, (HIDDEN, CLASSES)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["new"]),
        helper.make_node("Mul", ["h", "keep"], ["kept"]),
        helper.make_node("Add", ["kept", "new"], ["next"]),
        helper.make_node("MatMul", ["next", "V"], ["y"]),
    ]
    inputs = [_value("x", 1, FEATURES), _value("h", 1, HIDDEN)]
    return _model(nodes, inputs, [_value("y", 1, CLASSES), _value("next", 1, HIDDEN)], weights)


def window(seed: int = 0) -> onnx.ModelProto:
    """Attention over the last keys and values: a cache of fixed length that moves on."""
    rng, size = np.random.default_rng(seed), FEATURES
    names = ("query", "key", "value", "out")
    weights = {name: rng.normal(0.0, 0.5, (size, size)).astype(np.float32) for name in names}
    bounds = {"first": [1], "last": [KEPT + 1], "axis": [1]}
    weights |= {name: np.array(number, np.int64) for name, number in bounds.items()}
    make = helper.make_node
    nodes = [make("MatMul", ["x", name], [f"x {name}"]) for name in names[:3]]
    for name in ("key", "value"):
        nodes += [
            make("Concat", [f"past {name}", f"x {name}"], [f"all {name}"], axis=1),
            make("Slice", [f"all {name}", "first", "last", "axis"], [f"present {name}"]),
        ]
    nodes += [
        make("Transpose", ["present key"], ["turned"], perm=[0, 2, 1]),
        make("MatMul", ["x query", "turned"], ["scores"]),
        make("Softmax", ["scores"], ["shares"], axis=-1),
        make("MatMul", ["shares", "present value"], ["mixed"]),
        make("MatMul", ["mixed", "out"], ["y"]),
    ]
    inputs = [_value("x", 1, 1, size)]
    inputs += [_value(f"past {name}", 1, KEPT, size) for name in ("key", "value")]
    outputs = [_value("y", 1, 1, size)]
    outputs += [_value(f"present {name}", 1, KEPT, size) for name in ("key", "value")]
    return _model(nodes, inputs, outputs, weights)


CACHE = {"past key": "present key", "past value": "present value"}
"""The states of `window`."""


def sequence(model: onnx.ModelProto, steps: int, seed: int, count: int | None = None) -> np.ndarray:
    """Random values for x, [steps, ...] (or [count, steps, ...])."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    lead = (steps,) if count is None else (count, steps)
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (*lead, *shape)).astype(np.float32)


def rolled_out(
    model: onnx.ModelProto, x: np.ndarray, states: Mapping[str, str], start: float = 0.0
) -> np.ndarray:
    """The first output of each step in floats, with its states handed on; x [steps, ...]."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    shapes = {value.name: value.shape for value in session.get_inputs()}
    batch = x.shape[1]  # where it has no size
    held = {
        name: np.full([batch if isinstance(dim, str) else dim for dim in shapes[name]], start, "f4")
        for name in states
    }
    names, shown = [value.name for value in session.get_outputs()], []
    for step in x:
        found = dict(zip(names, session.run(names, {"x": step} | held), strict=True))
        held = {name: found[output] for name, output in states.items()}
        shown.append(found[names[0]])
    return np.stack(shown)
