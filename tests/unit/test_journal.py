"""Journal and envelope: one encoding each, every rule with its code."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from zktally._core import testing
from zktally.prover.receipt import encode_receipt
from zktally.verifier.errors import ZktallyError
from zktally.verifier.journal import FAST, HYBRID, STRICT, Journal
from zktally.verifier.receipt import MAX_PROGRAM, read_receipt, split_receipt


def digest(first):
    return struct.pack("<8I", *range(first, first + 8))


JOURNAL = Journal(
    mode=0,
    program_id=bytes(range(32)),
    weights_root=digest(1),
    dataset_root=digest(8),
    first=5,
    steps=2,
    items=3,
    delta_ppm=50_000,
    delta_step_ppm=0,
    delta_op_ppm=0,
    bits=128,
    exact=(1, 4),
    chain_root=digest(2),
    input_root=digest(3),
    initial_state=digest(4),
    final_state=digest(5),
    exported_root=digest(9),
    prf_seed=digest(6),
    seed=1,
    start=0,
    input_key=digest(7),
    inputs=b"\1\2",
    outputs=b"\3",
    audience="bänk",
    nonce=b"\xff\0",
)
DIGESTS = (
    "weights_root", "dataset_root", "chain_root", "input_root", "initial_state", "final_state",
    "exported_root", "prf_seed", "input_key",
)  # fmt: skip


def code_of(call, *args):
    with pytest.raises(ZktallyError) as refused:
        call(*args)
    return refused.value.code


def test_decoding_is_the_inverse_of_encoding():
    private = replace(JOURNAL, input_key=None, inputs=None, audience=None, nonce=None, exact=())
    for journal in (JOURNAL, private):
        data = journal.encode()
        assert Journal.decode(data) == journal
        for end in range(len(data)):
            assert code_of(Journal.decode, data[:end]) == "receipt.truncated"
        assert code_of(Journal.decode, data + b"\0") == "receipt.trailing-bytes"


def test_any_changed_bit_is_refused_or_another_journal():
    data = JOURNAL.encode()
    for at in range(8 * len(data)):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        try:
            journal = Journal.decode(bytes(changed))
        except ZktallyError:
            continue
        assert journal != JOURNAL
        assert journal.encode() == changed


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 0},
        {"steps": 2**20 + 1},
        {"items": 0},
        {"delta_ppm": 0},
        {"delta_ppm": 500_001},
        {"delta_step_ppm": 500_001},
        {"delta_op_ppm": 500_001},
        {"bits": 0},
        {"bits": 257},
        {"seed": 2},
        {"start": 2},
        {"exact": (4, 4)},
        {"exact": (4, 1)},
        {"input_key": None},
        {"audience": ""},
        {"audience": "a" * 257},
        {"nonce": b""},
        {"nonce": bytes(65)},
        *({name: b"\xff" * 32} for name in DIGESTS),
    ],
    ids=str,
)
def test_every_rule_is_checked(fields):
    data = replace(JOURNAL, **fields).encode()
    assert code_of(Journal.decode, data) == "receipt.non-canonical"


STRICT_JOURNAL = replace(JOURNAL, mode=STRICT, delta_ppm=0, bits=0, exact=())


def test_a_strict_statement_says_nothing_of_samples():
    assert Journal.decode(STRICT_JOURNAL.encode()) == STRICT_JOURNAL


@pytest.mark.parametrize(
    "fields",
    [{"delta_ppm": 1}, {"delta_step_ppm": 1}, {"delta_op_ppm": 1}, {"bits": 1}, {"exact": (0,)}],
    ids=str,
)
def test_a_strict_statement_about_samples_is_refused(fields):
    data = replace(STRICT_JOURNAL, **fields).encode()
    assert code_of(Journal.decode, data) == "receipt.non-canonical"
    with pytest.raises(ZktallyError) as refused:
        testing.journal_decode(data)
    assert refused.value.code == "receipt.non-canonical"


def test_an_audience_that_is_not_utf8_is_refused():
    data = JOURNAL.encode().replace("bänk".encode(), b"b\xff\xffnk")
    assert code_of(Journal.decode, data) == "receipt.non-canonical"


def test_other_versions_and_modes_are_unsupported():
    data = JOURNAL.encode()
    assert code_of(Journal.decode, b"\1" + data[1:]) == "receipt.unsupported-version"
    for mode in (3, 4, 255):
        data = replace(JOURNAL, mode=mode).encode()
        assert code_of(Journal.decode, data) == "receipt.unsupported-mode"
    for mode in (FAST, HYBRID):
        assert Journal.decode(replace(JOURNAL, mode=mode).encode()).mode == mode


def test_the_envelope():
    data = encode_receipt(b"pp", b"j", b"")
    sections = split_receipt(data)
    assert (sections.program, sections.journal, sections.proof) == (b"pp", b"j", b"")
    for end in range(len(data)):
        assert code_of(split_receipt, data[:end]) == "receipt.truncated"
    assert code_of(split_receipt, data + b"x") == "receipt.trailing-bytes"
    assert code_of(split_receipt, b"z" + data[1:]) == "receipt.bad-magic"
    assert code_of(split_receipt, b"PK") == "receipt.bad-magic"
    assert code_of(split_receipt, data[:7] + b"\1" + data[8:]) == "receipt.unsupported-version"


@pytest.mark.parametrize(("at", "limit"), [(8, 16 << 20), (14, 256 << 20), (19, 1 << 30)])
def test_limits_of_sections_come_before_their_bytes(at, limit):
    data = encode_receipt(b"pp", b"j", b"")
    long = data[:at] + (limit + 1).to_bytes(4, "little") + data[at + 4 :]
    assert code_of(split_receipt, long) == "receipt.too-large"
    allowed = data[:at] + limit.to_bytes(4, "little") + data[at + 4 :]
    assert code_of(split_receipt, allowed) == "receipt.truncated"


def test_what_no_reader_accepts_is_not_written():
    program = bytes(MAX_PROGRAM)
    assert split_receipt(encode_receipt(program, b"j", b"")).program == program
    assert code_of(encode_receipt, program + b"x", b"j", b"") == "prove.too-large"


def test_a_file_is_limited_before_it_is_read(tmp_path):
    path = tmp_path / "run.receipt"
    path.write_bytes(bytes(10))
    assert read_receipt(str(path), 10) == bytes(10)
    assert code_of(read_receipt, str(path), 9) == "receipt.too-large"
    assert code_of(read_receipt, "/dev/zero", 9) == "receipt.too-large"
    assert code_of(read_receipt, str(tmp_path / "none")) == "usage.unreadable"
