//! Automorphisms of ciphertexts on the server, by key switching in residues (hybrid: digits of one
//! or two primes of q, as many special primes).
//!
//! For f the automorphism, (f(c0), f(c1)) decrypts under f(s). With the digits d_i of c1 and the key
//! (b_i, a_i), the sums of f(d_i)·b_i and f(d_i)·a_i modulo q·P, divided by P and rounded, decrypt to
//! f(c1)·f(s) under s. The digits do not depend on f: several rotations of one ciphertext share them
//! (hoisting). Keys are kept moved by the inverse of f, so that f is applied once, to the result.

use super::context::Context;
use super::kernels;
use super::keys::{Ciphertext, RotationKey};
use crate::kernels::{BLOCK, accumulate};
use sci_core::Domain;
use zeroize::Zeroize;

/// Scratch memory for key switching.
pub(super) struct Switcher<'a, D: Domain> {
    context: &'a Context<D>,
    /// Digits of the last ciphertext decomposed, transformed, under all primes.
    digits: Vec<u32>,
    sum0: Vec<u32>,
    sum1: Vec<u32>,
    integers: Vec<i64>,
    residues: Vec<u32>,
}

impl<'a, D: Domain> Switcher<'a, D> {
    pub(super) fn new(context: &'a Context<D>) -> Self {
        let (n, len) = (context.n(), context.wide_len());
        Self {
            context,
            digits: vec![0; context.params().digits() * len],
            sum0: vec![0; len],
            sum1: vec![0; len],
            integers: vec![0; n],
            residues: vec![0; context.poly_len()],
        }
    }

    /// Prepares rotations of a ciphertext: one transform for each digit and prime.
    pub(super) fn decompose(&mut self, ciphertext: &Ciphertext) {
        let (context, n, len) = (self.context, self.context.n(), self.context.wide_len());
        let count = context.params().primes().len();
        let size = context.params().special().len();
        self.residues.copy_from_slice(&ciphertext.c1);
        context.inverse(0, &mut self.residues);
        for (i, digit) in self.digits.chunks_exact_mut(len).enumerate() {
            let own = i * size..((i + 1) * size).min(count);
            let range = own.start * n..own.end * n;
            context.lift_digit(own.start, &self.residues[range.clone()], &mut self.integers);
            for (j, (c, out)) in context.primes.iter().zip(digit.chunks_exact_mut(n)).enumerate() {
                if own.contains(&j) {
                    out.copy_from_slice(&ciphertext.c1[j * n..(j + 1) * n]);
                } else {
                    kernels::signed(&c.m, c.one, c.lift, &self.integers, out);
                    c.m.forward(out);
                }
            }
        }
    }

    /// The automorphism of the ciphertext that was decomposed last.
    pub(super) fn rotate(&mut self, ciphertext: &Ciphertext, key: &RotationKey) -> Ciphertext {
        let mut rotated = Ciphertext::zero(self.context);
        self.rotate_into(ciphertext, key, &mut rotated);
        rotated
    }

    /// Adds the automorphism of the ciphertext that was decomposed last.
    pub(super) fn rotate_into(
        &mut self,
        ciphertext: &Ciphertext,
        key: &RotationKey,
        out: &mut Ciphertext,
    ) {
        let (context, n, len) = (self.context, self.context.n(), self.context.wide_len());
        for (j, c) in context.primes.iter().enumerate() {
            let (mut a0, mut a1) = ([0u64; BLOCK], [0u64; BLOCK]);
            for block in 0..n / BLOCK {
                let at = j * n + block * BLOCK;
                a0.fill(0);
                a1.fill(0);
                for i in 0..context.params().digits() {
                    let range = i * len + at..i * len + at + BLOCK;
                    let (b, a) = (&key.b[range.clone()], &key.a[range.clone()]);
                    accumulate(&mut a0, &mut a1, &self.digits[range], b, a);
                }
                let range = at..at + BLOCK;
                kernels::scale_sums(&c.m, c.one, &a0, &mut self.sum0[range.clone()]);
                kernels::scale_sums(&c.m, c.one, &a1, &mut self.sum1[range]);
            }
        }
        let (integers, residues) = (&mut self.integers, &mut self.residues);
        divide(context, &mut self.sum0, Some(&ciphertext.c0), integers, residues);
        divide(context, &mut self.sum1, None, integers, residues);
        for (j, c) in context.primes[..context.params().primes().len()].iter().enumerate() {
            let range = j * n..(j + 1) * n;
            for (sum, out) in [(&self.sum0, &mut out.c0), (&self.sum1, &mut out.c1)] {
                let sum = &sum[range.clone()];
                for (x, &from) in out[range.clone()].iter_mut().zip(&key.permutation) {
                    *x = c.m.add(*x, sum[from as usize]);
                }
            }
        }
    }
}

impl<D: Domain> Drop for Switcher<'_, D> {
    fn drop(&mut self) {
        self.digits.zeroize();
        self.sum0.zeroize();
        self.sum1.zeroize();
        self.integers.zeroize();
        self.residues.zeroize();
    }
}

/// Replaces a polynomial modulo q·P by its quotient by P, rounded, modulo q, plus another one.
fn divide<D: Domain>(
    context: &Context<D>,
    poly: &mut [u32],
    add: Option<&[u32]>,
    integers: &mut [i64],
    residues: &mut [u32],
) {
    let (n, count) = (context.n(), context.params().primes().len());
    let (poly, special) = poly.split_at_mut(count * n);
    context.inverse(count, special);
    context.lift_digit(count, special, integers);
    let (rest, zeros) = residues.split_at_mut(n);
    zeros[..n].fill(0);
    for (i, (c, values)) in context.primes.iter().zip(poly.chunks_exact_mut(n)).enumerate() {
        kernels::signed(&c.m, c.one, c.lift, integers, rest);
        c.m.forward(rest);
        let add = add.map_or(&zeros[..n], |add| &add[i * n..(i + 1) * n]);
        kernels::quotients(&c.m, c.inverse_special, rest, add, values);
    }
}
