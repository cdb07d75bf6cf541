//! Dilated convolutions as undilated ones, for packings that place an input as it is.
//!
//! A dilation of d along an axis (stride 1) makes every output position look at input positions of one residue mod d
//! alone. The inputs of each residue, padding written out, one residue behind the other, are the input of a convolution
//! without dilation: position r + d q of the output is position q of residue r. Where a tap would reach into
//! the next residue stands an output that nobody wants, k - 1 for each residue. Both parties rearrange
//! their shares alone; a share of padding is zero at both.

use sci_core::geometry::{ConvGeometry, ConvSpec};
use sci_core::{Error, Result};

/// A convolution whose dilation is undone along some axes.
#[derive(Debug)]
pub struct Phases {
    from: ConvGeometry,
    to: ConvGeometry,
    /// Where each input position of the undilated convolution comes from, by axis; `None` for padding.
    sources: [Vec<Option<usize>>; 3],
    /// Where each output position is found in the undilated convolution, by axis.
    places: [Vec<usize>; 3],
}

impl Phases {
    /// Whether an axis has a dilation that can be undone.
    fn applies(geometry: &ConvGeometry, axis: usize) -> bool {
        let window = geometry.window();
        window.kernel[axis] > 1 && window.dilation[axis] > 1 && window.stride[axis] == 1
    }

    /// All choices of axes whose dilation can be undone, but for none of them, as far as the tensors
    /// stay within bounds.
    pub fn all(geometry: &ConvGeometry) -> impl Iterator<Item = Self> + '_ {
        let choices = (1..8usize).map(|choice| [0, 1, 2].map(|axis| choice >> axis & 1 == 1));
        let possible = choices.filter(|axes| {
            axes.iter().enumerate().all(|(axis, &undone)| !undone || Self::applies(geometry, axis))
        });
        possible.filter_map(|axes| Self::along(geometry, axes).ok())
    }

    fn along(from: &ConvGeometry, axes: [bool; 3]) -> Result<Self> {
        let mut spec: ConvSpec = *from.spec();
        let (mut sources, mut places) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
        let shapes = from.input().into_iter().zip(from.output()).zip(axes);
        for (axis, ((input, output), undone)) in shapes.enumerate() {
            if !undone {
                sources[axis] = (0..input).map(Some).collect();
                places[axis] = (0..output).collect();
                continue;
            }
            let window = &mut spec.window;
            let (dilation, pad) = (window.dilation[axis], window.pad_before[axis]);
            // Input positions of a residue.
            let segment = output.div_ceil(dilation) + window.kernel[axis] - 1;
            let source = |at: usize| {
                let padded = at / segment + dilation * (at % segment);
                padded.checked_sub(pad).filter(|&at| at < input)
            };
            sources[axis] = (0..dilation * segment).map(source).collect();
            let place = |at: usize| at % dilation * segment + at / dilation;
            places[axis] = (0..output).map(place).collect();
            spec.input[axis] = dilation * segment;
            window.dilation[axis] = 1;
            window.pad_before[axis] = 0;
            window.pad_after[axis] = 0;
        }
        Ok(Self { from: *from, to: ConvGeometry::new(spec)?, sources, places })
    }

    /// The undilated convolution.
    pub fn undilated(&self) -> &ConvGeometry {
        &self.to
    }

    /// Its input.
    ///
    /// # Errors
    /// [`Error::Misuse`] for an input of another length.
    pub fn gather(&self, input: &[u64]) -> Result<Vec<u64>> {
        check(input.len(), self.from.input_len())?;
        let [_, height, width] = self.from.input();
        let [depths, heights, widths] = &self.sources;
        let mut out = Vec::with_capacity(self.to.input_len());
        for plane in input.chunks_exact(self.from.input_plane()) {
            for d in depths {
                for h in heights {
                    let line = d.zip(*h).and_then(|(d, h)| {
                        let start = (d * height + h) * width;
                        plane.get(start..start + width)
                    });
                    let element =
                        |w: &Option<usize>| line.zip(*w).and_then(|(line, w)| line.get(w));
                    out.extend(widths.iter().map(|w| element(w).copied().unwrap_or(0)));
                }
            }
        }
        Ok(out)
    }

    /// The output that was asked for, from that of the undilated convolution.
    ///
    /// # Errors
    /// [`Error::Misuse`] for an output of another length.
    pub fn scatter(&self, output: &[u64]) -> Result<Vec<u64>> {
        check(output.len(), self.to.output_len())?;
        let [_, height, width] = self.to.output();
        let [depths, heights, widths] = &self.places;
        let mut out = Vec::with_capacity(self.from.output_len());
        for plane in output.chunks_exact(self.to.positions()) {
            for d in depths {
                for h in heights {
                    let line = plane.get((d * height + h) * width..).unwrap_or_default();
                    out.extend(widths.iter().filter_map(|&w| line.get(w)));
                }
            }
        }
        check(out.len(), self.from.output_len())?;
        Ok(out)
    }
}

fn check(have: usize, want: usize) -> Result<()> {
    if have == want { Ok(()) } else { Err(Error::misuse(format!("{have} elements of {want}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::geometry::Window;

    /// y = w x by the patch matrix.
    fn convolved(geometry: &ConvGeometry, weights: &[u64], input: &[u64]) -> Vec<u64> {
        let (patch, n) = (geometry.patch_len(), geometry.positions());
        let mut patches = vec![0; patch * n];
        let mut out = Vec::new();
        for image in input.chunks(geometry.in_channels() * geometry.input_plane()) {
            for (o, w) in weights.chunks(patch).enumerate() {
                let group = o / geometry.group_out();
                geometry.im2col(image, group, 0..n, 0, &mut patches).unwrap();
                let at = |p: usize| (0..patch).map(|k| w[k] * patches[k * n + p]).sum::<u64>();
                out.extend((0..n).map(at));
            }
        }
        out
    }

    #[test]
    fn an_undilated_convolution_gives_the_same() {
        let mut tried = 0;
        for (input, dilation, pads) in [
            ([1, 1, 9], [1, 1, 4], [0, 0, 4]),
            ([1, 7, 8], [1, 2, 3], [0, 3, 1]),
            ([6, 5, 7], [2, 2, 3], [2, 0, 5]),
        ] {
            let kernel = input.map(|n| if n == 1 { 1 } else { 2 + n % 2 });
            let window = Window::new(kernel).with_dilation(dilation).with_pads(pads, pads);
            for (channels, groups) in [(2, 1), (4, 2)] {
                let (in_channels, out_channels) = (channels, channels);
                let spec = ConvSpec { batch: 2, in_channels, out_channels, groups, input, window };
                let geometry = ConvGeometry::new(spec).unwrap();
                let numbers = |n: usize, by: u64| (1..=n as u64).map(|x| x * by % 101).collect();
                let weights: Vec<u64> = numbers(geometry.weight_len(), 37);
                let x: Vec<u64> = numbers(geometry.input_len(), 11);
                let expected = convolved(&geometry, &weights, &x);
                for phases in Phases::all(&geometry) {
                    let y = convolved(phases.undilated(), &weights, &phases.gather(&x).unwrap());
                    assert_eq!(phases.scatter(&y).unwrap(), expected, "{phases:?}");
                    assert!(phases.gather(&x[1..]).is_err() && phases.scatter(&y[1..]).is_err());
                    tried += 1;
                }
            }
        }
        assert_eq!(tried, 2 * (1 + 3 + 7));
    }
}
