"""What `zktally-verify` writes, where it writes to, and what it never writes over."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shlex
import threading
from functools import cache
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import zktally as package
from support.receipts import Prover
from zktally.cli.main import main as zktally
from zktally.prover.locks import held_alone
from zktally.verifier.api import verify_chain
from zktally.verifier.arguments import names_of
from zktally.verifier.cli import main
from zktally.verifier.errors import UsageError
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


BAD_ARCHIVES = ("deflated", "encrypted", "compression", "huge header", "bad header", "cut")


def archive(kind: str) -> bytes:
    """An .npz file of one array that cannot be read."""
    held = io.BytesIO()
    if kind == "huge header":
        np.lib.format.write_array_header_1_0(
            held, {"descr": "<f8", "fortran_order": False, "shape": (1 << 58,)}
        )
        return held.getvalue()
    if kind == "bad header":
        head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, }"
        return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head
    np.savez_compressed(held, x=np.arange(1000))
    data = bytearray(held.getvalue())
    central = data.index(b"PK\x01\x02")
    if kind == "deflated":
        data[60:200] = bytes(140)
    elif kind == "encrypted":
        data[6] |= 1
        data[central + 8] |= 1
    elif kind == "compression":
        data[8] = data[central + 10] = 99
    else:
        del data[len(data) // 2 :]
    return bytes(data)


@pytest.mark.parametrize("kind", BAD_ARCHIVES)
def test_arrays_that_cannot_be_read_are_refused_in_words(receipt, tmp_path, capsys, kind):
    path = tmp_path / "x.npz"
    path.write_bytes(archive(kind))
    assert main([str(receipt), *expecting("--input", path)]) == 2
    assert "cannot read arrays from" in capsys.readouterr().err


def command_on(page: Path) -> list[str]:
    html = page.read_text(encoding="utf-8")
    text = unescape(html.split("<pre>")[1].split("</pre>")[0])
    return shlex.split(text.replace("\\\n", " "))


def test_the_page_names_all_files_and_nothing_of_this_machine(
    receipt, tmp_path, capsys, monkeypatch
):
    folder = tmp_path / "secret place"
    folder.mkdir()
    policy = folder / "policy.toml"
    policy.write_text("max_delta = 0.5\n")
    inputs = folder / "x.npz"
    np.savez(inputs, **learner().inputs)
    page = tmp_path / "a.html"
    given = ("--policy", policy, "--input", inputs, "--max-size", 10**8)
    assert main([str(receipt), *expecting(*given, "--report", page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "secret place" not in text
    assert str(tmp_path) not in text
    for path in (receipt, policy, inputs):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    shown = capsys.readouterr().out
    # With the files in one folder the command repeats the check.
    for path in (receipt, policy, inputs):
        (tmp_path / "again").mkdir(exist_ok=True)
        (tmp_path / "again" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path / "again")
    command = command_on(page)
    assert "--max-size=100000000" in command
    assert main(command[1:]) == 0
    assert capsys.readouterr().out.split(": ", 1)[1] == shown.split(": ", 1)[1].split("written")[0]


def test_files_of_one_name_are_told_apart(tmp_path, capsys):
    second = Prover("learner", steps=3, follows=learner()).commit()
    for name, part in (("first", learner()), ("second", second)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.receipt").write_bytes(part.receipt())
    paths = [str(tmp_path / name / "run.receipt") for name in ("first", "second")]
    page = tmp_path / "a.html"
    assert main([*paths, *expecting("--report", page, "--allow-sampled-outputs")]) == 0
    assert command_on(page)[1:3] == ["first/run.receipt", "second/run.receipt"]
    assert names_of(["-", "/a/b", "c"]) == {"-": "-", "/a/b": "b", "c": "c"}


@pytest.mark.parametrize("chain", [verify_chain, package.verify_chain])
@pytest.mark.parametrize("given", ["run.receipt", Path("run.receipt"), 3, None])
def test_one_path_is_no_list_of_receipts(chain, given):
    with pytest.raises(UsageError, match="receipts are no list"):
        chain(given, "00" * 32)


def test_a_file_that_is_no_lock_stays_as_it_is(tmp_path):
    path = tmp_path / "lock"
    for mine in ("my lock: 4711\n", "12 34\n", "x" * 100, "\n\n"):
        path.write_text(mine)
        with pytest.raises(UsageError, match="no lock of ours"), held_alone(path, "works"):
            pass
        assert path.read_text() == mine
    for ours in ("", "4711\n"):
        path.write_text(ours)
        with held_alone(path, "works"):
            assert path.read_text() == f"{os.getpid()}\n"
