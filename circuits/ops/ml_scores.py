"""What classifiers and regressors of ai.onnx.ml make of their sums: labels, probabilities.

Sums have 24 bits. They are an output as they are; what reads them further gets 16 bits, the most
that tables take. Labels are numbers; strings have become numbers when the model was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...verifier.program.ranges import Q_MAX
from ...verifier.program.types import Const, Operand, PickMode, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, at, over, rows
from ..quantise import Affine, Ints, multiplier
from .comparisons import TRUTH
from .ml_columns import COLUMNS_MAX, DOMAIN
from .sigmoid import sigmoid

PROBABILITY = Affine(1.0 / COLUMNS_MAX, 0, 0, COLUMNS_MAX)
"""Probabilities have 15 bits."""

LOGIT_MAX, LOGIT_STEPS = 11.0, 2**15 - 1
"""Beyond ± 11 a logistic function is 0 or 1 to within half a step."""
EXP_STEP, EXP_STEPS = 2.0**-11, 2**15
SUM_MAX = 2**23 - 2
LABEL_MAX = 2**23 - 1
TABLE_MAX = 2**16

Labels = Sequence[int]


def used(node: Node, graph: Graph, index: int) -> str | None:
    """The name of an output, if something reads it."""
    name = node.outputs[index] if index < len(node.outputs) else ""
    return name if name and (name in graph.outputs or graph.consumers(name)) else None


def transform_of(node: Node) -> str:
    """What is done to scores in the end."""
    return str(node.attributes.get("post_transform", "NONE"))


def labels_of(node: Node) -> list[int]:
    """The numbers of a classifier's classes."""
    get = node.attributes.get
    return [int(n) for n in get("classlabels_int64s") or get("classlabels_ints") or []]


def support(node: Node, transform: str, count: int) -> str | None:
    """The transforms that compile, for so many scores; labels that a program holds."""
    if transform not in ("NONE", "LOGISTIC", "SOFTMAX"):
        return f"its post_transform is {transform}; only NONE, LOGISTIC and SOFTMAX compile"
    if count > 2**15:
        return "it has more than 2^15 scores"
    if any(abs(label) > LABEL_MAX for label in labels_of(node)):
        return "its labels are beyond 2^23"
    return None


def largest(node: Node, builder: Builder, raw: Value, labels: Labels) -> None:
    """The label of the largest score, the first of equal ones."""
    name = used(node, builder.graph, 0)
    if name is None:
        return
    own, count = replace(node, outputs=(name,)), raw.shape[1]
    code = Affine(1.0, 0, 0, count - 1)
    width = 1 if count <= 2**7 else 2
    plain = list(labels) == list(range(count))
    space = raw.shape[:1]
    if plain:
        out = builder.define(own, code, integer=True, width=width)
    else:
        out = builder.temporary("class", space, code, width)
    source = builder.read(raw, (along(0), over(0)), raw=True)
    builder.pick(out, space, source, mode=PickMode.ARGMAX, window=(count,), suffix="class")
    if not plain:
        relabelled(own, builder, out, labels)


def above(
    node: Node, builder: Builder, raw: Value, column: int, limit: float, labels: Labels
) -> None:
    """The second label where a score is above a number, else the first."""
    name = used(node, builder.graph, 0)
    if name is None:
        return
    own, space = replace(node, outputs=(name,)), raw.shape[:1]
    plain = list(labels) == [0, 1]
    out = (
        builder.define(own, TRUTH, integer=True)
        if plain
        else builder.temporary("class", space, TRUTH)
    )
    score = builder.read(raw, (along(0), at(column)), raw=True)
    # A limit on the grid of the scores, as 0.5 is of votes, counts as met exactly.
    integer = int(np.floor(limit / raw.code.scale + 2**-4)) + raw.code.zero
    builder.pick(out, space, score, Const(integer), mode=PickMode.GREATER, suffix="class")
    if not plain:
        relabelled(own, builder, out, labels)


def relabelled(node: Node, builder: Builder, chosen: Value, labels: Labels) -> None:
    """The node's output: the label of each class by number."""
    lo, hi = min(labels), max(labels)
    peak = max(-lo - 1, hi)
    width = 1 if peak < 2**7 else 2 if peak < 2**15 else 3
    out = builder.define(node, Affine(1.0, 0, lo, hi), integer=True, width=width)
    table = builder.integer_table("labels", 0, tuple(labels))
    terms = [Term((), builder.read(chosen, rows(len(chosen.shape)), raw=True), Const(1))]
    builder.dot(out, chosen.shape, terms, zero=0, table=table, suffix="label")


def written(
    node: Node,
    builder: Builder,
    raw: Value,
    index: int,
    transform: str,
    signs: Sequence[tuple[int, float]] | None = None,
) -> None:
    """The output `index`: the scores, transformed.

    `signs` makes two scores of a single one s: for each a factor, 1 or −1, and an addend.
    """
    name = used(node, builder.graph, index)
    if name is None:
        return
    own = replace(node, outputs=(name,))
    if transform == "LOGISTIC":
        _logistic(own, builder, raw, [sign for sign, _ in signs] if signs else None)
        return
    pair = raw if signs is None else _pair(builder, raw, signs)
    if transform == "SOFTMAX":
        softmax(own, builder, pair)
        return
    _plain(own, builder, pair)


