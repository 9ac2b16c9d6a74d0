"""Is this compiled model that ONNX file, and does it do on my data what the floats do?

The program and the weights follow from the ONNX file and the ranges recorded in the compiled model.
The ranges are a choice of whoever compiled it, and so is what its report says: a range that is far
too wide makes a network deaf to its input, and nothing about program and weights tells. Only data
of the checker's own can: the ranges are then calibrated again, and the integers compared with the
floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..verifier.errors import ProgramMismatch, UsageError
from ..verifier.notebook import rows_of, table
from ..verifier.program.types import Role
from ..verifier.quoting import listed, quoted
from . import native
from .arguments import shown
from .calibrate import METHODS, Feeds, Range, calibrate, covered, feeds, samples
from .compile import Built, Data, build, needed, open_network, prepare, settled
from .corrections import refuse_unknown
from .decisions import misturned, unknown_turns
from .errors import BadModelFile, CalibrationMismatch, named
from .evaluate import Fidelity, compare
from .graph import Graph
from .masks import Scores
from .model import CompiledModel, Record
from .ops import OPERATORS
from .source import ModelLike
from .states import asked_for
from .unlike import divided_by
from .wording import counted, floored

LISTED = 8
"""Ranges that a refusal names."""

MIN_TOP1 = 0.9
"""Least top-1 agreement where none is asked for."""


@dataclass(frozen=True)
class Tolerances:
    """How far a compiled model may be from the checker's data.

    Args:
        factor: times that a recorded range may be wider or narrower than the checker's; 4 is two
            of the eight bits.
        covered: least share of the checker's values that a recorded range must hold.
        top1_below_claim: how far the top-1 agreement may fall below the one claimed, beside one
            sample; the accuracy of integers below that of floats, likewise.
        min_top1: least top-1 agreement, whatever is claimed; asking for one refuses models without
            classes (None: 0.9, where there are classes).
        sqnr_below_claim: dB that the worst layer may fall below the worst one claimed.
        min_sqnr: least dB of the worst layer, whatever is claimed.

    Raises:
        UsageError: a number outside its range.
    """

    factor: float = 4.0
    covered: float = 0.99
    top1_below_claim: float = 0.05
    min_top1: float | None = None
    sqnr_below_claim: float = 10.0
    min_sqnr: float = 6.0

    def __post_init__(self) -> None:
        shares = (self.covered, self.top1_below_claim, self.floor_top1)
        numbers = (self.factor, self.min_sqnr, self.sqnr_below_claim)
        fits = self.factor >= 1 and all(0 <= share <= 1 for share in shares)
        if not fits or not all(map(math.isfinite, numbers)):
            raise UsageError(
                "tolerances are out of range",
                expected="a factor of at least 1, shares between 0 and 1, a finite number of dB",
                received=self,
            )

    @property
    def floor_top1(self) -> float:
        """The least top-1 agreement that holds, asked for or not."""
        return MIN_TOP1 if self.min_top1 is None else self.min_top1

    def to_json(self) -> dict[str, float]:
        """What holds, asked for or not, as one JSON-ready object."""
        return {**vars(self), "min_top1": self.floor_top1}


@dataclass(frozen=True)
class RangeCheck:
    """One value: the recorded range and the checker's, both widened to hold 0.0, as codes are.

    `covered` is the share of the checker's values inside the recorded range.
    """

    name: str
    recorded: Range
    yours: Range
    covered: float

    @property
    def ratio(self) -> float | None:
        """The recorded width over the checker's; None if that is 0: any range holds zeros."""
        recorded, yours = (high - low for low, high in (self.recorded, self.yours))
        return recorded / yours if yours else None

    def holds(self, tolerances: Tolerances) -> bool:
        """Whether it is near enough to the checker's."""
        factor = tolerances.factor
        near = self.ratio is None or 1 / factor <= self.ratio <= factor
        return near and self.covered >= tolerances.covered

    def text(self) -> str:
        """The comparison in words."""
        recorded, yours = (f"[{low:.4g}, {high:.4g}]" for low, high in (self.recorded, self.yours))
        times = "" if self.ratio is None else f", {self.ratio:.3g} times as wide"
        return (
            f"value {quoted(self.name)}: recorded {recorded}, yours {yours}{times}; "
            f"it holds {floored(self.covered, 4):.2%} of your values"
        )


