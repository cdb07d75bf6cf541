//! Leaves out what the output does not depend on. The input stays.

use super::rewrite::Rewriter;
use crate::Result;
use crate::hlil::{Graph, Op};

/// The graph without nodes that nothing reads.
///
/// # Errors
/// [`crate::Error::Misuse`] for a graph without output.
pub fn remove_dead_code(graph: &Graph) -> Result<Graph> {
    let mut live = vec![false; graph.nodes().len()];
    let mut mark = |i: usize| {
        if let Some(live) = live.get_mut(i) {
            *live = true;
        }
    };
    mark(graph.output()?.index());
    for (i, node) in graph.nodes().iter().enumerate().rev() {
        if live[i] {
            for id in &node.inputs {
                live[id.index()] = true;
            }
        }
    }
    let mut rewriter = Rewriter::new(graph);
    for (node, live) in graph.nodes().iter().zip(live) {
        let keep = live || matches!(node.op, Op::Input { .. });
        let id = if keep { Some(rewriter.copy(node)?) } else { None };
        rewriter.place(id);
    }
    rewriter.finish()
}
