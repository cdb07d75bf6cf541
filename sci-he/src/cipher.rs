//! The RLWE layer: keys, seeded requests, the server's responses, decryption.
//!
//! Everything lives in `R = Z_q[X]/(X^N + 1)`, q the product of the primes, as residues prime by prime.
//! A plaintext x of Z_t is encoded as q·x/t, rounded at random to one of its neighbours so that the
//! error has mean zero; this wraps exactly: errors do not grow with the integer quotient of a
//! product by t. A request is (c0, a) with c0 = -a·s + e + encode(x), a uniform from a 16-byte seed, and
//! c0 rounded to its top bits ([`Params::request_bits`]). The public key is such an encryption of zero, not rounded. A response is made in four steps, in this order
//! (why: [crate docs](crate)): product, fresh encryption of zero, flooding, mask; then, as
//! post-processing, [packing](crate::packing), rescaling to 2^b1 and the loss of low bits.
//!
//! All secret-dependent code is free of branches and table look-ups on values; rejection happens
//! only for public seeds and for bytes that are thrown away.

pub(crate) mod convert;
mod request;
mod respond;
mod rounding;
mod secret;

pub use request::Ciphertext;
pub use respond::Responder;
pub(crate) use respond::{Protection, Scratch, Sums};
pub use secret::SecretKey;
pub(crate) use secret::round;

use crate::modulus::Modulus;
use crate::params::Params;
use crate::{kernels, sample, wire};
use convert::Conversion;
use rounding::Rounding;
use sci_core::{Block, Domain, Error, Prg, Result};
use zeroize::Zeroizing;

/// Parameters with the tables that computing with them needs.
#[derive(Debug)]
pub struct Context<D: Domain> {
    params: Params<D>,
    pub(crate) moduli: Vec<Constants>,
    /// q mod t.
    modulus_in_domain: u64,
    /// How many primes the product of c1 with the secret needs in decryption.
    narrow: usize,
    /// From q to 2^b1 and to 2^b0, if they fit a word.
    to_response: Option<[Conversion; 2]>,
    /// From q to 2^b and back.
    rounding: Rounding,
}

/// A prime and the constants of this base.
#[derive(Debug)]
pub(crate) struct Constants {
    pub(crate) m: Modulus,
    /// Scalers ([`Modulus::scaler`]) of 1, 2^64, 1/t, 1/N and (q/p)^-1.
    pub(crate) one: u32,
    two64: u32,
    inverse_t: u32,
    pub(crate) inverse_n: u32,
    pub(crate) cofactor: u32,
    /// k·V/2 mod p.
    half_flood: u32,
    /// Scalers of p_j^-1 mod this p, for j before it.
    garner: Vec<u32>,
}

