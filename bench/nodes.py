"""zktally bench nodes: onnx's own backend tests, compiled and run in integers.

A test counts as applicable if it is about numbers in tensors, has an input, and is deterministic.
Where a model does not compile as it is, those of its inputs that a program would have as constants
(indices, shapes, weights) are made constants, and the first form that compiles is judged.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper, version_converter

from ..circuits import native
from ..circuits.compile import compile
from ..circuits.errors import UnsupportedOp
from ..circuits.evaluate import integer_run
from ..circuits.quantise import Affine
from ..circuits.source import OPSETS
from ..errors import ZktallyError
from ..verifier.errors import UsageError
from ..verifier.program.types import Port, PortKind, Program
from .cells import LINE, Column, Row, formats, markdown_table, paragraph, read_rows, text_table

Array = npt.NDArray[Any]
Feeds = dict[str, Array]

FAMILIES = ("node", "node expanded", "pytorch-converted", "pytorch-operator")
SECONDS = 90
"""Longest that one form of a test may take."""

QUANTA_MAX, SQNR_MIN = 4.0, 25.0
"""A float output is right within so many quanta of its own code, or with so many decibels."""

FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}
WHOLE = {TensorProto.BOOL} | {
    getattr(TensorProto, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)
}
JUMPS = {
    *("Ceil", "Floor", "Round", "Sign", "Cast", "CastLike", "Mod", "Hardmax", "OneHot"),
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"),
    *("ArgMax", "ArgMin", "TopK"),
}
"""Operators that jump: a test of them is also right on its inputs as the program holds them."""
RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"}
OTHER_TYPES = ("Sequence", "Optional", "String")

COUNTS: tuple[Column, ...] = (
    *formats(("family", "{}", "family"), ("tests", "{:,}", "tests")),
    *formats(("applicable", "{:,}", "applicable"), ("compiled", "{:,}", "compiled")),
    *formats(("right", "{:,}", "right"), ("elsewhere", "{:,}", "by runtime")),
    *formats(("grid", "{:,}", "on grid")),
    *formats(("wrong", "{:,}", "wrong")),
    *formats(("refused", "{:,}", "refused"), ("crashed", "{:,}", "crashed")),
)
REASONS: tuple[Column, ...] = (
    *formats(("count", "{:,}", "tests"), ("operator", "{}", "operator")),
    *formats(("reason", "{}", "reason")),
)


BY_OPERATOR: tuple[Column, ...] = (
    *formats(("operator", "{}", "operator"), ("opsets", "{}", "opsets")),
    *formats(("tests", "{:,}", "tests"), ("right", "{:,}", "right")),
    *formats(("refused", "{:,}", "refused")),
)


@dataclass(frozen=True)
class Case:
    """One test: its model, its inputs by name, what its outputs should be."""

    name: str
    family: str
    model: onnx.ModelProto
    feeds: Feeds
    expected: Sequence[Array]
    skipped: str | None


def main(args: argparse.Namespace) -> int:
    """Run the tests, or read rows; lines or Markdown to the output, tables to stdout."""
    rows = read_rows(args.rows) if args.rows else _run_all(args)
    if args.output:
        lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
        Path(args.output).write_text(lines, encoding="utf-8")
    if args.page:
        Path(args.page).write_text(page(rows), encoding="utf-8")
    print(markdown(rows) if args.markdown else table(rows))
    return 1 if any(row["verdict"] in ("wrong", "crashed") for row in rows) else 0


def _run_all(args: argparse.Namespace) -> list[Row]:
    unknown = set(args.families) - set(FAMILIES)
    if unknown:
        raise UsageError("no such family of tests", expected=FAMILIES, received=sorted(unknown))
    rows = []
    for case in cases(args.families):
        if args.only in case.name:
            rows.append(measure(case))
            if sys.stderr.isatty():
                print(f"\r{len(rows)} {case.name[:70]:70}", end="", file=sys.stderr)
    return rows


def cases(families: Sequence[str]) -> Iterator[Case]:
    """All tests of these families, as the onnx package that is installed has them."""
    with warnings.catch_warnings():  # numpy's, of the overflows that some of the tests are about
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        for kind in dict.fromkeys(family.split()[0] for family in families):
            for test in load_model_tests(kind=kind):
                expanded = kind == "node" and "_expanded" in test.name
                family = "node expanded" if expanded else kind
                if family in families:
                    yield _case(test, family)


def _case(test: Any, family: str) -> Case:
    model = test.model or onnx.load(Path(test.model_dir) / "model.onnx")
    data = test.data_sets[0] if test.data_sets else _stored(test.model_dir, model)
    reason = _inapplicable(test.name, model)
    names = [value.name for value in _inputs(model)]
    if reason is None and (data is None or len(data[0]) != len(names)):
        reason = "no data for its inputs"
    if reason is not None or data is None:
        return Case(test.name, family, model, {}, (), reason)
    given, expected = ([_array(value) for value in values] for values in data)
    return Case(test.name, family, model, dict(zip(names, given, strict=True)), expected, None)


def _stored(folder: str | None, model: onnx.ModelProto) -> tuple[list[Any], list[Any]] | None:
    """The data of a test that is kept as files: inputs and outputs."""
    if folder is None:
        return None
    found = []
    for kind, values in (("input", _inputs(model)), ("output", model.graph.output)):
        files = [Path(folder) / f"test_data_set_0/{kind}_{n}.pb" for n in range(len(values))]
        if not all(file.is_file() for file in files):
            return None
        found.append([onnx.TensorProto.FromString(file.read_bytes()) for file in files])
    return found[0], found[1]


def _array(value: Any) -> Array:
    is_proto = isinstance(value, onnx.TensorProto)
    return numpy_helper.to_array(value) if is_proto else np.asarray(value)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    initial = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initial]


def _inapplicable(name: str, model: onnx.ModelProto) -> str | None:
    """Why a test is about something else than a network of numbers."""
    for value in (*model.graph.input, *model.graph.output):
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            return "sequences, optionals, maps"
        if value.type.tensor_type.elem_type not in FLOATS | WHOLE:
            return "other element types"
    for node in model.graph.node:
        reason = _other_node(name, node)
        if reason is not None:
            return reason
    return None if _inputs(model) else "no inputs"


def _other_node(name: str, node: onnx.NodeProto) -> str | None:
    if node.domain not in ("", "ai.onnx", "ai.onnx.ml"):
        return "other domains"
    if any(attribute.type in (attribute.GRAPH, attribute.GRAPHS) for attribute in node.attribute):
        return "control flow"
    if node.op_type in RANDOM | {"Multinomial"}:
        return "random"
    if node.op_type in ("Dropout", "BatchNormalization") and "train" in name:
        return "training"
    if any(word in node.op_type for word in OTHER_TYPES):
        return "sequences, optionals, maps"
    casts = node.op_type in ("Cast", "CastLike")
    targets = [attribute.i for attribute in node.attribute if casts and attribute.name == "to"]
    return "other element types" if set(targets) - FLOATS - WHOLE else None


def measure(case: Case) -> Row:
    """One row: the verdict on a test, and what was said of each form that did not compile."""
    operators = sorted({node.op_type for node in case.model.graph.node})
    row: Row = {"name": case.name, "family": case.family, "operators": operators}
    row |= {"skipped": case.skipped, "verdict": "skipped", "form": None, "refusals": []}
    if case.skipped is not None:
        return row
    for form, model, feeds in forms(_read_as_supported(case.model), case.feeds):
        try:
            with _limit(SECONDS):
                found, held = compiled_outputs(model, feeds)
        except ZktallyError as error:
            row["refusals"].append({"form": form, "reasons": reasons(error)})
            row["verdict"] = "refused"
            continue
        except Exception as error:  # whatever a compiler must not raise: that is counted here
            said = f"{type(error).__name__}: {str(error)[:200]}"
            return row | {"verdict": "crashed", "form": form, "crash": said}
        faults = judge(found, case.expected)
        # What a model means is what the runtime computes: a few tests say otherwise.
        elsewhere = bool(faults) and not judge(found, runtime_outputs(model, feeds))
        jumps = bool(faults) and not elsewhere and bool(JUMPS.intersection(operators))
        grid = jumps and not judge(found, runtime_outputs(model, held))
        verdict = "wrong" if faults and not (elsewhere or grid) else "right"
        judged = {"verdict": verdict, "form": form, "faults": faults}
        return row | judged | {"elsewhere": elsewhere, "grid": grid}
    return row


def runtime_outputs(model: onnx.ModelProto, feeds: Feeds) -> list[Array]:
    """All outputs as onnxruntime has them."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return [np.asarray(value) for value in session.run(None, feeds)]


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    """Ends what takes too long."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _read_as_supported(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in an opset that is read: older ones converted, newer ones relabelled.

    Tests come in the newest opset that their operators may have; most of these did not change.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for entry in copy.opset_import:
        if entry.domain in ("", "ai.onnx"):
            if entry.version < OPSETS.start:
                return _converted(copy)
            entry.version = min(entry.version, OPSETS.stop - 1)
    return copy


def _converted(model: onnx.ModelProto) -> onnx.ModelProto:
    """In the oldest opset that is read, as the refusal of an older one tells its user to do."""
    try:
        return version_converter.convert_version(model, OPSETS.start)
    except (
        RuntimeError
    ):  # the converter knows not all operators; the refusal is then the compiler's
        return model


def forms(model: onnx.ModelProto, feeds: Feeds) -> Iterator[tuple[str, onnx.ModelProto, Feeds]]:
    """The model as it is, then with more and more of its inputs made constants.

    Where no input holds floats, the first and the last stand for them.
    """
    yield "as it is", model, feeds
    names = list(feeds)
    floats = [name for name in names if feeds[name].dtype.kind == "f"] or names
    seen = set()
    for form, kept in (
        ("integers constant", set(floats)),
        ("all but the first float constant", {floats[0]}),
        ("all but the last float constant", {floats[-1]}),
        ("all but the first input constant", set(names[:1])),
    ):
        constant = tuple(name for name in names if name not in kept)
        if constant and constant not in seen and kept:
            seen.add(constant)
            rest = {name: feeds[name] for name in names if name in kept}
            yield form, with_constants(model, {name: feeds[name] for name in constant}), rest


def with_constants(model: onnx.ModelProto, values: Mapping[str, Array]) -> onnx.ModelProto:
    """A copy in which these inputs are initializers."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = max(copy.ir_version, 4)  # before, every initializer had to be an input
    kept = [value for value in copy.graph.input if value.name not in values]
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    copy.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in values.items())
    return copy


