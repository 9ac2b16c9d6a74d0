"""`pip install ./verifier` gives a verifier that needs nothing but Python and numpy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from support.cli import Files

VERIFIER = Path(__file__).parents[2] / "verifier"
SCRIPT = """
import sys
from zktally_verifier.cli import main
code = main(sys.argv[1:])
loaded = {name.split(".")[0] for name in sys.modules}
foreign = {"zktally", "onnx", "onnxruntime", "torch", "rich"} & loaded
print("foreign modules:", sorted(foreign))
sys.exit(code)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("standalone")
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    source = shutil.copytree(VERIFIER, folder / "verifier", ignore=ignored)
    target = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return target


def test_it_verifies_and_imports_nothing_else(installed: Path, files: Files) -> None:
    def verify(model_id: str) -> subprocess.CompletedProcess[str]:
        arguments = [str(files.receipt), "--model-id", model_id, "--input", str(files.images)]
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            env={"PYTHONPATH": str(installed)},
            cwd=installed,
            capture_output=True,
            text=True,
            timeout=300,
        )

    good = verify(files.model_id)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith("OK ")
    assert "foreign modules: []" in good.stdout
    bad = verify("00" * 32)
    assert bad.returncode == 1
    assert "verify.model-mismatch" in bad.stderr


def test_the_command_is_installed(installed: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(installed / "bin" / "zktally-verify"), "--help"],
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "--model-id" in done.stdout


def test_it_judges_snark_receipts_where_there_is_a_pairing(installed: Path) -> None:
    folder = Path(__file__).parents[1] / "snark"
    known = json.loads((folder / "known.json").read_text())["private"]
    arguments = [str(folder / "private.receipt"), "--model-id", known["model_id"]]
    arguments += ["--modes", "snark", "--srs", known["srs"]]
    arguments += ["--audience", "golden", "--nonce", "golden nonce"]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={"PYTHONPATH": str(installed)},
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if find_spec("py_ecc") is None:
        assert done.returncode == 3
        assert "snark.no-checker" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("OK ")
    assert "foreign modules: []" in done.stdout
