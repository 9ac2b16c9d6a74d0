//! The executor against the gates, on random programs and on the shapes that networks have.

use proptest::prelude::{ProptestConfig, any, proptest};

use super::*;
use crate::program::testing::*;
use crate::program::*;

/// Runs a program and compares every value with the gates'.
fn agrees(program: &Program, seed: u64) {
    let checked = Arc::new(load(&encode(program)).unwrap());
    let all = evaluate_all(program, &mut Rng(seed | 1));
    let array = |t: usize| Array::from_i64(program.tensors[t].width, &all[t]).unwrap();
    let of = |role| program.of_role(&[role]).into_iter().map(array).collect::<Vec<_>>();
    let executor = Executor::new(checked, of(Role::Weight)).unwrap();
    let values = executor
        .run(&of(Role::Input), &of(Role::State), &of(Role::Data), &|t| Ok(array(t)))
        .unwrap();
    for (op, (t, array)) in program.ops.iter().zip(&values) {
        assert_eq!(op.out, *t);
        assert!(array.to_i64() == all[*t], "{op:?}");
    }
}

fn planned(program: &Program) -> Executor {
    let mut rng = Rng(5);
    let all = evaluate_all(program, &mut rng);
    let weights = program.of_role(&[Role::Weight]);
    let weights =
        weights.iter().map(|&t| Array::from_i64(program.tensors[t].width, &all[t]).unwrap());
    Executor::new(Arc::new(load(&encode(program)).unwrap()), weights.collect()).unwrap()
}

fn is_product(program: &Program) -> bool {
    matches!(&planned(program).plans[0], Plan::Dot(plan) if plan.products.is_some())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_agree_with_their_gates(seed in any::<u64>()) {
        agrees(&random(seed), seed);
    }

    #[test]
    fn random_convolutions_agree_with_their_gates(seed in any::<u64>()) {
        agrees(&convolution(&mut Rng(seed | 1)), seed);
    }

    #[test]
    fn random_depthwise_convolutions_agree_with_their_gates(seed in any::<u32>()) {
        agrees(&depthwise(&mut Rng(u64::from(seed) | 1), 24), seed.into());
    }

    #[test]
    fn random_matrix_products_agree_with_their_gates(seed in any::<u64>()) {
        agrees(&matrix_product(&mut Rng(seed | 1)), seed);
    }

    #[test]
    fn sums_at_the_limits_of_their_bounds_agree_with_their_gates(seed in any::<u64>()) {
        if let Some(program) = extreme(&mut Rng(seed | 1)) {
            agrees(&program, seed);
        }
    }
}

/// A dot of one term whose accumulator reaches up to a limit: that of direct ones, of i32, or beyond.
///
/// Operands have ranges up to the ends of their widths, with zeros and pads at these. `None` if what
/// was drawn is no valid program.
fn extreme(rng: &mut Rng) -> Option<Program> {
    let mut b = Builder::default();
    // A wide accumulator allows no zeros.
    let zeros = rng.below(2) == 0;
    let widths = [(1, 1), (1, 2), (2, 1), (2, 2), (2, 2), (3, 1), (3, 2)][rng.below(7)];
    let (x, y) = (End::of(rng, widths.0, zeros), End::of(rng, widths.1, zeros));
    let each = x.reach() * y.reach();
    let bias = [0, 1 << 23][rng.below(2)];
    let limit = [ACC_MAX as i64, i32::MAX.into(), i64::from(i32::MAX) + each][rng.below(3)];
    let most = ((limit - bias) / each).clamp(1, 1500) as usize;
    let (space, window, a, f) = match rng.below(3) {
        0 => slid(rng, &mut b, most, &x, &y),
        form => {
            let rows = if form == 1 { 4 + rng.below(10) } else { 1 };
            let cols = 1 + rng.below(70);
            multiplied(rng, &mut b, (rows, cols, most), &x, &y)
        }
    };
    let acc = window.iter().product::<usize>() as i64 * each + bias;
    let term = Term { window, a, b: f };
    let mut kind = dot(vec![term], 0);
    let mult = [1, 20, (1 << 15) - 1][rng.below(3)];
    let quotient = |shift: &i32| ((acc * mult + (1 << shift)) >> shift) < (1 << 23) - 1;
    kind.shift = Operand::Const((0..=44).find(quotient)?);
    kind.mult = Operand::Const(mult as i32);
    if bias > 0 {
        let t = b.ranged(Role::Weight, 3, -(1 << 23), (1 << 23) - 1, &[1]);
        kind.bias = Some(read(t, &[1], &[map(None, 0, None, 0, 0)]));
    }
    let out = b.ranged(Role::Value, 3, -(1 << 23), (1 << 23) - 1, &space);
    b.op(out, &space, OpKind::Dot(kind));
    let program = b.finish();
    load(&encode(&program)).ok().map(|_| program)
}

