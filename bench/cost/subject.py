"""What `zktally bench cost` measures: ONNX files, compiled models, networks of the project."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from ...circuits import source
from ...circuits.model import CompiledModel, is_model_file
from ...verifier.cli import read_arrays
from ...verifier.errors import UsageError, ZktallyError
from ...verifier.inputs import caller_arrays, port_name
from ...verifier.program.types import ABSENT, PortKind, Program
from ...verifier.quoting import listed, quoted_path
from ..digits.data import MODEL_PATH
from ..hybrid import builder, network
from ..models import BENCH_MODELS, INT8

Arrays = Mapping[str, npt.NDArray[Any]]
Kind = Literal["onnx", "compiled", "named"]

CALIBRATED = 64
"""Random items of calibration."""

CALIBRATION_SEED, INPUT_SEED = 0, 1
RANDOM = "seeded random numbers in [-1, 1)"
RANDOM_PORTS = "seeded random numbers in the ranges of its inputs"
DIGITS = "digits"
"""The trained network that stands in the package, with data of its own."""

LABELS = "labels"
_FLOATS = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A model to measure.

    Attributes:
        name: what it is called in a report; no two have the same.
        kind: an ONNX file, a compiled model, or a network of the project's by its name.
        path: of the file; empty for a network that is built.
        digest: of all that it is made of, hexadecimal.
        data: where its inputs come from, in words.
        calibrate: a file of inputs, empty for random ones.
        dims: sizes of named axes.
        batch: that a compiled model has; None where it is compiled to the one asked for.
        precision: as `compile` takes it; empty for networks of random weights, which get 8 bits.
    """

    name: str
    kind: Kind
    path: str
    digest: str
    data: str
    calibrate: str = ""
    dims: Mapping[str, int] = field(default_factory=dict)
    batch: int | None = None
    precision: str = "auto"

    def to_json(self) -> dict[str, Any]:
        """As a process of a cell gets it."""
        return asdict(self)

    @property
    def options(self) -> dict[str, Any]:
        """How it is compiled: what it is accurate to is a figure here, and no reason to stop."""
        return dict(INT8) if not self.precision else {"precision": self.precision, "force": True}


def subjects(
    models: Sequence[str | Path],
    calibrate: Iterable[str] = (),
    dims: Mapping[str, int] | None = None,
    precision: str = "auto",
) -> list[Subject]:
    """The models that these words mean, each looked at before any work is done.

    Args:
        models: paths of ONNX files and compiled models, names of networks.
        calibrate: files of inputs, `FILE` for all or `MODEL=FILE` for one, MODEL as given or its
            name in the report.
        dims: sizes of named axes; a model has those that it knows.
        precision: of ONNX files, as `compile` takes it.

    Raises:
        UsageError: no models; a word that is neither a file nor a name; data for no model; integers
            without data; a program that reads a data set.
        CompileError, BadModelFile: a file that is no model.
    """
    if not models:
        raise UsageError(
            "there is no model to measure",
            expected=f"ONNX files, .zkt files, or {_names()}",
            hint="zktally bench cost model.onnx -o DIR",
        )
    named = dict(_split(each) for each in calibrate)
    words = list(dict.fromkeys(str(model) for model in models))
    labels = dict(zip(words, _labels(words), strict=True))
    idle = {key for key in named if key and key not in {*labels, *labels.values()}}
    if idle:
        raise UsageError(f"data for no model: {listed(idle)}", expected=listed(labels))
    found = []
    for word, label in labels.items():
        data = named.get(word) or named.get(label) or named.get("", "")
        try:
            found.append(_subject(word, label, data, dict(dims or {}), precision))
        except ZktallyError as error:
            if quoted_path(word) not in error.message:
                error.message = f"{quoted_path(word)}: {error.message}"
            raise
    unknown = set(dims or {}) - {axis for each in found for axis in each.dims}
    if unknown:
        raise UsageError(f"no model has an axis of this name: {listed(unknown)}")
    return found


def _split(text: str) -> tuple[str, str]:
    model, _, file = text.rpartition("=")
    return ("", text) if not model or Path(text).exists() else (model, file)


