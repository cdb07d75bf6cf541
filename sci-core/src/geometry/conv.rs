//! Convolution shapes and their patch matrices.

use super::{Window, coordinates, elements, tap};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What [`ConvGeometry::new`] checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConvSpec {
    /// Images.
    pub batch: usize,
    /// C_i.
    pub in_channels: usize,
    /// C_o.
    pub out_channels: usize,
    /// g, a divisor of both.
    pub groups: usize,
    /// Depth, height, width of the input.
    pub input: [usize; 3],
    /// Kernel, stride, dilation, padding.
    pub window: Window,
}

/// A checked convolution shape.
///
/// ```
/// use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
/// let conv = ConvGeometry::new(ConvSpec {
///     batch: 1,
///     in_channels: 3,
///     out_channels: 64,
///     groups: 1,
///     input: [1, 224, 224],
///     window: Window::new([1, 7, 7]).with_stride([1, 2, 2]).with_pads([0, 3, 3], [0, 3, 3]),
/// })?;
/// assert_eq!(conv.output(), [1, 112, 112]);
/// assert_eq!(conv.macs(), 118_013_952);
/// # Ok::<(), sci_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "ConvSpec", into = "ConvSpec")]
pub struct ConvGeometry {
    spec: ConvSpec,
    output: [usize; 3],
}

impl ConvGeometry {
    /// Checks a shape.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an axis is empty or beyond [`MAX_AXIS`](super::MAX_AXIS), the groups do not divide
    /// the channels, the kernel is larger than the padded input, or a tensor has more than
    /// [`MAX_ELEMENTS`](super::MAX_ELEMENTS) elements.
    pub fn new(spec: ConvSpec) -> Result<Self> {
        let ConvSpec { batch, in_channels, out_channels, groups, input, window } = spec;
        if groups == 0 || in_channels % groups != 0 || out_channels % groups != 0 {
            return Err(Error::invalid(
                "convolution groups",
                format_args!("a divisor of {in_channels} and {out_channels} channels"),
                groups,
            ));
        }
        let output = window.output("convolution", input)?;
        elements("convolution input", &[batch, in_channels, input[0], input[1], input[2]])?;
        elements("convolution output", &[batch, out_channels, output[0], output[1], output[2]])?;
        let [kd, kh, kw] = window.kernel;
        elements("convolution weights", &[out_channels, in_channels / groups, kd, kh, kw])?;
        Ok(Self { spec, output })
    }

    /// The shape that was checked.
    pub fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// Images.
    pub fn batch(&self) -> usize {
        self.spec.batch
    }

    /// C_i.
    pub fn in_channels(&self) -> usize {
        self.spec.in_channels
    }

    /// C_o.
    pub fn out_channels(&self) -> usize {
        self.spec.out_channels
    }

    /// g.
    pub fn groups(&self) -> usize {
        self.spec.groups
    }

    /// C_i / g.
    pub fn group_in(&self) -> usize {
        self.spec.in_channels / self.spec.groups
    }

    /// C_o / g.
    pub fn group_out(&self) -> usize {
        self.spec.out_channels / self.spec.groups
    }

    /// Depth, height, width of the input.
    pub fn input(&self) -> [usize; 3] {
        self.spec.input
    }

    /// Depth, height, width of the output.
    pub fn output(&self) -> [usize; 3] {
        self.output
    }

    /// Kernel, stride, dilation, padding.
    pub fn window(&self) -> &Window {
        &self.spec.window
    }

    /// Elements of one channel of one input image.
    pub fn input_plane(&self) -> usize {
        self.spec.input.iter().product()
    }

    /// Elements of one channel of one output image.
    pub fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Elements of the input tensor.
    pub fn input_len(&self) -> usize {
        self.spec.batch * self.spec.in_channels * self.input_plane()
    }

    /// Elements of the output tensor.
    pub fn output_len(&self) -> usize {
        self.spec.batch * self.spec.out_channels * self.positions()
    }

    /// Elements of the weight tensor `[C_o, C_i/g, kernel]`.
    pub fn weight_len(&self) -> usize {
        self.spec.out_channels * self.patch_len()
    }

    /// Rows of the patch matrix: C_i/g times the taps.
    pub fn patch_len(&self) -> usize {
        self.group_in() * self.spec.window.taps()
    }

    /// Multiplications: one for each output and each entry of its patch, padding included.
    pub fn macs(&self) -> u64 {
        self.output_len() as u64 * self.patch_len() as u64
    }

