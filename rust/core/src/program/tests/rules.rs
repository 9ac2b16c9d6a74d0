//! Every rule of section 1 refuses a program that breaks only it; live gates and weights (section 3).

use super::*;

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
    breaks("is no field element", |p| {
        let domain = 0x7f00_0001;
        (p.tensors[1].role, p.tensors[1].source) = (Role::Prf, Source::Prf { domain });
    });
    breaks("too many elements in all tensors", |p| {
        p.tensors[0].shape = vec![1 << 15, 1 << 15];
        layout_of(&mut p.tensors[0]).piece = 1 << 15;
    });
    breaks("too many elements in all value tensors", |p| {
        p.tensors[2].shape = vec![1 << 14, (1 << 14) + 1];
        layout_of(&mut p.tensors[2]).piece = 1 << 14;
    });
}

/// `learner()` with one change is refused by the rule.
fn spoils(rule: &str, change: impl FnOnce(&mut Program)) {
    let mut program = learner();
    change(&mut program);
    refused(&program, rule);
}

fn data_of(program: &mut Program) -> (&mut Layout, &mut usize) {
    let Source::Data { layout, records } = &mut program.tensors[0].source else { panic!("data") };
    (layout, records)
}

#[test]
fn rules_of_data() {
    load(&encode(&learner())).unwrap();
    spoils("an axis beside that of its slots", |p| {
        p.tensors[1].shape = vec![8];
        let Source::Data { layout, .. } = &mut p.tensors[1].source else { panic!("data") };
        *layout = Layout { order: vec![0], trailing: 1, piece: 8 };
    });
    spoils("lie within its slots", |p| data_of(p).0.order = vec![1, 0]);
    spoils("lie within its slots", |p| data_of(p).0.trailing = 2);
    spoils("4 slots and 3 records", |p| *data_of(p).1 = 3);
    spoils("other slots or records", |p| *data_of(p).1 = 12);
    spoils("more than 67108864 leaves", |p| {
        data_of(p).0.piece = 1;
        *data_of(p).1 = (1 << 26) / 6 + 1;
    });
    spoils("too many elements in all tensors", |p| {
        for (t, inner) in [(0, 12), (1, 6)] {
            p.tensors[t].shape = vec![4, inner];
            let Source::Data { layout, records } = &mut p.tensors[t].source else { panic!("data") };
            (layout.piece, *records) = (inner, 1 << 26);
        }
    });
    spoils("a port with a batch axis", |p| p.outputs[0].batch = Some(0));
    spoils("names a tensor of that role", |p| {
        p.inputs.push(Port { tensor: 0, ..p.outputs[0].clone() });
    });
}

#[test]
fn rules_of_starts_and_exports() {
    let drawn = |lo, hi| Some(Start::Drawn { domain: 9, lo, hi });
    spoils("others have", |p| p.states[0].start = None);
    spoils("starts outside its range", |p| p.states[1].start = Some(Start::Constant(1 << 15)));
    spoils("is drawn outside its range", |p| p.states[0].start = drawn(-128, 3));
    spoils("is drawn outside its range", |p| p.states[0].start = drawn(3, 128));
    spoils("is drawn outside its range", |p| p.states[0].start = drawn(4, 3));
    spoils("no field element", |p| {
        p.states[0].start = Some(Start::Drawn { domain: 0x7f00_0001, lo: 0, hi: 1 });
    });
    spoils("drawn like another state", |p| p.states[1].start = drawn(0, 1));
    spoils("is no state or weight tensor", |p| p.exports[0] = 8);
    spoils("is no state or weight tensor", |p| p.exports[0] = 99);
    spoils("stands twice", |p| p.exports[0] = p.exports[1]);
}

