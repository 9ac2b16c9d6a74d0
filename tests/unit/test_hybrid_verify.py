"""The hybrid check around the proofs of its segments: order, codes, facts, words."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from support import programs
from support.receipts import Prover
from zktally.prover.claims import usual_bits
from zktally.prover.receipt import encode_receipt
from zktally.verifier import stark
from zktally.verifier.errors import ZktallyError
from zktally.verifier.fast import verify_fast
from zktally.verifier.hybrid import segments
from zktally.verifier.hybrid.schedule import COLUMNS, Table
from zktally.verifier.hybrid.verify import tables_file, verify_hybrid
from zktally.verifier.journal import HYBRID
from zktally.verifier.judge import verify
from zktally.verifier.pins import Pins
from zktally.verifier.policy import Policy
from zktally.verifier.program.checked import load
from zktally.verifier.receipt import split_receipt
from zktally.verifier.verified import Verified

SIZE = 70_000


class Hybrid:
    """A hybrid receipt of a run; each segment has `SIZE` bytes of zeros for a proof."""

    def __init__(self, name="dense", proofs=1, **claims):
        self.prover = Prover(name, steps=2, **({"bits": usual_bits("hybrid")} | claims)).commit()
        self.fast = self.prover.receipt()
        self.prover.change(mode=HYBRID)
        self.journal = self.prover.journal.encode()
        self.digest, self.profile = hashlib.sha256(self.journal).digest(), b"\0"
        self.proofs = bytes(proofs * SIZE)

    def receipt(self, proof=None):
        program = bytes(split_receipt(self.fast).program)
        whole = self.digest + self.profile + self.proofs
        return encode_receipt(program, self.journal, whole if proof is None else proof)

    def code(self, proof=None, **changes):
        with pytest.raises(ZktallyError) as refused:
            verify_hybrid(self.receipt(proof), self.prover.expectations(**changes))
        return refused.value.code


@pytest.fixture
def judged(monkeypatch):
    """What the engine is given, instead of being asked."""
    calls = []

    def accept(data, **given):
        assert len(data) >= SIZE
        calls.append(given)
        return SIZE

    monkeypatch.setattr(stark, "verify_stark", accept)
    return calls


@pytest.mark.parametrize("name", ["dense", "conv", "running_average"])
def test_facts_and_outputs(name, judged):
    hybrid = Hybrid(name)
    facts, outputs = verify_hybrid(hybrid.receipt(), hybrid.prover.expectations())
    expected, same = verify_fast(hybrid.fast, hybrid.prover.change(mode=0).expectations())
    assert facts.stark is not None
    assert facts.stark.bits >= 101
    assert (facts.stark.profile, facts.stark.segments, facts.headline_bits) == ("standard", 1, 101)
    assert facts == replace(
        expected,
        journal=replace(expected.journal, mode=HYBRID),
        headline_bits=facts.headline_bits,
        stark=facts.stark,
        receipt_bytes=len(hybrid.receipt()),
    )
    assert all(np.array_equal(outputs[port], same[port]) for port in same)
    (given,) = judged
    ends = b"\0" + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")
    context = b"zktally hybrid v2\0" + hybrid.digest + ends
    assert given["context"] == hashlib.sha256(context).digest()
    statement = stark.Statement(given["tables"], given["present"], given["parameters"])
    assert statement.tables[-1].table.name == "range"


def test_each_segment_is_judged(judged, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_COST", 5000)
    hybrid = Hybrid("conv", proofs=6)
    facts, _ = verify_hybrid(hybrid.receipt(), hybrid.prover.expectations())
    assert facts.stark.segments == len(judged) == 6
    assert len({given["context"] for given in judged}) == 6
    assert hybrid.code(hybrid.receipt()[-1:]) == "receipt.truncated"
    cut = hybrid.digest + hybrid.profile + bytes(6 * segments.LEAST_PROOF - 1)
    assert hybrid.code(cut) == "receipt.truncated"


def test_the_order_of_refusals(judged, monkeypatch):
    """Each change is refused by its own code, though all later ones are there, too."""
    hybrid = Hybrid("conv")
    digest = hybrid.digest
    assert hybrid.code(digest[:-1]) == "receipt.truncated"
    assert hybrid.code(bytes(32)) == "verify.journal-mismatch"
    assert hybrid.code(digest) == "receipt.truncated"
    assert hybrid.code(digest + b"\3") == "receipt.non-canonical"
    assert hybrid.code(digest + b"\0") == "receipt.truncated"
    rest = digest + b"\0" + bytes(SIZE)
    strict = Policy(min_bits=100, max_delta=0.5, outputs_exact=False)
    verify_hybrid(hybrid.receipt(), hybrid.prover.expectations(policy=strict))
    assert hybrid.code(rest + b"\0") == "receipt.trailing-bytes"


def test_the_policys_bits_are_about_the_headline(judged):
    hybrid = Hybrid(bits=128)
    policy = Policy(min_bits=128, max_delta=0.5, outputs_exact=False)
    assert hybrid.code(policy=policy) == "policy.bits"
    # The errors of sampling and STARK are added: 2^-101 + 2^-101 and the hashes leave 99 bits.
    policy = Policy(min_bits=100, max_delta=0.5, outputs_exact=False)
    assert Hybrid(bits=101).code(policy=policy) == "policy.bits"
    hybrid = Hybrid(bits=102)
    verify_hybrid(hybrid.receipt(), hybrid.prover.expectations(policy=policy))


def test_outputs_out_of_their_range(judged):
    hybrid = Hybrid()
    outputs = bytearray(hybrid.prover.journal.outputs)
    outputs[-1] = 0
    hybrid.prover.change(outputs=bytes(outputs))
    hybrid.journal = hybrid.prover.journal.encode()
    hybrid.digest = hashlib.sha256(hybrid.journal).digest()
    assert hybrid.code() == "verify.range"


def test_a_program_that_is_not_covered(judged):
    assert Hybrid("every_kind").code() == "hybrid.unsupported"


def test_bytes_that_are_no_proof():
    """The real engine, on zeros and on noise, says what is wrong with them."""
    hybrid = Hybrid()
    rng = np.random.default_rng(1)
    codes = {"receipt.truncated", "receipt.non-canonical", "verify.stark"}
    for proofs in (bytes(SIZE), bytes(1 << 20), rng.bytes(1 << 20)):
        hybrid.proofs = proofs
        assert hybrid.code() in codes
    words = rng.integers(0, 2**30, 1 << 18, dtype=np.uint32)
    hybrid.proofs = words.tobytes()
    assert hybrid.code() == "verify.stark"


def test_the_entry_judges_both_modes(judged):
    hybrid = Hybrid()
    assert verify(hybrid.receipt(), hybrid.prover.expectations())[0].mode == "hybrid"
    hybrid.prover.change(mode=0)
    assert verify(hybrid.fast, hybrid.prover.expectations())[0].mode == "fast"
    for judge, receipt in ((verify_fast, hybrid.receipt()), (verify_hybrid, hybrid.fast)):
        with pytest.raises(ZktallyError) as refused:
            judge(receipt, hybrid.prover.expectations())
        assert refused.value.code == "receipt.unsupported-mode"


def test_the_words_of_the_guarantee(judged):
    public, private = Hybrid(), Hybrid(public=False)
    verified = []
    for hybrid in (public, private):
        receipt, expectations = hybrid.receipt(), hybrid.prover.expectations()
        pins = Pins.of(receipt, expectations)
        verified.append(Verified.of(*verify(receipt, expectations), "python", pins))
    assert (
        verified[0]
        .sentence()
        .endswith(
            f"hybrid, every gate of every step was checked ({verified[0].headline_bits} bits), "
            "outputs certified, zero knowledge except inputs, outputs, program, roots, shapes"
        )
    )
    assert "zero knowledge except key of the inputs, outputs" in verified[1].sentence()
    assert "whoever guesses them" in verified[1].guarantee.text()
    assert "hidden     weights, inputs and activations" in verified[1].guarantee.text()
    assert "hidden     weights and activations" in verified[0].guarantee.text()
    assert (verified[0].segments, verified[0].profile) == (1, "standard")


def test_the_tables_are_those_that_are_derived():
    """Every table of the file has the columns of `hybrid`, and two of the engine."""
    for index, table in enumerate(tables_file().tables):
        assert table.publics == 2 + COLUMNS[Table(index)].count
        assert table.name == Table(index).name.lower()


def test_the_programs_are_what_they_were():
    assert load(bytes(split_receipt(Hybrid().fast).program)).program == programs.dense()[0]