def _labels(words: Sequence[str]) -> list[str]:
    """The stem of each file, or all of the word where two stems are the same."""
    stems = [Path(word).stem if Path(word).exists() else word for word in words]
    return [
        stem if stems.count(stem) == 1 else word for word, stem in zip(words, stems, strict=True)
    ]


def _names() -> str:
    return ", ".join([*BENCH_MODELS, DIGITS, "dense<width>"])


def _subject(
    word: str, label: str, calibrate: str, dims: Mapping[str, int], precision: str
) -> Subject:
    if calibrate:
        read_arrays(calibrate)
    data = f"inputs of {Path(calibrate).name}" if calibrate else RANDOM
    if not Path(word).exists():
        return _of_name(word, data, calibrate)
    if Path(word).is_dir():
        raise UsageError(f"{quoted_path(word)} is a folder", code="usage.unreadable")
    digest = _digest([Path(word)])
    if is_model_file(word):
        program = CompiledModel.load(word).checked.program
        if program.data:
            raise UsageError(
                f"{quoted_path(word)} reads a data set: it is a step of training",
                hint="zktally bench train measures training",
            )
        data = data if calibrate else RANDOM_PORTS
        return Subject(
            label, "compiled", word, digest, data, calibrate, batch=program.batch, precision=""
        )
    model = source.load(word).model
    own = {name: size for name, size in dims.items() if name in _axes(model)}
    if not calibrate:
        _refuse_integers(word, model)
    return Subject(
        label, "onnx", word, _onnx_digest(Path(word)), data, calibrate, own, None, precision
    )


def _of_name(word: str, data: str, calibrate: str) -> Subject:
    if word == DIGITS:
        if not calibrate:
            data = "scikit-learn's digits, on which it was trained"
            _digits_data()
        return Subject(word, "named", "", _digest([MODEL_PATH]), data, calibrate)
    try:
        builder(word)
    except UsageError:
        raise UsageError(
            f"{quoted_path(word)} is neither a file nor a network of the benchmarks",
            code="usage.unreadable",
            expected=f"a path, or {_names()}",
        ) from None
    digest = hashlib.sha256(f"named {word}".encode()).hexdigest()
    return Subject(word, "named", "", digest, data, calibrate, precision="")


def _digits_data() -> Arrays:
    from ..digits.data import load

    try:
        return {"image": load().train_x}
    except ImportError as error:
        raise UsageError(
            f"the data of {DIGITS} needs scikit-learn", hint="pip install 'zktally[demo]'"
        ) from error


def _refuse_integers(word: str, model: onnx.ModelProto) -> None:
    """Which integers mean anything, nobody can guess."""
    known = {*_FLOATS, TensorProto.BOOL}
    names = [
        value.name
        for value in source.inputs(model)
        if value.type.tensor_type.elem_type not in known
    ]
    if names:
        raise UsageError(
            f"{quoted_path(word)} reads integers, for which there are no random data: "
            f"{listed(names)}",
            code="usage.input",
            hint="give typical inputs: --calibrate FILE.npz",
        )


def _axes(model: onnx.ModelProto) -> set[str]:
    shapes = [value.type.tensor_type.shape.dim for value in source.inputs(model)]
    return {dim.dim_param for dims in shapes for dim in dims if dim.dim_param}


