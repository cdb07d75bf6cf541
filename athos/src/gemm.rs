//! Blocked products of floating-point matrices: what the float interpreter and, on doubles that hold
//! integers, the fixed-point engine spend their time in.
//!
//! The left operand (weights) is copied once into the order in which the kernel reads it, the right
//! one tile by tile; both copies are wiped. A tile is the work of one thread; the caller's rayon pool
//! decides how many there are.

mod kernel;
mod tiles;

pub(crate) use kernel::Real;
pub(crate) use tiles::{Scratch, tiles};

use kernel::{Path, ROWS};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Terms that are multiplied before sums go back to memory: a block of the right operand then fits
/// half of the smallest first-level caches.
const DEPTH: usize = 256;

/// A left operand, rows x depth.
///
/// Blocks of [`DEPTH`] terms one after another; in each, groups of [`ROWS`] rows, the numbers of one
/// term side by side. Missing rows are zero.
pub(crate) struct Left<T: Real> {
    rows: usize,
    depth: usize,
    data: Zeroizing<Vec<T>>,
}

impl<T: Real> Left<T> {
    /// Copies a row-major matrix whose elements go through `convert`.
    pub(crate) fn pack<S: Copy + Sync>(
        matrix: &[S],
        depth: usize,
        convert: impl Fn(S) -> T + Sync,
    ) -> Self {
        let rows = matrix.len() / depth;
        let groups = rows.div_ceil(ROWS);
        let mut data = Zeroizing::new(vec![T::default(); groups * ROWS * depth]);
        for (block, data) in data.chunks_mut(groups * ROWS * DEPTH).enumerate() {
            let terms = data.len() / (groups * ROWS);
            data.par_chunks_mut(terms * ROWS).enumerate().for_each(|(group, data)| {
                let rows = matrix.chunks_exact(depth).skip(group * ROWS).take(ROWS);
                for (i, row) in rows.enumerate() {
                    let terms = row[block * DEPTH..][..terms].iter();
                    for (place, &w) in data[i..].iter_mut().step_by(ROWS).zip(terms) {
                        *place = convert(w);
                    }
                }
            });
        }
        Self { rows, depth, data }
    }

    /// Rows, without padding.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// `out = self · right`, rows of `out` as far apart as [`Right::stride`].
    fn multiply(&self, right: &Right<T>, out: &mut Zeroizing<Vec<T>>) {
        let path = Path::best();
        let (stride, padded) = (right.stride(), self.rows.div_ceil(ROWS) * ROWS);
        fresh(out, padded * stride);
        let lefts = self.data.chunks(padded * DEPTH);
        for (left, right) in lefts.zip(right.data.chunks(stride * DEPTH)) {
            let terms = left.len() / padded;
            for (column, right) in right.chunks_exact(terms * T::COLUMNS).enumerate() {
                let outs = out.chunks_exact_mut(ROWS * stride);
                for (left, out) in left.chunks_exact(terms * ROWS).zip(outs) {
                    T::block(path, left, right, &mut out[column * T::COLUMNS..], stride);
                }
            }
        }
        debug_assert_eq!(self.depth, right.depth);
    }
}

/// A tile of a right operand, depth x width: blocks of [`DEPTH`] terms one after another; in each,
/// groups of [`Real::COLUMNS`] columns, the numbers of one term side by side. Missing columns are zero.
#[derive(Default)]
struct Right<T: Real> {
    depth: usize,
    width: usize,
    data: Zeroizing<Vec<T>>,
}

impl<T: Real> Right<T> {
    /// Copies `depth` rows of `width` elements.
    fn pack<'a>(&mut self, depth: usize, width: usize, row: impl Fn(usize) -> &'a [T]) {
        (self.depth, self.width) = (depth, width);
        let stride = self.stride();
        fresh(&mut self.data, depth * stride);
        for (block, data) in self.data.chunks_mut(stride * DEPTH).enumerate() {
            let terms = data.len() / stride;
            for term in 0..terms {
                let row = &row(block * DEPTH + term)[..width];
                let groups = data.chunks_exact_mut(terms * T::COLUMNS);
                for (row, group) in row.chunks(T::COLUMNS).zip(groups) {
                    group[term * T::COLUMNS..][..row.len()].copy_from_slice(row);
                }
            }
        }
    }

    /// Columns, padding included.
    fn stride(&self) -> usize {
        self.width.next_multiple_of(T::COLUMNS)
    }

    /// Columns, without padding.
    fn width(&self) -> usize {
        self.width
    }
}

/// `len` zeros, in the memory that is there if it suffices; what grows is wiped first.
fn fresh<T: Real>(buffer: &mut Zeroizing<Vec<T>>, len: usize) {
    if buffer.capacity() < len {
        *buffer = Zeroizing::new(vec![T::default(); len]);
    } else {
        buffer.clear();
        buffer.resize(len, T::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_shapes() {
        for (rows, depth, width) in [(1, 1, 1), (5, 3, 9), (4, 300, 17), (7, 256, 8), (3, 513, 33)]
        {
            let number = |i: usize| (i * i % 61) as f64 - 30.0;
            let a: Vec<f64> = (0..rows * depth).map(number).collect();
            let b: Vec<f64> = (0..depth * width).map(|i| number(i + 5)).collect();
            let left = Left::pack(&a, depth, |x| x);
            let (mut right, mut out) = (Right::default(), Zeroizing::default());
            // Something larger first: nothing of it may be left over.
            right.pack(2, 100, |_| &[7.0; 100]);
            right.pack(depth, width, |k| &b[k * width..][..width]);
            left.multiply(&right, &mut out);
            assert_eq!(left.rows(), rows);
            for row in 0..rows {
                for column in 0..width {
                    let expected: f64 =
                        (0..depth).map(|k| a[row * depth + k] * b[k * width + column]).sum();
                    assert_eq!(out[row * right.stride() + column], expected);
                }
            }
        }
    }
}
