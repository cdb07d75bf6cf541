//! The vector kernels, written once for all register widths.
//!
//! A register has `LANES` blocks; a group is 4·`LANES` keys in four registers. The key schedule of a
//! group is run *sliced*: register W_c holds word c of all keys of the group, one 32-bit word beside
//! the other, so that a step of the schedule,
//!
//! w_i = w_{i-4} xor f(w_{i-1}),  w_{i+1} = w_{i-3} xor w_i,  …
//!
//! is a few plain XORs and one f for the whole group. f = SubWord∘RotWord comes from the last round
//! of the AES instructions, SubBytes∘ShiftRows followed by the XOR of a round key, which is here the
//! round constant; a byte shuffle before it does the rotation and undoes the ShiftRows. The round
//! keys return to one key a lane by transposing 4 x 4 words, right before the round that takes them;
//! no schedule is stored. `GROUPS` groups run side by side: as many as the registers hold.
//!
//! A width gives, under the names used below: `V`, `LANES`, `GROUPS` (a divisor of `LANES`) and the
//! functions `load`, `store`, `broadcast` (of a block), `splat` (of a word), `xor`, `xor3`, `add64`,
//! `shuffle` (bytes within a lane), `enc`, `enc_last`, `unpack_lo32`, `unpack_hi32`, `unpack_lo64`,
//! `unpack_hi64`, `load_rows` (pairs of blocks, into first and second halves), `store_pairs` (its
//! inverse) and `transpose_lanes`.

pub(super) mod aes128;
pub(super) mod aes256;

/// The round constants of both key schedules (FIPS 197, 5.2).
pub(super) const ROUND_CONSTANTS: [u32; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 27, 54];

/// The byte shuffle that makes SubBytes∘ShiftRows act as SubWord on the four words of a lane, after
/// rotating each by `rotate` bytes. ShiftRows takes byte r of column c from column c + r.
pub(super) const fn sub_word_shuffle(rotate: usize) -> [u8; 16] {
    let mut shuffle = [0; 16];
    let mut i = 0;
    while i < 16 {
        let (row, column) = (i % 4, i / 4);
        let source = (row + rotate) % 4 + 4 * ((column + 4 - row) % 4);
        shuffle[i] = source as u8;
        i += 1;
    }
    shuffle
}

macro_rules! common {
    ($features:literal) => {
        use super::count;
        use super::kernels::{ROUND_CONSTANTS, sub_word_shuffle};
        use crate::prg::Block;
        use zeroize::Zeroize;

        /// Keys of a group.
        const KEYS: usize = 4 * LANES;
        const _: () = assert!(LANES.is_multiple_of(GROUPS));
        const SUB_WORD: Block = Block::from_bytes(sub_word_shuffle(0));
        const SUB_ROT_WORD: Block = Block::from_bytes(sub_word_shuffle(1));

        const OFFSETS: [Block; LANES] = {
            let mut offsets = [Block::ZERO; LANES];
            let mut i = 0;
            while i < LANES {
                offsets[i] = Block([i as u64, 0]);
                i += 1;
            }
            offsets
        };

        #[inline]
        #[target_feature(enable = $features)]
        fn load4(x: &[Block; KEYS]) -> [V; 4] {
            let lanes = x.as_chunks().0;
            [load(&lanes[0]), load(&lanes[1]), load(&lanes[2]), load(&lanes[3])]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn store4(x: [V; 4], to: &mut [Block; KEYS]) {
            for (lanes, x) in to.as_chunks_mut().0.iter_mut().zip(x) {
                store(x, lanes);
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn xor4(mut a: [V; 4], b: [V; 4]) -> [V; 4] {
            for q in 0..4 {
                a[q] = xor(a[q], b[q]);
            }
            a
        }

        /// `first`, and `first` with 1, 2, … added to its low word.
        #[inline]
        #[target_feature(enable = $features)]
        fn counters(first: Block) -> [V; 4] {
            let mut c = [add64(broadcast(first), load(&OFFSETS)); 4];
            for q in 1..4 {
                c[q] = add64(c[q], broadcast(Block([(q * LANES) as u64, 0])));
            }
            c
        }

        /// One key a lane to one word a register, and back.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose(k: [V; 4]) -> [V; 4] {
            let (a, b) = (unpack_lo32(k[0], k[1]), unpack_hi32(k[0], k[1]));
            let (c, d) = (unpack_lo32(k[2], k[3]), unpack_hi32(k[2], k[3]));
            [unpack_lo64(a, c), unpack_hi64(a, c), unpack_lo64(b, d), unpack_hi64(b, d)]
        }

        /// The next four words: `w[0] ^= t`, then each word ^= the one before it.
        #[inline]
        #[target_feature(enable = $features)]
        fn advance(w: [V; 4], t: V) -> [V; 4] {
            let sum = xor(w[0], w[1]);
            let third = xor3(sum, w[2], t);
            [xor(w[0], t), xor(sum, t), third, xor(third, w[3])]
        }

        /// SubWord(RotWord(x)) xor the round constant, of all words.
        #[inline]
        #[target_feature(enable = $features)]
        fn sub_rot(x: V, step: usize) -> V {
            enc_last(shuffle(x, broadcast(SUB_ROT_WORD)), splat(ROUND_CONSTANTS[step]))
        }

        /// Columns `at..at + LANES` of a matrix with `stride` columns and one row a key of the group,
        /// as far as `out` has rows. `columns[k][q]` is column `at + k` of the keys of register q.
        #[inline]
        #[target_feature(enable = $features)]
        fn store_columns(columns: &[[V; 4]; LANES], out: &mut [Block], stride: usize, at: usize) {
            let mut rows = out.chunks_exact_mut(stride);
            for q in 0..4 {
                let mut registers = [columns[0][q]; LANES];
                for (register, column) in registers.iter_mut().zip(columns) {
                    *register = column[q];
                }
                for (register, row) in transpose_lanes(registers).into_iter().zip(&mut rows) {
                    if let Some(lanes) = row[at..].first_chunk_mut() {
                        store(register, lanes);
                    }
                }
            }
        }

        /// One column of such a matrix.
        #[inline]
        #[target_feature(enable = $features)]
        fn store_column(column: [V; 4], out: &mut [Block], stride: usize, at: usize) {
            let mut blocks = [Block::ZERO; KEYS];
            store4(column, &mut blocks);
            for (row, block) in out.chunks_exact_mut(stride).zip(blocks) {
                row[at] = block;
            }
        }
    };
}

/// All kernels of a width.
macro_rules! kernels {
    ($features:literal) => {
        super::kernels::common!($features);
        super::kernels::aes128::kernels!($features);
        super::kernels::aes256::kernels!($features);
    };
}

pub(super) use {common, kernels};
