"""Tamperings of whole steps, of the links between them, and of single gates; all hashes honest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from anatomy import dissect, join
from forger import committed, execute, poke, receipt_of, run, victim
from registry import tampering

from zktally.verifier.program.types import Role


def reordered(base: str, order: list[int]):
    """A run whose steps are other steps of the honest one, inputs and all."""
    forged = run(base)
    forged.trace = [dict(forged.trace[step]) for step in order]
    forged.steps = len(order)
    forged.items = len(order) * forged.program.batch
    return forged.commit()


@tampering("chain: two steps exchanged, honestly hashed", "verify.gate", "average")
def _():
    return reordered("average", [0, 2, 1]).receipt()


@tampering("chain: a step repeated", "verify.gate", "average")
def _():
    return reordered("average", [0, 1, 1, 2]).receipt()


@tampering("chain: a step left out", "verify.gate", "average")
def _():
    return reordered("average", [0, 2]).receipt()


@tampering("chain: the first step left out", "verify.gate", "average")
def _():
    return reordered("average", [1, 2]).receipt()


@tampering("chain: two steps exchanged where steps are independent", "verify.input-mismatch",
           "dense")  # fmt: skip
def _():
    forged = reordered("dense", [1, 0])
    return forged.change(items=3).receipt(), victim("dense", inputs=committed("dense").inputs)


@tampering("chain: roots of two steps exchanged", "verify.input-root", "dense")
def _():
    parts = dissect(receipt_of("dense"))
    for name in ("x", "y"):
        first, second = (f"{name} of step {step}" for step in (0, 1))
        roots, opened = parts.roots, parts.openings
        roots[first], roots[second] = roots[second], roots[first]
        opened[first], opened[second] = opened[second], opened[first]
    return parts.encode()


@tampering("chain: values of two steps exchanged", "verify.chain-root", "dense")
def _():
    roots = (parts := dissect(receipt_of("dense"))).roots
    roots["y of step 0"], roots["y of step 1"] = roots["y of step 1"], roots["y of step 0"]
    return parts.encode()


@tampering("chain: a step from a state that no step ended in", "verify.gate", "average")
def _():
    forged = run("average")
    return execute(forged, first=2, spoil=lambda state: state + 100).commit().receipt()


@tampering("chain: the first step from another state than the committed one", "verify.gate")
def _():
    forged = run("kinds")
    return execute(forged, spoil=lambda state: poke(state, -state.flat[0] - 999)).commit().receipt()


@tampering("chain: a state kept from an earlier step", "verify.gate", "average")
def _():
    """Step 2 reads what step 0 ended in, as if step 1 had never been."""
    forged = run("average")
    earlier = forged.trace[0][forged.program.states[0].value]
    return execute(forged, first=2, spoil=lambda state: earlier).commit().receipt()


@tampering("chain: another initial state, honestly committed", "verify.state-mismatch", "average")
def _():
    forged = run("average")
    forged.initial = {t: poke(array, 7) for t, array in forged.initial.items()}
    expected = victim("average", initial_state=committed("average").journal.initial_state)
    return execute(forged).commit().receipt(), expected


def another_run(base: str):
    """A run of the same model on other inputs, under the same keys."""
    forged = run(base)
    for arrays in forged.trace:
        for t in forged.program.of_role(Role.INPUT):
            arrays[t] = arrays[t][::-1].copy()
    return execute(forged).commit()


@tampering("two runs: journal of one, proof of the other", "verify.journal-mismatch")
def _():
    own, other = (dissect(data) for data in (receipt_of("kinds"), another_run("kinds").receipt()))
    return join(own.program, own.journal, other.sections[2])


@tampering("two runs: journal of one, proof of the other, seed to fit", "verify.input-root")
def _():
    return dissect(another_run("kinds").receipt()).restated(committed("kinds").journal.encode())


@tampering("two runs: a step of the other one", "verify.input-root")
def _():
    parts, other = (dissect(data) for data in (receipt_of("kinds"), another_run("kinds").receipt()))
    for name in parts.roots:
        if name.endswith("step 1"):
            parts.roots[name], parts.openings[name] = other.roots[name], other.openings[name]
    return parts.encode()


@tampering("two runs: openings of the other one", "verify.opening", "checkable")
def _():
    """Gates and outputs are right, for inputs that were never committed."""
    other = another_run("checkable")
    outputs = other.journal.outputs
    other.journal = replace(committed("checkable").journal, outputs=outputs)
    forged = dissect(other.receipt())
    forged.roots = dissect(receipt_of("checkable")).roots
    return forged.encode()


@tampering("two runs: outputs of the other one", "verify.outputs", "dense")
def _():
    honest = run("dense").commit()
    return honest.change(outputs=another_run("dense").journal.outputs).receipt()


@tampering("two runs: inputs of the other one", "verify.input-mismatch", "dense")
def _():
    honest = run("dense").commit()
    return honest.change(inputs=another_run("dense").journal.inputs).receipt()


@tampering("two runs: the final state of the other one", "verify.final-state", "average")
def _():
    honest = run("average").commit()
    return honest.change(final_state=another_run("average").journal.final_state).receipt()


# Wrong gates: one of each op; everything after it follows, so nothing else is wrong.

for _number, _op in enumerate(committed("kinds").program.ops):
    for _step in (0, 1):

        @tampering(f"one wrong gate of {_op.name} in step {_step}", "verify.gate")
        def _(number=_number, step=_step):
            return execute(run("kinds"), first=step, wrong_op=number).commit().receipt()


@tampering("one wrong gate of an enumerated op among sampled ones", "verify.gate", "exact")
def _():
    return execute(run("exact"), first=3, wrong_op=1).commit().receipt()


@tampering("one wrong gate in padding", "verify.gate", "dense")
def _():
    return execute(run("dense"), first=1, wrong_op=0).commit().receipt()


@tampering("one wrong gate in the state", "verify.gate", "average")
def _():
    return execute(run("average"), first=0, wrong_op=0).commit().receipt()


@tampering("all gates of a step zero", "verify.gate", "sampled")
def _():
    forged = run("sampled")
    for t in forged.program.of_role(Role.VALUE):
        forged.trace[2][t] = np.zeros_like(forged.trace[2][t])
    return forged.commit().receipt()


@tampering("outputs computed from nothing", "verify.gate", "sampled")
def _():
    """The outputs are what the attacker likes; hidden values are honest."""
    forged = run("sampled")
    out = forged.program.outputs[0].tensor
    for arrays in forged.trace:
        arrays[out] = np.full_like(arrays[out], 3)
    return forged.commit().receipt()


# Values outside declared ranges, computed and hashed honestly.


def outside(base: str, name: str, value: int):
    """A run with a value of an input or initial state that no honest prover would take."""
    forged = run(base)
    number = next(t for t, x in enumerate(forged.program.tensors) if x.name == name)
    if number in forged.initial:
        forged.initial[number] = poke(forged.initial[number], value)
    else:
        forged.trace[0][number] = poke(forged.trace[0][number], value)
    return forged


@tampering("an input below its range, read as an index", "verify.range", "checkable")
def _():
    return execute(outside("checkable", "word", -1)).commit().receipt()


@tampering("an input above its range, read as an index", "verify.range", "checkable")
def _():
    return outside("checkable", "word", 127).commit().receipt()


@tampering("an initial state above its range", "verify.range", "average")
def _():
    return execute(outside("average", "avg", 3001)).commit().receipt()


@tampering("a value below its range", "verify.range", "dense")
def _():
    return outside("dense", "y", -1).commit().receipt()


@tampering("a divisor of zero", "verify.range")
def _():
    return outside("kinds", "root", 0).commit().receipt()


@tampering("a square root of a negative value", "verify.range")
def _():
    return outside("kinds", "energy", -1).commit().receipt()


@tampering("an argmax beyond its window", "verify.range")
def _():
    return outside("kinds", "best", 8).commit().receipt()


@tampering("a truth value of 2", "verify.range")
def _():
    return outside("kinds", "more", 2).commit().receipt()
