"""Normalisations and softmaxes that a model spells out become the operators that they are.

Exporters write LayerNormalization as means, squares and roots, in many ways: deviations first or
E[x²] - E[x]², dividing or multiplying by the inverse, gains inside or after. In integers of 8 bits
that difference has no digits left, and each value in between rounds. The operators keep what
matters (`ops/standardise.py`, `ops/softmax.py`).

For each x and the axes that a Reduce node names, what follows from x is named by what it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .graph import Array, Graph, Node
from .operator import Operator
from .ops.reduction import given_axes, reduction

VIEWS = ("Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Expand")
REDUCES = ("ReduceMean", "ReduceSum", "ReduceMax")
INNER = ("Mul", "Pow", "Exp")
"""What stands between x and the Reduce node of some statistics of it."""
LOWEST = -1e30
"""A bound from below so low is none."""

RESULTS = ("normal", "rms", "share")
WHOLE = (
    *RESULTS,
    "x",
    "x²",
    "centred",
    "centred²",
    "shifted",
    "exp",
    "exp shifted",
    "gain/deviation",
    "gain/root",
)
WHOLE_SUMS = ("x·gain/deviation", "mean·gain/deviation", "offset")
"""Forms with an element for each one of x; the others are statistics, one for each line."""

INVERSES = {"1/deviation": "gain/deviation", "1/root": "gain/root"}
TOTALS = {"exp": "total", "exp shifted": "total shifted"}
POWERS = {"variance+e": "deviation", "mean square+e": "root"}


@dataclass(frozen=True, eq=False)
class _Form:
    """What a value is: `factor` times a `kind`; with what epsilon, gain and bias."""

    kind: str
    factor: float = 1.0
    epsilon: float = 0.0
    gain: Array | float = 1.0
    bias: Array | float = 0.0

    def to(self, kind: str) -> _Form:
        return replace(self, kind=kind)

    def scaled(self, factor: float) -> _Form:
        """Sums and means times a number; one that is 1 but for float32's rounding is 1."""
        product = self.factor * factor
        return replace(self, factor=1.0 if abs(product - 1.0) < 1e-5 else product)


def recognised(graph: Graph, operators: Mapping[str, Operator]) -> Graph:
    """The graph with such operators in the place of the nodes that they are spelled by."""
    made: dict[str, Node] = {}
    known = dict(graph.constants)
    for line in _lines(graph):
        for node, form in line.results():
            found, added = line.operator(node, form)
            trial = replace(graph, constants={**known, **added})
            if node.name not in made and operators[found.op].support(found, trial) is None:
                made[node.name] = found
                known.update(added)
    if not made:
        return graph
    nodes = [made.get(node.name, node) for node in graph.nodes]
    return replace(graph, constants=known).prune(nodes)


def _lines(graph: Graph) -> Iterator[_Line]:
    """Every x of which there is a statistic: what Reduce nodes read, or its squares are made of."""
    producers = {name: node for node in graph.nodes for name in node.outputs if name}
    found: dict[tuple[str, tuple[int, ...]], None] = {}
    for node in graph.nodes:
        if node.op in REDUCES and (
            node.input(1) is None or graph.constant(node.input(1)) is not None
        ):
            name, axes = node.inputs[0], reduction(node, graph).axes
            inner = producers.get(name)
            above = inner.inputs[0] if inner is not None and inner.op in INNER else name
            found[name, axes] = None
            if graph.shapes[above] == graph.shapes[name]:  # the other factor may have more axes
                found[above, axes] = None
    for name, axes in found:
        if name not in graph.constants and graph.is_float(name) and axes:
            yield _Line(graph, name, axes)


