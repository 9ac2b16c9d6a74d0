"""What a report of costs shows of a row: columns of tables, and the flat form of CSV files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..process import Row

NONE = "–"
"""Where a row has nothing to say."""


@dataclass(frozen=True)
class Shown:
    """A column for people: its head, what it means, its number for sorting, its text."""

    head: str
    help: str
    value: Callable[[Row], Any]
    form: Callable[[Any], str] = str

    def text(self, row: Row) -> str:
        """What stands in the cell."""
        found = self.value(row)
        return NONE if found is None else self.form(found)

    @property
    def column(self) -> tuple[str, Callable[[Row], str]]:
        """For the tables of `bench.cells`."""
        return self.head, self.text


def _of(head: str, help: str, key: str, form: str = "{}", unit: float = 1.0) -> Shown:
    """A column of one key, nested ones with a point."""

    def say(value: Any) -> str:
        return form.format(value / unit if unit != 1.0 else value)

    return Shown(head, help, lambda row: look_up(row, key), say)


def look_up(row: Row, key: str) -> Any:
    """The value of a key, None where the row has none; `a.b` is b of a."""
    found: Any = row
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def digits(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def _number(head: str, help: str, key: str, unit: float = 1.0) -> Shown:
    return Shown(head, help, lambda row: look_up(row, key), lambda value: digits(value / unit))


def _percent(value: float) -> str:
    return f"{100 * value:g} %"


MODEL = _of("model", "The file, or the name of a network of the project.", "model")
PARAMETERS = _of("parameters", "Weights and biases of the float model.", "parameters", "{:,}")
MACS = _of("MACs", "Multiply-accumulates of one step of the batch.", "macs", "{:,}")
MODE = _of(
    "mode",
    "fast shows sampled gates; hybrid proves them in zero knowledge; strict proves every gate; "
    "ezkl is another system, on the same ONNX file.",
    "mode",
)
DELTA = Shown(
    "δ",
    "Bound on wrong compute that is asked for; strict has none.",
    lambda r: r["delta"],
    _percent,
)
BATCH = _of("batch", "Items of one step.", "batch")
STEPS = _of("steps", "Runs of the program under one receipt.", "steps")
PROFILE = _of("profile", "Of the STARK: standard, or small.", "profile")
MACHINE = _of("machine", "Where it was measured.", "machine.name")
PROVE = _number(
    "prove s",
    "Seconds from quantised inputs to the receipt: integer run, commitment, openings, proof; of "
    "ezkl, witness and proof.",
    "prove_s",
)
VERIFY = _number("verify ms", "Milliseconds of the Rust verifier; of ezkl, its own.", "verify_ms")
PYTHON = _number("Python ms", "Milliseconds of the Python verifier, one run.", "verify_python_ms")
KILOBYTES = _number("KB", "Kilobytes of the receipt; of ezkl, of the proof.", "receipt_bytes", 1e3)
PEAK = _of(
    "peak MB", "Largest memory while the receipt was made, the model in it.", "peak_mb", "{:,.0f}"
)
BITS = _of("bits", "Proven bits, all ways to be deceived together.", "bits")

CELL = (MODEL, MODE, DELTA, BATCH, STEPS)
COSTS = (
    *(MODEL, PARAMETERS, MACS, MODE, DELTA),
    _of("λ", "Confidence of the samples in bits; 0 where nothing is sampled.", "lambda"),
    *(BATCH, STEPS, PROFILE),
    *(PROVE, VERIFY, PYTHON, KILOBYTES, PEAK, BITS),
    _number("compile s", "Seconds to compile the model, once for all its cells.", "compile_s"),
    _number("float ms", "onnxruntime over all steps.", "float_ms"),
    _number("integer ms", "The integer program over all steps.", "integer_ms"),
    _number("commit ms", "All trees of all steps.", "commit_ms"),
    _number("open ms", "Samples drawn and opened.", "open_ms"),
    _number("stark s", "The proof around the openings.", "stark_s"),
    _of("segments", "Parts of the proof.", "segments"),
)
PROMISES = (
    *CELL,
    Shown(
        "SQNR dB",
        "Signal to noise of the worst output: integers beside floats.",
        lambda row: row.get("sqnr_db"),
        lambda value: f"{value:.1f}",
    ),
    Shown(
        "agreement",
        "Share of equal classes: integers beside floats.",
        lambda row: row.get("agreement"),
        lambda value: f"{100 * value:.1f} %",
    ),
    Shown("≤ wrong", "δ of the chain.", lambda row: look_up(row, "guarantee.delta"), _percent),
    Shown("a step", "δ of every single step.", lambda r: _bound(r, "delta_step"), str),
    Shown("an op", "Wrong gates of any single op.", lambda r: _bound(r, "delta_op"), str),
    _of("what the receipt guarantees", "In the words of its verifier.", "guarantee.sentence"),
)
PEER = (
    *(MODEL, BATCH),
    _number("set-up s", "Settings, calibration, compilation, reference string, keys.", "setup_s"),
    _number("witness s", "To execute.", "witness_s"),
    _number("proof s", "To prove.", "ezkl.prove_s"),
    _number("verify ms", "To verify.", "verify_ms"),
    PEAK,
    _number("proof KB", "Of the proof.", "receipt_bytes", 1e3),
    _number("key MB", "Of the proving key.", "ezkl.pk_bytes", 1e6),
    _number("SRS MB", "Of the structured reference string.", "ezkl.srs_bytes", 1e6),
    _of("log rows", "Of its circuit.", "ezkl.logrows"),
    _number("worst error", "Against float, in the units of the output.", "ezkl.max_abs_error"),
    Shown(
        "adapted",
        "What had to be changed in the file.",
        lambda row: look_up(row, "ezkl.adapted"),
        lambda value: "; ".join(value) or "nothing",
    ),
)
STOPPED = (*CELL, _of("ended", "How.", "ended"), _of("why", "In words.", "why"))


def _bound(row: Row, name: str) -> str | None:
    """A bound of the guarantee; "none" where the receipt claims none."""
    guarantee = row.get("guarantee")
    if guarantee is None or name not in guarantee:
        return None
    return "none" if guarantee[name] is None else _percent(guarantee[name])


CSV_FIRST = (
    "machine.name", "model", "kind", "parameters", "macs", "mode", "delta", "lambda", "batch",
    "steps", "items", "profile", "threads", "repeat", "ended", "why", "compile_s", "float_ms",
    "integer_ms", "commit_ms", "open_ms", "stark_s", "setup_s", "witness_s", "prove_s", "cpu_s",
    "verify_ms", "verify_python_ms", "receipt_bytes", "peak_mb", "segments", "bits", "stark_bits",
    "sqnr_db", "agreement", "guarantee.delta", "guarantee.delta_step", "guarantee.delta_op",
    "guarantee.complete", "guarantee.sentence",
)  # fmt: skip
"""The columns of a CSV file that come first; the others follow by name."""


def flat(row: Row, prefix: str = "") -> Row:
    """One level: `a.b` for b of a; lists as JSON."""
    found: Row = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = json.dumps(value) if isinstance(value, list) else value
    return found


def csv_text(rows: Sequence[Row]) -> str:
    """All rows and all that they say, empty where a row says nothing."""
    flats = [flat(row) for row in rows]
    others = sorted({name for row in flats for name in row} - {*CSV_FIRST})
    out = io.StringIO()
    writer = csv.DictWriter(out, [*CSV_FIRST, *others], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if v is None else v for name, v in row.items()} for row in flats)
    return out.getvalue()
