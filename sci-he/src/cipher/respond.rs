//! Responses: what protects the weights, in the order of the proof.

use super::{Ciphertext, Context};
use crate::params::LAZY;
use crate::wipe::resize;
use crate::{kernels, sample};
use sci_core::pack::{pack_u128, packed_len};
use sci_core::{Domain, Prg};
use std::iter::repeat_n;
use zeroize::{Zeroize, Zeroizing};

/// What protects the weights. Only tests take a step away, to see that it is missed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protection {
    pub(crate) fresh_zero: bool,
    pub(crate) flooding: bool,
}

impl Protection {
    pub(crate) const FULL: Self = Self { fresh_zero: true, flooding: true };
}

/// Where the sums of products of a response are.
#[derive(Clone, Copy)]
pub(crate) enum Sums<'a> {
    /// In the scratch, transformed.
    InScratch,
    /// Among those of `count` responses: `[prime][half][response][N]`, of c0 the wanted coefficients first, c1
    /// transformed.
    Among { all: &'a [u32], count: usize, index: usize },
}

impl Sums<'_> {
    /// Those under a prime, 0 for c0 and 1 for c1; `None` if they are in the scratch.
    fn apart(&self, prime: usize, half: usize, n: usize) -> Option<&[u32]> {
        match *self {
            Self::InScratch => None,
            Self::Among { all, count, index } => {
                all.chunks_exact(n).nth((2 * prime + half) * count + index)
            }
        }
    }
}

/// The memory that a response takes on its way: sums of products first, then both halves of the
/// protected response as y_i of a [change of modulus](super::convert).
pub(crate) struct Scratch {
    pub(crate) c0: Vec<u32>,
    pub(crate) c1: Vec<u32>,
    /// The coefficients of c0 that travel, prime by prime.
    pub(crate) wanted: Vec<u32>,
    u: Vec<u32>,
    small: Vec<i8>,
    words: [Vec<u64>; 2],
}

