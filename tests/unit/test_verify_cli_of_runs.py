"""`zktally-verify` on receipts of training runs: chains, policies in files, what is exported."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest

from support.receipts import Prover
from zktally.verifier.cli import main, read_policy
from zktally.verifier.errors import UsageError
from zktally.verifier.journal import model_id
from zktally.verifier.policy import Policy

NONCE = "the verifier's"


@cache
def run() -> tuple[Prover, Prover]:
    first = Prover("learner", steps=2, declared=True, nonce=NONCE.encode()).commit()
    return first, Prover("learner", steps=3, follows=first, nonce=NONCE.encode()).commit()


@pytest.fixture
def receipts(tmp_path: Path) -> list[str]:
    paths = [tmp_path / name for name in ("a.receipt", "b.receipt")]
    for path, part in zip(paths, run(), strict=True):
        path.write_bytes(part.receipt())
    return list(map(str, paths))


def expecting(*more: str, dataset: bool = True) -> list[str]:
    journal = run()[0].journal
    named = ["--dataset-root", journal.dataset_root.hex()] if dataset else []
    return [
        "--model-id", journal.model_id.hex(), "--nonce", NONCE, "--max-delta", "0.5",
        "--min-bits", "90", *named, *more,
    ]  # fmt: skip


def test_one_receipt_says_what_its_run_is(receipts, capsys):
    assert main([receipts[0], *expecting()]) == 0
    shown = capsys.readouterr().out
    assert "run        steps 0 to 1; begins as its program declares, worked out again" in shown
    assert "pinned     by you: the model, the data set, nonce" in shown


def test_receipts_of_a_run_in_their_order(receipts, capsys):
    assert main([*receipts, *expecting()]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("OK steps 0 to 4 in 2 receipts, model ")
    assert shown.count("\nOK ") == 2
    assert main([receipts[1], "--follows", receipts[0], *expecting()]) == 0
    assert capsys.readouterr().out == shown


def test_no_receipt_of_a_run_speaks_for_another_one(tmp_path, capsys):
    """Every value of the last one is checked; the first one leaves half of the work."""
    every = tuple(c for c, op in enumerate(run()[0].program.ops) if not op.exact)
    first = Prover("learner", steps=2, declared=True, nonce=NONCE.encode(), delta_ppm=500_000)
    last = Prover("learner", follows=first.commit(), nonce=NONCE.encode(), exact=every).commit()
    paths = [str(tmp_path / name) for name in ("a.receipt", "b.receipt")]
    for path, part in zip(paths, (first, last), strict=True):
        Path(path).write_bytes(part.receipt())
    assert main([*paths, *expecting("--allow-sampled-outputs")]) == 0
    shown = capsys.readouterr().out
    one, other = shown.split(f'of         "{paths[1]}":')
    assert f'of         "{paths[0]}":' in one
    assert "≤ 50 % of those of all steps:" in one.split("of  ")[1]
    assert "not shown  that every value is right" in one
    assert "shown      every gate of every step was checked" in other


def test_a_run_as_json(receipts, capsys):
    assert main([*receipts, *expecting("--json")]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["format"], shown["verified"]) == ("zktally.verify-run/1", True)
    assert (shown["first"], shown["steps"], len(shown["receipts"])) == (0, 5, 2)
    assert [each["first"] for each in shown["receipts"]] == [0, 2]
    assert [each["start"] for each in shown["receipts"]] == ["declared", "root"]


@pytest.mark.parametrize("order", [[1, 0], [0, 0]])
def test_another_order_is_refused(receipts, capsys, order):
    assert main([*(receipts[at] for at in order), *expecting()]) == 1
    assert "[verify.follows]" in capsys.readouterr().err


def test_a_data_set_has_to_be_named(receipts, capsys):
    assert main([receipts[0], *expecting(dataset=False)]) == 1
    assert "[verify.dataset-mismatch]" in capsys.readouterr().err
    assert main([receipts[0], *expecting("--any-dataset", dataset=False)]) == 0
    assert "by the prover: the inputs, the data set, the number of" in capsys.readouterr().out
    assert main([receipts[0], *expecting("--any-dataset")]) == 2
    assert "a data set is named, and any accepted" in capsys.readouterr().err


POLICY = """
max_delta = 0.5
min_bits = 90
modes = ["fast"]
outputs_exact = true
seed = "nonce"
start = "declared"
max_steps = 5
max_epochs = 3
batch = [2, 8]
programs = ["{program}"]
dataset_root = "{dataset}"