/// The range of an operand's tensor, and its zero.
struct End {
    width: usize,
    lo: i32,
    hi: i32,
    zero: i32,
}

impl End {
    fn of(rng: &mut Rng, width: usize, zeros: bool) -> Self {
        let half = 1 << (8 * width - 1);
        let (lo, hi) = [(-half, half - 1), (1 - half, half - 1), (-half, 1 - half), (0, half - 1)]
            [rng.below(4)];
        let zero = if zeros { [0, -half, half - 1][rng.below(3)] } else { 0 };
        Self { width, lo, hi, zero }
    }

    /// The largest absolute value, pads included.
    fn reach(&self) -> i64 {
        let half = 1i64 << (8 * self.width - 1);
        (half - 1 - i64::from(self.zero)).max(half + i64::from(self.zero))
    }

    fn read(&self, rng: &mut Rng, b: &mut Builder, view: &[usize], maps: &[AxisMap]) -> Operand {
        let role = [Role::Input, Role::Weight][rng.below(2)];
        let tensor = b.ranged(role, self.width, self.lo, self.hi, view);
        let Operand::Read(read) = read(tensor, view, maps) else { unreachable!() };
        Operand::Read(Read { zero: self.zero, ..read })
    }
}

type Drawn = (Vec<usize>, Vec<usize>, Operand, Operand);

/// `x·w` of so many rows, columns and window positions.
fn multiplied(
    rng: &mut Rng,
    b: &mut Builder,
    (m, n, k): (usize, usize, usize),
    x: &End,
    y: &End,
) -> Drawn {
    let a = x.read(rng, b, &[m, k], &[by_i(0), by_k(0)]);
    let f = match rng.below(2) {
        0 => y.read(rng, b, &[k, n], &[by_k(0), by_i(1)]),
        _ => y.read(rng, b, &[n, k], &[by_i(1), by_k(0)]),
    };
    (vec![m, n], vec![k], a, f)
}

/// A window of at most so many positions over padded planes.
fn slid(rng: &mut Rng, b: &mut Builder, most: usize, x: &End, y: &End) -> Drawn {
    let across = most.min(3);
    let kernel = [(most / across).min(3), across];
    let (c, h, w) = (1 + rng.below(3), 4 + rng.below(9), 4 + rng.below(9));
    let along = |i: usize, k: usize| AxisMap { c: -1, ..map(Some(i), 1, Some(k), 1, 0) };
    let a = x.read(rng, b, &[c, h, w], &[by_i(0), along(1, 0), along(2, 1)]);
    let Operand::Read(a) = a else { unreachable!() };
    let half = 1 << (8 * x.width - 1);
    let pad = Some([-half, half - 1, x.zero][rng.below(3)]);
    let f = y.read(rng, b, &[c, kernel[0], kernel[1]], &[by_i(0), by_k(0), by_k(1)]);
    (vec![c, h, w], kernel.to_vec(), Operand::Read(Read { pad, ..a }), f)
}

