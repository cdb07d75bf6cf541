//! The ring: residues under the primes of q and the special primes, slots modulo n, automorphisms.
//!
//! A plaintext is a polynomial over Z_n. Its slots are its values at the roots of X^N + 1: slot s of
//! row 0 at z^(5^s), slot s of row 1 at z^(-5^s), for s in 0..N/2 and one primitive 2N-th root z. The
//! automorphism X -> X^(5^k) moves slot s + k to slot s in both rows, X -> X^-1 exchanges the rows.
//!
//! Polynomials of residues are prime by prime, those of q first. In transformed form, number i is
//! the value at the root with exponent 2·brv(i) + 1; [`Context::new`] checks that the transforms keep
//! this order. An automorphism is a permutation of the values then.

use super::kernels;
use super::params::Params;
use super::small::{Small, mul_mod, pow_mod, reverse};
use crate::modulus::Modulus;
use crate::{sample, wire};
use sci_core::{AnyDomain, Block, Domain, Error, Prg, Result};
use tfhe_ntt::prime64;
use zeroize::Zeroizing;

/// Parameters with the tables that computing with them needs.
#[derive(Debug)]
pub struct Context<D: Domain> {
    params: Params<D>,
    /// The primes of q, then the special ones.
    base: Vec<u32>,
    /// The same with their constants.
    pub(super) primes: Vec<Prime>,
    /// Place of each slot in the transform modulo n, row 0 first.
    slots: Vec<u32>,
    plan: prime64::Plan,
    /// z.
    root: u64,
    /// q mod n.
    modulus_in_domain: u64,
    /// How many primes the product of c1 with the secret needs in decryption.
    pub(super) narrow: usize,
}

/// A prime and the constants of this base.
#[derive(Debug)]
pub(super) struct Prime {
    pub(super) m: Modulus,
    /// The root with exponent 1.
    root: u32,
    /// Scalers ([`Modulus::scaler`]) of 1, 2^64, 1/n and 1/N.
    pub(super) one: u32,
    pub(super) two64: u32,
    inverse_t: u32,
    pub(super) inverse_n: u32,
    /// Scalers of (q/p)^-1, of P and of its inverse, for a prime of q.
    cofactor: u32,
    pub(super) special: u32,
    pub(super) inverse_special: u32,
    /// Scalers of the inverses of the primes before this one.
    garner: Vec<u32>,
    /// The first multiple of p from 2^61 on.
    pub(super) lift: u64,
}

impl<D: Domain> Context<D> {
    /// Builds the tables.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the modulus of the slots is not prime; [`Error::Misuse`] if it is one of the
    /// primes, which [`Params`] excludes.
    pub fn new(params: Params<D>) -> Result<Self> {
        let (n, domain) = (params.degree(), params.domain());
        let modulus = match domain.any() {
            AnyDomain::Field(field) => field.n(),
            AnyDomain::Ring(_) => 0,
        };
        let plan = prime64::Plan::try_new(n, modulus).ok_or_else(|| {
            let expected = format!("a prime that is 1 modulo {}", 2 * n);
            Error::invalid("modulus for batched slots", expected, modulus)
        })?;
        let mut monomial = vec![0; n];
        monomial[1] = 1;
        plan.fwd(&mut monomial);
        let root = checked_root(&monomial, modulus)?;
        let base = [params.primes(), params.special()].concat();
        let primes = (0..base.len()).map(|i| Prime::new(i, &base, &params));
        let primes = primes.collect::<Result<Vec<_>>>()?;
        let modulus_in_domain = params
            .primes()
            .iter()
            .fold(domain.reduce(1), |q, &p| domain.mul(q, domain.reduce(p.into())));
        // The product is below N·2^b1, and its sign takes a bit.
        let needed = f64::from(params.c1_bits() + n.ilog2() + 1);
        let mut bits = 0.0;
        let narrow = params.primes().iter().position(|&p| {
            bits += f64::from(p).log2();
            bits > needed
        });
        let narrow = narrow.filter(|_| bits < 127.0).map(|last| last + 1).ok_or_else(|| {
            Error::invalid("response modulus", "within that of the request", params.c1_bits())
        })?;
        let row = n / 2;
        let slots = (0..n).map(|slot| class_index(slot / row, slot % row, n) as u32).collect();
        Ok(Self { params, base, primes, slots, plan, root, modulus_in_domain, narrow })
    }

    /// The parameters.
    pub fn params(&self) -> &Params<D> {
        &self.params
    }

    pub(super) fn n(&self) -> usize {
        self.params.degree()
    }

    /// Residues of a polynomial modulo q.
    pub(super) fn poly_len(&self) -> usize {
        self.params.primes().len() * self.n()
    }

    /// Residues of a polynomial modulo q·P.
    pub(super) fn wide_len(&self) -> usize {
        self.primes.len() * self.n()
    }

