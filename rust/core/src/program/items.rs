//! Item slots: which tensors carry the batch, and that no op mixes its slots (docs/protocol.md
//! section 1, rule 9).
//!
//! A tensor carries the batch with `inner` elements between neighbouring slots: element `e` belongs
//! to slot `e / inner % B`. A gate reads tensors that carry the batch at its own slot only, and shared
//! tensors alike in every slot.

use super::invalid;
use super::operands::OperandRef;
use super::types::*;
use crate::error::Result;

/// Judges a program whose numbers and sizes were checked.
pub(super) fn judge(program: &Program) -> Result<()> {
    if !program.states.is_empty() && program.itemised() {
        return Err(invalid("a program with state has a port with a batch axis"));
    }
    let batch = program.batch();
    if batch == 1 {
        return Ok(());
    }
    // By tensor; `None` for a tensor that is shared by all slots.
    let mut inner = vec![None; program.tensors.len()];
    for port in program.inputs.iter().filter(|port| port.batch.is_some()) {
        inner[port.tensor] = Some(program.tensors[port.tensor].size() / batch);
    }
    for op in &program.ops {
        inner[op.out] = of_output(program, op, &inner, batch)
            .map_err(|reason| invalid(format!("op {:?}: item slots mix: {reason}", op.name)))?;
    }
    for port in &program.outputs {
        let outermost = program.tensors[port.tensor].size() / batch;
        // Slots lie on the batch axis of the port, which is the outermost; without one there are none.
        if inner[port.tensor] != port.batch.map(|_| outermost) {
            let name = &port.name;
            return Err(invalid(format!(
                "output port {name:?}: its slots are not on its batch axis"
            )));
        }
    }
    Ok(())
}

/// `inner` of the op's output, `None` where it is shared.
fn of_output(
    program: &Program,
    op: &Op,
    inner: &[Option<usize>],
    batch: usize,
) -> std::result::Result<Option<usize>, &'static str> {
    let mut found = None;
    for used in op.operands() {
        let OperandRef::Read(read) = used.operand else { continue };
        let Some(inner) = inner[read.tensor] else { continue };
        let output = carried(read, inner, batch, &op.space, used.window)?;
        if *found.get_or_insert(output) != output {
            return Err("its operands carry the slots on different axes");
        }
    }
    let Some((i_axis, of_output)) = found else { return Ok(None) };
    for used in op.operands() {
        let OperandRef::Read(read) = used.operand else { continue };
        let by_slot = read.maps.iter().any(|map| map.i_axis == Some(i_axis) && map.a != 0);
        if inner[read.tensor].is_none() && by_slot {
            return Err("what a gate reads of a shared tensor depends on the number of its slot");
        }
    }
    // Rows that are computed once for all slots cost what they like: none of them is chosen.
    if let OpKind::Gather(Gather { source, .. }) = &op.kind {
        let role = program.tensors[source.tensor].role;
        if inner[source.tensor].is_none() && role == Role::Value {
            return Err("each slot chooses what it needs of a computation that all slots share");
        }
    }
    Ok(Some(of_output))
}

/// The space axis of the slots and `inner` of the output, as far as this read goes.
fn carried(
    read: &Read,
    inner: usize,
    batch: usize,
    space: &[usize],
    window: &[usize],
) -> std::result::Result<(usize, usize), &'static str> {
    let (axis, per_slot) = axis_of_slots(&read.view, inner, batch)
        .ok_or("a view has no axis that tells slots apart")?;
    let map = &read.maps[axis];
    let (Some(i_axis), 1..) = (map.i_axis, map.a) else {
        return Err("gates of all slots read the same elements");
    };
    let last = map.k_axis.map_or(0, |k| i64::from(map.b) * (window[k] as i64 - 1));
    let offset = i64::from(map.c);
    let (low, high) = (offset + last.min(0), offset + last.max(0));
    let indices = map.d as usize * per_slot;
    let (gates_per_slot, rest) = (indices / map.a as usize, indices % map.a as usize);
    if rest != 0 || low < 0 || high >= i64::from(map.a) {
        return Err("a gate reads at other slots than its own");
    }
    let slots_fit = |gates: usize| space[i_axis].is_multiple_of(gates);
    if !gates_per_slot.checked_mul(batch).is_some_and(slots_fit) {
        return Err("the space has another number of slots than what it reads");
    }
    let others = read.maps.iter().enumerate().filter(|(other, _)| *other != axis);
    if others.into_iter().any(|(_, other)| other.i_axis == Some(i_axis) && other.a != 0) {
        return Err("what a gate reads depends on the number of its slot");
    }
    Ok((i_axis, space[i_axis + 1..].iter().product::<usize>() * gates_per_slot))
}

/// The view axis on which slots are told apart, and how many of its indices a slot has.
fn axis_of_slots(view: &[usize], inner: usize, batch: usize) -> Option<(usize, usize)> {
    let mut stride = 1;
    for (axis, &dim) in view.iter().enumerate().rev() {
        if inner >= stride && inner.is_multiple_of(stride) {
            let per_slot = inner / stride;
            if dim.is_multiple_of(per_slot * batch) {
                return Some((axis, per_slot));
            }
        }
        stride *= dim;
    }
    None
}
