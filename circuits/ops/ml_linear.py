"""LinearClassifier and LinearRegressor: sums of columns with weights, in 24 bits.

Parts of a table that have the same code are summed together, each group with as many bits of
weights as a sum may have; the groups' sums are then added up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ...verifier.program.types import Const, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, over
from ..operator import Operator, first, uncompared
from ..quantise import Affine, Floats, Ints, multiplier
from .ml_columns import DOMAIN, Part, is_table, parts, width
from .ml_scores import above, labels_of, largest, transform_of, written
from .ml_scores import support as support_scores

CLASSIFIER, REGRESSOR = f"{DOMAIN}LinearClassifier", f"{DOMAIN}LinearRegressor"

SUM_BITS, WEIGHT_PEAK = 44, 2**23 - 1
"""A sum of products is bounded by 2^46 (protocol section 2), biases and zeros included."""
SCORE_PEAK = 2**21
"""Sums of one group; of groups and a bias together they have at most 24 bits."""


def weighted(
    builder: Builder, table: Sequence[Part], weight: Floats, bias: Floats, name: str
) -> Value:
    """The table times weights [scores, columns], and a bias for each score: [rows, scores]."""
    groups: dict[tuple[float, int, int, int], list[Part]] = {}
    for part in table:
        code = part.value.code
        groups.setdefault((code.scale, code.zero, code.lo, code.hi), []).append(part)
    reach = sum(_reach(group, weight) for group in groups.values())
    scale = (reach + float(np.abs(bias).max())) / SCORE_PEAK or 1.0
    rows, scores = table[0].value.shape[0], len(weight)
    each = (along(0), along(1))
    terms = []
    for number, group in enumerate(groups.values()):
        peak = math.ceil(_reach(group, weight) / scale) + 1
        out = builder.temporary(
            f"{name} {number}", (rows, scores), Affine(scale, 0, -peak, peak), 3
        )
        _group(builder, out, group, weight, f"{name} {number}")
        terms.append(Term((), builder.read(out, each), Const(1)))
    added: Ints = np.rint(bias / scale).astype(np.int64)
    total = Affine(scale, 0, -2 * SCORE_PEAK, 2 * SCORE_PEAK)
    out = builder.temporary(name, (rows, scores), total, 3)
    read = builder.weight(f"{name} bias", added, SCORE_PEAK, (along(1),))
    builder.dot(out, (rows, scores), terms, bias=read, suffix=name)
    return out


def _reach(group: Sequence[Part], weight: Floats) -> float:
    """What a sum of a group could be, as the bounds of a program have it."""
    each = (p.count * p.reach * p.value.code.scale * np.abs(p.of(weight)).max() for p in group)
    return float(sum(each))


def _group(builder: Builder, out: Value, group: Sequence[Part], weight: Floats, name: str) -> None:
    """The sum over parts of one code; their zeros are taken off by a column of their own."""
    most = max(float(np.abs(part.of(weight)).max()) for part in group) or 1.0
    code, columns = group[0].value.code, sum(part.count for part in group)
    raw = max(-code.lo, code.hi, 1)
    peak = min(WEIGHT_PEAK, 2**SUM_BITS // (columns * raw))
    step = most / peak
    terms = []
    for number, part in enumerate(group):
        numbers: Ints = np.rint(part.of(weight) / step).astype(np.int64)
        maps = (along(1), over(0))
        read = builder.weight(f"{name} weight {number}", numbers, peak, maps)
        values = builder.read(part.value, (along(0), over(0)), raw=True)
        terms.append(Term((part.count,), values, read))
        if code.zero:
            whole: Ints = numbers.sum(axis=1)
            zeros = builder.weight(
                f"{name} zero {number}", whole, min(peak * part.count, WEIGHT_PEAK), (along(1),)
            )
            terms.append(Term((), zeros, Const(-code.zero)))
    mult, shift = multiplier(name, step * code.scale / out.code.scale)
    builder.dot(out, out.shape, terms, mult=Const(mult), shift=shift, suffix=name)


def coefficients(node: Node, columns: int) -> tuple[Floats, Floats]:
    """Weights [scores, columns] and a bias for each score."""
    given = np.asarray(node.attributes["coefficients"], dtype=np.float64)
    weight = given.reshape(-1, columns)
    bias = np.asarray(node.attributes.get("intercepts") or [0.0] * len(weight), dtype=np.float64)
    return weight, bias


def _support(node: Node, graph: Graph) -> str | None:
    """Weights for each column, a bias for each score."""
    reason = is_table(node, graph)
    if reason is not None:
        return reason
    columns, given = width(node, graph), node.attributes.get("coefficients") or []
    if not given or len(given) % columns:
        return "its coefficients are not so many for each column"
    weight, bias = coefficients(node, columns)
    if len(bias) != len(weight):
        return "its intercepts are not one for each score"
    if not np.isfinite([*given, *bias]).all():
        return "a coefficient or an intercept is not finite"
    labels = len(labels_of(node))
    if node.op == CLASSIFIER and labels != (2 if len(weight) == 1 else len(weight)):
        return "it does not have a label for each score"
    return first(
        support_scores(node, _transform(node, len(weight)), len(weight)),
        "it has more than 2^15 columns" if columns > 2**15 else None,
    )


def _transform(node: Node, scores: int) -> str:
    """What is done to scores; onnxruntime does nothing to the single one of a regressor."""
    name = transform_of(node)
    return "NONE" if node.op == REGRESSOR and scores == 1 and name != "PROBIT" else name


def lower_classifier(node: Node, builder: Builder) -> None:
    """Scores, the label, and the scores transformed."""
    weight, bias = coefficients(node, width(node, builder.graph))
    raw = weighted(builder, parts(node, builder), weight, bias, "sum")
    labels, transform = labels_of(node), transform_of(node)
    if len(weight) > 1:
        largest(node, builder, raw, labels)
        written(node, builder, raw, 1, transform)
        return
    above(node, builder, raw, 0, 0.0, labels)
    # A single score s stands for 1 − s and s, whether s is a share or not.
    signs = [(-1, 1.0), (1, 0.0)]
    written(node, builder, raw, 1, transform if transform == "LOGISTIC" else "NONE", signs)


def lower_regressor(node: Node, builder: Builder) -> None:
    """Sums by target, transformed."""
    weight, bias = coefficients(node, width(node, builder.graph))
    raw = weighted(builder, parts(node, builder), weight, bias, "sum")
    written(node, builder, raw, 0, _transform(node, len(weight)))


OPERATORS = (
    Operator((CLASSIFIER,), lower_classifier, _support, columns=uncompared, takes_integers=True),
    Operator((REGRESSOR,), lower_regressor, _support, columns=uncompared, takes_integers=True),
)
