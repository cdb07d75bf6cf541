//! 512-bit registers: 4 blocks each, 16 keys a group.

use std::arch::x86_64::*;

type V = __m512i;
const LANES: usize = 4;
const GROUPS: usize = 2;

super::kernels::kernels!("avx512f,avx512bw,vaes");

#[inline]
#[expect(unsafe_code, reason = "vector load")]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn load(x: &[Block; LANES]) -> V {
    // SAFETY: the array is 64 readable bytes, and the load may be unaligned.
    unsafe { _mm512_loadu_si512(x.as_ptr().cast()) }
}

#[inline]
#[expect(unsafe_code, reason = "vector store")]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn store(x: V, to: &mut [Block; LANES]) {
    // SAFETY: the array is 64 writable bytes, and the store may be unaligned.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), x) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn broadcast(x: Block) -> V {
    _mm512_broadcast_i32x4(_mm_set_epi64x(x.0[1] as i64, x.0[0] as i64))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn splat(x: u32) -> V {
    _mm512_set1_epi32(x as i32)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn xor(a: V, b: V) -> V {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn xor3(a: V, b: V, c: V) -> V {
    _mm512_ternarylogic_epi32::<0x96>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn add64(a: V, b: V) -> V {
    _mm512_add_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn shuffle(x: V, indices: V) -> V {
    _mm512_shuffle_epi8(x, indices)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn enc(state: V, key: V) -> V {
    _mm512_aesenc_epi128(state, key)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn enc_last(state: V, key: V) -> V {
    _mm512_aesenclast_epi128(state, key)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn unpack_lo32(a: V, b: V) -> V {
    _mm512_unpacklo_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn unpack_lo64(a: V, b: V) -> V {
    _mm512_unpacklo_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn unpack_hi32(a: V, b: V) -> V {
    _mm512_unpackhi_epi32(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn unpack_hi64(a: V, b: V) -> V {
    _mm512_unpackhi_epi64(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn load_rows(rows: &[[Block; 2]; LANES]) -> (V, V) {
    let lanes: &[[Block; LANES]] = rows.as_flattened().as_chunks().0;
    let (a, b) = (load(&lanes[0]), load(&lanes[1]));
    (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn store_pairs(a: V, b: V, to: &mut [[Block; 2]; LANES]) {
    let low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    let lanes = to.as_flattened_mut().as_chunks_mut().0;
    store(_mm512_permutex2var_epi64(a, low, b), &mut lanes[0]);
    store(_mm512_permutex2var_epi64(a, high, b), &mut lanes[1]);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes")]
fn transpose_lanes([a, b, c, d]: [V; LANES]) -> [V; LANES] {
    let (ac, bd) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
    let (ac2, bd2) = (_mm512_shuffle_i64x2::<0x88>(c, d), _mm512_shuffle_i64x2::<0xdd>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(ac, ac2),
        _mm512_shuffle_i64x2::<0x88>(bd, bd2),
        _mm512_shuffle_i64x2::<0xdd>(ac, ac2),
        _mm512_shuffle_i64x2::<0xdd>(bd, bd2),
    ]
}
