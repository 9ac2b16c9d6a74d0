"""Ensembles of decision trees: every condition of every node at once, then every leaf.

A condition compares a column with the threshold's own place on the column's grid: nothing is
rounded after the input was. A leaf is reached where the sum of its path's conditions is their
number: a dot with a constant matrix of −1, 0 and 1. What leaves add is summed in digits of 8 bits
and less, so that no sum is rounded, either (docs/adr/0028-trees-as-matrices.md).

Trees are taken together in groups of equal number: in one group all trees share their conditions,
in groups of one no leaf is multiplied with another tree's conditions. The cheapest number is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from onnx import numpy_helper

from ...verifier.program.types import Const, Operand, PickMode, Read, Term
from ..builder import Builder, Value
from ..forest import AGGREGATES, TRANSFORMS, BadForest, Condition, Forest, forest, forest_of_splits
from ..graph import Graph, Node
from ..maps import along, at, over
from ..operator import Operator, first
from ..quantise import Affine, Ints
from .comparisons import TRUTH
from .ml_columns import DOMAIN, Part, is_table, parts, width
from .ml_scores import above, labels_of, largest, transform_of, written
from .ml_scores import support as support_scores

CLASSIFIER, REGRESSOR, ENSEMBLE = (
    f"{DOMAIN}TreeEnsemble{name}" for name in ("Classifier", "Regressor", "")
)

NAMES = (CLASSIFIER, REGRESSOR, ENSEMBLE)

SCORE_BITS = 20
"""Bits of the largest sum of leaves, and base value; so the bounds of its digits fit 24 bits."""
BASE_MAX = 2**SCORE_BITS
QUOTIENT_BITS, DIGIT_BITS = 22, 8
"""A sum of digits over all leaves, reached or not, is bounded by 2^22 (protocol section 2)."""
LEAVES_MAX, MATRIX_MAX = 2**20, 2**28
ALIGNED, ALIGN = 96, 48
"""Rows of so many conditions are filled up to whole blocks of bytes (docs/hybrid.md)."""


@dataclass(frozen=True, eq=False)
class Trees:
    """The trees of a node, and how their leaves are put together."""

    forest: Forest
    aggregate: str
    base: tuple[float, ...]

    @property
    def summed(self) -> bool:
        """Whether leaves are added up; else one of them is taken."""
        return self.aggregate in ("SUM", "AVERAGE")

    @property
    def negative(self) -> bool:
        """Whether any leaf takes something away."""
        return bool((self.forest.weights < 0).any())

    @property
    def named(self) -> set[int]:
        """The classes to which any leaf adds."""
        return set(np.flatnonzero(self.forest.named.any(axis=0)).tolist())


class _Key:
    """A node by the identity of its attributes: its trees are read once."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def __hash__(self) -> int:
        return id(self.node.attributes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.node.attributes is self.node.attributes


def trees_of(node: Node) -> Trees:
    """The trees of a node.

    Raises:
        BadForest: its attributes describe none.
    """
    return _trees(_Key(node))


@lru_cache(maxsize=16)
def _trees(key: _Key) -> Trees:
    node, given = key.node, key.node.attributes
    base = _base(given)
    try:
        if node.op == CLASSIFIER:
            return Trees(forest(given, "class", len(labels_of(node))), "SUM", base)
        count = int(given.get("n_targets", 1))
        if node.op == REGRESSOR:
            aggregate = str(given.get("aggregate_function", "SUM"))
            return Trees(forest(given, "target", count), aggregate, base)
        aggregate = _numbered(AGGREGATES, given.get("aggregate_function", 1))
        return Trees(forest_of_splits(given, count), aggregate, base)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, BadForest):
            raise
        raise BadForest("its attributes describe no trees") from error


def _base(given: Any) -> tuple[float, ...]:
    tensor = given.get("base_values_as_tensor")
    values = given.get("base_values") if tensor is None else numpy_helper.to_array(tensor)
    return () if values is None else tuple(float(value) for value in values)


def _numbered(names: Sequence[str], number: Any) -> str:
    return names[int(number)] if 0 <= int(number) < len(names) else str(number)


# What compiles


def support(node: Node, graph: Graph) -> str | None:
    """Trees of finite numbers, of a size that a program holds."""
    reason = is_table(node, graph)
    if reason is not None:
        return reason
    try:
        trees = trees_of(node)
    except BadForest as error:
        return str(error)
    return first(
        _unfit(trees, width(node, graph)),
        _unknown_transform(node, trees),
        _too_large(trees),
        _classes(trees) if node.op == CLASSIFIER else None,
    )


