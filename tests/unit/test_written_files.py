"""What `zktally-verify` writes, where it writes to, and what it never writes over."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from support.receipts import Prover
from zktally.cli.main import main as zktally
from zktally.verifier.cli import main
from zktally.verifier.values import Values, encoded, member


@cache
def learner() -> Prover:
    return Prover("learner", steps=2, declared=True).commit()


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    path = tmp_path / "run.receipt"
    path.write_bytes(learner().receipt())
    return path


def expecting(*more: object) -> list[str]:
    journal = learner().journal
    named = ["--model-id", journal.model_id.hex(), "--any-dataset", "--max-delta", "0.5"]
    return [*named, "--min-bits", "90", *map(str, more)]


def test_a_model_that_is_read_for_its_id_is_not_written_over(receipt, tmp_path, capsys):
    from support import programs
    from zktally.circuits.assemble import assemble

    model = tmp_path / "t.zkt"
    assemble(*programs.dense(), public=True).save(model)
    before = model.read_bytes()
    args = [str(receipt), *expecting("--exported", model, "--force")]
    assert zktally(["verify", *args, "--report", str(model)]) == 2
    assert "is an input of this command" in capsys.readouterr().err
    assert model.read_bytes() == before
    assert zktally(["verify", *args, "--report", str(tmp_path / "new.html")]) == 0


@pytest.mark.parametrize("option", ["--report", "--outputs"])
def test_a_named_pipe_stays_one(receipt, tmp_path, option):
    pipe, read = tmp_path / "pipe.csv", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    code = main([str(receipt), *expecting(option, pipe, "--force")])
    if code:
        with pipe.open("wb"):
            pass
    reader.join(timeout=60)
    assert code == 0
    assert pipe.is_fifo()
    assert read[0].startswith(b"<!DOCTYPE html>" if option == "--report" else b'"output"')


def test_the_page_goes_to_stdout_and_the_verdict_to_stderr(receipt, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([str(receipt), *expecting("--report", "-")]) == 0
    shown = capfd.readouterr()
    assert shown.out.startswith("<!DOCTYPE html>")
    assert shown.out.rstrip().endswith("</html>")
    assert shown.err.startswith("OK ")
    assert [path.name for path in tmp_path.iterdir()] == ["run.receipt"]
    assert main([str(receipt), *expecting("--report", os.devnull, "--force")]) == 0
    assert not Path(os.devnull).is_file()
    assert main([str(receipt), *expecting("--report", "-", "--json")]) == 2
    assert "would both go to stdout" in capfd.readouterr().out


def test_no_old_page_stays_beside_a_refusal(receipt, tmp_path, capsys):
    page, outputs = tmp_path / "report.html", tmp_path / "outputs.csv"
    written = ("--report", page, "--outputs", outputs)
    assert main([str(receipt), *expecting(*written)]) == 0
    assert "VERIFIED" in page.read_text(encoding="utf-8")
    assert main([str(receipt), *expecting(*written, "--force", "--max-steps", 1)]) == 1
    assert not page.exists()
    assert not outputs.exists()
    assert main([str(receipt), *expecting(*written)]) == 0
    bad = tmp_path / "bad.receipt"
    bad.write_bytes(receipt.read_bytes()[:-1])
    assert main([str(bad), *expecting(*written, "--force")]) == 3
    assert not page.exists()
    page.write_text("mine")
    assert main([str(receipt), *expecting(*written)]) == 2
    assert page.read_text() == "mine"


def test_nothing_is_written_where_the_exported_model_is_none(tmp_path, capsys):
    prover = Prover("dense").commit()
    (tmp_path / "a.receipt").write_bytes(prover.receipt())
    args = ["--model-id", prover.journal.model_id.hex(), "--report", str(tmp_path / "a.html")]
    args += ["--allow-sampled-outputs", "--exported", "00" * 32]
    assert main([str(tmp_path / "a.receipt"), *args]) == 2
    assert "exports no weights" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.receipt"]


def test_a_descriptor_of_an_input_is_not_written_to(receipt, capsys):
    before = receipt.read_bytes()
    with receipt.open("r+b") as file:
        name = f"/dev/fd/{file.fileno()}"
        assert main([str(receipt), *expecting("--report", name, "--force")]) == 2
    assert "is an input of this command" in capsys.readouterr().err
    assert receipt.read_bytes() == before


def named(*names: str) -> list[Values]:
    """An output of each name; its values tell which."""
    rows = np.arange(2, dtype=np.int64)
    return [
        Values(name, "item", rows, np.full((2, 1), at + 0.5, np.float32), rows[:, None], "sampled")
        for at, name in enumerate(names)
    ]


NAMES = (
    "y", "y.npy", "Y.NPY", ".npy", "../../etc/x", "/abs", "..", "a\\b", "about", "codes:y",
    "rows:y", "_about", "%61bout", "%2Fabs", "file", "a\nb", "\u6e29\u202e",
)  # fmt: skip


def test_every_output_is_found_by_its_name_and_none_leaves_the_folder():
    data = encoded("o.npz", named(*NAMES), {"model_id": "m"})
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        for at, name in enumerate(NAMES):
            key = member(name)
            assert held[key].tolist() == [[at + 0.5]] * 2, name
            assert held[f"codes:{key}"].tolist() == [[0], [1]]
            assert held[f"rows:{key}"].tolist() == [0, 1]
        assert len(held.files) == 3 * len(NAMES) + 1
        about = json.loads(str(held["about"]))
        for file in held.zip.namelist():
            assert "/" not in file
            assert "\\" not in file
            assert not file.startswith(".")
            assert file.isprintable()
    assert about["format"] == "zktally.outputs/1"
    assert [each["name"] for each in about["outputs"]] == [*NAMES]
    assert [each["array"] for each in about["outputs"]] == [*map(member, NAMES)]
    assert member("logits/Gemm_0") == "logits%2FGemm_0"
    assert member("logits") == "logits"


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("a" * 127 + '"', "a" * 127 + '\\"'),
        ("\u6e29" * 128, "\\u6e29" * 128),
        ("x;=1+1", "x;=1+1"),
        ("=1+1", "'=1+1"),
        ("a,b", "a,b"),
        ("logits", "logits"),
    ],
)
def test_a_name_in_a_table_is_one_cell(name, cell):
    text = encoded("o.csv", named(name), {}).decode("ascii")
    assert text.startswith('"output","unit","number","position","value","code"\n"')
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["output"] for row in rows] == [cell] * 2
    for line in text.splitlines()[1:]:
        assert line.endswith((",0.5,0", ",0.5,1"))  # numbers are no texts
        assert line.split('","')[0].startswith('"')
