//! The rules of docs/protocol.md section 1, Validation, except the range rules (`ranges`) and the
//! step weight (`weights`). Every breach is `program.invalid`.

use std::collections::HashSet;

use super::invalid;
use super::operands::OperandRef;
use super::types::*;
use crate::error::Result;
use crate::hash::P;

const MAX_TENSORS: usize = 4096;
const MAX_OPS: usize = 4096;
const MAX_TABLES: usize = 256;
const MAX_DIM: usize = (1 << 31) - 1;
const MAX_SIZE: usize = 1 << 30;
const MAX_VALUES: usize = 1 << 28;
const MAX_LEAVES: usize = 1 << 26;
const MAX_PIECE: usize = 1 << 16;
/// Values that a drawn start chooses from.
const MAX_SPAN: i64 = 1 << 24;
const MAX_PRODUCTS: usize = 1 << 20;

/// Judges a decoded program. Sizes come first: all later code multiplies dims freely.
pub(super) fn validate(program: &Program) -> Result<()> {
    counts(program)?;
    program.tensors.iter().try_for_each(tensor)?;
    total(program)?;
    for op in &program.ops {
        sizes(program, op).map_err(|rule| invalid(format!("op {:?}: {rule}", op.name)))?;
        for used in op.operands() {
            if let OperandRef::Read(read) = used.operand {
                maps(&op.space, used.window, read)
                    .map_err(|rule| invalid(format!("op {:?}: {rule}", op.name)))?;
            }
        }
    }
    names(program)?;
    ports(program)?;
    states(program)?;
    data(program)?;
    exports(program)?;
    definitions(program)?;
    reachable(program)
}

type Rule = std::result::Result<(), String>;

fn require(holds: bool, rule: impl FnOnce() -> String) -> Rule {
    if holds { Ok(()) } else { Err(rule()) }
}

fn counts(program: &Program) -> Result<()> {
    let limits = [
        ("tensors", program.tensors.len(), MAX_TENSORS),
        ("ops", program.ops.len(), MAX_OPS),
        ("tables", program.tables.len(), MAX_TABLES),
    ];
    for (what, count, limit) in limits {
        if count > limit {
            return Err(invalid(format!("too many {what}"))
                .expected(format!("at most {limit}"))
                .received(count));
        }
    }
    Ok(())
}

/// The product of dims, if each dim and the product keep their limits.
fn size(dims: &[usize], limit: usize) -> Option<usize> {
    dims.iter().try_fold(1usize, |size, &dim| {
        (dim <= MAX_DIM).then(|| size.checked_mul(dim)).flatten().filter(|&size| size <= limit)
    })
}

/// Readers keep something per element, so tensors have a limit together, too.
fn total(program: &Program) -> Result<()> {
    let committed = |tensor: &Tensor| tensor.committed_shape().iter().product::<usize>();
    let values = program.tensors.iter().filter(|tensor| tensor.role == Role::Value);
    let limits = [
        ("all", program.tensors.iter().map(committed).sum::<usize>(), MAX_SIZE),
        ("all value", values.map(Tensor::size).sum(), MAX_VALUES),
    ];
    for (which, total, limit) in limits {
        if total > limit {
            return Err(invalid(format!("too many elements in {which} tensors"))
                .expected(format!("at most {limit}"))
                .received(total));
        }
    }
    Ok(())
}

fn tensor(tensor: &Tensor) -> Result<()> {
    tensor_rules(tensor).map_err(|rule| invalid(format!("tensor {:?}: {rule}", tensor.name)))
}

