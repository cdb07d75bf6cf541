//! Batch normalisation at inference is an affine map of each channel:
//! gamma·(x - mean)/sqrt(variance + epsilon) + beta = x·a + (beta - mean·a).

use super::rewrite::Rewriter;
use crate::hlil::{Graph, Op, Tensor};
use crate::{Error, Result};

/// The graph with a product and a sum of constants in place of each batch normalisation.
///
/// # Errors
/// [`Error::Invalid`] if a parameter is no constant or the map is not finite.
pub fn lower_batch_norm(graph: &Graph) -> Result<Graph> {
    let mut rewriter = Rewriter::new(graph);
    for node in graph.nodes() {
        let Op::BatchNorm { epsilon } = node.op else {
            let id = rewriter.copy(node)?;
            rewriter.place(Some(id));
            continue;
        };
        let parameter = |i: usize| {
            let tensor = node.inputs.get(i).and_then(|id| graph.constant(*id));
            let tensor = tensor.map(|t| t.data().iter().map(|&v| f64::from(v)));
            tensor.ok_or_else(|| Error::invalid(node.name.clone(), "constant parameters", "others"))
        };
        let (gamma, beta) = (parameter(1)?, parameter(2)?);
        let (mean, variance) = (parameter(3)?, parameter(4)?);
        let factors: Vec<f64> =
            gamma.zip(variance).map(|(g, v)| g / (v + f64::from(epsilon)).sqrt()).collect();
        let offsets: Vec<f64> = beta.zip(mean).zip(&factors).map(|((b, m), a)| b - m * a).collect();
        if factors.iter().chain(&offsets).any(|v| !v.is_finite()) {
            return Err(Error::invalid(node.name.clone(), "a finite map", "an infinite one"));
        }
        let mut shape = vec![1; node.shape.len()];
        if let Some(channels) = shape.get_mut(1) {
            *channels = factors.len();
        }
        let tensor = |values: Vec<f64>| {
            Tensor::new(shape.clone(), values.into_iter().map(|v| v as f32).collect())
        };
        let x = rewriter.get(
            node.inputs
                .first()
                .copied()
                .ok_or_else(|| Error::Misuse(format!("operands of {}", node.name)))?,
        )?;
        let factors = rewriter.constant(&format!("{}.factor", node.name), tensor(factors)?)?;
        let offsets = rewriter.constant(&format!("{}.offset", node.name), tensor(offsets)?)?;
        let product = rewriter.new.push(&node.name, Op::Mul, &[x, factors])?;
        let sum = rewriter.new.push(&node.name, Op::Add, &[product, offsets])?;
        rewriter.place(Some(sum));
    }
    rewriter.finish()
}
