//! Schedules and witnesses, against the constraints and buses of the tables.

pub(crate) mod attacks;
mod fixed;
pub(crate) mod fixture;
pub(crate) mod programs;
mod proofs;
mod shares;
mod summed;

use self::fixture::Case;
use self::programs::{convolution, dense, lookups, padded, picks, wide};
use super::Schedule;
use super::leaves::Leaves;
use super::segments::{Item, Limits};
use super::support::check_supported;
use super::tables::{bus, index};
use super::trace::Opened;
use crate::commit::{Course, Place, Prepared};
use crate::program::testing::{
    Builder, Rng, by_i, by_k, dot, learner, linear, map, random, read, shuffle_layouts,
};
use crate::program::*;
use crate::receipt::Journal;

const MANY: u32 = 100_000;

#[test]
fn dense_layers_take_blocks() {
    for (inputs, piece) in [(100, 100), (100, 48), (96, 40), (12, 12), (13, 13)] {
        let rows = Case::new(&dense(inputs, piece), 2, MANY).check(Limits::default());
        let blocks: usize =
            (0..inputs.div_ceil(piece)).map(|i| piece.min(inputs - i * piece).div_ceil(48)).sum();
        assert_eq!(rows[index::ROW_DOT], 2 * 24 * blocks, "{inputs} in pieces of {piece}");
        assert_eq!((rows[index::READ_DOT], rows[index::GATE]), (0, 48));
        assert!(rows[index::WIDE] == 12 && rows[index::ACT] == 100);
    }
    // Too few products for a pair of blocks.
    let rows = Case::new(&dense(11, 11), 1, MANY).check(Limits::default());
    assert_eq!((rows[index::ROW_DOT], rows[index::READ_DOT]), (0, 24));
}

#[test]
fn convolutions_read_single_values() {
    let rows = Case::new(&convolution(), 1, MANY).check(Limits::default());
    assert_eq!((rows[index::ROW_DOT], rows[index::READ_DOT]), (0, 240));
    assert_eq!(rows[index::SCAN], 2 * 4 * 3 * 2 * 4);
}

#[test]
fn wide_accumulators_states_and_noise() {
    let bias = padded(read(1, &[8], &[map(Some(1), 3, None, 0, 0)]), 17, -5);
    for bias in [Operand::Const(0), Operand::Const(-1_000_000_007), bias] {
        let case = Case::new(&wide(bias), 3, MANY);
        let rows = case.check(Limits::default());
        assert_eq!((rows[index::LIMBS], rows[index::GATE], rows[index::BITS]), (24, 24, 24));
        assert_eq!(rows[index::NOISE], 3);
    }
}

#[test]
fn a_training_run_reads_each_record_once_however_often_it_is_drawn() {
    for (steps, delta) in [(1, MANY), (7, MANY), (7, 400_000)] {
        let case = Case::new(&learner(), steps, delta);
        case.check(Limits::default());
        case.check(Limits { blocks: 30, cost: 2000 });
        let journal = case.journal();
        assert_eq!((journal.seed, journal.start), (1, 1));
        let proof = case.proof();
        let data: Vec<_> = proof.trees.iter().filter(|tree| tree.place == Place::Data).collect();
        assert_eq!(data.len(), 2);
        // 11 records of two leaves and of one.
        assert!(data[0].leaves.len() <= 22 && data[1].leaves.len() <= 11);
        assert!(steps == 1 || data[1].leaves.len() == 11);
    }
}

#[test]
fn a_record_outside_its_declared_range_fails() {
    let mut wide = learner();
    (wide.tensors[1].lo, wide.tensors[1].hi) = (-100, 100);
    let failures = |case: &Case| -> Vec<_> {
        let segments = case.segments(Limits::default());
        let failure = |items: &Vec<Item>| {
            let schedule = case.schedule(items).unwrap();
            case.judge(&schedule, &case.witness(&schedule))
        };
        segments.iter().filter_map(failure).collect()
    };
    assert!(failures(&Case::new(&wide, 2, MANY)).is_empty());
    assert!(!failures(&Case::lying(&learner(), &wide, 2, MANY)).is_empty());
}

