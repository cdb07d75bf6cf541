//! Z_2^l for every l in 1..=64.

use crate::{AnyDomain, Domain, Error, Prg, Result};
use std::fmt;

/// A bitwidth in 1..=64: a type of its own, so that a length or a scale cannot stand in for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitwidth(u8);

impl Bitwidth {
    /// Checks the range.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless `1 <= bits <= 64`.
    pub fn new(bits: u32) -> Result<Self> {
        match u8::try_from(bits) {
            Ok(b @ 1..=64) => Ok(Self(b)),
            _ => Err(Error::invalid("bitwidth", "1..=64", bits)),
        }
    }

    /// The number of bits.
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// 2^l - 1.
    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - u32::from(self.0))
    }
}

impl fmt::Display for Bitwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The ring Z_2^l.
///
/// ```
/// use sci_core::{Domain, Ring};
/// let ring = Ring::new(37)?;
/// let minus_five = ring.from_signed(-5);
/// assert_eq!(ring.to_signed(ring.mul(minus_five, 3)), -15);
/// assert!(Ring::new(65).is_err());
/// # Ok::<(), sci_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ring {
    bits: Bitwidth,
}

impl Ring {
    /// Z_2^l.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless `1 <= bits <= 64`.
    pub fn new(bits: u32) -> Result<Self> {
        Ok(Self { bits: Bitwidth::new(bits)? })
    }

    /// Z_2^l of a checked bitwidth.
    pub const fn of(bits: Bitwidth) -> Self {
        Self { bits }
    }

    /// l.
    pub fn bitwidth(self) -> Bitwidth {
        self.bits
    }

    /// 2^l - 1.
    pub fn mask(self) -> u64 {
        self.bits.mask()
    }

    /// The top bit of a representative.
    pub fn msb(self, x: u64) -> u64 {
        (x >> (self.bits.get() - 1)) & 1
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "2^{}", self.bits)
    }
}

impl Domain for Ring {
    fn bits(self) -> u32 {
        self.bits.get()
    }

    fn pad_bits(self) -> u32 {
        self.bits.get()
    }

    fn modulus(self) -> u128 {
        1 << self.bits.get()
    }

    fn is_canonical(self, x: u64) -> bool {
        x <= self.mask()
    }

    fn reduce(self, x: u64) -> u64 {
        x & self.mask()
    }

    fn reduce_wide(self, x: u128) -> u64 {
        x as u64 & self.mask()
    }

    fn add(self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b) & self.mask()
    }

    fn sub(self, a: u64, b: u64) -> u64 {
        a.wrapping_sub(b) & self.mask()
    }

    fn neg(self, a: u64) -> u64 {
        a.wrapping_neg() & self.mask()
    }

    fn mul(self, a: u64, b: u64) -> u64 {
        a.wrapping_mul(b) & self.mask()
    }

    fn to_signed(self, x: u64) -> i64 {
        let unused = 64 - self.bits.get();
        ((x << unused) as i64) >> unused
    }

    fn from_signed(self, x: i64) -> u64 {
        x as u64 & self.mask()
    }

    fn sample(self, prg: &mut Prg) -> u64 {
        prg.next_u64() & self.mask()
    }

    fn any(self) -> AnyDomain {
        AnyDomain::Ring(self)
    }

    fn sample_into(self, prg: &mut Prg, out: &mut [u64]) {
        prg.fill_u64(out);
        let mask = self.mask();
        for x in out {
            *x &= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bitwidth_obeys_the_definition() {
        for bits in 1..=64 {
            let ring = Ring::new(bits).unwrap();
            let n = ring.modulus();
            let edges =
                [0, 1, 2, ring.mask() / 2, ring.mask() / 2 + 1, ring.mask() - 1, ring.mask()];
            for a in edges.map(|x| x & ring.mask()) {
                assert_eq!(ring.from_signed(ring.to_signed(a)), a);
                assert_eq!(ring.to_signed(a) < 0, ring.msb(a) == 1);
                assert_eq!(u128::from(ring.neg(a)), (n - u128::from(a)) % n);
                for b in edges.map(|x| x & ring.mask()) {
                    let (wa, wb) = (u128::from(a), u128::from(b));
                    assert_eq!(u128::from(ring.add(a, b)), (wa + wb) % n);
                    assert_eq!(u128::from(ring.sub(a, b)), (wa + n - wb) % n);
                    assert_eq!(u128::from(ring.mul(a, b)), (wa * wb) % n);
                }
            }
        }
    }

    #[test]
    fn other_bitwidths_are_refused() {
        for bits in [0, 65, 256 + 8, u32::MAX] {
            assert!(matches!(Ring::new(bits), Err(Error::InvalidInput { .. })), "{bits}");
        }
    }
}
