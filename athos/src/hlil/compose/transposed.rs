//! Transposed convolution as a convolution that computes all phases of the output at once.
//!
//! Along one axis with stride s, dilation d and taps j = 0..k, element i of the input adds w_j x_i to
//! position i·s + j·d of the full output. Write a position as q·s + r. It receives the taps with
//! j·d = t·s + r for a whole t, from x at q - t. So each phase r is a convolution of stride 1 over x with
//! a filter of T = floor((k - 1)·d / s) + 1 taps, w_j at offset t and zero where there is none. The phases
//! are s times as many output channels of one convolution, and putting them side by side is a transpose.
//! For k a multiple of s (d = 1) no filter has a zero, and the multiplications are those of the operator;
//! inserting zeros into the input instead would take s of them for each of these, along every axis.

use super::super::{Graph, Op, Tensor, ValueId};
use super::pick::slice;
use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, ConvSpec, MAX_AXIS, MAX_ELEMENTS, Window, spatial};

/// What a transposed convolution looks at; lists have one entry for each spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransposedConv {
    /// Divides both numbers of channels.
    pub groups: usize,
    /// Distance of two input elements in the output.
    pub stride: Vec<usize>,
    /// Distance of taps.
    pub dilation: Vec<usize>,
    /// How much is cut off in front of the full output.
    pub pad_before: Vec<usize>,
    /// The lengths of the output. What lies beyond the full output is the bias alone.
    pub output: Vec<usize>,
}

/// One axis of the plan.
#[derive(Clone, Copy, Debug)]
struct Axis {
    input: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    cut: usize,
    output: usize,
}

impl Axis {
    /// T.
    fn taps(&self) -> usize {
        (self.kernel - 1) * self.dilation / self.stride + 1
    }

    /// The first q that is computed, and how many.
    fn positions(&self) -> (usize, usize) {
        let first = (self.cut / self.stride).min(self.taps() - 1);
        let end = (self.cut + self.output).div_ceil(self.stride).max(self.input);
        (first, end - first)
    }

    /// The tap at offset t of phase r.
    fn tap(&self, t: usize, r: usize) -> Option<usize> {
        let place = t * self.stride + r;
        let tap = place / self.dilation;
        (place.is_multiple_of(self.dilation) && tap < self.kernel).then_some(tap)
    }
}

/// Appends x transposed-convolved with filters `[C_i, C_o/g, kernel]`, plus a bias `[C_o]`.
///
/// # Errors
/// [`Error::Invalid`] for shapes that do not fit or are too large.
pub fn conv_transpose(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    (weights_name, weights): (&str, &Tensor),
    bias: Option<(&str, &Tensor)>,
    spec: &TransposedConv,
) -> Result<ValueId> {
    let shape = graph.node(x)?.shape.clone();
    let (&[batch, channels, ref input @ ..], &[filters, group_out, ref kernel @ ..]) =
        (shape.as_slice(), weights.shape())
    else {
        return Err(Error::invalid("rank", "3 to 5", shape.len()));
    };
    let groups = spec.groups;
    if filters != channels || groups == 0 || channels % groups != 0 {
        let expected = format!("filters for {channels} channels in {groups} groups");
        return Err(Error::invalid(weights_name, expected, filters));
    }
    let axes = axes(input, kernel, spec)?;
    let phases: usize = axes.iter().map(|a| a.stride).product();
    let out_channels = group_out.checked_mul(groups).and_then(|n| n.checked_mul(phases));
    let out_channels = out_channels
        .filter(|&n| n <= MAX_ELEMENTS)
        .ok_or_else(|| Error::invalid(name, "fewer output channels", "too many phases"))?;
    let list = |f: &dyn Fn(&Axis) -> usize| axes.iter().map(f).collect::<Vec<usize>>();
    let taps = list(&|a| a.taps());
    let geometry = ConvGeometry::new(ConvSpec {
        batch,
        in_channels: channels,
        out_channels,
        groups,
        input: spatial("input of a convolution", input, 1)?,
        window: Window::new(spatial("kernel", &taps, 1)?).with_pads(
            spatial("padding", &list(&|a| a.taps() - 1 - a.positions().0), 0)?,
            spatial("padding", &list(&|a| a.positions().0 + a.positions().1 - a.input), 0)?,
        ),
    })?;
    let phased = phase_filters(weights, groups, group_out, &axes)?;
    let mut inputs = vec![x, graph.push(weights_name, Op::Constant(phased), &[])?];
    if let Some((name, bias)) = bias {
        let repeated = bias.data().iter().flat_map(|&b| vec![b; phases]).collect();
        let bias = Tensor::new(vec![out_channels], repeated)?;
        inputs.push(graph.push(name, Op::Constant(bias), &[])?);
    }
    let phased = graph.push(name, Op::Conv { geometry }, &inputs)?;
    interleave(graph, name, phased, [batch, groups * group_out], &axes)
}

