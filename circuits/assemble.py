"""A model from a program written by hand: state, noise, anything that ONNX import does not make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ..verifier.errors import UsageError
from ..verifier.inputs import DTYPES
from ..verifier.program.checked import Checked, check
from ..verifier.program.types import Program, Role, gates
from .graph import Array
from .keys import master_key
from .model import CompiledModel, Record
from .report import LayerReport, Report, samples_at


def assemble(
    program: Program,
    weights: Mapping[int, Array] | None = None,
    *,
    public: bool = False,
    weights_key: bytes | None = None,
) -> CompiledModel:
    """Put a program and its weights together, as `compile` does for ONNX models.

    Args:
        program: any valid program.
        weights: integer arrays by tensor number, one for each weight tensor, in its shape.
        public: salt the weights with zero, so that anyone can recompute their root.
        weights_key: 32 random bytes, to get the same model id again (default: from the OS).

    Raises:
        InvalidProgram: the program breaks a rule.
        UsageError: `usage.input`, weights that are not those of the program; the key is none.
    """
    checked = check(program)
    given = dict(weights or {})
    arrays = tuple(_weight(program, t, given) for t in program.of_role(Role.WEIGHT))
    if given:
        raise UsageError(
            "weights were given for tensors that are none",
            code="usage.input",
            expected=program.of_role(Role.WEIGHT),
            received=sorted(given),
        )
    record = Record(program.name, program.batch, "by hand", 100.0, (), {})
    key = master_key(weights_key, public)
    return CompiledModel.of(checked, arrays, key, record, _report(checked))


def _weight(program: Program, number: int, given: dict[int, Array]) -> Array:
    """The weights of one tensor, in its dtype; raises UsageError where they do not fit."""
    tensor = program.tensors[number]
    array = given.pop(number, None)
    fits = array is not None and array.shape == tensor.shape and array.dtype.kind in "iu"
    if array is None or not fits or array.min() < tensor.lo or array.max() > tensor.hi:
        raise UsageError(
            f"the weights of {tensor.name!r} are missing or do not fit",
            code="usage.input",
            expected=f"integers in [{tensor.lo}, {tensor.hi}] of shape {tensor.shape}",
            received=None if array is None else f"{array.dtype} of shape {array.shape}",
        )
    return array.astype(DTYPES[tensor.width])


def _report(checked: Checked) -> Report:
    program, weights = checked.program, checked.weights
    rows = tuple(
        LayerReport(op.name, type(op).__name__, 1, gates(op), gates(op) * macs, None)
        for op, macs in zip(program.ops, weights.macs, strict=True)
    )

    def size(*roles: Role) -> int:
        tensors = [program.tensors[t] for t in program.of_role(*roles)]
        return sum(tensor.size * tensor.width for tensor in tensors)

    return Report(
        name=program.name,
        batch=program.batch,
        operators=dict(Counter(row.op for row in rows)),
        layers=rows,
        parameters=sum(program.tensors[t].size for t in program.of_role(Role.WEIGHT)),
        macs=weights.step_macs,
        committed_bytes=size(Role.INPUT, Role.VALUE),
        weight_bytes=size(Role.WEIGHT),
        samples_5=samples_at(50_000, checked),
        samples_1=samples_at(10_000, checked),
        evaluated=0,
        worst=None,
        top1=None,
    )