fn tensor_rules(tensor: &Tensor) -> Rule {
    let Tensor { width, lo, hi, shape, source, .. } = tensor;
    require((1..=3).contains(width), || format!("a width is 1 to 3 bytes, not {width}"))?;
    let half = 1i32 << (8 * width - 1);
    require(-half <= *lo && lo <= hi && *hi < half, || {
        format!("the range [{lo}, {hi}] is not inside that of {width} bytes")
    })?;
    if let Source::Data { layout, records } = source {
        data_rules(shape, layout, *records)?;
    }
    let shape = &tensor.committed_shape();
    require(size(shape, MAX_SIZE).is_some(), || format!("more than {MAX_SIZE} elements"))?;
    match source {
        Source::Committed(layout) | Source::Data { layout, .. } => {
            let row = layout.row(shape);
            let piece = layout.piece;
            require((1..=row.min(MAX_PIECE)).contains(&piece), || {
                format!("a piece of {piece} elements, in rows of {row} and of at most {MAX_PIECE}")
            })?;
            require(layout.leaves(shape) <= MAX_LEAVES, || format!("more than {MAX_LEAVES} leaves"))
        }
        Source::Prf { domain } => {
            require(*domain < P, || format!("a prf domain of {domain} is no field element"))?;
            let span = i64::from(*hi) - i64::from(*lo) + 1;
            require(span > 1 && span & (span - 1) == 0, || {
                "a prf range has 2^b values, b = 1 to 24".into()
            })
        }
    }
}

/// A leaf of a data set lies within one record.
fn data_rules(shape: &[usize], layout: &Layout, records: usize) -> Rule {
    require(shape.len() >= 2, || "a data tensor has an axis beside that of its slots".into())?;
    require(layout.order[0] == 0 && layout.trailing < shape.len(), || {
        "the rows of a data tensor lie within its slots".into()
    })?;
    require(records >= shape[0], || format!("{} slots and {records} records", shape[0]))
}

/// Numbers that exist, and sizes within limits.
fn sizes(program: &Program, op: &Op) -> Rule {
    let tensors = &program.tensors;
    require(op.out < tensors.len(), || format!("there is no tensor {}", op.out))?;
    require(size(&op.space, MAX_SIZE) == Some(tensors[op.out].size()), || {
        "the space does not have the size of the output".into()
    })?;
    match &op.kind {
        OpKind::Dot(dot) => {
            let products = dot.terms.iter().try_fold(0, |sum: usize, term| {
                size(&term.window, MAX_PRODUCTS).map(|size| sum + size)
            });
            require(products.is_some_and(|n| n <= MAX_PRODUCTS), too_many_products)?;
            require(dot.table.is_none_or(|table| table < program.tables.len()), || {
                "there is no such table".into()
            })?;
        }
        OpKind::Pick(Pick { mode, window, operands }) => {
            let products = size(window, MAX_PRODUCTS).map(|size| size * operands.len());
            require(products.is_some_and(|n| n <= MAX_PRODUCTS), too_many_products)?;
            let windowed = matches!(mode, PickMode::Max | PickMode::Argmax);
            require(windowed || size(window, 1) == Some(1), || {
                "only max and argmax have a window".into()
            })?;
        }
        OpKind::Gather(Gather { axis, source, .. }) => {
            require(*axis < source.view.len(), || format!("the source has no axis {axis}"))?;
        }
        OpKind::Div(_) => {}
    }
    for used in op.operands() {
        if let OperandRef::Read(read) = used.operand {
            require(read.tensor < tensors.len(), || format!("there is no tensor {}", read.tensor))?;
            let tensor = &tensors[read.tensor];
            require(size(&read.view, MAX_SIZE) == Some(tensor.size()), || {
                format!("a view of tensor {:?} has another size", tensor.name)
            })?;
            let half = 1 << (8 * tensor.width - 1);
            require(read.pad.is_none_or(|pad| (-half..half).contains(&pad)), || {
                format!("a pad is outside the width of tensor {:?}", tensor.name)
            })?;
        }
    }
    Ok(())
}

fn too_many_products() -> String {
    format!("more than {MAX_PRODUCTS} products in a gate")
}

/// Axes that exist; without a pad, whole indices that are provably in range.
fn maps(space: &[usize], window: &[usize], read: &Read) -> Rule {
    for (axis, (map, &dim)) in read.maps.iter().zip(&read.view).enumerate() {
        require(map.i_axis.is_none_or(|i| i < space.len()), || {
            format!("view axis {axis}: no such space axis")
        })?;
        require(map.k_axis.is_none_or(|k| k < window.len()), || {
            format!("view axis {axis}: no such window axis")
        })?;
        if read.pad.is_none() {
            let (lo, hi) = map.extremes(space, window);
            require(map.d == 1, || format!("view axis {axis}: a divisor needs a pad"))?;
            require(lo >= 0 && hi < dim as i64, || {
                format!(
                    "view axis {axis}: indices {lo} to {hi} leave [0, {dim}) and there is no pad"
                )
            })?;
        }
    }
    Ok(())
}

