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
    "26c48fa37934966ac62180e8cc76adfbe69f6435c24108748bc0c16176da87a8",
    "4ece00251b2383e83d5a9f82e9a2fad4ba4994840cc7c9d111fb808c89400dd2",
    "218f317c35374a082c75d070489dcef16323f6c81df00c01ff3627ddb43a23eb",
    "bb2b747a686b4e581a6b55419b00f0b6a5feb1a30adcc7defe74a65aaef12f33",
    "6d002e04a40cafa3013917c6c4f8777c68a782f0dc9eb7ef30c6b03e1b817575",
    "6f191bb89cb0b939a49f5954c45b78e0a08c09bf6edb79c6c70302cf36326567",
    "1affaa992b915492982fee8879b780cdd41728ad13d0355f4d3124d307216250",
    "d66df976c3e3405df3128700582d7480c9bda1d2c05a271a7cc3c99a2f41c911",
    "1b23453a3a968147eb871feb88815887b628db41b973e50ce89512585c0a1f05",
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
