//! Canonical bytes to a program (docs/receipt-format.md, Program). Every breach is `program.malformed`.

use super::types::*;
use crate::bytes::{Codes, Reader};
use crate::error::{Error, Result};

pub(super) const MAGIC: &[u8; 7] = b"ZKTPROG";
/// Version of a program that uses none of what [`TRAINING`] adds.
pub(super) const PLAIN: u8 = 1;
/// Version of a program with data tensors, declared starts or exports.
pub(super) const TRAINING: u8 = 2;
pub(super) const ABSENT: u8 = 255;
const MAX_RANK: u8 = 8;
const MAX_TERMS: u8 = 64;
const MAX_ENTRIES: u32 = 1 << 16;

/// Decodes program bytes.
///
/// # Errors
/// `program.malformed` for bytes that are not the one encoding of a program. What decodes may still
/// name things that do not exist or break other rules: see [`super::validate`].
pub fn decode(bytes: &[u8]) -> Result<Program> {
    let mut r = Reader::new(bytes, Codes::all("program.malformed"));
    if r.take(MAGIC.len())? != MAGIC {
        return Err(r.bad("not a program"));
    }
    let version = r.u8()?;
    if ![PLAIN, TRAINING].contains(&version) {
        return Err(r.bad("not a program of version 1 or 2").received(version));
    }
    let trains = version == TRAINING;
    let program = Program {
        name: name(&mut r)?,
        tensors: r.list16(|r| tensor(r, trains))?,
        tables: r.list16(table)?,
        ops: r.list16(op)?,
        inputs: r.list16(port)?,
        outputs: r.list16(port)?,
        states: r.list16(|r| link(r, trains))?,
        exports: if trains { r.list16(|r| Ok(r.u16()?.into()))? } else { Vec::new() },
    };
    if program.trains() != trains {
        return Err(r.bad("a program of version 2 that uses nothing of it"));
    }
    r.finish()?;
    Ok(program)
}

fn unknown(r: &Reader<'_>, what: &str, code: u8) -> Error {
    r.bad(format!("unknown {what}")).received(code)
}

fn name(r: &mut Reader<'_>) -> Result<String> {
    let bytes = r.str()?;
    if bytes.is_empty() || bytes.len() > 128 || !bytes.iter().all(|b| (0x20..=0x7e).contains(b)) {
        return Err(r.bad("a name is 1 to 128 printable ASCII bytes"));
    }
    Ok(bytes.iter().map(|&b| char::from(b)).collect())
}

fn dims(r: &mut Reader<'_>, min_rank: u8) -> Result<Vec<usize>> {
    let rank = r.u8()?;
    if !(min_rank..=MAX_RANK).contains(&rank) {
        return Err(r.bad("bad rank").expected(format!("{min_rank} to {MAX_RANK}")).received(rank));
    }
    r.repeat(rank.into(), |r| match r.u32()? {
        0 => Err(r.bad("a dim is at least 1")),
        dim => Ok(dim as usize),
    })
}

fn link(r: &mut Reader<'_>, trains: bool) -> Result<StateLink> {
    let (state, value) = (r.u16()?.into(), r.u16()?.into());
    let start = match if trains { r.u8()? } else { 0 } {
        0 => None,
        1 => Some(Start::Constant(r.i32()?)),
        2 => Some(Start::Drawn { domain: r.u32()?, lo: r.i32()?, hi: r.i32()? }),
        code => return Err(unknown(r, "start of a state", code)),
    };
    Ok(StateLink { state, value, start })
}

fn tensor(r: &mut Reader<'_>, trains: bool) -> Result<Tensor> {
    let name = name(r)?;
    let role = match r.u8()? {
        0 => Role::Input,
        1 => Role::Weight,
        2 => Role::State,
        3 => Role::Prf,
        4 => Role::Value,
        5 if trains => Role::Data,
        code => return Err(unknown(r, "role", code)),
    };
    let (width, lo, hi) = (r.u8()?.into(), r.i32()?, r.i32()?);
    let shape = dims(r, 1)?;
    let source = match role {
        Role::Prf => Source::Prf { domain: r.u32()? },
        Role::Data => Source::Data { layout: layout(r, shape.len())?, records: r.u32()? as usize },
        _ => Source::Committed(layout(r, shape.len())?),
    };
    Ok(Tensor { name, role, width, lo, hi, shape, source })
}

fn layout(r: &mut Reader<'_>, rank: usize) -> Result<Layout> {
    let order = r.repeat(rank, |r| Ok(usize::from(r.u8()?)))?;
    if !(0..rank).all(|axis| order.contains(&axis)) {
        return Err(r.bad("a layout's order is a permutation of the axes"));
    }
    let trailing = usize::from(r.u8()?);
    if !(1..=rank).contains(&trailing) {
        return Err(r
            .bad("bad number of trailing axes")
            .expected(format!("1 to {rank}"))
            .received(trailing));
    }
    Ok(Layout { order, trailing, piece: r.u32()? as usize })
}

fn table(r: &mut Reader<'_>) -> Result<Table> {
    let (name, lo, count) = (name(r)?, r.i32()?, r.u32()?);
    if !(1..=MAX_ENTRIES).contains(&count) {
        return Err(r.bad("a table has 1 to 65536 entries").received(count));
    }
    Ok(Table { name, lo, entries: r.repeat(count as usize, Reader::i32)? })
}

