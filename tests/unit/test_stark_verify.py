"""The verifier against the reference prover: honest proofs, damage, other statements, lies."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from support import stark_reference as reference
from support.stark_lies import LIES, SMALL
from support.stark_reference import FOLDABLE, TOY, prove, toy_case
from zktally.verifier.errors import InvalidProof, MalformedReceipt
from zktally.verifier.reader import P
from zktally.verifier.stark import (
    PresentTable,
    PublicTerms,
    Statement,
    TermGroup,
    verify_stark,
)
from zktally.verifier.stark.field import SHIFT, K, root_of_unity
from zktally.verifier.stark.fri import plan_rounds
from zktally.verifier.stark.logup import public_sum
from zktally.verifier.stark.params import Hashing
from zktally.verifier.stark.verify import judge_point


def verify(proof, case, **other):
    return verify_stark(memoryview(proof), **(case.arguments() | other))


PARAMETERS = {Hashing.SHA256: TOY, Hashing.POSEIDON2: FOLDABLE}
both = pytest.mark.parametrize("hashing", Hashing)


@cache
def honest(hashing=Hashing.SHA256):
    """A case of two heights and its proof."""
    case = toy_case(walk_log=12, range_log=11, parameters=PARAMETERS[hashing])
    return case, prove(case)


SHAPES = {
    "one height": {"walk_log": 11},
    "taller range, all tables": {"walk_log": 11, "extra_log": 11, "range_log": 12},
    "other parameters": {"walk_log": 11, "parameters": SMALL},
    "foldable": {"walk_log": 11, "extra_log": 11, "range_log": 12, "parameters": FOLDABLE},
}


@pytest.mark.parametrize("name", SHAPES)
def test_honest_proofs_are_accepted_and_their_length_is_returned(name):
    case = toy_case(**SHAPES[name])
    proof = prove(case)
    assert verify(proof, case) == len(proof)
    assert verify(proof + proof, case) == len(proof)


def test_a_taller_walk_and_whatever_follows():
    case, proof = honest()
    assert verify(proof, case) == verify(proof + b"more", case) == len(proof)


def test_the_last_table_alone():
    nothing = PresentTable(2, 11, np.zeros((1, 0), np.uint32))
    case = reference.Case([nothing], PublicTerms(), {2: np.zeros((2, 1), np.int64)})
    proof = prove(case)
    assert verify(proof, case) == len(proof)


def test_rounds_stop_at_every_height_and_at_the_final_size():
    rounds = plan_rounds([18, 16, 13], 3, 7)
    assert [(each.log_size, each.log_arity) for each in rounds] == [
        (18, 2), (16, 3), (13, 3), (10, 3)
    ]  # fmt: skip
    assert plan_rounds([9], 3, 7)[0].log_arity == 2


def fields():
    """Where each field of the honest proof starts, by name; the last are the openings."""
    case, _ = honest()
    statement = Statement(reference.TABLES, case.present, case.parameters)
    sizes = {"main root": 32, "aux root": 32, "terminals": 40, "quotient root": 32}
    sizes |= {"opened": 20 * statement.opening_count, "batch nonce": 8}
    for number in range(3):
        sizes |= {f"root {number}": 32, f"nonce {number}": 8}
    sizes |= {"final": 20 * 32, "query nonce": 8}
    return dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False)) | {
        "openings": sum(sizes.values())
    }


CODES = {"verify.stark", "receipt.truncated", "receipt.non-canonical"}


def refused(proof, case, **other):
    """The error of a proof that must not pass; anything untyped comes through."""
    with pytest.raises((InvalidProof, MalformedReceipt)) as error:
        verify(proof, case, **other)
    assert error.value.code in CODES
    return error.value


@both
@pytest.mark.parametrize("name", fields())
def test_every_field_is_bound(name, hashing):
    case, proof = honest(hashing)
    for offset in range(8):
        changed = bytearray(proof)
        changed[fields()[name] + offset] ^= 1
        refused(bytes(changed), case)


@both
def test_flipped_bits_anywhere_are_refused(hashing):
    case, proof = honest(hashing)
    for bit in random.Random(1).sample(range(8 * len(proof)), 100):
        changed = bytearray(proof)
        changed[bit // 8] ^= 1 << bit % 8
        refused(bytes(changed), case)


@both
def test_bits_flipped_in_openings_are_refused_by_roots_or_words(hashing):
    case, proof = honest(hashing)
    bits = range(8 * fields()["openings"], 8 * len(proof))
    for bit in random.Random(2).sample(bits, 40):
        changed = bytearray(proof)
        changed[bit // 8] ^= 1 << bit % 8
        error = refused(bytes(changed), case)
        assert "root" in error.message or error.code == "receipt.non-canonical"


@both
def test_cuts_are_truncated(hashing):
    case, proof = honest(hashing)
    for end in [*range(0, len(proof), 1009), len(proof) - 1]:
        assert refused(proof[:end], case).code == "receipt.truncated"


def test_random_bytes_are_refused():
    case, proof = honest()
    for seed in range(20):
        refused(random.Random(seed).randbytes(len(proof)), case)
    refused(bytes(len(proof)), case)
    refused(b"", case)


@pytest.mark.parametrize("name", ["terminals", "opened", "final", "openings"])
def test_a_word_of_p_is_not_canonical(name):
    case, proof = honest()
    at = fields()[name]
    changed = proof[:at] + P.to_bytes(4, "little") + proof[at + 4 :]
    assert refused(changed, case).code == "receipt.non-canonical"


@pytest.mark.parametrize("name", [name for name in fields() if "root" in name or "nonce" in name])
def test_roots_and_nonces_are_elements_where_all_is(name):
    """Added to a word, p makes another one of the same element."""
    case, proof = honest(Hashing.POSEIDON2)
    at = fields()[name]
    for place in range(at, at + (4 if "nonce" in name else 32), 4):
        word = int.from_bytes(proof[place : place + 4], "little") + P
        changed = proof[:place] + word.to_bytes(4, "little") + proof[place + 4 :]
        assert refused(changed, case).code == "receipt.non-canonical"
    if "nonce" in name:
        changed = proof[: at + 4] + b"\1" + proof[at + 5 :]
        assert refused(changed, case).code == "receipt.non-canonical"


def test_a_proof_is_one_of_its_configuration():
    one, two = honest(), honest(Hashing.POSEIDON2)
    assert one[0].parameters.encode() == two[0].parameters.encode()
    refused(one[1], two[0])
    refused(two[1], one[0])


def test_a_nonce_without_a_proof_of_work_is_zero():
    case = toy_case(walk_log=11, parameters=SMALL)
    proof = prove(case)
    statement = Statement(reference.TABLES, case.present, SMALL)
    at = 3 * 32 + 40 + 20 * statement.opening_count
    changed = proof[:at] + b"\1" + proof[at + 1 :]
    assert refused(changed, case).code == "receipt.non-canonical"


def other_terms(change):
    first, *rest = honest()[0].terms.groups
    tuples = first.tuples.copy()
    change(tuples)
    return PublicTerms((replace(first, tuples=tuples), *rest))


def set_first(tuples):
    tuples[0, 1] += np.uint32(1)


def other_column():
    walk, ranges = honest()[0].present
    publics = walk.publics.copy()
    publics[0, 0] = 0
    return [replace(walk, publics=publics), ranges]


STATEMENTS = {
    "context": lambda: {"context": bytes(32)},
    "tables": lambda: {"tables": replace(reference.TABLES, digest=bytes(32))},
    "parameters": lambda: {"parameters": replace(TOY, queries=7)},
    "grinding": lambda: {"parameters": replace(TOY, profile=replace(TOY.profile, query_bits=30))},
    "public tuple": lambda: {"public_terms": other_terms(set_first)},
    "no public terms": lambda: {"public_terms": PublicTerms()},
    "public column": lambda: {"present": other_column()},
    "rows": lambda: {"present": [replace(one, log_rows=12) for one in honest()[0].present]},
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_another_statement_is_refused(name):
    case, proof = honest()
    refused(proof, case, **STATEMENTS[name]())


def test_public_terms_may_come_in_any_grouping():
    case, proof = honest()
    first, second = case.terms.groups
    halves = [replace(first, tuples=part) for part in np.array_split(first.tuples, 2)]
    balanced = [TermGroup(2, sign, np.array([[P - 1]], np.uint32)) for sign in (1, -1)]
    assert verify(proof, case, public_terms=PublicTerms((second, *halves, *balanced)))


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused_by_the_check_that_is_there_for_them(name):
    make, check = LIES[name]
    proof, case = make()
    error = refused(proof, case)
    assert check in error.message, error.message


def test_terminals_are_blinded_and_proofs_differ():
    case = toy_case(walk_log=11)
    proofs = [prove(case, seed) for seed in (1, 2)]
    assert [verify(proof, case) for proof in proofs] == [len(proof) for proof in proofs]
    at = fields()["terminals"]
    assert proofs[0][at : at + 20] != proofs[1][at : at + 20]
    assert proofs[0][at + 20 : at + 40] != proofs[1][at + 20 : at + 40]


# Challenges that no hash is known to give.


@pytest.mark.parametrize("at", [1, SHIFT])
def test_a_point_in_a_domain_is_refused(at):
    judge_point(K([0, 1, 0, 0, 0]))
    for power in (0, 1, 5):
        point = K.of(at * pow(root_of_unity(24), power, P) % P)
        with pytest.raises(InvalidProof, match="lies in a domain"):
            judge_point(point)


def test_a_public_term_that_a_challenge_meets_is_refused():
    alpha, beta = K([5, 6, 7, 8, 9]), K([1, 2, 0, 0, 0])
    met = alpha - K.of(3)
    terms = PublicTerms((TermGroup(3, 1, np.array([[1]], np.uint32)),))
    public_sum(terms, (alpha, beta))
    with pytest.raises(InvalidProof, match="no inverse"):
        public_sum(terms, (alpha, met))
