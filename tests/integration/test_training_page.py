"""The commands and the code of docs/training.md work as they stand, one after the other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.reader import read
from zktally.cli import main
from zktally.hybrid.training.run import finished


def test_the_page_from_the_first_block_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    page = read("docs/training.md", capsys)
    accuracy = re.search(r"accuracy ([\d.]+) %", page.said["train"])
    assert accuracy is not None
    assert float(accuracy.group(1)) > 80
    assert page.said["verify"].count("OK steps 0 to 299 in 2 receipts") == 4
    assert page.said["verify"].count(f"exported   model {page.names['$SERVED']}") == 1
    assert page.scope["verified"].steps == 40
    # The program of the answer is the one whose id `--exported` takes.
    assert main(["inspect", "answer.receipt", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    served = finished("run").export().program_id.hex()
    assert served in json.dumps(shown)
