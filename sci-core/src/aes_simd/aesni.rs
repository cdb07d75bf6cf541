//! 128-bit registers: 1 block each, 4 keys a group.

use std::arch::x86_64::*;

type V = __m128i;
const LANES: usize = 1;
const GROUPS: usize = 1;

super::kernels::kernels!("aes,sse4.1");

#[inline]
#[expect(unsafe_code, reason = "vector load")]
#[target_feature(enable = "aes,sse4.1")]
fn load(x: &[Block; LANES]) -> V {
    // SAFETY: the array is 16 readable bytes, and the load may be unaligned.
    unsafe { _mm_loadu_si128(x.as_ptr().cast()) }
}

#[inline]
#[expect(unsafe_code, reason = "vector store")]
#[target_feature(enable = "aes,sse4.1")]
fn store(x: V, to: &mut [Block; LANES]) {
    // SAFETY: the array is 16 writable bytes, and the store may be unaligned.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), x) }
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn broadcast(x: Block) -> V {
    _mm_set_epi64x(x.0[1] as i64, x.0[0] as i64)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn splat(x: u32) -> V {
    _mm_set1_epi32(x as i32)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn xor(a: V, b: V) -> V {
    _mm_xor_si128(a, b)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn xor3(a: V, b: V, c: V) -> V {
    xor(xor(a, b), c)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn add64(a: V, b: V) -> V {
    _mm_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn shuffle(x: V, indices: V) -> V {
    _mm_shuffle_epi8(x, indices)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn enc(state: V, key: V) -> V {
    _mm_aesenc_si128(state, key)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn enc_last(state: V, key: V) -> V {
    _mm_aesenclast_si128(state, key)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn unpack_lo32(a: V, b: V) -> V {
    _mm_unpacklo_epi32(a, b)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn unpack_lo64(a: V, b: V) -> V {
    _mm_unpacklo_epi64(a, b)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn unpack_hi32(a: V, b: V) -> V {
    _mm_unpackhi_epi32(a, b)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn unpack_hi64(a: V, b: V) -> V {
    _mm_unpackhi_epi64(a, b)
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn load_rows(rows: &[[Block; 2]; LANES]) -> (V, V) {
    let [[a, b]] = rows;
    (load(&[*a]), load(&[*b]))
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn store_pairs(a: V, b: V, to: &mut [[Block; 2]; LANES]) {
    let [[first, second]] = to;
    store(a, std::array::from_mut(first));
    store(b, std::array::from_mut(second));
}

#[inline]
#[target_feature(enable = "aes,sse4.1")]
fn transpose_lanes(x: [V; LANES]) -> [V; LANES] {
    x
}