def compiled_outputs(
    model: onnx.ModelProto, feeds: Feeds
) -> tuple[list[tuple[Array, float]], Feeds]:
    """Every output as the integer program has it, and the quantum of its code (0: integers).

    Beside them the inputs as the program holds them: reals on the grids of their codes.
    """
    compiled = compile(model, feeds)
    program = compiled.checked.program
    executor = native.executor(compiled.checked, compiled.weights)
    values = integer_run(program, compiled.weights, feeds, executor)
    found = []
    for port in program.outputs:
        tensor, integers = program.tensors[port.tensor], values[port.tensor]
        if port.kind == PortKind.INTEGER:
            found.append((integers, 0.0))
        else:
            code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
            found.append((code.dequantise(integers), port.scale))
    return found, feeds | {port.name: _held(program, port, feeds) for port in program.inputs}


def _held(program: Program, port: Port, feeds: Feeds) -> Array:
    """An input's reals on the grid of its code; integers as they are."""
    given, tensor = feeds[port.name], program.tensors[port.tensor]
    if port.kind == PortKind.INTEGER:
        return given
    code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
    return code.dequantise(code.quantise(given)).astype(given.dtype)


def judge(found: Sequence[tuple[Array, float]], expected: Sequence[Array]) -> list[str]:
    """What is wrong with the outputs; empty where they are right."""
    if len(found) != len(expected):
        return [f"{len(found)} outputs, not {len(expected)}"]
    pairs = zip(found, expected, strict=True)
    faults = (_fault(array, quantum, right) for (array, quantum), right in pairs)
    return [fault for fault in faults if fault is not None]


