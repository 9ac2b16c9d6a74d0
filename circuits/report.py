"""What compilation did, in numbers: sizes, fidelity layer by layer, the cost of a receipt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..verifier.program.checked import Checked
from ..verifier.program.operands import products
from ..verifier.program.types import Dot, gates
from ..verifier.quoting import listed, quoted
from ..verifier.sampling import sample_count
from .widening import Widening, committed, weight_bytes
from .wording import counted, floored

if TYPE_CHECKING:  # whoever reads a report needs no compiler
    from .builder import Layer
    from .evaluate import Fidelity
    from .graph import Graph
    from .spread import OutputError

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
class OutputReport:
    """How far one output is from the floats, in its own units.

    `low` and `high` is what the floats were; `channels` has those with the largest mean error:
    number, mean error, worst error, width of the floats' range. `top1` is the share of equal
    classes, where it has classes.
    """

    name: str
    sqnr_db: float | None
    mean_error: float
    worst_error: float
    low: float
    high: float
    top1: float | None
    channels: tuple[tuple[int, float, float, float], ...]

    def text(self) -> str:
        """The errors in words."""
        noise = "exact" if self.sqnr_db is None else f"{floored(self.sqnr_db, 1)} dB"
        width = self.high - self.low
        parts = [noise, f"mean error {self.mean_error:.3g}", f"worst {self.worst_error:.3g}"]
        if width > 0.0:
            parts[-1] += f" ({self.worst_error / width:.2%} of its range)"
        if self.top1 is not None:
            parts.append(f"top-1 agrees in {floored(self.top1, 4):.2%}")
        return ", ".join(parts)

    def worst_channel(self) -> str:
        """The same of its worst channel; empty where it has one channel."""
        if not self.channels:
            return ""
        channel, mean, _, span = self.channels[0]
        of = f" ({mean / span:.2%} of its range)" if span > 0.0 else ""
        return f"worst channel {channel}: mean error {mean:.3g}{of}"


@dataclass(frozen=True)
class Report:
    """The report of `compile`; sizes are per step of `batch` items.

    `samples` counts sampled gates at δ = 5 % and 1 % (one step, 128 bits); `worst` names the layer
    with the least SQNR; `top1` is the least share, among the outputs, of equal classes of integers
    and floats (None: no output has classes). `unread` are the inputs on whose values no output
    depends: the program does not have them. `labels` are the strings that an output's numbers stand
    for; `decisions` counts comparisons of trees, and those that differ from floats.

    `basis` says which data that was; `outputs` their errors, `accuracy` the share of right classes
    in floats and integers, where there were labels; `saturated` the share of floats outside of what
    inputs and layers can hold; `precision` what has more than 8 bits; `missed` what was asked for
    and is not reached.
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
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    decisions: tuple[int, int] | None = None
    basis: str = "the calibration data"
    outputs: tuple[OutputReport, ...] = ()
    accuracy: tuple[float, float] | None = None
    saturated: Mapping[str, float] = field(default_factory=dict)
    precision: Widening | None = None
    missed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON-ready object."""
        plain = {
            "operators": dict(self.operators),
            "saturated": dict(self.saturated),
            "labels": {name: list(strings) for name, strings in self.labels.items()},
            "decisions": None if self.decisions is None else list(self.decisions),
        }
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
        outputs = tuple(_output_from_json(each) for each in data.get("outputs", ()))
        made: dict[str, Any] = {"layers": layers, "outputs": outputs}
        made |= {"unread": unread, "labels": labels, "decisions": decisions}
        accuracy, precision = data.get("accuracy"), data.get("precision")
        made["accuracy"] = None if accuracy is None else _numbers(accuracy, 2)
        made["precision"] = None if precision is None else Widening.from_json(precision)
        made["missed"] = tuple(str(each) for each in data.get("missed", ()))
        report = Report(**{**data, **made})
        if not all(isinstance(name, str) for name in unread):
            raise TypeError("a name of an input is no text")
        _refuse_kinds(report)
        _numbers(list(report.saturated.values()), len(report.saturated))
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
            *self._accuracy(),
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
        parts = [f"on {counted(self.evaluated)} ({_plain(self.basis)})"]
        if worst is not None:
            parts.insert(0, f"worst layer {quoted(self.worst)} with {floored(worst, 1)} dB")
        if self.decisions is not None:
            compared, differing = self.decisions
            parts.insert(0, f"{differing:,} of {compared:,} comparisons of trees differ")
        if self.top1 is not None:
            parts.insert(0, f"top-1 agrees in {floored(self.top1, 4):.2%}")
        return ", ".join(parts)

    def _accuracy(self) -> list[str]:
        """Lines about outputs, accuracy, saturation, bits, and what is not reached."""
        lines = []
        for each in self.outputs:
            lines.append(f"output      {quoted(each.name)}: {each.text()}")
            lines += [f"            {channel}"] if (channel := each.worst_channel()) else []
        if self.accuracy is not None:
            floats, integers = (floored(share, 4) for share in self.accuracy)
            lines.append(f"accuracy    {floats:.2%} in floats, {integers:.2%} in integers")
        worst = sorted(self.saturated.items(), key=lambda item: -item[1])[:SHOWN]
        seen = [f"{quoted(name)} {share:.2%}" for name, share in worst if share >= LITTLE]
        if seen:
            lines.append(f"saturated   {', '.join(seen)} of the values")
        if self.precision is not None:
            lines.append(f"precision   {self.precision.text()}")
        return lines + [f"NOT REACHED {_plain(each)}" for each in self.missed]

    def __repr__(self) -> str:
        return self.text()


SHOWN, LITTLE = 4, 0.0005
"""Saturated values that the text names, and from which share on."""


def _plain(text: str) -> str:
    """What we write ourselves, without quotes; what a stranger wrote, as it is quoted."""
    return quoted(text, 200)[1:-1]


def _output_from_json(data: Mapping[str, Any]) -> OutputReport:
    channels = tuple(_channel(each) for each in data["channels"])
    found = OutputReport(**{**data, "channels": channels})
    _refuse_kinds(found)
    return found


def _channel(data: Any) -> tuple[int, float, float, float]:
    number, *rest = data
    if type(number) is not int:
        raise TypeError("a channel is no number")
    mean, worst, width = _numbers(rest, 3)
    return number, mean, worst, width


def _numbers(data: Any, count: int) -> tuple[float, ...]:
    numbers = tuple(data)
    if len(numbers) != count or not all(type(each) in (int, float) for each in numbers):
        raise TypeError("numbers that are none")
    return numbers


def _refuse_kinds(part: Report | LayerReport | OutputReport) -> None:
    """Raise TypeError where a field is not of its type: whoever wrote the file chose its values."""
    for each in fields(part):
        value, kinds = getattr(part, each.name), _KINDS.get(str(each.type), (object,))
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise TypeError(f"{each.name} is a {type(value).__name__}")
        if "float" in str(each.type) and isinstance(value, int | float) and not abs(value) < 1e15:
            raise TypeError(f"{each.name} is no finite number")


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
    labels: Mapping[str, tuple[str, ...]],
    basis: str,
    precision: Widening,
    missed: Sequence[str],
    decisions: tuple[int, int] | None = None,
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
    return Report(
        name=program.name,
        batch=source.batch,
        operators=dict(Counter(node.op for node in source.nodes)),
        layers=rows,
        parameters=sum(array.size for array in weights if array.dtype.kind == "f"),
        macs=sum(row.macs for row in rows),
        committed_bytes=committed(program),
        weight_bytes=weight_bytes(program),
        samples_5=samples_at(50_000, checked),
        samples_1=samples_at(10_000, checked),
        evaluated=fidelity.samples,
        worst=None if worst is None else worst.name,
        top1=fidelity.top1,
        unread=tuple(sorted(source.unread)),
        labels=dict(labels),
        decisions=decisions,
        basis=basis,
        outputs=tuple(_output(name, error, fidelity) for name, error in fidelity.outputs.items()),
        accuracy=fidelity.accuracy,
        saturated=dict(fidelity.saturated),
        precision=precision,
        missed=tuple(missed),
    )


def _output(name: str, error: OutputError, fidelity: Fidelity) -> OutputReport:
    return OutputReport(
        name=name,
        sqnr_db=error.sqnr_db,
        mean_error=error.mean,
        worst_error=error.worst,
        low=error.low,
        high=error.high,
        top1=fidelity.agreement.get(name),
        channels=error.channels,
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
