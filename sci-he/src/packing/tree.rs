//! Joining ciphertexts level by level.

use super::keys::{Level, NEGATED, PackingContext, PackingKeys};
use crate::kernels;
use crate::modulus::Modulus;
use zeroize::Zeroize;

/// A ciphertext modulo q' on its way through the levels, as coefficients.
pub(crate) struct Packed {
    /// c0 and c1, prime by prime.
    pub(crate) halves: [Vec<u32>; 2],
}

/// The memory that a join takes, wiped at the end.
#[derive(Debug)]
pub(crate) struct JoinScratch {
    turned: Vec<u32>,
    /// The digits, transformed under one prime after the other; the special one first.
    digits: Vec<u32>,
    special: [Vec<u32>; 2],
    sums: [Vec<u32>; 2],
    rest: Vec<u32>,
}

impl JoinScratch {
    pub(crate) fn new(context: &PackingContext) -> Self {
        let n = context.degree;
        let two = || [(); 2].map(|()| vec![0; n]);
        Self {
            turned: vec![0; n],
            digits: vec![0; context.poly_len()],
            special: two(),
            sums: two(),
            rest: vec![0; n],
        }
    }
}

impl Drop for JoinScratch {
    fn drop(&mut self) {
        let Self { turned, digits, special, sums, rest } = self;
        let halves = special.iter_mut().chain(sums);
        halves.chain([turned, digits, rest]).for_each(Zeroize::zeroize);
    }
}

/// The reversal of the lowest `levels` bits.
pub(crate) fn reversed(j: usize, levels: u32) -> usize {
    if levels == 0 { 0 } else { j.reverse_bits() >> (usize::BITS - levels) }
}

impl Packed {
    pub(crate) fn new(context: &PackingContext) -> Self {
        Self { halves: [(); 2].map(|()| vec![0; context.poly_len()]) }
    }

    /// What a level does without an odd neighbour: the doubling alone.
    pub(crate) fn double(&mut self, context: &PackingContext) {
        let n = context.degree;
        for half in &mut self.halves {
            for (digit, x) in context.digits.iter().zip(half.chunks_exact_mut(n)) {
                kernels::double(&digit.m, x);
            }
        }
    }

    /// Joins `odd` into this ciphertext at `level`, 1 being the last.
    ///
    /// # Panics
    /// If there are no keys for the level, or for fewer digits.
    pub(crate) fn join(
        &mut self,
        odd: &mut Self,
        context: &PackingContext,
        keys: &PackingKeys,
        level: usize,
        scratch: &mut JoinScratch,
    ) {
        let n = context.degree;
        let key = &keys.levels[level - 1];
        let turned = &mut scratch.turned;
        for (even, odd) in self.halves.iter_mut().zip(&mut odd.halves) {
            let parts = even.chunks_exact_mut(n).zip(odd.chunks_exact_mut(n));
            for (digit, (even, odd)) in context.digits.iter().zip(parts) {
                shift(&digit.m, odd, 1 << (level - 1));
                kernels::butterfly(&digit.m, even, odd);
                turn(&digit.m, &key.sources, odd, turned);
                odd.copy_from_slice(turned);
            }
        }
        let [c0, c1] = &mut self.halves;
        let [turned0, turned1] = &odd.halves;
        for (digit, (c0, turned0)) in
            context.digits.iter().zip(c0.chunks_exact_mut(n).zip(turned0.chunks_exact(n)))
        {
            kernels::add(&digit.m, c0, turned0);
        }
        switch(context, key, turned1, [c0, c1], scratch);
    }
}

/// x = x·X^by, 0 < by < N.
fn shift(m: &Modulus, x: &mut [u32], by: usize) {
    x.rotate_right(by);
    x[..by].iter_mut().for_each(|x| *x = m.sub(0, *x));
}

fn turn(m: &Modulus, sources: &[u32], x: &[u32], out: &mut [u32]) {
    for (out, &source) in out.iter_mut().zip(sources) {
        let value = x[(source & !NEGATED) as usize];
        // The sign is public.
        let negative = 0u32.wrapping_sub(source >> 31);
        *out = (value & !negative) | (m.sub(0, value) & negative);
    }
}

/// Adds what decrypts under s as `x` does under the turned secret.
fn switch(
    context: &PackingContext,
    key: &Level,
    x: &[u32],
    [c0, c1]: [&mut Vec<u32>; 2],
    scratch: &mut JoinScratch,
) {
    let n = context.degree;
    let JoinScratch { digits, special, sums, rest, .. } = scratch;
    let mut product = |prime: usize, m: &Modulus, sums: &mut [Vec<u32>; 2]| {
        for (j, (out, (x, from))) in
            digits.chunks_exact_mut(n).zip(x.chunks_exact(n).zip(&context.digits)).enumerate()
        {
            match prime == j + 1 {
                true => out.copy_from_slice(x),
                false => kernels::recentre(from.m.p, m, x, out),
            }
            m.forward(out);
        }
        let factors: Vec<kernels::Product<'_>> = digits
            .chunks_exact(n)
            .zip(&key.halves)
            .map(|(digit, halves)| {
                let [b, a] = &halves[prime];
                (digit, b.as_slice(), a.as_slice())
            })
            .collect();
        let [s0, s1] = sums;
        kernels::dot(m, super::keys::LAZY, &factors, s0, s1);
        m.inverse(s0);
        m.inverse(s1);
    };
    product(0, &context.special, special);
    for (j, digit) in context.digits.iter().enumerate() {
        product(j + 1, &digit.m, sums);
        let range = j * n..(j + 1) * n;
        let halves = [&mut c0[range.clone()], &mut c1[range]];
        for ((sum, special), half) in sums.iter_mut().zip(&*special).zip(halves) {
            kernels::recentre(context.special.p, &digit.m, special, rest);
            kernels::subtract_scale(&digit.m, digit.inverse_special, sum, rest);
            kernels::add(&digit.m, half, sum);
        }
    }
}