#[test]
fn a_drawn_start_chooses_from_2_to_the_24_values_at_most() {
    let wide = |hi| {
        let mut program = learner();
        for t in [2, 8] {
            (program.tensors[t].width, program.tensors[t].lo) = (3, -(1 << 23));
            program.tensors[t].hi = (1 << 23) - 1;
        }
        program.states[0].start = Some(Start::Drawn { domain: 9, lo: -(1 << 23), hi });
        super::super::validate::validate(&program)
    };
    wide((1 << 23) - 1).unwrap();
    assert!(wide(1 << 23).is_err());
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
    breaks("a pad is outside the width", |p| read_of(p).pad = Some(128));
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
        p.states.push(StateLink { state: 3, value: 4, start: None });
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

#[test]
fn weights_follow_what_a_gate_feeds() {
    // x -> pool (own 1, 2 gates) -> dense (own 2, 3 gates): 3·2 of dense, half of it the weights'.
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
    assert_eq!((checked.own, checked.gate_weight), (vec![1, 2], vec![2, 2]));
    assert_eq!((checked.step_weight, checked.step_macs), (2 * 2 + 3 * 2, 2 + 6));
}

#[test]
fn weights_cross_a_state_link_once() {
    // 6 gates of 6 products that read nothing but 3 values of the state: 12 each, carried to `next`.
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[3]);
    let state = b.tensor(Role::State, 1, &[3]);
    let next = b.tensor(Role::Value, 1, &[3]);
    let y = b.tensor(Role::Value, 1, &[6]);
    let term = |window: Vec<usize>, a| Term { window, a, b: FULL };
    b.op(next, &[3], OpKind::Dot(dot(vec![term(vec![], read(x, &[3], &[by_i(0)]))], 1)));
    let uses = term(vec![2, 3], read(state, &[3], &[by_k(1)]));
    b.op(y, &[6], OpKind::Dot(dot(vec![uses], 8)));
    let mut program = b.finish();
    program.outputs.remove(0);
    program.states.push(StateLink { state, value: next, start: None });
    let checked = load(&encode(&program)).unwrap();
    assert_eq!((checked.own, checked.gate_weight), (vec![1, 6], vec![12, 6]));
}

#[test]
fn a_step_that_is_too_heavy_is_refused() {
    // Copies of one value in front of 2^47 products: all that they feed rests on each of them.
    let copies = |count: usize| {
        let mut b = Builder::default();
        let mut value = b.tensor(Role::Input, 1, &[1]);
        for _ in 0..count {
            let copy = b.tensor(Role::Value, 1, &[1]);
            let operands = vec![read(value, &[1], &[by_i(0)])];
            let kind = Pick { mode: PickMode::Copy, window: vec![], operands };
            b.op(copy, &[1], OpKind::Pick(kind));
            value = copy;
        }
        let sums = b.tensor(Role::Value, 1, &[1 << 11, 1 << 16]);
        let a = read(value, &[1], &[map(None, 0, None, 0, 0)]);
        let term = Term { window: vec![1 << 20], a, b: FULL };
        b.op(sums, &[1 << 11, 1 << 16], OpKind::Dot(dot(vec![term], 30)));
        b.finish()
    };
    assert_eq!(weights::derive(&copies(254)).map(|found| found.step).unwrap(), 255 << 47);
    let error = weights::derive(&copies(255)).map(|_| ()).unwrap_err();
    assert_eq!(error.message, "the weight of a step is too large");
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

/// A value of `rows` elements, copied from the input, and an op over it of space `rows` and window
/// `rows` whose one map names both axes.
fn every_pair(rows: usize) -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[rows]);
    let y = b.tensor(Role::Value, 1, &[rows]);
    let z = b.tensor(Role::Value, 1, &[rows]);
    let copied = vec![read(x, &[rows], &[by_i(0)])];
    let copy = Pick { mode: PickMode::Copy, window: vec![], operands: copied };
    b.op(y, &[rows], OpKind::Pick(copy));
    let Operand::Read(mut all) = read(y, &[rows], &[map(Some(0), 1, Some(0), 1, 0)]) else {
        panic!()
    };
    all.pad = Some(0);
    let operands = vec![Operand::Read(all)];
    b.op(z, &[rows], OpKind::Pick(Pick { mode: PickMode::Max, window: vec![rows], operands }));
    b.program().outputs.remove(0);
    for tensor in &mut b.program().tensors {
        layout_of(tensor).piece = rows.min(1 << 16);
    }
    b.finish()
}

#[test]
fn marking_work_is_counted_from_sizes_and_bounded() {
    let n = 300u128;
    assert_eq!(liveness::marking_work(&every_pair(300)), n * n + 2 * n);
    // 65,535² + 2·65,535 = 2^32 − 1.
    assert_eq!(liveness::marking_work(&every_pair(65_535)), (1 << 32) - 1);
    refused(&every_pair(65_536), "marking its live gates is too much work");
}

