"""Random small networks of ONNX for `zktally bench graphs`: of reals, or of integers.

Shapes have primes and ones, axes count from either end, operands broadcast. A node that onnxruntime
does not take, or whose values leave the numbers that it is wise to compute with, is drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

Rng = np.random.Generator
Array = npt.NDArray[Any]

SIZES = (1, 2, 3, 5, 7, 11)
ELEMENTS_MAX = 4096
REACH_MAX = 1e4
WHOLE_MAX = 2**20
"""Integers stay below this."""
OPSETS = (13, 15, 17, 18, 19, 21)
TRIES = 40


@dataclass
class Step:
    """A node, its constants, and the values of its outputs."""

    node: onnx.NodeProto
    constants: dict[str, Array]
    values: dict[str, Array]


@dataclass
class Drawn:
    """A network: its inputs with their values, and its nodes in order."""

    opset: int
    feeds: dict[str, Array]
    steps: list[Step] = field(default_factory=list)

    @property
    def values(self) -> dict[str, Array]:
        """All values by name."""
        found = dict(self.feeds)
        for step in self.steps:
            found |= step.values
        return found

    def model(self) -> onnx.ModelProto:
        """The ONNX model; what nothing reads is an output."""
        read = {name for step in self.steps for name in step.node.input}
        made = {name: array for step in self.steps for name, array in step.values.items()}
        outputs = [_info(name, array) for name, array in made.items() if name not in read]
        constants = [
            numpy_helper.from_array(array, name)
            for step in self.steps
            for name, array in step.constants.items()
        ]
        inputs = [_info(name, array) for name, array in self.feeds.items() if name in read]
        nodes = [step.node for step in self.steps]
        return _model(nodes, inputs, outputs, constants, self.opset)


def _info(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto],
    opset: int,
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "drawn", list(inputs), list(outputs), list(constants))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def run(node: onnx.NodeProto, given: dict[str, Array], opset: int) -> dict[str, Array]:
    """A node's outputs by onnxruntime.

    Raises:
        ValueError: it does not take the node.
    """
    names = [name for name in node.output if name]
    inputs = [_info(name, given[name]) for name in dict.fromkeys(node.input) if name]
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        data = _model([node], inputs, outputs, [], opset).SerializeToString()
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        feeds = {value.name: given[value.name] for value in session.get_inputs()}
        return dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # its exceptions have no common base
        raise ValueError(str(error)) from error


def draw(rng: Rng, nodes: int, *, whole: bool) -> Drawn:
    """A network of so many nodes, of integers or of reals."""
    shape = _shape(rng, int(rng.integers(1, 5)))
    feeds = {"x": _integers(rng, shape) if whole else _reals(rng, shape)}
    drawn = Drawn(int(rng.choice(OPSETS)), feeds)
    for number in range(nodes):
        for _ in range(TRIES):
            step = _step(rng, drawn, number, whole=whole)
            if step is not None:
                drawn.steps.append(step)
                break
    return drawn


def _step(rng: Rng, drawn: Drawn, number: int, *, whole: bool) -> Step | None:
    """One more node, or None where it did not turn out well."""
    made = drawn.values
    last = list(made)[-1] if rng.random() < 0.7 else str(rng.choice(list(made)))
    draft = _Draft(rng, drawn, f"v{number}", last)
    table = WHOLE if whole else REAL
    op = str(rng.choice(list(table)))
    try:
        table[op](draft, op)
        node = helper.make_node(
            op, draft.inputs, draft.outputs, f"{op}_{number}", **draft.attributes
        )
        values = run(node, made | draft.constants, drawn.opset)
    except (ValueError, IndexError):
        return None
    for array in values.values():
        limit = WHOLE_MAX if array.dtype.kind in "iu" else REACH_MAX
        numbers = np.abs(array.astype(np.float64))
        if not array.size or array.size > ELEMENTS_MAX or array.ndim > 5:
            return None
        if not np.isfinite(numbers).all() or numbers.max() > limit:
            return None
    return Step(node, draft.constants, values)


class _Draft:
    """A node under construction."""

    def __init__(self, rng: Rng, drawn: Drawn, output: str, first: str) -> None:
        self.rng, self.drawn = rng, drawn
        self.x = drawn.values[first]
        self.inputs, self.outputs = [first], [output]
        self.constants: dict[str, Array] = {}
        self.attributes: dict[str, Any] = {}

    def constant(self, array: Array) -> None:
        """One more input, a constant."""
        name = f"{self.outputs[0]}/{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        self.inputs.append(name)

    def axis(self) -> int:
        """Any axis, counted from either end."""
        return int(self.rng.integers(-self.x.ndim, self.x.ndim))

    def other(self) -> None:
        """One more operand that broadcasts: a value of such a shape, or a constant."""
        fits = [
            name
            for name, array in self.drawn.values.items()
            if array.dtype == self.x.dtype and _broadcasts(array.shape, self.x.shape)
        ]
        if self.rng.random() < 0.5:
            self.inputs.append(str(self.rng.choice(fits)))
            return
        dims = [int(self.rng.choice([1, dim])) for dim in self.x.shape]
        shape = tuple(dims[int(self.rng.integers(0, len(dims) + 1)) :])
        made = _integers if self.x.dtype.kind in "iu" else _reals
        self.constant(made(self.rng, shape).astype(self.x.dtype))


def _broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    try:
        np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        return False
    return True


def _shape(rng: Rng, rank: int) -> tuple[int, ...]:
    return tuple(int(size) for size in rng.choice(SIZES, rank))


def _reals(rng: Rng, shape: Sequence[int]) -> Array:
    scale = 10 ** rng.uniform(-1, 1)
    return np.asarray(rng.normal(0, scale, tuple(shape)), np.float32)


def _integers(rng: Rng, shape: Sequence[int]) -> Array:
    reach = int(rng.choice([1, 9, 100, 1000]))
    low = int(rng.choice([-reach, 0]))
    return np.asarray(rng.integers(low, reach + 1, tuple(shape)), np.int32)


# What each operator has beside its first input


def _plain(draft: _Draft, op: str) -> None:
    """Nothing."""


def _binary(draft: _Draft, op: str) -> None:
    draft.other()
    if draft.rng.random() < 0.5:
        draft.inputs.reverse()


def _with_axis(draft: _Draft, op: str) -> None:
    draft.attributes["axis"] = draft.axis()


def _reduced(draft: _Draft, op: str) -> None:
    count = int(draft.rng.integers(1, draft.x.ndim + 1))
    axes = draft.rng.choice(draft.x.ndim, count, replace=False)
    axes = np.where(draft.rng.random(count) < 0.5, axes, axes - draft.x.ndim)
    if draft.drawn.opset >= (13 if op == "ReduceSum" else 18):
        draft.constant(axes.astype(np.int64))
    else:
        draft.attributes["axes"] = axes.tolist()
    draft.attributes["keepdims"] = int(draft.rng.integers(0, 2))


def _transposed(draft: _Draft, op: str) -> None:
    draft.attributes["perm"] = draft.rng.permutation(draft.x.ndim).tolist()


def _reshaped(draft: _Draft, op: str) -> None:
    dims = list(draft.x.shape)
    where = int(draft.rng.integers(0, len(dims)))
    shape = [-1, *dims[where + 1 :]] if draft.rng.random() < 0.5 else [*dims[:where], -1, 1]
    draft.constant(np.array(shape, np.int64))


def _unsqueezed(draft: _Draft, op: str) -> None:
    draft.constant(np.array([int(draft.rng.integers(-draft.x.ndim - 1, draft.x.ndim + 1))]))


def _sliced(draft: _Draft, op: str) -> None:
    axis = draft.axis()
    dim = draft.x.shape[axis]
    step = int(draft.rng.choice([1, 2, -1, -2]))
    ends = (0, dim) if step > 0 else (dim - 1, -dim - 1)
    shift = int(draft.rng.integers(0, 2))
    start = ends[0] + shift * (1 if step > 0 else -1)
    for number in (start, ends[1], axis, step):
        draft.constant(np.array([number], np.int64))


def _padded(draft: _Draft, op: str) -> None:
    draft.attributes["mode"] = str(draft.rng.choice(["constant", "edge", "reflect"]))
    draft.constant(draft.rng.integers(0, 2, 2 * draft.x.ndim).astype(np.int64))


def _gathered(draft: _Draft, op: str) -> None:
    axis = draft.axis()
    dim = draft.x.shape[axis]
    draft.attributes["axis"] = axis
    draft.constant(draft.rng.integers(-dim, dim, _shape(draft.rng, 1)).astype(np.int64))


def _tiled(draft: _Draft, op: str) -> None:
    draft.constant(draft.rng.integers(1, 3, draft.x.ndim).astype(np.int64))


def _joined(draft: _Draft, op: str) -> None:
    axis = draft.axis()
    draft.attributes["axis"] = axis
    dims = list(draft.x.shape)
    dims[axis] = int(draft.rng.choice(SIZES))
    made = _integers if draft.x.dtype.kind in "iu" else _reals
    if draft.rng.random() < 0.5:
        draft.inputs.append(draft.inputs[0])
    else:
        draft.constant(made(draft.rng, dims).astype(draft.x.dtype))


def _split(draft: _Draft, op: str) -> None:
    axis = draft.axis()
    dim = draft.x.shape[axis]
    first = int(draft.rng.integers(1, dim))  # of one element there are no two parts
    draft.attributes["axis"] = axis
    draft.outputs.append(f"{draft.outputs[0]}b")
    draft.constant(np.array([first, dim - first], np.int64))


def _product(draft: _Draft, op: str) -> None:
    made = _integers if draft.x.dtype.kind in "iu" else _reals
    inner = draft.x.shape[-1]
    shape = (inner, int(draft.rng.choice(SIZES)))
    draft.constant(made(draft.rng, shape).astype(draft.x.dtype))


def _convolved(draft: _Draft, op: str) -> None:
    rng, (channels, *dims) = draft.rng, draft.x.shape[1:]
    groups = int(rng.choice([g for g in (1, channels) if channels % g == 0]))
    kernel = [int(rng.integers(1, min(dim, 3) + 1)) for dim in dims]
    shape = (groups * int(rng.integers(1, 3)), channels // groups, *kernel)
    draft.constant(_reals(rng, shape))
    if rng.random() < 0.5:
        draft.constant(_reals(rng, shape[:1]))
    draft.attributes |= {"group": groups, **_windows(rng, kernel)}


def _pooled(draft: _Draft, op: str) -> None:
    kernel = [int(draft.rng.integers(1, min(dim, 3) + 1)) for dim in draft.x.shape[2:]]
    if not kernel:
        raise ValueError("no axis to pool over")
    draft.attributes |= {"kernel_shape": kernel, **_windows(draft.rng, kernel)}
    draft.attributes.pop("dilations")
    if op == "AveragePool":
        draft.attributes["count_include_pad"] = int(draft.rng.integers(0, 2))


def _windows(rng: Rng, kernel: Sequence[int]) -> dict[str, list[int]]:
    pads = [int(rng.integers(0, size)) for size in (*kernel, *kernel)]
    strides, dilations = (rng.integers(1, 3, len(kernel)).tolist() for _ in range(2))
    return {"pads": pads, "strides": strides, "dilations": dilations}


def _normalised(draft: _Draft, op: str) -> None:
    if draft.drawn.opset < 17:
        raise ValueError("no operator of this opset")
    if draft.x.shape[-1] < 3:
        raise ValueError("too short a line: its values are but signs")
    draft.attributes["axis"] = -1
    for _ in range(2):
        draft.constant(_reals(draft.rng, draft.x.shape[-1:]))


def _clipped(draft: _Draft, op: str) -> None:
    low, high = sorted(draft.x.reshape(-1)[:2]) if draft.x.size > 1 else (-1, 1)
    for number in (low, high):
        draft.constant(np.array(number, draft.x.dtype))


def _divided(draft: _Draft, op: str) -> None:
    """By constants other than 0."""
    draft.other()
    name = draft.inputs[1]
    given = draft.constants.get(name)
    if given is None:
        raise ValueError("only constant divisors")
    least = np.asarray(1, given.dtype)
    draft.constants[name] = np.where(given == 0, least, given)
    if op == "Mod":
        draft.attributes["fmod"] = int(draft.rng.integers(0, 2))


def _summed(draft: _Draft, op: str) -> None:
    draft.constant(np.array(draft.axis()))
    draft.attributes |= {
        "exclusive": int(draft.rng.integers(0, 2)),
        "reverse": int(draft.rng.integers(0, 2)),
    }


def _sorted(draft: _Draft, op: str) -> None:
    axis = draft.axis()
    draft.constant(np.array([int(draft.rng.integers(1, draft.x.shape[axis] + 1))], np.int64))
    draft.attributes |= {"axis": axis, "largest": int(draft.rng.integers(0, 2))}
    draft.outputs.append(f"{draft.outputs[0]}i")


Details = Callable[[_Draft, str], None]

MOVES: dict[str, Details] = {
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Unsqueeze": _unsqueezed,
    "Slice": _sliced,
    "Pad": _padded,
    "Gather": _gathered,
    "Tile": _tiled,
    "Concat": _joined,
    "Split": _split,
    "Flatten": _with_axis,
}

REAL: dict[str, Details] = {
    **MOVES,
    **dict.fromkeys(("Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Softplus", "HardSwish"), _plain),
    **dict.fromkeys(("LeakyRelu", "Elu", "Erf", "Softsign"), _plain),
    **dict.fromkeys(("Add", "Sub", "Mul", "Min", "Max"), _binary),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _with_axis),
    **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1"), _reduced),
    **dict.fromkeys(("MaxPool", "AveragePool"), _pooled),
    "MatMul": _product,
    "Conv": _convolved,
    "LayerNormalization": _normalised,
    "Clip": _clipped,
    "CumSum": _summed,
}

WHOLE: dict[str, Details] = {
    **MOVES,
    **dict.fromkeys(("Add", "Sub", "Mul", "Min", "Max"), _binary),
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor"), _binary),
    **dict.fromkeys(("Abs", "Neg", "Sign", "Relu"), _plain),
    **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMin", "ReduceMean"), _reduced),
    **dict.fromkeys(("Div", "Mod"), _divided),
    "MatMul": _product,
    "Clip": _clipped,
    "CumSum": _summed,
    "TopK": _sorted,
    "ArgMax": _with_axis,
}


def rounded(array: Array, bits: int = 8) -> Array:
    """Reals rounded to a code of so many bits on their own range."""
    low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
    step = (high - low) / (2**bits - 1)
    if step == 0.0 or not math.isfinite(step):
        return array
    return np.asarray(np.rint(array.astype(np.float64) / step) * step, array.dtype)
