//! Every unit of this processor against SHA-256 of one message.

use super::*;

fn word(i: usize) -> u32 {
    (i as u32).wrapping_mul(0x9e37_79b9) ^ 0x5bd1
}

/// All lengths up to several blocks, so that padding falls everywhere; all numbers of messages.
#[test]
fn every_unit_hashes_alike() {
    for length in (0..70).chain([150, 500]) {
        for unit in Unit::all() {
            let mut messages = Messages::new(length);
            for i in 0..MOST {
                let words = messages.message(i).iter_mut().enumerate();
                words.for_each(|(j, out)| *out = word(1000 * i + j));
            }
            for count in [1, 7, 8, 9, 15, 16] {
                let mut found = vec![Hash::default(); count];
                messages.hash(unit, length as u8, &mut found);
                for (i, found) in found.iter().enumerate() {
                    let mut bytes = vec![length as u8];
                    bytes.extend((0..length).flat_map(|j| word(1000 * i + j).to_le_bytes()));
                    let wanted: Hash = Sha256::digest(bytes).into();
                    assert_eq!(*found, wanted, "{unit:?}, {length} words, message {i}");
                }
            }
        }
    }
}

#[test]
fn every_unit_finds_the_same_work() {
    let (state, [tag, check]) = ([77; 32], [3, 200]);
    let work = |witness: u64| {
        let message = Sha256::new().chain_update(state).chain_update([tag]);
        let message = message.chain_update(8u64.to_le_bytes());
        let inner = message.chain_update(witness.to_le_bytes()).finalize();
        let outer = Sha256::new().chain_update(inner).chain_update([check]).finalize();
        u32::from_le_bytes(std::array::from_fn(|i| outer[i]))
    };
    // Witnesses of one word and of two; ranges that no number of lanes divides.
    for first in [0, 5, (1 << 32) - 40, u64::MAX - 5000] {
        for low in [0, 1, 7, 9] {
            let good = |witness| work(witness) & ((1 << low) - 1) == 0;
            let tries = first..first + 4001;
            let wanted = tries.clone().find(|&witness| good(witness));
            for unit in Unit::all() {
                let found = first_work(unit, &state, [tag, check], tries.clone(), low, good);
                assert_eq!(found, wanted, "{unit:?}");
            }
        }
    }
}
