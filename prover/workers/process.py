"""Workers that are processes of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from ...verifier.errors import error_for
from ...verifier.receipt import MAX_RECEIPT
from ..work import Job
from .fleet import Worker, WorkerLost
from .frames import PROVEN, read_frame, write_frame
from .serve import NUMBER, PROGRAM, SETTING, SHARE, STATEMENT

SERVE = [sys.executable, "-m", f"{__package__}.serve"]


@dataclass(frozen=True)
class Processes:
    """Processes of this machine; what they get goes through pipes, and never to a file.

    Attributes:
        job: whose segments they prove.
        size: how many work at once.
        threads: of each.
    """

    job: Job
    size: int
    threads: int

    def start(self) -> Worker:
        """A new process.

        Raises:
            WorkerLost: none could be started.
        """
        return _Process(self.job, self.threads)


class _Process:
    """One process; its pipes are used by one thread, and `close` may come from another."""

    def __init__(self, job: Job, threads: int) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._lock, self._closed = threading.Lock(), False
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
        setting = json.dumps({"profile": job.profile, "threads": threads}).encode()
        try:
            for kind, data in (
                (PROGRAM, job.program),
                (STATEMENT, job.journal),
                (SETTING, setting),
            ):
                self._send(kind, data)
        except WorkerLost:
            self.close()
            raise

    def prove(self, segment: int, share: bytes) -> bytes:
        """See `Worker.prove`."""
        self._send(SHARE, segment.to_bytes(NUMBER, "little") + share)
        assert self._process.stdout is not None
        try:
            kind, data = read_frame(self._process.stdout, MAX_RECEIPT)
        except (EOFError, OSError, ValueError) as error:
            raise WorkerLost(self._ending()) from error
        if kind == PROVEN:
            return data
        raise error_for(**json.loads(data))

    def close(self) -> None:
        """See `Worker.close`: what the process does is of no use any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._process.kill()
        self._process.wait()
        # Whoever is reading or writing learns that the process is gone, and lets go.
        for pipe in (self._process.stdout, self._process.stdin, self._said):
            with suppress(OSError):
                assert pipe is not None
                pipe.close()

    def _send(self, kind: bytes, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            write_frame(self._process.stdin, kind, data)
        except (OSError, ValueError) as error:
            raise WorkerLost(self._ending()) from error

    def _ending(self) -> str:
        """How the process ended, and its last words."""
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
        return f"a process ended ({how})" + (f": {words[-1]}" if words else "")
