"""Conv: y[n,o] = b[o] + Σ w[o,c,k]·x[n,c,s·p + d·k - begin], grouped, any spatial rank."""

from __future__ import annotations

from ..builder import Builder
from ..graph import Graph, Node
from ..maps import along, over, windows
from ..operator import Operator, computed, constants, first


def support(node: Node, graph: Graph) -> str | None:
    """Weights and bias must be constants, the input computed, at most four spatial axes."""
    if len(graph.shapes[node.inputs[0]]) > 6:
        return "it has more than four spatial axes"
    return first(computed(node, graph), constants(node, graph, 1, 2))


def lower(node: Node, builder: Builder) -> None:
    """One dot over [c, k]: space [N, O, P], or [N, G, O/G, P] where there are groups."""
    graph = builder.graph
    x = builder.values[node.inputs[0]]
    weight = graph.constants[node.inputs[1]]
    bias = graph.constant(node.input(2))
    groups = int(node.attributes.get("group", 1))
    batch, outputs = builder.shape(node)[:2]
    inner, kernel = weight.shape[1], weight.shape[2:]
    frame = windows(node, graph, kernel)
    pad = x.code.zero if frame.needs_pad else None
    window_maps = tuple(over(1 + axis) for axis in range(len(kernel)))
    split = (outputs,) if groups == 1 else (groups, outputs // groups)
    channel = tuple(along(1 + axis) for axis in range(len(split)))
    view = (batch, *split[:-1], inner, *frame.dims)
    own = (along(0), *channel[:-1], over(0))
    space = (batch, *split, *frame.out)
    maps = (*own, *frame.maps(1 + len(split), 1))
    weight_read = ((*split, *weight.shape[1:]), (*channel, over(0), *window_maps))
    source = (builder.read(x, maps, view=view, pad=pad), x.code.scale)
    builder.weighted(
        node,
        space,
        (inner, *kernel),
        source,
        weight,
        bias,
        weight_read,
        (split, channel),
        graph.grids.get(node.inputs[1]),
    )


OPERATOR = Operator(("Conv",), lower, support, takes_activation=True, spatial=True)
