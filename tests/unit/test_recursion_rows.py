"""The rows that verify a proof: numbers, repetitions, public columns."""

from __future__ import annotations

import numpy as np
import pytest

from support.foldable import SHAPES, child
from zktally.verifier.reader import P
from zktally.verifier.recursion.circuit.verify import verify_inside
from zktally.verifier.recursion.machine import GIVE, TAKE, Machine
from zktally.verifier.recursion.publics import known_terms, present_tables
from zktally.verifier.recursion.tables import (
    COLUMNS,
    REFERENCES,
    Bus,
    Table,
    column,
    tables_file,
)
from zktally.verifier.stark.statement import MASKS
from zktally.verifier.stark.tables import Kind

HIDING = 126
every_shape = pytest.mark.parametrize("shape", SHAPES)


class OneByOne(Machine):
    """Writes every query row by row."""

    def repeat(self, count, one):
        for number in range(count):
            one(number)


def machine(shape="two heights", kind=Machine, queries=9, children=1):
    found = kind()
    for number in range(children):
        verify_inside(found, child(shape, queries, str(number)))
    return found


def test_the_columns_are_those_of_the_tables_file():
    assert [table.name for table in tables_file().tables] == [t.name.lower() for t in Table]
    for table, definition in zip(Table, tables_file().tables, strict=True):
        assert definition.publics == COLUMNS[table].count + MASKS


def number_of(table, node):
    """A public column, and what is added to it."""
    nodes = tables_file().tables[table].nodes
    node = nodes[node]
    if node.kind is Kind.PUBLIC:
        return node.a - MASKS, 0
    assert node.kind is Kind.SUM
    first, second = nodes[node.a], nodes[node.b]
    assert (first.kind, second.kind) == (Kind.PUBLIC, Kind.CONSTANT)
    return first.a - MASKS, second.a


@pytest.mark.parametrize("table", Table)
def test_the_references_are_the_lookups_of_the_tables_file(table):
    _, *lookups = tables_file().tables[table].lookups
    found = [
        (lookup.bus, number_of(table, lookup.items[0]), number_of(table, lookup.multiplicity))
        for lookup in lookups
    ]
    assert found == [
        (each.bus, (column(table, each.at, each.index), each.ahead),
         (column(table, each.times, each.index), 0))
        for each in REFERENCES[table]
    ]  # fmt: skip


@every_shape
@pytest.mark.parametrize("queries", [1, 2, 3, 21])
def test_queries_that_are_repeated_are_those_that_are_written(shape, queries):
    quick, slow = (machine(shape, kind, queries, children=2) for kind in (Machine, OneByOne))
    assert quick.made == slow.made
    for table in Table:
        assert np.array_equal(quick.rows(table), slow.rows(table)), table.name


def multiplicities(found):
    """By bus: how often each number is taken and given, and the sum of all multiplicities."""
    takes, gives, sums = ({bus: np.zeros(found.made[bus], int) for bus in Bus} for _ in range(3))
    for one in present_tables(found, HIDING):
        words = one.publics.astype(np.int64)
        for each in REFERENCES[Table(one.index)]:
            at = words[column(one.index, each.at, each.index)] + each.ahead
            times = words[column(one.index, each.times, each.index)]
            times[times > P // 2] -= P
            np.add.at(sums[each.bus], at[times != 0], times[times != 0])
            np.add.at(takes[each.bus], at[times > 0], 1)
    for table in Table:
        rows = found.rows(table)
        for each in REFERENCES[table]:
            given = rows[:, column(table, each.times, each.index)] == GIVE
            np.add.at(gives[each.bus], rows[given, column(table, each.at, each.index)], 1)
    return takes, gives, sums


@every_shape
def test_everything_is_given_once_and_as_often_as_it_is_taken(shape):
    found = machine(shape, children=2)
    takes, gives, sums = multiplicities(found)
    known = [number for number, _ in found.known]
    assert len(known) == 2
    assert known_terms(found.known).groups[0].tuples[:, 0].tolist() == known
    sums[Bus.BLOCK][known] += 1
    for bus in Bus:
        assert (gives[bus] == 1).all(), bus
        assert not sums[bus].any(), bus
    # Of all that there is, only bits beyond those of indices are of no use to anyone.
    assert (takes[Bus.COEFFICIENTS] > 0).all()
    assert takes[Bus.BIT].sum() > 0


def test_a_sponge_takes_its_state_first_and_says_what_is_zero():
    found = Machine()
    state = found.known_block(range(8))
    sponge = found.sponge(5, state, 11)
    rows = found.rows(Table.HASH)
    assert (sponge.first, sponge.digest, len(rows)) == (1, 3, 4)
    names = ("left", "left_times", "out", "out_times", "fresh", "keep", "path")
    columns = [column(Table.HASH, name) for name in names]
    assert rows[:, columns].tolist() == [
        [0, GIVE, 0, 0, 1, 0, 0],
        [0, TAKE, 0, 0, 1, 1, 0],
        [1, GIVE, 0, 0, 0, 1, 0],
        [2, GIVE, 3, GIVE, 0, 0, 0],
    ]
    assert rows[:, COLUMNS[Table.HASH]["begin"]].tolist() == [[0, 0], [19, 5], [0, 0], [0, 0]]
    assert rows[:, COLUMNS[Table.HASH]["zero"]].sum(axis=1).tolist() == [0, 0, 0, 5]


def test_a_sum_of_products_is_one_row_a_block():
    found = Machine()
    one = found.one()
    number = found.pack([one] * 8)
    cell = found.dot([(7, number), (9, number)])
    assert found.rows(Table.DOT).tolist() == [
        [1, 7, number, 1, 0, 0],
        [1, 9, number, 0, cell, GIVE],
    ]


def test_bits_say_which_ones_are_zero_and_what_the_point_is_multiplied_by():
    found = Machine()
    bits = found.bits(4, element=3, zeros=2, log_size=5)
    rows = found.rows(Table.BITS)
    assert (len(rows), len(bits.bits), bits.bits[0], bits.point) == (31, 31, 30, 0)
    of = {name: rows[:, column(Table.BITS, name)] for name in ("zero", "step", "low", "top", "end")}
    assert of["zero"].nonzero()[0].tolist() == [29, 30]
    assert of["step"].nonzero()[0].tolist() == [25, 26, 27, 28, 29]
    assert of["step"][29] == P - 2
    assert of["low"].sum() == 24
    assert of["top"].sum() == 6
    assert of["end"].tolist() == [0] * 30 + [1]