impl AxisMap {
    /// Least and largest numerator over a space and a window. Dims are below 2^31 and factors are
    /// i32, so nothing overflows.
    pub(crate) fn extremes(&self, space: &[usize], window: &[usize]) -> (i64, i64) {
        let last =
            |axis: Option<usize>, dims: &[usize]| axis.map_or(0, |axis| dims[axis] as i64 - 1);
        let i = i64::from(self.a) * last(self.i_axis, space);
        let k = i64::from(self.b) * last(self.k_axis, window);
        let c = i64::from(self.c);
        (c + i.min(0) + k.min(0), c + i.max(0) + k.max(0))
    }
}

fn names(program: &Program) -> Result<()> {
    unique("tensor", program.tensors.iter().map(|t| &t.name))?;
    unique("op", program.ops.iter().map(|o| &o.name))?;
    unique("input port", program.inputs.iter().map(|p| &p.name))?;
    unique("output port", program.outputs.iter().map(|p| &p.name))
}

fn unique<'a>(what: &str, mut names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(name.as_str())) {
        Some(name) => Err(invalid(format!("two {what}s are named {name:?}"))),
        None => Ok(()),
    }
}

/// Refuses a list that names a tensor twice or leaves one of the role that must stand there unnamed.
fn named_once(program: &Program, places: &[usize], place: &str, must: Option<Role>) -> Result<()> {
    let mut seen = HashSet::new();
    if let Some(&t) = places.iter().find(|&&t| !seen.insert(t)) {
        return Err(invalid(format!(
            "tensor {:?} stands in two {place}s",
            program.tensors[t].name
        )));
    }
    let missing = program
        .tensors
        .iter()
        .enumerate()
        .find(|(t, tensor)| Some(tensor.role) == must && !seen.contains(t));
    match missing {
        Some((_, tensor)) => Err(invalid(format!("tensor {:?} stands in no {place}", tensor.name))),
        None => Ok(()),
    }
}

fn ports(program: &Program) -> Result<()> {
    let sides =
        [(&program.inputs, Role::Input, "an input"), (&program.outputs, Role::Value, "an output")];
    let mut batch = None;
    for (ports, role, what) in sides {
        for port in ports {
            let tensor = program.tensors.get(port.tensor).filter(|tensor| tensor.role == role);
            let Some(tensor) = tensor else {
                return Err(invalid(format!(
                    "port {:?}: {what} port names a tensor of that role",
                    port.name
                )));
            };
            if let Some(axis) = port.batch
                && *batch.get_or_insert(tensor.shape[axis]) != tensor.shape[axis]
            {
                return Err(invalid(format!("port {:?}: its batch has another extent", port.name)));
            }
        }
    }
    let tensors = |ports: &[Port]| ports.iter().map(|port| port.tensor).collect::<Vec<_>>();
    named_once(program, &tensors(&program.inputs), "input port", Some(Role::Input))?;
    named_once(program, &tensors(&program.outputs), "output port", None)?;
    if program.outputs.is_empty() && program.states.is_empty() {
        return Err(invalid("there is neither an output port nor a state"));
    }
    Ok(())
}

fn states(program: &Program) -> Result<()> {
    let tensors = &program.tensors;
    for link in &program.states {
        let state = tensors.get(link.state).filter(|tensor| tensor.role == Role::State);
        let value = tensors.get(link.value).filter(|tensor| tensor.role == Role::Value);
        let (Some(state), Some(value)) = (state, value) else {
            return Err(invalid("a state link joins a state tensor and a value tensor"));
        };
        let alike = (state.width, state.lo, state.hi, &state.shape, &state.source)
            == (value.width, value.lo, value.hi, &value.shape, &value.source);
        if !alike {
            return Err(invalid(format!(
                "tensors {:?} and {:?} are linked but differ in width, range, shape or layout",
                state.name, value.name
            )));
        }
    }
    let (from, to): (Vec<_>, Vec<_>) =
        program.states.iter().map(|link| (link.state, link.value)).unzip();
    named_once(program, &from, "state link", Some(Role::State))?;
    named_once(program, &to, "state link", None)?;
    starts(program)
}

