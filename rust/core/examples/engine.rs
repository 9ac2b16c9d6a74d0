//! Times the engine: `engine FOLDER REPEATS` proves and verifies what the folder holds, and prints the
//! least time of each part in ms. The folder's files are a hybrid or strict receipt (`receipt`) and the
//! parts of its job (`program`, `journal`, `openings`, as in a work folder of `zktally prove`).

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use zktally_core::commit::{Prepared, model_id};
use zktally_core::hybrid::Prover;
use zktally_core::program::load;
use zktally_core::receipt::Journal;
use zktally_core::statement::Expectations;
use zktally_core::verify;

#[global_allocator]
static ALLOCATOR: zktally_core::stark::memory::Pool = zktally_core::stark::memory::Pool;

const POLICY: &str = r#"{"modes": ["hybrid", "strict"], "min_bits": 1, "max_delta_ppm": 1000000,
    "max_delta_step_ppm": null, "max_delta_op_ppm": null, "outputs_exact": false, "seed": "any",
    "start": "any", "max_steps": null, "max_epochs": null, "batch": null, "programs": null, "ranges": {}}"#;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, repeats] = &arguments[..] else { panic!("usage: engine FOLDER REPEATS") };
    let read = |name: &str| std::fs::read(Path::new(folder).join(name)).expect("a file of the job");
    let (journal, openings) = (read("journal"), read("openings"));
    let prepared = Arc::new(Prepared::new(Arc::new(load(&read("program")).expect("a program"))));
    let receipt = read("receipt");
    let claims = Journal::decode(&journal).expect("a journal");
    let expect = Expectations {
        model_id: model_id(&claims.program_id, claims.weights_root),
        policy: serde_json::from_str(POLICY).expect("a policy"),
        audience: claims.audience,
        nonce: claims.nonce,
        initial_state: None,
        dataset_root: None,
        any_dataset: true,
        input_root: None,
    };
    let mut least = [f64::INFINITY; 8];
    for _ in 0..repeats.parse().expect("a number") {
        let start = Instant::now();
        let new = (prepared.clone(), journal.clone(), openings.clone(), 0);
        let prover = Prover::new(new.0, new.1, new.2, new.3).expect("a job");
        let mut found = [0.0; 8];
        for segment in 0..prover.segments() {
            let (_, t) = prover.prove_segment(segment).expect("a proof");
            let parts = [t.schedule, t.witness, t.commit, t.lookups, t.quotient, t.opening];
            found.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
        }
        found[6] = start.elapsed().as_secs_f64();
        drop(prover);
        let start = Instant::now();
        verify(&receipt, &expect, None).expect("a good receipt");
        found[7] = start.elapsed().as_secs_f64();
        least.iter_mut().zip(found).for_each(|(least, found)| *least = least.min(found));
    }
    let names =
        ["schedule", "witness", "commit", "lookups", "quotient", "opening", "prove", "verify"];
    let text =
        names.iter().zip(least).map(|(name, seconds)| format!("{name} {:.1}", 1e3 * seconds));
    println!("{}", text.collect::<Vec<_>>().join("  "));
}
