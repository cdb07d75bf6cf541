//! Hashing that breaks correlations, and seeds derived from an agreed session.
//!
//! An OT extension leaves the sender with pads x and x xor Delta of which the receiver knows one;
//! messages are masked with their hashes. Three constructions, all from AES:
//!
//! * [`CrHash`]: H_i(x) = AES_{k_i}(x) xor x with k_i = start xor tweak_i, one key an OT instance.
//!   In the ideal-cipher model this is tweakable correlation robust, and as a key serves one
//!   instance only, the bound does not degrade with the number of instances, provided that no tweak
//!   repeats under one start (MITCCRH of Guo, Katz, Wang, Weng, Yu: "Better concrete security for
//!   half-gates garbling (in the multi-instance setting)", eprint 2019/1168).
//! * [`hash_rows`] and [`hash_codewords`] for the 256-bit rows of 1-of-N OT (Kolesnikov and
//!   Kumaresan, CRYPTO 2013): H_i(r) = AES-256_r(tweak_i). The rows differ by c AND s for a public
//!   code word c and the secret s, so that at least the minimum distance of the code, 128 bits, of
//!   each unknown key are unknown; in the ideal-cipher model its outputs are uniform.
//! * [`expand`]: a generator a seed, for messages longer than a block.
//! * [`TreeHash`] for the trees of silent OT: one fixed key for many nodes.
//!
//! A [`Tweak`] is the session path of a call (hashed, see [`derive()`]) and the index of the instance.
//! Both parties compute it; nothing is sent, nothing may repeat within a session.
//!
//! Time and memory accesses do not depend on the values hashed.

use crate::aes_simd::{self, Key128, Level};
use crate::prg::Block;
use sha2::{Digest, Sha256};

/// A 256-bit row of an extension matrix: bit i of the row is bit i mod 128 of block i / 128.
pub type Row = [Block; 2];

/// Blocks that [`CrHash::hash`] copies before it hashes them, so that they stay in the cache.
const CHUNK: usize = 512;

/// What makes a hash call unlike every other of its session: a path in the high 64 bits, a counter
/// in the low 64. Instance i of a batch has the counter plus i (mod 2^64; the path never changes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tweak(pub u128);

impl Tweak {
    /// The tweak of a path and a counter.
    pub const fn new(path: u64, counter: u64) -> Self {
        Self((path as u128) << 64 | counter as u128)
    }

    /// The path.
    pub const fn path(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The counter.
    pub const fn counter(self) -> u64 {
        self.0 as u64
    }

    /// The tweak of instance `i`.
    pub const fn at(self, i: u64) -> Self {
        Self::new(self.path(), self.counter().wrapping_add(i))
    }
}

/// The hash for 128-bit pads, H_i(x) = AES_{start xor tweak_i}(x) xor x. The start is public.
///
/// ```
/// use sci_core::Block;
/// use sci_core::hash::{CrHash, Tweak};
/// let hash = CrHash::new(Block::from(1));
/// let (x, delta) = ([Block::from(2), Block::from(3)], Block::from(9));
/// let mut pairs = [[Block::ZERO; 2]; 2];
/// hash.hash_pairs(Tweak::new(5, 0), &x, delta, &mut pairs);
/// let mut other = [x[1] ^ delta];
/// hash.hash_in_place(Tweak::new(5, 1), &mut other);
/// assert_eq!(other[0], pairs[1][1]);
/// ```
#[derive(Clone, Debug)]
pub struct CrHash {
    start: Block,
    level: Level,
}

impl CrHash {
    /// The hash of a start point, fresh for every session and direction.
    pub fn new(start: Block) -> Self {
        Self { start, level: Level::best() }
    }

    /// `out[i]` = H_i(`x[i]`), instance 0 having the tweak `first`.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn hash(&self, first: Tweak, x: &[Block], out: &mut [Block]) {
        assert_eq!(x.len(), out.len(), "blocks to hash");
        let chunks = x.chunks(CHUNK).zip(out.chunks_mut(CHUNK));
        for ((x, out), at) in chunks.zip((0..).step_by(CHUNK)) {
            out.copy_from_slice(x);
            self.hash_in_place(first.at(at), out);
        }
    }

    /// `x[i]` = H_i(`x[i]`), the tweaks as in [`CrHash::hash`].
    pub fn hash_in_place(&self, first: Tweak, x: &mut [Block]) {
        aes_simd::hash_in_place(self.level, self.start, first.0.into(), x);
    }

