"""The bench of the parts of a verdict: its places exist, and its clock counts each second once."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import chain, count

import pytest

from zktally.bench import verdict_parts
from zktally.bench.verdict_parts import PARTS, REST, Clock, table
from zktally.verifier.hybrid import verify
from zktally.verifier.recursion.template import Template


def test_every_place_is_one_that_is_called():
    clock, kept = Clock(), (verify.derive, vars(Template)["of"])
    with ExitStack() as stack:
        for part, places in PARTS.items():
            for place in places:
                stack.enter_context(verdict_parts._watched(clock, part, place))
        assert verify.derive is not kept[0]
        assert isinstance(vars(Template)["of"], classmethod)
    assert (verify.derive, vars(Template)["of"]) == kept
    assert len(set(chain.from_iterable(PARTS.values()))) == sum(map(len, PARTS.values()))


def test_what_is_inside_a_part_is_not_counted_twice(monkeypatch):
    ticks = count()
    monkeypatch.setattr(verdict_parts.time, "process_time", lambda: float(next(ticks)))
    clock = Clock()
    inner = clock.timed("trees", lambda: 5)
    outer = clock.timed("queries", lambda: inner() + 1)
    assert outer() == 6
    clock.turn()
    assert clock.seconds == {REST: 2.0, "queries": 2.0, "trees": 1.0}


def test_a_refusal_ends_its_part():
    clock = Clock()

    def refuse():
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        clock.timed("trees", refuse)()
    assert clock._open == [REST]


def test_the_table_leaves_out_what_took_no_time():
    first, least = (dict.fromkeys((*PARTS, REST), 0.0) | {"plan": s} for s in (0.25, 0.125))
    lines = table(first, least, 0.5).splitlines()
    assert [line.split()[0] for line in lines] == ["part", "import", "plan", "together"]
    assert lines[-1].split() == ["together", "250.0", "125.0"]
