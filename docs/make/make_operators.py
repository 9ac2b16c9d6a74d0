"""Writes docs/operators.md from the operators themselves.

Run it with `make docs`; tests/unit/test_operators_page.py fails if the page is stale.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import onnx

from zktally.circuits import contrib, ops
from zktally.circuits.operator import Operator, computed
from zktally.circuits.source import OPSETS

PAGE = Path(__file__).parents[1] / "operators.md"
LINE = 120
HEAD = f"""# Operators

The ONNX operators of the default domain that compile, in opsets {OPSETS.start} to
{OPSETS.stop - 1}. The numbers after a name are the opsets in which the operator changed: each of
these forms is read.

What is said under *supported* is all that is asked of a node, beside fixed shapes of at most 8
axes; what does not fit is refused by `zktally compile` with its reason. `zktally bench nodes`
counts onnx's own tests of them.

This page is written by `make docs` from the operators themselves.
"""


def operators() -> Iterator[tuple[str, Operator]]:
    """What the file of each operator (or of its family) says of it, and the operator."""
    for file in ops.FILES:
        module = import_module(f"{ops.__name__}.{file}")
        said = (inspect.getdoc(module) or "").split("\n\n")[0]
        for operator in getattr(module, "OPERATORS", ()) or (module.OPERATOR,):
            if all(map(versions, operator.names)):
                yield said, operator


@cache
def history() -> dict[str, list[int]]:
    """The opsets in which each operator of the default domain changed."""
    found: dict[str, list[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "":
            found.setdefault(schema.name, []).append(schema.since_version)
    return {name: sorted(since) for name, since in found.items()}


def versions(name: str) -> list[int]:
    """The opsets in which an operator changed, among those that are read."""
    since = history().get(name, [])
    older = [version for version in since if version <= OPSETS.start]
    return sorted({*older[-1:], *(version for version in since if version in OPSETS)})


def render() -> str:
    """The page."""
    sections = {operator.names: _section(said, operator) for said, operator in operators()}
    return "\n".join([HEAD, *(sections[names] for names in sorted(sections)), *_written_out()])


def _written_out() -> Iterator[str]:
    """Operators that others stand for."""
    for title, rewrites in (
        ("Of ONNX, by others", contrib.OF_ONNX),
        ("com.microsoft", contrib.OF_RUNTIME),
    ):
        yield f"## {title}"
        yield "Written out by operators of ONNX, from opset 11 on:"
        yield ""
        for name, rewrite in sorted(rewrites.items()):
            yield from _wrapped(f"* **{name}**: {(inspect.getdoc(rewrite) or '').splitlines()[0]}")
        yield ""


def _section(said: str, operator: Operator) -> str:
    title = ", ".join(
        f"{name} ({', '.join(map(str, versions(name)))})" for name in sorted(operator.names)
    )
    lines = ["## " + title, *_wrapped(said)]
    lines += ["", *_wrapped(f"*Supported:* {_limits(operator)}")]
    return "\n".join([*lines, ""])


def _limits(operator: Operator) -> str:
    """What `support` says of itself; the common ones only look for a computed input."""
    common = operator.support in (Operator.support, computed)
    return "all of it." if common else inspect.getdoc(operator.support) or "all of it."


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), LINE, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