def _fault(array: Array, quantum: float, expected: Array) -> str | None:
    if array.shape != (expected.shape or (1,)):
        return f"shape {list(array.shape)}, not {list(expected.shape)}"
    right = expected.reshape(array.shape).astype(np.float64)
    error = np.abs(array.astype(np.float64) - right)
    if quantum == 0.0:
        differ = int(np.count_nonzero(error))
        return f"{differ} of {error.size} integers differ" if differ else None
    worst = float(error.max(initial=0.0)) / quantum
    noise, signal_ = float(np.sum(error**2)), float(np.sum(right**2))
    if worst <= QUANTA_MAX or noise * 10 ** (SQNR_MIN / 10) <= signal_:
        return None
    return f"an error of {worst:.1f} quanta"


def reasons(error: ZktallyError) -> list[list[str]]:
    """Operator and reason of each node that was refused; names are left out, so that they count."""
    lines = error.message.splitlines()
    if isinstance(error, UnsupportedOp):
        found = [re.match(r"\s*(?:node|input) '.*?'(?: \((.+?)\))?: (.*)", line) for line in lines]
        told = [[match[1] or "input", _unnamed(match[2])] for match in found if match]
        if told:
            return told
    return [[error.code, _unnamed(lines[0])]]


def _unnamed(text: str) -> str:
    return re.sub(r"'[^']*'", "…", text)


