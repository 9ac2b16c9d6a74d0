"""What runs the documentation's pages sees a page that does not tell the truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.reader import Page, blocks, commands, unseen


def page(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> Page:
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    return Page(tmp_path / "page.md", capsys)


def test_blocks_and_commands() -> None:
    text = "```sh\nzktally a \\\n    b\nzktally c   # exit 1: no\n```\nx\n```python\ny\n```\n"
    assert [lang for lang, _ in blocks(text)] == ["sh", "python"]
    assert commands(blocks(text)[0][1]) == [("zktally a      b", 0), ("zktally c", 1)]


@pytest.mark.parametrize(
    ("shown", "first_unseen"),
    [
        ("OK … steps\nmodel id …", None),
        ("OK 2 steps", "OK 2 steps"),
        ("model id …\nOK … steps", "OK … steps"),
        ("OK …\nfooled …", "fooled …"),
    ],
)
def test_what_is_shown_has_to_be_said_in_this_order(shown: str, first_unseen: str | None) -> None:
    assert unseen(shown, "OK: 3  steps\nmodel   id 12\n") == first_unseen


def test_a_command_that_fails_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = page(tmp_path, capsys, "```sh\nzktally inspect nothing.receipt\n```\n")
    with pytest.raises(AssertionError, match="ended with"):
        wrong.read()
    page(tmp_path, capsys, "```sh\nzktally inspect nothing.receipt  # exit 2\n```\n").read()


def test_a_command_of_somebody_else_is_not_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError, match="how is"):
        page(tmp_path, capsys, "```sh\nrm -rf x\n```\n").read()


def test_output_that_is_not_said_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page(tmp_path, capsys, "```python\nprint(2)\n```\n\n```text\n2\n```\n").read()
    with pytest.raises(AssertionError, match="shows `3`"):
        page(tmp_path, capsys, "```python\nprint(2)\n```\n\n```text\n3\n```\n").read()
