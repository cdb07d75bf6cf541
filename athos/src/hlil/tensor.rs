//! A float tensor.

use crate::{Error, Result};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32-bit floats in row-major order. It may hold weights: its debug form shows the shape alone.
#[derive(Clone, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Vec<f32>,
}

impl Tensor {
    /// # Errors
    /// [`Error::Invalid`] if the shape is empty, too large or of another number of elements.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Result<Self> {
        let expected = crate::shape::bounded(&shape)?;
        if data.len() != expected {
            return Err(Error::invalid("tensor", format_args!("{expected} values"), data.len()));
        }
        Ok(Self { shape, data })
    }

    /// The axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The same elements with other axes.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are not as many.
    pub fn reshaped(&self, shape: &[usize]) -> Result<Self> {
        Self::new(crate::shape::reshape(&self.shape, shape)?, self.data.clone())
    }

    /// Every element through a function.
    #[must_use]
    pub fn map(&self, f: impl Fn(f32) -> f32) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|&x| f(x)).collect() }
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor {:?}", self.shape)
    }
}
