//! Groth16 over the Merkle path: times, memory, bytes, and files for the plain checker.

use std::fs;
use std::path::Path;
use std::time::Instant;

use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;
use ark_ff::{Field, PrimeField};
use ark_groth16::Groth16;
use ark_relations::r1cs::{ConstraintSystem, SynthesisMode};
use ark_serialize::{CanonicalSerialize, Compress};
use ark_snark::SNARK;
use ark_std::rand::{SeedableRng, rngs::StdRng};
use num_bigint::BigUint;
use serde_json::{Value, json};

use crate::circuit::{Circuit, Style};
use crate::costs::processor_seconds;
use crate::path::MerklePath;

/// Set up, prove, verify; writes `vector.json`.
///
/// The secret of the set-up follows from a number written here: nobody can trust these keys.
pub fn measured<E: Pairing>(levels: usize, directory: &Path) -> Value {
    let mut random = StdRng::seed_from_u64(46);
    let path = MerklePath::of_length(levels);
    let (root, size) = size_of::<E::ScalarField>(&path);
    let start = Clock::now();
    let (key, check) =
        Groth16::<E>::circuit_specific_setup(path.clone(), &mut random).expect("R1CS");
    let set_up = start.seconds();
    let set_up_memory = peak();
    let start = Clock::now();
    let proof = Groth16::<E>::prove(&key, path, &mut random).expect("satisfied");
    let prove = start.seconds();
    let start = Instant::now();
    assert!(Groth16::<E>::verify(&check, &[root], &proof).expect("of one public value"));
    let verify = start.elapsed();
    let vector = json!({
        "curve": if E::ScalarField::MODULUS_BIT_SIZE == 254 { "bn254" } else { "bls12-381" },
        "levels": levels,
        "public": [number(root)],
        "proof": {"a": point(&proof.a), "b": point(&proof.b), "c": point(&proof.c)},
        "key": {
            "alpha": point(&check.alpha_g1),
            "beta": point(&check.beta_g2),
            "gamma": point(&check.gamma_g2),
            "delta": point(&check.delta_g2),
            "of_public": check.gamma_abc_g1.iter().map(point).collect::<Vec<_>>(),
        },
    });
    fs::create_dir_all(directory).expect("a folder that can be made");
    fs::write(directory.join("vector.json"), format!("{vector:#}\n")).expect("a file to write");
    json!({
        "levels": levels,
        "constraints": size.0,
        "variables": size.1,
        "entries": size.2,
        "set_up_seconds": set_up,
        "prove_seconds": prove,
        "verify_seconds": verify.as_secs_f64(),
        "proving_key_bytes": key.serialized_size(Compress::No),
        "verifying_key_bytes": check.serialized_size(Compress::Yes),
        "proof_bytes": [proof.serialized_size(Compress::Yes), proof.serialized_size(Compress::No)],
        "peak_kib": [set_up_memory, peak()],
    })
}

/// Seconds that pass, and those of the processor in all threads.
struct Clock(Instant, f64);

impl Clock {
    fn now() -> Self {
        Self(Instant::now(), processor_seconds())
    }

    fn seconds(&self) -> [f64; 2] {
        [self.0.elapsed().as_secs_f64(), processor_seconds() - self.1]
    }
}

/// The public root; constraints, variables and entries of the three matrices.
fn size_of<F: PrimeField>(path: &MerklePath) -> (F, (usize, usize, usize)) {
    let cs = ConstraintSystem::new_ref();
    cs.set_mode(SynthesisMode::Prove { construct_matrices: true });
    let root = path.enforce(&mut Circuit::new(cs.clone(), Style::Bits));
    assert!(cs.is_satisfied().expect("assigned"));
    cs.finalize();
    let matrices = cs.to_matrices().expect("constructed");
    let entries = matrices.a_num_non_zero + matrices.b_num_non_zero + matrices.c_num_non_zero;
    let variables = cs.num_instance_variables() + cs.num_witness_variables();
    (root, (cs.num_constraints(), variables, entries))
}

/// The coordinates' numbers: of the second group real and imaginary part of x, then of y.
fn point<A: AffineRepr>(point: &A) -> Vec<String> {
    let (x, y) = point.xy().expect("not infinity");
    [x, y].iter().flat_map(Field::to_base_prime_field_elements).map(number).collect()
}

fn number<F: PrimeField>(value: F) -> String {
    let found: BigUint = value.into_bigint().into();
    found.to_string()
}

/// The most memory of this process so far, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
