"""The bytes of SNARK receipts: every change is refused, and nothing crashes."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from test_statements import GOLDEN, READ, expected, yes

from zktally.prover.snark import native
from zktally.prover.snark.adapt import MAX_OPSET
from zktally.verifier.errors import InvalidProof, ZktallyError
from zktally.verifier.reader import RECEIPT_CODES, Reader, Writer
from zktally.verifier.snark.circuit import read_circuit, write_circuit
from zktally.verifier.snark.curve import DELTA, GENERATOR, ROOT, Q, R, combined, on_curve
from zktally.verifier.snark.judge import verify_snark
from zktally.verifier.snark.keccak import keccak256
from zktally.verifier.snark.key import Key, Port, as_runs, canonical
from zktally.verifier.snark.receipt import MAGIC, SnarkReceipt, quantised

HEAD = len(MAGIC) + 1 + 4
KEY = len(READ["private"].key.encode())
STATEMENT = HEAD + KEY + 4
PROOF = STATEMENT + len(READ["private"].statement.encode()) + 4


class Reached(Exception):
    """The proof would be checked now."""


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def judge_flipped(bit: int) -> None:
    """A flip in the key is refused; behind it, it is, or changes proof or public values."""
    honest = READ["private"].statement.instances()

    def check(key: Key, instances: list[int], proof: bytes) -> None:
        assert bit // 8 >= STATEMENT, "a flip in the key reached the proof"
        changed = instances != honest or proof != READ["private"].proof
        assert changed, "a flip that nothing depends on"
        raise InvalidProof("it would not hold", code="verify.snark")

    with pytest.raises(ZktallyError):
        verify_snark(flip(GOLDEN["private"], bit), expected(), check)


def test_a_flipped_bit_is_refused_or_changes_what_is_proven():
    for byte in range(0, len(GOLDEN["private"]), 13):
        judge_flipped(8 * byte + byte % 8)
    for byte in (*range(HEAD), *range(STATEMENT - 4, PROOF)):
        for bit in range(8):
            judge_flipped(8 * byte + bit)


@pytest.mark.nightly
def test_every_flipped_bit_is_refused_or_changes_what_is_proven():
    for bit in range(8 * len(GOLDEN["private"])):
        judge_flipped(bit)


def test_a_receipt_that_is_cut_off_or_goes_on_is_malformed():
    data = GOLDEN["private"]
    for length in (*range(0, 64), *range(64, len(data), 97), len(data) - 1):
        with pytest.raises(ZktallyError) as error:
            SnarkReceipt.decode(data[:length])
        assert error.value.code.startswith("receipt.")
    with pytest.raises(ZktallyError) as error:
        SnarkReceipt.decode(data + b"\0")
    assert error.value.code == "receipt.trailing-bytes"


def test_sections_that_claim_too_much_are_refused_before_they_are_read():
    data = MAGIC + b"\1" + struct.pack("<I", 1 << 31)
    with pytest.raises(ZktallyError) as error:
        SnarkReceipt.decode(data)
    assert error.value.code == "receipt.too-large"


def test_selectors_beyond_all_memory_are_refused():
    key = READ["private"].key
    circuit = replace(key.circuit, k=26)
    many = replace(key, circuit=circuit, selectors=((1 << 26,),) * 200)
    with pytest.raises(ZktallyError) as error:
        Key.decode(many.encode())
    assert error.value.code == "verify.too-large"


def circuit_bytes() -> bytes:
    w = Writer()
    write_circuit(w, READ["private"].key.circuit)
    return w.getvalue()


def test_a_circuit_is_read_back_and_only_in_its_one_form():
    data = circuit_bytes()
    assert read_circuit(Reader(data, RECEIPT_CODES)) == READ["private"].key.circuit
    for byte in range(0, len(data) - 128, 3):
        changed = flip(data, 8 * byte)
        try:
            found = read_circuit(Reader(changed, RECEIPT_CODES))
        except ZktallyError:
            continue
        w = Writer()
        write_circuit(w, found)
        assert changed.startswith(w.getvalue())


KEYS = {
    "the output is hidden": ({"output_visibility": "Private"}, "receipt.unsupported-mode"),
    "weights are the prover's": ({"param_visibility": "Private"}, "receipt.unsupported-mode"),
    "inputs are hashed": ({"input_visibility": "Hashed"}, "receipt.unsupported-mode"),
    "inputs are shown after all": ({"input_visibility": "Public"}, "receipt.non-canonical"),
    "another size": ({"logrows": 20}, "receipt.non-canonical"),
    "inputs have no range": (
        {"ignore_range_check_inputs_outputs": True},
        "receipt.unsupported-mode",
    ),
    "their range is the field": ({"decomp_legs": 40}, "receipt.unsupported-mode"),
    "no range is told": ({"decomp_base": None}, "receipt.unsupported-mode"),
}


@pytest.mark.parametrize("name", KEYS)
def test_settings_and_key_say_the_same(name):
    changes, code = KEYS[name]
    key = READ["private"].key
    told = {**key.told, "run_args": {**key.told["run_args"], **changes}}
    with pytest.raises(ZktallyError) as error:
        Key.decode(replace(key, settings=canonical(told)).encode())
    assert error.value.code == code


@pytest.mark.parametrize(
    "settings",
    [b"", b"[]", b"{}", b"{ }", b"[" * 100_000, b'{"a":NaN}', b'{"a":1,"a":1}'],
)
def test_settings_in_another_form_are_malformed(settings):
    with pytest.raises(ZktallyError) as error:
        Key.decode(replace(READ["private"].key, settings=settings).encode())
    assert error.value.code == "receipt.non-canonical"


def test_settings_that_are_too_large_are_not_read():
    settings = canonical({"a": "x" * (1 << 20)})
    with pytest.raises(ZktallyError) as error:
        Key.decode(replace(READ["private"].key, settings=settings).encode())
    assert error.value.code == "receipt.non-canonical"


def test_a_circuit_without_the_digest_of_its_statement_is_malformed():
    key = READ["private"].key
    label = replace(key.outputs[-1], name="other")
    with pytest.raises(ZktallyError) as error:
        Key.decode(replace(key, outputs=(*key.outputs[:-1], label)).encode())
    assert error.value.code == "receipt.non-canonical"


def test_statements_of_different_labels_are_different_public_values():
    base = READ["private"].statement
    others = [
        replace(base, audience=None),
        replace(base, audience="goldeN"),
        replace(base, nonce=None),
        replace(base, outputs=(base.outputs[0] + 1, *base.outputs[1:])),
        replace(base, model_id=bytes(32)),
    ]
    assert len({tuple(each.parts) for each in (base, *others)}) == 1 + len(others)
    assert all(0 <= part < 1 << 16 for part in base.parts)


def test_ezkls_own_files_come_out_of_the_key():
    key = READ["private"].key
    file = native.as_ezkl(key)
    points = 64 * (len(key.circuit.fixed) + len(key.circuit.sigma))
    rows = 1 << key.circuit.k
    assert len(file) == len(key.header) + points + len(key.selectors) * rows // 8
    x, y = (native.from_raw(file[len(key.header) :][i : i + 32]) for i in (0, 32))
    assert on_curve(x, y) or (x, y) == (0, 0)
    assert len(native.short_string(key)) == 4 + 4 * 64 + 2 * 128


def test_bits_out_of_runs_in_time_that_follows_their_number():
    assert native._bits((2, 1, 1, 5)) == bytes([0b11110100, 1])
    assert native._bits((0, 3, 5)) == bytes([0b00000111])
    started = time.process_time()
    assert native._bits((1,) * (1 << 20)) == bytes([0b10101010]) * (1 << 17)
    assert time.process_time() - started < 2


def test_runs_of_bits():
    assert as_runs([0, 0, 1, 0]) == (2, 1, 1)
    assert as_runs([1, 1]) == (0, 2)


def test_rounding_is_ezkls_half_away_from_zero():
    port = Port("x", (6,), 1, "F64")
    values = np.array([0.25, -0.25, 0.75, 0.249999, -0.75, 3.0])
    assert quantised(port, values).tolist() == [1, -1, 2, 0, -2, 6]
    below = Port("x", (1,), 0, "F64")
    assert quantised(below, np.array([0.49999999999999994])).tolist() == [0]
    for value in np.random.default_rng(0).normal(size=50).astype(np.float32):
        exact = Fraction(float(value)) * 2**7
        want = int(abs(exact) + Fraction(1, 2)) * (1 if exact > 0 else -1)
        assert quantised(Port("x", (1,), 7, "F32"), value).tolist() == [want]


@pytest.mark.parametrize(
    ("port", "values"),
    [
        (Port("x", (1,), 13, "F32"), np.array([1e30], np.float32)),
        (Port("x", (1,), 13, "F32"), np.array([1e39])),
        (Port("x", (1,), 0, "F64"), np.array([2.0**63])),
        (Port("x", (1,), 0, "Int"), np.array([2**64 - 1], np.uint64)),
    ],
)
def test_what_does_not_fit_is_not_taken_for_another_number(port, values):
    with pytest.raises(ZktallyError) as error:
        quantised(port, values)
    assert error.value.code == "usage.input"


def test_the_ends_of_64_bits_are_whole_numbers():
    ends = np.array([-(2**63), 2**63 - 1])
    assert quantised(Port("x", (2,), 0, "Int"), ends).tolist() == ends.tolist()
    assert quantised(Port("x", (1,), 0, "F64"), np.array([-(2.0**63)])).tolist() == [-(2**63)]
    assert quantised(Port("x", (1,), 0, "Bool"), np.array([True])).tolist() == [1]


@pytest.mark.parametrize(
    "version", ["", "23.0.5\nset-up     a ceremony's", "23.0.5 other", "v" * 9]
)
def test_a_release_does_not_read_like_a_verdict(version):
    key = READ["private"].key
    told = {**key.told, "version": version}
    with pytest.raises(ZktallyError) as error:
        Key.decode(replace(key, version=version, settings=canonical(told)).encode())
    assert error.value.code == "receipt.non-canonical"


def test_keccak_as_ethereum_has_it():
    # https://eips.ethereum.org: the hash of nothing, and of "abc"; 200 bytes take two blocks.
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    abc = "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak256(b"").hex() == empty
    assert keccak256(b"abc").hex() == abc
    assert len({keccak256(bytes(n)) for n in (135, 136, 137, 200)}) == 4


def test_the_curve_is_bn254():
    assert combined([(R - 1, GENERATOR)]) == (1, Q - 2)
    assert combined([(R, GENERATOR)]) is None
    five = combined([(5, GENERATOR)])
    assert five is not None
    assert on_curve(*five)
    assert combined([(2, five), (R - 10, GENERATOR)]) is None
    assert pow(ROOT, 1 << 28, R) == 1 != pow(ROOT, 1 << 27, R)
    assert pow(DELTA, (R - 1) >> 28, R) == 1


def test_a_checker_that_says_yes_is_asked_last():
    assert verify_snark(GOLDEN["private"], expected(), yes).mode == "snark"
    assert MAX_OPSET >= 17
