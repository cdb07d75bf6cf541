//! The RLWE layer: keys, seeded requests, the server's responses, decryption.
//!
//! Everything lives in `R = Z_q[X]/(X^N + 1)`, q the product of the primes, as residues prime by prime.
//! A plaintext x of Z_t is encoded as round(q·x/t), which wraps exactly: errors do not grow with the
//! integer quotient of a product by t. A request is (c0, a) with c0 = -a·s + e + encode(x), a
//! uniform from a 16-byte seed. The public key is such an encryption of zero. A response is made in
//! four steps, in this order (why: [crate docs](crate)): product, fresh encryption of zero,
//! flooding, mask; then, as post-processing, rescaling to 2^b1 and the loss of low bits.
//!
//! All secret-dependent code is free of branches and table look-ups on values; rejection happens
//! only for public seeds and for bytes that are thrown away.

use crate::kernels::{BLOCK, accumulate};
use crate::modulus::Modulus;
use crate::params::{LAZY, Params};
use crate::{sample, wire};
use sci_core::{AnyDomain, Block, Domain, Error, Prg, Result};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Parameters with the tables that computing with them needs.
#[derive(Debug)]
pub struct Context<D: Domain> {
    params: Params<D>,
    pub(crate) moduli: Vec<Constants>,
    /// q mod t.
    modulus_in_domain: u64,
    /// How many primes the product of c1 with the secret needs in decryption.
    narrow: usize,
}

/// A prime and the constants of this base.
#[derive(Debug)]
pub(crate) struct Constants {
    pub(crate) m: Modulus,
    /// Scalers ([`Modulus::scaler`]) of 1, 2^64, 1/t, 1/N and (q/p)^-1.
    one: u32,
    two64: u32,
    inverse_t: u32,
    inverse_n: u32,
    cofactor: u32,
    /// floor(t/2) mod p and V/2 mod p.
    half_t: u32,
    half_flood: u32,
    /// Scalers of (p_0 … p_(j-1))^-1 folded step by step: of p_j^-1 mod this p, for j before it.
    garner: Vec<u32>,
}

impl<D: Domain> Context<D> {
    /// Builds the tables.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the primes of `params` have no transform, which [`Params`] excludes.
    pub fn new(params: Params<D>) -> Result<Self> {
        let (n, domain) = (params.degree(), params.domain());
        let primes = params.primes();
        let residue = |x: u128, p: u32| (x % u128::from(p)) as u32;
        let moduli = primes.iter().enumerate().map(|(i, &p)| {
            let m = Modulus::new(p, n)
                .ok_or_else(|| Error::misuse(format!("{p} has no transform of size {n}")))?;
            let others = primes.iter().enumerate().filter(|(j, _)| *j != i);
            let cofactor = others
                .fold(1, |c, (_, &other)| (u64::from(c) * u64::from(other) % u64::from(p)) as u32);
            Ok(Constants {
                one: m.scaler(1),
                two64: m.scaler(residue(1 << 64, p)),
                inverse_t: m.scaler(m.invert(residue(domain.modulus(), p))),
                inverse_n: m.scaler(m.invert(residue(n as u128, p))),
                cofactor: m.scaler(m.invert(cofactor)),
                half_t: residue(domain.modulus() / 2, p),
                half_flood: residue(params.flood().width() / 2, p),
                garner: primes[..i].iter().map(|&before| m.scaler(m.invert(before % p))).collect(),
                m,
            })
        });
        let moduli = moduli.collect::<Result<Vec<_>>>()?;
        let modulus_in_domain =
            primes.iter().fold(domain.reduce(1), |q, &p| domain.mul(q, domain.reduce(p.into())));
        // The product is below N·2^b1, and its sign takes a bit.
        let needed = params.c1_bits() + n.ilog2() + 1;
        let mut bits = 0.0;
        let narrow = primes.iter().position(|&p| {
            bits += f64::from(p).log2();
            bits > f64::from(needed)
        });
        let narrow = narrow.filter(|_| bits < 127.0).map(|last| last + 1).ok_or_else(|| {
            Error::invalid("response modulus", "within that of the request", params.c1_bits())
        })?;
        Ok(Self { params, moduli, modulus_in_domain, narrow })
    }

    /// The parameters.
    pub fn params(&self) -> &Params<D> {
        &self.params
    }

    /// Residues of one polynomial.
    pub fn poly_len(&self) -> usize {
        self.moduli.len() * self.n()
    }

    pub(crate) fn n(&self) -> usize {
        self.params.degree()
    }

