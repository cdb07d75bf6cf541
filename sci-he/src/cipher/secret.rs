//! The client's side: the secret, requests, decryption.

use super::Context;
use super::convert::Conversion;
use crate::{kernels, sample, wire};
use sci_core::pack::{packed_len, unpack, unpack_u128};
use sci_core::{AnyDomain, Block, Domain, Error, Prg, Result};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The client's secret: uniform ternary, kept transformed. Wiped on drop.
pub struct SecretKey {
    transformed: Zeroizing<Vec<u32>>,
}

impl ZeroizeOnDrop for SecretKey {}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// A new secret.
    pub fn generate<D: Domain>(context: &Context<D>, prg: &mut Prg) -> Self {
        let mut secret = Zeroizing::new(vec![0; context.n()]);
        sample::ternary(prg, &mut secret);
        Self::from_ternary(context, &secret)
    }

    /// The secret with these N coefficients, each -1, 0 or 1: one secret serves every modulus of
    /// its degree.
    pub(crate) fn from_ternary<D: Domain>(context: &Context<D>, secret: &[i8]) -> Self {
        Self { transformed: context.transform_small(secret) }
    }

    /// The message that gives the server the public key: an encryption of zero.
    pub fn public_key<D: Domain>(&self, context: &Context<D>, prg: &mut Prg) -> Vec<u8> {
        let (seed, poly) = self.encryption(context, &[], prg);
        let mut message = vec![0; context.public_key_len()];
        message[..16].copy_from_slice(&seed.to_bytes());
        wire::write_residues(context.params.primes(), context.n(), &poly, &mut message[16..]);
        message
    }

    /// A request: the encryption of the coefficients `x` (canonical, at most N; the rest is zero)
    /// under a seed of its own, rounded.
    ///
    /// # Panics
    /// If there are more than N.
    pub fn encrypt<D: Domain>(&self, context: &Context<D>, x: &[u64], prg: &mut Prg) -> Vec<u8> {
        let (seed, mut poly) = self.encryption(context, x, prg);
        let mut message = vec![0; context.request_len()];
        message[..16].copy_from_slice(&seed.to_bytes());
        context.write_rounded(seed, &mut poly, &mut message[16..]);
        message
    }

    /// The seed and c0.
    fn encryption<D: Domain>(
        &self,
        context: &Context<D>,
        x: &[u64],
        prg: &mut Prg,
    ) -> (Block, Zeroizing<Vec<u32>>) {
        assert!(x.len() <= context.n(), "coefficients of one polynomial");
        let n = context.n();
        let seed = prg.next_block();
        let mut poly = Zeroizing::new(context.expand(seed));
        let mut errors = Zeroizing::new(vec![0; n]);
        sample::errors(prg, &mut errors);
        let keys = self.transformed.chunks_exact(n);
        for ((c, residues), key) in context.moduli.iter().zip(poly.chunks_exact_mut(n)).zip(keys) {
            kernels::multiply_by(&c.m, c.inverse_n, residues, key);
            c.m.inverse(residues);
            kernels::small_minus(&c.m, residues, &errors);
        }
        let mut coins = Zeroizing::new(vec![0; x.len()]);
        context.params.domain().sample_into(prg, &mut coins);
        context.add_encoded(x, coins.iter().copied(), n, &mut poly);
        (seed, poly)
    }

    /// The plaintext coefficients at `positions` of a response.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if the message has another length or its padding is not zero.
    ///
    /// # Panics
    /// If a position is not below N.
    pub fn decrypt<D: Domain>(
        &self,
        context: &Context<D>,
        message: &[u8],
        positions: &[usize],
    ) -> Result<Vec<u64>> {
        let expected = context.response_len(positions.len());
        if message.len() != expected {
            return Err(Error::misbehaved("length of a response", expected, message.len()));
        }
        let (b0, b1) = (context.params.c0_bits(), context.params.c1_bits());
        let (c1, c0) = message.split_at(packed_len(context.n(), b1));
        let domain = context.params.domain();
        let phases = self.phases(context, c1, c0, positions)?;
        let mask = u128::MAX >> (128 - b1);
        debug_assert!(b0 <= b1, "c0 is not longer than c1");
        Ok(phases.iter().map(|phase| round(domain, phase & mask, b1)).collect())
    }

    /// c0 + c1·s at the positions, modulo 2^b1 (and garbage above).
    pub(crate) fn phases<D: Domain>(
        &self,
        context: &Context<D>,
        c1_bytes: &[u8],
        c0_bytes: &[u8],
        positions: &[usize],
    ) -> Result<Zeroizing<Vec<u128>>> {
        let n = context.n();
        let (b0, b1) = (context.params.c0_bits(), context.params.c1_bits());
        let mut c0 = vec![0u128; positions.len()];
        unpack_u128(c0_bytes, b0, &mut c0)?;
        if b1 > 64 {
            let mut c1 = vec![0u128; n];
            unpack_u128(c1_bytes, b1, &mut c1)?;
            let low: Vec<u64> = c1.iter().map(|&x| x as u64).collect();
            let high: Vec<u64> = c1.iter().map(|&x| (x >> 64) as u64).collect();
            let product = self.times_secret(context, &low, Some(&high), false);
            let values = positions.iter().zip(&c0).map(|(&at, &c0)| {
                let digits = (0..context.narrow).map(|i| product[i * n + at]);
                context.lift(digits).wrapping_add(c0 << (b1 - b0))
            });
            return Ok(Zeroizing::new(values.collect()));
        }
        let mut c1 = vec![0u64; n];
        unpack(c1_bytes, b1, &mut c1)?;
        let product = self.times_secret(context, &c1, None, true);
        let primes = &context.params.primes()[..context.narrow];
        // Modulo 2^64: the sum of y_i·(P/p_i) less P times the whole part of the sum of y_i/p_i.
        let modulus = primes.iter().fold(1u64, |product, &p| product.wrapping_mul(p.into()));
        let turns = Conversion::to_primes(primes, &[1]);
        let mut values = Zeroizing::new(vec![0u64; n]);
        turns.apply(&product, n, |_, at, turns| {
            for (value, turns) in values[at..].iter_mut().zip(turns) {
                *value = turns.wrapping_mul(modulus).wrapping_neg();
            }
        });
        for (i, y) in product.chunks_exact(n).enumerate() {
            let others = primes.iter().enumerate().filter(|(j, _)| *j != i);
            let whole = others.fold(1u64, |product, (_, &p)| product.wrapping_mul(p.into()));
            for (value, &y) in values.iter_mut().zip(y) {
                *value = value.wrapping_add(whole.wrapping_mul(y.into()));
            }
        }
        let values = positions
            .iter()
            .zip(&c0)
            .map(|(&at, &c0)| u128::from(values[at].wrapping_add((c0 as u64) << (b1 - b0))));
        Ok(Zeroizing::new(values.collect()))
    }

    /// c1·s modulo the first primes, c1 in 0..2^b1 in one word or two; if `split`, times (P/p)^-1.
    fn times_secret<D: Domain>(
        &self,
        context: &Context<D>,
        low: &[u64],
        high: Option<&[u64]>,
        split: bool,
    ) -> Zeroizing<Vec<u32>> {
        let n = context.n();
        let primes = &context.params.primes()[..context.narrow];
        let mut product = Zeroizing::new(vec![0; context.narrow * n]);
        let keys = self.transformed.chunks_exact(n);
        for (i, ((c, residues), key)) in
            context.moduli.iter().zip(product.chunks_exact_mut(n)).zip(keys).enumerate()
        {
            match high {
                None => kernels::scale_wide(&c.m, c.one, low, residues),
                Some(high) => kernels::add_wide(&c.m, [c.one, c.two64, 0], low, high, residues),
            }
            c.m.forward(residues);
            let factor = match split {
                true => c.m.invert(super::convert::cofactor(primes, i)),
                false => 1,
            };
            let inverse_n = c.m.scale(u64::from(factor), c.inverse_n);
            kernels::multiply_by(&c.m, c.m.scaler(inverse_n), residues, key);
            c.m.inverse(residues);
        }
        product
    }
}

