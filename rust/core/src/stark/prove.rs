//! The prover (docs/stark.md): rounds in the order of section 3.

use std::time::Instant;

use p3_field::{PackedFieldExtension, PrimeCharacteristicRing};
use p3_matrix::Matrix;
use p3_matrix::dense::RowMajorMatrixView;
use rayon::prelude::*;

use super::columns;
use super::domain::{Dft, coset_weights, extend, extend_coset, weighted};
use super::eval::{Buses, LANES};
use super::field::{
    DIM, K, PackedK, basis, coefficients, from_coefficients, inverses, points, powers, put, root,
};
use super::fri;
use super::grid::{Grid, MainTable};
use super::logup::auxiliary;
use super::quotient::{self, Committed};
use super::rng::Stream;
use super::statement::{CHUNKS, Statement};
use super::transcript::tag;
use super::tree::Tree;
use crate::error::Result;

/// Seconds of the parts of a proof.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timings {
    pub commit: f64,
    pub lookups: f64,
    pub quotient: f64,
    pub opening: f64,
    pub tables: Vec<TableTimings>,
}

/// Seconds that a table by itself takes within these parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableTimings {
    pub name: String,
    pub log_rows: usize,
    /// Its fractions.
    pub lookups: f64,
    /// Its share in the sums that become quotients.
    pub quotient: f64,
}

/// Proves a statement. Masks and salts come fresh from the operating system.
///
/// # Errors
/// `prove.witness`: the witness does not satisfy the constraints. `prove.randomness`, `prove.retry`.
pub fn prove(statement: &Statement, witness: Vec<MainTable>) -> Result<(Vec<u8>, Timings)> {
    prove_with(statement, witness, Stream::fresh()?)
}

/// Proves a statement with the randomness of a stream.
pub(crate) fn prove_with(
    statement: &Statement,
    witness: Vec<MainTable>,
    stream: Stream,
) -> Result<(Vec<u8>, Timings)> {
    let mut prover = Prover::new(statement, stream);
    prover.commit(witness);
    let buses = prover.challenge();
    prover.look_up(&buses)?;
    prover.divide(&buses)?;
    prover.open();
    Ok((prover.out, prover.timings))
}

struct Prover<'a> {
    statement: &'a Statement<'a>,
    stream: Stream,
    dft: Dft,
    transcript: super::transcript::Transcript,
    out: Vec<u8>,
    timings: Timings,
    /// Public columns with the engine's, on used rows.
    publics: Vec<Grid>,
    /// Main columns on their rows, until the fractions are made.
    rows: Vec<Grid>,
    terminals: Vec<K>,
    main: Option<Tree>,
    auxiliary: Option<Tree>,
    quotient: Option<Tree>,
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

impl<'a> Prover<'a> {
    fn new(statement: &'a Statement<'a>, stream: Stream) -> Self {
        let publics = (0..statement.publics.len())
            .map(|position| columns::publics(statement.publics, position))
            .collect();
        let table = |position: usize| TableTimings {
            name: statement.air(position).name.clone(),
            log_rows: statement.publics[position].log_rows,
            ..TableTimings::default()
        };
        let tables = (0..statement.publics.len()).map(table).collect();
        Self {
            statement,
            stream,
            dft: Dft::default(),
            transcript: statement.transcript(),
            out: Vec::new(),
            timings: Timings { tables, ..Timings::default() },
            publics,
            rows: vec![],
            terminals: vec![],
            main: None,
            auxiliary: None,
            quotient: None,
        }
    }

    /// Codewords of a table's columns, from all their rows.
    fn codeword(&self, grid: Grid) -> Grid {
        extend(&self.dft, grid, self.statement.parameters.log_blowup)
    }

    /// Commits to codewords.
    fn tree(&mut self, words: Vec<Grid>) -> Tree {
        Tree::new(self.statement.parameters.hashing, words, Some(&mut self.stream))
    }

    /// 3. The main columns.
    fn commit(&mut self, witness: Vec<MainTable>) {
        let start = Instant::now();
        let tables = self.statement.publics;
        let masks = columns::draw_masks(tables, &mut self.stream);
        let hiding = self.statement.parameters.hiding_rows;
        for (position, witness) in witness.into_iter().enumerate() {
            let stream = &mut self.stream;
            self.rows.push(columns::mains(tables, position, &witness, &masks, hiding, stream));
        }
        let blowup = self.statement.parameters.log_blowup;
        let words = self.rows.iter().map(|rows| self.codeword(rows.clone_with_room(blowup)));
        let words = words.collect();
        let tree = self.tree(words);
        self.transcript.absorb(tag::MAIN, &tree.root());
        self.out.extend(tree.root());
        self.main = Some(tree);
        self.timings.commit = seconds(start);
    }

