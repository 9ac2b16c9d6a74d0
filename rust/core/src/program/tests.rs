//! One test per promise: bytes round-trip, every rule refuses what breaks only it, bounds hold exactly.

use super::testing::*;
use super::*;

fn refused(program: &Program, rule: &str) {
    match load(&encode(program)) {
        Ok(_) => panic!("accepted, though: {rule}"),
        Err(error) => assert!(
            error.code == "program.invalid" && error.message.contains(rule),
            "{error}, not: {rule}"
        ),
    }
}

/// `linear()` with one change is refused by the rule.
fn breaks(rule: &str, change: impl FnOnce(&mut Program)) {
    let mut program = linear();
    change(&mut program);
    refused(&program, rule);
}

fn dot_of(program: &mut Program) -> &mut Dot {
    let OpKind::Dot(dot) = &mut program.ops[0].kind else { panic!("not a dot") };
    dot
}

fn read_of(program: &mut Program) -> &mut Read {
    let Operand::Read(read) = &mut dot_of(program).terms[0].a else { panic!("not a read") };
    read
}

fn layout_of(tensor: &mut Tensor) -> &mut Layout {
    let Source::Committed(layout) = &mut tensor.source else { panic!("not committed") };
    layout
}

#[test]
fn random_programs_are_valid_and_round_trip() {
    for seed in 0..500 {
        let program = random(seed);
        let bytes = encode(&program);
        assert_eq!(
            load(&bytes).unwrap_or_else(|e| panic!("{e} {e:?} {program:?}")).program,
            program
        );
    }
}

#[test]
fn truncated_extended_and_unknown_bytes_are_malformed() {
    let bytes = encode(&random(7));
    for end in 0..bytes.len() {
        assert_eq!(decode(&bytes[..end]).unwrap_err().code, "program.malformed");
    }
    assert_eq!(decode(&[bytes, vec![0]].concat()).unwrap_err().code, "program.malformed");
}

#[test]
fn every_changed_byte_is_refused_or_means_something_else() {
    for seed in [3, 8, 11] {
        let bytes = encode(&random(seed));
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= bit;
                if let Ok(program) = decode(&changed) {
                    assert_eq!(encode(&program), changed);
                    let _ = load(&changed);
                }
            }
        }
    }
}

#[test]
fn encodings_with_a_second_form_are_malformed() {
    let malformed = |change: &dyn Fn(&mut Program)| {
        let mut program = linear();
        change(&mut program);
        assert_eq!(decode(&encode(&program)).unwrap_err().code, "program.malformed");
    };
    malformed(&|p| p.name = String::new());
    malformed(&|p| p.name = "\u{e9}".into());
    malformed(&|p| p.name = "n".repeat(129));
    malformed(&|p| p.tensors[0].shape[0] = 0);
    malformed(&|p| p.tensors[0].shape = vec![]);
    malformed(&|p| layout_of(&mut p.tensors[0]).order = vec![0, 0]);
    malformed(&|p| layout_of(&mut p.tensors[0]).trailing = 3);
    malformed(&|p| p.tables.push(Table { name: "t".into(), lo: 0, entries: vec![] }));
    malformed(&|p| read_of(p).maps[0].d = 0);
    malformed(&|p| read_of(p).maps[0].b = 1);
    malformed(&|p| dot_of(p).terms.clear());
    malformed(&|p| p.inputs[0].scale = 2.0);
    malformed(&|p| p.inputs[0].zero = 1);
    malformed(&|p| (p.inputs[0].kind, p.inputs[0].scale) = (PortKind::Float, f64::NAN));
    malformed(&|p| (p.inputs[0].kind, p.inputs[0].scale) = (PortKind::Float, 0.0));
    malformed(&|p| p.inputs[0].batch = Some(1));
    malformed(&|p| {
        let Operand::Read(source) = dot_of(p).terms[0].a.clone() else { panic!() };
        p.ops[0].kind = OpKind::Gather(Gather { axis: 0, source, index: Operand::Const(0) });
    });
}

