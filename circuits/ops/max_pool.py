"""MaxPool and GlobalMaxPool: the largest value of each window; what is outside never wins."""

from __future__ import annotations

import numpy as np

from ...verifier.program.types import PickMode
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, clear_padding, over, windows
from ..operator import Operator, computed, first
from ..tape import Tape, of_first
from .windows_back import scattered

LOWEST = -3.0e38
"""Below what a network computes: no padding is the largest of a window."""


def support(node: Node, graph: Graph) -> str | None:
    """The second output (indices) only for a MaxUnpool of the same windows."""
    if any(graph.consumers(name) or name in graph.outputs for name in node.outputs[1:] if name):
        return "its second output (Indices) is used"
    return first(computed(node, graph), clear_padding(node))


def lower(node: Node, builder: Builder) -> None:
    """One pick of mode max; the scale stays."""
    x = builder.values[node.inputs[0]]
    frame = windows(node, builder.graph, node.attributes["kernel_shape"])
    maps = (along(0), along(1), *frame.maps(2, 0))
    pad = x.code.lo if frame.needs_pad else None
    source = builder.read(x, maps, pad=pad, raw=True)
    out = builder.define(node, x.code)
    builder.pick(out, builder.shape(node), source, mode=PickMode.MAX, window=frame.kernel)


def lower_global(node: Node, builder: Builder) -> None:
    """One pick, the window is the image."""
    x = builder.values[node.inputs[0]]
    dims = x.shape[2:]
    maps = (along(0), along(1), *(over(axis) for axis in range(len(dims))))
    source = builder.read(x, maps, raw=True)
    out = builder.define(node, x.code)
    builder.pick(out, x.shape[:2], source, mode=PickMode.MAX, window=dims)


def _back(node: Node, tape: Tape, dy: str) -> str:
    """To the first position of each window that holds its largest value.

    A position of all windows is a slice of the padded input; those that hold the largest are told
    apart one after the other, and put back by kernels that have a single 1.
    """
    x = node.inputs[0]
    frame = windows(node, tape.graph, node.attributes["kernel_shape"])
    rank, channels = len(frame.dims), tape.shape(x)[1]
    reach = [
        (out - 1) * stride + (kernel - 1) * dilation + 1 - begin - dim
        for out, stride, kernel, dilation, begin, dim in zip(
            frame.out,
            frame.strides,
            frame.kernel,
            frame.dilations,
            frame.begins,
            frame.dims,
            strict=True,
        )
    ]
    ends = [max(size, 0) for size in reach]
    padded = tape.padded(x, [0, 0, *frame.begins], [0, 0, *ends], LOWEST)
    parts, rest = [], dy
    for place in np.ndindex(*frame.kernel):
        cuts = {
            2 + n: (at * dilation, at * dilation + (out - 1) * stride + 1, stride)
            for n, (at, dilation, out, stride) in enumerate(
                zip(place, frame.dilations, frame.out, frame.strides, strict=True)
            )
        }
        mask = tape.compare("Equal", tape.sliced(padded, cuts), node.output)
        parts.append(tape.masked(mask, rest))
        rest = tape.where(mask, tape.constant(0.0), rest)
    spaced = [tape.reshape(part, (*_split(tape, part), *frame.out)) for part in parts]
    count = len(parts)
    beside = tape.reshape(tape.concat(spaced, 2), (tape.shape(dy)[0], channels * count, *frame.out))
    single = np.tile(np.eye(count).reshape(count, 1, *frame.kernel), (channels, 1, *[1] * rank))
    return scattered(tape, beside, tape.constant(single), frame, channels)


def _split(tape: Tape, name: str) -> tuple[int, int, int]:
    batch, channels = tape.shape(name)[:2]
    return batch, channels, 1


def _global_back(node: Node, tape: Tape, dy: str) -> str:
    """To the values that are the largest, in equal shares."""
    mask = tape.as_float(tape.compare("Equal", node.inputs[0], node.output))
    return tape.mul(mask, tape.div(dy, tape.sum(mask, range(2, len(tape.shape(dy))))))


OPERATORS = (
    Operator(("MaxPool",), lower, support, spatial=True, gradient=of_first(_back)),
    Operator(
        ("GlobalMaxPool",), lower_global, computed, spatial=True, gradient=of_first(_global_back)
    ),
)
