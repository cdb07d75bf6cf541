//! Blocked, multi-threaded products of a weight matrix and a patch matrix over a domain.
//!
//! With |w| < 2^a, |x̂| < 2^b and k terms, sums below 2^63 are exact in 64 bits; over Z_2^l wrapping
//! 64-bit sums are right in any case, because 2^l divides 2^64. What is left, wide sums over Z_n,
//! goes through 128 bits.

use crate::{Error, Result};
use rayon::prelude::*;
use sci_core::geometry::{ConvGeometry, LinearGeometry};
use sci_core::{AnyDomain, Domain};

/// Elements of a patch tile: what one core's cache holds.
const TILE: usize = 1 << 15;

/// Output columns accumulated at a time.
const COLUMNS: usize = 128;

/// Output rows that share the reading of a patch row.
const ROWS: usize = 4;

/// How products are summed.
trait Accumulator: Copy + Default + Send + Sync {
    fn add_product(&mut self, w: i64, x: i64);
    fn finish<D: Domain>(self, domain: D) -> u64;
}

#[derive(Clone, Copy, Default)]
struct Wrapping(i64);

impl Accumulator for Wrapping {
    #[inline(always)]
    fn add_product(&mut self, w: i64, x: i64) {
        self.0 = self.0.wrapping_add(w.wrapping_mul(x));
    }

    fn finish<D: Domain>(self, domain: D) -> u64 {
        domain.from_signed(self.0)
    }
}

#[derive(Clone, Copy, Default)]
struct Wide(i128);

impl Accumulator for Wide {
    #[inline(always)]
    fn add_product(&mut self, w: i64, x: i64) {
        self.0 += i128::from(w) * i128::from(x);
    }

    fn finish<D: Domain>(self, domain: D) -> u64 {
        let magnitude = domain.reduce_wide(self.0.unsigned_abs());
        if self.0 < 0 { domain.neg(magnitude) } else { magnitude }
    }
}

/// Whether 64-bit sums of `terms` products are right in the domain.
fn wrapping_is_exact<D: Domain>(domain: D, weights: &[i64], terms: usize) -> bool {
    if matches!(domain.any(), AnyDomain::Ring(_)) {
        return true;
    }
    let largest = weights.iter().map(|w| w.unsigned_abs()).max().unwrap_or(0);
    let bound = u128::from(largest) * (domain.modulus() / 2 + 1);
    bound.checked_mul(terms as u128).is_some_and(|bound| bound < 1 << 63)
}

/// out[row][columns] = sum over k of weights[row][k]·patches[k][column], for rows in blocks.
fn accumulate<A: Accumulator, D: Domain>(
    domain: D,
    weights: &[i64],
    patches: &[i64],
    columns: usize,
    mut emit: impl FnMut(usize, usize, u64),
) {
    let terms = patches.len() / columns;
    let rows = weights.len() / terms;
    for start in (0..columns).step_by(COLUMNS) {
        let width = COLUMNS.min(columns - start);
        let mut sums = [[A::default(); COLUMNS]; ROWS];
        for sums in &mut sums[..rows] {
            sums[..width].fill(A::default());
        }
        for (k, patch) in patches.chunks_exact(columns).enumerate() {
            let patch = &patch[start..start + width];
            for (row, sums) in sums[..rows].iter_mut().enumerate() {
                let w = weights[row * terms + k];
                for (sum, &x) in sums[..width].iter_mut().zip(patch) {
                    sum.add_product(w, x);
                }
            }
        }
        for (row, sums) in sums[..rows].iter().enumerate() {
            for (column, sum) in sums[..width].iter().enumerate() {
                emit(row, start + column, sum.finish(domain));
            }
        }
    }
}

fn check(what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(Error::Misuse(format!("{got} {what} where there have to be {expected}")))
}

