"""Long products, and powers of windows: of ONNX, by operators whose values are calibrated.

A product that is written in one op needs codes for all that its factors could give. Halved, each
half is a value of its own, whose range is measured like any other.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from .emit import Emit

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)

FACTORS_MAX = 8
"""Values of a product in one node: each step's code covers all that the factors so far can give."""


def reduce_prod(emit: Emit) -> None:
    """More than eight floats: the product of halves, again and again."""
    x = emit.given(0)
    axes = _axes(emit, x)
    dims = emit.known_dims(x)
    sizes = None if axes is None or dims is None else [dims[axis] for axis in axes]
    if emit.kind(x) not in FLOATS or sizes is None or None in sizes or axes is None:
        emit.keep()
        return
    counts = [size for size in sizes if size is not None]
    if math.prod(counts) <= FACTORS_MAX or 0 in counts:
        emit.keep()
        return
    for axis, count in zip(axes, counts, strict=True):
        x = _product(emit, x, axis, count)
    out = emit.node.output[0]
    if emit.attribute("keepdims", 1):
        emit.op("Identity", x, out=out)
    else:
        emit.squeeze(x, *axes, out=out)


def _axes(emit: Emit, x: str) -> list[int] | None:
    """The axes, ascending; None where they are not known."""
    dims, name = emit.known_dims(x), emit.input(1)
    given = emit.attribute("axes", None)
    if name is not None:
        array = emit.known(name)
        given = None if array is None else array.reshape(-1).tolist()
    if dims is None or (name is not None and given is None):
        return None
    if not given:
        return [] if emit.attribute("noop_with_empty_axes", 0) else list(range(len(dims)))
    return sorted(int(axis) % len(dims) for axis in given)


def _product(emit: Emit, x: str, axis: int, count: int) -> str:
    """Along one axis, which stays as an axis of 1; what is odd is multiplied in the end."""
    over = []
    while count > 1:
        half = count // 2
        left, right = (_part(emit, x, axis, half * n, half * (n + 1)) for n in range(2))
        if count % 2:
            over.append(_part(emit, x, axis, count - 1, count))
        x, count = emit.op("Mul", left, right), half
    for each in reversed(over):
        x = emit.op("Mul", x, each)
    return x


def _part(emit: Emit, x: str, axis: int, start: int, end: int) -> str:
    return emit.slice(x, emit.integers(start), emit.integers(end), axis)


def cum_prod(emit: Emit) -> None:
    """Each product of up to 2^n values is that of two products of up to 2^(n-1)."""
    x, at = emit.given(0), emit.known(emit.given(1))
    dims = emit.known_dims(x)
    if at is None or dims is None or dims[int(at.item())] is None:
        raise emit.refuse(
            "its axis, or the size of that axis, is not known from the file",
            "give the axis as a constant, and sizes to the model's inputs",
        )
    axis = int(at.item()) % len(dims)
    count, turned = emit.size(x, axis), bool(emit.attribute("reverse", 0))
    kind = emit.kind(x) or TensorProto.FLOAT
    x = _reversed(emit, x, axis, count) if turned else x
    if emit.attribute("exclusive", 0):
        first = emit.op("Shape", _part(emit, x, axis, 0, 1))
        one = numpy_helper.from_array(np.ones(1, helper.tensor_dtype_to_np_dtype(kind)))
        ones = emit.op("ConstantOfShape", first, value=one)
        rest = [_part(emit, x, axis, 0, count - 1)] if count > 1 else []
        x = emit.op("Concat", ones, *rest, axis=axis)
    reach = 1
    while reach < count:
        head, early = (_part(emit, x, axis, 0, end) for end in (reach, count - reach))
        late = emit.op("Mul", _part(emit, x, axis, reach, count), early)
        x = emit.op("Concat", head, late, axis=axis)
        reach *= 2
    x = _reversed(emit, x, axis, count) if turned else x
    emit.op("Identity", x, out=emit.node.output[0])


def _reversed(emit: Emit, x: str, axis: int, count: int) -> str:
    return emit.slice(x, emit.integers(-1), emit.integers(-count - 1), axis, -1)


def lp_pool(emit: Emit) -> None:
    """(Σ|x|^p)^(1/p) of other p than 1 and 2: powers, their sums, roots."""
    p = emit.attribute("p", 2)
    if p in (1, 2):
        emit.keep()
        return
    if p < 1:
        raise emit.refuse(f"its p is {p}", "give it a p of at least 1")
    power = emit.op("Pow", emit.op("Abs", emit.given(0)), emit.number(float(p)))
    own = [attribute for attribute in emit.attributes() if attribute.name != "p"]
    total = emit.op(emit.node.op_type, power, p=1)
    emit.nodes[-1].attribute.extend(own)
    emit.op("Pow", total, emit.number(1.0 / p), out=emit.node.output[0])
