"""Policy, expectations, and the quantisation of a caller's inputs."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from support import programs
from zktally.verifier import labels
from zktally.verifier.errors import UsageError
from zktally.verifier.inputs import dequantise, pack_values, quantise, unpack_values
from zktally.verifier.policy import Expectations, Policy, parts_per_million


def test_parts_per_million_are_exact_or_refused():
    for ppm in (1, 7, 29, 290_000, 333_333, 499_999, 500_000):
        assert parts_per_million(ppm / 1e6, "delta") == ppm
    for value in (1e-7, 0.05 + 1e-9, 1 / 3, math.nan, math.inf):
        with pytest.raises(UsageError):
            parts_per_million(value, "delta")


@pytest.mark.parametrize(
    "fields",
    [
        {"max_delta": 0.0},
        {"max_delta": 0.500001},
        {"max_delta": -0.1},
        {"max_delta_step": 0.6},
        {"min_bits": 0},
        {"min_bits": 257},
        {"min_bits": 99.5},
        {"min_bits": "100"},
        {"min_bits": True},
        {"max_steps": True},
        {"batch": (True, 8)},
        {"max_delta_op": False},
        {"ranges": {"x": (False, True)}},
        {"max_delta": "0.05"},
        {"max_delta": None},
        {"max_delta": 10**400},
        {"max_delta_step": 1j},
        {"modes": ()},
        {"modes": ("quick",)},
        {"modes": "fas"},
        {"modes": None},
        {"outputs_exact": None},
        {"outputs_exact": 0},
        {"outputs_exact": ""},
    ],
    ids=str,
)
def test_policies_that_make_no_sense_are_refused(fields):
    with pytest.raises(UsageError):
        Policy(**fields)


def test_numbers_of_numpy_become_plain_ones():
    policy = Policy(
        min_bits=np.int32(90), max_delta=np.float64(0.25), max_delta_step=np.int8(0) + 0.5
    )
    assert (policy.min_bits, policy.max_delta, policy.max_delta_step) == (90, 0.25, 0.5)
    assert {type(policy.min_bits), type(policy.max_delta)} == {int, float}
    assert Policy(max_delta=Fraction(1, 20)) == Policy()


@pytest.mark.parametrize(
    "holder",
    [list, set, frozenset, dict.fromkeys, np.array],
    ids=["list", "set", "frozenset", "dict", "array"],
)
def test_modes_and_flags_become_plain_ones(holder):
    given = ["fast"]
    policy = Policy(modes=holder(given), outputs_exact=np.bool_(False))
    given.append("strict")
    assert policy.modes == ("fast",)
    assert policy.outputs_exact is False
    json.dumps(policy.to_json())


def test_names_of_inputs_are_text():
    for name in (0, None, "\ud800"):
        with pytest.raises(UsageError) as refused:
            quantise(DENSE, {name: np.zeros((2, 6)), "x": np.zeros((2, 6))})
        assert refused.value.code == "usage.input"


def test_a_nonce_on_the_command_line_is_text_or_hexadecimal():
    assert labels.parse("nonce", "ä") == "ä".encode()
    assert labels.parse("nonce", "0x00ff") == b"\0\xff"
    for text in ("0xf", "0xzz", "\udc80"):
        with pytest.raises(UsageError):
            labels.parse("nonce", text)


def test_the_default_policy_is_safe():
    policy = Policy()
    assert (policy.max_delta, policy.min_bits, policy.outputs_exact) == (0.05, 100, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"model_id": "00" * 31},
        {"model_id": "zz" * 32},
        {"model_id": bytes(33)},
        {"initial_state": "00"},
        {"input_root": b""},
        {"audience": ""},
        {"audience": "ä" * 129},
        {"nonce": b""},
        {"nonce": bytes(65)},
        {"nonce": "0xz"},
        {"audience": "\udc80"},
        {"audience": b"me"},
        {"model_id": 32},
        {"input_root": [0] * 32},
    ],
    ids=str,
)
def test_expectations_that_make_no_sense_are_refused(fields):
    with pytest.raises(UsageError):
        Expectations.of(**{"model_id": bytes(32), **fields})


def test_digests_are_bytes_or_text():
    assert Expectations.of(model_id="ab" * 32) == Expectations.of(model_id=b"\xab" * 32)
    made = Expectations(bytearray(32), input_root=memoryview(bytes(32)))
    assert {type(made.model_id), type(made.input_root)} == {bytes}
    json.dumps(made.to_json())


DENSE = programs.dense()[0]  # x: [2, 6] floats, scale 0.05, zero 3


def test_floats_are_rounded_to_even_clamped_and_padded():
    x = np.array([[0.025, 0.075, -0.025, 1e30, -1e30, 0.1]] * 3)
    steps, items = quantise(DENSE, x)
    assert (len(steps), items) == (2, 3)
    assert steps[0][0].dtype == np.int8
    exact = np.clip(np.rint(x[0] / 0.05) + 3, -128, 127).tolist()
    assert steps[0][0].tolist() == [exact, exact]
    assert steps[1][0].tolist() == [exact, [3] * 6]
    assert exact[3:5] == [127, -128]


def test_dequantised_values_quantise_to_themselves():
    q = np.arange(-128, 128).reshape(-1, 1).repeat(6, 1)
    steps, _ = quantise(DENSE, dequantise(DENSE.inputs[0], q))
    assert (np.concatenate([step[0] for step in steps]) == q).all()


@pytest.mark.parametrize(
    "arrays",
    [
        np.full((2, 6), np.nan),
        np.full((2, 6), np.inf),
        np.zeros((2, 5)),
        np.zeros(6),
        np.zeros((0, 6)),
        np.zeros((2, 6), complex),
        np.full((2, 6), "1"),
        {"y": np.zeros((2, 6))},
        {"x": np.zeros((2, 6)), "y": np.zeros(1)},
        {},
    ],
    ids=repr,
)
def test_inputs_that_do_not_fit_are_refused(arrays):
    with pytest.raises(UsageError) as refused:
        quantise(DENSE, arrays)
    assert refused.value.code == "usage.input"
    assert refused.value.expected is not None


def test_integers_are_taken_as_they_are_or_refused():
    program = programs.conv()[0]
    x = np.arange(2 * 3 * 9 * 6).reshape(2, 3, 9, 6) % 256 - 128
    steps, _ = quantise(program, x)
    assert (steps[0][0] == x).all()
    for wrong in (x.astype(float), x + 1):
        with pytest.raises(UsageError):
            quantise(program, wrong)


def test_without_a_batch_axis_the_leading_axis_is_the_step():
    program = programs.running_average()[0]
    assert quantise(program, np.zeros(5, int))[1] == 1
    steps, items = quantise(program, np.arange(15).reshape(3, 5))
    assert (len(steps), items) == (3, 3)
    assert steps[2][0].tolist() == [10, 11, 12, 13, 14]
    with pytest.raises(UsageError):
        quantise(program, np.zeros((3, 5), int), items=2)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_packing_is_offset_binary(width):
    half = 1 << (8 * width - 1)
    values = np.array([-half, -1, 0, 1, half - 1])
    packed = pack_values(values, width)
    expected = b"".join(int(v + half).to_bytes(width, "little") for v in values)
    assert packed == expected
    assert (unpack_values(np.frombuffer(packed, np.uint8), width) == values).all()


def test_a_single_mode_may_be_a_text():
    assert Policy(modes="hybrid") == Policy(modes=("hybrid",))


def test_digests_may_have_a_head_and_blanks():
    model_id = "ab" * 32
    for text in (f"0x{model_id}", f"0X{model_id.upper()}", f" {model_id}\n"):
        assert Expectations.of(text).model_id == bytes.fromhex(model_id)
    for text, received in ((model_id[:-2], "62 of them"), (model_id[1:], "63 of them")):
        with pytest.raises(UsageError, match="model_id has a wrong length") as caught:
            Expectations.of(text)
        assert caught.value.received == received
