"""Range rules of protocol section 2: at the bound a program passes, one past it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support import programs
from support.programs import dot, i, port, read, tensor
from zktally.verifier.errors import InvalidProgram
from zktally.verifier.program.codec import encode
from zktally.verifier.program.ranges import (
    ACC_MAX,
    P_HALF,
    Q_MAX,
    WIDE_MAX,
    Bound,
    bounds,
    operand_range,
)
from zktally.verifier.program.types import (
    AxisMap,
    Const,
    Div,
    DivMode,
    Gather,
    Op,
    Operand,
    Pick,
    PickMode,
    Program,
    Role,
    Table,
    Tensor,
    Term,
)
from zktally.verifier.program.validate import validate
from zktally.verifier.reader import P

TWO = (2,)
A, B, OUT = range(3)
READ_A, READ_B = read(A, TWO, i(0)), read(B, TWO, i(0))


def one_op(
    op: Op,
    a: Tensor | None = None,
    b: Tensor | None = None,
    out: Tensor | None = None,
    tables: tuple[Table, ...] = (),
) -> Program:
    """An op over two values each of a weight `a` and a weight `b`."""
    tensors = (
        a or tensor("a", Role.WEIGHT, TWO),
        b or tensor("b", Role.WEIGHT, TWO),
        out or tensor("out", Role.VALUE, TWO),
    )
    return Program("one op", tensors, tables, (op,), (), (port("out", OUT),))


def weight(name: str, lo: int, hi: int, width: int = 3) -> Tensor:
    return tensor(name, Role.WEIGHT, TWO, width, lo, hi)


def value(lo: int, hi: int, width: int = 3) -> Tensor:
    return tensor("out", Role.VALUE, TWO, width, lo, hi)


def found(program: Program) -> dict[str, Bound]:
    """The bounds by identity."""
    return {bound.identity: bound for bound in bounds(program)}


def refused(program: Program, message: str) -> None:
    encode(program)
    with pytest.raises(InvalidProgram, match=message):
        bounds(program)


def test_limits_are_those_of_the_field() -> None:
    assert P_HALF == (P - 1) // 2
    assert ACC_MAX == P_HALF - 1


def product(a: int, b: Operand, bias: int = 0, **form: object) -> Program:
    """A wide `a` times `b`, scaled so that the quotient stays small."""
    form = {"mult": Const(1), "shift": Const(30), **form}
    op = dot("op", OUT, TWO, Term((), READ_A, b), bias=Const(bias), **form)
    return one_op(op, a=weight("a", -a, a))


# The accumulator.


def test_an_accumulator_at_acc_max_is_direct() -> None:
    limit = found(product(1, Const(ACC_MAX - 5), bias=-5))["accumulator"]
    assert (limit.bound, limit.limit, limit.limbs) == (ACC_MAX, ACC_MAX, 1)


def test_one_more_is_split_into_bytes() -> None:
    bounds_ = found(product(1, Const(ACC_MAX - 4), bias=5))
    assert bounds_["accumulator"] == Bound(0, "accumulator", ACC_MAX + 1, WIDE_MAX, 4)
    assert bounds_["limb accumulator"] == Bound(0, "limb accumulator", 255**2, ACC_MAX)


def test_the_bias_and_every_term_count() -> None:
    terms = (Term((), READ_A, Const(-3)), Term((5,), Const(7), Const(2)))
    program = one_op(dot("op", OUT, TWO, *terms, bias=READ_B), b=weight("b", -9, 4))
    assert found(program)["accumulator"].bound == 9 + 3 * 128 + 5 * 14


def test_wide_max() -> None:
    half = WIDE_MAX // 2**23
    program = product(0, Const(half), shift=Const(40))
    at = replace(program, tensors=(weight("a", -(2**23), 0), *program.tensors[1:]))
    assert found(at)["accumulator"].bound == WIDE_MAX
    op = replace(at.ops[0], bias=Const(1))
    refused(replace(at, ops=(op,)), "bound of its accumulator")


def test_a_wide_operand_has_no_zero_point() -> None:
    for zero, message in ((0, None), (1, "zero point")):
        zeroed = replace(READ_A, zero=zero)
        program = product(2**20, Const(2**20), shift=Const(40))
        op = replace(program.ops[0], terms=(Term((), zeroed, Const(2**20)),))
        program = replace(program, ops=(op,))
        if message:
            refused(program, message)
        else:
            bounds(program)


def test_limb_products_of_a_wide_accumulator_stay_direct() -> None:
    most = ACC_MAX // 255**2
    for size, fits in ((most, True), (most + 1, False)):
        term = Term((size,), Const(2**16), Const(2**7))
        program = one_op(dot("op", OUT, TWO, term, shift=Const(40)))
        if fits:
            assert found(program)["limb accumulator"].bound == size * 255**2
        else:
            refused(program, "limb accumulator")


# Requantisation.


def test_the_multiplier_and_the_shift_keep_their_ranges() -> None:
    fine = {"mult": Const(2**15 - 1), "shift": Const(44)}
    bounds(product(1, Const(1), **fine))
    refused(product(1, Const(1), **{**fine, "mult": Const(2**15)}), "multiplier")
    refused(product(1, Const(1), mult=Const(-1)), "multiplier")
    refused(product(1, Const(1), shift=Const(45)), "shift")
    refused(product(1, Const(1), shift=Const(-1)), "shift")


def test_a_tensor_as_multiplier_or_shift_is_judged_by_its_whole_range() -> None:
    shifts = weight("b", 22, 44)
    program = product(1, Const(1), shift=READ_B)
    bounds(replace(program, tensors=(program.tensors[A], shifts, program.tensors[OUT])))
    shifts = weight("b", 22, 45)
    refused(replace(program, tensors=(program.tensors[A], shifts, program.tensors[OUT])), "shift")
    bounds(one_op(product(1, Const(1), mult=replace(READ_B, zero=-128)).ops[0]))
    refused(one_op(product(1, Const(1), mult=replace(READ_B, zero=-127)).ops[0]), "multiplier")


def test_multiplier_and_shift_have_no_pad() -> None:
    padded = replace(READ_B, zero=-128, pad=0)
    refused(one_op(product(1, Const(1), mult=padded).ops[0]), "multiplier has a pad")
    shifted = replace(READ_B, pad=1)
    program = one_op(product(1, Const(1), shift=shifted).ops[0], b=weight("b", 0, 8))
    refused(program, "shift has a pad")


def test_the_quotient_at_its_limit() -> None:
    # (A·m + 1) / 1 + |z| = Q_MAX with shift 0
    program = product(1, Const(1000), mult=Const(8388), shift=Const(0))
    rest = Q_MAX - (1000 * 8388 + 1)
    for zero in (rest, -rest):
        op = replace(program.ops[0], out_zero=zero)
        assert found(replace(program, ops=(op,)))["quotient"].bound == Q_MAX
    for zero in (rest + 1, -rest - 1):
        op = replace(program.ops[0], out_zero=zero)
        refused(replace(program, ops=(op,)), "quotient")


def test_the_least_shift_bounds_the_quotient_and_the_greatest_the_identity() -> None:
    program = one_op(product(100, Const(100), mult=Const(7), shift=READ_B).ops[0])
    form = (weight("a", -100, 100), weight("b", 3, 10), program.tensors[OUT])
    result = found(replace(program, tensors=form))
    quotient = (70_000 + 2**10) // 2**3
    assert result["quotient"].bound == quotient
    assert result["requantisation"].bound == quotient * 2**10 + 2**10


def test_the_second_quotient_of_attacks_is_not_checked_directly() -> None:
    """With acc = 100,000, m = 24,000, shift 22 the field has another quotient as well."""
    acc, mult, shift = 100_000, 24_000, 22
    honest = (acc * mult + 2 ** (shift - 1)) >> shift
    second = [
        q for q in range(-600, 600) if (acc * mult + 2 ** (shift - 1) - q * 2**shift) % P < 2**shift
    ]
    assert len(second) > 1
    assert honest in second
    result = found(product(acc, Const(1), mult=Const(mult), shift=Const(shift)))
    assert result["requantisation"].limbs == 2
    assert result["requantisation"].bound == 2**27 + 2**16


def test_requantisation_is_direct_up_to_half_the_field() -> None:
    # Q·2^20 + 2^20 = 1016·2^20 = P_HALF, as 2^30 - 2^23 is a multiple of 2^20.
    assert P_HALF == 1016 * 2**20
    at = found(product(2**20, Const(1014), shift=Const(20)))["requantisation"]
    assert (at.bound, at.limbs) == (P_HALF, 1)
    past = found(product(2**20, Const(1015), shift=Const(20)))["requantisation"]
    assert (past.limit, past.limbs) == (P_HALF, 3)


def test_rounding_has_a_range_of_bits_below_a_constant_shift() -> None:
    def rounded(hi: int, shift: Operand, lo: int = 0) -> Program:
        noise = tensor("b", Role.WEIGHT, TWO, 2, lo, hi)
        op = product(100, Const(1), shift=shift, rounding=READ_B).ops[0]
        return one_op(op, b=noise)

    bounds(rounded(2**12 - 1, Const(12)))
    refused(rounded(2**12 - 1, Const(11)), "more bits than its shift")
    refused(rounded(2**12 - 2, Const(12)), "not \\[0, 2\\^b - 1\\]")
    refused(rounded(2**12 - 1, Const(12), lo=1), "not \\[0, 2\\^b - 1\\]")
    refused(rounded(2**12 - 1, read(A, TWO, i(0))), "shift")
    shift = tensor("a", Role.WEIGHT, TWO, 1, 20, 21)
    program = rounded(2**12 - 1, read(A, TWO, i(0)))
    op = replace(program.ops[0], terms=(Term((), Const(1), Const(1)),))
    refused(replace(program, ops=(op,), tensors=(shift, *program.tensors[1:])), "no constant")


def test_table_entries_lie_inside_the_output() -> None:
    for entries, fits in (((-5, 90), True), ((-6, 0), False), ((0, 91), False)):
        op = dot("op", OUT, TWO, Term((), READ_A, Const(1)), table=0)
        program = one_op(op, out=value(-5, 90, 1), tables=(Table("t", 1000, entries),))
        if fits:
            bounds(program)
        else:
            refused(program, "range of its table")


def test_the_pad_and_the_zero_are_part_of_an_operands_range() -> None:
    program = one_op(dot("op", OUT, TWO, Term((), READ_A, Const(1))))
    assert operand_range(program, READ_A) == (-128, 127)
    assert operand_range(program, replace(READ_A, zero=7)) == (-135, 120)
    assert operand_range(program, replace(READ_A, zero=7, pad=200)) == (-135, 193)
    assert operand_range(program, replace(READ_A, pad=-300)) == (-300, 127)
    assert operand_range(program, Const(-4)) == (-4, -4)


# pick


def picked(mode: PickMode, *operands: Operand, **form: Tensor) -> Program:
    return one_op(Pick("op", OUT, False, TWO, mode, (), operands), **form)


@pytest.mark.parametrize("mode", [PickMode.MAX, PickMode.COPY])
def test_what_is_picked_lies_inside_the_output(mode: PickMode) -> None:
    bounds(picked(mode, replace(READ_A, zero=1), out=value(-129, 126)))
    refused(picked(mode, replace(READ_A, zero=1), out=value(-128, 126)), "range of its operand")
    refused(picked(mode, replace(READ_A, pad=128), out=value(-128, 127)), "range of its operand")


def test_both_choices_lie_inside_the_output_and_the_condition_need_not() -> None:
    wide = replace(READ_B, zero=10**6)
    bounds(picked(PickMode.SELECT, wide, READ_A, Const(127)))
    refused(picked(PickMode.SELECT, wide, Const(128), READ_A), "first choice")
    refused(picked(PickMode.SELECT, wide, READ_A, Const(-129)), "second choice")


@pytest.mark.parametrize("mode", [PickMode.GREATER, PickMode.EQUAL])
def test_a_comparison_needs_0_and_1(mode: PickMode) -> None:
    bounds(picked(mode, READ_A, READ_B, out=value(0, 1)))
    refused(picked(mode, READ_A, READ_B, out=value(0, 0)), "range of its result")
    refused(picked(mode, READ_A, READ_B, out=value(1, 2)), "range of its result")


def test_argmax_needs_every_position() -> None:
    op = Pick("op", OUT, False, TWO, PickMode.ARGMAX, (5,), (READ_A,))
    bounds(one_op(op, out=value(0, 4)))
    refused(one_op(op, out=value(0, 3)), "range of its result")


@pytest.mark.parametrize("mode", [PickMode.GREATER, PickMode.EQUAL])
def test_compared_values_stay_below_q_max(mode: PickMode) -> None:
    bounds(picked(mode, READ_A, Const(-Q_MAX)))
    refused(picked(mode, READ_A, Const(-Q_MAX - 1)), "comparison")
    refused(picked(mode, READ_A, READ_B, b=weight("b", -(2**23), 0)), "comparison")


# gather


def test_a_gathered_index_stays_on_its_axis() -> None:
    def gathered(index: Operand, **form: Tensor) -> Program:
        return one_op(Gather("op", OUT, False, TWO, 0, read(A, TWO, AxisMap()), index), **form)

    bounds(gathered(READ_B, b=weight("b", 0, 1)))
    bounds(gathered(replace(READ_B, zero=5), b=weight("b", 5, 6)))
    refused(gathered(READ_B, b=weight("b", 0, 2)), "range of its index")
    refused(gathered(READ_B, b=weight("b", -1, 1)), "range of its index")
    refused(gathered(replace(READ_B, pad=0), b=weight("b", 0, 1)), "index has a pad")
    refused(gathered(Const(0), out=value(-128, 126)), "range of its source")


# div


def divided(num: Operand, den: Operand, scale: int = 1, zero: int = 0, **form: Tensor) -> Program:
    op = Div("op", OUT, False, TWO, DivMode.QUOTIENT, scale, num, den, zero)
    return one_op(op, **form)


def rooted(num: Operand, scale: int = 1, zero: int = 0, **form: Tensor) -> Program:
    return one_op(Div("op", OUT, False, TWO, DivMode.SQRT, scale, num, None, zero), **form)


def test_the_scale_of_a_division() -> None:
    bounds(divided(READ_A, Const(1), scale=1))
    bounds(divided(READ_A, Const(1), scale=2**15 - 1))
    refused(divided(READ_A, Const(1), scale=0), "range of its scale")
    refused(divided(READ_A, Const(1), scale=2**15), "range of its scale")


def test_a_denominator_is_at_least_1() -> None:
    bounds(divided(READ_A, READ_B, b=weight("b", 1, 9)))
    refused(divided(READ_A, READ_B, b=weight("b", 0, 9)), "less than 1")
    refused(divided(READ_A, replace(READ_B, pad=3), b=weight("b", 1, 9)), "denominator has a pad")


def test_a_numerator_at_wide_max() -> None:
    num, scale = 2**30 + 2**14, 2**15 - 1
    den = WIDE_MAX - 2 * num * scale
    assert found(divided(Const(num), Const(den), scale))["division"].bound == WIDE_MAX
    refused(divided(Const(num), Const(den + 1), scale), "division")


def test_the_quotient_of_a_division_at_its_limit() -> None:
    # floor((2n + 1) / 2) + |z| + 1 = Q_MAX
    bounds(divided(Const(-(Q_MAX - 8)), Const(1), zero=7))
    bounds(divided(Const(Q_MAX - 8), Const(1), zero=-7))
    refused(divided(Const(Q_MAX - 8), Const(1), zero=8), "quotient")
    refused(divided(Const(Q_MAX - 8), Const(1), zero=-8), "quotient")


def test_a_division_is_direct_up_to_half_the_field() -> None:
    den = 200
    num = (P_HALF - 3 * den) // 2
    assert 2 * num + 3 * den == P_HALF
    assert found(divided(Const(num), Const(den)))["division"].limbs == 1
    assert found(divided(Const(num + 1), Const(den)))["division"].limbs == 3


def test_a_root() -> None:
    at = found(rooted(Const(2**31 - 2**16), scale=2**15 - 1))["root"]
    assert at.bound == (2**31 - 2**16) * (2**15 - 1) <= WIDE_MAX
    refused(rooted(Const(2**31 - 1), scale=2**15 - 1, zero=2**23), "quotient")
    refused(rooted(READ_A), "negative")
    bounds(rooted(READ_A, a=weight("a", 0, 5)))
    bounds(rooted(Const(49), zero=-(Q_MAX - 7)))
    refused(rooted(Const(49), zero=-(Q_MAX - 6)), "quotient")
    assert found(rooted(Const(P_HALF)))["root"].limbs == 1
    assert found(rooted(Const(P_HALF + 1)))["root"].limbs == 3


@pytest.mark.parametrize("name", programs.EVERY)
def test_every_op_of_the_shared_programs_is_bounded(name: str) -> None:
    program, _ = programs.EVERY[name]()
    validate(program)
    assert all(bound.bound <= bound.limit for bound in bounds(program))
