"""What `train` refuses to show, what it tells of its numbers, and what tables mean."""

from __future__ import annotations

import hashlib
import json
import shlex
import stat
import struct
from pathlib import Path

import numpy as np
import pytest

import zktally
from support.learning import batches, perceptron
from zktally.circuits.training import file as steps_file
from zktally.cli.main import _left_behind, main
from zktally.errors import ProveError, UsageError, VerificationFailed
from zktally.hybrid.training.folder import Folder

SHAPE, CLASSES = (12,), 5
QUICK = {"batch": 16, "rehearsal": 4, "mode": "fast", "reveal": True}


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    inputs, labels = batches(96, SHAPE, CLASSES)(0)
    return inputs["x"], labels


@pytest.fixture(scope="module")
def run(data) -> zktally.TrainingRun:
    settings = QUICK | {"rehearsal": 40, "data_key": bytes(32)}
    return zktally.train(perceptron(), data, steps=8, **settings)


# Secrets.


def test_a_fast_receipt_of_training_is_asked_for(data, tmp_path: Path) -> None:
    """It shows records and weights: before anything is done, somebody must agree to that."""
    work = tmp_path / "work"
    with pytest.raises(ProveError) as refused:
        zktally.train(perceptron(), data, steps=2, folder=work, **QUICK | {"reveal": False})
    assert refused.value.code == "prove.needs-reveal"
    assert not work.exists()
    everything = {"data_key": bytes(32), **QUICK, "reveal": False}  # it follows from public data
    assert zktally.train(perceptron(), data, steps=2, **everything).receipts


# Accuracy, and ends of ranges.


def test_an_accuracy_is_one_of_classes(run, data) -> None:
    inputs, labels = data
    assert 0.2 < run.accuracy(inputs, labels) <= 1.0
    for others in (labels[:, None], labels + 1, labels - 1, labels + 0.5, labels.astype(str)):
        with pytest.raises(UsageError, match="labels do not fit"):
            run.accuracy(inputs, others)
    assert run.accuracy(inputs, labels.astype(float)) == run.accuracy(inputs, labels)
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    regression = zktally.train(perceptron(), (inputs, targets), loss="mse", steps=2, **QUICK)
    with pytest.raises(UsageError, match="trained on classes"):
        regression.accuracy(inputs, labels)


def test_what_came_to_the_ends_of_its_range_is_told(data) -> None:
    inputs, labels = np.tile(data[0], (10, 1)), np.tile(data[1], 10)
    inputs[[3, 500], 1] = 1e4  # the rehearsal sees 32 of 960 records
    told = zktally.train(
        perceptron(), (inputs, labels), steps=40, **QUICK | {"rehearsal": 2},
        optimizer=zktally.SGD(lr=4.0, momentum=0.9),
    )  # fmt: skip
    found = {each.name: each for each in told.saturated}
    assert (found["x"].outside, found["x"].values) == (2, inputs.size)
    assert found["x"].high < 1e4
    highest = found["loss"].high
    assert found["loss"].outside == (told.losses >= highest).sum() > 0
    assert {"w0", "w1"} & set(found)


def test_a_run_within_its_ranges_tells_nothing(run) -> None:
    assert run.saturated == ()


def test_the_root_of_the_data_can_be_computed_again(data, tmp_path: Path, capsys) -> None:
    """From the receipt, the coded records, and the key that the folder keeps."""
    work = tmp_path / "work"
    run = zktally.train(perceptron(), data, steps=2, folder=work, **QUICK)
    run.receipt.save(tmp_path / "r")
    held = {"x": data[0], "labels": data[1]}
    coded = {each.name: each.quantise(held[each.name]) for each in run._trained.steps.data}
    np.savez(tmp_path / "records.npz", **coded)
    command = ["dataset-root", str(tmp_path / "records.npz"), "--receipt", str(tmp_path / "r")]
    assert main([*command, "--key-file", str(work / "data-key")]) == 0
    assert capsys.readouterr().out.strip() == run.dataset_root.hex()
    (work / "data-key").write_text("none")
    with pytest.raises(UsageError, match="is no key"):
        Folder(work).data_key()


# Tables.


