//! 1-of-2^m OT from m correlated OTs (Naor and Pinkas, STOC 1999).
//!
//! Let key_{s,0} and key_{s,1} be the pads of COT s of an instance, s = 0..m, of which the receiver, choosing
//! c, knows the one of bit c_s. The pad of message k is the XOR over s of F(key_{s,k_s}, k mod 2^s): level s
//! binds the bits of k up to s. For k != c let s be the highest bit in which they differ: the term of
//! level s is unknown, and as the higher bits are those of c no other k has that term as its own highest
//! unknown one. So all pads but that of c are uniform and independent given what the receiver
//! knows; a plain XOR of level keys would be linear in them.
//!
//! F(key, x) is field x of a generator of 2^s fields. For b-bit messages with 2^s b <= 128 the generator is the
//! identity: a pad is 128 uniform bits, of which every field is used once, and no AES is needed. For
//! whole-block pads and the rare longer case it is AES-CTR under the key. A call decides
//! for one form, by public sizes.

use sci_core::Block;
use sci_core::hash::expand;
use sci_core::prg::SecretBlocks;
use zeroize::Zeroizing;

/// The longest short message.
const MAX_BITS: u32 = 4;

/// XORs all pads of some instances into `out`: bit t of the pad of message k is bit t 2^m + k of the
/// words of its instance. `level(s)` gives both keys of level s of all instances; `bits` is the length b of a
/// message, at most [`MAX_BITS`].
pub(super) fn short_pads<'a>(
    m: u32,
    bits: u32,
    count: usize,
    mut level: impl FnMut(u32) -> &'a [[Block; 2]],
    out: &mut [u64],
) {
    let n = 1usize << m;
    let words = (bits as usize * n).div_ceil(64);
    assert!((1..=8).contains(&m) && (1..=MAX_BITS).contains(&bits), "1-of-2^{m} of {bits} bits");
    assert_eq!(out.len(), count * words, "words of {count} instances");
    if m <= 5 {
        // Two planes of an instance stand in one word, the second from bit 32 on.
        let low = u64::MAX >> (64 - n);
        for first in (0..bits).step_by(2) {
            let mut tables = Zeroizing::new(vec![0u64; count]);
            for s in 0..m {
                let width = 1u32 << s;
                let low = u64::MAX >> (64 - width);
                let spread = |key: u64| {
                    let key = key >> (first << s);
                    key & low | (key >> width & low) << 32
                };
                for (table, [zero, one]) in tables.iter_mut().zip(level(s)) {
                    let (zero, one) = (spread(zero.0[0]), spread(one.0[0]));
                    *table = (*table ^ zero) | (*table ^ one) << width;
                }
            }
            let mask = u64::MAX >> (64 - (bits - first).min(2) as usize * n);
            let at = first as usize * n;
            for (out, table) in out.chunks_exact_mut(words).zip(tables.iter()) {
                out[at / 64] ^= ((table & low | table >> 32 << n) & mask) << (at % 64);
            }
        }
        return;
    }
    let mut tables = Zeroizing::new(vec![[[0u64; 4]; MAX_BITS as usize]; count]);
    for s in 0..m {
        let keys = level(s);
        let fields = fields(s, bits, keys.as_flattened());
        let per_key = fields.len() / (2 * count.max(1));
        for (tables, keys) in tables.iter_mut().zip(fields.chunks_exact((2 * per_key).max(1))) {
            let (zero, one) = keys.split_at(per_key);
            for (t, table) in tables.iter_mut().enumerate().take(bits as usize) {
                double(table, s, [zero, one].map(|key| field(key, s, t)));
            }
        }
    }
    for (out, tables) in out.chunks_exact_mut(words).zip(tables.iter()) {
        let planes = tables.iter().flat_map(|table| &table[..n / 64]);
        for (out, plane) in out.iter_mut().zip(planes) {
            *out ^= plane;
        }
    }
}

/// The words of the fields of level s, the same number for every key.
fn fields(s: u32, bits: u32, keys: &[Block]) -> Zeroizing<Vec<u64>> {
    let blocks = ((bits as usize) << s).div_ceil(128);
    if blocks == 1 {
        return Zeroizing::new(keys.iter().flat_map(|key| key.0).collect());
    }
    let mut long = SecretBlocks::zeros(keys.len() * blocks);
    expand(keys, blocks, &mut long);
    Zeroizing::new(long.iter().flat_map(|block| block.0).collect())
}

