"""Plain Python checks ezkl's proofs, true ones and others; needs py_ecc (the extra peers)."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest
from test_statements import GOLDEN, READ, expected

from zktally.verifier.errors import InvalidProof
from zktally.verifier.snark import curve, plonk
from zktally.verifier.snark.judge import verify_snark
from zktally.verifier.snark.receipt import SnarkReceipt

pytestmark = pytest.mark.skipif(
    find_spec("py_ecc") is None, reason="py_ecc is not installed: the extra `peers`"
)


def refused(receipt: SnarkReceipt, name: str = "private") -> str:
    with pytest.raises(InvalidProof) as error:
        plonk.check(receipt.key.circuit, receipt.statement.instances(), receipt.proof)
    assert error.value.code == "verify.snark"
    return error.value.message


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_proofs_hold(name):
    found = verify_snark(GOLDEN[name], expected(name))
    assert found.backend == "python"
    assert found.outputs["logits"].shape == (1, 3)


def changed(at: int, bit: int = 0) -> SnarkReceipt:
    proof = bytearray(READ["private"].proof)
    proof[at] ^= 1 << bit
    return replace(READ["private"], proof=bytes(proof))


CIRCUIT = READ["private"].key.circuit
EVALUATIONS = 64 * CIRCUIT.points
REGIONS = {
    "an advice commitment": (31, "not on the curve"),
    "a multiplicity": (64 * CIRCUIT.advices + 63, "not on the curve"),
    "a piece of the quotient": (EVALUATIONS - 64 + 1, "not on the curve"),
    "an advice value": (EVALUATIONS + 31, "pairing"),
    "a fixed value": (EVALUATIONS + 32 * len(CIRCUIT.advice) + 31, "pairing"),
    "the last lookup's value": (EVALUATIONS + 32 * CIRCUIT.evaluations - 1, "pairing"),
    "the opening": (CIRCUIT.proof_bytes - 128 + 31, "not on the curve"),
}


@pytest.mark.parametrize("name", REGIONS)
def test_a_change_of_the_proof_is_refused(name):
    at, why = REGIONS[name]
    assert why in refused(changed(at))


def test_points_of_another_place_are_refused():
    proof = READ["private"].proof
    swapped = proof[64:128] + proof[:64] + proof[128:]
    assert "pairing" in refused(replace(READ["private"], proof=swapped))


def test_scalars_and_coordinates_have_one_form():
    proof = bytearray(READ["private"].proof)
    value = int.from_bytes(proof[EVALUATIONS : EVALUATIONS + 32], "big")
    proof[EVALUATIONS : EVALUATIONS + 32] = (value + curve.R).to_bytes(32, "big")
    assert "too large" in refused(replace(READ["private"], proof=bytes(proof)))
    proof = bytearray(READ["private"].proof)
    value = int.from_bytes(proof[:32], "big")
    proof[:32] = (value + curve.Q).to_bytes(32, "big")
    assert "not on the curve" in refused(replace(READ["private"], proof=bytes(proof)))


@pytest.mark.parametrize("number", range(3))
def test_another_output_is_refused(number):
    outputs = list(READ["private"].statement.outputs)
    outputs[number] += 1
    statement = replace(READ["private"].statement, outputs=tuple(outputs))
    assert "pairing" in refused(replace(READ["private"], statement=statement))


@pytest.mark.parametrize("change", [{"audience": "me"}, {"nonce": b"new"}, {"nonce": None}])
def test_a_proof_for_one_audience_is_none_for_another(change):
    statement = replace(READ["private"].statement, **change)
    assert "pairing" in refused(replace(READ["private"], statement=statement))


def test_another_input_is_refused():
    inputs = READ["public"].statement.inputs
    statement = replace(READ["public"].statement, inputs=(inputs[0] + 1, *inputs[1:]))
    assert "pairing" in refused(replace(READ["public"], statement=statement), "public")


def with_circuit(**changes) -> SnarkReceipt:
    key = replace(READ["private"].key, circuit=replace(CIRCUIT, **changes))
    return replace(READ["private"], key=key)


def test_every_part_of_the_circuit_counts():
    circuit = CIRCUIT
    parts = {
        "a gate": {"gates": circuit.gates[:-5] + circuit.gates[-4:]},
        "the order of copies": {"permutation": circuit.permutation[::-1]},
        "a lookup": {"lookups": (circuit.lookups[1], *circuit.lookups[1:])},
        "a fixed commitment": {"fixed": (circuit.fixed[1], *circuit.fixed[1:])},
        "the digest": {"digest": circuit.digest + 1},
        "the string": {"tau": READ["public"].key.circuit.tau},
        "the blinding rows": {"blinding": circuit.blinding + 1},
    }
    for name, change in parts.items():
        assert "pairing" in refused(with_circuit(**change)), name


def test_rotations_that_are_one_row_are_refused():
    first, _, *rest = CIRCUIT.advice
    column, rotation = first
    twice = (first, (column, rotation + (1 << CIRCUIT.k)), *rest)
    assert "same row" in refused(with_circuit(advice=twice))


def test_a_string_off_the_second_group_is_refused():
    x0, *rest = CIRCUIT.tau
    assert "second group" in refused(with_circuit(tau=(x0 ^ 1, *rest)))
    assert "second group" in refused(with_circuit(tau=(0, 0, 0, 0)))


def test_lengths_are_exact():
    proof = READ["private"].proof
    assert "length" in refused(replace(READ["private"], proof=proof + bytes(32)))
    assert "number" in refused(with_circuit(instances=CIRCUIT.instances + 1))


def test_the_pairing_is_py_eccs():
    assert curve.balanced(None, None, CIRCUIT.tau)
    assert not curve.balanced(curve.GENERATOR, None, CIRCUIT.tau)


def test_the_process_keeps_its_limit_of_recursion():
    assert curve.balanced(None, None, CIRCUIT.tau)
    assert sys.getrecursionlimit() < 50_000
