//! Gathers and maxima.

use super::*;
use scan::{MAIN, PUBLIC, Taken};

/// The value at the position of a row.
fn value(table: Table, row: usize) -> i128 {
    let [r, k] = [PUBLIC.value.r, PUBLIC.value.k].map(|c| signed(table.publics(row)[c]));
    r * signed(table.row(row)[MAIN.v_value]) + k
}

fn put_taken(edited: &mut Edited, row: usize, at: Taken<usize>, values: [i128; 3]) {
    put(edited, row, [at.best, at.position, at.count], values);
}

/// Gathers that take what they should not.
pub fn gathers() -> Vec<Lie> {
    ["lookups", "plain"].into_iter().flat_map(|name| gathers_of(subject(name))).collect()
}

fn gathers_of(subject: &'static Subject) -> Vec<Lie> {
    let table = subject.table(index::SCAN);
    let mut lies = Vec::new();
    // Gates of nine rows.
    for gate in 0..table.used() / 9 {
        let rows = 9 * gate..9 * gate + 9;
        let last = rows.end - 1;
        let index = rows.clone().position(|row| signed(table.row(row)[MAIN.taken]) == 1).unwrap();
        let mut tell =
            |takes: &[usize], start: [i128; 3], uncounted: Option<usize>, read: Option<i128>| {
                let mut edited = Edited::new(table);
                let mut before = start;
                for (k, row) in rows.clone().enumerate() {
                    let taken = i128::from(takes.contains(&k));
                    let now = value(table, row);
                    let count = if uncounted == Some(k) { 0 } else { taken };
                    let after =
                        [before[0] + taken * now, before[1] + taken * k as i128, before[2] + count];
                    put_one(&mut edited, row, MAIN.taken, taken);
                    put_taken(&mut edited, row, MAIN.before, before);
                    put_taken(&mut edited, row, MAIN.after, after);
                    before = after;
                }
                put_one(&mut edited, last, MAIN.y, before[0]);
                if let Some(read) = read {
                    let old = signed(table.row(last)[MAIN.v_index]);
                    put_one(&mut edited, last, MAIN.v_index, old + read - index as i128);
                }
                if before[0] != signed(table.row(last)[MAIN.y]) {
                    lies.push((subject, edited));
                }
            };
        let i = index as i128;
        for other in (0..9).filter(|&other| other != index) {
            // Another one; with a start that makes up for it; with another index read.
            tell(&[other], [0; 3], None, None);
            tell(&[other], [0, i - other as i128, 0], None, None);
            tell(&[other], [0; 3], None, Some(other as i128));
            // Two whose numbers add up.
            let pair = index.checked_sub(other).filter(|&rest| rest < 9 && rest != other);
            if let Some(rest) = pair {
                tell(&[other, rest], [0; 3], None, None);
                tell(&[other, rest], [0, 0, -1], None, None);
                tell(&[other, rest], [0; 3], Some(rest), None);
            }
        }
        tell(&[index], [5, 0, 0], None, None);
    }
    lies
}

/// Maxima of negative values that none is taken of.
pub fn maxima() -> Vec<Lie> {
    let subject = subject("convolution");
    let table = subject.table(index::SCAN);
    let mut lies = Vec::new();
    for gate in 0..table.used() / 4 {
        let rows = 4 * gate..4 * gate + 4;
        if rows.clone().any(|row| value(table, row) >= 0) {
            continue;
        }
        let mut edited = Edited::new(table);
        for row in rows.clone() {
            put_one(&mut edited, row, MAIN.taken, 0);
            put_taken(&mut edited, row, MAIN.before, [0; 3]);
            put_taken(&mut edited, row, MAIN.after, [0; 3]);
            let distance = if row == rows.start { 0 } else { -value(table, row) };
            put(&mut edited, row, MAIN.d, limbs(distance));
        }
        put_one(&mut edited, rows.end - 1, MAIN.y, 0);
        lies.push((subject, edited));
    }
    lies
}
