//! 128 bits: an AES block, a wire label, a row of a bit matrix.

use std::fmt;
use std::ops::{BitAnd, BitXor, BitXorAssign, Deref, DerefMut};
use subtle::{Choice, ConditionallySelectable};
use zeroize::{Zeroize, ZeroizeOnDrop};

// A slice of blocks travels as the bytes it has in memory, and the SIMD kernels load it as such.
const _: () = assert!(cfg!(target_endian = "little"), "blocks are little-endian in memory");

/// An element of GF(2)^128 as two little-endian words: bit i is bit i mod 64 of word i / 64, and
/// byte i of [`Block::to_bytes`] holds the bits 8i..8i+8. Blocks are secrets more often than not,
/// so that the debug output does not show the value.
///
/// ```
/// use sci_core::Block;
/// let a = Block::from_bytes(*b"sixteen bytes ok");
/// assert_eq!(a ^ a, Block::ZERO);
/// assert_eq!(Block::from(5u128).to_u128(), 5);
/// assert_eq!(format!("{a:?}"), "Block(..)");
/// ```
#[repr(C, align(16))]
#[derive(Clone, Copy, PartialEq, Eq, Default, Zeroize)]
pub struct Block(pub [u64; 2]);

impl Block {
    /// 128 zeros.
    pub const ZERO: Self = Self([0; 2]);

    /// 128 ones.
    pub const ONES: Self = Self([u64::MAX; 2]);

    /// From 16 bytes, the first one lowest.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let value = u128::from_le_bytes(bytes);
        Self([value as u64, (value >> 64) as u64])
    }

    /// The 16 bytes, lowest first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.to_u128().to_le_bytes()
    }

    /// The integer whose bit i is bit i of the block.
    pub const fn to_u128(self) -> u128 {
        self.0[0] as u128 | (self.0[1] as u128) << 64
    }

    /// Bit 0.
    pub const fn lsb(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Both words AND `mask`: the block itself for all ones, zero for all zeros.
    pub const fn and_mask(self, mask: u64) -> Self {
        Self([self.0[0] & mask, self.0[1] & mask])
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Block(..)")
    }
}

impl From<u128> for Block {
    fn from(value: u128) -> Self {
        Self([value as u64, (value >> 64) as u64])
    }
}

impl BitXor for Block {
    type Output = Self;
    fn bitxor(self, other: Self) -> Self {
        Self([self.0[0] ^ other.0[0], self.0[1] ^ other.0[1]])
    }
}

impl BitXorAssign for Block {
    fn bitxor_assign(&mut self, other: Self) {
        *self = *self ^ other;
    }
}

impl BitAnd for Block {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self([self.0[0] & other.0[0], self.0[1] & other.0[1]])
    }
}

impl ConditionallySelectable for Block {
    fn conditional_select(a: &Self, b: &Self, choice: Choice) -> Self {
        Self([
            u64::conditional_select(&a.0[0], &b.0[0], choice),
            u64::conditional_select(&a.0[1], &b.0[1], choice),
        ])
    }
}

/// The bytes of a slice of blocks, in the order of [`Block::to_bytes`].
#[expect(unsafe_code, reason = "a view of plain old data as bytes")]
pub fn as_bytes(blocks: &[Block]) -> &[u8] {
    // SAFETY: `Block` is 16 initialised bytes without padding (two u64, size 16), and u8 has no
    // alignment and no invalid values; the length in bytes is that of the slice.
    unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast(), size_of_val(blocks)) }
}

/// The bytes of a slice of blocks, to be written: any value of them is a block.
#[expect(unsafe_code, reason = "a view of plain old data as bytes")]
pub fn as_bytes_mut(blocks: &mut [Block]) -> &mut [u8] {
    // SAFETY: as in `as_bytes`; the mutable borrow is exclusive, and every bit pattern is a valid
    // `Block`.
    unsafe { std::slice::from_raw_parts_mut(blocks.as_mut_ptr().cast(), size_of_val(blocks)) }
}

/// Blocks that nobody must find later: a buffer that is wiped when dropped, faster than element by
/// element.
#[derive(Default)]
pub struct SecretBlocks(Vec<Block>);

impl SecretBlocks {
    /// `len` zero blocks.
    pub fn zeros(len: usize) -> Self {
        Self(vec![Block::ZERO; len])
    }

    /// Makes room for `len` blocks; what is there stays.
    pub fn grow(&mut self, len: usize) {
        if self.0.len() < len {
            let mut larger = vec![Block::ZERO; len];
            larger[..self.0.len()].copy_from_slice(&self.0);
            wipe(&mut self.0);
            self.0 = larger;
        }
    }
}

impl Deref for SecretBlocks {
    type Target = [Block];
    fn deref(&self) -> &[Block] {
        &self.0
    }
}

impl DerefMut for SecretBlocks {
    fn deref_mut(&mut self) -> &mut [Block] {
        &mut self.0
    }
}

impl Drop for SecretBlocks {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl ZeroizeOnDrop for SecretBlocks {}

/// Overwrites blocks with zeros in a way that is not optimised away: the compiler must assume that
/// somebody looks at them afterwards.
pub fn wipe(blocks: &mut [Block]) {
    blocks.fill(Block::ZERO);
    std::hint::black_box(&mut *blocks);
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn views_of_a_block_agree(x: u128, y: u128, mask: u64, choice: bool) {
            let (a, b) = (Block::from(x), Block::from(y));
            prop_assert_eq!(a.to_u128(), x);
            prop_assert_eq!(a.to_bytes(), x.to_le_bytes());
            prop_assert_eq!(Block::from_bytes(x.to_le_bytes()), a);
            prop_assert_eq!((a ^ b).to_u128(), x ^ y);
            prop_assert_eq!((a & b).to_u128(), x & y);
            prop_assert_eq!(a.lsb(), x & 1 == 1);
            let wide = u128::from(mask) << 64 | u128::from(mask);
            prop_assert_eq!(a.and_mask(mask).to_u128(), x & wide);
            let chosen = Block::conditional_select(&a, &b, Choice::from(u8::from(choice)));
            prop_assert_eq!(chosen, if choice { b } else { a });
            let mut pair = [a, b];
            let bytes: Vec<u8> = [x.to_le_bytes(), y.to_le_bytes()].concat();
            prop_assert_eq!(as_bytes(&pair), &bytes[..]);
            as_bytes_mut(&mut pair)[17] ^= 1;
            prop_assert_eq!(pair, [a, Block::from(y ^ 256)]);
        }
    }

    #[test]
    fn secret_blocks_keep_what_is_there_when_they_grow() {
        let mut blocks = SecretBlocks::zeros(2);
        blocks[1] = Block::ONES;
        blocks.grow(1);
        blocks.grow(5);
        assert!(*blocks == [Block::ZERO, Block::ONES, Block::ZERO, Block::ZERO, Block::ZERO]);
        wipe(&mut blocks);
        assert!(blocks.iter().all(|block| *block == Block::ZERO));
    }

    #[test]
    fn an_empty_slice_has_no_bytes() {
        assert!(as_bytes(&[]).is_empty());
        assert!(as_bytes_mut(&mut []).is_empty());
    }
}