def table(path: Path, columns: list[str], rows: np.ndarray, kinds: list[str]) -> Path:
    lines = [",".join([*columns, "y"])]
    lines += [
        ",".join([*map(repr, row), kind]) for row, kind in zip(rows.tolist(), kinds, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_an_evaluation_reads_columns_and_classes_as_training_did(data, tmp_path: Path, capsys):
    """Another order of columns and a class that is missing change no accuracy."""
    inputs, labels = data
    names, columns = ["eel", "ant", "dog", "cow", "bee"], [f"c{n}" for n in range(12)]
    kinds = [names[label] for label in labels]
    (tmp_path / "m.onnx").write_bytes(perceptron().SerializeToString())
    trained = table(tmp_path / "a.csv", columns, inputs, kinds)
    some = labels != 1  # without "ant", every class would get another number
    order = np.random.default_rng(1).permutation(12)
    table(tmp_path / "b.csv", columns, inputs[some], [k for k in kinds if k != "ant"])
    table(
        tmp_path / "c.csv", [columns[n] for n in order], inputs[some][:, order],
        [k for k in kinds if k != "ant"],
    )  # fmt: skip
    accuracies = []
    for name in ("b.csv", "c.csv"):
        command = [
            "train", str(tmp_path / "m.onnx"), "--data", str(trained), "--steps", "30", "--batch",
            "16", "--rehearsal", "30", "--mode", "fast", "--reveal", "--evaluation",
            str(tmp_path / name), "-o", str(tmp_path / f"{name}.receipt"), "--json", "-q",
        ]  # fmt: skip
        assert main(command) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["saturated"] == []
        accuracies.append(shown["accuracy"])
    assert accuracies[0] == accuracies[1] > 0.8


def test_the_command_that_checks_a_run_does(data, tmp_path: Path, capsys) -> None:
    """A nonce and a δ that is not the usual one are named in it."""
    inputs, labels = data
    (tmp_path / "m.onnx").write_bytes(perceptron().SerializeToString())
    file = table(tmp_path / "a.csv", [f"c{n}" for n in range(12)], inputs, [str(n) for n in labels])
    command = [
        "train", str(tmp_path / "m.onnx"), "--data", str(file), "--steps", "2", "--batch", "16",
        "--rehearsal", "4", "--mode", "fast", "--reveal", "--nonce", "0xab", "--delta", "0.3",
        "-o", str(tmp_path / "run.receipt"), "-q",
    ]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    (check,) = [line for line in said.splitlines() if line.startswith("check it with: zktally ")]
    assert main(shlex.split(check.removeprefix("check it with: zktally "))) == 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (["--loss", "mse"], "labels are texts"),
        (["--loss", "mse", "--labels", "c0", "--evaluation", "a.csv"], "only classes have"),
    ],
)
def test_tables_for_another_loss_are_refused(data, tmp_path: Path, capsys, settings, why) -> None:
    inputs, labels = data
    columns = [f"c{n}" for n in range(12)]
    (tmp_path / "m.onnx").write_bytes(perceptron().SerializeToString())
    kinds = ["1.5"] * len(labels) if "--labels" in settings else ["a", "b"] * (len(labels) // 2)
    file = table(tmp_path / "a.csv", columns, inputs, kinds)
    command = ["train", str(tmp_path / "m.onnx"), "--data", str(file), *settings]
    assert main([*command, "-o", str(tmp_path / "r")]) == 2
    assert why in capsys.readouterr().err


# What comes out.


def test_constants_that_are_equal_are_exported_each(data) -> None:
    """Two frozen biases of zeros: no tensor is exported twice."""
    model = perceptron(hidden=5)
    settings = QUICK | {"freeze": ("b0", "b1")}
    run = zktally.train(model, data, steps=2, **settings)
    (seen,) = run.verify(zktally.Policy(outputs_exact=False)).receipts
    served = run.export()
    assert seen.exported_model_id(served.program_id) == served.model_id.hex()


def test_a_fast_receipt_of_training_is_wrapped(run) -> None:
    """It names its data set itself; whoever verifies what comes out names it again."""
    wrapped = zktally.wrap(run.receipt)
    policy = zktally.Policy(outputs_exact=False, modes=("hybrid",))
    seen = wrapped.verify(run.model_id, policy, dataset_root=run.dataset_root)
    assert seen.facts.journal.chain_root == run.receipt.journal.chain_root
    with pytest.raises(VerificationFailed) as refused:
        wrapped.verify(run.model_id, policy)
    assert refused.value.code == "verify.dataset-mismatch"


def test_a_model_with_secrets_is_for_its_owner_only(run, tmp_path: Path) -> None:
    """The trained one holds the key of the run's states; the steps hold none."""
    run.save(tmp_path)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes["trained.zkt"] == modes["final.zks"] == 0o600
    assert modes["steps.zkt"] & 0o400 == 0o400
    assert modes["steps.zkt"] == modes["run-000.receipt"]


# Folders.


def test_a_folder_of_somebody_else_is_left_as_it_is(data, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "notes").write_text("mine")
    with pytest.raises(UsageError) as refused:
        zktally.train(perceptron(), data, steps=2, folder=folder, **QUICK)
    assert refused.value.code == "usage.file-exists"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    (folder / "notes").unlink()
    Folder(folder).begin({})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_files_of_a_folder_that_are_damaged_are_named(tmp_path: Path) -> None:
    for text in ("{", "[1]", "7"):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(UsageError) as refused:
            Folder.existing(tmp_path).facts()
        assert refused.value.code == "usage.unreadable"
    parts = [b"[]", b"{}", b'{"codes": 3}', b"\xff", b"{"]
    bodies = [b"\1\2", *(b"".join(struct.pack("<Q", len(p)) + p for p in [head] * 4)
                         for head in parts)]  # fmt: skip
    for body in bodies:
        whole = steps_file.MAGIC + body
        with pytest.raises(UsageError) as refused:
            steps_file.decode(whole + hashlib.sha256(whole).digest())
        assert refused.value.code == "usage.unreadable"


def test_an_interrupted_run_is_said_to_be_kept(tmp_path: Path) -> None:
    from argparse import Namespace

    assert _left_behind(Namespace(work=str(tmp_path))) == "nothing was written"
    (tmp_path / "plan.json").write_text("{}")
    assert "the same command goes on" in _left_behind(Namespace(work=str(tmp_path)))