#[test]
fn rules_of_tensors() {
    breaks("a width is", |p| p.tensors[0].width = 4);
    breaks("a width is", |p| p.tensors[0].width = 0);
    breaks("not inside that of 1 bytes", |p| p.tensors[0].hi = 128);
    breaks("not inside that of 1 bytes", |p| p.tensors[0].lo = -129);
    breaks("not inside that of 1 bytes", |p| p.tensors[0].lo = 127 + p.tensors[0].hi);
    breaks("more than 1073741824 elements", |p| p.tensors[0].shape = vec![1 << 15, 1 << 16]);
    breaks("more than 1073741824 elements", |p| p.tensors[0].shape = vec![u32::MAX as usize; 2]);
    breaks("a piece of 0", |p| layout_of(&mut p.tensors[0]).piece = 0);
    breaks("a piece of 5", |p| layout_of(&mut p.tensors[0]).piece = 5);
    breaks("a piece of 65537", |p| {
        p.tensors[0].shape = vec![1, 65537];
        layout_of(&mut p.tensors[0]).piece = 65537;
    });
    breaks("more than 67108864 leaves", |p| {
        p.tensors[0].shape = vec![(1 << 26) + 1, 1];
        layout_of(&mut p.tensors[0]).piece = 1;
    });
    breaks("a prf range has", |p| {
        (p.tensors[1].role, p.tensors[1].source) = (Role::Prf, Source::Prf { domain: 0 });
    });
}

#[test]
fn rules_of_references_and_names() {
    breaks("two tensors are named", |p| p.tensors[1].name = p.tensors[0].name.clone());
    breaks("two ops are named", |p| p.ops.push(p.ops[0].clone()));
    breaks("two input ports are named", |p| {
        p.tensors.push(Tensor { name: "other".into(), ..p.tensors[0].clone() });
        p.inputs.push(Port { tensor: 3, ..p.inputs[0].clone() });
    });
    breaks("two output ports are named", |p| {
        p.tensors.push(Tensor { name: "other".into(), ..p.tensors[2].clone() });
        p.ops.push(Op { name: "other".into(), out: 3, ..p.ops[0].clone() });
        p.outputs.push(Port { tensor: 3, ..p.outputs[0].clone() });
    });
    breaks("there is no tensor 9", |p| p.ops[0].out = 9);
    breaks("there is no tensor 9", |p| read_of(p).tensor = 9);
    breaks("there is no such table", |p| dot_of(p).table = Some(0));
    breaks("no such space axis", |p| read_of(p).maps[0].i_axis = Some(2));
    breaks("no such window axis", |p| read_of(p).maps[1].k_axis = Some(1));
    breaks("another size", |p| read_of(p).view = vec![2, 5]);
    breaks("does not have the size", |p| p.ops[0].space = vec![2, 4]);
    breaks("names a tensor of that role", |p| p.inputs[0].tensor = 1);
    breaks("names a tensor of that role", |p| p.outputs[0].tensor = 7);
}

