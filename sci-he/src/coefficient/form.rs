//! Other layers as convolutions: which element of their tensors is which of the convolution's.
//!
//! All of these are rearrangements of shares and weights, which each party does by itself.

use crate::broadcast;
use sci_core::Result;
use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, Window, elements};

/// Stands for an element that the other side does not have.
const NONE: u32 = u32::MAX;

/// A layer as a convolution. Every table gives, for each element of the convolution's tensor, the
/// element of the layer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) geometry: ConvGeometry,
    pub(super) input_len: usize,
    pub(super) weight_len: usize,
    pub(super) output_len: usize,
    input: Option<Vec<u32>>,
    weights: Option<Vec<u32>>,
    output: Option<Vec<u32>>,
}

/// A transposed convolution: what it adds up is w[c, k]·x[c, i] at output i·s + k·dilation - pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTransposedSpec {
    /// Images.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Groups; weights are `[C_i, C_o/g, kernel]`.
    pub groups: usize,
    /// The input: depth, height, width.
    pub input: [usize; 3],
    /// The output, which the input, the window and an output padding determine.
    pub output: [usize; 3],
    /// Kernel, stride, dilation; the padding before is taken off the output.
    pub window: Window,
}

impl Form {
    pub(super) fn conv(geometry: &ConvGeometry) -> Self {
        Self {
            geometry: *geometry,
            input_len: geometry.input_len(),
            weight_len: geometry.weight_len(),
            output_len: geometry.output_len(),
            input: None,
            weights: None,
            output: None,
        }
    }

