//! What a caller demands of a training run (docs/protocol.md section 6, step 6).

use super::inputs::dequantise;
use super::policy::{Policy, SeedPolicy, StartPolicy};
use crate::error::{Error, Result, demand};
use crate::hash::{hex, unpack};
use crate::program::{Checked, Program, Role};
use crate::receipt::Journal;
use crate::receipt::journal::{DECLARED, DERIVED};

/// Seed, start, steps, epochs, batch, program, ranges of inputs.
///
/// # Errors
/// `policy.seed`, `policy.start`, `policy.steps`, `policy.epochs`, `policy.batch`, `policy.program`,
/// `policy.range`.
pub(super) fn check_training(checked: &Checked, journal: &Journal, policy: &Policy) -> Result<()> {
    let program = &checked.program;
    check_seed(program, journal, policy.seed)?;
    if policy.start == StartPolicy::Declared && !program.states.is_empty() {
        let message = "the states do not begin as the program declares";
        demand(journal.start == DECLARED, "policy.start", message, || {
            ("a declared start".into(), "some root".into())
        })?;
    }
    check_extent(program, journal, policy)?;
    if let Some(programs) = &policy.programs {
        let known = programs.iter().any(|id| id.0 == checked.id);
        let ids = || programs.iter().map(|id| hex(&id.0)).collect::<Vec<_>>().join(", ");
        demand(known, "policy.program", "the program is not one of those accepted", || {
            (ids(), hex(&checked.id))
        })?;
    }
    let mut ranges = policy.ranges.iter();
    ranges.try_for_each(|(name, range)| check_range(program, journal, name, *range))
}

fn check_seed(program: &Program, journal: &Journal, demanded: SeedPolicy) -> Result<()> {
    let random = program.data().is_some() || program.draws_start();
    if !random && program.of_role(&[Role::Prf]).is_empty() {
        return Ok(());
    }
    let derived = journal.seed == DERIVED;
    let named = derived && journal.nonce.is_some();
    let (holds, expected) = match demanded {
        SeedPolicy::Any => (true, ""),
        SeedPolicy::Derived => (derived, "a seed that follows from program and data set"),
        SeedPolicy::Nonce => (named, "a seed that follows from program, data set and a nonce"),
    };
    demand(holds, "policy.seed", "the seed may be the prover's choice", || {
        (expected.into(), if derived { "one without a nonce" } else { "the prover's own" }.into())
    })
}

fn check_extent(program: &Program, journal: &Journal, policy: &Policy) -> Result<()> {
    let steps = u64::from(journal.first) + u64::from(journal.steps);
    if let Some(most) = policy.max_steps {
        demand(steps <= most.into(), "policy.steps", "more steps than accepted", || {
            (format!("at most {most}"), steps.to_string())
        })?;
    }
    if let (Some(most), Some((batch, records))) = (policy.max_epochs, program.data()) {
        let of_epoch = (records / batch) as u64;
        let epochs = steps.div_ceil(of_epoch);
        demand(epochs <= most.into(), "policy.epochs", "more epochs than accepted", || {
            (format!("at most {most}"), epochs.to_string())
        })?;
    }
    if let Some([least, most]) = policy.batch {
        let batch = program.data().map_or(program.batch(), |(batch, _)| batch);
        let inside = (least as usize..=most as usize).contains(&batch);
        demand(inside, "policy.batch", "a batch of another size than accepted", || {
            (format!("{least} to {most}"), batch.to_string())
        })?;
    }
    Ok(())
}

/// Every published value of an input lies in a range.
fn check_range(
    program: &Program,
    journal: &Journal,
    name: &str,
    [least, most]: [f64; 2],
) -> Result<()> {
    let refused = |what: &str, received: String| {
        Err(Error::new("policy.range", format!("input {name:?} {what}"))
            .expected(format!("{least} to {most}"))
            .received(received))
    };
    let Some(port) = program.inputs.iter().position(|port| port.name == name) else {
        return refused("does not exist", "no such input".into());
    };
    let Some(published) = &journal.inputs else {
        return refused("is not published", "a commitment".into());
    };
    let bytes = |port: usize| {
        let tensor = &program.tensors[program.inputs[port].tensor];
        tensor.size() * tensor.width
    };
    let first: usize = (0..port).map(bytes).sum();
    let of_step: usize = (0..program.inputs.len()).map(bytes).sum();
    let width = program.tensors[program.inputs[port].tensor].width;
    for of_step in published.chunks_exact(of_step) {
        let values = of_step[first..first + bytes(port)].chunks_exact(width);
        let values = values.map(|packed| dequantise(&program.inputs[port], unpack(packed)));
        if let Some(x) = values.into_iter().find(|x| !(least..=most).contains(x)) {
            return refused("leaves the accepted range", x.to_string());
        }
    }
    Ok(())
}
