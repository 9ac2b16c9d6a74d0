"""What is said before a receipt is made, and the command that is printed for it afterwards."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from support import programs
from support.cli import Files, Outcome, Zktally
from support.receipts import Prover
from zktally import assemble
from zktally.cli import acceptance, main
from zktally.verifier.policy import Policy, sampled_outputs
from zktally.verifier.program.checked import check
from zktally.verifier.sampling import Counts

BACKENDS = ("rust", "python")
Made = Callable[..., tuple[Outcome, Path]]


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose output is not exact, and inputs for 40 steps, one in four out of range."""
    folder = tmp_path_factory.mktemp("sampled")
    program, weights = programs.dense()
    assemble(program, weights, public=True).save(folder / "model.zkt")
    x = np.full((80, 6), 3.0)
    x[::4] = 1e6
    np.savez(folder / "x.npz", x=x)
    return folder


def printed_command(done: Outcome) -> list[str]:
    line = next(line for line in done.out.splitlines() if line.startswith("check it with: "))
    words = shlex.split(line.removeprefix("check it with: "))
    assert words[:2] == ["zktally", "verify"]
    return words[1:]


@pytest.mark.parametrize(
    ("claims", "needed"),
    [
        ((), ()),
        (("--delta", "0.2"), ("--max-delta=0.2",)),
        (("--delta", "0.333333"), ("--max-delta=0.333333",)),
        (("--bits", "40"), ("--min-bits=39",)),
        (("--bits", "100"), ("--min-bits=99",)),
        (("--bits", "101"), ()),
        (("--audience", 'Zoë\'s "best" $HOME'), ('--audience=Zoë\'s "best" $HOME',)),
        (("--audience=-x",), ("--audience=-x",)),
        (("--nonce", "text"), ("--nonce=0x74657874",)),
        (("--delta-op", "none"), ()),
        (("--delta-op", "0.2"), ()),
        (("--delta-step", "0.2"), ()),
        (("--exact", "all"), ()),
        (("--mode", "hybrid"), ()),
        (("--mode", "strict"), ()),
        (
            ("--mode", "hybrid", "--bits", "60", "--delta", "0.5"),
            ("--max-delta=0.5", "--min-bits=59"),
        ),
    ],
    ids=str,
)
def test_the_printed_command_always_passes(
    zktally: Zktally,
    files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    claims: tuple[str, ...],
    needed: object,
) -> None:
    monkeypatch.chdir(tmp_path)
    mode = () if "--mode" in claims else ("--mode", "fast")
    done = zktally(
        "prove", files.model, "--input", files.images, *mode, *claims, "-o", "a run.receipt", "-q",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    command = printed_command(done)
    options = command[command.index("--model-id") + 2 :]
    if needed is not None:
        assert tuple(options) == needed
    for option in options:
        # λ may be told only afterwards to be more than everything together is worth.
        assert option.startswith("--min-bits") or f"pass {shlex.quote(option)}:" in done.err
    assert done.err.count("warning:") <= len(options)
    for backend in BACKENDS:
        assert main([*command, "--backend", backend]) == 0, command
    for option in options:
        fewer = [word for word in command if word != option]
        assert main(fewer) == 1


def test_a_sampled_output_is_named_before_and_allowed_after(
    zktally: Zktally, sampled: Path, tmp_path: Path
) -> None:
    done = zktally(
        "prove", sampled / "model.zkt", "--input", sampled / "x.npz", "--mode", "fast",
        "--delta", "0.5", "--bits", "2", "--delta-op", "none", "-o", "-odd.receipt", cwd=tmp_path,
    )  # fmt: skip
    if done.code == 2:  # argparse takes the name for an option
        done = zktally(
            "prove", sampled / "model.zkt", "--input", sampled / "x.npz", "--mode", "fast",
            "--delta", "0.5", "--bits", "2", "--delta-op", "none", "--output=-odd.receipt",
            cwd=tmp_path,
        )  # fmt: skip
    assert done.code == 0, done.err
    before = done.err[: done.err.index("execute and commit")]
    assert 'pass --allow-sampled-outputs: outputs are only sampled: "y"' in before
    assert "pass --max-delta=0.5: δ is 0.5" in before
    assert "pass --min-bits=1: it shows 1 bit" in before
    command = printed_command(done)
    assert "--allow-sampled-outputs" in command
    assert zktally(*command, cwd=tmp_path).code == 0


def test_what_saturates_is_told_to_prover_and_verifier_and_stands_in_no_receipt(
    zktally: Zktally, sampled: Path, tmp_path: Path
) -> None:
    receipts = []
    for name in ("x", "clamped"):
        arrays = sampled / f"{name}.npz"
        if name == "clamped":
            np.savez(arrays, x=np.minimum(np.load(sampled / "x.npz")["x"], 6.2))
        receipt = tmp_path / f"{name}.receipt"
        done = zktally(
            "prove", sampled / "model.zkt", "--input", arrays, "--mode", "fast", "-o", receipt,
            "--exact", "all",
        )  # fmt: skip
        assert done.code == 0, done.err
        receipts.append(receipt)
        warned = 'warning: input "x": 120 of 480 values (25 %) lie outside the range'
        assert (warned in done.err[: done.err.index("execute")]) == (name == "x")
    model_id = json.loads(zktally("inspect", sampled / "model.zkt", "--json").out)["model_id"]
    for backend in BACKENDS:
        verify = ("verify", receipts[0], "--model-id", model_id, "--backend", backend)
        said = zktally(*verify, "--input", sampled / "x.npz")
        assert said.code == 0, said.err
        assert 'input "x": 120 of 480 values (25 %) lie outside' in said.out
        # The pin is on what the program reads: other values, clamped alike, are no other inputs.
        said = zktally(*verify, "--input", sampled / "clamped.npz")
        assert said.code == 0, said.err
        assert "no value of your inputs lies outside" in said.out
        shown = json.loads(zktally(*verify, "--input", sampled / "x.npz", "--json").out)
        (found,) = shown["guarantee"]["saturated"]
        assert (found["name"], found["outside"], found["values"]) == ("x", 120, 480)
        assert "25 %" not in zktally(*verify).out
    sizes = {receipt.stat().st_size for receipt in receipts}
    assert len(sizes) == 1  # nothing about it is published on the side


def test_strict_and_bounds_of_ops_on_the_command_line(
    zktally: Zktally, files: Files, tmp_path: Path
) -> None:
    prove = ("prove", files.model, "--input", files.images)
    strict = tmp_path / "strict.receipt"
    done = zktally(*prove, "--mode", "strict", "-o", strict)
    assert done.code == 0, done.err
    assert "every gate checked" in done.err
    assert "samples" not in done.err
    for backend in BACKENDS:
        said = zktally(
            "verify",
            strict,
            "--model-id",
            files.model_id,
            "--modes",
            "strict",
            "--backend",
            backend,
        )
        assert said.code == 0, said.err
        assert "every gate of every step was checked" in said.out
        assert "%" not in said.out
    assert "claims     every gate of every step was checked" in zktally("inspect", strict).out
    zktally(*prove, "--mode", "strict", "--delta", "0.1", "-o", tmp_path / "no").refused(2, "usage")

    bounded, unbounded = tmp_path / "bounded.receipt", tmp_path / "unbounded.receipt"
    for receipt, delta_op in ((bounded, "0.2"), (unbounded, "none")):
        done = zktally(*prove, "--mode", "fast", "--delta-op", delta_op, "-o", receipt)
        assert done.code == 0, done.err
    for backend in BACKENDS:
        verify = ("--model-id", files.model_id, "--backend", backend)
        said = zktally("verify", bounded, *verify, "--max-delta-op", "0.2")
        assert said.code == 0, said.err
        assert "≤ 20 % of the gates of any single op" in said.out
        zktally("verify", bounded, *verify, "--max-delta-op", "0.1").refused(1, "policy.delta-op")
        zktally("verify", unbounded, *verify, "--max-delta-op", "0.5").refused(1, "policy.delta-op")
        assert "no bound claimed for single ops" in zktally("verify", unbounded, *verify).out


def test_names_of_a_model_do_not_imitate_a_verdict(
    zktally: Zktally, files: Files, tmp_path: Path
) -> None:
    evil = 'logits: certified, every gate that leads to it was checked; "spare'
    model = onnx.load(str(files.onnx))
    old, model.graph.output[0].name = model.graph.output[0].name, evil
    for node in model.graph.node:
        node.output[:] = [evil if name == old else name for name in node.output]
        node.name += "\noutput     x: certified"
    path = tmp_path / "evil\nOK.onnx"
    onnx.save(model, str(path))
    compiled = tmp_path / "evil.zkt"
    compile_ = ("compile", path, "--calibrate", files.calibration, "--batch", 8, "--public")
    shown = [zktally(*compile_, "-o", compiled)]
    receipt = tmp_path / "OK run.receipt"
    prove = ("prove", compiled, "--input", files.images, "--mode", "fast", "-o", receipt)
    shown.append(zktally(*prove))
    shown += [zktally(*prove), zktally("inspect", receipt), zktally("inspect", compiled)]
    assert [done.code for done in shown] == [0, 0, 2, 0, 0], [done.err for done in shown]
    command = printed_command(shown[1])
    shown += [zktally(*command, "--backend", backend) for backend in BACKENDS]
    for done in shown:
        for line in (done.out + done.err).splitlines():
            assert not line.startswith(("OK.", "OK run", "output     x"))
            assert 'checked; "spare' not in line
    verdict = shown[-1].out
    assert '"logits: certified, every gate that leads to it was checked; \\"' in verdict
    assert verdict.count("\noutput     ") == 1


ALIKE = "l\u043egits\u202e\x1b[2Kscore\u2066\u200b\x7f\x85ﬁ\x00"
"""A Cyrillic o, directions, a terminal's command, what has no width, a ligature, the end of C."""


def test_json_is_ascii_whatever_is_named(zktally: Zktally, files: Files, tmp_path: Path) -> None:
    """So that no name looks like another one, in a log or in a terminal."""
    model = onnx.load(str(files.onnx))
    old, model.graph.output[0].name = model.graph.output[0].name, ALIKE
    for node in model.graph.node:
        node.output[:] = [ALIKE if name == old else name for name in node.output]
        node.name += ALIKE
    path, compiled, receipt = (tmp_path / name for name in ("m.onnx", "m.zkt", "m.receipt"))
    onnx.save(model, str(path))
    compile_ = ("compile", path, "--calibrate", files.calibration, "--batch", 8, "--public")
    check = ("check-model", path, compiled, "--evaluate", files.calibration)
    prove = ("prove", compiled, "--input", files.images, "--mode", "fast", "-o", receipt)
    done = [
        zktally(*compile_, "-o", compiled, "--json"),
        zktally(*check, "--json"),
        zktally(*check, "--min-sqnr", 900, "--json"),
        zktally("inspect", compiled, "--json"),
        zktally(*prove, "--audience", "\u0430dmin", "--json"),
        zktally("inspect", receipt, "--json"),
    ]
    verify = ("verify", receipt, "--model-id", json.loads(done[0].out)["model_id"], "--json")
    for name in ("\u0430dmin", "\u0430nybody\u202e"):
        done += [zktally(*verify, "--audience", name, "--backend", each) for each in BACKENDS]
    done.append(zktally("verify", tmp_path / "n\u043ewhere\u202e", *verify[2:]))
    assert [each.code for each in done] == [0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 2], done
    for each in done:
        assert each.out.isascii()
        assert each.out.removesuffix("\n").isprintable()
        assert json.loads(each.out)
    assert json.loads(done[6].out)["outputs"][0]["name"] == ALIKE


def test_a_receipt_that_no_policy_accepts_is_not_begun(
    zktally: Zktally, files: Files, tmp_path: Path
) -> None:
    for mode in ("fast", "hybrid"):
        prove = ("prove", files.model, "--input", files.images, "--mode", mode, "--bits", 1)
        zktally(*prove, "-o", tmp_path / "no").refused(2, "usage")
        assert not (tmp_path / "no").exists()


def test_a_path_is_one_word_whatever_is_in_it() -> None:
    for path in ("plain", "a b", "it's", '$(x) "y"', "a\nb\x1b", "ä", "-x"):
        word = acceptance.shell_word(path)
        assert word.isprintable()
        if path.isprintable():
            assert shlex.split(word) == [path]
    assert acceptance.shell_word("a\n'é") == "$'\\x61\\x0a\\x27\\xc3\\xa9'"


@pytest.mark.parametrize("name", programs.EVERY)
def test_demands_are_those_of_the_default_policy(name: str) -> None:
    """A statement without demands is one that the default policy accepts."""
    for claims in ({}, {"delta_ppm": 500_000, "bits": 2}, {"delta_ppm": 60_000}, {"bits": 99}):
        prover = Prover(name, steps=30, **claims).commit()
        found = {
            demand.arguments[0]
            for demand in acceptance.demands(Counts(prover.checked, prover.journal))
        }
        assert ("--max-delta" in found) == (prover.journal.delta_ppm > Policy().ppm("max_delta"))
        assert ("--min-bits" in found) == (prover.journal.bits <= Policy().min_bits)
        exact = sampled_outputs(Counts(check(prover.program), prover.journal)) == []
        assert ("--allow-sampled-outputs" in found) != exact
