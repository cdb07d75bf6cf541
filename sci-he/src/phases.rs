//! Strides taken apart, for both kinds of lattice layers.
//!
//! The taps with k·dilation = r mod s see only every s-th position of the input. Phase r of a channel is
//! a channel of its own whose tap k has the offset floor(k·dilation/s) at stride 1.

use crate::params::SECURITY;
use sci_core::geometry::ConvGeometry;
use sci_core::{Error, Result};

/// The most taps of a convolution. Programs come from the peer, and what is planned grows with the taps:
/// a kernel of few offsets and many phases fits any polynomial.
pub(crate) const MAX_TAPS: usize = 1 << 16;

/// One residue class of the taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) shift: [usize; 3],
    /// Offset and index in the kernel.
    pub(crate) taps: Vec<([usize; 3], usize)>,
}

/// The phases that have a tap, in the order of their first taps, and the largest offset on each axis.
///
/// # Errors
/// [`Error::InvalidInput`] for more than [`MAX_TAPS`] taps, and if the largest offset alone exceeds the
/// largest polynomial; nothing is built before.
pub(crate) fn phases(geometry: &ConvGeometry) -> Result<(Vec<Phase>, [usize; 3])> {
    let window = geometry.window();
    let [kd, kh, kw] = window.kernel;
    if window.taps() > MAX_TAPS {
        return Err(refused(geometry, format_args!("one of up to {MAX_TAPS} taps")));
    }
    let axes = [0, 1, 2];
    let reach =
        axes.map(|axis| (window.kernel[axis] - 1) * window.dilation[axis] / window.stride[axis]);
    // Each is below a padded input, 3·2^20.
    let extent: u128 = reach.iter().map(|&reach| reach as u128 + 1).product();
    if extent > largest() as u128 {
        return Err(too_wide(geometry));
    }
    // Taps of an axis are of one class if they are a multiple of s/gcd(s, dilation) apart.
    let classes = axes.map(|axis| {
        let (s, k) = (window.stride[axis], window.kernel[axis]);
        (s / gcd(s, window.dilation[axis])).min(k)
    });
    let mut phases: Vec<Phase> = Vec::with_capacity(classes.iter().product());
    for tap in 0..kd * kh * kw {
        let at = [tap / (kh * kw), tap / kw % kh, tap % kw];
        let position = axes.map(|axis| at[axis] * window.dilation[axis]);
        let offset = axes.map(|axis| position[axis] / window.stride[axis]);
        let [d, h, w] = axes.map(|axis| at[axis] % classes[axis]);
        match phases.get_mut((d * classes[1] + h) * classes[2] + w) {
            Some(phase) => phase.taps.push((offset, tap)),
            None => {
                let shift = axes.map(|axis| position[axis] % window.stride[axis]);
                phases.push(Phase { shift, taps: vec![(offset, tap)] });
            }
        }
    }
    Ok((phases, reach))
}

/// The refusal of a kernel that no polynomial holds.
pub(crate) fn too_wide(geometry: &ConvGeometry) -> Error {
    refused(geometry, format_args!("one whose extent fits {} coefficients", largest()))
}

fn refused(geometry: &ConvGeometry, expected: std::fmt::Arguments<'_>) -> Error {
    Error::invalid("convolution kernel", expected, format_args!("{:?}", geometry.window().kernel))
}

/// The largest degree.
fn largest() -> usize {
    SECURITY.iter().map(|&(n, _)| n).max().unwrap_or(0)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::geometry::{ConvSpec, Window};

    fn geometry(input: [usize; 3], window: Window) -> ConvGeometry {
        let spec = ConvSpec { batch: 1, in_channels: 1, out_channels: 1, groups: 1, input, window };
        ConvGeometry::new(spec).unwrap()
    }

    /// Against the definition, over all small axes.
    #[test]
    fn phases_are_the_residue_classes_in_the_order_of_their_taps() {
        let cases = (1..6).flat_map(|k| (1..7).flat_map(move |s| (1..7).map(move |d| [k, s, d])));
        for ([k, s, d], [kw, sw, dw]) in cases.clone().zip(cases.skip(31).step_by(3)) {
            let window = Window::new([2, k, kw]).with_stride([3, s, sw]).with_dilation([2, d, dw]);
            let (phases, reach) = phases(&geometry([40; 3], window)).unwrap();
            let mut expected: Vec<Phase> = Vec::new();
            let mut furthest = [0; 3];
            for tap in 0..window.taps() {
                let at = [tap / (k * kw), tap / kw % k, tap % kw];
                let position = [0, 1, 2].map(|axis| at[axis] * window.dilation[axis]);
                let shift = [0, 1, 2].map(|axis| position[axis] % window.stride[axis]);
                let offset = [0, 1, 2].map(|axis| position[axis] / window.stride[axis]);
                furthest = [0, 1, 2].map(|axis| furthest[axis].max(offset[axis]));
                match expected.iter_mut().find(|phase| phase.shift == shift) {
                    Some(phase) => phase.taps.push((offset, tap)),
                    None => expected.push(Phase { shift, taps: vec![(offset, tap)] }),
                }
            }
            assert_eq!((phases, reach), (expected, furthest), "{window:?}");
        }
    }

    #[test]
    fn what_no_peer_should_ask_for_is_refused_with_the_limit() {
        let refusal = |input, window| phases(&geometry(input, window)).unwrap_err().to_string();
        let wide = Window::new([1, 4096, 4096]).with_stride([1, 4096, 4096]);
        let error = refusal([1, 4096, 4096], wide);
        assert!(error.contains("up to 65536 taps"), "{error}");
        let error = refusal([1, 200, 200], Window::new([1, 129, 128]));
        assert!(error.contains("fits 16384 coefficients"), "{error}");
        let error = refusal([1 << 20, 1, 1], Window::new([2, 1, 1]).with_dilation([1 << 19, 1, 1]));
        assert!(error.contains("fits 16384 coefficients"), "{error}");
        assert!(phases(&geometry([1, 128, 128], Window::new([1, 128, 128]))).is_ok());
        let most = Window::new([1, 256, 256]).with_stride([1, 256, 256]);
        assert_eq!(phases(&geometry([1, 256, 256], most)).unwrap().0.len(), MAX_TAPS);
    }
}
