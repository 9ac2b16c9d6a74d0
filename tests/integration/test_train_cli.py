"""`zktally train` and `export` as a user calls them: files, receipts, interruptions, refusals."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zktally as package
from support.cli import Outcome, Zktally
from support.runs import KINDS, Shop
from support.runs import shop as opened
from zktally.cli import main
from zktally.verifier.journal import Journal
from zktally.verifier.receipt import split_receipt

BACKENDS = ("rust", "python")
SMALL = ("--batch", "16", "--rehearsal", "20", "-q")
FAST = (*SMALL, "--mode", "fast", "--public-data")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return opened(tmp_path_factory.mktemp("shop"))


def printed_command(done: Outcome) -> list[str]:
    line = next(line for line in done.out.splitlines() if line.startswith("check it with: "))
    words = shlex.split(line.removeprefix("check it with: "))
    assert words[:2] == ["zktally", "verify"]
    return words[1:]


def trained(zktally: Zktally, *args: object, cwd: Path | None = None) -> Outcome:
    done = zktally("train", *args, cwd=cwd)
    assert done.code == 0, done.err
    return done


def zktally_in_process(*args: object) -> int:
    return main(list(map(str, args)))


def journal_of(path: Path) -> Journal:
    return Journal.decode(split_receipt(path.read_bytes()).journal)


# What is read, and what is written.


def test_from_arrays_to_a_receipt_that_the_printed_command_accepts(
    zktally: Zktally, shop: Shop, tmp_path: Path
) -> None:
    done = trained(
        zktally, shop.model, "--data", shop.arrays, "--steps", 24, *SMALL, "--delta", "0.1",
        "--nonce", "0x0011", "-o", "a run.receipt", cwd=tmp_path,
    )  # fmt: skip
    assert done.err == ""
    assert "24 steps in " in done.out
    command = printed_command(done)
    assert "--nonce=0x0011" in command
    assert "--max-delta=0.1" in command
    for backend in BACKENDS:
        said = zktally(*command, "--backend", backend, cwd=tmp_path)
        assert said.code == 0, said.err
        assert "run        steps 0 to 23; begins as its program declares" in said.out
        assert "zero knowledge except" in said.out
    for left in ("--nonce=0x0011", "--max-delta=0.1"):
        fewer = [word for word in command if word != left]
        assert zktally(*fewer, cwd=tmp_path).code == 1


def test_a_table_with_texts_for_labels(zktally: Zktally, shop: Shop, tmp_path: Path) -> None:
    """The held-back table lacks a class: the others keep their numbers."""
    args = (
        shop.model, "--data", shop.table, "--labels", "kind", "--evaluation", shop.held_back,
        "--steps", 60, *FAST,
    )  # fmt: skip
    done = trained(zktally, *args, "-o", tmp_path / "a.receipt")
    assert 'classes "ash", "birch", "cedar"\n' in done.out
    shown = json.loads(trained(zktally, *args, "-o", tmp_path / "b.receipt", "--json").out)
    assert shown["format"] == "zktally.train/1"
    assert shown["classes"] == list(KINDS)
    assert shown["accuracy"] > 0.9
    assert f"accuracy {100 * shown['accuracy']:.2f} %" in done.out
    assert len(shown["losses"]) == shown["steps"] == 60
    assert np.mean(shown["losses"][-10:]) < np.mean(shown["losses"][:5]) / 2
    assert shown["receipts"] == [str(tmp_path / "b.receipt")]
    assert shown["bytes"] == (tmp_path / "b.receipt").stat().st_size
    # The same run from Python: a public data set and no nonce leave nothing to chance.
    again = package.train(
        str(shop.model), (shop.x, shop.y), batch=16, steps=60, rehearsal=20, mode="fast",
        data_key=bytes(32),
    )  # fmt: skip
    assert again.model_id.hex() == shown["model_id"]
    assert list(again.losses) == pytest.approx(shown["losses"], abs=0.05)


PLAN = """
model = "model.onnx"
data = "train.csv"
labels = "kind"
evaluation = "test.csv"
optimizer = "adamw"
lr = 0.01
betas = [0.9, 0.99]
batch = 16
steps = 60
rehearsal = 20
schedule = "cosine"
warmup = 2
mode = "fast"
"""


def test_a_plan_in_a_file_and_what_the_command_line_says_besides(
    zktally: Zktally, shop: Shop, tmp_path: Path
) -> None:
    """Paths are relative to the file; what stands on the command line goes before it."""
    plan = shop.folder / "run.toml"
    plan.write_text(PLAN)
    done = trained(
        zktally, plan, "--steps", 6, "--receipt-every", 4, "--public-data", "--json", "-q",
        "--optimizer", "sgd", "--data", shop.arrays, "--labels", "y", "-o", "run.receipt",
        "--evaluation", shop.arrays, cwd=tmp_path,
    )  # fmt: skip
    shown = json.loads(done.out)
    assert shown["receipts"] == ["run-000.receipt", "run-001.receipt"]
    assert (shown["steps"], shown["classes"]) == (6, [])
    first, second = (journal_of(tmp_path / name) for name in shown["receipts"])
    assert (first.steps, second.first, second.steps) == (4, 4, 2)
    adam = trained(
        zktally, plan, "--steps", 6, "--public-data", "--json", "-o", "adam", cwd=tmp_path
    )
    assert json.loads(adam.out)["model_id"] != shown["model_id"]
    assert json.loads(adam.out)["classes"] == list(KINDS)


def test_labels_may_be_numbers_of_one_column(shop: Shop, tmp_path: Path) -> None:
    """Regression from a table: [records] labels for an output [N, 1]."""
    from support.learning import perceptron

    (tmp_path / "one.onnx").write_bytes(perceptron(4, 8, 1).SerializeToString())
    rows = "\n".join(f"{','.join(f'{v:.4f}' for v in x)},{x[0] - x[1] / 2:.4f}" for x in shop.x)
    (tmp_path / "one.csv").write_text("a,b,c,d,price\n" + rows)
    args = ("--labels", "price", "--loss", "mse", "--lr", "0.05", "--steps", 40, *FAST)
    assert zktally_in_process("train", tmp_path / "one.onnx", "--data", tmp_path / "one.csv",
                              *args, "-o", tmp_path / "r") == 0  # fmt: skip


# Several receipts, an exported model.


@pytest.fixture(scope="module")
def kept(zktally: Zktally, shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A hybrid run in two receipts, in a folder, over a data set with a key of its holder's."""
    folder = tmp_path_factory.mktemp("kept")
    first = trained(
        zktally, shop.model, "--data", shop.arrays, "--steps", 4, *FAST, "-o", folder / "probe"
    )
    assert "data set" in first.out
    (folder / "data.key").write_text(package.circuits.keys.new_key().hex() + "\n")
    shown = trained(
        zktally, shop.model, "--data", shop.arrays, "--data-key-file", folder / "data.key",
        "--steps", 24, "--receipt-every", 12, *SMALL, "--work", folder / "run", "--json",
        "-o", folder / "run.receipt",
    )  # fmt: skip
    return {"folder": folder, **json.loads(shown.out)}


