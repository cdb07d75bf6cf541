//! Moves ReLUs to where there are fewer elements. ReLU is monotone and leaves zeros alone, so that it
//! commutes with maxima, with choosing and reordering elements, and with putting tensors side by side.
//!
//! * [`switch_relu_max_pool`]: MaxPool(ReLU(x)) = ReLU(MaxPool(x)) (CrypTFlow2 section 6.2; a pooling of
//!   stride 2 leaves a quarter of the ReLUs);
//! * [`sink_relu_below_concat`]: ReLU(x) beside ReLU(y) is the ReLU of x beside y: one layer's rounds instead of
//!   two, and the other pass sees a MaxPool behind a Concat (SqueezeNet, behind a fire module).

use super::rewrite::Rewriter;
use crate::Result;
use crate::hlil::{Graph, Node, Op, ValueId};

/// What a value is the ReLU of, if nothing else reads the value.
fn only_relu(graph: &Graph, uses: &[usize], id: ValueId) -> Option<ValueId> {
    let node = graph.node(id).ok()?;
    let once = uses.get(id.index()) == Some(&1);
    node.inputs.first().copied().filter(|_| once && node.op == Op::Relu)
}

/// Copies a graph; where `moved` names other operands for a node, the node reads those and a ReLU follows.
fn rewrite(
    graph: &Graph,
    moved: impl Fn(&[usize], &Node) -> Option<Vec<ValueId>>,
) -> Result<Graph> {
    let uses = graph.uses();
    let mut rewriter = Rewriter::new(graph);
    for node in graph.nodes() {
        let id = match moved(&uses, node) {
            Some(inputs) => {
                let inputs =
                    inputs.into_iter().map(|id| rewriter.get(id)).collect::<Result<Vec<_>>>()?;
                // The ReLU keeps its name, or that of the first of several.
                let relu = node.inputs.first().map(|id| graph.node(*id)).transpose()?;
                let name = relu.map_or(&node.name, |relu| &relu.name).clone();
                let id = rewriter.new.push(&node.name, node.op.clone(), &inputs)?;
                rewriter.new.push(&name, Op::Relu, &[id])?
            }
            None => rewriter.copy(node)?,
        };
        rewriter.place(Some(id));
    }
    rewriter.finish()
}

/// The graph with every ReLU that only a MaxPool reads behind that MaxPool, if that leaves fewer.
///
/// # Errors
/// Those of [`Graph::push`].
pub fn switch_relu_max_pool(graph: &Graph) -> Result<Graph> {
    rewrite(graph, |uses, node| match &node.op {
        Op::MaxPool { geometry } if geometry.output_len() < geometry.input_len() => {
            Some(vec![only_relu(graph, uses, *node.inputs.first()?)?])
        }
        _ => None,
    })
}

/// The graph with one ReLU behind every Concat of ReLUs that nothing else reads.
///
/// # Errors
/// Those of [`Graph::push`].
pub fn sink_relu_below_concat(graph: &Graph) -> Result<Graph> {
    rewrite(graph, |uses, node| match node.op {
        Op::Concat { .. } => node.inputs.iter().map(|id| only_relu(graph, uses, *id)).collect(),
        _ => None,
    })
}
