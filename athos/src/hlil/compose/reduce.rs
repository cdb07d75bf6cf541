//! Means and maxima over axes, as poolings.

use super::super::{Graph, Op, ValueId};
use crate::{Error, Result};
use sci_core::geometry::{PoolGeometry, PoolSpec, Window, spatial};

/// What is made of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean.
    Mean,
    /// The largest.
    Max,
}

impl Reduction {
    fn op(self, geometry: PoolGeometry) -> Op {
        match self {
            Self::Mean => Op::AvgPool { geometry },
            Self::Max => Op::MaxPool { geometry },
        }
    }
}

/// Reduces some axes (in ascending order), which become 1 or disappear.
///
/// All spatial axes of `[batch, channels, ...]` are one window; others are moved to the end first.
///
/// # Errors
/// [`Error::Invalid`] for an axis that is not there or too long.
pub fn reduce(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    axes: &[usize],
    keep: bool,
    reduction: Reduction,
) -> Result<ValueId> {
    let shape = graph.node(x)?.shape.clone();
    let rank = shape.len();
    if axes.iter().any(|&axis| axis >= rank) {
        return Err(Error::invalid("axis", format_args!("below {rank}"), format_args!("{axes:?}")));
    }
    let reduced = |i: usize| axes.contains(&i);
    let length = |i: &usize| shape.get(*i).copied().unwrap_or(1);
    let kept: Vec<usize> = (0..rank).filter(|&i| !reduced(i)).collect();
    let target: Vec<usize> = match keep {
        true => (0..rank).map(|i| if reduced(i) { 1 } else { length(&i) }).collect(),
        false => kept.iter().map(length).collect(),
    };
    let is_spatial = (3..=5).contains(&rank) && axes.iter().copied().eq(2..rank);
    let (x, spec) = if is_spatial {
        let (outer, inner) = shape.split_at(2);
        (x, (outer.to_vec(), spatial("spatial axes", inner, 1)?))
    } else {
        let permutation: Vec<usize> = kept.iter().copied().chain(axes.iter().copied()).collect();
        let ordered = permutation.iter().copied().eq(0..rank);
        let moved = match ordered {
            true => x,
            false => graph.push(name, Op::Transpose { permutation }, &[x])?,
        };
        let outer: usize = kept.iter().map(length).product();
        let inner: usize = axes.iter().map(length).product();
        let flat = graph.push(name, Op::Reshape { shape: vec![1, outer, inner] }, &[moved])?;
        (flat, (vec![1, outer], [1, 1, inner]))
    };
    let (outer, input) = spec;
    let &[batch, channels] = outer.as_slice() else {
        return Err(Error::Misuse(format!("axes of {name}")));
    };
    let window = Window::new(input);
    let geometry =
        PoolGeometry::new(PoolSpec { batch, channels, input, window, count_include_pad: false })?;
    let pooled = graph.push(name, reduction.op(geometry), &[x])?;
    if graph.node(pooled)?.shape == target {
        return Ok(pooled);
    }
    graph.push(name, Op::Reshape { shape: target }, &[pooled])
}