@dataclass(frozen=True)
class FidelityCheck:
    """The integers against the floats in onnxruntime, on the checker's samples.

    What is `claimed` stands in the compiled model's report, free text of whoever compiled it.
    `agreement` is the share of equal classes for each output that has classes, and `top1` the least
    of them (None: no output has). `worst` is the layer with the least SQNR (None: no layer has
    noise); `accuracy` that of floats and of integers, where labels were given.
    """

    samples: int
    agreement: Mapping[str, float]
    claimed_top1: float | None
    worst: str | None
    sqnr_db: float | None
    claimed_sqnr_db: float | None
    accuracy: tuple[float, float] | None

    @property
    def top1(self) -> float | None:
        """The least share of equal classes among the outputs."""
        return min(self.agreement.values(), default=None)

    def least_top1(self, tolerances: Tolerances) -> float:
        """The least top-1 agreement that holds; one sample does not decide against a claim."""
        margin = tolerances.top1_below_claim + 1 / self.samples
        return max(tolerances.floor_top1, (self.claimed_top1 or 0.0) - margin)

    def least_sqnr(self, tolerances: Tolerances) -> float:
        """The least SQNR of the worst layer that holds, in dB."""
        claimed = self.claimed_sqnr_db
        below = -math.inf if claimed is None else claimed - tolerances.sqnr_below_claim
        return max(tolerances.min_sqnr, below)

    def holds(self, tolerances: Tolerances) -> bool:
        """Whether the integers are near enough to the floats, and to what is claimed."""
        if self.top1 is None:  # a claim about classes that do not exist cannot be borne out
            agrees = self.claimed_top1 is None
        else:
            agrees = self.top1 >= self.least_top1(tolerances)
        quiet = self.sqnr_db is None or self.sqnr_db >= self.least_sqnr(tolerances)
        lost = 0.0 if self.accuracy is None else self.accuracy[0] - self.accuracy[1]
        return agrees and quiet and lost <= tolerances.top1_below_claim + 1 / self.samples

    def text(self) -> str:
        """What was measured, in words."""
        parts = [_fidelity_text(self.top1, self.worst, self.sqnr_db)]
        if self.top1 is None:
            parts.insert(0, "no output has classes")
        elif len(self.agreement) > 1:
            least = min(self.agreement, key=lambda name: self.agreement[name])
            parts.append(f"least top-1 in output {quoted(least)}")
        if self.accuracy is not None:
            floats, integers = (floored(share, 4) for share in self.accuracy)
            parts.append(f"accuracy {floats:.2%} in floats and {integers:.2%} in integers")
        return ", ".join(parts)

    def claimed(self) -> str:
        """What the report claims, in words."""
        return _fidelity_text(self.claimed_top1, None, self.claimed_sqnr_db)

    def demanded(self, tolerances: Tolerances) -> str:
        """What must be reached, in words."""
        parts = [f"worst layer at least {self.least_sqnr(tolerances):.1f} dB"]
        if self.top1 is not None:
            parts.insert(0, f"top-1 at least {self.least_top1(tolerances):.2%}")
        elif self.claimed_top1 is not None:
            parts.insert(0, "no claim of a top-1, as no output has classes")
        if self.accuracy is not None:
            lost = f"{tolerances.top1_below_claim:.0%} and a sample"
            parts.append(f"accuracy at most {lost} below that of the floats")
        return ", ".join(parts)


