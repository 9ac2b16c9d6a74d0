"""Proofs of the toy tables by a prover that lies where one check of the engine looks.

Everything else it does as well as it can: what it sends is hashed into its transcript, codewords
are what it says they are, and proofs of work are done.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from unittest.mock import patch

import numpy as np

from support import stark_lies
from support import stark_reference as reference
from support.stark_reference import TOY, Case, Prover, toy_case
from zktally.verifier.errors import InvalidProof, ZktallyError
from zktally.verifier.reader import P
from zktally.verifier.stark import Statement, verify_stark
from zktally.verifier.stark.fri import plan_rounds

ACCEPTED = "accepted"


@dataclass(frozen=True)
class Lie:
    """A proof, and the case that it does not prove."""

    proof: bytes
    case: Case

    def verdict(self) -> str:
        """What the engine says."""
        try:
            used = verify_stark(memoryview(self.proof), **self.case.arguments())
        except ZktallyError as error:
            return error.code
        return ACCEPTED if used == len(self.proof) else "cut"


def _case(**changes: object) -> Case:
    case = toy_case(walk_log=11, **changes)
    case.changes = {"dishonest": None}
    return case


def _of_lies(name: str) -> Lie:
    proof, case = stark_lies.LIES[name][0]()
    return Lie(proof, case)


def _field(case: Case, name: str) -> int:
    """Where a field of a proof of one height starts."""
    statement = Statement(reference.TABLES, case.present, case.parameters)
    tables = len(statement.tables)
    sizes = {"roots": 64, "terminals": 20 * tables, "quotient": 32}
    sizes |= {"opened": 20 * statement.opening_count, "batch nonce": 8}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    return starts[name]


def _opening_of(tree: int) -> Lie:
    """One bit of a salt of a tree, or of a sibling where a tree has no salts."""
    case = toy_case(walk_log=11)
    opened: list[bytes] = []
    of_tree = reference.Tree.open

    def watched(self: reference.Tree, indices: np.ndarray) -> bytes:
        data = of_tree(self, indices)
        if len(opened) == tree:
            data = data[:-1] + bytes([data[-1] ^ 1])
        opened.append(data)
        return data

    with patch.object(reference.Tree, "open", watched):
        return Lie(Prover(case).prove(), case)


class _OfZeros(Prover):
    """It folds the vector of zeros, whatever its codewords are."""

    def combine(self, opened, eta):
        combined = super().combine(opened, eta)
        return {level: np.zeros_like(values) for level, values in combined.items()}


class _AboveP(Prover):
    """It sends, and hashes, an element of the final polynomial as itself plus p."""

    def fold(self, combined):
        sent, trees, final = super().fold(combined)
        final = final.copy()
        final[0, 0] += np.uint64(P)
        return sent, trees, final


def _without_work(transcript, bits):
    """A nonce that was not worked for."""
    for nonce in count():
        try:
            copy.copy(transcript).pow(bits, nonce)
        except InvalidProof:
            break
    transcript.absorb(0x20, nonce.to_bytes(8, "little"))
    return nonce.to_bytes(8, "little")


def _unworked() -> Lie:
    case = toy_case(walk_log=11)
    with patch.object(reference, "grind", _without_work):
        return Lie(Prover(case).prove(), case)


def _nonce_for_nothing() -> Lie:
    case = toy_case(walk_log=11, parameters=stark_lies.SMALL)
    proof = bytearray(Prover(case).prove())
    proof[_field(case, "batch nonce")] = 1
    return Lie(bytes(proof), case)


def _plus_p(place: Callable[[Case], int]) -> Lie:
    """A word of a foldable proof as itself plus p: another word for the same element."""
    case = toy_case(walk_log=11, parameters=reference.FOLDABLE)
    proof = bytearray(Prover(case).prove())
    at = place(case) % len(proof)
    word = int.from_bytes(proof[at : at + 4], "little") + P
    proof[at : at + 4] = word.to_bytes(4, "little")
    return Lie(bytes(proof), case)


def _first_salt(case: Case) -> int:
    """Where that of the first opened row of the main tree starts."""
    statement, profile = Statement(reference.TABLES, case.present, case.parameters), TOY.profile
    final = profile.log_blowup + profile.log_final
    rounds = len(plan_rounds([statement.log_domain], profile.log_folding, final))
    row = 4 * statement.shapes[0].widths[statement.log_domain]
    return _field(case, "batch nonce") + 8 + 40 * rounds + (20 << profile.log_final) + 8 + row


def _by(prover: type[Prover]) -> Lie:
    case = _case()
    return Lie(prover(case).prove(), case)


LIES: dict[str, tuple[str, Callable[[], Lie]]] = {
    "a witness that breaks a constraint": ("verify.stark", lambda: _of_lies("wrong square")),
    "a witness that starts elsewhere": ("verify.stark", lambda: _of_lies("wrong start")),
    "a value that no table provides": ("verify.stark", lambda: _of_lies("out of range")),
    "terminals of another balance": ("verify.stark", lambda: _of_lies("shifted terminals")),
    "opened values that no codeword has": ("verify.stark", lambda: _of_lies("shifted chunks")),
    "rows of another main tree": ("verify.stark", lambda: _opening_of(0)),
    "rows of another auxiliary tree": ("verify.stark", lambda: _opening_of(1)),
    "rows of another quotient tree": ("verify.stark", lambda: _opening_of(2)),
    "rows of another tree of a round": ("verify.stark", lambda: _opening_of(3)),
    "a fold of other codewords": ("verify.stark", lambda: _by(_OfZeros)),
    "an element as itself plus p": ("receipt.non-canonical", lambda: _by(_AboveP)),
    "a root as itself plus p": ("receipt.non-canonical", lambda: _plus_p(lambda _: 0)),
    "a salt as itself plus p": ("receipt.non-canonical", lambda: _plus_p(_first_salt)),
    "a sibling as itself plus p": ("receipt.non-canonical", lambda: _plus_p(lambda _: -32)),
    "a nonce as itself plus p": (
        "receipt.non-canonical",
        lambda: _plus_p(lambda case: _field(case, "batch nonce")),
    ),
    "no work done": ("verify.stark", _unworked),
    "a nonce for no work": ("receipt.non-canonical", _nonce_for_nothing),
}
"""By what is wrong: the code of the engine, and how it is made."""
