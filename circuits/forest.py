"""Ensembles of decision trees as ONNX writes them, read as leaves: the way there, what each adds.

A test is a sum of conditions [x > t], each 0 or 1: x ≤ t is 1 − [x > t], and x = t is
[x ≥ t] − [x > t]. A leaf is reached where all tests on its path hold, hence where their sum is
their number.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from .quantise import Floats, Ints

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
MEMBER = "BRANCH_MEMBER"
NUMBERED = (*MODES, MEMBER)
"""The modes by their numbers in TreeEnsemble."""

AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
"""By their numbers in TreeEnsemble."""


class BadForest(ValueError):
    """The attributes describe no trees; the message says why."""


@dataclass(frozen=True, order=True)
class Condition:
    """[x > threshold], or [x ≥ threshold] if `closed`, of a column."""

    column: int
    threshold: float
    closed: bool


@dataclass(frozen=True)
class Test:
    """A sum of conditions, each with its sign, and an offset: 1 where it holds, 0 where not."""

    terms: tuple[tuple[Condition, int], ...]
    offset: int


@dataclass(frozen=True)
class Branch:
    """An inner node: its test, and the nodes to which it leads."""

    test: Test
    if_true: Hashable
    if_false: Hashable


Nodes = Mapping[Hashable, Branch | None]
"""The nodes of all trees; None is a leaf."""

Weights = Mapping[Hashable, Mapping[int, float]]
"""What each leaf adds to the targets that it names."""


@dataclass(frozen=True, eq=False)
class Forest:
    """The leaves of all trees, tree by tree, by number.

    A leaf is reached where `offset` and the sum of sign·condition over its entries is 1; elsewhere
    it is less. `weights` [leaves, targets] is what leaves add, `named` where they say so.
    """

    conditions: tuple[Condition, ...]
    tree: Ints
    offset: Ints
    entry_leaf: Ints
    entry_condition: Ints
    entry_sign: Ints
    weights: Floats
    named: npt.NDArray[np.bool_]

    @property
    def trees(self) -> int:
        """How many trees there are."""
        return int(self.tree[-1]) + 1

    @property
    def targets(self) -> int:
        """How many targets, or classes."""
        return int(self.weights.shape[1])

    @property
    def columns(self) -> Ints:
        """The column of each condition."""
        return np.array([condition.column for condition in self.conditions], np.int64)


def read_test(mode: str, column: int, value: float, members: tuple[float, ...] = ()) -> Test:
    """The test of a node."""
    above, from_on = Condition(column, value, False), Condition(column, value, True)
    match mode:
        case "BRANCH_LEQ":
            return Test(((above, -1),), 1)
        case "BRANCH_LT":
            return Test(((from_on, -1),), 1)
        case "BRANCH_GTE":
            return Test(((from_on, 1),), 0)
        case "BRANCH_GT":
            return Test(((above, 1),), 0)
        case "BRANCH_EQ":
            return Test(((from_on, 1), (above, -1)), 0)
        case "BRANCH_NEQ":
            return Test(((from_on, -1), (above, 1)), 1)
        case "BRANCH_MEMBER":
            each = [read_test("BRANCH_EQ", column, member) for member in dict.fromkeys(members)]
            return Test(tuple(term for one in each for term in one.terms), 0)
    raise BadForest(f"its mode {mode} is not known")


def forest(attributes: Mapping[str, Any], kind: str, targets: int) -> Forest:
    """The trees of a TreeEnsembleClassifier (`kind` "class") or -Regressor ("target").

    Raises:
        BadForest: they are none.
    """
    names = ("treeids", "nodeids", "modes", "featureids", "truenodeids", "falsenodeids")
    lists = [attributes[f"nodes_{name}"] for name in names]
    values = _either(attributes, "nodes_values")
    _refuse_tracks(attributes)
    if len({len(column) for column in (*lists, values)}) > 1:
        raise BadForest("the attributes of its nodes differ in length")
    added: dict[Hashable, dict[int, float]] = {}
    given = [attributes[f"{kind}_{name}"] for name in ("treeids", "nodeids", "ids")]
    weights = _either(attributes, f"{kind}_weights")
    if len({len(column) for column in (*given, weights)}) > 1:
        raise BadForest("the attributes of its leaves differ in length")
    for tree, node, target, weight in zip(*given, weights, strict=True):
        held = added.setdefault((tree, node), {})
        held[target] = held.get(target, 0.0) + float(weight)
    nodes: dict[Hashable, Branch | None] = {}
    roots: dict[int, Hashable] = {}
    for value, tree, node, mode, column, yes, no in zip(values, *lists, strict=True):
        roots.setdefault(tree, (tree, node))
        test = None if _text(mode) == "LEAF" else read_test(_text(mode), column, float(value))
        nodes[tree, node] = None if test is None else Branch(test, (tree, yes), (tree, no))
    return _read(list(roots.values()), nodes, added, targets)


def forest_of_splits(attributes: Mapping[str, Any], targets: int) -> Forest:
    """The trees of a TreeEnsemble, whose leaves are numbered apart from its nodes.

    Raises:
        BadForest: they are none.
    """
    _refuse_tracks(attributes)
    weights = _array(attributes["leaf_weights"]).reshape(-1)
    owners = attributes["leaf_targetids"]
    added: dict[Hashable, Mapping[int, float]] = {
        ("leaf", number): {int(target): float(weight)}
        for number, (target, weight) in enumerate(zip(owners, weights, strict=True))
    }
    names = ("featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")
    lists = [attributes[f"nodes_{name}"] for name in names]
    modes = _array(attributes["nodes_modes"]).reshape(-1).tolist()
    splits = _array(attributes["nodes_splits"]).reshape(-1)
    members = _members(attributes.get("membership_values"))
    nodes: dict[Hashable, Branch | None] = dict.fromkeys(added)
    for number, (mode, split, column, yes, yes_leaf, no, no_leaf) in enumerate(
        zip(modes, splits, *lists, strict=True)
    ):
        kind = NUMBERED[mode] if mode < len(NUMBERED) else str(mode)
        own = next(members, ()) if kind == MEMBER else ()
        nodes["node", number] = Branch(
            read_test(kind, column, float(split), own),
            ("leaf" if yes_leaf else "node", yes),
            ("leaf" if no_leaf else "node", no),
        )
    return _read([_start(nodes, root) for root in attributes["tree_roots"]], nodes, added, targets)


def _start(nodes: Nodes, root: int) -> Hashable:
    """Where a tree begins: one that is a leaf has a node both of whose ways lead there."""
    branch = nodes.get(("node", root))
    alone = branch is not None and branch.if_true == branch.if_false
    return branch.if_true if branch is not None and alone else ("node", root)


def _read(roots: Sequence[Hashable], nodes: Nodes, added: Weights, targets: int) -> Forest:
    if not roots or targets < 1:
        raise BadForest("it has no trees, or no targets")
    tests = {key: branch.test for key, branch in nodes.items() if branch is not None}
    conditions = tuple(sorted({c for test in tests.values() for c, _ in test.terms}))
    number = {condition: n for n, condition in enumerate(conditions)}
    terms = {
        key: [(number[condition], sign) for condition, sign in test.terms]
        for key, test in tests.items()
    }
    tree: list[int] = []
    offset: list[int] = []
    entries: list[tuple[int, int, int]] = []
    held: list[Mapping[int, float]] = []
    for root_number, root in enumerate(roots):
        for key, path in _leaves(root, nodes):
            leaf = len(tree)
            constant = 1 - len(path)
            for node, holds in path:
                constant += tests[node].offset if holds else 1 - tests[node].offset
                entries += [(leaf, c, sign if holds else -sign) for c, sign in terms[node]]
            tree.append(root_number)
            offset.append(constant)
            held.append(added.get(key, {}))
    columns = np.array(entries, np.int64).reshape(-1, 3).T
    weights, named = _table(held, targets)
    arrays = (np.array(tree, np.int64), np.array(offset, np.int64), *columns, weights, named)
    return Forest(conditions, *arrays)


def _table(
    held: Sequence[Mapping[int, float]], targets: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What leaves add, and where they say so."""
    weights, named = np.zeros((len(held), targets)), np.zeros((len(held), targets), np.bool_)
    for leaf, own in enumerate(held):
        for target, value in own.items():
            if not 0 <= target < targets:
                raise BadForest("a leaf adds to a target that does not exist")
            weights[leaf, target], named[leaf, target] = value, True
    return weights, named


