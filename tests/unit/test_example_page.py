"""docs/example.md is fresh, is about the golden receipt, and computes all of it by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import fields
import make_example
import pytest

from zktally.verifier.program.codec import decode
from zktally.verifier.receipt import split_receipt

ROOT = Path(__file__).parents[2]
PAGE = make_example.render()
BLOCKS = re.findall(r"```python\n(.*?)```\n", PAGE, re.DOTALL)
PRINTED = " ".join(re.findall(r"```text\n(.*?)```\n", PAGE, re.DOTALL)).split()
[DENSE] = [
    vector
    for vector in json.loads((ROOT / "tests/vectors/vectors.json").read_text())["vectors"]
    if vector["name"] == "dense"
]


def test_the_page_is_fresh():
    assert make_example.PAGE.read_text("utf-8") == PAGE, "run `make docs`"


def test_what_it_computes_is_what_the_vectors_say():
    facts = DENSE["facts"]
    for name in ("program_id", "model_id", "weights_root", "chain_root", "input_root"):
        assert facts[name] in PRINTED
    for name in ("samples", "samples_per_op"):
        assert str(facts[name]) in PRINTED
    assert str(facts["ops"][0]["draws"]) in PRINTED
    assert "False" not in PRINTED
    assert PRINTED.count("True") == 10


def test_it_uses_the_standard_library_alone():
    imported = re.findall(r"^(?:import|from) (\S+)", "\n".join(BLOCKS), re.MULTILINE)
    assert imported == ["hashlib", "io", "struct", "pathlib"]


@pytest.mark.parametrize("part", ["program", "journal", "proof"])
def test_every_byte_has_a_name(part):
    data = bytes(getattr(split_receipt((ROOT / "tests/vectors/dense.receipt").read_bytes()), part))
    found = list(getattr(fields, f"{part}_fields")(data))
    assert b"".join(field.data for field in found) == data
    assert all(field.name for field in found)


def test_the_names_of_the_program_are_those_of_its_reader():
    data = (ROOT / "tests/vectors/dense.program").read_bytes()
    program = decode(data)
    values = [field.value for field in fields.program_fields(data)]
    assert [str(tensor.shape) for tensor in program.tensors] == [
        value for value in values if value.startswith("(") and value != "(6,)"
    ][: len(program.tensors)]
    [op], names = program.ops, [tensor.name for tensor in program.tensors]
    assert {op.name, *names} <= set(values)
