"""What a script sees of every error: 1 judged and refused, 2 for the caller to mend, 3 the rest."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import make_errors

from zktally import errors
from zktally.verifier import cli as verifier_line

command_line = import_module("zktally.cli.main")  # `main` of the package is the function
ROOT = Path(__file__).parents[2]
CLASSES = [cls for room in make_errors.ROOMS.values() for cls in make_errors.classes(room)]
CODES = [code for cls in CLASSES for code in cls.codes]
JUDGED = {"compile.inaccurate"}
MENDED = {
    "usage", "usage.input", "usage.file-exists", "usage.unreadable", "usage.unwritable",
    "usage.busy", "usage.long", "compile.calibration", "compile.dynamic-shape",
    "prove.needs-reveal", "prove.too-large", "usage.no-cluster",
}  # fmt: skip
UNJUDGED = {
    "program.malformed", "program.invalid", "receipt.too-large", "receipt.bad-magic",
    "receipt.truncated", "receipt.trailing-bytes", "receipt.non-canonical",
    "receipt.unsupported-version", "receipt.unsupported-mode", "verify.too-large",
    "hybrid.unsupported", "model.malformed", "state.malformed", "compile.bad-model",
    "compile.bad-state", "compile.not-finite", "compile.mixes-items", "compile.not-trainable",
    "compile.unsupported-op", "compile.range-overflow", "prove.witness", "prove.randomness",
    "prove.retry", "prove.workers-lost", "snark.no-checker", "snark.unavailable", "snark.model",
    "snark.ezkl", "shown.malformed", "outputs.malformed",
}  # fmt: skip


def expected(code: str) -> int:
    """By the table; verdicts are known by what they are about."""
    if code in MENDED:
        return 2
    if code in UNJUDGED:
        return 3
    kinds = ("verify", "policy", "check", "security", "shown")
    assert code in JUDGED or code.split(".")[0] in kinds, code
    return 1


def test_every_code_has_the_exit_code_of_the_table() -> None:
    found = {code: errors.error_for(code, "said").exit_code for code in CODES}
    assert found == {code: expected(code) for code in CODES}
    assert found.keys() >= JUDGED | MENDED | UNJUDGED


def test_the_pages_name_the_exit_codes_that_there_are() -> None:
    numbers = {0, 1, 2, 3, command_line.INTERNAL, command_line.INTERRUPTED, command_line.UNREAD}
    assert numbers == {0, 1, 2, 3, 70, 130, 141}
    readme = re.search(r"Exit codes: (.*?)\n\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert readme is not None
    assert {int(number) for number in re.findall(r"\b\d+\b", readme[1])} == numbers
    page = make_errors.PAGE.read_text()
    assert {int(number) for number in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == numbers
    assert verifier_line.UNREAD == command_line.UNREAD
