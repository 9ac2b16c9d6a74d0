"""What compilation did, in numbers: sizes, fidelity layer by layer, the cost of a receipt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from dataclasses import field as attribute
from types import NoneType
from typing import Any

from ..verifier.program.checked import Checked
from ..verifier.program.operands import products
from ..verifier.program.types import Dot, Role, gates
from ..verifier.quoting import listed, quoted
from ..verifier.sampling import sample_count
from .builder import Layer
from .evaluate import Fidelity, counted, floored
from .graph import Graph

LABELS_SHOWN = 8
DYNAMIC = "dynamic     ranges are those of calibration, not of each input: the float model is meant"
"""A remark on models whose activations are quantised at run time."""

BITS = 128
"""Confidence of the sample counts: that of the fast check."""


@dataclass(frozen=True)
class LayerReport:
    """One layer: its ONNX operator(s), the number of ops it became, gates, MACs, SQNR in dB.

    `sqnr_db` is None where the integers are exact (no noise), or the layer's values are indices.
    """

    name: str
    op: str
    ops: int
    gates: int
    macs: int
    sqnr_db: float | None


@dataclass(frozen=True)
class Report:
    """The report of `compile`; sizes are per step of `batch` items.

    `samples` counts sampled gates at δ = 5 % and 1 % (one step, 128 bits); `worst` names the layer
    with the least SQNR; `top1` is the least share, among the outputs, of equal classes of integers
    and floats (None: no output has classes). `unread` are the inputs on whose values no output
    depends: the program does not have them.
    """

    name: str
    batch: int
    operators: Mapping[str, int]
    layers: tuple[LayerReport, ...]
    parameters: int
    macs: int
    committed_bytes: int
    weight_bytes: int
    samples_5: int
    samples_1: int
    evaluated: int
    worst: str | None
    top1: float | None
    unread: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = attribute(default_factory=dict)
    decisions: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON-ready object."""
        labels = {name: list(strings) for name, strings in self.labels.items()}
        decisions = None if self.decisions is None else list(self.decisions)
        plain = {"operators": dict(self.operators), "labels": labels, "decisions": decisions}
        return asdict(self) | plain

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Report:
        """The inverse of `to_json`; raises TypeError or KeyError for other data."""
        layers = tuple(LayerReport(**layer) for layer in data["layers"])
        unread = tuple(data.get("unread", ()))
        labels = {name: tuple(strings) for name, strings in data.get("labels", {}).items()}
        counts = data.get("decisions")
        compared, differing = (0, 0) if counts is None else counts
        decisions = None if counts is None else (int(compared), int(differing))
        made = {"layers": layers, "unread": unread, "labels": labels, "decisions": decisions}
        report = Report(**{**data, **made})
        if not all(isinstance(name, str) for name in unread):
            raise TypeError("a name of an input is no text")
        _refuse_kinds(report)
        for layer in layers:
            _refuse_kinds(layer)
        if not all(type(count) is int for count in report.operators.values()):
            raise TypeError("an operator's count is no integer")
        if not all(isinstance(text, str) for texts in labels.values() for text in texts):
            raise TypeError("a label is no string")
        return report

    def text(self) -> str:
        """The report for people, some 80 columns wide."""
        before = ", ".join(
            f"{count} {_operator(name)}" for name, count in sorted(self.operators.items())
        )
        ops = sum(layer.ops for layer in self.layers)
        activations, weights = _bytes(self.committed_bytes), _bytes(self.weight_bytes)
        lines = [
            f"program     {quoted(self.name)}: {self.parameters:,} parameters, {self.macs:,} MACs, "
            f"batch {self.batch}",
            f"operators   {before}  →  {ops} ops in {len(self.layers)} layers",
            f"commitment  {activations} a step, {weights} of weights",
            f"samples     {self.samples_5:,} gates at δ = 5 %, {self.samples_1:,} at 1 %, 128 bits",
            f"fidelity    {self._fidelity()}",
            *([DYNAMIC] if any("DynamicQuantize" in name for name in self.operators) else []),
            *self._unread(),
            *self._labels(),
            "",
            f"{'layer':<28} {'operator':<22} {'gates':>9} {'MACs':>12} {'SQNR':>8}",
        ]
        for layer in self.layers:
            quiet = "exact" if self.evaluated else "unknown"
            noise = quiet if layer.sqnr_db is None else f"{floored(layer.sqnr_db, 1)} dB"
            name, op = quoted(layer.name, 25), _operator(layer.op)
            lines.append(f"{name:<28} {op:<22} {layer.gates:>9,} {layer.macs:>12,} {noise:>8}")
        return "\n".join(lines)

    def _unread(self) -> list[str]:
        names = listed(self.unread)
        return [f"ignored     no output depends on input {names}"] if self.unread else []

    def _labels(self) -> list[str]:
        """A line for each output whose numbers stand for strings."""
        return [
            f"labels      {quoted(name)}: "
            + ", ".join(f"{n} {quoted(text, 20)}" for n, text in enumerate(texts[:LABELS_SHOWN]))
            + (f" and {len(texts) - LABELS_SHOWN} more" if len(texts) > LABELS_SHOWN else "")
            for name, texts in self.labels.items()
        ]

    def _fidelity(self) -> str:
        noises = {layer.name: layer.sqnr_db for layer in self.layers}
        worst = noises.get(self.worst) if self.worst is not None else None
        if not self.evaluated:
            return "not measured, as there was no data"
        parts = [f"on {counted(self.evaluated)}"]
        if worst is not None:
            parts.insert(0, f"worst layer {quoted(self.worst)} with {floored(worst, 1)} dB")
        if self.decisions is not None:
            compared, differing = self.decisions
            parts.insert(0, f"{differing:,} of {compared:,} comparisons of trees differ")
        if self.top1 is not None:
            parts.insert(0, f"top-1 agrees in {floored(self.top1, 4):.2%}")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return self.text()