@dataclass(frozen=True)
class ModelCheck:
    """What `check_model` found to hold. What was not checked is None, and its sentence says so."""

    model_id: str
    program_id: str
    public: bool
    record: Record
    tolerances: Tolerances
    range_samples: int | None
    ranges: tuple[RangeCheck, ...] | None
    fidelity: FidelityCheck | None

    def sentence(self) -> str:
        """The verdict in one sentence."""
        turns = sum(map(len, self.record.turned.values()))
        layers = len(self.record.means)
        more = [f"{turns} turned conditions of trees"] if turns else []
        more += [f"mean inputs of {layers} layers, for their biases"] if layers else []
        also = f" (and {' and '.join(more)})" if more else ""
        follows = (
            f"program and weights follow from the ONNX file and the ranges{also} recorded in the "
            "compiled model, a choice of whoever compiled it; "
        )
        if self.ranges is None and self.fidelity is None:
            return follows + "whether the ranges fit your data was not checked"
        if self.ranges is None:
            return f"{follows}{self._fidelity()}; the ranges were not calibrated again"
        if self.fidelity is None:
            clamped = _percent(1 - self.tolerances.covered)
            unmeasured = (
                "how near the integers are to the floats was not measured, and up to "
                f"{clamped} of a value's elements may be clamped"
            )
            return f"{follows}{self._ranges()}; {unmeasured}"
        return f"{follows}{self._ranges()}, and {self._fidelity()}"

    def text(self) -> str:
        """The verdict with its numbers, one line each."""
        record = self.record
        sizes = [f"{name}={size}" for name, size in sorted(record.dims.items())]
        sizes += [f"{name}={list(axes)}" for name, axes in sorted(record.shapes.items())]
        given = f"sizes {listed(sizes)}, " if sizes else ""
        percentile = f" {record.percentile}" if record.method == "percentile" else ""
        lines = [
            self.sentence(),
            f"model id   {self.model_id} ({'public' if self.public else 'private'})",
            f"program id {self.program_id}",
            f"recorded   by whoever compiled it: name {quoted(record.name)}, batch {record.batch}, "
            f"{given}{self._fixed()}{self._states()}ranges by {quoted(record.method)}{percentile}, "
            f"exact {listed(record.exact)}",
        ]
        if self.ranges:
            lines += [f"ranges     {line}" for line in self._extremes()]
        if self.fidelity is not None:
            lines += [
                f"fidelity   {self.fidelity.text()}",
                f"demanded   {self.fidelity.demanded(self.tolerances)}",
                f"claimed    by whoever compiled it: {self.fidelity.claimed()}",
            ]
        return "\n".join(lines)

    def _fixed(self) -> str:
        names = listed(sorted(self.record.fixed))
        return f"constant inputs {names}, " if self.record.fixed else ""

    def _states(self) -> str:
        record = self.record
        links = [f"{n} from {out}" for n, out in sorted(record.states.items())]
        starts = [f"{n}={value:g}" for n, value in sorted(record.initial.items())]
        return f"states {listed(links)} that start with {listed(starts)}, " if links else ""

    def to_json(self) -> dict[str, Any]:
        """The verdict as one JSON-ready object; null is what was not checked."""
        record, fidelity = self.record, self.fidelity
        return {
            "model_id": self.model_id,
            "program_id": self.program_id,
            "public": self.public,
            "follows": True,
            "ranges_fit": None if self.ranges is None else True,
            "fidelity_holds": None if fidelity is None else True,
            "sentence": self.sentence(),
            "recorded": {
                "by": "whoever compiled it",
                "name": record.name,
                "batch": record.batch,
                "dims": dict(record.dims),
                "shapes": {name: list(axes) for name, axes in record.shapes.items()},
                "fixed": dict(record.fixed),
                "method": record.method,
                "percentile": record.percentile,
                "exact": list(record.exact),
                "states": dict(record.states),
                "initial": dict(record.initial),
                "corrected": sorted(record.means),
                "turned": {name: list(numbers) for name, numbers in record.turned.items()},
            },
            "tolerances": self.tolerances.to_json(),
            "range_samples": self.range_samples,
            "ranges": None if self.ranges is None else [_range_json(r) for r in self.ranges],
            "fidelity": None if fidelity is None else _fidelity_json(fidelity),
        }

    def __repr__(self) -> str:
        return f"<ModelCheck: {self.text()}>"

    def _repr_html_(self) -> str:
        return table("Model check", rows_of(self.text()))

    def _ranges(self) -> str:
        return (
            f"on your {counted(self.range_samples or 0)} these ranges are at most "
            f"{self.tolerances.factor:g} times wider or narrower than yours and hold at least "
            f"{_percent(self.tolerances.covered)} of your values"
        )

    def _fidelity(self) -> str:
        assert self.fidelity is not None
        same = f"on your {counted(self.fidelity.samples)} the integers do what the floats do"
        if self.fidelity.top1 is not None:
            return same
        return f"{same} layer by layer, while no classes were compared, as no output has classes"

    def _extremes(self) -> list[str]:
        """The widest, the narrowest and the least covering range."""
        ranges = self.ranges or ()
        sized = sorted((r for r in ranges if r.ratio is not None), key=lambda r: r.ratio or 0.0)
        least = min(ranges, key=lambda r: r.covered)
        shown = [*sized[-1:], *sized[:1], least]
        return [entry.text() for entry in dict.fromkeys(shown)]


