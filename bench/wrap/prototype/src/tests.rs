//! Each gadget against plain arithmetic, and what is not bound by a constraint.

use ark_bn254::Fr;
use ark_crypto_primitives::sponge::CryptographicSponge;
use ark_crypto_primitives::sponge::poseidon::PoseidonSponge;
use ark_ff::One;
use ark_relations::r1cs::ConstraintSystem;
use num_bigint::{BigInt, BigUint};
use sha2::{Digest, Sha256};

use crate::circuit::{Circuit, Style};
use crate::koalabear::{self, DEGREE, Element, ROOT, power};
use crate::path::MerklePath;
use crate::poseidon2::Poseidon2;
use crate::sum::{P, Sum, residue};
use crate::{poseidon, sha256, spread};

const STYLES: [Style; 3] = [Style::Bits, Style::Lookups, Style::Rows];

type Plain = [u64; DEGREE];

fn circuit(style: Style) -> Circuit<Fr> {
    Circuit::new(ConstraintSystem::new_ref(), style)
}

fn satisfied(mut circuit: Circuit<Fr>) -> bool {
    circuit.close();
    circuit.holds()
}

fn words(count: usize) -> Vec<u64> {
    let mut seed = 5;
    let mut next = || {
        seed = (seed * 6_364_136_223 + 1_442_695_041) % P;
        seed
    };
    let mut found: Vec<u64> = (0..count).map(|_| next()).collect();
    found[0] = P - 1;
    found
}

fn elements(circuit: &mut Circuit<Fr>, plain: &[Plain]) -> Vec<Element> {
    plain.iter().map(|e| e.map(|word| circuit.word(word))).collect()
}

fn plain(count: usize) -> Vec<Plain> {
    words(DEGREE * count).chunks(DEGREE).map(|e| e.try_into().unwrap()).collect()
}

fn residues(element: &[Sum]) -> Vec<u64> {
    element.iter().map(|word| residue(&word.value(), P)).collect()
}

/// By long division by X⁵ + X² − 1.
fn times(a: &Plain, b: &Plain) -> Plain {
    let mut wide = [0; 2 * DEGREE - 1];
    for i in 0..DEGREE {
        for j in 0..DEGREE {
            wide[i + j] = (wide[i + j] + a[i] * b[j]) % P;
        }
    }
    for top in (DEGREE..wide.len()).rev() {
        let lead = std::mem::take(&mut wide[top]);
        wide[top - 5] = (wide[top - 5] + lead) % P;
        wide[top - 3] = (wide[top - 3] + P - lead) % P;
    }
    wide[..DEGREE].try_into().unwrap()
}

fn plus(a: &Plain, b: &Plain) -> Plain {
    std::array::from_fn(|i| (a[i] + b[i]) % P)
}

fn scaled(a: &Plain, by: u64) -> Plain {
    a.map(|word| word * by % P)
}

#[test]
fn products_of_words() {
    for style in STYLES {
        let mut circuit = circuit(style);
        for pair in words(8).chunks(2) {
            let (a, b) = (circuit.word(pair[0]), circuit.word(pair[1]));
            let found = koalabear::word_product(&mut circuit, &a, &b);
            assert_eq!(found.value(), BigInt::from(pair[0] * pair[1] % P));
        }
        assert!(satisfied(circuit));
    }
}

#[test]
fn products_of_elements() {
    let values = [vec![[P - 1; DEGREE]; 2], plain(4)].concat();
    for style in STYLES {
        let mut circuit = circuit(style);
        let inputs = elements(&mut circuit, &values);
        for at in 0..5 {
            let found = koalabear::product(&mut circuit, &inputs[at], &inputs[at + 1]);
            assert_eq!(residues(&found), times(&values[at], &values[at + 1]));
        }
        assert!(satisfied(circuit));
    }
}

