//! Requests rounded to their top bits, and back.
//!
//! c0 of a request is uniform modulo q, but its low bits are noise. The client sends b bits of a
//! coefficient, the server takes them back to the modulus q. With step = q/2^b, D and r uniform on
//! the multiples of 2^-32 and 2^-28 in [0, 1), both expanded from the seed of the request and so
//! known to both,
//!
//! ```text
//! v   = floor(2^b·c0/q + D)  mod 2^b                  the client sends this
//! c0' = floor(step·(v + 1/2 - D) + r)  mod q          the server computes with this
//! ```
//!
//! *Error.* v + 1/2 - D - 2^b·c0/q is 1/2 less the fractional part of 2^b·c0/q + D (subtractive dither). Let
//! everything but D be fixed, c0 and with it the secret, the share and the errors included: that
//! fractional part is uniform on 2^32 points spaced by 2^-32. So it is a sum of 32 independent
//! coins of ±2^-2, ±2^-3, ..., of variance and sub-Gaussian proxy below 1/12, and a constant below 2^-32.
//! The floor with r given D is a randomised rounding of variance and proxy at most 1/4. Hence
//!
//! ```text
//! c0' - c0  =  step·E + R + constant,    proxies 1/12 and 1/4,    |constant| <= step·2^-31 + 2^-23
//! ```
//!
//! where E is independent of whatever else is in a request and of the other coefficients, and R has mean
//! zero and its proxy given all of that and E. They are errors like those of the encryption, and the
//! [budget](crate::params) counts them so, in the mean that flooding hides and in the tail that decryption
//! survives. The constants are what fixed-point arithmetic leaves (2^-32 on the client, and below 2^-27 for each of at most 15 limbs on the server);
//! they may depend on anything and are counted at their worst. Without the dither the error would be a
//! function of c0 alone, whose coefficients are as good as independent only if the secret is invertible under
//! each prime.
//!
//! *Secrecy.* v is computed from what would have been sent; it tells the server no more.
//!
//! *How.* The client's quotient is c0/q = sum of y_i/p_i modulo 1 with y_i = c0·(q/p_i)^-1 mod p_i, in limbs of
//! 32 bits of which the two below v are a fraction. The server's is a sum over limbs as in a
//! [change of modulus](super::convert). Any b bits are a valid v, so that there is nothing to check but
//! lengths.

use super::Context;
use super::convert::Conversion;
use crate::kernels;
use crate::modulus::Modulus;
use sci_core::pack::{pack, packed_len, unpack};
use sci_core::{Block, Domain, Prg, Result};

/// Coefficients at a time.
const BLOCK: usize = kernels::BLOCK;

/// The constants of rounding to b bits and back.
#[derive(Debug)]
pub(crate) struct Rounding {
    /// b.
    bits: u32,
    /// The bits by which whole limbs exceed b.
    pad: u32,
    /// floor(2^(32·limbs)/p) limb by limb from the least, for each prime.
    reciprocals: Vec<Vec<u64>>,
    /// From limbs to residues.
    back: Conversion,
}

impl Rounding {
    pub(crate) fn new(primes: &[u32], bits: u32) -> Self {
        let planes = bits.div_ceil(32) as usize;
        let reciprocal = |&p: &u32| {
            let mut rest = 1u64;
            let mut limbs = vec![0; planes + 2];
            for limb in limbs.iter_mut().rev() {
                *limb = (rest << 32) / u64::from(p);
                rest = (rest << 32) % u64::from(p);
            }
            limbs
        };
        Self {
            bits,
            pad: 32 * planes as u32 - bits,
            reciprocals: primes.iter().map(reciprocal).collect(),
            back: Conversion::from_limbs(planes + 1, primes),
        }
    }

    /// Limbs that hold v.
    fn planes(&self) -> usize {
        self.bits.div_ceil(32) as usize
    }

    /// Bits of a limb of v on the wire, the least first.
    fn width(&self, plane: usize) -> u32 {
        if plane == 0 { 32 - self.pad } else { 32 }
    }

    /// Bytes of n coefficients.
    pub(crate) fn len(&self, n: usize) -> usize {
        (0..self.planes()).map(|plane| packed_len(n, self.width(plane))).sum()
    }

