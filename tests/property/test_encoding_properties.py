"""Encodings: decode(encode(x)) is x, and both readers accept and refuse the same bytes."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace

from drawn import ACCEPTED, CHECKED, SETTINGS, code, keys, names
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support import programs
from zktally import _core
from zktally._core import testing
from zktally.verifier.journal import Journal
from zktally.verifier.program.checked import load
from zktally.verifier.program.codec import decode, encode
from zktally.verifier.program.types import AxisMap, Program

MANY = settings(SETTINGS, max_examples=200)


@st.composite
def journals(draw: st.DrawFn) -> Journal:
    key = draw(st.none() | keys())
    inputs = st.none() if key is None else st.none() | st.binary(max_size=40)
    return Journal(
        mode=0,
        program_id=draw(st.binary(min_size=32, max_size=32)),
        weights_root=draw(keys()),
        dataset_root=draw(keys()),
        first=draw(st.integers(0, 2**32 - 1)),
        steps=draw(st.integers(1, 2**20)),
        items=draw(st.integers(1, 2**32 - 1)),
        delta_ppm=draw(st.integers(1, 500_000)),
        delta_step_ppm=draw(st.integers(0, 500_000)),
        delta_op_ppm=draw(st.integers(0, 500_000)),
        bits=draw(st.integers(1, 256)),
        exact=tuple(sorted(draw(st.sets(st.integers(0, 65_535), max_size=9)))),
        chain_root=draw(keys()),
        input_root=draw(keys()),
        initial_state=draw(keys()),
        final_state=draw(keys()),
        exported_root=draw(keys()),
        prf_seed=draw(keys()),
        seed=draw(st.integers(0, 1)),
        start=draw(st.integers(0, 1)),
        input_key=key,
        inputs=draw(inputs),
        outputs=draw(st.binary(max_size=40)),
        audience=draw(st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)),
        nonce=draw(st.none() | st.binary(min_size=1, max_size=64)),
    )


def as_json(journal: Journal) -> dict[str, object]:
    values = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in vars(journal).items()
    }
    return {**values, "exact": list(journal.exact)}


@SETTINGS
@given(journal=journals())
def test_journals(journal):
    data = journal.encode()
    assert Journal.decode(data) == journal
    assert json.loads(testing.journal_decode(data)) == as_json(journal)
    assert testing.journal_encode(json.dumps(as_json(journal))) == data


@MANY
@given(journal=journals(), data=st.data())
def test_spoiled_journals_are_judged_alike(journal, data):
    spoiled = spoil(data, journal.encode())
    verdict = code(Journal.decode, spoiled)
    assert code(testing.journal_decode, spoiled) == verdict
    if verdict == ACCEPTED:
        assert Journal.decode(spoiled).encode() == spoiled


def spoil(data: st.DataObject, good: bytes) -> bytes:
    """A few bytes overwritten, removed or put in."""
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 4)))
    return good[:start] + data.draw(st.binary(max_size=4)) + good[end:]


@MANY
@given(name=names, data=st.data())
def test_spoiled_programs_are_judged_alike(name, data):
    spoiled = spoil(data, CHECKED[name][0].data)
    verdict = code(load, spoiled)
    assert code(_core.Program, spoiled) == verdict
    if verdict == ACCEPTED:
        assert encode(decode(spoiled)) == spoiled
        agree_on_facts(spoiled)


INTERESTING = (0, 1, 2, 3, 7, 8, 15, 127, 128, 255, 256, -1, -128, 2**15 - 1, 2**15, 2**23 - 1,
               2**24, 2**31 - 1, -(2**31))  # fmt: skip


def mutate(data: st.DataObject, node: object) -> object:
    """The same word of a program with one number or one part of it changed, deep inside."""
    if isinstance(node, bool):
        return not node
    if isinstance(node, int):
        near = st.integers(-3, 3).map(lambda by: node + by)
        changed = data.draw(near | st.sampled_from(INTERESTING))
        return type(node)(changed) if type(node) is int else node
    if isinstance(node, tuple) and node:
        at = data.draw(st.integers(0, len(node) - 1))
        how = data.draw(st.sampled_from(["inside"] * 6 + ["drop", "twice"]))
        middle = {"drop": (), "twice": (node[at], node[at])}.get(how)
        middle = (mutate(data, node[at]),) if middle is None else middle
        return (*node[:at], *middle, *node[at + 1 :])
    if is_dataclass(node) and not isinstance(node, AxisMap | type):
        names = [f.name for f in fields(node) if getattr(node, f.name) not in ("", None, ())]
        name = data.draw(st.sampled_from(names))
        return replace(node, **{name: mutate(data, getattr(node, name))})
    if isinstance(node, AxisMap):
        name = data.draw(st.sampled_from([f.name for f in fields(node)]))
        return replace(node, **{name: mutate(data, getattr(node, name))})
    return node


@MANY
@given(name=names, data=st.data())
def test_changed_programs_are_judged_alike(name, data):
    """Programs that decode, and break one rule of sections 1 to 3, or none."""
    program = CHECKED[name][0].program
    changed = mutate(data, program)
    assume(isinstance(changed, Program) and changed != program)
    try:
        encoded = encode(changed)
    except Exception:
        assume(False)
    verdict = code(load, encoded)
    assert code(_core.Program, encoded) == verdict
    if verdict == ACCEPTED:
        agree_on_facts(encoded)


def agree_on_facts(encoded: bytes) -> None:
    """Both readers derive the same from a program."""
    facts, plain = json.loads(_core.Program(encoded).facts()), load(encoded)
    program, weights = plain.program, plain.weights
    assert facts["program_id"] == plain.id.hex()
    assert facts["name"] == program.name
    assert facts["batch"] == program.batch
    assert facts["live_macs"] == plain.live_macs
    assert facts["step_weight"] == weights.step_weight
    assert facts["step_macs"] == weights.step_macs
    for key, expected in (("own", weights.own), ("weight", weights.weight), ("macs", weights.macs)):
        assert tuple(op[key] for op in facts["ops"]) == expected, key
    for found, bound in zip(facts["bounds"], plain.bounds, strict=True):
        described = {**vars(bound), "bound": str(bound.bound), "limit": str(bound.limit)}
        assert found == described


def test_facts_of_the_programs_that_tests_share():
    for name in programs.EVERY:
        agree_on_facts(CHECKED[name][0].data)