impl<D: Domain> Context<D> {
    /// Builds the tables.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the primes of `params` have no transform or divide the plaintext modulus, which
    /// [`Params`] excludes.
    pub fn new(params: Params<D>) -> Result<Self> {
        let (n, domain) = (params.degree(), params.domain());
        let primes = params.primes();
        let residue = |x: u128, p: u32| (x % u128::from(p)) as u32;
        let half_flood = params.flood().width() * u128::from(params.flood().folds) / 2;
        let moduli = primes.iter().enumerate().map(|(i, &p)| {
            let m = Modulus::new(p, n)
                .ok_or_else(|| Error::misuse(format!("{p} has no transform of size {n}")))?;
            let t = residue(domain.modulus(), p);
            if t == 0 {
                return Err(Error::misuse(format!("{p} divides the plaintext modulus")));
            }
            Ok(Constants {
                one: m.scaler(1),
                two64: m.scaler(residue(1 << 64, p)),
                inverse_t: m.scaler(m.invert(t)),
                inverse_n: m.scaler(m.invert(residue(n as u128, p))),
                cofactor: m.scaler(m.invert(convert::cofactor(primes, i))),
                half_flood: residue(half_flood, p),
                garner: primes[..i].iter().map(|&before| m.scaler(m.invert(before % p))).collect(),
                m,
            })
        });
        let moduli = moduli.collect::<Result<Vec<_>>>()?;
        let modulus_in_domain =
            primes.iter().fold(domain.reduce(1), |q, &p| domain.mul(q, domain.reduce(p.into())));
        // The product is below N·2^b1 in absolute value; within a quarter, so that its sign is plain.
        let needed = params.c1_bits() + n.ilog2() + 2;
        let mut bits = 0.0;
        let narrow = primes.iter().position(|&p| {
            bits += f64::from(p).log2();
            bits > f64::from(needed)
        });
        let narrow = narrow.filter(|_| bits < 127.0).map(|last| last + 1).ok_or_else(|| {
            Error::invalid("response modulus", "within that of the request", params.c1_bits())
        })?;
        let to_response = (params.c1_bits() <= 64)
            .then(|| [params.c1_bits(), params.c0_bits()].map(|b| Conversion::to_power(primes, b)));
        let rounding = Rounding::new(primes, params.request_bits());
        Ok(Self { params, moduli, modulus_in_domain, narrow, to_response, rounding })
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

    /// Adds q·x/t, rounded down after the addition of coin/t, to a polynomial of residues of which each
    /// prime has `stride`. Coins uniform over the domain make an error of mean zero, coins of floor(t/2)
    /// the least one.
    fn add_encoded(
        &self,
        x: &[u64],
        coins: impl Iterator<Item = u64>,
        stride: usize,
        poly: &mut [u32],
    ) {
        let domain = self.params.domain();
        let mut rest = Zeroizing::new(vec![0; x.len()]);
        let mut carry = Zeroizing::new(vec![0; x.len()]);
        for (((rest, carry), &x), coin) in rest.iter_mut().zip(carry.iter_mut()).zip(x).zip(coins) {
            // q·x modulo t; q is 0 modulo p, so that floor(q·x/t) is -rest/t there.
            *rest = domain.mul(self.modulus_in_domain, x);
            // The sum wraps exactly if it reaches t.
            *carry = u32::from(domain.add(*rest, coin) < *rest);
        }
        for (c, residues) in self.moduli.iter().zip(poly.chunks_exact_mut(stride)) {
            kernels::add_encoding(&c.m, c.inverse_t, &rest, &carry, residues);
        }
    }

    /// The transform of small signed coefficients under every prime.
    pub(crate) fn transform_small(&self, coefficients: &[i8]) -> Zeroizing<Vec<u32>> {
        let mut poly = Zeroizing::new(vec![0; self.poly_len()]);
        for (c, residues) in self.moduli.iter().zip(poly.chunks_exact_mut(self.n())) {
            kernels::lift_small(&c.m, coefficients, residues);
            c.m.forward(residues);
        }
        poly
    }

    /// The transform of plaintext coefficients (weights), each within the declared bound.
    pub fn transform_weights(&self, weights: &[i32], poly: &mut [u32]) {
        for (prime, residues) in poly.chunks_exact_mut(self.n()).enumerate() {
            self.transform_weights_under(prime, weights, residues);
        }
    }

    /// The same under one prime.
    pub(crate) fn transform_weights_under(
        &self,
        prime: usize,
        weights: &[i32],
        residues: &mut [u32],
    ) {
        let Some(c) = self.moduli.get(prime) else { return };
        if self.params.demand().weight_bound < u64::from(c.m.p) {
            kernels::lift(&c.m, weights, residues);
        } else {
            residues.iter_mut().zip(weights).for_each(|(r, &w)| *r = c.weight(w));
        }
        c.m.forward(residues);
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

    /// Bytes of a request.
    pub fn request_len(&self) -> usize {
        16 + self.rounding.len(self.n())
    }

    /// Bytes of a public key.
    pub fn public_key_len(&self) -> usize {
        16 + wire::residues_len(self.params.primes(), self.n())
    }

    /// Bytes of a response with `wanted` coefficients.
    pub fn response_len(&self, wanted: usize) -> usize {
        sci_core::pack::packed_len(self.n(), self.params.c1_bits())
            + sci_core::pack::packed_len(wanted, self.params.c0_bits())
    }
}

impl Constants {
    /// The residue of any weight.
    pub(crate) fn weight(&self, w: i32) -> u32 {
        // Above any weight: primes exceed 2^19.
        let lift = i64::from(self.m.p) << 12;
        self.m.scale((i64::from(w) + lift) as u64, self.one)
    }
}

#[cfg(test)]
mod tests;
