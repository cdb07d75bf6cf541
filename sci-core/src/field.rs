//! Z_n for any n in 2..=2^62, prime or not ("field" is the papers' word; nothing here divides).

use crate::{AnyDomain, Domain, Error, Prg, Result};
use std::fmt;

/// The largest modulus: two elements and a carry still fit a signed 64-bit word.
pub const MAX_MODULUS: u64 = 1 << 62;

/// Z_n with a precomputed reciprocal, so that reduction is two multiplications and no division.
///
/// ```
/// use sci_core::{Domain, Field};
/// let field = Field::new(137438822401)?;
/// assert_eq!(field.bits(), 37);
/// assert_eq!(field.to_signed(field.mul(field.from_signed(-5), 3)), -15);
/// # Ok::<(), sci_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Field {
    n: u64,
    bits: u32,
    /// n shifted left until its top bit is set.
    normalised: u64,
    /// floor((2^128 - 1) / normalised) - 2^64 (Möller and Granlund, "Improved division by
    /// invariant integers", 2011).
    reciprocal: u64,
}

impl Field {
    /// Z_n.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless `2 <= n <= 2^62`.
    pub fn new(n: u64) -> Result<Self> {
        if !(2..=MAX_MODULUS).contains(&n) {
            return Err(Error::invalid("modulus", "2..=2^62", n));
        }
        let normalised = n << n.leading_zeros();
        let reciprocal = (u128::MAX / u128::from(normalised)) as u64;
        Ok(Self { n, bits: 64 - (n - 1).leading_zeros(), normalised, reciprocal })
    }

    /// n.
    pub fn n(self) -> u64 {
        self.n
    }

    /// ceil(n/2): the first representative that counts as negative.
    pub fn half(self) -> u64 {
        self.n.div_ceil(2)
    }

    /// (high * 2^64 + low) mod normalised, for high < normalised. Algorithm 4 of the paper above,
    /// with the two corrections as masks.
    fn remainder(self, high: u64, low: u64) -> u64 {
        let d = self.normalised;
        let q = (u128::from(self.reciprocal) * u128::from(high))
            .wrapping_add((u128::from(high) << 64) | u128::from(low));
        let (q_high, q_low) = ((q >> 64) as u64, q as u64);
        let r = low.wrapping_sub(q_high.wrapping_add(1).wrapping_mul(d));
        let r = r.wrapping_add(d & mask_if(r > q_low));
        r.wrapping_sub(d & mask_if(r >= d))
    }

    /// x mod n for x < n * 2^64.
    fn reduce_product(self, x: u128) -> u64 {
        let shift = self.n.leading_zeros();
        let x = x << shift;
        self.remainder((x >> 64) as u64, x as u64) >> shift
    }
}

fn mask_if(condition: bool) -> u64 {
    u64::from(condition).wrapping_neg()
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.n.fmt(f)
    }
}

impl Domain for Field {
    fn bits(self) -> u32 {
        self.bits
    }

    fn pad_bits(self) -> u32 {
        128
    }

    fn modulus(self) -> u128 {
        self.n.into()
    }

    fn is_canonical(self, x: u64) -> bool {
        x < self.n
    }

    fn reduce(self, x: u64) -> u64 {
        self.reduce_product(x.into())
    }

    fn reduce_wide(self, x: u128) -> u64 {
        let high = self.reduce((x >> 64) as u64);
        self.reduce_product((u128::from(high) << 64) | u128::from(x as u64))
    }

    fn add(self, a: u64, b: u64) -> u64 {
        let sum = a + b;
        sum.wrapping_sub(self.n & mask_if(sum >= self.n))
    }

    fn sub(self, a: u64, b: u64) -> u64 {
        a.wrapping_sub(b).wrapping_add(self.n & mask_if(a < b))
    }

    fn neg(self, a: u64) -> u64 {
        (self.n - a) & mask_if(a != 0)
    }

    fn mul(self, a: u64, b: u64) -> u64 {
        self.reduce_product(u128::from(a) * u128::from(b))
    }

    fn to_signed(self, x: u64) -> i64 {
        x as i64 - (self.n & mask_if(x >= self.half())) as i64
    }

    fn from_signed(self, x: i64) -> u64 {
        let magnitude = self.reduce(x.unsigned_abs());
        let negative = mask_if(x < 0);
        (magnitude & !negative) | (self.neg(magnitude) & negative)
    }

    fn sample(self, prg: &mut Prg) -> u64 {
        self.reduce_wide(u128::from(prg.next_u64()) << 64 | u128::from(prg.next_u64()))
    }

    fn any(self) -> AnyDomain {
        AnyDomain::Field(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moduli() -> impl Strategy<Value = u64> {
        prop_oneof![
            2u64..200,
            Just(4293918721),
            Just(137438822401),
            Just(MAX_MODULUS),
            Just(MAX_MODULUS - 1),
            2..=MAX_MODULUS,
        ]
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_integers_mod_n(n in moduli(), a: u64, b: u64, wide: u128, s: i64) {
            let field = Field::new(n).unwrap();
            let m = u128::from(n);
            let (ra, rb) = (field.reduce(a), field.reduce(b));
            prop_assert_eq!(ra, a % n);
            prop_assert_eq!(u128::from(field.reduce_wide(wide)), wide % m);
            let (wa, wb) = (u128::from(ra), u128::from(rb));
            prop_assert_eq!(u128::from(field.add(ra, rb)), (wa + wb) % m);
            prop_assert_eq!(u128::from(field.sub(ra, rb)), (wa + m - wb) % m);
            prop_assert_eq!(u128::from(field.neg(ra)), (m - wa) % m);
            prop_assert_eq!(u128::from(field.mul(ra, rb)), wa * wb % m);
            prop_assert_eq!(i128::from(field.from_signed(s)), i128::from(s).rem_euclid(m as i128));
            prop_assert_eq!(field.from_signed(field.to_signed(ra)), ra);
        }
    }

    #[test]
    fn the_signed_view_splits_at_the_rounded_up_half() {
        for n in 2..40 {
            let field = Field::new(n).unwrap();
            for x in 0..n {
                let expected = if x < n.div_ceil(2) { x as i64 } else { x as i64 - n as i64 };
                assert_eq!(field.to_signed(x), expected, "{x} mod {n}");
            }
        }
    }

    #[test]
    fn wire_widths() {
        for (n, bits) in [(2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9), (MAX_MODULUS, 62)] {
            assert_eq!(Field::new(n).unwrap().bits(), bits, "{n}");
        }
        assert!(Field::new(1).is_err() && Field::new(MAX_MODULUS + 1).is_err());
    }
}
