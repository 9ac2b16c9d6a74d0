//! Gates that read the same.

use super::*;
use crate::program::{GatePlan, Run};

fn runs(plan: &GatePlan, operand: usize, gate: usize) -> Vec<(usize, Run)> {
    let mut found = Vec::new();
    plan.runs_of(operand, gate, None, &mut |tensor, run| found.push((tensor, run)));
    found
}

/// Walking the first gates that read the same is walking all of them.
#[test]
fn an_operand_is_the_same_as_that_of_its_first_gate() {
    let mut shared = 0;
    for seed in 1..80 {
        let program = random(seed);
        for op in &program.ops {
            let plan = GatePlan::new(&program, op);
            let all: Vec<usize> = (0..op.gates()).collect();
            for operand in 0..plan.operand_count() {
                let firsts = plan.distinct(operand, all.iter().map(|&gate| (3, gate)));
                let is_new = |gate: usize| plan.new_operands(gate).contains(&operand);
                let new: Vec<_> = all.iter().filter(|&&gate| is_new(gate)).collect();
                assert!(firsts.iter().map(|(_, gate)| gate).eq(new.iter().copied()));
                assert!(firsts.iter().all(|&(step, _)| step == 3));
                shared += all.len() - firsts.len();
                for &gate in &all {
                    let first = plan.distinct(operand, std::iter::once((0, gate)))[0].1;
                    assert!(first <= gate && firsts.contains(&(3, first)));
                    assert_eq!(runs(&plan, operand, gate), runs(&plan, operand, first));
                }
            }
            // All operands together are what a gate reads.
            for &gate in &all {
                let mut whole = Vec::new();
                plan.runs(gate, None, &mut |tensor, run| whole.push((tensor, run)));
                let parts = (0..plan.operand_count()).flat_map(|o| runs(&plan, o, gate));
                assert_eq!(whole, parts.collect::<Vec<_>>());
            }
        }
    }
    assert!(shared > 1000, "{shared}");
}
