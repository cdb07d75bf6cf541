//! Pooling shapes, their windows and divisors.

use super::{Window, coordinates, elements};
use crate::{Domain, Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What [`PoolGeometry::new`] checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Images.
    pub batch: usize,
    /// Channels, each pooled on its own.
    pub channels: usize,
    /// Depth, height, width of the input.
    pub input: [usize; 3],
    /// Kernel, stride, dilation, padding.
    pub window: Window,
    /// Whether an average divides by all taps or by those that are not padding.
    pub count_include_pad: bool,
}

/// A checked pooling shape (output lengths rounded down).
///
/// Padding never wins a maximum: the members of a window are its taps inside the input, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "PoolSpec", into = "PoolSpec")]
pub struct PoolGeometry {
    spec: PoolSpec,
    output: [usize; 3],
}

impl PoolGeometry {
    /// Checks a shape.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an axis is empty or beyond [`MAX_AXIS`](super::MAX_AXIS), a window holds nothing but
    /// padding, is larger than the padded input or has more than 2^31 taps, or a tensor has more than
    /// [`MAX_ELEMENTS`](super::MAX_ELEMENTS) elements.
    pub fn new(spec: PoolSpec) -> Result<Self> {
        let PoolSpec { batch, channels, input, window, .. } = spec;
        let output = window.output("pooling", input)?;
        elements("pooling window", &window.kernel)?;
        elements("pooling input", &[batch, channels, input[0], input[1], input[2]])?;
        elements("pooling output", &[batch, channels, output[0], output[1], output[2]])?;
        let geometry = Self { spec, output };
        for (axis, &length) in output.iter().enumerate() {
            if let Some(o) = (0..length).find(|&o| geometry.taps_inside(axis, o) == 0) {
                return Err(Error::invalid(
                    "pooling",
                    "a part of the input in every window",
                    format_args!("only padding at output position {o} of axis {axis}"),
                ));
            }
        }
        Ok(geometry)
    }

    /// The shape that was checked.
    pub fn spec(&self) -> &PoolSpec {
        &self.spec
    }

    /// Images times channels: planes pooled independently.
    pub fn planes(&self) -> usize {
        self.spec.batch * self.spec.channels
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

    /// Elements of one input plane.
    pub fn input_plane(&self) -> usize {
        self.spec.input.iter().product()
    }

    /// Windows of one plane.
    pub fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Elements of the input tensor.
    pub fn input_len(&self) -> usize {
        self.planes() * self.input_plane()
    }

    /// Elements of the output tensor.
    pub fn output_len(&self) -> usize {
        self.planes() * self.positions()
    }

    /// The taps of one axis that lie inside the input, in constant time.
    fn inside(&self, axis: usize, output: usize) -> Range<usize> {
        let window = &self.spec.window;
        let (step, start) = (window.dilation[axis], output * window.stride[axis]);
        let before =
            |limit: usize| limit.saturating_sub(start).div_ceil(step).min(window.kernel[axis]);
        let pad = window.pad_before[axis];
        before(pad)..before(pad + self.spec.input[axis])
    }

    fn taps_inside(&self, axis: usize, output: usize) -> usize {
        self.inside(axis, output).len()
    }

    /// The members of one window: offsets into its plane, row-major, padding left out.
    ///
    /// `position` counts the windows of a plane row-major; beyond the last there are no members.
    pub fn members(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        let (window, input) = (&self.spec.window, self.spec.input);
        let output = coordinates(position, self.output);
        let exists = position < self.positions();
        let axis = move |axis: usize| {
            let taps = self.inside(axis, output[axis]);
            let taps = if exists { taps } else { 0..0 };
            taps.map(move |k| {
                output[axis] * window.stride[axis] + k * window.dilation[axis]
                    - window.pad_before[axis]
            })
        };
        axis(0).flat_map(move |d| {
            axis(1).flat_map(move |h| axis(2).map(move |w| (d * input[1] + h) * input[2] + w))
        })
    }

    /// Whether the strides divide what the first window leaves of the padded input, so that rounding
    /// the output lengths up would give the same.
    pub fn covers_input(&self) -> bool {
        let window = &self.spec.window;
        (0..3).all(|axis| {
            let extent = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
            let padded = self.spec.input[axis] + window.pad_before[axis] + window.pad_after[axis];
            (padded - extent).is_multiple_of(window.stride[axis])
        })
    }

    /// Number of members of one window, at least 1.
    pub fn member_count(&self, position: usize) -> usize {
        let output = coordinates(position, self.output);
        (0..3).map(|axis| self.taps_inside(axis, output[axis])).product()
    }

    /// Number of members of all windows of all planes, at most 2^64 - 1.
    pub fn members_len(&self) -> u64 {
        let taps = |axis: usize| (0..self.output[axis]).map(move |o| self.taps_inside(axis, o));
        (0..3)
            .map(|axis| taps(axis).sum::<usize>() as u64)
            .fold(self.planes() as u64, u64::saturating_mul)
    }

    /// What the average of one window is divided by.
    pub fn divisor(&self, position: usize) -> u64 {
        if self.spec.count_include_pad {
            self.spec.window.taps() as u64
        } else {
            self.member_count(position) as u64
        }
    }

    /// The smallest and largest number of taps inside the input, along one axis.
    fn tap_range(&self, axis: usize) -> (usize, usize) {
        let counts = (0..self.output[axis]).map(|o| self.taps_inside(axis, o));
        counts.fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)))
    }

    /// The divisor that all windows share, if they do.
    pub fn uniform_divisor(&self) -> Option<u64> {
        let uniform = |axis: usize| {
            let (low, high) = self.tap_range(axis);
            low == high
        };
        (self.spec.count_include_pad || (0..3).all(uniform)).then(|| self.divisor(0))
    }

    /// The largest divisor.
    pub fn max_divisor(&self) -> u64 {
        if self.spec.count_include_pad {
            return self.divisor(0);
        }
        (0..3).map(|axis| self.tap_range(axis).1 as u64).product()
    }

    /// Whether every divisor is a power of two.
    pub fn divides_by_powers_of_two(&self) -> bool {
        if self.spec.count_include_pad {
            return self.divisor(0).is_power_of_two();
        }
        // A product is a power of two if and only if its factors are.
        (0..3)
            .all(|axis| (0..self.output[axis]).all(|o| self.taps_inside(axis, o).is_power_of_two()))
    }

    /// The sum of every window in a domain (local on additive shares); `[planes, positions]`.
    ///
    /// # Errors
    /// [`Error::Misuse`] if `x` has another length than [`PoolGeometry::input_len`].
    pub fn sums<D: Domain>(&self, domain: D, x: &[u64]) -> Result<Vec<u64>> {
        if x.len() != self.input_len() {
            return Err(Error::misuse(format!("{} inputs for {self:?}", x.len())));
        }
        let mut out = Vec::with_capacity(self.output_len());
        for plane in x.chunks_exact(self.input_plane()) {
            out.extend((0..self.positions()).map(|position| {
                self.members(position).fold(0, |sum, i| domain.add(sum, plane[i]))
            }));
        }
        Ok(out)
    }
}

impl TryFrom<PoolSpec> for PoolGeometry {
    type Error = Error;

    fn try_from(spec: PoolSpec) -> Result<Self> {
        Self::new(spec)
    }
}

impl From<PoolGeometry> for PoolSpec {
    fn from(geometry: PoolGeometry) -> Self {
        geometry.spec
    }
}
