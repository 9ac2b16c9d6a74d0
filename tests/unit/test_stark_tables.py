"""The tables file: read strictly, evaluated alike at a point and over rows."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from support.stark_reference import (
    TABLES,
    TABLES_BYTES,
    Builder,
    encode_tables,
    ranges,
    toy_case,
    walk,
)
from zktally.verifier.errors import MalformedProgram
from zktally.verifier.reader import P
from zktally.verifier.stark import evaluate_rows, read_tables
from zktally.verifier.stark.field import ONE, ZERO, K
from zktally.verifier.stark.tables import Kind, Values, evaluate


def test_what_is_read_is_what_was_built():
    table, *_ = TABLES.tables
    assert [table.name for table in TABLES.tables] == ["walk", "extra", "range"]
    assert (table.publics, table.mains, table.next_columns) == (3, 4, (1,))
    assert len(table.nodes) == len(walk().nodes)
    assert [[lookup.bus for lookup in group] for group in table.groups] == [[0, 1, 2], [3]]
    assert table.constraint_count == 3 + 2 + 3
    assert TABLES.digest == hashlib.sha256(b"zktally tables v1\0" + TABLES_BYTES).digest()


def broken(change):
    builder = walk()
    change(builder)
    return encode_tables([builder])


def swapped(kind, a, b=0):
    """A file whose constant 1 is another node."""

    def change(t):
        nodes = list(t.nodes)
        nodes[nodes.index((Kind.CONSTANT, 1, 0))] = (kind, a, b)
        t.nodes = nodes

    return broken(change)


def wide_degree(t):
    square = t.product(t.main(2), t.main(2))
    t.constraints.append(t.product(t.product(square, square), t.main(2)))


def set_lookup(bus, multiplicity, items):
    return broken(lambda t: t.groups.append([(bus, multiplicity(t), items(t))]))


def one(t):
    return t.constant(1)


def square(t):
    return t.product(t.main(2), t.main(2))


def cube(t):
    return t.product(square(t), t.main(2))


def shorter(t):
    """Its tuples on bus 2 without their last element: with a zero behind, they would be equal."""
    t.groups = [[(b, m, items[: -1 if b == 2 else None]) for b, m, items in g] for g in t.groups]
    return t


MALFORMED = {
    "magic": b"ZKTAIR02" + TABLES_BYTES[8:],
    "no tables": encode_tables([]),
    "trailing byte": TABLES_BYTES + b"\0",
    "two tables of one name": encode_tables([walk(), walk()]),
    "no name": encode_tables([Builder("", 2, 1)]),
    "name not ASCII": TABLES_BYTES.replace(b"walk", b"w\xe4lk"),
    "equal nodes": swapped(Kind.PUBLIC, 0),
    "constant of p": swapped(Kind.CONSTANT, P),
    "no such public column": swapped(Kind.PUBLIC, 3),
    "no such main column": swapped(Kind.MAIN, 4),
    "no such next column": swapped(Kind.NEXT, 4),
    "operand not earlier": swapped(Kind.SUM, 0, len(walk().nodes)),
    "no such constraint": broken(lambda t: t.constraints.append(len(t.nodes))),
    "degree of a constraint": broken(wide_degree),
    "degree of a multiplicity": set_lookup(9, cube, lambda t: []),
    "degree of a tuple": set_lookup(9, one, lambda t: [square(t)]),
    "tuples of two lengths in a table": set_lookup(2, one, lambda t: [t.main(1), t.main(1)]),
    "tuples of two lengths in two tables": encode_tables([walk(), shorter(ranges())]),
    "empty group": broken(lambda t: t.groups.append([])),
    "group of four": broken(lambda t: t.groups.append([t.mask] * 4)),
    "no lookups": broken(lambda t: t.groups.clear()),
    "no mask": broken(lambda t: t.groups.pop(0)),
    "mask of another tag": broken(lambda t: t.groups.insert(0, [(0, one(t), [t.public(0)])])),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name):
    with pytest.raises(MalformedProgram) as error:
        read_tables(MALFORMED[name])
    assert error.value.code == "program.malformed"


def test_unknown_kind():
    at = TABLES_BYTES.index(bytes([Kind.PUBLIC, 0, 0]))
    with pytest.raises(MalformedProgram):
        read_tables(TABLES_BYTES[:at] + b"\x09" + TABLES_BYTES[at + 1 :])


def test_every_cut_is_malformed():
    for end in range(len(TABLES_BYTES)):
        with pytest.raises(MalformedProgram):
            read_tables(TABLES_BYTES[:end])


def test_degrees_up_to_the_limits_are_read():
    t = ranges()
    two = t.product(t.main(1), t.main(1))
    t.constraints.append(t.product(two, two))
    t.groups.append([(5, two, [t.next(1)])])
    assert len(read_tables(encode_tables([t])).tables[0].constraints) == 1


def test_a_point_and_rows_give_the_same():
    table, rows = TABLES.tables[0], 9000
    rng = np.random.default_rng(0)
    public, main = (rng.integers(-P, P, (n, rows)) for n in (table.publics, table.mains))
    active = rows - 3
    found = evaluate_rows(table, public, main, active, range(len(table.nodes)))
    for row in (0, 1, 4095, 4096, active - 1):
        values = Values(
            public=[K.of(int(x)) for x in public[:, row]],
            main=[K.of(int(x)) for x in main[:, row]],
            next={1: K.of(int(main[1, row + 1]))},
            first=ONE if row == 0 else ZERO,
            last=ONE if row == active - 1 else ZERO,
            of=K.of,
        )
        assert [K.of(int(x)) for x in found[:, row]] == evaluate(table, values)


def test_an_honest_trace_keeps_its_constraints_and_a_wrong_one_does_not():
    table, main = TABLES.tables[0], toy_case().mains[0]
    public = np.zeros((3, main.shape[1]), np.int64)
    public[2, :300] = 1
    active = main.shape[1]
    assert not evaluate_rows(table, public, main, active, table.constraints).any()
    main[3, 7] += 1
    assert np.argwhere(evaluate_rows(table, public, main, active, table.constraints)).tolist() == [
        [0, 7]
    ]