#[test]
fn dot_products() {
    let (factors, weights) = (words(200), plain(200));
    let expected = factors
        .iter()
        .zip(&weights)
        .fold([0; DEGREE], |total, (word, weight)| plus(&total, &scaled(weight, *word)));
    for style in STYLES {
        let mut circuit = circuit(style);
        let inputs: Vec<Sum> = factors.iter().map(|word| circuit.word(*word)).collect();
        let weights = elements(&mut circuit, &weights);
        let packed: Vec<_> = weights.iter().map(|w| koalabear::packed(&circuit, w)).collect();
        let found = koalabear::dot(&mut circuit, &inputs, &packed);
        assert_eq!(residues(&found), expected);
        assert!(satisfied(circuit));
    }
}

/// Of the values of Σ cⱼ·X^j, j < 8, at X·ω^rev(i), the fold is Σ cⱼ·β^j.
#[test]
fn folds_evaluate_at_beta() {
    let (coefficients, beta, x) = (plain(8), plain(9)[8], 12_345);
    let at = |point: u64| {
        let powers = (0..8).map(|j| power(point, j));
        let terms = coefficients.iter().zip(powers).map(|(c, power)| scaled(c, power));
        terms.fold([0; DEGREE], |total, term| plus(&total, &term))
    };
    let root = power(ROOT, 1 << 21);
    let values: Vec<Plain> =
        (0..8u64).map(|i| at(x * power(root, i.reverse_bits() >> 61) % P)).collect();
    let step = scaled(&beta, power(x, P - 2));
    let square = times(&step, &step);
    let expected =
        coefficients.iter().rev().fold([0; DEGREE], |total, c| plus(&times(&total, &beta), c));
    for style in STYLES {
        let mut circuit = circuit(style);
        let inputs = elements(&mut circuit, &values);
        let steps = elements(&mut circuit, &[step, square, times(&square, &square)]);
        let found = koalabear::fold(&mut circuit, &inputs, &steps.try_into().unwrap());
        assert_eq!(residues(&found), expected);
        assert!(satisfied(circuit));
    }
}

/// From `verifier/poseidon2.py`: the permutation of 0, 1, 2, …
#[test]
fn poseidon2_as_the_verifier_has_it() {
    for (width, expected) in [(16, &P16[..]), (24, &P24[..])] {
        for style in STYLES {
            let mut circuit = circuit(style);
            let state: Vec<Sum> = (0..width as u64).map(|word| circuit.word(word)).collect();
            let found = Poseidon2::new(width).permute(&mut circuit, &state);
            assert_eq!(residues(&found), expected);
            assert!(satisfied(circuit));
        }
    }
}

#[test]
fn poseidon_as_arkworks_has_it() {
    let config = poseidon::config::<Fr>();
    let mut sponge = PoseidonSponge::new(&config);
    sponge.absorb(&vec![Fr::from(3u64), Fr::from(4u64)]);
    let expected: BigUint = sponge.squeeze_field_elements::<Fr>(1)[0].into();
    for style in STYLES {
        let mut circuit = circuit(style);
        let state = [0, 3, 4].map(|word| circuit.word(word));
        let found = poseidon::permute(&circuit, &config, &state);
        let value: Fr = crate::sum::field(&found[1].value());
        assert_eq!(BigUint::from(value), expected);
        assert!(satisfied(circuit));
    }
}

fn message() -> (Vec<u8>, [[u32; 16]; 2]) {
    let message: Vec<u8> = (0..64).collect();
    let mut padding = [0; 64];
    (padding[0], padding[62]) = (0x80, 2);
    let words = |block: &[u8]| {
        let words = block.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap()));
        words.collect::<Vec<_>>().try_into().unwrap()
    };
    let blocks = [words(&message), words(&padding)];
    (message, blocks)
}

fn bytes(numbers: impl Iterator<Item = Sum>) -> Vec<u8> {
    numbers.flat_map(|number| u32::try_from(number.value()).unwrap().to_be_bytes()).collect()
}

