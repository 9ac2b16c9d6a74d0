"""How long a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result of a call and its seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def cpu_seconds() -> float:
    """What all threads of this process have computed so far: what other work leaves alone."""
    return time.process_time()
