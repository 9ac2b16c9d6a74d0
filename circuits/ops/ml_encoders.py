"""Binarizer, OneHotEncoder, LabelEncoder, Imputer, ArrayFeatureExtractor: values as categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder, Value
from ..forest import Condition
from ..graph import Graph, Node
from ..maps import along, rows
from ..moves import move
from ..operator import Operator, computed, first, uncompared
from ..quantise import Affine, Ints
from .comparisons import TRUTH
from .indices import in_range
from .ml_columns import DOMAIN
from .ml_trees import on_grid

TABLE_MAX, NUMBER_MAX = 2**16, 2**23 - 1

# Binarizer


def lower_binarizer(node: Node, builder: Builder) -> None:
    """1 above the threshold, else 0: a comparison on the value's own grid."""
    x = builder.values[node.inputs[0]]
    threshold = float(node.attributes.get("threshold", 0.0))
    limit = on_grid(x.code, Condition(0, threshold, False), False)
    space = x.shape or (1,)
    out = builder.define(node, TRUTH)
    source = builder.read(x, rows(len(space)), raw=True)
    builder.pick(out, space, source, Const(limit), mode=PickMode.GREATER)


def binarizer_span(node: Node, graph: Graph) -> Sequence[tuple[float, float] | None]:
    """The threshold, as what the input is compared with."""
    threshold = float(node.attributes.get("threshold", 0.0))
    return [(threshold, threshold)]


# OneHotEncoder


def support_one_hot(node: Node, graph: Graph) -> str | None:
    """Categories that are numbers."""
    categories = node.attributes.get("cats_int64s") or []
    if not categories:
        return "its categories are strings; encode them as integers before the model"
    if len(graph.shapes[node.output]) > 8:
        return "its output has more than 8 axes"
    return first(_too_large("category", categories), computed(node, graph))


def lower_one_hot(node: Node, builder: Builder) -> None:
    """A comparison with each category: a value that is none of them has zeros throughout."""
    x = builder.values[node.inputs[0]]
    categories: Ints = np.array(node.attributes["cats_int64s"], np.int64)
    places = np.rint(categories / x.code.scale).astype(np.int64) + x.code.zero
    # What the code does not hold equals nothing.
    places = np.clip(places, x.code.lo - 1, x.code.hi + 1)
    space = builder.shape(node)
    last = len(space) - 1
    peak = max(int(np.abs(places).max()), 1)
    category = builder.weight("categories", places, peak, (along(last),))
    source = builder.read(x, rows(len(x.shape)), raw=True)
    out = builder.define(node, TRUTH)
    builder.pick(out, space, source, category, mode=PickMode.EQUAL)


# LabelEncoder


def _mapping(node: Node) -> tuple[list[int], list[float], float, bool] | None:
    """Keys, values, the value of others, whether values are integers; None: not of numbers."""
    get = node.attributes.get
    keys, whole = list(get("keys_int64s") or []), list(get("values_int64s") or [])
    reals = list(get("values_floats") or [])
    if not keys or not (whole or reals):
        return None
    default = get("default_int64", -1) if whole else get("default_float", -0.0)
    return keys, whole or reals, default, bool(whole)


def support_labels(node: Node, graph: Graph) -> str | None:
    """From integers to numbers; the integers not too far apart for a table."""
    mapping = _mapping(node)
    if mapping is None:
        return "it does not map integers to numbers; encode strings as integers before the model"
    keys, values, default, whole = mapping
    if len(keys) != len(values):
        return "its keys and values differ in number"
    if max(keys) - min(keys) + 3 > TABLE_MAX:
        return "its keys are too far apart for a table"
    if not np.isfinite([*values, default]).all():
        return "a value is not finite"
    return first(
        _too_large("key", keys),
        _too_large("value", [*values, default]) if whole else None,
        computed(node, graph),
    )


def lower_labels(node: Node, builder: Builder) -> None:
    """A table over the keys, with the default on both sides of them."""
    x, mapping = builder.values[node.inputs[0]], _mapping(node)
    assert mapping is not None
    keys, values, default, whole = mapping
    low, high = min(keys) - 1, max(keys) + 1
    entries = np.full(high - low + 1, float(default))
    for key, value in reversed(list(zip(keys, values, strict=True))):
        entries[key - low] = value
    peak = 2**15 - 1
    if whole:
        code = Affine(1.0, 0, int(entries.min()), int(entries.max()))
        most = max(-code.lo - 1, code.hi)
        width = 1 if most < 2**7 else 2 if most < 2**15 else 3
    else:
        code, width = Affine(float(np.abs(entries).max()) / peak or 1.0, 0, -peak, peak), 2
    table = builder.integer_table("labels", low, code.quantise(entries))
    space = x.shape or (1,)
    out = builder.define(node, code, integer=whole, width=width)
    source = builder.read(x, rows(len(space)), raw=True)
    builder.dot(out, space, [Term((), source, Const(1))], zero=0, table=table)


# Imputer


def _imputed(node: Node) -> tuple[list[float], float]:
    get = node.attributes.get
    whole = get("imputed_value_int64s")
    if whole:
        return [float(v) for v in whole], float(get("replaced_value_int64", 0))
    values = [float(v) for v in get("imputed_value_floats") or []]
    return values, float(get("replaced_value_float", 0.0))


