"""How names from outside stand in what is printed.

Ports, ops, tensors, programs, files, audiences and nonces are named by whoever made them, who may
want a name to be taken for a clause, a number or a line of the verdict. Between its quotes a name
is always one piece of printable ASCII, so that nothing in it ends the quotes or the line.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

LONGEST = 128
"""Characters of a name that are shown, escapes counted in full."""


def quoted(name: object, longest: int = LONGEST) -> str:
    """A name between double quotes; behind them an ellipsis where only its beginning is shown."""
    shown, room = "", longest
    for piece in map(_escaped, str(name)):
        room -= len(piece)
        if room < 0:
            return f'"{shown}"…'
        shown += piece
    return f'"{shown}"'


def quoted_path(path: object) -> str:
    """The name of a file, in full."""
    return quoted(path, 4096)


def listed(names: Iterable[object], none: str = "none") -> str:
    """Names one after the other, each quoted; `none` where there are none."""
    return ", ".join(map(quoted, names)) or none


def shell_word(text: str) -> str:
    """The text as one word of a shell's command line, whatever is in it."""
    if text.isprintable():
        return shlex.quote(text)
    escaped = "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))
    return f"$'{escaped}'"


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def steps_text(steps: tuple[int, ...]) -> str:
    """Ascending numbers in words, runs of them by their ends: "3, 7-9"."""
    runs: list[list[int]] = []
    for step in steps:
        if runs and step == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], step]
        else:
            runs.append([step])
    return ", ".join("-".join(map(str, run)) for run in runs)
