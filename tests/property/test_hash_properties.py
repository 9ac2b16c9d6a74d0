"""Poseidon2, roots and counts: the Rust core against the Python verifier and plain integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from drawn import FEW, SETTINGS, elements, keys, seeds
from hypothesis import given
from hypothesis import strategies as st

from zktally._core import testing
from zktally.verifier import poseidon2
from zktally.verifier.inputs import DTYPES
from zktally.verifier.program.types import Layout, Role, Tensor
from zktally.verifier.reader import P
from zktally.verifier.roots import digest_bytes, digest_elements, input_tree_roots
from zktally.verifier.sampling import MAX_SAMPLES, sample_count

CORE = {16: testing.poseidon2_16, 24: testing.poseidon2_24}


def plain_permutation(state: list[int]) -> list[int]:
    """Poseidon2 by its definition: matrices in full, Python's own integers."""
    width = len(state)
    rounds = poseidon2.round_constants(width)
    m4 = [[2, 3, 1, 1], [1, 2, 3, 1], [1, 1, 2, 3], [3, 1, 1, 2]]
    external = [
        [m4[i % 4][j % 4] * (2 if i // 4 == j // 4 else 1) for j in range(width)]
        for i in range(width)
    ]
    v = rounds.diagonal.ravel().tolist()
    internal = [[1 + (v[i] if i == j else 0) for j in range(width)] for i in range(width)]

    def times(matrix, x):
        return [sum(a * b for a, b in zip(row, x, strict=True)) % P for row in matrix]

    def full(constants, x):
        return times(external, [(a + int(c)) ** 3 for a, c in zip(x, constants, strict=True)])

    state = times(external, state)
    for constants in rounds.initial:
        state = full(constants.ravel(), state)
    for constant in rounds.partial:
        state = times(internal, [(state[0] + int(constant)) ** 3, *state[1:]])
    for constants in rounds.final:
        state = full(constants.ravel(), state)
    return state


@pytest.mark.parametrize("width", CORE)
@SETTINGS
@given(data=st.data())
def test_permutations(width, data):
    state = data.draw(st.lists(elements, min_size=width, max_size=width))
    expected = plain_permutation(state)
    assert CORE[width](state) == expected
    assert poseidon2.permute(np.array([state], np.uint64))[0].tolist() == expected


@SETTINGS
@given(
    domain=st.sampled_from(list(poseidon2.Domain)),
    aux=st.integers(0, 4096),
    absorbed=st.lists(elements, max_size=40),
)
def test_sponge(domain, aux, absorbed):
    plain = poseidon2.sponge(domain, aux, np.array([absorbed], np.uint64).reshape(1, -1))[0]
    assert testing.sponge(int(domain), aux, absorbed) == digest_bytes(plain)


@SETTINGS
@given(left=keys(), right=keys())
def test_compression_and_keyed_function(left, right):
    l, r = (digest_elements(key)[None] for key in (left, right))  # noqa: E741
    assert testing.compress(left, right) == digest_bytes(poseidon2.compress(l, r)[0])
    x = np.concatenate([l, r], axis=1)
    assert testing.keyed(x[0].tolist()) == poseidon2.keyed(x)[0].tolist()


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    order = tuple(draw(st.permutations(range(len(shape)))))
    trailing = draw(st.integers(1, len(shape)))
    row = math.prod(shape[axis] for axis in order[-trailing:])
    width = draw(st.integers(1, 3))
    half = 1 << (8 * width - 1)
    layout = Layout(order, trailing, draw(st.integers(1, row)))
    return Tensor("t", Role.INPUT, width, -half, half - 1, shape, layout=layout)


@SETTINGS
@given(tensor=tensors(), key=keys(), first=seeds, number=st.integers(0, 4095))
def test_roots_of_tensors(tensor, key, first, number):
    rng = np.random.default_rng(first)
    steps = rng.integers(tensor.lo, tensor.hi + 1, (2, *tensor.shape)).astype(DTYPES[tensor.width])
    layout = tensor.layout
    found = [
        testing.tensor_root(
            values, tensor.shape, tensor.width, layout.order, layout.trailing, layout.piece, key,
            position, number,
        )
        for position, values in enumerate(steps)
    ]  # fmt: skip
    plain = input_tree_roots(digest_elements(key), number, tensor, steps, 0)
    assert found == [digest_bytes(root) for root in plain]


@FEW
@given(
    u=st.integers(1, 500_000),
    slots=st.integers(1, 2**30),
    share=st.floats(0.001, 1),
    bits=st.integers(1, 256),
)
def test_sample_counts(u, slots, share, bits):
    real = max(1, int(slots * share))
    plain = sample_count(u, real, slots, bits)
    core = testing.sample_count(u, real, slots, bits)
    assert core == (plain if plain <= MAX_SAMPLES else None)
    miss = -math.log2(1 - u * real / (1_000_000 * slots))
    assert plain >= math.floor(bits / miss * (1 - 1e-9))
