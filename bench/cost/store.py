"""The folder of a sweep: rows as they come, compiled models for as long as they are needed."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...verifier.errors import UsageError
from ...verifier.quoting import quoted_path
from ..process import Row

FORMAT = "zktally.bench.cost/1"
ROWS = "cells.jsonl"
PROGRAMS = "programs"
OWNER_ONLY = 0o700


class Store:
    """The rows of a folder, the last one of each key.

    cells.jsonl   one JSON object a line, each written and flushed when its cell has ended
    programs/     compiled models and what is known of them, while a sweep is under way: they hold
                  weights, so the folder is for its owner only

    Args:
        folder: a new or empty one, or one that a sweep has written.

    Raises:
        UsageError: `usage.file-exists`, it holds other things; `usage.unwritable`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._rows_file = self.folder / ROWS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._rows_file.exists():
                self._refuse_others()
                self._rows_file.touch()
            with self._rows_file.open("r+b"):
                pass
        except OSError as error:
            raise UsageError(
                f"cannot write in {quoted_path(folder)}: {error.strerror or error}",
                code="usage.unwritable",
            ) from error
        self.rows = {row["key"]: row for row in read_rows(self.folder)}

    def _refuse_others(self) -> None:
        if any(self.folder.iterdir()):
            raise UsageError(
                f"{quoted_path(self.folder)} holds other things than a sweep",
                code="usage.file-exists",
                hint="choose a new folder, or the one of a sweep to go on with it",
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """While no other process may write here; what an interrupted one left half is cut off.

        Raises:
            UsageError: another process does.
        """
        with self._rows_file.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"another sweep writes to {quoted_path(self.folder)}",
                    hint="wait for it, or choose another folder",
                ) from None
            whole = file.read()
            file.truncate(whole.rfind(b"\n") + 1)
            yield

    def add(self, row: Row) -> None:
        """Keep a row: it is on the disk before this returns."""
        self.rows[row["key"]] = row
        with self._rows_file.open("a", encoding="utf-8") as file:
            print(json.dumps(row, sort_keys=True), file=file, flush=True)

    @property
    def programs(self) -> Path:
        """The folder of compiled models."""
        path = self.folder / PROGRAMS
        path.mkdir(mode=OWNER_ONLY, exist_ok=True)
        return path

    def clean(self) -> None:
        """Remove the compiled models: nothing is left to measure of them."""
        shutil.rmtree(self.folder / PROGRAMS, ignore_errors=True)


def read_rows(folder: str | Path) -> list[Row]:
    """The rows of a folder; a last line that an interrupted process has not finished is none.

    Raises:
        UsageError: `usage.unreadable`, there are none, or they are of something else.
    """
    path = Path(folder) / ROWS
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        rows = [json.loads(line) for line in lines]
        if not all(isinstance(row, dict) and row.get("format") == FORMAT for row in rows):
            raise ValueError(f"a line is not of the format {FORMAT}")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{quoted_path(path)} cannot be read as the rows of a sweep",
            code="usage.unreadable",
            expected="what zktally bench cost writes",
            received=error,
        ) from error
    return rows
