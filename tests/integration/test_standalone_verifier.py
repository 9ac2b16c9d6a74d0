"""`pip install ./verifier` gives a verifier that needs nothing but Python and numpy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import zktally
from support.cli import Files
from zktally import verifier

SCRIPT = """
import sys
from zktally_verifier.cli import main
code = main(sys.argv[1:])
loaded = {name.split(".")[0] for name in sys.modules}
foreign = {"zktally", "onnx", "onnxruntime", "torch", "rich"} & loaded
print("foreign modules:", sorted(foreign))
sys.exit(code)
"""

ALONE = """
import builtins, socket, sys

def refuse(*args, **kwargs):
    raise AssertionError("the verifier used the network")

socket.socket = socket.create_connection = socket.getaddrinfo = refuse
sys.path += [{site!r}, {numpy!r}]
before = set(sys.modules)
import zktally_verifier
light = {{"numpy", "zktally_verifier.steps"}} & (set(sys.modules) - before)
assert not light, light
from zktally_verifier import Policy, VerificationFailed, inspect, verify
claimed = inspect({receipt!r})
assert claimed["verified"] is False and claimed["model_id"] == {model!r}
verified = verify({receipt!r}, {model!r}, policy=Policy(max_delta=0.05), inputs={inputs!r})
assert verified.outputs["logits"].shape == (20, 10)
with open({receipt!r}, "rb") as file:
    assert verify(file.read(), bytes.fromhex({model!r})).outputs.keys() == verified.outputs.keys()
try:
    verify({receipt!r}, "00" * 32)
except VerificationFailed as refused:
    assert refused.code == "verify.model-mismatch"
else:
    raise AssertionError("accepted")
loaded = {{name.split(".")[0] for name in sys.modules}}
print(sorted(loaded - set(sys.stdlib_module_names) - {{"__main__"}}))
"""


def alone(
    standalone: Path, *args: str, script: str = SCRIPT, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", script, *args],
        env={"PYTHONPATH": str(standalone), "PATH": ""},
        cwd=standalone,
        capture_output=True,
        text=True,
        timeout=300,
        encoding="utf-8",
    )


def test_it_verifies_and_imports_nothing_else(standalone: Path, files: Files) -> None:
    def verify(model_id: str) -> subprocess.CompletedProcess[str]:
        given = ("--input", str(files.images))
        return alone(standalone, str(files.receipt), "--model-id", model_id, *given)

    good = verify(files.model_id)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("OK ")
    assert "foreign modules: []" in good.stdout
    bad = verify("00" * 32)
    assert bad.returncode == 1
    assert "verify.model-mismatch" in bad.stderr


def test_numpy_is_all_it_finds(standalone: Path, files: Files, tmp_path: Path) -> None:
    """Of site-packages it finds numpy alone, no program, no socket; an import is cheap."""
    import numpy as np

    (tmp_path / "numpy").symlink_to(Path(np.__file__).parent)
    libraries = Path(np.__file__).parents[1] / "numpy.libs"
    if libraries.exists():
        (tmp_path / "numpy.libs").symlink_to(libraries)
    script = ALONE.format(
        site=str(standalone),
        numpy=str(tmp_path),
        receipt=str(files.receipt),
        model=files.model_id,
        inputs=str(files.images),
    )
    done = alone(standalone, script=script, options=("-I", "-S"))  # no folder of packages
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['numpy', 'zktally_verifier']"


def test_the_command_is_installed(standalone: Path, files: Files) -> None:
    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(standalone / "bin" / "zktally-verify"), *args],
            env={"PYTHONPATH": str(standalone)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    shown = call("--help")
    assert shown.returncode == 0, shown.stderr
    assert "--model-id" in shown.stdout
    version = call("--version")
    assert version.returncode == 0
    assert version.stdout == f"zktally-verify {zktally.__version__}\n"
    claimed = call(str(files.receipt), "--inspect")
    assert claimed.returncode == 0, claimed.stderr
    assert claimed.stdout.startswith("UNVERIFIED")
    unnamed = call(str(files.receipt))
    assert unnamed.returncode == 2
    assert "--model-id is missing [usage]" in unnamed.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding(standalone: Path, files: Files, encoding: str) -> None:
    """Windows has pipes of cp1252, which has no δ and no ≤."""
    args = (str(files.receipt), "--model-id", files.model_id)
    done = subprocess.run(
        [sys.executable, "-m", "zktally_verifier.cli", *args],
        env={**os.environ, "PYTHONPATH": str(standalone), "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    sign = "≤" if encoding == "utf-8" else "\\u2264"
    assert f"multiply-accumulates {sign} 5 %" in done.stdout.decode(encoding)


def test_it_is_typed_and_of_one_version(standalone: Path) -> None:
    assert verifier.__version__ == zktally.__version__
    name = f"zktally_verifier-{zktally.__version__}.dist-info"
    assert (standalone / name).is_dir()


def test_it_judges_snark_receipts_where_there_is_a_pairing(standalone: Path) -> None:
    folder = Path(__file__).parents[1] / "snark"
    known = json.loads((folder / "known.json").read_text())["private"]
    arguments = [str(folder / "private.receipt"), "--model-id", known["model_id"]]
    arguments += ["--modes", "snark", "--srs", known["srs"]]
    arguments += ["--audience", "golden", "--nonce", "golden nonce"]
    done = alone(standalone, *arguments)
    if find_spec("py_ecc") is None:
        assert done.returncode == 3
        assert "snark.no-checker" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("OK ")