#[test]
fn extremes_reach_every_way_of_summing() {
    let mut found = std::collections::BTreeMap::<_, usize>::new();
    for seed in 0..600 {
        let Some(program) = extreme(&mut Rng(2 * seed + 1)) else { continue };
        let executor = planned(&program);
        let Plan::Dot(plan) = &executor.plans[0] else { panic!("{:?}", program.ops) };
        *found.entry(plan.way()).or_default() += 1;
    }
    let ways =
        ["direct", "direct narrow", "double", "double narrow", "pairs narrow", "planes narrow"];
    for way in ways {
        assert!(found.get(way).is_some_and(|&count| count >= 2), "{way} of {found:?}");
    }
}

/// A grouped convolution, or its transpose (a divisor map), with stride, dilation and pad.
fn convolution(rng: &mut Rng) -> Program {
    let channels = [1 + rng.below(3), 1 + rng.below(4), 1 + rng.below(17)];
    let image = [3 + rng.below(8), 3 + rng.below(8)];
    convolved(rng, channels, image)
}

/// One in which each channel has a kernel of its own.
fn depthwise(rng: &mut Rng, side: usize) -> Program {
    let channels = [1 + rng.below(5), 1, 1];
    let image = [3 + rng.below(side), 3 + rng.below(side)];
    convolved(rng, channels, image)
}

fn convolved(rng: &mut Rng, [g, c, o]: [usize; 3], [h, w]: [usize; 2]) -> Program {
    let mut b = Builder::default();
    let (n, kernel) = (1 + rng.below(3), 1 + rng.below(3));
    let (stride, dilation, pad) =
        (1 + rng.below(2) as i32, 1 + rng.below(2) as i32, rng.below(3) as i32);
    let x = b.tensor(Role::Input, 1, &[n, g * c, h, w]);
    let weight_role = [Role::Weight, Role::Input][rng.below(2)];
    let weight = b.tensor(weight_role, 1, &[g * o, c, kernel, kernel]);
    let bias = b.tensor(Role::Weight, 3, &[g * o]);
    let (out_h, out_w) = (1 + rng.below(h), 1 + rng.below(w));
    let y = b.tensor(Role::Value, 1, &[n, g * o, out_h, out_w]);
    let transposed = rng.below(2) == 0;
    let along = |i: usize, k: usize| match transposed {
        false => AxisMap { c: -pad, ..map(Some(i), stride, Some(k), dilation, 0) },
        true => AxisMap { d: 2, ..map(Some(i), 1, Some(k), -dilation, pad) },
    };
    let zero = rng.between(-5, 5);
    let a = Operand::Read(Read {
        tensor: x,
        view: vec![n, g, c, h, w],
        maps: vec![by_i(0), by_i(1), by_k(0), along(3, 1), along(4, 2)],
        zero,
        pad: Some(zero),
    });
    let filter =
        read(weight, &[g, o, c, kernel, kernel], &[by_i(1), by_i(2), by_k(0), by_k(1), by_k(2)]);
    let term = if rng.below(2) == 0 { (a, filter) } else { (filter, a) };
    let term = Term { window: vec![c, kernel, kernel], a: term.0, b: term.1 };
    let mut kind = dot(vec![term], 21);
    kind.mult = Operand::Const(rng.between(1, 4000));
    kind.bias = Some(read(bias, &[g, o], &[by_i(1), by_i(2)]));
    b.op(y, &[n, g, o, out_h, out_w], OpKind::Dot(kind));
    b.finish()
}

