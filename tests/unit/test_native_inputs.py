"""A caller's inputs mean the same to both verifiers: every array gets the same code from both."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from support.receipts import Prover
from zktally.native import verify as verify_natively
from zktally.verifier.errors import ZktallyError
from zktally.verifier.judge import verify as verify_plainly

ACCEPTED = "accepted"
USAGE, MISMATCH = "usage.input", "verify.input-mismatch"
HUGE = np.iinfo(np.uint64).max


def codes(prover, receipt, **expected):
    """The verdicts of both, Rust first."""
    found = []
    for verify in (verify_natively, verify_plainly):
        try:
            verify(receipt, prover.expectations(**expected))
            found.append(ACCEPTED)
        except ZktallyError as error:
            found.append(error.code)
    return found


class Case:
    """A receipt, and the name and values of its one input."""

    def __init__(self, program, **claims):
        self.prover = Prover(program, **claims).commit()
        self.receipt = self.prover.receipt()
        ((self.name, self.x),) = self.prover.inputs.items()

    def judge(self, inputs):
        return codes(self.prover, self.receipt, inputs=inputs)


@pytest.fixture(scope="module")
def floats():
    """3 items of 6 floats in 2 steps."""
    return Case("dense", steps=2, items=3, public=False)


@pytest.fixture(scope="module")
def integers():
    """Integers without a batch axis, 2 steps."""
    return Case("running_average", steps=2)


FLOATS = {
    "as proven": (lambda x: x, ACCEPTED),
    "nested lists": (lambda x: x.tolist(), ACCEPTED),
    "float64": (lambda x: x.astype(np.float64), ACCEPTED),
    "big-endian": (lambda x: x.astype(">f4"), ACCEPTED),
    "longdouble": (lambda x: x.astype(np.longdouble), ACCEPTED),
    "float16 of other values": (lambda x: np.zeros_like(x, np.float16), MISMATCH),
    "float16, rounded back": (lambda x: np.round(x, 2).astype(np.float16), ACCEPTED),
    "strided": (lambda x: np.repeat(x, 2, axis=1)[:, ::2], ACCEPTED),
    "column-major": (np.asfortranarray, ACCEPTED),
    "other values": (lambda x: x + 1, MISMATCH),
    "integers": (lambda x: np.zeros_like(x, np.int16), MISMATCH),
    "bools": (lambda x: x > 0, MISMATCH),
    "uint64": (lambda x: np.full(x.shape, HUGE), MISMATCH),
    "flat": (np.ravel, USAGE),
    "transposed": (np.transpose, USAGE),
    "more axes": (lambda x: x[None, None], USAGE),
    "halved items": (lambda x: x.reshape(6, 3), USAGE),
    "too few items": (lambda x: x[:2], MISMATCH),
    "too many items": (lambda x: np.concatenate([x, x]), MISMATCH),
    "one item more in as many steps": (lambda x: np.concatenate([x, x[:1]]), MISMATCH),
    "no items": (lambda x: x[:0], USAGE),
    "a number": (lambda x: np.float64(1), USAGE),
    "nothing": (lambda x: np.empty(0), USAGE),
    "ragged lists": (lambda x: [[1.0], [2.0, 3.0]], USAGE),
    "nan": (lambda x: np.where(x > 0, np.nan, x), USAGE),
    "infinite, and another number of items": (lambda x: x[:1] + np.inf, USAGE),
    "complex": (lambda x: x.astype(complex), USAGE),
    "objects": (lambda x: x.astype(object), USAGE),
    "strings": (lambda x: x.astype(str), USAGE),
    "dates": (lambda x: x.astype("M8[s]"), USAGE),
    "text": (lambda x: "x", USAGE),
}

INTEGERS = {
    "as proven": (lambda x: x, ACCEPTED),
    "big-endian": (lambda x: x.astype(">i2"), ACCEPTED),
    "int8": (lambda x: x.astype(np.int8), ACCEPTED),
    "other values": (lambda x: np.zeros_like(x), MISMATCH),
    "other uint64": (lambda x: np.zeros_like(x, np.uint64), MISMATCH),
    "bools": (lambda x: np.zeros_like(x, bool), MISMATCH),
    "one step": (lambda x: x[:1], MISMATCH),
    "one step in the port's own shape": (lambda x: x[0], MISMATCH),
    "floats": (lambda x: x.astype(np.float32), USAGE),
    "out of range": (lambda x: x + 1000, USAGE),
    "above int64": (lambda x: np.full(x.shape, HUGE), USAGE),
    "steps joined": (np.ravel, ACCEPTED),
    "a part of a step": (lambda x: np.ravel(x)[1:], USAGE),
    "complex": (lambda x: x.astype(complex), USAGE),
    "strings": (lambda x: x.astype(str), USAGE),
}


@pytest.mark.parametrize("bare", [False, True], ids=["named", "bare"])
@pytest.mark.parametrize("change", FLOATS)
def test_floats(floats, change, bare):
    make, code = FLOATS[change]
    array = make(floats.x)
    assert floats.judge(array if bare else {floats.name: array}) == [code, code]


@pytest.mark.parametrize("change", INTEGERS)
def test_integers(integers, change):
    make, code = INTEGERS[change]
    assert integers.judge({integers.name: make(integers.x)}) == [code, code]


@pytest.mark.parametrize(
    "names", [[], ["other"], ["x", "other"], [0], [b"x"], [None], ["\ud800"]], ids=repr
)
def test_names_that_do_not_fit(floats, names):
    assert floats.judge(dict.fromkeys(names, floats.x)) == [USAGE, USAGE]


def test_any_mapping_and_any_text_names_a_port(floats):
    assert floats.judge(MappingProxyType({np.str_("x"): floats.x})) == [ACCEPTED, ACCEPTED]


def test_one_array_for_several_inputs_is_refused():
    prover = Prover("every_kind").commit()
    assert len(prover.inputs) > 1
    array = next(iter(prover.inputs.values()))
    found = codes(prover, prover.receipt(), inputs=array)
    assert found == [USAGE, USAGE]


@pytest.mark.parametrize("inputs", [{}, {"y": "x"}, "x", np.zeros(3, complex)], ids=repr)
def test_inputs_are_looked_at_in_their_turn(floats, inputs):
    """A receipt about another model says so, whatever inputs were passed along."""
    found = codes(floats.prover, floats.receipt, inputs=inputs, model_id=bytes(32))
    assert found == ["verify.model-mismatch"] * 2


@pytest.mark.parametrize(
    ("made", "code"),
    [(bytearray, ACCEPTED), (memoryview, ACCEPTED), (len, "usage"), (repr, "usage")],
)
def test_receipts_in_any_bytes(floats, made, code):
    assert codes(floats.prover, made(floats.receipt)) == [code, code]


def test_a_program_that_is_not_meant_arranges_nothing(floats, monkeypatch):
    """It could make of each item a step, and of a large array one copy for each."""
    looked = []
    monkeypatch.setattr("zktally.native.caller_arrays", lambda *given: looked.append(given))
    inputs = {floats.name: floats.x}
    found = codes(floats.prover, floats.receipt, model_id=bytes(32), inputs=inputs)
    assert found == ["verify.model-mismatch"] * 2
    assert not looked
