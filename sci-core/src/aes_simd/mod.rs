//! AES with one key over many counters, and with many keys over few blocks each.
//!
//! The `aes` crate is the specification and the portable path. It schedules one key at a time, which
//! costs an OT pad many times what its encryption does; the vector paths here schedule 4, 8 or 16
//! keys at once and interleave the schedule with the rounds (`kernels` says how). The path is chosen
//! when the program runs, from what the machine has.

mod portable;

#[cfg(target_arch = "x86_64")]
mod aesni;
#[cfg(target_arch = "x86_64")]
mod kernels;
#[cfg(target_arch = "x86_64")]
mod single_key;
#[cfg(target_arch = "x86_64")]
mod vaes256;
#[cfg(target_arch = "x86_64")]
mod vaes512;

#[cfg(test)]
mod tests;

use crate::prg::Block;
use zeroize::Zeroize;

/// A path through this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The `aes` crate.
    Portable,
    /// 128-bit registers.
    #[cfg(target_arch = "x86_64")]
    AesNi,
    /// 256-bit registers.
    #[cfg(target_arch = "x86_64")]
    Vaes256,
    /// 512-bit registers.
    #[cfg(target_arch = "x86_64")]
    Vaes512,
}

impl Level {
    /// The fastest path of this machine.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let vaes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx2");
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            if is_x86_feature_detected!("aes") && is_x86_feature_detected!("sse4.1") {
                return match (vaes, wide) {
                    (true, true) => Self::Vaes512,
                    (true, false) => Self::Vaes256,
                    (false, _) => Self::AesNi,
                };
            }
        }
        Self::Portable
    }

    /// Every path of this machine, for tests and benches.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        match Self::best() {
            Self::Portable => vec![Self::Portable],
            #[cfg(target_arch = "x86_64")]
            Self::AesNi => vec![Self::Portable, Self::AesNi],
            #[cfg(target_arch = "x86_64")]
            Self::Vaes256 => vec![Self::Portable, Self::AesNi, Self::Vaes256],
            #[cfg(target_arch = "x86_64")]
            Self::Vaes512 => vec![Self::Portable, Self::AesNi, Self::Vaes256, Self::Vaes512],
        }
    }
}