    /// Adds round(q·x/t) of coefficients to a polynomial of residues.
    fn add_encoded(&self, x: &[u64], poly: &mut [u32]) {
        let domain = self.params.domain();
        let half = (domain.modulus() / 2) as u64;
        for (i, &x) in x.iter().enumerate() {
            // t divides q·x + half - rest, and q is 0 modulo p.
            let rest = domain.add(domain.mul(self.modulus_in_domain, x), domain.reduce(half));
            for (c, residues) in self.moduli.iter().zip(poly.chunks_exact_mut(self.n())) {
                let value = c.m.scale(rest, c.inverse_t);
                let half = c.m.scale(u64::from(c.half_t), c.inverse_t);
                residues[i] = c.m.add(residues[i], c.m.sub(half, value));
            }
        }
    }

    /// The transform of small signed coefficients under every prime.
    fn transform_small(&self, coefficients: &[i8]) -> Zeroizing<Vec<u32>> {
        let mut poly = Zeroizing::new(vec![0; self.poly_len()]);
        for (c, residues) in self.moduli.iter().zip(poly.chunks_exact_mut(self.n())) {
            for (r, &x) in residues.iter_mut().zip(coefficients) {
                *r = c.m.small(x.into());
            }
            c.m.forward(residues);
        }
        poly
    }

    /// The transform of plaintext coefficients (weights), each within the declared bound.
    pub fn transform_weights(&self, weights: &[i32], poly: &mut [u32]) {
        let bound = self.params.demand().weight_bound;
        for (c, residues) in self.moduli.iter().zip(poly.chunks_exact_mut(self.n())) {
            let pairs = residues.iter_mut().zip(weights);
            if bound < u64::from(c.m.p) {
                pairs.for_each(|(r, &w)| *r = c.m.small(w));
            } else {
                // Above any weight: primes exceed 2^19.
                let lift = i64::from(c.m.p) << 12;
                pairs.for_each(|(r, &w)| *r = c.m.scale((i64::from(w) + lift) as u64, c.one));
            }
            c.m.forward(residues);
        }
    }

    /// The uniform half of a seed, in transformed form.
    fn expand(&self, seed: Block) -> Vec<u32> {
        let mut poly = vec![0; self.poly_len()];
        for (i, (c, residues)) in
            self.moduli.iter().zip(poly.chunks_exact_mut(self.n())).enumerate()
        {
            let mut prg = Prg::with_stream(seed, i as u64);
            sample::uniform_vartime(&mut prg, c.m.p, residues);
        }
        poly
    }

    /// Bytes of a request, and of a public key.
    pub fn request_len(&self) -> usize {
        16 + wire::residues_len(&self.params)
    }

    /// Bytes of a response with `wanted` coefficients.
    pub fn response_len(&self, wanted: usize) -> usize {
        sci_core::pack::packed_len(self.n(), self.params.c1_bits())
            + sci_core::pack::packed_len(wanted, self.params.c0_bits())
    }
}

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
        self.encrypt(context, &[], prg)
    }

    /// A request: the encryption of the coefficients `x` (canonical, at most N; the rest is zero)
    /// under a seed of its own.
    ///
    /// # Panics
    /// If there are more than N.
    pub fn encrypt<D: Domain>(&self, context: &Context<D>, x: &[u64], prg: &mut Prg) -> Vec<u8> {
        assert!(x.len() <= context.n(), "coefficients of one polynomial");
        let n = context.n();
        let seed = prg.next_block();
        let mut poly = Zeroizing::new(context.expand(seed));
        let mut errors = Zeroizing::new(vec![0; n]);
        sample::errors(prg, &mut errors);
        let keys = self.transformed.chunks_exact(n);
        for ((c, residues), key) in context.moduli.iter().zip(poly.chunks_exact_mut(n)).zip(keys) {
            for (r, s) in residues.iter_mut().zip(key) {
                *r = c.m.scale(u64::from(*r) * u64::from(*s), c.inverse_n);
            }
            c.m.inverse(residues);
            for (r, &e) in residues.iter_mut().zip(errors.iter()) {
                *r = c.m.sub(c.m.small(e.into()), *r);
            }
        }
        context.add_encoded(x, &mut poly);
        let mut message = vec![0; context.request_len()];
        message[..16].copy_from_slice(&seed.to_bytes());
        wire::write_residues(&context.params, &poly, &mut message[16..]);
        message
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
        let (params, n) = (&context.params, context.n());
        let expected = context.response_len(positions.len());
        if message.len() != expected {
            return Err(Error::misbehaved("length of a response", expected, message.len()));
        }
        let (b0, b1) = (params.c0_bits(), params.c1_bits());
        let mut c1 = vec![0u128; n];
        let mut c0 = vec![0u128; positions.len()];
        let (c1_bytes, c0_bytes) = message.split_at(sci_core::pack::packed_len(n, b1));
        sci_core::pack::unpack_u128(c1_bytes, b1, &mut c1)?;
        sci_core::pack::unpack_u128(c0_bytes, b0, &mut c0)?;
        let product = self.times_secret(context, &c1);
        let values = positions.iter().zip(&c0).map(|(&at, &c0)| {
            let digits = (0..context.narrow).map(|i| product[i * n + at]);
            let phase = context.lift(digits).wrapping_add(c0 << (b1 - b0));
            round(params.domain(), phase & (u128::MAX >> (128 - b1)), b1)
        });
        Ok(values.collect())
    }

    /// c1·s modulo the first primes, c1 in 0..2^b1.
    fn times_secret<D: Domain>(&self, context: &Context<D>, c1: &[u128]) -> Zeroizing<Vec<u32>> {
        let n = context.n();
        let mut product = Zeroizing::new(vec![0; context.narrow * n]);
        let keys = self.transformed.chunks_exact(n);
        for ((c, residues), key) in context.moduli.iter().zip(product.chunks_exact_mut(n)).zip(keys)
        {
            for (r, &x) in residues.iter_mut().zip(c1) {
                *r = c.m.scale(x as u64, c.one);
                if context.params.c1_bits() > 64 {
                    *r = c.m.add(*r, c.m.scale((x >> 64) as u64, c.two64));
                }
            }
            c.m.forward(residues);
            for (r, s) in residues.iter_mut().zip(key) {
                *r = c.m.scale(u64::from(*r) * u64::from(*s), c.inverse_n);
            }
            c.m.inverse(residues);
        }
        product
    }
}

