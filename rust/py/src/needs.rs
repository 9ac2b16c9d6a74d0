//! What this build needs of a processor, to be read before any of it runs: code that is compiled for
//! vectors may use them anywhere, and a processor without them only says "illegal instruction".

const LENGTH: usize = 256;

/// Names as Rust has them, a space behind each, then zeros. `zktally.processor` reads this symbol.
#[unsafe(no_mangle)]
pub static ZKTALLY_NEEDS: [u8; LENGTH] = needs();

macro_rules! compiled_for {
    ($text:ident, $at:ident; $($feature:literal),*) => {
        $(if cfg!(target_feature = $feature) {
            ($text, $at) = with($text, $at, $feature.as_bytes());
        })*
    };
}

const fn needs() -> [u8; LENGTH] {
    let (mut text, mut at) = ([0; LENGTH], 0);
    // What is left out comes with one of these on every processor that there is.
    compiled_for!(text, at;
        "sse4.2", "popcnt", "avx", "avx2", "fma", "bmi1", "bmi2", "lzcnt", "f16c", "movbe", "gfni",
        "vaes", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512ifma",
        "avx512vbmi", "avx512vbmi2", "avx512vnni", "avx512bitalg", "avx512vpopcntdq", "avx512bf16",
        "avx512fp16", "avxvnni", "sve", "sve2", "sha3"
    );
    assert!(at < LENGTH);
    text
}

const fn with(mut text: [u8; LENGTH], mut at: usize, name: &[u8]) -> ([u8; LENGTH], usize) {
    let mut i = 0;
    while i < name.len() {
        text[at] = name[i];
        (at, i) = (at + 1, i + 1);
    }
    text[at] = b' ';
    (text, at + 1)
}
