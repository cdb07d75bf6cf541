//! Changes of modulus: round(Q'·c/q) modulo Q' from the residues of c modulo q.
//!
//! With y_i = c·(q/p_i)^-1 mod p_i, c/q is the sum of y_i/p_i modulo 1, so that
//!
//! ```text
//! Q'·c/q  =  sum_i y_i·floor(Q'/p_i)  +  sum_i y_i·frac(Q'/p_i)     (mod Q')
//! ```
//!
//! The first sum is exact in the residues of Q', the second a number below 2^32·k that is summed to 28
//! binary places with fractions of 60: the result is off the true quotient by 1/2 + k·2^-27 at most.

use crate::kernels;
use sci_core::pack::{pack, packed_len};
use zeroize::Zeroizing;

/// Values that are converted at a time: their sums stay in the first-level cache.
const BLOCK: usize = 1024;

/// The product of all primes but number `i`, modulo that one.
pub(crate) fn cofactor(primes: &[u32], i: usize) -> u32 {
    let p = u64::from(primes[i]);
    let others = primes.iter().enumerate().filter(|(j, _)| *j != i);
    others.fold(1, |c, (_, &other)| c * u64::from(other) % p) as u32
}

/// The constants of a change of modulus.
#[derive(Debug)]
pub(crate) struct Conversion {
    /// frac(Q'/p_i) in 28 and another 32 binary places.
    fractions: Vec<[u64; 2]>,
    /// floor(Q'/p_i) modulo each part of Q'.
    wholes: Vec<Vec<u64>>,
}

impl Conversion {
    /// To 2^bits, bits up to 64.
    pub(crate) fn to_power(primes: &[u32], bits: u32) -> Self {
        Self::new(primes, 1 << bits, &[1 << 64])
    }

    /// Applies a change of modulus to 2^bits and packs the result.
    pub(crate) fn write(&self, y: &[u32], len: usize, bits: u32, out: &mut [u8]) {
        let mask = u64::MAX >> (64 - bits);
        self.apply(y, len, |_, at, values| {
            values.iter_mut().for_each(|v| *v &= mask);
            // A whole number of bytes lies before a block.
            let first = at * bits as usize / 8;
            pack(values, bits, &mut out[first..first + packed_len(values.len(), bits)]);
        });
    }

    /// To a product of primes below 2^31 (of less than 100 bits).
    pub(crate) fn to_primes(primes: &[u32], to: &[u32]) -> Self {
        let product = to.iter().map(|&p| u128::from(p)).product();
        Self::new(primes, product, &to.iter().map(|&p| p.into()).collect::<Vec<_>>())
    }

    /// From numbers of `count` limbs of 32 bits, of which a whole unit is 2^(32·count), to the product
    /// q of the primes: y_i is a limb, the least first, and 2^(32·(count - i)) stands for p_i.
    pub(crate) fn from_limbs(count: usize, primes: &[u32]) -> Self {
        let mut q = vec![1u32];
        for &p in primes {
            let mut carry = 0u64;
            for limb in &mut q {
                let sum = u64::from(*limb) * u64::from(p) + carry;
                *limb = sum as u32;
                carry = sum >> 32;
            }
            q.push(carry as u32);
        }
        let limb = |i: Option<usize>| u64::from(i.and_then(|i| q.get(i)).copied().unwrap_or(0));
        let places = (1..=count).rev();
        let fractions = places.clone().map(|m| {
            let (high, low) = (limb(m.checked_sub(1)), limb(m.checked_sub(2)));
            let fraction = high << 28 | low >> 4;
            [fraction >> 32, fraction & 0xffff_ffff]
        });
        let whole = |p: &u32| {
            let p = u64::from(*p);
            let above = |m: usize| q.iter().skip(m).rev();
            places
                .clone()
                .map(|m| above(m).fold(0, |rest, &x| (rest << 32 | u64::from(x)) % p))
                .collect()
        };
        Self { fractions: fractions.collect(), wholes: primes.iter().map(whole).collect() }
    }

    fn new(primes: &[u32], to: u128, parts: &[u128]) -> Self {
        let fractions = primes.iter().map(|&p| {
            let p = u128::from(p);
            let fraction = ((to % p) << 60) / p;
            [(fraction >> 32) as u64, fraction as u64 & 0xffff_ffff]
        });
        let whole = |part: &u128| {
            primes.iter().map(|&p| (to / u128::from(p) % part) as u64).collect::<Vec<_>>()
        };
        Self { fractions: fractions.collect(), wholes: parts.iter().map(whole).collect() }
    }