def meaning(kept: dict[str, Any]) -> tuple[str, ...]:
    return "--model-id", kept["model_id"], "--dataset-root", kept["dataset_root"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_receipts_of_a_run_are_judged_as_one(
    kept: dict[str, Any], capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    a, b = kept["receipts"]
    declared = ("--start", "declared")

    def verify(*args: str) -> Outcome:
        code = zktally_in_process(
            "verify", *args, *meaning(kept), "--backend", backend, "--seed", "derived"
        )
        return Outcome(code, *capsys.readouterr())

    said = verify(a, b, *declared)
    assert said.code == 0, said.err
    assert said.out.startswith("OK steps 0 to 23 in 2 receipts, model ")
    assert "101 bits for all receipts together" in said.out
    assert verify(b, "--follows", a, *declared).out == said.out
    verify(b, a).refused(1, "verify.follows")
    verify(b, *declared).refused(1, "policy.start")
    assert verify(b).code == 0


def test_losses_are_hidden_and_shown_later(zktally: Zktally, shop: Shop, tmp_path: Path) -> None:
    """Of each receipt a file; steps are counted in the run; a finished run gives them again."""
    command = (
        shop.model, "--data", shop.arrays, "--steps", 16, *FAST, "--receipt-every", 8, "--outputs",
        "hidden", "--work", "work", "--json",
    )  # fmt: skip
    told = json.loads(trained(zktally, *command, "-o", "run.receipt", cwd=tmp_path).out)
    assert told["outputs_files"] == ["run-000.receipt.outputs", "run-001.receipt.outputs"]
    again = json.loads(trained(zktally, *command, "-o", "b.receipt", cwd=tmp_path).out)
    for one, other in zip(told["outputs_files"], again["outputs_files"], strict=True):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()
        assert (tmp_path / one).stat().st_mode & 0o777 == 0o600
    shown = zktally("outputs", "run-001.receipt", "--step", 11, "-o", "s.shown", cwd=tmp_path)
    assert shown.code == 0, shown.err
    pinned = ("--model-id", told["model_id"], "--dataset-root", told["dataset_root"])
    for backend in BACKENDS:
        said = zktally(
            "verify", "run-001.receipt", *pinned, "--shown", "s.shown", "--seed", "any", "--json",
            "--backend", backend, cwd=tmp_path,
        )  # fmt: skip
        assert said.code == 0, (said.out, said.err)
        (loss,) = json.loads(said.out)["shown"]["outputs"]
        assert np.float32(loss["values"][0]) == np.float32(told["losses"][11])
    run = zktally("verify", "run-000.receipt", "run-001.receipt", *pinned, cwd=tmp_path)
    assert run.code == 0, run.err
    assert "outputs not published" in run.out
    early = zktally("outputs", "run-001.receipt", "--step", 7, "-o", "t.shown", cwd=tmp_path)
    early.refused(2, "usage")


def test_the_exported_model_is_the_one_that_the_receipt_names(
    zktally: Zktally, shop: Shop, kept: dict[str, Any], tmp_path: Path
) -> None:
    model = tmp_path / "trained.zkt"
    done = zktally("export", kept["folder"] / "run", "-o", model)
    assert done.code == 0, done.err
    exported = kept["exported_model_id"]
    assert done.out == f'"{model}": model id {exported}\n'
    assert oct(model.stat().st_mode & 0o777) == oct(0o600)
    zktally("export", kept["folder"] / "run", "-o", model).refused(2, "usage.file-exists")
    for backend in BACKENDS:
        said = zktally(
            "verify", *kept["receipts"], *meaning(kept), "--exported", model, "--backend", backend
        )
        assert said.code == 0, said.err
        assert f"exported   model {exported}\n" in said.out
    np.savez(tmp_path / "x.npz", x=shop.x[:1])
    answer = zktally(
        "prove", model, "--mode", "strict", "--input", tmp_path / "x.npz",
        "--input-visibility", "checkable",
        "-o", tmp_path / "answer.receipt", "-q",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    for backend in BACKENDS:
        said = zktally(
            "verify", tmp_path / "answer.receipt", "--model-id", exported, "--input",
            tmp_path / "x.npz", "--modes", "strict", "--backend", backend, "--json",
        )  # fmt: skip
        assert said.code == 0, said.err
        assert json.loads(said.out)["verified"]
    wrong = kept["model_id"]
    zktally("verify", tmp_path / "answer.receipt", "--model-id", wrong).refused(
        1, "verify.model-mismatch"
    )


def test_the_holder_of_the_data_computes_their_root(
    zktally: Zktally, shop: Shop, kept: dict[str, Any], tmp_path: Path
) -> None:
    from zktally.hybrid.training.run import finished

    run = package.TrainingRun(finished(kept["folder"] / "run"))
    np.savez(tmp_path / "records.npz", **run.records(shop.x, shop.y))
    for source in (("--receipt", kept["receipts"][0]),):
        said = zktally(
            "dataset-root", tmp_path / "records.npz", *source, "--key-file",
            kept["folder"] / "data.key",
        )  # fmt: skip
        assert said.out.strip() == kept["dataset_root"], said.err
    with pytest.raises(package.errors.UsageError) as refused:
        run.records(shop.x, shop.y + 1)
    assert refused.value.code == "usage.input"


@pytest.mark.parametrize("optimizer", [package.SGD(lr=0.05), package.Adam(lr=0.01)], ids=repr)
def test_a_finished_run_goes_on_with_the_program_of_its_steps(shop: Shop, optimizer: Any) -> None:
    run = package.train(
        str(shop.model), (shop.x, shop.y), optimizer=optimizer, batch=16, steps=6, rehearsal=20,
        mode="fast", data_key=bytes(32), nonce=b"n",
    )  # fmt: skip
    assert run.verify(nonce=b"n").steps == 6
    more = package.prove(
        run.program, {"learning_rate": np.full((4, 1), 0.005)}, "fast", nonce=b"n",
        data=run.records(shop.x, shop.y), data_key=bytes(32), state=run.state,
    )  # fmt: skip
    for backend in BACKENDS:
        found = package.verify_chain(
            [run.receipt, more], run.model_id, dataset_root=run.dataset_root, nonce=b"n",
            backend=backend,
        )  # fmt: skip
        assert (found.first, found.steps) == (0, 10)


# Interrupted runs.

DRIVER = """
import os, signal, sys
from zktally.cli import main
from zktally.hybrid.training import folder, run
from zktally.prover import work
owner, name, number, sign = sys.argv[1:5]
owner = {"FastRun": run.FastRun, "Part": folder.Part, "Work": work.Work}[owner]
own, calls = getattr(owner, name), [0]
def dying(*args, **kwargs):
    calls[0] += 1
    if calls[0] == int(number):
        os.kill(os.getpid(), int(sign))
    return own(*args, **kwargs)
setattr(owner, name, dying)
sys.exit(main(sys.argv[5:]))
"""


def killed(at: str, number: int, *args: object, sign: int = 9) -> Outcome:
    """`zktally ARGS` that gets a signal when it calls a method for the n-th time."""
    command = [sys.executable, "-c", DRIVER, *at.split("."), str(number), str(sign)]
    done = subprocess.run([*command, *map(str, args)], capture_output=True, timeout=300)
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


MOMENTS = {
    "while it trains": ("FastRun.execute", 7),
    "trained, and nothing kept": ("Part.ended", 1),
    "before the job is written": ("Work.start", 1),
    "while it proves": ("Work.write", 1),
    "before segments are joined": ("Work.finish", 1),
    "proven, and not kept": ("Part.proven", 1),
    "while it trains the second part": ("FastRun.execute", 3),
}


def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(
    shop: Shop, tmp_path: Path
) -> None:
    """Same keys, same statements: every root, every output."""
    args = (
        "train", shop.model, "--data", shop.arrays, "--steps", 16, "--receipt-every", 10, *SMALL,
        "--small",
    )  # fmt: skip
    work, out = tmp_path / "killed", tmp_path / "killed.receipt"
    for moment, at in MOMENTS.items():
        done = killed(*at, *args, "--work", work, "-o", out)
        assert done.code == -9, (moment, done.err)
        assert list(tmp_path.glob("*.receipt")) == []
        if moment == "before the job is written":  # it may die while the job is being written, too
            (work / "part-00000" / "proof" / ".job.half").write_bytes(b"half")
    assert zktally_in_process("export", work, "-o", tmp_path / "no.zkt") == 2
    assert zktally_in_process(*args, "--work", work, "-o", out) == 0
    whole = tmp_path / "whole"
    for part in ("part-00000", "part-00001"):
        (whole / part).mkdir(parents=True, mode=0o700)
        shutil.copy(work / part / "key", whole / part / "key")
    for name in ("plan.json", "steps", "rehearsal.json", "data-key"):
        shutil.copy(work / name, whole / name)
    again = tmp_path / "whole.receipt"
    assert zktally_in_process(*args, "--work", whole, "-o", again) == 0
    for number in ("000", "001"):
        mine, other = (journal_of(tmp_path / f"{n}-{number}.receipt") for n in ("killed", "whole"))
        assert mine == other
    first, second = (journal_of(tmp_path / f"killed-00{n}.receipt") for n in (0, 1))
    assert first.final_state == second.initial_state
    # Finished, the same command only writes the receipts once more.
    assert zktally_in_process(*args, "--work", work, "-o", tmp_path / "more.receipt") == 0
    assert (tmp_path / "more-000.receipt").read_bytes() == (
        tmp_path / "killed-000.receipt"
    ).read_bytes()


def test_ctrl_c_says_what_is_kept(shop: Shop, tmp_path: Path) -> None:
    args = ("train", shop.model, "--data", shop.arrays, "--steps", 10, *FAST)
    out = tmp_path / "run.receipt"
    done = killed("FastRun.execute", 5, *args, "-o", out, sign=2)
    assert (done.code, done.out, done.err) == (130, "", "interrupted; nothing was written\n")
    work = tmp_path / "a run"
    done = killed("FastRun.execute", 5, *args, "-o", out, "--work", work, sign=2)
    assert done.code == 130
    kept = f'"{work}" keeps what is finished, with secrets: the same command goes on'
    assert done.err == f"interrupted; {kept}\n"
    assert not out.exists()
    assert zktally_in_process(*args, "-o", out, "--work", work) == 0


# Refusals.


@pytest.fixture(scope="module")
def bad(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that a run cannot be made of."""
    folder = tmp_path_factory.mktemp("bad")
    x, y = shop.x, shop.y
    poked = x.copy()
    poked[5, 1] = np.nan
    numbers = y.astype(np.float64)
    numbers[3] = np.inf
    for name, arrays in {
        "wide": {"x": np.ones((120, 5), np.float32), "y": y},
        "large": {"x": x, "y": np.where(np.arange(120) == 7, 3, y)},
        "negative": {"x": x, "y": np.where(np.arange(120) == 7, -1, y)},
        "half": {"x": x, "y": y + 0.5},
        "nan": {"x": poked, "y": y},
        "infinite": {"x": x, "y": numbers},
        "few": {"x": x[:9], "y": y[:9]},
        "uneven": {"x": x, "y": y[:100]},
        "hot": {"x": x, "y": np.eye(3)[y]},
        "named": {"image": x, "z": x, "y": y},
        "text": {"x": x, "y": np.array(KINDS)[y]},
        "no-labels": {"x": x},
        "only-labels": {"y": y},
    }.items():
        np.savez(folder / f"{name}.npz", **arrays)
    (folder / "cells.csv").write_text("a,b,c,d,y\n1,2,3,4,0\n1,2,three,4,1\n")
    (folder / "ragged.csv").write_text("a,b,c,d,y\n1,2,3,4,0\n1,2,3,1\n")
    (folder / "empty.csv").write_text("")
    (folder / "other.csv").write_text("leaf 0,leaf 1,leaf 2,leaf 3,kind\n1,2,3,4,dogwood\n")
    (folder / "junk.npz").write_bytes(b"PK\x03\x04junk")
    (folder / "junk.onnx").write_bytes(b"junk")
    (folder / "short.key").write_text("00\n")
    (folder / "full").mkdir()
    (folder / "full" / "notes").write_text("mine")
    for name, text in {
        "no": "steps == 3",
        "key": "stepz = 3",
        "kind": 'steps = "many"',
        "truth": "nesterov = 1",
        "loss": 'loss = "nll"',
        "path": "model = 3",
        "betas": "betas = [0.9]",
    }.items():
        (folder / f"{name}.toml").write_text(text + "\n")
    return folder


DATA = {  # the data, the code, and what is said
    "wide.npz": ("usage.input", "expected: numbers of shape ('records', 4)"),
    "large.npz": ("usage.input", "expected: integers in [0, 2]"),
    "negative.npz": ("usage.input", "expected: integers in [0, 2]"),
    "half.npz": ("usage.input", "expected: integers in [0, 2]"),
    "nan.npz": ("usage.input", "data 'x' contains NaN or infinity"),
    "infinite.npz": ("usage.input", "data 'labels' contains NaN or infinity"),
    "few.npz": ("usage.input", "expected: 16 or more of each"),
    "uneven.npz": ("usage.input", "inputs and labels need as many records"),
    "hot.npz": ("usage.input", "expected: numbers of shape ('records',)"),
    "named.npz": ("usage.input", "the data's names are not those of the model's inputs"),
    "text.npz": ("usage.input", "data 'labels' does not fit the model"),
    "no-labels.npz": ("usage", "holds no array 'y' beside inputs"),
    "only-labels.npz": ("usage", "holds no array 'y' beside inputs"),
    "cells.csv": ("usage", "holds a cell that is no number"),
    "ragged.csv": ("usage", "line 3 of"),
    "empty.csv": ("usage", "has no column 'y', or no rows"),
    "other.csv": ("usage", "hint:     name the labels with --labels"),
    "junk.npz": ("usage.unreadable", "cannot read"),
    "none.npz": ("usage.unreadable", "cannot read"),
    "none.csv": ("usage.unreadable", "cannot read"),
}


def refusal(capsys: pytest.CaptureFixture[str], *args: object) -> Outcome:
    code = main(["train", *map(str, args)])
    out, err = capsys.readouterr()
    return Outcome(code, out, err)


@pytest.mark.parametrize("name", DATA)
def test_data_that_is_refused(
    shop: Shop, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, words = DATA[name]
    args = (shop.model, "--data", bad / name, "--steps", 3, *SMALL, "-o", tmp_path / "r")
    work = tmp_path / "work"
    done = refusal(capsys, *args, "--work", work)
    done.refused(2, f"[{code}]")
    assert words in done.err
    assert not (tmp_path / "r").exists()
    assert not list(work.glob("part-*"))


SETTINGS = {
    "--steps=0": "steps is out of range",
    "--steps=many": "--steps is no number",
    "--batch=0": "batch is out of range",
    "--warmup=-1": "warmup is out of range",
    "--step-every=0": "step_every is out of range",
    "--step-factor=2": "step_factor is out of range",
    "--receipt-every=0": "receipt_every is out of range",
    "--lr=0": "lr is out of range",
    "--lr=nan": "lr is out of range",
    "--momentum=1": "momentum is out of range",
    "--label-smoothing=1": "label_smoothing is out of range",
    "--weight-decay=nan": "weight_decay is out of range",
    "--betas=0.9": "betas has a value of another kind",
    "--betas=0.9,x": "--betas is no number",
    "--betas=0.9,1": "betas are out of range",
    "--clip-norm=0": "clip_norm is out of range",
    "--nonce=xyz": "the nonce is no hex",
    "--delta=0.9": "delta is out of range",
    "--loss-output=z": "the model has no output",
    "--freeze=*": "the loss depends on no parameter",
}


@pytest.mark.parametrize("option", SETTINGS)
def test_settings_that_are_refused(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    args = (shop.model, "--data", shop.arrays, "--rehearsal", 3, "-q", "-o", tmp_path / "r")
    done = refusal(capsys, *args, option)
    done.refused(2, "[usage")
    assert SETTINGS[option] in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mode", "strict", "--delta", "0.1"), "a strict receipt checks every gate"),
        (("--mode", "fast", "--small", "--reveal"), "are not about fast receipts"),
        (("--mode", "strict", "--small", "--foldable"), "a receipt has one profile"),
    ],
)
def test_settings_that_contradict_each_other(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...], words: str,
) -> None:  # fmt: skip
    args = (shop.model, "--data", shop.arrays, "--steps", 3, *SMALL, "-o", tmp_path / "r")
    done = refusal(capsys, *args, *options, "--work", tmp_path / "work")
    done.refused(2, "[usage]")
    assert words in done.err
    assert not (tmp_path / "work").exists()


PLANS = {
    "no": ("usage.unreadable", "is not TOML"),
    "key": ("usage", 'no such setting: "stepz"'),
    "kind": ("usage", "steps has a value of another kind"),
    "truth": ("usage", "nesterov has a value of another kind"),
    "loss": ("usage", "expected: cross-entropy or mse or binary-cross-entropy"),
    "path": ("usage", "model has a value of another kind"),
    "betas": ("usage", "betas has a value of another kind"),
    "none": ("usage.unreadable", "cannot read"),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans_that_are_refused(
    shop: Shop, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, words = PLANS[name]
    plan = bad / f"{name}.toml"
    done = refusal(capsys, plan, "--data", shop.arrays, "-o", tmp_path / "r")
    done.refused(2, f"[{code}]")
    assert words in done.err


def test_an_option_that_there_is_not(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", str(shop.model), "--loss", "nll", "-o", "r"])
    assert ended.value.code == 2
    assert "invalid choice: 'nll'" in capsys.readouterr().err


def test_files_and_folders_that_are_refused(
    shop: Shop, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r"
    data = ("--data", shop.arrays, "--steps", 3, *SMALL)
    refusal(capsys, shop.model, "-o", out).refused(2, "a run needs a model and data [usage]")
    refusal(capsys, bad / "none.onnx", *data, "-o", out).refused(2, "[usage.unreadable]")
    refusal(capsys, bad / "junk.onnx", *data, "-o", out).refused(3, "[compile.bad-model]")
    refusal(capsys, shop.model, *data, "-o", "-").refused(2, "are written to files [usage]")
    refusal(capsys, shop.model, *data, "-o", bad / "no" / "r").refused(2, "[usage.unwritable]")
    refusal(capsys, shop.model, *data, "-o", out, "--work", "/proc/none").refused(
        2, "[usage.unwritable]"
    )
    refusal(capsys, shop.model, *data, "-o", out, "--work", bad / "full").refused(
        2, "is not empty, and holds no training run [usage.file-exists]"
    )
    refusal(capsys, shop.model, *data, "-o", out, "--data-key-file", bad / "short.key").refused(
        2, "[usage.unreadable]"
    )
    beside = ("--evaluation", bad / "none.csv")
    refusal(capsys, shop.model, *data, "-o", out, *beside).refused(2, "[usage.unreadable]")
    table = ("--data", shop.table, "--labels", "kind", "--evaluation", bad / "other.csv")
    unknown = refusal(capsys, shop.model, "--steps", 3, *SMALL, *table, "-o", out)
    unknown.refused(2, "no such classes [usage]")
    out.write_bytes(b"mine")
    refusal(capsys, shop.model, *data, "-o", out).refused(2, "[usage.file-exists]")
    refusal(capsys, shop.model, *data, "-o", shop.arrays, "--force").refused(
        2, "is an input of this command [usage]"
    )
    assert out.read_bytes() == b"mine"
    for parts in ("--receipt-every", 2), ():
        (tmp_path / "r-001").write_bytes(b"mine")
        refusal(capsys, shop.model, *data, *parts, "-o", out).refused(2, "[usage.file-exists]")
    code = main(["export", str(bad / "full"), "-o", str(tmp_path / "m.zkt")])
    Outcome(code, *capsys.readouterr()).refused(2, "holds no training run [usage.unreadable]")


def test_errors_as_json(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = (shop.model, "--data", shop.arrays, "--steps", 0, "-o", tmp_path / "r", "--json")
    done = refusal(capsys, *args)
    shown = json.loads(done.out)
    assert (done.code, shown["format"], shown["code"]) == (2, "zktally.train/1", "usage")


def test_a_folder_keeps_one_run(
    shop: Shop, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that came to nothing is no run; another plan, model, data or key is another one."""
    work = tmp_path / "work"
    how = ("--steps", 3, *FAST, "--work", work, "--force", "-o", tmp_path / "r")
    refusal(capsys, shop.model, "--data", bad / "large.npz", *how).refused(2, "[usage.input]")
    done = refusal(capsys, shop.model, "--data", shop.arrays, *how)
    assert done.code == 0, done.err
    other = tmp_path / "other.onnx"
    from support.learning import perceptron

    other.write_bytes(perceptron(4, 9, 3).SerializeToString())
    same = (shop.model, "--data", shop.arrays)
    for args, what in (
        ((*same, *how, "--lr", "0.05"), '"lr"'),
        ((*same, *how, "--nonce", "00"), '"nonce"'),
        ((shop.model, "--data", bad / "large.npz", *how), '"labels"'),
        ((other, "--data", shop.arrays, *how), '"model"'),
    ):
        done = refusal(capsys, *args)
        done.refused(2, "holds another run [usage.file-exists]")
        assert f"expected: the same {what}" in done.err
    private = [each for each in how if each != "--public-data"]
    done = refusal(capsys, *same, *private, "--reveal")
    done.refused(2, "[usage.file-exists]")
    assert '"data key", "reveal"' in done.err


# What a fast receipt shows.


@pytest.mark.parametrize(
    ("options", "private"),
    [
        ((), "records"),
        (("--public-data", "--start", "file"), "first weights"),
        (("--public-data", "--freeze", "b0"), "frozen constants"),
        (("--start", "file"), "records and first weights"),
    ],
)
def test_nothing_private_is_shown_unasked(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...], private: str,
) -> None:  # fmt: skip
    """Refused before anything is made; with `--reveal` the receipt is, and verifies."""
    from zktally.hybrid.training import run

    args = (shop.model, "--data", shop.arrays, "--steps", 3, *SMALL, "--mode", "fast", *options)
    args = (*args, "-o", tmp_path / "r")
    with monkeypatch.context() as patched:
        patched.setattr(run, "prepare", lambda *_: pytest.fail("it begins"))
        done = refusal(capsys, *args, "--work", tmp_path / "work")
    done.refused(2, "[prove.needs-reveal]")
    assert f"and private are {private}" in done.err
    assert not (tmp_path / "work").exists()
    assert not (tmp_path / "r").exists()
    assert refusal(capsys, *args, "--reveal").code == 0
    with pytest.raises(package.errors.ProveError) as refused:
        package.train(str(shop.model), (shop.x, shop.y), steps=3, batch=16, mode="fast")
    assert refused.value.code == "prove.needs-reveal"


# The package.


def test_training_is_imported_when_it_is_asked_for() -> None:
    code = (
        "import sys, zktally; assert 'zktally.training' not in sys.modules; "
        "assert 'zktally.hybrid.training' not in sys.modules; "
        "from zktally import SGD, Adam, AdamW, TrainingRun, train; "
        "assert train.__module__ == 'zktally.training' == TrainingRun.__module__; "
        "assert zktally.train is train; assert set(zktally.__all__) >= {'train', 'AdamW'}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = package.trian