#[test]
fn rules_of_the_graph() {
    breaks("not yet defined", |p| {
        read_of(p).tensor = 2;
        read_of(p).view = vec![2, 3];
        dot_of(p).terms[0].window = vec![3];
    });
    breaks("already fixed", |p| p.ops.push(Op { name: "again".into(), ..p.ops[0].clone() }));
    breaks("already fixed", |p| {
        p.tensors[2].role = Role::Weight;
        p.outputs.clear();
        let state = Tensor { name: "state".into(), role: Role::State, ..p.tensors[2].clone() };
        let value = Tensor { name: "value".into(), role: Role::Value, ..p.tensors[2].clone() };
        p.tensors.extend([state, value]);
        p.states.push(StateLink { state: 3, value: 4 });
    });
    breaks("is the output of no op", |p| {
        p.tensors.push(Tensor { name: "loose".into(), ..p.tensors[2].clone() })
    });
    breaks("is read by no op", |p| {
        p.tensors.push(Tensor { name: "loose".into(), ..p.tensors[1].clone() })
    });
    breaks("reaches no output", |p| {
        p.tensors.push(Tensor { name: "loose".into(), ..p.tensors[2].clone() });
        p.ops.push(Op { name: "loose".into(), out: 3, ..p.ops[0].clone() });
    });
    breaks("stands in no input port", |p| p.inputs.clear());
    breaks("stands in two input ports", |p| {
        p.inputs.push(Port { name: "again".into(), ..p.inputs[0].clone() })
    });
    breaks("stands in two output ports", |p| {
        p.outputs.push(Port { name: "again".into(), ..p.outputs[0].clone() })
    });
    breaks("neither an output port nor a state", |p| p.outputs.clear());
    breaks("its batch has another extent", |p| {
        p.inputs[0].batch = Some(0);
        p.outputs[0].batch = Some(0);
        p.ops[0].space = vec![3, 2];
        p.tensors[2].shape = vec![3, 2];
        layout_of(&mut p.tensors[2]).piece = 2;
        read_of(p).maps[0].i_axis = Some(1);
        let Operand::Read(b) = &mut dot_of(p).terms[0].b else { panic!() };
        b.maps[0].i_axis = Some(0);
    });
}

/// A state `[2, 3]` that `linear` adds as its bias and then replaces.
fn stateful() -> Program {
    let mut program = linear();
    let state = Tensor { name: "state".into(), role: Role::State, ..program.tensors[2].clone() };
    program.tensors.push(state);
    dot_of(&mut program).bias = Some(read(3, &[2, 3], &[by_i(0), by_i(1)]));
    program.states.push(StateLink { state: 3, value: 2 });
    program
}

#[test]
fn rules_of_states() {
    load(&encode(&stateful())).unwrap();
    let breaks = |rule: &str, change: &dyn Fn(&mut Program)| {
        let mut program = stateful();
        change(&mut program);
        refused(&program, rule);
    };
    breaks("stands in no state link", &|p| p.states.clear());
    breaks("stands in two state links", &|p| p.states.push(p.states[0].clone()));
    breaks("joins a state tensor", &|p| p.states[0].value = 1);
    breaks("joins a state tensor", &|p| p.states[0].state = 99);
    breaks("differ in width", &|p| p.tensors[3].width = 2);
    breaks("differ in width", &|p| p.tensors[3].hi = 126);
    breaks("differ in width", &|p| layout_of(&mut p.tensors[3]).piece = 2);
}

#[test]
fn rules_of_maps_and_products() {
    breaks("leave [0, 4)", |p| read_of(p).maps[1].c = 1);
    breaks("leave [0, 4)", |p| read_of(p).maps[1].c = -1);
    breaks("a divisor needs a pad", |p| read_of(p).maps[1].d = 2);
    let mut padded = linear();
    (read_of(&mut padded).maps[1].c, read_of(&mut padded).pad) = (1, Some(0));
    load(&encode(&padded)).unwrap();
    breaks("more than 1048576 products", |p| {
        let term = &mut dot_of(p).terms[0];
        (term.window, term.a, term.b) = (vec![1 << 10, (1 << 10) + 1], FULL, FULL);
    });
    breaks("more than 1048576 products", |p| {
        let term = Term { window: vec![1 << 19], a: FULL, b: FULL };
        dot_of(p).terms = vec![term.clone(), term.clone(), term];
    });
    breaks("only max and argmax", |p| {
        let operands = vec![dot_of(p).terms[0].a.clone()];
        p.ops[0].kind = OpKind::Pick(Pick { mode: PickMode::Copy, window: vec![4], operands });
    });
    breaks("has no axis 2", |p| {
        let Operand::Read(source) = dot_of(p).terms[0].a.clone() else { panic!() };
        p.ops[0].kind = OpKind::Gather(Gather { axis: 2, source, index: Operand::Const(0) });
    });
}

