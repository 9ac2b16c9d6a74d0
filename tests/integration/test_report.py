"""`zktally report`, `--report` and `--outputs` as an auditor types them."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from support import pages
from support.cli import Files, Outcome, Zktally

BACKENDS = ("rust", "python")


@pytest.fixture(scope="module")
def public(zktally: Zktally, files: Files) -> Path:
    """A fast receipt that publishes its 20 images."""
    receipt = files.folder / "public.receipt"
    done = zktally(
        "prove", files.model, "--mode", "fast", "--input", files.images, "--inputs", "public", "-q",
        "-o", receipt,
    )  # fmt: skip
    assert done.code == 0, done.err
    return receipt


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_report_is_a_page(
    zktally: Zktally, files: Files, public: Path, tmp_path: Path, backend: str
) -> None:
    target = tmp_path / "report.html"
    done = zktally(
        "report", public, "--model-id", files.model_id, "--input", files.images, "--backend",
        backend, "-o", target,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.startswith("OK ")
    assert f'written    the report to "{target}"' in done.out
    page = pages.read(target.read_text(encoding="utf-8"))
    for words in (
        "VERIFIED", "found good: 3 steps of the model", "1,992,960 (about 1.99 million)",
        "at most 99,648 can be wrong", "Consistent, not certified", '"logits"',
        "The reader named, and the receipt matchedthe model, the inputs",
        f"verifier in {backend.capitalize()}", "Appendix: calculation by calculation",
    ):  # fmt: skip
        assert words in page.text, words
    assert len(page.pictures) == 20
    assert '"image", item 19, as a picture of 8 by 8 pixels' in page.alternatives


def test_the_command_on_the_page_repeats_the_check(
    zktally: Zktally,
    files: Files,
    public: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "my policy.toml").write_text('max_delta_op = 0.2\n[ranges]\n"image" = [0, 1]\n')
    given = (
        "verify", public, "--model-id", files.model_id, "--input", files.images, "--policy",
        tmp_path / "my policy.toml", "--max-delta", "0.06", "--modes", "fast,hybrid", "--batch",
        "1:64", "--range", "image=0:1", "--any-dataset", "--min-bits", "101",
        "--allow-sampled-outputs",
    )  # fmt: skip
    first = zktally(*given, "--report", tmp_path / "a.html")
    assert first.code == 0, first.err
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    for words in ("6 % (δ)", "101 bits", "fast, hybrid", "samples suffice", "1 to 64"):
        assert words in pages.read(html).text, words
    command = shlex.split(unescape(html.split("<pre>")[1].split("</pre>")[0]).replace("\\\n", " "))
    assert command[0] == "zktally-verify"
    for path in (public, files.images):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    again = zktally("verify", *command[1:])
    assert again.code == 0, again.err
    said = first.out.replace(f'"{public}"', f'"{public.name}"')
    assert again.out == said.rsplit("written", 1)[0]
    assert command.count("--max-delta=0.06") == 1
    # Each demand is in it: with one of them the other way round it is refused.
    for before, after in (
        ("--modes=fast,hybrid", "--modes=hybrid"),
        ("--batch=1:64", "--batch=1:4"),
        ("--range=image=0:1", "--range=image=0:0.5"),
        ("--min-bits=101", "--min-bits=200"),
    ):
        assert before in command
        changed = [after if word == before else word for word in command[1:]]
        assert zktally("verify", *changed).code == 1


def test_a_refused_receipt_gives_no_page(
    zktally: Zktally, files: Files, public: Path, tmp_path: Path
) -> None:
    target = tmp_path / "report.html"
    report = ("report", public, "--model-id", files.model_id, "--max-delta", "0.01", "-o", target)
    zktally(*report).refused(1, "policy.delta")
    assert list(tmp_path.iterdir()) == []
    zktally(*report, "--even-refused").refused(1, "policy.delta")
    page = pages.read(target.read_text(encoding="utf-8"))
    assert "REFUSED" in page.text
    assert "VERIFIED" not in page.text
    assert "the claimed bound δ is larger than the policy allows" in page.text
    target.unlink()
    damaged = tmp_path / "damaged.receipt"
    damaged.write_bytes(public.read_bytes()[:-1])
    args = ("report", damaged, "--model-id", files.model_id, "-o", target)
    zktally(*args).refused(3, "receipt.truncated")
    assert not target.exists()
    zktally(*args, "--even-refused").refused(3, "receipt.truncated")
    assert "COULD NOT BE JUDGED" in pages.read(target.read_text(encoding="utf-8")).text
    target.unlink()
    zktally(*args[:2], "--model-id", "xyz", "-o", target, "--even-refused").refused(2, "usage")
    assert not target.exists()


def test_files_that_are_written_are_no_others(
    zktally: Zktally, files: Files, public: Path, tmp_path: Path
) -> None:
    def verify(*more: object) -> Outcome:
        return zktally("verify", public, "--model-id", files.model_id, *more)

    kept = tmp_path / "kept.csv"
    kept.write_text("mine")
    verify("--outputs", kept).refused(2, "usage.file-exists")
    verify("--report", kept).refused(2, "usage.file-exists")
    assert kept.read_text() == "mine"
    assert verify("--outputs", kept, "--force").code == 0
    assert kept.read_text().startswith('"output","unit","number","position","value","code"\n')
    verify("--report", public, "--force").refused(2, "is an input of this command")
    verify("--outputs", tmp_path / "x.txt").refused(2, ".npz or .csv")
    verify("--outputs", tmp_path / "none" / "x.csv").refused(2, "usage.unwritable")
    verify("--even-refused").refused(2, "--report")
    verify("--outputs", tmp_path / "a.csv", "--report", tmp_path / "a.csv").refused(
        2, "two results"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]
    refused = verify("--max-delta", "0.01", "--outputs", tmp_path / "x.npz")
    refused.refused(1, "policy.delta")
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_as_arrays_and_as_a_table(
    zktally: Zktally, files: Files, public: Path, tmp_path: Path, backend: str
) -> None:
    verify = ("verify", public, "--model-id", files.model_id, "--backend", backend)
    done = zktally(*verify, "--outputs", tmp_path / "o.npz", "--json")
    assert done.code == 0, done.err
    (told,) = json.loads(done.out)["outputs"]
    with np.load(tmp_path / "o.npz", allow_pickle=False) as held:
        arrays = {name: held[name] for name in held.files}
    assert set(arrays) == {"logits", "codes:logits", "rows:logits", "about"}
    assert arrays["logits"].shape == (20, 10)  # 24 slots, of which 4 are padding
    assert arrays["logits"].dtype == np.float32
    assert np.allclose(arrays["logits"], told["values"])
    assert arrays["rows:logits"].tolist() == [*range(20)]
    about = json.loads(str(arrays["about"]))
    assert about["model_id"] == files.model_id
    assert about["outputs"] == [
        {"name": "logits", "array": "logits", "unit": "item", "status": "consistent"}
    ]
    # The codes are what the floats are multiples of, beside a zero.
    scale = np.diff(np.unique(arrays["logits"].astype(np.float64))).min()
    steps = np.diff(arrays["logits"].astype(np.float64).ravel()) / scale
    assert np.abs(steps - np.rint(steps)).max() < 1e-2
    assert np.array_equal(np.rint(steps), np.diff(arrays["codes:logits"].ravel()))

    assert zktally(*verify, "--outputs", tmp_path / "o.csv").code == 0
    with (tmp_path / "o.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200
    for row in rows:
        at = int(row["number"]), int(row["position"])
        assert (row["output"], row["unit"]) == ("logits", "item")
        assert np.float32(row["value"]) == arrays["logits"][at]
        assert int(row["code"]) == arrays["codes:logits"][at]


def test_json_has_pins_roots_and_nulls(zktally: Zktally, files: Files, public: Path) -> None:
    done = zktally("verify", public, "--model-id", files.model_id, "--json")
    shown = json.loads(done.out)
    assert shown["pins"] == {"pinned": ["model"], "prover_chosen": ["inputs", "items"]}
    assert re.fullmatch("[0-9a-f]{64}", shown["input_root"])
    for absent in ("dataset_root", "initial_state", "final_state", "exported_root", "prf_seed"):
        assert shown[absent] is None
    assert shown["outputs_file"] is shown["report_file"] is None
    assert "0" * 64 not in done.out
    assert '"None"' not in done.out
    inspected = zktally("inspect", public, "--json")
    assert json.loads(inspected.out)["initial_state"] is None
    for text in (inspected.out, zktally("inspect", public).out):
        assert "0" * 64 not in text
        assert "None" not in text


def test_many_values_are_a_digest(zktally: Zktally, files: Files, monkeypatch, capsys) -> None:
    import hashlib

    from zktally.verifier import cli

    args = [str(files.receipt), "--model-id", files.model_id, "--json"]
    assert cli.main(args) == 0
    (whole,) = json.loads(capsys.readouterr().out)["outputs"]
    monkeypatch.setattr(cli, "MOST_VALUES", 199)
    assert cli.main(args) == 0
    (cut,) = json.loads(capsys.readouterr().out)["outputs"]
    assert cut["values"] is None
    values = np.array(whole["values"], "<f4")
    assert cut["sha256"] == whole["sha256"] == hashlib.sha256(values.tobytes()).hexdigest()


def test_private_inputs_are_asked_for_in_words(
    zktally: Zktally, files: Files, tmp_path: Path
) -> None:
    receipt = tmp_path / "private.receipt"
    made = zktally(
        "prove", files.model, "--mode", "fast", "--input", files.images, "--inputs", "private",
        "-q", "-o", receipt,
    )  # fmt: skip
    assert made.code == 0, made.err
    for backend in BACKENDS:
        done = zktally(
            "verify", receipt, "--model-id", files.model_id, "--input", files.images, "--backend",
            backend,
        )  # fmt: skip
        done.refused(1, "verify.input-mismatch")
        assert "ask the prover for --input-visibility checkable" in done.err