def _unfit(trees: Trees, columns: int) -> str | None:
    found = trees.forest
    if trees.aggregate not in AGGREGATES:
        return f"its aggregate_function {trees.aggregate} is not known"
    if ((found.columns < 0) | (found.columns >= columns)).any():
        return "a node asks for a column that its input does not have"
    thresholds = [condition.threshold for condition in found.conditions]
    if not np.isfinite([*found.weights.reshape(-1), *trees.base, *thresholds]).all():
        return "a threshold, a weight or a base value is not finite"
    if len(trees.base) not in (0, found.targets, 1 if found.targets == 2 else 0):
        return "it has base values, and not one for each target"
    if not trees.summed and not found.named.all():
        return f"it takes the {trees.aggregate} of leaves, and some have no value for a target"
    return None


def _too_large(trees: Trees) -> str | None:
    found = trees.forest
    leaves = np.bincount(found.tree)
    if len(found.tree) > LEAVES_MAX:
        return f"it has more than {LEAVES_MAX:,} leaves"
    if not any(size.matrix <= MATRIX_MAX for size in _groupings(trees)):
        return (
            f"its trees have up to {leaves.max():,} leaves, too many for a matrix of "
            f"{MATRIX_MAX:,} numbers; limit their depth or their leaves"
        )
    return None


def _unknown_transform(node: Node, trees: Trees) -> str | None:
    targets = trees.forest.targets
    return support_scores(node, _transform(node, trees), targets)


def _transform(node: Node, trees: Trees) -> str:
    """What is done to sums; onnxruntime does nothing to a single target but PROBIT."""
    if node.op == ENSEMBLE:
        name = _numbered(TRANSFORMS, node.attributes.get("post_transform", 0))
    else:
        name = transform_of(node)
    single = trees.forest.targets == 1 and node.op != CLASSIFIER
    return "NONE" if single and name != "PROBIT" else name


def _classes(trees: Trees) -> str | None:
    """Two classes at least, each with a score whatever leaves are reached."""
    found = trees.forest
    if found.targets < 2:
        return "it has less than two classes"
    # A class has a score for certain if some tree gives it one in all of its leaves.
    without = np.zeros((found.trees, found.targets), np.bool_)
    np.logical_or.at(without, found.tree, ~found.named)
    always = set(np.flatnonzero((~without).any(axis=0)).tolist())
    if found.targets > 2:
        sure = len(trees.base) == found.targets or len(always) == found.targets
        # A class without a score is none; among positive scores one of 0 is none, either.
        positive = not trees.negative and bool((found.weights.max(axis=1) > 0).all())
        return None if sure or positive else "a class has a score in some leaves only"
    if trees.named != always:
        return "a class has a score in some leaves only"
    if trees.base and (len(trees.base) != 1 or trees.named != {0}):
        return "it has two classes, and base values that are not that of a single score"
    return None


def compared(node: Node, graph: Graph) -> Sequence[tuple[float, float] | None]:
    """The least and the greatest threshold of each input's columns."""
    try:
        conditions = trees_of(node).forest.conditions
    except BadForest:
        return [(0.0, 0.0)] * len(node.inputs)
    spans, start = [], 0
    for name in node.inputs:
        columns = range(start, start + graph.shapes[name][-1])
        start = columns.stop
        own = [c.threshold for c in conditions if c.column in columns] or [0.0]
        spans.append((min(own), max(own)))
    return spans


# Groups of trees


