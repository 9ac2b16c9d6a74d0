"""No arrow between rooms goes back, and the page that draws them is fresh."""

from __future__ import annotations

from graphlib import CycleError

import make_rooms
import pytest


def test_the_page_is_fresh() -> None:
    assert make_rooms.PAGE.read_text(encoding="utf-8") == make_rooms.render(), "run `make docs`"


def test_no_python_module_imports_what_imports_it() -> None:
    arrows = make_rooms.python_arrows()
    assert len(make_rooms.ordered(arrows)) == len(arrows) > 100


def test_the_rooms_of_the_core_stand_in_order() -> None:
    order = make_rooms.ordered(make_rooms.rust_rooms())
    assert order.index("fast") < order.index("hybrid") < order.index("verify")


def test_the_verifier_uses_nothing_but_itself() -> None:
    assert make_rooms.python_rooms(make_rooms.python_arrows())["verifier"] == set()


def test_an_arrow_that_goes_back_is_found() -> None:
    arrows = make_rooms.rust_rooms()
    arrows["fast"].add("hybrid")
    with pytest.raises(CycleError):
        make_rooms.ordered(arrows)
