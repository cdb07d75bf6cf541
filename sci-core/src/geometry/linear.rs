//! Shapes of matrix products.

use super::elements;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// A fully connected layer, y = x·W^T: x is `rows` x `inner`, W is `outer` x `inner`, all row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "[usize; 3]", into = "[usize; 3]")]
pub struct LinearGeometry {
    rows: usize,
    inner: usize,
    outer: usize,
}

impl LinearGeometry {
    /// Checks a shape.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if an axis is empty or a matrix has more than [`MAX_ELEMENTS`](super::MAX_ELEMENTS).
    pub fn new(rows: usize, inner: usize, outer: usize) -> Result<Self> {
        elements("input of a matrix product", &[rows, inner])?;
        elements("weights of a matrix product", &[outer, inner])?;
        elements("output of a matrix product", &[rows, outer])?;
        Ok(Self { rows, inner, outer })
    }

    /// Rows of x and of y.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Length of every inner product.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Rows of W, columns of y.
    pub fn outer(&self) -> usize {
        self.outer
    }

    /// Elements of x.
    pub fn input_len(&self) -> usize {
        self.rows * self.inner
    }

    /// Elements of y.
    pub fn output_len(&self) -> usize {
        self.rows * self.outer
    }

    /// Elements of W.
    pub fn weight_len(&self) -> usize {
        self.outer * self.inner
    }

    /// Multiplications.
    pub fn macs(&self) -> u64 {
        self.output_len() as u64 * self.inner as u64
    }
}

impl TryFrom<[usize; 3]> for LinearGeometry {
    type Error = Error;

    fn try_from([rows, inner, outer]: [usize; 3]) -> Result<Self> {
        Self::new(rows, inner, outer)
    }
}

impl From<LinearGeometry> for [usize; 3] {
    fn from(geometry: LinearGeometry) -> Self {
        [geometry.rows, geometry.inner, geometry.outer]
    }
}