impl<D: Domain> Context<D> {
    /// The integer in (-P/2, P/2] with these residues, P the product of the first primes, modulo
    /// 2^128 (Garner's mixed radix).
    pub(super) fn lift(&self, residues: impl Iterator<Item = u32>) -> u128 {
        let mut digits = [0u32; 8];
        let (mut value, mut product) = (0u128, 1u128);
        for (j, (residue, c)) in residues.zip(&self.moduli).enumerate() {
            let mut digit = residue;
            for (&before, &inverse) in digits[..j].iter().zip(&c.garner) {
                // Digits of other primes may exceed this one.
                let before = c.m.scale(before.into(), c.one);
                digit = c.m.scale(c.m.sub(digit, before).into(), inverse);
            }
            digits[j] = digit;
            value = value.wrapping_add(product.wrapping_mul(digit.into()));
            product = product.wrapping_mul(c.m.p.into());
        }
        let negative = ((product / 2).wrapping_sub(value) >> 127).wrapping_neg();
        value.wrapping_sub(product & negative)
    }
}

/// round(t·v/2^bits) mod t.
pub(crate) fn round<D: Domain>(domain: D, v: u128, bits: u32) -> u64 {
    match domain.any() {
        AnyDomain::Ring(ring) => {
            let drop = bits - ring.bitwidth().get();
            domain.reduce_wide((v + (1 << (drop - 1))) >> drop)
        }
        AnyDomain::Field(field) => {
            let t = u128::from(field.n());
            let low = (v as u64 as u128) * t;
            // t·v = high·2^64 + (low mod 2^64), where high stays far below 2^128.
            let high = (v >> 64) * t + (low >> 64);
            let rounded = if bits > 64 {
                (high + (1 << (bits - 65))) >> (bits - 64)
            } else {
                (low + (1 << (bits - 1))) >> bits
            };
            domain.reduce_wide(rounded)
        }
    }
}