#[test]
fn sha256_in_bits() {
    let (message, blocks) = message();
    let mut circuit = circuit(Style::Bits);
    let mut state = sha256::initial();
    for block in &blocks {
        let words = sha256::block(&mut circuit, block);
        state = sha256::compress(&mut circuit, &state, &words);
    }
    assert_eq!(bytes(state.iter().map(sha256::number)), Sha256::digest(&message).as_slice());
    assert!(satisfied(circuit));
}

#[test]
fn sha256_in_lookups() {
    let (message, blocks) = message();
    for style in [Style::Lookups, Style::Rows] {
        let mut circuit = circuit(style);
        let mut state = spread::initial();
        for block in &blocks {
            let words = spread::block(&mut circuit, block);
            state = spread::compress(&mut circuit, &state, &words);
        }
        let found = bytes(state.iter().map(|word| word.number.clone()));
        assert_eq!(found, Sha256::digest(&message).as_slice());
        assert!(satisfied(circuit));
    }
}

/// One more in any one variable breaks a constraint or a lookup.
#[test]
fn every_variable_is_bound() {
    for style in STYLES {
        for operation in [compressed, multiplied, hashed] {
            let mut circuit = circuit(style);
            operation(&mut circuit);
            // Those of the tables are many, and alike.
            let count = circuit.cs.num_witness_variables();
            circuit.close();
            let cs = circuit.cs.clone();
            for at in (0..count).step_by(count / 300 + 1) {
                let change = |by: Fr| cs.borrow_mut().unwrap().witness_assignment[at] += by;
                change(Fr::one());
                assert!(!circuit.holds(), "{style:?} variable {at} of {count}");
                change(-Fr::one());
            }
            assert!(circuit.holds());
        }
    }
}

fn multiplied(circuit: &mut Circuit<Fr>) {
    let inputs = elements(circuit, &plain(2));
    koalabear::product(circuit, &inputs[0], &inputs[1]);
}

fn hashed(circuit: &mut Circuit<Fr>) {
    let words = message().1[0];
    if circuit.style == Style::Bits {
        let block = sha256::block(circuit, &words);
        sha256::compress(circuit, &sha256::initial(), &block);
    } else {
        let block = spread::block(circuit, &words);
        spread::compress(circuit, &spread::initial(), &block);
    }
}

fn compressed(circuit: &mut Circuit<Fr>) {
    let inputs: Vec<Sum> = words(16).into_iter().map(|word| circuit.word(word)).collect();
    Poseidon2::new(16).compress(circuit, &inputs[..8], &inputs[8..]);
}

/// 2^31 is no word: its top bit is a two.
#[test]
fn a_range_ends_where_it_says() {
    let mut circuit = circuit(Style::Bits);
    circuit.word(1 << 30);
    let cs = circuit.cs.clone();
    assert!(cs.is_satisfied().unwrap());
    cs.borrow_mut().unwrap().witness_assignment[0] += Fr::from(1u64 << 30);
    assert!(!cs.is_satisfied().unwrap());
    assert_eq!(circuit.greatest(31), (BigInt::from(1) << 31) - 1);
}

#[test]
fn a_path_leads_to_one_root() {
    let mut circuit = circuit(Style::Bits);
    let path = MerklePath::of_length(3);
    let root = path.enforce(&mut circuit);
    let cs = circuit.cs.clone();
    assert!(cs.is_satisfied().unwrap());
    cs.borrow_mut().unwrap().instance_assignment[1] = root + Fr::one();
    assert!(!cs.is_satisfied().unwrap());
}

const P16: [u64; 16] = [
    1259554834, 663463928, 1989430097, 476523442, 836740795, 1803459961, 1229318262, 2023956904,
    2054405130, 1556655036, 1455339712, 1471465890, 423337459, 353979748, 1203410294, 1592576868,
];

const P24: [u64; 24] = [
    723511737, 87131171, 587052829, 1323145575, 949917837, 2060493993, 234724110, 834906887,
    306751607, 1771020267, 329216878, 823818173, 765507096, 1447982946, 605505945, 247386051,
    1223069940, 354661286, 233493652, 2075130821, 1961191294, 313483662, 1701936810, 1815724394,
];
