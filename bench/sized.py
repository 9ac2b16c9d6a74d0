"""zktally bench sized: networks of real sizes, compiled and run beside onnxruntime's floats.

MobileNetV2, ResNet-50, an encoder of the size of all-MiniLM-L6-v2 and a decoder of that of GPT-2:
their graphs as exporters write them, with random weights, which cost as much as trained ones. Each
is compiled from a file in a process of its own. Float and integer runs alternate, so that the load
of the machine tells on both; compare ratios within a row.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto

from .. import _core
from ..circuits.compile import compile
from ..circuits.model import CompiledModel
from ..prover import Claims, FastRun, initial_state
from ..verifier.inputs import quantise
from .blocks import Blocks, Port
from .cells import (
    Column,
    Row,
    formats,
    machines_text,
    markdown_table,
    measure_all,
    paragraph,
    run_cells,
    text_table,
)
from .fast import session_options, verify_times
from .machine import describe, forget_peak, peak_memory
from .timing import timed

CALIBRATED = 4
"""Samples of calibration: random ones, of which a few show as much as many."""
SHOWN = 12
"""Ops of a profile that are worth a line."""

COLUMNS: list[Column] = [
    *formats(("model", "{}", "model"), ("parameters", "{:,}", "parameters"), ("ops", "{}", "ops")),
    ("GMACs", lambda row: f"{row['macs'] / 1e9:.2f}"),
    *formats(("compile", "{:.1f}", "compile s")),
    ("peak MB", lambda row: f"{row['compile_peak_bytes'] / 1e6:,.0f}"),
    *formats(("float", "{:.1f}", "float ms"), ("integer", "{:.1f}", "integer ms")),
    *formats(("ratio", "{:.2f}", "integer/float")),
]
RECEIPTS: list[Column] = [
    *formats(("model", "{}", "model"), ("commit", "{:.2f}", "commit s")),
    *formats(("open", "{:.2f}", "open s"), ("verify_rust", "{:.0f}", "verify ms (Rust)")),
    *formats(("verify_python", "{:,.0f}", "(Python)")),
    ("receipt KB", lambda row: f"{row['receipt_bytes'] / 1e3:,.0f}"),
    ("peak MB", lambda row: f"{row['prove_peak_bytes'] / 1e6:,.0f}"),
]  # fmt: skip

Data = Mapping[str, npt.NDArray[Any]]


def mobilenet() -> onnx.ModelProto:
    """MobileNetV2 for images of 224²: 3.5 M parameters, 0.30 G MACs."""
    net = Blocks()

    def clipped(x: str) -> str:
        return net.op("Clip", x, net.constant(0.0), net.constant(6.0))

    x, channels = clipped(net.convolved("image", 3, 32, 3, stride=2)), 32
    for expand, outputs, repeats, stride in MOBILENET:
        for n in range(repeats):
            inner, before, step = channels * expand, x, stride if n == 0 else 1
            if expand > 1:
                x = clipped(net.convolved(x, channels, inner, 1))
            x = clipped(net.convolved(x, inner, inner, 3, step, group=inner))
            x = net.convolved(x, inner, outputs, 1, gain=0.5)
            if step == 1 and channels == outputs:
                x = net.op("Add", before, x)
            channels = outputs
    x = clipped(net.convolved(x, channels, 1280, 1))
    return net.model("mobilenet", IMAGE, net.classified(x, 1280), ["batch", 1000])


def resnet() -> onnx.ModelProto:
    """ResNet-50 for images of 224²: 25.6 M parameters, 4.1 G MACs."""
    net = Blocks()

    def rectified(x: str) -> str:
        return net.op("Relu", x)

    x = rectified(net.convolved("image", 3, 64, 7, stride=2))
    x = net.op("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])
    channels = 64
    for stage, repeats in enumerate((3, 4, 6, 3)):
        inner, outputs = 64 << stage, 256 << stage
        for n in range(repeats):
            stride = 2 if stage and n == 0 else 1
            before = x if n else net.convolved(x, channels, outputs, 1, stride, gain=1.0)
            x = rectified(net.convolved(x, channels, inner, 1))
            x = rectified(net.convolved(x, inner, inner, 3, stride))
            x = rectified(net.op("Add", net.convolved(x, inner, outputs, 1, gain=0.2), before))
            channels = outputs
    return net.model("resnet", IMAGE, net.classified(x, 2048), ["batch", 1000])


def encoder() -> onnx.ModelProto:
    """An encoder of 6 layers of 384, sequence 128: 22.7 M parameters, all-MiniLM-L6-v2's sizes."""
    net, width = Blocks(), 384
    tokens = net.op("Gather", net.drawn(30522, width, inputs=1, gain=1e-3), "input_ids")
    kinds = net.op("Gather", net.drawn(2, width, inputs=1, gain=1e-3), "token_type_ids")
    places = net.drawn(1, ENCODED, width, inputs=1, gain=1e-3)
    x = net.normalised(net.op("Add", net.op("Add", tokens, kinds), places), width)
    floats = net.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    kept = net.op("Unsqueeze", floats, net.constant([1, 2], np.int64))
    absent = net.op("Mul", net.op("Sub", net.constant(1.0), kept), net.constant(-10000.0))
    for _ in range(6):
        q, k, v = (net.linear(x, width, width) for _ in range(3))
        mixed = net.attended(q, k, v, 12, 32, lambda scores: net.op("Add", scores, absent))
        x = net.normalised(net.op("Add", net.linear(mixed, width, width), x), width)
        inner = net.linear(x, width, 4 * width)
        half = net.op("Div", inner, net.constant(math.sqrt(2)))
        phi = net.op("Add", net.op("Erf", half), net.constant(1.0))
        inner = net.op("Mul", net.op("Mul", inner, phi), net.constant(0.5))
        x = net.normalised(net.op("Add", net.linear(inner, 4 * width, width), x), width)
    ids: Port = (TensorProto.INT64, ["batch", ENCODED])
    inputs = dict.fromkeys(("input_ids", "attention_mask", "token_type_ids"), ids)
    return net.model("encoder", inputs, x, ["batch", ENCODED, width])


