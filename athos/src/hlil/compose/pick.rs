//! Slices in both directions, paddings of every kind, and lists of positions along an axis.

use super::super::{Graph, Op, Tensor, ValueId};
use crate::{Error, Result};

/// The most pieces that a list of positions may be cut into.
const MAX_PIECES: usize = 1 << 12;

/// The elements at the given positions along an axis, one after another: a slice where they are evenly
/// spaced, otherwise the concatenation of such slices.
///
/// # Errors
/// [`Error::Invalid`] for positions beyond the axis, none at all, or too many pieces.
pub fn pick(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    axis: usize,
    positions: &[usize],
) -> Result<ValueId> {
    let shape = graph.node(x)?.shape.clone();
    let pieces = runs(positions);
    if pieces.is_empty() || pieces.len() > MAX_PIECES {
        let expected = format!("1..={MAX_PIECES} pieces of an axis");
        return Err(Error::invalid(name, expected, pieces.len()));
    }
    let mut parts = Vec::with_capacity(pieces.len());
    for (first, distance, count) in pieces {
        let mut start = vec![0; shape.len()];
        let mut step = vec![1; shape.len()];
        let mut piece = shape.clone();
        let axes = (start.get_mut(axis), step.get_mut(axis), piece.get_mut(axis));
        let (Some(start_here), Some(step_here), Some(len_here)) = axes else {
            return Err(Error::invalid("axis", format_args!("below {}", shape.len()), axis));
        };
        (*start_here, *step_here, *len_here) = (first, distance, count);
        parts.push(slice(graph, name, x, start, step, piece)?);
    }
    match parts.as_slice() {
        [part] => Ok(*part),
        parts => graph.push(name, Op::Concat { axis }, parts),
    }
}

/// Cuts a list into evenly spaced, growing runs: first, distance, how many.
fn runs(positions: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for &position in positions {
        match runs.last_mut() {
            Some((first, distance, count @ 1)) if position > *first => {
                (*distance, *count) = (position - *first, 2);
            }
            Some((first, distance, count))
                if *count > 1 && position == *first + *distance * *count =>
            {
                *count += 1;
            }
            _ => runs.push((position, 1, 1)),
        }
    }
    runs
}

/// Every `step`-th element from `start`, `shape` many; the value itself if that is all of it.
///
/// # Errors
/// Those of [`Graph::push`].
pub fn slice(
    graph: &mut Graph,
    name: &str,
    x: ValueId,
    start: Vec<usize>,
    step: Vec<usize>,
    shape: Vec<usize>,
) -> Result<ValueId> {
    if graph.node(x)?.shape == shape && step.iter().all(|&step| step == 1) {
        return Ok(x);
    }
    graph.push(name, Op::Slice { start, step, shape }, &[x])
}

/// What stands around a padded tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Border {
    /// The same number everywhere.
    Constant(f32),
    /// The outermost element again.
    Edge,
    /// The elements before it in reverse, without itself.
    Reflect,
    /// The elements of the other end.
    Wrap,
}

impl Border {
    /// The position that stands at `i`, counted from the first element.
    fn position(self, i: i64, n: i64) -> i64 {
        match self {
            Self::Constant(_) | Self::Edge => i.clamp(0, n - 1),
            Self::Wrap => i.rem_euclid(n),
            Self::Reflect => {
                let period = (2 * (n - 1)).max(1);
                let i = i.rem_euclid(period);
                i.min(period - i).min(n - 1)
            }
        }
    }
}

