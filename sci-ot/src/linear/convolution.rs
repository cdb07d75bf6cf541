//! Convolutions of all kinds, groups and images at once.

use super::product::{Factors, Inputs, check, multiply};
use super::{Matrix, Product, ProductDomain, Way};
use crate::peer::Peer;
use sci_core::geometry::ConvGeometry;
use sci_core::{Result, Shares};
use std::ops::Range;

/// The product that a convolution is: a block for each group, W of C_o/g rows and one column for each tap of each of
/// C_i/g channels, X with the positions of all images side by side. They share the weights: where
/// these choose, one COT serves the positions of all images.
pub fn convolution_product<D: ProductDomain>(
    domain: D,
    geometry: &ConvGeometry,
    weight_bits: u32,
) -> Product<D> {
    Product {
        domain,
        blocks: geometry.groups(),
        rows: geometry.group_out(),
        inner: geometry.patch_len(),
        columns: geometry.batch() * geometry.positions(),
        weight_bits,
    }
}

/// Shares of the convolution of the client's tensor `[images, C_i, depth, height, width]` with the server's weights
/// `[C_o, C_i/g, kernel]`, laid out `[images, C_o, positions]`: two rounds and the cost of
/// [`convolution_product`], whatever the number of groups and images. The matrix of patches is
/// read off the tensor where it is needed and never made.
///
/// ```
/// use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
/// use sci_core::testing::reveal;
/// use sci_core::{Party, Ring};
/// use sci_ot::linear::{Matrix, convolution, convolution_product};
/// use sci_ot::{peer::Settings, testing::run_both};
/// // Two channels of three pixels, each with its own taps.
/// let depth_wise = ConvGeometry::new(ConvSpec {
///     batch: 1,
///     in_channels: 2,
///     out_channels: 2,
///     groups: 2,
///     input: [1, 1, 3],
///     window: Window::new([1, 1, 2]),
/// })?;
/// let ring = Ring::new(32)?;
/// let (server, client) = run_both(Settings::default(), |party, peer| {
///     let tensor = match party {
///         Party::Server => Matrix::Weights(&[1, 10, -1, 2]),
///         Party::Client => Matrix::Inputs(&[1, 2, 3, 4, 5, 6]),
///     };
///     let way = convolution_product(ring, &depth_wise, 8).way(peer.settings());
///     convolution(peer, ring, &depth_wise, 8, tensor, way)
/// })?;
/// assert_eq!(reveal(ring, server.value.values(), client.value.values()), [21, 32, 6, 7]);
/// assert_eq!(server.totals.rounds, 2);
/// # Ok::<(), sci_core::Error>(())
/// ```
///
/// # Errors
/// [`sci_core::Error::Misuse`] if the tensor does not fit the geometry; otherwise as the link and the peer
/// behave.
pub fn convolution<D: ProductDomain>(
    peer: &mut Peer,
    domain: D,
    geometry: &ConvGeometry,
    weight_bits: u32,
    tensor: Matrix<'_>,
    way: Way,
) -> Result<Shares<D>> {
    let product = convolution_product(domain, geometry, weight_bits);
    let by_group = match tensor {
        Matrix::Weights(w) => multiply(peer, &product, Factors::Weights(w), way)?,
        Matrix::Inputs(x) => {
            check("inputs", x.len(), geometry.input_len())?;
            multiply(peer, &product, Factors::Inputs(&Patches { geometry, tensor: x }), way)?
        }
    };
    if geometry.batch() == 1 {
        return Ok(by_group);
    }
    // From [channels, images, positions].
    let (images, positions) = (geometry.batch(), geometry.positions());
    let mut out = Shares::zeros(domain, geometry.output_len());
    for (at, plane) in out.values_mut().chunks_exact_mut(positions).enumerate() {
        let (image, channel) = (at / geometry.out_channels(), at % geometry.out_channels());
        plane.copy_from_slice(
            &by_group.values()[(channel * images + image) * positions..][..positions],
        );
    }
    Ok(out)
}

/// The matrices of patches, read off the tensor.
struct Patches<'a> {
    geometry: &'a ConvGeometry,
    tensor: &'a [u64],
}

impl Inputs for Patches<'_> {
    fn row(&self, block: usize, k: usize, columns: Range<usize>, out: &mut [u64]) -> Result<()> {
        let (geometry, positions) = (self.geometry, self.geometry.positions());
        let image_len = geometry.in_channels() * geometry.input_plane();
        let (mut column, mut rest) = (columns.start, out);
        while column < columns.end {
            let (image, first) = (column / positions, column % positions);
            let here = first..(first + columns.end - column).min(positions);
            let (line, later) = rest.split_at_mut(here.len());
            let image = &self.tensor[image * image_len..][..image_len];
            column += here.len();
            geometry.patch_row(image, block, k, here, 0, line)?;
            rest = later;
        }
        Ok(())
    }
}