    /// Writes columns `positions` of the patch matrix of one group of one image: row
    /// (c·taps + tap), column position, row-major, `zero` at padding.
    ///
    /// `image` is one image, all channels. The element type is free: shares, weights, floats.
    ///
    /// # Errors
    /// [`Error::Misuse`] if a length or an index does not fit this shape.
    pub fn im2col<T: Copy>(
        &self,
        image: &[T],
        group: usize,
        positions: Range<usize>,
        zero: T,
        out: &mut [T],
    ) -> Result<()> {
        let plane = self.input_plane();
        if image.len() != self.spec.in_channels * plane
            || group >= self.spec.groups
            || positions.start > positions.end
            || positions.end > self.positions()
            || Some(out.len()) != self.patch_len().checked_mul(positions.len())
        {
            return Err(Error::misuse(format!(
                "im2col of group {group}, positions {positions:?}: {} inputs, {} outputs",
                image.len(),
                out.len()
            )));
        }
        if positions.is_empty() {
            return Ok(());
        }
        let rows = out.chunks_exact_mut(positions.len()).enumerate();
        rows.for_each(|(row, out)| self.fill_row(image, group, row, &positions, zero, out));
        Ok(())
    }

    /// Writes columns `positions` of one row of the patch matrix of one group of one image, as
    /// [`ConvGeometry::im2col`] would.
    ///
    /// # Errors
    /// [`Error::Misuse`] if a length or an index does not fit this shape.
    pub fn patch_row<T: Copy>(
        &self,
        image: &[T],
        group: usize,
        row: usize,
        positions: Range<usize>,
        zero: T,
        out: &mut [T],
    ) -> Result<()> {
        if image.len() != self.spec.in_channels * self.input_plane()
            || group >= self.spec.groups
            || row >= self.patch_len()
            || positions.start > positions.end
            || positions.end > self.positions()
            || out.len() != positions.len()
        {
            return Err(Error::misuse(format!(
                "row {row} of the patches of group {group}, positions {positions:?}: {} inputs, {} outputs",
                image.len(),
                out.len()
            )));
        }
        self.fill_row(image, group, row, &positions, zero, out);
        Ok(())
    }

    /// One row of the patch matrix: the same tap for consecutive positions.
    fn fill_row<T: Copy>(
        &self,
        image: &[T],
        group: usize,
        row: usize,
        positions: &Range<usize>,
        zero: T,
        mut out: &mut [T],
    ) {
        let (window, input) = (&self.spec.window, self.spec.input);
        let (channel, taps) = (row / window.taps(), row % window.taps());
        let plane = self.input_plane();
        let channel = &image[(group * self.group_in() + channel) * plane..][..plane];
        let taps = coordinates(taps, window.kernel);
        let mut position = positions.start;
        while position < positions.end {
            let [od, oh, ow] = coordinates(position, self.output);
            let run = (self.output[2] - ow).min(positions.end - position);
            let (line, rest) = out.split_at_mut(run);
            let source = tap(window, input, 0, od, taps[0])
                .zip(tap(window, input, 1, oh, taps[1]))
                .map(|(d, h)| &channel[(d * input[1] + h) * input[2]..][..input[2]]);
            match source {
                None => line.fill(zero),
                Some(source) => {
                    let shift = taps[2] * window.dilation[2];
                    copy_strided(
                        source,
                        ow,
                        shift,
                        window.pad_before[2],
                        window.stride[2],
                        zero,
                        line,
                    );
                }
            }
            out = rest;
            position += run;
        }
    }
}

/// line[i] = source[(first + i)·stride + shift - pad], `zero` outside.
fn copy_strided<T: Copy>(
    source: &[T],
    first: usize,
    shift: usize,
    pad: usize,
    stride: usize,
    zero: T,
    line: &mut [T],
) {
    // The positions that read inside are those with pad <= (first + i)·stride + shift < pad + n.
    let start = first * stride + shift;
    let inside = pad.saturating_sub(start).div_ceil(stride).min(line.len());
    let end = (pad + source.len()).saturating_sub(start).div_ceil(stride).min(line.len());
    line[..inside].fill(zero);
    line[end.max(inside)..].fill(zero);
    if inside >= end {
        return;
    }
    let source = &source[start + inside * stride - pad..];
    let line = &mut line[inside..end];
    if stride == 1 {
        line.copy_from_slice(&source[..line.len()]);
    } else {
        for (x, y) in line.iter_mut().zip(source.iter().step_by(stride)) {
            *x = *y;
        }
    }
}

impl TryFrom<ConvSpec> for ConvGeometry {
    type Error = Error;

    fn try_from(spec: ConvSpec) -> Result<Self> {
        Self::new(spec)
    }
}

impl From<ConvGeometry> for ConvSpec {
    fn from(geometry: ConvGeometry) -> Self {
        geometry.spec
    }
}
