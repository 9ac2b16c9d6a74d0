//! One test per promise, grouped by what it is about.

mod encoding;
mod ranges;
mod rules;
mod semantics;
mod sharing;

use super::testing::*;
use super::*;

fn refused(program: &Program, rule: &str) {
    match load(&encode(program)) {
        Ok(_) => panic!("accepted, though: {rule}"),
        Err(error) => assert!(
            error.code == "program.invalid" && error.message.contains(rule),
            "{error}, not: {rule}"
        ),
    }
}

/// `linear()` with one change is refused by the rule.
fn breaks(rule: &str, change: impl FnOnce(&mut Program)) {
    let mut program = linear();
    change(&mut program);
    refused(&program, rule);
}

fn dot_of(program: &mut Program) -> &mut Dot {
    let OpKind::Dot(dot) = &mut program.ops[0].kind else { panic!("not a dot") };
    dot
}

fn read_of(program: &mut Program) -> &mut Read {
    let Operand::Read(read) = &mut dot_of(program).terms[0].a else { panic!("not a read") };
    read
}

fn layout_of(tensor: &mut Tensor) -> &mut Layout {
    let Source::Committed(layout) = &mut tensor.source else { panic!("not committed") };
    layout
}

/// A state `[2, 3]` that `linear` adds as its bias and then replaces.
fn stateful() -> Program {
    let mut program = linear();
    let state = Tensor { name: "state".into(), role: Role::State, ..program.tensors[2].clone() };
    program.tensors.push(state);
    dot_of(&mut program).bias = Some(read(3, &[2, 3], &[by_i(0), by_i(1)]));
    program.states.push(StateLink { state: 3, value: 2, start: None });
    program
}
