"""Writes docs/example.md: a golden receipt by hand, every byte of it named, every digest computed.

The words stand in example.template. Its blocks of Python are run, and what they print is put under
them; tables of bytes come from the files. So the page is true by construction. Run it with `make
docs`; tests/unit/test_example_page.py fails if it is stale.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from fields import Field, journal_fields, program_fields, proof_fields
from segment import Segment

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/example.md"
TEMPLATE = ROOT / "docs/make/example.template"
VECTORS = ROOT / "tests/vectors"
_BLOCK = re.compile(r"```python\n(.*?)```\n", re.DOTALL)
_WIDEST = 12
"""Bytes that are shown whole."""


def render() -> str:
    """The page."""
    receipt = (VECTORS / "dense.receipt").read_bytes()
    program, journal, proof = _sections(receipt)
    segment = Segment.of((VECTORS / "hybrid-dense.receipt").read_bytes())
    tables = {
        "receipt_bytes": f"{len(receipt):,}",
        "hybrid_bytes": f"{(VECTORS / 'hybrid-dense.receipt').stat().st_size:,}",
        "journal": _table(journal_fields(journal)),
        "program": _table(program_fields(program)),
        "proof": _table(proof_fields(proof)),
        "sizes": _sizes(program, journal, proof),
        "segment": segment.text(),
        "rows": segment.rows(),
        "present": segment.present(),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, table in tables.items():
        text = text.replace("{{" + name + "}}", table)
    return _with_outputs(text)


def _sections(receipt: bytes) -> tuple[bytes, bytes, bytes]:
    file, found = io.BytesIO(receipt[8:]), []
    for _ in range(3):
        found.append(file.read(int.from_bytes(file.read(4), "little")))
    program, journal, proof = found
    return program, journal, proof


def _table(fields: Iterator[Field]) -> str:
    rows = ["| offset | bytes | field | value |", "|---|---|---|---|"]
    rows += [f"| {f.offset} | {_hex(f.data)} | {f.name} | {f.value} |" for f in fields]
    return "\n".join(rows)


def _hex(data: bytes) -> str:
    if len(data) <= _WIDEST:
        return f"`{data.hex(' ')}`" if data else "none"
    return f"`{data[:4].hex(' ')} … {data[-2:].hex(' ')}` ({len(data)})"


def _sizes(program: bytes, journal: bytes, proof: bytes) -> str:
    parts = {
        "magic, version, three lengths": 8 + 3 * 4,
        "program": len(program),
        "journal": len(journal),
        "proof: the seed": 32,
        "proof: seven roots": 7 * 32,
        "proof: opened values": (opened := 24 + 8 + 8 + 2 * (12 + 8)),
        "proof: salts of 18 leaves": len(proof) - 8 * 32 - opened,
    }
    rows = ["| part | bytes |", "|---|---|", *(f"| {name} | {n:,} |" for name, n in parts.items())]
    return "\n".join([*rows, f"| all | {sum(parts.values()):,} |"])


def _with_outputs(text: str) -> str:
    """Every block with what it prints, all run in one namespace in the root of the repository."""
    namespace: dict[str, object] = {}

    def run(block: re.Match[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block[1], namespace)
        output = printed.getvalue()
        return block[0] + (f"\n```text\n{output}```\n" if output else "")

    return _in_root(lambda: _BLOCK.sub(run, text))


def _in_root(work: Callable[[], str]) -> str:
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return work()
    finally:
        os.chdir(before)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