    /// Writes v from the y_i of c0, limb by limb.
    fn write(&self, y: &[u32], n: usize, dither: &[u64], out: &mut [u8]) {
        let mut planes = vec![0u64; self.planes() * n];
        let (mut sum, mut shifted) = ([0; BLOCK], [0; BLOCK]);
        for (block, dither) in dither.chunks(BLOCK).enumerate() {
            let (at, len) = (block * BLOCK, dither.len());
            let (sum, shifted) = (&mut sum[..len], &mut shifted[..len]);
            kernels::shift_dither(dither, self.pad, shifted);
            sum.fill(0);
            for limb in 0..self.planes() + 2 {
                for (y, reciprocal) in y.chunks_exact(n).zip(&self.reciprocals) {
                    kernels::add_multiple(reciprocal[limb], &y[at..at + len], sum);
                }
                match limb {
                    0 => kernels::carry(sum),
                    1 => {
                        kernels::add_part(shifted, 0, sum);
                        kernels::carry(sum);
                    }
                    _ => {
                        let plane = limb - 2;
                        if plane == 0 {
                            kernels::add_part(shifted, 32, sum);
                        }
                        let out = &mut planes[plane * n + at..][..len];
                        kernels::take_limb(sum, 32 - self.width(plane), out);
                    }
                }
            }
        }
        let mut rest = out;
        for (plane, values) in planes.chunks_exact(n).enumerate() {
            let width = self.width(plane);
            let (now, later) = rest.split_at_mut(packed_len(n, width));
            pack(values, width, now);
            rest = later;
        }
    }

    /// The residues of c0' under each prime.
    fn read(&self, moduli: &[&Modulus], bytes: &[u8], dither: &[u64]) -> Result<Vec<u32>> {
        let n = dither.len();
        let mut limbs = vec![0u32; (self.planes() + 1) * n];
        let (mut wide, mut carry) = (vec![0u64; n], vec![0i64; n]);
        let (least, planes) = limbs.split_at_mut(n);
        kernels::undo_dither(dither, self.pad, least, &mut carry);
        let mut rest = bytes;
        for (plane, limb) in planes.chunks_exact_mut(n).enumerate() {
            let width = self.width(plane);
            let (now, later) = rest.split_at(packed_len(n, width).min(rest.len()));
            unpack(now, width, &mut wide)?;
            kernels::add_carry(&wide, 32 - width, limb, &mut carry);
            rest = later;
        }
        let mut poly = vec![0; moduli.len() * n];
        let coins = |at: usize, part: &mut [u64]| kernels::rounding_coins(&dither[at..], part);
        self.back.apply_with(&limbs, n, coins, |prime, at, values| {
            let Some(m) = moduli.get(prime) else { return };
            let out = &mut poly[prime * n + at..][..values.len()];
            kernels::scale_wide(m, m.scaler(1), values, out);
        });
        Ok(poly)
    }
}

impl<D: Domain> Context<D> {
    /// The words that hold D and r for each coefficient. Seeds have one stream for each prime, and this.
    fn dither(&self, seed: Block) -> Vec<u64> {
        let mut words = vec![0; self.n()];
        Prg::with_stream(seed, self.moduli.len() as u64).fill_u64(&mut words);
        words
    }

    /// Writes c0, given as residues that are scratch afterwards, rounded under the dither of `seed`.
    pub(super) fn write_rounded(&self, seed: Block, c0: &mut [u32], out: &mut [u8]) {
        let n = self.n();
        for (c, residues) in self.moduli.iter().zip(c0.chunks_exact_mut(n)) {
            kernels::scale(&c.m, c.cofactor, residues);
        }
        self.rounding.write(c0, n, &self.dither(seed), out);
    }