def _digest(paths: Iterable[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                whole.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UsageError(
                f"cannot read {quoted_path(path)}: {error.strerror or error}",
                code="usage.unreadable",
            ) from error
    return whole.hexdigest()


def _onnx_digest(path: Path) -> str:
    """Of an ONNX file and of the files beside it that hold its constants."""
    model = onnx.load(str(path), load_external_data=False)
    beside = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return _digest([path, *(path.parent / name for name in sorted(beside))])


def data_digest(subject: Subject) -> str:
    """Of the file of inputs; of random ones, what they are drawn like."""
    if subject.calibrate:
        return _digest([Path(subject.calibrate)])
    return hashlib.sha256(json.dumps([subject.data, CALIBRATED]).encode()).hexdigest()


def float_model(subject: Subject, folder: Path) -> Path | None:
    """The ONNX file, written into this folder where the network is built; None without one."""
    if subject.kind == "compiled":
        return None
    if subject.kind == "onnx":
        return Path(subject.path)
    if subject.name == DIGITS:
        return MODEL_PATH
    path = folder / f"{subject.name}.onnx"
    if not path.exists():
        onnx.save(network(subject.name), str(path))
    return path


def data_file(subject: Subject, folder: Path) -> str:
    """The file of its inputs, written into this folder where it has data of its own; else empty.

    A process that is measured reads a file: what gives the data is no part of a receipt's memory.
    """
    if subject.calibrate or subject.kind != "named" or subject.name != DIGITS:
        return subject.calibrate
    path = folder / f"{DIGITS}.npz"
    if not path.exists():
        np.savez(path, image=_digits_data()["image"])
    return str(path)


def given_arrays(subject: Subject, known: Collection[str]) -> Arrays | None:
    """The inputs that somebody gave, by name, without labels; None where they are random."""
    if subject.calibrate:
        found = read_arrays(subject.calibrate)
        if not isinstance(found, Mapping):
            return {next(iter(known)): found} if len(known) == 1 else {"array": found}
        return {name: each for name, each in found.items() if name != LABELS or name in known}
    return _digits_data() if subject.kind == "named" and subject.name == DIGITS else None


def calibration_data(subject: Subject, model: onnx.ModelProto) -> Arrays:
    """Inputs to compile by: those that were given, or random ones."""
    names = [value.name for value in source.inputs(model)]
    given = given_arrays(subject, names)
    return random_feeds(model, subject.dims, CALIBRATED) if given is None else given


def random_feeds(
    model: onnx.ModelProto, dims: Mapping[str, int], count: int, seed: int = CALIBRATION_SEED
) -> dict[str, npt.NDArray[Any]]:
    """Random inputs of a float model: `count` items along an open first axis, else steps apart."""
    rng, found = np.random.default_rng(seed), {}
    for value in source.inputs(model):
        shape = [
            dim.dim_value if dim.HasField("dim_value") else dims.get(dim.dim_param)
            for dim in value.type.tensor_type.shape.dim
        ]
        sizes = [size or 1 for size in (shape[1:] if has_open_axis(value) else shape)]
        drawn = rng.uniform(-1, 1, (count, *sizes))
        truth = value.type.tensor_type.elem_type == TensorProto.BOOL
        found[value.name] = drawn > 0 if truth else drawn.astype(np.float32)
    return found


def has_open_axis(value: onnx.ValueInfoProto) -> bool:
    """Whether the first axis of an input has no size: it is the batch."""
    dims = value.type.tensor_type.shape.dim
    return bool(dims) and not dims[0].HasField("dim_value")


def chain_inputs(subject: Subject, program: Program, steps: int) -> Arrays:
    """Inputs of a chain by the names of the program's ports: what was given, again and again."""
    given = given_arrays(subject, [port.name for port in program.inputs])
    if given is None:
        return _random_inputs(program, steps, whole=subject.kind == "compiled")
    ports = {port.name: port for port in program.inputs}
    read = {port_name(n): array for n, array in given.items() if port_name(n) in ports}
    arrays = caller_arrays(program, read)
    if not isinstance(arrays, Mapping) or set(arrays) != set(ports):
        raise UsageError(
            "the names of the inputs do not fit",
            code="usage.input",
            expected=listed(ports),
            received=listed(given),
        )
    counts = {
        name: steps * program.batch if port.batch != ABSENT else steps
        for name, port in ports.items()
    }
    return {
        name: array[np.arange(counts[name]) % len(array)] for name, array in arrays.items()
    }  # fmt: skip


def _random_inputs(program: Program, steps: int, *, whole: bool) -> Arrays:
    """In [-1, 1), or in the whole range of each input."""
    rng, found = np.random.default_rng(INPUT_SEED), {}
    for port in program.inputs:
        tensor = program.tensors[port.tensor]
        batched = port.batch != ABSENT
        shape = (steps * tensor.shape[0], *tensor.shape[1:]) if batched else (steps, *tensor.shape)
        if port.kind is PortKind.INTEGER:
            found[port.name] = rng.integers(tensor.lo, tensor.hi, shape, endpoint=True)
            continue
        ends = [(end - port.zero) * port.scale for end in (tensor.lo, tensor.hi)]
        low, high = ends if whole else (-1, 1)
        found[port.name] = rng.uniform(low, high, shape).astype(np.float32)
    return found