[ranges]
rate = [0.0, 3.0]
"""


def policy_file(tmp_path: Path, *changes: tuple[str, str]) -> str:
    journal = run()[0].journal
    text = POLICY.format(program=journal.program_id.hex(), dataset=journal.dataset_root.hex())
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "policy.toml").write_text(text)
    return str(tmp_path / "policy.toml")


def meaning() -> list[str]:
    return ["--model-id", run()[0].journal.model_id.hex(), "--nonce", NONCE]


def test_a_policy_in_a_file(receipts, tmp_path, capsys):
    assert main([*receipts, *meaning(), "--policy", policy_file(tmp_path)]) == 0
    assert "OK steps 0 to 4" in capsys.readouterr().out


CHANGES = {
    "policy.mode": ('["fast"]', '["strict"]'),
    "policy.bits": ("min_bits = 90", "min_bits = 200"),
    "policy.start": ("", ""),
    "policy.steps": ("max_steps = 5", "max_steps = 4"),
    "policy.epochs": ("max_epochs = 3", "max_epochs = 2"),
    "policy.batch": ("[2, 8]", "[4, 8]"),
    "policy.program": ('programs = ["', 'programs = ["00'),
    "policy.range": ("[0.0, 3.0]", "[0.0, 0.001]"),
    "verify.dataset-mismatch": ('dataset_root = "', 'dataset_root = "00'),
}


@pytest.mark.parametrize("code", CHANGES)
def test_what_a_policy_in_a_file_refuses(receipts, tmp_path, capsys, code):
    change = CHANGES[code]
    if change[1].endswith('"00'):  # another digest of the same length
        journal = run()[0].journal
        of = journal.program_id if "programs" in change[0] else journal.dataset_root
        change = (of.hex(), "00" + of.hex()[2:])
    given = receipts[1:] if code == "policy.start" else receipts
    args = [*given, *meaning(), "--policy", policy_file(tmp_path, change)]
    assert main(args) == 1
    assert f"[{code}]" in capsys.readouterr().err


def test_options_go_before_the_file(receipts, tmp_path, capsys):
    path = policy_file(tmp_path, ("max_steps = 5", "max_steps = 1"))
    assert main([*receipts, *meaning(), "--policy", path]) == 1
    assert "[policy.steps]" in capsys.readouterr().err
    more = ["--max-steps", "5", "--range", "rate=0:2.95", "--batch", "3:3"]
    assert main([*receipts, *meaning(), "--policy", path, *more]) == 0
    assert main([*receipts, *meaning(), "--policy", path, *more, "--range", "rate=0:1e-9"]) == 1
    assert "[policy.range]" in capsys.readouterr().err


WRONG = {
    "no TOML": ("max_delta", "max delta"),
    'a policy has no "max_step"': ("max_steps", "max_step"),
    "max_delta is out of range": ("max_delta = 0.5", "max_delta = 0.7"),
    "batch is no range": ("[2, 8]", "[8, 2]"),
    "range of rate is no range": ("[0.0, 3.0]", "[3.0, 0.0]"),
    "range of rate is no range: inf": ("[0.0, 3.0]", "[0.0, inf]"),
    "seed is unknown": ('"nonce"', '"mine"'),
    "start is unknown": ('"declared"', '"any where"'),
    "max_epochs is out of range": ("max_epochs = 3", "max_epochs = -1"),
    "an id of a program is not hexadecimal": ('programs = ["', 'programs = ["xy'),
    "an id of a program has a wrong length": ('programs = ["', 'programs = ["00'),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_no_policy(receipts, tmp_path, capsys, name):
    path = policy_file(tmp_path, WRONG[name])
    assert main([*receipts, *meaning(), "--policy", path]) == 2
    message = "cannot read a policy" if name == "no TOML" else name.removesuffix(": inf")
    assert message in capsys.readouterr().err


def test_the_policy_of_the_page_of_training(tmp_path):
    page = Path(__file__).parents[2] / "docs/training.md"
    block = re.search(r"```toml\n(# policy.*?)```", page.read_text(), re.DOTALL)
    assert block is not None
    (tmp_path / "policy.toml").write_text(block.group(1))
    policy = Policy(**read_policy(str(tmp_path / "policy.toml")))
    assert (policy.seed, policy.start, policy.batch) == ("nonce", "declared", (16, 64))
    assert policy.ranges == {"learning_rate": (0.01, 0.06)}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot read a policy") as refused:
        read_policy(str(tmp_path / "none.toml"))
    assert refused.value.code == "usage.unreadable"


@pytest.mark.parametrize("text", ["rate", "rate=1", "rate=a:b", "=", "rate=3:1"])
def test_ranges_that_are_none(receipts, capsys, text):
    assert main([receipts[0], *expecting("--range", text)]) == 2
    assert "range" in capsys.readouterr().err


def test_stdin_is_one_receipt(capsys):
    assert main(["-", "-", *expecting()]) == 2
    assert "stdin is one receipt" in capsys.readouterr().err


def test_the_id_of_the_served_model(receipts, capsys):
    last = run()[1].journal
    served = bytes(range(32))
    expected = model_id(served, last.exported_root).hex()
    assert main([*receipts, *expecting("--exported", served.hex())]) == 0
    assert f"exported   model {expected}\n" in capsys.readouterr().out
    assert main([receipts[1], *expecting("--exported", served.hex(), "--json")]) == 0
    assert json.loads(capsys.readouterr().out)["exported_model_id"] == expected
    assert main([receipts[1], *expecting("--exported", "0011")]) == 2
    assert "program_id has a wrong length" in capsys.readouterr().err


def test_a_run_that_exports_nothing_has_no_served_model(tmp_path, capsys):
    plain = Prover("running_average", steps=2).commit()
    (tmp_path / "plain.receipt").write_bytes(plain.receipt())
    args = ["--model-id", plain.journal.model_id.hex(), "--exported", bytes(32).hex()]
    assert main([str(tmp_path / "plain.receipt"), *args]) == 2
    assert "exports no weights" in capsys.readouterr().err
