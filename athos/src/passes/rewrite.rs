//! Copying a graph node by node with changes.

use crate::hlil::{Graph, Node, Op, ValueId};
use crate::{Error, Result};

/// A copy in the making: where each old value is in the new graph.
pub(super) struct Rewriter<'a> {
    old: &'a Graph,
    pub(super) new: Graph,
    map: Vec<Option<ValueId>>,
}

impl<'a> Rewriter<'a> {
    pub(super) fn new(old: &'a Graph) -> Self {
        Self { old, new: Graph::default(), map: Vec::with_capacity(old.nodes().len()) }
    }

    /// The new place of an old value.
    pub(super) fn get(&self, id: ValueId) -> Result<ValueId> {
        let place = self.map.get(id.index()).copied().flatten();
        place.ok_or_else(|| Error::Misuse(format!("value {} was removed", id.index())))
    }

    /// Copies a node unchanged.
    pub(super) fn copy(&mut self, node: &Node) -> Result<ValueId> {
        let inputs = node.inputs.iter().map(|id| self.get(*id)).collect::<Result<Vec<_>>>()?;
        self.new.push(&node.name, node.op.clone(), &inputs)
    }

    /// Says where the next old node is now; `None` if it is gone.
    pub(super) fn place(&mut self, id: Option<ValueId>) {
        self.map.push(id);
    }

    pub(super) fn constant(&mut self, name: &str, tensor: crate::hlil::Tensor) -> Result<ValueId> {
        self.new.push(name, Op::Constant(tensor), &[])
    }

    /// The new graph, with the output of the old one.
    pub(super) fn finish(mut self) -> Result<Graph> {
        let output = self.get(self.old.output()?)?;
        self.new.set_output(output);
        Ok(self.new)
    }
}
