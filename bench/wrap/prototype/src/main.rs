//! Measures what a pairing SNARK around a STARK proof would take: see README.md.

mod circuit;
mod costs;
mod groth;
mod koalabear;
mod path;
mod poseidon;
mod poseidon2;
mod sha256;
mod spread;
mod sum;
#[cfg(test)]
mod tests;

use std::path::Path;

const USAGE: &str = "usage: wrap-prototype costs CURVE | hash bn254 | prove CURVE LEVELS DIRECTORY
CURVE is bn254 or bls12-381; LEVELS are of the Merkle path that is proven";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let found = match words[..] {
        ["costs", "bn254"] => Some(costs::measured::<ark_bn254::Fr>()),
        ["costs", "bls12-381"] => Some(costs::measured::<ark_bls12_381::Fr>()),
        ["hash", "bn254"] => Some(costs::poseidon_microseconds::<ark_bn254::Fr>().into()),
        ["prove", curve, levels, directory] => levels.parse().ok().and_then(|levels| match curve {
            "bn254" => Some(groth::measured::<ark_bn254::Bn254>(levels, Path::new(directory))),
            "bls12-381" => {
                Some(groth::measured::<ark_bls12_381::Bls12_381>(levels, Path::new(directory)))
            }
            _ => None,
        }),
        _ => None,
    };
    match found {
        Some(value) => println!("{value:#}"),
        None => {
            eprintln!("{USAGE}");
            std::process::exit(2);
        }
    }
}
