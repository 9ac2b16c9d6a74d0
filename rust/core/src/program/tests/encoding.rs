//! Bytes and programs: one form each.

use super::*;

#[test]
fn random_programs_are_valid_and_round_trip() {
    for seed in 0..500 {
        let program = random(seed);
        let bytes = encode(&program);
        assert_eq!(
            load(&bytes).unwrap_or_else(|e| panic!("{e} {e:?} {program:?}")).program,
            program
        );
    }
}

#[test]
fn truncated_extended_and_unknown_bytes_are_malformed() {
    let bytes = encode(&random(7));
    for end in 0..bytes.len() {
        assert_eq!(decode(&bytes[..end]).unwrap_err().code, "program.malformed");
    }
    assert_eq!(decode(&[bytes, vec![0]].concat()).unwrap_err().code, "program.malformed");
}

#[test]
fn every_changed_byte_is_refused_or_means_something_else() {
    for seed in [3, 8, 11] {
        let bytes = encode(&random(seed));
        for at in 0..bytes.len() {
            for bit in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= bit;
                if let Ok(program) = decode(&changed) {
                    assert_eq!(encode(&program), changed);
                    let _ = load(&changed);
                }
            }
        }
    }
}

#[test]
fn encodings_with_a_second_form_are_malformed() {
    let malformed = |change: &dyn Fn(&mut Program)| {
        let mut program = linear();
        change(&mut program);
        assert_eq!(decode(&encode(&program)).unwrap_err().code, "program.malformed");
    };
    malformed(&|p| p.name = String::new());
    malformed(&|p| p.name = "\u{e9}".into());
    malformed(&|p| p.name = "n".repeat(129));
    malformed(&|p| p.tensors[0].shape[0] = 0);
    malformed(&|p| p.tensors[0].shape = vec![]);
    malformed(&|p| layout_of(&mut p.tensors[0]).order = vec![0, 0]);
    malformed(&|p| layout_of(&mut p.tensors[0]).trailing = 3);
    malformed(&|p| p.tables.push(Table { name: "t".into(), lo: 0, entries: vec![] }));
    malformed(&|p| read_of(p).maps[0].d = 0);
    malformed(&|p| read_of(p).maps[0].b = 1);
    malformed(&|p| dot_of(p).terms.clear());
    malformed(&|p| p.inputs[0].scale = 2.0);
    malformed(&|p| p.inputs[0].zero = 1);
    malformed(&|p| (p.inputs[0].kind, p.inputs[0].scale) = (PortKind::Float, f64::NAN));
    malformed(&|p| (p.inputs[0].kind, p.inputs[0].scale) = (PortKind::Float, 0.0));
    malformed(&|p| p.inputs[0].batch = Some(1));
    malformed(&|p| {
        let Operand::Read(source) = dot_of(p).terms[0].a.clone() else { panic!() };
        p.ops[0].kind = OpKind::Gather(Gather { axis: 0, source, index: Operand::Const(0) });
    });
}

#[test]
fn version_2_is_for_programs_that_train_and_for_no_others() {
    let bytes = encode(&learner());
    assert_eq!(bytes[7], 2);
    assert_eq!(decode(&bytes).unwrap(), learner());
    for end in 0..bytes.len() {
        assert_eq!(decode(&bytes[..end]).unwrap_err().code, "program.malformed");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(program) = decode(&changed) {
            assert_eq!(encode(&program), changed);
        }
    }
    // A plain program is of version 1, and its fields in version 2 are no program.
    let mut plain = stateful();
    assert_eq!(encode(&plain)[7], 1);
    plain.states[0].start = Some(Start::Constant(0));
    let mut started = encode(&plain);
    assert_eq!((started[7], started.len()), (2, encode(&stateful()).len() + 1 + 4 + 2));
    let start = started.len() - 7;
    assert_eq!(started[start], 1);
    started.drain(start..start + 5);
    started.insert(start, 0);
    assert_eq!(decode(&started).unwrap_err().code, "program.malformed");
    // Data tensors are unknown to version 1.
    let mut old = bytes.clone();
    old[7] = 1;
    assert_eq!(decode(&old).unwrap_err().code, "program.malformed");
    let mut unknown = encode(&plain);
    let start = unknown.len() - 7;
    unknown[start] = 3;
    assert_eq!(decode(&unknown).unwrap_err().code, "program.malformed");
}

#[test]
fn the_id_is_over_the_bytes_and_their_domain() {
    let bytes = encode(&linear());
    let by_hand = Sha256::digest([b"zktally program v1\0".as_slice(), &bytes].concat());
    assert_eq!(load(&bytes).unwrap().id, by_hand.as_slice());
}
