//! The encoder: a public sparse matrix over GF(2) times a secret vector of blocks.
//!
//! Row j of the matrix has ten ones, at the places that three words of a public AES-CTR stream name:
//! with k = 2^x each index is exactly x bits, nothing is rejected. Places are drawn independently;
//! two equal ones cancel, which happens in fewer than one row of a thousand.
//!
//! The time is that of ten random reads of 16 bytes an output. The words are generated a tile ahead,
//! so that the addresses are known early and the reads of many rows are in flight together; the
//! table stands on huge pages.
//!
//! Which places are read is public: the stream does not depend on a secret.

use sci_core::{Block, Prg};

/// Outputs whose indices are generated at once.
const TILE: usize = 512;

/// The rows of a matrix in order, as a generator of indices.
pub(super) struct Matrix {
    prg: Prg,
    words: Vec<Block>,
}

impl Matrix {
    /// The matrix of a public seed; streams are independent.
    pub(super) fn new(seed: Block, stream: u64) -> Self {
        Self { prg: Prg::with_stream(seed, stream), words: vec![Block::ZERO; TILE / 2 * 3] }
    }

    /// out_j ^= (row j times `table`) for the next `out.len()` rows, an even number. The table has
    /// 2^16 to 2^19 entries.
    pub(super) fn accumulate(&mut self, table: &[Block], out: &mut [Block]) {
        debug_assert!(out.len().is_multiple_of(2));
        for tile in out.chunks_mut(TILE) {
            let words = &mut self.words[..tile.len().div_ceil(2) * 3];
            self.prg.fill_blocks(words);
            match table.len().trailing_zeros() {
                16 => encode::<{ 1 << 16 }>(table, words, tile),
                17 => encode::<{ 1 << 17 }>(table, words, tile),
                18 => encode::<{ 1 << 18 }>(table, words, tile),
                _ => encode::<{ 1 << 19 }>(table, words, tile),
            }
        }
    }
}

fn encode<const K: usize>(table: &[Block], words: &[Block], out: &mut [Block]) {
    let Some(table) = table.first_chunk::<K>() else {
        unreachable!("a table of {} entries for {K}", table.len())
    };
    for (pair, words) in out.as_chunks_mut::<2>().0.iter_mut().zip(words.as_chunks::<3>().0) {
        let [Block([a, b]), Block([c, d]), Block([e, f])] = *words;
        pair[0] ^= product(table, [a, b, c]);
        pair[1] ^= product(table, [d, e, f]);
    }
}

/// The sum of the entries that a row names: three places from each word, the tenth from what is
/// left of them.
#[inline(always)]
fn product<const K: usize>(table: &[Block; K], words: [u64; 3]) -> Block {
    let bits = K.trailing_zeros();
    let entry = |word: u64| table[word as usize & (K - 1)];
    let three = |word: u64| entry(word) ^ entry(word >> bits) ^ entry(word >> (2 * bits));
    let [a, b, c] = words;
    let rest = a >> 57 | b >> 57 << 7 | c >> 57 << 14;
    three(a) ^ three(b) ^ three(c) ^ entry(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, from the words of the stream.
    #[test]
    fn agrees_with_the_definition() {
        for log_k in 16..=19u32 {
            let k = 1usize << log_k;
            let mut table = vec![Block::ZERO; k];
            Prg::new(Block::from(u128::from(log_k))).fill_blocks(&mut table);
            let (seed, stream) = (Block::from(99), 5);
            let mut matrix = Matrix::new(seed, stream);
            let mut out = vec![Block::from(3); 3 * TILE + 10];
            let (first, second) = out.split_at_mut(TILE + 4);
            matrix.accumulate(&table, first);
            matrix.accumulate(&table, second);

            let mut words = Prg::with_stream(seed, stream);
            let mut used = vec![0u32; k];
            for (j, got) in out.iter().enumerate() {
                if j == TILE + 4 {
                    // A call takes whole blocks of the stream, and an even number of rows them all.
                    assert_eq!(j % 2, 0);
                }
                let row: Vec<u64> = (0..3).map(|_| words.next_u64()).collect();
                let bit = |at: usize| u128::from(row[at / 64] >> (at % 64) & 1);
                let mut expected = 3u128;
                for word in 0..3 {
                    for field in 0..3 {
                        let start = 64 * word + field * log_k as usize;
                        let place = (0..log_k as usize).map(|i| bit(start + i) << i).sum::<u128>();
                        expected ^= table[place as usize].to_u128();
                        used[place as usize] += 1;
                    }
                }
                let place = (0..log_k as usize).map(|i| bit(64 * (i / 7) + 57 + i % 7) << i);
                expected ^= table[place.sum::<u128>() as usize].to_u128();
                assert!(got.to_u128() == expected, "log k {log_k}, row {j}");
            }
            assert!(used.iter().max() < Some(&12), "the places are spread");
        }
    }
}