    /// The representative of each part, below 2^63 for a prime and modulo 2^64 for a power of two,
    /// handed to `each` with the part and the place of the first, block by block: what it holds then is
    /// scratch. `y` has `len` values for each prime.
    pub(crate) fn apply(&self, y: &[u32], len: usize, each: impl FnMut(usize, usize, &mut [u64])) {
        self.apply_with(y, len, |_, coins| coins.fill(1 << 27), each);
    }

    /// The same with what is added in 28 binary places before rounding down, by the place of the first: halves
    /// round to the nearest.
    pub(crate) fn apply_with(
        &self,
        y: &[u32],
        len: usize,
        coins: impl Fn(usize, &mut [u64]),
        mut each: impl FnMut(usize, usize, &mut [u64]),
    ) {
        let mut words = Zeroizing::new([[0; BLOCK]; 2]);
        let [sum, part] = &mut *words;
        for at in (0..len).step_by(BLOCK) {
            let block = BLOCK.min(len - at);
            let (sum, part) = (&mut sum[..block], &mut part[..block]);
            coins(at, part);
            for (number, wholes) in self.wholes.iter().enumerate() {
                sum.fill(0);
                let terms = y.chunks_exact(len).map(|y| &y[at..at + block]).zip(wholes);
                if number == 0 {
                    for ((y, &whole), &fraction) in terms.zip(&self.fractions) {
                        kernels::add_fraction(whole, fraction, y, sum, part);
                    }
                } else {
                    terms.for_each(|(y, &whole)| kernels::add_multiple(whole, y, sum));
                }
                kernels::add_floor(part, sum);
                each(number, at, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modulus::Modulus;
    use sci_core::{Block, Prg};

    /// Against 128-bit arithmetic: within the bound, for values at the edges too.
    #[test]
    fn a_change_of_modulus_is_a_rounded_quotient() {
        let primes = [268_369_921u32, 268_361_729, 1_073_692_673];
        let q: u128 = primes.iter().map(|&p| u128::from(p)).product();
        let moduli = primes.map(|p| Modulus::new(p, 4096).unwrap());
        let mut prg = Prg::new(Block::from(9));
        let mut values: Vec<u128> = (0..100)
            .map(|_| (u128::from(prg.next_u64()) << 64 | u128::from(prg.next_u64())) % q)
            .collect();
        values.extend([0, 1, q / 2, q - 1]);
        let mut y = Vec::new();
        for (i, m) in moduli.iter().enumerate() {
            let c = m.scaler(m.invert(cofactor(&primes, i)));
            y.extend(values.iter().map(|v| m.scale((v % u128::from(primes[i])) as u64, c)));
        }
        for bits in [1u32, 37, 46, 63, 64] {
            Conversion::to_power(&primes, bits).apply(&y, values.len(), |_, _, out| {
                for (&v, &mut got) in values.iter().zip(out) {
                    // q < 2^87: a quotient in two steps of 40 bits.
                    let expected = quotient(v, q, bits);
                    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                    let off = got.wrapping_sub(expected as u64) & mask;
                    assert!(off <= 1 || off == mask, "{v} {bits}: {got} {expected}");
                }
            });
        }
        let to = [2_147_377_153u32, 2_147_352_577];
        let product: u128 = to.iter().map(|&p| u128::from(p)).product();
        let conversion = Conversion::to_primes(&primes, &to);
        let mut parts = Vec::new();
        conversion.apply(&y, values.len(), |i, _, out| {
            assert!(out.iter().all(|x| x >> 63 == 0));
            parts.push(out.iter().map(|x| x % u64::from(to[i])).collect::<Vec<_>>());
        });
        for (j, &v) in values.iter().enumerate() {
            // v/q·product in floating point is within 2^10 of the truth.
            let expected = v as f64 / q as f64 * product as f64;
            let near = (-2048i64..2048).any(|d| {
                let x = (expected as u128).wrapping_add_signed(d.into());
                (0..2).all(|i| (x % u128::from(to[i])) as u64 == parts[i][j])
            });
            assert!(near, "{v}");
        }
    }

    /// floor(v·2^bits/q), bit by bit.
    fn quotient(v: u128, q: u128, bits: u32) -> u128 {
        let (mut rest, mut result) = (v, 0u128);
        for _ in 0..bits {
            rest *= 2;
            result = result * 2 + u128::from(rest >= q);
            rest %= q;
        }
        result
    }
}