#[test]
fn limits_of_counts() {
    let mut program = linear();
    program.tables =
        (0..257).map(|_| Table { name: "t".into(), lo: 0, entries: vec![0] }).collect();
    refused(&program, "too many tables");
    let mut program = linear();
    program.tensors = vec![program.tensors[0].clone(); 4097];
    refused(&program, "too many tensors");
    let mut program = linear();
    program.ops = vec![program.ops[0].clone(); 4097];
    refused(&program, "too many ops");
}

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
fn requantisation_is_the_floor_with_ties_up() {
    let floor = |a: i128, b: i128| a.div_euclid(b);
    for shift in 0..6u32 {
        let half = (1i64 << shift) >> 1;
        for mult in [0, 1, 3, 32767] {
            for acc in -300i64..300 {
                let exact =
                    floor(i128::from(acc) * i128::from(mult) + i128::from(half), 1 << shift) - 5;
                assert_eq!(i128::from(requantise(acc, mult, shift, half, -5)), exact);
            }
        }
    }
    assert_eq!(requantise(1, 1, 1, 1, 0), 1, "0.5 goes up to 1");
    assert_eq!(requantise(-1, 1, 1, 1, 0), 0, "-0.5 goes up to 0");
    assert_eq!(requantise(1 << 46, 32767, 44, 1 << 43, 0), 32767 * 4);
}

