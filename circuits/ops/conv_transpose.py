"""ConvTranspose: y[n,o,p] = b[o] + Σ w[c,o,k]·x[n,c,(p + begin - d·k)/s], over whole indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...verifier.program.types import ABSENT, AxisMap
from ..builder import Builder
from ..graph import Array, Graph, Node
from ..maps import Windows, along, over
from ..operator import Operator, computed, constants, first
from ..quantise import Grid
from ..tape import Tape
from .conv import by_values, correlated


def support(node: Node, graph: Graph) -> str | None:
    """The input is computed; so may be the weights. At most four spatial axes."""
    if len(graph.shapes[node.inputs[0]]) > 6:
        return "it has more than four spatial axes"
    if graph.constant(node.inputs[1]) is not None:
        return first(computed(node, graph), constants(node, graph, 2))
    return computed(node, graph)


@dataclass(frozen=True)
class Frame:
    """The spatial axes: what is cut off before the output, and the steps of input and kernel."""

    kernel: tuple[int, ...]
    begins: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]

    def maps(self, first_i: int, first_k: int) -> list[AxisMap]:
        """Maps of the input's axes, for space and window axes from these numbers on."""
        axes = zip(self.kernel, self.begins, self.strides, self.dilations, strict=True)
        return [
            AxisMap(first_i + n, 1, first_k + n, -dilation, begin, stride)
            if size > 1
            else AxisMap(first_i + n, 1, ABSENT, 0, begin, stride)
            for n, (size, begin, stride, dilation) in enumerate(axes)
        ]


def frame(node: Node, graph: Graph, kernel: Sequence[int]) -> Frame:
    """The frame of a node; sizes that are asked for (`output_shape`, SAME) say what is cut off."""
    dims, out = graph.shapes[node.inputs[0]][2:], graph.shapes[node.output][2:]
    rank, get = len(dims), node.attributes.get
    strides, dilations = get("strides") or [1] * rank, get("dilations") or [1] * rank
    added = get("output_padding") or [0] * rank
    mode = get("auto_pad", "NOTSET")
    begins = list((get("pads") or [0] * (2 * rank))[:rank])
    if mode == "VALID" and not get("output_shape"):
        begins = [0] * rank
    elif get("output_shape") or mode != "NOTSET":
        whole = [
            stride * (dim - 1) + more + (size - 1) * dilation + 1
            for dim, size, stride, dilation, more in zip(
                dims, kernel, strides, dilations, added, strict=True
            )
        ]
        cut = [max(total - size, 0) for total, size in zip(whole, out, strict=True)]
        begins = [each // 2 if mode == "SAME_UPPER" else each - each // 2 for each in cut]
    return Frame(tuple(kernel), tuple(begins), tuple(strides), tuple(dilations))


def lower(node: Node, builder: Builder) -> None:
    """One dot over [c, k]: space [N, O, P], or [N, G, O/G, P] where there are groups."""
    graph = builder.graph
    x = builder.values[node.inputs[0]]
    groups = int(node.attributes.get("group", 1))
    batch, outputs, *out = builder.shape(node)
    sizes = graph.size(node.inputs[1])
    inner, kernel = sizes[0] // groups, sizes[2:]
    found = frame(node, graph, kernel)
    split = (outputs,) if groups == 1 else (groups, outputs // groups)
    channel = tuple(along(1 + axis) for axis in range(len(split)))
    window_maps = tuple(over(1 + axis) for axis in range(len(kernel)))
    maps = (along(0), *channel[:-1], over(0), *found.maps(1 + len(split), 1))
    view = (batch, *split[:-1], inner, *x.shape[2:])
    source = (builder.read(x, maps, view=view, pad=x.code.zero), x.code.scale)
    space, window = (batch, *split, *out), (inner, *kernel)
    constant = graph.constant(node.inputs[1])
    if constant is None:
        # Weights [C, O/G, k] are read as they stand: by group, input, output.
        own = (*channel[:-1], over(0), channel[-1], *window_maps)
        read = ((*split[:-1], inner, *sizes[1:]), own)
        by_values(node, builder, space, window, source, read, (split, channel))
        return
    weight = by_output(constant, groups)
    builder.weighted(
        node,
        space,
        window,
        source,
        weight,
        graph.constant(node.input(2)),
        ((*split, *weight.shape[1:]), (*channel, over(0), *window_maps)),
        (split, channel),
        _grid_by_output(graph.grids.get(node.inputs[1]), groups, weight.ndim),
    )


def _grid_by_output(grid: Grid | None, groups: int, rank: int) -> Grid | None:
    """The grid of weights by output; None where a group has channels of its own."""
    if grid is None or grid.scale.size == grid.zero.size == 1:
        return grid
    return grid.transposed((1, 0, *range(2, rank))) if groups == 1 else None


def by_output(weight: Array, groups: int) -> Array:
    """Weights [C, O/G, k] as those of a Conv: [O, C/G, k]."""
    inner = len(weight) // groups
    split = weight.reshape(groups, inner, *weight.shape[1:])
    return np.swapaxes(split, 1, 2).reshape(-1, inner, *weight.shape[2:])


def gradient(node: Node, tape: Tape, given: Sequence[str | None]) -> Mapping[int, str]:
    """A convolution of the gradient for x; the weights' is that of this convolution's weights."""
    dy = given[0]
    if dy is None:
        return {}
    x, weight = node.inputs[:2]
    groups = int(node.attributes.get("group", 1))
    found, dims = frame(node, tape.graph, tape.shape(weight)[2:]), tape.shape(dy)[2:]
    places = tape.shape(x)[2:]
    axes = zip(
        places, dims, found.kernel, found.begins, found.strides, found.dilations, strict=True
    )
    ends = tuple(
        max((place - 1) * stride + (size - 1) * step + 1 - begin - dim, 0)
        for place, dim, size, begin, stride, step in axes
    )
    windows = Windows(
        dims, places, found.kernel, found.strides, found.dilations, found.begins, ends
    )
    shape = (*tape.shape(x)[:2], *_count(windows))
    slope = tape.emit(
        "Conv", (dy, weight), shape, strides=windows.strides, dilations=windows.dilations,
        pads=[*windows.begins, *ends], group=groups,
    )  # fmt: skip
    result = {
        0: tape.sliced(slope, {2 + n: (0, size, 1) for n, size in enumerate(places)}),
        1: correlated(tape, dy, x, tape.shape(weight)[:2], windows, groups),
    }
    if node.input(2) is not None:
        result[2] = tape.sum(dy, [0, *range(2, len(tape.shape(dy)))], keep=False)
    return result


def _count(frame: Windows) -> list[int]:
    """Windows that have a place: those of x, and one more where the output was padded."""
    axes = zip(
        frame.dims, frame.begins, frame.ends, frame.kernel, frame.strides, frame.dilations,
        strict=True,
    )  # fmt: skip
    return [
        (dim + begin + end - (size - 1) * step - 1) // stride + 1
        for dim, begin, end, size, stride, step in axes
    ]


OPERATOR = Operator(
    ("ConvTranspose",), lower, support, takes_activation=True, spatial=True, gradient=gradient
)
