//! The last steps of a response, in the order of the proof of the [crate docs](crate): fresh
//! encryption of zero, flooding, mask, all modulo q; then rescaling as post-processing.

use super::context::Context;
use super::kernels;
use super::keys::Ciphertext;
use super::params::Flood;
use crate::cipher::Protection;
use crate::sample;
use sci_core::{Domain, Prg};
use zeroize::Zeroizing;

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

    /// The response to `sum` minus `mask` at `positions`.
    pub(super) fn respond(
        &self,
        mut sum: Ciphertext,
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
            for (half, key) in [(&mut sum.c0, &self.key.c0), (&mut sum.c1, &self.key.c1)] {
                let parts = half.chunks_exact_mut(n).zip(key.chunks_exact(n));
                for ((c, (x, key)), u) in context.primes.iter().zip(parts).zip(zero.chunks_exact(n))
                {
                    kernels::add_products(&c.m, c.one, key, u, x);
                }
            }
            sample::errors(prg, &mut small);
        }
        context.inverse(0, &mut sum.c0);
        context.inverse(0, &mut sum.c1);
        for (c, residues) in context.primes.iter().zip(sum.c1.chunks_exact_mut(n)) {
            for (x, &e) in residues.iter_mut().zip(small.iter()) {
                *x = c.m.add(*x, c.m.small(e.into()));
            }
        }
        let mut out = vec![0; context.response_len(positions.len())];
        let (c1_bytes, c0_bytes) = out.split_at_mut(sci_core::pack::packed_len(n, b1));
        sci_core::pack::pack_u128(&context.rescale(&mut sum.c1, b1), b1, c1_bytes);
        let rescaled = self.finish_c0(&sum.c0, positions, mask, prg);
        sci_core::pack::pack_u128(&rescaled, b0, c0_bytes);
        out
    }

    /// Flooding and mask for the coefficients that travel, then rescaling.
    fn finish_c0(&self, c0: &[u32], positions: &[usize], mask: &[u64], prg: &mut Prg) -> Vec<u128> {
        let (context, n) = (self.context, self.context.n());
        let (width, len) = (context.params().flood(), positions.len());
        // Flooding values word by word, most significant first, and the middle of their range.
        let used = (width.shift as usize + 8) / 64 + 1;
        let middle = middle(width);
        let mut words = Zeroizing::new(vec![0; used * len]);
        for j in 0..len {
            let value = match self.protection.flooding {
                true => flood(prg, width),
                false => middle,
            };
            for (i, word) in value[..used].iter().rev().enumerate() {
                words[i * len + j] = *word;
            }
        }
        let mut masked = Zeroizing::new(vec![0; context.params().primes().len() * len]);
        let mut padded = Zeroizing::new(vec![0; n]);
        padded[..len].copy_from_slice(mask);
        let mut encoded = Zeroizing::new(vec![0; context.poly_len()]);
        context.add_encoded(&padded, &context.nearest(n), &mut encoded);
        let parts = masked.chunks_exact_mut(len.max(1));
        let sources = c0.chunks_exact(n).zip(encoded.chunks_exact(n));
        for ((c, out), (c0, mask)) in context.primes.iter().zip(parts).zip(sources) {
            let mut offset = [0];
            for word in middle[..used].iter().rev() {
                kernels::append_words(&c.m, c.two64, c.one, &[*word], &mut offset);
            }
            for word in words.chunks_exact(len.max(1)) {
                kernels::append_words(&c.m, c.two64, c.one, word, out);
            }
            for ((x, &at), &mask) in out.iter_mut().zip(positions).zip(mask) {
                *x = c.m.add(c.m.sub(*x, offset[0]), c.m.sub(c0[at], mask));
            }
        }
        context.rescale(&mut masked, context.params().c0_bits())
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
