"""Every code has a text, is raised somewhere and tested somewhere; docs/errors.md is up to date."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import make_errors
import pytest

import zktally
from zktally import errors
from zktally.cli.main import parser
from zktally.verifier.errors import ZktallyError

ROOT = Path(__file__).parents[2]
CLASSES = [cls for room in make_errors.ROOMS.values() for cls in make_errors.classes(room)]
CODES = [(code, cls) for cls in CLASSES for code in cls.codes]


def python(*folders: str) -> str:
    files = (file for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))
    return "\n".join(file.read_text() for file in files if file.name != "errors.py")


def rust() -> tuple[str, str]:
    """What the crates do, and their tests."""
    does, tests = [], []
    for file in sorted((ROOT / "rust").rglob("*.rs")):
        if "tests" in file.with_suffix("").parts:
            tests.append(file.read_text())
        else:
            text, _, of_tests = file.read_text().partition("\nmod tests {")
            does.append(text)
            tests.append(of_tests)
    return "\n".join(does), "\n".join(tests)


RUST, RUST_TESTS = rust()
SOURCES = python("circuits", "hybrid", "prover", "src", "verifier") + RUST
TESTS = python("tests") + RUST_TESTS


def test_the_page_is_up_to_date():
    assert make_errors.PAGE.read_text(encoding="utf-8") == make_errors.render(), "run `make docs`"


@pytest.mark.parametrize(("code", "cls"), CODES, ids=[code for code, _ in CODES])
def test_a_code_has_a_text_is_raised_and_is_tested(code, cls):
    meaning, remedy = cls.codes[code]
    assert meaning.endswith(".")
    assert remedy.endswith(".")
    for text in (code, meaning, remedy):
        assert text in cls.__doc__
    is_default = code == next(iter(cls.codes)) and re.search(rf"\b{cls.__name__}\(", SOURCES)
    assert f'"{code}"' in SOURCES or is_default, "raised nowhere"
    assert f'"{code}"' in TESTS, "tested nowhere"


def test_a_code_has_one_class():
    assert len(CODES) == len(dict(CODES))
    for code, cls in CODES:
        error = errors.error_for(code, "said", expected=1, received=2, hint="so")
        assert type(error) is cls
        assert error.to_json() == {
            "error": cls.__name__,
            "code": code,
            "message": "said",
            "expected": "1",
            "received": "2",
            "hint": "so",
        }


def test_the_core_raises_no_other_codes():
    kinds = "|".join({code.split(".")[0] for code, _ in CODES})
    assert set(re.findall(rf'"((?:{kinds})\.[a-z-]+)"', RUST)) <= dict(CODES).keys()


def test_an_unknown_code_keeps_its_message():
    with pytest.raises(AssertionError, match=r"no\.such-code.*what happened"):
        errors.error_for("no.such-code", "what happened")


def test_a_class_raises_its_own_codes_only():
    with pytest.raises(AssertionError, match=r"no\.such-code"):
        errors.UsageError("said", code="no.such-code")


def test_all_classes_can_be_caught_from_one_place():
    assert {cls.__name__ for cls in CLASSES} | {"error_for"} == set(errors.__all__)
    assert zktally.ZktallyError is ZktallyError is errors.ZktallyError


def test_remedies_name_options_that_there_are():
    text = " ".join(remedy for code, cls in CODES for remedy in cls.codes[code])
    named = set(re.findall(r"--[a-z][a-z0-9-]*", text))
    assert named
    assert named <= set(options(parser()))


def options(command):
    """Every option of a command and of the verbs below it."""
    for action in command._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from options(verb)
