"""docs/operators.md is what the operators say of themselves."""

from __future__ import annotations

import make_operators
import pytest

from zktally.circuits.ops import OPERATORS


def test_the_page_is_fresh() -> None:
    assert make_operators.PAGE.read_text(encoding="utf-8") == make_operators.render(), (
        "run `make docs`"
    )


@pytest.mark.parametrize("name", [name for name in OPERATORS if make_operators.versions(name)])
def test_every_operator_stands_on_it_with_its_opsets(name: str) -> None:
    versions = ", ".join(map(str, make_operators.versions(name)))
    assert f"{name} ({versions})" in make_operators.render()


def test_the_versions_are_those_that_opsets_read_have() -> None:
    assert make_operators.versions("Clip") == [6, 11, 12, 13]
    assert make_operators.versions("Relu")[0] == 6