#[test]
fn gates_saturate_and_tables_clamp_their_index() {
    let mut program = linear();
    dot_of(&mut program).shift = Operand::Const(0);
    let values: All =
        vec![vec![127; 8], vec![127, 127, 127, 127, -127, -127, -127, -127, 0, 0, 0, 1], vec![]];
    let y = |program: &Program| {
        (0..3).map(|g| evaluate(program, &program.ops[0], g, &values).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(y(&program), [127, -127, 127]);
    program.tables.push(Table { name: "t".into(), lo: -1, entries: vec![10, 20, 30] });
    dot_of(&mut program).table = Some(0);
    assert_eq!(y(&program), [30, 10, 30]);
}

#[test]
fn argmax_takes_the_first_of_equals_and_division_rounds_ties_up() {
    let mut b = Builder::default();
    let x = b.ranged(Role::Input, 1, -100, 100, &[4]);
    let argmax = b.tensor(Role::Value, 1, &[1]);
    let quotient = b.tensor(Role::Value, 1, &[4]);
    let operands = vec![read(x, &[4], &[by_k(0)])];
    b.op(argmax, &[1], OpKind::Pick(Pick { mode: PickMode::Argmax, window: vec![4], operands }));
    let num = read(x, &[4], &[by_i(0)]);
    b.op(
        quotient,
        &[4],
        OpKind::Div(Div { scale: 1, num, den: Some(Operand::Const(2)), out_zero: 0 }),
    );
    let program = b.load().program;
    let values: All = vec![vec![-3, 3, -1, 3], vec![], vec![]];
    assert_eq!(evaluate(&program, &program.ops[0], 0, &values).unwrap(), 1);
    let q: Vec<i32> =
        (0..4).map(|g| evaluate(&program, &program.ops[1], g, &values).unwrap()).collect();
    assert_eq!(q, [-1, 2, 0, 2]);
}

/// Index maps by the letter of the specification, to compare walks with.
fn index_of(read: &Read, i: &[usize], k: &[usize]) -> Option<usize> {
    read.maps.iter().zip(&read.view).try_fold(0, |offset, (map, &dim)| {
        let at = |axis: Option<usize>, of: &[usize]| axis.map_or(0, |axis| of[axis] as i64);
        let n = i64::from(map.a) * at(map.i_axis, i)
            + i64::from(map.b) * at(map.k_axis, k)
            + i64::from(map.c);
        let d = i64::from(map.d);
        (n.rem_euclid(d) == 0 && (0..dim as i64).contains(&(n / d)))
            .then(|| offset * dim + (n / d) as usize)
    })
}

fn unravel(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = dims.iter().rev().map(|&dim| (flat % dim, flat /= dim).0).collect();
    index.reverse();
    index
}

#[test]
fn walks_follow_the_maps() {
    for seed in 0..3000 {
        let program = random(seed);
        for op in &program.ops {
            for used in op.operands() {
                let OperandRef::Read(read) = used.operand else { continue };
                let walk = Walk::new(read, &op.space, used.window);
                for gate in 0..op.gates().min(50) {
                    let mut found = vec![];
                    walk.segments(gate, |segment| match segment {
                        Segment::Pad(len) => found.extend(vec![None; len]),
                        Segment::Run(r) => found.extend(
                            (0..r.len as isize)
                                .map(|j| Some(r.start.wrapping_add_signed(j * r.step))),
                        ),
                    });
                    let i = unravel(gate, &op.space);
                    let size = used.window.iter().product();
                    let expected = (0..size).map(|k| index_of(read, &i, &unravel(k, used.window)));
                    assert!(found.iter().copied().eq(expected), "{read:?} {found:?}");
                }
            }
        }
    }
}

#[test]
fn reads_are_what_evaluation_asks_for() {
    struct Recorder<'a>(&'a All, std::cell::RefCell<Vec<(usize, usize)>>);
    impl Values for Recorder<'_> {
        fn value(&self, tensor: usize, offset: usize) -> Result<i64> {
            self.1.borrow_mut().push((tensor, offset));
            self.0.value(tensor, offset)
        }
    }
    for seed in 0..300 {
        let program = random(seed);
        let all = evaluate_all(&program, &mut Rng(seed | 1));
        for op in &program.ops {
            let gate = op.gates() - 1;
            let recorder = Recorder(&all, Default::default());
            evaluate(&program, op, gate, &recorder).unwrap();
            let mut asked = recorder.1.into_inner();
            let index = match &op.kind {
                OpKind::Gather(_) => asked.first().map(|&(t, at)| all[t][at]),
                _ => None,
            };
            let mut listed = vec![];
            reads(&program, op, gate, index, &mut |tensor, offset| listed.push((tensor, offset)));
            // A select leaves one of its choices unread, and still opens it.
            if let OpKind::Pick(Pick { mode: PickMode::Select, .. }) = op.kind {
                listed.retain(|read| asked.contains(read));
            }
            asked.sort_unstable();
            asked.dedup();
            listed.sort_unstable();
            listed.dedup();
            assert_eq!(asked, listed);
        }
    }
}

#[test]
fn weights_follow_what_a_gate_feeds() {
    // x -> pool (own 1, 2 gates) -> dense (own 2, 3 gates): a pool gate carries half of 3·2·2/2.
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[2]);
    let w = b.tensor(Role::Weight, 1, &[3, 2]);
    let pooled = b.tensor(Role::Value, 1, &[2]);
    let y = b.tensor(Role::Value, 1, &[3]);
    let single = |a| Term { window: vec![], a, b: FULL };
    b.op(pooled, &[2], OpKind::Dot(dot(vec![single(read(x, &[2], &[by_i(0)]))], 1)));
    let term = Term {
        window: vec![2],
        a: read(pooled, &[2], &[by_k(0)]),
        b: read(w, &[3, 2], &[by_i(0), by_k(0)]),
    };
    b.op(y, &[3], OpKind::Dot(dot(vec![term], 8)));
    let checked = b.load();
    assert_eq!((checked.own, checked.gate_weight), (vec![1, 2], vec![3, 2]));
    assert_eq!((checked.step_weight, checked.step_macs), (2 * 3 + 3 * 2, 2 + 6));
}

