//! Times the verifier: `verify REPEATS RECEIPT…` judges each receipt so many times, and prints the least ms
//! of all, and of each part; `rest` is the envelope, the program and the proofs themselves.
//! `RAYON_NUM_THREADS` sets the threads.

mod expected;

use std::time::Instant;

use zktally_core::receipt::{Journal, MAX_BYTES, Receipt};
use zktally_core::{verify, watch};

#[global_allocator]
static ALLOCATOR: zktally_core::stark::memory::Pool = zktally_core::stark::memory::Pool;

/// The least seconds of all and of each part.
fn measure(receipt: &[u8], repeats: usize) -> Vec<(String, f64)> {
    let sections = Receipt::split(receipt, MAX_BYTES).expect("a receipt");
    let expect = expected::of(Journal::decode(sections.journal).expect("a journal"));
    let mut least: Vec<(String, f64)> = Vec::new();
    for _ in 0..repeats {
        watch::taken();
        let start = Instant::now();
        verify(receipt, &expect, None).expect("a good receipt");
        let all = start.elapsed().as_secs_f64();
        let parts = watch::taken();
        let rest = all - parts.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let named = parts.map(|(part, seconds)| (format!("{part:?}").to_lowercase(), seconds));
        let found = [("all".into(), all)].into_iter().chain(named).chain([("rest".into(), rest)]);
        if least.is_empty() {
            least = found.collect();
        } else {
            least
                .iter_mut()
                .zip(found)
                .for_each(|(least, (_, found))| least.1 = least.1.min(found));
        }
    }
    least
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((repeats, receipts)) = arguments.split_first() else {
        panic!("usage: verify REPEATS RECEIPT…")
    };
    let repeats = repeats.parse().expect("a number");
    for path in receipts {
        let receipt = std::fs::read(path).expect("a receipt");
        let parts = measure(&receipt, repeats);
        let text = parts.iter().map(|(name, seconds)| format!("{name} {:.1}", 1e3 * seconds));
        println!("{path}: {}", text.collect::<Vec<_>>().join("  "));
    }
}
