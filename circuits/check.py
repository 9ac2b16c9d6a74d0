"""Is this compiled model that ONNX file? Compile it again with the recorded ranges, and compare."""

from __future__ import annotations

import numpy as np

from ..verifier.errors import ProgramMismatch
from ..verifier.program.types import Role
from .compile import ModelLike, build, prepare
from .model import CompiledModel


def check_model(model: ModelLike, compiled: CompiledModel) -> None:
    """Recompile an ONNX model as recorded, and compare the program's bytes and every weight.

    The calibrated ranges are a choice, not a consequence of the ONNX file: that they are good ones
    is what the report shows.

    Raises:
        ProgramMismatch: `verify.program-mismatch`; `verify.model-mismatch` naming a weight.
        UsageError, CompileError: the ONNX model cannot be read or compiled with these ranges.
    """
    record = compiled.record
    _, graph = prepare(model, record.batch, record.name)
    built = build(graph, record)
    if built.checked.data != compiled.checked.data:
        raise ProgramMismatch(
            "the ONNX model compiles to another program",
            code="verify.program-mismatch",
            expected=built.checked.id.hex(),
            received=compiled.program_id.hex(),
        )
    program = built.checked.program
    names = [program.tensors[t].name for t in program.of_role(Role.WEIGHT)]
    for name, ours, theirs in zip(names, built.weights, compiled.weights, strict=True):
        different = np.argwhere(ours != theirs)
        if len(different):
            at = tuple(int(index) for index in different[0])
            raise ProgramMismatch(
                f"the ONNX model has another weight {name}{list(at)}",
                code="verify.model-mismatch",
                expected=ours[at],
                received=theirs[at],
            )