fn operand(r: &mut Reader<'_>) -> Result<Operand> {
    match r.u8()? {
        0 => Ok(Operand::Const(r.i32()?)),
        1 => Ok(Operand::Read(read(r)?)),
        code => Err(unknown(r, "operand", code)),
    }
}

fn read(r: &mut Reader<'_>) -> Result<Read> {
    let tensor = r.u16()?.into();
    let view = dims(r, 1)?;
    let maps = r.repeat(view.len(), axis_map)?;
    Ok(Read { tensor, view, maps, zero: r.i32()?, pad: r.opt(Reader::i32)? })
}

fn axis_map(r: &mut Reader<'_>) -> Result<AxisMap> {
    let (i_axis, a) = axis_factor(r)?;
    let (k_axis, b) = axis_factor(r)?;
    let (c, d) = (r.i32()?, r.u32()?);
    if d == 0 {
        return Err(r.bad("an axis map's divisor is at least 1"));
    }
    Ok(AxisMap { i_axis, a, k_axis, b, c, d })
}

fn axis_factor(r: &mut Reader<'_>) -> Result<(Option<usize>, i32)> {
    match (r.u8()?, r.i32()?) {
        (ABSENT, 0) => Ok((None, 0)),
        (ABSENT, _) => Err(r.bad("the factor of an absent axis is 0")),
        (axis, factor) => Ok((Some(axis.into()), factor)),
    }
}

fn op(r: &mut Reader<'_>) -> Result<Op> {
    let kind = r.u8()?;
    let (name, out, exact, space) = (name(r)?, r.u16()?.into(), r.flag()?, dims(r, 0)?);
    let kind = match kind {
        0 => OpKind::Dot(dot(r)?),
        1 => OpKind::Pick(pick(r)?),
        2 => OpKind::Gather(gather(r)?),
        3 => OpKind::Div(div(r)?),
        code => return Err(unknown(r, "kind of op", code)),
    };
    Ok(Op { name, out, exact, space, kind })
}

fn dot(r: &mut Reader<'_>) -> Result<Dot> {
    let count = r.u8()?;
    if !(1..=MAX_TERMS).contains(&count) {
        return Err(r.bad("a dot has 1 to 64 terms").received(count));
    }
    let terms = r.repeat(count.into(), |r| {
        Ok(Term { window: dims(r, 0)?, a: operand(r)?, b: operand(r)? })
    })?;
    Ok(Dot {
        terms,
        bias: r.opt(operand)?,
        mult: operand(r)?,
        shift: operand(r)?,
        rounding: r.opt(operand)?,
        out_zero: r.i32()?,
        table: r.opt(|r| Ok(r.u16()?.into()))?,
    })
}

fn pick(r: &mut Reader<'_>) -> Result<Pick> {
    let mode = match r.u8()? {
        0 => PickMode::Max,
        1 => PickMode::Argmax,
        2 => PickMode::Copy,
        3 => PickMode::Greater,
        4 => PickMode::Equal,
        5 => PickMode::Select,
        code => return Err(unknown(r, "mode of pick", code)),
    };
    Ok(Pick { mode, window: dims(r, 0)?, operands: r.repeat(mode.operands(), operand)? })
}

fn gather(r: &mut Reader<'_>) -> Result<Gather> {
    const INDEXED: AxisMap = AxisMap { i_axis: None, a: 0, k_axis: None, b: 0, c: 0, d: 1 };
    let axis = usize::from(r.u8()?);
    let Operand::Read(source) = operand(r)? else {
        return Err(r.bad("the source of a gather is a tensor read"));
    };
    if source.maps.get(axis).is_some_and(|map| *map != INDEXED) {
        return Err(r.bad("the gathered axis has the empty map"));
    }
    Ok(Gather { axis, source, index: operand(r)? })
}

fn div(r: &mut Reader<'_>) -> Result<Div> {
    let mode = r.u8()?;
    let (scale, num) = (r.i32()?, operand(r)?);
    let den = match mode {
        0 => Some(operand(r)?),
        1 => None,
        code => return Err(unknown(r, "mode of div", code)),
    };
    Ok(Div { scale, num, den, out_zero: r.i32()? })
}

fn port(r: &mut Reader<'_>) -> Result<Port> {
    let (name, tensor) = (name(r)?, r.u16()?.into());
    let batch = match r.u8()? {
        0 => Some(0),
        ABSENT => None,
        code => return Err(unknown(r, "batch axis", code)),
    };
    let kind = match r.u8()? {
        0 => PortKind::Float,
        1 => PortKind::Integer,
        code => return Err(unknown(r, "kind of port", code)),
    };
    let (scale, zero) = (r.f64()?, r.i32()?);
    if !(scale.is_finite() && scale > 0.0) {
        return Err(r.bad("a port's scale is positive and finite"));
    }
    if kind == PortKind::Integer && (scale != 1.0 || zero != 0) {
        return Err(r.bad("an integer port has scale 1 and zero 0"));
    }
    Ok(Port { name, tensor, batch, kind, scale, zero })
}
