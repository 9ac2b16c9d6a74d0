"""Programs at the borders of what hybrid receipts cover: both readers draw them alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support import programs
from support.programs import Const, Role, Tensor, Term
from zktally import _core
from zktally.verifier.errors import ZktallyError
from zktally.verifier.hybrid.accumulator import is_direct
from zktally.verifier.hybrid.requantise import judge_covered
from zktally.verifier.journal import HYBRID, ZERO_DIGEST, Journal
from zktally.verifier.program.checked import Checked, check
from zktally.verifier.program.types import Div, DivMode, PickMode, Program, Table

COVERED = "covered"


def of(*ops: object, tensors: tuple[Tensor, ...]) -> Program:
    """A program whose first tensor is its input and whose last one its output."""
    return Program(
        name="border",
        tensors=tensors,
        tables=(),
        ops=ops,
        inputs=(programs.port("x", 0),),
        outputs=(programs.port("y", len(tensors) - 1),),
    )


def wide(value: int = 1 << 20, bias: int | None = None, noisy: bool = False) -> Program:
    """`x·value + bias`, the accumulator above 2^30."""
    x = programs.tensor("x", Role.INPUT, (4,), 2, lo=-(2**14), hi=2**14)
    tensors = [x]
    terms = [Term((), programs.read(0, (4,), programs.i(0)), Const(value))]
    given = None
    if bias is not None:
        tensors.append(Tensor("b", Role.WEIGHT, 3, -(2**23), 2**23 - 1, (4,), layout=x.layout))
        given = programs.read(1, (4,), programs.i(0), zero=bias)
    if noisy:
        tensors.append(Tensor("n", Role.PRF, 2, 0, 255, (4,), domain=1))
        terms.append(Term((), programs.read(len(tensors) - 1, (4,), programs.i(0)), Const(1)))
    tensors.append(programs.tensor("y", Role.VALUE, (4,)))
    op = programs.dot("wide", len(tensors) - 1, (4,), *terms, bias=given, shift=Const(30))
    return of(op, tensors=tuple(tensors))


def padded(pad: int) -> Program:
    """A wide accumulator that reads beside its tensor."""
    x = programs.tensor("x", Role.INPUT, (4,), 3, lo=-(2**23), hi=2**23 - 1)
    y = programs.tensor("y", Role.VALUE, (4,))
    read = programs.read(0, (4,), programs.i(0, 1, 1), pad=pad)
    op = programs.dot("wide", 1, (4,), Term((), read, Const(1 << 20)), shift=Const(30))
    return of(op, tensors=(x, y))


def divided(num_zero: int = 0, den_zero: int = 0) -> Program:
    """Numerator x − zero, denominator d − zero."""
    x = programs.tensor("x", Role.INPUT, (4,), 3)
    d = programs.tensor("d", Role.WEIGHT, (4,), 3, lo=1)
    y = programs.tensor("y", Role.VALUE, (4,), 3)
    num = programs.read(0, (4,), programs.i(0), zero=num_zero)
    den = programs.read(1, (4,), programs.i(0), zero=den_zero)
    op = Div("div", 2, False, (4,), DivMode.QUOTIENT, 1, num, den)
    return of(op, tensors=(x, d, y))


def selected(zero: int) -> Program:
    """A condition x − zero."""
    x = programs.tensor("x", Role.INPUT, (4,), 3)
    y = programs.tensor("y", Role.VALUE, (4,))
    condition = programs.read(0, (4,), programs.i(0), zero=zero)
    op = programs.pick("select", 1, (4,), PickMode.SELECT, condition, Const(1), Const(2))
    return of(op, tensors=(x, y))


def clamped(lo: int, entries: int = 4) -> Program:
    """A table whose domain starts at `lo`; its ends clamp."""
    x = programs.tensor("x", Role.INPUT, (4,))
    y = programs.tensor("y", Role.VALUE, (4,))
    read = programs.read(0, (4,), programs.i(0))
    op = programs.dot("clamp", 1, (4,), Term((), read, Const(1)), table=0)
    table = Table("far", lo, tuple(range(entries)))
    return replace(of(op, tensors=(x, y)), tables=(table,))


P_HALF = 2**30 - 2**23
PROGRAMS = {
    "a wide accumulator": (COVERED, wide),
    "a constant of three bytes": (COVERED, lambda: wide((1 << 24) - 1)),
    "a constant of four bytes": ("hybrid.unsupported", lambda: wide(1 << 24)),
    "minus a constant of four bytes": ("hybrid.unsupported", lambda: wide(-(1 << 24))),
    "minus a constant of three bytes": (COVERED, lambda: wide(1 - (1 << 24))),
    "a bias tensor at its limit": (COVERED, lambda: wide(bias=(1 << 28) - (1 << 23) + 1 - 1)),
    "a bias tensor above it": ("hybrid.unsupported", lambda: wide(bias=(1 << 28) - (1 << 23) + 1)),
    "noise in a wide accumulator": ("hybrid.unsupported", lambda: wide(noisy=True)),
    "a pad of three bytes": (COVERED, lambda: padded((1 << 23) - 1)),
    "a numerator of 24 bits": (COVERED, lambda: divided((1 << 23) - 1, -15)),
    "a numerator of more": ("hybrid.unsupported", lambda: divided(1 << 23, -15)),
    "a denominator of more": ("hybrid.unsupported", lambda: divided(den_zero=-(1 << 24))),
    "a table from the least number of 24 bits": (COVERED, lambda: clamped(-(1 << 23))),
    "a table from below it": ("hybrid.unsupported", lambda: clamped(-(1 << 23) - 1)),
    "a table to the largest number of 24 bits": (COVERED, lambda: clamped((1 << 23) - 4)),
    "a table beyond it": ("hybrid.unsupported", lambda: clamped((1 << 23) - 3)),
    "a condition at the limit": (COVERED, lambda: selected(P_HALF - (1 << 23))),
    "a condition above it": ("hybrid.unsupported", lambda: selected(P_HALF - (1 << 23) + 1)),
}


def natively(checked: Checked) -> str:
    """What the Rust reader says of it: it judges that before it looks at openings."""
    program = checked.program
    out = program.tensors[program.outputs[0].tensor]
    journal = Journal(
        mode=HYBRID, program_id=checked.id, weights_root=ZERO_DIGEST, steps=1, items=1,
        delta_ppm=500_000, delta_step_ppm=0, delta_op_ppm=0, bits=1, exact=(),
        chain_root=ZERO_DIGEST, input_root=ZERO_DIGEST, initial_state=ZERO_DIGEST,
        final_state=ZERO_DIGEST, dataset_root=ZERO_DIGEST, first=0, exported_root=ZERO_DIGEST,
        seed=0, start=0, prf_seed=ZERO_DIGEST, input_key=None, inputs=None,
        outputs=bytes(out.size * out.width), audience=None, nonce=None,
    )  # fmt: skip
    if program.of_role(Role.PRF):
        journal = replace(journal, prf_seed=bytes([1]) + bytes(31))
    verdict = _verdict(lambda: _core.HybridProver(checked.data, journal.encode(), b""))
    return COVERED if verdict == "verify.journal-mismatch" else verdict


def _verdict(judge) -> str:
    try:
        judge()
    except ZktallyError as error:
        return error.code
    return COVERED


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_readers_cover_the_same(name):
    expected, make = PROGRAMS[name]
    checked = check(make())
    assert (natively(checked), _verdict(lambda: judge_covered(checked))) == (expected, expected)


def test_wide_programs_are_wide():
    for name in ("a wide accumulator", "a constant of three bytes", "a pad of three bytes"):
        assert not is_direct(check(PROGRAMS[name][1]()), 0)
