"""Whoever verifies, inspects or proves does not wait for what only a compiler needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.cli import Files

HEAVY = {"google", "matplotlib", "onnx", "onnxruntime", "rich", "scipy", "sklearn", "torch"}
"""What takes longer to import than to verify a small receipt."""

SCRIPT = """
import sys
from zktally.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("\\nexit", code, *sorted({name.split(".")[0] for name in sys.modules}))
"""

COMMANDS = {
    "version": "--version",
    "verify": "verify {receipt} --model-id {model_id} --input {images}",
    "verify in Python": "verify {receipt} --model-id {model_id} --backend python",
    "report": "report {receipt} --model-id {model_id} -o {folder}/start.html --force",
    "outputs": "verify {receipt} --model-id {model_id} --outputs {folder}/start.npz --force",
    "inspect a receipt": "inspect {receipt}",
    "inspect a model": "inspect {model}",
    "prove": "prove {model} --input {images} --mode fast -q -o {folder}/start.receipt",
}


def imported(command: str) -> set[str]:
    """The packages that a process has imported once it has run a command and was content."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command.split()],
        capture_output=True,
        text=True,
        timeout=300,
    )
    word, code, *names = done.stdout.splitlines()[-1].split()
    assert (word, code) == ("exit", "0"), done.stderr
    return {*names}


@pytest.mark.parametrize("name", COMMANDS)
def test_it_imports_no_compiler(name: str, files: Files) -> None:
    found = imported(COMMANDS[name].format(**vars(files)))
    assert "zktally" in found
    assert not found & HEAVY


def test_a_compiler_is_seen_by_this(files: Files, tmp_path: Path) -> None:
    """The list above would tell: compiling imports some of it."""
    assert {"onnx", "onnxruntime"} <= imported(
        f"compile {files.onnx} --calibrate {files.calibration} -q -o {tmp_path}/start.zkt"
    )
