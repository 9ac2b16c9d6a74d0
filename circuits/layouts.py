"""How tensors are cut into Merkle leaves: one rule, by what reads them.

A checked gate opens whole leaves, so a leaf should hold what a gate reads together, and not much
else. Each leaf costs a salt (20 bytes) and its part of a Merkle path (32 bytes a level), hashing
takes sponge blocks of 48 bytes: very short leaves are nearly all overhead, very long ones send
what nobody asked for. Hence the rule:

* The *run* is what a gate reads at once: the last axis of a matrix, all of [in, ...] of a weight's
  output unit, W×C of an image (its axes in the order N, spatial, C).
* A run shorter than 192 bytes is merged with its neighbours along the axis before it (and so on)
  into leaves of the fewest whole runs that reach 192 bytes. The batch axis joins only if a whole
  item is that small, so that items are opened apart.
* A run longer than 2,048 bytes is cut in pieces of about 1,024.
* Vectors (biases, multipliers) and outputs, all of whose leaves are opened anyway, are one
  leaf up to 2,048 values.
"""

from __future__ import annotations

import math

from ..verifier.program.types import Layout

ROW_MIN = 192
ROW_MAX = 2048
PIECE = 1024
BLOCK = 48


def matrix(shape: tuple[int, ...], width: int, *, batched: bool = False, run: int = 1) -> Layout:
    """Row-major; the run is the last `run` axes."""
    return _layout(tuple(range(len(shape))), shape, width, run, batched)


def image(shape: tuple[int, ...], width: int, *, batched: bool = True) -> Layout:
    """[N, C, ...spatial] in the order N, spatial, C; the run is the last spatial axis times C."""
    order = (0, *range(2, len(shape)), 1)
    return _layout(order, shape, width, 2, batched)


def weight(shape: tuple[int, ...], width: int) -> Layout:
    """[out, ...in]: the run is one output unit; a vector is one leaf where it is short."""
    if len(shape) == 1:
        return flat(shape)
    return _layout(tuple(range(len(shape))), shape, width, len(shape) - 1, False)


def flat(shape: tuple[int, ...]) -> Layout:
    """Everything in one row, cut into pieces of 2,048 values."""
    return Layout(tuple(range(len(shape))), len(shape), min(math.prod(shape), ROW_MAX))


def record(shape: tuple[int, ...], width: int, *, spatial: bool = False) -> Layout:
    """Of a data tensor [slots, ...]: as of a matrix or image, but leaves lie within a record."""
    if spatial:
        order, run = (0, *range(2, len(shape)), 1), 2
    else:
        order, run = tuple(range(len(shape))), 1
    return _layout(order, shape, width, run, True, whole=True)


def _layout(
    order: tuple[int, ...],
    shape: tuple[int, ...],
    width: int,
    run_axes: int,
    batched: bool,
    *,
    whole: bool = False,
) -> Layout:
    permuted = [shape[axis] for axis in order]
    rank = len(permuted)
    trailing = min(run_axes, rank - 1 if whole else rank)
    run = row = math.prod(permuted[rank - trailing :])
    item = math.prod(permuted[1:])
    last = 1 if whole or (batched and item * width >= ROW_MIN) else 0
    while row * width < ROW_MIN and trailing < rank - last:
        trailing += 1
        row *= permuted[rank - trailing]
    return Layout(order, trailing, _piece(row, run, width))


def _piece(row: int, run: int, width: int) -> int:
    if row == run:
        return row if row * width <= ROW_MAX else even_piece(row, width)
    runs = row // run
    leaves = max(1, runs // math.ceil(ROW_MIN / (run * width)))
    return run * math.ceil(runs / leaves)


def even_piece(row: int, width: int) -> int:
    """About equal pieces of at most 1,024 bytes, each but the last a number of sponge blocks."""
    pieces = math.ceil(row * width / PIECE)
    block = BLOCK // width
    return min(math.ceil(row / pieces / block) * block, row)