    /// `out[i]` = (H_i(`x[i]`), H_i(`x[i]` xor delta)): both pads of instance i, for one key schedule.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn hash_pairs(&self, first: Tweak, x: &[Block], delta: Block, out: &mut [[Block; 2]]) {
        aes_simd::hash_pairs(self.level, self.start, first.0.into(), x, delta, out);
    }
}

/// The hash of correlated binary trees (Guo, Yang, Wang, Zhang, Xie, Liu, Zhao: "Half-tree", eprint
/// 2022/1431): H(x) = pi(sigma(x)) xor sigma(x) for the permutation pi = AES under one fixed public key
/// and the linear orthomorphism sigma(high || low) = (high xor low) || high. Circular correlation
/// robust if pi is modelled as a random permutation (Guo, Katz, Wang, Yu, eprint 2019/074); the bound
/// degrades with the number of calls under one key, hence a key for each forest of a session.
pub struct TreeHash {
    key: Key128,
}

impl TreeHash {
    /// The hash of a key.
    pub fn new(key: Block) -> Self {
        Self { key: Key128::new(key) }
    }

    /// `children[i]` = (H(x), H(x) xor x) for x = `parents[i]`: the XOR of two children is their
    /// parent, so that all levels of a tree have the same XOR.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn double(&self, parents: &[Block], children: &mut [[Block; 2]]) {
        self.key.double(parents, children);
    }
}

impl std::fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TreeHash(..)")
    }
}

/// `out[i]` = AES-256 under `rows[i]` of tweak_i.
///
/// # Panics
/// If the lengths differ.
pub fn hash_rows(first: Tweak, rows: &[Row], out: &mut [Block]) {
    aes_simd::hash_rows(Level::best(), first.0.into(), rows, out);
}

/// `out[i * m + k]` = AES-256 under `rows[i]` xor `masks[k]` of tweak_i, with m = `masks.len()`: all
/// m pads of each instance of a 1-of-m OT, `masks[k]` being code word k AND s.
///
/// # Panics
/// Unless `out` holds exactly `rows.len() * masks.len()` blocks.
pub fn hash_codewords(first: Tweak, rows: &[Row], masks: &[Row], out: &mut [Block]) {
    aes_simd::hash_codewords(Level::best(), first.0.into(), rows, masks, out);
}

/// `out[i * n + j]` = AES-128 under `seeds[i]` of j, for j < n = `blocks_per_seed`.
///
/// # Panics
/// Unless `out` holds exactly `seeds.len() * blocks_per_seed` blocks.
pub fn expand(seeds: &[Block], blocks_per_seed: usize, out: &mut [Block]) {
    aes_simd::expand(Level::best(), seeds, blocks_per_seed, out);
}

