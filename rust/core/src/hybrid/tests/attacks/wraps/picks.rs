//! Comparisons and tests for zero.

use super::*;
use pick::{MAIN, PUBLIC};

/// Comparisons the wrong way round, and a test for zero that lies.
#[test]
fn comparisons_cannot_be_turned() {
    let subject = subject("picks");
    let table = subject.table(index::PICK);
    let mut seen = [0; 3];
    for row in 0..table.used() {
        let [greater, equal, select] = [PUBLIC.greater, PUBLIC.equal, PUBLIC.select]
            .map(|c| signed(table.publics(row)[c]) == 1);
        let values = MAIN.values.map(|c| signed(table.row(row)[c]));
        let mut edited = Edited::new(table);
        if greater {
            let larger = signed(table.row(row)[MAIN.larger]);
            let difference = values[0] - values[1];
            let distance = if larger == 0 { difference - 1 } else { -difference };
            put_one(&mut edited, row, MAIN.larger, 1 - larger);
            put(&mut edited, row, MAIN.d, limbs(distance));
            put_one(&mut edited, row, MAIN.y, 1 - larger);
            only_ranges(&failures(&edited, subject), index::PICK, &MAIN.d);
            seen[0] += 1;
        } else if equal || select {
            // x ≠ 0 said to be 0, or x = 0 said not to be, with the output that follows.
            let x = signed(table.row(row)[MAIN.x]);
            let nonzero = i128::from(x == 0);
            put(&mut edited, row, [MAIN.inverse, MAIN.nonzero], [0, nonzero]);
            let y = if equal { 1 - nonzero } else { values[usize::from(nonzero == 0)] };
            put_one(&mut edited, row, MAIN.y, y);
            let found = failures(&edited, subject);
            assert_eq!(constraints(&found), 1, "{found:?}");
            assert_eq!(found.len(), 1);
            seen[if equal { 1 } else { 2 }] += 1;
        }
    }
    assert!(seen.iter().all(|&n| n > 10), "{seen:?}");
}
