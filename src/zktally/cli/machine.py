"""What this machine has: memory, cores. Only the standard library is asked."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that this process may use.

    As `prover.workers` counts them; `doctor` speaks also where the core cannot be imported.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes that a process can still have, its own limits included; None where nobody tells."""
    known = [found for found in (_free_of_system(), _free_of_group()) if found is not None]
    return min(known, default=None)


def total_memory() -> int | None:
    """Bytes of the machine, or of the group that this process is confined to."""
    known = [found for found in (_total_of_system(), _number("memory.max")) if found is not None]
    return min(known, default=None)


def _free_of_system() -> int | None:
    if sys.platform == "win32":
        return _windows().free
    if (found := _meminfo("MemAvailable")) is not None:
        return found
    return _pages("SC_AVPHYS_PAGES")


def _total_of_system() -> int | None:
    if sys.platform == "win32":
        return _windows().total
    return _pages("SC_PHYS_PAGES")


def _free_of_group() -> int | None:
    """Of a container: its limit less what it cannot give back."""
    limit, used = _number("memory.max"), _number("memory.current")
    if limit is None or used is None:
        return None
    try:
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        used -= int(stat.get("inactive_file", 0))
    except (OSError, ValueError):
        pass
    return max(0, limit - used)


def _number(name: str) -> int | None:
    try:
        return int((CGROUP / name).read_text())
    except (OSError, ValueError):  # "max": there is no limit
        return None


def _meminfo(name: str) -> int | None:
    try:
        for line in MEMINFO.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def _pages(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


if sys.platform == "win32":

    class _Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
        )

    def _windows() -> _Status:
        status = _Status(length=ctypes.sizeof(_Status))
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status
