//! Moving elements around: local for every backend, on shares as on values.

use super::{Op, TensorInfo};
use crate::{Error, Result};

/// A rearrangement of the elements of one or several tensors, with zeros where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rearrange {
    kind: Kind,
    inputs: Vec<usize>,
    len: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// `chunks[k]` elements of input k in turn.
    Concat { chunks: Vec<usize> },
    /// Output coordinates to an input offset.
    Gather { shape: Vec<usize>, strides: Vec<usize>, start: usize },
    /// Input coordinates to an output offset; the rest is zero.
    Scatter { shape: Vec<usize>, strides: Vec<usize>, start: usize },
}

/// The offsets start + sum of coordinate·stride over a row-major walk of `shape`.
pub(super) fn offsets<'a>(
    shape: &'a [usize],
    strides: &'a [usize],
    start: usize,
) -> impl Iterator<Item = usize> + 'a {
    let mut coordinates = vec![0; shape.len()];
    let mut offset = start;
    (0..shape.iter().product()).map(move |_| {
        let current = offset;
        for ((c, &n), &stride) in coordinates.iter_mut().zip(shape).zip(strides).rev() {
            *c += 1;
            offset += stride;
            if *c < n {
                break;
            }
            offset -= n * stride;
            *c = 0;
        }
        current
    })
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    let mut stride = 1;
    for (s, &n) in strides.iter_mut().zip(shape).rev() {
        *s = stride;
        stride *= n;
    }
    strides
}

fn dot(a: &[usize], b: &[usize]) -> usize {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

impl Rearrange {
    /// The rearrangement that a Concat, Transpose, Pad or Slice is; `None` for other operations.
    /// Operation and shapes must come from a checked program.
    pub fn of(op: &Op, inputs: &[&TensorInfo], output: &TensorInfo) -> Option<Self> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|x| x.shape.as_slice()).collect();
        let x = *shapes.first()?;
        Some(match op {
            Op::Concat { axis } => Self::concat(&shapes, *axis),
            Op::Transpose { permutation } => Self::transpose(x, permutation, &output.shape),
            Op::Slice { start, step, shape } => Self::slice(x, start, step, shape),
            Op::Pad { before, .. } => Self::pad(x, before, &output.shape),
            _ => return None,
        })
    }

    /// One tensor after another along an axis.
    pub(crate) fn concat(shapes: &[&[usize]], axis: usize) -> Self {
        let chunks = shapes.iter().map(|x| x.iter().skip(axis).product()).collect();
        let inputs: Vec<usize> = shapes.iter().map(|x| x.iter().product()).collect();
        let len = inputs.iter().sum();
        Self { kind: Kind::Concat { chunks }, inputs, len }
    }

    /// Other order of the axes.
    pub(crate) fn transpose(x: &[usize], permutation: &[usize], output: &[usize]) -> Self {
        let strides = row_major(x);
        let strides = permutation.iter().filter_map(|&a| strides.get(a).copied()).collect();
        Self::unary(Kind::Gather { shape: output.to_vec(), strides, start: 0 }, x, output)
    }

    /// Every step-th element.
    pub(crate) fn slice(x: &[usize], start: &[usize], step: &[usize], output: &[usize]) -> Self {
        let strides = row_major(x);
        let start = dot(start, &strides);
        let strides = strides.iter().zip(step).map(|(s, k)| s * k).collect();
        Self::unary(Kind::Gather { shape: output.to_vec(), strides, start }, x, output)
    }

    /// Zeros around.
    pub(crate) fn pad(x: &[usize], before: &[usize], output: &[usize]) -> Self {
        let strides = row_major(output);
        let start = dot(before, &strides);
        Self::unary(Kind::Scatter { shape: x.to_vec(), strides, start }, x, output)
    }

    fn unary(kind: Kind, x: &[usize], output: &[usize]) -> Self {
        Self { kind, inputs: vec![x.iter().product()], len: output.iter().product() }
    }

    /// Elements of the result.
    pub fn output_len(&self) -> usize {
        self.len
    }

    /// Does it.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the inputs have other lengths than the shapes it was made for.
    pub fn apply<T: Copy + Default>(&self, inputs: &[&[T]]) -> Result<Vec<T>> {
        let misuse = || Error::Misuse(format!("lengths of the inputs of {self:?}"));
        if !inputs.iter().map(|x| x.len()).eq(self.inputs.iter().copied()) {
            return Err(misuse());
        }
        let first = *inputs.first().ok_or_else(misuse)?;
        let mut out = Vec::with_capacity(self.len);
        match &self.kind {
            Kind::Concat { chunks } => {
                let mut parts: Vec<_> =
                    inputs.iter().zip(chunks).map(|(x, &n)| x.chunks(n.max(1))).collect();
                while out.len() < self.len {
                    for part in &mut parts {
                        out.extend_from_slice(part.next().ok_or_else(misuse)?);
                    }
                }
            }
            Kind::Gather { shape, strides, start } => {
                out.extend(offsets(shape, strides, *start).filter_map(|i| first.get(i).copied()));
            }
            Kind::Scatter { shape, strides, start } => {
                out.resize(self.len, T::default());
                for (x, i) in first.iter().zip(offsets(shape, strides, *start)) {
                    *out.get_mut(i).ok_or_else(misuse)? = *x;
                }
            }
        }
        if out.len() != self.len {
            return Err(misuse());
        }
        Ok(out)
    }
}