#[test]
fn a_gathered_axis_counts_as_a_window_in_marking_work() {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[20, 3]);
    let y = b.tensor(Role::Value, 1, &[20, 3]);
    let by = b.ranged(Role::Input, 1, 0, 19, &[5]);
    let z = b.tensor(Role::Value, 1, &[5, 3]);
    let copied = vec![read(x, &[20, 3], &[by_i(0), by_i(1)])];
    let copy = Pick { mode: PickMode::Copy, window: vec![], operands: copied };
    b.op(y, &[20, 3], OpKind::Pick(copy));
    let absent = map(None, 0, None, 0, 0);
    let Operand::Read(source) = read(y, &[20, 3], &[absent, by_i(1)]) else { panic!() };
    let index = read(by, &[5], &[by_i(0)]);
    b.op(z, &[5, 3], OpKind::Gather(Gather { axis: 0, source, index }));
    // Inputs cost nothing.
    assert_eq!(liveness::marking_work(&b.finish()), 20 * 3 + 60 + 15);
}

#[test]
fn a_program_without_dead_gates_is_live_in_full_and_a_dead_op_is_refused() {
    assert_eq!(load(&encode(&linear())).unwrap().live, [6]);
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
    // 1 of 4 gates of the first op is live. Without a dot, every product counts as a MAC.
    let checked = load(&encode(&program)).unwrap();
    assert_eq!((checked.live, checked.live_macs), (vec![1, 4], 5));
    program.ops[1].kind = copy(y, 4);
    refused(&program, "no gate reaches an output");
}

/// `y[4, 3] = x[4, 3]·c` over 4 slots, where `c` is a copy of 3 weights that all slots share.
fn itemised() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[4, 3]);
    let w = b.tensor(Role::Weight, 1, &[3]);
    let c = b.tensor(Role::Value, 1, &[3]);
    let y = b.tensor(Role::Value, 1, &[4, 3]);
    let operands = vec![read(w, &[3], &[by_i(0)])];
    b.op(c, &[3], OpKind::Pick(Pick { mode: PickMode::Copy, window: vec![], operands }));
    let term = Term {
        window: vec![],
        a: read(x, &[4, 3], &[by_i(0), by_i(1)]),
        b: read(c, &[3], &[by_i(1)]),
    };
    b.op(y, &[4, 3], OpKind::Dot(dot(vec![term], 8)));
    let mut program = b.finish();
    program.inputs[0].batch = Some(0);
    program.outputs.remove(0);
    program.outputs[0].batch = Some(0);
    program
}

#[test]
fn item_slots_do_not_mix() {
    fn operands(program: &mut Program) -> [&mut Read; 2] {
        let OpKind::Dot(Dot { terms, .. }) = &mut program.ops[1].kind else { panic!() };
        let Term { a: Operand::Read(a), b: Operand::Read(b), .. } = &mut terms[0] else { panic!() };
        [a, b]
    }
    assert_eq!(load(&encode(&itemised())).unwrap().live, [3, 12]);
    type Case = (&'static str, fn(&mut Program));
    let cases: [Case; 9] = [
        ("at other slots", |p| {
            let [a, _] = operands(p);
            (a.maps[0].c, a.pad) = (1, Some(0));
        }),
        ("gates of all slots", |p| operands(p)[0].maps[0] = map(None, 0, None, 0, 2)),
        ("gates of all slots", |p| operands(p)[0].maps[0] = map(Some(0), -1, None, 0, 3)),
        ("another number of slots", |p| {
            let [a, _] = operands(p);
            (a.maps, a.pad) = (vec![by_i(1), by_i(0)], Some(0));
        }),
        ("no axis that tells slots", |p| {
            let [a, _] = operands(p);
            (a.view, a.pad) = (vec![2, 6], Some(0));
        }),
        ("depends on the number of its slot", |p| {
            let [a, _] = operands(p);
            (a.maps[1], a.pad) = (by_i(0), Some(0));
        }),
        ("of a shared tensor depends", |p| {
            let [_, b] = operands(p);
            (b.maps, b.pad) = (vec![by_i(0)], Some(0));
        }),
        ("slots are not on its batch axis", |p| p.outputs[0].batch = None),
        ("with state has a port", |p| {
            let state = Tensor { name: "s".into(), role: Role::State, ..p.tensors[2].clone() };
            p.tensors.push(state);
            p.states.push(StateLink { state: 4, value: 2, start: None });
            let [_, b] = operands(p);
            b.tensor = 4;
        }),
    ];
    for (message, change) in cases {
        let mut program = itemised();
        change(&mut program);
        refused(&program, message);
    }
    // One entry for all slots, shown as if there were one for each.
    let mut program = itemised();
    program
        .outputs
        .insert(0, Port { name: "c".into(), tensor: 2, batch: None, ..program.outputs[0].clone() });
    load(&encode(&program)).unwrap();
}
