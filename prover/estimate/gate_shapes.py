"""What one gate of each op costs a proof, seen on a few gates of a single step.

The rows are those that the verifier's own schedule makes of these gates: whatever changes there
changes here, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...verifier.arrays import distinct
from ...verifier.errors import UnsupportedReceipt
from ...verifier.gates.operand import locate, points
from ...verifier.hybrid.accumulator import is_direct
from ...verifier.hybrid.factors import PRF, WIDE, References
from ...verifier.hybrid.gates import GateTables
from ...verifier.hybrid.leaves import BLOCK, Leaves, leaf_keys, opened_keys, read_operands
from ...verifier.hybrid.requantise import judge_covered
from ...verifier.hybrid.rows import Rows
from ...verifier.hybrid.schedule import Table
from ...verifier.hybrid.segments import GateRun, Items, OutputLeaves
from ...verifier.hybrid.streams import ReadDotRows
from ...verifier.openings import Trees
from ...verifier.program.checked import Checked
from ...verifier.program.types import ABSENT, Dot, Op, Read, Tensor, gates
from ...verifier.sums import Sums

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

POINTS = 1 << 14
"""Window points that are looked at for each op, where that is enough for `FEWEST` gates."""

FEWEST = 8
MOST = 128
_BLOCK_BITS = 20
_PAD = -2
"""In the place of what is not read: no neighbour of a number."""
_NO_OUTPUTS = OutputLeaves(*(np.zeros(0, np.int64) for _ in range(3)))


@dataclass(frozen=True)
class Touch:
    """What a gate opens of a tensor: through an operand, or by defining an element.

    Attributes:
        tensor: its number.
        axes: of the op's space, on which it depends what is opened, ascending.
        leaves: distinct ones, per gate; 0 of prf tensors.
        run: how many of them are neighbours, on average.
        blocks: distinct ones of 48 bytes, per gate, of which bytes are read one by one.
        values: distinct ones that stand in a row of their own, per gate.
        covered: share of the tensor that all gates of the op together open, at most.
    """

    tensor: int
    axes: tuple[int, ...]
    leaves: float
    run: float
    blocks: float
    values: float
    covered: float


@dataclass(frozen=True)
class OpShape:
    """Rows of one gate, by table, what it opens, and the lookup tables that it uses."""

    rows: dict[Table, float]
    touches: tuple[Touch, ...]
    tables: frozenset[int]


@dataclass(frozen=True)
class _Seen:
    """A touch on some gates: offsets of elements [gates, n], some of them pads."""

    tensor: int
    axes: tuple[int, ...]
    offsets: Ints
    inside: Mask | None
    stands_alone: bool
    covered: float


def op_shapes(checked: Checked) -> tuple[OpShape, ...]:
    """The shapes of all ops; without rows, where the STARK does not cover the program."""
    trees, covered = Trees(checked.program, 1), _is_covered(checked)
    return tuple(
        _shape(checked, trees, c) if covered else _shape_without_rows(checked, trees, c)
        for c in range(len(checked.program.ops))
    )


def _is_covered(checked: Checked) -> bool:
    try:
        judge_covered(checked)
    except UnsupportedReceipt:
        return False
    return True


def _shape_without_rows(checked: Checked, trees: Trees, c: int) -> OpShape:
    run = _some_gates(checked.program.ops[c], c)
    return OpShape({}, tuple(_touches(trees, list(_seen(checked, run)), {})), frozenset())


def _shape(checked: Checked, trees: Trees, c: int) -> OpShape:
    run = _some_gates(checked.program.ops[c], c)
    leaves = Leaves(trees, opened_keys(trees, Items((run,), _NO_OUTPUTS)))
    tables = GateTables(checked, References(leaves))
    tables.add(run)
    rows: dict[Table, Rows | ReadDotRows] = {
        Table.ROW_DOT: tables.streams.row_dot,
        Table.READ_DOT: tables.streams.read_dot,
        Table.LIMBS: tables.limbs,
        Table.GATE: tables.gate,
        Table.PICK: tables.pick,
        Table.SCAN: tables.scan,
        Table.DIV: tables.div,
    }
    references = [column for found in rows.values() for column in found.references()]
    return OpShape(
        rows={table: found.count / len(run.gates) for table, found in rows.items() if found.count},
        touches=tuple(_touches(trees, list(_seen(checked, run)), _read_blocks(leaves, references))),
        tables=frozenset(tables.tables),
    )


def _some_gates(op: Op, c: int) -> GateRun:
    """A few gates of the first step, always the same ones."""
    count = gates(op)
    window = sum(math.prod(window) for _, window in read_operands(op))
    few = min(count, max(FEWEST, min(MOST, POINTS // max(1, window))))
    numbers = np.arange(few, dtype=np.int64)
    if few < count:
        numbers = distinct(np.random.default_rng(0).integers(0, count, few))
    return GateRun(c, np.zeros(len(numbers), np.int64), numbers)


def _read_blocks(leaves: Leaves, references: list[Ints]) -> dict[int, int]:
    """By tensor: the distinct blocks of which rows read bytes one by one."""
    found = [np.zeros(0, np.int64)]
    for column in references:
        of_bytes = column[(column >= 0) & (column < PRF)]
        found.append(np.where(of_bytes < WIDE, of_bytes, of_bytes - WIDE) // BLOCK)
    blocks = distinct(np.concatenate(found))
    leaf = np.searchsorted(leaves.first_block, blocks, side="right") - 1
    numbers, counts = np.unique(
        leaves.trees.tensor_of[leaves.tree[leaf]] if len(leaf) else leaf, return_counts=True
    )
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _seen(checked: Checked, run: GateRun) -> Iterator[_Seen]:
    """What these gates define and read."""
    op, program = checked.program.ops[run.op], checked.program
    out = program.tensors[op.out]
    every = tuple(range(len(op.space)))
    yield _Seen(op.out, every, run.gates[:, None], None, out.width > 1, 1.0)
    in_limbs = isinstance(op, Dot) and not is_direct(checked, run.op)
    terms = 2 * len(op.terms) if isinstance(op, Dot) else 0
    for number, (operand, window) in enumerate(read_operands(op)):
        if isinstance(operand, Read):
            tensor = program.tensors[operand.tensor]
            whole = not (in_limbs and number < terms) or _is_narrow(tensor)
            offsets, inside = locate(operand, points(op.space, window, run.gates))
            axes = tuple(sorted({m.i_axis for m in operand.maps} - {ABSENT}))
            alone = tensor.layout is None or (tensor.width > 1 and whole)
            yield _Seen(operand.tensor, axes, offsets, inside, alone, _covered(op, operand, window))


def _is_narrow(tensor: Tensor) -> bool:
    half = 1 << 8 * tensor.width - 1
    return (tensor.lo, tensor.hi) != (-half, half - 1)


def _covered(op: Op, read: Read, window: tuple[int, ...]) -> float:
    """The part of the tensor between the least and the greatest index of each axis."""
    share = 1.0
    for dim, m in zip(read.view, read.maps, strict=True):
        ends = [m.c]
        for factor, size in (
            (m.a, 1 if m.i_axis == ABSENT else op.space[m.i_axis]),
            (m.b, 1 if m.k_axis == ABSENT else window[m.k_axis]),
        ):
            ends = [end + at for end in ends for at in (0, factor * (size - 1))]
        low, high = max(0, min(ends) // m.d), min(dim - 1, max(ends) // m.d)
        share *= max(1, high - low + 1) / dim
    return share


def _touches(trees: Trees, seen: list[_Seen], read_blocks: dict[int, int]) -> Iterator[Touch]:
    blocks = [_blocks(trees, each) for each in seen]
    opened: dict[int, Ints] = {}
    for each, found in zip(seen, blocks, strict=True):
        flat = _flat(found, each.inside)
        opened[each.tensor] = distinct(np.concatenate([opened.get(each.tensor, flat[:0]), flat]))
    for each, found in zip(seen, blocks, strict=True):
        # Of aligned operands no byte is read one by one.
        read = read_blocks.get(each.tensor, 0) / max(1, len(opened[each.tensor]))
        committed = trees.program.tensors[each.tensor].layout is not None
        leaves = _per_gate(found >> _BLOCK_BITS, each.inside) if committed else 0.0
        runs = _per_gate(found >> _BLOCK_BITS, each.inside, apart=1)
        yield Touch(
            tensor=each.tensor,
            axes=each.axes,
            leaves=leaves,
            run=max(1.0, leaves / max(1.0, runs)),
            blocks=_per_gate(found, each.inside) * read if committed else 0.0,
            values=_per_gate(each.offsets, each.inside) if each.stands_alone else 0.0,
            covered=each.covered,
        )


def _blocks(trees: Trees, seen: _Seen) -> Ints:
    """A number for the block of each element; of a prf tensor, the element's own."""
    tensor = trees.program.tensors[seen.tensor]
    if tensor.layout is None:
        return seen.offsets
    offsets = Sums.of(seen.offsets)
    keys, slot = leaf_keys(trees, seen.tensor, np.zeros(1, np.int64), offsets)
    found: Ints = keys.full() << _BLOCK_BITS | slot.full() * tensor.width // BLOCK
    return found


def _flat(numbers: Ints, inside: Mask | None) -> Ints:
    if inside is None:
        return distinct(numbers.ravel())
    numbers, inside = np.broadcast_arrays(numbers, inside)
    return distinct(numbers[inside])


def _per_gate(numbers: Ints, inside: Mask | None, apart: int = 0) -> float:
    """Distinct numbers of a gate, on average; those no further `apart` from the last are one."""
    if inside is not None:
        numbers = np.where(inside, numbers, _PAD)
    ascending = np.sort(numbers, axis=1)
    changes = np.count_nonzero(ascending[:, 1:] - ascending[:, :-1] > apart, axis=1)
    pads = ascending[:, 0] == _PAD
    return float((changes + 1 - pads).mean())
