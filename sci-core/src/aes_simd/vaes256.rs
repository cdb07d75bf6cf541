//! 256-bit registers: 2 blocks each, 8 keys a group.

use std::arch::x86_64::*;

type V = __m256i;
const LANES: usize = 2;
const GROUPS: usize = 2;

super::kernels::kernels!("avx2,vaes");

#[inline]
#[expect(unsafe_code, reason = "vector load")]
#[target_feature(enable = "avx2,vaes")]
fn load(x: &[Block; LANES]) -> V {
    // SAFETY: the array is 32 readable bytes, and the load may be unaligned.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}

#[inline]
#[expect(unsafe_code, reason = "vector store")]
#[target_feature(enable = "avx2,vaes")]
fn store(x: V, to: &mut [Block; LANES]) {
    // SAFETY: the array is 32 writable bytes, and the store may be unaligned.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), x) }
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn broadcast(x: Block) -> V {
    _mm256_broadcastsi128_si256(_mm_set_epi64x(x.0[1] as i64, x.0[0] as i64))
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn splat(x: u32) -> V {
    _mm256_set1_epi32(x as i32)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn xor(a: V, b: V) -> V {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn xor3(a: V, b: V, c: V) -> V {
    xor(xor(a, b), c)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn add64(a: V, b: V) -> V {
    _mm256_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn shuffle(x: V, indices: V) -> V {
    _mm256_shuffle_epi8(x, indices)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn enc(state: V, key: V) -> V {
    _mm256_aesenc_epi128(state, key)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn enc_last(state: V, key: V) -> V {
    _mm256_aesenclast_epi128(state, key)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn unpack_lo32(a: V, b: V) -> V {
    _mm256_unpacklo_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn unpack_lo64(a: V, b: V) -> V {
    _mm256_unpacklo_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn unpack_hi32(a: V, b: V) -> V {
    _mm256_unpackhi_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn unpack_hi64(a: V, b: V) -> V {
    _mm256_unpackhi_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn load_rows(rows: &[[Block; 2]; LANES]) -> (V, V) {
    let (a, b) = (load(&rows[0]), load(&rows[1]));
    (_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b))
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn store_pairs(a: V, b: V, to: &mut [[Block; 2]; LANES]) {
    let [x, y] = transpose_lanes([a, b]);
    store(x, &mut to[0]);
    store(y, &mut to[1]);
}

#[inline]
#[target_feature(enable = "avx2,vaes")]
fn transpose_lanes([a, b]: [V; LANES]) -> [V; LANES] {
    [_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)]
}