/// Adds `before` and `after` elements to every axis, or takes away where they are negative.
///
/// # Errors
/// [`Error::Invalid`] if nothing is left or a border takes too many pieces.
pub fn pad(
    graph: &mut Graph,
    name: &str,
    mut x: ValueId,
    before: &[i64],
    after: &[i64],
    border: Border,
) -> Result<ValueId> {
    let shape = graph.node(x)?.shape.clone();
    crate::shape::same("axes of the padding", &[shape.len(); 2], &[before.len(), after.len()])?;
    let limit = 1i64 << 31;
    if before.iter().chain(after).any(|n| !(-limit..=limit).contains(n)) {
        return Err(Error::invalid(name, "padding of at most 2^31", "more"));
    }
    let crop = |pads: &[i64]| pads.iter().map(|p| p.min(&0).unsigned_abs() as usize).collect();
    let grow = |pads: &[i64]| pads.iter().map(|p| *p.max(&0) as usize).collect::<Vec<usize>>();
    let (start, end): (Vec<usize>, Vec<usize>) = (crop(before), crop(after));
    let cropped: Option<Vec<usize>> = shape
        .iter()
        .zip(start.iter().zip(&end))
        .map(|(&n, (&a, &b))| n.checked_sub(a)?.checked_sub(b).filter(|&n| n > 0))
        .collect();
    let cropped = cropped.ok_or_else(|| Error::invalid(name, "something left", "nothing"))?;
    x = slice(graph, name, x, start, vec![1; shape.len()], cropped.clone())?;
    let (before, after) = (grow(before), grow(after));
    if before.iter().chain(&after).all(|&n| n == 0) {
        return Ok(x);
    }
    if let Border::Constant(value) = border {
        let padding = Op::Pad { before: before.clone(), after };
        let padded = graph.push(name, padding, &[x])?;
        if value == 0.0 {
            return Ok(padded);
        }
        let shape = graph.node(padded)?.shape.clone();
        let frame = frame(&cropped, &before, &shape, value)?;
        let frame = graph.push(name, Op::Constant(frame), &[])?;
        return graph.push(name, Op::Add, &[padded, frame]);
    }
    for (axis, &n) in cropped.iter().enumerate() {
        let pads = before.get(axis).copied().zip(after.get(axis).copied());
        let (low, high) = pads.unwrap_or((0, 0));
        if low + high == 0 {
            continue;
        }
        if low + high > MAX_PIECES {
            return Err(Error::invalid(name, "a border of at most 4096", low + high));
        }
        let range = -(low as i64)..(n + high) as i64;
        let positions: Vec<usize> = range.map(|i| border.position(i, n as i64) as usize).collect();
        x = pick(graph, name, x, axis, &positions)?;
    }
    Ok(x)
}

/// A tensor that is `value` outside of a block and 0 inside.
fn frame(inside: &[usize], before: &[usize], shape: &[usize], value: f32) -> Result<Tensor> {
    let len = crate::shape::bounded(shape)?;
    let mut data = Vec::with_capacity(len);
    for mut i in 0..len {
        let mut outside = false;
        for ((&n, &low), &axis) in inside.iter().zip(before).zip(shape).rev() {
            outside |= !(low..low + n).contains(&(i % axis));
            i /= axis;
        }
        data.push(if outside { value } else { 0.0 });
    }
    Tensor::new(shape.to_vec(), data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_cut_into_slices() {
        assert_eq!(runs(&[0, 1, 2, 5]), [(0, 1, 3), (5, 1, 1)]);
        assert_eq!(runs(&[1, 4, 7, 7]), [(1, 3, 3), (7, 1, 1)]);
        assert_eq!(runs(&[2, 1, 0]), [(2, 1, 1), (1, 1, 1), (0, 1, 1)]);
        assert_eq!(runs(&[]), []);
    }

    #[test]
    fn borders() {
        let at = |border: Border| -> Vec<i64> { (-3..6).map(|i| border.position(i, 3)).collect() };
        assert_eq!(at(Border::Edge), [0, 0, 0, 0, 1, 2, 2, 2, 2]);
        assert_eq!(at(Border::Wrap), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(at(Border::Reflect), [1, 2, 1, 0, 1, 2, 1, 0, 1]);
        assert_eq!(Border::Reflect.position(-1, 1), 0);
    }
}