class _Line:
    """What the values that follow from x are, with regard to its lines along some axes."""

    def __init__(self, graph: Graph, x: str, axes: tuple[int, ...]) -> None:
        self._graph, self._x, self._axes = graph, x, axes
        self._shape = graph.shapes[x]
        self._kept = tuple(1 if at in axes else size for at, size in enumerate(self._shape))
        self._count = math.prod(self._shape[axis] for axis in axes)
        self._forms = {x: _Form("x")}
        for node in graph.nodes if self._count > 1 else ():
            if self._forms.keys() & set(node.inputs):
                form = self._form(node)
                if form is not None and self._fits(node.output, form):
                    self._forms[node.output] = form

    def results(self) -> Iterator[tuple[Node, _Form]]:
        """The nodes that give the result of a whole operator, the last ones with all its parts."""
        for node in self._graph.nodes:
            form = self._forms.get(node.output)
            if form is not None and form.kind in RESULTS and node.output != self._x:
                readers = self._graph.consumers(node.output)
                inside = len(readers) == 1 and readers[0].output in self._forms
                if not inside or node.output in self._graph.outputs:
                    yield node, form

    def operator(self, node: Node, form: _Form) -> tuple[Node, dict[str, Array]]:
        """The operator in the place of a node, and the constants that it reads."""
        start = len(self._shape) - len(self._axes)
        trailing = self._axes == tuple(range(start, len(self._shape)))
        if form.kind == "share":
            attributes: dict[str, Any] = {"axis": self._axes[0]}
            return replace(node, op="Softmax", inputs=(self._x,), attributes=attributes), {}
        op = "RMSNormalization" if form.kind == "rms" else "LayerNormalization"
        attributes = {"axis": start, "epsilon": form.epsilon}
        if not trailing:
            op, attributes = "MeanVarianceNormalization", {"axes": list(self._axes)} | attributes
        names = (f"{node.name}/gain", f"{node.name}/bias")
        known = np.broadcast_arrays(*map(np.atleast_1d, (form.gain, form.bias)))
        inputs = (self._x, *names)
        return replace(node, op=op, inputs=inputs, attributes=attributes), dict(
            zip(names, known, strict=True)
        )

    def _fits(self, name: str, form: _Form) -> bool:
        """Whether a value has the shape of its form; a statistic may be a view of it, or spread."""
        shape = self._graph.shapes[name]
        if form.kind in WHOLE:
            trailing = self._axes == tuple(range(len(shape) - len(self._axes), len(shape)))
            refused = (form.kind == "rms" and not trailing) or (
                form.kind == "share"
                and (len(self._axes) > 1 or (self._graph.opset < 13 and not trailing))
            )
            return shape == self._shape and not refused
        return shape == self._shape or math.prod(shape) == math.prod(self._kept)

    def _form(self, node: Node) -> _Form | None:
        if not self._graph.is_float(node.output):  # a Cast cuts off
            return None
        forms = [self._forms.get(name) for name in node.inputs]
        if node.op in VIEWS:
            return self._viewed(node, forms[0])
        if node.op in REDUCES:
            return self._reduced(node, forms[0])
        if len(forms) == 1:
            return None if forms[0] is None else _function(node.op, forms[0])
        if len(forms) != 2:
            return None
        a, b = forms
        if a is not None and b is not None:
            return self._pair(node, a, b)
        known = self._graph.constant(node.inputs[0 if a is None else 1])
        form = b if a is None else a
        if known is None or form is None:
            return None
        return self._with_constant(node, form, known, first=a is None)

    def _viewed(self, node: Node, form: _Form | None) -> _Form | None:
        """Views of statistics keep the order of lines; spread to all elements, each has its own."""
        if form is None:
            return None
        before, after = (self._graph.shapes[name] for name in (node.inputs[0], node.output))
        whole = before == self._shape
        spread = node.op == "Expand" and before == self._kept and after == self._shape
        same = before == after if whole else math.prod(before) == math.prod(after)
        return form if spread or same else None

    def _reduced(self, node: Node, form: _Form | None) -> _Form | None:
        axes = reduction(node, self._graph).axes
        if form is None or self._graph.shapes[node.inputs[0]] != self._shape or axes != self._axes:
            return None
        if node.input(1) is not None and not given_axes(node, self._graph):
            return None
        means = {"x": "mean", "x²": "mean square", "centred²": "variance"}
        if node.op == "ReduceMax":
            return _Form("top") if form.kind == "x" else None
        if form.kind in TOTALS and node.op == "ReduceSum":
            return _Form(TOTALS[form.kind])
        if form.kind not in means or form.factor != 1.0:
            return None
        return _Form(means[form.kind]).scaled(self._count if node.op == "ReduceSum" else 1.0)

    def _pair(self, node: Node, a: _Form, b: _Form) -> _Form | None:
        """Two values met where each element of x has the statistic of its own line."""
        shapes = [self._graph.shapes[name] for name in node.inputs]
        if shapes[0] != shapes[1] and {*shapes} != {self._kept, self._shape}:
            return None
        if a.factor != 1.0 or b.factor != 1.0:
            return None
        found = _combined(node.op, a, b)
        return _combined(node.op, b, a) if found is None and node.op in ("Add", "Mul") else found

    def _with_constant(self, node: Node, form: _Form, known: Array, first: bool) -> _Form | None:
        real = known.astype(np.float64)
        if real.size == 1:
            found = _with_number(node.op, form, real.item(), first)
            if found is not None:
                return found
        name = node.inputs[1 if first else 0]
        if self._graph.shapes[name] not in (self._kept, self._shape):
            return None
        if node.op not in ("Add", "Mul", "Sub") or not broadcasts(real.shape, self._shape):
            return None
        return _with_vector(node.op, form, real, first)


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of a shape meets one of another without making it larger."""
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(size in (1, other) for size, other in pairs)


def _function(op: str, form: _Form) -> _Form | None:
    match op, form.kind:
        case "Sqrt", ("variance+e" | "mean square+e"):
            return form.to(POWERS[form.kind])
        case "Reciprocal", ("deviation" | "root"):
            return form.to(f"1/{form.kind}")
        case "Exp", "x":
            return _Form("exp")
        case "Exp", "shifted":
            return _Form("exp shifted")
        case "Relu", "variance":
            return form
    return None


def _combined(op: str, a: _Form, b: _Form) -> _Form | None:
    match op, a.kind, b.kind:
        case "Mul", ("x" | "centred" | "mean"), _ if a.kind == b.kind:
            return _Form(f"{a.kind}²")
        case "Sub", "x", "mean":
            return _Form("centred")
        case "Sub", "mean square", "mean²":
            return _Form("variance")
        case "Div", "centred", "deviation":
            return b.to("normal")
        case "Mul", "centred", ("1/deviation" | "gain/deviation"):
            return b.to("normal")
        case "Div", "x", "root":
            return b.to("rms")
        case "Mul", "x", ("1/root" | "gain/root"):
            return b.to("rms")
        case "Mul", ("x" | "mean"), "gain/deviation":
            return b.to(f"{a.kind}·gain/deviation")
        case "Sub", "x·gain/deviation", "mean·gain/deviation" if a.gain is b.gain:
            return a.to("normal")
        case "Add", "x·gain/deviation", "offset" if a.gain is b.gain:
            return b.to("normal")
        case "Sub", "x", "top":
            return _Form("shifted")
        case "Div", ("exp" | "exp shifted"), _ if b.kind == TOTALS[a.kind]:
            return _Form("share")
    return None


def _with_number(op: str, form: _Form, number: float, first: bool) -> _Form | None:
    match op, form.kind:
        case "Pow", ("x" | "centred" | "mean") if (
            number == 2.0 and form.factor == 1.0 and not first
        ):
            return _Form(f"{form.kind}²")
        case "Pow", ("variance+e" | "mean square+e") if abs(number) == 0.5:
            root = POWERS[form.kind]
            return form.to(root if number > 0 else f"1/{root}")
        case "Div", ("deviation" | "root") if first and number == 1.0:
            return form.to(f"1/{form.kind}")
        case "Mul", ("mean" | "mean square" | "variance"):
            return form.scaled(number)
        case "Div", ("mean" | "mean square" | "variance") if not first and number:
            return form.scaled(1.0 / number)
        case "Add", ("variance" | "mean square") if number > 0.0 and form.factor == 1.0:
            return _Form(f"{form.kind}+e", epsilon=number)
        case "Max", "variance" if number <= 0.0:
            return form
        case "Max", "top" if number < LOWEST:
            return form
    return None


def _with_vector(op: str, form: _Form, known: Array, first: bool) -> _Form | None:
    plain = not np.any(form.bias)
    match op, form.kind:
        case "Mul", ("1/deviation" | "1/root"):
            return replace(form, kind=INVERSES[form.kind], gain=known)
        case "Mul", ("normal" | "rms") if plain:
            return replace(form, gain=form.gain * known)
        case "Add", ("normal" | "rms"):
            return replace(form, bias=form.bias + known)
        case "Sub", ("normal" | "rms") if not first:
            return replace(form, bias=form.bias - known)
        case "Sub", "mean·gain/deviation" if first:
            return replace(form, kind="offset", bias=known)
    return None
