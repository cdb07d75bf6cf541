//! The AES-128 key schedule of one key.

use super::kernels::ROUND_CONSTANTS;
use crate::prg::Block;
use std::arch::x86_64::*;

/// The eleven round keys. All four columns given to the last AES round are the same rotated word,
/// so that its ShiftRows changes nothing.
#[target_feature(enable = "aes,sse4.1")]
pub(super) fn schedule_128(key: Block) -> [Block; 11] {
    let rotated_last = _mm_set1_epi32(0x0c0f_0e0d);
    let mut k = _mm_set_epi64x(key.0[1] as i64, key.0[0] as i64);
    let mut keys = [key; 11];
    for (constant, round_key) in ROUND_CONSTANTS.into_iter().zip(&mut keys[1..]) {
        let t = _mm_shuffle_epi8(k, rotated_last);
        let t = _mm_aesenclast_si128(t, _mm_set1_epi32(constant as i32));
        k = _mm_xor_si128(k, _mm_slli_si128::<4>(k));
        k = _mm_xor_si128(k, _mm_slli_si128::<8>(k));
        k = _mm_xor_si128(k, t);
        *round_key = Block([_mm_extract_epi64::<0>(k) as u64, _mm_extract_epi64::<1>(k) as u64]);
    }
    keys
}
