"""The machine that figures were measured on."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import resource
from pathlib import Path

from ..prover.workers.options import cores


def describe() -> dict[str, object]:
    """Processor, cores, memory, versions: what a figure needs beside it."""
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def peak_memory(pid: int | None = None) -> int:
    """Largest resident size of a process so far, this one without a number, in bytes.

    Of its program alone, where the system tells (Linux): what `getrusage` says begins with the
    size of the process that started it. Elsewhere 0 of another process.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid or 'self'}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0 if pid else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Let the largest resident size begin anew, where the system can (Linux).

    What was freed goes back to the system first (glibc): it is no part of what comes.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    vectors = "avx512" if any("avx512f" in line for line in lines) else "no avx512"
    return f"{names[0] if names else platform.processor()}, {vectors}"
