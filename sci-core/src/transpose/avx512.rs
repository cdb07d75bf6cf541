//! 512-bit registers with the Galois-field instructions, which transpose 8 x 8 bits at once.

use crate::prg::Block;
use std::arch::x86_64::*;

/// Row j of an 8 x 8 identity matrix is byte j. The affine instruction takes the data as the matrix
/// and the identity as the vectors: byte j of the result has bit j of byte 7 - i of the data at bit
/// i. The rows of each eight are therefore loaded in reverse.
const IDENTITY: i64 = i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]);

/// As [`super::transpose_128`], for lengths that it has checked.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
pub(super) fn transpose_128(
    input: &[Block],
    width: usize,
    out: &mut [Block],
    stride: usize,
    offset: usize,
) {
    let tiles = out.chunks_mut(4 * 128 * stride);
    let mut units = [[_mm512_setzero_si512(); 8]; 16];
    for (tile, at) in tiles.zip((0..).step_by(4)) {
        transpose_tile(input, width, at, &mut units, tile, stride, offset);
    }
}

/// Up to four columns of blocks from `at` on. In each lane, 16 rows are transposed as bytes and then
/// as bits, which makes units of 16 bits; the eight units of a row of the output are then brought
/// together.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn transpose_tile(
    input: &[Block],
    width: usize,
    at: usize,
    units: &mut [[__m512i; 8]; 16],
    out: &mut [Block],
    stride: usize,
    offset: usize,
) {
    let identity = _mm512_set1_epi64(IDENTITY);
    let halves_to_units =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
    let columns = 4.min(width - at);
    for g in 0..8 {
        let mut rows = [_mm512_setzero_si512(); 16];
        for i in 0..16 {
            let row = &input[(16 * g + i) * width..][..width];
            rows[i ^ 7] = load(&row[at..at + columns]);
        }
        for _ in 0..4 {
            rows = interleave!(
                _mm512_unpacklo_epi8, _mm512_unpackhi_epi8, rows, 8; 0 1 2 3 4 5 6 7
            );
        }
        for p in 0..16 {
            let bits = _mm512_gf2p8affine_epi64_epi8::<0>(identity, rows[p]);
            units[p][g] = _mm512_shuffle_epi8(bits, halves_to_units);
        }
    }
    for (p, units) in units.iter().enumerate() {
        let mut rows = *units;
        for _ in 0..3 {
            rows = interleave!(_mm512_unpacklo_epi16, _mm512_unpackhi_epi16, rows, 4; 0 1 2 3);
        }
        // Lane L of register b is row 8p + b of the output of column L.
        for (half, rows) in rows.as_chunks::<4>().0.iter().enumerate() {
            let columns =
                transpose_lanes(*rows).into_iter().zip(out.chunks_exact_mut(128 * stride));
            for (rows, out) in columns {
                store_rows(rows, &mut out[(8 * p + 4 * half) * stride..][..4 * stride], offset);
            }
        }
    }
}

/// Four rows, a quarter of `out` apart.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn store_rows(rows: __m512i, out: &mut [Block], offset: usize) {
    if let Ok(whole) = <&mut [Block; 4]>::try_from(&mut *out) {
        store(rows, whole);
        return;
    }
    let lanes = [
        _mm512_castsi512_si128(rows),
        _mm512_extracti32x4_epi32::<1>(rows),
        _mm512_extracti32x4_epi32::<2>(rows),
        _mm512_extracti32x4_epi32::<3>(rows),
    ];
    for (lane, out) in lanes.into_iter().zip(out.chunks_exact_mut(out.len() / 4)) {
        store_block(lane, &mut out[offset]);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn transpose_lanes([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (even, odd) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
    let (even2, odd2) = (_mm512_shuffle_i64x2::<0x88>(c, d), _mm512_shuffle_i64x2::<0xdd>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(even, even2),
        _mm512_shuffle_i64x2::<0x88>(odd, odd2),
        _mm512_shuffle_i64x2::<0xdd>(even, even2),
        _mm512_shuffle_i64x2::<0xdd>(odd, odd2),
    ]
}

/// Up to four blocks, the other lanes zero.
#[inline]
#[expect(unsafe_code, reason = "masked vector load")]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn load(blocks: &[Block]) -> __m512i {
    let words = 2 * blocks.len().min(4);
    let mask = ((1u32 << words) - 1) as u8;
    // SAFETY: only the words under the mask are read, and those are within the slice.
    unsafe { _mm512_maskz_loadu_epi64(mask, blocks.as_ptr().cast()) }
}

#[inline]
#[expect(unsafe_code, reason = "vector store")]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn store(x: __m512i, to: &mut [Block; 4]) {
    // SAFETY: the array is 64 writable bytes, and the store may be unaligned.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
}

#[inline]
#[expect(unsafe_code, reason = "vector store")]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn store_block(x: __m128i, to: &mut Block) {
    // SAFETY: a block is 16 writable bytes, and the store may be unaligned.
    unsafe { _mm_storeu_si128(std::ptr::from_mut(to).cast(), x) }
}

/// As [`super::transpose_64`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
pub(super) fn transpose_64(a: &mut [u64; 64]) {
    let identity = _mm512_set1_epi64(IDENTITY);
    let (reversing, turning) = (index(true), index(false));
    let low_words = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    let high_words = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    let low = |a, b| _mm512_permutex2var_epi64(a, low_words, b);
    let high = |a, b| _mm512_permutex2var_epi64(a, high_words, b);
    let mut x = [_mm512_setzero_si512(); 8];
    for (x, words) in x.iter_mut().zip(a.as_chunks().0) {
        let bytes = _mm512_permutexvar_epi8(reversing, load_words(words));
        *x = _mm512_gf2p8affine_epi64_epi8::<0>(identity, bytes);
    }
    // Register v, word c to register c, word v.
    for _ in 0..3 {
        x = interleave!(low, high, x, 4; 0 1 2 3);
    }
    for (x, words) in x.into_iter().zip(a.as_chunks_mut().0) {
        store_words(_mm512_permutexvar_epi8(turning, x), words);
    }
}

/// The byte indices that transpose 8 x 8 bytes, with the rows in reverse if asked.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
fn index(reverse: bool) -> __m512i {
    let mut words = [0; 8];
    for (c, word) in words.iter_mut().enumerate() {
        let bytes: [u8; 8] = std::array::from_fn(|i| (8 * i + c) as u8);
        *word = if reverse { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) };
    }
    load_words(&words)
}

#[inline]
#[expect(unsafe_code, reason = "vector load")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
fn load_words(words: &[u64; 8]) -> __m512i {
    // SAFETY: the array is 64 readable bytes, and the load may be unaligned.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[expect(unsafe_code, reason = "vector store")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
fn store_words(x: __m512i, words: &mut [u64; 8]) {
    // SAFETY: the array is 64 writable bytes, and the store may be unaligned.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), x) }
}
