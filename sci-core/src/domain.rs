//! The arithmetic that shares live in: Z_2^l or Z_n, on canonical `u64` representatives.
//!
//! A domain is a small `Copy` value, never a const generic: one protocol run mixes Z_2^l for the
//! data, Z_2^delta for a carry and Z_n for a prime-field layer. All operations are constant-time in
//! the operands; only the domain itself is public.

use crate::{Field, Prg, Result, Ring};
use std::fmt::{Debug, Display};

/// Z_2^l or Z_n. Elements are `u64` representatives in `0..modulus`; every method expects and
/// returns canonical ones unless it says otherwise.
#[expect(
    clippy::wrong_self_convention,
    reason = "the domain is the context, not the value converted"
)]
pub trait Domain: Copy + Eq + Debug + Display + Send + Sync + 'static {
    /// Bits of one element on the wire: l, or ceil(log2 n).
    fn bits(self) -> u32;

    /// How many pseudo-random bits [`Domain::reduce_wide`] needs for an element that is uniform:
    /// exactly l for a ring; 128 for Z_n (statistical distance below 2^-64 for n up to 2^62).
    fn pad_bits(self) -> u32;

    /// 2^l or n.
    fn modulus(self) -> u128;

    /// Whether `x` is a canonical representative. Reads from the wire reject what is not.
    fn is_canonical(self, x: u64) -> bool;

    /// Any `u64` to its representative.
    fn reduce(self, x: u64) -> u64;

    /// Any `u128` to its representative.
    fn reduce_wide(self, x: u128) -> u64;

    /// a + b.
    fn add(self, a: u64, b: u64) -> u64;

    /// a - b.
    fn sub(self, a: u64, b: u64) -> u64;

    /// -a.
    fn neg(self, a: u64) -> u64;

    /// a * b.
    fn mul(self, a: u64, b: u64) -> u64;

    /// The signed view: representatives below ceil(modulus/2) are themselves, the others are
    /// negative. Fits `i64` for every domain of this crate.
    fn to_signed(self, x: u64) -> i64;

    /// The representative of a signed integer (any `i64`, wrapping in the domain).
    fn from_signed(self, x: i64) -> u64;

    /// A uniform element.
    fn sample(self, prg: &mut Prg) -> u64;

    /// The same domain as a plain value, for printing and for the wire.
    fn any(self) -> AnyDomain;

    /// `a[i] += b[i]`.
    fn add_assign(self, a: &mut [u64], b: &[u64]) {
        for (x, y) in a.iter_mut().zip(b) {
            *x = self.add(*x, *y);
        }
    }

    /// `a[i] -= b[i]`.
    fn sub_assign(self, a: &mut [u64], b: &[u64]) {
        for (x, y) in a.iter_mut().zip(b) {
            *x = self.sub(*x, *y);
        }
    }

    /// Fills `out` with uniform elements.
    fn sample_into(self, prg: &mut Prg, out: &mut [u64]) {
        for x in out {
            *x = self.sample(prg);
        }
    }
}

/// A domain as data: what the handshake, a program file and an error message carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyDomain {
    /// Z_2^l.
    Ring(Ring),
    /// Z_n.
    Field(Field),
}

impl AnyDomain {
    /// Z_2^l for l in 1..=64.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] outside that range.
    pub fn ring(bits: u32) -> Result<Self> {
        Ok(Self::Ring(Ring::new(bits)?))
    }
}

impl Display for AnyDomain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ring(ring) => Display::fmt(ring, f),
            Self::Field(field) => Display::fmt(field, f),
        }
    }
}
