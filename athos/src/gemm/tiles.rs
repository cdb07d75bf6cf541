//! A convolution as products: which part of the patch matrix and of the output is one thread's work.

use super::{Left, Real, Right};
use crate::Result;
use sci_core::geometry::ConvGeometry;
use std::ops::Range;
use zeroize::Zeroizing;

/// The most numbers of a patch tile and of its sums: what fits a second-level cache twice.
const TILE_ELEMENTS: usize = 1 << 17;
/// The widest tile: beyond it nothing is gained.
const MAX_WIDTH: usize = 512;
/// The narrowest, for layers with long patches.
const MIN_WIDTH: usize = 32;

/// A part of the output of a convolution: consecutive positions of all channels of a group.
pub(crate) struct Tile<'a, E> {
    /// Number of the image.
    pub(crate) image: usize,
    /// Number of the group.
    pub(crate) group: usize,
    positions: Range<usize>,
    /// Where the sums of each channel go.
    pub(crate) rows: Vec<&'a mut [E]>,
}

/// Cuts the output `[batch, C_o, positions]` of a convolution so that `threads` have work.
pub(crate) fn tiles<'a, E>(
    geometry: &ConvGeometry,
    threads: usize,
    out: &'a mut [E],
) -> Vec<Tile<'a, E>> {
    let (positions, rows) = (geometry.positions(), geometry.group_out());
    let fitting = TILE_ELEMENTS / geometry.patch_len().max(rows);
    let shared = positions.div_ceil(threads.max(1));
    let width = fitting.min(shared).clamp(MIN_WIDTH, MAX_WIDTH).next_multiple_of(MIN_WIDTH / 2);
    let mut tiles = Vec::new();
    for (i, out) in out.chunks_mut(rows * positions).enumerate() {
        let (image, group) = (i / geometry.groups(), i % geometry.groups());
        let first = tiles.len();
        tiles.extend((0..positions).step_by(width).map(|start| Tile {
            image,
            group,
            positions: start..positions.min(start + width),
            rows: Vec::with_capacity(rows),
        }));
        for row in out.chunks_mut(positions) {
            for (tile, part) in tiles[first..].iter_mut().zip(row.chunks_mut(width)) {
                tile.rows.push(part);
            }
        }
    }
    tiles
}

/// What a thread needs for one tile after another.
#[derive(Default)]
pub(crate) struct Scratch<T: Real> {
    patches: Zeroizing<Vec<T>>,
    right: Right<T>,
    sums: Zeroizing<Vec<T>>,
}

impl<T: Real> Scratch<T> {
    /// Takes the patch matrix of a tile from its image, all channels.
    pub(crate) fn load<E>(
        &mut self,
        geometry: &ConvGeometry,
        image: &[T],
        tile: &Tile<'_, E>,
    ) -> Result<()> {
        let (depth, positions) = (geometry.patch_len(), tile.positions.clone());
        let width = positions.len();
        if pointwise(geometry) {
            let plane = geometry.input_plane();
            let first = tile.group * geometry.group_in();
            self.right.pack(depth, width, |k| &image[(first + k) * plane + positions.start..]);
            return Ok(());
        }
        super::fresh(&mut self.patches, depth * width);
        geometry.im2col(image, tile.group, positions, T::default(), &mut self.patches)?;
        let patches = &self.patches;
        self.right.pack(depth, width, |k| &patches[k * width..]);
        Ok(())
    }

    /// Takes the columns of a matrix.
    pub(crate) fn load_rows<'a>(
        &mut self,
        depth: usize,
        width: usize,
        row: impl Fn(usize) -> &'a [T],
    ) {
        self.right.pack(depth, width, row);
    }

    /// The product with what was loaded: the sums of every row of `left`, in order.
    pub(crate) fn multiply(&mut self, left: &Left<T>) -> impl Iterator<Item = &[T]> {
        left.multiply(&self.right, &mut self.sums);
        let rows = self.sums.chunks_exact(self.right.stride());
        let width = self.right.width();
        rows.take(left.rows()).map(move |row| &row[..width])
    }
}

/// Whether the patch matrix is the image itself.
fn pointwise(geometry: &ConvGeometry) -> bool {
    let window = geometry.window();
    window.taps() == 1
        && window.stride == [1; 3]
        && window.pad_before == [0; 3]
        && window.pad_after == [0; 3]
}