def table(rows: Sequence[Row]) -> str:
    """The rows for people: counts by family, refusals by operator, what is wrong by name."""
    bad = [
        f"{row['verdict']}: {row['name']}: {row.get('crash') or '; '.join(row['faults'])}"
        for row in rows
        if row["verdict"] in ("wrong", "crashed")
    ]
    why = [f"{row['count']:5,}  {row['operator']}: {row['reason']}" for row in refusals(rows)]
    parts = [text_table(COUNTS, counted(rows)), "\n".join(why), "\n".join(bad)]
    return "\n\n".join(part for part in parts if part)


def markdown(rows: Sequence[Row]) -> str:
    """The section of docs/figures.md."""
    often = [_short(row) for row in refusals(rows) if row["count"] >= OFTEN]
    return "\n\n".join(
        [
            "## Node tests: `zktally bench nodes` (onnx's own backend tests)",
            paragraph(_PREFACE),
            markdown_table(COUNTS, counted(rows)),
            paragraph(_REFUSALS),
            markdown_table(REASONS, often),
        ]
    )


def page(rows: Sequence[Row]) -> str:
    """docs/node-tests.md: what is right by operator, and every refused test under its reason."""
    named = {reason: _tests(rows, *reason) for reason in _reasons(rows)}
    lines = []
    for operator, reason in sorted(named, key=lambda each: (each[0].lower(), each)):
        lines += [f"**{operator}**: {reason}", f"*{', '.join(named[operator, reason])}*"]
    wrong = [row["name"].removeprefix("test_") for row in rows if row["verdict"] == "wrong"]
    parts = [_HEAD, markdown_table(COUNTS, counted(rows)), _OPERATORS]
    parts += [markdown_table(BY_OPERATOR, by_operator(rows)), _REFUSED, *map(paragraph, lines)]
    if wrong:
        parts += ["## Wrong", paragraph(", ".join(wrong))]
    return "\n\n".join(parts) + "\n"


