//! The specification of the vector paths, by the `aes` crate, one key at a time.

use super::count;
use crate::prg::Block;
use aes::cipher::consts::U16;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes256};

/// Blocks that the `aes` crate gets at once.
const AT_ONCE: usize = 16;

fn bytes(block: Block) -> Array<u8, U16> {
    Array::from(block.to_bytes())
}

/// The cipher under a key.
pub(super) fn aes128(key: Block) -> Aes128 {
    Aes128::new(&bytes(key))
}

fn aes256(key: [Block; 2]) -> Aes256 {
    let mut raw = [0; 32];
    raw[..16].copy_from_slice(&key[0].to_bytes());
    raw[16..].copy_from_slice(&key[1].to_bytes());
    Aes256::new(&Array::from(raw))
}

fn encrypt(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, block: Block) -> Block {
    let mut buffer = bytes(block);
    cipher.encrypt_block(&mut buffer);
    Block::from_bytes(buffer.into())
}

pub(super) fn counter_blocks(cipher: &Aes128, high: u64, low: u64, out: &mut [Block]) {
    let mut buffer = [bytes(Block::ZERO); AT_ONCE];
    for (chunk, start) in out.chunks_mut(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
        for (j, slot) in buffer.iter_mut().enumerate() {
            *slot = bytes(count(Block([low, high]), start + j));
        }
        cipher.encrypt_blocks(&mut buffer[..chunk.len()]);
        for (block, slot) in chunk.iter_mut().zip(buffer) {
            *block = Block::from_bytes(slot.into());
        }
    }
}

pub(super) fn double(cipher: &Aes128, parents: &[Block], children: &mut [[Block; 2]]) {
    let mut buffer = [bytes(Block::ZERO); AT_ONCE];
    for (parents, children) in parents.chunks(AT_ONCE).zip(children.chunks_mut(AT_ONCE)) {
        let sigma = |x: &Block| Block([x.0[1], x.0[0] ^ x.0[1]]);
        for (slot, x) in buffer.iter_mut().zip(parents) {
            *slot = bytes(sigma(x));
        }
        cipher.encrypt_blocks(&mut buffer[..parents.len()]);
        for ((pair, x), slot) in children.iter_mut().zip(parents).zip(buffer) {
            let left = Block::from_bytes(slot.into()) ^ sigma(x);
            *pair = [left, left ^ *x];
        }
    }
}

pub(super) fn hash_in_place(start: Block, first: Block, x: &mut [Block]) {
    for (i, block) in x.iter_mut().enumerate() {
        let cipher = aes128(start ^ count(first, i));
        *block ^= encrypt(&cipher, *block);
    }
}

pub(super) fn hash_pairs(
    start: Block,
    first: Block,
    x: &[Block],
    delta: Block,
    out: &mut [[Block; 2]],
) {
    for (i, (&block, pair)) in x.iter().zip(out).enumerate() {
        let cipher = aes128(start ^ count(first, i));
        *pair = [block, block ^ delta].map(|b| encrypt(&cipher, b) ^ b);
    }
}

pub(super) fn hash_rows(first: Block, rows: &[[Block; 2]], out: &mut [Block]) {
    hash_codewords(first, rows, &[[Block::ZERO; 2]], out);
}

pub(super) fn hash_codewords(
    first: Block,
    rows: &[[Block; 2]],
    masks: &[[Block; 2]],
    out: &mut [Block],
) {
    let mut hashes = out.iter_mut();
    for (i, row) in rows.iter().enumerate() {
        for (mask, hash) in masks.iter().zip(&mut hashes) {
            *hash = encrypt(&aes256([row[0] ^ mask[0], row[1] ^ mask[1]]), count(first, i));
        }
    }
}

pub(super) fn expand(seeds: &[Block], per_seed: usize, out: &mut [Block]) {
    if per_seed > 0 {
        for (&seed, blocks) in seeds.iter().zip(out.chunks_exact_mut(per_seed)) {
            counter_blocks(&aes128(seed), 0, 0, blocks);
        }
    }
}
