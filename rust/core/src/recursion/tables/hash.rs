//! Poseidon2 of width 16: sponges over rows and messages, nodes of trees, steps of a transcript.

use super::{BLOCK, bus};
use crate::stark::air::{Air, Builder, Expr};
use crate::table::parts::permutation;
use crate::table::permutation::{HALF, P16};

table! {
    public {
        left,
        left_times,
        right,
        right_times,
        out,
        out_times,
        bit,
        has_bit,
        /// Whether the digest adds the left half: a compression.
        feed,
        /// Whether the right half begins with these two and is zero behind them.
        fresh,
        begin: [T; 2],
        /// Whether the next row goes on with this sponge.
        keep,
        /// Whether the next row takes the digest to one of its halves.
        path,
        /// Elements of the left half that are zero.
        zero: [T; BLOCK],
    }
    main {
        input: [T; 16],
        /// The states after full rounds 1 to 4.
        early: [[T; 16]; HALF],
        /// The cubes of the partial rounds.
        cubes: [T; 20],
        /// The states after full rounds 5 to 8.
        late: [[T; 16]; HALF],
        digest: [T; BLOCK],
        /// Whether the row before ended in the right half.
        swap,
    }
}

pub fn air() -> Air {
    let b = &mut Builder::new("hash", false);
    let public = PUBLIC.map(|c| b.public(c));
    let input = MAIN.input.map(|c| b.main(c));
    let digest = MAIN.digest.map(|c| b.main(c));
    let swap = b.main(MAIN.swap);
    let output = permutation(b, &P16, &input, &MAIN.early, &MAIN.cubes, &MAIN.late);
    for i in 0..BLOCK {
        b.equal(digest[i].clone(), output[i].clone() + public.feed.clone() * input[i].clone());
    }
    begin(b, &public, &input);
    carry(b, &public, &input, &output, &digest, &swap);
    let Public { left, left_times, right, right_times, out, out_times, bit, has_bit, .. } = public;
    let (halves, rest) = (input[..BLOCK].to_vec(), input[BLOCK..].to_vec());
    b.lookup(bus::BLOCK, left_times, [left].into_iter().chain(halves));
    b.lookup(bus::BLOCK, right_times, [right].into_iter().chain(rest));
    b.lookup(bus::BLOCK, out_times, [out].into_iter().chain(digest));
    b.lookup(bus::BIT, has_bit, [bit, swap]);
    b.build()
}

/// What a row begins with by itself.
fn begin(b: &mut Builder, public: &Public<Expr>, input: &[Expr; 16]) {
    let Public { fresh, begin, zero, .. } = public.clone();
    for (i, x) in input[BLOCK..].iter().enumerate() {
        let wanted = begin.get(i).cloned().unwrap_or_else(|| b.constant(0));
        b.zero(fresh.clone() * x.clone() - wanted);
    }
    for (zero, x) in zero.into_iter().zip(input) {
        b.zero(zero * x.clone());
    }
}

/// What a row takes over from the one before.
fn carry(
    b: &mut Builder,
    public: &Public<Expr>,
    input: &[Expr; 16],
    output: &[Expr],
    digest: &[Expr; BLOCK],
    swap: &Expr,
) {
    let Public { keep, path, has_bit, .. } = public.clone();
    // A row that reads no bit has what comes from above on the left.
    b.zero((1 - has_bit) * swap.clone());
    let next: Vec<Expr> = input.iter().map(|x| b.next(x)).collect();
    let swapped = b.next(swap);
    for i in 0..BLOCK {
        b.zero(keep.clone() * (next[BLOCK + i].clone() - output[BLOCK + i].clone()));
        let [left, right] = [0, BLOCK].map(|at| next[at + i].clone() - digest[i].clone());
        b.zero(path.clone() * (left.clone() + swapped.clone() * (right - left)));
    }
}
