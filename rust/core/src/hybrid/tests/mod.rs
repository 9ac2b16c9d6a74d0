//! Schedules and witnesses, against the constraints and buses of the tables.

mod fixture;
mod proofs;

use self::fixture::Case;
use super::Schedule;
use super::leaves::Leaves;
use super::segments::{Item, Limits};
use super::support::check_supported;
use super::tables::{TABLES, index};
use super::trace::Opened;
use crate::fast::journal::Journal;
use crate::fast::openings::Prepared;
use crate::program::testing::{Builder, Rng, by_i, by_k, dot, linear, map, random, read};
use crate::program::*;

const MANY: u32 = 100_000;

fn padded(operand: Operand, zero: i32, pad: i32) -> Operand {
    let Operand::Read(read) = operand else { panic!("a read") };
    Operand::Read(Read { zero, pad: Some(pad), ..read })
}

fn with_zero(operand: Operand, zero: i32) -> Operand {
    let Operand::Read(read) = operand else { panic!("a read") };
    Operand::Read(Read { zero, ..read })
}

/// Other leaves than whole rows in order.
fn shuffle_layouts(program: &mut Program, rng: &mut Rng) {
    for tensor in &mut program.tensors {
        let Source::Committed(layout) = &mut tensor.source else { continue };
        let rank = tensor.shape.len();
        layout.order = (0..rank).map(|i| (i + rng.0 as usize) % rank).collect();
        layout.trailing = 1 + rng.below(rank);
        let row: usize =
            layout.order[rank - layout.trailing..].iter().map(|&a| tensor.shape[a]).product();
        layout.piece = 1 + rng.below(row);
    }
}

/// `y = x·w`, `inputs` long rows in pieces; zeros, a bias of width 3, a multiplier of width 2, a table.
fn dense(inputs: usize, piece: usize) -> Program {
    let mut b = Builder::default();
    let x = b.ranged(crate::program::Role::Input, 1, -100, 120, &[4, inputs]);
    let w = b.tensor(Role::Weight, 1, &[6, inputs]);
    let bias = b.ranged(Role::Weight, 3, -9000, 9000, &[6]);
    let mult = b.ranged(Role::Weight, 2, 1, 3000, &[6]);
    let y = b.tensor(Role::Value, 1, &[4, 6]);
    let term = Term {
        window: vec![inputs],
        a: with_zero(read(x, &[4, inputs], &[by_i(0), by_k(0)]), 5),
        b: with_zero(read(w, &[6, inputs], &[by_i(1), by_k(0)]), -3),
    };
    let kind = Dot {
        bias: Some(read(bias, &[6], &[by_i(1)])),
        mult: read(mult, &[6], &[by_i(1)]),
        out_zero: 7,
        table: Some(0),
        ..dot(vec![term], 21)
    };
    b.op(y, &[4, 6], OpKind::Dot(kind));
    let entries = (-50..50).map(|x: i32| x * x / 20 - 100).collect();
    b.program().tables.push(Table { name: "square".into(), lo: -40, entries });
    let mut program = b.finish();
    for tensor in [x, w] {
        let Source::Committed(layout) = &mut program.tensors[tensor].source else { panic!() };
        layout.piece = piece;
    }
    program
}

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

/// A convolution with stride 2 and a border of pads, then a pool over padded windows.
fn convolution() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[2, 3, 9, 6]);
    let w = b.tensor(Role::Weight, 1, &[4, 3, 3, 3]);
    let c = b.tensor(Role::Value, 1, &[2, 4, 5, 3]);
    let p = b.tensor(Role::Value, 1, &[2, 4, 3, 2]);
    let at = |i, k, c| map(Some(i), 2, Some(k), 1, c);
    let term = Term {
        window: vec![3, 3, 3],
        a: padded(read(x, &[2, 3, 9, 6], &[by_i(0), by_k(0), at(2, 1, -1), at(3, 2, -1)]), -2, 4),
        b: read(w, &[4, 3, 3, 3], &[by_i(1), by_k(0), by_k(1), by_k(2)]),
    };
    let kind = Dot { mult: Operand::Const(20_001), out_zero: 1, ..dot(vec![term], 22) };
    b.op(c, &[2, 4, 5, 3], OpKind::Dot(kind));
    let operand = read(c, &[2, 4, 5, 3], &[by_i(0), by_i(1), at(2, 0, -1), at(3, 1, -1)]);
    let operands = vec![padded(operand, 0, -127)];
    let pool = Pick { mode: PickMode::Max, window: vec![2, 2], operands };
    b.op(p, &[2, 4, 3, 2], OpKind::Pick(pool));
    let mut program = b.finish();
    let Source::Committed(layout) = &mut program.tensors[x].source else { panic!() };
    (layout.order, layout.trailing, layout.piece) = (vec![0, 2, 3, 1], 2, 5);
    program
}

