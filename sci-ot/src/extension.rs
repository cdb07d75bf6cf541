//! The matrix that IKNP and KKOT share: columns from seeds, a code on the choices, rows by
//! transposition.
//!
//! Both extensions are one linear-algebra trick. For C columns (128 or 256) the receiver holds seeds
//! s_i^0, s_i^1 and the sender s_i^{delta_i}. The receiver sends u_i = G(s_i^0) xor G(s_i^1) xor c_i, where
//! c_i is column i of the matrix whose row j encodes choice j; with t_i = G(s_i^0) the sender computes
//! q_i = G(s_i^{delta_i}) xor delta_i u_i, so that row by row q_j = t_j xor (c(choice_j) and delta).
//! IKNP (CRYPTO 2003) repeats the choice bit C = 128 times; KKOT (Kolesnikov and Kumaresan, CRYPTO
//! 2013) takes the Walsh-Hadamard code of length C = 256.
//!
//! Exactly C bits travel per row: the columns of a tile of 1024 rows are whole words, the columns of
//! the last, ragged tile are packed to the bit.

use sci_core::channel::Stream;
use sci_core::hash::Row;
use sci_core::prg::{ColumnPrgs, SecretBlocks, as_bytes, as_bytes_mut};
use sci_core::transpose::transpose_128;
use sci_core::{Bits, Block, Result, pack};
use std::ops::Range;
use std::sync::Arc;
use zeroize::Zeroize;

/// Blocks (of 128 rows) in a tile: 16 or 32 KiB of columns, which stay in the first cache levels.
const TILE_BLOCKS: usize = 8;
/// Rows in one frame: the sender transposes while the receiver makes the next.
const FRAME_ROWS: usize = 1 << 15;

/// How choices become columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Every column is the choice bit (IKNP).
    Repetition,
    /// Column i is the inner product of i and the eight choice bits (KKOT).
    WalshHadamard,
}

impl Code {
    pub(crate) fn columns(self) -> usize {
        match self {
            Self::Repetition => 128,
            Self::WalshHadamard => 256,
        }
    }

    /// Blocks in a row.
    fn row_blocks(self) -> usize {
        self.columns() / 128
    }

    /// columns[i] ^= c_i for a tile of `width` blocks; `planes` are the choice bits of the tile.
    fn xor_into(self, planes: &[&[u64]], width: usize, columns: &mut [Block]) {
        let mut code = [0u64; 2 * TILE_BLOCKS];
        let code = &mut code[..2 * width];
        let xor = |code: &[u64], column: &mut [Block]| {
            for (block, words) in column.iter_mut().zip(code.as_chunks::<2>().0) {
                block.0[0] ^= words[0];
                block.0[1] ^= words[1];
            }
        };
        match self {
            Self::Repetition => {
                code[..planes[0].len()].copy_from_slice(planes[0]);
                for column in columns.chunks_exact_mut(width) {
                    xor(code, column);
                }
            }
            // In Gray-code order successive column numbers differ in one bit, so each code column is
            // the one before it with a single choice plane added.
            Self::WalshHadamard => {
                for step in 1..256usize {
                    if let Some(plane) = planes.get(step.trailing_zeros() as usize) {
                        for (c, p) in code.iter_mut().zip(*plane) {
                            *c ^= p;
                        }
                    }
                    let column = step ^ (step >> 1);
                    xor(code, &mut columns[column * width..(column + 1) * width]);
                }
            }
        }
        code.zeroize();
    }
}

/// A tile: `rows.len()` rows, of which only the last may be other than whole blocks.
fn tiles(frame: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut next = frame.start;
    std::iter::from_fn(move || {
        let left = frame.end - next;
        let rows = match left {
            0 => return None,
            1..128 => left,
            _ => (left / 128).min(TILE_BLOCKS) * 128,
        };
        next += rows;
        Some(next - rows..next)
    })
}

fn frames(n: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n.div_ceil(FRAME_ROWS)).map(move |i| i * FRAME_ROWS..((i + 1) * FRAME_ROWS).min(n))
}

fn write_columns(columns: &[Block], rows: usize, out: &mut [u8]) {
    if rows.is_multiple_of(128) {
        out.copy_from_slice(as_bytes(columns));
    } else {
        let ragged: Vec<u128> = columns.iter().map(|b| b.to_u128()).collect();
        pack::pack_u128(&ragged, rows as u32, out);
    }
}

fn read_columns(bytes: &[u8], rows: usize, columns: &mut [Block]) -> Result<()> {
    if rows.is_multiple_of(128) {
        as_bytes_mut(columns).copy_from_slice(bytes);
        return Ok(());
    }
    let mut ragged = vec![0u128; columns.len()];
    pack::unpack_u128(bytes, rows as u32, &mut ragged)?;
    for (block, value) in columns.iter_mut().zip(ragged) {
        *block = Block::from(value);
    }
    Ok(())
}

/// Rows of the latest extension, row-major in blocks.
#[derive(Default)]
struct Rows {
    blocks: SecretBlocks,
}

impl Rows {
    fn prepare(&mut self, n: usize, code: Code) {
        let needed = n.next_multiple_of(128) * code.row_blocks();
        if self.blocks.len() < needed {
            // Rows of before are not needed; those that are replaced are wiped.
            self.blocks = SecretBlocks::zeros(needed);
        }
    }

    fn transpose(&mut self, columns: &[Block], tile: &Range<usize>, code: Code) {
        let (parts, width) = (code.row_blocks(), tile.len().div_ceil(128));
        let out = &mut self.blocks[tile.start * parts..][..128 * width * parts];
        for (part, half) in columns.chunks_exact(128 * width).enumerate() {
            transpose_128(half, width, out, parts, part);
        }
    }
}

