"""Pages and figures of docs/ that `make docs` writes are what the code says now."""

from __future__ import annotations

import argparse

import make_choosing
import make_cli
import make_decisions
import make_diagrams
import pytest

from zktally.cli.main import VERBS
from zktally.prover import Claims
from zktally.verifier.sampling import make_plan

STALE = "run `make docs`"


@pytest.mark.parametrize(
    "page", [make_choosing, make_cli, make_decisions], ids=lambda page: page.__name__
)
def test_the_page_is_fresh(page) -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), STALE


@pytest.mark.parametrize("name", make_diagrams.FIGURES)
def test_the_figure_is_fresh(name: str) -> None:
    path = make_diagrams.FOLDER / f"{name}.svg"
    assert path.read_text(encoding="utf-8") == make_diagrams.FIGURES[name](), STALE


def test_every_verb_stands_on_the_page_with_its_options() -> None:
    page = make_cli.render()
    assert all(f"\n## zktally {verb}" in page for verb in VERBS)
    assert "\n## zktally-verify\n" in page
    assert "* `--input-visibility {private,checkable,public}`: " in page


def test_options_are_written_as_they_are_typed() -> None:
    parser = argparse.ArgumentParser(prog="x")
    parser.add_argument("-n", "--number", metavar="N", help="of %(prog)s (default: %(default)s)")
    parser.add_argument("--hidden", help=argparse.SUPPRESS)
    parser.add_argument("file", nargs="+", help="to read <raw>")
    section = make_cli._section(parser)
    assert "* `-n N`, `--number N`: of x (default: None)" in section
    assert "--hidden" not in section
    assert "&lt;raw>" in section
    assert "\nx file [option ...]\n" in section


def test_what_is_missed_is_what_plans_miss() -> None:
    """One wrong gate of an op: how often plans of many seeds pass it by, beside the formula."""
    counts = Claims("hybrid", delta=0.5, delta_op=None, bits=4).counts(
        make_choosing.digits().checked, make_choosing.BATCH
    )
    op, trials = 0, 400
    assert not counts.enumerated[op]
    expected = 2 ** make_choosing.missed_in_op(counts, op, wrong=300)
    passed = 0
    for trial in range(trials):
        drawn = make_plan(counts, trial.to_bytes(32, "little")).sampled[op]
        passed += not (drawn < 300).any()
    spread = (expected * (1 - expected) / trials) ** 0.5
    assert abs(passed / trials - expected) < 5 * spread
    assert 0.05 < expected < 0.95
