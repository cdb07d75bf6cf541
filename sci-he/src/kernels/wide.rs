//! The multiply-accumulates with AVX-512: sums stay in registers over all products.

use super::pairs::{FILTERS, PAIR, STEP, Sums};
use super::{CHUNK, Product};
use core::arch::x86_64::{
    _mm256_loadu_si256, _mm512_add_epi64, _mm512_cvtepu32_epi64, _mm512_dpwssd_epi32,
    _mm512_loadu_si512, _mm512_mul_epu32, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_storeu_si512,
};

/// Words of a vector.
const WIDTH: usize = 8;

/// As `dot_portable`: four products at a time, so that the sums are loaded and stored once for four.
#[target_feature(enable = "avx512f")]
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

#[target_feature(enable = "avx512f")]
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
        // SAFETY: eight words from v on lie within each of these slices of CHUNK words.
        unsafe {
            let mut s0 = _mm512_loadu_si512(a0.as_ptr().add(v).cast());
            let mut s1 = _mm512_loadu_si512(a1.as_ptr().add(v).cast());
            for (w, x0, x1) in products {
                let load =
                    |x: &[u32]| _mm512_cvtepu32_epi64(_mm256_loadu_si256(x.as_ptr().add(v).cast()));
                let w = load(w);
                s0 = _mm512_add_epi64(s0, _mm512_mul_epu32(w, load(x0)));
                s1 = _mm512_add_epi64(s1, _mm512_mul_epu32(w, load(x1)));
            }
            _mm512_storeu_si512(a0.as_mut_ptr().add(v).cast(), s0);
            _mm512_storeu_si512(a1.as_mut_ptr().add(v).cast(), s1);
        }
    }
}

/// As `step_portable`: all sixteen sums of a step stay in registers.
#[target_feature(enable = "avx512f,avx512vnni")]
#[expect(unsafe_code, reason = "loads and stores of vectors within slices checked just before")]
pub(super) fn step_sums(weights: &[[u32; FILTERS]], x: &[u32], at: usize, sums: &mut Sums) {
    let mut s = [[_mm512_setzero_si512(); 2]; FILTERS];
    for (weights, x) in weights.iter().zip(x.chunks_exact(PAIR)) {
        // SAFETY: twice sixteen words are the thirty-two of the slice.
        let (low, high) = unsafe {
            (_mm512_loadu_si512(x.as_ptr().cast()), _mm512_loadu_si512(x[STEP..].as_ptr().cast()))
        };
        for (s, &w) in s.iter_mut().zip(weights) {
            let w = _mm512_set1_epi32(w as i32);
            s[0] = _mm512_dpwssd_epi32(s[0], low, w);
            s[1] = _mm512_dpwssd_epi32(s[1], high, w);
        }
    }
    for (s, sums) in s.iter().zip(sums) {
        for (s, sums) in s.iter().zip(sums) {
            let sums = &mut sums[at..at + STEP];
            // SAFETY: the sixteen words of the slice.
            unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), *s) };
        }
    }
}