impl<D: Domain> Context<D> {
    /// The integer in (-P/2, P/2] with these residues, P the product of the first primes, modulo
    /// 2^128 (Garner's mixed radix).
    fn lift(&self, residues: impl Iterator<Item = u32>) -> u128 {
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

/// A ciphertext on the server, both halves transformed.
pub struct Ciphertext {
    pub(crate) c0: Vec<u32>,
    pub(crate) c1: Vec<u32>,
}

impl Ciphertext {
    /// Parses a request and adds the server's own share `x` to its plaintext.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for another length, a residue that is not canonical, or padding.
    ///
    /// # Panics
    /// If there are more than N coefficients.
    pub fn receive<D: Domain>(context: &Context<D>, message: &[u8], x: &[u64]) -> Result<Self> {
        assert!(x.len() <= context.n(), "coefficients of one polynomial");
        let expected = context.request_len();
        let Some((seed, body)) = message.split_first_chunk().filter(|_| message.len() == expected)
        else {
            return Err(Error::misbehaved("length of a request", expected, message.len()));
        };
        let mut c0 = wire::read_residues(&context.params, body)?;
        context.add_encoded(x, &mut c0);
        for (c, residues) in context.moduli.iter().zip(c0.chunks_exact_mut(context.n())) {
            c.m.forward(residues);
        }
        Ok(Self { c0, c1: context.expand(Block::from_bytes(*seed)) })
    }
}

impl std::fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ciphertext({} residues)", self.c0.len())
    }
}

/// What protects the weights. Only tests take a step away, to see that it is missed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protection {
    pub(crate) fresh_zero: bool,
    pub(crate) flooding: bool,
}

impl Protection {
    pub(crate) const FULL: Self = Self { fresh_zero: true, flooding: true };
}

/// Sums of products on the way to a response, with its scratch memory.
pub struct Responder<'a, D: Domain> {
    context: &'a Context<D>,
    key: &'a Ciphertext,
    pub(crate) protection: Protection,
    c0: Vec<u32>,
    c1: Vec<u32>,
}

impl<'a, D: Domain> Responder<'a, D> {
    /// For responses to the owner of `key`, the client's public key as received.
    pub fn new(context: &'a Context<D>, key: &'a Ciphertext) -> Self {
        let zeros = vec![0; context.poly_len()];
        Self { context, key, protection: Protection::FULL, c0: zeros.clone(), c1: zeros }
    }

