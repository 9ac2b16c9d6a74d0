"""What runs in a worker process, `python -m zktally.prover.workers.serve`.

It reads its task from stdin, then shares; it writes proofs to stdout, and while it proves the
processor time that it has used. It writes no file, and ends as soon as nobody is there any more,
whatever it is doing.
"""

from __future__ import annotations

import json
import os
import queue
import struct
import sys
import threading
import time
from typing import BinaryIO

from ...verifier.errors import ZktallyError
from ...verifier.receipt import MAX_RECEIPT
from .frames import BEAT, FAILED, PROVEN, read_frame, write_frame
from .task import Prove, Task

PROGRAM, STATEMENT, SETTING, SHARE = b"p", b"s", b"o", b"h"
NUMBER = 4


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Prove the shares that come in, one after the other."""
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, frames), daemon=True).start()
    program, statement, setting = (frames.get() for _ in range(3))
    options = json.loads(setting)
    task, prove = Task(program, statement, options["profile"]), None
    voice = _Voice(target, options["beat"])
    try:
        while True:
            data = frames.get()
            number, share = int.from_bytes(data[:NUMBER], "little"), data[NUMBER:]
            with voice.working:
                kind, said, prove = _answer(task, options["threads"], prove, number, share)
            voice.say(kind, said)
    except BrokenPipeError:
        return


def _answer(
    task: Task, threads: int, prove: Prove | None, number: int, share: bytes
) -> tuple[bytes, bytes, Prove | None]:
    """What is said to a share, and what proves the next one."""
    try:
        prove = prove or task.prover(threads)
        return PROVEN, prove(number, share), prove
    except ZktallyError as error:
        return FAILED, _told(error), prove


class _Voice:
    """What the process says, a message at a time; while it works, also that it does."""

    def __init__(self, target: BinaryIO, every: float) -> None:
        self._target, self._every, self._lock = target, every, threading.Lock()
        self.working = _Flag()
        threading.Thread(target=self._beat, daemon=True).start()

    def say(self, kind: bytes, data: bytes) -> None:
        """Send a message."""
        with self._lock:
            write_frame(self._target, kind, data)

    def _beat(self) -> None:
        try:
            while self.working.wait():
                self.say(BEAT, struct.pack("<d", time.process_time()))
                time.sleep(self._every)
        except (OSError, ValueError):  # nobody listens any more
            return


class _Flag(threading.Event):
    """Set inside of its context."""

    def __enter__(self) -> None:
        self.set()

    def __exit__(self, *_: object) -> None:
        self.clear()


def _listen(source: BinaryIO, frames: queue.SimpleQueue[bytes]) -> None:
    """Take messages in while a segment is proven; with the last one the process ends."""
    try:
        while True:
            frames.put(read_frame(source, MAX_RECEIPT)[1])
    except (EOFError, OSError, ValueError):
        os._exit(0)


def _told(error: ZktallyError) -> bytes:
    fields = {
        "code": error.code,
        "message": error.message,
        "expected": error.expected,
        "received": error.received,
    }
    return json.dumps(fields).encode()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
