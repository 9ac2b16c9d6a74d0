"""The table of bad_commands.py is true: exit code, error code, words; and nothing is lost."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import bad_commands
import numpy as np
import pytest

from support.cli import Files
from zktally.cli import main

Place = dict[str, str]


@pytest.fixture(scope="module")
def place(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Files by the words of the table; `{new}` is not there yet, and `{here}` is a folder."""
    folder = tmp_path_factory.mktemp("bad")
    images = np.load(files.images)["image"][:4]
    model, receipt = files.model.read_bytes(), files.receipt.read_bytes()
    copies = {
        "onnx": files.onnx.read_bytes(),
        "data": files.calibration.read_bytes(),
        "zkt": model,
        "receipt": receipt,
        "empty": b"",
        "text": b"a text, and no more\n",
        "cut_zkt": model[:-100],
        "cut_receipt": receipt[:-100],
        "long_receipt": receipt + b"x",
        "open_key": b"11" * 32,
    }
    for name, data in copies.items():
        (folder / name).write_bytes(data)
    (folder / "open_key").chmod(0o644)
    bad = images.copy()
    bad[0, 0, 0, 0] = np.nan
    labels = np.arange(16) % 10
    arrays = {
        "x": {"image": images},
        "nan": {"image": bad},
        "inf": {"image": np.where(np.isnan(bad), np.inf, bad)},
        "shape": {"image": images[:, :, :7]},
        "name": {"picture": images},
        "complex": {"image": images.astype(np.complex64)},
        "words": {"image": np.array(["a", "b"])},
        "no_rows": {"image": images[:0]},
        "train": {"image": np.repeat(images, 4, 0), "y": labels},
        "nan_train": {"image": np.repeat(bad, 4, 0), "y": labels},
        "few": {"image": images, "y": labels[:4]},
    }
    for name, held in arrays.items():
        with (folder / name).open("wb") as file:
            np.savez(file, **held)
    with (folder / "pickle").open("wb") as file:
        np.save(file, np.array([{"a": 1}], object), allow_pickle=True)
    (folder / "empty_folder").mkdir()
    (folder / "soft_link").symlink_to(folder / "x")
    os.link(folder / "x", folder / "hard_link")
    private = str(folder / "private")
    compiled = ["compile", str(folder / "onnx"), "--calibrate", str(folder / "data")]
    assert main([*compiled, "-q", "-o", private]) == 0
    found = {path.name: str(path) for path in folder.iterdir()}
    ids = {"id": files.model_id, "other_id": "ab" * 32}
    return {**found, **ids, "here": str(folder), "none": "/none"}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("bad", bad_commands.CASES, ids=lambda bad: f"{bad.command}: {bad.wrong}")
def test_it_is_refused_in_words_and_loses_nothing(
    bad: bad_commands.Bad, place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(place["here"])
    before = contents(folder)
    code = main(shlex.split(bad.command.format(**place, new=tmp_path / "new")))
    out, err = capfd.readouterr()
    said = json.loads(out) if "--json" in bad.command else {"code": "on stderr"}
    assert f"[{bad.code}]" in err or said["code"] == bad.code, (code, out, err)
    assert bad.words in out + err, (out, err)
    assert code == bad.exit
    for word in ("Traceback", "panicked", "internal error", "None", "<class"):
        assert word not in out + err
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == []


def test_there_are_more_than_forty() -> None:
    assert len(bad_commands.CASES) > 40
    assert len({bad.command for bad in bad_commands.CASES}) == len(bad_commands.CASES)
