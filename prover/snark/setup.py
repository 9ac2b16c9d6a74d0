"""The set-up of a model for SNARK receipts: its circuit, a digest through it, its keys."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...verifier.errors import UsageError, ZktallyError
from ...verifier.quoting import quoted_path
from ...verifier.snark.key import KINDS, LABEL, LABEL_OUT, PARTS, Key, Port, as_runs, canonical
from ..errors import ProveError
from . import solidity
from .adapt import adapt, as_data
from .child import FILES
from .model import KEY_FILE, MADE_HERE, SnarkModel
from .native import as_ezkl, from_raw
from .process import Run, run, version

PHASES = ("settings", "calibrate", "order", "circuit", "srs", "setup", "solidity")
KEPT = ("settings", "circuit", "srs", "vk", "pk")
"""Files of ezkl that a prover needs."""

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True)
class SnarkSetUp:
    """How a model is set up.

    Attributes:
        visibility: of the inputs, "private" or "public".
        batch: items of one run, where the model leaves that axis open.
        srs: a file with a string, as ceremonies publish it for halo2; None: made here.
        target: what ezkl calibrates for, "resources" or "accuracy".
        run_args: ezkl's own arguments by name (`ezkl.PyRunArgs`).
        memory_limit: bytes at which ezkl is stopped.
        time_limit: seconds after which it is.
    """

    visibility: Literal["private", "public"] = "private"
    batch: int = 1
    srs: Path | None = None
    target: Literal["resources", "accuracy"] = "resources"
    run_args: Mapping[str, Any] = field(default_factory=dict)
    memory_limit: int | None = None
    time_limit: float | None = None


FIXED_ARGS = ("input_visibility", "output_visibility", "param_visibility")
"""Run arguments that a receipt depends on; they follow from `SnarkSetUp.visibility`."""


def snark_setup(
    model: str | Path,
    calibration: Arrays,
    folder: str | Path,
    options: SnarkSetUp | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[SnarkModel, list[str]]:
    """Make circuit and keys for a model, in a new folder.

    Args:
        model: an ONNX file.
        calibration: typical inputs by name, [items, ...]; a handful is enough.
        folder: to be made; nothing is left there if it fails.
        options: how.
        progress: called with the name of each phase as it begins.

    Returns:
        The model, and what was changed in the file so that ezkl takes it.

    Raises:
        UsageError: the folder exists, the data is not the model's, an argument is not ezkl's.
        ProveError: `snark.unavailable`, `snark.model`, `snark.ezkl`.
    """
    options, target = options or SnarkSetUp(), Path(folder)
    version()
    if target.exists():
        raise UsageError(
            f"{quoted_path(target)} exists", code="usage.file-exists", hint="choose another name"
        )
    if taken := sorted(set(FIXED_ARGS) & set(options.run_args)):
        raise UsageError("a visibility is no run argument here", received=", ".join(taken))
    try:
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UsageError(
            f"cannot write {quoted_path(target)}: {error.strerror}", code="usage.unwritable"
        ) from error
    try:
        changes = _prepare(Path(model), calibration, work, options)
        found = run(
            _job(options),
            work,
            memory_limit=options.memory_limit,
            time_limit=options.time_limit,
            progress=progress,
        )
        key = _key(work, found)
        (work / KEY_FILE).write_bytes(key.encode())
        if options.srs is None:
            (work / MADE_HERE).touch()
        for path in work.iterdir():
            if path.name not in {KEY_FILE, MADE_HERE, *(FILES[name] for name in KEPT)}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        work.replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return SnarkModel(target, key), changes


def _job(options: SnarkSetUp) -> dict[str, Any]:
    visible = options.visibility.capitalize()
    return {
        "phases": PHASES,
        "target": options.target,
        "run_args": {
            **options.run_args,
            "input_visibility": visible.lower(),
            "output_visibility": "public",
            "param_visibility": "fixed",
        },
    }


def _prepare(path: Path, calibration: Arrays, work: Path, options: SnarkSetUp) -> list[str]:
    """The adapted model with the digest beside it, the data, the string."""
    shapes = _shapes(path, calibration, options.batch)
    model, changes = adapt(path, shapes)
    data = as_data(model, _runs(calibration, shapes))
    runs = next(iter(_counts(calibration, shapes).values()))
    rng = np.random.default_rng(0)
    data["input_data"].append(rng.integers(0, 1 << 16, runs * PARTS).tolist())
    (work / FILES["calibration"]).write_text(json.dumps(data))
    add_label(model)
    onnx.save(model, str(work / FILES["model"]))
    if options.srs is not None:
        try:
            shutil.copyfile(options.srs, work / FILES["srs"])
        except OSError as error:
            raise UsageError(
                f"cannot read {quoted_path(options.srs)}: {error.strerror}",
                code="usage.unreadable",
            ) from error
    return changes


def add_label(model: onnx.ModelProto) -> None:
    """An input of 16 whole numbers that is handed through to an output, and so becomes public.

    Raises:
        ProveError: `snark.model`, a name of it is taken.
    """
    graph = model.graph
    names = {each.name for each in (*graph.input, *graph.output, *graph.initializer)}
    if {LABEL, LABEL_OUT} & names:
        raise ProveError("the model has a port of zktally's name", code="snark.model")
    graph.input.append(helper.make_tensor_value_info(LABEL, TensorProto.INT64, [1, PARTS]))
    graph.output.append(helper.make_tensor_value_info(LABEL_OUT, TensorProto.INT64, [1, PARTS]))
    graph.node.append(helper.make_node("Identity", [LABEL], [LABEL_OUT], name=f"{LABEL}_through"))


def _shapes(path: Path, calibration: Arrays, batch: int) -> dict[str, tuple[int, ...]]:
    """Fixed shapes: of one run, the first axis as the model says, or the batch where it is open."""
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf raises kinds of its own
        raise ProveError(
            "the ONNX file cannot be read", code="snark.model", received=error
        ) from error
    held = {each.name for each in graph.initializer}
    found = {}
    for port in graph.input:
        if port.name in held:
            continue
        if port.name not in calibration or not np.asarray(calibration[port.name]).shape:
            raise UsageError(
                f"there is no data for the input {port.name!r}",
                code="usage.input",
                received=sorted(calibration),
            )
        dims = port.type.tensor_type.shape.dim
        first = dims[0].dim_value if dims else 0
        found[port.name] = (first or batch, *np.asarray(calibration[port.name]).shape[1:])
    return found


def _counts(calibration: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """How many whole runs there are of each input."""
    found = {name: len(calibration[name]) // shape[0] for name, shape in shapes.items()}
    if len(set(found.values())) > 1 or 0 in found.values():
        raise UsageError(
            "the data is not a whole number of runs, the same of every input",
            code="usage.input",
            expected={name: f"n × {shape[0]}" for name, shape in shapes.items()},
            received={name: len(calibration[name]) for name in shapes},
        )
    return found


def _runs(calibration: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Arrays:
    counts = _counts(calibration, shapes)
    return {
        name: np.asarray(calibration[name])[: counts[name] * shape[0]]
        for name, shape in shapes.items()
    }


def judged(found: Run) -> None:
    """Refuse to go on where ezkl did not come to its end.

    Raises:
        ProveError: `snark.ezkl`.
    """
    if found.how != "done":
        raise ProveError(
            "ezkl failed" if found.how == "failed" else f"ezkl took too much {found.how}",
            code="snark.ezkl",
            received=found.why,
        )


def _key(work: Path, found: Run) -> Key:
    """The key out of ezkl's files, read back as a verifier reads it."""
    judged(found)
    settings = json.loads((work / FILES["settings"]).read_text())
    circuit = solidity.read((work / FILES["solidity"]).read_text())
    file = (work / FILES["vk"]).read_bytes()
    rows = 1 << circuit.k
    points = 64 * (len(circuit.fixed) + len(circuit.sigma))
    selectors, rest = divmod(len(file) - points, rows // 8)
    bits = np.unpackbits(np.frombuffer(file[rest + points :], np.uint8), bitorder="little")
    key = Key(
        settings["version"],
        canonical(settings),
        file[:rest],
        tuple(as_runs(each.tolist()) for each in bits.reshape(selectors, rows)),
        *_ports(work, settings),
        circuit,
        settings,
    )
    string = (work / FILES["srs"]).read_bytes()[-128:]
    tau = tuple(from_raw(string[i : i + 32]) for i in range(0, 128, 32))
    try:
        if as_ezkl(key) == file and circuit.tau == tau:
            return Key.decode(key.encode())
        why: object = "key, contract and string differ"
    except ZktallyError as error:
        why = error
    raise ProveError("what ezkl wrote is not what is known here", code="snark.ezkl", received=why)


def _ports(work: Path, settings: Mapping[str, Any]) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    graph = onnx.load(str(work / FILES["model"])).graph
    found = []
    for ports, side in ((graph.input, "input"), (graph.output, "output")):
        scales, kinds = settings[f"model_{side}_scales"], settings[f"{side}_types"]
        if unknown := set(kinds) - set(KINDS):
            raise ProveError(
                "a port has a type that no receipt holds",
                code="snark.model",
                expected=", ".join(KINDS),
                received=", ".join(sorted(unknown)),
            )
        shapes = [tuple(d.dim_value for d in p.type.tensor_type.shape.dim) for p in ports]
        if side == "output":
            shapes = [tuple(each) for each in settings["model_instance_shapes"][-len(shapes) :]]
        found.append(
            tuple(
                Port(port.name, shape, scale, kind)
                for port, shape, scale, kind in zip(ports, shapes, scales, kinds, strict=True)
            )
        )
    return found[0], found[1]
