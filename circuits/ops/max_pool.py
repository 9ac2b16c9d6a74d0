"""MaxPool and GlobalMaxPool: the largest value of each window; what is outside never wins."""

from __future__ import annotations

from ...verifier.program.types import PickMode
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, clear_padding, over, windows
from ..operator import Operator, computed, first


def support(node: Node, graph: Graph) -> str | None:
    """The second output (indices) is not supported."""
    if len([name for name in node.outputs if name]) > 1:
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


OPERATORS = (
    Operator(("MaxPool",), lower, support, spatial=True),
    Operator(("GlobalMaxPool",), lower_global, computed, spatial=True),
)