@dataclass(frozen=True)
class Grouping:
    """The group of each tree; conditions and leaves of the largest group."""

    group: Ints
    groups: int
    conditions: int
    leaves: int

    @property
    def matrix(self) -> int:
        """The numbers of its matrices of paths."""
        return self.groups * self.conditions * self.leaves

    def rows(self, columns: int) -> int:
        """Rows of a proof: one for each column of a gather, and one for 48 products."""
        products = self.groups * self.leaves * -(-self.conditions // ALIGN)
        return self.groups * self.conditions * columns + products


def _groupings(trees: Trees) -> Iterator[Grouping]:
    """The trees so many at a time, those of like size beside each other."""
    found = trees.forest
    count, leaves = found.trees, np.bincount(found.tree)
    rank = np.argsort(np.argsort(leaves, kind="stable"), kind="stable")
    sizes = {1, count, *(2**n for n in range(1, count.bit_length()))} if trees.summed else {1}
    for size in sorted(sizes):
        group = rank // size
        pairs = np.unique(_pairs(found, group))
        asked = np.bincount(pairs // max(len(found.conditions), 1), minlength=1).max()
        conditions = max(int(asked), 1)
        if conditions > ALIGNED:
            conditions = -(-conditions // ALIGN) * ALIGN
        most = int(np.bincount(group, weights=leaves).max())
        yield Grouping(group, int(group.max()) + 1, conditions, most)


def _pairs(found: Forest, group: Ints) -> Ints:
    """For each entry, its group and condition as one number."""
    owners = group[found.tree[found.entry_leaf]]
    return np.asarray(owners * max(len(found.conditions), 1) + found.entry_condition)


def _cheapest(trees: Trees, columns: int) -> Grouping:
    fitting = (grouping for grouping in _groupings(trees) if grouping.matrix <= MATRIX_MAX)
    return min(fitting, key=lambda grouping: grouping.rows(columns))


def _places(grouping: Grouping, found: Forest) -> Ints:
    """The place of each leaf within its group."""
    owners = grouping.group[found.tree]
    order = np.argsort(owners, kind="stable")
    starts = np.searchsorted(owners[order], np.arange(grouping.groups))
    places = np.empty(len(owners), np.int64)
    places[order] = np.arange(len(owners)) - starts[owners[order]]
    return places


# Lowering


def lower_classifier(node: Node, builder: Builder) -> None:
    """Sums by class, the label, and the sums transformed."""
    trees, labels, transform = trees_of(node), labels_of(node), transform_of(node)
    if trees.forest.targets > 2:
        raw = _sums(node, builder, trees)
        largest(node, builder, raw, labels)
        written(node, builder, raw, 1, transform)
        return
    # Of positive weights a score is a share of votes, of others it is a margin.
    votes = not trees.negative and len(trees.named) == 1
    limit = 0.5 if votes else 0.0
    if trees.named != {0}:
        # Where both classes have scores onnxruntime's labels are 1 and 0, whatever they should be.
        raw = _sums(node, builder, trees)
        above(node, builder, raw, 1, limit, labels if len(trees.named) == 1 else [0, 1])
        written(node, builder, raw, 1, transform)
        return
    single = replace(trees.forest, weights=trees.forest.weights[:, :1])
    raw = _sums(node, builder, replace(trees, forest=single))
    above(node, builder, raw, 0, limit, labels)
    signs = [(-1, 1.0 if votes else 0.0), (1, 0.0)]
    written(node, builder, raw, 1, "LOGISTIC" if transform == "LOGISTIC" else "NONE", signs)


def lower_regressor(node: Node, builder: Builder) -> None:
    """Sums by target, transformed."""
    trees = trees_of(node)
    written(node, builder, _sums(node, builder, trees), 0, _transform(node, trees))


def _sums(node: Node, builder: Builder, trees: Trees) -> Value:
    """What the leaves that are reached add up to, by target, exactly."""
    found, table = trees.forest, parts(node, builder)
    grouping = _cheapest(trees, sum(part.count for part in table))
    places = _places(grouping, found)
    reached = _reached(node, builder, table, found, grouping, places)
    digits = _Digits.of(trees, grouping, places)
    if not trees.summed:
        return _extremes(builder, trees, grouping, digits, reached)
    leaves = grouping.groups * grouping.leaves
    space = (reached.shape[0], found.targets)
    flags = builder.read(reached, (along(0), over(0)), view=(reached.shape[0], leaves), raw=True)
    by_digit = []
    for place, (numbers, reach) in enumerate(zip(digits.weights, digits.reaches, strict=True)):
        weights = builder.weight(f"leaves {place}", numbers.T, digits.peak, (along(1), over(0)))
        code = Affine(1.0, 0, -reach, reach)
        by_digit.append(builder.temporary(f"digit {place}", space, code))
        builder.dot(by_digit[-1], space, [Term((leaves,), flags, weights)], suffix="digit")
    return _recombined(builder, by_digit, digits, trees.base)


def _reached(
    node: Node,
    builder: Builder,
    table: Sequence[Part],
    found: Forest,
    grouping: Grouping,
    places: Ints,
) -> Value:
    """1 for each leaf that is reached, else 0: [rows, groups, leaves]."""
    owners = grouping.group[found.tree]
    offsets = np.full((grouping.groups, grouping.leaves), -1, np.int64)  # of no leaf: never 1
    offsets[owners, places] = found.offset
    terms = []
    for number, part in enumerate(table):  # a part that no tree asks for is read all the same
        inside = (found.columns >= part.start) & (found.columns < part.start + part.count)
        entries = np.flatnonzero(inside[found.entry_condition])
        pairs, at_pair = np.unique(_pairs(found, grouping.group)[entries], return_inverse=True)
        group, condition = np.divmod(pairs, len(found.conditions))
        slot = np.arange(len(pairs)) - np.searchsorted(group, group)
        most = grouping.conditions if len(table) == 1 else max(len(slot) and int(slot.max()) + 1, 1)
        listed = np.full((grouping.groups, most), -1, np.int64)
        listed[group, slot] = condition
        truths = _conditions(node, builder, part, found, listed, number)
        matrix = np.zeros((grouping.groups, grouping.leaves, most), np.int64)
        leaf = found.entry_leaf[entries]
        where = (owners[leaf], places[leaf], slot[at_pair.reshape(-1)])
        np.add.at(matrix, where, found.entry_sign[entries])
        peak, maps = max(int(np.abs(matrix).max()), 1), (along(1), along(2), over(0))
        weight = builder.weight(f"paths {number}", matrix, peak, maps)
        flags = builder.read(truths, (along(0), along(1), over(0)), raw=True)
        terms.append(Term((most,), flags, weight))
    space = (table[0].value.shape[0], grouping.groups, grouping.leaves)
    out = builder.temporary("reached", space, TRUTH)
    peak = max(int(np.abs(offsets).max()), 1)
    bias = builder.weight("offsets", offsets, peak, (along(1), along(2)))
    builder.dot(out, space, terms, bias=bias, suffix="reached")
    return out


def _conditions(
    node: Node, builder: Builder, part: Part, found: Forest, listed: Ints, number: int
) -> Value:
    """The truth of each group's conditions on a part's columns: [rows, groups, most]."""
    turned, code = builder.turned(node), part.value.code
    limits = [on_grid(code, c, n in turned) for n, c in enumerate(found.conditions)]
    thresholds = np.where(listed < 0, 0, np.array([*limits, 0])[listed])
    columns = np.where(listed < 0, 0, np.array([*found.columns, 0])[listed] - part.start)
    space = (part.value.shape[0], *listed.shape)
    out = builder.temporary(f"conditions {number}", space, TRUTH)
    if part.count == 1:
        x = builder.read(part.value, (along(0), at()), raw=True)
    else:
        x = _chosen(builder, part, columns, space, number)
    peak = max(int(np.abs(thresholds).max()), 1)
    limit = builder.weight(f"thresholds {number}", thresholds, peak, (along(1), along(2)))
    builder.pick(out, space, x, limit, mode=PickMode.GREATER, suffix="conditions")
    return out


def _chosen(
    builder: Builder, part: Part, columns: Ints, space: tuple[int, ...], number: int
) -> Read:
    """The column of each condition."""
    value = part.value
    chosen = builder.temporary(f"columns {number}", space, value.code, builder.width(value))
    maps = (along(1), along(2))
    index = builder.weight(f"column {number}", columns, part.count - 1, maps, signed=False)
    source = builder.read(value, (along(0), at()), raw=True)
    builder.gather(chosen, space, source, 1, index, suffix="columns")
    return builder.read(chosen, (along(0), along(1), along(2)), raw=True)


def on_grid(code: Affine, condition: Condition, turned: bool) -> int:
    """The integer above which the condition holds.

    Of integers and their like all are told apart. A real threshold has an integer as the port gives
    it to the values that are compared with it; a value that shares it is taken for the threshold
    itself, or, if `turned`, for one on its other side.
    """
    steps = condition.threshold / code.scale
    if code.scale == 1.0:
        whole = np.ceil(steps) - 1 if condition.closed else np.floor(steps)
    else:
        whole = np.rint(steps) - (condition.closed != turned)
    return int(min(max(whole + code.zero, code.lo - 1), code.hi))


@dataclass(frozen=True)
class _Digits:
    """What leaves add as integers of this scale, in balanced digits.

    For each digit, from the last: those of all leaves, [leaves, targets], and the largest that the
    sum over the leaves that are reached, one of each tree, can be.
    """

    scale: float
    bits: int
    weights: tuple[Ints, ...]
    reaches: tuple[int, ...]

    @property
    def peak(self) -> int:
        """The largest digit."""
        return int(2 ** (self.bits - 1))

    @classmethod
    def of(cls, trees: Trees, grouping: Grouping, places: Ints) -> _Digits:
        """Numbers whose largest sum over the trees has 20 bits."""
        found = trees.forest
        share = found.trees if trees.aggregate == "AVERAGE" else 1
        real = found.weights / share
        reach = float(_reach(np.abs(real), found.tree, trees.summed))
        reach += max(map(abs, trees.base), default=0.0)
        scale = reach / 2**SCORE_BITS or 1.0
        # Votes are whole, so that as many of them for as against are a tie, as they should be.
        vote = float(np.abs(real).max())
        scale = vote / np.floor(vote / scale) if vote > scale else scale
        # A sum over all leaves is bounded as if all were reached.
        count = grouping.groups * grouping.leaves
        bits = min(DIGIT_BITS, QUOTIENT_BITS - (count - 1).bit_length() + 1)
        own = list(_balanced(np.rint(real / scale).astype(np.int64), bits))
        reaches = tuple(max(int(_reach(np.abs(d), found.tree, trees.summed)), 1) for d in own)
        at_leaf = grouping.group[found.tree] * grouping.leaves + places
        digits = []
        for numbers in own:
            digits.append(np.zeros((count, found.targets), np.int64))
            digits[-1][at_leaf] = numbers
        return cls(scale, bits, tuple(digits), reaches)


def _reach(sizes: Any, tree: Ints, summed: bool) -> Any:
    """The largest sum of one leaf of each tree, or the largest leaf, of any target."""
    most = np.zeros((tree.max() + 1, sizes.shape[1]), sizes.dtype)
    np.maximum.at(most, tree, sizes)
    return (most.sum(axis=0) if summed else most.max(axis=0)).max()


def _balanced(rest: Ints, bits: int) -> Iterator[Ints]:
    """Digits in [-2^(bits − 1), 2^(bits − 1)), the last first."""
    half = 2 ** (bits - 1)
    while True:
        digit = (rest + half) % (2 * half) - half
        yield digit
        rest = (rest - digit) >> bits
        if not rest.any():
            return


def _recombined(
    builder: Builder, by_digit: Sequence[Value], digits: _Digits, base: Sequence[float]
) -> Value:
    """Digits as numbers, with the base values: [..., targets]."""
    space = by_digit[0].shape
    each = tuple(along(axis) for axis in range(len(space)))
    terms = [
        Term((), builder.read(value, each, raw=True), Const(2 ** (digits.bits * place)))
        for place, value in enumerate(by_digit)
    ]
    reach = sum(2 ** (digits.bits * n) * reach for n, reach in enumerate(digits.reaches))
    code = Affine(digits.scale, 0, -reach - BASE_MAX, reach + BASE_MAX)
    out = builder.temporary("sums", space, code, 3)
    builder.dot(out, space, terms, bias=_added(builder, digits, base, len(space)), suffix="sums")
    return out


def _added(builder: Builder, digits: _Digits, base: Sequence[float], rank: int) -> Operand | None:
    """The base values, one for each target."""
    if not len(base):
        return None
    numbers = np.rint(np.asarray(base) / digits.scale).astype(np.int64)
    return builder.weight("base", numbers, BASE_MAX, (along(rank - 1),))


def _extremes(
    builder: Builder, trees: Trees, grouping: Grouping, digits: _Digits, reached: Value
) -> Value:
    """The largest of the trees' values by target, or the smallest, and the base values."""
    sign, targets = -1 if trees.aggregate == "MIN" else 1, trees.forest.targets
    space = (reached.shape[0], grouping.groups, targets)
    flags = builder.read(reached, (along(0), along(1), over(0)), raw=True)
    by_digit = []
    for place, (numbers, reach) in enumerate(zip(digits.weights, digits.reaches, strict=True)):
        held = sign * numbers.reshape(grouping.groups, grouping.leaves, targets)
        maps = (along(1), over(0), along(2))
        weights = builder.weight(f"leaves {place}", held, digits.peak, maps)
        code = Affine(1.0, 0, -reach, reach)
        by_digit.append(builder.temporary(f"digit {place}", space, code))
        terms = [Term((grouping.leaves,), flags, weights)]
        builder.dot(by_digit[-1], space, terms, suffix="digit")
    each = _recombined(builder, by_digit, digits, ())
    lines = (space[0], targets)
    best = builder.temporary("largest", lines, each.code, 3)
    source = builder.read(each, (along(0), over(0), along(1)), raw=True)
    window = (grouping.groups,)
    builder.pick(best, lines, source, mode=PickMode.MAX, window=window, suffix="largest")
    out = builder.temporary("extremes", lines, each.code, 3)
    terms = [Term((), builder.read(best, (along(0), along(1)), raw=True), Const(sign))]
    added = _added(builder, digits, trees.base, 2)
    builder.dot(out, lines, terms, bias=added, suffix="extremes")
    return out


OPERATORS = (
    Operator((CLASSIFIER,), lower_classifier, support, columns=compared, takes_integers=True),
    Operator((REGRESSOR,), lower_regressor, support, columns=compared, takes_integers=True),
    Operator((ENSEMBLE,), lower_regressor, support, columns=compared, takes_integers=True),
)