/// Of hidden outputs there are neither items nor public terms; their gates are checked as ever.
#[test]
fn hidden_outputs_are_no_items() {
    for (program, steps) in [(dense(12, 12), 3), (learner(), 4), (convolution(), 2)] {
        let limits = Limits { blocks: 40, cost: 3000 };
        let (published, hidden) =
            (Case::new(&program, steps, MANY), Case::hiding(&program, steps, MANY));
        let output = |item: &&Item| matches!(item, Item::Output { .. });
        let outputs = |case: &Case| -> usize {
            case.segments(limits).iter().map(|items| items.iter().filter(output).count()).sum()
        };
        assert!(outputs(&published) > 0);
        assert_eq!(outputs(&hidden), 0);
        let reads = |case: &Case| -> usize {
            let items = case.segments(limits);
            let terms = items.iter().flat_map(|items| case.schedule(items).unwrap().terms);
            terms.filter(|terms| terms.bus == bus::READ).count()
        };
        assert!(reads(&published) > 0);
        assert_eq!(reads(&hidden), 0);
        hidden.check(Limits::default());
        hidden.check(limits);
    }
}

/// Steps of another place in the run have other records and other noise.
#[test]
fn the_place_of_a_step_in_its_run_is_public() {
    let case = Case::new(&learner(), 2, MANY);
    let items = case.segments(Limits::default()).remove(0);
    let schedule = case.schedule(&items).unwrap();
    let mains = case.witness(&schedule);
    assert_eq!(case.judge(&schedule, &mains), None);
    let at = |first| Journal { first, start: 0, ..case.journal() };
    let mut noisy = Vec::new();
    for first in [0, 1, 4] {
        let other = case.schedule_for(&at(first), &items).unwrap();
        noisy.push(other.table(index::NOISE).unwrap().publics.clone());
        let rows = |schedule: &Schedule| -> Vec<usize> {
            schedule.tables.iter().map(|table| table.publics.rows()).collect()
        };
        let fits = rows(&other) == rows(&schedule);
        let failure = fits.then(|| case.judge(&other, &mains));
        assert_eq!(first == 0, failure == Some(None));
    }
    assert!(noisy[0].values != noisy[1].values && noisy[1].values != noisy[2].values);
}

#[test]
fn picks_of_every_mode() {
    let rows = Case::new(&picks(), 2, MANY).check(Limits::default());
    assert_eq!((rows[index::PICK], rows[index::SCAN]), (400, 80));
}

#[test]
fn gathers_roots_and_quotients() {
    let rows = Case::new(&lookups(), 2, MANY).check(Limits::default());
    assert_eq!((rows[index::SCAN], rows[index::DIV]), (2 * 20 * 9, 50));
}

#[test]
fn a_tree_of_one_leaf_has_no_nodes() {
    let mut program = linear();
    for tensor in &mut program.tensors {
        let Source::Committed(layout) = &mut tensor.source else { panic!() };
        (layout.trailing, layout.piece) = (2, tensor.shape.iter().product());
    }
    let rows = Case::new(&program, 1, MANY).check(Limits::default());
    // Three leaves; records of weights, step (four blocks), inputs, chain.
    assert_eq!((rows[index::NODE], rows[index::SPONGE]), (0, 3 + 8));
}

#[test]
fn random_programs_whatever_their_layouts() {
    let mut covered = 0;
    for seed in 0..150 {
        let mut program = random(seed);
        shuffle_layouts(&mut program, &mut Rng(seed + 1));
        if check_supported(&load(&encode(&program)).unwrap()).is_ok() {
            Case::new(&program, 2, MANY).check(Limits::default());
            covered += 1;
        }
    }
    assert!(covered > 40, "only {covered} programs");
}

/// Every kind of the Python tests, its shift made a constant.
#[test]
fn the_program_of_every_kind() {
    let bytes = include_bytes!("../../../../../tests/vectors/kinds.program");
    assert_eq!(check_supported(&load(bytes).unwrap()).unwrap_err().code, "hybrid.unsupported");
    let mut program = decode(bytes).unwrap();
    let OpKind::Dot(mixed) = &mut program.ops[0].kind else { panic!() };
    // What the shifts were is added to the sum instead.
    let a = std::mem::replace(&mut mixed.shift, Operand::Const(19));
    mixed.terms.push(Term { window: vec![], a, b: Operand::Const(3) });
    let case = Case::new(&program, 2, 50_000);
    let rows = case.check(Limits::default());
    assert!(rows.iter().enumerate().all(|(i, &rows)| rows > 0 || i == index::ROW_DOT), "{rows:?}");
    assert!(case.segments(Limits { blocks: 40, cost: 5000 }).len() > 4);
    case.check(Limits { blocks: 40, cost: 5000 });
}

