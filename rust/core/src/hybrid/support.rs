//! Programs that the tables do not cover.

use crate::error::{Error, Result};
use crate::program::{
    ACC_MAX, Checked, Div, Dot, Op, OpKind, Operand, OperandRef, P_HALF, PickMode, Program, Role,
    Table, operand_range,
};

/// Largest absolute value of a bias that the carries of a wide accumulator have room for.
const WIDE_BIAS_MAX: i64 = 1 << 28;
/// Numerators and denominators of div have 24 bits and a sign.
const DIV_MAX: i64 = (1 << 24) - 1;
/// The ends to which quotients are clamped have 24 bits.
const END_MAX: i64 = 1 << 23;

/// Bound of the accumulator of a dot.
pub fn accumulator(checked: &Checked, op: usize) -> i128 {
    let first = checked.bounds.partition_point(|bound| bound.op < op);
    let of_op = checked.bounds[first..].iter().take_while(|bound| bound.op == op);
    let mut accumulators = of_op.filter(|bound| bound.identity == "accumulator");
    accumulators.next().map_or(0, |bound| bound.bound)
}

/// Whether the accumulator of a dot is checked without limbs.
pub fn is_direct(checked: &Checked, op: usize) -> bool {
    accumulator(checked, op) <= ACC_MAX
}

/// Refuses programs that hybrid receipts do not cover.
///
/// # Errors
/// `hybrid.unsupported`.
pub fn check_supported(checked: &Checked) -> Result<()> {
    let program = &checked.program;
    for (c, op) in program.ops.iter().enumerate() {
        let found = match &op.kind {
            OpKind::Dot(dot) => of_dot(program, dot, is_direct(checked, c)),
            OpKind::Div(div) => of_div(program, div),
            OpKind::Pick(pick) if pick.mode == PickMode::Select => {
                let beyond = i128::from(magnitude(program, &pick.operands[0])) > P_HALF;
                beyond.then_some("a condition that can leave the field")
            }
            _ => None,
        };
        found.map_or(Ok(()), |what| Err(unsupported(op, what)))?;
    }
    Ok(())
}

fn magnitude(program: &Program, operand: &Operand) -> i64 {
    operand_range(program, OperandRef::of(operand)).abs()
}

fn of_dot(program: &Program, dot: &Dot, direct: bool) -> Option<&'static str> {
    if !matches!(dot.shift, Operand::Const(_)) {
        return Some("a shift that is not a constant");
    }
    if dot.table.is_some_and(|table| !is_near(&program.tables[table])) {
        return Some("a table whose domain leaves 24 bits");
    }
    if direct {
        return None;
    }
    if matches!(&dot.bias, Some(bias @ Operand::Read(_)) if magnitude(program, bias) > WIDE_BIAS_MAX)
    {
        return Some("a bias of a wide accumulator beyond 2^28");
    }
    let factors = dot.terms.iter().flat_map(|term| [&term.a, &term.b]);
    factors.into_iter().find_map(|operand| match operand {
        Operand::Const(value) if value.unsigned_abs() >= 1 << 24 => {
            Some("a constant of more than three bytes in a wide accumulator")
        }
        Operand::Read(read) if program.tensors[read.tensor].role == Role::Prf => {
            Some("a prf tensor in a wide accumulator")
        }
        _ => None,
    })
}

/// Whether quotients can be clamped to the ends of a table's domain.
fn is_near(table: &Table) -> bool {
    let last = i64::from(table.lo) + table.entries.len() as i64 - 1;
    -END_MAX <= i64::from(table.lo) && last < END_MAX
}

fn of_div(program: &Program, div: &Div) -> Option<&'static str> {
    let mut operands = std::iter::once(&div.num).chain(&div.den);
    let beyond = operands.any(|operand| magnitude(program, operand) > DIV_MAX);
    beyond.then_some("a quotient of more than 24 bits")
}

fn unsupported(op: &Op, what: &str) -> Error {
    Error::new(
        "hybrid.unsupported",
        format!("op {:?}: hybrid receipts do not cover {what}", op.name),
    )
}
