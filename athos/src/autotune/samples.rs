//! Labelled inputs, and what the float network says of them.

use crate::hlil::{Graph, Op, Tensor, ValueId, interpret};
use crate::llil::AxisGeometry;
use crate::{Error, Result};
use rayon::prelude::*;

/// An input whose class may be known.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What the network takes, preprocessed.
    pub input: Vec<f32>,
    /// The class it shows.
    pub label: Option<u64>,
}

/// The classes that the float network gives an input: one, or one for every voxel.
///
/// # Errors
/// [`Error::Invalid`] if the input does not fit the network.
pub fn float_classes(graph: &Graph, input: &[f32]) -> Result<Vec<i64>> {
    let output = graph.evaluate(input)?;
    let last = graph.node(last_computed(graph)?)?;
    let indices = |tensor: &Tensor| tensor.data().iter().map(|&v| v as i64).collect();
    match last.op {
        Op::ArgMax { .. } => Ok(indices(&output)),
        Op::Softmax { axis } | Op::LogSoftmax { axis } => largest(&output, axis),
        _ => largest(&output, usize::from(output.shape().len() > 1)),
    }
}

/// The node behind the reshapes that a graph may end with.
fn last_computed(graph: &Graph) -> Result<ValueId> {
    let mut id = graph.output()?;
    loop {
        let node = graph.node(id)?;
        match (&node.op, node.inputs.first()) {
            // Only indices may be reshaped without moving the axis of the classes.
            (Op::Reshape { .. }, Some(&before)) if ends_in_index(graph, before)? => id = before,
            _ => return Ok(id),
        }
    }
}

fn ends_in_index(graph: &Graph, mut id: ValueId) -> Result<bool> {
    loop {
        let node = graph.node(id)?;
        match (&node.op, node.inputs.first()) {
            (Op::ArgMax { .. }, _) => return Ok(true),
            (Op::Reshape { .. }, Some(&before)) => id = before,
            _ => return Ok(false),
        }
    }
}

/// Indices of the largest values along an axis.
fn largest(values: &Tensor, axis: usize) -> Result<Vec<i64>> {
    let axis = AxisGeometry::new(values.shape(), axis)?;
    Ok(interpret::largest(values.data(), &axis).map(|best| best as i64).collect())
}

/// The same of integers, of a tensor of classes in the order of [`float_classes`].
pub(super) fn largest_of(shape: &[usize], values: &[i64]) -> Result<Vec<i64>> {
    let axis = AxisGeometry::new(shape, usize::from(shape.len() > 1))?;
    let block = (axis.len * axis.inner).max(1);
    let best = |(block, inner): (&[i64], usize)| {
        let along = block.iter().skip(inner).step_by(axis.inner.max(1)).enumerate();
        // The first of the largest.
        along.rev().max_by_key(|(_, value)| **value).map_or(0, |(class, _)| class as i64)
    };
    let blocks = values.chunks_exact(block);
    Ok(blocks.flat_map(|block| (0..axis.inner).map(move |i| (block, i))).map(best).collect())
}

/// [`float_classes`] of all samples, on all threads.
pub(super) fn evaluate(
    graph: &Graph,
    samples: &[Sample],
    step: &(dyn Fn() + Sync),
) -> Result<Vec<Vec<i64>>> {
    let one = |(i, sample): (usize, &Sample)| {
        let classes = float_classes(graph, &sample.input);
        step();
        classes.map_err(|e: Error| e.at(&format!("sample {i}")))
    };
    samples.par_iter().enumerate().map(one).collect()
}
