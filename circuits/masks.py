"""Scores: values that only Softmax reads, and how far below the largest of a row they count.

A score more than 20 below the largest one of its row has a share of less than 2e-9: how far below
does not matter. So a mask, which adds -1e4, -1e9 or minus infinity, must not widen the range of a
code. Scores are followed from each Softmax backwards, through what adds to them, scales them,
chooses among them or moves them. Each is calibrated down to its *cut*, the level at which it would
put the Softmax's input 20 below the largest of its row, and up to the largest that counts. Outside
of that they saturate by design: no error that follows reaches an output. The results of LogSoftmax
are as low as what it reads, so there all but minus infinity counts.

A row to which a mask was added, and all of whose values lie far below those of other rows, is
masked whole. It is not calibrated on; all of it saturates, and its shares are uniform, as floats
have it that lost all but the mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .errors import CompileError, named
from .graph import Array, Graph, Node
from .operator import Operator
from .ops.slice import kept
from .ops.softmax import factors

CUT = 20.0
WHOLE = 1000.0
"""A row whose largest score is so far below that of another row is masked whole."""

LOG = "LogSoftmax"
ROWS = ("Softmax", LOG)
MASKS = ("Add", "Sub", "Where")
FACTORS = ("Mul", "Div")
MOVES = (
    "Slice",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Identity",
    "Cast",
    "Transpose",
    "Expand",
)

Range = tuple[float, float]
Level = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]
"""The cut of each element of a value (infinite: it is nowhere chosen), and whether it counts."""


class Scores:
    """The scores of a graph in the form that is lowered.

    `names` are those whose codes hold them down to their cut, `reads` the values from which the
    cuts follow.
    """

    def __init__(self, graph: Graph, operators: Mapping[str, Operator]) -> None:
        self._graph = graph
        self._readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in set(node.inputs):
                self._readers.setdefault(name, []).append(node)
        followed = self._followed()
        self.names = self._coded(followed, operators)
        self._passing = [
            node
            for node in graph.nodes
            if self.names and (node.op in ROWS or _follows(node, graph, followed))
        ]
        self._added = set[str]()
        for node in self._passing:
            if node.op in MASKS or self._added.intersection(node.inputs):
                self._added.add(node.output)
        self.reads = {
            name
            for node in self._passing
            for name in (node.inputs[:1] if node.op in ROWS else node.inputs)
            if name and name not in graph.constants
        }

    def ranges(self, values: Mapping[str, Array]) -> dict[str, Range]:
        """The range of each score on one step's values of `reads`.

        Raises:
            CompileError: `compile.not-finite`: a NaN, or infinities other than a mask's.
        """
        levels = self._levels(values)
        return {
            name: _range(name, values[name], *levels[name], to_cut=name in self._added)
            for name in self.names
        }

    def counts(self, values: Mapping[str, Array]) -> dict[str, npt.NDArray[np.bool_]]:
        """Which elements of each score are above their cut."""
        levels = self._levels(values)
        return {name: levels[name][1] for name in self.names}

    def refuse_infinite(self) -> None:
        """Refuse constants with minus infinity that are not a mask's.

        Raises:
            CompileError: `compile.not-finite`.
        """
        for name, readers in self._readers.items():
            array = self._graph.constants.get(name)
            if array is None or array.size == 1 or not holds_mask(array):
                continue
            if any(node.output not in self.names for node in readers):
                raise not_finite(name, "infinity")

    def _followed(self) -> set[str]:
        """Names all of whose readers are a Softmax, or pass them on to one."""
        graph, found = self._graph, set[str]()
        for name in (*(node.output for node in reversed(graph.nodes)), *graph.inputs):
            readers = self._readers.get(name, [])
            if not readers or name in graph.outputs or not graph.is_float(name):
                continue
            if all(self._on_the_way(node, name, found) for node in readers):
                found.add(name)
        return found

    def _on_the_way(self, node: Node, name: str, found: set[str]) -> bool:
        if node.op in ROWS:
            return node.inputs[0] == name
        return node.output in found and _passes(node, self._graph, name)

    def _coded(self, followed: set[str], operators: Mapping[str, Operator]) -> set[str]:
        """Those whose code follows from their range: not what only moves some other value."""
        found = followed.intersection(self._graph.inputs)
        for node in self._graph.nodes:
            if node.output in followed:
                operator = operators[node.op]
                if node.op in MOVES:
                    own = node.inputs[0] in found
                else:
                    own = operator.takes_activation or operator.is_activation or node.op == "Where"
                if own:
                    found.add(node.output)
        return found

    def _levels(self, values: Mapping[str, Array]) -> dict[str, Level]:
        """The levels of all that is followed, from each Softmax backwards."""
        found: dict[str, Level] = {}
        for node in reversed(self._passing):
            if node.op in ROWS:
                name = node.inputs[0]
                masked = name in self._added
                self._meet(found, name, _rows(node, self._graph, values[name], masked=masked))
                continue
            for index, name in enumerate(node.inputs):
                if name not in self._graph.constants and _passes(node, self._graph, name):
                    self._meet(found, name, self._behind(node, index, found[node.output], values))
        return found

    def _behind(self, node: Node, index: int, level: Level, values: Mapping[str, Array]) -> Level:
        """The level of a node's input, in the shape of its output, from that of its output."""
        cut, counts = level
        others = [
            np.asarray(self._graph.constants.get(name, values.get(name)))
            for name in node.inputs
            if name
        ]
        match node.op:
            case "Add":
                return cut - others[1 - index].astype(np.float64), counts
            case "Sub":
                return cut + others[1].astype(np.float64), counts
            case "Mul":
                return cut / others[1 - index].astype(np.float64), counts
            case "Div":
                return cut * others[1].astype(np.float64), counts
            case "Where":
                chosen = np.broadcast_to(others[0] != (index == 2), cut.shape)
                return np.where(chosen, cut, math.inf), counts & chosen
            case "Transpose":
                rank = cut.ndim
                back = np.argsort(node.attributes.get("perm") or list(reversed(range(rank))))
                return np.transpose(cut, back), np.transpose(counts, back)
            case "Expand":
                return level
            case "Slice":
                return _sliced(node, self._graph, level)
        shape = self._graph.shapes[node.inputs[0]]
        return cut.reshape(shape), counts.reshape(shape)

    def _meet(self, found: dict[str, Level], name: str, level: Level) -> None:
        """Of what is read in several places, the lowest cut holds."""
        shape = self._graph.shapes[name]
        cut, counts = _narrowed(level[0], shape, np.min), _narrowed(level[1], shape, np.any)
        if name in found:
            cut, counts = np.minimum(cut, found[name][0]), counts | found[name][1]
        found[name] = cut, counts


