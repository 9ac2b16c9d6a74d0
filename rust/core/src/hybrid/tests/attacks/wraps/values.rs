//! Values in their declared ranges: of several bytes, and by class.

use super::*;
use crate::hybrid::tables::class;
use crate::hybrid::tests::attacks::subjects::SUBJECTS;
use wide::{MAIN, PUBLIC};

/// One below and one above the declared range of a value of several bytes.
#[test]
fn wide_values_outside_their_range_are_refused() {
    let mut refused = 0;
    for subject in SUBJECTS.iter().filter(|s| s.schedule.table(index::WIDE).is_some()) {
        let table = subject.table(index::WIDE);
        for row in 0..table.used() {
            let publics = table.publics(row);
            let wide::Public { three, offset, lo, hi, .. } = PUBLIC.map(|c| signed(publics[c]));
            let three = three == 1;
            for (value, bad) in [(lo - 1, MAIN.above), (hi + 1, MAIN.under)] {
                let raw = value + offset;
                if !(0..if three { 1 << 24 } else { 1 << 16 }).contains(&raw) {
                    continue;
                }
                let mut edited = Edited::new(table);
                let byte = |i: usize| (raw >> (8 * i) & 0xff) - 128;
                let top = if three { byte(2) } else { 0 };
                put(&mut edited, row, MAIN.bytes, [byte(0), byte(1), top]);
                put_one(&mut edited, row, MAIN.v, value);
                // Or −1 modulo p, in limbs.
                let wrap = |x: i128| x.rem_euclid(MODULUS);
                let (above, under) = (value - lo, hi - value);
                for (above, under) in [(above, under), (wrap(above), wrap(under))] {
                    put(&mut edited, row, MAIN.above, limbs(above));
                    put(&mut edited, row, MAIN.under, limbs(under));
                    only_ranges(&failures(&edited, subject), index::WIDE, &bad);
                    refused += 1;
                }
                assert_eq!(signed(edited.get(row, MAIN.v)), value);
            }
        }
    }
    assert!(refused > 50, "{refused}");
}

/// Every class has the values that it should have: one less and one more are not among them.
#[test]
fn classes_have_exactly_their_values() {
    for subject in SUBJECTS.iter() {
        let known = subject.known();
        let program = &subject.case.prepared.checked.program;
        let ranges = &subject.schedule.classes.ranges;
        assert_eq!(ranges[..4], [(0, 4095), (0, 255), (0, 126), (0, 0)]);
        assert_eq!([class::LIMB, class::BYTE, class::TOP, class::ZERO], [0, 1, 2, 3]);
        for (class, &(lo, hi)) in ranges.iter().enumerate() {
            let inside = |x: i128| {
                known.contains(&(bus::RANGE, vec![class as u32, x.rem_euclid(MODULUS) as u32]))
            };
            assert!((i128::from(lo)..=hi.into()).all(inside));
            for x in [i128::from(lo) - 1, i128::from(hi) + 1, i128::from(hi) + 4096, -4096] {
                assert!(!inside(x), "{}: class {class} has {x}", subject.name);
            }
        }
        let rows = ranges.iter().map(|(lo, hi)| (hi - lo + 1) as usize).sum::<usize>();
        assert_eq!(subject.table(index::RANGE).used(), rows);
        // A byte of a committed tensor has the class of its declared range.
        for (t, tensor) in program.tensors.iter().enumerate() {
            let (lo, hi) = ranges[subject.schedule.classes.of(t)];
            let committed = matches!(tensor.source, crate::program::Source::Committed(_));
            if tensor.width == 1 && committed {
                assert_eq!((lo as i32 - 128, hi as i32 - 128), (tensor.lo, tensor.hi));
            }
        }
    }
}
