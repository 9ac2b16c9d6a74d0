"""A run prepared before its nonce, one process a folder, and roots of records as they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.runs import Shop
from support.runs import shop as opened
from zktally.cli import main
from zktally.prover.locks import held_alone
from zktally.verifier.errors import UsageError

SMALL = ("--batch", "16", "--rehearsal", "20", "--steps", "8", "-q")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return opened(tmp_path_factory.mktemp("shop"))


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    code = main(list(map(str, args)))
    out, err = capsys.readouterr()
    return code, out, err


def test_an_auditor_draws_the_nonce_once_the_ids_are_known(
    capsys: pytest.CaptureFixture[str], shop: Shop, tmp_path: Path
) -> None:
    work, receipt = tmp_path / "work", tmp_path / "run.receipt"
    train = ("train", shop.model, "--data", shop.arrays, *SMALL, "--work", work)
    code, out, err = run(capsys, *train, "--prepare", "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["format"] == "zktally.train-prepare/1"
    code, out, _ = run(capsys, *train, "--prepare")
    assert f"model id {said['model_id']}\ndata set {said['dataset_root']}" in out
    code, out, err = run(capsys, *train, "--nonce", "0x5eed", "-o", receipt)
    assert code == 0, err
    verify = ("verify", receipt, "--model-id", said["model_id"], "--nonce", "0x5eed")
    verify += ("--dataset-root", said["dataset_root"], "--seed", "nonce")
    code, out, err = run(capsys, *verify)
    assert code == 0, err
    # Its steps are taken: another nonce is another run.
    code, out, err = run(capsys, *train, "--nonce", "0x5eee", "-o", tmp_path / "other")
    assert code == 2
    assert "holds another run [usage.file-exists]" in err
    assert 'expected: the same "nonce"' in err

    # The records as they were trained on give the root, with the key that the run keeps.
    root = ("dataset-root", shop.arrays, "--program", work, "--key-file", work / "data-key")
    assert run(capsys, *root)[:2] == (0, said["dataset_root"] + "\n")
    by_file = ("dataset-root", shop.arrays, "--program", work / "steps", "--key-file")
    assert run(capsys, *by_file, work / "data-key")[:2] == (0, said["dataset_root"] + "\n")
    public = run(capsys, "dataset-root", shop.arrays, "--program", work)
    assert public[0] == 0
    assert public[1].strip() != said["dataset_root"]


def test_records_that_are_not_those_of_the_run_are_refused(
    capsys: pytest.CaptureFixture[str], shop: Shop, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    train = ("train", shop.model, "--data", shop.arrays, *SMALL, "--work", work)
    assert run(capsys, *train, "--prepare")[0] == 0
    held = dict(np.load(shop.arrays))
    name = next(key for key in held if key != "y")
    for arrays, words in (
        ({"other": held[name], "two": held[name], "y": held["y"]}, "are not those of the run"),
        ({name: held[name][:, :-1], "y": held["y"]}, "does not fit the run"),
        ({name: held[name][:-1], "y": held["y"][:-1]}, "wrong shape"),
    ):
        np.savez(tmp_path / "bad.npz", **arrays)
        code, _, err = run(capsys, "dataset-root", tmp_path / "bad.npz", "--program", work)
        assert code == 2
        assert f"{words}" in err
        assert "[usage.input]" in err
    code, _, err = run(
        capsys, "dataset-root", shop.arrays, "--program", shop.model, "--labels", "y"
    )
    assert code == 2
    assert "--labels is about the records of a training run" in err


def test_one_process_a_folder(
    capsys: pytest.CaptureFixture[str], shop: Shop, tmp_path: Path
) -> None:
    """Another one holds it; it is killed, and nothing of it is in the way."""
    work = tmp_path / "work"
    work.mkdir()
    script = (
        "import sys, time; from pathlib import Path; from zktally.prover.locks import held_alone\n"
        "with held_alone(Path(sys.argv[1]), 'trains'):\n  print('held', flush=True); time.sleep(99)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(work / "lock")], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    train = ("train", shop.model, "--data", shop.arrays, *SMALL, "--work", work, "-o")
    code, _, err = run(capsys, *train, tmp_path / "r")
    assert (code, "usage.busy" in err) == (2, True), err
    assert f"received: process {other.pid}" in err
    other.send_signal(signal.SIGKILL)
    other.wait(timeout=60)
    other.stdout.close()
    assert run(capsys, *train, tmp_path / "r")[0] == 0


def test_a_lock_names_its_holder_and_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_alone(path, "works"):
        with pytest.raises(UsageError, match="another process works") as caught:
            held_alone(path, "works").__enter__()
        assert caught.value.code == "usage.busy"
        assert caught.value.received == f"process {os.getpid()}"
    with held_alone(path, "works"):
        pass
    with pytest.raises(UsageError, match="cannot write"), held_alone(tmp_path / "no" / "lock", ""):
        pass


def test_a_folder_of_something_else_gets_no_lock(
    capsys: pytest.CaptureFixture[str], shop: Shop, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    train = ("train", shop.model, "--data", shop.arrays, *SMALL, "--work", tmp_path / "home")
    code, _, err = run(capsys, *train, "-o", tmp_path / "r")
    assert (code, "holds no training run [usage.file-exists]" in err) == (2, True), err
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter"]


def test_long_training_needs_a_yes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    shop: Shop,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr("zktally.cli.agreement.LONG", 1e-6)
    train = ("train", shop.model, "--data", shop.arrays, *SMALL, "-o", tmp_path / "r")
    code, _, err = run(capsys, *train)
    assert (code, "[usage.long]" in err) == (2, True), err
    assert "segment" in err
    assert not (tmp_path / "r").exists()
    assert run(capsys, *train, "--yes")[0] == 0
