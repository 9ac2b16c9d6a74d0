"""Progress between two reports, on what it goes by, and who sees it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from zktally import display
from zktally.display import Lines, Pace, showing
from zktally.prover.progress import SEGMENTS, Paced, silent
from zktally.verifier.errors import UsageError


def test_a_pace_goes_by_the_estimate_and_then_by_what_was_measured() -> None:
    pace = Pace()
    pace.report(0, 4, 100.0)
    assert (pace.at(150.0), pace.left(150.0)) == (0, None)
    pace.expect(20.0)
    assert pace.at(110.0) == pytest.approx(0.5)
    assert pace.left(110.0) == pytest.approx(70.0)
    assert pace.at(500.0) == pytest.approx(display.ALMOST)
    pace.report(1, 4, 140.0)  # it has taken 40 seconds
    pace.expect(20.0)
    assert pace.at(150.0) == pytest.approx(1.25)
    assert pace.left(150.0) == pytest.approx(110.0)
    pace.report(4, 4, 260.0)
    assert (pace.at(300.0), pace.left(300.0)) == (4, None)


def test_segments_that_others_have_finished_are_not_measured() -> None:
    pace = Pace()
    pace.report(7, 10, 100.0)
    assert pace.left(110.0) is None
    pace.report(8, 10, 130.0)
    assert pace.left(130.0) == pytest.approx(60.0)


def test_lines_say_how_far_a_segment_is(monkeypatch, capsys) -> None:
    now = [1000.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    shown = Lines()
    assert isinstance(shown, Paced)
    shown(SEGMENTS, 0, 2)
    shown.expect(60.0)
    for _ in range(30):
        now[0] += 1.0
        shown.tick()
    assert capsys.readouterr().err.splitlines() == [
        "prove segments: 0/2",
        "prove segments: 0/2, about 18 % of the next, about 2 min left",
        "prove segments: 0/2, about 36 % of the next, about 2 min left",
    ]
    shown.pause()
    shown(SEGMENTS, 2, 2)
    assert capsys.readouterr().err == ""


def test_a_question_is_not_in_the_way_of_lines(capsys) -> None:
    shown = Lines()
    shown.pause()
    shown("open", 0, 1)
    shown.resume()
    shown("open", 1, 1)
    assert capsys.readouterr().err == "open: 1/1\n"


def called(phase: str, done: int, total: int) -> None: ...


@pytest.mark.parametrize(
    ("asked", "kind"), [(None, silent), (False, silent), (called, called), (True, Lines)]
)
def test_whoever_does_not_look_on_sees_nothing_unasked(asked, kind) -> None:
    with showing(asked) as found:
        assert found is kind or type(found) is kind


def test_notebooks_and_terminals_are_looked_at(monkeypatch) -> None:
    shell = type("ZMQInteractiveShell", (), {})()
    assert not display.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert display.in_notebook()
    shown = []
    handle = SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))

    def first(data, raw, display_id):
        handle.update(data, raw)
        return handle

    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=first))
    with showing(None) as found:
        assert type(found) is display.Cell
        found("open", 0, 1)
        found("open", 1, 1)
    assert shown == ["open: 0/1", "open: 1/1"]
    with showing(False) as found:
        assert found is silent


def test_bars_on_a_terminal(monkeypatch) -> None:
    monkeypatch.setattr(display, "on_terminal", lambda: True)
    with showing(None) as found:
        assert type(found) is display.Bars
        found.expect(10.0)
        found(SEGMENTS, 0, 2)
        found.tick()
        found(SEGMENTS, 1, 2)
        found.pause()
        found.resume()
        found("train, loss 0.5", 1, 1)


def test_a_progress_that_is_no_function_is_refused() -> None:
    with pytest.raises(UsageError, match="progress is no function"), showing("yes"):  # type: ignore[arg-type]
        pass
