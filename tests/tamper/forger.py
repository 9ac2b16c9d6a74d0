"""A prover that lies: it changes a run anywhere, then commits and opens as an honest one would.

`run` gives a fresh copy of an honest run; a forger changes it, calls `commit`, changes the journal,
and calls `receipt`. What the victim expects comes from the honest run (`victim`), never from the
forged one.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import numpy as np

from support.receipts import Prover
from zktally.verifier.confidence import headline
from zktally.verifier.gates import evaluate
from zktally.verifier.inputs import DTYPES
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.program.checked import check
from zktally.verifier.program.types import Program, Role, gates
from zktally.verifier.roots import state_digests, step_root

SPARSE = {"delta_ppm": 400_000, "bits": 8}
"""So few samples that most gates of a small program go unseen."""

NONCE = b"the verifier's"

RUNS = {
    "dense": ("dense", {"steps": 2, "items": 3, "audience": "the auditor", "nonce": b"\x01\x02"}),
    "average": ("running_average", {"steps": 3}),
    "long names": ("dense", {"steps": 2, "audience": "x" * 256, "nonce": bytes(64)}),
    "kinds": ("every_kind", {"steps": 2}),
    "sampled": ("conv", {"steps": 4, "delta_step_ppm": 500_000, **SPARSE}),
    "checkable": ("every_kind", {"steps": 2, "public": False}),
    "demanding": (
        "conv",
        {"steps": 4, "delta_step_ppm": 400_000, "delta_op_ppm": 450_000, **SPARSE},
    ),
    "exact": ("conv", {"steps": 4, "exact": (1,), **SPARSE}),
    "trained": ("learner", {"steps": 4, "declared": True, "nonce": NONCE}),
    "trained on": ("learner", {"steps": 3, "follows": "trained", "nonce": NONCE}),
    "drawn": ("drawn average", {"steps": 2, "declared": True}),
    "hidden": ("conv", {"steps": 4, "hidden": True, **SPARSE}),
    "sparsely trained": ("learner", {"steps": 6, "declared": True, **SPARSE}),
}


@cache
def _honest(name: str) -> Prover:
    program, claims = RUNS[name]
    if "follows" in claims:
        claims = {**claims, "follows": committed(claims["follows"])}
    return Prover(program, **claims)


@cache
def committed(name: str) -> Prover:
    """An honest run, committed; not to be changed."""
    return run(name).commit()


@cache
def receipt_of(name: str) -> bytes:
    """Its receipt."""
    return committed(name).receipt()


def run(name: str) -> Prover:
    """An honest run to change before `commit`."""
    return copy.deepcopy(_honest(name))


def reopened(name: str, **fields: object) -> bytes:
    """An honest run with other words in its statement, opened for those."""
    return copy.copy(committed(name)).change(**fields).receipt()


def victim(name: str, **changes: object) -> Expectations:
    """What a caller expects who means the honest run and demands exactly what it claims."""
    journal = committed(name).journal
    policy = Policy(
        max_delta=journal.delta_ppm / 1e6,
        max_delta_step=journal.delta_step_ppm / 1e6 or None,
        max_delta_op=journal.delta_op_ppm / 1e6 or None,
        min_bits=min(100, headline(journal.bits)),
        outputs_exact=name not in ("sampled", "demanding", "hidden", "sparsely trained"),
    )
    return committed(name).expectations(**{"policy": policy, **changes})


def with_program(prover: Prover, program: Program) -> Prover:
    """The run under another program; its trace stays."""
    prover.program = program
    prover.checked = check(program)
    return prover


def with_tensor(program: Program, number: int, **fields: object) -> Program:
    """The program with one tensor declared otherwise."""
    tensors = list(program.tensors)
    tensors[number] = replace(tensors[number], **fields)
    return replace(program, tensors=tuple(tensors))


def with_op(program: Program, number: int, **fields: object) -> Program:
    """The program with one op changed."""
    ops = list(program.ops)
    ops[number] = replace(ops[number], **fields)
    return replace(program, ops=tuple(ops))


class _Store:
    def __init__(self, arrays):
        self._arrays = arrays

    def read(self, tensor, offsets):
        return self._arrays[tensor].reshape(-1)[offsets].astype(np.int64)


def execute(
    prover: Prover,
    first: int = 0,
    wrong_op: int | None = None,
    spoil=None,
    noise=None,
    records=None,
    of_step=lambda step: step,
) -> Prover:
    """Execute all steps from `first` on, by whatever weights, inputs and program the prover has.

    Of step `first`, one gate of `wrong_op` is wrong, and everything after it follows from that.
    `spoil` changes the state that step `first` starts from, `noise` what prf tensors hold, and
    `records` which ones a step reads; `of_step` is whose noise and records a step has.
    """
    own = prover.records_of
    program, trace = prover.program, prover.trace
    for step in range(first, prover.steps):
        arrays = {t: trace[step][t] for t in program.of_role(Role.INPUT)} | dict(prover.weights)
        for link in program.states:
            arrays[link.state] = prover.initial[link.state] if step == 0 else (
                trace[step - 1][link.value]
            )  # fmt: skip
            if spoil is not None and step == first:
                arrays[link.state] = spoil(arrays[link.state])
        for t in program.of_role(Role.PRF):
            drawn = prover.noise(program.tensors[t], of_step(step))
            arrays[t] = drawn if noise is None else noise(drawn)
        read = own(of_step(step)) if program.data else None
        for t in program.data:
            arrays[t] = prover.data[t][read if records is None else records(step, read)]
        for c, op in enumerate(program.ops):
            values = evaluate(program, op, np.arange(gates(op)), _Store(arrays))
            out = program.tensors[op.out]
            if c == wrong_op and step == first:
                values = values.copy()
                values[-1] += 1 if values[-1] < out.hi else -1
            arrays[op.out] = values.reshape(out.shape).astype(DTYPES[out.width])
        trace[step] = arrays
    return prover


def poke(array: np.ndarray, value: int, at: int = 0) -> np.ndarray:
    """A copy with one element changed."""
    changed = array.copy()
    changed.reshape(-1)[at] = value
    return changed


def rechained(prover: Prover, **fields: object) -> Prover:
    """Change the statement, and hash the chain root again over what it says now."""
    prover.change(**fields)
    program, journal = prover.program, prover.journal
    links = {link.state: link.value for link in program.states}
    states, steps = program.of_role(Role.STATE), range(prover.steps)

    def roots(*names):
        return np.array([prover.trees[name].root for name in names], np.uint64).reshape(-1, 8)

    initial = state_digests(roots(*(("initial", t) for t in states))[None])
    after = state_digests(np.array([roots(*((j, links[t]) for t in states)) for j in steps]))
    before = np.concatenate([initial, after[:-1]])
    stepped = program.of_role(Role.INPUT, Role.VALUE)
    every = np.array([roots(*((j, t) for t in stepped)) for j in steps])
    chain_root = step_root(
        journal.program_id, journal.weights_root, before, after, every, journal.first
    )
    return prover.change(chain_root=chain_root)
