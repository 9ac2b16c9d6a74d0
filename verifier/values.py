"""What a statement has in the clear, as its reader knows it: outputs, and published inputs.

And the files that outputs are written to: .npz for programs, .csv for tables.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import numpy as np

from .errors import UsageError
from .facts import STATUSES
from .gates import Ints
from .inputs import dequantise, port_labels, unpack_ports
from .journal import Journal
from .program.codec import decode
from .program.types import ABSENT, Port, Program
from .quoting import quoted, quoted_path
from .receipt import split_receipt
from .shown import Shown
from .snark.verdict import VerifiedSnark
from .verified import Verified

Array = np.ndarray[Any, np.dtype[Any]]

FORMAT = "zktally.outputs/1"
SUFFIXES = (".npz", ".csv")
COLUMNS = ("output", "unit", "number", "position", "value", "code")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""
_NPY = ".npy"
_WHOLE = 10**4
"""Characters that no escaped name of a port has."""


@dataclass(frozen=True)
class Values:
    """The values of one port.

    Attributes:
        name: that the ONNX model has.
        unit: what a row stands for, "item" or "step".
        rows: number of each row: of the item in the run of the receipts, of the step in the whole
            run; int64 [n].
        values: in real units, float32 or int64 [n, ...]; padding is left out.
        codes: the integers of the program behind them, int64 [n, ...].
        status: of an output, "certified", "consistent" or "sampled", or "snark" where a SNARK shows
            it; of an input, "published".
    """

    name: str
    unit: str
    rows: Ints
    values: Array
    codes: Ints
    status: str


def outputs_of(receipts: Sequence[bytes], verdicts: Sequence[Verified]) -> list[Values]:
    """The outputs of receipts that were judged and found good, those of a run behind each other.

    Of a receipt that hides them, those that were shown. None where one hides all of them.
    """
    if isinstance(verdicts[0], VerifiedSnark):
        return _of_snark(verdicts[0])
    if verdicts[0].shown is not None:
        return _of_shown(verdicts[0], verdicts[0].shown)
    if not all(verdict.guarantee.outputs_public for verdict in verdicts):
        return []
    parts, items = [], 0
    for receipt, verdict in zip(receipts, verdicts, strict=True):
        program, journal = _read(receipt)
        found = _ports(program, program.outputs, journal.outputs, journal, items)
        status = verdict.guarantee.outputs
        parts.append(
            [
                replace(each, values=verdict.outputs[each.name], status=status[each.name])
                for each in found
            ]
        )
        items += journal.items
    return [_joined(same) for same in zip(*parts, strict=True)]


def _of_shown(verdict: Verified, shown: Shown) -> list[Values]:
    """The outputs of the steps that were shown."""
    status, units = verdict.guarantee.outputs, shown.units
    return [
        Values(name, units[name], shown.rows[name], array, shown.codes[name], status[name])
        for name, array in shown.outputs.items()
    ]


def _of_snark(verdict: VerifiedSnark) -> list[Values]:
    """The outputs of one run, which is one step."""
    found = []
    for name, array in verdict.outputs.items():
        codes = np.array(verdict.integers[name], np.int64).reshape(1, *array.shape)
        rows = np.zeros(1, np.int64)
        found.append(Values(name, "step", rows, array[np.newaxis], codes, "snark"))
    return found


def inputs_of(receipts: Sequence[bytes]) -> list[Values]:
    """The inputs of the same receipts that their statements publish; none where one does not."""
    parts, items = [], 0
    for receipt in receipts:
        program, journal = _read(receipt)
        if journal.inputs is None:
            return []
        parts.append(_ports(program, program.inputs, journal.inputs, journal, items))
        items += journal.items
    return [_joined(same) for same in zip(*parts, strict=True)]


def _read(receipt: bytes) -> tuple[Program, Journal]:
    sections = split_receipt(receipt)
    return decode(sections.program), Journal.decode(sections.journal)


def _ports(
    program: Program, ports: tuple[Port, ...], packed: bytes, journal: Journal, items: int
) -> list[Values]:
    codes = unpack_ports(program, ports, packed, journal.steps)
    labels, found = port_labels(port.name for port in ports), []
    for port in ports:
        array, batched = codes[port.tensor], port.batch != ABSENT
        if batched:
            array = array.reshape(-1, *array.shape[2:])[: journal.items]
        first = items if batched else journal.first
        rows = np.arange(first, first + len(array), dtype=np.int64)
        unit = "item" if batched else "step"
        values = dequantise(port, array)
        found.append(Values(labels[port.name], unit, rows, values, array, "published"))
    return found


def _joined(parts: Sequence[Values]) -> Values:
    """Those of all receipts; the status is the worst that any of them gives."""
    ranks = ("published", *STATUSES)
    return replace(
        parts[0],
        status=max((part.status for part in parts), key=ranks.index),
        rows=np.concatenate([part.rows for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        codes=np.concatenate([part.codes for part in parts]),
    )


def refuse_name(path: str) -> None:
    """Refuse a file of outputs of another kind.

    Raises:
        UsageError: its name ends in neither .npz nor .csv.
    """
    if PurePath(path).suffix.lower() not in SUFFIXES:
        raise UsageError(
            "outputs are written as arrays or as a table",
            expected="a name that ends in .npz or .csv",
            received=quoted_path(path),
        )


def encoded(path: str, outputs: Sequence[Values], about: Mapping[str, Any]) -> bytes:
    """The file of these outputs, of the kind that its name says.

    Args:
        path: its name.
        outputs: to be written.
        about: what they are of; an .npz file keeps it as the JSON text `about`.
    """
    refuse_name(path)
    if PurePath(path).suffix.lower() == ".csv":
        return _csv(outputs)
    return _npz(outputs, {"format": FORMAT, **about})


def _npz(outputs: Sequence[Values], about: Mapping[str, Any]) -> bytes:
    """Arrays by name (`member`); beside `NAME` stand `codes:NAME` and `rows:NAME`, and `about`."""
    arrays: dict[str, Array] = {}
    for each in outputs:
        name = member(each.name)
        arrays |= {name: each.values, f"codes:{name}": each.codes, f"rows:{name}": each.rows}
    shown = {**about, "outputs": [_about(each) for each in outputs]}
    arrays["about"] = np.array(json.dumps(shown, sort_keys=True))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # numpy.savez takes no array of the name "file"
        for name, array in arrays.items():
            held = io.BytesIO()
            np.lib.format.write_array(held, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), held.getvalue())
    return file.getvalue()


def _about(values: Values) -> dict[str, str]:
    return {
        "name": values.name,
        "array": member(values.name),
        "unit": values.unit,
        "status": values.status,
    }


def member(name: str) -> str:
    """The name of an output as that of an array, and of a file wherever the archive is unpacked.

    `%`, slashes, dots in front, the dot of a last `.npy` (which numpy takes for its own) and what
    cannot be seen become `%` and the hexadecimal digits of their bytes, as in addresses; so does
    the first letter of a name that is one of ours. Two names stay two.
    """
    dots = len(name) - len(name.lstrip("."))
    last = len(name) - len(_NPY) if name.lower().endswith(_NPY) else len(name)
    ours = name == "about" or name.startswith(("codes:", "rows:"))
    return "".join(
        _percent(c)
        if c in "%/\\" or not c.isprintable() or at < dots or at == last or (ours and at == 0)
        else c
        for at, c in enumerate(name)
    )


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _csv(outputs: Sequence[Values]) -> bytes:
    """One line for each value: of which output, item or step, at which position, and its code.

    All but numbers stands between quotes, whatever a spreadsheet takes for its separator.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    table.writerow(COLUMNS)
    for each in outputs:
        name = _cell(each.name)
        for number, values, codes in zip(each.rows, each.values, each.codes, strict=True):
            for position in np.ndindex(values.shape):
                place = " ".join(map(str, position))
                value, code = values[position], int(codes[position])
                table.writerow([name, each.unit, int(number), place, value, code])
    return text.getvalue().encode("ascii")


def _cell(name: str) -> str:
    """A name from outside as printable ASCII that no spreadsheet computes."""
    cell = quoted(name, _WHOLE)[1:-1]
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
