//! The multiply-accumulates with AVX2, for processors without AVX-512: sums stay in registers.

use super::pairs::{FILTERS, PAIR, SPAN, STEP, Sums};
use super::{CHUNK, Product};
use core::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_add_epi64, _mm256_cvtepu32_epi64,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_mul_epu32, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_storeu_si256,
};

/// Words of 64 bits of a vector.
const WIDTH: usize = 4;
/// Filters whose sums are held at a time: with four vectors each, half of the sixteen registers.
const HELD: usize = 2;
/// Vectors of 32-bit words in a step of one half.
const VECTORS: usize = STEP / 8;

/// As `dot_portable`: four products at a time, so that the sums are loaded and stored once for four.
#[target_feature(enable = "avx2")]
pub(super) fn dot(
    products: &[Product<'_>],
    at: usize,
    a0: &mut [u64; CHUNK],
    a1: &mut [u64; CHUNK],
) {
    let (fours, rest) = products.as_chunks::<4>();
    fours.iter().for_each(|&four| dot_some(four, at, a0, a1));
    rest.iter().for_each(|&product| dot_some([product], at, a0, a1));
}

#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores of vectors within slices checked just before")]
fn dot_some<const K: usize>(
    products: [Product<'_>; K],
    at: usize,
    a0: &mut [u64; CHUNK],
    a1: &mut [u64; CHUNK],
) {
    let range = at..at + CHUNK;
    let products =
        products.map(|(w, x0, x1)| (&w[range.clone()], &x0[range.clone()], &x1[range.clone()]));
    for v in (0..CHUNK).step_by(WIDTH) {
        // SAFETY: four words from v on lie within each of these slices of CHUNK words.
        unsafe {
            let mut s0 = _mm256_loadu_si256(a0.as_ptr().add(v).cast());
            let mut s1 = _mm256_loadu_si256(a1.as_ptr().add(v).cast());
            for (w, x0, x1) in products {
                let load = |x: &[u32]| {
                    _mm256_cvtepu32_epi64(_mm_loadu_si128(x.as_ptr().add(v).cast::<__m128i>()))
                };
                let w = load(w);
                s0 = _mm256_add_epi64(s0, _mm256_mul_epu32(w, load(x0)));
                s1 = _mm256_add_epi64(s1, _mm256_mul_epu32(w, load(x1)));
            }
            _mm256_storeu_si256(a0.as_mut_ptr().add(v).cast(), s0);
            _mm256_storeu_si256(a1.as_mut_ptr().add(v).cast(), s1);
        }
    }
}

/// As `step_portable`: the sums of some filters stay in registers over all pairs.
#[target_feature(enable = "avx2")]
pub(super) fn step_sums(weights: &[[u32; FILTERS]], x: &[u32], at: usize, sums: &mut Sums) {
    const { assert!(FILTERS.is_multiple_of(HELD)) };
    for (group, sums) in sums.chunks_exact_mut(HELD).enumerate() {
        some_sums(weights, group * HELD, x, at, sums);
    }
}

#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores of vectors within slices checked just before")]
fn some_sums(
    weights: &[[u32; FILTERS]],
    first: usize,
    x: &[u32],
    at: usize,
    sums: &mut [[[i32; SPAN]; 2]],
) {
    let mut held = [[_mm256_setzero_si256(); 2 * VECTORS]; HELD];
    for (weights, x) in weights.iter().zip(x.chunks_exact(PAIR)) {
        let x: [__m256i; 2 * VECTORS] = core::array::from_fn(|v| {
            let x = &x[8 * v..8 * v + 8];
            // SAFETY: the eight words of the slice.
            unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
        });
        for (held, &w) in held.iter_mut().zip(&weights[first..first + HELD]) {
            let w = _mm256_set1_epi32(w as i32);
            for (sum, x) in held.iter_mut().zip(x) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, w));
            }
        }
    }
    for (held, sums) in held.iter().zip(sums) {
        for (v, sum) in held.iter().enumerate() {
            let from = at + 8 * (v % VECTORS);
            let out = &mut sums[v / VECTORS][from..from + 8];
            // SAFETY: the eight words of the slice.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), *sum) };
        }
    }
}
