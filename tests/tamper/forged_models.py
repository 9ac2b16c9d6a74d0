"""Tamperings of the program and of the weights."""

from __future__ import annotations

import numpy as np
from anatomy import dissect, join
from forger import (
    committed,
    execute,
    poke,
    receipt_of,
    rechained,
    run,
    victim,
    with_op,
    with_program,
    with_tensor,
)
from registry import tampering

from support.receipts import Tree
from zktally.verifier.journal import model_id
from zktally.verifier.program.codec import encode, program_id
from zktally.verifier.program.types import Const, PickMode
from zktally.verifier.roots import weights_root


def another_shift(base="dense"):
    """A run, executed under a program in which one constant is different."""
    prover = run(base)
    return execute(with_program(prover, with_op(prover.program, 0, shift=Const(23))))


def other_weights(base="dense"):
    """A run, executed with one weight changed."""
    prover = run(base)
    number, array = next(iter(prover.weights.items()))
    prover.weights[number] = poke(array, 1 if array.reshape(-1)[0] != 1 else 2)
    return execute(prover)


@tampering("program: another one under the same statement", "verify.program-mismatch", "dense")
def _():
    parts = dissect(receipt_of("dense"))
    return join(committed("average").checked.data, *parts.sections[1:])


@tampering("program: another one, honestly proven", "verify.model-mismatch", "dense")
def _():
    return receipt_of("average")


@tampering("program: one constant, the statement names the victim's", "verify.program-mismatch",
           "dense")  # fmt: skip
def _():
    forged = another_shift().commit()
    return rechained(forged, program_id=committed("dense").checked.id).receipt()


@tampering("program: one constant, honestly proven", "verify.model-mismatch", "dense")
def _():
    return another_shift().commit().receipt()


@tampering("program: flag exact removed", "verify.program-mismatch")
def _():
    prover = run("kinds")
    program = encode(with_op(prover.program, 2, exact=False))
    return join(program, *dissect(receipt_of("kinds")).sections[1:])


@tampering("program: flag exact removed, honestly proven", "verify.model-mismatch")
def _():
    prover = run("kinds")
    return with_program(prover, with_op(prover.program, 2, exact=False)).commit().receipt()


@tampering("program: a wider range", "verify.model-mismatch", "dense")
def _():
    prover = run("dense")
    prover = with_program(prover, with_tensor(prover.program, 4, lo=-128))
    return execute(prover).commit().receipt()


@tampering("program: max for argmax", "verify.model-mismatch")
def _():
    prover = run("kinds")
    best = next(c for c, op in enumerate(prover.program.ops) if op.name == "best")
    out = prover.program.ops[best].out
    program = with_tensor(prover.program, out, lo=-128, hi=127)
    program = with_op(program, best, mode=PickMode.MAX)
    return execute(with_program(prover, program)).commit().receipt()


def _named_by_the_caller(program: bytes) -> tuple[bytes, object]:
    """A program that the caller means, whatever it is."""
    parts = dissect(receipt_of("dense"))
    named = program_id(program)
    journal = parts.journal[:3] + named + parts.journal[35:]
    identity = model_id(named, committed("dense").journal.weights_root)
    return join(program, journal, parts.sections[2]), victim("dense", model_id=identity)


@tampering("program: bytes after its last field", "program.malformed", "dense")
def _():
    return _named_by_the_caller(committed("dense").checked.data + b"\0")


@tampering("program: cut short", "program.malformed", "dense")
def _():
    return _named_by_the_caller(committed("dense").checked.data[:-1])


@tampering("program: empty", "program.malformed", "dense")
def _():
    return _named_by_the_caller(b"")


@tampering("program: another version", "program.malformed", "dense")
def _():
    data = committed("dense").checked.data
    return _named_by_the_caller(data[:7] + b"\x02" + data[8:])


@tampering("program: an accumulator that can wrap", "program.invalid", "dense")
def _():
    return _named_by_the_caller(
        encode(with_op(committed("dense").program, 0, mult=Const(2**15 - 1), shift=Const(0)))
    )


@tampering("program: an op that reads what no op defines", "program.invalid", "dense")
def _():
    program = committed("dense").program
    op = program.ops[0]
    loop = type(op.bias)(4, (2, 4), op.bias.maps * 2)
    return _named_by_the_caller(encode(with_op(program, 0, bias=loop)))


@tampering("weights: others, honestly proven", "verify.model-mismatch", "dense")
def _():
    return other_weights().commit().receipt()


@tampering("weights: others under the victim's root", "verify.weights-root", "dense")
def _():
    root = committed("dense").journal.weights_root
    return rechained(other_weights().commit(), weights_root=root).receipt()


@tampering("weights: others opened under the victim's roots", "verify.opening", "dense")
def _():
    """A whole run with other weights; its roots are exchanged for the victim's in the end."""
    forged = other_weights().commit()
    for tree in [name for name in forged.trees if name[0] == "weight"]:
        forged.trees[tree].root = committed("dense").trees[tree].root
    root = committed("dense").journal.weights_root
    return rechained(forged, weights_root=root).receipt()


@tampering("weights: one opened value, its gates and outputs to fit", "verify.opening")
def _():
    """One leaf of the weights is another, and everything is computed and committed from it."""
    forged = other_weights("kinds").commit()
    number = min(forged.weights)
    forged.trees["weight", number].root = committed("kinds").trees["weight", number].root
    root = committed("kinds").journal.weights_root
    return rechained(forged, weights_root=root).receipt()


@tampering("weights: the same under other salts", "verify.model-mismatch", "dense")
def _():
    forged = run("dense").commit()
    names = [name for name in forged.trees if name[0] == "weight"]
    for name in names:
        tree = forged.trees[name]
        forged.trees[name] = Tree(tree.tensor, forged.weights[name[1]], tree.root, 0, name[1])
    roots = np.array([forged.trees[name].root for name in names], np.uint64)
    return rechained(forged, weights_root=weights_root(roots)).receipt()


@tampering("weights: a value out of its declared range", "verify.range")
def _():
    """The caller means this model: a shift by 21 where [17, 20] is declared."""
    forged = run("kinds")
    shift = next(t for t in forged.weights if forged.program.tensors[t].name == "shift")
    forged.weights[shift] = poke(forged.weights[shift], 21)
    execute(forged).commit()
    identity = model_id(forged.journal.program_id, forged.journal.weights_root)
    return forged.receipt(), victim("kinds", model_id=identity)


@tampering("program: unreadable, the caller gives one array", "verify.program-mismatch", "dense")
def _():
    """What the caller gives must not make anyone read the program before it is known."""
    program, journal, proof = dissect(receipt_of("dense")).sections
    inputs = committed("dense").inputs["x"]
    return join(program[:-1], journal, proof), victim("dense", inputs=inputs)