    /// The response to sum_i w_i·x_i minus `mask` at `positions`, written to `out`.
    ///
    /// The order of operations is that of the proof: a fresh encryption of zero enters the sum of
    /// products, every coefficient that will travel is flooded and masked, all modulo q; then the
    /// result is rescaled and shortened.
    ///
    /// # Panics
    /// Unless `out` has the length of a response and there is a mask for each position.
    pub fn respond(
        &mut self,
        products: &[(&[u32], &Ciphertext)],
        positions: &[usize],
        mask: &[u64],
        prg: &mut Prg,
        out: &mut [u8],
    ) {
        assert_eq!(out.len(), self.context.response_len(positions.len()), "bytes of a response");
        assert_eq!(mask.len(), positions.len(), "masks of a response");
        let (context, n) = (self.context, self.context.n());
        let mut small = Zeroizing::new(vec![0; n]);
        let mut zero = None;
        if self.protection.fresh_zero {
            sample::ternary(prg, &mut small);
            zero = Some(context.transform_small(&small));
        }
        let mut products = products.to_vec();
        products.extend(zero.iter().map(|u| (u.as_slice(), self.key)));
        for (i, c) in context.moduli.iter().enumerate() {
            let range = i * n..(i + 1) * n;
            let (out0, out1) = (&mut self.c0[range.clone()], &mut self.c1[range]);
            sum_products(c, i * n, &products, out0, out1);
            c.m.inverse(out0);
            c.m.inverse(out1);
        }
        small.as_mut_slice().zeroize();
        if self.protection.fresh_zero {
            sample::errors(prg, &mut small);
        }
        let (c1_bytes, c0_bytes) =
            out.split_at_mut(sci_core::pack::packed_len(n, context.params.c1_bits()));
        let rescaled: Vec<u128> = (0..n)
            .map(|j| {
                let residues = context
                    .moduli
                    .iter()
                    .enumerate()
                    .map(|(i, c)| c.m.add(self.c1[i * n + j], c.m.small(small[j].into())));
                context.rescale(residues, context.params.c1_bits())
            })
            .collect();
        sci_core::pack::pack_u128(&rescaled, context.params.c1_bits(), c1_bytes);
        let rescaled = self.finish_c0(positions, mask, prg);
        sci_core::pack::pack_u128(&rescaled, context.params.c0_bits(), c0_bytes);
    }

    /// Flooding and mask for the coefficients that travel, then rescaling.
    fn finish_c0(&self, positions: &[usize], mask: &[u64], prg: &mut Prg) -> Vec<u128> {
        let (context, n) = (self.context, self.context.n());
        let count = positions.len();
        let mut encoded = Zeroizing::new(vec![0; context.poly_len()]);
        context.add_encoded(mask, &mut encoded);
        let mut rescaled = Vec::with_capacity(count);
        for (j, &at) in positions.iter().enumerate() {
            let mut flood = match self.protection.flooding {
                true => sample::flood(prg, context.params.flood()),
                false => context.params.flood().width() / 2,
            };
            let residues = context.moduli.iter().enumerate().map(|(i, c)| {
                let high = c.m.scale((flood >> 64) as u64, c.two64);
                let flood = c.m.add(high, c.m.scale(flood as u64, c.one));
                let flood = c.m.sub(flood, c.half_flood);
                let masked = c.m.sub(self.c0[i * n + at], encoded[i * n + j]);
                c.m.add(masked, flood)
            });
            rescaled.push(context.rescale(residues, context.params.c0_bits()));
            flood.zeroize();
        }
        rescaled
    }
}

impl<D: Domain> Drop for Responder<'_, D> {
    fn drop(&mut self) {
        self.c0.zeroize();
        self.c1.zeroize();
    }
}

impl<D: Domain> std::fmt::Debug for Responder<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder(..)")
    }
}

impl<D: Domain> Context<D> {
    /// round(2^bits·c/q) mod 2^bits from the residues of c: c/q is the sum of
    /// (c·(q/p)^-1 mod p)/p modulo 1, taken here to 128 binary places with an error below 2^-96.
    fn rescale(&self, residues: impl Iterator<Item = u32>, bits: u32) -> u128 {
        let fraction = residues.zip(&self.moduli).fold(0u128, |sum, (r, c)| {
            let y = c.m.scale(r.into(), c.cofactor);
            sum.wrapping_add(c.m.reciprocal.wrapping_mul(y.into()))
        });
        fraction.wrapping_add(1 << (127 - bits)) >> (128 - bits)
    }
}

/// The two sums of products under one prime, times 1/N, block by block so that the accumulators
/// stay in the first-level cache and every weight is read once.
fn sum_products(
    c: &Constants,
    offset: usize,
    products: &[(&[u32], &Ciphertext)],
    out0: &mut [u32],
    out1: &mut [u32],
) {
    let (mut a0, mut a1) = ([0u64; BLOCK], [0u64; BLOCK]);
    for (block, (out0, out1)) in
        out0.chunks_exact_mut(BLOCK).zip(out1.chunks_exact_mut(BLOCK)).enumerate()
    {
        let range = offset + block * BLOCK..offset + (block + 1) * BLOCK;
        a0.fill(0);
        a1.fill(0);
        for (i, (w, x)) in products.iter().enumerate() {
            if i > 0 && i % (LAZY - 1) == 0 {
                // A reduced sum counts as one product.
                for a in a0.iter_mut().chain(&mut a1) {
                    *a = c.m.scale(*a, c.one).into();
                }
            }
            let range = range.clone();
            accumulate(&mut a0, &mut a1, &w[range.clone()], &x.c0[range.clone()], &x.c1[range]);
        }
        for (out, a) in out0.iter_mut().zip(&a0).chain(out1.iter_mut().zip(&a1)) {
            *out = c.m.scale(*a, c.inverse_n);
        }
    }
}

#[cfg(test)]
mod tests;
