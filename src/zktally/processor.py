"""What the core was compiled for, and whether this processor has it; asked before the core runs.

Vector instructions that a processor lacks end a process with "illegal instruction". So the names of
those that a build may use stand in a symbol of the core (rust/py/src/needs.rs), which is read here
without running anything of it. Only the standard library is needed.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

SYMBOL, LENGTH = "ZKTALLY_NEEDS", 256
CPUINFO = Path("/proc/cpuinfo")
_OTHER_NAMES = {"abm": "lzcnt", "fma3": "fma", "bmi": "bmi1"}


def core() -> Path | None:
    """The file of the core; None where it is not built."""
    folder = Path(__file__).parent
    files = (folder / f"_core{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((file for file in files if file.exists()), None)


def needs(file: Path) -> tuple[str, ...]:
    """The features that a core may use, as Rust names them; none of a core that does not say."""
    try:
        library = ctypes.CDLL(str(file))
        text = (ctypes.c_char * LENGTH).in_dll(library, SYMBOL).value
    except (OSError, ValueError):
        return ()
    return tuple(text.decode("ascii").split())


@cache
def features() -> Mapping[str, bool]:
    """Which features this processor has, by plain names; what is not there is not known."""
    if sys.platform == "linux":
        return _of_linux()
    # numpy asks the processor itself, on every system; it is imported only where it is needed.
    try:
        found = import_module("numpy._core._multiarray_umath").__cpu_features__
    except (ImportError, AttributeError):
        return {}
    return {_plain(name): bool(value) for name, value in found.items()}


def missing(file: Path) -> list[str]:
    """What a core may use, and this processor does not have."""
    has = features()
    return [name for name in needs(file) if has.get(_plain(name)) is False]


def check() -> None:
    """See that the core can run here.

    Raises:
        ImportError: it cannot.
    """
    file = core()
    lacks = [] if file is None else missing(file)
    if lacks:
        raise ImportError(
            f"this build of zktally is for processors with {', '.join(lacks)}, and this one has "
            "none: install a wheel for it, or build one here (docs/install.md). The package "
            "zktally-verifier verifies receipts on every processor."
        )


def _of_linux() -> Mapping[str, bool]:
    """The flags of the first processor; those that are not there are not had."""
    try:
        with CPUINFO.open(encoding="ascii", errors="replace") as file:
            line = next(line for line in file if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return {}
    return _Had({_plain(name): True for name in line.partition(":")[2].split()})


class _Had(dict[str, bool]):
    """Features of a complete list: one that is not in it is not had."""

    def get(self, name: str, default: bool | None = None) -> bool:  # type: ignore[override]
        return name in self


def _plain(name: str) -> str:
    """A feature's name, the same from Rust, Linux and numpy."""
    plain = name.lower().replace("_", "").replace(".", "")
    return _OTHER_NAMES.get(plain, plain)
