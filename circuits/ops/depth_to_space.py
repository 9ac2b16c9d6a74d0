"""DepthToSpace and SpaceToDepth: blocks of channels are blocks of pixels."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Node
from ..maps import along
from ..operator import Operator, computed
from ..tape import Tape, of_first

VIEWS = {
    ("DepthToSpace", "DCR"): ("yxcHW", "cHyWx"),
    ("DepthToSpace", "CRD"): ("cyxHW", "cHyWx"),
    ("SpaceToDepth", "DCR"): ("cHyWx", "yxcHW"),
    ("SpaceToDepth", "CRD"): ("cHyWx", "cyxHW"),
}
"""Axes of the input and of the output after the batch: channels, rows, columns, inside a block."""


def lower(node: Node, builder: Builder) -> None:
    """One copy whose view and space split the axes, in another order."""
    x = builder.values[node.inputs[0]]
    block = int(node.attributes["blocksize"])
    batch, channels, rows, columns = x.shape
    if node.op == "DepthToSpace":
        channels //= block**2
    else:
        rows, columns = rows // block, columns // block
    sizes = {"n": batch, "c": channels, "H": rows, "W": columns, "y": block, "x": block}
    mode = node.attributes.get("mode", "DCR")
    read, made = (f"n{axes}" for axes in VIEWS[node.op, mode])
    source = builder.read(
        x,
        [along(made.index(axis)) for axis in read],
        view=[sizes[axis] for axis in read],
        raw=True,
    )
    out = builder.define_like(node, x)
    builder.pick(out, [sizes[axis] for axis in made], source)


def _back(node: Node, tape: Tape, dy: str) -> str:
    """The blocks put back: the other way round, with the mode of this node."""
    read, made = VIEWS[node.op, node.attributes.get("mode", "DCR")]
    block, shape = int(node.attributes["blocksize"]), tape.shape(node.inputs[0])
    wide, high = max(shape[-1], tape.shape(dy)[-1]), max(shape[-2], tape.shape(dy)[-2])
    deep = min(shape[1], tape.shape(dy)[1])
    sizes = {"c": deep, "H": high // block, "W": wide // block, "y": block, "x": block}
    split = tape.reshape(dy, (shape[0], *(sizes[axis] for axis in made)))
    turned = tape.transpose(split, (0, *(1 + made.index(axis) for axis in read)))
    return tape.reshape(turned, shape)


OPERATOR = Operator(
    ("DepthToSpace", "SpaceToDepth"),
    lower,
    computed,
    takes_integers=True,
    gradient=of_first(_back),
)
