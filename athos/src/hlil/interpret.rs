//! Running a float graph: the reference for accuracy.

use super::{Graph, Op, Tensor};
use crate::gemm::{self, Left, Scratch};
use crate::llil::{AxisGeometry, Broadcast, Rearrange};
use crate::{Error, Result};
use rayon::prelude::*;
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};

impl Graph {
    /// What the network returns for an input.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the input has another number of elements.
    pub fn evaluate(&self, input: &[f32]) -> Result<Tensor> {
        let mut remaining = self.uses();
        let mut values: Vec<Option<Tensor>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let value = match &node.op {
                Op::Input { shape } => Some(Tensor::new(shape.clone(), input.to_vec())?),
                Op::Constant(_) => None,
                op => {
                    let inputs: Option<Vec<&Tensor>> = node
                        .inputs
                        .iter()
                        .map(|id| self.constant(*id).or(values.get(id.0).and_then(Option::as_ref)))
                        .collect();
                    let inputs =
                        inputs.ok_or_else(|| Error::Misuse(format!("inputs of {}", node.name)))?;
                    Some(apply(op, &inputs, &node.shape).map_err(|e| e.at(&node.name))?)
                }
            };
            values.push(value);
            for id in &node.inputs {
                if let Some(n) = remaining.get_mut(id.0) {
                    *n -= 1;
                    if *n == 0 {
                        values[id.0] = None;
                    }
                }
            }
        }
        let output = self.output()?;
        let computed = values.get_mut(output.0).and_then(Option::take);
        let output = computed.or_else(|| self.constant(output).cloned());
        output.ok_or_else(|| Error::Misuse("a graph without output".into()))
    }
}

/// One operation on values of checked shapes; `shape` is that of the result.
///
/// # Errors
/// [`Error::Misuse`] if the operation is not one on values or the shapes do not fit.
pub fn apply(op: &Op, inputs: &[&Tensor], shape: &[usize]) -> Result<Tensor> {
    let data = match (op, inputs) {
        (Op::Conv { geometry }, [x, w, bias @ ..]) => {
            conv(x.data(), w.data(), bias.first().map(|b| b.data()), geometry)?
        }
        (Op::Linear { geometry }, [x, w, bias @ ..]) => {
            linear(x.data(), w.data(), bias.first().map(|b| b.data()), geometry)
        }
        (Op::BatchNorm { epsilon }, [x, gamma, beta, mean, variance]) => {
            let axis = AxisGeometry::new(x.shape(), 1)?;
            let parameters: Vec<(f32, f32)> = (0..axis.len)
                .map(|c| {
                    let factor = gamma.data()[c] / (variance.data()[c] + epsilon).sqrt();
                    (factor, beta.data()[c] - mean.data()[c] * factor)
                })
                .collect();
            let planes = x.data().chunks(axis.inner).zip(parameters.iter().cycle());
            planes.flat_map(|(plane, &(a, b))| plane.iter().map(move |x| x * a + b)).collect()
        }
        (Op::Add, [x, y]) => pairwise(x, y, |x, y| x + y)?,
        (Op::Sub, [x, y]) => pairwise(x, y, |x, y| x - y)?,
        (Op::Mul, [x, y]) => pairwise(x, y, |x, y| x * y)?,
        (Op::MulPublic { factor }, [x]) => x.data().iter().map(|x| x * factor).collect(),
        (Op::Relu, [x]) => x.data().iter().map(|x| x.max(0.0)).collect(),
        (Op::MaxPool { geometry }, [x]) => {
            pool(x.data(), geometry, |window, _| window.fold(f32::NEG_INFINITY, f32::max))
        }
        (Op::AvgPool { geometry }, [x]) => {
            pool(x.data(), geometry, |window, divisor| window.sum::<f32>() / divisor as f32)
        }
        (Op::Reshape { .. }, [x]) => x.data().to_vec(),
        (Op::Concat { axis }, _) => {
            let shapes: Vec<&[usize]> = inputs.iter().map(|x| x.shape()).collect();
            let parts: Vec<&[f32]> = inputs.iter().map(|x| x.data()).collect();
            Rearrange::concat(&shapes, *axis).apply(&parts)?
        }
        (Op::Transpose { permutation }, [x]) => {
            Rearrange::transpose(x.shape(), permutation, shape).apply(&[x.data()])?
        }
        (Op::Pad { before, .. }, [x]) => {
            Rearrange::pad(x.shape(), before, shape).apply(&[x.data()])?
        }
        (Op::Slice { start, step, .. }, [x]) => {
            Rearrange::slice(x.shape(), start, step, shape).apply(&[x.data()])?
        }
        (Op::Softmax { axis }, [x]) => softmax(x, *axis, f32::exp)?,
        (Op::LogSoftmax { axis }, [x]) => softmax(x, *axis, |x| x)?,
        (Op::ArgMax { axis }, [x]) => arg_max(x, *axis)?,
        _ => return Err(Error::Misuse(format!("evaluation of {}", op.name()))),
    };
    Tensor::new(shape.to_vec(), data)
}