/// A batched product with operands in any order of axes, of any widths, with one or two terms.
fn matrix_product(rng: &mut Rng) -> Program {
    let mut b = Builder::default();
    let (batch, m, n, k) =
        (1 + rng.below(3), 1 + rng.below(40), 1 + rng.below(40), 1 + rng.below(60));
    let order = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0]][rng.below(4)];
    let dims = [batch, m, n];
    let space: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
    let axis = |which: usize| order.iter().position(|&axis| axis == which).unwrap();
    let (wide, terms) = (rng.below(3) == 0, 1 + rng.below(2));
    let mut matrix = |side: usize, width: usize| {
        let dims = [dims[0], dims[side]];
        let role = [Role::Input, Role::Weight][rng.below(2)];
        if rng.below(2) == 0 {
            let t = b.tensor(role, width, &[dims[0], dims[1], k]);
            read(t, &[dims[0], dims[1], k], &[by_i(axis(0)), by_i(axis(side)), by_k(0)])
        } else {
            let t = b.tensor(role, width, &[k, dims[0], dims[1]]);
            read(t, &[k, dims[0], dims[1]], &[by_k(0), by_i(axis(0)), by_i(axis(side))])
        }
    };
    let terms = (0..terms).map(|_| {
        let (a, b) = if wide { (matrix(1, 3), matrix(2, 2)) } else { (matrix(1, 1), matrix(2, 1)) };
        Term { window: vec![k], a, b }
    });
    let mut kind = dot(terms.collect(), if wide { 30 } else { 10 });
    let mult = b.ranged(Role::Weight, 2, 1, 9, &[n]);
    kind.mult = read(mult, &[n], &[by_i(axis(2))]);
    let y = b.tensor(Role::Value, if wide { 3 } else { 1 }, &space);
    b.op(y, &space, OpKind::Dot(kind));
    b.finish()
}

/// `y[rows, cols] = x·w` of one width.
fn dense(rows: usize, cols: usize, k: usize, width: usize) -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, width, &[rows, k]);
    let w = b.tensor(Role::Weight, 1, &[cols, k]);
    let y = b.tensor(Role::Value, 1, &[rows, cols]);
    let term = Term {
        window: vec![k],
        a: read(x, &[rows, k], &[by_i(0), by_k(0)]),
        b: read(w, &[cols, k], &[by_i(1), by_k(0)]),
    };
    b.op(y, &[rows, cols], OpKind::Dot(dot(vec![term], 8 * width as i32)));
    b.finish()
}

#[test]
fn long_windows_of_wide_values_stay_exact() {
    // Sums far beyond 2^24, shifted as little as the quotient's limit allows: a lost bit shows.
    for (k, width, shift) in [(1040, 1, 1), (5000, 1, 4), (700, 2, 9), (60, 2, 6), (300, 3, 16)] {
        let mut program = dense(9, 11, k, width);
        let OpKind::Dot(kind) = &mut program.ops[0].kind else { panic!() };
        kind.shift = Operand::Const(shift);
        let y = &mut program.tensors[2];
        (y.width, y.lo, y.hi) = (3, -(1 << 23), (1 << 23) - 1);
        assert!(is_product(&program));
        (0..5).for_each(|seed| agrees(&program, seed));
    }
}

#[test]
fn products_are_found_from_the_maps() {
    assert!(is_product(&dense(16, 16, 16, 1)));
    assert!(!is_product(&dense(1, 64, 64, 1)), "a matrix times a vector goes gate by gate");
    let mut rng = Rng(1);
    let products = (0..300).filter(|_| is_product(&matrix_product(&mut rng))).count();
    assert!(products > 100, "only {products}");
    let products = (0..300).filter(|_| is_product(&convolution(&mut rng))).count();
    assert!(products > 40, "only {products}");
}

#[test]
fn planes_are_found_from_the_maps() {
    let over_planes = |program: &Program| matches!(&planned(program).plans[0], Plan::Dot(plan) if plan.planes.is_some());
    let mut rng = Rng(1);
    let found = (0..100).filter(|_| over_planes(&depthwise(&mut rng, 24))).count();
    assert!(found > 50, "only {found}");
    assert!(!over_planes(&dense(16, 16, 16, 1)));
    // Planes of several strips.
    (0..10).for_each(|seed| agrees(&depthwise(&mut rng, 120), seed));
}

#[test]
fn products_of_many_blocks_and_pieces_agree() {
    // Extents that no tile, panel, piece or block divides.
    for (rows, cols, k) in [(7, 2100, 33), (521, 67, 1031), (129, 1030, 7), (6, 32, 2050)] {
        let program = dense(rows, cols, k, 1);
        assert!(is_product(&program));
        agrees(&program, 3);
    }
}

