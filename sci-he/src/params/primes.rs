//! Primes 1 modulo 2N: those of a modulus, and the fixed ones of the packing keys.

use super::{PRIME_BITS, is_prime};

/// The widest prime of the packing base.
const PACKING_BITS: u32 = 31;

/// Bits of a canonical residue.
pub(crate) fn residue_bits(p: u32) -> u32 {
    32 - (p - 1).leading_zeros()
}

/// log2 of the product.
pub(super) fn log2_product(primes: &[u32]) -> f64 {
    primes.iter().map(|&p| f64::from(p).log2()).sum()
}

/// As few primes as hold `bits` bits together, of nearly equal widths, each the largest of its
/// width that is not taken.
pub(super) fn of_bits(bits: u32, degree: usize) -> Option<Vec<u32>> {
    let count = bits.div_ceil(PRIME_BITS);
    let mut primes: Vec<u32> = Vec::new();
    for i in 0..count {
        let width = bits / count + u32::from(i < bits % count);
        if width < 20 {
            return None;
        }
        let found = descending(width, degree)?.find(|p| !primes.contains(p))?;
        primes.push(found);
    }
    Some(primes)
}

/// The primes of a packing base with this many digits: the special one first. A base with fewer
/// digits is a prefix of one with more.
pub(super) fn of_packing(digits: usize, degree: usize) -> Option<Vec<u32>> {
    let primes: Vec<u32> = descending(PACKING_BITS, degree)?.take(digits + 1).collect();
    (primes.len() == digits + 1).then_some(primes)
}

/// The primes of exactly `width` bits, from the largest down.
fn descending(width: u32, degree: usize) -> Option<impl Iterator<Item = u32>> {
    let step = u32::try_from(2 * degree).ok()?;
    let below = 1u32 << width;
    Some((1..below / 2 / step).map(move |k| below - k * step + 1).filter(|&p| is_prime(p)))
}
