"""zktally doctor: what is installed, what this machine has, and whether a receipt can be made."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from .. import __version__, processor
from ..verifier.cli import printable
from .console import size
from .machine import cores, free_memory, total_memory

FORMAT = "zktally.doctor/1"
NEEDED = ("numpy", "onnx", "onnxruntime", "rich", "shtab")
EXTRAS = {
    "demo": ("scikit-learn",),
    "train": ("torch", "onnxscript", "scikit-learn"),
    "peers": ("ezkl",),
    "scale": ("ray",),
    "plots": ("matplotlib",),
}
LEAST_MEMORY, LEAST_DISK = 1 << 30, 1 << 30
"""Bytes below which even small models come to an end."""


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        name: what was looked at.
        ok: whether it is as it must be; None where it is only told.
        said: in words.
        facts: the same for programs.
    """

    name: str
    ok: bool | None
    said: str
    facts: Any


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "doctor",
        help="say what is installed, what this machine has, and whether a receipt can be made",
        description="Look at versions, processor, memory, disk and extras, then prove and verify a "
        "small program with both verifiers. Exit code 0 where all is well, else 1.",
    )
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=run, format=FORMAT)


def run(args: argparse.Namespace) -> int:
    """Look, and print what was found."""
    looks: tuple[Callable[[], Finding], ...] = (
        versions, packages, core, vectors, machine, disk, extras, self_test
    )  # fmt: skip
    findings = [_looked(look) for look in looks]
    well = all(finding.ok is not False for finding in findings)
    if args.json:
        facts = {found.name: {"ok": found.ok, **_facts(found.facts)} for found in findings}
        print(json.dumps({"format": FORMAT, "ok": well, **facts}, sort_keys=True))
    else:
        for found in findings:
            mark = {True: "ok", False: "BAD", None: "--"}[found.ok]
            print(printable(f"{mark:4}{found.name:10}{found.said}"))
        print("all is well" if well else "something is wrong: see BAD above")
    return 0 if well else 1


def versions() -> Finding:
    """Of this package and of Python."""
    python = platform.python_version()
    facts = {"zktally": __version__, "python": python, "system": platform.platform()}
    return Finding(
        "versions", None, f"zktally {__version__}, Python {python}, {platform.platform()}", facts
    )


def packages() -> Finding:
    """What zktally cannot do without."""
    found = {name: _version(name) for name in NEEDED}
    missing = [name for name, version in found.items() if version is None]
    said = ", ".join(f"{name} {version or 'MISSING'}" for name, version in found.items())
    return Finding("packages", not missing, said, found)


def core() -> Finding:
    """The Rust core, and whether it is of this release."""
    from .. import _core

    info = dict(_core.build_info())
    ok = info["version"] == __version__
    said = (
        f"{info['version']} for {info['target']}, {info['lanes']} lanes, {info['threads']} threads"
    )
    return Finding("core", ok, said + ("" if ok else f", but zktally is {__version__}"), info)


def vectors() -> Finding:
    """What the processor has of vector instructions, and what the core was built for."""
    file = processor.core()
    needs = processor.needs(file) if file is not None else ()
    lacks = processor.missing(file) if file is not None else []
    has = [name for name in ("avx2", "avx512f", "avx512vnni", "asimd", "sve") if _has(name)]
    unused = "avx512f" in has and "avx512f" not in needs
    hint = "; a build for this machine would be faster (docs/install.md)" if unused else ""
    built = "AVX-512" if "avx512f" in needs else "AVX2" if "avx2" in needs else "the baseline"
    said = f"processor has {', '.join(has) or 'no known ones'}; core is built for {built}{hint}"
    facts = {"has": has, "core_needs": list(needs), "missing": lacks}
    return Finding("vectors", not lacks, said, facts)


def machine() -> Finding:
    """Cores and memory."""
    free, total = free_memory(), total_memory()
    ok = free is None or free >= LEAST_MEMORY
    words = [f"{cores()} cores"]
    words += [] if total is None else [f"{size(total)} of memory"]
    words += [] if free is None else [f"{size(free)} free"]
    facts = {"cores": cores(), "memory_bytes": total, "free_bytes": free}
    return Finding("machine", ok, ", ".join(words), facts)


def disk() -> Finding:
    """Room here, and where temporary files go."""
    rooms = {path: shutil.disk_usage(path).free for path in (".", tempfile.gettempdir())}
    said = ", ".join(f"{size(free)} free in {path}" for path, free in rooms.items())
    return Finding("disk", min(rooms.values()) >= LEAST_DISK, said, {"free_bytes": rooms})


def extras() -> Finding:
    """What can be installed besides."""
    found = {name: all(map(_version, needed)) for name, needed in EXTRAS.items()}
    there = ", ".join(name for name, installed in found.items() if installed) or "none"
    absent = ", ".join(name for name, installed in found.items() if not installed) or "none"
    return Finding("extras", None, f"installed: {there}; not: {absent}", found)


def self_test() -> Finding:
    """Compile, prove and verify a product of two small matrices, with both verifiers."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from ..api import prove
    from ..circuits.compile import compile

    start, rng = time.perf_counter(), np.random.default_rng(1)
    weights = numpy_helper.from_array(rng.standard_normal((4, 3)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "doctor",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    x = rng.random((8, 4)).astype(np.float32)
    compiled = compile(model, x)
    receipt = prove(compiled, x[:1], "strict", progress=False)
    for backend in ("rust", "python"):
        receipt.verify(compiled.model_id, backend=backend)
    seconds = time.perf_counter() - start
    said = f"a strict receipt was made and passed both verifiers in {seconds:.1f} s"
    return Finding("self-test", True, said, {"seconds": seconds})


def _looked(look: Callable[[], Finding]) -> Finding:
    """What was found; a look that fails is a finding, too."""
    try:
        return look()
    except Exception as error:  # whatever is broken is what this command is asked for
        name = look.__name__.replace("_", "-")
        said = f"{type(error).__name__}: {error}"
        return Finding(name, False, said, {"error": said})


def _facts(facts: Any) -> Mapping[str, Any]:
    return facts if isinstance(facts, Mapping) else {"value": facts}


def _has(name: str) -> bool:
    return bool(processor.features().get(name))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