#[test]
fn convolutions_read_single_values() {
    let rows = Case::new(&convolution(), 1, MANY).check(Limits::default());
    assert_eq!((rows[index::ROW_DOT], rows[index::READ_DOT]), (0, 240));
    assert_eq!(rows[index::SCAN], 2 * 4 * 3 * 2 * 4);
}

/// State and rounding: `state' = clamp((state·w + act·c + ρ) / 2^s)` with a wide accumulator.
fn wide(bias: Operand) -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 1, &[2, 4]);
    let master = b.tensor(Role::Weight, 3, &[2, 4]);
    let state = b.tensor(Role::State, 2, &[2, 4]);
    let noise = b.ranged(Role::Prf, 2, 0, 4095, &[2, 4]);
    let next = b.tensor(Role::Value, 2, &[2, 4]);
    let cell = |t| read(t, &[2, 4], &[by_i(0), by_i(1)]);
    let shifted = map(Some(1), 1, None, 0, -1);
    let terms = vec![
        Term { window: vec![], a: cell(state), b: cell(master) },
        Term { window: vec![2], a: cell(x), b: Operand::Const(-70_000) },
        Term {
            window: vec![],
            a: padded(read(state, &[2, 4], &[by_i(0), shifted]), 0, -300),
            b: cell(x),
        },
    ];
    let kind = Dot {
        bias: Some(bias),
        mult: Operand::Const(3),
        rounding: Some(cell(noise)),
        ..dot(terms, 26)
    };
    b.op(next, &[2, 4], OpKind::Dot(kind));
    let mut program = b.finish();
    program.states.push(StateLink { state, value: next });
    program
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

/// Greater, equal, select and copy of values of several widths.
fn picks() -> Program {
    let mut b = Builder::default();
    let x = b.tensor(Role::Input, 2, &[40]);
    let y = b.tensor(Role::Input, 1, &[40]);
    let noise = b.ranged(Role::Prf, 1, -2, 1, &[40]);
    let cell = |t| read(t, &[40], &[by_i(0)]);
    let modes = [
        (PickMode::Greater, vec![with_zero(cell(x), 3), cell(y)]),
        (PickMode::Greater, vec![cell(y), Operand::Const(-5)]),
        (PickMode::Equal, vec![cell(noise), Operand::Const(1)]),
        (PickMode::Select, vec![cell(noise), cell(y), cell(x)]),
        (PickMode::Copy, vec![cell(x)]),
    ];
    for (mode, operands) in modes {
        let out = b.tensor(Role::Value, 3, &[40]);
        b.op(out, &[40], OpKind::Pick(Pick { mode, window: vec![], operands }));
    }
    let out = b.tensor(Role::Value, 1, &[4]);
    let operands = vec![read(noise, &[4, 10], &[by_i(0), by_k(0)])];
    b.op(out, &[4], OpKind::Pick(Pick { mode: PickMode::Argmax, window: vec![10], operands }));
    b.finish()
}

#[test]
fn picks_of_every_mode() {
    let rows = Case::new(&picks(), 2, MANY).check(Limits::default());
    assert_eq!((rows[index::PICK], rows[index::SCAN]), (400, 80));
}

