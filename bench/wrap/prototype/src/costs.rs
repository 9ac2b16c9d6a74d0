//! What each operation takes: built, satisfied, and counted by the constraint system.

use ark_crypto_primitives::sponge::poseidon::PoseidonSponge;
use ark_crypto_primitives::sponge::{Absorb, CryptographicSponge};
use ark_ff::PrimeField;
use ark_relations::r1cs::ConstraintSystem;
use serde_json::{Map, Value, json};

use crate::circuit::{Circuit, Style};
use crate::koalabear::{self, DEGREE, Element};
use crate::poseidon::{self, WIDTH};
use crate::poseidon2::Poseidon2;
use crate::sum::{P, Sum};
use crate::{sha256, spread};

/// Words that are summed when a dot product is measured.
pub const DOT: usize = 256;

type Operation<F> = (&'static str, fn(&mut Circuit<F>, &Inputs));

/// Allocated before the count begins.
struct Inputs {
    words: Vec<Sum>,
    /// Equal to the first word.
    twin: Sum,
    elements: Vec<Element>,
    packed: Vec<[Sum; 2]>,
}

impl Inputs {
    fn new<F: PrimeField>(circuit: &mut Circuit<F>) -> Self {
        let mut seed = 1;
        let mut word = || {
            seed = (seed * 6_364_136_223 + 1_442_695_041) % P;
            circuit.word(seed)
        };
        let words: Vec<Sum> = (0..DOT).map(|_| word()).collect();
        let elements: Vec<Element> =
            (0..16).map(|_| std::array::from_fn::<_, DEGREE, _>(|_| word())).collect();
        let cycle = (0..DOT).map(|i| &elements[i % 16]);
        let packed = cycle.map(|element| koalabear::packed(circuit, element)).collect();
        let twin = circuit.word(words[0].value().try_into().expect("a word"));
        Self { words, twin, elements, packed }
    }
}

fn operations<F: PrimeField>() -> Vec<Operation<F>> {
    vec![
        ("word", |c, _| drop(c.word(P - 1))),
        ("word_product", |c, i| drop(koalabear::word_product(c, &i.words[0], &i.words[1]))),
        ("element_product", |c, i| {
            koalabear::product(c, &i.elements[0], &i.elements[1]);
        }),
        ("element_product_lazy", |c, i| {
            koalabear::lazy_product(c, &i.elements[0], &i.elements[1]);
        }),
        ("word_equal", |c, i| c.divisible(&(&i.words[0] - &i.twin))),
        ("dot_128", |c, i| drop(koalabear::dot(c, &i.words[..DOT / 2], &i.packed[..DOT / 2]))),
        ("dot_256", |c, i| drop(koalabear::dot(c, &i.words, &i.packed))),
        ("fold_8", |c, i| {
            let steps = std::array::from_fn(|k| i.elements[8 + k].clone());
            koalabear::fold(c, &i.elements[..8], &steps);
        }),
        ("p16", |c, i| {
            Poseidon2::new(16).compress(c, &i.words[..8], &i.words[8..16]);
        }),
        ("p24", |c, i| {
            Poseidon2::new(24).absorb(c, &i.words[..24]);
        }),
        ("poseidon", |c, i| {
            let state: [Sum; WIDTH] = std::array::from_fn(|k| i.words[k].clone());
            poseidon::permute(c, &poseidon::config(), &state);
        }),
    ]
}

/// Constraints, and lookups among or beside them, by operation and style.
pub fn measured<F: PrimeField>() -> Value {
    let mut found = Map::new();
    for (name, operation) in operations::<F>() {
        let mut styles = Map::new();
        for style in [Style::Bits, Style::Lookups, Style::Rows] {
            let mut circuit = Circuit::<F>::new(ConstraintSystem::new_ref(), style);
            let inputs = Inputs::new(&mut circuit);
            let (before, lookups) = (circuit.constraints(), circuit.lookups);
            operation(&mut circuit, &inputs);
            let count = circuit.constraints() - before;
            let cost = json!({"constraints": count, "lookups": circuit.lookups - lookups});
            circuit.close();
            assert!(circuit.holds(), "{name} in {style:?}");
            styles.insert(format!("{style:?}").to_lowercase(), cost);
        }
        found.insert(name.into(), styles.into());
    }
    let (message, block) = sha256_block::<F>();
    found.insert("sha256_message".into(), message);
    found.insert("sha256".into(), block);
    found.into()
}

/// A message's 16 words, and the compression of one block behind another.
fn sha256_block<F: PrimeField>() -> (Value, Value) {
    let (mut messages, mut blocks) = (Map::new(), Map::new());
    for style in [Style::Bits, Style::Lookups, Style::Rows] {
        let mut circuit = Circuit::<F>::new(ConstraintSystem::new_ref(), style);
        let words = [0x8765_4321; 16];
        let mut marks = Vec::new();
        let mut mark = |circuit: &Circuit<F>| marks.push((circuit.constraints(), circuit.lookups));
        if style == Style::Bits {
            let first = sha256::block(&mut circuit, &words);
            let state = sha256::compress(&mut circuit, &sha256::initial(), &first);
            mark(&circuit);
            let second = sha256::block(&mut circuit, &words);
            mark(&circuit);
            sha256::compress(&mut circuit, &state, &second);
            mark(&circuit);
        } else {
            let first = spread::block(&mut circuit, &words);
            let state = spread::compress(&mut circuit, &spread::initial(), &first);
            mark(&circuit);
            let second = spread::block(&mut circuit, &words);
            second.iter().for_each(|word| spread::bytes(&mut circuit, word));
            mark(&circuit);
            spread::compress(&mut circuit, &state, &second);
            mark(&circuit);
        }
        circuit.close();
        assert!(circuit.holds(), "sha256 in {style:?}");
        for (costs, at) in [(&mut messages, 0), (&mut blocks, 1)] {
            let (before, after) = (marks[at], marks[at + 1]);
            let cost = json!({"constraints": after.0 - before.0, "lookups": after.1 - before.1});
            costs.insert(format!("{style:?}").to_lowercase(), cost);
        }
    }
    (messages.into(), blocks.into())
}

/// Microseconds of the processor for a Poseidon permutation outside of circuits, one thread.
pub fn poseidon_microseconds<F: PrimeField + Absorb>() -> f64 {
    const COUNT: usize = 20_000;
    let config = poseidon::config::<F>();
    let mut sponge = PoseidonSponge::new(&config);
    let start = processor_seconds();
    for _ in 0..COUNT {
        sponge.absorb(&vec![F::from(3u64), F::from(5u64)]);
        sponge.squeeze_field_elements::<F>(1);
    }
    (processor_seconds() - start) * 1e6 / COUNT as f64
}

/// Of all threads of this process, to a hundredth of a second.
pub fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
