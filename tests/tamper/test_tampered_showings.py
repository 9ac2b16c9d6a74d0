"""Showings that lie: each is refused, and each check refuses one that no other check does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import checks
import numpy as np
import pytest

from support.receipts import Prover
from support.showings import HEAD, Cut, held_of, sibling_count
from zktally.verifier import shown
from zktally.verifier.errors import ZktallyError
from zktally.verifier.reader import P
from zktally.verifier.shown import Form, judge_shown

ACCEPTED, CRASH = "accepted", "crash"
STEPS = (1, 2, 4)
OTHER = bytes([1, 0, 0, 0] * 8)


@cache
def run(name: str = "running_average", steps: int = 6, **claims: object) -> Prover:
    """A run with hidden outputs, committed; not to be changed."""
    return Prover(name, steps=steps, hidden=True, **claims).commit()


@cache
def another() -> Prover:
    """Of the same program, on other inputs."""
    prover = Prover("running_average", steps=6, hidden=True)
    for arrays in prover.trace:
        for number in prover.program.of_role(0):
            arrays[number] = np.zeros_like(arrays[number])
    return prover.commit()


def showing(prover: Prover, steps: tuple[int, ...] = STEPS) -> bytes:
    return held_of(prover).show(prover.receipt(), steps)


def cut(steps: tuple[int, ...] = STEPS) -> Cut:
    return Cut.of(showing(run(), steps), run().program)


def verdict(data: bytes, prover: Prover | None = None, **statement: object) -> str:
    prover = prover or run()
    try:
        judge_shown(data, prover.program, replace(prover.journal, **statement))
    except ZktallyError as error:
        return error.code
    return ACCEPTED


def words(entry: bytes, at: int, more: int) -> bytes:
    """An entry with a word that is so much more."""
    word = int.from_bytes(entry[at : at + 4], "little") + more
    return entry[:at] + word.to_bytes(4, "little") + entry[at + 4 :]


def over_p(at: int) -> bytes:
    """A showing with an element of its first step written as itself plus p."""
    parts = cut()
    return replace(parts, entries=(words(parts.entries[0], at, P), *parts.entries[1:])).encode()


def out_of_range() -> tuple[bytes, Prover]:
    """An honest showing of what no honest step gives."""
    prover = Prover("dense", steps=2, hidden=True)
    tensor = prover.program.tensors[prover.program.outputs[0].tensor]
    assert tensor.lo > -128
    prover.trace[1][prover.program.outputs[0].tensor].reshape(-1)[0] = -128
    prover.commit()
    with checks.WITHOUT["shown.judge_shown 1"]():
        return showing(prover, (1,)), prover


def exchanged(parts: Cut, what: slice) -> Cut:
    """Parts of the entries of two steps exchanged."""
    first, second, *rest = map(bytearray, parts.entries)
    first[what], second[what] = second[what], first[what]
    return replace(parts, entries=(bytes(first), bytes(second), *map(bytes, rest)))


def fields_of(prover: Prover) -> tuple[int, slice, slice]:
    """Where in an entry the outputs begin, and values and salts of the first port."""
    form = Form.of(prover.program)
    _, values, salts = next(form.fields())
    head = form.head_bytes
    shifted = [slice(head + of.start, head + of.stop) for of in (values, salts)]
    return head, *shifted


HEAD_BYTES, VALUES, SALTS = fields_of(run())

FORGERIES = {
    "another version": ("shown.malformed", lambda: replace(cut(), magic=b"ZKTSHOW\2")),
    "an empty file": ("shown.malformed", lambda: b""),
    "a receipt": ("shown.malformed", lambda: run().receipt()),
    "the held outputs": ("shown.malformed", lambda: held_of(run()).to_bytes()),
    "another chain named": ("shown.mismatch", lambda: replace(cut(), chain=OTHER)),
    "no steps": ("shown.malformed", lambda: Cut(cut().chain, (), (), b"")),
    "steps without end": ("shown.malformed", lambda: replace(cut(), count=2**32 - 1)),
    "one step more than there is": ("shown.malformed", lambda: replace(cut(), count=4)),
    "the same step twice": (
        "shown.malformed",
        lambda: replace(cut((1, 2)), steps=(1, 1), entries=2 * cut((1, 2)).entries[:1]),
    ),
    "steps out of order": (
        "shown.malformed",
        lambda: replace(cut((1, 2)), steps=(2, 1), entries=cut((1, 2)).entries[::-1]),
    ),
    "a step beyond the last": ("shown.malformed", lambda: replace(cut((5,)), steps=(6,))),
    "a step far beyond": ("shown.malformed", lambda: replace(cut((5,)), steps=(2**32 - 1,))),
    "another step named": ("shown.mismatch", lambda: replace(cut((1,)), steps=(0,))),
    "a value": ("shown.mismatch", lambda: cut().changed(0, VALUES.start)),
    "a value of the last step": ("shown.mismatch", lambda: cut().changed(2, VALUES.start)),
    "a salt": ("shown.mismatch", lambda: cut().changed(0, SALTS.start)),
    "the state before": ("shown.mismatch", lambda: cut().changed(0, 0)),
    "a root of another tensor": ("shown.mismatch", lambda: cut().changed(0, HEAD_BYTES - 32)),
    "outputs of two steps exchanged": ("shown.mismatch", lambda: exchanged(cut(), VALUES)),
    "outputs of two steps exchanged with their salts": (
        "shown.mismatch",
        lambda: exchanged(cut(), slice(VALUES.start, SALTS.stop)),
    ),
    "two steps exchanged": ("shown.mismatch", lambda: exchanged(cut(), slice(0, None))),
    "a sibling": (
        "shown.mismatch",
        lambda: replace(cut(), siblings=bytes([cut().siblings[0] ^ 1]) + cut().siblings[1:]),
    ),
    "a path without its end": (
        "shown.malformed",
        lambda: replace(cut(), siblings=cut().siblings[:-32]),
    ),
    "a path that goes on": (
        "shown.malformed",
        lambda: replace(cut(), siblings=cut().siblings + OTHER),
    ),
    "a byte more": ("shown.malformed", lambda: cut().encode() + b"\0"),
    "a salt written as itself plus p": ("shown.malformed", lambda: over_p(SALTS.start)),
    "a root written as itself plus p": ("shown.malformed", lambda: over_p(HEAD_BYTES - 32)),
    "a sibling written as itself plus p": (
        "shown.malformed",
        lambda: replace(cut(), siblings=words(cut().siblings, 0, P)),
    ),
    "of another run": ("shown.mismatch", lambda: showing(another())),
    "of another run, said to be of this one": (
        "shown.mismatch",
        lambda: replace(
            Cut.of(showing(another()), run().program), chain=run().journal.chain_root
        ),
    ),
}  # fmt: skip
"""The code of each, and how it is made."""


def forged(name: str) -> bytes:
    made = FORGERIES[name][1]()
    return made.encode() if isinstance(made, Cut) else made


def test_what_is_tampered_with_is_good():
    assert verdict(showing(run())) == ACCEPTED
    assert cut().encode() == showing(run())
    assert len(cut().siblings) == 32 * sibling_count(6, STEPS)


@pytest.mark.parametrize("name", FORGERIES)
def test_refused(name):
    assert verdict(forged(name)) == FORGERIES[name][0]


def test_a_value_out_of_its_range_is_refused():
    data, prover = out_of_range()
    assert verdict(data, prover) == "shown.range"


WITHOUT = {
    "shown.judge_shown 0": {
        "a value": ACCEPTED,
        "a salt": ACCEPTED,
        "another step named": ACCEPTED,
    },
    "shown._Showing.parse 1": {"another version": ACCEPTED},
    "shown._Showing.parse 2": {"another chain named": ACCEPTED},
    "shown._Showing.parse 3": {"no steps": CRASH},
    "shown._Showing.parse 4": {
        "steps out of order": "shown.mismatch",
        "a step beyond the last": "shown.mismatch",
    },
    "shown._Showing.parse 5": {"a byte more": ACCEPTED, "a path that goes on": ACCEPTED},
    "shown._Showing.parse 6": {
        "a salt written as itself plus p": ACCEPTED,
        "a root written as itself plus p": ACCEPTED,
        "a sibling written as itself plus p": ACCEPTED,
    },
    "shown._Showing._judge_elements 0": {"a salt written as itself plus p": ACCEPTED},
    "shown._Showing.judge_chain 0": {
        "a value": ACCEPTED,
        "of another run, said to be of this one": ACCEPTED,
    },
    "shown._same_chain 0": {"another chain named": ACCEPTED, "of another run": ACCEPTED},
}  # fmt: skip
"""By check: forgeries that it refuses, and the verdict without it."""

OF_RANGES = ("shown.judge_shown 1", "shown._judge_range 0")
OF_SIZE = "shown._Showing.parse 0"


@pytest.mark.parametrize(
    ("check", "name"), [(check, name) for check, names in WITHOUT.items() for name in names]
)
def test_without_the_check_the_verdict_is_another(check, name):
    data, expected = forged(name), WITHOUT[check][name]
    with checks.WITHOUT[check]():
        if expected == CRASH:
            with pytest.raises((ValueError, LookupError)):
                verdict(data)
        else:
            assert verdict(data) == expected
    assert verdict(data) == FORGERIES[name][0]


@pytest.mark.parametrize("check", OF_RANGES)
def test_without_the_check_of_ranges_any_value_passes(check):
    data, prover = out_of_range()
    with checks.WITHOUT[check]():
        assert verdict(data, prover) == ACCEPTED


def test_every_check_of_showings_stands_here():
    of_showings = {name for name in checks.WITHOUT if name.startswith("shown.")}
    assert {*WITHOUT, *OF_RANGES, OF_SIZE} == of_showings


def test_a_showing_above_the_limit_is_refused_before_it_is_read(monkeypatch):
    data = showing(run())
    monkeypatch.setattr(shown, "MAX_SHOWING", len(data) - 1)
    assert verdict(data) == "shown.malformed"
    with checks.WITHOUT[OF_SIZE]():
        assert verdict(data) == ACCEPTED


STATED = {
    "program_id": OTHER, "weights_root": OTHER, "chain_root": OTHER, "first": 1, "steps": 7,
}  # fmt: skip


@pytest.mark.parametrize("name", STATED)
def test_another_statement_has_other_outputs(name):
    """Whatever a record or the chain root takes in of the statement binds what is shown."""
    data = showing(run(), (5,))
    if name == "chain_root":
        data = replace(Cut.of(data, run().program), chain=OTHER).encode()
    assert verdict(data, **{name: STATED[name]}) in ("shown.mismatch", "shown.malformed")


def test_ports_of_one_form_cannot_be_exchanged():
    prover = run("every_kind", steps=2)
    data = showing(prover, (1,))
    parts, form = Cut.of(data, prover.program), Form.of(prover.program)
    by_size: dict[int, list[slice]] = {}
    for _, values, salts in form.fields():
        by_size.setdefault(salts.stop - values.start, []).append(slice(values.start, salts.stop))
    (first, second, *_) = next(slices for slices in by_size.values() if len(slices) > 1)
    entry = bytearray(parts.entries[0])
    one, other = (
        slice(form.head_bytes + s.start, form.head_bytes + s.stop) for s in (first, second)
    )
    assert entry[one] != entry[other]
    entry[one], entry[other] = entry[other], entry[one]
    assert verdict(replace(parts, entries=(bytes(entry),)).encode(), prover) == "shown.mismatch"
    assert verdict(data, prover) == ACCEPTED


def test_every_bit_of_a_showing_counts():
    prover = run("running_average", steps=3)
    data = showing(prover, (1,))
    for at in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        found = verdict(bytes(flipped), prover)
        assert found in ("shown.malformed", "shown.mismatch"), at


def test_every_length_but_its_own_is_refused():
    data = showing(run(), (3,))
    for length in [*range(len(data)), len(data) + 1, len(data) + 32]:
        other = data[:length] + bytes(max(0, length - len(data)))
        assert verdict(other) == "shown.malformed", length
    assert len(data) > HEAD