/// Convolution plus bias.
pub fn conv<D: Domain>(
    domain: D,
    x: &[u64],
    weights: &[i64],
    bias: Option<&[u64]>,
    geometry: &ConvGeometry,
) -> Result<Vec<u64>> {
    if wrapping_is_exact(domain, weights, geometry.patch_len()) {
        conv_by::<Wrapping, D>(domain, x, weights, bias, geometry)
    } else {
        conv_by::<Wide, D>(domain, x, weights, bias, geometry)
    }
}

fn conv_by<A: Accumulator, D: Domain>(
    domain: D,
    x: &[u64],
    weights: &[i64],
    bias: Option<&[u64]>,
    geometry: &ConvGeometry,
) -> Result<Vec<u64>> {
    check("inputs", geometry.input_len(), x.len())?;
    check("weights", geometry.weight_len(), weights.len())?;
    check("biases", geometry.out_channels(), bias.map_or(geometry.out_channels(), <[u64]>::len))?;
    let x: Vec<i64> = x.iter().map(|&x| domain.to_signed(x)).collect();
    let (positions, terms) = (geometry.positions(), geometry.patch_len());
    let group_weights = geometry.group_out() * terms;
    let mut out = vec![0; geometry.output_len()];
    let image_len = geometry.in_channels() * geometry.input_plane();
    let tile = (TILE / terms).max(if terms <= 1 << 16 { 64 } else { 1 }).min(positions);
    let mut patches = vec![0; terms * tile];
    let groups = out.chunks_mut(geometry.group_out() * positions).enumerate();
    for (i, out) in groups {
        let (image, group) = (i / geometry.groups(), i % geometry.groups());
        let image = &x[image * image_len..][..image_len];
        let weights = &weights[group * group_weights..][..group_weights];
        for start in (0..positions).step_by(tile) {
            let width = tile.min(positions - start);
            let patches = &mut patches[..terms * width];
            geometry.im2col(image, group, start..start + width, 0, patches)?;
            let patches = &*patches;
            out.par_chunks_mut(ROWS * positions).zip(weights.par_chunks(ROWS * terms)).for_each(
                |(out, weights)| {
                    accumulate::<A, D>(domain, weights, patches, width, |row, column, value| {
                        out[row * positions + start + column] = value;
                    });
                },
            );
        }
    }
    if let Some(bias) = bias {
        let planes = out.chunks_mut(positions).zip(bias.iter().cycle());
        planes.for_each(|(plane, &b)| plane.iter_mut().for_each(|y| *y = domain.add(*y, b)));
    }
    Ok(out)
}

/// x·W^T plus bias.
pub fn linear<D: Domain>(
    domain: D,
    x: &[u64],
    weights: &[i64],
    bias: Option<&[u64]>,
    geometry: &LinearGeometry,
) -> Result<Vec<u64>> {
    if wrapping_is_exact(domain, weights, geometry.inner()) {
        linear_by::<Wrapping, D>(domain, x, weights, bias, geometry)
    } else {
        linear_by::<Wide, D>(domain, x, weights, bias, geometry)
    }
}

fn linear_by<A: Accumulator, D: Domain>(
    domain: D,
    x: &[u64],
    weights: &[i64],
    bias: Option<&[u64]>,
    geometry: &LinearGeometry,
) -> Result<Vec<u64>> {
    check("inputs", geometry.input_len(), x.len())?;
    check("weights", geometry.weight_len(), weights.len())?;
    check("biases", geometry.outer(), bias.map_or(geometry.outer(), <[u64]>::len))?;
    let x: Vec<i64> = x.iter().map(|&x| domain.to_signed(x)).collect();
    let mut out = vec![0; geometry.output_len()];
    for (x, out) in x.chunks(geometry.inner()).zip(out.chunks_mut(geometry.outer())) {
        out.par_iter_mut().zip(weights.par_chunks(geometry.inner())).with_min_len(16).for_each(
            |(y, row)| {
                let mut sum = A::default();
                row.iter().zip(x).for_each(|(&w, &x)| sum.add_product(w, x));
                *y = sum.finish(domain);
            },
        );
        if let Some(bias) = bias {
            domain.add_assign(out, bias);
        }
    }
    Ok(out)
}