def check_model(
    model: ModelLike,
    compiled: CompiledModel,
    *,
    calibration: Data | None = None,
    evaluation: Data | None = None,
    labels: npt.ArrayLike | None = None,
    tolerances: Tolerances | None = None,
) -> ModelCheck:
    """Recompile an ONNX model as recorded, compare every bit, and judge the ranges on own data.

    Args:
        model: the ONNX model that the checker has.
        compiled: the compiled model in question; its ranges and its report are its maker's words.
        calibration: typical inputs of the checker: ranges are calibrated on them by the recorded
            method, and compared with the recorded ones.
        evaluation: inputs of the checker on which integers and floats are compared.
        labels: the right classes of `evaluation` in the first output, one integer a row of classes,
            to compare accuracy too.
        tolerances: what still holds.

    Returns:
        What was checked, and holds.

    Raises:
        ProgramMismatch: `verify.program-mismatch`; `verify.model-mismatch` naming a weight.
        CalibrationMismatch: `check.ranges`, `check.decisions`, `check.fidelity`: it does not fit
            the checker's data.
        UsageError, CompileError: the ONNX model cannot be read or compiled with these ranges; data
            that does not fit, or tests nothing; floats that become NaN or infinite on it.
        BadModelFile: the recorded method is unknown, or a condition that it turns.
    """
    if not isinstance(compiled, CompiledModel):
        raise UsageError(
            "this is no compiled model", expected="zktally.load(path)", received=shown(compiled)
        )
    if labels is not None and evaluation is None:
        raise UsageError("labels are about evaluation data", hint="give both")
    tolerances = tolerances or Tolerances()
    record = compiled.record
    states = asked_for(record.states, record.initial)
    network = open_network(model, record.dims, record.shapes, record.fixed, states)
    source, graph = settled(*prepare(network, record.batch, record.name), record.ranges)
    graph = divided_by(graph, record.columns)
    refuse_unknown(graph, record.means)
    _refuse_unknown_turns(graph, record)
    built = build(graph, record)
    _refuse_other(built, compiled)
    given = None if calibration is None else _own(source, calibration)
    tested = None if evaluation is None else _own(source, evaluation)
    ranges = None if given is None else _check_ranges(source, graph, record, given, tolerances)
    for own in (given, tested):
        if own is not None:
            _refuse_turns(graph, built, record, own)
    truth = None if labels is None else np.asarray(labels)
    return ModelCheck(
        model_id=compiled.model_id.hex(),
        program_id=compiled.program_id.hex(),
        public=compiled.public,
        record=record,
        tolerances=tolerances,
        range_samples=None if given is None else samples(source, given),
        ranges=ranges,
        fidelity=None
        if tested is None
        else _check_fidelity(graph, built, compiled, tested, truth, tolerances),
    )