fn pairwise(x: &Tensor, y: &Tensor, f: impl Fn(f32, f32) -> f32) -> Result<Vec<f32>> {
    let y = Broadcast::new(x.shape(), y.shape())?.expand(y.data())?;
    Ok(x.data().iter().zip(y).map(|(&x, y)| f(x, y)).collect())
}

pub(crate) fn conv(
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    geometry: &ConvGeometry,
) -> Result<Vec<f32>> {
    let image_len = geometry.in_channels() * geometry.input_plane();
    let groups = w.chunks(geometry.group_out() * geometry.patch_len());
    let lefts: Vec<_> = groups.map(|w| Left::pack(w, geometry.patch_len(), |w| w)).collect();
    let mut out = vec![0.0; geometry.output_len()];
    let tiles = gemm::tiles(geometry, rayon::current_num_threads(), &mut out);
    tiles.into_par_iter().try_for_each_init(Scratch::default, |scratch, mut tile| {
        scratch.load(geometry, &x[tile.image * image_len..][..image_len], &tile)?;
        let first = tile.group * geometry.group_out();
        let sums = scratch.multiply(&lefts[tile.group]);
        for (i, (row, sums)) in tile.rows.iter_mut().zip(sums).enumerate() {
            let bias = bias.map_or(0.0, |bias| bias[first + i]);
            row.iter_mut().zip(sums).for_each(|(y, sum)| *y = sum + bias);
        }
        Ok::<(), Error>(())
    })?;
    Ok(out)
}

/// Partial sums of an inner product: as many as vector registers like.
const LANES: usize = 16;

pub(crate) fn linear(
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    geometry: &LinearGeometry,
) -> Vec<f32> {
    let mut out = vec![0.0; geometry.output_len()];
    for (x, out) in x.chunks(geometry.inner()).zip(out.chunks_mut(geometry.outer())) {
        out.par_iter_mut()
            .zip(w.par_chunks(geometry.inner()))
            .enumerate()
            .with_min_len(16)
            .for_each(|(i, (y, w))| {
                let ((x, x_rest), (w, w_rest)) = (x.as_chunks::<LANES>(), w.as_chunks::<LANES>());
                let mut sums = [0.0; LANES];
                for (x, w) in x.iter().zip(w) {
                    for ((sum, x), w) in sums.iter_mut().zip(x).zip(w) {
                        *sum += x * w;
                    }
                }
                let rest: f32 = x_rest.iter().zip(w_rest).map(|(x, w)| x * w).sum();
                *y = sums.iter().sum::<f32>() + rest + bias.map_or(0.0, |bias| bias[i]);
            });
    }
    out
}

pub(crate) fn pool(
    x: &[f32],
    geometry: &PoolGeometry,
    reduce: impl Fn(&mut dyn Iterator<Item = f32>, u64) -> f32,
) -> Vec<f32> {
    let mut out = Vec::with_capacity(geometry.output_len());
    for plane in x.chunks(geometry.input_plane()) {
        for position in 0..geometry.positions() {
            let mut window = geometry.members(position).map(|i| plane[i]);
            out.push(reduce(&mut window, geometry.divisor(position)));
        }
    }
    out
}

fn softmax(x: &Tensor, axis: usize, last: impl Fn(f32) -> f32) -> Result<Vec<f32>> {
    let AxisGeometry { outer, len, inner } = AxisGeometry::new(x.shape(), axis)?;
    let mut out = x.data().to_vec();
    for block in 0..outer {
        for i in 0..inner {
            let at = |k: usize| (block * len + k) * inner + i;
            let largest = (0..len).map(|k| out[at(k)]).fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = (0..len).map(|k| (out[at(k)] - largest).exp()).sum();
            for k in 0..len {
                out[at(k)] = last(out[at(k)] - largest - sum.ln());
            }
        }
    }
    Ok(out)
}

fn arg_max(x: &Tensor, axis: usize) -> Result<Vec<f32>> {
    let axis = AxisGeometry::new(x.shape(), axis)?;
    Ok(largest(x.data(), &axis).map(|best| best as f32).collect())
}

/// Indices of the largest along an axis; the lowest if there are several.
pub(crate) fn largest<'a>(
    x: &'a [f32],
    axis: &AxisGeometry,
) -> impl Iterator<Item = usize> + use<'a> {
    let AxisGeometry { outer, len, inner } = *axis;
    (0..outer * inner).map(move |i| {
        let value = |k: usize| x[(i / inner * len + k) * inner + i % inner];
        (1..len).fold(0, |best, k| if value(k) > value(best) { k } else { best })
    })
}