/// Plane t of the 2^s fields of a key, s < 8.
fn field(key: &[u64], s: u32, t: usize) -> [u64; 2] {
    match s {
        0..6 => {
            let at = t << s;
            [key[at / 64] >> (at % 64) & (u64::MAX >> (64 - (1u32 << s))), 0]
        }
        6 => [key[t], 0],
        _ => [key[2 * t], key[2 * t + 1]],
    }
}

/// From 2^s to 2^(s+1) entries.
fn double(table: &mut [u64; 4], s: u32, [zero, one]: [[u64; 2]; 2]) {
    match s {
        0..6 => table[0] = (table[0] ^ zero[0]) | (table[0] ^ one[0]) << (1u32 << s),
        6 => *table = [table[0] ^ zero[0], table[0] ^ one[0], 0, 0],
        _ => {
            let [a, b, ..] = *table;
            *table = [a ^ zero[0], b ^ zero[1], a ^ one[0], b ^ one[1]];
        }
    }
}

/// XORs the chosen pads, `bits` bits each, into `out`. `level(s)` gives the known key of level s of
/// all instances, `choice(i)` the choice of instance i.
pub(super) fn short_chosen<'a>(
    m: u32,
    bits: u32,
    mut level: impl FnMut(u32) -> &'a [Block],
    choice: impl Fn(usize) -> u64,
    out: &mut [u64],
) {
    for s in 0..m {
        let keys = level(s);
        let below = (1u64 << s) - 1;
        if bits << s <= 64 {
            for (i, (out, key)) in out.iter_mut().zip(keys).enumerate() {
                let place = choice(i) & below;
                for t in 0..bits {
                    *out ^= (key.0[0] >> ((u64::from(t) << s) + place) & 1) << t;
                }
            }
            continue;
        }
        let fields = fields(s, bits, keys);
        let per_key = fields.len() / keys.len().max(1);
        for (i, (out, key)) in out.iter_mut().zip(fields.chunks_exact(per_key.max(1))).enumerate() {
            let place = choice(i) & below;
            for t in 0..bits {
                let at = (u64::from(t) << s) + place;
                // The address would tell the choice: all words are read.
                let mut word = 0;
                for (index, key) in (0..).zip(key) {
                    word |= key & u64::from(index == at / 64).wrapping_neg();
                }
                *out ^= (word >> (at % 64) & 1) << t;
            }
        }
    }
}

/// All pads as blocks: `out[i << m | k]`.
pub(super) fn long_pads<'a>(
    m: u32,
    mut level: impl FnMut(u32) -> &'a [[Block; 2]],
    out: &mut [Block],
) {
    out.fill(Block::ZERO);
    for s in 0..m {
        let (keys, width) = (level(s).as_flattened(), 1usize << s);
        let mut fields = SecretBlocks::zeros(keys.len() * width);
        if s > 0 {
            expand(keys, width, &mut fields);
        } else {
            fields.copy_from_slice(keys);
        }
        for (out, fields) in out.chunks_exact_mut(1 << m).zip(fields.chunks_exact(2 * width)) {
            let (zero, one) = fields.split_at(width);
            let (low, high) = out[..2 * width].split_at_mut(width);
            for (((low, high), zero), one) in low.iter_mut().zip(high).zip(zero).zip(one) {
                *high = *low ^ *one;
                *low ^= *zero;
            }
        }
    }
}

/// The chosen pads as blocks.
pub(super) fn long_chosen<'a>(
    m: u32,
    mut level: impl FnMut(u32) -> &'a [Block],
    choice: impl Fn(usize) -> u64,
    out: &mut [Block],
) {
    out.fill(Block::ZERO);
    for s in 0..m {
        let (keys, width) = (level(s), 1usize << s);
        let mut fields = SecretBlocks::zeros(keys.len() * width);
        if s > 0 {
            expand(keys, width, &mut fields);
        } else {
            fields.copy_from_slice(keys);
        }
        for (i, (out, fields)) in out.iter_mut().zip(fields.chunks_exact(width)).enumerate() {
            let place = choice(i) & (width as u64 - 1);
            for (x, field) in (0u64..).zip(fields) {
                *out ^= field.and_mask(u64::from(x == place).wrapping_neg());
            }
        }
    }
}
