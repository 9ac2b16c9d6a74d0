"""Dishonest proofs of toy tables: the prover does its best with a false witness."""

from __future__ import annotations

import numpy as np

from zktally.verifier.reader import P
from zktally.verifier.stark import Parameters, Profile

from .stark_reference import Prover, toy_case

SMALL = Parameters(Profile(3, batch_bits=0, commit_bits=0, query_bits=0, log_folding=2), queries=3)


def lie(change=lambda case: None, **changes):
    """A dishonest proof of one height, and its case."""
    case = toy_case(walk_log=11)
    case.changes = {"dishonest": None, **changes}
    change(case)
    prover = Prover(case)
    for name, function in changes.items():
        case.changes[name] = lambda value, function=function: function(prover, value)
    return prover.prove(), case


def wrong_square(case):
    case.mains[0][3, 7] += 1
    case.terms.groups[0].tuples[7, 1] += 1


def wrong_start(case):
    case.mains[0][1] += 1
    for group in case.terms.groups:
        group.tuples[:, : len(group.tuples[0]) - 1] += 1


def out_of_range(case):
    case.mains[0][2, 7], case.mains[0][3, 7] = 256, 256**2
    case.terms.groups[0].tuples[7, 1], case.terms.groups[1].tuples[7, 2] = 256**2, 256


def balance(prover, terminals):
    """Other terminals of the same sum."""
    changed = terminals.copy()
    changed[-1, 0] = (changed[-1, 0] + np.uint64(1)) % np.uint64(P)
    changed[0, 0] = (changed[0, 0] + np.uint64(P - 1)) % np.uint64(P)
    return changed


def shift_chunks(prover, opened):
    """Other values of two chunks whose sum is the same."""
    step = prover.zeta ** ((1 << 11) - prover.hiding)
    changed = opened.copy()
    changed[-4] = (changed[-4] + step.array()) % np.uint64(P)
    changed[-3, 0] = (changed[-3, 0] + np.uint64(P - 1)) % np.uint64(P)
    return changed


LIES = {
    "wrong square": (lambda: lie(wrong_square), "the constraints at"),
    "wrong start": (lambda: lie(wrong_start), "the constraints at"),
    "out of range": (lambda: lie(out_of_range), "the sum of the terminals"),
    "shifted terminals": (lambda: lie(terminals=balance), "the constraints at"),
    "shifted chunks": (lambda: lie(opened=shift_chunks), "final polynomial"),
}
