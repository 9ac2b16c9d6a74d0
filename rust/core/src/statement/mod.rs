//! A receipt's statement judged (docs/protocol.md section 6): what all modes have in common.
//!
//! Steps 1 to 6 are [`Accepted::judge`], 8 is [`check_roots`] or [`check_origin`], 9 [`inputs::check_inputs`]; what else there
//! is depends on the mode.

mod confidence;
mod facts;
pub mod inputs;
mod outputs;
pub mod policy;
mod roots;
mod training;

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::commit::{Prepared, model_id};
use crate::error::{Error, Result, demand};
use crate::hash::hex;
use crate::program::{self, Checked, Port, Program, Role};
use crate::receipt::journal::{DECLARED, DERIVED, MAX_POSITION};
use crate::receipt::{Journal, MAX_BYTES, Receipt};
use crate::sampling::Plan;

pub use facts::{Facts, OpFacts, OutputFacts, PROFILES, StarkFacts, Status, kind_name};
pub(crate) use outputs::port_values;
pub use outputs::{Output, OutputValues};
pub use policy::{Expectations, Policy};
pub(crate) use roots::{Roots, check_origin, check_roots};

/// A receipt that passed every check.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    pub facts: Facts,
    pub outputs: Vec<Output>,
}

/// A receipt that passed sections 1 to 6: its statement is about the program that the caller means,
/// and claims what the caller demands.
pub(crate) struct Accepted<'a> {
    /// Of the file that it stands in.
    pub bytes: usize,
    pub sections: Receipt<'a>,
    pub journal: Journal,
    pub prepared: Arc<Prepared>,
}

impl<'a> Accepted<'a> {
    pub fn judge(receipt: &'a [u8], expect: &Expectations) -> Result<Self> {
        // 1. Envelope.
        Self::of(Receipt::split(receipt, MAX_BYTES)?, receipt.len(), expect, None)
    }

    /// The same of the sections of a receipt in a file of so many bytes, whose program may be known.
    pub fn of(
        sections: Receipt<'a>,
        bytes: usize,
        expect: &Expectations,
        known: Option<Arc<Prepared>>,
    ) -> Result<Self> {
        // 2. Journal.
        let journal = Journal::decode(sections.journal)?;
        // 3. Identities: only a program that the caller means is looked at any further.
        check_identities(&sections, &journal, expect)?;
        // 4. Program.
        let prepared = match known {
            Some(prepared) => prepared,
            None => Arc::new(Prepared::new(Arc::new(program::load(sections.program)?))),
        };
        // 5. Journal against program.
        check_shape(&prepared.checked, &journal)?;
        // 6. Policy.
        policy::check_policy(&prepared.checked, &journal, expect)?;
        Ok(Self { bytes, sections, journal, prepared })
    }

    /// What the receipt shows once everything is checked: the outputs are the caller's then.
    pub fn verified(self, plan: &Plan, stark: Option<StarkFacts>) -> Verified {
        let outputs = outputs::outputs(&self.prepared.checked, &self.journal);
        let facts = Facts::new(&self.prepared, self.journal, plan, stark, self.bytes);
        Verified { facts, outputs }
    }
}

/// 3. The program is the one that the statement names, the model the one that the caller means.
fn check_identities(sections: &Receipt, journal: &Journal, expect: &Expectations) -> Result<()> {
    let tagged = Sha256::new().chain_update(b"zktally program v1\0");
    let id: [u8; 32] = tagged.chain_update(sections.program).finalize().into();
    if id != journal.program_id {
        return Err(Error::new("verify.program-mismatch", "the journal is about another program")
            .expected(hex(&journal.program_id))
            .received(hex(&id)));
    }
    let model = model_id(&id, journal.weights_root);
    demand(
        model == expect.model_id,
        "verify.model-mismatch",
        "the receipt is about another model",
        || (hex(&expect.model_id), hex(&model)),
    )
}

/// 5. What the statement must be for this program.
///
/// # Errors
/// `receipt.non-canonical`.
pub(crate) fn check_shape(checked: &Checked, journal: &Journal) -> Result<()> {
    let program = &checked.program;
    let bad = |message: &str| Err(Error::new("receipt.non-canonical", message));
    let (batch, steps) = (program.batch() as u64, u64::from(journal.steps));
    let items = u64::from(journal.items);
    if items <= (steps - 1) * batch || items > steps * batch {
        return bad("the number of items does not fit the number of steps");
    }
    let known = |op: &u16| program.ops.get(usize::from(*op)).is_some_and(|op| !op.exact);
    if !journal.exact.iter().all(known) {
        return bad("an op listed as exact does not exist or is flagged in the program");
    }
    let bytes = |ports: &[Port]| -> u64 {
        let of_port = |port: &Port| {
            let tensor = &program.tensors[port.tensor];
            (tensor.size() * tensor.width) as u64
        };
        steps * ports.iter().map(of_port).sum::<u64>()
    };
    if journal.inputs.as_ref().is_some_and(|inputs| inputs.len() as u64 != bytes(&program.inputs)) {
        return bad("the inputs have another length than the program's");
    }
    // All of them or none: hidden outputs are bound by the chain root.
    if journal.publishes() && journal.outputs.len() as u64 != bytes(&program.outputs) {
        return bad("the outputs have another length than the program's");
    }
    let stateless = program.states.is_empty();
    if stateless && !(journal.initial_state.is_zero() && journal.final_state.is_zero()) {
        return bad("a program without states has zero digests as states");
    }
    check_training(program, journal)
}

/// What a statement must be for a program that trains, or does not.
fn check_training(program: &Program, journal: &Journal) -> Result<()> {
    let (data, drawn) = (program.data().is_some(), program.draws_start());
    let has_prf = program.tensors.iter().any(|tensor| tensor.role == Role::Prf);
    let derived = journal.seed == DERIVED;
    let declared = journal.start == DECLARED;
    let positions = u64::from(journal.first) + u64::from(journal.steps);
    let rules = [
        (
            data != journal.dataset_root.is_zero(),
            "there is a data set's root exactly where the program has data tensors",
        ),
        (
            program.exports.is_empty() == journal.exported_root.is_zero(),
            "there is an exported root exactly where the program has exports",
        ),
        (positions <= MAX_POSITION.into(), "the steps go beyond the last position"),
        (
            !declared || journal.first == 0 && program.declares_start(),
            "a declared start is that of step 0, by the program",
        ),
        (!derived || has_prf || data || drawn, "nothing follows from the derived seed"),
        (
            derived || !(data || declared && drawn),
            "order of records and drawn start need a derived seed",
        ),
        (
            (has_prf || derived) != journal.prf_seed.is_zero(),
            "there is a commitment to a seed exactly where there is one",
        ),
    ];
    let broken = rules.into_iter().find(|(holds, _)| !holds);
    broken.map_or(Ok(()), |(_, rule)| Err(Error::new("receipt.non-canonical", rule)))
}
