"""The verifier runs on any system: it imports numpy, and modules that Python has everywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import zktally
from zktally import errors, verifier

VERIFIER = Path(__file__).parents[2] / "verifier"
FILES = sorted(p for p in VERIFIER.rglob("*.py") if "build" not in p.relative_to(VERIFIER).parts)

EVERYWHERE = {
    "__future__", "abc", "argparse", "base64", "bisect", "collections", "contextlib", "csv",
    "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq",
    "html", "importlib", "io", "itertools", "json", "math", "numbers", "operator", "os", "pathlib",
    "re", "shlex", "stat", "struct", "sys", "tempfile", "tomllib", "types", "typing", "zipfile",
    "zlib",
}  # fmt: skip
"""Modules of the standard library that are the same on Linux, macOS and Windows."""

POSIX = {
    "chmod_group", "fork", "forkpty", "getegid", "geteuid", "getgid", "getuid", "mkfifo", "setsid",
    "sysconf", "uname", "wait",
}  # fmt: skip
"""Functions of `os` that Windows has not."""


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(VERIFIER)))
def test_it_imports_what_every_system_has(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    extra = {"py_ecc"} if file.parent.name == "snark" else set()  # where it is installed
    assert set(imported(tree)) <= EVERYWHERE | {"numpy"} | extra
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    assert not used & POSIX


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(VERIFIER)))
def test_texts_are_read_and_written_in_a_named_encoding(file: Path) -> None:
    """What `open` does without one depends on the system."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("read_text", "write_text"):
            assert any(word.arg == "encoding" for word in node.keywords), ast.unparse(node)
        if name == "open" and not isinstance(getattr(node.func, "value", None), ast.Name):
            assert any("b" in str(getattr(a, "value", "")) for a in node.args), ast.unparse(node)


def test_it_would_be_seen() -> None:
    assert set(imported(ast.parse("import fcntl\nfrom resource import x"))) - EVERYWHERE == {
        "fcntl",
        "resource",
    }


def test_the_package_exports_its_calls_and_all_its_errors() -> None:
    own = {name for name in errors.__all__ if hasattr(verifier.errors, name)} - {"error_for"}
    assert own | {"Policy", "Verified", "verify", "verify_chain", "inspect"} <= {*verifier.__all__}
    for name in verifier.__all__:
        assert getattr(verifier, name) is not None
    assert {*verifier.__all__} <= {*dir(verifier)}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = verifier.nothing


def test_zktally_exports_the_errors_too() -> None:
    for name in errors.__all__:
        if name != "error_for":
            assert getattr(zktally, name) is getattr(errors, name)
            assert name in zktally.__all__
