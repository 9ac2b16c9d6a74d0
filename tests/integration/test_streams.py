"""Stdout, pipes, devices and full disks; completion and doctor as a user calls them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from support.cli import Files, Zktally
from zktally.cli import main
from zktally.cli.main import VERBS

HERE = [sys.executable, "-m", "zktally"]


def shell(command: str, **words: object) -> subprocess.CompletedProcess[str]:
    """A line of bash, `zktally` standing for this one."""
    start = f'set -o pipefail; zktally() {{ {" ".join(HERE)} "$@"; }}; '
    line = start + command.format(**words)
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("output", ["-", "/dev/stdout", "/dev/fd/1"])
def test_a_receipt_goes_through_a_pipe(files: Files, output: str) -> None:
    done = shell(
        "zktally prove {model} --input {images} --mode fast -q -o {output} "
        "| zktally verify - --model-id {model_id}",
        output=output,
        **vars(files),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('OK "-"')


def test_a_model_goes_through_a_pipe(files: Files, tmp_path: Path) -> None:
    done = shell(
        "zktally compile {onnx} --calibrate {calibration} --batch 8 --public -o - > {new}",
        new=tmp_path / "m.zkt",
        **vars(files),
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.zkt").read_bytes() == files.model.read_bytes()
    assert f"model id   {files.model_id}" in done.stderr


def test_a_receipt_goes_into_a_named_pipe(files: Files, zktally: Zktally, tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    done = zktally(
        "prove", files.model, "--input", files.images, "--mode", "fast", "-o", pipe, "--force"
    )
    reader.join(timeout=60)
    assert done.code == 0, done.err
    (tmp_path / "receipt").write_bytes(read[0])
    assert zktally("verify", tmp_path / "receipt", "--model-id", files.model_id).code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    "command",
    [
        "inspect {receipt} > /dev/full",
        "inspect {receipt} --json > /dev/full",
        "verify {receipt} --model-id {model_id} > /dev/full",
        "completion bash > /dev/full",
    ],
)
def test_a_full_disk_behind_stdout(files: Files, command: str) -> None:
    done = shell(f"zktally {command}", **vars(files))
    assert done.returncode == 2, done.stderr
    assert "internal" not in done.stderr
    assert "Traceback" not in done.stderr
    if "--json" not in command:
        assert "No space left on device [usage.unwritable]" in done.stderr


def test_a_closed_pipe_is_quiet_and_no_success(files: Files) -> None:
    done = shell("zktally completion bash | true; echo ${{PIPESTATUS[0]}}")
    assert done.stdout in ("141\n", "0\n")  # 0 where all went into the pipe before it was closed
    done = shell(
        "(sleep 1; exec {python} -m zktally inspect {receipt}) | true; echo ${{PIPESTATUS[0]}}",
        python=sys.executable,
        **vars(files),
    )
    assert (done.stdout, done.stderr) == ("141\n", "")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "tcsh"])
def test_completion_knows_every_verb(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", name]) == 0
    script = capsys.readouterr().out
    for verb in VERBS:
        assert verb in script
    assert "input-visibility" in script


def test_bash_takes_the_script_and_completes(tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(shell("zktally completion bash").stdout)
    asked = (
        "source {script}; COMP_WORDS=(zktally comp); COMP_CWORD=1; "
        "_shtab_zktally; echo ${{COMPREPLY[@]}}"
    )
    done = shell(asked, script=script)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"compile", "completion", "compress"}


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    for word in ("versions", "numpy", "lanes", "AVX", "cores", "free", "extras", "self-test"):
        assert word in said
    assert said.endswith("all is well\n")
    monkeypatch.setattr("zktally.cli.doctor.LEAST_DISK", 1 << 60)
    assert main(["doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["disk"]["ok"], found["self-test"]["ok"]) == (False, False, True)


def test_doctor_says_what_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the core is not there")

    monkeypatch.setattr("zktally.api.prove", broken)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "BAD self-test RuntimeError: the core is not there" in said
    assert "something is wrong" in said
