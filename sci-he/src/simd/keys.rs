//! The client's secret, and the public material that the server computes with.
//!
//! *Requests and public key.* (c0, a) with c0 = -a·s + e + encode(x) modulo q, a uniform from a
//! 16-byte seed; the public key is such an encryption of zero.
//!
//! *Rotation keys.* For an automorphism f, digit i of the primes of q: (b_i, a_i) modulo q·P with
//! b_i = -a_i·s + e_i + g_i·f(s), where g_i is P modulo the primes of the digit and 0 modulo the
//! others. A polynomial c is sum_i d_i·g_i/P modulo q for the integers d_i with |d_i| <= D/2 that
//! agree with c modulo the primes of digit i. That encryptions of f(s) under s itself are safe is the
//! usual assumption of circular security. All a_i of one key come from one seed.

use super::context::Context;
use crate::sample;
use crate::wipe::wipe;
use sci_core::{Block, Domain, Error, Prg, Result};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// The client's secret: uniform ternary, kept transformed under all primes. Wiped on drop.
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

    /// The secret with these N coefficients, each -1, 0 or 1.
    pub(super) fn from_ternary<D: Domain>(context: &Context<D>, secret: &[i8]) -> Self {
        Self { transformed: context.transform_small(secret, context.primes.len()) }
    }

    /// The message that gives the server the public key: an encryption of zero.
    pub fn public_key<D: Domain>(&self, context: &Context<D>, prg: &mut Prg) -> Vec<u8> {
        self.encrypt(context, &[], prg)
    }

    /// A request: the encryption of plaintext coefficients (canonical, at most N; the rest is zero)
    /// under a seed of its own, rounded at random without bias.
    pub(super) fn encrypt<D: Domain>(
        &self,
        context: &Context<D>,
        x: &[u64],
        prg: &mut Prg,
    ) -> Vec<u8> {
        let n = context.n();
        let seed = prg.next_block();
        let mut poly = Zeroizing::new(vec![0; context.poly_len()]);
        context.expand(seed, 0, &mut poly);
        let mut errors = Zeroizing::new(vec![0; n]);
        sample::errors(prg, &mut errors);
        let keys = self.transformed.chunks_exact(n);
        for ((c, residues), key) in context.primes.iter().zip(poly.chunks_exact_mut(n)).zip(keys) {
            for (r, s) in residues.iter_mut().zip(key) {
                *r = c.m.scale(u64::from(*r) * u64::from(*s), c.inverse_n);
            }
            c.m.inverse(residues);
            for (r, &e) in residues.iter_mut().zip(errors.iter()) {
                *r = c.m.sub(c.m.small(e.into()), *r);
            }
        }
        let mut rounding = Zeroizing::new(vec![0; x.len()]);
        context.params().domain().sample_into(prg, &mut rounding);
        context.add_encoded(x, &rounding, &mut poly);
        let mut message = vec![0; context.request_len()];
        message[..16].copy_from_slice(&seed.to_bytes());
        context.write(&poly, &mut message[16..]);
        message
    }

    /// The message that gives the server the rotation key of X -> X^`element`.
    pub(super) fn rotation_key<D: Domain>(
        &self,
        context: &Context<D>,
        element: usize,
        prg: &mut Prg,
    ) -> Vec<u8> {
        let (n, all) = (context.n(), context.primes.len());
        let digit = context.params().special().len();
        let count = context.params().primes().len();
        let seed = prg.next_block();
        let mut message = Vec::with_capacity(context.rotation_key_len());
        message.extend_from_slice(&seed.to_bytes());
        let permutation = context.permutation(element);
        let mut errors = Zeroizing::new(vec![0; n]);
        let mut uniform = vec![0; context.wide_len()];
        for i in 0..context.params().digits() {
            context.expand(seed, (i * all) as u64, &mut uniform);
            sample::errors(prg, &mut errors);
            let mut poly = context.transform_small(&errors, all);
            for (j, c) in context.primes.iter().enumerate() {
                let range = j * n..(j + 1) * n;
                let key = &self.transformed[range.clone()];
                let inside = j < count && j / digit == i;
                let rows = poly[range.clone()].iter_mut().zip(&uniform[range]);
                for ((b, a), (s, &image)) in rows.zip(key.iter().zip(&permutation)) {
                    *b = c.m.sub(*b, c.m.scale(u64::from(*a) * u64::from(*s), c.one));
                    if inside {
                        let moved = key[image as usize];
                        *b = c.m.add(*b, c.m.scale(moved.into(), c.special));
                    }
                }
            }
            let at = message.len();
            message.resize(at + context.packed_len(all), 0);
            context.write(&poly, &mut message[at..]);
        }
        message
    }

    /// The plaintext coefficients at `positions` of a response.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if the message has another length or its padding is not zero.
    pub(super) fn decrypt<D: Domain>(
        &self,
        context: &Context<D>,
        message: &[u8],
        positions: &[usize],
    ) -> Result<Zeroizing<Vec<u64>>> {
        let (params, n) = (context.params(), context.n());
        let phases = self.phases(context, message, positions)?;
        let b1 = params.c1_bits();
        debug_assert!(positions.iter().all(|&at| at < n));
        Ok(Zeroizing::new(
            phases.iter().map(|&v| crate::cipher::round(params.domain(), v, b1)).collect(),
        ))
    }

    /// c0 + c1·s modulo 2^b1.
    pub(super) fn phases<D: Domain>(
        &self,
        context: &Context<D>,
        message: &[u8],
        positions: &[usize],
    ) -> Result<Zeroizing<Vec<u128>>> {
        let (params, n) = (context.params(), context.n());
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
        let phases = positions.iter().zip(&c0).map(|(&at, &c0)| {
            let residues = (0..context.narrow).map(|i| product[i * n + at]);
            context.lift(residues).wrapping_add(c0 << (b1 - b0)) & (u128::MAX >> (128 - b1))
        });
        Ok(Zeroizing::new(phases.collect()))
    }

    /// c1·s modulo the first primes, c1 in 0..2^b1.
    fn times_secret<D: Domain>(&self, context: &Context<D>, c1: &[u128]) -> Zeroizing<Vec<u32>> {
        let n = context.n();
        let mut product = Zeroizing::new(vec![0; context.narrow * n]);
        let keys = self.transformed.chunks_exact(n);
        for ((c, residues), key) in context.primes.iter().zip(product.chunks_exact_mut(n)).zip(keys)
        {
            for (r, &x) in residues.iter_mut().zip(c1) {
                *r = c.m.scale(x as u64, c.one);
                if context.params().c1_bits() > 64 {
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

#[cfg(test)]
impl SecretKey {
    /// The error of a ciphertext at the modulus q, in units of one: c0 + c1·s minus the encoding of a
    /// plaintext. Errors are far below the product of the first four primes.
    pub(super) fn errors<D: Domain>(
        &self,
        context: &Context<D>,
        ciphertext: &Ciphertext,
        plain: &[u64],
    ) -> Vec<f64> {
        let n = context.n();
        let mut phase = vec![0; context.poly_len()];
        context.add_encoded(plain, &context.nearest(plain.len()), &mut phase);
        context.forward(&mut phase);
        for (j, c) in context.primes[..context.params().primes().len()].iter().enumerate() {
            let range = j * n..(j + 1) * n;
            let key = &self.transformed[range.clone()];
            let halves = ciphertext.c0[range.clone()].iter().zip(&ciphertext.c1[range.clone()]);
            for ((x, (&c0, &c1)), &s) in phase[range].iter_mut().zip(halves).zip(key) {
                let product = c.m.scale(u64::from(c1) * u64::from(s), c.one);
                let error = c.m.sub(c.m.add(c0, product), *x);
                *x = c.m.scale(error.into(), c.inverse_n);
            }
            c.m.inverse(&mut phase[j * n..(j + 1) * n]);
        }
        (0..n)
            .map(|at| context.lift((0..4).map(|j| phase[j * n + at])).cast_signed() as f64)
            .collect()
    }
}

impl<D: Domain> Context<D> {
    /// Bytes of a request, and of a public key.
    pub fn request_len(&self) -> usize {
        16 + self.packed_len(self.params().primes().len())
    }

    /// Bytes of one rotation key.
    pub fn rotation_key_len(&self) -> usize {
        16 + self.params().digits() * self.packed_len(self.primes.len())
    }

    /// Bytes of a response with `wanted` coefficients.
    pub fn response_len(&self, wanted: usize) -> usize {
        sci_core::pack::packed_len(self.n(), self.params().c1_bits())
            + sci_core::pack::packed_len(wanted, self.params().c0_bits())
    }
}

/// A ciphertext on the server, both halves transformed, modulo q. The server's share is in it: wiped on drop.
#[derive(Clone)]
pub struct Ciphertext {
    pub(super) c0: Vec<u32>,
    pub(super) c1: Vec<u32>,
}

impl Ciphertext {
    pub(super) fn zero<D: Domain>(context: &Context<D>) -> Self {
        let zeros = vec![0; context.poly_len()];
        Self { c0: zeros.clone(), c1: zeros }
    }

    /// Parses a request and adds the server's own share, plaintext coefficients, rounded at random.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for another length, a residue that is not canonical, or padding.
    pub(super) fn receive<D: Domain>(
        context: &Context<D>,
        message: &[u8],
        own: Option<(&[u64], &mut Prg)>,
    ) -> Result<Self> {
        let expected = context.request_len();
        let Some((seed, body)) = message.split_first_chunk().filter(|_| message.len() == expected)
        else {
            return Err(Error::misbehaved("length of a request", expected, message.len()));
        };
        let mut received = Self::zero(context);
        context.read(body, &mut received.c0)?;
        if let Some((x, prg)) = own {
            let mut rounding = Zeroizing::new(vec![0; x.len()]);
            context.params().domain().sample_into(prg, &mut rounding);
            context.add_encoded(x, &rounding, &mut received.c0);
        }
        context.forward(&mut received.c0);
        context.expand(Block::from_bytes(*seed), 0, &mut received.c1);
        Ok(received)
    }
}

impl Drop for Ciphertext {
    fn drop(&mut self) {
        wipe(&mut self.c0);
        wipe(&mut self.c1);
    }
}

impl ZeroizeOnDrop for Ciphertext {}

impl std::fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ciphertext({} residues)", self.c0.len())
    }
}

/// A rotation key on the server: both halves of every digit, moved by the inverse automorphism.
pub struct RotationKey {
    /// Digit by digit.
    pub(super) b: Vec<u32>,
    pub(super) a: Vec<u32>,
    pub(super) permutation: Vec<u32>,
}

impl RotationKey {
    /// Parses the key of X -> X^`element`.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for another length or a residue that is not canonical.
    pub(super) fn receive<D: Domain>(
        context: &Context<D>,
        element: usize,
        message: &[u8],
    ) -> Result<Self> {
        let (n, all, len) = (context.n(), context.primes.len(), context.wide_len());
        let expected = context.rotation_key_len();
        let Some((seed, body)) = message.split_first_chunk().filter(|_| message.len() == expected)
        else {
            return Err(Error::misbehaved("length of a rotation key", expected, message.len()));
        };
        let seed = Block::from_bytes(*seed);
        let permutation = context.permutation(element);
        let digits = context.params().digits();
        let (mut b, mut a) = (vec![0; digits * len], vec![0; digits * len]);
        let mut plain = vec![0; len];
        let unmove = |plain: &[u32], out: &mut [u32]| {
            for (from, to) in plain.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                for (&x, &at) in from.iter().zip(&permutation) {
                    to[at as usize] = x;
                }
            }
        };
        for (i, bytes) in body.chunks_exact(context.packed_len(all)).enumerate() {
            context.read(bytes, &mut plain)?;
            unmove(&plain, &mut b[i * len..(i + 1) * len]);
            context.expand(seed, (i * all) as u64, &mut plain);
            unmove(&plain, &mut a[i * len..(i + 1) * len]);
        }
        Ok(Self { b, a, permutation })
    }
}

impl std::fmt::Debug for RotationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RotationKey({} residues)", self.b.len() + self.a.len())
    }
}
