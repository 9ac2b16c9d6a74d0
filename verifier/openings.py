"""The openings of a fast receipt: which leaves, their bytes in the proof, their values.

protocol.md section 5, Openings; receipt-format.md, Proof. What is opened, and so the size of the
proof, is derived from the plan; the proof has no lengths of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .arrays import distinct, sums_by_group
from .errors import MalformedReceipt
from .gates import reads
from .inputs import unpack_values
from .journal import OWN
from .layout import leaf_count, leaf_lengths, locate, row_length
from .merkle import Bytes, Ints, Openings, leaf_digests, opened_roots, plan_openings
from .order import Order
from .poseidon2 import DIGEST, Elements
from .program.types import Layout, Op, Program, Role, StateLink, Tensor
from .quoting import quoted
from .reader import RECEIPT_CODES, P, Reader
from .sampling import Plan

_DIGEST_BYTES = 4 * DIGEST
_SALT_BYTES = 20
_BYTES = 1 << 24
"""Packed bytes that are unpacked together."""

LEAF_BITS = 26
"""A leaf's number has at most so many bits (protocol.md section 1, rule 8)."""

_FEW = 1 << 18
"""Leaves that are collected before repetitions are dropped."""

_DENSE = 8
"""A tensor is laid out whole to be read where at least one in so many elements is opened."""

Mask = NDArray[np.bool_]