def support_imputer(node: Node, graph: Graph) -> str | None:
    """A value for each column, or one for all, in the place of a finite one."""
    values, replaced = _imputed(node)
    shape = graph.shapes[node.inputs[0]]
    if len(shape) != 2 or len(values) not in (1, shape[1]):
        return "its values are not one for each column of a table"
    if not np.isfinite([*values, replaced]).all():
        return "it replaces, or puts in, what is not finite, and nothing else"
    return computed(node, graph)


def lower_imputer(node: Node, builder: Builder) -> None:
    """A comparison with the value to be replaced, and a choice."""
    x = builder.values[node.inputs[0]]
    values, replaced = _imputed(node)
    code = x.code
    place = round(replaced / code.scale) + code.zero
    place = min(max(place, code.lo - 1), code.hi + 1)
    same = builder.temporary("replaced", x.shape, TRUTH)
    source = builder.read(x, (along(0), along(1)), raw=True)
    builder.pick(same, x.shape, source, Const(place), mode=PickMode.EQUAL, suffix="replaced")
    numbers = code.quantise(np.broadcast_to(np.array(values), (x.shape[1],)))
    most = max(-code.lo, code.hi)
    wider = Affine(code.scale, code.zero, -most, most)
    out = builder.define(node, wider, integer=x.integer, width=builder.width(x))
    put = builder.weight("values", numbers, most, (along(1),))
    truth = builder.read(same, (along(0), along(1)), raw=True)
    builder.pick(out, x.shape, truth, put, source, mode=PickMode.SELECT)


def imputer_span(node: Node, graph: Graph) -> Sequence[tuple[float, float] | None]:
    """What is replaced and put in, which the input's code must hold."""
    values, replaced = _imputed(node)
    known = [v for v in (*values, replaced) if np.isfinite(v)] or [0.0]
    return [(min(known), max(known))]


# ArrayFeatureExtractor


def support_extractor(node: Node, graph: Graph) -> str | None:
    """Constant indices of a computed table, or computed ones of a short constant list."""
    table, index = (graph.constant(name) for name in node.inputs)
    if table is not None and index is None:
        if graph.is_float(node.inputs[1]):
            return "its indices are floats"
        if table.size != table.shape[-1] or table.size > TABLE_MAX:
            return "it chooses from a constant that is no list"
        whole = table.dtype.kind != "f"
        return _too_large("number", table.reshape(-1).tolist()) if whole else None
    size = graph.shapes[node.inputs[0]][-1]
    if index is not None and ((index < 0) | (index >= size)).any():
        return f"an index lies outside its axis of {size}"
    return "both inputs are computed" if index is None else None


def lower_extractor(node: Node, builder: Builder) -> None:
    """A move of columns, or a table of the list."""
    graph = builder.graph
    index = graph.constant(node.inputs[1])
    if index is None:
        _listed(node, builder)
        return
    x = builder.values[node.inputs[0]]
    indices = [np.arange(dim) for dim in x.shape]
    indices[-1] = in_range(index.reshape(-1), x.shape[-1])
    move(node, builder, x, indices)


def _listed(node: Node, builder: Builder) -> None:
    chosen: Value = builder.values[node.inputs[1]]
    table = builder.graph.constants[node.inputs[0]].reshape(-1)
    peak = 2**15 - 1
    if table.dtype.kind != "f":
        code = Affine(1.0, 0, int(table.min()), int(table.max()))
        most = max(-code.lo - 1, code.hi)
        width = 1 if most < 2**7 else 2 if most < 2**15 else 3
    else:
        code, width = Affine(float(np.abs(table).max()) / peak or 1.0, 0, -peak, peak), 2
    entries = tuple(code.quantise(table).tolist())
    number = builder.integer_table("list", 0, entries)
    space = chosen.shape or (1,)
    view = builder.shape(node)
    out = builder.define(node, code, integer=table.dtype.kind != "f", width=width)
    source = builder.read(chosen, rows(len(view)), view=view, raw=True)
    builder.dot(out, view or space, [Term((), source, Const(1))], zero=0, table=number)


def _too_large(what: str, numbers: Sequence[float]) -> str | None:
    return f"a {what} is beyond 2^23" if max(map(abs, numbers)) > NUMBER_MAX else None


OPERATORS = (
    Operator(
        (f"{DOMAIN}Binarizer",),
        lower_binarizer,
        computed,
        columns=binarizer_span,
        takes_integers=True,
    ),
    Operator(
        (f"{DOMAIN}OneHotEncoder",),
        lower_one_hot,
        support_one_hot,
        columns=uncompared,
        takes_integers=True,
    ),
    Operator((f"{DOMAIN}LabelEncoder",), lower_labels, support_labels, takes_integers=True),
    Operator(
        (f"{DOMAIN}Imputer",),
        lower_imputer,
        support_imputer,
        columns=imputer_span,
        takes_integers=True,
    ),
    Operator(
        (f"{DOMAIN}ArrayFeatureExtractor",),
        lower_extractor,
        support_extractor,
        takes_integers=True,
    ),
)
