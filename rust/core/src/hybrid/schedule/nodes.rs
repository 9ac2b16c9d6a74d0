//! The inner nodes above the opened leaves (docs/hybrid.md section 4, table 1).

use crate::commit::Prepared;
use crate::hybrid::leaves::{Leaves, TreeLeaves};

/// A node, and the numbers of those children that are known.
#[derive(Clone, Copy, Debug)]
pub struct NodeRow {
    /// Among the trees of the segment.
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
    /// Number of each tree's root.
    pub roots: Vec<u32>,
}

impl Nodes {
    pub fn new(prepared: &Prepared, leaves: &Leaves) -> Self {
        let mut nodes = Self { rows: Vec::new(), roots: Vec::new() };
        for (number, tree) in leaves.trees.iter().enumerate() {
            let width = prepared.layout(tree.tensor).leaves();
            let root = nodes.add_tree(number as u32, tree, width, leaves.count as u32);
            nodes.roots.push(root);
        }
        nodes
    }

    fn add_tree(&mut self, number: u32, tree: &TreeLeaves, mut width: usize, leaves: u32) -> u32 {
        let first = tree.first as u32;
        let mut known: Vec<(usize, u32)> = tree.leaves.iter().copied().zip(first..).collect();
        let mut level = 0;
        while width > 1 {
            let mut parents = Vec::with_capacity(known.len());
            for pair in known.chunk_by(|a, b| a.0 / 2 == b.0 / 2) {
                let child = |side| pair.iter().find(|(i, _)| i % 2 == side).map(|(_, node)| *node);
                let index = (pair[0].0 / 2 * 2) as u32;
                parents.push((pair[0].0 / 2, leaves + self.rows.len() as u32));
                let (left, right) = (child(0), child(1));
                let alone = index as usize + 1 == width;
                self.rows.push(NodeRow { tree: number, level, index, left, right, alone });
            }
            (known, width, level) = (parents, width.div_ceil(2), level + 1);
        }
        known.first().map_or(0, |(_, node)| *node)
    }
}