Path = tuple[tuple[Hashable, bool], ...]


def _leaves(root: Hashable, nodes: Nodes) -> Iterator[tuple[Hashable, Path]]:
    """All leaves below a node with the way there, the true ways first."""
    pending: list[tuple[Hashable, Path]] = [(root, ())]
    visited = 0
    while pending:
        key, path = pending.pop()
        visited += 1
        if key not in nodes or visited > len(nodes):
            raise BadForest("its nodes do not form trees")
        branch = nodes[key]
        if branch is None:
            yield key, path
            continue
        pending.append((branch.if_false, (*path, (key, False))))
        pending.append((branch.if_true, (*path, (key, True))))


def _refuse_tracks(attributes: Mapping[str, Any]) -> None:
    if any(attributes.get("nodes_missing_value_tracks_true") or ()):
        raise BadForest(
            "missing values (NaN) have a track of their own, and a program's inputs hold none; "
            "impute them, or train without missing values"
        )


def _either(attributes: Mapping[str, Any], name: str) -> Any:
    """A list of floats, or the tensor (of doubles) that may stand for it."""
    given = attributes.get(f"{name}_as_tensor")
    return _array(given).reshape(-1) if given is not None else attributes[name]


def _array(tensor: Any) -> npt.NDArray[Any]:
    return np.asarray(numpy_helper.to_array(tensor))


def _text(mode: Any) -> str:
    return mode.decode() if isinstance(mode, bytes) else str(mode)


def _members(tensor: Any) -> Iterator[tuple[float, ...]]:
    """The sets of numbers of the nodes that ask for members, in order; NaN ends each."""
    own: list[float] = []
    for value in () if tensor is None else _array(tensor).astype(np.float64).reshape(-1):
        if np.isnan(value):
            yield tuple(own)
            own = []
        else:
            own.append(float(value))
