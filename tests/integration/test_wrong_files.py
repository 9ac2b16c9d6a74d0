"""Whoever passes the wrong file is told what it is, by every verb that reads one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.cli import Files, Zktally

KINDS = {
    "onnx": "an ONNX file",
    "model": "a compiled model (.zkt)",
    "receipt": "a receipt",
    "aggregate": "an aggregate of several receipts",
    "npz": "arrays by name (.npz)",
    "npy": "one array (.npy)",
    "state": "a state file (.zks)",
    "csv": "a table (.csv)",
    "text": "a text",
    "empty": "an empty file",
    "folder": "a folder",
    "noise": "bytes of no known kind",
}

VERBS = {
    "verify": ("verify {wrong} --model-id {id}", {"receipt", "aggregate"}),
    "report": ("report {wrong} --model-id {id} -o {new}.html", {"receipt", "aggregate"}),
    "inspect": ("inspect {wrong}", {"receipt", "aggregate", "model"}),
    "aggregate": ("aggregate {wrong} -o {new}", {"receipt"}),
    "wrap": ("wrap {wrong} -o {new}", {"receipt"}),
    "compress": ("compress {wrong} -o {new}", {"receipt"}),
    "resume": ("resume {wrong} -o {new}", set()),
    "prove": ("prove {wrong} --input {images} -o {new}", {"model"}),
    "prove inputs": ("prove {model} --input {wrong} -o {new}", {"npz", "npy"}),
    "verify inputs": ("verify {receipt} --model-id {id} --input {wrong}", {"npz", "npy"}),
    "compile": ("compile {wrong} --calibrate {calibration} -o {new}", {"onnx"}),
    "compile data": ("compile {onnx} --calibrate {wrong} -o {new}", {"npz", "npy"}),
    "export": ("export {wrong} -o {new}", set()),
    "dataset-root": ("dataset-root {images} --program {wrong}", {"model"}),
    "dataset-root of a receipt": ("dataset-root {images} --receipt {wrong}", {"receipt"}),
    "check-model": ("check-model {wrong} {model}", {"onnx"}),
    "check-model, compiled": ("check-model {onnx} {wrong}", {"model"}),
}
"""For each use of a file: the command, and the kinds that it takes."""


@pytest.fixture(scope="module")
def wrong(files: Files, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("wrong")
    contents = {
        "onnx": files.onnx.read_bytes(),
        "model": files.model.read_bytes(),
        "receipt": files.receipt.read_bytes(),
        "aggregate": b"ZKTMANY\x01 and so on",
        "npz": files.images.read_bytes(),
        "state": b"ZKSTATE\x01 and so on",
        "csv": b"a,b\n1,2\n",
        "text": b"This is a text.\n",
        "empty": b"",
        "noise": bytes(range(255, 100, -1)),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    np.save(folder / "npy.npy", np.zeros(3))
    (folder / "npy.npy").rename(folder / "npy")
    (folder / "folder").mkdir()
    return {name: folder / name for name in KINDS}


@pytest.mark.parametrize("verb", VERBS)
def test_the_error_says_what_the_file_is(
    verb: str, zktally: Zktally, files: Files, wrong: dict[str, Path], tmp_path: Path, capsys
) -> None:
    from zktally.cli import main

    command, right = VERBS[verb]
    for kind, words in KINDS.items():
        if kind in right:
            continue
        paths = {**vars(files), "id": files.model_id, "wrong": wrong[kind], "new": tmp_path / "new"}
        code = main(command.format(**paths).split())
        said = capsys.readouterr().err
        assert code in (2, 3), (kind, said)
        assert words in said or (kind == "folder" and "it is a folder" in said), (kind, said)
        assert "internal error" not in said
    assert list(tmp_path.iterdir()) == []