    /// Rows are positions of one image, entries are channels.
    pub(super) fn linear(geometry: &LinearGeometry) -> Result<Self> {
        let (rows, inner, outer) = (geometry.rows(), geometry.inner(), geometry.outer());
        let conv = ConvGeometry::new(ConvSpec {
            batch: 1,
            in_channels: inner,
            out_channels: outer,
            groups: 1,
            input: [1, 1, rows],
            window: Window::new([1; 3]),
        })?;
        let transposed = |columns: usize| {
            (rows > 1).then(|| {
                let all = (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c));
                all.map(|i| i as u32).collect()
            })
        };
        Ok(Self { input: transposed(inner), output: transposed(outer), ..Self::conv(&conv) })
    }

    /// Every weight is a channel with a filter of its own; what it is repeated over are positions.
    pub(super) fn elementwise(shape: &[usize], weight_shape: &[usize]) -> Result<Self> {
        let (sources, channels) = broadcast::sources(shape, weight_shape)?;
        let total = sources.len();
        let positions = total / channels;
        let geometry = ConvGeometry::new(ConvSpec {
            batch: 1,
            in_channels: channels,
            out_channels: channels,
            groups: channels,
            input: [1, 1, positions],
            window: Window::new([1; 3]),
        })?;
        let mut table = vec![0; total];
        let mut used = vec![0usize; channels];
        for (i, weight) in sources.into_iter().enumerate() {
            let weight = weight as usize;
            table[weight * positions + used[weight]] = i as u32;
            used[weight] += 1;
        }
        Ok(Self { input: Some(table.clone()), output: Some(table), ..Self::conv(&geometry) })
    }

    /// Output o = s·j + r - pad of residue r is a convolution of stride 1 with the taps k whose
    /// k·dilation is r modulo s: each residue is a filter of its own.
    pub(super) fn conv_transposed(spec: &ConvTransposedSpec) -> Result<Self> {
        let ConvTransposedSpec { batch, in_channels, out_channels, groups, input, output, window } =
            *spec;
        let Window { kernel, stride, dilation, pad_before, .. } = window;
        // The checks of a convolution from output to input cover every size but the padding.
        let backward = Window { pad_before: [0; 3], pad_after: [0; 3], ..window };
        let extent = [0, 1, 2].map(|a| output[a].saturating_add(pad_before[a]));
        ConvGeometry::new(ConvSpec {
            batch,
            in_channels: out_channels,
            out_channels: in_channels,
            groups,
            input: [0, 1, 2].map(|a| {
                extent[a].max(kernel[a].saturating_sub(1).saturating_mul(dilation[a]) + 1)
            }),
            window: backward,
        })?;
        // Tap k reaches back by floor(k·dilation/s) positions.
        let reach = [0, 1, 2].map(|a| (kernel[a] - 1) * dilation[a] / stride[a]);
        let positions = [0, 1, 2].map(|a| extent[a].div_ceil(stride[a]));
        let residues: usize = stride.iter().product();
        let after = [0, 1, 2].map(|a| positions[a].saturating_sub(input[a]));
        let geometry = ConvGeometry::new(ConvSpec {
            batch,
            in_channels,
            out_channels: out_channels * residues,
            groups,
            input,
            window: Window::new(reach.map(|r| r + 1)).with_pads(reach, after),
        })?;
        let at = |i: usize, shape: [usize; 3]| {
            [i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]]
        };
        let index =
            |at: [usize; 3], shape: [usize; 3]| (at[0] * shape[1] + at[1]) * shape[2] + at[2];
        let (group_in, group_out) = (in_channels / groups, out_channels / groups);
        let taps = reach.map(|r| r + 1);
        let mut weights = vec![NONE; geometry.weight_len()];
        let tap_count: usize = taps.iter().product();
        for filter in 0..out_channels {
            for c in 0..group_in {
                let channel = filter / group_out * group_in + c;
                let source = (channel * group_out + filter % group_out) * window.taps();
                for k in 0..window.taps() {
                    let tap = at(k, kernel);
                    let reached = [0, 1, 2].map(|a| tap[a] * dilation[a]);
                    let residue = [0, 1, 2].map(|a| reached[a] % stride[a]);
                    let tap = [0, 1, 2].map(|a| reach[a] - reached[a] / stride[a]);
                    let own = filter * residues + index(residue, stride);
                    let to = (own * group_in + c) * tap_count + index(tap, taps);
                    // Taps of one residue have distinct offsets.
                    weights[to] = (source + k) as u32;
                }
            }
        }
        let mut places = vec![NONE; geometry.output_len()];
        let (made, plane) = (geometry.output(), output.iter().product::<usize>());
        for (number, place) in places.iter_mut().enumerate() {
            let position = at(number % geometry.positions(), made);
            let filter = number / geometry.positions();
            let (image, filter) =
                (filter / (out_channels * residues), filter % (out_channels * residues));
            let residue = at(filter % residues, stride);
            let found = [0, 1, 2].map(|a| {
                (position[a] * stride[a] + residue[a])
                    .checked_sub(pad_before[a])
                    .filter(|&o| o < output[a])
            });
            if let [Some(d), Some(h), Some(w)] = found {
                let channel = image * out_channels + filter / residues;
                *place = (channel * plane + index([d, h, w], output)) as u32;
            }
        }
        Ok(Self {
            weight_len: in_channels * group_out * window.taps(),
            output_len: elements("output", &[batch, out_channels, plane])?,
            weights: Some(weights),
            output: Some(places),
            ..Self::conv(&geometry)
        })
    }

    pub(super) fn arrange_input(&self, x: &[u64]) -> Option<Vec<u64>> {
        self.input.as_ref().map(|table| table.iter().map(|&i| x[i as usize]).collect())
    }

    pub(super) fn arrange_weights(&self, weights: &[i32]) -> Vec<i32> {
        match &self.weights {
            None => weights.to_vec(),
            Some(table) => {
                table.iter().map(|&i| weights.get(i as usize).copied().unwrap_or(0)).collect()
            }
        }
    }

    /// Where output `i` of the convolution goes, if anywhere.
    pub(super) fn place(&self, i: usize) -> Option<usize> {
        match &self.output {
            None => Some(i),
            Some(table) => Some(table[i] as usize).filter(|&at| at != NONE as usize),
        }
    }
}
