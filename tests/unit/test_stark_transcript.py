"""The transcript: its bytes by hand, and what every challenge depends on."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from support import stark_reference as reference
from zktally.verifier.errors import InvalidProof
from zktally.verifier.reader import P
from zktally.verifier.stark import Parameters, PresentTable, Profile, Statement
from zktally.verifier.stark.field import K
from zktally.verifier.stark.proof import Head
from zktally.verifier.stark.transcript import Transcript
from zktally.verifier.stark.verify import _draw

PARAMETERS = Parameters(Profile(2, batch_bits=0, commit_bits=0, query_bits=0), queries=6)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def words(state, count):
    blocks = b"".join(sha(state, b"\xff", i.to_bytes(8, "little")) for i in range(count))
    return np.frombuffer(blocks, "<u4").tolist()


def test_bytes_by_hand():
    transcript, state = Transcript(), sha(b"zktally stark v1\0")
    transcript.absorb(3, b"abc")
    state = sha(state, b"\3", (3).to_bytes(8, "little"), b"abc")
    below = [word & 0x7FFFFFFF for word in words(state, 4) if word & 0x7FFFFFFF < P]
    assert transcript.element() == K(below[:5])
    state = sha(state, b"\xfe")
    assert transcript.indices(20, 1 << 9).tolist() == [w % 512 for w in words(state, 3)[:20]]
    state = sha(state, b"\xfe")
    assert transcript.element().words[0] == words(state, 1)[0] & 0x7FFFFFFF


def test_words_from_p_up_are_skipped(monkeypatch):
    transcript = Transcript()
    monkeypatch.setattr(Transcript, "_words", lambda _: iter([P, 5, 2**32 - 1, 6, P + 1, 7, 8, 9]))
    assert transcript.element() == K((5, 6, 7, 8, 9))


def test_proofs_of_work():
    passed = []
    for nonce in range(64):
        transcript, state = Transcript(), sha(b"zktally stark v1\0")
        state = sha(state, b"\x20", (8).to_bytes(8, "little"), nonce.to_bytes(8, "little"))
        good = int.from_bytes(sha(state, b"\xfd")[:8], "little") % 8 == 0
        if good:
            transcript.pow(3, nonce)
            passed.append(transcript.element())
            continue
        with pytest.raises(InvalidProof) as error:
            transcript.pow(3, nonce)
        assert error.value.code == "verify.stark"
    assert 0 < len(passed) == len(set(passed)) < 32


def test_no_work_absorbs_nothing():
    one, two = Transcript(), Transcript()
    one.pow(0, 0)
    assert one.element() == two.element()


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


def drawn(made=None, context=bytes(32), head=HEAD):
    found = _draw(made or statement(), context, head)
    air = found.air
    flat = [air.alpha, air.beta, air.gamma, air.zeta, found.eta, *found.betas]
    return dict(zip(CHALLENGES, [*flat, tuple(found.indices.tolist())], strict=True))


def last_word(array):
    changed = array.copy()
    changed[-1, -1] += np.uint64(1)
    return changed


LEDGER = {
    "context": (drawn, {"context": OTHER}, "alpha"),
    "blowup": (drawn, {"made": statement(parameters=Parameters(Profile(3, 0, 0, 0), 6))}, "alpha"),
    "tables": (drawn, {"made": statement(tables=replace(reference.TABLES, digest=OTHER))}, "alpha"),
    "rows": (drawn, {"made": statement(log_rows=12)}, "alpha"),
    "main root": (drawn, {"head": replace(HEAD, main_root=OTHER)}, "alpha"),
    "aux root": (drawn, {"head": replace(HEAD, aux_root=OTHER)}, "gamma"),
    "terminals": (drawn, {"head": replace(HEAD, terminals=HEAD.terminals[::-1])}, "gamma"),
    "quotient root": (drawn, {"head": replace(HEAD, quotient_root=OTHER)}, "zeta"),
    "opened": (drawn, {"head": replace(HEAD, opened=last_word(HEAD.opened))}, "eta"),
    "round 0": (drawn, {"head": replace(HEAD, rounds=[(OTHER, 0), HEAD.rounds[1]])}, "beta 0"),
    "round 1": (drawn, {"head": replace(HEAD, rounds=[HEAD.rounds[0], (OTHER, 0)])}, "beta 1"),
    "final": (drawn, {"head": replace(HEAD, final=last_word(HEAD.final))}, "indices"),
}


@pytest.mark.parametrize("item", LEDGER)
def test_what_is_absorbed_changes_all_challenges_after_it_and_none_before(item):
    draw, change, first = LEDGER[item]
    before, after = draw(), draw(**change)
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
