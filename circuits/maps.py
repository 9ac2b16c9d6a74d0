"""Axis maps by name, and the affine windows of convolutions and pools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..verifier.program.types import ABSENT, AxisMap
from .graph import Graph, Node


def along(i_axis: int, step: int = 1, offset: int = 0) -> AxisMap:
    """Index = step·i + offset."""
    return AxisMap(i_axis=i_axis, a=step, c=offset)


def over(k_axis: int) -> AxisMap:
    """Index = k."""
    return AxisMap(k_axis=k_axis, b=1)


def at(index: int = 0) -> AxisMap:
    """The same index for all gates."""
    return AxisMap(c=index)


def rows(rank: int) -> tuple[AxisMap, ...]:
    """Index = i on every axis of a space of this rank."""
    return tuple(along(axis) for axis in range(rank))


def broadcast(shape: Sequence[int], rank: int) -> tuple[AxisMap, ...]:
    """Maps of a tensor of `shape` into a space of `rank` axes, by numpy's broadcasting."""
    first = rank - len(shape)
    return tuple(at() if dim == 1 else along(first + axis) for axis, dim in enumerate(shape))


@dataclass(frozen=True)
class Windows:
    """Sliding windows over spatial axes; all fields have one entry per axis."""

    dims: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def needs_pad(self) -> bool:
        """Whether any window reaches outside the tensor."""
        last = (
            (out - 1) * stride + (kernel - 1) * dilation - begin
            for out, stride, kernel, dilation, begin in zip(
                self.out, self.strides, self.kernel, self.dilations, self.begins, strict=True
            )
        )
        reaches = any(index >= dim for index, dim in zip(last, self.dims, strict=True))
        return any(self.begins) or reaches

    def maps(self, first_i: int, first_k: int) -> tuple[AxisMap, ...]:
        """Maps of the spatial axes, for space and window axes from these numbers on."""
        axes = zip(self.strides, self.dilations, self.begins, strict=True)
        return tuple(
            AxisMap(i_axis=first_i + n, a=stride, k_axis=first_k + n, b=dilation, c=-begin)
            if self.kernel[n] > 1
            else AxisMap(i_axis=first_i + n, a=stride, k_axis=ABSENT, b=0, c=-begin)
            for n, (stride, dilation, begin) in enumerate(axes)
        )


def windows(node: Node, graph: Graph, kernel: Sequence[int]) -> Windows:
    """The windows of a Conv or pool node over its first input [N, C, ...spatial]."""
    dims = graph.shapes[node.inputs[0]][2:]
    out = graph.shapes[node.output][2:]
    ones = [1] * len(dims)
    strides = node.attributes.get("strides") or ones
    dilations = node.attributes.get("dilations") or ones
    begins, ends = _padding(node, dims, kernel, strides, dilations)
    return Windows(
        tuple(dims), tuple(out), tuple(kernel), tuple(strides), tuple(dilations), begins, ends
    )


def clear_padding(node: Node) -> str | None:
    """A reason against a pool whose padding is not the same for all readers of ONNX."""
    dilated = any(step != 1 for step in node.attributes.get("dilations") or ())
    if dilated and node.attributes.get("auto_pad", "NOTSET").startswith("SAME"):
        return "auto_pad is SAME, and it has dilations, which onnxruntime leaves out of its padding"
    return None


def _padding(
    node: Node,
    dims: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rank = len(dims)
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = node.attributes.get("pads") or [0] * (2 * rank)
        return tuple(pads[:rank]), tuple(pads[rank:])
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    begins, ends = [], []
    for dim, k, stride, dilation in zip(dims, kernel, strides, dilations, strict=True):
        total = max((math.ceil(dim / stride) - 1) * stride + (k - 1) * dilation + 1 - dim, 0)
        small, large = total // 2, total - total // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return tuple(begins), tuple(ends)
