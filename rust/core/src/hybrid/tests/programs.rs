//! Programs that together have every row of every table.

use crate::program::testing::{Builder, by_i, by_k, dot, map, read};
use crate::program::*;

pub fn padded(operand: Operand, zero: i32, pad: i32) -> Operand {
    let Operand::Read(read) = operand else { panic!("a read") };
    Operand::Read(Read { zero, pad: Some(pad), ..read })
}

pub fn with_zero(operand: Operand, zero: i32) -> Operand {
    let Operand::Read(read) = operand else { panic!("a read") };
    Operand::Read(Read { zero, ..read })
}

/// `y = x·w`, `inputs` long rows in pieces; zeros, a bias of width 3, a multiplier of width 2, a table.
pub fn dense(inputs: usize, piece: usize) -> Program {
    let mut b = Builder::default();
    let x = b.ranged(Role::Input, 1, -100, 120, &[4, inputs]);
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

/// A convolution with stride 2 and a border of pads, then a pool over padded windows.
pub fn convolution() -> Program {
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

/// State and rounding: `state' = clamp((state·w + act·c + ρ) / 2^s)` with a wide accumulator.
pub fn wide(bias: Operand) -> Program {
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
    program.states.push(StateLink { state, value: next, start: None });
    program
}

/// Greater, equal, select and copy of values of several widths.
pub fn picks() -> Program {
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

/// A gather from rows, its index of width 2; a root; a quotient by it.
pub fn lookups() -> Program {
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
