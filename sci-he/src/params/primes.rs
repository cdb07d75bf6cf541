//! Primes 1 modulo 2N: those of a modulus, and the fixed ones of the packing keys.

use super::{PRIME_BITS, SECURITY, is_prime};
use std::sync::OnceLock;

/// The widest prime of the packing base.
const PACKING_BITS: u32 = 31;

/// More than the widest modulus of the security table has of one width, and the three that a plaintext
/// modulus of up to 2^64 may have as factors.
const MOST: usize = 24;

/// Bits of a canonical residue.
pub(crate) fn residue_bits(p: u32) -> u32 {
    32 - (p - 1).leading_zeros()
}

/// log2 of the product.
pub(super) fn log2_product(primes: &[u32]) -> f64 {
    primes.iter().map(|&p| f64::from(p).log2()).sum()
}

/// As few primes as hold `bits` bits together, of nearly equal widths, each the largest of its
/// width that is not taken and does not divide t: encodings need 1/t modulo each.
pub(super) fn of_bits(bits: u32, degree: usize, t: u128) -> Option<Vec<u32>> {
    let count = bits.div_ceil(PRIME_BITS);
    let mut primes: Vec<u32> = Vec::new();
    for i in 0..count {
        let width = bits / count + u32::from(i < bits % count);
        if width < 20 {
            return None;
        }
        let free = |p: &&u32| !primes.contains(p) && !t.is_multiple_of(u128::from(**p));
        let found = *descending(width, degree)?.iter().find(free)?;
        primes.push(found);
    }
    Some(primes)
}

/// The primes of a packing base with this many digits: the special one first. A base with fewer
/// digits is a prefix of one with more.
pub(super) fn of_packing(digits: usize, degree: usize) -> Option<Vec<u32>> {
    let primes: Vec<u32> =
        descending(PACKING_BITS, degree)?.iter().take(digits + 1).copied().collect();
    (primes.len() == digits + 1).then_some(primes)
}

/// The largest primes below 2^width and above its half that are 1 modulo 2N, from the largest down: as many
/// as a modulus may take. Planning a network asks for them some hundred thousand times, so that they are searched
/// for once.
fn descending(width: u32, degree: usize) -> Option<&'static [u32]> {
    static TABLES: [OnceLock<Vec<Vec<u32>>>; SECURITY.len()] =
        [const { OnceLock::new() }; SECURITY.len()];
    let place = SECURITY.iter().position(|&(n, _)| n == degree)?;
    let step = u32::try_from(2 * degree).ok()?;
    let found = |width: u32| {
        let below = 1u32 << width;
        let candidates = (1..below / 2 / step).map(|k| below - k * step + 1);
        candidates.filter(|&p| is_prime(p)).take(MOST).collect()
    };
    let table = TABLES.get(place)?.get_or_init(|| (0..=PACKING_BITS).map(found).collect());
    table.get(width as usize).map(Vec::as_slice)
}
