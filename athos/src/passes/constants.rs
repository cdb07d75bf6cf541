//! Computes what depends on constants alone.

use super::rewrite::Rewriter;
use crate::Result;
use crate::hlil::{Graph, Op, Tensor, apply};

/// The most elements that are computed in all: small next to the weights of any network, and a model
/// that asks for more is left as it is.
const BUDGET: usize = 1 << 24;

/// The graph with constants in place of nodes that read constants alone.
///
/// # Errors
/// What evaluating a node returns.
pub fn fold_constants(graph: &Graph) -> Result<Graph> {
    let mut left = BUDGET;
    let mut rewriter = Rewriter::new(graph);
    for node in graph.nodes() {
        let inputs = node.inputs.iter().map(|id| rewriter.get(*id)).collect::<Result<Vec<_>>>()?;
        let constants: Option<Vec<&Tensor>> =
            inputs.iter().map(|id| rewriter.new.constant(*id)).collect();
        let constants = constants.filter(|c| !c.is_empty() && cheap(&node.op));
        let elements: usize = node.shape.iter().product();
        let id = match (constants, left.checked_sub(elements)) {
            (Some(constants), Some(rest)) => {
                left = rest;
                let tensor = apply(&node.op, &constants, &node.shape)?;
                rewriter.constant(&node.name, tensor)?
            }
            _ => rewriter.copy(node)?,
        };
        rewriter.place(Some(id));
    }
    rewriter.finish()
}

/// Operations whose cost is that of their operands.
fn cheap(op: &Op) -> bool {
    matches!(
        op,
        Op::Add
            | Op::Sub
            | Op::Mul
            | Op::MulPublic { .. }
            | Op::Relu
            | Op::Reshape { .. }
            | Op::Concat { .. }
            | Op::Transpose { .. }
            | Op::Pad { .. }
            | Op::Slice { .. }
    )
}