def _refuse_other(built: Built, compiled: CompiledModel) -> None:
    """Refuse a program or weights that do not follow from the ONNX model as recorded."""
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
                f"the ONNX model has another weight {quoted(name)} at {list(at)}",
                code="verify.model-mismatch",
                expected=ours[at],
                received=theirs[at],
            )


def _refuse_unknown_turns(graph: Graph, record: Record) -> None:
    """Refuse conditions of trees that are recorded as turned, and do not exist."""
    unknown = unknown_turns(graph, record.turned)
    if unknown:
        raise BadModelFile(
            f"bad model file: its record turns conditions that node {quoted(unknown[0])} has not",
            expected="numbers of conditions of its trees, ascending",
            received=list(record.turned[unknown[0]])[:LISTED],
        )


def _refuse_turns(graph: Graph, built: Built, record: Record, data: Feeds) -> None:
    """Refuse conditions of trees that the data turns, and the record does not, or the reverse."""
    found = misturned(graph, built.values, data, record.turned)
    if found:
        more = [f"and {len(found) - LISTED} more"] if len(found) > LISTED else []
        raise CalibrationMismatch(
            "conditions of trees do not decide on your data as they can:\n  "
            + "\n  ".join([turn.text() for turn in found[:LISTED]] + more),
            code="check.decisions",
            expected="turned where more of your values at a threshold's place on the grid lie on "
            "its other side, and nowhere else",
            hint="compile with calibration data of this use; a condition that is turned for no "
            "reason decides wrongly for values that equal its threshold",
        )


def _own(source: Graph, data: Data) -> Feeds:
    """The checker's data, checked; none at all would show nothing."""
    checked = feeds(source, data)
    if not samples(source, checked):
        raise UsageError("the data is empty", code="usage.input", expected="at least one sample")
    if all(_constant(source, name, array) for name, array in checked.items()):
        raise UsageError(
            "the data is constant, which tests nothing",
            code="usage.input",
            expected="samples that differ, and elements that do",
        )
    return checked


def _constant(source: Graph, name: str, array: npt.NDArray[Any]) -> bool:
    """Whether all elements of an input are the same, or all of its samples, if it has several."""
    rows = array.reshape(len(array), -1)
    return bool((rows == rows[0, 0]).all() or (len(rows) > 1 and (rows == rows[0]).all()))


def _refuse_untested(measured: Fidelity, tolerances: Tolerances) -> None:
    """Refuse to judge what the data, or the model, does not show."""
    # A layer that is zero on all data occurs in trained networks; if all are, nothing was tested.
    if measured.silent and len(measured.silent) == len(measured.sqnr):
        raise UsageError(
            f"on your data all values of layer {quoted(measured.silent[0])} and of all others are "
            "zero, which tests nothing",
            code="usage.input",
            expected="samples on which the network does something",
        )
    if tolerances.min_top1 is not None and measured.top1 is None:
        raise UsageError(
            "a least top-1 is asked for, but no output of the model has classes",
            expected="an output of class indices, or of scores along a last axis of at least two",
        )


def _check_ranges(
    source: Graph, graph: Graph, record: Record, data: Feeds, tolerances: Tolerances
) -> tuple[RangeCheck, ...]:
    """Compare the recorded ranges with those of the data; refuse what is too far off."""
    if record.method not in METHODS or not 50.0 < record.percentile <= 100.0:
        raise BadModelFile(
            "bad model file: its ranges come from no known calibration",
            expected=f"{' or '.join(METHODS)}, a percentile above 50 and at most 100",
            received=f"{named(record.method)}, {record.percentile}",
        )
    recorded = {name: record.ranges[name] for name in needed(graph) & set(record.ranges)}
    scores = Scores(graph, OPERATORS)
    yours = calibrate(source, recorded, data, record.method, record.percentile, scores)
    inside = covered(source, recorded, data, scores)
    found = tuple(
        RangeCheck(name, _with_zero(recorded[name]), _with_zero(yours[name]), inside[name])
        for name in sorted(recorded)
    )
    bad = [entry for entry in found if not entry.holds(tolerances)]
    if bad:
        more = [f"and {len(bad) - LISTED} more"] if len(bad) > LISTED else []
        lines = [entry.text() for entry in bad[:LISTED]]
        raise CalibrationMismatch(
            f"{len(bad)} of {len(found)} recorded ranges do not fit your data:\n  "
            + "\n  ".join(lines + more),
            code="check.ranges",
            expected=f"ranges at most {tolerances.factor:g} times wider or narrower than those of "
            f"your data, with at least {_percent(tolerances.covered)} of your values inside",
            hint="compile with calibration data of this use; a network whose ranges are far too "
            "wide is deaf to its input",
        )
    return found


