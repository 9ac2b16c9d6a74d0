"""Every check of the Python verifier, and how to take one out.

A check is a place in its source that can refuse: a `raise`, or a call of one of the helpers that
raise for their caller. It is named by its function and its number there, or by the error code that
it names. `without` runs the verifier with one of them replaced by `pass`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType

from zktally.verifier import fast, journal, openings, reader, receipt, sampling

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
    journal._audience,
    journal.Journal.decode.__func__,
    fast._identify,
    fast._fit,
    fast._obey,
    fast._outputs_exact,
    fast._expected_statement,
    sampling._limit,
    openings._judge_length,
    openings.Proof.parse.__func__,
    openings.Proof._judge_elements,
    fast._hash_roots,
    fast._compare_inputs,
    fast._compare_published,
    fast._open,
    fast._recompute_gates,
    fast._compare_outputs,
)
"""In the order of protocol.md section 6."""

HELPERS = {"_same", "_judge_elements", "end", "_limit", "_outputs_exact", "_expected_statement"}


@dataclass(frozen=True)
class Check:
    """The number-th place in a function where it can refuse."""

    function: FunctionType
    number: int
    name: str


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


def _code(node: ast.stmt) -> str | None:
    codes = [
        leaf.value
        for leaf in ast.walk(node)
        if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
    ]
    return next((text for text in codes if text.count(".") == 1 and " " not in text), None)


def all_checks() -> Iterator[Check]:
    """Every check, in the order of the protocol."""
    for function in FUNCTIONS:
        label = f"{function.__module__.rsplit('.', 1)[1]}.{function.__qualname__}"
        for number, node in enumerate(refusals(_parse(function))):
            yield Check(function, number, f"{label} {_code(node) or number}")


class _Remover(ast.NodeTransformer):
    def __init__(self, target: ast.stmt) -> None:
        self._target = target

    def visit(self, node):
        return ast.copy_location(ast.Pass(), node) if node is self._target else (
            self.generic_visit(node)
        )  # fmt: skip


@contextmanager
def without(check: Check) -> Iterator[None]:
    """The verifier without this check."""
    function = check.function
    tree = _parse(function)
    tree.decorator_list = []
    changed = ast.fix_missing_locations(_Remover(refusals(tree)[check.number]).visit(tree))
    scope: dict[str, FunctionType] = {}
    module = ast.Module([changed], [])
    exec(compile(module, f"<without {check.name}>", "exec"), function.__globals__, scope)
    original = function.__code__
    function.__code__ = scope[tree.name].__code__
    try:
        yield
    finally:
        function.__code__ = original
