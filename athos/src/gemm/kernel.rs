//! The innermost loop: a small block of the product, its sums held in registers.
//!
//! One generic body, compiled twice: with AVX2 and FMA where the processor has them (asked once a
//! product), and for the target's baseline. On doubles that hold integers both give the same numbers;
//! on other floats a fused multiplication and addition rounds once instead of twice.

use std::ops::{Add, Mul};
use zeroize::Zeroize;

/// Rows of a block.
pub(super) const ROWS: usize = 4;

/// A floating-point type that has a kernel.
pub(crate) trait Real:
    Copy + Default + Send + Sync + Zeroize + Add<Output = Self> + Mul<Output = Self> + 'static
{
    /// Columns of a block.
    const COLUMNS: usize;

    /// a·b + c, rounded once.
    fn fused(a: Self, b: Self, c: Self) -> Self;

    /// Adds a block's products to `out`, whose rows are `stride` apart: `left` holds [`ROWS`] numbers
    /// for every term, `right` holds [`Real::COLUMNS`].
    fn block(path: Path, left: &[Self], right: &[Self], out: &mut [Self], stride: usize);
}

/// Which version of the kernel runs. Only [`Path::best`] makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path {
    /// The processor has AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    avx2: bool,
}

impl Path {
    /// The fastest that this processor can run.
    pub(crate) fn best() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
        }
    }

    /// Plain code of the target's baseline.
    #[cfg(test)]
    fn baseline() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            avx2: false,
        }
    }
}

#[inline(always)]
fn block<T: Real, const COLUMNS: usize, const FUSED: bool>(
    left: &[T],
    right: &[T],
    out: &mut [T],
    stride: usize,
) {
    let (left, right) = (left.as_chunks::<ROWS>().0, right.as_chunks::<COLUMNS>().0);
    let mut sums = [[T::default(); COLUMNS]; ROWS];
    for (left, right) in left.iter().zip(right) {
        for (sums, &w) in sums.iter_mut().zip(left) {
            for (sum, &x) in sums.iter_mut().zip(right) {
                *sum = if FUSED { T::fused(w, x, *sum) } else { w * x + *sum };
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_mut(stride)) {
        for (sum, y) in sums.iter().zip(out) {
            *y = *y + *sum;
        }
    }
}

/// Whether the baseline of the target has a fused instruction.
const BASELINE_FUSED: bool = cfg!(any(target_arch = "aarch64", target_feature = "fma"));

macro_rules! real {
    ($type:ty, $columns:literal, $avx2:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn $avx2(left: &[$type], right: &[$type], out: &mut [$type], stride: usize) {
            block::<$type, $columns, true>(left, right, out, stride);
        }

        impl Real for $type {
            const COLUMNS: usize = $columns;

            #[inline(always)]
            fn fused(a: Self, b: Self, c: Self) -> Self {
                a.mul_add(b, c)
            }

            #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "one path"))]
            fn block(path: Path, left: &[Self], right: &[Self], out: &mut [Self], stride: usize) {
                #[cfg(target_arch = "x86_64")]
                if path.avx2 {
                    // SAFETY: `Path::best` found AVX2 and FMA on this processor.
                    #[expect(unsafe_code, reason = "calls a function that needs AVX2 and FMA")]
                    unsafe {
                        $avx2(left, right, out, stride);
                    }
                    return;
                }
                block::<$type, $columns, BASELINE_FUSED>(left, right, out, stride);
            }
        }
    };
}

real!(f64, 8, block_f64_avx2);
real!(f32, 16, block_f32_avx2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_compute_the_definition() {
        let depth = 7;
        let left: Vec<f64> = (0..depth * ROWS).map(|i| (i * i % 41) as f64 - 20.0).collect();
        let right: Vec<f64> = (0..depth * 8).map(|i| (i * 7 % 43) as f64 - 21.0).collect();
        for path in [Path::best(), Path::baseline()] {
            let mut out = vec![1.0; ROWS * 11];
            f64::block(path, &left, &right, &mut out, 11);
            for row in 0..ROWS {
                for column in 0..11 {
                    let products = (0..depth).map(|k| left[k * ROWS + row] * right[k * 8 + column]);
                    let sum = if column < 8 { products.sum::<f64>() } else { 0.0 };
                    assert_eq!(out[row * 11 + column], 1.0 + sum);
                }
            }
        }
    }
}
