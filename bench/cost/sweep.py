"""Goes through the cells of a sweep: what is missing, small ones first, each in its own process."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...verifier.errors import UsageError
from ...verifier.stark.params import PROFILE_NAMES
from ..hybrid import LONG
from ..machine import describe
from ..process import Limits, Row, run_module
from .cell import EZKL, Cell, key_of
from .measure import NO_EZKL
from .narrator import Narrator
from .store import FORMAT, Store
from .subject import Subject, data_file, float_model

START_S = 2.0
"""Seconds of a process until it measures, and of its Python verifier."""

MUCH = 2.0
"""Estimates are within this factor: what they put beyond it is not begun."""


@dataclass(frozen=True)
class Setting:
    """What all cells of a sweep have in common.

    Attributes:
        small: whether proofs have the small profile of the STARK.
        threads: of everything, 0 for all cores.
        repeat: runs of each timing.
        memory_limit: bytes of a cell; None for no limit.
        time_limit: seconds of a cell; None for no limit.
        machine: what the report calls this machine; empty for the name of its processor.
    """

    small: bool = False
    threads: int = 0
    repeat: int = 3
    memory_limit: int | None = None
    time_limit: float | None = None
    machine: str = ""

    def __post_init__(self) -> None:
        for name, least in (("threads", 0), ("repeat", 1)):
            if getattr(self, name) < least:
                raise UsageError(
                    f"{name} is out of range",
                    expected=f"{least} or more",
                    received=getattr(self, name),
                )
        if self.time_limit is not None and not self.time_limit > 0:
            raise UsageError("the time limit is out of range", expected="more than 0 seconds")
        _ = self.limits

    @property
    def limits(self) -> Limits:
        """Of one process."""
        return Limits(self.memory_limit, self.time_limit)

    @property
    def profile(self) -> str:
        """Of the STARK, by name."""
        return PROFILE_NAMES[int(self.small)]

    def described(self) -> Row:
        """The machine, with its name and the threads that are used of it."""
        machine = describe()
        return {**machine, "name": self.machine or str(machine["cpu"])}

    def named(self) -> dict[str, Any]:
        """What makes another measurement; limits only decide whether there is one."""
        machine = self.described()
        where = [machine[key] for key in ("name", "cpu", "cores", "memory_gb")]
        return {"threads": self.threads, "repeat": self.repeat, "machine": where}

    @property
    def environment(self) -> dict[str, str]:
        """For the libraries of a cell that take no number of threads."""
        if not self.threads:
            return {}
        names = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        return dict.fromkeys(names, str(self.threads))


@dataclass(frozen=True)
class Task:
    """A cell that is to be measured."""

    cell: Cell
    subject: Subject
    key: str
    program: str = ""
    known: Mapping[str, Any] | None = None
    estimate: Mapping[str, Any] | None = None

    @property
    def macs(self) -> int:
        """Of a step; 0 where the model was not compiled."""
        return int((self.known or {}).get("macs", 0))

    def seconds(self, repeat: int) -> float | None:
        """Predicted length of its process, 0 where there will be none; None: nobody knows."""
        found = self.estimate or {}
        if self.cell.mode == EZKL:
            return None
        if "parameters" not in (self.known or {}):
            return 0.0  # it was not compiled
        if "run_s" not in found:
            return None
        runs = repeat + 1 if found["run_s"] < LONG else 1
        proofs = repeat if found["stark_s"] < LONG else 1
        return START_S + runs * float(found["run_s"]) + proofs * float(found["stark_s"])


class Sweep:
    """Measures what is missing of some cells, and keeps every row as soon as it is there.

    Args:
        store: where rows go.
        subjects: the models.
        cells: all that the sweep shall have.
        setting: what they share.
        narrator: what is said meanwhile.
        command: what every row says that it was made by.
        retry: measure again what has failed.
    """

    def __init__(
        self,
        store: Store,
        subjects: Iterable[Subject],
        cells: Sequence[Cell],
        setting: Setting,
        narrator: Narrator,
        command: str = "",
        retry: bool = False,
    ) -> None:
        self._store, self._setting, self._say = store, setting, narrator
        self._command, self._retry, self._machine = command, retry, setting.described()
        self._limits = {"memory": setting.memory_limit, "seconds": setting.time_limit}
        self._subjects = {subject.name: subject for subject in subjects}
        named = setting.named()
        self.tasks = [
            Task(cell, self._subjects[cell.model], self._key(cell, named)) for cell in cells
        ]

    def _key(self, cell: Cell, named: Mapping[str, Any]) -> str:
        return key_of(cell, self._subjects[cell.model], named)

    def missing(self) -> list[Task]:
        """The cells without a row, or whose row is of a stop that would not come now."""
        return [task for task in self.tasks if self._again(self._store.rows.get(task.key))]

    def _again(self, row: Row | None) -> bool:
        """Whether a cell is to be measured though it has this row."""
        if row is None:
            return True
        if row["ended"] == "skipped":
            installed = row["why"] == NO_EZKL and find_spec(EZKL) is not None
            return installed or bool(row["limits"] != self._limits)
        if row["ended"] in ("memory", "time"):
            name = "memory" if row["ended"] == "memory" else "seconds"
            before, now = row["limits"][name], self._limits[name]
            return before is not None and (now is None or now > before)
        return self._retry and row["ended"] == "failed"

    def run(self) -> None:
        """Measure; interrupted, it keeps all rows so far, and the next run goes on.

        Raises:
            UsageError: another process writes to the folder.
        """
        with self._store.held():
            tasks = self.missing()
            self._say.found(len(self.tasks), len(self.tasks) - len(tasks))
            ready = self._prepared(tasks)
            ready.sort(key=lambda task: self._order(task))
            predicted = [task.seconds(self._setting.repeat) for task in ready]
            self._say.predicted(predicted, self._setting.time_limit)
            for number, (task, seconds) in enumerate(zip(ready, predicted, strict=True), 1):
                self._say.begins(number, str(task.cell), seconds)
                row = self._row(task)
                self._store.add(row)
                self._say.ends(row, seconds)
            self._store.clean()

    def _order(self, task: Task) -> tuple[bool, float, int]:
        seconds = task.seconds(self._setting.repeat)
        return task.cell.mode == EZKL, seconds or 0.0, task.macs

    def _prepared(self, tasks: Sequence[Task]) -> list[Task]:
        """Compile what the cells need, once for all of a model and batch."""
        groups: dict[tuple[str, int], list[Task]] = {}
        for task in tasks:
            groups.setdefault((task.cell.model, task.cell.batch), []).append(task)
        ready = []
        for number, ((name, batch), group) in enumerate(groups.items(), start=1):
            ready += self._compiled(self._subjects[name], batch, group, (number, len(groups)))
        return ready

    def _compiled(
        self, subject: Subject, batch: int, group: Sequence[Task], place: tuple[int, int]
    ) -> list[Task]:
        asked = {"subject": subject.to_json(), "batch": batch}
        stem = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
        output = self._store.programs / f"{stem}.zkt"
        notes = output.with_suffix(".json")
        program = output if subject.batch is None else Path(subject.path)
        names = [str(task.cell) for task in group]
        known = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
        if not program.exists() or not set(names) <= set(known.get("estimates", ())):
            self._say.compiles(*place, subject.name, batch)
            found = run_module(
                "zktally.bench.cost.prepare",
                asked | {"output": str(output), "cells": [task.cell for task in group]},
                self._setting.limits,
                environment=self._setting.environment,
                tick=self._say.tick,
            )
            known = dict(found.row)
            if found.ended != "done":
                known["stopped"] = [found.ended, found.why]
            self._say.compiled(known, found.seconds)
            if "estimates" in known:
                notes.write_text(json.dumps(known), encoding="utf-8")
        estimates = known.pop("estimates", {})
        return [
            replace(task, program=str(program), known=known, estimate=estimates.get(name))
            for task, name in zip(group, names, strict=True)
        ]

    def _row(self, task: Task) -> Row:
        """The row of a cell, however it ends."""
        known = dict(task.known or {})
        stopped, refused = known.pop("stopped", None), known.pop("refused", None)
        row: Row = {
            "format": FORMAT,
            "key": task.key,
            **task.cell._asdict(),
            **{"kind": task.subject.kind, "data": task.subject.data},
            **{"threads": self._setting.threads, "repeat": self._setting.repeat},
            "limits": self._limits,
            "machine": self._machine,
            **known,
            "estimate": task.estimate,
            "command": self._command,
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        row["batch"] = row.pop("program_batch", None) or row["batch"]
        ours = task.cell.mode != EZKL  # which takes the ONNX file as it is
        if stopped is not None and ours:
            return row | {"ended": stopped[0], "why": f"compiling: {stopped[1]}"}
        if refused is not None and ours:
            return row | {"ended": "failed", "why": f"compiling: {refused}"}
        if (why := self._skipped(task)) is not None:
            return row | {"ended": "skipped", "why": why}
        return row | self._measured(task)

    def _skipped(self, task: Task) -> str | None:
        """Why a cell is not begun; None where it is."""
        if (task.estimate or {}).get("refused"):
            return None  # its process says so, as a failure
        limit = self._setting.memory_limit
        wanted = (task.estimate or {}).get("peak_mb", 0.0) * 1e6
        if limit is not None and wanted > MUCH * limit:
            return f"estimated at {wanted / 1e9:.3g} GB, beyond the limit of {limit / 1e9:.3g} GB"
        for row in self._store.rows.values():
            if row["ended"] in ("memory", "time") and self._is_beyond(task, row):
                ran_out = "out of memory" if row["ended"] == "memory" else "out of time"
                return f"a smaller one ran {ran_out}: {_cell(row)}"
        return None

    def _is_beyond(self, task: Task, row: Row) -> bool:
        """Whether a cell has more to do than the one of this row, which stopped at these limits."""
        same = row["limits"] == self._limits and row["machine"] == self._machine
        if not same or row["threads"] != self._setting.threads:
            return False
        if task.cell.exceeds(_cell(row)):
            return True
        if task.cell.mode != EZKL or row["mode"] != EZKL or row["model"] == task.cell.model:
            return False
        return bool(row.get("macs")) and task.macs >= row["macs"]  # what its circuits grow with

    def _measured(self, task: Task) -> Row:
        """What the process of the cell says, or why it said nothing."""
        is_peer = task.cell.mode == EZKL
        path = float_model(task.subject, self._store.programs)
        data = data_file(task.subject, self._store.programs)
        asked: Row = {
            "cell": task.cell,
            "subject": replace(task.subject, calibrate=data).to_json(),
            "program": task.program,
            "onnx": None if path is None else str(path),
            "threads": self._setting.threads,
            "repeat": self._setting.repeat,
        }
        limits, work = self._setting.limits, self._store.programs / f"{EZKL}-{task.key}"
        if is_peer:  # it limits a process of its own, which does the work
            asked |= {"memory_limit": limits.memory, "time_limit": limits.seconds}
            asked |= {"work": str(work)}
            work.mkdir(exist_ok=True)
            limits = Limits()
        try:
            found = run_module(
                "zktally.bench.cost.measure",
                asked,
                limits,
                environment=self._setting.environment,
                tick=self._say.tick,
            )
        finally:
            shutil.rmtree(work, ignore_errors=True)
        row = {"ended": found.ended, "why": found.why, **found.row, "cell_s": found.seconds}
        if refused := row.pop("refused", None):
            row |= {"ended": "failed", "why": refused}
        return row


def _cell(row: Row) -> Cell:
    return Cell(*(row[name] for name in Cell._fields))
