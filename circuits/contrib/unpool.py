"""MaxUnpool by the places that a MaxPool took its values from."""

from __future__ import annotations

import itertools

import onnx
from onnx import helper

from .emit import Emit

HINT = "only windows side by side, with the indices of their own MaxPool, are put back"


def max_unpool(emit: Emit) -> None:
    """Where the window's largest value was, the first of equals, stands the value; the rest is 0.

    The windows of the MaxPool lie side by side. Each of their places is a strided slice of what the
    MaxPool read, which equals its output where the largest value is.
    """
    pool = emit.producer(emit.given(1))
    if pool is None or pool.op_type != "MaxPool" or list(pool.output).index(emit.given(1)) != 1:
        raise emit.refuse("its indices are not those of a MaxPool", HINT)
    dims, kernel = _windows(emit, pool)
    spatial = range(2, len(dims))
    masks, rest = [], emit.given(0)
    zero = emit.number(0.0)
    for place in itertools.product(*map(range, kernel)):
        ends = [size // step * step for size, step in zip(dims[2:], kernel, strict=True)]
        here = emit.op(
            "Slice",
            pool.input[0],
            emit.integers(*place),
            emit.integers(*ends),
            emit.integers(*spatial),
            emit.integers(*kernel),
        )
        found = emit.op("Equal", here, pool.output[0])
        masks.append(emit.unsqueeze(emit.op("Where", found, rest, zero), len(dims)))
        rest = emit.op("Where", found, zero, rest)
    _laid_out(emit, emit.op("Concat", *masks, axis=len(dims)), dims, kernel)


def _windows(emit: Emit, pool: onnx.NodeProto) -> tuple[list[int], list[int]]:
    """Sizes of what the MaxPool reads, and of its windows."""
    given = {a.name: helper.get_attribute_value(a) for a in pool.attribute}
    kernel = list(given["kernel_shape"])
    axes = len(emit.dims(pool.input[0]))
    dims = [0, 0, *(emit.size(pool.input[0], axis) for axis in range(2, axes))]
    own = [list(emit.attribute(name, [])) for name in ("kernel_shape", "strides")]
    padded = any(given.get("pads", ())) or any(emit.attribute("pads", ()))
    plain = given.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    plain = plain and not given.get("ceil_mode", 0) and not given.get("storage_order", 0)
    steps = list(given.get("strides", [1] * len(kernel)))
    if not plain or padded or set(given.get("dilations", [1])) != {1} or steps != kernel:
        raise emit.refuse("its MaxPool has windows that overlap, or pads", HINT)
    if own != [kernel, kernel]:
        raise emit.refuse("its windows are not those of its MaxPool", HINT)
    name = emit.input(2)
    asked = None if name is None else emit.known(name)
    whole = [size // step * step for size, step in zip(dims[2:], kernel, strict=True)]
    shape = whole if name is None else [] if asked is None else asked.reshape(-1).tolist()[2:]
    if shape != dims[2:]:
        raise emit.refuse("its output has not the shape that its MaxPool reads", HINT)
    return dims, kernel


def _laid_out(emit: Emit, beside: str, dims: list[int], kernel: list[int]) -> None:
    """[n, c, *windows, places] as an image, with zeros where no window is."""
    rank = len(kernel)
    counts = [size // step for size, step in zip(dims[2:], kernel, strict=True)]
    apart = emit.reshape(beside, 0, 0, *counts, *kernel)
    turned = [axis for n in range(rank) for axis in (2 + n, 2 + rank + n)]
    mixed = emit.transpose(apart, 0, 1, *turned)
    covered = [count * step for count, step in zip(counts, kernel, strict=True)]
    rest = [size - held for size, held in zip(dims[2:], covered, strict=True)]
    if not any(rest):
        emit.reshape(mixed, 0, 0, *covered, out=emit.node.output[0])
        return
    image = emit.reshape(mixed, 0, 0, *covered)
    pads = emit.integers(0, 0, *[0] * rank, 0, 0, *rest)
    emit.op("Pad", image, pads, out=emit.node.output[0])