def _refuse_kinds(part: Report | LayerReport) -> None:
    """Raise TypeError where a field is not of its type: whoever wrote the file chose its values."""
    for field in fields(part):
        value, kinds = getattr(part, field.name), _KINDS.get(str(field.type), (object,))
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(f"{field.name} is a {type(value).__name__}")
        if "float" in str(field.type) and isinstance(value, int | float) and not abs(value) < 1e15:
            raise TypeError(f"{field.name} is no finite number")


_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "str": (str,),
    "str | None": (str, NoneType),
    "float | None": (int, float, NoneType),
}


def report(
    source: Graph,
    written: Graph,
    checked: Checked,
    layers: Sequence[Layer],
    fidelity: Fidelity,
    labels: Mapping[str, tuple[str, ...]] | None = None,
) -> Report:
    """Assemble the report of a compiled graph.

    `source` is as read, before anything was fused; `written` has its parameters as floats.
    """
    program = checked.program
    rows = tuple(_layer(checked, layer, fidelity) for layer in layers)
    noisy = [row for row in rows if row.sqnr_db is not None]
    worst = min(noisy, key=lambda row: row.sqnr_db or 0.0, default=None)
    used = {name for node in written.nodes for name in node.inputs if name in written.constants}
    weights = [written.constants[name] for name in used]
    tensors = program.tensors
    return Report(
        name=program.name,
        batch=source.batch,
        operators=dict(Counter(node.op for node in source.nodes)),
        layers=rows,
        parameters=sum(array.size for array in weights if array.dtype.kind == "f"),
        macs=sum(row.macs for row in rows),
        committed_bytes=sum(
            tensors[t].size * tensors[t].width for t in program.of_role(Role.INPUT, Role.VALUE)
        ),
        weight_bytes=sum(tensors[t].size * tensors[t].width for t in program.of_role(Role.WEIGHT)),
        samples_5=samples_at(50_000, checked),
        samples_1=samples_at(10_000, checked),
        evaluated=fidelity.samples,
        worst=None if worst is None else worst.name,
        top1=fidelity.top1,
        unread=tuple(sorted(source.unread)),
        labels=dict(labels or {}),
    )


def samples_at(ppm: int, checked: Checked) -> int:
    """Gates drawn by weight at a bound δ, in parts per million, for a step without padding."""
    return sample_count(ppm, checked.live_macs, checked.weights.step_weight, BITS)


def _layer(checked: Checked, layer: Layer, fidelity: Fidelity) -> LayerReport:
    ops = [checked.program.ops[c] for c in layer.ops]
    noise = fidelity.sqnr.get(layer.name, math.inf)
    return LayerReport(
        name=layer.name,
        op=layer.op,
        ops=len(ops),
        gates=sum(gates(op) for op in ops),
        macs=sum(gates(op) * products(op) for op in ops if isinstance(op, Dot)),
        sqnr_db=round(max(noise, -999.0), 2) if math.isfinite(noise) or noise < 0 else None,
    )


def _bytes(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def _operator(name: str) -> str:
    """Operators that compile have plain names; anything else stands between quotes."""
    name = name.removeprefix("ai.onnx.ml.")
    plain = name.isascii() and name.replace("+", "").isalnum() and len(name) <= 22
    return name if plain else quoted(name, 19)
