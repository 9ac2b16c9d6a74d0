"""Writes docs/cli.md from the parsers of the command line.

Run it with `make docs`; tests/unit/test_drawn_pages.py fails if the page is stale.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from unittest import mock

from zktally.cli.main import parser
from zktally.verifier.cli import main as verify_alone

PAGE = Path(__file__).parents[1] / "cli.md"
LINE = 120
HEAD = """# Command line
Every command with its options, as `--help` tells them. Results go to stdout, progress and remarks
to stderr; `-` is stdin or stdout where a file is named; `--json` prints one object with a versioned
`format`.

Exit codes stand with the [errors](errors.md).

This page is written by `make docs` from the parsers themselves.
"""


def commands(of: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and all below it, those that only lead to others left out."""
    below = [a for a in of._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield of
    for action in below:
        for child in {id(p): p for p in action.choices.values()}.values():
            yield from commands(child)


class _Built(BaseException):
    """A parser that is about to be used."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def built_by(main: Callable[[Sequence[str]], int]) -> argparse.ArgumentParser:
    """The parser that a command builds for itself.

    Raises:
        ValueError: it parses nothing.
    """

    def stop(self: argparse.ArgumentParser, *_: object) -> None:
        raise _Built(self)

    with mock.patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            main([])
        except _Built as built:
            return built.parser
    raise ValueError("the command parses nothing")


def render() -> str:
    """The page."""
    alone = commands(built_by(verify_alone))
    return "\n".join([HEAD, *map(_section, (*commands(parser()), *alone))])


def _section(command: argparse.ArgumentParser) -> str:
    formatter = command._get_formatter()
    shown = [
        action
        for action in command._actions
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)
    ]
    needed = [_name(action, formatter).split(", ")[0].strip("`") for action in _needed(shown)]
    usage = " ".join(
        [command.prog, *needed, *(["[option ...]"] if len(shown) > len(needed) else ())]
    )
    lines = [f"## {command.prog}", *_wrapped(command.description or ""), ""]
    lines += ["```text", usage, "```", ""]
    for action in shown:
        lines += _wrapped(f"* {_name(action, formatter)}{_help(action, formatter)}", "  ")
    return "\n".join([*lines, ""])


def _needed(actions: Iterable[argparse.Action]) -> list[argparse.Action]:
    """What has to be given, with what has no name first."""
    return sorted(
        (a for a in actions if a.required), key=lambda action: bool(action.option_strings)
    )


def _name(action: argparse.Action, formatter: argparse.HelpFormatter) -> str:
    """How an argument is written, with what stands behind it."""
    if not action.option_strings:
        return f"`{formatter._metavar_formatter(action, action.dest)(1)[0]}`"
    takes = "" if action.nargs == 0 else f" {formatter._format_args(action, action.dest.upper())}"
    return ", ".join(f"`{option}{takes}`" for option in action.option_strings)


def _help(action: argparse.Action, formatter: argparse.HelpFormatter) -> str:
    return f": {formatter._expand_help(action)}" if action.help else ""


def _wrapped(text: str, indent: str = "") -> list[str]:
    text = " ".join(text.split()).replace("<", "&lt;")
    return textwrap.wrap(text, LINE, subsequent_indent=indent, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