def is_fine(node: Node, graph: Graph) -> bool:
    """Whether a node's output may have 24 bits: nothing makes tables of it."""
    quiet = ("ArgMax", "Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze")
    return all(
        reader.op.startswith(DOMAIN)
        or (reader.op in quiet and (reader.op == "ArgMax" or is_fine(reader, graph)))
        for reader in graph.consumers(node.output)
    )


def _plain(node: Node, builder: Builder, raw: Value) -> None:
    """The scores as they are, or in 16 bits."""
    space = raw.shape
    if is_fine(node, builder.graph):
        out = builder.define(node, raw.code, width=builder.width(raw))
        builder.pick(out, space, builder.read(raw, rows(len(space)), raw=True), suffix="scores")
        return
    code = builder.spread(node.output, COLUMNS_MAX)
    out = builder.define(node, replace(code, scale=finest(raw, code.scale)), width=2)
    ratio = raw.code.scale / out.code.scale
    mult, shift = multiplier(node.name, ratio)
    terms = [Term((), builder.read(raw, rows(len(space))), Const(1))]
    builder.dot(out, space, terms, mult=Const(mult), shift=shift, suffix="scores")


def finest(raw: Value, step: float) -> float:
    """A step in which quotients of all scores stay within 24 bits."""
    reach = max(raw.code.hi - raw.code.zero, raw.code.zero - raw.code.lo) + 1
    return max(step, 1.01 * reach * raw.code.scale / (Q_MAX - 2**16))


def _pair(builder: Builder, raw: Value, signs: Sequence[tuple[int, float]]) -> Value:
    """Two scores of one."""
    space = (raw.shape[0], len(signs))
    most = max(abs(addend) for _, addend in signs) / raw.code.scale
    reach = int(max(raw.code.hi, -raw.code.lo) + np.ceil(most))
    code = Affine(raw.code.scale, 0, -reach, reach)
    out = builder.temporary("both", space, code, 3)
    factor = builder.weight("sign", np.array([sign for sign, _ in signs]), 1, (along(1),))
    addends: Ints = np.rint(np.array([a for _, a in signs]) / code.scale).astype(np.int64)
    bias: Operand = builder.weight("one", addends, max(int(np.abs(addends).max()), 1), (along(1),))
    score = builder.read(raw, (along(0), at()))
    builder.dot(out, space, [Term((), score, factor)], bias=bias, suffix="both")
    return out


def _logistic(node: Node, builder: Builder, raw: Value, signs: Sequence[int] | None) -> None:
    """1/(1 + exp(−x)) by a table of 2^16 points."""
    step = finest(raw, LOGIT_MAX / LOGIT_STEPS)
    code = Affine(step, 0, -LOGIT_STEPS, LOGIT_STEPS)
    table = builder.table("logistic", sigmoid, code, PROBABILITY)
    space = builder.shape(node)
    out = builder.define(node, PROBABILITY, width=2)
    mult, shift = multiplier(node.name, raw.code.scale / step)
    factor: Operand = Const(1)
    score = builder.read(raw, (along(0), along(1)))
    if signs is not None:
        factor = builder.weight("sign", np.array(signs), 1, (along(1),))
        score = builder.read(raw, (along(0), at()))
    terms = [Term((), score, factor)]
    builder.dot(
        out, space, terms, mult=Const(mult), shift=shift, zero=0, table=table, suffix="scores"
    )


def softmax(node: Node, builder: Builder, raw: Value) -> None:
    """exp(x − max) / Σ exp(x − max): exponentials and quotients of 15 bits."""
    space, count = raw.shape, raw.shape[1]
    lines, each, line = space[:1], (along(0), along(1)), (along(0), at())
    most = builder.temporary("max", lines, raw.code, builder.width(raw))
    across = builder.read(raw, (along(0), over(0)), raw=True)
    builder.pick(most, lines, across, mode=PickMode.MAX, window=(count,), suffix="max")
    peak = min(COLUMNS_MAX, SUM_MAX // count)
    step = max(EXP_STEP, 2 * finest(raw, 0.0))
    powers = np.rint(np.exp(np.arange(-EXP_STEPS, 1) * step) * peak)
    table = builder.integer_table("exp", -EXP_STEPS, powers)
    power = builder.temporary("exp", space, Affine(1.0 / peak, 0, 0, peak), 2)
    terms = [
        Term((), builder.read(raw, each, raw=True), Const(1)),
        Term((), builder.read(most, line, view=(space[0], 1), raw=True), Const(-1)),
    ]
    mult, shift = multiplier(node.name, raw.code.scale / step)
    builder.dot(
        power, space, terms, mult=Const(mult), shift=shift, zero=0, table=table, suffix="exp"
    )
    total = builder.temporary("sum", lines, Affine(1.0 / peak, 0, peak, peak * count), 3)
    column = builder.read(power, (along(0), over(0)))
    builder.dot(total, lines, [Term((count,), column, Const(1))], suffix="sum")
    out = builder.define(node, PROBABILITY, width=2)
    below = builder.read(total, line, view=(space[0], 1))
    builder.quotient(out, space, COLUMNS_MAX, builder.read(power, each), below, suffix="scores")
