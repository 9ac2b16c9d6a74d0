"""Runs ezkl, in a process of its own: phase by phase, as a JSON file says, one JSON line for each.

It imports nothing of zktally, so that what it takes of memory is ezkl's. What ezkl prints goes to
stderr. Every file lies in the folder of the job, under the names in `FILES`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

FILES = {
    "model": "model.onnx",
    "calibration": "calibration.json",
    "input": "input.json",
    "settings": "settings.json",
    "circuit": "circuit.ezkl",
    "srs": "kzg.srs",
    "vk": "vk.key",
    "pk": "pk.key",
    "witness": "witness.json",
    "proof": "proof.json",
    "solidity": "verifier.sol",
    "abi": "verifier.abi",
}


async def run(phase: str, job: dict[str, Any]) -> dict[str, Any]:
    """One phase; what is to be known of it."""
    ezkl: Any = import_module("ezkl")  # what it tells of its types leaves its defaults out
    at = FILES
    calls: dict[str, Callable[[], Any]] = {
        "settings": lambda: ezkl.gen_settings(
            at["model"], at["settings"], py_run_args=_arguments(ezkl, job)
        ),
        "calibrate": lambda: ezkl.calibrate_settings(
            at["calibration"], at["model"], at["settings"], job.get("target", "resources")
        ),
        "order": _order,
        "circuit": lambda: ezkl.compile_circuit(at["model"], at["circuit"], at["settings"]),
        "srs": lambda: _srs(ezkl, job.get("strings")),
        "setup": lambda: ezkl.setup(at["circuit"], at["vk"], at["pk"], at["srs"]),
        "witness": lambda: ezkl.gen_witness(
            at["input"], at["circuit"], at["witness"], at["vk"], at["srs"]
        ),
        "prove": lambda: ezkl.prove(at["witness"], at["circuit"], at["pk"], at["proof"], at["srs"]),
        "verify": lambda: _verified(ezkl, at, job),
        "solidity": lambda: _solidity(ezkl, at),
    }
    found: Any = calls[phase]()
    if inspect.isawaitable(found):
        found = await found
    if found is False:
        raise RuntimeError(f"ezkl says no to {phase}")
    return found if phase == "srs" and isinstance(found, dict) else {}


def _arguments(ezkl: Any, job: dict[str, Any]) -> Any:
    given = ezkl.PyRunArgs()
    for name, value in job.get("run_args", {}).items():
        setattr(given, name, tuple(value) if isinstance(value, list) else value)
    return given


def _order() -> None:
    """Lists that ezkl writes in an order drawn anew each time, in one: the key follows from it."""
    path = Path(FILES["settings"])
    settings = json.loads(path.read_text())
    for name in ("required_lookups", "required_range_checks"):
        settings[name].sort(key=lambda each: json.dumps(each, sort_keys=True))
    path.write_text(json.dumps(settings))


def _srs(ezkl: Any, strings: str | None) -> dict[str, Any]:
    """A string of the size that the settings ask for; one that is there stays.

    `strings` is where they are kept, `{rows}` in it for the size.
    """
    rows = json.loads(Path(FILES["settings"]).read_text())["run_args"]["logrows"]
    path = Path(FILES["srs"] if strings is None else strings.format(rows=rows))
    made = not path.exists()
    if made:
        whole = path.with_name(f"{path.name}.{os.getpid()}")
        ezkl.gen_srs(str(whole), rows)
        whole.replace(path)
    if strings is not None:
        Path(FILES["srs"]).symlink_to(path)
    return {"made": made}


def _verified(ezkl: Any, at: dict[str, str], job: dict[str, Any]) -> Any:
    found = ezkl.verify(at["proof"], at["settings"], at["vk"], at["srs"], job.get("reduced", False))
    return found is True  # whatever else it may say in another release is no yes


async def _solidity(ezkl: Any, at: dict[str, str]) -> None:
    """The verifier as Solidity text. ezkl then wants a compiler: that it has none is no failure."""
    try:
        found = ezkl.create_evm_verifier(
            at["vk"], at["settings"], at["solidity"], at["abi"], at["srs"], False
        )
        if inspect.isawaitable(found):
            await found
    except RuntimeError:
        if not Path(at["solidity"]).exists():
            raise


async def main() -> int:
    """Run the phases of the job that the first argument names; 1 if one failed."""
    job = json.loads(Path(sys.argv[1]).read_text())
    os.chdir(job["folder"])
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for phase in job["phases"]:
        started = time.perf_counter()
        try:
            found = await run(phase, job)
        except BaseException as error:  # a panic of Rust is no Exception
            said = {"phase": phase, "failed": f"{type(error).__name__}: {error}"[:2000]}
            print(json.dumps(said), file=lines, flush=True)
            return 1
        seconds = time.perf_counter() - started
        print(json.dumps({"phase": phase, "seconds": seconds, **found}), file=lines, flush=True)
    return 0


async def _end() -> None:
    """Without the interpreter's own end, in which threads of ezkl's are sometimes lost (abort)."""
    code = await main()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    asyncio.run(_end())