impl Scratch {
    pub(crate) fn new<D: Domain>(context: &Context<D>) -> Self {
        let (n, len) = (context.n(), context.poly_len());
        Self {
            c0: vec![0; len],
            c1: vec![0; len],
            wanted: Vec::new(),
            u: vec![0; n],
            small: vec![0; n],
            words: [Vec::new(), Vec::new()],
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.c0.zeroize();
        self.c1.zeroize();
        self.wanted.zeroize();
        self.u.zeroize();
        self.small.zeroize();
        self.words.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl<D: Domain> Context<D> {
    /// The sums of products under all primes, for [`Context::protect`].
    pub(crate) fn sum_products(&self, products: &[(&[u32], &Ciphertext)], scratch: &mut Scratch) {
        let n = self.n();
        let mut factors = Vec::with_capacity(products.len());
        for (i, c) in self.moduli.iter().enumerate() {
            let range = i * n..(i + 1) * n;
            factors.clear();
            factors.extend(
                products
                    .iter()
                    .map(|(w, x)| (&w[range.clone()], &x.c0[range.clone()], &x.c1[range.clone()])),
            );
            let (c0, c1) = (&mut scratch.c0[range.clone()], &mut scratch.c1[range]);
            kernels::dot(&c.m, LAZY, &factors, c0, c1);
        }
    }

    /// The same with plaintexts as coefficients, one polynomial after the other, which are transformed
    /// for this sum alone.
    pub(crate) fn sum_fresh_products(
        &self,
        plaintexts: &[i32],
        ciphertexts: &[Ciphertext],
        scratch: &mut Scratch,
    ) {
        let n = self.n();
        let mut transformed = Zeroizing::new(vec![0; plaintexts.len()]);
        for (i, c) in self.moduli.iter().enumerate() {
            let range = i * n..(i + 1) * n;
            let pairs = plaintexts.chunks_exact(n).zip(transformed.chunks_exact_mut(n));
            pairs.for_each(|(from, to)| self.transform_weights_under(i, from, to));
            let factors: Vec<kernels::Product<'_>> = transformed
                .chunks_exact(n)
                .zip(ciphertexts)
                .map(|(w, x)| (w, &x.c0[range.clone()], &x.c1[range.clone()]))
                .collect();
            let (c0, c1) = (&mut scratch.c0[range.clone()], &mut scratch.c1[range.clone()]);
            kernels::dot(&c.m, LAZY, &factors, c0, c1);
        }
    }

    /// Protects sums of products, at the full modulus q and in the order of the proof: a fresh
    /// encryption of zero, then flooding and mask at the coefficients that will travel. What is left in
    /// `scratch.c1` and `scratch.wanted` are the y_i of a change of modulus.
    ///
    /// # Panics
    /// Unless there is a mask for each position.
    pub(crate) fn protect(
        &self,
        key: &Ciphertext,
        protection: Protection,
        (positions, mask): (&[usize], &[u64]),
        sums: Sums<'_>,
        prg: &mut Prg,
        scratch: &mut Scratch,
    ) {
        assert_eq!(mask.len(), positions.len(), "masks of a response");
        let (n, count, domain) = (self.n(), positions.len(), self.params.domain());
        let Scratch { c0, c1, wanted, u, small, words, .. } = scratch;
        match protection.fresh_zero {
            true => sample::ternary(prg, small),
            false => small.fill(0),
        }
        resize(wanted, count * self.moduli.len());
        for (i, c) in self.moduli.iter().enumerate() {
            let range = i * n..(i + 1) * n;
            kernels::lift_small(&c.m, small, u);
            c.m.forward(u);
            let wanted = &mut wanted[i * count..(i + 1) * count];
            let (c0, c1) = (&mut c0[range.clone()], &mut c1[range.clone()]);
            let (key0, key1) = (&key.c0[range.clone()], &key.c1[range]);
            match sums.apart(i, 0, n) {
                None => {
                    kernels::multiply_add(&c.m, c.inverse_n, c0, key0, u);
                    c.m.inverse(c0);
                    wanted.iter_mut().zip(positions).for_each(|(wanted, &at)| *wanted = c0[at]);
                }
                Some(sums) => {
                    kernels::multiply(&c.m, c.inverse_n, key0, u, c0);
                    c.m.inverse(c0);
                    for ((wanted, &at), &sum) in wanted.iter_mut().zip(positions).zip(sums) {
                        *wanted = c.m.add(c0[at], sum);
                    }
                }
            }
            match sums.apart(i, 1, n) {
                None => kernels::multiply_add(&c.m, c.inverse_n, c1, key1, u),
                Some(sums) => kernels::multiply_added(&c.m, c.inverse_n, sums, key1, u, c1),
            }
            c.m.inverse(c1);
        }
        if protection.fresh_zero {
            sample::errors(prg, small);
        }
        for (c, c1) in self.moduli.iter().zip(c1.chunks_exact_mut(n)) {
            kernels::add_small_scale(&c.m, c.cofactor, c1, small);
        }
        if count == 0 {
            return;
        }
        let flood = self.params.flood();
        let [low, high] = words;
        let len = count.max(low.len());
        resize(low, len);
        resize(high, len);
        let (low, high) = (&mut low[..count], &mut high[..count]);
        match protection.flooding {
            true => sample::flood(prg, flood, low, high),
            false => {
                let middle = flood.width() * u128::from(flood.folds) / 2;
                low.fill(middle as u64);
                high.fill((middle >> 64) as u64);
            }
        }
        for (c, wanted) in self.moduli.iter().zip(wanted.chunks_exact_mut(count)) {
            kernels::add_wide(&c.m, [c.one, c.two64, c.half_flood], low, high, wanted);
        }
        let negative: Zeroizing<Vec<u64>> =
            Zeroizing::new(mask.iter().map(|&r| domain.neg(r)).collect());
        let half = domain.reduce((domain.modulus() / 2) as u64);
        self.add_encoded(&negative, repeat_n(half, count), count, wanted);
        for (c, wanted) in self.moduli.iter().zip(wanted.chunks_exact_mut(count)) {
            kernels::scale(&c.m, c.cofactor, wanted);
        }
    }

    /// Rescales and shortens a protected response and writes it.
    pub(crate) fn write_response(&self, count: usize, scratch: &mut Scratch, out: &mut [u8]) {
        let n = self.n();
        let (b0, b1) = (self.params.c0_bits(), self.params.c1_bits());
        let (c1_bytes, c0_bytes) = out.split_at_mut(packed_len(n, b1));
        let Scratch { c1, wanted, .. } = scratch;
        match &self.to_response {
            Some([to_b1, to_b0]) => {
                to_b1.write(c1, n, b1, c1_bytes);
                to_b0.write(wanted, count, b0, c0_bytes);
            }
            None => {
                pack_u128(&self.rescale(c1, n, b1), b1, c1_bytes);
                pack_u128(&self.rescale(wanted, count, b0), b0, c0_bytes);
            }
        }
    }

    /// round(2^bits·c/q) mod 2^bits of `len` values from their y_i: c/q is the sum of y_i/p_i modulo 1,
    /// taken here to 128 binary places with an error below 2^-96.
    fn rescale(&self, y: &[u32], len: usize, bits: u32) -> Vec<u128> {
        let fraction = |j: usize| {
            self.moduli.iter().enumerate().fold(0u128, |sum, (i, c)| {
                sum.wrapping_add(c.m.reciprocal.wrapping_mul(y[i * len + j].into()))
            })
        };
        (0..len).map(|j| fraction(j).wrapping_add(1 << (127 - bits)) >> (128 - bits)).collect()
    }
}

/// Makes responses one by one, without packing.
pub struct Responder<'a, D: Domain> {
    context: &'a Context<D>,
    key: &'a Ciphertext,
    pub(crate) protection: Protection,
    scratch: Scratch,
}

impl<'a, D: Domain> Responder<'a, D> {
    /// For responses to the owner of `key`, the client's public key as received.
    pub fn new(context: &'a Context<D>, key: &'a Ciphertext) -> Self {
        Self { context, key, protection: Protection::FULL, scratch: Scratch::new(context) }
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
        let (context, scratch) = (self.context, &mut self.scratch);
        assert_eq!(out.len(), context.response_len(positions.len()), "bytes of a response");
        context.sum_products(products, scratch);
        let wanted = (positions, mask);
        context.protect(self.key, self.protection, wanted, Sums::InScratch, prg, scratch);
        context.write_response(positions.len(), scratch, out);
    }
}

impl<D: Domain> std::fmt::Debug for Responder<'_, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Responder(..)")
    }
}
