"""Sliding windows backwards: values of windows added up at the positions that they came from."""

from __future__ import annotations

from ..maps import Windows
from ..tape import Tape


def scattered(tape: Tape, dy: str, weight: str, frame: Windows, groups: int) -> str:
    """Dy [N, C, ...windows] times weights [C, O/groups, ...kernel], summed at each position.

    That is a transposed convolution; positions beyond the last window get zeros.
    """
    rank = len(frame.dims)
    reach = [
        (out - 1) * stride + (kernel - 1) * dilation + 1 - begin
        for out, stride, kernel, dilation, begin in zip(
            frame.out, frame.strides, frame.kernel, frame.dilations, frame.begins, strict=True
        )
    ]
    cut = [max(size - dim, 0) for size, dim in zip(reach, frame.dims, strict=True)]
    left = [max(dim - size, 0) for size, dim in zip(reach, frame.dims, strict=True)]
    channels = tape.shape(weight)[1] * groups
    made = tape.emit(
        "ConvTranspose",
        (dy, weight),
        (tape.shape(dy)[0], channels, *(d - gap for d, gap in zip(frame.dims, left, strict=True))),
        strides=frame.strides,
        dilations=frame.dilations,
        pads=[*frame.begins, *cut],
        group=groups,
    )
    return tape.padded(made, [0] * (2 + rank), [0, 0, *left])
