"""The reference executor: every gate of every op through the verifier's own gate semantics.

Slow and plain on purpose. Provers are compared with it, value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..verifier.errors import UsageError
from ..verifier.gates import Ints, evaluate
from ..verifier.inputs import DTYPES
from ..verifier.program.checked import Checked
from ..verifier.program.types import Program, Role, Tensor, gates

Array = NDArray[np.integer]


def run(
    program: Program | Checked,
    inputs: Mapping[int, Array],
    weights: Mapping[int, Array],
    state: Mapping[int, Array] | None = None,
    prf: Callable[[Tensor], Array] | None = None,
    data: Mapping[int, Array] | None = None,
) -> dict[int, Array]:
    """Execute one step of a valid program.

    Args:
        program: the program; its validity is the caller's business (`checked.check`).
        inputs: integer arrays by tensor number, one for every input tensor.
        weights: likewise for every weight tensor.
        state: likewise for every state tensor.
        prf: gives the values of a prf tensor in this step; needed if the program has any.
        data: the records of this step, likewise for every data tensor.

    Returns:
        The values of all tensors by number, in the tensors' shapes; int8, int16 or int32 by width.

    Raises:
        UsageError: `usage.input`, an array is missing, unknown, of another shape, not of integers,
            or has values outside the declared range.
    """
    if isinstance(program, Checked):
        program = program.program
    arrays: dict[int, Array] = {}
    for role, given in (
        (Role.INPUT, inputs),
        (Role.WEIGHT, weights),
        (Role.STATE, state or {}),
        (Role.DATA, data or {}),
    ):
        arrays.update(_admit_all(program, role, given))
    for t in program.of_role(Role.PRF):
        if prf is None:
            raise _bad("the program has prf tensors, and no prf was given")
        arrays[t] = _admit(program.tensors[t], prf(program.tensors[t]))
    store = _Store(arrays)
    for op in program.ops:
        out = program.tensors[op.out]
        values = evaluate(program, op, np.arange(gates(op), dtype=np.int64), store)
        arrays[op.out] = values.astype(DTYPES[out.width]).reshape(out.shape)
    return arrays


class _Store:
    """Whole arrays as a source of values."""

    def __init__(self, arrays: dict[int, Array]) -> None:
        self._arrays = arrays

    def read(self, tensor: int, offsets: Ints) -> Ints:
        return self._arrays[tensor].reshape(-1)[offsets].astype(np.int64)


def _admit_all(program: Program, role: Role, given: Mapping[int, Array]) -> dict[int, Array]:
    wanted = program.of_role(role)
    if set(given) != set(wanted):
        raise _bad(
            f"the {role.name.lower()} tensors given are not those of the program",
            expected=wanted,
            received=sorted(given),
        )
    return {t: _admit(program.tensors[t], given[t]) for t in wanted}


def _admit(tensor: Tensor, array: Array) -> Array:
    array = np.asarray(array)
    if array.dtype.kind not in "iu":
        raise _bad(f"{tensor.name!r} is not an array of integers", received=array.dtype)
    if array.shape != tensor.shape:
        raise _bad(f"{tensor.name!r} has another shape", tensor.shape, array.shape)
    if array.min() < tensor.lo or array.max() > tensor.hi:
        raise _bad(
            f"{tensor.name!r} leaves its range",
            expected=f"[{tensor.lo}, {tensor.hi}]",
            received=f"[{array.min()}, {array.max()}]",
        )
    return array.astype(DTYPES[tensor.width])


def _bad(message: str, expected: object = None, received: object = None) -> UsageError:
    return UsageError(message, code="usage.input", expected=expected, received=received)