def holds_mask(array: Array) -> bool:
    """Whether a constant holds minus infinity, and nothing else that is not finite."""
    return array.dtype.kind == "f" and bool(np.isneginf(array).any())


def not_finite(name: str, what: str) -> CompileError:
    """The error for a constant that holds infinity or NaN."""
    return CompileError(
        f"tensor {named(name)} contains {what}",
        code="compile.not-finite",
        expected="finite weights; minus infinity in a mask that only a Softmax reads",
        hint="the model was trained or exported wrongly",
    )


def _follows(node: Node, graph: Graph, scores: set[str]) -> bool:
    return node.output in scores and any(_passes(node, graph, name) for name in node.inputs)


def _passes(node: Node, graph: Graph, name: str) -> bool:
    """Whether the output of a node follows this input, element by element, up to a constant."""
    if node.activation is not None:
        return False
    if node.op in MOVES:
        return node.inputs[0] == name and graph.is_float(node.output)
    if node.op == "Add":
        return node.inputs[0] != node.inputs[1]
    if node.op == "Sub":
        return node.inputs[0] == name != node.inputs[1]
    if node.op == "Where":
        return name != node.inputs[0] and node.inputs[1] != node.inputs[2]
    if node.op in FACTORS:
        by = node.inputs[1] if node.inputs[0] == name else node.inputs[0]
        factor = graph.constant(by) if node.op == "Mul" or by == node.inputs[1] else None
        return factor is not None and factor.size == 1 and bool(factor > 0.0)
    return False


def _rows(node: Node, graph: Graph, array: Array, *, masked: bool) -> Level:
    """The levels of a Softmax's input; without a mask, no row is masked whole."""
    lines = array.astype(np.float64).reshape(factors(node, graph))
    hidden = np.isneginf(lines)
    largest = lines.max(axis=1, keepdims=True)
    if node.op == LOG:
        cut, counts = np.where(hidden, math.inf, lines).min(axis=1, keepdims=True), ~hidden
    else:
        whole = np.isneginf(largest) | (masked & (largest < largest.max() - WHOLE))
        lowest = largest.min(where=~whole, initial=math.inf)
        cut = np.where(whole, lowest, largest) - CUT
        counts = (lines >= cut) & ~whole
    cut = np.broadcast_to(cut, lines.shape)
    return cut.reshape(array.shape), counts.reshape(array.shape)


def _sliced(node: Node, graph: Graph, level: Level) -> Level:
    """What a Slice leaves out counts nowhere."""
    shape = graph.shapes[node.inputs[0]]
    taken = np.ix_(*kept(node, graph))
    cut, counts = np.full(shape, math.inf), np.zeros(shape, np.bool_)
    cut[taken], counts[taken] = level
    return cut, counts


def _narrowed(part: Array, shape: tuple[int, ...], by: Callable[..., Array]) -> Array:
    """An array of a larger shape brought to `shape`, from which broadcasting made it."""
    first = part.ndim - len(shape)
    part = by(part, axis=tuple(range(first))) if first else part
    axes = tuple(n for n, dim in enumerate(shape) if dim == 1 and part.shape[n] > 1)
    return by(part, axis=axes, keepdims=True) if axes else part


def _range(name: str, array: Array, cut: Array, counts: Array, *, to_cut: bool) -> Range:
    """From the lowest cut (or the lowest value, where no mask was added) to what counts most.

    A mask that hides nothing in calibration may hide something later: it reaches down to the cut,
    and so does what it is added to.
    """
    values = array.astype(np.float64)
    if np.isnan(values).any() or np.isposinf(values).any():
        raise CompileError(
            f"value {named(name)} becomes infinite or NaN on the calibration data",
            code="compile.not-finite",
            hint="check the model and the data in float first",
        )
    if not counts.any():  # none of it is chosen
        return -CUT, 0.0
    low, high, lowest = float(cut.min()), float(values[counts].max()), values[cut < math.inf].min()
    return low if to_cut or lowest == high else max(float(lowest), low), high