    /// The residues of a rounded c0.
    ///
    /// # Errors
    /// [`sci_core::Error::PeerMisbehaved`] for another length.
    pub(super) fn read_rounded(&self, seed: Block, bytes: &[u8]) -> Result<Vec<u32>> {
        let moduli: Vec<&Modulus> = self.moduli.iter().map(|c| &c.m).collect();
        self.rounding.read(&moduli, bytes, &self.dither(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Demand, Params, Privacy};
    use sci_core::Ring;

    fn context(bits: u32, degree: usize, privacy: Privacy) -> Context<Ring> {
        let domain = Ring::new(bits).unwrap();
        let demand = Demand { domain, weight_bound: 1 << 11, terms: 576, privacy };
        Context::new(Params::new(demand, degree).unwrap()).unwrap()
    }

    /// c0' - c0 as a number: the centred residue under the first prime, which has to be that of all others.
    fn errors(context: &Context<Ring>, before: &[u32], after: &[u32]) -> Vec<f64> {
        let n = context.n();
        let p = context.params.primes()[0];
        (0..n)
            .map(|j| {
                let error = context.moduli[0].m.sub(after[j], before[j]);
                let value = i64::from(error) - if error > p / 2 { i64::from(p) } else { 0 };
                for (i, c) in context.moduli.iter().enumerate() {
                    let other = c.m.sub(after[i * n + j], before[i * n + j]);
                    assert_eq!(i64::from(other), value.rem_euclid(c.m.p.into()), "prime {i}");
                }
                value as f64
            })
            .collect()
    }

    /// At every edge of the range, the error is the same small integer under all primes, with the mean
    /// and the variance that the docs say; for random c0 and for one and the same c0 everywhere.
    #[test]
    fn rounding_adds_the_error_that_is_budgeted() {
        for (bits, degree, privacy) in [
            (20, 4096, Privacy::Coefficient),
            (37, 4096, Privacy::Coefficient),
            (37, 8192, Privacy::default()),
            (64, 16384, Privacy::Run { log2_outputs: 40 }),
        ] {
            let context = context(bits, degree, privacy);
            let n = context.n();
            let mut prg = Prg::new(Block::from(21));
            let random = context.expand(prg.next_block());
            let same = |x: i64| {
                let residue = |p: u32| x.rem_euclid(p.into()) as u32;
                context.params.primes().iter().flat_map(|&p| vec![residue(p); n]).collect()
            };
            for c0 in [random, same(-1), same(0), same(1 << 40)] {
                let seed = prg.next_block();
                let mut out = vec![0; context.rounding.len(n)];
                context.write_rounded(seed, &mut c0.clone(), &mut out);
                let errors = errors(&context, &c0, &context.read_rounded(seed, &out).unwrap());
                let step = context.params.request_step();
                assert!(errors.iter().all(|e| e.abs() <= step / 2.0 + 1.0));
                let mean = errors.iter().sum::<f64>() / n as f64;
                let variance = errors.iter().map(|e| e * e).sum::<f64>() / n as f64;
                // The variance of a randomised rounding is 1/6 over fractions of all sizes.
                let expected = step * step / 12.0 + 1.0 / 6.0;
                assert!(mean.abs() < 5.0 * (expected / n as f64).sqrt(), "{mean}");
                assert!((variance / expected - 1.0).abs() < 0.1, "{variance} {expected}");
            }
        }
    }

    /// Against integers, for a modulus of one prime, where everything fits 128 bits.
    #[test]
    fn rounding_is_its_definition() {
        let p = 268_369_921u32;
        let modulus = Modulus::new(p, 4096).unwrap();
        let n = 4096;
        let mut prg = Prg::new(Block::from(22));
        let mut dither = vec![0; n];
        prg.fill_u64(&mut dither);
        dither[..4].copy_from_slice(&[0, u64::MAX, 0xffff_ffff, 0xffff_ffff << 32]);
        let c0: Vec<u32> = (0..n as u32).map(|i| [i, p - 1 - i][i as usize % 2]).collect();
        for bits in [20, 24, 26, 32, 33] {
            let rounding = Rounding::new(&[p], bits);
            let mut out = vec![0; rounding.len(n)];
            assert_eq!(out.len(), n * bits as usize / 8);
            rounding.write(&c0, n, &dither, &mut out);
            let mut sent = vec![0u64; n];
            let low = rounding.width(0);
            let (first, rest) = out.split_at(packed_len(n, low));
            unpack(first, low, &mut sent).unwrap();
            if !rest.is_empty() {
                let mut high = vec![0; n];
                unpack(rest, 32, &mut high).unwrap();
                sent.iter_mut().zip(&high).for_each(|(v, high)| *v |= high << low);
            }
            for ((&c, &word), &v) in c0.iter().zip(&dither).zip(&sent) {
                // floor(2^b·c/p + D) over 2^32; fixed point may fall below by one unit.
                let exact = (u128::from(c) << (bits + 32)) / u128::from(p) + u128::from(word >> 32);
                let of = |x: u128| (x >> 32) as u64 & ((1 << bits) - 1);
                assert!(v == of(exact) || v == of(exact - 1), "{c} {word:x} {bits}");
            }
            let back = rounding.read(&[&modulus], &out, &dither).unwrap();
            for ((&got, &word), &v) in back.iter().zip(&dither).zip(&sent) {
                let scaled = (i128::from(v) << 32) + (1 << 31) - i128::from(word >> 32);
                let coin = i128::from(word & ((1 << 28) - 1)) << (bits + 4);
                let exact = (scaled * i128::from(p) + coin).div_euclid(1 << (bits + 32));
                let near = [exact, exact - 1].map(|x| x.rem_euclid(i128::from(p)));
                assert!(near.contains(&i128::from(got)), "{v} {word:x} {bits}: {got} {near:?}");
            }
        }
    }
}
