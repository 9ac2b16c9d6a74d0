"""A data set and a first state as a caller has them, for the runs that read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .. import _core
from ..circuits.keys import PUBLIC_KEY
from ..circuits.model import CompiledModel
from ..verifier.errors import UsageError
from ..verifier.inputs import DTYPES
from ..verifier.program.checked import Checked
from ..verifier.program.types import Role
from ..verifier.quoting import listed, quoted

Records = Mapping[str, np.ndarray]
Dataset = _core.Dataset


def initial_state(checked: Checked, given: Mapping[str, np.ndarray] | None) -> list[np.ndarray]:
    """The state that a run starts from, by tensor name; zero (clamped into range) where not given.

    Raises:
        UsageError: an unknown name, a wrong shape, or a value out of range.
    """
    program, given = checked.program, dict(given or {})
    arrays = []
    for number in program.of_role(Role.STATE):
        tensor = program.tensors[number]
        rest = np.full(tensor.shape, min(max(0, tensor.lo), tensor.hi), np.int64)
        array = np.asarray(given.pop(tensor.name, rest))
        limits = tensor.shape, tensor.lo, tensor.hi
        arrays.append(_integers("state", tensor.name, array, limits, DTYPES[tensor.width]))
    _refuse_unknown("state", given, [program.tensors[n].name for n in program.of_role(Role.STATE)])
    return arrays


def commit_data(
    model: CompiledModel, records: Records | None, key: bytes | None = None
) -> Dataset | None:
    """Commit to the data set that a model's steps read; None where they read none.

    Args:
        model: whose program has data tensors, or has not.
        records: whole numbers by tensor name, each [records, ...].
        key: of the salts, 32 bytes; None for a public data set.

    Raises:
        UsageError: records that are missing, not needed, or not those of the data tensors.
    """
    program, given = model.checked.program, dict(records or {})
    names = [program.tensors[number].name for number in program.data]
    if not names and records is None:
        return None
    missing = [name for name in names if name not in given]
    if missing:
        raise UsageError(
            f"records of the data set are missing: {listed(missing)}", code="usage.input"
        )
    arrays = []
    for number in program.data:
        tensor = program.tensors[number]
        array = np.asarray(given.pop(tensor.name))
        limits = tensor.tree_shape, tensor.lo, tensor.hi
        arrays.append(_integers("data", tensor.name, array, limits, DTYPES[tensor.width]))
    _refuse_unknown("data", given, names)
    return Dataset(model.core, arrays, PUBLIC_KEY if key is None else key)


def _integers(
    kind: str,
    name: str,
    array: np.ndarray,
    limits: tuple[tuple[int, ...], int, int],
    dtype: np.dtype[np.generic] | type[np.generic],
) -> np.ndarray:
    """The array in the type that the core takes."""
    shape, lo, hi = limits
    if array.shape != shape or not np.issubdtype(array.dtype, np.integer):
        raise UsageError(
            f"{kind} {quoted(name)} does not fit",
            code="usage.input",
            expected=f"integers of shape {shape}",
            received=f"{array.dtype} of shape {array.shape}",
        )
    if array.size and not lo <= int(array.min()) <= int(array.max()) <= hi:
        raise UsageError(
            f"{kind} {quoted(name)} is out of range", code="usage.input", expected=f"[{lo}, {hi}]"
        )
    return np.ascontiguousarray(array, dtype)


def _refuse_unknown(kind: str, left: Mapping[str, object], names: Sequence[str]) -> None:
    if left:
        raise UsageError(
            f"no such {kind}: {listed(left)}",
            code="usage.input",
            expected=listed(names, "none"),
        )