class Trees:
    """All trees of a receipt in canonical order.

    Weights, data sets, initial states, then step by step. `order` is that of the records; without
    one, leaves and offsets of data tensors are those of the slots of a step.
    """

    def __init__(self, program: Program, steps: int, order: Order | None = None) -> None:
        self.steps = steps
        self.program = program
        self.order = order
        self.weights = program.of_role(Role.WEIGHT)
        self.data = program.data
        self.states = program.of_role(Role.STATE)
        self.stepped = program.of_role(Role.INPUT, Role.VALUE)
        self._once = [*self.weights, *self.data, *self.states]
        self._place = {t: place for place, t in enumerate(self._once)}
        self._in_step = {t: place for place, t in enumerate(self.stepped)}
        self._links: dict[int, StateLink] = {link.state: link for link in program.states}

    def __len__(self) -> int:
        return len(self._once) + self.steps * len(self.stepped)

    def number(self, tensor: int, step: int) -> int:
        """The tree that a read of this tensor in this step opens."""
        link = self._links.get(tensor)
        if link is not None and step > 0:
            tensor, step = link.value, step - 1
        if tensor in self._place:
            return self._place[tensor]
        return len(self._once) + step * len(self.stepped) + self._in_step[tensor]

    def numbers(self, tensor: int, steps: Ints) -> Ints:
        """`number` for each of these steps, int64 [n]."""
        link = self._links.get(tensor)
        if tensor not in self._place:
            return len(self._once) + steps * len(self.stepped) + self._in_step[tensor]
        if link is None:
            return np.full(len(steps), self._place[tensor], np.int64)
        return np.where(steps > 0, self.numbers(link.value, steps - 1), self._place[tensor])

    @cached_property
    def in_slots(self) -> Trees:
        """The same trees, leaves and offsets of data tensors being those of the slots of a step."""
        return Trees(self.program, self.steps)

    def leaves(self, tensor: int, steps: Ints | int, leaves: Ints) -> Ints:
        """Leaves of the tree that steps read, from leaves as the shape of the tensor has them.

        Only of a data tensor are they others: the records of these steps decide.
        """
        t = self.program.tensors[tensor]
        if self.order is None or t.records is None:
            return leaves
        return self.order.placed(steps, leaves, leaf_count(layout_of(t), t.shape) // t.shape[0])

    def offsets(self, tensor: int, steps: Ints | int, offsets: Ints) -> Ints:
        """The same of row-major offsets of elements."""
        t = self.program.tensors[tensor]
        if self.order is None or t.records is None:
            return offsets
        return self.order.placed(steps, offsets, t.size // t.shape[0])

    @cached_property
    def tensor_of(self) -> Ints:
        """The tensor of each tree."""
        steps = np.tile(np.array(self.stepped, np.int64), self.steps)
        return np.concatenate([np.array(self._once, np.int64), steps])

    def tensor(self, tree: int) -> Tensor:
        """The tensor of a tree."""
        return self.program.tensors[int(self.tensor_of[tree])]

    def describe(self, tree: int) -> str:
        """The tree in words."""
        name = quoted(self.tensor(tree).name)
        if tree < len(self.weights):
            return f"weight {name}"
        if tree < len(self.weights) + len(self.data):
            return f"data {name}"
        if tree < len(self._once):
            return f"initial state {name}"
        return f"{name} of step {(tree - len(self._once)) // len(self.stepped)}"


def layout_of(tensor: Tensor) -> Layout:
    """The layout of a committed tensor."""
    if tensor.layout is None:
        raise TypeError(f"prf tensor {tensor.name} has no tree")
    return tensor.layout


@dataclass(frozen=True)
class Proof:
    """The proof section, cut into its fields; their elements are below p, nothing else is judged.

    Attributes:
        trees: of the receipt.
        roots: of all trees, uint64 [trees, 8].
        prf_seed: the prover's own, uint64 [8], or None.
        tree: of each opened leaf, int64 [n], ascending.
        leaf: its number in the tree, int64 [n].
        openings: how the leaves hash to their roots.
        siblings: of all trees, uint64 [m, 8].
    """

    trees: Trees
    roots: Elements
    prf_seed: Elements | None
    tree: Ints
    leaf: Ints
    openings: Openings
    siblings: Elements
    _data: Bytes
    _offsets: Ints

    @classmethod
    def parse(cls, data: memoryview, trees: Trees, plan: Plan) -> Proof:
        """Read the section; it has a seed only where the run has one of the prover's own.

        Raises:
            MalformedReceipt: shorter or longer than the plan implies, or an element not below p.
        """
        reader = Reader(data, RECEIPT_CODES)
        _judge_length(len(data), trees, plan)
        roots = _elements(reader.take(_DIGEST_BYTES * len(trees)))
        has_seed = trees.program.of_role(Role.PRF) and plan.counts.claim.seed == OWN
        prf_seed = _elements(reader.take(_DIGEST_BYTES))[0] if has_seed else None
        tree, leaf = _opened_leaves(trees, plan, reader.remaining)
        openings = plan_openings(leaf_counts(trees), tree, leaf)
        sizes = leaf_bytes(trees, tree, leaf) + _SALT_BYTES
        siblings = openings.sibling_counts * _DIGEST_BYTES
        body = np.frombuffer(reader.take(int(sizes.sum() + siblings.sum())), np.uint8)
        reader.end()
        before = np.cumsum(siblings) - siblings
        offsets = np.cumsum(sizes) - sizes + before[tree]
        in_leaves = sums_by_group(tree, sizes, len(trees))
        starts = np.repeat(np.cumsum(in_leaves), openings.sibling_counts)
        sibling_offsets = starts + _DIGEST_BYTES * np.arange(len(starts), dtype=np.int64)
        proof = cls(
            trees=trees,
            roots=roots,
            prf_seed=prf_seed,
            tree=tree,
            leaf=leaf,
            openings=openings,
            siblings=_words(_cut(body, sibling_offsets, _DIGEST_BYTES)),
            _data=body,
            _offsets=offsets,
        )
        proof._judge_elements()
        return proof

    @cached_property
    def lengths(self) -> Ints:
        """Packed bytes of each opened leaf."""
        return leaf_bytes(self.trees, self.tree, self.leaf)

    @cached_property
    def salts(self) -> Elements:
        """Salts of the opened leaves, uint64 [n, 5]."""
        return _words(_cut(self._data, self._offsets + self.lengths, _SALT_BYTES))

    def packed(self, rows: Ints, length: int) -> Bytes:
        """Packed values of opened leaves that all have this many bytes, uint8 [rows, length]."""
        return _cut(self._data, self._offsets[rows], length)

    def wrong_paths(self) -> Mask:
        """Per tree, whether its opened leaves do not hash to its root."""
        digests = np.empty((len(self.leaf), DIGEST), np.uint64)
        for length in distinct(self.lengths).tolist():
            rows = np.flatnonzero(self.lengths == length)
            digests[rows] = leaf_digests(self.packed(rows, length), self.salts[rows])
        found = opened_roots(self.openings, digests, self.siblings)
        opened = np.bincount(self.tree, minlength=len(self.trees)) > 0
        wrong: Mask = opened & (found != self.roots).any(axis=1)
        return wrong

    def _judge_elements(self) -> None:
        seed = np.zeros((0, 1), np.uint64) if self.prf_seed is None else self.prf_seed
        for elements in (self.roots, seed, self.siblings, self.salts):
            if elements.size and int(elements.max()) >= P:
                raise MalformedReceipt(
                    "an element of the proof is not below p",
                    code="receipt.non-canonical",
                    expected=f"below {P}",
                    received=int(elements.max()),
                )


class OpenedValues:
    """The values of all opened leaves, and whether they lie in the declared ranges."""

    def __init__(self, proof: Proof) -> None:
        self._trees = proof.trees
        self._tree, self._leaf = proof.tree, proof.leaf
        tensors = proof.trees.program.tensors
        tensor = proof.trees.tensor_of[proof.tree]
        widths = np.array([t.width for t in tensors], np.int64)[tensor]
        lowest = np.array([t.lo for t in tensors], np.int64)[tensor]
        highest = np.array([t.hi for t in tensors], np.int64)[tensor]
        counts = proof.lengths // widths
        self._starts = np.cumsum(counts) - counts
        self._values = np.empty(int(counts.sum()), np.int32)
        outside = np.zeros(len(proof.leaf), bool)
        forms = widths << 32 | proof.lengths
        for form in distinct(forms).tolist():
            width, length = form >> 32, form & (1 << 32) - 1
            alike, many = np.flatnonzero(forms == form), max(1, _BYTES // length)
            places = np.arange(length // width, dtype=np.int64)
            for start in range(0, len(alike), many):
                rows = alike[start : start + many]
                values = unpack_values(proof.packed(rows, length), width)
                outside[rows] = (values.min(1) < lowest[rows]) | (values.max(1) > highest[rows])
                self._values[self._starts[rows][:, None] + places] = values
        self.outside: Mask = np.bincount(proof.tree[outside], minlength=len(proof.trees)) > 0
        """Per tree, whether an opened value is outside the tensor's declared range."""
        self._dense: dict[int, NDArray[np.int32] | None] = {}

    def read(self, tree: int, offsets: Ints) -> Ints:
        """Values of opened elements of what a tree is over, at row-major offsets of any shape."""
        if tree not in self._dense:
            self._dense[tree] = self._lay_out(tree)
        dense = self._dense[tree]
        if dense is not None:
            found: Ints = dense[offsets].astype(np.int64)
            return found
        tensor = self._trees.tensor(tree)
        leaf, slot = locate(layout_of(tensor), tensor.tree_shape, offsets)
        first, end = self._rows(tree)
        row = first + np.searchsorted(self._leaf[first:end], leaf)
        values: Ints = self._values[self._starts[row] + slot].astype(np.int64)
        return values

    def _rows(self, tree: int) -> tuple[int, int]:
        first, end = np.searchsorted(self._tree, [tree, tree + 1])
        return int(first), int(end)

    def _lay_out(self, tree: int) -> NDArray[np.int32] | None:
        """All elements row-major, zero where not opened; None where too few are opened for that."""
        tensor = self._trees.tensor(tree)
        layout, tree_shape = layout_of(tensor), tensor.tree_shape
        first, end = self._rows(tree)
        leaves = self._leaf[first:end]
        counts = leaf_lengths(layout, tree_shape, leaves)
        opened, size = int(counts.sum()), math.prod(tree_shape)
        if opened * _DENSE < size:
            return None
        row = row_length(layout, tree_shape)
        pieces = -(-row // layout.piece)
        at = leaves // pieces * row + leaves % pieces * layout.piece
        within = np.arange(opened, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        permuted = np.zeros(size, np.int32)
        begin = int(self._starts[first])
        permuted[np.repeat(at, counts) + within] = self._values[begin : begin + opened]
        shape = [tree_shape[axis] for axis in layout.order]
        dense: NDArray[np.int32] = (
            permuted.reshape(shape).transpose(np.argsort(layout.order)).ravel()
        )
        return dense


def _judge_length(length: int, trees: Trees, plan: Plan) -> None:
    """Refuse a proof that cannot hold its roots and enumerated outputs, before more is derived."""
    enumerated = {op.out for c, op in enumerate(trees.program.ops) if plan.counts.enumerated[c]}
    least = _DIGEST_BYTES * len(trees)
    for number in enumerated:
        tensor = trees.program.tensors[number]
        salts = _SALT_BYTES * leaf_count(layout_of(tensor), tensor.shape)
        least += trees.steps * (tensor.size * tensor.width + salts)
    _expect_room(least, length)


def _expect_room(least: int, room: int) -> None:
    if room < least:
        raise MalformedReceipt(
            "the proof is shorter than its openings",
            code="receipt.truncated",
            expected=f"at least {least} bytes",
            received=f"{room} bytes",
        )


class _Leaves:
    """Leaves as they are found, each once; more of them than fit a proof are refused.

    A claim of many samples costs its prover nothing, so memory must follow the proof, not the
    claim: repetitions are dropped whenever the leaves have doubled.
    """

    def __init__(self, trees: Trees, room: int) -> None:
        self._trees, self._room = trees, room
        self._found = np.zeros(0, np.int64)
        self._new: list[Ints] = []
        self._pending = 0

    def add(self, tree: int, leaves: Ints) -> None:
        """Open these leaves of a tree, too."""
        self._new.append(leaves | tree << LEAF_BITS)
        self._pending += len(leaves)
        if self._pending > max(_FEW, len(self._found)):
            self.merged()

    def merged(self) -> tuple[Ints, Ints]:
        """Tree and number of every leaf so far, ascending.

        Raises:
            MalformedReceipt: `receipt.truncated`, they are more than the proof can hold.
        """
        self._found = distinct(np.concatenate([self._found, *self._new]))
        self._new, self._pending = [], 0
        tree, leaf = self._found >> LEAF_BITS, self._found & (1 << LEAF_BITS) - 1
        sizes = leaf_bytes(self._trees, tree, leaf)
        _expect_room(int(sizes.sum()) + _SALT_BYTES * len(leaf), self._room)
        return tree, leaf


def _opened_leaves(trees: Trees, plan: Plan, room: int) -> tuple[Ints, Ints]:
    """Tree and number of every leaf that the plan opens, ascending.

    What is cheap to derive comes first: a proof without room for it is refused before any read.
    """
    program, found = trees.program, _Leaves(trees, room)
    for port in plan.counts.claim.published(program.outputs):
        output = program.tensors[port.tensor]
        every = np.arange(leaf_count(layout_of(output), output.shape), dtype=np.int64)
        for step in range(trees.steps):
            found.add(trees.number(port.tensor, step), every)
    sampled = [c for c, every in enumerate(plan.counts.enumerated) if not every]
    for c in sampled:
        out = program.ops[c].out
        for step, gates in plan.steps_of(c):
            found.add(trees.number(out, step), _leaves_at(program.tensors[out], gates))
    found.merged()
    for c in sampled:
        for step, gates in plan.steps_of(c):
            for tensor, leaves in _read_leaves(program, program.ops[c], gates):
                found.add(trees.number(tensor, step), trees.leaves(tensor, step, leaves))
    for tensor, leaves in _leaves_of_every_step(trees, plan, room):
        once = program.tensors[tensor].role is Role.WEIGHT
        for step in range(1 if once else trees.steps):
            found.add(trees.number(tensor, step), trees.leaves(tensor, step, leaves))
    return found.merged()


def _leaves_of_every_step(trees: Trees, plan: Plan, room: int) -> Iterator[tuple[int, Ints]]:
    """By tensor, the leaves that enumerated ops read or define, the same in all steps.

    Of a data tensor, as its slots have them.
    """
    program, found = trees.program, _Leaves(trees, room)
    for c, op in enumerate(program.ops):
        if not plan.counts.enumerated[c]:
            continue
        out = program.tensors[op.out]
        every = np.arange(leaf_count(layout_of(out), out.shape), dtype=np.int64)
        found.add(trees.number(op.out, 0), every)
        for tensor, leaves in _read_leaves(program, op, np.arange(out.size, dtype=np.int64)):
            found.add(trees.number(tensor, 0), leaves)
    tree, leaf = found.merged()
    for number in distinct(tree).tolist():
        first, end = np.searchsorted(tree, [number, number + 1])
        yield int(trees.tensor_of[number]), leaf[first:end]


def _read_leaves(program: Program, op: Op, gates: Ints) -> Iterator[tuple[int, Ints]]:
    """The committed tensors that these gates read, each maybe several times, and the leaves."""
    for number, offsets in reads(program, op, gates):
        tensor = program.tensors[number]
        if tensor.layout is not None and len(offsets):
            yield number, _leaves_at(tensor, _distinct(offsets, tensor.size))


def _leaves_at(tensor: Tensor, offsets: Ints) -> Ints:
    """The leaves of elements, each once."""
    leaf, _ = locate(layout_of(tensor), tensor.shape, offsets)
    return distinct(leaf)


def _distinct(offsets: Ints, size: int) -> Ints:
    """Each offset once; by marking where that is cheaper than sorting."""
    if size > 16 * len(offsets):
        return distinct(offsets)
    seen = np.zeros(size, bool)
    seen[offsets] = True
    return np.flatnonzero(seen)


def leaf_counts(trees: Trees) -> Ints:
    """Leaves of each tree."""
    per_tensor = [
        0 if t.layout is None else leaf_count(t.layout, t.tree_shape) for t in trees.program.tensors
    ]
    return np.array(per_tensor, np.int64)[trees.tensor_of]


def leaf_bytes(trees: Trees, tree: Ints, leaf: Ints) -> Ints:
    """Packed bytes of each of these leaves."""
    sizes = np.empty(len(leaf), np.int64)
    tensor_of = trees.tensor_of[tree]
    for number in distinct(tensor_of).tolist():
        tensor = trees.program.tensors[number]
        rows = np.flatnonzero(tensor_of == number)
        sizes[rows] = tensor.width * leaf_lengths(layout_of(tensor), tensor.shape, leaf[rows])
    return sizes


def _cut(data: Bytes, offsets: Ints, length: int) -> Bytes:
    """The `length` bytes at each offset, uint8 [offsets, length]."""
    if not len(offsets):
        return np.zeros((0, length), np.uint8)
    return np.lib.stride_tricks.sliding_window_view(data, length)[offsets]


def _words(data: Bytes) -> Elements:
    """Rows of bytes as rows of little-endian 32-bit words."""
    return np.ascontiguousarray(data).view("<u4").astype(np.uint64)


def _elements(data: memoryview) -> Elements:
    """Digests one after the other, uint64 [n, 8]."""
    return np.frombuffer(data, "<u4").astype(np.uint64).reshape(-1, DIGEST)
