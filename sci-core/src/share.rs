//! One party's half of a batch: arithmetic shares over a domain, Boolean (XOR) shares packed.
//!
//! A value x is shared as x = x_0 + x_1 in the domain, a bit b as b = b_0 xor b_1. A single share is
//! uniform and says nothing of the value. Both types wipe their memory when dropped and print only
//! their size.

use crate::{Bits, Domain, Error, Result};
use std::fmt;
use std::ops::{Deref, DerefMut};
use zeroize::Zeroize;

/// This party's additive shares of a batch of domain elements.
#[derive(Clone, PartialEq, Eq)]
pub struct Shares<D: Domain> {
    domain: D,
    values: Vec<u64>,
}

impl<D: Domain> Shares<D> {
    /// Wraps canonical representatives.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the first position that is not canonical.
    pub fn new(domain: D, values: Vec<u64>) -> Result<Self> {
        if let Some(at) = values.iter().position(|&x| !domain.is_canonical(x)) {
            return Err(Error::invalid(
                "share",
                format_args!("an element of Z_{domain}"),
                format_args!("a larger one at position {at}"),
            ));
        }
        Ok(Self { domain, values })
    }

    /// Shares that a protocol has just computed and knows to be canonical.
    pub fn from_canonical(domain: D, values: Vec<u64>) -> Self {
        debug_assert!(values.iter().all(|&x| domain.is_canonical(x)));
        Self { domain, values }
    }

    /// This party's shares of zeros that both parties agree on without a message: all zero.
    pub fn zeros(domain: D, len: usize) -> Self {
        Self { domain, values: vec![0; len] }
    }

    /// The domain.
    pub fn domain(&self) -> D {
        self.domain
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The representatives.
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// The representatives, for local kernels. They must stay canonical.
    pub fn values_mut(&mut self) -> &mut [u64] {
        &mut self.values
    }

    /// The representatives, no longer wiped on drop.
    pub fn into_values(mut self) -> Vec<u64> {
        std::mem::take(&mut self.values)
    }

    /// self += other, element by element: shares of the sum.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the lengths differ.
    pub fn add_assign(&mut self, other: &Self) -> Result<()> {
        self.check_len(other)?;
        self.domain.add_assign(&mut self.values, &other.values);
        Ok(())
    }

    /// self -= other, element by element: shares of the difference.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the lengths differ.
    pub fn sub_assign(&mut self, other: &Self) -> Result<()> {
        self.check_len(other)?;
        self.domain.sub_assign(&mut self.values, &other.values);
        Ok(())
    }

    /// self *= k for a public k: shares of the multiple.
    pub fn scale_assign(&mut self, k: u64) {
        for x in &mut self.values {
            *x = self.domain.mul(*x, k);
        }
    }

    fn check_len(&self, other: &Self) -> Result<()> {
        if self.len() == other.len() {
            Ok(())
        } else {
            Err(Error::misuse(format!("batches of {} and {} shares", self.len(), other.len())))
        }
    }
}

impl<D: Domain> Drop for Shares<D> {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

impl<D: Domain> fmt::Debug for Shares<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shares({} over Z_{})", self.values.len(), self.domain)
    }
}

/// This party's XOR shares of a batch of bits.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BitShares(Bits);

impl BitShares {
    /// Wraps packed bits.
    pub fn new(bits: Bits) -> Self {
        Self(bits)
    }

    /// The packed bits, no longer wiped on drop.
    pub fn into_bits(mut self) -> Bits {
        std::mem::take(&mut self.0)
    }
}

impl Deref for BitShares {
    type Target = Bits;
    fn deref(&self) -> &Bits {
        &self.0
    }
}

impl DerefMut for BitShares {
    fn deref_mut(&mut self) -> &mut Bits {
        &mut self.0
    }
}

impl Drop for BitShares {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for BitShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BitShares({})", self.0.len())
    }
}
