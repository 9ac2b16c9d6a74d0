"""The transcript: its bytes by hand, and what every challenge depends on."""

from __future__ import annotations

import hashlib
from copy import copy
from dataclasses import replace

import numpy as np
import pytest

from support import stark_reference as reference
from zktally.verifier import poseidon2, poseidon16
from zktally.verifier.errors import InvalidProof
from zktally.verifier.reader import P
from zktally.verifier.stark import Parameters, PresentTable, Profile, Statement
from zktally.verifier.stark.field import K
from zktally.verifier.stark.params import Hashing
from zktally.verifier.stark.proof import Head
from zktally.verifier.stark.transcript import Sha256Transcript, begin
from zktally.verifier.stark.verify import _draw

both = pytest.mark.parametrize("hashing", Hashing)

PARAMETERS = Parameters(Profile(2, batch_bits=0, commit_bits=0, query_bits=0), queries=6)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def words(state, count):
    blocks = b"".join(sha(state, b"\xff", i.to_bytes(8, "little")) for i in range(count))
    return np.frombuffer(blocks, "<u4").tolist()


KNOWN = (bytes([7]) * 32, b"ab", b"cde")
"""Context, parameters and tables that are only bytes here, as in the tests of the core."""


def fresh(hashing=Hashing.SHA256):
    return begin(hashing, *KNOWN)


def absorbed(state, tag, data):
    return sha(state, bytes([tag]), len(data).to_bytes(8, "little"), data)


def first_state():
    state = sha(b"zktally stark v1\0")
    for tag, data in enumerate(KNOWN, 1):
        state = absorbed(state, tag, data)
    return state


def test_bytes_by_hand():
    transcript, state = fresh(), first_state()
    transcript.absorb(3, b"abc")
    state = absorbed(state, 3, b"abc")
    below = [word & 0x7FFFFFFF for word in words(state, 4) if word & 0x7FFFFFFF < P]
    assert transcript.element() == K(below[:5])
    state = sha(state, b"\xfe")
    assert transcript.indices(20, 1 << 9).tolist() == [w % 512 for w in words(state, 3)[:20]]
    state = sha(state, b"\xfe")
    assert transcript.element().words[0] == words(state, 1)[0] & 0x7FFFFFFF


def test_words_from_p_up_are_skipped(monkeypatch):
    transcript = fresh()
    given = [P, 5, 2**32 - 1, 6, P + 1, 7, 8, 9]
    monkeypatch.setattr(Sha256Transcript, "_words", lambda _: iter(given))
    assert transcript.element() == K((5, 6, 7, 8, 9))


def test_proofs_of_work():
    passed = []
    for nonce in range(64):
        transcript = fresh()
        state = absorbed(first_state(), 0x20, nonce.to_bytes(8, "little"))
        good = int.from_bytes(sha(state, b"\xfd")[:8], "little") % 8 == 0
        if good:
            transcript.pow(3, nonce)
            passed.append(transcript.element())
            continue
        with pytest.raises(InvalidProof) as error:
            transcript.pow(3, nonce)
        assert error.value.code == "verify.stark"
    assert 0 < len(passed) == len(set(passed)) < 32


@both
def test_no_work_absorbs_nothing(hashing):
    one, two = fresh(hashing), fresh(hashing)
    one.pow(0, 0)
    assert one.element() == two.element()


DRAWN = {
    Hashing.SHA256: [
        762508226, 2057070418, 708406164, 809221492, 604549037,
        1293, 1076, 2361, 554, 2114, 3334, 3743, 4015, 1435, 3321,
        535, 3567, 3567, 3064, 117, 2742, 1034, 3789, 1355, 1729,
        3657, 34149205,
    ],
    Hashing.POSEIDON2: [
        755165136, 1914326248, 1251216895, 1651191699, 815545082,
        3, 3119, 1461, 2766, 393, 3299, 3093, 2292, 2173, 2622,
        2904, 2616, 4003, 176, 2300, 2007, 2706, 164, 979, 3088,
        4396, 1239786037,
    ],
}  # fmt: skip
"""As in rust/core/src/stark/transcript/tests.rs."""


@both
def test_the_core_draws_the_same(hashing):
    transcript = fresh(hashing)
    transcript.absorb(4, np.arange(1, 9, dtype="<u4").tobytes())
    transcript.absorb(5, np.arange(23, dtype="<u4").tobytes())
    found = [*transcript.element().words, *transcript.indices(20, 1 << 12).tolist()]
    found.append(int.from_bytes(reference.grind(transcript, 12), "little"))
    found.append(transcript.element().words[0])
    assert found == DRAWN[hashing]


def test_elements_by_hand():
    """Poseidon2's transcript line by line as the page has it."""
    seed = sha(b"zktally stark poseidon2 v1\0", *KNOWN)
    packed = [int.from_bytes(seed[at : at + 3], "little") for at in range(0, 33, 3)]
    state, transcript = sponge(0x41, packed), fresh(Hashing.POSEIDON2)
    transcript.absorb(6, np.array([8, 9, 10], "<u4").tobytes())
    state = sponge(6, [*state, 8, 9, 10])
    assert transcript.element() == K(compress(state, [0, 255, *[0] * 6])[:5])
    state = compress(state, [0, 254, *[0] * 6])
    drawn = [x for i in range(3) for x in compress(state, [i, 255, *[0] * 6])]
    assert transcript.indices(20, 1 << 9).tolist() == [x % 512 for x in drawn[:20]]
    state = compress(state, [0, 254, *[0] * 6])
    good = [compress(sponge(0x20, [*state, w]), [0, 253, *[0] * 6])[0] % 4 == 0 for w in range(20)]
    assert 0 < sum(good) < 20
    for nonce, passes in enumerate(good):
        tried = copy(transcript)
        if passes:
            tried.pow(2, nonce)
            after = sponge(0x20, [*state, nonce])
            assert tried.element() == K(compress(after, [0, 255, *[0] * 6])[:5])
        else:
            with pytest.raises(InvalidProof):
                tried.pow(2, nonce)


