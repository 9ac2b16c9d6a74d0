"""Workers that are processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ...verifier.errors import ZktallyError, error_for
from ...verifier.quoting import quoted
from ..work import SEGMENT_MAX
from .fleet import Worker, WorkerLost
from .frames import BEAT, PROVEN, read_frame, write_frame
from .serve import NUMBER, PROGRAM, SETTING, SHARE, STATEMENT
from .task import Task
from .watch import PATIENCE, Watch

SERVE = [sys.executable, "-P", "-m", f"{__package__}.serve"]
"""Without -P, modules in the folder that a user stands in would go before the library's."""


@dataclass(frozen=True)
class Processes:
    """Processes of this machine; what they get goes through pipes, and never to a file.

    Attributes:
        task: what they prove shares of.
        size: how many work at once.
        threads: of each.
        patience: see `Workers`.
    """

    task: Task
    size: int
    threads: int
    patience: float = PATIENCE

    def start(self) -> Worker:
        """A new process.

        Raises:
            WorkerLost: none could be started.
        """
        return Process(self.task, self.threads, self.patience)


class Process:
    """One process; its pipes are used by one thread, and `end` may come from another."""

    def __init__(self, task: Task, threads: int, patience: float) -> None:
        self._task, self._threads, self._told = task, threads, False
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._watch, self._works, self._hung = Watch(patience), False, False
        try:
            # In a session of its own, Ctrl-C ends its master, and that ends it.
            self._process = subprocess.Popen(
                SERVE,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as error:
            self._said.close()
            raise WorkerLost(f"a process could not be started: {error.strerror or error}") from None
        threading.Thread(target=self._look, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    def prove(self, number: int, share: bytes) -> bytes:
        """See `Worker.prove`."""
        self._watch.begin()
        self._works = True
        if not self._told:
            self._tell()
        self._send(SHARE, number.to_bytes(NUMBER, "little") + share)
        kind, data = self._answer()
        self._works = False
        if kind == PROVEN:
            return data
        raise refusal(data)

    def _answer(self) -> tuple[bytes, bytes]:
        """The first message that is no beat."""
        assert self._process.stdout is not None
        try:
            while (frame := read_frame(self._process.stdout, SEGMENT_MAX))[0] == BEAT:
                self._watch.heard(*struct.unpack("<d", frame[1]))
        except (EOFError, OSError, ValueError, struct.error) as error:
            raise WorkerLost(self._ending()) from error
        return frame

    def _look(self) -> None:
        """End the process once it hangs; whoever waits for it then sees that it has ended."""
        while not self._ended.wait(self._watch.every):
            if self._works and self._watch.hangs():
                self._hung = True
                self.end()

    def end(self) -> None:
        """See `Worker.end`: what the process does is of no use any more."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            if hasattr(os, "killpg"):
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)  # what it started, too
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """See `Worker.close`."""
        self.end()
        for pipe in (self._process.stdout, self._process.stdin, self._said):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()

    def _tell(self) -> None:
        """Hand over what all shares have in common."""
        task = self._task
        setting = {"profile": task.profile, "threads": self._threads, "beat": self._watch.every / 2}
        self._send(PROGRAM, task.program)
        self._send(STATEMENT, task.journal)
        self._send(SETTING, json.dumps(setting).encode())
        self._told = True

    def _send(self, kind: bytes, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            write_frame(self._process.stdin, kind, data)
        except (OSError, ValueError) as error:
            raise WorkerLost(self._ending()) from error

    def _ending(self) -> str:
        """How the process ended, and its last words."""
        if self._hung:
            return f"a process hung and was ended: {self._watch.words()}"
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "a process sent no proof"
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        try:
            self._said.seek(0)
            words = self._said.read()[-2000:].decode(errors="replace").strip().splitlines()
        except ValueError:  # closed
            words = []
        return f"a process ended ({how})" + (f": {quoted(words[-1])}" if words else "")


FIELDS = {"code", "message", "expected", "received"}


def refusal(data: bytes) -> ZktallyError | WorkerLost:
    """What a worker says of a share that it does not prove, with its words between quotes.

    A message that is none of ours makes the worker a lost one.
    """
    try:
        told = json.loads(data)
        if not isinstance(told, dict) or set(told) != FIELDS:
            raise ValueError("not the fields of an error")
        words = {name: None if told[name] is None else quoted(told[name]) for name in FIELDS}
        return error_for(
            str(told["code"]),
            f"a worker says {words['message']}",
            expected=words["expected"],
            received=words["received"],
        )
    except (ValueError, AssertionError, RecursionError):
        return WorkerLost("a worker sent what is no message")