#[test]
fn golden_receipts() {
    macro_rules! vector {
        ($name:literal) => {
            include_bytes!(concat!("../../../../../tests/vectors/", $name, ".receipt"))
        };
    }
    for receipt in [&vector!("dense")[..], &vector!("average")[..]] {
        let case = Case::of_receipt(receipt);
        case.check(Limits::default());
        case.check(Limits { blocks: 3, cost: 300 });
    }
}

/// Whatever is opened, a witness comes out; where it is wrong, it fails.
#[test]
fn every_changed_byte_of_the_openings_fails() {
    for program in [dense(30, 20), wide(Operand::Const(9)), picks(), lookups()] {
        let mut case = Case::new(&program, 1, MANY);
        let items = case.segments(Limits::default()).remove(0);
        let schedule = case.schedule(&items).unwrap();
        let head = case.prepared.head_bytes(&case.course()) as usize;
        for at in (head..case.openings.len()).step_by(7) {
            let old = case.openings[at];
            case.openings[at] = old ^ 1;
            let failure = case.parsed().map(|proof| {
                let mains = case.witness_of(&schedule, &proof);
                case.judge(&schedule, &mains)
            });
            assert!(failure.is_none_or(|failure| failure.is_some()), "byte {at}");
            case.openings[at] = old;
        }
    }
}

#[test]
fn changed_outputs_fail() {
    let case = Case::new(&picks(), 1, MANY);
    let items = case.segments(Limits::default()).remove(0);
    let schedule = case.schedule(&items).unwrap();
    let mains = case.witness(&schedule);
    let mut outputs = case.journal().outputs;
    outputs[3] ^= 1;
    let other = case.schedule_for(&Journal { outputs: outputs.clone(), ..case.journal() }, &items);
    let failure = case.judge(&other.unwrap(), &mains);
    assert!(failure.unwrap().starts_with("bus 3"));
    let cut = Journal { outputs: outputs[1..].to_vec(), ..case.journal() };
    assert_eq!(case.schedule_for(&cut, &items).unwrap_err().code, "receipt.non-canonical");
}

#[test]
fn a_gather_along_too_long_an_axis_is_refused() {
    const SIZE: usize = 5 << 20;
    let mut b = Builder::default();
    let table = b.tensor(Role::Weight, 1, &[SIZE]);
    let by = b.ranged(Role::Input, 3, 0, 9, &[1]);
    let out = b.tensor(Role::Value, 1, &[1]);
    let Operand::Read(source) = read(table, &[SIZE], &[map(None, 0, None, 0, 0)]) else { panic!() };
    let index = read(by, &[1], &[by_i(0)]);
    b.op(out, &[1], OpKind::Gather(Gather { axis: 0, source, index }));
    let mut program = b.finish();
    let Source::Committed(layout) = &mut program.tensors[table].source else { panic!() };
    layout.piece = 1 << 16;
    let prepared = Prepared::new(std::sync::Arc::new(load(&encode(&program)).unwrap()));
    let item = Item::Gate { op: 0, step: 0, gate: 0 };
    let error = Leaves::new(&prepared, &Course::new(1, 0, None, None), &[item]).unwrap_err();
    assert_eq!(error.code, "verify.too-large");
}

/// Times of a segment as large as that of a dense network: 1,700 gates of 1,024 products.
#[test]
#[ignore = "a measurement"]
fn times() {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[64, 1024]);
    let mut last = x;
    for _ in 0..4 {
        let w = b.tensor(Role::Weight, 1, &[1024, 1024]);
        let y = b.tensor(Role::Value, 1, &[64, 1024]);
        let term = Term {
            window: vec![1024],
            a: read(last, &[64, 1024], &[by_i(0), by_k(0)]),
            b: read(w, &[1024, 1024], &[by_i(1), by_k(0)]),
        };
        let kind = Dot { mult: Operand::Const(300), ..dot(vec![term], 24) };
        b.op(y, &[64, 1024], OpKind::Dot(kind));
        last = y;
    }
    let mut program = b.finish();
    program.outputs.clear();
    let out = Port {
        name: "y".into(),
        tensor: last,
        batch: None,
        kind: PortKind::Integer,
        scale: 1.0,
        zero: 0,
    };
    program.outputs.push(out);
    let case = Case::new(&program, 1, 50_000);
    let segments = case.segments(Limits::default());
    let proof = case.proof();
    for items in &segments {
        let start = std::time::Instant::now();
        let journal = case.journal();
        let schedule = Schedule::new(&case.prepared, &journal, items, 180).unwrap();
        let (scheduled, start) = (start.elapsed(), std::time::Instant::now());
        let opened = Opened::new(&case.prepared, &proof);
        let (hashed, start) = (start.elapsed(), std::time::Instant::now());
        let mains = schedule.witness(&opened, None).unwrap();
        let witnessed = start.elapsed();
        println!(
            "{} items: {scheduled:?}, openings {hashed:?}, witness {witnessed:?}",
            items.len()
        );
        for (table, main) in schedule.tables.iter().zip(&mains) {
            println!("  {}: {} rows of {}", table.index, main.main.rows(), 1 << table.log_rows);
        }
    }
}