    fn challenge(&mut self) -> Buses {
        let (alpha, beta) = (self.transcript.element(), self.transcript.element());
        Buses::new(alpha, beta, self.statement.longest_tuple())
    }

    /// 4. The fractions.
    fn look_up(&mut self, buses: &Buses) -> Result<()> {
        let start = Instant::now();
        let parameters = self.statement.parameters;
        let mut words = Vec::new();
        for (position, rows) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            let air = self.statement.air(position);
            let publics = &self.publics[position];
            let start = Instant::now();
            let (grid, terminal) =
                auxiliary(air, publics, &rows, buses, parameters, &mut self.stream)?;
            self.timings.tables[position].lookups = seconds(start);
            self.terminals.push(terminal);
            words.push(self.codeword(grid));
        }
        let tree = self.tree(words);
        let mut message = tree.root().to_vec();
        self.terminals.iter().for_each(|terminal| put(&mut message, terminal));
        self.transcript.absorb(tag::AUXILIARY, &message);
        self.out.extend(message);
        self.auxiliary = Some(tree);
        self.timings.lookups = seconds(start);
        Ok(())
    }

    /// 5, 6. The quotients.
    fn divide(&mut self, buses: &Buses) -> Result<()> {
        let start = Instant::now();
        let statement = self.statement;
        let gamma = self.transcript.element();
        let (main, auxiliary) = (self.main.take(), self.auxiliary.take());
        let (main, auxiliary) = (main.expect("committed"), auxiliary.expect("committed"));
        let mains = by_table(statement, &main);
        let auxiliaries = by_table(statement, &auxiliary);
        let committed: Vec<Committed> = (0..mains.len())
            .map(|t| Committed {
                publics: &self.publics[t],
                main: mains[t],
                auxiliary: auxiliaries[t],
                terminal: self.terminals[t],
            })
            .collect();
        let mut words = Vec::new();
        for (i, height) in statement.heights().into_iter().enumerate() {
            let points = points(height + 2);
            let (dft, stream) = (&self.dft, &mut self.stream);
            let timings = &mut self.timings.tables;
            words.push(quotient::chunks(
                statement,
                height,
                &committed,
                buses,
                gamma,
                &points,
                i == 0,
                dft,
                stream,
                |t, seconds| timings[t].quotient = seconds,
            )?);
        }
        let tree = self.tree(words);
        self.transcript.absorb(tag::QUOTIENT, &tree.root());
        self.out.extend(tree.root());
        (self.main, self.auxiliary, self.quotient) = (Some(main), Some(auxiliary), Some(tree));
        self.timings.quotient = seconds(start);
        Ok(())
    }

    /// 7 to 10. The openings.
    fn open(&mut self) {
        let start = Instant::now();
        let statement = self.statement;
        let parameters = statement.parameters;
        let (main, auxiliary, quotient) = (
            self.main.take().expect("committed"),
            self.auxiliary.take().expect("committed"),
            self.quotient.take().expect("committed"),
        );
        let zeta = self.transcript.element();
        let words = Words::new(statement, &main, &auxiliary, &quotient, zeta, &self.dft);
        let opened = words.opened();
        #[cfg(test)]
        let opened = lied(&self.stream, statement, zeta, opened);
        let mut message = Vec::new();
        opened.iter().flatten().for_each(|value| put(&mut message, value));
        self.transcript.absorb(tag::OPENED, &message);
        self.out.extend(message);
        let witness = self.transcript.grind(parameters.batch_bits);
        self.out.extend(witness.to_le_bytes());
        let eta = self.transcript.element();
        let batched = words.batch(&opened, eta);
        let folded = fri::fold(statement, batched, &mut self.transcript, &mut self.out);
        let witness = self.transcript.grind(parameters.query_bits);
        self.out.extend(witness.to_le_bytes());
        let bits = statement.heights()[0] + parameters.log_blowup;
        let mut indices = self.transcript.indices(parameters.queries, bits);
        indices.sort_unstable();
        indices.dedup();
        for tree in [&main, &auxiliary, &quotient] {
            tree.open(&indices, &mut self.out);
        }
        folded.open(&indices, &mut self.out);
        self.timings.opening = seconds(start);
    }
}