fn axes(input: &[usize], kernel: &[usize], spec: &TransposedConv) -> Result<Vec<Axis>> {
    let lists = [&spec.stride, &spec.dilation, &spec.pad_before, &spec.output];
    if lists.iter().any(|list| list.len() != input.len()) || kernel.len() != input.len() {
        return Err(Error::invalid("axes of a window", input.len(), "others"));
    }
    let windows = spec.stride.iter().zip(&spec.dilation);
    let windows = windows.zip(spec.pad_before.iter().zip(&spec.output));
    let axes = input.iter().zip(kernel).zip(windows).map(
        |((&input, &kernel), ((&stride, &dilation), (&cut, &output)))| {
            let least = [input, kernel, stride, dilation, output];
            if least.contains(&0) || least.iter().chain([&cut]).any(|&n| n > MAX_AXIS) {
                return Err(Error::invalid("window", "lengths in 1..=2^20", "another"));
            }
            Ok(Axis { input, kernel, stride, dilation, cut, output })
        },
    );
    axes.collect()
}

/// Filters `[C_o·phases, C_i/g, taps]`: as a convolution reads forward, offset t is the tap before the
/// last by t.
fn phase_filters(
    weights: &Tensor,
    groups: usize,
    group_out: usize,
    axes: &[Axis],
) -> Result<Tensor> {
    let group_in = weights.shape().first().copied().unwrap_or(0) / groups;
    let taps: Vec<usize> = axes.iter().map(Axis::taps).collect();
    let strides: Vec<usize> = axes.iter().map(|a| a.stride).collect();
    let kernel: usize = axes.iter().map(|a| a.kernel).product();
    let (all_taps, phases) = (taps.iter().product::<usize>(), strides.iter().product::<usize>());
    let shape = [&[groups * group_out * phases, group_in], taps.as_slice()].concat();
    let mut data = Vec::with_capacity(crate::shape::bounded(&shape)?);
    for out in 0..groups * group_out {
        let (group, column) = (out / group_out, out % group_out);
        for phase in 0..phases {
            for input in 0..group_in {
                let row = (group * group_in + input) * group_out + column;
                let filter = weights.data().get(row * kernel..(row + 1) * kernel).unwrap_or(&[]);
                for place in 0..all_taps {
                    let tap = source(axes, coordinates(place, &taps), coordinates(phase, &strides));
                    data.push(tap.and_then(|tap| filter.get(tap)).copied().unwrap_or(0.0));
                }
            }
        }
    }
    Tensor::new(shape, data)
}

/// The tap of the operator's filter that stands at a place of a phase's filter, as an index.
fn source(
    axes: &[Axis],
    place: impl Iterator<Item = usize>,
    phase: impl Iterator<Item = usize>,
) -> Option<usize> {
    axes.iter().zip(place.zip(phase)).try_fold(0, |index, (axis, (u, r))| {
        Some(index * axis.kernel + axis.tap(axis.taps() - 1 - u, r)?)
    })
}

/// Row-major coordinates of an index.
fn coordinates(index: usize, shape: &[usize]) -> impl Iterator<Item = usize> {
    let mut rest = index;
    let mut all = vec![0; shape.len()];
    for (c, &n) in all.iter_mut().zip(shape).rev() {
        *c = rest % n;
        rest /= n;
    }
    all.into_iter()
}

/// `[N, C·phases, Q...]` to `[N, C, output...]`.
fn interleave(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    outer: [usize; 2],
    axes: &[Axis],
) -> Result<ValueId> {
    let [batch, channels] = outer;
    let counts: Vec<usize> = axes.iter().map(|a| a.positions().1).collect();
    let full: Vec<usize> = axes.iter().map(|a| a.positions().1 * a.stride).collect();
    let mut x = x;
    // One axis after another keeps the rank low: [N, C, r1.., Q1..] with r1 beside Q1, and so on.
    let phases: Vec<usize> = axes.iter().map(|a| a.stride).collect();
    if phases.iter().any(|&n| n > 1) {
        let n = axes.len();
        let split = [&[batch * channels], phases.as_slice(), &counts].concat();
        x = graph.push(name, Op::Reshape { shape: split }, &[x])?;
        let pairs = (0..n).flat_map(|i| [1 + n + i, 1 + i]);
        let permutation = std::iter::once(0).chain(pairs).collect();
        x = graph.push(name, Op::Transpose { permutation }, &[x])?;
        let joined = [&[batch, channels], full.as_slice()].concat();
        x = graph.push(name, Op::Reshape { shape: joined }, &[x])?;
    }
    let start: Vec<usize> = axes.iter().map(|a| a.cut - a.positions().0 * a.stride).collect();
    let output: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let start = [&[0, 0], start.as_slice()].concat();
    let output = [&[batch, channels], output.as_slice()].concat();
    let step = vec![1; output.len()];
    slice(graph, name, x, start, step, output)
}
