"""Sizes of a model's inputs: what its file says, and what the caller adds to that."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from ..verifier.errors import UsageError
from .errors import CompileError, named
from .source import inputs

Dims = tuple[int, ...]
Axes = Sequence[int | str | None]
"""One entry an axis; one that is no number is an axis without a size."""


ELEMENTS_MAX = 2**28
"""Elements of the largest input: more than a step of a program has."""


class Sizes:
    """The inputs that a caller gives, each with the sizes of its axes.

    Args:
        model: the model.
        dims: sizes of named axes.
        shapes: shapes of inputs by name, before what the file says.

    Raises:
        UsageError: the model has no such axis or input, or a size is not positive.
    """

    def __init__(
        self, model: onnx.ModelProto, dims: Mapping[str, int], shapes: Mapping[str, Axes]
    ) -> None:
        values = inputs(model)
        _refuse_unknown(values, dims, shapes)
        self.types = {value.name: value.type.tensor_type.elem_type for value in values}
        self._axes = {value.name: _axes(value, dims, shapes.get(value.name)) for value in values}

    @property
    def dynamic(self) -> frozenset[str]:
        """The inputs whose axis 0 has no size: it is the batch."""
        return frozenset(
            name for name, axes in self._axes.items() if axes and not isinstance(axes[0], int)
        )

    def at(self, batch: int) -> dict[str, Dims]:
        """The shapes of all inputs at a batch.

        Raises:
            CompileError: `compile.dynamic-shape`, naming every axis without a size.
        """
        found: list[str] = []
        shapes = {}
        for name, axes in self._axes.items():
            if axes is None:
                found.append(f"input {named(name)}: no shape")
                continue
            sizes = [batch if at == 0 and isinstance(s, str) else s for at, s in enumerate(axes)]
            found += [
                f"input {named(name)}: axis {at} {named(size)} has no size"
                for at, size in enumerate(sizes)
                if isinstance(size, str)
            ]
            shapes[name] = tuple(size for size in sizes if isinstance(size, int))
            if math.prod(shapes[name]) > ELEMENTS_MAX:
                raise CompileError(
                    f"input {named(name)} is too large",
                    code="compile.bad-model",
                    expected=f"at most {ELEMENTS_MAX} elements",
                    received=list(shapes[name]),
                )
        symbols = {str(axes[0]) for axes in map(self._axes.get, self.dynamic) if axes} - {""}
        if len(symbols) > 1:
            listed = ", ".join(map(named, sorted(symbols)))
            found.append(f"inputs have several dynamic axes in the place of the batch: {listed}")
        if found:
            raise CompileError(
                "\n  ".join(found),
                code="compile.dynamic-shape",
                expected="fixed sizes on all axes but the first",
                hint="give them (--dim NAME=N, --shape INPUT=N,N,...; dims=, shapes= in Python); "
                "only the batch, axis 0, may be left open",
            )
        return shapes

    def applied(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """The model with these sizes in its inputs, the batch axis open."""
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        for value in inputs(copy):
            axes = self._axes[value.name]
            shape = value.type.tensor_type.shape
            del shape.dim[:]
            for size in axes or ():
                dim = shape.dim.add()
                if isinstance(size, int):
                    dim.dim_value = size
        return copy


def constant_inputs(
    model: onnx.ModelProto,
    declared: Collection[str],
    sizes: tuple[Mapping[str, int], Mapping[str, Axes]],
    fixed: Mapping[str, npt.ArrayLike],
) -> dict[str, npt.NDArray[Any]]:
    """The values of inputs that are constants, each of its type; one number fills a whole shape.

    Raises:
        UsageError: no such input, or a value that is none of it.
    """
    values = {value.name: value for value in inputs(model)}
    unknown = set(fixed) - set(declared)
    if unknown:
        raise UsageError(
            f"the model has no input {named(min(unknown))}",
            expected=", ".join(map(named, sorted(declared))) or "no input",
            received=sorted(unknown),
        )
    return {
        name: _constant(values[name], _axes(values[name], sizes[0], sizes[1].get(name)), given)
        for name, given in fixed.items()
        if name in values
    }


def _constant(
    value: onnx.ValueInfoProto, axes: tuple[int | str, ...] | None, given: npt.ArrayLike
) -> npt.NDArray[Any]:
    kind = value.type.tensor_type.elem_type
    try:
        array = np.asarray(given)
    except ValueError:  # rows of unlike lengths
        array = np.empty(0)
    known = all(isinstance(size, int) for size in axes or ())
    if array.size == 1 and axes is not None and known:
        array = np.full([int(size) for size in axes], array.item())
    fits = axes is None or (
        array.ndim == len(axes)
        and all(not isinstance(a, int) or a == b for a, b in zip(axes, array.shape, strict=True))
    )
    if not fits or array.dtype.kind not in "biuf" or not array.size:
        raise UsageError(
            f"the value of input {named(value.name)} does not fit",
            expected=f"one number, or numbers of shape {list(axes or ())}",
            received=f"{array.dtype} of shape {list(array.shape)}",
        )
    held = array.astype(helper.tensor_dtype_to_np_dtype(kind))
    if (array.dtype.kind == "f" and not np.isfinite(array).all()) or (
        held.dtype.kind in "biu" and (held != array).any()
    ):
        raise UsageError(
            f"the value of input {named(value.name)} is no number of its type",
            expected=held.dtype,
            received=array.reshape(-1)[:8].tolist(),
        )
    return held


def _axes(
    value: onnx.ValueInfoProto, dims: Mapping[str, int], given: Axes | None
) -> tuple[int | str, ...] | None:
    if given is not None:
        return tuple(size if isinstance(size, int) else str(size or "") for size in given)
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.dim_value > 0 else dims.get(dim.dim_param, dim.dim_param)
        for dim in value.type.tensor_type.shape.dim
    )


def _refuse_unknown(
    values: Sequence[onnx.ValueInfoProto], dims: Mapping[str, int], shapes: Mapping[str, Axes]
) -> None:
    axes = {dim.dim_param for v in values for dim in v.type.tensor_type.shape.dim} - {""}
    for kind, given, known in (
        ("axis", set(dims), axes),
        ("input", set(shapes), {value.name for value in values}),
    ):
        if given - known:
            raise UsageError(
                f"the model has no {kind} {named(min(given - known))}",
                expected=", ".join(map(named, sorted(known))) or f"no named {kind}",
                received=sorted(given),
            )
    sizes = [*dims.values(), *(s for axes in shapes.values() for s in axes if isinstance(s, int))]
    if any(isinstance(size, bool) or not isinstance(size, int) or size < 1 for size in sizes):
        raise UsageError("a size of an axis is not positive", expected="1 or more", received=sizes)
