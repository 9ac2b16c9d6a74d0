"""A page of the documentation, done as its reader would: block by block, in a fresh folder.

* ```` ```python ```` runs in one scope for the whole page; a block that imports torch or another
  package that is not installed is left out.
* ```` ```sh ```` is run line by line. A line that ends in `# exit N` is meant to end so; any other
  ends with 0. What sets up a machine (`SET_UP`) is not done again, and what needs an extra that is
  not installed (`EXTRAS`) is left out.
* ```` ```toml ```` whose first line is `# NAME.toml` is that file, and lies there from the start.
* ```` ```text ```` behind a block of commands is what they say, line by line and in this order; `…`
  stands for whatever differs from run to run.
* `$MODEL`, `$DATA`, `$SERVED`, `$SRS` (and `<hex>`) are the first ids of their kind that commands
  print.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from zktally.cli import main
from zktally.verifier.cli import main as verify_alone

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)

SET_UP = ("make ", "source ", "pip install ", "git clone ", "cd ")
"""How the lines begin that set a machine up: what runs this has done it, or other tests do."""

MODEL = dict.fromkeys(("$MODEL", "<hex>"), r"model id +([0-9a-f]{64})")
NAMED = {
    "compile": MODEL,
    "train": {**MODEL, "$DATA": r"data set ([0-9a-f]{64})"},
    "snark-setup": {**MODEL, "$SRS": r"srs +([0-9a-f]{64,})"},
    "export": {"$SERVED": r"model id ([0-9a-f]{64})"},
}
"""By verb, what a page calls the ids that it prints, and how they are found there."""

PROGRAMS = {"zktally": main, "zktally-verify": verify_alone}
QUIET = ("compile", "prove", "resume", "train", "wrap")
EXTRAS = {"--ray": "ray"}
"""Options that take effect with a package only."""

OPTIONAL = ("torch", "skl2onnx", "sklearn")


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page in their order: language, content."""
    return FENCE.findall(text)


def commands(block: str) -> list[tuple[str, int]]:
    """The lines of a shell block, continued ones joined, each with the exit code it is to have."""
    found = []
    for line in block.replace("\\\n", " ").splitlines():
        command, _, remark = line.partition("#")
        code = re.match(r" exit (\d+)", remark)
        if command.strip():
            found.append((command.strip(), int(code[1]) if code else 0))
    return found


def unseen(lines: str, output: str) -> str | None:
    """The first of the lines that a page shows which the output has not, behind those before."""
    rest = " ".join(output.split())
    for line in filter(None, map(str.strip, lines.splitlines())):
        parts = re.split(r"\s*…\s*", " ".join(line.split()))
        found = re.search(".*?".join(map(re.escape, parts)), rest)
        if found is None:
            return line
        rest = rest[found.end() :]
    return None


@dataclass
class Page:
    """A page that is being read: what its Python knows, what its commands have said.

    Attributes:
        path: of the file.
        capsys: takes what is printed.
        scope: names that its Python blocks find.
        names: what stands for `$MODEL` and the like.
        said: the outputs of all commands by verb.
    """

    path: Path
    capsys: pytest.CaptureFixture[str]
    scope: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def read(self, langs: Iterable[str] = ("toml", "python", "sh", "text")) -> None:
        """Do all that the page says, in the present folder."""
        found = [block for block in blocks(self.path.read_text("utf-8")) if block[0] in langs]
        for lang, text in found:
            if lang == "toml":
                self._write(text)
        last = ""
        for lang, text in found:
            if lang == "python":
                last = self._python(text)
            elif lang == "sh":
                last = "".join(self.run(*command) for command in commands(text))
            elif lang == "text":
                line = unseen(text, last)
                assert line is None, f"{self.path.name} shows `{line}`, but it was\n{last}"

    def run(self, command: str, code: int = 0) -> str:
        """One command; what it says on both of its outputs."""
        if command.startswith(SET_UP):
            return ""
        if any(o in command and find_spec(package) is None for o, package in EXTRAS.items()):
            return ""
        program, *words = [self.names.get(word, word) for word in shlex.split(command)]
        assert program in PROGRAMS, f"{self.path.name}: how is `{command}` run?"
        quiet = ["-q"] if words[0] in QUIET and "-q" not in words else []
        self.capsys.readouterr()
        try:
            ended = PROGRAMS[program]([*words, *quiet])
        except SystemExit as end:  # argparse says what is wrong, or a version, and ends
            ended = int(end.code or 0)
        out, err = self.capsys.readouterr()
        assert ended == code, f"{self.path.name}: `{command}` ended with {ended}:\n{out}{err}"
        self.said[words[0]] = self.said.get(words[0], "") + out
        self._note_ids(words[0], out)
        return out + err

    def _note_ids(self, verb: str, out: str) -> None:
        for name, pattern in NAMED.get(verb, {}).items():
            if found := re.search(pattern, out, re.MULTILINE):
                self.names.setdefault(name, found[1])

    def _python(self, text: str) -> str:
        needed = {name for name in OPTIONAL if re.search(rf"^(import|from) {name}\b", text, re.M)}
        if any(find_spec(name) is None for name in needed):
            return ""
        self.capsys.readouterr()
        exec(compile(text, str(self.path), "exec"), self.scope)
        return self.capsys.readouterr().out

    def _write(self, text: str) -> None:
        if name := re.match(r"# (\S+\.toml)\n", text):
            Path(name[1]).write_text(text, encoding="utf-8")


def read(
    path: str, capsys: pytest.CaptureFixture[str], scope: Mapping[str, Any] | None = None
) -> Page:
    """Read a page of the repository from its first block to its last, in the present folder."""
    page = Page(ROOT / path, capsys, dict(scope or {}))
    page.read()
    return page
