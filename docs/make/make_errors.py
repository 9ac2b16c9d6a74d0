"""Writes docs/errors.md from the texts that stand with the error classes.

Run it with `make docs`; tests/unit/test_errors.py fails if the page is stale.
"""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from types import ModuleType

import zktally.circuits.errors
import zktally.prover.errors
import zktally.verifier.errors
from zktally.errors import ZktallyError

PAGE = Path(__file__).parents[1] / "errors.md"
ROOMS = {
    "Verifying": zktally.verifier.errors,
    "Compiling, and checking a compiled model": zktally.circuits.errors,
    "Proving": zktally.prover.errors,
}
HEAD = r"""# Errors

Every error that zktally raises on purpose is a `ZktallyError` with a code, a message, what was
expected, what was received, and sometimes a hint. Codes are stable: scripts may rely on them. Both
verifiers report the same code for the same receipt; [protocol.md](protocol.md) section 6 gives the
order in which they look.

The command line prints the code in brackets, and with `--json` as `code`. In Python every class can
be caught from `zktally.errors`.

| exit code | meaning |
|---|---|
| 0 | done, or verified |
| 1 | judged and refused |
| 2 | what the caller can mend: an argument, data, a path, room on a disk |
| 3 | could not be judged, or made: a file is malformed, damaged, or has what is not supported |
| 70 | an internal error: a bug, please report it |
| 130 | interrupted |
| 141 | nobody read the output to its end (`\| head`) |

This page is written by `make docs` from the classes themselves.
"""


def classes(room: ModuleType) -> list[type[ZktallyError]]:
    """The error classes that are defined in a room, in their order."""
    found = (value for value in vars(room).values() if inspect.isclass(value))
    return [c for c in found if issubclass(c, ZktallyError) and c.__module__ == room.__name__]


def render() -> str:
    """The page."""
    parts = [HEAD]
    for title, room in ROOMS.items():
        parts.append(f"## {title}\n")
        parts += [_section(cls) for cls in classes(room) if cls.codes]
    return "\n".join(parts)


def _section(cls: type[ZktallyError]) -> str:
    summary = (inspect.getdoc(cls) or "").split("\n\n")[0]
    rows = [f"### {cls.__name__}: exit code {cls.exit_code}", *_wrapped(summary), ""]
    for code, (meaning, remedy) in cls.codes.items():
        own = cls.exit_codes.get(code, cls.exit_code)
        other = "" if own == cls.exit_code else f" (exit code {own})"
        rows += _wrapped(f"- **`{code}`**{other} {meaning}", "  ")
        rows += _wrapped(f"  *Do:* {remedy}", "  ")
    return "\n".join([*rows, ""])


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 120, subsequent_indent=indent, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