/// The opened values as a liar has them, if there is one.
#[cfg(test)]
fn lied(stream: &Stream, statement: &Statement, zeta: K, mut opened: Vec<Vec<K>>) -> Vec<Vec<K>> {
    if let Some(lie) = stream.lie {
        lie(statement, zeta, &mut opened);
    }
    opened
}

/// Each table's matrix in a tree, in order.
fn by_table<'t>(statement: &Statement, tree: &'t Tree) -> Vec<&'t Grid> {
    let blowup = statement.parameters.log_blowup;
    (0..statement.publics.len())
        .map(|t| {
            let height = statement.publics[t].log_rows;
            let place = statement.of_height(height).take_while(|&other| other < t).count();
            &tree.matrices(height + blowup)[place]
        })
        .collect()
}

/// All codewords, and how they are opened at ζ.
struct Words<'a> {
    statement: &'a Statement<'a>,
    mains: Vec<&'a Grid>,
    auxiliaries: Vec<&'a Grid>,
    quotient: &'a Tree,
    zeta: K,
    dft: &'a Dft,
}

/// Joins five base columns opened one by one.
fn join(values: &[K]) -> K {
    values.iter().enumerate().map(|(i, &v)| basis(i) * v).sum()
}

impl<'a> Words<'a> {
    fn new(
        statement: &'a Statement<'a>,
        main: &'a Tree,
        auxiliary: &'a Tree,
        quotient: &'a Tree,
        zeta: K,
        dft: &'a Dft,
    ) -> Self {
        let (mains, auxiliaries) = (by_table(statement, main), by_table(statement, auxiliary));
        Self { statement, mains, auxiliaries, quotient, zeta, dft }
    }

