//! The range rules of section 2, at their bounds and one past them.

use super::*;

/// A dot `Σ over window of a·b` of constants, into a tensor of width 3, with `m` and `s`.
fn constant_dot(products: usize, a: i32, b: i32, mult: i32, shift: i32) -> Program {
    let mut builder = Builder::default();
    let out = builder.tensor(Role::Value, 3, &[1]);
    let term = Term { window: vec![products], a: Operand::Const(a), b: Operand::Const(b) };
    builder.op(
        out,
        &[1],
        OpKind::Dot(Dot { mult: Operand::Const(mult), ..dot(vec![term], shift) }),
    );
    builder.finish()
}

fn bound_of(program: &Program, identity: &str) -> (i128, u32) {
    let checked = load(&encode(program)).unwrap();
    checked.bounds.iter().find(|b| b.identity == identity).map(|b| (b.bound, b.limbs)).unwrap()
}

const ACC_MAX: i32 = (1 << 30) - (1 << 23) - 1;

#[test]
fn accumulators_are_direct_up_to_their_limit_then_wide() {
    assert_eq!(bound_of(&constant_dot(1, ACC_MAX, 1, 1, 20), "accumulator"), (ACC_MAX.into(), 1));
    assert_eq!(
        bound_of(&constant_dot(1, ACC_MAX + 1, 1, 1, 20), "accumulator"),
        (i128::from(ACC_MAX) + 1, 4)
    );
    assert_eq!(bound_of(&constant_dot(1, 1 << 23, 1 << 23, 1, 44), "accumulator"), (1 << 46, 3));
    refused(&constant_dot(1, 1 << 23, (1 << 23) + 1, 1, 44), "the bound of its accumulator");
    let products = ACC_MAX as usize / (255 * 255);
    assert_eq!(bound_of(&constant_dot(products, 1 << 16, 1 << 13, 1, 44), "limb accumulator").1, 1);
    refused(
        &constant_dot(products + 1, 1 << 16, 1 << 13, 1, 44),
        "the bound of its limb accumulator",
    );
}

#[test]
fn a_wide_accumulator_takes_no_zero_point() {
    let wide = |zero: i32| {
        let mut program = linear();
        (program.tensors[0].width, program.tensors[0].hi) = (3, 8_000_000);
        read_of(&mut program).zero = zero;
        dot_of(&mut program).shift = Operand::Const(30);
        program
    };
    assert_eq!(bound_of(&wide(0), "accumulator").1, 3);
    refused(&wide(1), "has a zero");
}

#[test]
fn quotients_multipliers_and_shifts_keep_their_limits() {
    const Q_MAX: i32 = (1 << 23) - 1;
    // With s = 0 the bound is A·m + 1.
    assert_eq!(bound_of(&constant_dot(1, Q_MAX - 1, 1, 1, 0), "quotient").0, Q_MAX.into());
    refused(&constant_dot(1, Q_MAX, 1, 1, 0), "the bound of its quotient");
    let mut zero = constant_dot(1, Q_MAX - 1, 1, 1, 0);
    dot_of(&mut zero).out_zero = -1;
    refused(&zero, "the bound of its quotient");
    load(&encode(&constant_dot(1, 1, 1, (1 << 15) - 1, 44))).unwrap();
    refused(&constant_dot(1, 1, 1, 1 << 15, 44), "multiplier leaves");
    refused(&constant_dot(1, 1, 1, -1, 44), "multiplier leaves");
    refused(&constant_dot(1, 1, 1, 1, 45), "shift leaves");
    refused(&constant_dot(1, 1, 1, 1, -1), "shift leaves");
    let padded = |mult: bool| {
        let mut program = linear();
        let mut operand = read(1, &[12], &[map(None, 0, None, 0, 0)]);
        let Operand::Read(read) = &mut operand else { panic!() };
        (program.tensors[1].lo, program.tensors[1].hi, read.pad) = (8, 10, Some(8));
        let dot = dot_of(&mut program);
        *(if mult { &mut dot.mult } else { &mut dot.shift }) = operand;
        program
    };
    refused(&padded(true), "multiplier has a pad");
    refused(&padded(false), "shift has a pad");
}

#[test]
fn requantisation_goes_to_limbs_just_past_half_the_field() {
    // Q·2^s + 2^s = A·m + 2·2^s against (p - 1)/2 = 2^30 - 2^23.
    let last = (1 << 30) - (1 << 23) - (1 << 11);
    assert_eq!(
        bound_of(&constant_dot(1, last / 1024, 1, 1024, 10), "requantisation"),
        ((last + 2048).into(), 1)
    );
    assert_eq!(bound_of(&constant_dot(1, last / 1024 + 1, 1, 1024, 10), "requantisation").1, 2);
}

#[test]
fn rounding_is_a_full_range_below_a_constant_shift() {
    let rounded = |hi: i32, shift: Operand| {
        let mut program = linear();
        program.tensors.push(Tensor {
            name: "noise".into(),
            role: Role::Prf,
            width: 2,
            lo: 0,
            hi,
            shape: vec![6],
            source: Source::Prf { domain: 0 },
        });
        let dot = dot_of(&mut program);
        dot.rounding = Some(read(3, &[2, 3], &[by_i(0), by_i(1)]));
        dot.shift = shift;
        program
    };
    load(&encode(&rounded(255, Operand::Const(8)))).unwrap();
    refused(&rounded(255, Operand::Const(7)), "exceeds its shift");
    let mut constant = rounded(255, Operand::Const(8));
    dot_of(&mut constant).rounding = Some(Operand::Const(2));
    constant.tensors.pop();
    refused(&constant, "is not [0, 2^b - 1]");
    let mut read_shift = rounded(255, read(1, &[12], &[map(None, 0, None, 0, 0)]));
    (read_shift.tensors[1].lo, read_shift.tensors[1].hi) = (8, 9);
    refused(&read_shift, "its shift is no constant");
}