/// All data tensors are of one data set, and a step that reads it is one item.
fn data(program: &Program) -> Result<()> {
    let Some(data) = program.data() else { return Ok(()) };
    let of_data = program.tensors.iter().filter(|tensor| tensor.role == Role::Data);
    if let Some(other) =
        of_data.into_iter().find(|t| Some(data) != t.records().map(|r| (t.shape[0], r)))
    {
        return Err(invalid(format!("tensor {:?}: other slots or records", other.name))
            .expected(format!("{} slots, {} records", data.0, data.1)));
    }
    if program.itemised() {
        return Err(invalid("a program with data tensors has a port with a batch axis"));
    }
    Ok(())
}

/// How states begin: all of them by the program, or none.
fn starts(program: &Program) -> Result<()> {
    let mut domains = HashSet::new();
    for link in &program.states {
        let Tensor { name, lo, hi, .. } = &program.tensors[link.state];
        let rule = match link.start {
            None => {
                require(!program.declares_start(), || "has no declared start, others have".into())
            }
            Some(Start::Constant(value)) => {
                require((*lo..=*hi).contains(&value), || "starts outside its range".into())
            }
            Some(Start::Drawn { domain, lo: least, hi: most }) => {
                let span = i64::from(most) - i64::from(least) + 1;
                let fits = *lo <= least && most <= *hi && (1..=MAX_SPAN).contains(&span);
                require(fits, || "is drawn outside its range, or from more than 2^24 values".into())
                    .and(require(domain < P, || "has a domain that is no field element".into()))
                    .and(require(domains.insert(domain), || "is drawn like another state".into()))
            }
        };
        rule.map_err(|rule| invalid(format!("state {name:?} {rule}")))?;
    }
    Ok(())
}

/// What is exported is a state or a weight, and stands once.
fn exports(program: &Program) -> Result<()> {
    let mut seen = HashSet::new();
    for &t in &program.exports {
        let tensor = program.tensors.get(t);
        let held = tensor.filter(|tensor| [Role::State, Role::Weight].contains(&tensor.role));
        if held.is_none() || !seen.insert(t) {
            return Err(invalid(format!(
                "export {t} is no state or weight tensor, or stands twice"
            )));
        }
    }
    Ok(())
}

/// Each value tensor is defined once, and before it is read.
fn definitions(program: &Program) -> Result<()> {
    let mut defined = vec![false; program.tensors.len()];
    let mut read = vec![false; program.tensors.len()];
    for op in &program.ops {
        for t in op.tensors() {
            let tensor = &program.tensors[t];
            if tensor.role == Role::Value && !defined[t] {
                return Err(invalid(format!(
                    "op {:?} reads {:?}, not yet defined",
                    op.name, tensor.name
                )));
            }
            read[t] = true;
        }
        let out = &program.tensors[op.out];
        if out.role != Role::Value || std::mem::replace(&mut defined[op.out], true) {
            return Err(invalid(format!(
                "op {:?}: its output {:?} is already fixed",
                op.name, out.name
            )));
        }
    }
    for (t, tensor) in program.tensors.iter().enumerate() {
        let (used, rule) = match tensor.role {
            Role::Value => (defined[t], "is the output of no op"),
            _ => (read[t], "is read by no op"),
        };
        if !used {
            return Err(invalid(format!("tensor {:?} {rule}", tensor.name)));
        }
    }
    Ok(())
}

/// Every op's output reaches an output port or a state link.
fn reachable(program: &Program) -> Result<()> {
    let mut useful = vec![false; program.tensors.len()];
    program.outputs.iter().for_each(|port| useful[port.tensor] = true);
    program.states.iter().for_each(|link| useful[link.value] = true);
    for op in program.ops.iter().rev() {
        if !useful[op.out] {
            return Err(invalid(format!("op {:?} reaches no output port or state link", op.name)));
        }
        op.tensors().for_each(|t| useful[t] = true);
    }
    Ok(())
}
