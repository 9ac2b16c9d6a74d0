"""Programs that hybrid receipts cover, for the corners of their tables."""

from __future__ import annotations

from dataclasses import replace

from zktally.verifier.program.types import Const, Program, Role, Term

from . import programs


def covered():
    """Every kind with a constant shift; what the shifts were is added to the sum instead."""
    program, weights = programs.every_kind()
    mixed = program.ops[0]
    shifts = Term((), mixed.shift, Const(3))
    mixed = replace(mixed, shift=Const(19), terms=(*mixed.terms, shifts))
    return replace(program, ops=(mixed, *program.ops[1:])), weights


def aligned():
    """Products of 96 bytes: aligned, shifted and padded at some gates, of one block many times."""
    read, i, k, ik = programs.read, programs.i, programs.k, programs.ik
    tensors = (
        programs.tensor("x", Role.INPUT, (3, 96), cut=programs.layout((3, 96), piece=96)),
        programs.tensor("w", Role.WEIGHT, (3, 96), lo=-127, hi=100),
        programs.tensor("y", Role.VALUE, (3, 3)),
    )
    row, column = read(0, (3, 96), i(0), k(0), zero=2), read(1, (3, 96), i(1), k(0))
    moved = read(0, (3, 96), i(0), ik(1, 48, 0, 1, -48), zero=2, pad=5)
    terms = (
        Term((96,), moved, column),
        Term((96,), row, column),
        Term((4, 24), read(0, (3, 96), i(0), k(1)), read(1, (3, 96), i(1), k(1), zero=1)),
    )
    op = programs.dot("sums", 2, (3, 3), *terms, mult=Const(37), shift=Const(18))
    program = Program(
        "aligned", tensors, (), (op,), (programs.port("x", 0, 0),), (programs.port("y", 2, 0),)
    )
    return program, programs.random_weights(program)


def wide():
    """Wide accumulators with pads, a bias, constants of both signs, and streams that are absent."""
    read, i, k, ik = programs.read, programs.i, programs.k, programs.ik
    tensors = (
        programs.tensor("x", Role.INPUT, (2, 6), width=3),
        programs.tensor("w", Role.WEIGHT, (6,), width=2),
        programs.tensor("bias", Role.WEIGHT, (6,), width=3),
        programs.tensor("y", Role.VALUE, (2, 6), width=2),
        programs.tensor("z", Role.VALUE, (2, 6), width=2),
    )
    moved = read(0, (2, 6), i(0), ik(1, 1, 0, 1, -1), pad=-300)
    one = read(0, (2, 6), i(0), i(1))
    first = programs.dot(
        "first", 3, (2, 6),
        Term((3,), moved, read(1, (6,), k(0))),
        Term((), one, Const(-65536)),
        bias=read(2, (6,), i(1)), mult=Const(900), shift=Const(36), out_zero=-5,
    )  # fmt: skip
    second = programs.dot(
        "second", 4, (2, 6), Term((), one, Const(70000)), bias=Const(-12345),
        mult=Const(20000), shift=Const(44),
    )  # fmt: skip
    ports = (programs.port("y", 3), programs.port("z", 4))
    program = Program("wide", tensors, (), (first, second), (programs.port("x", 0),), ports)
    return program, programs.random_weights(program)
