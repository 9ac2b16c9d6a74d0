"""The fast check: a receipt judged step by step in the order of protocol.md section 6.

Whatever the bytes are, only errors of `errors` come out, and the first failure is the one reported;
an independent verifier in Rust reports the same code.
"""

from __future__ import annotations

import numpy as np

from .confidence import headline
from .errors import InvalidProof, JournalMismatch, MalformedReceipt
from .facts import Facts, facts_of
from .gates import Ints, evaluate
from .journal import FAST, Journal
from .keys import prf_values
from .openings import OpenedValues, Proof, Trees
from .policy import Expectations
from .poseidon2 import Elements
from .program.types import Program
from .quoting import quoted
from .roots import digest_bytes
from .sampling import Plan, make_plan, sample_seed
from .steps import (
    Outputs,
    Statement,
    claimed_outputs,
    compare_inputs,
    hash_roots,
    judge_statement,
    to_caller,
)


def verify_fast(
    receipt: bytes | bytearray | memoryview, expectations: Expectations
) -> tuple[Facts, Outputs]:
    """Judge a fast receipt.

    Args:
        receipt: its bytes.
        expectations: what the caller means and demands.

    Returns:
        The facts that are shown, and the outputs by port name: float32 or int64, [items, ...] for
        a port with a batch axis, else [steps, ...].

    Raises:
        MalformedReceipt, UnsupportedReceipt, MalformedProgram, InvalidProgram: it cannot be judged.
        VerificationFailed: it was judged and refused.
        UsageError: the expected inputs do not fit the program, or the receipt is no bytes.
    """
    statement = judge_statement(receipt, expectations, (FAST,))  # 1. to 6.
    return check_fast(statement, expectations)


def check_fast(statement: Statement, expectations: Expectations) -> tuple[Facts, Outputs]:
    """Sections 7 to 12 for a statement of mode fast; see `verify_fast`."""
    journal, checked = statement.journal, statement.checked
    program = checked.program
    seed = sample_seed(statement.sections.journal)
    plan = make_plan(statement.counts, seed)  # 7. Plan and proof section.
    trees = Trees(program, journal.steps, statement.order)
    proof = Proof.parse(_openings_for(seed, statement.sections.proof), trees, plan)
    hash_roots(statement, trees, proof.roots, proof.prf_seed)  # 8. Roots.
    compare_inputs(program, journal, trees, proof.roots, expectations)  # 9. Inputs.
    values = _open(proof)  # 10. Openings.
    noise = statement.seed if proof.prf_seed is None else proof.prf_seed
    _recompute_gates(statement, plan, trees, values, noise)  # 11. Gates.
    outputs = _compare_outputs(program, journal, trees, values)  # 12. Outputs.
    return facts_of(plan, statement.receipt_bytes, headline(journal.bits)), outputs


def _openings_for(seed: bytes, proof: memoryview) -> memoryview:
    """The openings, which begin with the seed that they answer: a changed statement is named so."""
    if len(proof) < len(seed):
        raise MalformedReceipt(
            "the proof ends before its openings",
            code="receipt.truncated",
            expected=f"at least {len(seed)} bytes",
            received=len(proof),
        )
    answered = bytes(proof[: len(seed)])
    if answered != seed:
        raise JournalMismatch(
            "the openings were made for another statement",
            code="verify.journal-mismatch",
            expected=seed.hex(),
            received=answered.hex(),
        )
    return proof[len(seed) :]


def _open(proof: Proof) -> OpenedValues:
    """10. Leaves hash to their roots and lie in declared ranges, tree by tree."""
    values = OpenedValues(proof)
    wrong_paths = proof.wrong_paths()
    failed = np.flatnonzero(wrong_paths | values.outside)
    if not len(failed):
        return values
    tree = int(failed[0])
    name, tensor = proof.trees.describe(tree), proof.trees.tensor(tree)
    if wrong_paths[tree]:
        raise InvalidProof(
            f"opened leaves of {name} do not hash to its root",
            code="verify.opening",
            expected=digest_bytes(proof.roots[tree]).hex(),
        )
    raise InvalidProof(
        f"an opened value of {name} is out of its range",
        code="verify.range",
        expected=f"[{tensor.lo}, {tensor.hi}]",
    )


class _StepValues:
    """What the gates of one step read, and the noise of that step of the run."""

    def __init__(
        self, trees: Trees, values: OpenedValues, seed: Elements | None, step: int, first: int
    ) -> None:
        self._trees, self._seed = trees, seed
        self._values, self._step, self._position = values, step, first + step

    def read(self, tensor: int, offsets: Ints) -> Ints:
        """Values of a tensor at offsets of any shape."""
        t = self._trees.program.tensors[tensor]
        if t.domain is not None and self._seed is not None:
            return prf_values(self._seed, self._position, t.domain, offsets, t.lo, t.hi)
        at = self._trees.offsets(tensor, self._step, offsets)
        return self._values.read(self._trees.number(tensor, self._step), at)


def _recompute_gates(
    statement: Statement, plan: Plan, trees: Trees, values: OpenedValues, noise: Elements | None
) -> None:
    """11. Every gate to check, op by op and step by step."""
    program, first = statement.checked.program, statement.journal.first
    for c, op in enumerate(program.ops):
        for step, numbers in plan.steps_of(c):
            read = _StepValues(trees, values, noise, step, first)
            computed = evaluate(program, op, numbers, read)
            committed = read.read(op.out, numbers)
            wrong = np.flatnonzero(computed != committed)
            if len(wrong):
                at = int(wrong[0])
                raise InvalidProof(
                    f"gate {numbers[at]} of op {quoted(op.name)} in step {step} is wrong",
                    code="verify.gate",
                    expected=int(computed[at]),
                    received=int(committed[at]),
                )


def _compare_outputs(
    program: Program, journal: Journal, trees: Trees, values: OpenedValues
) -> Outputs:
    """12. The statement's outputs are the opened ones; then they are the caller's outputs."""
    claimed = claimed_outputs(program, journal)
    for step in range(journal.steps):
        for port in journal.published(program.outputs):
            tensor = program.tensors[port.tensor]
            every = np.arange(tensor.size, dtype=np.int64)
            opened = values.read(trees.number(port.tensor, step), every)
            if (opened != claimed[port.tensor][step].ravel()).any():
                raise InvalidProof(
                    f"output {quoted(port.name)} of step {step} is not the opened one",
                    code="verify.outputs",
                )
    return to_caller(program, journal, claimed)