def _with_zero(span: Range) -> Range:
    """The range as codes have it: 0.0 always has an integer."""
    return min(span[0], 0.0), max(span[1], 0.0)


def _check_fidelity(
    graph: Graph,
    built: Built,
    compiled: CompiledModel,
    data: Feeds,
    labels: npt.NDArray[Any] | None,
    tolerances: Tolerances,
) -> FidelityCheck:
    """Compare integers and floats on all of the data; refuse what falls below floor or claim."""
    count = samples(graph, data)
    measured = compare(
        graph,
        built.checked.program,
        built.weights,
        built.layers,
        built.values,
        data,
        count,
        native.executor(built.checked, built.weights),
        labels,
    )
    _refuse_untested(measured, tolerances)
    noisy = {name: db for name, db in measured.sqnr.items() if db != math.inf}
    worst = min(noisy, key=lambda name: noisy[name], default=None)
    report = compiled.report
    claimed = [layer.sqnr_db for layer in report.layers if layer.sqnr_db is not None]
    found = FidelityCheck(
        samples=measured.samples,
        agreement=dict(measured.agreement),
        claimed_top1=report.top1,
        worst=worst,
        sqnr_db=None if worst is None else max(noisy[worst], -999.0),
        claimed_sqnr_db=min(claimed, default=None),
        accuracy=measured.accuracy,
    )
    if not found.holds(tolerances):
        raise CalibrationMismatch(
            f"on your {counted(count)} the integers do not do what the floats do",
            code="check.fidelity",
            expected=f"{found.demanded(tolerances)} (its maker claims {found.claimed()})",
            received=found.text(),
            hint="compile with calibration data of this use, or state what you accept",
        )
    return found


def _fidelity_text(top1: float | None, worst: str | None, sqnr_db: float | None) -> str:
    parts = [] if top1 is None else [f"top-1 agrees in {floored(top1, 4):.2%}"]
    named = "" if worst is None else f" {quoted(worst)}"
    noise = "no layer has noise"
    if sqnr_db is not None:
        noise = f"worst layer{named} with {floored(sqnr_db, 1)} dB"
    return ", ".join([*parts, noise])


def _percent(share: float) -> str:
    """A tolerance as it was given, without rounding 99.5 % to 100 %."""
    return f"{100 * share:.6g}%"


def _range_json(entry: RangeCheck) -> dict[str, Any]:
    return {
        "name": entry.name,
        "recorded": list(entry.recorded),
        "yours": list(entry.yours),
        "ratio": entry.ratio,
        "covered": entry.covered,
    }


def _fidelity_json(fidelity: FidelityCheck) -> dict[str, Any]:
    accuracy = fidelity.accuracy
    return {
        "samples": fidelity.samples,
        "top1": fidelity.top1,
        "agreement": dict(fidelity.agreement),
        "worst": fidelity.worst,
        "sqnr_db": fidelity.sqnr_db,
        "accuracy": None if accuracy is None else {"floats": accuracy[0], "integers": accuracy[1]},
        "claimed": {"top1": fidelity.claimed_top1, "sqnr_db": fidelity.claimed_sqnr_db},
    }
