//! Words of the prf, and the values cut out of them.

use super::*;
use crate::hybrid::tables::bits::{MAIN, PUBLIC};

/// Writes a value and what is left of its word, in limbs, and their scaled forms.
fn put_limbs(edited: &mut Edited, row: usize, v: [i128; 2], h: [i128; 2]) {
    put(edited, row, MAIN.v, v);
    put_scaled(edited, row, MAIN.v_scaled, PUBLIC.sigma_v, v);
    put(edited, row, MAIN.h, h);
    put_scaled(edited, row, MAIN.h_scaled, PUBLIC.sigma_h, h);
}

/// Words of the prf at the ends of the field, and their other decompositions.
#[test]
fn words_have_one_decomposition() {
    let subject = subject("wide");
    let table = subject.table(index::BITS);
    let power = signed(table.publics(0)[PUBLIC.power]);
    // A decomposition: low 24 bits, top, whether it is p − 1.
    let write = |word: i128, low: i128, top: i128, largest: i128| {
        let mut edited = Edited::new(table);
        put_one(&mut edited, 0, MAIN.word, word);
        let (value, high) = (low.rem_euclid(power), low.div_euclid(power));
        put_limbs(&mut edited, 0, limbs(value), limbs(high));
        put(&mut edited, 0, [MAIN.top, MAIN.largest], [top, largest]);
        failures(&edited, subject)
    };
    let low = 1 << 24;
    for word in [0, 1, low - 1, low, 126 * low + low - 1, MODULUS - 2] {
        let top = word / low;
        assert_eq!(write(word, word % low, top, 0), [], "{word}");
        // The same word plus p: non-canonical, 31 bits where there is room.
        let plus = word + MODULUS;
        let forged = [
            write(word, plus % low, plus / low, 0),
            write(word, plus % low, plus / low - 127, 1),
            write(word, (word + 1) % low, 0, 1),
            // A top digit less, the low part longer, and the other way round.
            write(word, word % low + low, top - 1, 0),
            write(word, word % low - low, top + 1, 0),
        ];
        for (i, found) in forged.into_iter().enumerate() {
            assert!(!found.is_empty(), "{word}: {i}");
        }
    }
    // p − 1 has the flag, and neither top 127 nor a low part.
    let largest = MODULUS - 1;
    assert_eq!(write(largest, 0, 0, 1), []);
    only_ranges(&write(largest, 0, 127, 0), index::BITS, &[MAIN.top]);
    assert!(!write(largest, low, 126, 0).is_empty());
    assert!(constraints(&write(largest, -low, 1, 1)) > 0);
    // With the flag there is no other word.
    assert!(constraints(&write(0, 1, 0, 1)) > 0);
    assert_eq!(write(5, 6, 0, 1), [Failure::Constraint(3)]);
    assert_eq!(write(3 * low - 1, 0, 3, 1), [Failure::Constraint(2)]);
    // A value of more bits than the tensor has: the rest one less.
    let honest = low / 3;
    assert_eq!(write(honest, honest, 0, 0), []);
    let mut edited = Edited::new(table);
    put_one(&mut edited, 0, MAIN.word, honest);
    let (value, high) = (honest % power + power, honest / power - 1);
    put_limbs(&mut edited, 0, limbs(value), limbs(high));
    put(&mut edited, 0, [MAIN.top, MAIN.largest], [0, 0]);
    let columns = from_to(MAIN.v[0], MAIN.h_scaled[1]);
    only_ranges(&failures(&edited, subject), index::BITS, &columns);
}

/// Noise of 16 bits: the word plus p has a value that is 1 larger, if the rest may have more bits.
pub fn wide_words() -> Vec<Lie> {
    let subject = subject("noisy");
    let table = subject.table(index::BITS);
    let mut lies = Vec::new();
    for row in 0..table.used() {
        let word = i128::from(table.row(row)[MAIN.word].as_canonical_u32());
        let value = word % (1 << 16);
        if word >= 15 << 24 || value + 1 == 1 << 16 {
            continue;
        }
        // word + p = value + 1 + 2^16·rest + 2^24·126.
        let rest = ((word - value) >> 16) + 256;
        let fraction = signed(elem(rest) * Elem::from_u32(4096).inverse());
        for (h, scaled) in [([rest, 0], None), ([rest, 0], Some(0)), ([0, fraction], None)] {
            let mut edited = Edited::new(table);
            put_limbs(&mut edited, row, limbs(value + 1), h);
            let column = MAIN.h_scaled[0];
            scaled.iter().for_each(|&scaled| put_one(&mut edited, row, column, scaled));
            put(&mut edited, row, [MAIN.top, MAIN.largest], [126, 0]);
            lies.push((subject, edited));
        }
    }
    lies
}

/// Words whose flag lies.
pub fn words() -> Vec<Lie> {
    let mut lies = Vec::new();
    for subject in ["wide", "picks"].map(subject) {
        let table = subject.table(index::BITS);
        for row in 0..table.used() {
            let word = signed(table.row(row)[MAIN.word]);
            let mut tell = |low: i128, top: i128, largest: i128| {
                let mut edited = Edited::new(table);
                let power = signed(table.publics(row)[PUBLIC.power]);
                put_limbs(&mut edited, row, limbs(low % power), limbs(low / power));
                put(&mut edited, row, [MAIN.top, MAIN.largest], [top, largest]);
                let value = |row: &[Elem]| joined(row, MAIN.v);
                if value(edited.row(row)) != value(table.row(row)) {
                    lies.push((subject, edited));
                }
            };
            let word = word.rem_euclid(MODULUS);
            // A flag that is neither 0 nor 1, with nothing else.
            tell(0, 0, -word);
            // The flag, and a low part besides.
            if word + 1 < 1 << 24 {
                tell(word + 1, 0, 1);
            }
            // The flag, and a top besides: of any word, with the low part that is left.
            let low = (word + 1) % (1 << 24);
            tell(low, (word + 1) >> 24, 1);
        }
    }
    lies
}
