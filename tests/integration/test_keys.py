"""Keys of private models: a new one each time, unless it is kept; nobody else may read it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from support.cli import Files
from zktally.circuits.keys import OF_WEIGHTS
from zktally.circuits.model import CompiledModel
from zktally.cli import main
from zktally.cli.keys import keep_key, read_key
from zktally.verifier.errors import UsageError


def compiled(files: Files, output: Path, *args: object) -> int:
    command = ["compile", files.onnx, "--calibrate", files.calibration, *args, "-o", output]
    return main([str(word) for word in command])


def test_a_kept_key_gives_the_same_id_again(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "key"
    assert compiled(files, tmp_path / "a.zkt", "--new-key", key) == 0
    assert "keep a key with --new-key" not in capsys.readouterr().err
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert compiled(files, tmp_path / "b.zkt", "--key-file", key) == 0
    raw = tmp_path / "raw"
    raw.write_bytes(bytes.fromhex(key.read_text().split("\n")[0]))
    raw.chmod(0o600)
    assert compiled(files, tmp_path / "c.zkt", "--key-file", raw) == 0
    models = [CompiledModel.load(tmp_path / f"{name}.zkt") for name in "abc"]
    assert len({model.model_id for model in models}) == 1
    assert not any(model.public for model in models)
    assert compiled(files, tmp_path / "d.zkt", "--new-key", key) == 2
    assert "[usage.file-exists]" in capsys.readouterr().err


def test_without_a_key_the_id_is_new_each_time_and_that_is_said(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        assert compiled(files, tmp_path / name) == 0
        said = capsys.readouterr().err
        assert "another compile gives another model id" in said
        assert "--new-key FILE, and pass it with --key-file FILE" in said
    assert (
        CompiledModel.load(tmp_path / "a").model_id != CompiledModel.load(tmp_path / "b").model_id
    )
    assert compiled(files, tmp_path / "c", "--public") == 0
    assert "--new-key" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no key of a model"),
        (b"00" * 31, "holds no key of a model"),
        (b"00" * 32 + b"\nmore", "holds no key of a model"),
        (b"11" * 32 + b"\n# key of a data set\n", 'it says that it is of "a data set"'),
        (b"00" * 32, "the key of a public model"),
        (bytes(32), "the key of a public model"),
    ],
)
def test_files_that_hold_no_key(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, words: str
) -> None:
    (tmp_path / "key").write_bytes(data)
    (tmp_path / "key").chmod(0o600)
    assert compiled(files, tmp_path / "m", "--key-file", tmp_path / "key") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("mode", "allowed"),
    [(0o600, True), (0o640, False), (0o604, False), (0o620, False), (0o602, False)],
)
def test_a_key_that_others_can_read_or_write_is_none(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int, allowed: bool
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"11" * 32)
    key.chmod(mode)
    assert compiled(files, tmp_path / "m", "--key-file", key) == (0 if allowed else 2)
    assert ("chmod 600 it" in capsys.readouterr().err) == (not allowed)


def test_a_key_file_and_the_model_are_two_files(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = tmp_path / "one"
    for more in ((), ("--force",)):
        assert compiled(files, one, "--new-key", one, *more) == 2
        assert "two results would go to" in capsys.readouterr().err
    assert not one.exists()


def test_a_key_of_a_model_is_none_of_a_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_key(str(tmp_path / "key"), b"\x11" * 32, OF_WEIGHTS)
    with pytest.raises(UsageError, match='it says that it is of "a model"'):
        read_key(str(tmp_path / "key"))
    plain = tmp_path / "plain"
    plain.write_bytes(b"11" * 32)
    for mode, warned in ((0o600, False), (0o640, True), (0o620, True), (0o602, True)):
        plain.chmod(mode)
        assert read_key(str(plain)) == b"\x11" * 32
        assert ("is open to others" in capsys.readouterr().err) == warned
