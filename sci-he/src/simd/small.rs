//! The negacyclic transform of short polynomials, modulo any prime below 2^62.
//!
//! A vector of slots that repeats with period m/2 in both rows is a polynomial in Y = X^(N/m), and
//! Y^m = -1: encoding it takes transforms of size m only. Outputs are bit-reversed, as those of the
//! full transform: number i is the value at w^(2·brv(i)+1), which the full transform of the same
//! polynomial in X has at all places i·N/m..(i+1)·N/m.

/// Tables for one size and one prime.
#[derive(Debug)]
pub(super) struct Small {
    p: u64,
    /// w^brv(i) with its quotient floor(w·2^64/p).
    roots: Vec<[u64; 2]>,
    inverse_roots: Vec<[u64; 2]>,
    inverse_size: [u64; 2],
}

/// Bit reversal of `i` below the power of two `size`.
pub(super) fn reverse(i: usize, size: usize) -> usize {
    if size == 1 { 0 } else { i.reverse_bits() >> (usize::BITS - size.ilog2()) }
}

/// a·b mod p of public values.
pub(super) fn mul_mod(a: u64, b: u64, p: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(p)) as u64
}

/// base^exponent mod p of public values.
pub(super) fn pow_mod(mut base: u64, mut exponent: u64, p: u64) -> u64 {
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = mul_mod(result, base, p);
        }
        base = mul_mod(base, base, p);
        exponent >>= 1;
    }
    result
}

impl Small {
    /// For a power of two `size` and a primitive root `w` of order twice the size.
    pub(super) fn new(p: u64, size: usize, w: u64) -> Self {
        let with_quotient = |x: u64| [x, ((u128::from(x) << 64) / u128::from(p)) as u64];
        let powers = |w: u64| {
            let mut roots = vec![[0; 2]; size];
            let mut power = 1;
            for i in 0..size {
                roots[reverse(i, size)] = with_quotient(power);
                power = mul_mod(power, w, p);
            }
            roots
        };
        let inverse = |x| pow_mod(x, p - 2, p);
        let inverse_size = with_quotient(inverse(size as u64 % p));
        Self { p, roots: powers(w), inverse_roots: powers(inverse(w)), inverse_size }
    }

    #[inline(always)]
    fn mul(&self, a: u64, [w, quotient]: [u64; 2]) -> u64 {
        let q = ((u128::from(a) * u128::from(quotient)) >> 64) as u64;
        self.reduce(a.wrapping_mul(w).wrapping_sub(q.wrapping_mul(self.p)))
    }

    /// From 0..2p to 0..p.
    #[inline(always)]
    fn reduce(&self, a: u64) -> u64 {
        let t = a.wrapping_sub(self.p);
        t.wrapping_add(self.p & (t >> 63).wrapping_neg())
    }

    /// Coefficients to values.
    pub(super) fn forward(&self, a: &mut [u64]) {
        let mut half = a.len() / 2;
        let mut first = 1;
        while half > 0 {
            for (block, root) in a.chunks_exact_mut(2 * half).zip(&self.roots[first..]) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let v = self.mul(*y, *root);
                    (*x, *y) = (self.reduce(*x + v), self.reduce(*x + self.p - v));
                }
            }
            half /= 2;
            first *= 2;
        }
    }

    /// Values to coefficients.
    pub(super) fn inverse(&self, a: &mut [u64]) {
        let mut half = 1;
        let mut first = a.len() / 2;
        while first > 0 {
            for (block, root) in a.chunks_exact_mut(2 * half).zip(&self.inverse_roots[first..]) {
                let (low, high) = block.split_at_mut(half);
                for (x, y) in low.iter_mut().zip(high) {
                    let difference = self.reduce(*x + self.p - *y);
                    (*x, *y) = (self.reduce(*x + *y), self.mul(difference, *root));
                }
            }
            half *= 2;
            first /= 2;
        }
        for x in a {
            *x = self.mul(*x, self.inverse_size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::{Block, Prg};

    #[test]
    fn values_are_those_of_the_definition_and_return() {
        let mut prg = Prg::new(Block::from(21));
        for p in [40_961u64, 137_438_822_401, 4_611_686_018_326_724_609] {
            for size in [1usize, 2, 4, 16, 64] {
                // A non-residue's power is a primitive root of order 2·size.
                let root = (2..)
                    .find(|&x| pow_mod(x, (p - 1) / 2, p) == p - 1)
                    .map(|x| pow_mod(x, (p - 1) / (2 * size as u64), p))
                    .unwrap();
                let small = Small::new(p, size, root);
                let coefficients: Vec<u64> = (0..size).map(|_| prg.next_u64() % p).collect();
                let mut values = coefficients.clone();
                small.forward(&mut values);
                for (i, &value) in values.iter().enumerate() {
                    let at = pow_mod(root, 2 * reverse(i, size) as u64 + 1, p);
                    let expected = coefficients.iter().rev().fold(0, |sum, &c| {
                        ((u128::from(sum) * u128::from(at) + u128::from(c)) % u128::from(p)) as u64
                    });
                    assert_eq!(value, expected, "{p} {size} {i}");
                }
                small.inverse(&mut values);
                assert_eq!(values, coefficients);
            }
        }
    }
}
