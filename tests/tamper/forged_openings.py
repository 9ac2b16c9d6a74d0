"""Tamperings of roots and openings; the statement, and so what is opened, stays."""

from __future__ import annotations

import copy
import struct

import numpy as np
from anatomy import Parts, dissect
from forger import committed, execute, receipt_of, run
from registry import tampering

from support.receipts import PRF_SEED, Tree
from zktally.verifier.reader import P
from zktally.verifier.roots import digest_bytes, seed_commitment

KINDS = {
    "a weight": ("weight embedding", "verify.weights-root"),
    "an initial state": ("initial state momentum", "verify.initial-state"),
    "an input": ("word of step 1", "verify.input-root"),
    "a value": ("energy of step 0", "verify.chain-root"),
    "a linked state": ("momentum' of step 0", "verify.chain-root"),
    "a final state": ("momentum' of step 1", "verify.final-state"),
    "an output": ("unit of step 1", "verify.chain-root"),
}
"""A tree of each kind, and the code for another root of it."""


def flipped(data: bytes, at: int = 0) -> bytes:
    """One bit of one byte flipped."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def over_p(data: bytes, at: int = 0) -> bytes:
    """The same field elements, one of them written as itself plus p."""
    words = list(struct.unpack(f"<{len(data) // 4}I", data))
    words[at] += P
    return struct.pack(f"<{len(words)}I", *words)


def parts_of(base: str) -> Parts:
    return dissect(receipt_of(base))


for _kind, (_tree, _code) in KINDS.items():

    @tampering(f"opening of {_kind}: a value", "verify.opening")
    def _(tree=_tree):
        parts = parts_of("kinds")
        parts.openings[tree].leaves[-1] = flipped(parts.openings[tree].leaves[-1])
        return parts.encode()

    @tampering(f"opening of {_kind}: a salt", "verify.opening")
    def _(tree=_tree):
        parts = parts_of("kinds")
        parts.openings[tree].salts[0] = flipped(parts.openings[tree].salts[0], 16)
        return parts.encode()

    @tampering(f"root of {_kind}", _code)
    def _(tree=_tree):
        parts = parts_of("kinds")
        parts.roots[tree] = flipped(parts.roots[tree], 28)
        return parts.encode()


@tampering("opening of a weight: a sibling", "verify.opening")
def _():
    parts = parts_of("kinds")
    tree = parts.openings["weight embedding"]
    tree.siblings[-1] = flipped(tree.siblings[-1])
    return parts.encode()


for _name, _tree in {"an input": "x of step 2", "a value": "c of step 3"}.items():
    for _at, _which in enumerate(("first", "second", "third")):

        @tampering(f"opening of {_name}: the {_which} sibling", "verify.opening", "sampled")
        def _(tree=_tree, at=_at):
            parts = parts_of("sampled")
            parts.openings[tree].siblings[at] = flipped(parts.openings[tree].siblings[at])
            return parts.encode()


@tampering("opening: a sibling of zero", "verify.opening", "sampled")
def _():
    """The digest of a node that does not exist, for one that does."""
    parts = parts_of("sampled")
    parts.openings["x of step 0"].siblings[0] = bytes(32)
    return parts.encode()


@tampering("opening: two leaves exchanged", "verify.opening")
def _():
    parts = parts_of("kinds")
    for column in (parts.openings["rows of step 0"].leaves, parts.openings["rows of step 0"].salts):
        column[0], column[1] = column[1], column[0]
    return parts.encode()


@tampering("opening: one leaf for another", "verify.opening")
def _():
    parts = parts_of("kinds")
    for column in (parts.openings["rows of step 0"].leaves, parts.openings["rows of step 0"].salts):
        column[1] = column[0]
    return parts.encode()


@tampering("opening: two siblings exchanged", "verify.opening", "sampled")
def _():
    parts = parts_of("sampled")
    siblings = parts.openings["x of step 1"].siblings
    siblings[0], siblings[1] = siblings[1], siblings[0]
    return parts.encode()


@tampering("opening: the trees of two steps exchanged", "verify.opening")
def _():
    parts = parts_of("kinds")
    first, second = (parts.openings[f"x of step {step}"] for step in (0, 1))
    first.leaves, second.leaves = second.leaves, first.leaves
    first.salts, second.salts = second.salts, first.salts
    return parts.encode()


@tampering("opening: the border of two leaves moved by one value", "verify.opening")
def _():
    parts = parts_of("kinds")
    leaves = parts.openings["x of step 0"].leaves
    leaves[0], leaves[1] = leaves[0][:-1] + leaves[1][:1], leaves[0][-1:] + leaves[1][1:]
    return parts.encode()


@tampering("opening: a sibling sent as a leaf", "receipt.trailing-bytes", "sampled")
def _():
    parts = parts_of("sampled")
    tree = parts.openings["x of step 1"]
    tree.siblings.append(tree.siblings[0])
    return parts.encode()


@tampering("opening: a leaf left out", "receipt.truncated")
def _():
    parts = parts_of("kinds")
    tree = parts.openings["x of step 1"]
    tree.leaves.pop()
    tree.salts.pop()
    return parts.encode()


@tampering("opening: the root itself in place of a tree of two leaves", "verify.opening")
def _():
    """Leaf and node must not be confused: the leaves' digests are hashed as nodes."""
    parts = parts_of("kinds")
    tree = committed("kinds").trees[0, 0]
    left, right = (digest_bytes(tree.levels[0][leaf]) for leaf in (0, 1))
    opened = parts.openings["x of step 0"]
    opened.leaves[0], opened.leaves[1] = left[:8], right[:8]
    return parts.encode()


