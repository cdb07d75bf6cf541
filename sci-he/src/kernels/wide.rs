//! The multiply-accumulates with AVX-512: 64-bit sums stay in registers over all products.

use super::{CHUNK, FILTERS, Product, STEP};
use core::arch::x86_64::{
    _mm256_loadu_si256, _mm512_add_epi64, _mm512_cvtepu32_epi64, _mm512_loadu_si512,
    _mm512_mul_epu32, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512,
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
    let mut fours = products.chunks_exact(4);
    for four in &mut fours {
        if let &[a, b, c, d] = four {
            dot_some([a, b, c, d], at, a0, a1);
        }
    }
    fours.remainder().iter().for_each(|&product| dot_some([product], at, a0, a1));
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

/// As `scalar_portable`.
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads and stores of vectors within slices checked just before")]
pub(super) fn scalar_dot(weights: &[[u64; FILTERS]], x: &[u32], sums: &mut [[u64; STEP]; FILTERS]) {
    let mut s = [[_mm512_setzero_si512(); 2]; FILTERS];
    for (s, sums) in s.iter_mut().zip(&*sums) {
        // SAFETY: twice eight words are the sixteen of a row.
        unsafe {
            s[0] = _mm512_loadu_si512(sums.as_ptr().cast());
            s[1] = _mm512_loadu_si512(sums.as_ptr().add(WIDTH).cast());
        }
    }
    for (weights, x) in weights.iter().zip(x.chunks_exact(STEP)) {
        // SAFETY: twice eight words are the sixteen of the slice.
        let (low, high) = unsafe {
            (
                _mm256_loadu_si256(x.as_ptr().cast()),
                _mm256_loadu_si256(x.as_ptr().add(WIDTH).cast()),
            )
        };
        let (low, high) = (_mm512_cvtepu32_epi64(low), _mm512_cvtepu32_epi64(high));
        for (s, &w) in s.iter_mut().zip(weights) {
            let w = _mm512_set1_epi64(w as i64);
            s[0] = _mm512_add_epi64(s[0], _mm512_mul_epu32(w, low));
            s[1] = _mm512_add_epi64(s[1], _mm512_mul_epu32(w, high));
        }
    }
    for (s, sums) in s.iter().zip(sums) {
        // SAFETY: as for the loads.
        unsafe {
            _mm512_storeu_si512(sums.as_mut_ptr().cast(), s[0]);
            _mm512_storeu_si512(sums.as_mut_ptr().add(WIDTH).cast(), s[1]);
        }
    }
}
