//! Operators that are made of simpler ones, for every reader of model files.
//!
//! Each function appends nodes of one name to a graph and returns the value. All of them are exact in
//! floats: what is written here is what the operator means, without a further rounding.

mod pick;
mod reduce;
mod transposed;

pub use pick::{Border, pad, pick, slice};
pub use reduce::{Reduction, reduce};
pub use transposed::{TransposedConv, conv_transpose};

use super::{Graph, Op, Tensor, ValueId};
use crate::{Error, Result};
use sci_core::geometry::{PoolGeometry, PoolSpec};

/// A constant of one element, of the rank of a value.
fn scalar(graph: &mut Graph, name: &str, x: ValueId, value: f32) -> Result<ValueId> {
    let rank = graph.node(x)?.shape.len();
    let tensor = Tensor::new(vec![1; rank], vec![value])?;
    graph.push(name, Op::Constant(tensor), &[])
}

/// min(max(x, low), high): max(x, a) = a + ReLU(x - a), min(x, b) = x - ReLU(x - b).
///
/// # Errors
/// Those of [`Graph::push`].
pub fn clip(
    graph: &mut Graph,
    name: &str,
    mut x: ValueId,
    low: Option<f32>,
    high: Option<f32>,
) -> Result<ValueId> {
    match low {
        Some(low) if low != 0.0 => {
            let low = scalar(graph, name, x, low)?;
            let above = graph.push(name, Op::Sub, &[x, low])?;
            let above = graph.push(name, Op::Relu, &[above])?;
            x = graph.push(name, Op::Add, &[above, low])?;
        }
        Some(_) => x = graph.push(name, Op::Relu, &[x])?,
        None => {}
    }
    if let Some(high) = high {
        let high = scalar(graph, name, x, high)?;
        let above = graph.push(name, Op::Sub, &[x, high])?;
        let above = graph.push(name, Op::Relu, &[above])?;
        x = graph.push(name, Op::Sub, &[x, above])?;
    }
    Ok(x)
}

/// x where it is positive, slope·x elsewhere, the slope public: ReLU(x) - slope·(ReLU(x) - x).
///
/// # Errors
/// Those of [`Graph::push`].
pub fn leaky_relu(graph: &mut Graph, name: &str, x: ValueId, slope: f32) -> Result<ValueId> {
    let positive = graph.push(name, Op::Relu, &[x])?;
    let negative = graph.push(name, Op::Sub, &[positive, x])?;
    let scaled = graph.push(name, Op::MulPublic { factor: slope }, &[negative])?;
    graph.push(name, Op::Sub, &[positive, scaled])
}

/// The same with secret slopes, a constant of the rank of x that is repeated.
///
/// # Errors
/// Those of [`Graph::push`].
pub fn p_relu(graph: &mut Graph, name: &str, x: ValueId, slopes: ValueId) -> Result<ValueId> {
    let positive = graph.push(name, Op::Relu, &[x])?;
    let negative = graph.push(name, Op::Sub, &[positive, x])?;
    let scaled = graph.push(name, Op::Mul, &[negative, slopes])?;
    graph.push(name, Op::Sub, &[positive, scaled])
}

/// max(x, y) = y + ReLU(x - y), y perhaps a constant that is repeated.
///
/// # Errors
/// Those of [`Graph::push`].
pub fn maximum(graph: &mut Graph, name: &str, x: ValueId, y: ValueId) -> Result<ValueId> {
    let above = graph.push(name, Op::Sub, &[x, y])?;
    let above = graph.push(name, Op::Relu, &[above])?;
    graph.push(name, Op::Add, &[above, y])
}

/// min(x, y) = x - ReLU(x - y), y perhaps a constant that is repeated.
///
/// # Errors
/// Those of [`Graph::push`].
pub fn minimum(graph: &mut Graph, name: &str, x: ValueId, y: ValueId) -> Result<ValueId> {
    let above = graph.push(name, Op::Sub, &[x, y])?;
    let above = graph.push(name, Op::Relu, &[above])?;
    graph.push(name, Op::Sub, &[x, above])
}

/// |x| = 2·ReLU(x) - x.
///
/// # Errors
/// Those of [`Graph::push`].
pub fn absolute(graph: &mut Graph, name: &str, x: ValueId) -> Result<ValueId> {
    let positive = graph.push(name, Op::Relu, &[x])?;
    let negative = graph.push(name, Op::Sub, &[positive, x])?;
    graph.push(name, Op::Add, &[positive, negative])
}

/// A pooling whose output lengths are rounded up if `ceil`: the windows that hang over the end are cut
/// off there, and one that would start beyond input and padding is left out. With counted padding the
/// part that hangs over is not counted.
///
/// # Errors
/// [`Error::Invalid`] for windows that do not fit.
pub fn pool(
    graph: &mut Graph,
    name: &str,
    mut x: ValueId,
    mut spec: PoolSpec,
    ceil: bool,
    op: impl FnOnce(PoolGeometry) -> Op,
) -> Result<ValueId> {
    // The check of the window comes first: what follows may assume small, non-zero numbers.
    let floor = PoolGeometry::new(spec)?;
    if ceil && !floor.covers_input() {
        // A window has to start in the input or the padding before it.
        let starts = spec.input.iter().zip(&spec.window.pad_before);
        let starts: Vec<usize> = starts.map(|(n, before)| n + before).collect();
        if spec.count_include_pad {
            let axes = graph.node(x)?.shape.len();
            let of_axes = |pads: [usize; 3]| {
                let (_, pads) = pads.split_at((5 - axes.min(5)).min(3));
                [&[0, 0], pads].concat()
            };
            let (before, after) = (spec.window.pad_before, spec.window.pad_after);
            let padding = Op::Pad { before: of_axes(before), after: of_axes(after) };
            x = graph.push(name, padding, &[x])?;
            let padded = spec.input.iter_mut().zip(before.iter().zip(&after));
            padded.for_each(|(n, (before, after))| *n += before + after);
            spec.window = spec.window.with_pads([0; 3], [0; 3]);
            spec.count_include_pad = false;
        }
        let window = &mut spec.window;
        let axes = window.kernel.iter().zip(window.dilation).zip(window.stride).zip(spec.input);
        let pads = window.pad_before.iter().zip(window.pad_after.iter_mut()).zip(starts);
        for ((((&kernel, dilation), stride), n), ((&before, after), start)) in axes.zip(pads) {
            let extent = dilation * (kernel - 1) + 1;
            let mut steps = (n + before + *after - extent).div_ceil(stride);
            steps -= usize::from(steps * stride >= start);
            *after = (steps * stride + extent).saturating_sub(n + before);
        }
    }
    let geometry = PoolGeometry::new(spec).map_err(|e| Error::from(e).at(name))?;
    graph.push(name, op(geometry), &[x])
}
