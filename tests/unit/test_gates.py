"""Gate semantics: the numpy gates against a second reading of the specification."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support import programs
from support.oracle import Oracle
from support.programs import dot, i, ik, k, read, tensor
from zktally.circuits.reference import run
from zktally.verifier.errors import UsageError
from zktally.verifier.gates import evaluate, operand, reads
from zktally.verifier.gates.div import floor_sqrt, rounded_quotient
from zktally.verifier.gates.dot import activate, requantise
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import (
    AxisMap,
    Const,
    Gather,
    Op,
    Pick,
    PickMode,
    Program,
    Role,
    Table,
    Tensor,
    Term,
    gates,
)

Ints = NDArray[np.int64]


class Store:
    """Arrays by number; counts the elements read."""

    def __init__(self, arrays: dict[int, NDArray[np.integer]]) -> None:
        self._arrays = {t: array.ravel().astype(np.int64) for t, array in arrays.items()}

    def read(self, number: int, offsets: Ints) -> Ints:
        assert offsets.dtype == np.int64
        assert offsets.size == 0 or offsets.min() >= 0
        return self._arrays[number][offsets]


def one_op(op: Op, *tensors: Tensor, tables: tuple[Table, ...] = ()) -> Program:
    return Program("one op", tensors, tables, (op,), (), ())


def outputs(op: Op, tensors: list[Tensor], arrays: dict[int, object], **form: object) -> list[int]:
    """All outputs of one op over these arrays."""
    store = Store({t: np.asarray(array) for t, array in arrays.items()})
    every = np.arange(gates(op), dtype=np.int64)
    return evaluate(one_op(op, *tensors, **form), op, every, store).tolist()


# Whole programs.


@pytest.mark.parametrize("name", programs.EVERY)
@pytest.mark.parametrize("seed", range(3))
def test_every_gate_of_every_kind(name: str, seed: int) -> None:
    program, weights = programs.EVERY[name]()
    arrays = run(check(program), weights=weights, **programs.step(program, seed))
    oracle = Oracle(program, arrays)
    for op in program.ops:
        expected = [oracle.gate(op, gate) for gate in range(gates(op))]
        assert arrays[op.out].ravel().tolist() == expected, op.name
    for number, array in arrays.items():
        t = program.tensors[number]
        assert array.shape == t.shape
        assert array.dtype.itemsize == (1, 2, 4)[t.width - 1]
        assert t.lo <= array.min() <= array.max() <= t.hi


@pytest.mark.parametrize("name", programs.EVERY)
@pytest.mark.parametrize("chunk", [1, 7, 2**20])
def test_sampled_gates_read_what_they_say_in_chunks_of_any_size(
    name: str, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operand, "CHUNK", chunk)
    program, weights = programs.EVERY[name]()
    arrays = run(program, weights=weights, **programs.step(program))
    rng = np.random.default_rng(chunk)
    for op in program.ops:
        sample = rng.integers(0, gates(op), 5)
        found = evaluate(program, op, sample, Store(arrays))
        assert found.tolist() == arrays[op.out].ravel()[sample].tolist()
        oracle = Oracle(program, arrays)
        for gate in sample.tolist():
            oracle.gate(op, gate)
        told = {(t, int(x)) for t, offsets in reads(program, op, sample) for x in offsets}
        if isinstance(op, Gather):
            assert oracle.seen < told
            assert {x for t, x in told if t == op.source.tensor} == _columns(op, oracle.seen)
        else:
            assert told == oracle.seen


def _columns(op: Gather, seen: set[tuple[int, int]]) -> set[int]:
    """Every position on the first axis, for each column that was read."""
    rows, columns = op.source.view
    return {
        row * columns + x % columns for t, x in seen if t == op.source.tensor for row in range(rows)
    }


def test_no_gates_have_no_outputs() -> None:
    program, weights = programs.every_kind()
    arrays = run(program, weights=weights, **programs.step(program))
    none = np.zeros(0, np.int64)
    for op in program.ops:
        assert evaluate(program, op, none, Store(arrays)).shape == (0,)
        assert list(reads(program, op, none)) == []


# Index maps.


@st.composite
def axis_maps(draw: st.DrawFn) -> AxisMap:
    small = st.integers(-4, 4)
    with_i, with_k = draw(st.booleans()), draw(st.booleans())
    result = AxisMap(c=draw(st.integers(-6, 6)), d=draw(st.integers(1, 3)))
    if with_i:
        result = replace(result, i_axis=draw(st.integers(0, 1)), a=draw(small))
    if with_k:
        result = replace(result, k_axis=draw(st.integers(0, 1)), b=draw(small))
    return result


@settings(max_examples=200, deadline=None)
@given(first=axis_maps(), second=axis_maps(), zero=st.integers(-5, 5))
def test_any_padded_map_reads_what_the_formula_says(
    first: AxisMap, second: AxisMap, zero: int
) -> None:
    space, window = (3, 4), (2, 3)
    tensors = [
        tensor("x", Role.INPUT, (5, 4)),
        tensor("w", Role.WEIGHT, window),
        tensor("y", Role.VALUE, space, 2),
    ]
    term = Term(
        window,
        read(0, (4, 5), first, second, zero=zero, pad=101),
        read(1, window, k(0), k(1)),
    )
    op = dot("op", 2, space, term)
    rng = np.random.default_rng(0)
    arrays = {t: programs.random_array(tensors[t], rng) for t in (0, 1)}
    oracle = Oracle(one_op(op, *tensors), arrays)
    expected = [oracle.gate(op, gate) for gate in range(12)]
    assert outputs(op, tensors, arrays) == expected
    every = np.arange(12, dtype=np.int64)
    told = {(t, int(x)) for t, offsets in reads(one_op(op), op, every) for x in offsets}
    assert told == oracle.seen


def test_a_convolution_by_hand() -> None:
    """[1 2 3 4 5] over kernel [1 10], stride 2, dilation 2, one pad of 0 on the left."""
    tensors = [
        tensor("x", Role.INPUT, (5,)),
        tensor("w", Role.WEIGHT, (2,)),
        tensor("y", Role.VALUE, (3,)),
    ]
    term = Term((2,), read(0, (5,), ik(0, 2, 0, 2, -1), pad=0), read(1, (2,), k(0)))
    arrays = {0: [1, 2, 3, 4, 5], 1: [1, 10]}
    assert outputs(dot("op", 2, (3,), term), tensors, arrays) == [20, 42, 4]


def test_a_divisor_reads_every_other_element() -> None:
    """With index = (i - 1) / 2 even gates fall between elements and read the pad."""
    tensors = [tensor("x", Role.INPUT, (3,)), tensor("y", Role.VALUE, (8,))]
    half = read(0, (3,), AxisMap(i_axis=0, a=1, c=-1, d=2), pad=9)
    op = Pick("op", 1, False, (8,), PickMode.COPY, (), (half,))
    assert outputs(op, tensors, {0: [1, 2, 3]}) == [9, 1, 9, 2, 9, 3, 9, 9]


def test_a_pad_is_read_minus_zero() -> None:
    tensors = [tensor("x", Role.INPUT, (1,)), tensor("y", Role.VALUE, (2,))]
    op = Pick("op", 1, False, (2,), PickMode.COPY, (), (read(0, (1,), i(0), zero=3, pad=3),))
    assert outputs(op, tensors, {0: [10]}) == [7, 0]


# Requantisation.


def floor_half_up(acc: int, mult: int, shift: int) -> int:
    return (acc * mult + (2**shift >> 1)) // 2**shift


def test_requantisation_exhaustively() -> None:
    acc = np.arange(-300, 301, dtype=np.int64)
    for mult in (0, 1, 3, 7):
        for shift in range(6):
            full = [np.full(len(acc), n, np.int64) for n in (mult, shift)]
            found = requantise(acc, *full, None, 0).tolist()
            assert found == [floor_half_up(a, mult, shift) for a in acc.tolist()]


@pytest.mark.parametrize(
    ("acc", "shift", "expected"),
    [
        (1, 1, 1),
        (-1, 1, 0),
        (3, 1, 2),
        (-3, 1, -1),
        (5, 0, 5),
        (-5, 0, -5),
        (-6, 2, -1),
        (-7, 2, -2),
    ],
)
def test_ties_go_up(acc: int, shift: int, expected: int) -> None:
    array = [np.array([n], np.int64) for n in (acc, 1, shift)]
    assert requantise(*array, None, 0).tolist() == [expected]


def test_requantisation_at_the_widest_bounds() -> None:
    for acc in (2**46, -(2**46), 2**46 - 1):
        array = [np.array([n], np.int64) for n in (acc, 2**15 - 1, 44)]
        assert requantise(*array, None, 0).tolist() == [floor_half_up(acc, 2**15 - 1, 44)]


def test_rounding_by_random_bits() -> None:
    """With b = s every one of 2^s offsets is used: on average nothing is rounded away."""
    for acc in range(-20, 21):
        noise = np.arange(8, dtype=np.int64)
        full = [np.full(8, n, np.int64) for n in (acc, 1, 3)]
        found = requantise(*full, noise, 3)
        assert found.tolist() == [(acc + rho) // 8 for rho in range(8)]
        assert found.sum() == acc
    full = [np.full(2, n, np.int64) for n in (3, 1, 3)]
    assert requantise(*full, np.array([0, 1]), 1).tolist() == [0, 0]
    full[0] += 1
    assert requantise(*full, np.array([0, 1]), 1).tolist() == [0, 1]


def test_saturation_reaches_both_ends() -> None:
    out = tensor("y", Role.VALUE, (1,))
    q = np.array([-(2**23), -129, -128, 127, 128, 2**23])
    assert activate(q, out, None).tolist() == [-128, -128, -128, 127, 127, 127]
    narrow = tensor("y", Role.VALUE, (1,), lo=0, hi=6)
    assert activate(q, narrow, None).tolist() == [0, 0, 0, 6, 6, 6]


def test_a_table_clamps_the_index_and_not_the_value() -> None:
    out = tensor("y", Role.VALUE, (1,))
    table = Table("t", -1, (50, -60, 70))
    q = np.array([-100, -1, 0, 1, 100])
    assert activate(q, out, table).tolist() == [50, 50, -60, 70, 70]


# The other kinds.


def picked(mode: PickMode, *rows: list[int]) -> list[int]:
    """A pick over the window for max and argmax, else over one gate a column."""
    size = len(rows[0])
    windowed = mode in (PickMode.MAX, PickMode.ARGMAX)
    space, window, axis = ((), (size,), k(0)) if windowed else ((size,), (), i(0))
    tensors = [tensor(f"x{n}", Role.INPUT, (size,), 3) for n in range(len(rows))]
    tensors.append(tensor("y", Role.VALUE, space or (1,), 3))
    operands = tuple(read(n, (size,), axis) for n in range(len(rows)))
    op = Pick("op", len(rows), False, space, mode, window, operands)
    return outputs(op, tensors, dict(enumerate(rows)))


def test_picks() -> None:
    assert picked(PickMode.MAX, [3, -8388608, 3, 1]) == [3]
    assert picked(PickMode.ARGMAX, [1, 5, 2, 5, 5]) == [1]
    assert picked(PickMode.ARGMAX, [-128, -128]) == [0]
    assert picked(PickMode.GREATER, [1, 2, 3, -1], [2, 2, 2, -2]) == [0, 0, 1, 1]
    assert picked(PickMode.EQUAL, [1, 2, 3, -1], [2, 2, 2, -1]) == [0, 1, 0, 1]
    assert picked(PickMode.SELECT, [0, 1, -1, 0], [5, 6, 7, 8], [-5, -6, -7, -8]) == [-5, 6, 7, -8]
    assert picked(PickMode.COPY, [4, -4]) == [4, -4]


def test_a_constant_in_a_window_counts_every_time() -> None:
    tensors = [tensor("y", Role.VALUE, (2,))]
    op = dot("op", 0, (2,), Term((3, 4), Const(2), Const(-3)))
    assert outputs(op, tensors, {}) == [-72, -72]
    assert outputs(Pick("op", 0, False, (2,), PickMode.MAX, (3,), (Const(7),)), tensors, {}) == [
        7,
        7,
    ]


def test_reads_of_a_gather_come_in_bounded_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    source = read(0, (50, 2), AxisMap(), i(1))
    op = Gather("gather", 2, False, (3, 2), 0, source, read(1, (3,), i(0)))
    monkeypatch.setattr(operand, "CHUNK", 8)
    program, gates = programs.dense()[0], np.array([1, 4, 5])
    parts = [offsets for tensor, offsets in reads(program, op, gates) if tensor == 0]
    assert max(map(len, parts)) <= 8
    assert sorted(np.concatenate(parts)) == sorted(
        [*range(0, 100, 2), *range(1, 100, 2), *range(1, 100, 2)]
    )


def test_gather_by_hand() -> None:
    """A row of [[1 2] [3 4] [5 6]] for each index, whose zero point is 1."""
    tensors = [
        tensor("table", Role.WEIGHT, (3, 2)),
        tensor("index", Role.INPUT, (2,), lo=1, hi=3),
        tensor("y", Role.VALUE, (2, 2)),
    ]
    source = read(0, (3, 2), AxisMap(), i(1))
    op = Gather("op", 2, False, (2, 2), 0, source, read(1, (2,), i(0), zero=1))
    arrays = {0: [[1, 2], [3, 4], [5, 6]], 1: [3, 1]}
    assert outputs(op, tensors, arrays) == [5, 6, 1, 2]


def test_division_exhaustively() -> None:
    num = np.arange(-60, 61, dtype=np.int64)
    for scale in (1, 2, 5):
        for den in range(1, 25):
            found = rounded_quotient(num, scale, np.full(len(num), den)).tolist()
            assert found == [math.floor((2 * n * scale + den) / (2 * den)) for n in num.tolist()]


def test_division_ties_go_up() -> None:
    num, two = np.array([-3, -1, 1, 3]), np.full(4, 2)
    assert rounded_quotient(num, 1, two).tolist() == [-1, 0, 1, 2]


def test_roots_exhaustively_and_at_the_squares_up_to_the_bound() -> None:
    small = np.arange(5000, dtype=np.int64)
    assert floor_sqrt(small).tolist() == [math.isqrt(n) for n in range(5000)]
    root = np.unique(np.geomspace(2, 2**23, 2000).astype(np.int64))
    for off in (-1, 0, 1):
        square = np.minimum(root * root + off, 2**46)
        assert floor_sqrt(square).tolist() == [math.isqrt(n) for n in square.tolist()]


# The reference executor as a function.


def test_inputs_that_do_not_fit_are_refused() -> None:
    program, weights = programs.running_average()
    fine = {"inputs": {0: np.zeros(5, np.int8)}, "state": {1: np.zeros(5, np.int16)}}
    run(program, weights=weights, **fine)
    run(program, weights=weights, inputs={0: np.zeros(5, np.int64)}, state=fine["state"])
    for inputs in (
        {},
        {0: np.zeros(5, np.int8), 3: np.zeros(5, np.int8)},
        {0: np.zeros(4, np.int8)},
        {0: np.zeros((5, 1), np.int8)},
        {0: np.zeros(5)},
        {0: np.full(5, 128)},
        {0: np.full(5, -129)},
    ):
        with pytest.raises(UsageError) as caught:
            run(program, weights=weights, inputs=inputs, state=fine["state"])
        assert caught.value.code == "usage.input"
    with pytest.raises(UsageError):
        run(program, weights=weights, inputs=fine["inputs"], state={1: np.full(5, 3001)})
    with pytest.raises(UsageError):
        run(program, weights=weights, inputs=fine["inputs"])
    program, weights = programs.every_kind()
    with pytest.raises(UsageError):
        run(program, weights=weights, **{**programs.step(program), "prf": None})


def test_a_running_average_by_hand() -> None:
    program, weights = programs.running_average()
    arrays = run(
        program,
        weights=weights,
        inputs={0: np.array([0, 100, -100, 1, -1], np.int8)},
        state={1: np.array([0, 0, 0, 8, -8], np.int16)},
    )
    # (15·avg + 16·x + 8) >> 4, and (avg' + 2) >> 2
    assert arrays[2].tolist() == [0, 100, -100, 9, -8]
    assert arrays[3].tolist() == [0, 25, -25, 2, -2]
