//! A tensor of a run: shares in the program's domain, or the indices of an ArgMax.

use athos::{Error, Result};
use sci_core::{Domain, Ring, Shares};

/// One party's part of a tensor.
#[derive(Clone, Debug)]
pub enum Tensor<D: Domain> {
    /// Additive shares in the domain of the program.
    Values(Shares<D>),
    /// Additive shares of indices, in the smallest ring that holds them.
    Indices(Shares<Ring>),
}

impl<D: Domain> Tensor<D> {
    /// The shares of a tensor that is computed with.
    ///
    /// # Errors
    /// [`Error::Misuse`] for indices: ArgMax is the last instruction of every checked program.
    pub fn values(&self) -> Result<&Shares<D>> {
        match self {
            Self::Values(shares) => Ok(shares),
            Self::Indices(_) => Err(Error::Misuse("an operation on indices".into())),
        }
    }

    /// The elements, from the parts of both parties: for whoever may know all, as tests and a diagnosis. `None` if
    /// the parts are not of one tensor.
    pub fn revealed(&self, other: &Self) -> Option<Vec<u64>> {
        match (self, other) {
            (Self::Values(x), Self::Values(y)) => sum(x, y),
            (Self::Indices(x), Self::Indices(y)) => sum(x, y),
            _ => None,
        }
    }
}

fn sum<D: Domain>(x: &Shares<D>, y: &Shares<D>) -> Option<Vec<u64>> {
    let mut sum = x.clone();
    sum.add_assign(y).ok()?;
    Some(sum.into_values())
}
