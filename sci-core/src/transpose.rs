//! Bit matrices turned over.
//!
//! OT extension makes columns and uses rows; comparison works on bit planes of 64 values a word and
//! gets values. The portable code is a network of masked swaps (six stages for 64 x 64); tests hold
//! the vector paths to the definition.

/// Interleaves register i with register i + n/2 (low halves, high halves of the lanes), which
/// rotates the number (register, position in the lane) left by a bit: as many times as a register
/// number has bits exchange register and position. Written out, so that the registers stay such.
#[cfg(target_arch = "x86_64")]
macro_rules! interleave {
    ($low:ident, $high:ident, $x:ident, $half:literal; $($i:literal)*) => {
        [$($low($x[$i], $x[$i + $half]), $high($x[$i], $x[$i + $half])),*]
    };
}
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use crate::prg::Block;

/// A path through this module, chosen when the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With the Galois-field instructions and, for words, the byte permutations.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("gfni")
            {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }
}

/// Transposes a matrix of 128 rows by 128·`width` columns. Row r of the input is the `width` blocks
/// from r·`width` on, bit j of the row being bit j mod 128 of block j / 128. Row j of the output is
/// the block `out[j * out_stride + out_offset]`, and its bit r is bit j of input row r. (A matrix of
/// 256 rows is two calls with stride 2 and offsets 0 and 1.)
///
/// # Panics
/// Unless `input` has exactly 128·`width` blocks, `out_offset < out_stride`, and `out` has exactly
/// 128·`width`·`out_stride` blocks.
pub fn transpose_128(
    input: &[Block],
    width: usize,
    out: &mut [Block],
    out_stride: usize,
    out_offset: usize,
) {
    assert_eq!(input.len(), 128 * width, "blocks of 128 rows");
    assert!(out_offset < out_stride, "column {out_offset} of {out_stride}");
    assert_eq!(out.len(), 128 * width * out_stride, "blocks of all rows of the output");
    transpose_128_at(Level::best(), input, width, out, out_stride, out_offset);
}

