"""Conv: y[n,o] = b[o] + Σ w[o,c,k]·x[n,c,s·p + d·k - begin], grouped, any spatial rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...verifier.program.types import AxisMap, Read, Term
from ..builder import Builder
from ..graph import Graph, Node
from ..maps import Windows, along, over, windows
from ..operator import Operator, computed, constants, first
from ..tape import Tape
from .products import product_and_sum
from .windows_back import scattered


def support(node: Node, graph: Graph) -> str | None:
    """The input is computed; so may be the weights. At most four spatial axes."""
    if len(graph.shapes[node.inputs[0]]) > 6:
        return "it has more than four spatial axes"
    if graph.constant(node.inputs[1]) is not None:
        return first(computed(node, graph), constants(node, graph, 2))
    return computed(node, graph)


def lower(node: Node, builder: Builder) -> None:
    """One dot over [c, k]: space [N, O, P], or [N, G, O/G, P] where there are groups."""
    graph = builder.graph
    x = builder.values[node.inputs[0]]
    groups = int(node.attributes.get("group", 1))
    batch, outputs = builder.shape(node)[:2]
    sizes = graph.size(node.inputs[1])
    inner, kernel = sizes[1], sizes[2:]
    frame = windows(node, graph, kernel)
    pad = x.code.zero if frame.needs_pad else None
    window_maps = tuple(over(1 + axis) for axis in range(len(kernel)))
    split = (outputs,) if groups == 1 else (groups, outputs // groups)
    channel = tuple(along(1 + axis) for axis in range(len(split)))
    view = (batch, *split[:-1], inner, *frame.dims)
    own = (along(0), *channel[:-1], over(0))
    space = (batch, *split, *frame.out)
    maps = (*own, *frame.maps(1 + len(split), 1))
    weight_read = ((*split, *sizes[1:]), (*channel, over(0), *window_maps))
    source = (builder.read(x, maps, view=view, pad=pad), x.code.scale)
    weight = graph.constant(node.inputs[1])
    if weight is None:
        by_values(node, builder, space, (inner, *kernel), source, weight_read, (split, channel))
        return
    builder.weighted(
        node,
        space,
        (inner, *kernel),
        source,
        weight,
        graph.constant(node.input(2)),
        weight_read,
        (split, channel),
        graph.grids.get(node.inputs[1]),
    )


def by_values(
    node: Node,
    builder: Builder,
    space: Sequence[int],
    window: Sequence[int],
    source: tuple[Read, float],
    weight_read: tuple[Sequence[int], Sequence[AxisMap]],
    channel_read: tuple[Sequence[int], Sequence[AxisMap]],
) -> None:
    """A dot with computed weights and bias; the reads are as those of `Builder.weighted`."""
    weights, (operand, scale) = builder.values[node.inputs[1]], source
    view, maps = weight_read
    term = Term(tuple(window), operand, builder.read(weights, maps, view=view))
    product = term, scale * weights.code.scale
    product_and_sum(node, builder, space, product, (node.input(2), 1.0), lambda shape: channel_read)


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """A transposed convolution for x, one over batch and positions for the weights, a sum."""
    dy = given[0]
    if dy is None:
        return {}
    groups = int(node.attributes.get("group", 1))
    frame = windows(node, tape.graph, tape.shape(node.inputs[1])[2:])
    found = {
        0: scattered(tape, dy, node.inputs[1], frame, groups),
        1: correlated(tape, node.inputs[0], dy, tape.shape(node.inputs[1])[:2], frame, groups),
    }
    if node.input(2) is not None:
        found[2] = tape.sum(dy, [0, *range(2, len(tape.shape(dy)))], keep=False)
    return found


def correlated(
    tape: Tape, x: str, dy: str, channels: Sequence[int], frame: Windows, groups: int
) -> str:
    """The gradient of weights [*channels, k] of windows over x, by that of the output.

    Channels take the place of the batch, which is summed over.
    """
    outputs, inner = channels
    sizes = (frame.dims, frame.out, frame.kernel, frame.strides, frame.dilations)
    axes = list(zip(*sizes, strict=True))
    reach = [(out - 1) * stride + 1 + (kernel - 1) * step for _, out, kernel, stride, step in axes]
    ends = [
        max(size - begin - dim, 0)
        for size, begin, dim in zip(reach, frame.begins, frame.dims, strict=True)
    ]
    # Where the stride does not divide, dy has places beyond the kernel, which are cut off.
    places = [
        (dim + begin + end - (out - 1) * stride - 1) // step + 1
        for (dim, out, _, stride, step), begin, end in zip(axes, frame.begins, ends, strict=True)
    ]
    made = tape.emit(
        "Conv",
        (_inner_first(tape, x, groups), _swapped(tape, dy)),
        (inner, outputs, *places),
        strides=frame.dilations,
        dilations=frame.strides,
        pads=[*frame.begins, *ends],
        group=groups,
    )
    cut = tape.sliced(made, {2 + n: (0, size, 1) for n, size in enumerate(frame.kernel)})
    return _swapped(tape, cut)


def _swapped(tape: Tape, name: str) -> str:
    return tape.transpose(name, (1, 0, *range(2, len(tape.shape(name)))))


def _inner_first(tape: Tape, name: str, groups: int) -> str:
    """[N, G·C, ...] as [C, G·N, ...]."""
    batch, channels, *dims = tape.shape(name)
    split = tape.reshape(name, (batch, groups, channels // groups, *dims))
    turned = tape.transpose(split, (2, 1, 0, *range(3, 3 + len(dims))))
    return tape.reshape(turned, (channels // groups, groups * batch, *dims))


OPERATOR = Operator(
    ("Conv",), lower, support, takes_activation=True, spatial=True, gradient=gradient
)