/// The receiver's half of an extension, on one lane.
pub(crate) struct ExtensionReceiver {
    code: Code,
    seeds: Arc<[ColumnPrgs; 2]>,
    lane: u64,
    next_block: u64,
    rows: Rows,
    scratch: [Vec<Block>; 2],
}

impl ExtensionReceiver {
    pub(crate) fn new(code: Code, seeds: Arc<[ColumnPrgs; 2]>, lane: u64) -> Self {
        let scratch = || vec![Block::ZERO; code.columns() * TILE_BLOCKS];
        let scratch = [scratch(), scratch()];
        Self { code, seeds, lane, next_block: 0, rows: Rows::default(), scratch }
    }

    /// One row for each choice. `planes[b]` holds bit b of the choices; missing planes are zero.
    pub(crate) fn extend(&mut self, stream: &mut Stream, n: usize, planes: &[Bits]) -> Result<()> {
        self.rows.prepare(n, self.code);
        let columns = self.code.columns();
        for frame in frames(n) {
            stream.send_with(frame.len() * columns / 8, |out| {
                let mut at = 0;
                for tile in tiles(frame) {
                    let bytes = tile.len() * columns / 8;
                    self.tile(&tile, planes, &mut out[at..at + bytes]);
                    at += bytes;
                }
            })?;
        }
        Ok(())
    }

    fn tile(&mut self, tile: &Range<usize>, planes: &[Bits], out: &mut [u8]) {
        let width = tile.len().div_ceil(128);
        let size = self.code.columns() * width;
        let [t, u] = &mut self.scratch;
        let (t, u) = (&mut t[..size], &mut u[..size]);
        self.seeds[0].fill(self.lane, self.next_block, width, t);
        self.seeds[1].fill(self.lane, self.next_block, width, u);
        self.next_block += width as u64;
        for (u, t) in u.iter_mut().zip(&*t) {
            *u ^= *t;
        }
        let words = tile.start / 64..tile.end.div_ceil(64);
        let mut slices: [&[u64]; 8] = [&[]; 8];
        for (slice, plane) in slices.iter_mut().zip(planes) {
            *slice = &plane.words()[words.clone()];
        }
        self.code.xor_into(&slices[..planes.len().min(8)], width, u);
        write_columns(u, tile.len(), out);
        self.rows.transpose(t, tile, self.code);
    }

    /// The rows t_j of a repetition code.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.rows.blocks
    }

    /// The rows t_j of a Walsh-Hadamard code.
    pub(crate) fn wide(&self) -> &[Row] {
        self.rows.blocks.as_chunks().0
    }
}

impl Drop for ExtensionReceiver {
    fn drop(&mut self) {
        self.scratch.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// The sender's half of an extension, on one lane.
pub(crate) struct ExtensionSender {
    code: Code,
    seeds: Arc<SenderSeeds>,
    lane: u64,
    next_block: u64,
    rows: Rows,
    scratch: [Vec<Block>; 2],
}

/// The sender's secret choices of the base OTs and the seeds that they gave.
pub(crate) struct SenderSeeds {
    pub(crate) delta: Bits,
    pub(crate) columns: ColumnPrgs,
}

impl SenderSeeds {
    /// Block `i` of delta.
    pub(crate) fn delta_block(&self, i: usize) -> Block {
        let words = self.delta.words();
        Block([words[2 * i], words[2 * i + 1]])
    }
}

impl ExtensionSender {
    pub(crate) fn new(code: Code, seeds: Arc<SenderSeeds>, lane: u64) -> Self {
        let scratch = || vec![Block::ZERO; code.columns() * TILE_BLOCKS];
        let scratch = [scratch(), scratch()];
        Self { code, seeds, lane, next_block: 0, rows: Rows::default(), scratch }
    }

    pub(crate) fn seeds(&self) -> &SenderSeeds {
        &self.seeds
    }

    /// `n` rows q_j.
    pub(crate) fn extend(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.rows.prepare(n, self.code);
        let columns = self.code.columns();
        for frame in frames(n) {
            let bytes = stream.recv("OT extension matrix", frame.len() * columns / 8)?;
            let mut at = 0;
            for tile in tiles(frame) {
                let len = tile.len() * columns / 8;
                self.tile(&tile, &bytes[at..at + len])?;
                at += len;
            }
        }
        Ok(())
    }

    fn tile(&mut self, tile: &Range<usize>, bytes: &[u8]) -> Result<()> {
        let width = tile.len().div_ceil(128);
        let size = self.code.columns() * width;
        let [q, u] = &mut self.scratch;
        let (q, u) = (&mut q[..size], &mut u[..size]);
        self.seeds.columns.fill(self.lane, self.next_block, width, q);
        self.next_block += width as u64;
        read_columns(bytes, tile.len(), u)?;
        let deltas = self.seeds.delta.iter();
        for ((q, u), delta) in q.chunks_exact_mut(width).zip(u.chunks_exact(width)).zip(deltas) {
            let mask = delta.wrapping_neg();
            for (q, u) in q.iter_mut().zip(u) {
                q.0[0] ^= u.0[0] & mask;
                q.0[1] ^= u.0[1] & mask;
            }
        }
        self.rows.transpose(q, tile, self.code);
        Ok(())
    }

    /// The rows q_j of a repetition code.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.rows.blocks
    }

    /// The rows q_j of a Walsh-Hadamard code.
    pub(crate) fn wide(&self) -> &[Row] {
        self.rows.blocks.as_chunks().0
    }
}

impl Drop for ExtensionSender {
    fn drop(&mut self) {
        self.scratch.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// Bytes of an extension of `n` rows.
pub(crate) fn wire_len(n: usize, code: Code) -> u64 {
    (n * code.columns() / 8) as u64
}