#[test]
fn terms_of_packed_and_of_staged_columns_share_blocks() {
    // No block of 2100 columns by the staged term alone would begin with a panel of the packed one.
    let (rows, cols, k) = (7, 2100, 130);
    let mut b = Builder::default();
    let mut term = |role| {
        let x = b.tensor(Role::Input, 1, &[rows, k]);
        let w = b.tensor(role, 1, &[cols, k]);
        let a = read(x, &[rows, k], &[by_i(0), by_k(0)]);
        Term { window: vec![k], a, b: read(w, &[cols, k], &[by_i(1), by_k(0)]) }
    };
    let kind = dot(vec![term(Role::Weight), term(Role::Input)], 9);
    let y = b.tensor(Role::Value, 1, &[rows, cols]);
    b.op(y, &[rows, cols], OpKind::Dot(kind));
    let program = b.finish();
    assert!(is_product(&program));
    agrees(&program, 3);
}

#[test]
fn few_sums_over_a_long_window_are_cut_for_many_threads() {
    let (side, k) = (4, (1 << 19) + 1);
    let mut b = Builder::default();
    let mut matrix = || {
        let t = b.ranged(Role::Input, 1, -1, 1, &[k, side]);
        move |axis: usize| read(t, &[k, side], &[by_k(0), by_i(axis)])
    };
    let (x, w) = (matrix(), matrix());
    let term = Term { window: vec![k], a: x(0), b: w(1) };
    let y = b.tensor(Role::Value, 3, &[side, side]);
    b.op(y, &[side, side], OpKind::Dot(dot(vec![term], 0)));
    let program = b.finish();
    assert!(is_product(&program));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(32).build().unwrap();
    pool.install(|| agrees(&program, 1));
}

#[test]
fn an_op_that_reads_far_outside_goes_gate_by_gate() {
    let mut program = linear();
    let OpKind::Dot(kind) = &mut program.ops[0].kind else { panic!() };
    let Operand::Read(read) = &mut kind.terms[0].a else { panic!() };
    (read.pad, read.maps[1].b) = (Some(3), i32::MAX);
    assert!(matches!(planned(&program).plans[0], Plan::Gates));
    agrees(&program, 1);
}

#[test]
fn arrays_of_another_length_type_or_range_are_refused() {
    let executor = planned(&linear());
    let run = |input: Array| {
        executor.run(&[input], &[], &[], &|_| unreachable!()).map(|_| ()).unwrap_err()
    };
    executor.run(&[Array::I8(vec![127; 8])], &[], &[], &|_| unreachable!()).unwrap();
    for (input, message) in [
        (Array::I8(vec![0; 7]), "number of values"),
        (Array::I16(vec![0; 8]), "another type"),
        (Array::I8(vec![-128; 8]), "outside its declared range"),
    ] {
        let error = run(input);
        assert!(error.code == "usage.input" && error.message.contains(message), "{error}");
    }
    assert_eq!(
        executor.run::<Array>(&[], &[], &[], &|_| unreachable!()).unwrap_err().code,
        "usage.input"
    );
    assert!(Executor::new(executor.checked().clone(), vec![Array::I8(vec![0; 3])]).is_err());
}

#[test]
fn noise_of_the_prf_is_checked_like_an_input() {
    let seed = (0..).find(|&seed| !random(seed).of_role(&[Role::Prf]).is_empty()).unwrap();
    let program = random(seed);
    let executor = planned(&program);
    let zeros = |role| {
        let tensors = program.of_role(&[role]).into_iter().map(|t| &program.tensors[t]);
        tensors
            .map(|t| Array::from_i64(t.width, &vec![t.lo.into(); t.size()]).unwrap())
            .collect::<Vec<_>>()
    };
    let error =
        executor.run(&zeros(Role::Input), &[], &[], &|_| Ok(Array::I16(vec![]))).unwrap_err();
    assert_eq!(error.code, "usage.input");
}