def sponge(domain, elements):
    """The sponge by its definition, on the permutation that works on arrays."""
    state = np.zeros((1, 16), np.uint64)
    state[0, 8:10] = len(elements), domain
    filled = [*elements, *[0] * (-len(elements) % 8)]
    for at in range(0, len(filled), 8):
        state[0, :8] = filled[at : at + 8]
        state = poseidon2.permute(state)
    return state[0, :8].tolist()


def compress(left, right):
    (mixed,) = poseidon2.permute(np.array([[*left, *right]], np.uint64)).tolist()
    return [(a + b) % P for a, b in zip(mixed, left, strict=False)]


def test_sponges_agree_with_each_other_and_with_the_core():
    known = {1: 1222557382, 8: 1958128139, 9: 63491674, 100: 642441297}
    for length, first in known.items():
        elements = [7 * i + 1 for i in range(length)]
        found = poseidon16.sponge(0x40, elements)
        assert found[0] == first
        assert found == sponge(0x40, elements)
        rows = np.array([elements, elements[::-1]], np.uint64)
        assert poseidon2.sponge16(0x40, rows)[0].tolist() == found
    states = np.random.default_rng(3).integers(0, P, (30, 16), np.uint64)
    states[0], states[1] = P - 1, 0
    found = poseidon2.permute(states).tolist()
    assert [poseidon16.permute(state) for state in states.tolist()] == found


def test_configurations_draw_differently():
    one, two = (fresh(hashing).element() for hashing in Hashing)
    assert one != two


def present(log_rows=11):
    columns = np.ones((1, 4), np.uint32)
    return [PresentTable(0, log_rows, columns), PresentTable(2, 11, columns)]


def statement(log_rows=11, parameters=PARAMETERS, tables=reference.TABLES):
    return Statement(tables, present(log_rows), parameters)


HEAD = Head(
    main_root=bytes(32),
    aux_root=bytes(32),
    terminals=[K((1, 2, 3, 4, 5)), K((6, 7, 8, 9, 10))],
    quotient_root=bytes(32),
    opened=np.ones((9, 5), np.uint64),
    batch_nonce=0,
    rounds=[(bytes(32), 0), (bytes(32), 0)],
    final=np.ones((32, 5), np.uint64),
    query_nonce=0,
)
OTHER = b"\1" + bytes(31)
CHALLENGES = ["alpha", "beta", "gamma", "zeta", "eta", "beta 0", "beta 1", "indices"]


def drawn(hashing, context=bytes(32), head=HEAD, parameters=PARAMETERS, **others):
    made = statement(parameters=hashed(parameters, hashing), **others)
    found = _draw(made, context, head)
    air = found.air
    flat = [air.alpha, air.beta, air.gamma, air.zeta, found.eta, *found.betas]
    return dict(zip(CHALLENGES, [*flat, tuple(found.indices.tolist())], strict=True))


def last_word(array):
    changed = array.copy()
    changed[-1, -1] += np.uint64(1)
    return changed


def hashed(parameters, hashing):
    return replace(parameters, profile=replace(parameters.profile, hashing=hashing))


OTHER_BLOWUP = Parameters(Profile(3, 0, 0, 0), 6)

LEDGER = {
    "context": ({"context": OTHER}, "alpha"),
    "blowup": ({"parameters": OTHER_BLOWUP}, "alpha"),
    "tables": ({"tables": replace(reference.TABLES, digest=OTHER)}, "alpha"),
    "rows": ({"log_rows": 12}, "alpha"),
    "main root": ({"head": replace(HEAD, main_root=OTHER)}, "alpha"),
    "aux root": ({"head": replace(HEAD, aux_root=OTHER)}, "gamma"),
    "terminals": ({"head": replace(HEAD, terminals=HEAD.terminals[::-1])}, "gamma"),
    "quotient root": ({"head": replace(HEAD, quotient_root=OTHER)}, "zeta"),
    "opened": ({"head": replace(HEAD, opened=last_word(HEAD.opened))}, "eta"),
    "round 0": ({"head": replace(HEAD, rounds=[(OTHER, 0), HEAD.rounds[1]])}, "beta 0"),
    "round 1": ({"head": replace(HEAD, rounds=[HEAD.rounds[0], (OTHER, 0)])}, "beta 1"),
    "final": ({"head": replace(HEAD, final=last_word(HEAD.final))}, "indices"),
}


@both
@pytest.mark.parametrize("item", LEDGER)
def test_what_is_absorbed_changes_all_challenges_after_it_and_none_before(item, hashing):
    change, first = LEDGER[item]
    before, after = drawn(hashing), drawn(hashing, **change)
    same = [name for name in CHALLENGES if before[name] == after[name]]
    assert same == CHALLENGES[: CHALLENGES.index(first)]


@pytest.mark.parametrize("field", ["queries", "batch_bits", "commit_bits", "query_bits",
                                   "log_folding", "log_final"])  # fmt: skip
def test_every_parameter_is_in_its_bytes(field):
    if field == "queries":
        changed = replace(PARAMETERS, queries=7)
    else:
        profile = PARAMETERS.profile
        changed = replace(PARAMETERS, profile=replace(profile, **{field: 9}))
    assert changed.encode() != PARAMETERS.encode()
    assert len(changed.encode()) == 10