    fn chunks(&self, height: usize) -> &'a Grid {
        &self.quotient.matrices(height + self.statement.parameters.log_blowup)[0]
    }

    /// The opened values: per table at ζ (main, fractions, sum), at ωζ (next columns, sum), then per
    /// height the chunks; each list in the order of section 5.
    fn opened(&self) -> Vec<Vec<K>> {
        let mut of_table = vec![Vec::new(); self.mains.len()];
        let mut of_height = Vec::new();
        for height in self.statement.heights() {
            let points = points(height);
            let here = coset_weights(&points, height, self.zeta);
            let there = coset_weights(&points, height, self.zeta * root(height));
            for t in self.statement.of_height(height) {
                of_table[t] = self.open_table(t, &here, &there);
            }
            let chunks = weighted(self.chunks(height), &here);
            of_height.push(chunks[..CHUNKS * DIM].chunks(DIM).map(join).collect());
        }
        of_table.into_iter().chain(of_height).collect()
    }

    fn open_table(&self, t: usize, here: &[K], there: &[K]) -> Vec<K> {
        let (main, aux) = (self.mains[t], self.auxiliaries[t]);
        let mut values = weighted(main, here);
        let air = self.statement.air(t);
        values.extend(air.next.iter().map(|&column| column_at(main, column, there)));
        let auxiliary = weighted(aux, here);
        values.extend(auxiliary.chunks(DIM).map(join));
        let last = aux.width - DIM;
        let after: Vec<K> = (0..DIM).map(|i| column_at(aux, last + i, there)).collect();
        values.push(join(&after));
        values
    }

    /// The batched codeword of each height, tallest first.
    fn batch(&self, opened: &[Vec<K>], eta: K) -> Vec<Vec<K>> {
        let etas = powers(eta, self.statement.batched());
        let mut starts = Vec::with_capacity(opened.len());
        opened.iter().fold(0, |start, values| {
            starts.push(start);
            start + values.len()
        });
        let heights = self.statement.heights();
        heights
            .iter()
            .enumerate()
            .map(|(i, &height)| {
                let position = self.mains.len() + i;
                self.batch_height(height, i == 0, opened, &starts, position, &etas)
            })
            .collect()
    }

    fn batch_height(
        &self,
        height: usize,
        masked: bool,
        opened: &[Vec<K>],
        starts: &[usize],
        chunks_at: usize,
        all_etas: &[K],
    ) -> Vec<K> {
        // The word is a polynomial of degree below the rows (a quotient has one less than its columns), so
        // the first coset tells all of it: as many points as rows.
        let size = 1usize << height;
        // Sums of η-weighted columns, and of opened values, for each of the two points.
        let (mut here, mut there) = (vec![K::ZERO; size], vec![K::ZERO; size]);
        let (mut at_here, mut at_there) = (K::ZERO, K::ZERO);
        let mut masks = None;
        for t in self.statement.of_height(height) {
            let air = self.statement.air(t);
            let (values, etas) = (&opened[t], &all_etas[starts[t]..]);
            let (mains, nexts) = (air.mains, air.next.len());
            let groups = air.groups.len();
            let aux = mains + nexts..mains + nexts + groups + 1;
            add_weighted(self.mains[t], &etas[..mains], false, &mut here);
            add_weighted(self.auxiliaries[t], &etas[aux.clone()], true, &mut here);
            let local = (0..mains).chain(aux.clone());
            at_here += local.map(|j| etas[j] * values[j]).sum::<K>();
            add_columns(self.mains[t], &air.next, &etas[mains..mains + nexts], &mut there);
            let last = self.auxiliaries[t].width - DIM;
            let columns: Vec<usize> = (last..last + DIM).collect();
            let weights: Vec<K> = (0..DIM).map(|i| basis(i) * etas[aux.end]).collect();
            add_columns(self.auxiliaries[t], &columns, &weights, &mut there);
            let after = (mains..mains + nexts).chain([aux.end]);
            at_there += after.map(|j| etas[j] * values[j]).sum::<K>();
        }
        let (chunks, etas) = (self.chunks(height), &all_etas[starts[chunks_at]..]);
        add_weighted(chunks, &etas[..CHUNKS], true, &mut here);
        at_here += opened[chunks_at].iter().zip(etas).map(|(&v, &e)| e * v).sum::<K>();
        if masked {
            let columns: Vec<usize> = (CHUNKS * DIM..(CHUNKS + 1) * DIM).collect();
            let own = all_etas[all_etas.len() - 1];
            let weights: Vec<K> = (0..DIM).map(|i| basis(i) * own).collect();
            let mut mask = vec![K::ZERO; size];
            add_columns(chunks, &columns, &weights, &mut mask);
            masks = Some(mask);
        }
        let points = points(height);
        let near: Vec<K> = points.par_iter().map(|&x| K::from(x) - self.zeta).collect();
        let next = self.zeta * root(height);
        let far: Vec<K> = points.par_iter().map(|&x| K::from(x) - next).collect();
        let (near, far) = (inverses(&near), inverses(&far));
        let mut word = Grid::zeros(DIM, size);
        word.values.par_chunks_exact_mut(DIM).enumerate().with_min_len(256).for_each(|(i, out)| {
            let quotients = (here[i] - at_here) * near[i] + (there[i] - at_there) * far[i];
            let value = quotients + masks.as_ref().map_or(K::ZERO, |mask| mask[i]);
            out.copy_from_slice(coefficients(&value));
        });
        let word = extend_coset(self.dft, &word, self.statement.parameters.log_blowup);
        word.values.par_chunks_exact(DIM).map(from_coefficients).collect()
    }
}

/// One column, weighted and summed over the first rows.
fn column_at(grid: &Grid, column: usize, weights: &[K]) -> K {
    let values = grid.values[column..].par_iter().step_by(grid.width);
    weights.par_iter().zip(values).map(|(&w, &v)| w * v).sum()
}

/// Adds `Σ weight·column` of a few columns to each of the first rows' sum.
fn add_columns(grid: &Grid, columns: &[usize], weights: &[K], sums: &mut [K]) {
    if columns.is_empty() {
        return;
    }
    sums.par_iter_mut().enumerate().with_min_len(256).for_each(|(i, sum)| {
        let row = grid.row(i);
        *sum += columns.iter().zip(weights).map(|(&c, &w)| w * row[c]).sum::<K>();
    });
}

/// Adds the weighted columns of each of the first rows to its sum; a weight may be that of five columns.
fn add_weighted(grid: &Grid, weights: &[K], joined: bool, sums: &mut [K]) {
    let mut flat: Vec<K> = match joined {
        true => weights.iter().flat_map(|&w| (0..DIM).map(move |i| basis(i) * w)).collect(),
        false => weights.to_vec(),
    };
    flat.resize(grid.width.next_multiple_of(LANES), K::ZERO);
    let packed: Vec<PackedK> = flat.chunks(LANES).map(PackedK::from_ext_slice).collect();
    let matrix = RowMajorMatrixView::new(&grid.values[..sums.len() * grid.width], grid.width);
    sums.par_iter_mut()
        .zip(matrix.rowwise_packed_dot_product::<K>(&packed))
        .for_each(|(sum, value)| *sum += value);
}