    /// The polynomial whose slots, row 0 first, these are.
    pub(super) fn encode(&self, slots: &[u64]) -> Zeroizing<Vec<u64>> {
        let mut poly = Zeroizing::new(vec![0; self.n()]);
        for (&at, &value) in self.slots.iter().zip(slots) {
            poly[at as usize] = value;
        }
        self.plan.inv(&mut poly);
        self.plan.normalize(&mut poly);
        poly
    }

    /// The slots of a polynomial, row 0 first.
    pub(super) fn decode(&self, mut poly: Zeroizing<Vec<u64>>) -> Zeroizing<Vec<u64>> {
        self.plan.fwd(&mut poly);
        Zeroizing::new(self.slots.iter().map(|&at| poly[at as usize]).collect())
    }

    /// The transforms of size `size` modulo n and modulo each prime of q.
    pub(super) fn small_transforms(&self, size: usize) -> (Small, Vec<Small>) {
        let exponent = (self.n() / size) as u64;
        let n = self.plan.modulus();
        let own = Small::new(n, size, pow_mod(self.root, exponent, n));
        let primes = self.primes[..self.params.primes().len()].iter();
        let others = primes.map(|c| {
            let p = c.m.p.into();
            Small::new(p, size, pow_mod(c.root.into(), exponent, p))
        });
        (own, others.collect())
    }

    /// Where transformed values go under X -> X^`element`: number i of the result is number
    /// `permutation[i]` of the argument.
    pub(super) fn permutation(&self, element: usize) -> Vec<u32> {
        let n = self.n();
        (0..n)
            .map(|i| reverse(((2 * reverse(i, n) + 1) * element % (2 * n) - 1) / 2, n) as u32)
            .collect()
    }

    /// Adds (q·x + u - ((q·x + u) mod n))/n of coefficients x to a polynomial modulo q: q·x/n,
    /// rounded to nearest for u = floor(n/2), at random without bias for uniform u.
    pub(super) fn add_encoded(&self, x: &[u64], rounding: &[u64], poly: &mut [u32]) {
        let domain = self.params.domain();
        // n divides q·x + u - rest, and q is 0 modulo p.
        let rest = x.iter().zip(rounding);
        let rest = rest.map(|(&x, &u)| domain.add(domain.mul(self.modulus_in_domain, x), u));
        let rest = Zeroizing::new(rest.collect::<Vec<_>>());
        for (c, residues) in self.primes.iter().zip(poly.chunks_exact_mut(self.n())) {
            kernels::add_differences(&c.m, c.inverse_t, rounding, &rest, residues);
        }
    }

    /// The u that rounds to nearest.
    pub(super) fn nearest(&self, len: usize) -> Vec<u64> {
        vec![(self.params.domain().modulus() / 2) as u64; len]
    }

    /// Transforms a polynomial under as many primes as it has.
    pub(super) fn forward(&self, poly: &mut [u32]) {
        for (c, residues) in self.primes.iter().zip(poly.chunks_exact_mut(self.n())) {
            c.m.forward(residues);
        }
    }

    /// The transform of small signed coefficients under every prime.
    pub(super) fn transform_small(
        &self,
        coefficients: &[i8],
        primes: usize,
    ) -> Zeroizing<Vec<u32>> {
        let mut poly = Zeroizing::new(vec![0; primes * self.n()]);
        for (c, residues) in self.primes.iter().zip(poly.chunks_exact_mut(self.n())) {
            for (r, &x) in residues.iter_mut().zip(coefficients) {
                *r = c.m.small(x.into());
            }
        }
        self.forward(&mut poly);
        poly
    }

    /// A uniform polynomial in transformed form from stream `first` on of a seed, a stream for each
    /// prime.
    pub(super) fn expand(&self, seed: Block, first: u64, out: &mut [u32]) {
        for ((i, c), residues) in (first..).zip(&self.primes).zip(out.chunks_exact_mut(self.n())) {
            sample::uniform_vartime(&mut Prg::with_stream(seed, i), c.m.p, residues);
        }
    }