/// The first 128 bits of SHA-256("sci seed 1" || session id || label): one seed a label, as public
/// as the session id is. All but the label have a fixed length, so that different arguments hash
/// different strings.
pub fn derive(session_id: &[u8; 32], label: &str) -> Block {
    let digest = Sha256::new()
        .chain_update(b"sci seed 1")
        .chain_update(session_id)
        .chain_update(label)
        .finalize();
    let mut seed = [0; 16];
    seed.copy_from_slice(&digest[..16]);
    Block::from_bytes(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prg;
    use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
    use aes::{Aes128, Aes256};

    fn blocks(seed: u128, n: usize) -> Vec<Block> {
        let mut out = vec![Block::ZERO; n];
        Prg::new(seed.into()).fill_blocks(&mut out);
        out
    }

    fn aes128(key: u128, x: u128) -> u128 {
        let mut block = Array::from(x.to_le_bytes());
        Aes128::new(&Array::from(key.to_le_bytes())).encrypt_block(&mut block);
        u128::from_le_bytes(block.into())
    }

    #[test]
    fn the_hash_follows_its_definition() {
        let first = Tweak::new(77, u64::MAX - 600);
        let (start, delta) = (Block::from(1 << 100 | 3), Block::from(u128::MAX / 5));
        let x = blocks(1, 1300);
        let hash = CrHash::new(start);
        let mut out = vec![Block::ZERO; x.len()];
        hash.hash(first, &x, &mut out);
        let mut pairs = vec![[Block::ZERO; 2]; x.len()];
        hash.hash_pairs(first, &x, delta, &mut pairs);
        for (i, x) in x.iter().enumerate() {
            let key = start.to_u128() ^ first.at(i as u64).0;
            let expected = |x: u128| Block::from(aes128(key, x) ^ x);
            assert!(out[i] == expected(x.to_u128()), "{i}");
            assert!(
                pairs[i][0] == out[i] && pairs[i][1] == expected((*x ^ delta).to_u128()),
                "{i}"
            );
        }
    }

    /// FIPS 197, C.3 (AES-256).
    #[test]
    fn row_hash_known_answer() {
        let raw: [u8; 32] = std::array::from_fn(|i| i as u8);
        let [low, high] = [0, 16].map(|at| Block::from_bytes(raw[at..at + 16].try_into().unwrap()));
        let plain =
            u128::from_be_bytes(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_le_bytes());
        let expected = 0x8ea2_b7ca_5167_45bf_eafc_4990_4b49_6089_u128;
        let mut out = [Block::ZERO];
        hash_rows(Tweak(plain), &[[low, high]], &mut out);
        assert!(out[0].to_bytes() == expected.to_be_bytes());
    }

    #[test]
    fn children_follow_the_definition() {
        let parents = blocks(4, 100);
        let mut children = vec![[Block::ZERO; 2]; 100];
        TreeHash::new(Block::from(11)).double(&parents, &mut children);
        for (x, [left, right]) in parents.iter().zip(children) {
            let (high, low) = (x.to_u128() >> 64, x.to_u128() & u128::from(u64::MAX));
            let sigma = (high ^ low) << 64 | high;
            assert!(left.to_u128() == aes128(11, sigma) ^ sigma);
            assert!(left ^ right == *x);
        }
    }

    #[test]
    fn codewords_and_rows_agree_with_the_definition() {
        let (raw, first) = (blocks(5, 2 * 37), Tweak::new(9, 1000));
        let rows = raw.as_chunks::<2>().0;
        let raw = blocks(6, 2 * 16);
        let masks = raw.as_chunks::<2>().0;
        let mut out = vec![Block::ZERO; rows.len() * masks.len()];
        hash_codewords(first, rows, masks, &mut out);
        for (i, row) in rows.iter().enumerate() {
            for (k, mask) in masks.iter().enumerate() {
                let key = [row[0] ^ mask[0], row[1] ^ mask[1]];
                let bytes: [u8; 32] = crate::prg::as_bytes(&key).try_into().unwrap();
                let mut block = Array::from(first.at(i as u64).0.to_le_bytes());
                Aes256::new(&Array::from(bytes)).encrypt_block(&mut block);
                assert!(out[i * 16 + k].to_bytes() == <[u8; 16]>::from(block), "{i} {k}");
                let mut one = [Block::ZERO];
                hash_rows(first.at(i as u64), &[key], &mut one);
                assert!(one[0] == out[i * 16 + k], "{i} {k}");
            }
        }
    }

    #[test]
    fn expansion_follows_its_definition() {
        let seeds = blocks(8, 21);
        for n in [1, 2, 3, 7, 100] {
            let mut out = vec![Block::ZERO; seeds.len() * n];
            expand(&seeds, n, &mut out);
            for (i, seed) in seeds.iter().enumerate() {
                for j in 0..n {
                    let expected = aes128(seed.to_u128(), j as u128);
                    assert!(out[i * n + j].to_u128() == expected, "{n} {i} {j}");
                }
            }
        }
    }

    /// The digest is Python's hashlib.sha256(b"sci seed 1" + bytes(range(32)) + b"base OT").
    #[test]
    fn derivation_known_answer() {
        let seed = derive(&std::array::from_fn(|i| i as u8), "base OT");
        assert!(seed.to_bytes() == 0xcfa9_46ef_ddb3_333d_877d_5f48_253b_508a_u128.to_be_bytes());
    }

    #[test]
    fn derived_seeds_depend_on_all_arguments() {
        let (a, b) = ([0; 32], [1; 32]);
        let seeds = [derive(&a, "x"), derive(&b, "x"), derive(&a, "y"), derive(&a, "xy")];
        for (i, seed) in seeds.iter().enumerate() {
            assert!(seeds[..i].iter().all(|other| other != seed));
        }
    }
}