#[test]
fn table_entries_lie_in_the_output() {
    let with = |entry: i32| {
        let mut program = linear();
        program.tables.push(Table { name: "t".into(), lo: i32::MAX, entries: vec![0, entry] });
        dot_of(&mut program).table = Some(0);
        program
    };
    load(&encode(&with(127))).unwrap();
    refused(&with(128), "the range of its table");
}

/// One op over constants and an input `[4]` of range `[0, 100]`, into an output `[4]` of range `[0, 3]`.
fn one_op(kind: impl FnOnce(Operand) -> OpKind) -> Program {
    let mut b = Builder::default();
    let x = b.ranged(Role::Input, 1, 0, 100, &[4]);
    let y = b.ranged(Role::Value, 1, 0, 3, &[4]);
    b.op(y, &[4], kind(read(x, &[4], &[by_i(0)])));
    b.finish()
}

#[test]
fn ranges_of_picks() {
    use PickMode::*;
    let pick = |mode, window: &[usize], hi: i32, others: &[i32]| {
        let constants = others.iter().map(|&v| Operand::Const(v));
        let mut program = one_op(|x| {
            let operands = std::iter::once(x).chain(constants).collect();
            OpKind::Pick(Pick { mode, window: window.to_vec(), operands })
        });
        program.tensors[0].hi = hi;
        program
    };
    load(&encode(&pick(Max, &[2], 3, &[]))).unwrap();
    refused(&pick(Max, &[2], 4, &[]), "the range of its operand");
    refused(&pick(Copy, &[], 4, &[]), "the range of its operand");
    load(&encode(&pick(Argmax, &[4], 100, &[]))).unwrap();
    refused(&pick(Argmax, &[5], 100, &[]), "the range of its result");
    load(&encode(&pick(Select, &[], 100, &[3, 0]))).unwrap();
    refused(&pick(Select, &[], 100, &[4, 0]), "the range of its first choice");
    refused(&pick(Select, &[], 100, &[0, -1]), "the range of its second choice");
    load(&encode(&pick(Greater, &[], 100, &[-(1 << 23) + 1]))).unwrap();
    refused(&pick(Greater, &[], 100, &[-(1 << 23)]), "the bound of its comparison");
    let mut narrow = pick(Equal, &[], 100, &[1]);
    narrow.tensors[1].hi = 0;
    refused(&narrow, "the range of its result");
}

#[test]
fn ranges_of_gathers() {
    let gather = |hi: i32, dim: usize, pad: Option<i32>, source: i32| {
        let mut program = one_op(|mut x| {
            let Operand::Read(read) = &mut x else { panic!() };
            read.pad = pad;
            let read = Read {
                tensor: 2,
                view: vec![dim],
                maps: vec![map(None, 0, None, 0, 0)],
                zero: 0,
                pad: None,
            };
            OpKind::Gather(Gather { axis: 0, source: read, index: x })
        });
        program.tensors[0].hi = hi;
        program.tensors.push(Tensor {
            name: "w".into(),
            role: Role::Weight,
            ..program.tensors[0].clone()
        });
        (program.tensors[2].shape, program.tensors[2].hi) = (vec![dim], source);
        program
    };
    load(&encode(&gather(4, 5, None, 3))).unwrap();
    refused(&gather(5, 5, None, 3), "its index leaves");
    refused(&gather(4, 5, Some(0), 3), "its index has a pad");
    refused(&gather(4, 5, None, 4), "the range of its source");
}

#[test]
fn ranges_of_divs() {
    let div = |scale, den: Option<i32>, hi: i32| {
        let mut program = one_op(|num| {
            OpKind::Div(Div { scale, num, den: den.map(Operand::Const), out_zero: 0 })
        });
        (program.tensors[0].width, program.tensors[0].hi) = (3, hi);
        program
    };
    load(&encode(&div((1 << 15) - 1, Some(1 << 20), 100))).unwrap();
    refused(&div(1 << 15, Some(1 << 20), 100), "its scale leaves");
    refused(&div(0, Some(1), 100), "its scale leaves");
    refused(&div(1, Some(0), 100), "denominator can be less than 1");
    // floor((2n + 1)/2) + 1 ≤ 2^23 - 1.
    assert_eq!(bound_of(&div(1, Some(1), (1 << 23) - 2), "quotient").0, (1 << 23) - 1);
    refused(&div(1, Some(1), (1 << 23) - 1), "the bound of its quotient");
    // 2·n·c + 3·d against (p - 1)/2.
    assert_eq!(bound_of(&div(1, Some((1 << 30) / 3 - (1 << 22)), 100), "division").1, 1);
    assert_eq!(bound_of(&div(1, Some((1 << 30) / 3), 100), "division").1, 3);
    assert_eq!(bound_of(&div(9, None, 100), "quotient").0, 30);
    assert_eq!(bound_of(&div(32767, None, (1 << 23) - 1), "root").1, 4);
    let mut negative = div(1, None, 100);
    negative.tensors[0].lo = -1;
    refused(&negative, "a root can be of a negative number".trim_start_matches("a "));
}

#[test]
fn the_largest_shift_takes_a_large_output_zero() {
    // (Q + 1)·2^44 is above 2^62; in limbs, only partial products count.
    let mut program = linear();
    dot_of(&mut program).shift = Operand::Const(44);
    dot_of(&mut program).out_zero = 1 << 18;
    assert_eq!(bound_of(&program, "accumulator").1, 1);
    assert_eq!(bound_of(&program, "requantisation").0, (1 << 27) + (1 << 16));
}