def decoder() -> onnx.ModelProto:
    """A decoder of 12 layers of 768, tied embeddings, sequence 64: GPT-2's 124 M parameters."""
    net, width = Blocks(), 768
    words = net.drawn(50257, width, inputs=1, gain=4e-4)
    tokens = net.op("Gather", words, "input_ids")
    x = net.op("Add", tokens, net.drawn(1, DECODED, width, inputs=1, gain=1e-4))
    seen = net.constant(np.tri(DECODED, dtype=bool)[None, None], bool)
    never = net.constant(-10000.0)
    for _ in range(12):
        x = net.causal(x, width, 12, lambda scores: net.op("Where", seen, scores, never))
    head = net.op("Transpose", words, perm=[1, 0])
    out = net.op("MatMul", net.normalised(x, width), head)
    inputs: dict[str, Port] = {"input_ids": (TensorProto.INT64, ["batch", DECODED])}
    return net.model("decoder", inputs, out, ["batch", DECODED, 50257])


MOBILENET = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
"""Factor of expansion, channels, repeats and first stride of MobileNetV2's blocks."""
ENCODED, DECODED = 128, 64
"""Tokens of the encoder and the decoder."""
IMAGE: Mapping[str, Port] = {"image": (TensorProto.FLOAT, ["batch", 3, 224, 224])}


def images(n: int, rng: np.random.Generator) -> Data:
    """Images of noise."""
    return {"image": rng.normal(0, 1, (n, 3, 224, 224)).astype(np.float32)}


