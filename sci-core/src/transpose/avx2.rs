//! 256-bit registers: 32 rows at a time by byte interleaving and sign masks.

use crate::prg::Block;
use std::arch::x86_64::*;

/// As [`super::transpose_128`], for lengths that it has checked.
#[target_feature(enable = "avx2")]
pub(super) fn transpose_128(
    input: &[Block],
    width: usize,
    out: &mut [Block],
    stride: usize,
    offset: usize,
) {
    for (column, out) in out.chunks_exact_mut(128 * stride).enumerate() {
        let mut rows = [[0u32; 4]; 128];
        for g in 0..4 {
            let block = |r: usize| input[(32 * g + r) * width + column].0.map(u64::cast_signed);
            let mut x = [_mm256_setzero_si256(); 16];
            for (i, x) in x.iter_mut().enumerate() {
                let (a, b) = (block(i), block(i + 16));
                *x = _mm256_setr_epi64x(a[0], a[1], b[0], b[1]);
            }
            for _ in 0..4 {
                x = interleave!(
                    _mm256_unpacklo_epi8, _mm256_unpackhi_epi8, x, 8; 0 1 2 3 4 5 6 7
                );
            }
            // Register p: byte p of the 32 rows, in order.
            for (p, mut bytes) in x.into_iter().enumerate() {
                for b in (0..8).rev() {
                    rows[8 * p + b][g] = _mm256_movemask_epi8(bytes).cast_unsigned();
                    bytes = _mm256_add_epi8(bytes, bytes);
                }
            }
        }
        for (row, [a, b, c, d]) in out.chunks_exact_mut(stride).zip(rows) {
            let word = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            row[offset] = Block([word(a, b), word(c, d)]);
        }
    }
}
