"""Before long work a person is asked; where there is none, --yes must have been said."""

from __future__ import annotations

import argparse
import io

import pytest

from zktally.cli import agreement, machine
from zktally.cli.agreement import Cost, agree, bounded, together
from zktally.prover.estimate import JobEstimate, RunEstimate, StarkEstimate
from zktally.verifier.errors import UsageError

SHORT = Cost(5.0, 10**9, 10**6, 3, 1.0)
LONG = Cost(4000.0, 10**9, 10**6, 30, 100.0)
LARGE = Cost(5.0, 10**12, 10**6, None)


@pytest.fixture(autouse=True)
def this_machine(monkeypatch):
    monkeypatch.setattr(agreement, "cores", lambda: 2)
    monkeypatch.setattr(agreement, "free_memory", lambda: 8 * 10**9)


def args(**given):
    return argparse.Namespace(**{"yes": False, "quiet": False, **given})


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_short_work_is_only_announced(capsys):
    agree(args(), SHORT)
    assert "3 segments to prove: about 5 s on two cores" in capsys.readouterr().err
    agree(args(quiet=True), SHORT)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("cost", "why"),
    [(LONG, "about 67 min here"), (LARGE, "1000.0 GB of memory where 8.0 GB are free")],
)
def test_without_a_terminal_long_work_needs_a_yes(monkeypatch, cost, why):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match=why) as caught:
        agree(args(), cost)
    assert (caught.value.code, caught.value.exit_code) == ("usage.long", 2)
    assert cost.text() == caught.value.received
    agree(args(yes=True), cost)


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y", True), ("YES", True), ("n", False), ("", False)]
)
def test_on_a_terminal_it_is_asked(monkeypatch, answer, goes_on):
    monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    if goes_on:
        agree(args(), LONG)
    else:
        with pytest.raises(UsageError, match="not begun"):
            agree(args(), LONG)
    assert "go on? [y/N]" in shown.getvalue()


def test_more_cores_take_less_time(monkeypatch):
    monkeypatch.setattr(agreement, "cores", lambda: 64)
    agree(args(quiet=True), LONG)


def job(segments: int | None) -> JobEstimate:
    run = RunEstimate(4, 100, 10, 10**9, 10**5, 2.0, 4 * 10**9)
    if segments is None:
        return JobEstimate(run, None)
    return JobEstimate(run, StarkEstimate(5, segments, 10.0, 2 * 10**9, 10**6))


def test_what_is_done_costs_nothing_any_more():
    assert Cost.of(job(5)) == Cost(12.0, 4 * 10**9, 10**6, 5, 2.0)
    assert Cost.of(job(5), done=3) == Cost(4.0, 2 * 10**9, 10**6, 2, 2.0)
    assert Cost.of(job(None)) == Cost(2.0, 4 * 10**9, 10**5, None)


def test_receipts_of_a_run_are_made_one_after_the_other():
    both = together([job(5), job(3), job(None)])
    assert (both.seconds, both.memory_bytes, both.segments) == (26.0, 4 * 10**9, 8)
    assert both.segment_seconds == pytest.approx(20.0 / 8)


def test_traces_beyond_the_limit_take_no_memory():
    assert bounded(job(None), 10**9).memory_bytes == 4 * 10**9
    assert bounded(job(None), 5 * 10**8).memory_bytes == 4 * 10**9 - 3 * 5 * 10**8


def test_this_machine_has_memory_and_cores(monkeypatch, tmp_path):
    free, total = machine.free_memory(), machine.total_memory()
    assert free is not None
    assert total is not None
    assert 0 < free <= total
    assert machine.cores() >= 1
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 100\n")
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    assert (machine.free_memory(), machine.total_memory()) == (700, 1000)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.total_memory() == total
