"""Rows that are written once for children of one shape are those of each of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.foldable import SHAPES, child
from zktally.verifier.recursion.circuit.verify import verify_inside
from zktally.verifier.recursion.machine import Machine
from zktally.verifier.recursion.publics import known_terms, present_tables
from zktally.verifier.recursion.template import Template
from zktally.verifier.stark.field import ONE, K

HIDING = 126


def children_of(shape, *seeds, queries=3):
    return [child(shape, queries, seed) for seed in seeds]


def written(children):
    """The tables and the public terms of a node, row by row for these very children."""
    machine = Machine()
    for one in children:
        verify_inside(machine, one)
    return present_tables(machine, HIDING), known_terms(machine.known)


def assert_alike(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one.index, one.log_rows) == (other.index, other.log_rows)
        assert one.publics.dtype == other.publics.dtype
        assert np.array_equal(one.publics, other.publics)


@pytest.mark.parametrize("shape", SHAPES)
def test_others_of_the_shape_have_their_constants_in_the_same_rows(shape):
    template = Template.of(children_of(shape, "a", "b"), HIDING)
    for seeds in (("a", "b"), ("c", "c"), ("d", "a")):
        others = children_of(shape, *seeds)
        assert template.fits(others, HIDING)
        tables, terms = written(others)
        assert_alike(template.present(others), tables)
        (group,), (expected,) = template.terms(others).groups, terms.groups
        assert np.array_equal(group.tuples, expected.tuples)


def test_every_constant_of_a_child_stands_in_the_rows():
    """A change of any of them changes the tables, whatever child the template was written for."""
    (own,) = children_of("two heights", "a")
    template = Template.of([own], HIDING)
    tables = template.present([own])
    height = own.heights[0]
    changed = [
        replace(own, points=replace(own.points, **{name: getattr(own.points, name) + ONE}))
        for name in ("alpha", "beta", "zeta")
    ]
    changed += [
        replace(own, heights=[replace(height, **{name: getattr(height, name) + ONE}),
                              *own.heights[1:]])
        for name in ("first", "last", "vanishing", "step", "next")
    ]  # fmt: skip
    changed.append(replace(own, public_sum=own.public_sum + ONE))
    for other in changed:
        (expected, _), found = written([other]), template.present([other])
        assert_alike(found, expected)
        assert not np.array_equal(found[-1].publics, tables[-1].publics)


def test_a_template_fits_its_shape_alone():
    a, b = children_of("two heights", "a", "b")
    template = Template.of([a, b], HIDING)
    assert template.fits([b, a], HIDING)
    assert not template.fits([a, b], HIDING + 2)
    assert not template.fits([a], HIDING)
    assert not template.fits([a, b, a], HIDING)
    assert not template.fits([a, *children_of("two heights", "b", queries=4)], HIDING)
    assert not template.fits([a, replace(b, longest_tuple=b.longest_tuple + 1)], HIDING)
    (other,) = children_of(next(s for s in SHAPES if s != "two heights"), "b")
    assert not template.fits([a, other], HIDING)


def test_the_negative_of_a_negative():
    x = K((0, 1, 2, 3, 4))
    assert -x + x == K.of(0)
    back = -x
    assert -back == x
