"""DepthToSpace and SpaceToDepth: blocks of channels are blocks of pixels."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Node
from ..maps import along
from ..operator import Operator, computed

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


OPERATOR = Operator(("DepthToSpace", "SpaceToDepth"), lower, computed, takes_integers=True)