@tampering("roots: two of one step exchanged", "verify.input-root")
def _():
    parts = parts_of("kinds")
    roots = parts.roots
    roots["x of step 0"], roots["word of step 0"] = roots["word of step 0"], roots["x of step 0"]
    return parts.encode()


@tampering("roots: two values of one step exchanged", "verify.chain-root")
def _():
    roots = (parts := parts_of("kinds")).roots
    roots["h of step 0"], roots["act of step 0"] = roots["act of step 0"], roots["h of step 0"]
    return parts.encode()


@tampering("roots: two weights exchanged", "verify.weights-root", "dense")
def _():
    roots = (parts := parts_of("dense")).roots
    roots["weight w"], roots["weight mult"] = roots["weight mult"], roots["weight w"]
    return parts.encode()


@tampering("roots: all of the proof zero", "verify.weights-root")
def _():
    parts = parts_of("kinds")
    parts.roots = dict.fromkeys(parts.roots, bytes(32))
    return parts.encode()


@tampering("prf seed: another one", "verify.prf-seed")
def _():
    parts = parts_of("kinds")
    parts.seed = flipped(parts.seed)
    return parts.encode()


@tampering("prf seed: another one, committed after the run", "verify.gate")
def _():
    """The noise is not that of the run, so the rounding is wrong somewhere."""
    other = PRF_SEED + np.uint64(1)
    parts = dissect(run("kinds").commit().change(prf_seed=seed_commitment(other)).receipt())
    parts.seed = digest_bytes(other)
    return parts.encode()


@tampering("prf seed: noise chosen by the prover", "verify.gate")
def _():
    """The rounding always goes down, which no seed gives."""
    return execute(run("kinds"), noise=np.zeros_like).commit().receipt()


@tampering("salts: an input salted as another step", "verify.input-mismatch")
def _():
    """The published key must give the salts at their own positions."""
    forged = run("kinds").commit()
    key = np.frombuffer(forged.journal.input_key, "<u4").astype(np.uint64)
    number = forged.program.inputs[0].tensor
    tensor = forged.program.tensors[number]
    forged.trees[0, number] = Tree(tensor, forged.trace[0][number], key, 1, number)
    forged.journal = forged._journal(forged.journal.input_key)
    return forged.receipt()


NON_CANONICAL = {
    "a root": lambda parts: parts.roots.update(
        {"weight w": over_p(parts.roots["weight w"])}
    ),
    "a salt": lambda parts: parts.openings["act of step 1"].salts.__setitem__(
        1, over_p(parts.openings["act of step 1"].salts[1], 4)
    ),
    "a sibling": lambda parts: parts.openings["weight embedding"].siblings.__setitem__(
        0, over_p(parts.openings["weight embedding"].siblings[0], 7)
    ),
    "the prf seed": lambda parts: setattr(parts, "seed", over_p(parts.seed, 3)),
}  # fmt: skip
for _name, _spoil in NON_CANONICAL.items():

    @tampering(f"proof: {_name} written as itself plus p", "receipt.non-canonical")
    def _(spoil=_spoil):
        parts = parts_of("kinds")
        spoil(parts)
        return parts.encode()


@tampering("openings: hidden outputs are opened nevertheless", "receipt.trailing-bytes", "hidden")
def _():
    return copy.copy(committed("hidden")).receipt(outputs=True)


@tampering("openings: published outputs are not opened", "receipt.truncated", "sampled")
def _():
    return copy.copy(committed("sampled")).receipt(outputs=False)
