//! Pseudo-random generation: AES-128 in counter mode.
//!
//! Block i of stream s under key k is AES_k(s·2^64 + i) in little-endian words, i taken mod 2^64.
//! Streams of one key are independent, and a whole stream is random to whoever does not know the
//! key as long as fewer than 2^64 blocks are drawn (AES as a pseudo-random permutation).

mod block;

pub use block::{Block, SecretBlocks, as_bytes, as_bytes_mut, wipe};

use crate::aes_simd::Key128;
use crate::{Error, Result};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Blocks generated at once for the small draws.
const BUFFERED: usize = 32;

/// A generator. Its output is a sequence of 64-bit words: [`Prg::next_u64`] and [`Prg::fill_u64`]
/// take the next ones, [`Prg::fill_bytes`] takes the next ceil(len / 8) as little-endian bytes and
/// drops the rest of the last, the block functions take pairs of words from the next even
/// position. Key and buffer are wiped on drop.
///
/// ```
/// use sci_core::{Block, Prg};
/// let mut a = Prg::new(Block::from(7));
/// let mut b = Prg::new(Block::from(7));
/// let mut words = [0; 3];
/// a.fill_u64(&mut words);
/// assert_eq!(words, [b.next_u64(), b.next_u64(), b.next_u64()]);
/// assert_ne!(Prg::with_stream(Block::from(7), 1).next_u64(), words[0]);
/// ```
pub struct Prg {
    key: Key128,
    stream: u64,
    /// The first block that is not in the buffer.
    counter: u64,
    buffer: [Block; BUFFERED],
    /// Words of the buffer that are used up.
    used: usize,
}

impl Prg {
    /// Stream 0 of a seed.
    pub fn new(seed: Block) -> Self {
        Self::with_stream(seed, 0)
    }

    /// One of 2^64 independent streams of a seed.
    pub fn with_stream(seed: Block, stream: u64) -> Self {
        let buffer = [Block::ZERO; BUFFERED];
        Self { key: Key128::new(seed), stream, counter: 0, buffer, used: 2 * BUFFERED }
    }

    /// A generator seeded by the operating system.
    ///
    /// # Errors
    /// [`Error::Resource`] if the system gives no randomness.
    pub fn from_os() -> Result<Self> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed)
            .map_err(|e| Error::resource(format!("randomness of the operating system: {e}")))?;
        let prg = Self::new(Block::from_bytes(seed));
        seed.zeroize();
        Ok(prg)
    }

    /// The next word.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        if self.used == 2 * BUFFERED {
            self.refill();
        }
        let word = self.buffer[self.used / 2].0[self.used % 2];
        self.used += 1;
        word
    }

    /// The next block.
    #[inline]
    pub fn next_block(&mut self) -> Block {
        self.used = self.used.next_multiple_of(2);
        if self.used == 2 * BUFFERED {
            self.refill();
        }
        let block = self.buffer[self.used / 2];
        self.used += 2;
        block
    }

    /// Fills `out` with the next words.
    pub fn fill_u64(&mut self, out: &mut [u64]) {
        let mut rest = out;
        while !rest.is_empty() {
            if self.used % 2 == 1 || rest.len() == 1 {
                let (first, later) = rest.split_at_mut(1);
                first[0] = self.next_u64();
                rest = later;
                continue;
            }
            if self.used == 2 * BUFFERED {
                self.refill();
            }
            let at_hand = &self.buffer[self.used / 2..];
            let n = at_hand.len().min(rest.len() / 2);
            let (now, later) = rest.split_at_mut(2 * n);
            for (pair, block) in now.chunks_exact_mut(2).zip(at_hand) {
                pair.copy_from_slice(&block.0);
            }
            self.used += 2 * n;
            rest = later;
        }
    }

    /// Fills `out` with the bytes of the next words; what is left of the last word is dropped.
    pub fn fill_bytes(&mut self, out: &mut [u8]) {
        let mut rest = out;
        while !rest.is_empty() {
            if self.used == 2 * BUFFERED {
                self.refill();
            }
            let at_hand = &as_bytes(&self.buffer)[8 * self.used..];
            let n = at_hand.len().min(rest.len());
            let (now, later) = rest.split_at_mut(n);
            now.copy_from_slice(&at_hand[..n]);
            self.used += n.div_ceil(8);
            rest = later;
        }
    }

    /// Fills `out` with the next blocks.
    pub fn fill_blocks(&mut self, out: &mut [Block]) {
        self.used = self.used.next_multiple_of(2);
        let at_hand = &self.buffer[self.used / 2..];
        let n = at_hand.len().min(out.len());
        let (now, later) = out.split_at_mut(n);
        now.copy_from_slice(&at_hand[..n]);
        self.used += 2 * n;
        // The buffer is empty here or `later` is.
        let (bulk, tail) = later.split_at_mut(later.len() / BUFFERED * BUFFERED);
        if !bulk.is_empty() {
            self.key.counter_blocks(self.stream, self.counter, bulk);
            self.counter = self.counter.wrapping_add(bulk.len() as u64);
        }
        if !tail.is_empty() {
            self.refill();
            tail.copy_from_slice(&self.buffer[..tail.len()]);
            self.used = 2 * tail.len();
        }
    }

    #[cold]
    fn refill(&mut self) {
        self.key.counter_blocks(self.stream, self.counter, &mut self.buffer);
        self.counter = self.counter.wrapping_add(BUFFERED as u64);
        self.used = 0;
    }
}