/// Calls the function of the same name and arguments on the path of a [`Level`].
macro_rules! on {
    ($level:expr, $function:ident($($argument:expr),*)) => {
        match $level {
            Level::Portable => portable::$function($($argument),*),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: `Level::best` and `Level::all` have found the features on this machine.
            Level::AesNi => unsafe { aesni::$function($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: as above.
            Level::Vaes256 => unsafe { vaes256::$function($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: as above.
            Level::Vaes512 => unsafe { vaes512::$function($($argument),*) },
        }
    };
}

/// A scheduled AES-128 key, wiped on drop.
pub(crate) enum Key128 {
    Portable(Box<aes::Aes128>),
    #[cfg(target_arch = "x86_64")]
    AesNi([Block; 11]),
    #[cfg(target_arch = "x86_64")]
    Vaes256([Block; 11]),
    #[cfg(target_arch = "x86_64")]
    Vaes512([Block; 11]),
}

impl Key128 {
    pub(crate) fn new(key: Block) -> Self {
        Self::at(Level::best(), key)
    }

    pub(crate) fn at(level: Level, key: Block) -> Self {
        match level {
            Level::Portable => Self::Portable(Box::new(portable::aes128(key))),
            #[cfg(target_arch = "x86_64")]
            Level::AesNi => Self::AesNi(schedule(key)),
            #[cfg(target_arch = "x86_64")]
            Level::Vaes256 => Self::Vaes256(schedule(key)),
            #[cfg(target_arch = "x86_64")]
            Level::Vaes512 => Self::Vaes512(schedule(key)),
        }
    }

    /// `out[j]` = AES_key(high·2^64 + (low + j mod 2^64)).
    pub(crate) fn counter_blocks(&self, high: u64, low: u64, out: &mut [Block]) {
        match self {
            Self::Portable(cipher) => portable::counter_blocks(cipher, high, low, out),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: `Level::best` and `Level::all` have found the features on this machine.
            Self::AesNi(keys) => unsafe { aesni::counter_blocks(keys, high, low, out) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: as above.
            Self::Vaes256(keys) => unsafe { vaes256::counter_blocks(keys, high, low, out) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: as above.
            Self::Vaes512(keys) => unsafe { vaes512::counter_blocks(keys, high, low, out) },
        }
    }

    /// `children[i]` = (h, h xor `parents[i]`), h = AES_key(s) xor s for s = (`parents[i]` with its
    /// words swapped, the high one then replaced by the XOR of both).
    pub(crate) fn double(&self, parents: &[Block], children: &mut [[Block; 2]]) {
        assert_eq!(parents.len(), children.len(), "nodes of a level");
        match self {
            Self::Portable(cipher) => portable::double(cipher, parents, children),
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: `Level::best` and `Level::all` have found the features on this machine.
            Self::AesNi(keys) => unsafe { aesni::double(keys, parents, children) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: as above.
            Self::Vaes256(keys) => unsafe { vaes256::double(keys, parents, children) },
            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
            // SAFETY: as above.
            Self::Vaes512(keys) => unsafe { vaes512::double(keys, parents, children) },
        }
    }
}

/// The round keys, for a level that has AES instructions.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "call of a function compiled for CPU features")]
fn schedule(key: Block) -> [Block; 11] {
    // SAFETY: every level but `Portable` has AES-NI and SSE4.1, and `Key128::at` calls this for
    // no other.
    unsafe { single_key::schedule_128(key) }
}

impl Drop for Key128 {
    fn drop(&mut self) {
        match self {
            // The `aes` crate wipes its own schedule.
            Self::Portable(_) => {}
            #[cfg(target_arch = "x86_64")]
            Self::AesNi(keys) | Self::Vaes256(keys) | Self::Vaes512(keys) => keys.zeroize(),
        }
    }
}

/// `x[i]` = AES_k(`x[i]`) xor `x[i]` for k = start xor tweak_i, where tweak_i is `first` with i added to
/// its low word.
pub(crate) fn hash_in_place(level: Level, start: Block, first: Block, x: &mut [Block]) {
    on!(level, hash_in_place(start, first, x));
}

/// `out[i]` = (H_i(`x[i]`), H_i(`x[i]` xor delta)) with the H_i of [`hash_in_place`].
pub(crate) fn hash_pairs(
    level: Level,
    start: Block,
    first: Block,
    x: &[Block],
    delta: Block,
    out: &mut [[Block; 2]],
) {
    assert_eq!(x.len(), out.len(), "hashed pairs");
    on!(level, hash_pairs(start, first, x, delta, out));
}

/// `out[i]` = AES-256 under `rows[i]` of tweak_i, where tweak_i is `first` with i added to its low word.
pub(crate) fn hash_rows(level: Level, first: Block, rows: &[[Block; 2]], out: &mut [Block]) {
    assert_eq!(rows.len(), out.len(), "hashed rows");
    on!(level, hash_rows(first, rows, out));
}

/// `out[i * m + k]` = AES-256 under `rows[i]` xor `masks[k]` of tweak_i, with m = masks.len() and the
/// tweaks of [`hash_rows`].
pub(crate) fn hash_codewords(
    level: Level,
    first: Block,
    rows: &[[Block; 2]],
    masks: &[[Block; 2]],
    out: &mut [Block],
) {
    assert_eq!(out.len(), rows.len() * masks.len(), "hashes of all codewords");
    on!(level, hash_codewords(first, rows, masks, out));
}

/// `out[i * n + j]` = AES-128 under `seeds[i]` of j, for j < n = `per_seed`.
pub(crate) fn expand(level: Level, seeds: &[Block], per_seed: usize, out: &mut [Block]) {
    assert_eq!(out.len(), seeds.len() * per_seed, "blocks of all seeds");
    on!(level, expand(seeds, per_seed, out));
}

/// A block with `i` added to its low word.
fn count(first: Block, i: usize) -> Block {
    Block([first.0[0].wrapping_add(i as u64), first.0[1]])
}
