//! The coefficients that make one word of all columns of a height.

use super::super::child::Child;
use super::super::machine::{Cell, Coefficients, Machine};
use super::super::tables::{BLOCK, CELLS};
use super::transcript::Opened;
use crate::stark::field::{DIM, basis};
use crate::stark::statement::{CHUNKS, Statement};

/// Elements of a salt.
const SALT: usize = 4;

/// Coefficients of the blocks of an opened row: the block's place, and what it is multiplied by.
pub type OfRow = Vec<(usize, Coefficients)>;

/// Per height, tallest first.
pub struct Batch {
    pub heights: Vec<OfHeight>,
}

pub struct OfHeight {
    /// Elements of the opened rows of the three trees, salts included.
    pub lengths: [usize; 3],
    /// For the sum at ζ, for the one a row on, and for the mask.
    pub here: [OfRow; 3],
    pub there: [OfRow; 3],
    pub mask: OfRow,
    pub value_here: Cell,
    pub value_there: Cell,
}

/// Coefficients word by word, of one height.
#[derive(Default)]
struct Words {
    here: [Vec<Cell>; 3],
    there: [Vec<Option<Cell>>; 3],
    mask: Vec<Option<Cell>>,
    /// Powers of η and opened values, at ζ and a row on.
    values: [Vec<(Cell, Cell)>; 2],
}

impl Batch {
    pub fn new(machine: &mut Machine, child: &Child, eta: Cell, opened: &Opened) -> Self {
        let statement = &child.statement();
        let mut etas = vec![machine.one()];
        for i in 0..opened.count {
            etas.push(machine.product(etas[i], eta));
        }
        let x = machine.constant(basis(1));
        let heights = statement.heights();
        let heights = heights.iter().enumerate().map(|(i, &height)| {
            let mut words = Words::default();
            for t in statement.of_height(height) {
                words.table(machine, x, statement, t, &etas, opened);
            }
            words.chunks(machine, x, i, &etas, opened);
            words.finish(machine)
        });
        Self { heights: heights.collect() }
    }
}

/// `cell·X^i` for all i.
fn shifted(machine: &mut Machine, x: Cell, cell: Cell) -> [Cell; DIM] {
    let mut power = cell;
    std::array::from_fn(|i| {
        if i > 0 {
            power = machine.product(power, x);
        }
        power
    })
}

impl Words {
    fn table(
        &mut self,
        machine: &mut Machine,
        x: Cell,
        statement: &Statement,
        t: usize,
        etas: &[Cell],
        opened: &Opened,
    ) {
        let air = statement.air(t);
        let values = &opened.tables[t];
        let etas = &etas[opened.table_starts[t]..];
        let first = self.here[0].len();
        self.here[0].extend(&etas[..air.mains]);
        self.there[0].resize(first + air.mains, None);
        self.values[0].extend(etas.iter().copied().zip(values.main.iter().copied()));
        let etas = &etas[air.mains..];
        for (i, &column) in air.next.iter().enumerate() {
            self.there[0][first + column] = Some(etas[i]);
            self.values[1].push((etas[i], values.next[i]));
        }
        let etas = &etas[air.next.len()..];
        let sums = values.fractions.iter().chain([&values.sum]);
        for (&eta, &value) in etas.iter().zip(sums) {
            self.here[1].extend(shifted(machine, x, eta));
            self.values[0].push((eta, value));
        }
        let after = etas[air.groups.len() + 1];
        self.there[1].resize(self.here[1].len() - DIM, None);
        self.there[1].extend(shifted(machine, x, after).map(Some));
        self.values[1].push((after, values.sum_after));
    }

    /// The chunks of height number i, and the mask of the tallest.
    fn chunks(&mut self, machine: &mut Machine, x: Cell, i: usize, etas: &[Cell], opened: &Opened) {
        let start = opened.chunk_starts[i];
        for c in 0..CHUNKS {
            self.here[2].extend(shifted(machine, x, etas[start + c]));
            self.values[0].push((etas[start + c], opened.chunks[i][c]));
        }
        if i == 0 {
            self.mask.resize(self.here[2].len(), None);
            self.mask.extend(shifted(machine, x, etas[opened.count]).map(Some));
        }
    }

    fn finish(self, machine: &mut Machine) -> OfHeight {
        let Self { here, there, mask, values } = self;
        let mut lengths = [0, 1, 2].map(|tree: usize| here[tree].len() + SALT);
        lengths[2] = lengths[2].max(mask.len() + SALT);
        let here = here.map(|cells| pack(machine, cells.into_iter().map(Some).collect()));
        let there = there.map(|cells| pack(machine, cells));
        let mask = pack(machine, mask);
        let [value_here, value_there] = values.map(|values| {
            let zero = machine.zero();
            values.into_iter().fold(zero, |sum, (eta, value)| machine.fused(eta, value, sum))
        });
        OfHeight { lengths, here, there, mask, value_here, value_there }
    }
}

/// Coefficients of the blocks in which any word counts.
fn pack(machine: &mut Machine, words: Vec<Option<Cell>>) -> OfRow {
    let zero = machine.zero();
    let mut found = Vec::new();
    for (i, words) in words.chunks(BLOCK).enumerate() {
        if words.iter().any(Option::is_some) {
            let at = |j: usize| words.get(j).copied().flatten().unwrap_or(zero);
            let cells: [Cell; CELLS] = std::array::from_fn(at);
            found.push((i, machine.pack(cells)));
        }
    }
    found
}
