//! Gates, walks and requantisation by the letter of the specification.

use super::*;

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
