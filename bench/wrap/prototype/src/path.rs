//! The statement that is proven: a leaf hashes to the public root along a path of given length.

use ark_ff::PrimeField;
use ark_relations::r1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use num_bigint::BigInt;

use crate::circuit::{Circuit, Style};
use crate::poseidon2::Poseidon2;
use crate::sum::{P, Sum, field};

const DIGEST: usize = 8;

/// Words and a bit for each level: Poseidon2 over KoalaBear, as our trees compress.
#[derive(Clone)]
pub struct MerklePath {
    pub leaf: [u64; DIGEST],
    pub siblings: Vec<[u64; DIGEST]>,
    /// Bit i: at level i the sibling stands on the left.
    pub index: u64,
}

impl MerklePath {
    /// A path of so many levels whose words follow from its length.
    pub fn of_length(levels: usize) -> Self {
        let mut seed = levels as u64 + 1;
        let mut digest = || {
            std::array::from_fn(|_| {
                seed = (seed * 6_364_136_223 + 1_442_695_041) % P;
                seed
            })
        };
        let (leaf, siblings) = (digest(), (0..levels).map(|_| digest()).collect());
        Self { leaf, siblings, index: 0x5a5a_5a5a & ((1 << levels) - 1) }
    }

    /// The root, `Σ word·2^31i`: eight words in one number of the field.
    pub fn enforce<F: PrimeField>(&self, circuit: &mut Circuit<F>) -> F {
        let poseidon2 = Poseidon2::new(16);
        let mut digest: Vec<Sum> = self.leaf.iter().map(|word| circuit.word(*word)).collect();
        for (level, sibling) in self.siblings.iter().enumerate() {
            let sibling: Vec<Sum> = sibling.iter().map(|word| circuit.word(*word)).collect();
            let side = bit(circuit, self.index >> level & 1);
            let (mut left, mut right) = (Vec::new(), Vec::new());
            for (mine, other) in digest.iter().zip(&sibling) {
                let moved = circuit.product(&side, &(other - mine));
                left.push(mine + &moved);
                right.push(other - &moved);
            }
            digest = poseidon2.compress(circuit, &left, &right);
        }
        let shifted =
            digest.iter().enumerate().map(|(i, w)| w.scaled(&(BigInt::from(1) << (31 * i))));
        let root: Sum = shifted.sum();
        let value = field(&root.value());
        let public = circuit.cs.new_input_variable(|| Ok(value)).expect("no error in a closure");
        circuit.enforce(root.combination(), Variable::One.into(), LinearCombination::from(public));
        value
    }
}

fn bit<F: PrimeField>(circuit: &mut Circuit<F>, value: u64) -> Sum {
    let bit = circuit.witness(value.into(), 0.into(), 1.into());
    let combination = bit.combination::<F>();
    let less = combination.clone() - (F::one(), Variable::One);
    circuit.enforce(combination, less, LinearCombination(Vec::new()));
    bit
}

impl<F: PrimeField> ConstraintSynthesizer<F> for MerklePath {
    fn generate_constraints(self, cs: ConstraintSystemRef<F>) -> Result<(), SynthesisError> {
        self.enforce(&mut Circuit::new(cs, Style::Bits));
        Ok(())
    }
}
