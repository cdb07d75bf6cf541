//! Shapes of linear layers and pooling, used by every engine: the cleartext one, OT and HE.
//!
//! A tensor is a flat slice in row-major order, `[batch, channels, depth, height, width]`; layers of
//! lower rank have leading spatial axes of length 1. For one axis with input length n, kernel k,
//! stride s, dilation d and padding (p, q),
//!
//! * the output has m = floor((n + p + q - d(k-1) - 1) / s) + 1 positions,
//! * tap j of output position o reads input position o·s + j·d - p, a zero where that is outside.
//!
//! A convolution with g groups maps C_i input channels to C_o output channels; filters are
//! `[C_o, C_i/g, kernel]`. As a matrix product, one group of one image is
//! W (C_o/g x C_i/g·|k|) times the patch matrix (C_i/g·|k| x positions) of [`ConvGeometry::im2col`].
//!
//! Shapes may come from a file or a peer. A value of these types has passed its constructor (also
//! when it was deserialised), so that all products below fit and every window touches the input.

mod conv;
mod linear;
mod pool;
#[cfg(test)]
mod tests;

pub use conv::{ConvGeometry, ConvSpec};
pub use linear::LinearGeometry;
pub use pool::{PoolGeometry, PoolSpec};

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The most elements a tensor may have.
pub const MAX_ELEMENTS: usize = 1 << 31;

/// The longest spatial axis, kernel, stride, dilation or padding.
pub const MAX_AXIS: usize = 1 << 20;

/// The number of elements of a shape.
///
/// # Errors
/// [`Error::InvalidInput`] if an axis is empty or there are more than [`MAX_ELEMENTS`].
pub fn elements(what: &'static str, shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &axis| n.checked_mul(axis))
        .filter(|n| (1..=MAX_ELEMENTS).contains(n))
        .ok_or_else(|| Error::invalid(what, "1..=2^31 elements", format_args!("{shape:?}")))
}

/// One to three spatial axes, aligned to the right of three; missing ones are `fill`.
///
/// # Errors
/// [`Error::InvalidInput`] for any other number of axes.
pub fn spatial(what: &'static str, axes: &[usize], fill: usize) -> Result<[usize; 3]> {
    match *axes {
        [w] => Ok([fill, fill, w]),
        [h, w] => Ok([fill, h, w]),
        [d, h, w] => Ok([d, h, w]),
        _ => Err(Error::invalid(what, "1 to 3 spatial axes", axes.len())),
    }
}

/// What a convolution or a pooling looks at: plain data, checked by the geometry made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Taps along depth, height, width.
    pub kernel: [usize; 3],
    /// Distance between output positions.
    pub stride: [usize; 3],
    /// Distance between taps.
    pub dilation: [usize; 3],
    /// Zeros before the first input position.
    pub pad_before: [usize; 3],
    /// Zeros after the last.
    pub pad_after: [usize; 3],
}

impl Window {
    /// A kernel with stride 1, dilation 1 and no padding.
    pub const fn new(kernel: [usize; 3]) -> Self {
        Self { kernel, stride: [1; 3], dilation: [1; 3], pad_before: [0; 3], pad_after: [0; 3] }
    }

    /// The same window with another stride.
    pub const fn with_stride(mut self, stride: [usize; 3]) -> Self {
        self.stride = stride;
        self
    }

    /// The same window with other padding, before and after.
    pub const fn with_pads(mut self, before: [usize; 3], after: [usize; 3]) -> Self {
        self.pad_before = before;
        self.pad_after = after;
        self
    }

    /// The same window with another dilation.
    pub const fn with_dilation(mut self, dilation: [usize; 3]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Number of taps. Below 2^60 for every window that a geometry accepted.
    pub const fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.kernel[2]
    }

    /// Output length of each axis.
    fn output(&self, what: &'static str, input: [usize; 3]) -> Result<[usize; 3]> {
        let mut output = [0; 3];
        for axis in 0..3 {
            let at_least_one =
                [input[axis], self.kernel[axis], self.stride[axis], self.dilation[axis]];
            let pads = [self.pad_before[axis], self.pad_after[axis]];
            if at_least_one.contains(&0) || at_least_one.iter().chain(&pads).any(|&n| n > MAX_AXIS)
            {
                let got = format!("{at_least_one:?} and padding {pads:?} on axis {axis}");
                return Err(Error::invalid(
                    what,
                    "input, kernel, stride, dilation in 1..=2^20, padding up to 2^20",
                    got,
                ));
            }
            let extent = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let padded = input[axis] + pads[0] + pads[1];
            if extent > padded {
                return Err(Error::invalid(
                    what,
                    format_args!("a kernel extent of at most {padded} on axis {axis}"),
                    extent,
                ));
            }
            output[axis] = (padded - extent) / self.stride[axis] + 1;
        }
        Ok(output)
    }
}

/// Decomposes a row-major spatial index.
fn coordinates(index: usize, shape: [usize; 3]) -> [usize; 3] {
    [index / (shape[1] * shape[2]), index / shape[2] % shape[1], index % shape[2]]
}

/// The input coordinate of a tap, if it is not padding.
fn tap(
    window: &Window,
    input: [usize; 3],
    axis: usize,
    output: usize,
    tap: usize,
) -> Option<usize> {
    (output * window.stride[axis] + tap * window.dilation[axis])
        .checked_sub(window.pad_before[axis])
        .filter(|&i| i < input[axis])
}
