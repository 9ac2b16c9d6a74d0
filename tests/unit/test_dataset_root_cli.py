"""`zktally dataset-root`: whoever holds the records names them, without the model."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest

import zktally
from support import programs, training
from support.receipts import DATA_KEY, Prover
from zktally.cli import main
from zktally.verifier.dataset import root_of
from zktally.verifier.reader import P
from zktally.verifier.roots import digest_bytes

LEARNER = training.learner()[0]
ARRAYS = {
    LEARNER.tensors[t].name: programs.random_records(LEARNER.tensors[t], np.random.default_rng(t))
    for t in LEARNER.data
}


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """The records, and a receipt of a run on them under a secret key."""
    np.savez(tmp_path / "data.npz", **ARRAYS)
    prover = Prover("learner", steps=2, declared=True).commit()
    (tmp_path / "run.receipt").write_bytes(prover.receipt())
    return str(tmp_path / "data.npz"), str(tmp_path / "run.receipt")


def test_the_root_is_the_one_of_the_receipt(files, tmp_path, capsys):
    key = tmp_path / "key"
    key.write_text(digest_bytes(DATA_KEY).hex())
    assert main(["dataset-root", files[0], "--receipt", files[1], "--key-file", str(key)]) == 0
    root = capsys.readouterr().out.strip()
    receipt = zktally.Receipt.load(files[1])
    assert root == receipt.journal.dataset_root.hex()
    assert zktally.dataset_root(receipt, ARRAYS, digest_bytes(DATA_KEY)).hex() == root


def test_without_a_key_the_data_set_is_public(files, capsys):
    assert main(["dataset-root", files[0], "--receipt", files[1], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    root = root_of(LEARNER, ARRAYS).hex()
    assert shown == {"format": "zktally.dataset-root/1", "dataset_root": root, "public": True}
    assert zktally.dataset_root(zktally.Receipt.load(files[1]), ARRAYS).hex() == root


def test_a_new_key_is_kept_for_its_owner_and_gives_the_same_root_again(files, tmp_path, capsys):
    key = tmp_path / "key"
    args = ["dataset-root", files[0], "--receipt", files[1]]
    assert main([*args, "--new-key", str(key)]) == 0
    root = capsys.readouterr().out
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert main([*args, "--key-file", str(key)]) == 0
    assert capsys.readouterr().out == root != root_of(LEARNER, ARRAYS).hex() + "\n"
    assert main([*args, "--new-key", str(key)]) == 2
    assert "usage.file-exists" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, digest_bytes(np.full(8, P)).hex(), "ß"])
def test_files_that_hold_no_key(files, tmp_path, capsys, text):
    (tmp_path / "key").write_text(text)
    args = ["--receipt", files[1], "--key-file", str(tmp_path / "key")]
    assert main(["dataset-root", files[0], *args]) == 2
    assert "holds no key of a data set [usage.unreadable]" in capsys.readouterr().err


def test_records_that_do_not_fit(files, tmp_path, capsys):
    np.savez(tmp_path / "other.npz", x=ARRAYS["x"])
    assert main(["dataset-root", str(tmp_path / "other.npz"), "--receipt", files[1]]) == 2
    assert "not those of the program's data tensors [usage.input]" in capsys.readouterr().err
    np.save(tmp_path / "one.npy", ARRAYS["x"])
    assert main(["dataset-root", str(tmp_path / "one.npy"), "--receipt", files[1]]) == 2
    assert "the records are one array" in capsys.readouterr().err
