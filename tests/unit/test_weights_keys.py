"""The salts of weights: of one model the same again, of two models never."""

from __future__ import annotations

import secrets
import struct
from dataclasses import replace

import numpy as np
import pytest

from support import programs
from support.receipts import Tree
from zktally.circuits.assemble import assemble
from zktally.circuits.keys import (
    OF_DATA,
    OF_WEIGHTS,
    PUBLIC_KEY,
    is_key,
    key_in,
    key_text,
    master_key,
    new_key,
    salting_key,
)
from zktally.circuits.model import CompiledModel, from_bytes
from zktally.verifier.errors import UsageError
from zktally.verifier.program.types import Role
from zktally.verifier.roots import digest_elements

MASTER = b"\xff" * 32
"""No field element is in it: any 32 bytes but zeros will do."""


def trees(model: CompiledModel) -> list[Tree]:
    """Those of all weights, hashed in Python."""
    program, made = model.checked.program, []
    numbers = program.of_role(Role.WEIGHT)
    for number, array in zip(numbers, model.weights, strict=True):
        key, position, name = model.salt_of(number)
        made.append(Tree(program.tensors[number], array, digest_elements(key), position, name))
    return made


def two_of_a_program() -> tuple[CompiledModel, CompiledModel]:
    """Two models by one key: one program, equal weights but for a single number."""
    program, weights = programs.EVERY["conv"]()
    last = max(weights)
    other = {number: array.copy() for number, array in weights.items()}
    low = program.tensors[last].lo
    other[last].flat[0] = low + 1 if other[last].flat[0] == low else low
    return (
        assemble(program, weights, weights_key=MASTER),
        assemble(program, other, weights_key=MASTER),
    )


def test_the_same_model_has_the_same_id() -> None:
    program, weights = programs.EVERY["conv"]()
    one, again = (assemble(program, weights, weights_key=MASTER) for _ in range(2))
    assert one.model_id == again.model_id
    assert from_bytes(one.to_bytes()).model_id == one.model_id
    assert is_key(one.key)
    assert one.key != MASTER
    assert not one.public


def test_models_of_other_weights_have_no_salt_in_common() -> None:
    one, other = map(trees, two_of_a_program())
    assert len(one) == len(other) > 0
    salts = [{salt.tobytes() for tree in each for salt in tree.salts} for each in (one, other)]
    assert not salts[0] & salts[1]
    assert not any(np.array_equal(a.root, b.root) for a, b in zip(one, other, strict=True))


def test_models_of_other_programs_have_no_salt_in_common() -> None:
    program, weights = programs.EVERY["conv"]()
    one = assemble(program, weights, weights_key=MASTER)
    other = assemble(replace(program, name="another"), weights, weights_key=MASTER)
    for a, b in zip(trees(one), trees(other), strict=True):
        assert not np.array_equal(a.salts, b.salts)
        assert not np.array_equal(a.root, b.root)


def test_a_key_of_data_used_for_weights_salts_them_otherwise() -> None:
    """Whoever was given it with the data does not have the salts of the weights with it."""
    key = new_key()
    assert salting_key(key, bytes(32), []) != key


def test_any_32_random_bytes_are_a_key_of_weights() -> None:
    program, weights = programs.EVERY["dense"]()
    for _ in range(20):
        assert is_key(assemble(program, weights, weights_key=secrets.token_bytes(32)).key)
    assert assemble(program, weights, public=True).key == PUBLIC_KEY
    for wrong in (b"", bytes(32), b"1" * 31, "1" * 32):
        with pytest.raises(UsageError, match="weights_key is not a key"):
            assemble(program, weights, weights_key=wrong)
    with pytest.raises(UsageError, match="a public model has no weights key"):
        assemble(program, weights, public=True, weights_key=MASTER)


def test_a_new_key_is_one_of_anything() -> None:
    keys = {new_key() for _ in range(20)}
    assert len(keys) == 20
    assert all(map(is_key, keys))
    assert master_key(None, False) != master_key(None, False)
    assert not is_key(struct.pack("<8I", *[2**31 - 2**24 + 1] * 8))


def test_the_key_of_a_model_stays() -> None:
    """Another derivation would give every kept key another id."""
    assert salting_key(MASTER, b"p" * 32, [b"ab", b"c"]) == salting_key(MASTER, b"p" * 32, [b"abc"])
    known = "ac3548258659ac69ab44041c43817e1b0e30f37543f9a62c19900f73475c136a"
    assert salting_key(MASTER, b"p" * 32, [b"abc"]).hex() == known


def test_the_text_of_a_key() -> None:
    key = new_key()
    for of in (OF_DATA, OF_WEIGHTS):
        assert key_in(key_text(key, of)) == (key, of)
    for plain in (key, key.hex().encode(), key.hex().encode() + b"\n"):
        assert key_in(plain) == (key, None)
    digits = key.hex().encode()
    for wrong in (b"", digits[:-2], digits + b"\nmore", key_text(key, OF_DATA) * 2, b"\xff" * 64):
        assert key_in(wrong) == (None, None)
