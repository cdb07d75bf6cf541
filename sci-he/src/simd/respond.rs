//! The last steps of a response, in the order of the proof of the [crate docs](crate): fresh
//! encryption of zero, flooding, mask, all modulo q; then rescaling as post-processing.

use super::context::{Context, Prime};
use super::keys::Ciphertext;
use super::params::Flood;
use crate::cipher::Protection;
use crate::sample;
use sci_core::{Domain, Prg};
use zeroize::{Zeroize, Zeroizing};

/// Words of a flooding value: 8 bits of the mantissa above up to 240.
const WORDS: usize = 4;

/// Uniform over 0..V up to statistical distance 2^-119, least significant word first.
fn flood(prg: &mut Prg, flood: Flood) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (i, word) in words.iter_mut().enumerate() {
        let bits = flood.shift.saturating_sub(64 * i as u32).min(64);
        *word = prg.next_u64() & ((1u128 << bits) - 1) as u64;
    }
    // floor(r·mantissa / 2^128) for a 128-bit r.
    let (high, low) = (u128::from(prg.next_u64()), u128::from(prg.next_u64()));
    let mantissa = u128::from(flood.mantissa);
    let digit = (high * mantissa + ((low * mantissa) >> 64)) >> 64;
    let (at, shift) = (flood.shift as usize / 64, flood.shift % 64);
    let digit = digit << shift;
    words[at] |= digit as u64;
    if let Some(word) = words.get_mut(at + 1) {
        *word |= (digit >> 64) as u64;
    }
    words
}

/// The middle of 0..V, with which a test replaces flooding.
fn middle(flood: Flood) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    let digit = u128::from(flood.mantissa) << (flood.shift % 64);
    words[flood.shift as usize / 64] = digit as u64;
    if let Some(word) = words.get_mut(flood.shift as usize / 64 + 1) {
        *word = (digit >> 64) as u64;
    }
    for i in 0..WORDS {
        let above = words.get(i + 1).map_or(0, |word| word << 63);
        words[i] = words[i] >> 1 | above;
    }
    words
}

/// Makes responses to the owner of a public key.
pub(super) struct Responder<'a, D: Domain> {
    context: &'a Context<D>,
    key: &'a Ciphertext,
    pub(super) protection: Protection,
}

impl<'a, D: Domain> Responder<'a, D> {
    pub(super) fn new(context: &'a Context<D>, key: &'a Ciphertext) -> Self {
        Self { context, key, protection: Protection::FULL }
    }

    /// The response to `sum` minus `mask` at `positions`; `sum` is wiped.
    pub(super) fn respond(
        &self,
        sum: &mut Ciphertext,
        positions: &[usize],
        mask: &[u64],
        prg: &mut Prg,
    ) -> Vec<u8> {
        let (context, n) = (self.context, self.context.n());
        let (b0, b1) = (context.params().c0_bits(), context.params().c1_bits());
        let mut small = Zeroizing::new(vec![0; n]);
        if self.protection.fresh_zero {
            sample::ternary(prg, &mut small);
            let zero = context.transform_small(&small, context.params().primes().len());
            for (i, c) in context.primes[..context.params().primes().len()].iter().enumerate() {
                let range = i * n..(i + 1) * n;
                for (half, key) in [(&mut sum.c0, &self.key.c0), (&mut sum.c1, &self.key.c1)] {
                    let pairs = half[range.clone()].iter_mut().zip(&key[range.clone()]);
                    for ((x, &k), &u) in pairs.zip(&zero[range.clone()]) {
                        *x = c.m.add(*x, c.m.scale(u64::from(k) * u64::from(u), c.one));
                    }
                }
            }
            sample::errors(prg, &mut small);
        }
        for half in [&mut sum.c0, &mut sum.c1] {
            for (c, residues) in context.primes.iter().zip(half.chunks_exact_mut(n)) {
                c.m.inverse(residues);
                residues.iter_mut().for_each(|r| *r = c.m.scale((*r).into(), c.inverse_n));
            }
        }
        let mut out = vec![0; context.response_len(positions.len())];
        let (c1_bytes, c0_bytes) = out.split_at_mut(sci_core::pack::packed_len(n, b1));
        let count = context.params().primes().len();
        let rescaled: Vec<u128> = (0..n)
            .map(|j| {
                let residues = context.primes[..count]
                    .iter()
                    .enumerate()
                    .map(|(i, c)| c.m.add(sum.c1[i * n + j], c.m.small(small[j].into())));
                context.rescale(residues, b1)
            })
            .collect();
        sci_core::pack::pack_u128(&rescaled, b1, c1_bytes);
        let rescaled = self.finish_c0(&sum.c0, positions, mask, prg);
        sci_core::pack::pack_u128(&rescaled, b0, c0_bytes);
        sum.c0.zeroize();
        sum.c1.zeroize();
        out
    }

    /// Flooding and mask for the coefficients that travel, then rescaling.
    fn finish_c0(&self, c0: &[u32], positions: &[usize], mask: &[u64], prg: &mut Prg) -> Vec<u128> {
        let (context, n) = (self.context, self.context.n());
        let count = context.params().primes().len();
        let mut encoded = Zeroizing::new(vec![0; context.poly_len()]);
        let half = (context.params().domain().modulus() / 2) as u64;
        context.add_encoded(mask, |_| half, &mut encoded);
        let width = context.params().flood();
        let middle = middle(width);
        let residue = |c: &Prime, words: &[u64; WORDS]| {
            words.iter().rev().fold(0, |sum: u32, &word| {
                c.m.add(c.m.scale(sum.into(), c.two64), c.m.scale(word, c.one))
            })
        };
        let primes = &context.primes[..count];
        let middles: Vec<u32> = primes.iter().map(|c| residue(c, &middle)).collect();
        let mut rescaled = Vec::with_capacity(positions.len());
        for (j, &at) in positions.iter().enumerate() {
            let mut words = match self.protection.flooding {
                true => flood(prg, width),
                false => middle,
            };
            let residues = primes.iter().enumerate().map(|(i, c)| {
                let flood = c.m.sub(residue(c, &words), middles[i]);
                c.m.add(c.m.sub(c0[i * n + at], encoded[i * n + j]), flood)
            });
            rescaled.push(context.rescale(residues, context.params().c0_bits()));
            words.zeroize();
        }
        rescaled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::Block;

    fn real(words: [u64; WORDS]) -> f64 {
        words.iter().rev().fold(0.0, |sum, &w| sum * 64f64.exp2() + w as f64)
    }

    #[test]
    fn flooding_fills_its_width() {
        let mut prg = Prg::new(Block::from(6));
        for (mantissa, shift) in [
            (128, 0),
            (200, 70),
            (256, 3),
            (131, 111),
            (255, 60),
            (129, 64),
            (200, 190),
            (256, 240),
        ] {
            let width = Flood { mantissa, shift };
            let mut bins = [0f64; 16];
            for _ in 0..16_000 {
                let x = real(flood(&mut prg, width));
                bins[(16.0 * x / width.width()) as usize] += 1.0;
            }
            let chi: f64 = bins.iter().map(|c| (c - 1000.0f64).powi(2) / 1000.0).sum();
            // 15 degrees of freedom; bins of a width of 131·2^k differ by below 0.1 %.
            assert!(chi < 60.0, "{mantissa}·2^{shift}: {chi}");
            assert_eq!(real(middle(width)), width.width() / 2.0);
        }
    }
}
