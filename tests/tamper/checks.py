"""Every check of the Python verifier after its program, and how to take one out.

A check is a place in its source that can refuse: a `raise`, or a call of one of the helpers that
raise for their caller. It is named by its function and its number there, and taken out by putting
`pass` in its place. The two checks of openings share an `if`: they are taken out by what they
judge. What makes a program invalid has its own tests in tests/unit.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from types import FunctionType
from unittest.mock import patch

import numpy as np

from zktally.verifier import (
    fast,
    journal,
    labels,
    openings,
    policy,
    profiles,
    reader,
    receipt,
    sampling,
    shown,
    steps,
)
from zktally.verifier.hybrid import requantise, segments
from zktally.verifier.hybrid import verify as hybrid
from zktally.verifier.recursion import layers
from zktally.verifier.stark import (
    constraints,
    fri,
    logup,
    params,
    proof,
    security,
    statement,
    transcript,
)
from zktally.verifier.stark import tree as stark_tree
from zktally.verifier.stark import verify as engine

FUNCTIONS = (
    receipt._limit,
    receipt.split_receipt,
    reader.Reader.take,
    reader.Reader.end,
    reader.Reader.flag,
    reader.Reader.digest,
    journal._expect,
    journal._within,
    journal._ascending,
    labels._read,
    journal.Journal.decode.__func__,
    steps._identify,
    steps._fit,
    steps._fit_digests,
    steps._fit_run,
    policy.Expectations.judge,
    policy.Expectations._judge_digest,
    policy.Expectations._judge_data_set,
    policy.Policy.judge,
    policy.Policy.judge_run,
    policy.Policy._judge_ranges,
    policy.Policy._judge_sampling,
    policy.Policy.judge_bits,
    sampling._limit,
    fast._openings_for,
    openings._expect_room,
    openings.Proof.parse.__func__,
    openings.Proof._judge_elements,
    steps.hash_roots,
    steps._judge_start,
    steps.judge_origin,
    steps.compare_inputs,
    steps._compare_published,
    steps._InputRoots.compare_all,
    fast._recompute_gates,
    fast._compare_outputs,
    hybrid._read_head,
    profiles.read_profile,
    requantise.judge_covered,
    requantise._judge_wide,
    requantise._judge_limbs,
    hybrid._judge_outputs,
    segments.judge_count,
    statement.log_rows,
    hybrid._judge_bits,
    security.judge_bits,
    layers._judge_bits,
)
"""In the order of protocol.md section 6, then of hybrid.md section 7."""

SHOWN = (
    shown.judge_shown,
    shown._Showing.parse.__func__,
    shown._Showing._judge_elements,
    shown._Showing.judge_chain,
    shown._same_chain,
    shown._judge_range,
)
"""Of a showing (protocol.md section 7)."""

ENGINE = (
    params.reaching,
    statement.Statement._judge_sizes,
    stark_tree._judge_words,
    stark_tree.read_words,
    stark_tree.read_digest,
    stark_tree._read_rows,
    stark_tree.read_opening,
    proof._nonce,
    engine.judge_point,
    transcript.Transcript.pow,
    logup.public_sum,
    engine.verify_stark,
    constraints.check_constraints,
    engine._check_roots,
    fri.check_queries,
)
"""Of one proof, in the order of stark.md."""

HELPERS = {
    "_same", "_judge_elements", "end", "_limit", "judge_length", "demand", "_judge_limbs", "judge",
    "_judge_sampling", "judge_bits", "_fit_digests", "_fit_run", "_judge_digest",
    "_judge_data_set", "_judge_words", "judge_run", "_judge_ranges", "_judge_start", "_judge_seed",
    "_demand",
    "_at_most", "_judge_order", "_judge_once", "_judge_drawn", "_judge_all_meant",
    "_judge_expectations", "_same_chain", "judge_chain", "_judge_range",
}  # fmt: skip


def refusals(tree: ast.AST) -> list[ast.stmt]:
    """The statements that refuse, in the order of the source."""
    found = [node for node in ast.walk(tree) if _refuses(node)]
    return sorted(found, key=lambda node: node.lineno)


def _refuses(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return False
    called = node.value.func
    return (called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")) in (
        HELPERS
    )


def _parse(function: FunctionType) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return tree.body[0]


class _Remover(ast.NodeTransformer):
    def __init__(self, target: ast.stmt) -> None:
        self._target = target

    def visit(self, node):
        return ast.copy_location(ast.Pass(), node) if node is self._target else (
            self.generic_visit(node)
        )  # fmt: skip


@contextmanager
def _without(function: FunctionType, number: int) -> Iterator[None]:
    """The verifier without the number-th place of a function that can refuse."""
    tree = _parse(function)
    tree.decorator_list = []
    changed = ast.fix_missing_locations(_Remover(refusals(tree)[number]).visit(tree))
    scope: dict[str, FunctionType] = {}
    module = ast.Module([changed], [])
    exec(compile(module, f"<without {tree.name}>", "exec"), function.__globals__, scope)
    original = function.__code__
    function.__code__ = scope[tree.name].__code__
    try:
        yield
    finally:
        function.__code__ = original


def _without_paths() -> AbstractContextManager[object]:
    """The verifier that takes every opened leaf to hash to its root."""
    none = lambda proof: np.zeros(len(proof.trees), bool)  # noqa: E731
    return patch.object(openings.Proof, "wrong_paths", none)


class _AnyValue(openings.OpenedValues):
    """Opened values, all of which are taken to be in range."""

    def __init__(self, proof: openings.Proof) -> None:
        super().__init__(proof)
        self.outside = np.zeros_like(self.outside)


def _all_checks() -> Iterator[tuple[str, Callable[[], AbstractContextManager[object]]]]:
    for function in FUNCTIONS + SHOWN + ENGINE:
        label = f"{function.__module__.rsplit('.', 1)[1]}.{function.__qualname__}"
        for number in range(len(refusals(_parse(function)))):
            yield f"{label} {number}", partial(_without, function, number)
    yield "openings: paths", _without_paths
    yield "openings: ranges", partial(patch.object, fast, "OpenedValues", _AnyValue)


def without_all(
    functions: Iterable[FunctionType],
) -> dict[str, Callable[[], AbstractContextManager[object]]]:
    """By function and number of a check: a context in which these functions lack it."""
    return {
        f"{function.__qualname__} {number}": partial(_without, function, number)
        for function in functions
        for number in range(len(refusals(_parse(function))))
    }


WITHOUT = dict(_all_checks())
"""By the name of a check: a context in which the verifier lacks it."""