/// A gather from rows, its index of width 2; a root; a quotient by it.
fn lookups() -> Program {
    let mut b = Builder::default();
    let table = b.tensor(Role::Weight, 2, &[9, 4]);
    let by = b.ranged(Role::Input, 2, 3, 11, &[5]);
    let rows = b.tensor(Role::Value, 2, &[5, 4]);
    let root = b.ranged(Role::Value, 2, 1, 32767, &[5]);
    let unit = b.ranged(Role::Value, 1, -90, 100, &[5, 4]);
    let absent = map(None, 0, None, 0, 0);
    let source = padded(read(table, &[9, 4], &[absent, map(Some(1), 1, None, 0, -1)]), 2, -7);
    let Operand::Read(source) = source else { panic!() };
    let source = Read { zero: 0, ..source };
    let index = with_zero(read(by, &[5], &[by_i(0)]), 3);
    b.op(rows, &[5, 4], OpKind::Gather(Gather { axis: 0, source, index }));
    let num = read(by, &[5], &[by_i(0)]);
    b.op(root, &[5], OpKind::Div(Div { scale: 30_000, num, den: None, out_zero: 1 }));
    let (num, den) = (read(rows, &[5, 4], &[by_i(0), by_i(1)]), read(root, &[5], &[by_i(0)]));
    let quotient = Div { scale: 5, num, den: Some(den), out_zero: 2 };
    b.op(unit, &[5, 4], OpKind::Div(quotient));
    b.finish()
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
    assert_eq!((rows[index::NODE], rows[index::SPONGE]), (0, 3));
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
    let shift = program.of_role(&[Role::Weight]).into_iter();
    let shift = shift.rev().find(|&t| program.tensors[t].name == "shift").unwrap();
    let OpKind::Dot(mixed) = &mut program.ops[0].kind else { panic!() };
    // What the shifts were is added to the sum instead.
    let a = std::mem::replace(&mut mixed.shift, Operand::Const(19));
    mixed.terms.push(Term { window: vec![], a, b: Operand::Const(3) });
    assert!(shift > 0);
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
        let seeded = usize::from(!case.prepared.committed.weights.is_empty());
        let head = case.prepared.head_bytes(1) as usize;
        assert!(seeded < 2 && head < case.openings.len());
        for at in (head..case.openings.len()).step_by(7) {
            // The high byte of a word would leave the field.
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
    let mut outputs = case.journal().outputs.to_vec();
    outputs[3] ^= 1;
    let other = case.schedule_for(&Journal { outputs: &outputs, ..case.journal() }, &items);
    let failure = case.judge(&other.unwrap(), &mains);
    assert!(failure.unwrap().starts_with("bus 3"));
    let cut = Journal { outputs: &outputs[1..], ..case.journal() };
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
    let error = Leaves::new(&prepared, &[item]).unwrap_err();
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
    let plan = case.plan();
    let proof = case.proof();
    for items in &segments {
        let start = std::time::Instant::now();
        let root = |place, tensor| proof.root(&case.prepared, place, tensor);
        let journal = case.journal();
        let schedule = Schedule::new(&case.prepared, &plan, &journal, items, root, 180).unwrap();
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

#[test]
#[ignore]
fn digests() {
    use p3_field::PrimeField32;
    use sha2::{Digest, Sha256};
    for path in std::fs::read_dir("/tmp/wtsched").unwrap() {
        let path = path.unwrap().path();
        if path.extension().is_none_or(|e| e != "receipt") { continue }
        let case = Case::of_receipt(&std::fs::read(&path).unwrap());
        let cost = path.file_stem().unwrap().to_str().unwrap().split('-').nth(1).unwrap().parse().unwrap();
        let mut out = String::new();
        for items in case.segments(Limits { blocks: 98304, cost }) {
            let schedule = case.schedule(&items).unwrap();
            for table in &schedule.tables {
                let mut hash = Sha256::new();
                for row in 0..table.publics.rows() {
                    for cell in &table.publics.row(row)[2..] { hash.update(cell.as_canonical_u32().to_le_bytes()); }
                }
                out += &format!("{} {} {}\n", TABLES.airs[table.index].name, table.publics.rows(), crate::hash::hex(&hash.finalize()));
            }
            for t in &schedule.terms {
                let mut hash = Sha256::new();
                let mut rows: Vec<Vec<u32>> = (0..t.tuples.rows()).map(|r| t.tuples.row(r).iter().map(|c| c.as_canonical_u32()).collect()).collect();
                rows.sort();
                for cell in rows.concat() { hash.update(cell.to_le_bytes()); }
                out += &format!("term {} {} {}\n", t.bus, t.tuples.rows(), crate::hash::hex(&hash.finalize()));
            }
        }
        std::fs::write(path.with_extension("rust"), out).unwrap();
    }
}
