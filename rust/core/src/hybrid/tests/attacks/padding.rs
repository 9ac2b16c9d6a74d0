//! Rows beyond the used ones: their publics are zero, and nothing of them may reach a bus.

use p3_field::{Field, PrimeCharacteristicRing};

use super::judge::key;
use super::smart::{position, proven, told};
use super::subjects::Subject;
use crate::commit::Place;
use crate::hash::Elem;
use crate::hybrid::tables::{TABLES, bus, index};
use crate::hybrid::tests::MANY;
use crate::hybrid::tests::fixture::{Case, HIDING};
use crate::program::testing::{Builder, Rng, by_i, by_k, dot, read};
use crate::program::{Dot, OpKind, Program, Role, Term};
use crate::stark::air::{Builder as AirBuilder, Tables, evaluate_row};
use crate::stark::check::first_failure;

/// A table whose multiplicity is a main column could provide in unused rows what stands there: zeros.
#[test]
fn unused_rows_carry_no_multiplicity() {
    let rng = &mut Rng(5);
    let mut values = Vec::new();
    for air in &TABLES.airs {
        for _ in 0..20 {
            let mut random = || {
                (0..air.mains)
                    .map(|_| Elem::from_u32(rng.between(1, 2_000_000_000) as u32))
                    .collect()
            };
            let (main, next): (Vec<Elem>, Vec<Elem>) = (random(), random());
            evaluate_row(air, &[], &main, &next, (false, false), &mut values);
            for lookup in air.lookups() {
                assert!(
                    values[lookup.multiplicity as usize].is_zero(),
                    "{}: {:?} in an unused row",
                    air.name,
                    key(lookup, &values)
                );
            }
        }
    }
}

/// An activation table that is 50 + x.
fn activated() -> Program {
    let mut b = Builder::default();
    let x = b.ranged(Role::Input, 1, -1, 1, &[6, 4]);
    let w = b.ranged(Role::Weight, 1, -1, 1, &[4, 4]);
    let y = b.tensor(Role::Value, 1, &[6, 4]);
    let term = Term {
        window: vec![4],
        a: read(x, &[6, 4], &[by_i(0), by_k(0)]),
        b: read(w, &[4, 4], &[by_i(1), by_k(0)]),
    };
    b.op(y, &[6, 4], OpKind::Dot(Dot { table: Some(0), ..dot(vec![term], 0) }));
    let entries = (-4..5).map(|x| 50 + x).collect();
    b.program().tables.push(crate::program::Table { name: "f".into(), lo: -4, entries });
    b.finish()
}

/// f(0) = 50, and a liar says 0: the entry (table 0, 0, 0) stands in no row of the act table, but were
/// unused rows free to have a multiplicity, they would provide it.
#[test]
fn unused_rows_provide_no_entry_of_an_activation_table() {
    let case = Case::new(&activated(), 1, MANY);
    let honest = Subject::of("activated", case);
    let (case, gate) = (&honest.case, honest.table(index::GATE));
    let row = (0..gate.used()).find(|&row| gate.row(row)[42].is_zero()).expect("a gate with c = 0");
    assert_eq!(gate.row(row)[43], Elem::from_u8(50));
    let tensor = case.prepared.checked.program.outputs[0].tensor;
    let (leaf, slot) = (row / 4, row % 4);
    let mut outputs = case.journal().outputs.to_vec();
    let mut openings = case.openings.clone();
    let at = position(case, Place::Step(0), tensor, leaf).start + slot;
    assert_eq!((openings[at], outputs[row]), (128 + 50, 128 + 50));
    (openings[at], outputs[row]) = (128, 128);
    let (schedule, mut mains) = told(case, &openings, &outputs);
    // The lie as it is: one entry is looked up that stands nowhere.
    assert!(case.judge(&schedule, &mains).unwrap().starts_with("bus 7: [0, 0, "));
    // With an unused row that offers it, and public columns in which it is seen to be zero.
    let mut claimed = schedule.tables.clone();
    let t = claimed.iter().position(|table| table.index == index::ACT).unwrap();
    let rows = claimed[t].publics.rows();
    // The witness has counted the lookup for f(0) = 50.
    let entry = (0..rows).find(|&row| claimed[t].publics.row(row)[4].is_zero()).expect("f(0)");
    mains[t].main.row_mut(entry)[1] -= Elem::ONE;
    claimed[t].publics.values.extend(vec![Elem::ZERO; TABLES.airs[index::ACT].publics]);
    mains[t].main.values.extend([Elem::ZERO, Elem::ONE]);
    assert_eq!(mains[t].main.rows(), rows + 1);
    let failure = first_failure(&TABLES, &claimed, &mains, &schedule.terms, HIDING);
    assert!(failure.is_some(), "the direct checker accepts f(0) = 0");
    // It is `on` that refuses it: with a multiplicity that is just the column, f(0) = 0 is accepted.
    let mut weak = TABLES.airs.clone();
    weak[index::ACT] = {
        let b = &mut AirBuilder::new("act", false);
        let [_on, table, x, y] = b.publics();
        let times = b.main();
        b.lookup(bus::ACT, -times, [table, x, y]);
        b.build()
    };
    let weak = Tables::new(weak);
    assert_eq!(first_failure(&weak, &claimed, &mains, &schedule.terms, HIDING), None);
    let (verdict, error) = proven(&schedule, &claimed, mains);
    assert_eq!(error, None);
    assert_eq!(verdict.expect_err("a proof of f(0) = 0 is accepted").code, "verify.stark");
}