#[test]
fn segments_share_out_all_items() {
    for program in [dense(100, 40), convolution(), wide(Operand::Const(1)), picks(), lookups()] {
        let case = Case::new(&program, 3, 400_000);
        let whole = case.segments(Limits::default());
        assert_eq!(whole.len(), 1);
        let limits = Limits { blocks: 60, cost: 800 };
        let parts = case.segments(limits);
        assert!(parts.len() > 2);
        assert_eq!(parts.concat(), whole[0]);
        case.check(limits);
    }
}

/// Two prf tensors may share a domain: each value has its row, both take the same word.
#[test]
fn prf_tensors_of_one_domain() {
    let mut b = Builder::default();
    let tensors = [(0, 255), (-8, 7)].map(|(lo, hi)| b.ranged(Role::Prf, 2, lo, hi, &[20]));
    for tensor in tensors {
        b.program().tensors[tensor].source = Source::Prf { domain: 3 };
    }
    let x = b.tensor(Role::Input, 1, &[20]);
    let y = b.tensor(Role::Value, 2, &[20]);
    let cell = |t| read(t, &[20], &[by_i(0)]);
    let term = |a, b| Term { window: vec![], a, b };
    let terms = vec![term(cell(tensors[0]), cell(x)), term(cell(tensors[1]), Operand::Const(-2))];
    b.op(y, &[20], OpKind::Dot(dot(terms, 4)));
    let rows = Case::new(&b.finish(), 2, MANY).check(Limits::default());
    assert_eq!((rows[index::NOISE], rows[index::BITS]), (4, 80));
}

/// One sum of products of two tensors of width 2, too large for a direct accumulator.
fn wide_sum(hi: i32) -> Program {
    let mut b = Builder::default();
    let x = b.ranged(Role::Input, 2, 0, hi, &[4, 1024]);
    let w = b.tensor(Role::Weight, 2, &[6, 1024]);
    let y = b.tensor(Role::Value, 1, &[4, 6]);
    let term = Term {
        window: vec![1024],
        a: read(x, &[4, 1024], &[by_i(0), by_k(0)]),
        b: read(w, &[6, 1024], &[by_i(1), by_k(0)]),
    };
    b.op(y, &[4, 6], OpKind::Dot(Dot { mult: Operand::Const(1), ..dot(vec![term], 26) }));
    b.finish()
}

/// Values that only limbs read are ranged all the same.
#[test]
fn values_beyond_their_range_fail_where_limbs_read_them() {
    Case::new(&wide_sum(100), 2, MANY).check(Limits::default());
    let case = Case::lying(&wide_sum(100), &wide_sum(3000), 2, MANY);
    for items in case.segments(Limits::default()) {
        let schedule = case.schedule(&items).unwrap();
        let failure = case.judge(&schedule, &case.witness(&schedule)).unwrap();
        assert!(failure.starts_with("wide") || failure.starts_with("bus"), "{failure}");
    }
}

/// The ends of a table's domain are told from quotients in 24 bits: around p they would wrap.
#[test]
fn tables_far_from_zero_are_not_covered() {
    const P: i32 = 2_130_706_433;
    let covered = |lo: i32| {
        let mut program = dense(100, 100);
        program.tables[0].lo = lo;
        check_supported(&load(&encode(&program)).unwrap()).map_err(|error| error.code)
    };
    let last = (1 << 23) - 100;
    for lo in [-40, -(1 << 23), last] {
        assert_eq!(covered(lo), Ok(()));
    }
    for lo in [-(1 << 23) - 1, last + 1, 20_000_000, P - 40] {
        assert_eq!(covered(lo), Err("hybrid.unsupported"));
    }
}
