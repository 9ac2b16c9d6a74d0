"""What runs in a worker process, `python -m zktally.prover.workers.serve`.

It reads the program, the statement and how to prove from stdin, then shares; it writes proofs to
stdout. It writes no file, and ends as soon as nobody is there any more, whatever it is doing.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from typing import BinaryIO

from ... import _core
from ...verifier.errors import ZktallyError
from ...verifier.receipt import MAX_RECEIPT
from .frames import FAILED, PROVEN, read_frame, write_frame

PROGRAM, STATEMENT, SETTING, SHARE = b"p", b"s", b"o", b"h"
NUMBER = 4


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Prove the shares that come in, one after the other."""
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, frames), daemon=True).start()
    program, statement, setting = (frames.get() for _ in range(3))
    options = json.loads(setting)
    prover: _core.SegmentProver | None = None
    try:
        while True:
            data = frames.get()
            segment, share = int.from_bytes(data[:NUMBER], "little"), data[NUMBER:]
            try:
                prover = prover or _core.SegmentProver(
                    program, statement, options["profile"], options["threads"]
                )
                write_frame(target, PROVEN, prover.prove(segment, share))
            except ZktallyError as error:
                write_frame(target, FAILED, _told(error))
    except BrokenPipeError:
        return


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