fn transpose_128_at(
    level: Level,
    input: &[Block],
    width: usize,
    out: &mut [Block],
    stride: usize,
    offset: usize,
) {
    match level {
        Level::Portable => {
            for (column, rows) in out.chunks_exact_mut(128 * stride).enumerate() {
                swap_network(|r| input[r * width + column], rows, stride, offset);
            }
        }
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
        // SAFETY: the level was found on this machine.
        Level::Avx2 => unsafe { avx2::transpose_128(input, width, out, stride, offset) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
        // SAFETY: the level was found on this machine.
        Level::Avx512 => unsafe { avx512::transpose_128(input, width, out, stride, offset) },
    }
}

fn swap_network(input: impl Fn(usize) -> Block, out: &mut [Block], stride: usize, offset: usize) {
    for half in 0..2 {
        let (mut low, mut high) = ([0; 64], [0; 64]);
        for r in 0..64 {
            low[r] = input(r).0[half];
            high[r] = input(64 + r).0[half];
        }
        swap_stages(&mut low);
        swap_stages(&mut high);
        let rows = out.chunks_exact_mut(stride).skip(64 * half);
        for (row, words) in rows.zip(low.into_iter().zip(high)) {
            row[offset] = Block([words.0, words.1]);
        }
    }
}

/// Transposes a 64 x 64 matrix: bit r of word c goes to bit c of word r.
pub fn transpose_64(a: &mut [u64; 64]) {
    transpose_64_at(Level::best(), a);
}

fn transpose_64_at(level: Level, a: &mut [u64; 64]) {
    match level {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
        // SAFETY: the level was found on this machine.
        Level::Avx512 => unsafe { avx512::transpose_64(a) },
        _ => swap_stages(a),
    }
}

fn swap_stages(a: &mut [u64; 64]) {
    swap_stage::<32>(a, 0x0000_0000_ffff_ffff);
    swap_stage::<16>(a, 0x0000_ffff_0000_ffff);
    swap_stage::<8>(a, 0x00ff_00ff_00ff_00ff);
    swap_stage::<4>(a, 0x0f0f_0f0f_0f0f_0f0f);
    swap_stage::<2>(a, 0x3333_3333_3333_3333);
    swap_stage::<1>(a, 0x5555_5555_5555_5555);
}

/// Swaps the upper right and lower left quarters of all blocks of 2·`STEP` bits and words.
fn swap_stage<const STEP: usize>(a: &mut [u64; 64], mask: u64) {
    for pair in a.chunks_exact_mut(2 * STEP) {
        let (upper, lower) = pair.split_at_mut(STEP);
        for (x, y) in upper.iter_mut().zip(lower) {
            let t = (*x >> STEP ^ *y) & mask;
            *x ^= t << STEP;
            *y ^= t;
        }
    }
}

fn check_planes(values: usize, bits: u32, planes: usize, words_per_plane: usize) {
    assert!(bits <= 64, "{bits} bit planes of 64-bit values");
    assert!(words_per_plane >= values.div_ceil(64), "words of a plane of {values} bits");
    assert_eq!(planes, bits as usize * words_per_plane, "words of {bits} planes");
}

/// Values to bit planes: bit i mod 64 of `planes[b * words_per_plane + i / 64]` is bit b of
/// `values[i]`, for b < `bits`. The other bits of those words, and further words of a plane, become
/// zero.
///
/// # Panics
/// Unless `bits <= 64`, a plane has at least ceil(n / 64) words, and `planes` has exactly
/// `bits * words_per_plane`.
pub fn bit_planes(values: &[u64], bits: u32, planes: &mut [u64], words_per_plane: usize) {
    check_planes(values.len(), bits, planes.len(), words_per_plane);
    for plane in planes.chunks_exact_mut(words_per_plane.max(1)) {
        plane[values.len().div_ceil(64)..].fill(0);
    }
    let level = Level::best();
    for (i, chunk) in values.chunks(64).enumerate() {
        let mut square = [0; 64];
        square[..chunk.len()].copy_from_slice(chunk);
        transpose_64_at(level, &mut square);
        for (plane, word) in planes.chunks_exact_mut(words_per_plane).zip(square) {
            plane[i] = word;
        }
    }
}

/// Bit planes to values: the inverse of [`bit_planes`]. Bits from `bits` on are zero.
///
/// # Panics
/// As [`bit_planes`].
pub fn from_bit_planes(planes: &[u64], bits: u32, values: &mut [u64], words_per_plane: usize) {
    check_planes(values.len(), bits, planes.len(), words_per_plane);
    let level = Level::best();
    for (i, chunk) in values.chunks_mut(64).enumerate() {
        let mut square = [0; 64];
        for (word, plane) in square.iter_mut().zip(planes.chunks_exact(words_per_plane)) {
            *word = plane[i];
        }
        transpose_64_at(level, &mut square);
        chunk.copy_from_slice(&square[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prg;
    use proptest::prelude::*;

    fn bit(words: &[u64], i: usize) -> u64 {
        words[i / 64] >> (i % 64) & 1
    }

    /// Every path of this machine.
    fn levels() -> Vec<Level> {
        match Level::best() {
            Level::Portable => vec![Level::Portable],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => vec![Level::Portable, Level::Avx2],
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => vec![Level::Portable, Level::Avx2, Level::Avx512],
        }
    }

    #[test]
    fn transposition_is_the_definition() {
        for width in 0..14 {
            for (stride, offset) in [(1, 0), (2, 0), (2, 1), (3, 1)] {
                let mut input = vec![Block::ZERO; 128 * width];
                Prg::new(Block::from(width as u128)).fill_blocks(&mut input);
                let mark = Block::from(0xabcdef);
                let mut expected = vec![mark; 128 * width * stride];
                for (j, row) in expected.chunks_mut(stride).enumerate() {
                    let column =
                        |r: usize| u128::from(bit(&input[r * width + j / 128].0, j % 128)) << r;
                    row[offset] = (0..128).map(column).sum::<u128>().into();
                }
                let mut out = vec![mark; 128 * width * stride];
                transpose_128(&input, width, &mut out, stride, offset);
                assert!(out == expected, "width {width}, stride {stride}, offset {offset}");
                for level in levels() {
                    let mut out = vec![mark; 128 * width * stride];
                    transpose_128_at(level, &input, width, &mut out, stride, offset);
                    assert!(out == expected, "{level:?}, {width} wide, {offset} of {stride}");
                }
            }
        }
    }

    #[test]
    fn squares_are_turned_over() {
        for (seed, level) in levels().into_iter().enumerate() {
            let mut a = [0; 64];
            Prg::new(Block::from(seed as u128)).fill_u64(&mut a);
            let mut b = a;
            transpose_64_at(level, &mut b);
            for (c, word) in a.iter().enumerate() {
                for (r, turned) in b.iter().enumerate() {
                    assert_eq!(word >> r & 1, turned >> c & 1, "{level:?}");
                }
            }
            transpose_64(&mut b);
            assert_eq!(a, b);
        }
    }

    proptest! {
        #[test]
        fn planes_are_the_definition(
            values in prop::collection::vec(any::<u64>(), 0..300),
            bits in 0u32..=64,
            spare in 0usize..3,
        ) {
            let words = values.len().div_ceil(64) + spare;
            let mut planes = vec![u64::MAX; bits as usize * words];
            bit_planes(&values, bits, &mut planes, words);
            for b in 0..bits as usize {
                let plane = &planes[b * words..][..words];
                for i in 0..64 * words {
                    let expected = values.get(i).map_or(0, |v| v >> b & 1);
                    prop_assert_eq!(bit(plane, i), expected);
                }
            }
            let mut back = vec![1; values.len()];
            from_bit_planes(&planes, bits, &mut back, words);
            let mask = if bits == 0 { 0 } else { u64::MAX >> (64 - bits) };
            for (x, y) in back.iter().zip(&values) {
                prop_assert_eq!(*x, y & mask);
            }
        }
    }
}
