"""Models in onnxruntime: the one oracle for values, element types and shapes."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import external_data_helper

from .errors import CompileError
from .source import Array, Source, first_line, reads

SILENT = 4
"""onnxruntime's severity of what is fatal: its errors come as exceptions, and we word them."""


@dataclass(frozen=True)
class Seen:
    """What a value was in one run; `array` only where it was asked for."""

    shape: tuple[int, ...]
    type: int
    array: Array | None


class Session:
    """A model in onnxruntime that gives the values of these names.

    Args:
        source: the model.
        names: values to give, outputs or not.
        plainly: without onnxruntime's optimiser, whose rewrites cost more than a single run.

    Raises:
        CompileError: `compile.bad-model`, onnxruntime does not take the model.
    """

    def __init__(self, source: Source, names: Iterable[str], *, plainly: bool = False) -> None:
        import onnxruntime

        self._runtime = onnxruntime
        self._names = sorted(set(names))
        self._plainly = plainly
        onnxruntime.set_default_logger_severity(SILENT)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = SILENT
        # Weights are not copied once more in another order: a few runs do not earn that back.
        options.add_session_config_entry("session.disable_prepacking", "1")
        if plainly:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = _with_outputs(source.model, self._names)
        held = [
            tensor.name
            for tensor in model.graph.initializer
            if external_data_helper.uses_external_data(tensor)
        ]
        # The session reads these arrays where they are, so they must live as long.
        self._held = [self._value(source.arrays[name]) for name in held]
        if held:
            options.add_external_initializers(held, self._held)
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # it would print, and try the same again
            )
        except Exception as error:  # its exceptions have no common base
            raise _cannot_run(error) from error

    @classmethod
    def of(cls, source: Source, names: Iterable[str], *, plainly: bool = False) -> Session:
        """A session that gives these names and perhaps more; the last one of a model is kept."""
        wanted = set(names)
        kept = _KEPT.get(source)
        if kept is None or not wanted.issubset(kept._names) or kept._plainly != plainly:
            kept = _KEPT[source] = cls(source, wanted, plainly=plainly)
        return kept

    def run(
        self, feeds: Mapping[str, Array], only: Iterable[str] | None = None
    ) -> dict[str, Array]:
        """The values, or only those of these names.

        Raises:
            CompileError: `compile.bad-model`, they cannot be computed.
        """
        names = self._names if only is None else sorted(set(only))
        if not names:
            return {}
        try:
            return dict(zip(names, self._session.run(names, feeds), strict=True))
        except Exception as error:  # likewise
            raise _cannot_run(error) from error

    def look(self, feeds: Mapping[str, Array], values: Sequence[str] = ()) -> dict[str, Seen]:
        """Shape and type of every value that is a tensor, and arrays of `values`.

        Raises:
            CompileError: `compile.bad-model`, they cannot be computed.
        """
        if not self._names:
            return {}
        try:
            given = {name: self._value(array) for name, array in feeds.items()}
            found = self._session.run_with_ort_values(self._names, given)
            wanted = set(values)
            return {
                name: Seen(
                    tuple(value.shape()),
                    int(value.element_type()),
                    value.numpy() if name in wanted else None,
                )
                for name, value in zip(self._names, found, strict=True)
                if value.is_tensor()
            }
        except Exception as error:  # likewise
            raise _cannot_run(error) from error

    def _value(self, array: Array) -> Any:
        return self._runtime.OrtValue.ortvalue_from_numpy(array)


_KEPT: MutableMapping[Source, Session] = weakref.WeakKeyDictionary()


def _with_outputs(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    declared = {output.name for output in copy.graph.output}
    copy.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in names if name not in declared
    )
    _drop_unread(copy.graph)
    return copy


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Without initialisers that nothing reads: onnxruntime has no place for their arrays."""
    read = {output.name for output in graph.output}
    read.update(name for node in graph.node for name in reads(node))
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(kept) < len(graph.initializer):
        copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del graph.initializer[:]
        graph.initializer.extend(copies)


def _cannot_run(error: Exception) -> CompileError:
    said = first_line(error).rpartition("[ONNXRuntimeError] : ")[2]
    return CompileError(f"onnxruntime cannot run the model: {said}", code="compile.bad-model")
