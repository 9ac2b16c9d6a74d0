"""ONNX in, integer program out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from ..verifier.errors import InvalidProgram, UsageError
from ..verifier.program.checked import Checked, check
from ..verifier.program.liveness import count_live
from ..verifier.program.operands import products
from ..verifier.program.ranges import ACC_MAX, abs_max, bounds, operand_range
from ..verifier.program.types import Dot, Program, Read
from ..verifier.program.validate import validate
from ..verifier.program.weights import gate_weights
from ..verifier.quoting import LONGEST
from . import native, qdq
from .arguments import mapping, names_of, real, whole
from .bits import INT8, Bits
from .builder import Layer, Range, Value
from .calibrate import Feeds, calibrate, feeds, length, missing
from .corrections import means
from .data import GIVEN, TOO_FEW, Parts, divided
from .decisions import decisions, turned
from .errors import CompileError, RangeOverflow, UnsupportedOp, named
from .evaluate import NOT_COMPARED, Executor, Fidelity, compare
from .fit import ROUNDS, narrowed, reduced, widened
from .fuse import fuse
from .graph import FLOATS, INTEGERS, Array, Carried, Graph, Network, Node
from .items import itemised, refuse_mixing
from .joins import parted
from .keys import master_key
from .loops import counted
from .lowering import Lowered, lower
from .magnitude import magnitudes
from .masks import Scores
from .model import CompiledModel, Record
from .operator import Operator
from .ops import OPERATORS
from .ops.composite import compose
from .precision import (
    MIN_AGREEMENT,
    MIN_SQNR,
    Asked,
    Goal,
    Precision,
    Tried,
    refuse,
    search,
)
from .qoperators import resolve
from .report import Report, report
from .sensitivity import Rounding, sensitivities
from .sizes import Axes
from .source import SIZES, ModelLike, computed, inputs, opset
from .source import operator as operator_of
from .spelled import recognised
from .states import States, asked_for, carried, wide
from .unlike import bits as bits_of_columns
from .unlike import divided_by, unlike
from .widening import Widening

EVALUATED = 64
EVALUATED_MACS = 5 * 10**10
"""Samples on which integers and floats are compared by default: so many, or as many as have so
many MACs in floats; but one step at least."""

EVALUATED_STEPS = 4096
"""Of a chain with states so many steps, but one sequence at least."""

WORTH = 0.5
"""dB that the worst output must gain for corrected biases to be worth it."""

Data = npt.ArrayLike | Mapping[str, npt.ArrayLike]


def compile(
    model: ModelLike,
    calibration: Data | None,
    *,
    batch: int = 1,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Axes] | None = None,
    fixed: Mapping[str, npt.ArrayLike] | None = None,
    states: States | None = None,
    initial: Mapping[str, float] | None = None,
    public: bool = False,
    method: str = "minmax",
    percentile: float = 99.99,
    exact: Iterable[str] | Literal["all"] = (),
    name: str | None = None,
    weights_key: bytes | None = None,
    evaluation: Data | None = None,
    evaluate: int | None = None,
    labels: npt.ArrayLike | None = None,
    precision: Precision = "auto",
    target_sqnr: float | None = None,
    max_drop: float | None = None,
    min_sqnr: float = MIN_SQNR,
    min_agreement: float = MIN_AGREEMENT,
    force: bool = False,
    executor: Executor | None = None,
) -> CompiledModel:
    """Compile a float model to an integer program, with 8 bits where they do and 16 where not.

    Args:
        model: an ONNX file, its bytes, or a loaded model.
        calibration: typical inputs, an array [n, ...] or a dict of them by input name. A model that
            is quantised already needs none if it gives the code of every value.
        batch: items of one step; the size of the inputs' dynamic first axis.
        dims: sizes of the inputs' other dynamic axes, by their names in the model.
        shapes: whole shapes of inputs, by input name; an axis 0 that is no number is the batch.
        fixed: inputs that are constants, by name: one number, or an array of the input's shape.
        states: inputs that the next step of a chain reads as what an output of this step was, with
            the names of these outputs. Data is then a sequence [steps, ...], or several of them
            [sequences, steps, ...], and all of a batch is one item.
        initial: what states hold before the first step, one number for each (default: 0).
        public: salt the weights with zero, so that anyone can recompute their root.
        method: `minmax`, `percentile` (values beyond it saturate), `mse` (the range in which a code
            has the least squared error) or `entropy` (in which it keeps most of the distribution).
        percentile: for that method, in percent.
        exact: names of ONNX nodes all of whose gates every receipt checks, or "all"; the ops that
            define outputs always are.
        name: name of the program (default: the graph's).
        weights_key: 32 random bytes (`secrets.token_bytes(32)`), to get the same model id again
            (default: from the OS). The salts follow from it, the program and the weights, so that
            one key serves for several models.
        evaluation: data to compare integers and floats on (default: the last fifth of the
            calibration data if it has at least 20 samples, on a program calibrated without it).
        evaluate: how many of its samples (default: 64, or fewer of a large model).
        labels: the right classes of `evaluation` in the first output, one integer a row of classes.
        precision: `int8`, `int16`, or `auto`: values and weights get 16 bits, the worst roundings
            first, until the program is as accurate as it must be.
        target_sqnr: dB that every output shall reach (default: `min_sqnr`).
        max_drop: points that the accuracy may lose, or without labels the agreement of classes.
        min_sqnr: least dB of an output, below which nothing is compiled.
        min_agreement: least share of equal classes, likewise.
        force: compile what is less accurate than that, and let the report say so.
        executor: runs the program for the comparison (default: the Rust core).

    Raises:
        UsageError: files, arguments, shapes of data.
        CompileError: what of the model cannot be compiled; UnsupportedOp lists all such nodes,
            RangeOverflow names the op whose bound does not fit, MixesItems the nodes that mix the
            items of a batch; Inaccurate: the integers do not do what the floats do.
    """
    whole(batch, "batch", 1)
    real(percentile, "percentile")
    sizes = "sizes by name, as {'N': 8}"
    for word, given, of in (
        ("dims", dims, sizes),
        ("shapes", shapes, "shapes by input, as {'x': (1, 8)}"),
        ("fixed", fixed, "values by input, as {'x': 0.5}"),
    ):
        if given is not None:
            mapping(given, word, of)
    for word, bound in (("min_sqnr", min_sqnr), ("min_agreement", min_agreement)):
        real(bound, word)
    asked = Asked(precision, target_sqnr, max_drop, min_sqnr, min_agreement, force)
    key = master_key(weights_key, public)
    network = open_network(model, dims, shapes, fixed, asked_for(states, initial))
    source, fused = prepare(network, batch, name)
    data = None if calibration is None else feeds(source, calibration)
    ranges: dict[str, Range] = {}
    if data is None:
        _refuse_uncoded(source, fused)
    else:
        ranges = _calibrated(source, fused, data, method, percentile)
    _refuse_mixing(network, fused, ranges)
    network.forget()
    source, fused = settled(source, fused, ranges)
    chosen = exact_nodes(fused, exact)
    record = Record(source.name, batch, method, float(percentile), chosen, ranges, *network.asked)
    record = replace(
        record,
        states={name: each.output for name, each in fused.states.items()},
        initial={name: each.start for name, each in fused.states.items()},
    )
    own = None if evaluation is None else feeds(source, evaluation)
    if calibration is not None:
        data = feeds(source, calibration)  # what an item is may have been settled since
    work = _Work(source, fused, record, divided(source, data, own), evaluate, labels, executor)
    tried, eight = work.choose(asked)
    record, built = work.whole(tried, data)
    if not force and tried.fidelity.samples:
        refuse(asked.goal, tried.fidelity, work.parts.basis)
    return CompiledModel.of(
        built.checked,
        built.weights,
        key,
        record,
        work.summary(network, record, built, tried.fidelity, eight, asked),
    )


def _calibrated(
    source: Graph, fused: Graph, data: Feeds, method: str, percentile: float
) -> dict[str, Range]:
    named = replace(source, codes=fused.codes)  # what scores follow from may be a value with a code
    return calibrate(named, needed(fused), data, method, percentile, Scores(fused, OPERATORS))


def evaluated(checked: Checked, length: int = 1) -> int:
    """Samples to compare integers and floats on, where nobody says how many.

    Of a chain with states these are sequences of so many steps.
    """
    batch = checked.program.batch
    steps = max(EVALUATED_MACS // max(checked.weights.step_macs, 1), 1)
    if checked.program.states:
        steps = min(steps, EVALUATED_STEPS)
    return max(min(EVALUATED, steps * batch // length), 1)


@dataclass(frozen=True)
class _Made:
    """A program that was tried, and the record that it is built by."""

    record: Record
    built: Built


class _Work:
    """Programs of one graph with more or fewer bits, compared with the floats."""

    def __init__(
        self,
        source: Graph,
        fused: Graph,
        record: Record,
        parts: Parts,
        limit: int | None,
        labels: npt.ArrayLike | None,
        executor: Executor | None,
    ) -> None:
        self._source, self.fused, self._record = source, fused, record
        self.parts, self._limit, self._executor = parts, limit, executor
        self._least = wide(fused)
        self._labels = None if labels is None else np.asarray(labels)
        self._ranges = record.ranges
        if parts.held_back and parts.calibrated is not None:
            again = _calibrated(source, fused, parts.calibrated, record.method, record.percentile)
            whole = {name for name in source.inputs if not source.is_float(name)}
            self._ranges = again | {name: record.ranges[name] for name in whole}

    def summary(
        self,
        network: Network,
        record: Record,
        built: Built,
        fidelity: Fidelity,
        eight: Built,
        asked: Asked,
    ) -> Report:
        """What was done, in numbers: `fidelity` on data, `eight` the program of 8 bits."""
        bits = Bits(record.bits, record.weight_bits)
        counts = len(built.coded), len(built.weighed)
        made, tested = None, self.parts.tested
        if tested is not None:
            made = decisions(self.fused, built.values, tested, record.turned)
        return report(
            self._source,
            self.fused if self._source.source.quantised else self._source,
            built.checked,
            built.layers,
            fidelity,
            network.source.labels,
            self.parts.basis,
            Widening.of(built.checked, eight.checked, bits, *counts),
            asked.goal.missed(fidelity) if fidelity.samples else [],
            None if made is None else (made.compared, made.differing),
        )

    def choose(self, asked: Asked) -> tuple[Tried[_Made], Built]:
        """The program to make, and the one of 8 bits."""
        if self._labels is not None and self.parts.basis != GIVEN:
            raise UsageError("labels are about evaluation data", hint="give both")
        eight = self._narrow(asked)
        if eight is not None:
            if eight.fidelity.samples:
                asked.refuse_untestable(eight.fidelity)
            good = asked.precision == "auto" and self._goal(asked).holds(eight.fidelity)
            if good or asked.precision == "int8":
                return eight, eight.made.built
        first = self._corrected(self._divided(eight), self._goal(asked))
        before, coded = (eight or first).made.built, first.made.built
        if asked.precision == "int16":
            return self._attempt(widened(coded.coded, coded.weighed)), before
        goal = self._goal(asked)
        return search(first, goal, self._attempt, lambda: self._order(coded)), before

    def _goal(self, asked: Asked) -> Goal:
        """What bits are added for: more where data judge the codes that were made for them."""
        flattered = self.parts.basis == TOO_FEW
        return asked.goal.raised() if flattered else asked.goal

    def _narrow(self, asked: Asked) -> Tried[_Made] | None:
        """The program of 8 bits; None: it does not fit, but may with columns apart."""
        try:
            return self._attempt(INT8)
        except RangeOverflow:
            if asked.precision == "int8" or not self._apart():
                raise
            return None

    def _divided(self, eight: Tried[_Made] | None) -> Tried[_Made]:
        """The program in which unlike columns of inputs have codes of their own, if that helps."""
        apart = self._apart()
        if eight is not None and not apart:
            return eight
        before = self.fused, self._record, self._least
        self.fused = divided_by(self.fused, apart)
        self._record = replace(self._record, columns=apart)
        self._least = bits_of_columns(apart).beside(wide(self.fused))
        try:
            found = self._attempt(INT8)
            if eight is None or found.fidelity.output_sqnr > eight.fidelity.output_sqnr:
                return found
        except RangeOverflow:  # the columns are too far apart
            if eight is None:
                raise
        self.fused, self._record, self._least = before
        return eight

    def _corrected(self, tried: Tried[_Made], goal: Goal) -> Tried[_Made]:
        """The program with corrected biases, if that helps: it costs nothing, as more bits do."""
        data = self.parts.calibrated
        if data is None or not tried.fidelity.samples or goal.holds(tried.fidelity):
            return tried
        before = self._record
        self._record = replace(before, means=means(self.fused, self._source, data))
        try:
            found = self._attempt(tried.bits)
            if found.fidelity.output_sqnr >= tried.fidelity.output_sqnr + WORTH:
                return found
        except RangeOverflow:  # a bias that is larger than it was
            pass
        self._record = before
        return tried

    def _apart(self) -> dict[str, tuple[int, ...]]:
        """The exponents of unlike columns of inputs."""
        data = self.parts.calibrated
        return {} if data is None else unlike(self.fused, data)

    def whole(self, tried: Tried[_Made], data: Feeds | None) -> tuple[Record, Built]:
        """The program by the ranges of all calibration data, and its record."""
        if not self.parts.held_back:  # these are the ranges of what was tried
            return tried.made.record, tried.made.built
        return self._fitted(self._record, tried.bits, data)

    def _fitted(self, record: Record, bits: Bits, data: Feeds | None) -> tuple[Record, Built]:
        """The program with as many of these bits as fit; its trees decide as the floats do."""
        record, built = fitted(self.fused, record, bits)
        found = {} if data is None else turned(self.fused, built.values, data)
        if not found:
            return record, built
        record = replace(record, turned=found)
        return record, build(self.fused, record)

    def _attempt(self, bits: Bits) -> Tried[_Made]:
        record = replace(self._record, ranges=self._ranges)
        bits = bits.beside(self._least)
        record, built = self._fitted(record, bits, self.parts.calibrated)
        bits = Bits(record.bits, record.weight_bits)
        return Tried(bits, _Made(record, built), self._compared(built))

    def _compared(self, built: Built) -> Fidelity:
        if self.parts.tested is None:
            return NOT_COMPARED
        return compare(
            self.fused,
            built.checked.program,
            built.weights,
            built.layers,
            built.values,
            self.parts.tested,
            evaluated(built.checked, length(self._source, self.parts.tested))
            if self._limit is None
            else self._limit,
            self._executor or native.executor(built.checked, built.weights),
            self._labels,
        )

    def _order(self, eight: Built) -> list[Rounding]:
        parts = self.parts
        if parts.calibrated is None or parts.tested is None:
            return []
        return sensitivities(
            self._source,
            self.fused,
            eight.coded,
            eight.weighed,
            self._ranges,
            parts.calibrated,
            parts.tested,
        )


@dataclass(frozen=True)
class Built:
    """A lowered graph whose program is judged: its weights, layers, and where its values are."""

    checked: Checked
    weights: tuple[Array, ...]
    layers: Sequence[Layer]
    values: Mapping[str, Value]
    coded: tuple[str, ...]
    weighed: tuple[str, ...]


def open_network(
    model: ModelLike,
    dims: Mapping[str, int] | None,
    shapes: Mapping[str, Axes] | None,
    fixed: Mapping[str, npt.ArrayLike] | None = None,
    states: Mapping[str, Carried] | None = None,
) -> Network:
    """Read a model, and write what it has of functions by operators that compile."""
    network = Network(model, dims, shapes, fixed, states)
    network.expand(OPERATORS)
    return network


def prepare(network: Network, batch: int, name: str | None = None) -> tuple[Graph, Graph]:
    """The graph of a model, and the one to be lowered. Refuses what is unsupported.

    Operators come first: where they do not compile, sizes are not worth giving.
    """
    unknown = unknown_operators(network.source.model, OPERATORS)
    try:
        source = carried(network.at(batch), network.states)
    except (CompileError, UsageError):
        if unknown:
            raise _unsupported_list(unknown, OPERATORS) from None
        raise
    source = replace(source, name=name or source.name or "model")
    resolved = parted(magnitudes(recognised(resolve(source), OPERATORS), OPERATORS))
    composed = compose(resolved, OPERATORS)
    refuse_unsupported(composed, OPERATORS)
    fused = fuse(composed, OPERATORS)
    Scores(fused, OPERATORS).refuse_infinite()
    return source, fused


def _refuse_uncoded(source: Graph, fused: Graph) -> None:
    """Without calibration data a file must give the code of every value that needs one."""
    if not source.source.quantised:
        raise missing("there is no calibration data")
    try:
        lower(fused, {}, OPERATORS)
    except CompileError as error:
        if error.code != "compile.calibration":
            raise
        raise missing(
            f"there is no calibration data, and the model does not quantise every value: "
            f"{error.message}"
        ) from error


def settled(source: Graph, fused: Graph, ranges: Mapping[str, Range]) -> tuple[Graph, Graph]:
    """Both graphs; all of a batch whose size the file fixes is one item if its items mix."""
    if not (fused.fixed and fused.batched) or fused.batch == 1 or itemised(fused, ranges):
        return source, fused
    none: frozenset[str] = frozenset()
    return replace(source, batched=none, batch=1), replace(fused, batched=none, batch=1)


def build(graph: Graph, record: Record) -> Built:
    """Lower a prepared graph with recorded ranges; the same record gives the same bytes."""
    bits = Bits(record.bits, record.weight_bits)
    given = record.exact, record.turned, bits, record.means
    return _built(lower(graph, record.ranges, OPERATORS, *given))


def fitted(graph: Graph, record: Record, bits: Bits) -> tuple[Record, Built]:
    """The same with as many of these bits as fit, and the record that says which."""
    for _ in range(ROUNDS):
        try:
            given = record.exact, record.turned, bits, record.means
            lowered = lower(graph, record.ranges, OPERATORS, *given)
            fewer = reduced(graph, lowered, bits)
        except RangeOverflow as error:
            fewer = narrowed(graph, error, bits)
            if fewer is None:
                raise
        if fewer is None:
            break
        bits = fewer
    record = replace(record, bits=dict(bits.values), weight_bits=dict(bits.weights))
    return record, _built(lowered)


def _built(lowered: Lowered) -> Built:
    checked, weights = _judge(lowered.program), tuple(lowered.weights)
    return Built(checked, weights, lowered.layers, lowered.values, lowered.coded, lowered.weighed)


def _refuse_mixing(network: Network, graph: Graph, ranges: Mapping[str, Range]) -> None:
    """Items must not mix at this batch, nor at another: a fixed Reshape can be harmless at one."""
    if not graph.batched or graph.fixed:
        return
    # A batch of one cannot show whether items mix.
    batch = max(graph.batch, 2)
    refuse_mixing(graph if graph.batch == batch else prepare(network, batch)[1], ranges)
    refuse_mixing(prepare(network, batch + 1)[1], ranges)


def needed(graph: Graph) -> set[str]:
    """The values whose ranges the lowering may ask for: the inputs, and floats without a code."""
    names = set(graph.inputs)
    for node in graph.nodes:
        names.update(filter(None, node.outputs))
        if node.activation is not None:
            names.add(node.activation.inputs[0])
    names = {name for name in names if name in graph.inputs or graph.is_float(name)}
    return names - set(graph.codes)


def unknown_operators(model: onnx.ModelProto, operators: Mapping[str, Operator]) -> list[str]:
    """What no sizes can mend: inputs of other kinds, and nodes whose operators do not compile."""
    data, version = computed(model), opset(model)
    found = [
        reason
        for value in inputs(model)
        if (reason := _input_reason(value.name, value.type.tensor_type.elem_type)) is not None
    ]
    for index, node in enumerate(model.graph.node):
        op = operator_of(node)
        # Sizes decide whether both branches of an If can be computed.
        known = op in operators or op == "If" or counted(node, data, version)
        if data.intersection(node.output) and not known:
            name = node.name or f"{node.op_type}_{index}"
            found.append(_node_reason(name, op, _unknown(op)))
    return found


def refuse_unsupported(graph: Graph, operators: Mapping[str, Operator]) -> None:
    """Raise one `UnsupportedOp` that lists every node (and input) that cannot be compiled."""
    reasons = (_input_reason(name, graph.types[name]) for name in graph.inputs)
    found = [reason for reason in reasons if reason is not None]
    for node in graph.nodes:
        reason = _unsupported(node, graph, operators)
        if reason is not None:
            found.append(_node_reason(node.name, node.op, reason))
    if found:
        raise _unsupported_list(found, operators)


def _unsupported_list(found: Sequence[str], operators: Mapping[str, Operator]) -> UnsupportedOp:
    return UnsupportedOp(
        "the model cannot be compiled:\n  " + "\n  ".join(found),
        expected=", ".join(sorted(name for name in operators if _is_onnx(name))),
        hint="replace these nodes, or cut the model before them",
    )


def _is_onnx(name: str) -> bool:
    """Whether an operator is one of ONNX, in any of its domains."""
    domain, _, plain = name.rpartition(".")
    return bool(onnx.defs.has(plain, domain))


def _input_reason(name: str, kind: int) -> str | None:
    if kind in FLOATS or kind in INTEGERS:
        return None
    known = onnx.TensorProto.DataType.values()
    called = onnx.TensorProto.DataType.Name(kind) if kind in known else kind
    what = f"has the type {called}" if kind else "is no tensor"
    return f"input {named(name)}: it {what}, only tensors of numbers compile; convert it before"


def _node_reason(name: str, op: str, reason: str) -> str:
    return f"node {named(name)} ({op[:LONGEST]}): {reason}"


_DOMAINS = {
    "ai.onnx.ml": "operators of ai.onnx.ml, the domain of classical machine learning, do not "
    "compile unless listed below",
    "com.microsoft": "operators of com.microsoft, onnxruntime's own domain, do not compile unless "
    "listed below; use the model as it was before onnxruntime rewrote it",
}


_COUNTED = ("NonMaxSuppression", "NonZero", "Unique")
"""Operators whose results have as many elements as the data have of something."""


def _unknown(op: str) -> str:
    """The reason against an operator that has no lowering."""
    domain = op.rpartition(".")[0]
    if op == "If":
        return "its condition depends on the data, and its branches do not give equal shapes"
    if op in ("Loop", "Scan"):
        return "what it runs depends on the data; one with a known number of steps compiles"
    if op in SIZES:
        return "the size that it asks for depends on the data"
    if op in _COUNTED:
        return "how many values it gives depends on the data; run it outside the model"
    if domain in _DOMAINS:
        return _DOMAINS[domain]
    if domain:
        return "operators of this domain are custom; express it by operators of ONNX"
    return "this operator does not compile; express it by others or run it outside the model"


def _unsupported(node: Node, graph: Graph, operators: Mapping[str, Operator]) -> str | None:
    operator = operators.get(node.op)
    if operator is None:
        return _unknown(node.op)
    refused: str | None = node.attributes.get(qdq.REFUSED)
    if refused is not None:
        return refused
    reads = [name for name in node.inputs if name and name not in graph.constants]
    whole = [name for name in reads if not graph.is_float(name)]
    form = operator.form(node, graph)
    if whole and not operator.takes_integers and form is not operator.whole:
        return f"its input {named(whole[0])} holds integers; only views of them compile"
    if any(len(graph.shapes[name]) > 8 for name in (*reads, node.output)):
        return "it has more than 8 axes"
    return form.support(node, graph)


def exact_nodes(graph: Graph, names: Iterable[str] | Literal["all"]) -> tuple[str, ...]:
    """Names of the nodes that are lowered for the ONNX nodes named (fused ones have one name).

    Raises:
        UsageError: no node has such a name.
    """
    if names == "all":
        return tuple(sorted(node.name for node in graph.nodes))
    names = names_of(names, "exact")
    known = {node.name: node.name for node in graph.nodes}
    known |= {n.activation.name: n.name for n in graph.nodes if n.activation is not None}
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError("exact names no such node", expected=sorted(known), received=unknown)
    return tuple(sorted({known[name] for name in names}))


def _judge(program: Program) -> Checked:
    """The reader's own judgement, in terms of the model; each cause has its own words."""
    try:
        return check(program)
    except InvalidProgram as error:
        _refuse_limits(program)
        _refuse_wide(program)
        _refuse_bounds(program)
        _refuse_weight(program)
        _refuse_dead(program)
        raise _does_not_fit(error) from error


def _does_not_fit(error: InvalidProgram, hint: str | None = None) -> CompileError:
    return CompileError(
        f"the model does not fit into a program: {error.message}",
        code="compile.bad-model",
        expected=error.expected,
        received=error.received,
        hint=hint,
    )


def _refuse_limits(program: Program) -> None:
    try:
        validate(program)
    except InvalidProgram as error:
        raise _does_not_fit(error) from error


def _refuse_weight(program: Program) -> None:
    try:
        gate_weights(program)
    except InvalidProgram as error:
        raise _does_not_fit(
            error, hint="use a smaller batch, or compile the model in parts"
        ) from error


def _refuse_dead(program: Program) -> None:
    """Ops without a live gate, by name; the work of finding them has a limit of its own."""
    try:
        counts = count_live(program)
    except InvalidProgram as error:
        raise _does_not_fit(
            error, hint="use a smaller batch, or compile the model in parts"
        ) from error
    dead = [op.name for op, count in zip(program.ops, counts, strict=True) if count == 0]
    if dead:
        raise CompileError(
            f"a part of the model has no influence on its outputs: op {dead[0]!r}"
            + (f" and {len(dead) - 1} more" if dead[1:] else ""),
            code="compile.bad-model",
            hint="remove this layer, or check its padding and strides",
        )


def _refuse_bounds(program: Program) -> None:
    try:
        bounds(program)
    except InvalidProgram as error:
        raise RangeOverflow(
            error.message,
            expected=error.expected,
            received=error.received,
            hint="calibrate on data that covers the ranges seen in use",
        ) from error


def _refuse_wide(program: Program) -> None:
    """Sums beyond a field element need operands without zero points; most values have them."""
    for op in program.ops:
        if not isinstance(op, Dot):
            continue
        operands = [operand for term in op.terms for operand in (term.a, term.b)]
        if not any(isinstance(operand, Read) and operand.zero for operand in operands):
            continue
        reach = 0 if op.bias is None else abs_max(operand_range(program, op.bias))
        for term in op.terms:
            a, b = (abs_max(operand_range(program, operand)) for operand in (term.a, term.b))
            reach += term.size * a * b
        shifted = any(
            isinstance(operand, Read) and operand.zero
            for term in op.terms
            for operand in (term.a, term.b)
        )
        if reach > ACC_MAX and shifted:
            raise RangeOverflow(
                f"op {op.name!r}: its sum of {products(op):,} products can become too large",
                expected=f"at most {ACC_MAX}",
                received=reach,
                hint="split the layer into several of fewer inputs and add their outputs",
            )
