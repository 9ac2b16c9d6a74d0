//! A program to its canonical bytes (docs/receipt-format.md, Program); the inverse of `decode`.

use super::decode::{ABSENT, MAGIC, PLAIN, TRAINING};
use super::types::*;

/// Encodes a program that `decode` could have returned.
///
/// # Panics
/// If a count, number or dim does not fit its field, which no decoded program has.
pub fn encode(program: &Program) -> Vec<u8> {
    let Program { name, tensors, tables, ops, inputs, outputs, states, exports } = program;
    let mut w = Writer(MAGIC.to_vec());
    let version = if program.trains() { TRAINING } else { PLAIN };
    w.0.push(version);
    w.str(name);
    w.list16(tensors, Writer::tensor);
    w.list16(tables, Writer::table);
    w.list16(ops, Writer::op);
    w.list16(inputs, Writer::port);
    w.list16(outputs, Writer::port);
    w.list16(states, |w, StateLink { state, value, start }| {
        w.u16(*state);
        w.u16(*value);
        if version == TRAINING {
            w.start(*start);
        }
    });
    if version == TRAINING {
        w.list16(exports, |w, &tensor| w.u16(tensor));
    }
    w.0
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, value: usize) {
        self.0.push(u8::try_from(value).expect("fits u8"));
    }

    fn u16(&mut self, value: usize) {
        self.0.extend(u16::try_from(value).expect("fits u16").to_le_bytes());
    }

    fn u32(&mut self, value: usize) {
        self.0.extend(u32::try_from(value).expect("fits u32").to_le_bytes());
    }

    fn i32(&mut self, value: i32) {
        self.0.extend(value.to_le_bytes());
    }

    fn str(&mut self, text: &str) {
        self.u16(text.len());
        self.0.extend(text.as_bytes());
    }

    fn opt<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.0.push(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn list16<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.u16(values.len());
        for value in values {
            write(self, value);
        }
    }

    fn dims(&mut self, dims: &[usize]) {
        self.u8(dims.len());
        for &dim in dims {
            self.u32(dim);
        }
    }

    fn tensor(&mut self, tensor: &Tensor) {
        let Tensor { name, role, width, lo, hi, shape, source } = tensor;
        self.str(name);
        self.u8(*role as usize);
        self.u8(*width);
        self.i32(*lo);
        self.i32(*hi);
        self.dims(shape);
        match source {
            Source::Prf { domain } => self.0.extend(domain.to_le_bytes()),
            Source::Committed(layout) => self.layout(layout),
            Source::Data { layout, records } => {
                self.layout(layout);
                self.u32(*records);
            }
        }
    }

    fn layout(&mut self, Layout { order, trailing, piece }: &Layout) {
        order.iter().for_each(|&axis| self.u8(axis));
        self.u8(*trailing);
        self.u32(*piece);
    }

    fn start(&mut self, start: Option<Start>) {
        match start {
            None => self.u8(0),
            Some(Start::Constant(value)) => {
                self.u8(1);
                self.i32(value);
            }
            Some(Start::Drawn { domain, lo, hi }) => {
                self.u8(2);
                self.0.extend(domain.to_le_bytes());
                self.i32(lo);
                self.i32(hi);
            }
        }
    }

    fn table(&mut self, table: &Table) {
        let Table { name, lo, entries } = table;
        self.str(name);
        self.i32(*lo);
        self.u32(entries.len());
        entries.iter().for_each(|&entry| self.i32(entry));
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Const(value) => {
                self.u8(0);
                self.i32(*value);
            }
            Operand::Read(read) => self.read(read),
        }
    }

    fn read(&mut self, read: &Read) {
        let Read { tensor, view, maps, zero, pad } = read;
        self.u8(1);
        self.u16(*tensor);
        self.dims(view);
        for AxisMap { i_axis, a, k_axis, b, c, d } in maps {
            self.u8(i_axis.unwrap_or(ABSENT.into()));
            self.i32(*a);
            self.u8(k_axis.unwrap_or(ABSENT.into()));
            self.i32(*b);
            self.i32(*c);
            self.0.extend(d.to_le_bytes());
        }
        self.i32(*zero);
        self.opt(pad.as_ref(), |w, &pad| w.i32(pad));
    }

    fn op(&mut self, op: &Op) {
        let Op { name, out, exact, space, kind } = op;
        self.u8(match kind {
            OpKind::Dot(_) => 0,
            OpKind::Pick(_) => 1,
            OpKind::Gather(_) => 2,
            OpKind::Div(_) => 3,
        });
        self.str(name);
        self.u16(*out);
        self.0.push((*exact).into());
        self.dims(space);
        match kind {
            OpKind::Dot(dot) => self.dot(dot),
            OpKind::Pick(Pick { mode, window, operands }) => {
                self.u8(*mode as usize);
                self.dims(window);
                operands.iter().for_each(|operand| self.operand(operand));
            }
            OpKind::Gather(Gather { axis, source, index }) => {
                self.u8(*axis);
                self.read(source);
                self.operand(index);
            }
            OpKind::Div(Div { scale, num, den, out_zero }) => {
                self.u8(den.is_none().into());
                self.i32(*scale);
                self.operand(num);
                den.iter().for_each(|den| self.operand(den));
                self.i32(*out_zero);
            }
        }
    }

    fn dot(&mut self, dot: &Dot) {
        let Dot { terms, bias, mult, shift, rounding, out_zero, table } = dot;
        self.u8(terms.len());
        for Term { window, a, b } in terms {
            self.dims(window);
            self.operand(a);
            self.operand(b);
        }
        self.opt(bias.as_ref(), Self::operand);
        self.operand(mult);
        self.operand(shift);
        self.opt(rounding.as_ref(), Self::operand);
        self.i32(*out_zero);
        self.opt(table.as_ref(), |w, &table| w.u16(table));
    }

    fn port(&mut self, port: &Port) {
        let Port { name, tensor, batch, kind, scale, zero } = port;
        self.str(name);
        self.u16(*tensor);
        self.u8(batch.unwrap_or(ABSENT.into()));
        self.u8(*kind as usize);
        self.0.extend(scale.to_le_bytes());
        self.i32(*zero);
    }
}