    /// The integer in (-Q/2, Q/2] with these residues, Q the product of the first primes, modulo
    /// 2^128 (Garner's mixed radix).
    pub(super) fn lift(&self, residues: impl Iterator<Item = u32>) -> u128 {
        let mut digits = [0u32; 8];
        let (mut value, mut product) = (0u128, 1u128);
        for (j, (residue, c)) in residues.zip(&self.primes).enumerate() {
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

    /// The integers of least absolute value with the residues that one or two neighbouring primes
    /// starting at number `first` have.
    pub(super) fn lift_digit(&self, first: usize, residues: &[u32], out: &mut [i64]) {
        let low = &self.primes[first];
        if residues.len() == self.n() {
            return kernels::centre_one(low.m.p, residues, out);
        }
        let high = &self.primes[first + 1];
        let (r0, r1) = residues.split_at(self.n());
        kernels::centre_two(low.m.p, &high.m, high.one, high.garner[first], r0, r1, out);
    }

    /// Back from transformed form, under as many primes as a polynomial has.
    pub(super) fn inverse(&self, first: usize, poly: &mut [u32]) {
        for (c, residues) in self.primes[first..].iter().zip(poly.chunks_exact_mut(self.n())) {
            c.m.inverse(residues);
            kernels::scale_all(&c.m, c.inverse_n, residues);
        }
    }

    /// round(2^bits·c/q) mod 2^bits of all coefficients c of a polynomial, which is overwritten: c/q is
    /// the sum of (c·(q/p)^-1 mod p)/p modulo 1, taken here to 128 binary places with an error below
    /// 2^-96.
    pub(super) fn rescale(&self, poly: &mut [u32], bits: u32) -> Vec<u128> {
        let count = self.params.primes().len();
        let len = poly.len() / count;
        let mut fractions = vec![0u128; len];
        for (c, residues) in self.primes[..count].iter().zip(poly.chunks_exact_mut(len)) {
            kernels::scale_all(&c.m, c.cofactor, residues);
            for (fraction, &y) in fractions.iter_mut().zip(&*residues) {
                *fraction = fraction.wrapping_add(c.m.reciprocal.wrapping_mul(y.into()));
            }
        }
        for fraction in &mut fractions {
            *fraction = fraction.wrapping_add(1 << (127 - bits)) >> (128 - bits);
        }
        fractions
    }

    /// Bytes of a polynomial under the first `primes` primes.
    pub(super) fn packed_len(&self, primes: usize) -> usize {
        wire::residues_len(&self.base[..primes], self.n())
    }

    /// Writes a polynomial under as many primes as it has.
    pub(super) fn write(&self, poly: &[u32], out: &mut [u8]) {
        wire::write_residues(&self.base[..poly.len() / self.n()], self.n(), poly, out);
    }

    /// Reads a polynomial under as many primes as `poly` has place for.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for another length, or if a residue is not below its prime.
    pub(super) fn read(&self, bytes: &[u8], poly: &mut [u32]) -> Result<()> {
        let base = &self.base[..poly.len() / self.n()];
        poly.copy_from_slice(&wire::read_residues(base, self.n(), bytes)?);
        Ok(())
    }
}

impl Prime {
    fn new<D: Domain>(index: usize, base: &[u32], params: &Params<D>) -> Result<Self> {
        let (p, n, count) = (base[index], params.degree(), params.primes().len());
        let m = Modulus::new(p, n)
            .ok_or_else(|| Error::misuse(format!("{p} has no transform of size {n}")))?;
        let residue = |x: u128| (x % u128::from(p)) as u32;
        let t = residue(params.domain().modulus());
        if t == 0 {
            return Err(Error::misuse(format!("{p} divides the plaintext modulus")));
        }
        let product = |primes: &[u32]| {
            primes.iter().fold(1, |c, &other| mul_mod(c, other.into(), p.into())) as u32
        };
        let mut monomial = vec![0; n];
        monomial[1] = 1;
        m.forward(&mut monomial);
        let values: Vec<u64> = monomial.iter().map(|&x| x.into()).collect();
        let root = checked_root(&values, p.into())? as u32;
        let others: Vec<u32> = base[..count].iter().copied().filter(|&other| other != p).collect();
        let special = product(&params.special().iter().map(|&s| s % p).collect::<Vec<_>>());
        Ok(Self {
            root,
            one: m.scaler(1),
            two64: m.scaler(residue(1 << 64)),
            inverse_t: m.scaler(m.invert(t)),
            inverse_n: m.scaler(m.invert(residue(n as u128))),
            cofactor: m.scaler(m.invert(product(&others))),
            special: m.scaler(special),
            inverse_special: m.scaler(m.invert(special)),
            garner: base[..index].iter().map(|&before| m.scaler(m.invert(before % p))).collect(),
            lift: (1u64 << 61).next_multiple_of(p.into()),
            m,
        })
    }
}

/// Where the slots (row, s), s of a class modulo m/2, have their value in the transform of size m.
pub(super) fn class_index(row: usize, class: usize, m: usize) -> usize {
    let power = pow_mod(5, class as u64, 2 * m as u64) as usize;
    let exponent = if row == 0 { power } else { 2 * m - power };
    reverse((exponent - 1) / 2, m)
}

/// The root with exponent 1, if the values of X stand in the order that the module relies on.
fn checked_root(values: &[u64], p: u64) -> Result<u64> {
    let n = values.len();
    let root = values[0];
    let square = mul_mod(root, root, p);
    let mut power = root;
    for i in 0..n {
        if values[reverse(i, n)] != power {
            return Err(Error::misuse("a transform with another order of values"));
        }
        power = mul_mod(power, square, p);
    }
    Ok(root)
}
