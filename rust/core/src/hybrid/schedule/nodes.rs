//! The inner nodes above opened leaves and above records (docs/hybrid.md section 4, table 1).

use super::write::Heights;
use crate::commit::Prepared;
use crate::error::Result;
use crate::hybrid::leaves::Leaves;
use crate::hybrid::records::Record;

/// A node, and the numbers of those children that are known.
#[derive(Clone, Copy, Debug)]
pub struct NodeRow {
    /// Among the trees of the segment: those with leaves, the chain's, the inputs'.
    pub tree: u32,
    /// Of the children: 0 for leaves.
    pub level: u8,
    /// Of the left child within its level.
    pub index: u32,
    pub left: Option<u32>,
    pub right: Option<u32>,
    /// There is no right child.
    pub alone: bool,
}

/// All nodes of a segment.
#[derive(Clone, Debug)]
pub struct Nodes {
    pub rows: Vec<NodeRow>,
    /// Number of the root of each tree with leaves.
    pub roots: Vec<u32>,
    /// Of the trees over the digests of steps and of inputs, where some are opened.
    pub chain: Option<u32>,
    pub inputs: Option<u32>,
    /// Of the first node.
    first: u32,
}

impl Nodes {
    /// Of a chain of so many steps.
    ///
    /// # Errors
    /// `verify.too-large` for more nodes than a table can have rows.
    pub fn new(
        prepared: &Prepared,
        leaves: &Leaves,
        steps: usize,
        heights: Heights,
    ) -> Result<Self> {
        let first = leaves.hashed() as u32;
        let mut nodes = Self { rows: vec![], roots: vec![], chain: None, inputs: None, first };
        for (number, tree) in leaves.trees.iter().enumerate() {
            let width = prepared.layout(tree.tensor).leaves();
            let known = tree.leaves.iter().copied().zip(tree.first as u32..).collect();
            let root = nodes.add_tree(number, known, width);
            nodes.roots.extend(root);
            heights.judge(nodes.rows.len())?;
        }
        let of = |step: fn(Record) -> Option<usize>| {
            let records = leaves.records.leaves(step).into_iter();
            records.map(|(step, record)| (step, (leaves.count + record) as u32)).collect()
        };
        let trees = leaves.trees.len();
        nodes.chain = nodes.add_tree(trees, of(Record::of_chain), steps);
        nodes.inputs = nodes.add_tree(trees + 1, of(Record::of_inputs), steps);
        heights.judge(nodes.rows.len())?;
        Ok(nodes)
    }

    /// Number of the node of a row.
    pub fn number(&self, row: usize) -> usize {
        self.first as usize + row
    }

    /// Adds the nodes above known leaves, each with its number; the number of the root.
    fn add_tree(
        &mut self,
        tree: usize,
        mut known: Vec<(usize, u32)>,
        mut width: usize,
    ) -> Option<u32> {
        let mut level = 0;
        while width > 1 {
            let mut parents = Vec::with_capacity(known.len());
            for pair in known.chunk_by(|a, b| a.0 / 2 == b.0 / 2) {
                let child = |side| pair.iter().find(|(i, _)| i % 2 == side).map(|(_, node)| *node);
                let index = (pair[0].0 / 2 * 2) as u32;
                parents.push((pair[0].0 / 2, self.number(self.rows.len()) as u32));
                let (left, right) = (child(0), child(1));
                let alone = index as usize + 1 == width;
                let tree = tree as u32;
                self.rows.push(NodeRow { tree, level, index, left, right, alone });
            }
            (known, width, level) = (parents, width.div_ceil(2), level + 1);
        }
        known.first().map(|(_, node)| *node)
    }
}
