//! Proofs of segments with fixed randomness have the bytes they had: every table, all profiles.

use sha2::{Digest, Sha256};

use super::fixture::{Case, HIDING};
use super::*;
use crate::bytes::{Codes, Reader};
use crate::hash::hex;
use crate::hybrid::tables::TABLES;
use crate::stark::parameters::Parameters;
use crate::stark::prove::prove_with;
use crate::stark::rng::Stream;
use crate::stark::statement::Statement;
use crate::stark::verify::verify;

fn digest(program: &Program, profile: u8, tables: &mut [bool; 17]) -> String {
    let case = Case::new(program, 2, MANY);
    let mut parameters = Parameters::new(profile, 1, 128).unwrap();
    parameters.hiding_rows = HIDING;
    let mut hash = Sha256::new();
    for items in case.segments(Limits::default()) {
        let schedule = case.schedule(&items).unwrap();
        schedule.tables.iter().for_each(|table| tables[table.index] = true);
        let statement = Statement {
            tables: &TABLES,
            publics: &schedule.tables,
            terms: &schedule.terms,
            parameters: &parameters,
            context: [3; 32],
        };
        let stream = Stream::scripted([1, 2, 3, 4, 5, 6].map(Some));
        let (proof, _) = prove_with(&statement, case.witness(&schedule), stream).unwrap();
        verify(&statement, &mut Reader::new(&proof, Codes::all("receipt.truncated"))).unwrap();
        hash.update(proof);
    }
    hex(&<[u8; 32]>::from(hash.finalize()))
}

/// The bytes that the engine made when it evaluated nodes one by one and hashed rows one by one; the
/// last two are those of the first foldable proofs.
const DIGESTS: [&str; 9] = [
    "8bddc1cea9c41336843186819cef5b8aac4c2c1be390276be21adc081cc1b249",
    "a2152552a364cebe8e79b76f1c15a9271d849989b72674eda0f34551b044bc69",
    "4d75b04a7ca3a035ccb3140e359aa79a409d62ac828678175c588cfc21ed872b",
    "5a32a133f292fb7fafb2e86493f57c1c496fad53cac843f9643d04128c96613f",
    "685b26565380f6a06323e66d2d81cca7f89b7fa73a7f6eefe9b3459a0181af69",
    "5d1eb22d46e9c4b208814a5ea1046e38c773b8be8db291663019d3d3288bc49a",
    "885c66c4c32db86c5055431b95231017a15f11f2afca23498ad209d50af64e64",
    "fc06da27745761756cc7b71a9c132092096dcbc18c0a177b36fec5009c65be90",
    "ada4d84c2218e9855a72d822a7731fbdac2725ed930da96845debb2e76f1922b",
];

#[test]
fn a_proof_has_the_bytes_it_had() {
    let programs = [
        (dense(100, 48), 0),
        (dense(13, 13), 1),
        (convolution(), 0),
        (wide(Operand::Const(1)), 0),
        (lookups(), 0),
        (picks(), 1),
        (learner(), 0),
        (dense(13, 13), 2),
        (picks(), 2),
    ];
    let mut tables = [false; 17];
    let found = programs.map(|(program, profile)| digest(&program, profile, &mut tables));
    assert_eq!(tables, [true; 17]);
    assert_eq!(found, DIGESTS);
}
