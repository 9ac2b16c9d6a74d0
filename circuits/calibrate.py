"""Ranges of float values, by running the model in onnxruntime on data that stands for its use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper

from ..verifier.errors import UsageError
from ..verifier.inputs import Slots, arranged
from .clipping import CLIPPED
from .errors import CompileError, named
from .graph import Array, Graph
from .masks import Scores
from .quantise import REACH_MIN
from .session import Session
from .states import ends, first_states, next_states

BINS = 1 << 14
METHODS = ("minmax", "percentile", *CLIPPED)

Feeds = dict[str, Array]
Range = tuple[float, float]


def feeds(graph: Graph, data: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Feeds:
    """Check data for a model: an array [n, ...], or one per input name, of floats or integers.

    Returns them as `verifier.inputs.arranged` does: [items, ...] along the batch axis; [steps, ...]
    for an input without one; [sequences, steps, ...] for one of a chain with states, where data
    without the first of these axes is one sequence.

    Raises:
        UsageError: `usage.input`, naming what does not fit.
    """
    if isinstance(data, Mapping):
        given = {str(name): np.asarray(array) for name, array in data.items()}
    elif len(graph.given) == 1:
        given = {graph.given[0]: np.asarray(data)}
    else:
        raise _bad("the model has several inputs: give a dict by name", list(graph.given))
    given = {name: array for name, array in given.items() if name not in graph.unread}
    if set(given) != set(graph.given):
        raise _bad("the input names are not the model's", list(graph.given), sorted(given))
    if graph.states:
        return _sequences(graph, given)
    return _in_steps(graph, given)


def _sequences(graph: Graph, given: Mapping[str, Array]) -> Feeds:
    """Data [sequences, steps, ...]; of an input without the first axis, it is the same in all."""
    ranks = {name: len(graph.shapes[name] or (1,)) for name in given}
    deep = {name: len(array) for name, array in given.items() if array.ndim == ranks[name] + 2}
    if len(set(deep.values())) > 1:
        raise _bad("the inputs have different numbers of sequences", received=deep)
    parts = [
        _in_steps(
            graph, {name: array[i] if name in deep else array for name, array in given.items()}
        )
        for i in range(next(iter(deep.values()), 1))
    ]
    if not parts:
        raise missing("the data holds no sequence")
    return {name: np.stack([part[name] for part in parts]) for name in parts[0]}


def _in_steps(graph: Graph, given: Mapping[str, Array]) -> Feeds:
    """The same without the axis of sequences."""
    slots = {name: Slots(graph.shapes[name] or (1,), name in graph.batched) for name in given}
    given = arranged(slots, given)
    for name, array in given.items():
        _check_array(graph, name, array)
    items = {name: len(array) for name, array in given.items() if name in graph.batched}
    counted = {name: len(array) for name, array in given.items() if name not in graph.batched}
    steps = {-(-count // graph.batch) for count in items.values()} | set(counted.values())
    if len(set(items.values())) > 1 or len(steps) > 1:
        raise _bad("the inputs have different numbers of samples", received=items | counted)
    return {name: _cast(graph, name, given[name]) for name in graph.given}


def samples(graph: Graph, data: Feeds) -> int:
    """Number of samples in checked data: items, or steps where no input has a batch axis.

    Of a chain with states, sequences.
    """
    batched = [name for name in graph.given if name in graph.batched]
    return len(data[(batched or graph.given)[0]])


def length(graph: Graph, data: Feeds) -> int:
    """Steps of a sequence of a chain with states; 1 of any other model."""
    return int(data[graph.given[0]].shape[1]) if graph.states else 1


def steps(graph: Graph, data: Feeds) -> Iterator[Feeds]:
    """The data in steps of the graph's batch; the last may be shorter if the batch is dynamic.

    A batch of fixed size is filled up with items from the start: they change no other item.
    """
    if graph.states:
        for sequence in range(samples(graph, data)):
            for step in range(length(graph, data)):
                yield {n: a[sequence, step].reshape(graph.shapes[n]) for n, a in data.items()}
        return
    count, size = samples(graph, data), graph.batch if graph.batched else 1
    for step, start in enumerate(range(0, count, size)):
        stop = start + size if graph.fixed else min(start + size, count)
        rows = np.arange(start, stop) % count
        yield {
            name: array[rows] if name in graph.batched else array[step].reshape(graph.shapes[name])
            for name, array in data.items()
        }


def whole_steps(graph: Graph, data: Feeds, count: int) -> Feeds:
    """The first `count` samples, the last step filled up with samples from the start."""
    whole = -(-count // graph.batch)
    items = np.arange(whole * graph.batch) % count
    return {
        name: array[items] if name in graph.batched else array[:whole]
        for name, array in data.items()
    }


def run_float(graph: Graph, names: Iterable[str], data: Feeds) -> Iterator[Feeds]:
    """The float values of these names, step by step; of those with a code, as the file has them.

    A chain with states is rolled out: each sequence from its start.
    """
    wanted = sorted(set(names))
    held = {name: graph.codes[name] for name in wanted if name in graph.codes}
    asked = [name for name in wanted if name not in graph.inputs and name not in held]
    asked += [coded.integers for coded in held.values() if coded.integers not in graph.inputs]
    asked += ends(graph)
    # What onnxruntime makes of quantised operators can overflow where the processor is older.
    session = Session.of(graph.source, asked, plainly=graph.source.quantised)
    whole, states = length(graph, data), first_states(graph)
    for number, step in enumerate(steps(graph, data)):
        if number % whole == 0:
            states = first_states(graph)
        known = step | states
        found = {**session.run(known | _unread(graph, step), asked), **known}
        states = next_states(graph, found)
        coded = {name: one.dequantise(found[one.integers]) for name, one in held.items()}
        yield {name: found[name] for name in wanted if name not in held} | coded


def _unread(graph: Graph, step: Feeds) -> Feeds:
    """Zeros for the inputs of which only the sizes matter: those of this step."""
    count = next((len(step[name]) for name in step if name in graph.batched), graph.batch)
    found = {}
    for name, shape in graph.unread.items():
        if shape is not None:
            held = (count, *shape[1:]) if name in graph.batched and not graph.fixed else shape
            found[name] = np.zeros(held, helper.tensor_dtype_to_np_dtype(graph.types[name]))
    return found


def calibrate(
    graph: Graph,
    names: Iterable[str],
    data: Feeds,
    method: str,
    percentile: float,
    scores: Scores | None = None,
) -> dict[str, Range]:
    """The range of each value over all samples.

    `minmax` takes the extremes; `percentile` (50 to 100) cuts that share of values off at both
    ends, so that a few outliers do not make the code coarse for all others (they saturate). `mse`
    cuts off where the int8 code has the least squared error, `entropy` where it keeps most of the
    distribution. What an integer input held is never cut. Scores have the ranges that `masks` gives
    them.

    Raises:
        UsageError: an unknown method or a percentile outside (50, 100].
        CompileError: `compile.calibration` without samples, `compile.not-finite` for NaN or
            infinity in a value.
    """
    if method not in METHODS:
        raise UsageError("unknown calibration method", expected=METHODS, received=method)
    if not 50.0 < percentile <= 100.0:
        raise UsageError("percentile out of range", expected="50 < p ≤ 100", received=percentile)
    own, reads = (scores.names, scores.reads) if scores else (set[str](), set[str]())
    wanted = sorted(set(names) - own)
    extremes: dict[str, Range] = {}
    cut: dict[str, Range] = {}
    if not wanted:
        return extremes
    if reads:  # levels of scores have the shapes of a whole step
        data = whole_steps(graph, data, samples(graph, data))
    for values in run_float(graph, {*wanted, *reads}, data):
        for name in wanted:
            extremes[name] = _joined(name, extremes.get(name), values[name])
        for name, span in (scores.ranges(values) if scores else {}).items():
            cut[name] = wider(span, cut.get(name))
    if not extremes and not cut:
        raise missing("the calibration data is empty")
    if method != "minmax":
        counts = _histograms(extremes, run_float(graph, wanted, data))
        whole = {name for name in graph.inputs if not graph.is_float(name)}
        extremes = {
            name: span if name in whole else _range(counts[name], span, method, percentile)
            for name, span in extremes.items()
        }
    extremes = {name: span if _tells(span) else (0.0, 0.0) for name, span in extremes.items()}
    return extremes | {name: cut[name] for name in own.intersection(names)}


def _tells(span: Range) -> bool:
    """Whether a range is more than that of denormal numbers, which are zeros to every code."""
    return max(map(abs, span)) >= REACH_MIN


def missing(message: str) -> CompileError:
    """The error for absent calibration data."""
    return CompileError(
        message,
        code="compile.calibration",
        expected="an array [n, ...] of typical inputs, or a dict of them by input name",
        hint="pass some 100 samples of real inputs (not those that you evaluate on)",
    )


def _joined(name: str, so_far: Range | None, values: Array) -> Range:
    low, high = float(np.min(values)), float(np.max(values))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CompileError(
            f"value {named(name)} becomes infinite or NaN on the calibration data",
            code="compile.not-finite",
            hint="check the model and the data in float first",
        )
    return wider((low, high), so_far)


def wider(span: Range, so_far: Range | None) -> Range:
    """The least range that holds both."""
    return span if so_far is None else (min(span[0], so_far[0]), max(span[1], so_far[1]))


def _range(counts: npt.NDArray[Any], span: Range, method: str, percentile: float) -> Range:
    if method == "percentile":
        return _cut(counts, span, percentile)
    return CLIPPED[method](counts, span)


def _histograms(
    extremes: Mapping[str, Range], runs: Iterator[Feeds]
) -> dict[str, npt.NDArray[Any]]:
    """How often values lie in each bin between the extremes."""
    counts: dict[str, npt.NDArray[Any]] = {name: np.zeros(BINS, np.int64) for name in extremes}
    for values in runs:
        for name, span in extremes.items():
            counts[name] += np.histogram(values[name].astype(np.float64), BINS, span)[0]
    return counts


def covered(
    graph: Graph, ranges: Mapping[str, Range], data: Feeds, scores: Scores
) -> dict[str, float]:
    """The share of each value's elements that lies inside a range, 0.0 being inside of every one.

    Half a step of an int8 code beyond an end still rounds to that end, and counts as inside. Of
    scores only those are asked about that are above their cut; where there are some, the samples
    that fill up the last step count again.
    """
    inside, total = dict.fromkeys(ranges, 0), dict.fromkeys(ranges, 0)
    if scores.reads:
        data = whole_steps(graph, data, samples(graph, data))
    for values in run_float(graph, {*ranges, *scores.reads}, data):
        counts = scores.counts(values)
        for name, (low, high) in ranges.items():
            slack = (max(high, 0.0) - min(low, 0.0)) / 510
            array = values[name].astype(np.float64)
            array = array[counts[name]] if name in counts else array
            within = (array >= min(low, 0.0) - slack) & (array <= max(high, 0.0) + slack)
            inside[name] += int(np.count_nonzero(within))
            total[name] += array.size
    return {name: inside[name] / total[name] if total[name] else 1.0 for name in ranges}


def _cut(counts: npt.NDArray[Any], span: Range, percentile: float) -> Range:
    edges = np.linspace(*span, BINS + 1)
    share = np.cumsum(counts) / counts.sum()
    high = int(np.searchsorted(share, percentile / 100.0))
    low = int(np.searchsorted(share, 1.0 - percentile / 100.0, side="right"))
    return float(edges[min(low, BINS - 1)]), float(edges[min(high, BINS - 1) + 1])


def _check_array(graph: Graph, name: str, array: Array) -> None:
    shape = graph.shapes[name]
    rest = shape[1:] if name in graph.batched else shape or (1,)
    if array.dtype.kind not in "fiub":
        raise _bad(f"input {named(name)} is not numeric", "numbers", array.dtype)
    if array.ndim == 0 or array.shape[1:] != rest:
        joined = ", ".join(map(str, shape[1:]))
        expected = f"[n, {joined}]" if joined else "[n]"
        whole = "" if name in graph.batched or not shape else f", n a multiple of {shape[0]}"
        raise _bad(f"input {named(name)} has another shape", expected + whole, list(array.shape))
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _bad(f"input {named(name)} contains NaN or infinity", "finite values")
    if array.dtype.kind == "f" and not graph.is_float(name) and (array != np.rint(array)).any():
        raise _bad(f"input {named(name)} holds integers", "integers", "fractions")


def _cast(graph: Graph, name: str, array: Array) -> Array:
    return array.astype(helper.tensor_dtype_to_np_dtype(graph.types[name]))


def _bad(message: str, expected: object = None, received: object = None) -> UsageError:
    return UsageError(message, code="usage.input", expected=expected, received=received)