def by_operator(rows: Sequence[Row]) -> list[Row]:
    """Tests by the operator that they are of: that of a node test with a single node."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        if row["family"] == "node" and len(row["operators"]) == 1 and row["verdict"] != "skipped":
            found.setdefault(row["operators"][0], Counter())[row["verdict"]] += 1
    return [
        {
            "operator": operator,
            "opsets": ", ".join(map(str, _opsets(operator))),
            "tests": counts.total(),
            "right": counts["right"],
            "refused": counts["refused"],
        }
        for operator, counts in sorted(found.items())
    ]


def _opsets(operator: str) -> list[int]:
    """The opsets in which an operator changed."""
    schemas = onnx.defs.get_all_schemas_with_history()
    return sorted(s.since_version for s in schemas if s.name == operator and s.domain == "")


def _reasons(rows: Sequence[Row]) -> list[tuple[str, str]]:
    refused = (row for row in rows if row["verdict"] == "refused")
    pairs = ((who, why) for row in refused for who, why in row["refusals"][-1]["reasons"])
    return list(dict.fromkeys(pairs))


def _tests(rows: Sequence[Row], who: str, why: str) -> list[str]:
    """The tests that this reason refused."""
    return sorted(
        row["name"].removeprefix("test_")
        for row in rows
        if row["verdict"] == "refused" and [who, why] in row["refusals"][-1]["reasons"]
    )


def _short(row: Row) -> Row:
    """A reason in a line of the documentation."""
    room = LINE - len(f"| {row['count']:,} | {row['operator']} |  |")
    reason = textwrap.shorten(row["reason"].replace("|", "/"), room, placeholder=" …")
    return row | {"reason": reason}


OFTEN = 8
"""Reasons that are given at least so often stand in the documentation."""


def counted(rows: Sequence[Row]) -> list[Row]:
    """Tests by family and verdict."""
    found = []
    for family in (*FAMILIES, "all"):
        those = [row for row in rows if family in (row["family"], "all")]
        if those:
            verdicts = Counter(row["verdict"] for row in those)
            counts = {name: verdicts[name] for name in ("right", "wrong", "refused", "crashed")}
            compiled = counts["right"] + counts["wrong"]
            sums = {"tests": len(those), "applicable": sum(counts.values()), "compiled": compiled}
            for name in ("elsewhere", "grid"):
                sums[name] = sum(row.get(name, False) for row in those)
            found.append({"family": family, **sums, **counts})
    return found


def refusals(rows: Sequence[Row]) -> list[Row]:
    """The reasons of refused tests, that of the last form counts; the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        if row["verdict"] == "refused":
            counts.update({(who, why) for who, why in row["refusals"][-1]["reasons"]})
    return [
        {"count": count, "operator": operator, "reason": reason}
        for (operator, reason), count in sorted(counts.items(), key=lambda each: (-each[1], each))
    ]


_PREFACE = (
    f"onnx {onnx.__version__}. Applicable: deterministic, on tensors of floats, integers or "
    "booleans, no control flow, no training. Where a model does not compile as it is, its integer "
    "inputs become constants, then all inputs but one. Right: each output within "
    f"{QUANTA_MAX:g} quanta of its own code, or {SQNR_MIN:g} dB; integers equal; by runtime: "
    "those of them that have onnxruntime's values where onnx's own differ; on grid: those of a "
    "function that jumps (rounding, comparisons, casts to integers) that have onnxruntime's values "
    "of the inputs as the program holds them, rounded to its grid. The data of a test is "
    "also what calibrates it."
)
_REFUSALS = f"Why tests are refused, where a reason is given at least {OFTEN} times."
_HEAD = (
    "# onnx's node tests\n\nWritten by `zktally bench nodes --page docs/node-tests.md`; figures.md "
    "explains the columns.\nWhat of an operator compiles stands in [operators](operators.md)."
)
_OPERATORS = "## By operator\n\nOf the node tests with a single node, those that apply."
_REFUSED = (
    "## Refused, by reason\n\nThe reason is the one that the last form of a test was refused with; "
    "a name stands as `…`."
)
