use super::*;

const BOTH: [Hashing; 2] = [Hashing::Sha256, Hashing::Poseidon2];

fn fresh(hashing: Hashing) -> Transcript {
    Transcript::new(hashing, Prefix { context: &[7; 32], parameters: b"ab", tables: b"cde" })
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn every_absorbed_word_changes_what_follows() {
    for hashing in BOTH {
        let mut a = fresh(hashing);
        a.absorb(1, &words(&[5, 6]));
        let mut others = vec![fresh(hashing); 5];
        others[0].absorb(2, &words(&[5, 6]));
        others[1].absorb(1, &words(&[5]));
        others[1].absorb(1, &words(&[6]));
        others[2].absorb(1, &words(&[5, 6, 0]));
        others[3].absorb(1, &words(&[6, 5]));
        let first = a.element();
        assert!(others.into_iter().all(|mut other| other.element() != first));
        assert_ne!(a.element(), first);
    }
}

#[test]
fn every_part_of_the_prefix_counts() {
    for hashing in BOTH {
        let prefix = Prefix { context: &[7; 32], parameters: b"ab", tables: b"cde" };
        let first = Transcript::new(hashing, prefix).element();
        let others = [
            Prefix { context: &[8; 32], ..prefix },
            Prefix { parameters: b"ac", ..prefix },
            Prefix { tables: b"cdf", ..prefix },
        ];
        for other in others {
            assert_ne!(Transcript::new(hashing, other).element(), first);
        }
    }
    let [a, b] = BOTH.map(|hashing| fresh(hashing).element());
    assert_ne!(a, b);
}

#[test]
fn work_is_found_and_checked() {
    for hashing in BOTH {
        let (mut prover, mut verifier) = (fresh(hashing), fresh(hashing));
        let witness = prover.grind(10);
        let others = 0..witness;
        assert!(!others.into_iter().any(|w| verifier.clone().check_work(10, w)), "not the least");
        assert!(verifier.clone().check_work(10, witness));
        assert!(!(0..3).all(|i| verifier.clone().check_work(10, witness ^ (1 << i))));
        assert!(verifier.check_work(10, witness));
        assert_eq!(prover.indices(9, 7), verifier.indices(9, 7));
        assert!(!verifier.check_work(0, 1));
    }
}

/// A number from p on stands for the same element as one below p.
#[test]
fn work_is_below_p() {
    let mut transcript = fresh(Hashing::Poseidon2);
    let witness = transcript.clone().grind(4);
    let p = u64::from(crate::hash::P);
    assert!(!transcript.clone().check_work(4, witness + p));
    assert!(!transcript.clone().check_work(4, witness + (1 << 32)));
    assert!(transcript.check_work(4, witness));
}

#[test]
fn threads_find_the_same_work() {
    for hashing in BOTH {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fresh(hashing).grind(14))
        };
        let one = on(1);
        assert!([2, 3, 7].into_iter().all(|threads| on(threads) == one));
    }
}

/// As tests/unit/test_stark_transcript.py: the verifier in Python draws the same.
#[test]
fn known_answers() {
    let mut found = vec![];
    for hashing in BOTH {
        let mut t = fresh(hashing);
        t.absorb(4, &words(&[1, 2, 3, 4, 5, 6, 7, 8]));
        t.absorb(5, &words(&(0..23).collect::<Vec<u32>>()));
        found.extend(super::super::field::coefficients(&t.element()).to_vec());
        found.extend(t.indices(20, 12).into_iter().map(crate::hash::poseidon::elem));
        found.push(crate::hash::poseidon::elem(t.grind(12) as usize));
        found.push(super::super::field::coefficients(&t.element())[0]);
    }
    assert_eq!(crate::hash::poseidon::words(&found), KNOWN);
}

/// Of each configuration: an element of K, 20 indices, the least work of 12 bits, one more element of F.
#[rustfmt::skip]
const KNOWN: [u32; 54] = [
    762508226, 2057070418, 708406164, 809221492, 604549037,
    1293, 1076, 2361, 554, 2114, 3334, 3743, 4015, 1435, 3321,
    535, 3567, 3567, 3064, 117, 2742, 1034, 3789, 1355, 1729,
    3657, 34149205,
    755165136, 1914326248, 1251216895, 1651191699, 815545082,
    3, 3119, 1461, 2766, 393, 3299, 3093, 2292, 2173, 2622,
    2904, 2616, 4003, 176, 2300, 2007, 2706, 164, 979, 3088,
    4396, 1239786037,
];