impl Drop for Prg {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

impl ZeroizeOnDrop for Prg {}

impl fmt::Debug for Prg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prg(..)")
    }
}

/// The generators of an OT extension: one key a column of the matrix, all at the same position.
/// The keys are scheduled once and wiped on drop.
pub struct ColumnPrgs {
    keys: Vec<Key128>,
}

impl ColumnPrgs {
    /// One column a seed.
    pub fn new(seeds: &[Block]) -> Self {
        Self { keys: seeds.iter().map(|&seed| Key128::new(seed)).collect() }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.keys.len()
    }

    /// Blocks `first_block..first_block + blocks_per_column` of the stream of every column:
    /// `out[c * blocks_per_column + j]` is AES_{seed_c}(stream·2^64 + first_block + j).
    ///
    /// # Panics
    /// Unless `out` holds exactly `columns * blocks_per_column` blocks.
    pub fn fill(&self, stream: u64, first_block: u64, blocks_per_column: usize, out: &mut [Block]) {
        assert_eq!(out.len(), self.keys.len() * blocks_per_column, "blocks of all columns");
        if blocks_per_column > 0 {
            for (key, column) in self.keys.iter().zip(out.chunks_exact_mut(blocks_per_column)) {
                key.counter_blocks(stream, first_block, column);
            }
        }
    }
}

impl ZeroizeOnDrop for ColumnPrgs {}

