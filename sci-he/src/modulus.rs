//! Arithmetic modulo one prime of the base, without a division or a branch on a value.

use crate::params::power;
use tfhe_ntt::prime32::Plan;

/// A prime p < 2^31 with its transform and its Montgomery constants (radix 2^32).
#[derive(Debug)]
pub(crate) struct Modulus {
    pub(crate) p: u32,
    /// p^-1 mod 2^32.
    inverse: u64,
    plan: Plan,
    /// floor(2^128 / p).
    pub(crate) reciprocal: u128,
}

impl Modulus {
    /// `None` unless p is a prime 1 mod 2N.
    pub(crate) fn new(p: u32, degree: usize) -> Option<Self> {
        let plan = Plan::try_new(degree, p)?;
        let inverse = (0..5).fold(p, |x, _| x.wrapping_mul(2u32.wrapping_sub(p.wrapping_mul(x))));
        let inverse = u64::from(inverse);
        Some(Self { p, inverse, plan, reciprocal: u128::MAX / u128::from(p) })
    }

    /// x·2^-32 mod p in 0..max(p, x/2^32 + 1). Written for vectors of 64-bit words with a product of
    /// their lower halves.
    #[inline(always)]
    fn redc(&self, x: u64) -> u64 {
        const HALF: u64 = 0xffff_ffff;
        let m = ((x & HALF) * self.inverse) & HALF;
        let t = (x >> 32).wrapping_sub((m * u64::from(self.p)) >> 32);
        // A negative difference is huge, and smaller than p once p is added.
        t.min(t.wrapping_add(u64::from(self.p)))
    }

    /// The form of a constant c that [`Modulus::scale`] expects: c·2^64 mod p.
    pub(crate) fn scaler(&self, c: u32) -> u32 {
        let p = u64::from(self.p);
        let r = (1u64 << 32) % p;
        (u64::from(c) % p * r % p * r % p) as u32
    }

    /// x·c mod p for any x < 2^64, where `scaler` is that of c.
    #[inline(always)]
    pub(crate) fn scale(&self, x: u64, scaler: u32) -> u32 {
        self.redc(self.redc(x) * u64::from(scaler)) as u32
    }

    /// a + b.
    #[inline(always)]
    pub(crate) fn add(&self, a: u32, b: u32) -> u32 {
        let t = (a + b).wrapping_sub(self.p);
        t.min(t.wrapping_add(self.p))
    }

    /// a - b.
    #[inline(always)]
    pub(crate) fn sub(&self, a: u32, b: u32) -> u32 {
        let t = a.wrapping_sub(b);
        t.min(t.wrapping_add(self.p))
    }

    /// The residue of a signed integer of absolute value below p.
    #[inline(always)]
    pub(crate) fn small(&self, x: i32) -> u32 {
        (x as u32).wrapping_add(self.p & (x >> 31) as u32)
    }

    /// c^-1.
    pub(crate) fn invert(&self, c: u32) -> u32 {
        power(c, self.p - 2, self.p)
    }

    /// Forward transform, values in 0..p.
    pub(crate) fn forward(&self, values: &mut [u32]) {
        self.plan.fwd(values);
    }

    /// Inverse transform without its factor 1/N.
    pub(crate) fn inverse(&self, values: &mut [u32]) {
        self.plan.inv(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::{Block, Prg};

    const P: u32 = 2_147_352_577;

    #[test]
    fn arithmetic_is_that_of_the_definition() {
        let modulus = Modulus::new(P, 4096).unwrap();
        let mut prg = Prg::new(Block::from(2));
        for i in 0..2000u64 {
            let x = [prg.next_u64(), u64::MAX - i, i, i << 32, (u64::from(P) << 32) + i - 1000];
            let c = [prg.next_u64() as u32 % P, 0, 1, P - 1][i as usize % 4];
            for x in x {
                let expected = u128::from(x) * u128::from(c) % u128::from(P);
                assert_eq!(u128::from(modulus.scale(x, modulus.scaler(c))), expected, "{x} {c}");
            }
            let (a, b) = (x[0] as u32 % P, c);
            assert_eq!(u64::from(modulus.add(a, b)), (u64::from(a) + u64::from(b)) % u64::from(P));
            assert_eq!(modulus.add(modulus.sub(a, b), b), a);
            assert_eq!(
                u64::from(c) * u64::from(modulus.invert(c)) % u64::from(P),
                u64::from(c != 0)
            );
        }
        assert_eq!(modulus.small(-3), P - 3);
        assert_eq!(modulus.small(3), 3);
    }

    /// X^(N-1)·X = -1, and a product against the definition: values and range.
    #[test]
    fn the_transform_multiplies_negacyclically() {
        let n = 4096;
        let modulus = Modulus::new(P, n).unwrap();
        let mut prg = Prg::new(Block::from(3));
        let random: Vec<u32> = (0..n).map(|_| prg.next_u64() as u32 % P).collect();
        let product = |a: &[u32], b: &[u32]| -> Vec<u32> {
            let (mut a, mut b) = (a.to_vec(), b.to_vec());
            modulus.forward(&mut a);
            modulus.forward(&mut b);
            let normal = modulus.scaler(modulus.invert(n as u32));
            for (x, y) in a.iter_mut().zip(&b) {
                *x = modulus.scale(u64::from(*x) * u64::from(*y), normal);
            }
            modulus.inverse(&mut a);
            a
        };
        for k in [0, 1, n / 2, n - 1] {
            let mut monomial = vec![0; n];
            monomial[k] = 1;
            let got = product(&random, &monomial);
            let shifted = |i: usize| {
                if i >= k { random[i - k] } else { modulus.sub(0, random[n + i - k]) }
            };
            assert!(got.iter().enumerate().all(|(i, &x)| x == shifted(i)), "X^{k}");
        }
        let other: Vec<u32> = (0..n).map(|_| prg.next_u64() as u32 % P).collect();
        let got = product(&random, &other);
        for i in [0, 1, 17, n / 2, n - 1] {
            let sum = (0..n).fold(0i128, |sum, j| {
                let term = i128::from(random[j]) * i128::from(other[(n + i - j) % n]);
                if j <= i { sum + term } else { sum - term }
            });
            assert_eq!(i128::from(got[i]), sum.rem_euclid(i128::from(P)), "coefficient {i}");
        }
    }
}
