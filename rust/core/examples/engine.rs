//! Times the engine: `engine FOLDER REPEATS` proves and verifies what the folder holds, and prints the
//! least time of each part, and of each table, in ms; CPU time and the peak of memory are the process's.
//!
//! The folder has a hybrid or strict receipt (`receipt`) and its job (`job`, as in a work folder of
//! `zktally prove`); `python -m zktally.bench.jobs FOLDER` makes such folders. A foldable receipt is
//! folded, too.

mod expected;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use zktally_core::commit::Prepared;
use zktally_core::hybrid::{self, Prover};
use zktally_core::program::load;
use zktally_core::receipt::{Journal, MAX_BYTES, Receipt};
use zktally_core::stark::parameters::FOLDABLE;
use zktally_core::stark::prove::TableTimings;
use zktally_core::statement::Expectations;
use zktally_core::verify;

#[global_allocator]
static ALLOCATOR: zktally_core::stark::memory::Pool = zktally_core::stark::memory::Pool;

/// Bytes that a job begins with, before its profile.
const MAGIC: usize = 8;

/// Seconds of all parts by their place and name.
#[derive(Default)]
struct Times(BTreeMap<(u8, String), f64>);

impl Times {
    fn add(&mut self, place: u8, name: &str, seconds: f64) {
        *self.0.entry((place, name.into())).or_default() += seconds;
    }

    /// Parts of one proof, and what each table took of them.
    fn add_proof(&mut self, place: u8, parts: &[(&str, f64)], tables: &[TableTimings]) {
        for (name, seconds) in parts {
            self.add(place, name, *seconds);
        }
        for TableTimings { name, log_rows, lookups, quotient } in tables {
            self.add(place + 1, &format!("{name} 2^{log_rows} lookups"), *lookups);
            self.add(place + 1, &format!("{name} 2^{log_rows} quotient"), *quotient);
        }
    }

    fn least(&mut self, other: Self) {
        for (key, seconds) in other.0 {
            self.0.entry(key).and_modify(|least| *least = least.min(seconds)).or_insert(seconds);
        }
    }
}

struct Folder {
    prepared: Arc<Prepared>,
    journal: Vec<u8>,
    openings: Vec<u8>,
    profile: u8,
    receipt: Vec<u8>,
    expect: Expectations,
}

impl Folder {
    fn read(folder: &str) -> Self {
        let read = |name: &str| std::fs::read(Path::new(folder).join(name)).expect("a file");
        let (job, receipt) = (read("job"), read("receipt"));
        let parts = Receipt::split(&job[MAGIC + 1..], MAX_BYTES).expect("a job");
        let prepared = Arc::new(Prepared::new(Arc::new(load(parts.program).expect("a program"))));
        let claims = Journal::decode(parts.journal).expect("a journal");
        let expect = expected::of(claims);
        let (journal, openings) = (parts.journal.to_vec(), parts.proof.to_vec());
        Self { prepared, journal, openings, profile: job[MAGIC], receipt, expect }
    }

    fn prove(&self, times: &mut Times) {
        let start = Instant::now();
        let prepared = self.prepared.clone();
        let (journal, openings) = (self.journal.clone(), self.openings.clone());
        let prover = Prover::new(prepared, journal, openings, self.profile).expect("a job");
        let mut section = prover.head();
        for segment in 0..prover.segments() {
            let (proof, t) = prover.prove_segment(segment).expect("a proof");
            section.extend(proof);
            let parts = [
                ("1 schedule", t.schedule),
                ("2 witness", t.witness),
                ("3 commit", t.commit),
                ("4 lookups", t.lookups),
                ("5 quotient", t.quotient),
                ("6 opening", t.opening),
            ];
            times.add_proof(0, &parts, &t.tables);
        }
        times.add(0, "7 prove", start.elapsed().as_secs_f64());
        if self.profile == FOLDABLE {
            let start = Instant::now();
            let (prepared, journal) = (self.prepared.clone(), self.journal.clone());
            let folder = hybrid::Folder::of_receipt(prepared, journal, &section).expect("foldable");
            for node in 0..folder.folding.layers().iter().sum() {
                let (proof, t) = folder.folding.prove(node).expect("a proof");
                folder.folding.take(node, &proof).expect("a good proof");
                let parts = [
                    ("3 commit", t.commit),
                    ("4 lookups", t.lookups),
                    ("5 quotient", t.quotient),
                    ("6 opening", t.opening),
                ];
                times.add_proof(2, &parts, &t.tables);
            }
            folder.finish().expect("all nodes");
            times.add(2, "7 fold", start.elapsed().as_secs_f64());
        }
    }

    fn verify(&self, times: &mut Times) {
        let start = Instant::now();
        verify(&self.receipt, &self.expect, None).expect("a good receipt");
        times.add(0, "8 verify", start.elapsed().as_secs_f64());
    }
}

/// Kilobytes or clock ticks, from files of the kernel.
fn of_process(file: &str, find: impl Fn(&str) -> Option<u64>) -> u64 {
    std::fs::read_to_string(file).ok().and_then(|text| find(&text)).unwrap_or_default()
}

fn peak_kb() -> u64 {
    of_process("/proc/self/status", |text| {
        let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    })
}

/// Of all threads so far, in ticks of 10 ms.
fn cpu_ticks() -> u64 {
    of_process("/proc/self/stat", |text| {
        let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, repeats] = &arguments[..] else { panic!("usage: engine FOLDER REPEATS") };
    let folder = Folder::read(folder);
    let mut least = Times::default();
    let mut cpu = u64::MAX;
    for _ in 0..repeats.parse().expect("a number") {
        let mut times = Times::default();
        let before = cpu_ticks();
        folder.prove(&mut times);
        cpu = cpu.min(cpu_ticks() - before);
        folder.verify(&mut times);
        least.least(times);
    }
    let headings = ["proof", "of tables", "fold", "of tables"];
    for (place, heading) in headings.iter().enumerate() {
        let own = least.0.iter().filter(|((at, _), _)| usize::from(*at) == place);
        let text = own.map(|((_, name), seconds)| format!("{name} {:.1}", 1e3 * seconds));
        println!("{heading}: {}", text.collect::<Vec<_>>().join("  "));
    }
    println!("CPU {} ms  peak {} MB", 10 * cpu, peak_kb() / 1000);
}
