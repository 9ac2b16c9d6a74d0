"""The commands and the code of docs/training.md work as they stand, one after the other."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from zktally.cli import main
from zktally.hybrid.training.run import finished

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def blocks() -> list[tuple[str, str]]:
    """The blocks of the page in their order: what they are, and what stands in them."""
    return re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def commands(block: str) -> list[list[str]]:
    lines = block.replace("\\\n", " ").splitlines()
    assert all(line.startswith("zktally ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def test_the_page_from_the_first_block_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    names: dict[str, str] = {}
    said: dict[str, str] = {}
    # Files that the page shows after the commands that read them are there from the start.
    for kind, block in blocks():
        if kind == "toml":
            name = re.match(r"# (\S+\.toml)\n", block)
            assert name is not None
            Path(name.group(1)).write_text(block)
    for kind, block in blocks():
        if kind == "python":
            exec(block, scope)
        for command in commands(block) if kind == "sh" else ():
            words = [names.get(word, word) for word in command]
            assert main([*words, *(["-q"] if words[0] in ("train", "prove") else [])]) == 0, words
            out = capsys.readouterr().out
            said[command[0]] = said.get(command[0], "") + out
            if words[:2] == ["train", "model.onnx"]:
                names["$MODEL"] = line_of(out, "model id ")
                names["$DATA"] = line_of(out, "data set ")
                accuracy = re.search(r"accuracy ([\d.]+) %", out)
                assert accuracy is not None
                assert float(accuracy.group(1)) > 80
            if words[0] == "export":
                names["$SERVED"] = out.split()[-1]
    assert said["verify"].count("OK steps 0 to 299 in 2 receipts") == 4
    assert said["verify"].count(f"exported   model {names['$SERVED']}") == 1
    assert scope["verified"].steps == 40
    # The program of the answer is the one whose id `--exported` takes.
    assert main(["inspect", "answer.receipt", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    served = finished("run").export().program_id.hex()
    assert served in json.dumps(shown)


def line_of(text: str, start: str) -> str:
    return next(line.removeprefix(start) for line in text.splitlines() if line.startswith(start))