#[test]
fn weights_cross_a_state_link_once() {
    let mut program = stateful();
    // Two more terms read the state: own 6, and each of the 6 state elements feeds all of the first row.
    let term = Term { window: vec![6], a: read(3, &[6], &[by_k(0)]), b: FULL };
    dot_of(&mut program).terms.push(term);
    let checked = load(&encode(&program)).unwrap();
    // feed(state) = ceil((6·10·6/10 + 6·10·10/10)/6) = 16 in the first pass; own is 10.
    assert_eq!((checked.own, checked.gate_weight), (vec![10], vec![16]));
}

#[test]
fn a_step_that_is_too_heavy_is_refused() {
    // Each op squares what it reads, so each weighs twice as much as the next.
    let squares = |ops: usize| {
        let mut b = Builder::default();
        let mut previous = b.tensor(Role::Input, 1, &[1]);
        for _ in 0..ops {
            let next = b.tensor(Role::Value, 1, &[1]);
            let x = read(previous, &[1], &[by_i(0)]);
            b.op(
                next,
                &[1],
                OpKind::Dot(dot(vec![Term { window: vec![], a: x.clone(), b: x }], 7)),
            );
            previous = next;
        }
        b.finish()
    };
    assert_eq!(load(&encode(&squares(55))).unwrap().step_weight, (1 << 55) - 1);
    refused(&squares(56), "the weight of a step is too large");
    refused(&squares(300), "the weight of a step is too large");
}

#[test]
fn live_gates_are_those_that_the_output_needs() {
    let mut dead = 0;
    for seed in 0..400 {
        let mut program = random(seed);
        program.outputs.retain(|port| port.tensor == program.ops.last().unwrap().out);
        let mut live: Vec<Vec<bool>> =
            program.tensors.iter().map(|t| vec![false; t.size()]).collect();
        live[program.outputs[0].tensor].fill(true);
        for op in program.ops.iter().rev() {
            let alive = live[op.out].clone();
            for gate in (0..op.gates()).filter(|&gate| alive[gate]) {
                reads(&program, op, gate, None, &mut |tensor, offset| live[tensor][offset] = true);
            }
        }
        let counts = |op: &Op| live[op.out].iter().filter(|&&alive| alive).count() as u64;
        let expected: Vec<u64> = program.ops.iter().map(counts).collect();
        assert_eq!(liveness::live_gates(&program), expected);
        dead += program
            .ops
            .iter()
            .zip(expected)
            .filter(|(op, l)| *l > 0 && *l < op.gates() as u64)
            .count();
    }
    assert!(dead > 20, "the programs have partly dead ops");
}

#[test]
fn a_program_without_dead_gates_is_live_in_full_and_a_dead_op_is_refused() {
    assert_eq!(load(&encode(&linear())).unwrap().live, LIVE_SCALE);
    // The second op reads the pad only.
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[4]);
    let y = b.tensor(Role::Value, 1, &[4]);
    let z = b.tensor(Role::Value, 1, &[4]);
    let copy = |tensor: usize, c: i32| {
        let Operand::Read(mut operand) = read(tensor, &[4], &[map(Some(0), 1, None, 0, c)]) else {
            panic!()
        };
        operand.pad = Some(0);
        let operands = vec![Operand::Read(operand)];
        OpKind::Pick(Pick { mode: PickMode::Copy, window: vec![], operands })
    };
    b.op(y, &[4], copy(x, 0));
    b.op(z, &[4], copy(y, 3));
    b.program().outputs.remove(0);
    let mut program = b.finish();
    // 1 of 4 gates of the first op is live, at equal weights: 5/8.
    assert_eq!(load(&encode(&program)).unwrap().live, 640);
    program.ops[1].kind = copy(y, 4);
    refused(&program, "no gate reaches an output");
}

#[test]
fn the_id_is_over_the_bytes_and_their_domain() {
    let bytes = encode(&linear());
    let by_hand = Sha256::digest([b"zktally program v1\0".as_slice(), &bytes].concat());
    assert_eq!(load(&bytes).unwrap().id, by_hand.as_slice());
}
