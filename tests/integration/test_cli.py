"""The command line as a user calls it: every verb, both verifiers, JSON, stdin, exit codes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from support.cli import Files, Zktally
from zktally.bench.digits.data import load

BACKENDS = ("rust", "python")


@pytest.mark.parametrize("backend", BACKENDS)
def test_verify_says_what_it_means(zktally: Zktally, files: Files, backend: str) -> None:
    done = zktally(
        "verify", files.receipt, "--model-id", files.model_id, "--backend", backend,
        "--input", files.images, "--max-delta", "0.05", "--min-bits", "100",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.startswith("OK ")
    for words in ("3 steps", files.model_id[:4], "fast", "5 %", "123 bits", "not certified"):
        assert words in done.out, done.out


def test_json_of_both_verifiers_is_the_same(zktally: Zktally, files: Files) -> None:
    seen = []
    for backend in BACKENDS:
        done = zktally(
            "verify", files.receipt, "--model-id", files.model_id, "--backend", backend, "--json"
        )
        verdict = json.loads(done.out)
        assert verdict["format"] == "zktally.verify/1"
        assert verdict.pop("backend", backend) == backend
        seen.append(verdict)
    assert seen[0] == seen[1]


def test_receipt_from_stdin_to_stdout(zktally: Zktally, files: Files) -> None:
    done = zktally("verify", "-", "--model-id", files.model_id, stdin=files.receipt.read_bytes())
    assert done.code == 0, done.err


@pytest.mark.parametrize("backend", BACKENDS)
def test_refusals(zktally: Zktally, files: Files, backend: str) -> None:
    def verify(*more: object, model_id: str = files.model_id, path: object = files.receipt):  # type: ignore[no-untyped-def]
        return zktally("verify", path, "--model-id", model_id, "--backend", backend, *more)

    verify(model_id="00" * 32).refused(1, "verify.model-mismatch")
    verify("--max-delta", "0.01").refused(1, "policy.delta")
    verify("--min-bits", "200").refused(1, "policy.bits")
    verify("--max-delta-step", "0.05").refused(1, "policy.delta-step")
    verify("--modes", "hybrid").refused(1, "policy.mode")
    verify("--modes", "quick").refused(2, "usage")
    verify("--audience", "someone").refused(1, "verify.audience-mismatch")
    verify("--nonce", "0x01").refused(1, "verify.nonce-mismatch")
    verify("--input-root", "00" * 32).refused(1, "verify.input-mismatch")
    verify("--initial-state", "11" * 32).refused(1, "verify.state-mismatch")
    verify(model_id="xyz").refused(2, "usage")
    verify("--max-delta", "0.0000001").refused(2, "usage")
    verify(path=files.folder / "absent").refused(2, "usage.unreadable")
    verify(path=files.onnx).refused(3, "receipt.bad-magic")
    verify("--max-size", "1000").refused(3, "receipt.too-large")
    other = files.folder / "other.npz"
    np.savez(other, image=np.zeros((20, 1, 8, 8), np.float32))
    verify("--input", other).refused(1, "verify.input-mismatch")
    few = files.folder / "few.npz"
    np.savez(few, image=np.load(files.images)["image"][:19])
    verify("--input", few).refused(1, "verify.input-mismatch")


def test_audience_and_nonce(zktally: Zktally, files: Files) -> None:
    receipt = files.folder / "named.receipt"
    done = zktally(
        "prove", files.model, "--mode", "fast", "--input", files.images, "--delta", "0.01",
        "--audience", "Zoë", "--nonce", "0x0102", "-o", receipt,
    )  # fmt: skip
    assert done.code == 0, done.err
    base = ("verify", receipt, "--model-id", files.model_id)
    assert zktally(*base, "--audience", "Zoë", "--nonce", "0x0102").code == 0
    zktally(*base).refused(1, "verify.audience-mismatch")
    zktally(*base, "--audience", "Zoë").refused(1, "verify.nonce-mismatch")


def test_inspect_receipt_and_model(zktally: Zktally, files: Files) -> None:
    for path, kind in ((files.receipt, "receipt"), (files.model, "model")):
        described = json.loads(zktally("inspect", path, "--json").out)
        assert described["model_id"] == files.model_id
        assert described["kind"] == kind
        assert {"program_id", "mode"} <= set(described)
        assert files.model_id in zktally("inspect", path).out
    assert "UNVERIFIED" in zktally("inspect", files.receipt).out


def test_check_model(zktally: Zktally, files: Files) -> None:
    done = zktally("check-model", files.onnx, files.model)
    assert done.code == 0, done.err
    assert files.model_id in done.out
    assert done.out.startswith("FOLLOWS ")
    assert "OK" not in done.out
    assert "whether the ranges fit your data was not checked" in done.out
    shown = json.loads(zktally("check-model", files.onnx, files.model, "--json").out)
    assert shown["format"] == "zktally.check-model/2"
    assert shown["follows"] is True
    assert shown["ranges_fit"] is shown["fidelity_holds"] is None


def test_check_model_on_data_of_the_checker(zktally: Zktally, files: Files) -> None:
    own = files.folder / "labelled.npz"
    digits = load()
    np.savez(own, image=digits.test_x, labels=digits.test_y)
    plain = files.folder / "plain.npz"
    np.savez(plain, image=digits.test_x)
    check = ("check-model", files.onnx, files.model)
    done = zktally(*check, "--calibrate", plain, "--evaluate", own)
    assert done.code == 0, done.err
    assert done.out.startswith("OK ")
    assert "accuracy 98.33% in floats" in done.out
    shown = json.loads(zktally(*check, "--evaluate", own, "--json").out)
    assert shown["fidelity_holds"] is True
    assert shown["ranges_fit"] is None
    dark = files.folder / "dark.npz"
    np.savez(dark, image=digits.test_x / 100)
    zktally(*check, "--calibrate", dark).refused(1, "check.ranges")
    refused = zktally(*check, "--calibrate", dark, "--json")
    assert refused.code == 1
    described = json.loads(refused.out)
    assert described["format"] == "zktally.check-model/2"
    assert described["code"] == "check.ranges"
    fits = zktally(*check, "--calibrate", plain)
    assert fits.code == 0, fits.err
    assert fits.out.startswith("FITS ")
    zktally(*check, "--calibrate", own).refused(2, "usage")
    zktally(*check, "--min-top1", 0.9).refused(2, "usage")
    zktally(*check, "--calibrate", plain, "--range-factor", 1.001).refused(1, "check.ranges")
    zktally(*check, "--evaluate", own, "--min-sqnr", 60).refused(1, "check.fidelity")
    zktally(*check, "--evaluate", own, "--min-top1", 2).refused(2, "usage")
    zktally(*check, "--evaluate", files.onnx).refused(2, "usage.unreadable")


def test_private_weights_need_reveal(zktally: Zktally, files: Files) -> None:
    model = files.folder / "private.zkt"
    done = zktally(
        "compile", files.onnx, "--calibrate", files.calibration, "--batch", 20, "-o", model
    )
    assert done.code == 0, done.err
    receipt = files.folder / "private.receipt"
    prove = ("prove", model, "--mode", "fast", "--input", files.images, "-o", receipt)
    zktally(*prove).refused(2, "prove.needs-reveal")
    assert not receipt.exists()
    assert zktally(*prove, "--reveal").code == 0
    model_id = json.loads(zktally("inspect", model, "--json").out)["model_id"]
    assert model_id != files.model_id
    assert zktally("verify", receipt, "--model-id", model_id).code == 0


@pytest.mark.parametrize("visibility", ["private", "checkable", "public"])
def test_visibility_of_inputs(zktally: Zktally, files: Files, visibility: str) -> None:
    receipt = files.folder / f"inputs-{visibility}.receipt"
    done = zktally(
        "prove", files.model, "--mode", "fast", "--input", files.images,
        "--input-visibility", visibility, "-o", receipt,
    )  # fmt: skip
    assert done.code == 0, done.err
    verify = ("verify", receipt, "--model-id", files.model_id, "--input", files.images)
    for backend in BACKENDS:
        done = zktally(*verify, "--backend", backend)
        if visibility == "private":
            done.refused(1, "verify.input-mismatch")
        else:
            assert done.code == 0, done.err


def test_old_name_of_the_visibility(zktally: Zktally, files: Files) -> None:
    receipt = files.folder / "old-name.receipt"
    prove = ("prove", files.model, "--mode", "fast", "--input", files.images, "-o", receipt)
    done = zktally(*prove, "--inputs", "private")
    assert done.code == 0, done.err
    assert "warning: --inputs is now --input-visibility" in done.err
    verify = ("verify", receipt, "--model-id", files.model_id, "--input", files.images)
    zktally(*verify).refused(1, "verify.input-mismatch")


def test_outputs_exact_is_the_default(zktally: Zktally, files: Files) -> None:
    done = zktally("verify", files.receipt, "--model-id", files.model_id, "--json")
    assert {o["status"] for o in json.loads(done.out)["outputs"]} == {"consistent"}
    full = files.folder / "all.receipt"
    zktally(
        "prove", files.model, "--mode", "fast", "--input", files.images, "--exact", "all",
        "-o", full,
    )  # fmt: skip
    for backend in BACKENDS:
        done = zktally("verify", full, "--model-id", files.model_id, "--json", "--backend", backend)
        assert {o["status"] for o in json.loads(done.out)["outputs"]} == {"certified"}
