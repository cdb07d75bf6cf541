//! Weights that are repeated along the axes of a tensor.

use sci_core::geometry::elements;
use sci_core::{Error, Result};

/// For each element of a tensor, row-major, the index of its weight; and the number of weights.
///
/// # Errors
/// [`Error::InvalidInput`] unless every axis of the weights is 1 or that of the tensor.
pub(crate) fn sources(shape: &[usize], weight_shape: &[usize]) -> Result<(Vec<u32>, usize)> {
    let fits = shape.len() == weight_shape.len()
        && shape.iter().zip(weight_shape).all(|(&n, &w)| w == n || w == 1);
    if !fits {
        let expected = format!("an axis of 1 or that of {shape:?} everywhere");
        return Err(Error::invalid("weight shape", expected, format_args!("{weight_shape:?}")));
    }
    let total = elements("tensor", shape)?;
    let weights = elements("weights", weight_shape)?;
    let source = |i: usize| {
        let (mut rest, mut weight, mut stride) = (i, 0, 1);
        for (&n, &w) in shape.iter().zip(weight_shape).rev() {
            if w > 1 {
                weight += rest % n * stride;
            }
            stride *= w;
            rest /= n;
        }
        weight as u32
    };
    Ok(((0..total).map(source).collect(), weights))
}