impl fmt::Debug for ColumnPrgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ColumnPrgs({} columns)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(hex: &str) -> Block {
        Block::from_bytes(u128::from_str_radix(hex, 16).unwrap().to_be_bytes())
    }

    /// NIST SP 800-38A, F.5.1 (CTR-AES128.Encrypt): the four input blocks and output blocks. Its
    /// counter is big-endian, so that every block is a stream of its own here.
    #[test]
    fn counter_mode_known_answers() {
        let key = block("2b7e151628aed2a6abf7158809cf4f3c");
        let vectors = [
            ("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "ec8cdf7398607cb0f2d21675ea9ea1e4"),
            ("f0f1f2f3f4f5f6f7f8f9fafbfcfdff00", "362b7c3c6773516318a077d7fc5073ae"),
            ("f0f1f2f3f4f5f6f7f8f9fafbfcfdff01", "6a2cc3787889374fbeb4c81b17ba6c44"),
            ("f0f1f2f3f4f5f6f7f8f9fafbfcfdff02", "e89c399ff0f198c6d40a31db156cabfe"),
        ];
        let columns = ColumnPrgs::new(&[key]);
        for (input, output) in vectors {
            let Block([low, high]) = block(input);
            let mut out = [Block::ZERO];
            columns.fill(high, low, 1, &mut out);
            assert!(out[0] == block(output), "{input}");
        }
    }

    /// FIPS 197, appendix B (`3243f6a8…`) and C.1, whose keys and plaintexts are given as such.
    #[test]
    fn block_cipher_known_answers() {
        for (key, input, output) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "3243f6a8885a308d313198a2e0370734",
                "3925841d02dc09fbdc118597196a0b32",
            ),
            (
                "000102030405060708090a0b0c0d0e0f",
                "00112233445566778899aabbccddeeff",
                "69c4e0d86a7b0430d8cdb78070b4c55a",
            ),
        ] {
            let Block([low, high]) = block(input);
            let mut prg = Prg::with_stream(block(key), high);
            prg.counter = low;
            assert!(prg.next_block() == block(output), "{input}");
        }
    }

    #[test]
    fn the_counter_wraps_within_its_stream() {
        let columns = ColumnPrgs::new(&[Block::from(3), Block::from(4)]);
        let mut out = vec![Block::ZERO; 2 * 40];
        columns.fill(9, u64::MAX - 10, 40, &mut out);
        let mut start = vec![Block::ZERO; 2 * 29];
        columns.fill(9, 0, 29, &mut start);
        assert!(out[11..40] == start[..29]);
        assert!(out[51..80] == start[29..]);
    }

    #[derive(Clone, Copy, Debug)]
    enum Draw {
        Word,
        Block,
        Words(usize),
        Blocks(usize),
        Bytes(usize),
    }

    fn draws() -> impl Strategy<Value = Vec<Draw>> {
        let one = prop_oneof![
            Just(Draw::Word),
            Just(Draw::Block),
            (0usize..150).prop_map(Draw::Words),
            (0usize..150).prop_map(Draw::Blocks),
            (0usize..1200).prop_map(Draw::Bytes),
        ];
        prop::collection::vec(one, 0..12)
    }

    proptest! {
        /// Every way to draw reads the one sequence of words, at the documented position.
        #[test]
        fn all_draws_read_one_sequence(seed: u128, stream: u64, draws in draws()) {
            let mut reference = vec![Block::ZERO; 4096];
            ColumnPrgs::new(&[seed.into()]).fill(stream, 0, 4096, &mut reference);
            let words: Vec<u64> = reference.iter().flat_map(|b| b.0).collect();
            let mut prg = Prg::with_stream(seed.into(), stream);
            let mut at = 0usize;
            for draw in draws {
                match draw {
                    Draw::Word => {
                        prop_assert_eq!(prg.next_u64(), words[at]);
                        at += 1;
                    }
                    Draw::Block => {
                        at = at.next_multiple_of(2);
                        prop_assert_eq!(prg.next_block(), reference[at / 2]);
                        at += 2;
                    }
                    Draw::Words(n) => {
                        let mut out = vec![0; n];
                        prg.fill_u64(&mut out);
                        prop_assert_eq!(&out[..], &words[at..at + n]);
                        at += n;
                    }
                    Draw::Blocks(n) => {
                        at = at.next_multiple_of(2);
                        let mut out = vec![Block::ZERO; n];
                        prg.fill_blocks(&mut out);
                        prop_assert_eq!(&out[..], &reference[at / 2..at / 2 + n]);
                        at += 2 * n;
                    }
                    Draw::Bytes(n) => {
                        let mut out = vec![0; n];
                        prg.fill_bytes(&mut out);
                        prop_assert_eq!(&out[..], &as_bytes(&reference)[8 * at..8 * at + n]);
                        at += n.div_ceil(8);
                    }
                }
            }
        }
    }

    #[test]
    fn the_system_seeds_differ() {
        let (mut a, mut b) = (Prg::from_os().unwrap(), Prg::from_os().unwrap());
        assert!(a.next_block() != b.next_block());
    }
}