def sentences(n: int, rng: np.random.Generator) -> Data:
    """Tokens of which the last ones are absent."""
    ids = rng.integers(0, 30522, (n, ENCODED))
    lengths = rng.integers(ENCODED // 2, ENCODED, (n, 1))
    mask = (np.arange(ENCODED) < lengths).astype(np.int64)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def prompts(n: int, rng: np.random.Generator) -> Data:
    """Tokens."""
    return {"input_ids": rng.integers(0, 50257, (n, DECODED))}


Network = tuple[Callable[[], onnx.ModelProto], Callable[[int, np.random.Generator], Data]]

SIZED: dict[str, Network] = {
    "mobilenet": (mobilenet, images),
    "resnet": (resnet, images),
    "encoder": (encoder, sentences),
    "decoder": (decoder, prompts),
}
"""Networks by name, and what gives them data."""


def main(args: argparse.Namespace) -> int:
    """Measure all networks, or read rows; lines or Markdown to the output, tables to stderr."""
    return run_cells(args, _measure_all, markdown, table, "networks")


def _measure_all(args: argparse.Namespace) -> tuple[list[Row], int]:
    cells = [
        (
            name,
            {
                "model": name,
                "repeat": args.repeat,
                "threads": args.threads,
                "profile": args.profile,
                "receipts": args.receipts,
            },
        )
        for name in args.models
    ]
    return measure_all(
        "zktally.bench.sized",
        cells,
        args,
        lambda row: f"compile {row['compile']:.1f} s, integer/float {row['ratio']:.2f}",
    )


def measure(cell: Row) -> Row:
    """One row: seconds of compiling, medians of runs in milliseconds."""
    build, draw = SIZED[cell["model"]]
    with _saved(build()) as path:
        data = draw(CALIBRATED, np.random.default_rng(0))
        forget_peak()
        compiled, seconds = timed(lambda: compile(path, data, public=True))
        row: Row = {"compile": seconds, "compile_peak_bytes": peak_memory()}
        session = onnxruntime.InferenceSession(
            path, session_options(cell["threads"]), providers=["CPUExecutionProvider"]
        )
    weights = compiled.checked.weights
    row |= {
        "parameters": compiled.report.parameters,
        "ops": len(compiled.checked.program.ops),
        "macs": weights.step_macs,
        "top1": compiled.report.top1,
    }
    inputs = draw(1, np.random.default_rng(1))
    row |= _runs(compiled, session, inputs, cell)
    if cell["receipts"]:
        del session
        row |= _receipt(compiled, inputs)
    return cell | row | {"machine": describe()}


@contextmanager
def _saved(model: onnx.ModelProto) -> Iterator[str]:
    """The model as a file, and nothing of it in memory once the caller lets it go."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        yield str(path)


def _runs(
    compiled: CompiledModel, session: onnxruntime.InferenceSession, inputs: Data, cell: Row
) -> Row:
    """Float and integer runs in turn, in milliseconds, and the profile of the integer ones."""
    (numbers,), _ = quantise(compiled.checked.program, inputs)
    threads = cell["threads"]
    executor = _core.Executor(compiled.checked.data, list(compiled.weights), threads)
    times: dict[str, list[float]] = {"float": [], "integer": []}
    for _ in range(cell["repeat"] + 1):
        times["float"].append(timed(lambda: session.run(None, dict(inputs)))[1])
        times["integer"].append(timed(lambda: executor.execute(numbers))[1])
    row: Row = {key: 1e3 * statistics.median(each[1:]) for key, each in times.items()}
    row["ratio"] = row["integer"] / row["float"]
    if cell["profile"]:
        row["profile"] = _profile(compiled, executor.op_seconds(), cell["repeat"] + 1)
    return row


def _profile(
    compiled: CompiledModel, spent: Sequence[float], runs: int
) -> list[tuple[str, str, int, float]]:
    """Name, kind, gates and milliseconds of every op."""
    return [
        (op.name, type(op).__name__, math.prod(op.space), 1e3 * seconds / runs)
        for op, seconds in zip(compiled.checked.program.ops, spent, strict=True)
    ]


def _receipt(compiled: CompiledModel, inputs: Data) -> Row:
    """A fast receipt of one step, and both verifiers on it."""
    numbers, items = quantise(compiled.checked.program, inputs)
    forget_peak()
    run = FastRun(compiled.core, compiled.checked, initial_state(compiled.checked, None))
    run.execute(numbers[0])
    _, commit = timed(run.commit)
    receipt, opening = timed(lambda: run.prove(Claims("fast", 0.05), items))
    row: Row = {"commit": commit, "open": opening, "receipt_bytes": len(receipt)}
    row["prove_peak_bytes"] = peak_memory()
    return row | verify_times(receipt, compiled, 3)


def table(rows: list[Row]) -> str:
    """The rows for people, and the ops that take longest where they were profiled."""
    proven = [row for row in rows if row["receipts"]]
    tables = [text_table(COLUMNS, rows), *([text_table(RECEIPTS, proven)] if proven else [])]
    return "\n\n".join([*tables, *(_slowest(row) for row in rows if row["profile"])])


def _slowest(row: Row) -> str:
    ops = sorted(row["profile"], key=lambda op: -op[3])
    whole = sum(op[3] for op in ops)
    lines = [
        f"{time:9.2f} ms {time / whole:5.1%}  {kind:6} {gates:10,}  {name}"
        for name, kind, gates, time in ops[:SHOWN]
    ]
    return "\n".join([f"{row['model']}: {whole:.1f} ms in {len(ops)} ops", *lines])


def markdown(rows: list[Row]) -> str:
    """The section of docs/figures.md."""
    proven = [row for row in rows if row["receipts"]]
    parts = [
        "## Real sizes: `zktally bench sized`",
        paragraph(f"{machines_text(rows)}. {_TEXT}"),
        markdown_table(COLUMNS, rows),
    ]
    if proven:
        parts += [paragraph(_PROVEN), markdown_table(RECEIPTS, proven)]
    return "\n\n".join(parts)


_TEXT = (
    "Batch 1, random weights; images of 224², sequences of 128 (encoder) and 64 (decoder). Float "
    "(onnxruntime) and integer runs alternate; medians after a warm-up. Peak memory is that of "
    "compiling the file."
)
_PROVEN = "A fast receipt of one step (δ = 5 %, λ = 128), beside the run."


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
