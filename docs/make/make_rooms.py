"""Draws docs/rooms.md: which room uses which, read from the `use` and `import` lines.

Run it with `make docs`; tests/unit/test_rooms.py fails if the page is stale or an arrow goes back.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/rooms.md"
CORE = ROOT / "rust/core/src"
CORE_MODULE = "_core"
PACKAGES = ("circuits", "prover", "hybrid", "verifier", "bench")

Arrows = Mapping[str, set[str]]
"""The rooms (or modules) that each one uses, itself left out."""

HEAD = """\
# Rooms
Which part of the code uses which, drawn from the code by `make docs`. An arrow means "uses".

What follows from other arrows is left out of the drawings, not of the tables. No arrow goes back:
a test fails if one does.
"""


def python_modules() -> dict[str, Path]:
    """Every module of the package by its name below `zktally`, "" for the package itself."""
    folders = {"": ROOT / "src/zktally", **{name: ROOT / name for name in PACKAGES}}
    found = {}
    for package, folder in folders.items():
        for path in folder.rglob("*.py"):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(part for part in parts if part not in ("", "__init__"))] = path
    return found


def python_arrows() -> Arrows:
    """Which module imports which; imports inside of functions count, too."""
    modules = python_modules()
    names = {*modules, CORE_MODULE}
    found = {
        name: {used for used in _imports(name, path, names) if used != name}
        for name, path in modules.items()
    }
    return {**found, CORE_MODULE: set()}


def python_rooms(arrows: Arrows) -> Arrows:
    """The same between packages; the files of the package itself are `api` and `cli`."""
    return _between({module: _python_room(module) for module in arrows}, arrows)


def _python_room(module: str) -> str:
    package = module.split(".")[0]
    if package in (*PACKAGES, CORE_MODULE):
        return package
    return "cli" if package in ("cli", "__main__") else "api"


def _imports(name: str, path: Path, modules: set[str]) -> Iterator[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        parts = package.split(".") if package else []
        parts = parts[: len(parts) - (node.level - 1)]
        base = ".".join([*parts, *(node.module or "").split(".")]).strip(".")
        for alias in node.names:
            below = f"{base}.{alias.name}".strip(".")
            target = below if below in modules else base
            if target in modules:
                yield target


def rust_rooms() -> Arrows:
    """Which module at the top of the core uses which; tests are left out."""
    rooms = {path.stem for path in CORE.iterdir()} - {"lib"}
    found: dict[str, set[str]] = {room: set() for room in sorted(rooms)}
    for path in CORE.rglob("*.rs"):
        parts = path.relative_to(CORE).with_suffix("").parts
        if parts[0] == "lib" or {"tests", "testing"} & set(parts):
            continue
        code = path.read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests {")[0]
        code = re.sub(r"//.*", "", code)
        found[parts[0]] |= {*re.findall(r"\bcrate::(\w+)", code)} & rooms - {parts[0]}
    return found


def _between(room_of: Mapping[str, str], arrows: Arrows) -> Arrows:
    found: dict[str, set[str]] = {room: set() for room in sorted({*room_of.values()})}
    for module, used in arrows.items():
        found[room_of[module]] |= {room_of[other] for other in used} - {room_of[module]}
    return found


def ordered(arrows: Arrows) -> list[str]:
    """The names, each behind all that it uses.

    Raises:
        graphlib.CycleError: some arrow goes back.
    """
    sorter = TopologicalSorter({name: sorted(used) for name, used in sorted(arrows.items())})
    return list(sorter.static_order())


def render() -> str:
    """The page."""
    python = python_rooms(python_arrows())
    return "\n".join(
        [
            HEAD,
            "## Python",
            "`api` and `cli` are the files and the command line of `src/zktally`.",
            "`_core` is the Rust core.\n",
            *_drawn(python),
            "## The Rust core",
            "What each room holds is told in `rust/core/src/lib.rs`; "
            "`hash`, `bytes` and `error` serve every one.\n",
            *_drawn(rust_rooms()),
        ]
    )


def _drawn(arrows: Arrows) -> Iterable[str]:
    order = [*reversed(ordered(arrows))]
    yield "```mermaid\nflowchart TD"
    for room in order:
        yield from (f"    {room} --> {used}" for used in sorted(_direct(room, arrows)))
    yield "```\n\n| room | uses |\n|---|---|"
    for room in order:
        used = sorted(arrows[room], key=order.index)
        # Every room hashes, reads bytes or fails: to say so of each would make the lines too long.
        named = [f"`{name}`" for name in used if name not in ("error", "bytes", "hash")]
        yield f"| `{room}` | {', '.join(named) or 'nothing'} |"
    yield ""


def _direct(room: str, arrows: Arrows) -> set[str]:
    """What a room uses and reaches by no other arrow."""
    beyond = set().union(*(_reached(used, arrows) for used in arrows[room]))
    return arrows[room] - beyond


def _reached(room: str, arrows: Arrows) -> set[str]:
    return arrows[room].union(*(_reached(used, arrows) for used in arrows[room]))


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
