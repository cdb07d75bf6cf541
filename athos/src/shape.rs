//! Shapes of results, the same for floats and for integers.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry, elements, spatial};

/// The most axes of any tensor.
const MAX_RANK: usize = 8;

/// Checks rank and number of elements.
pub(crate) fn bounded(shape: &[usize]) -> Result<usize> {
    if shape.len() > MAX_RANK {
        return Err(Error::invalid("rank", format_args!("at most {MAX_RANK}"), shape.len()));
    }
    Ok(elements("shape", shape)?)
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &T,
    got: &T,
) -> Result<()> {
    if expected == got {
        return Ok(());
    }
    Err(Error::invalid(what, format_args!("{expected:?}"), format_args!("{got:?}")))
}

pub(crate) fn conv(geometry: &ConvGeometry, x: &[usize]) -> Result<Vec<usize>> {
    let spec = geometry.spec();
    let axes = spatial_axes(x, spec.batch, spec.in_channels, spec.input)?;
    with_spatial(axes, spec.batch, spec.out_channels, geometry.output())
}

/// The shape of the filters for an input of this shape.
pub(crate) fn filters(geometry: &ConvGeometry, x: &[usize]) -> Result<Vec<usize>> {
    let spec = geometry.spec();
    let axes = spatial_axes(x, spec.batch, spec.in_channels, spec.input)?;
    let (_, kernel) = spec.window.kernel.split_at(3 - axes);
    Ok([&[spec.out_channels, geometry.group_in()], kernel].concat())
}

pub(crate) fn pool(geometry: &PoolGeometry, x: &[usize]) -> Result<Vec<usize>> {
    let spec = geometry.spec();
    let axes = spatial_axes(x, spec.batch, spec.channels, spec.input)?;
    with_spatial(axes, spec.batch, spec.channels, geometry.output())
}

/// Checks `[batch, channels, 1 to 3 spatial axes]` and returns how many spatial axes there are.
fn spatial_axes(x: &[usize], batch: usize, channels: usize, input: [usize; 3]) -> Result<usize> {
    let [n, c, axes @ ..] = x else {
        return Err(Error::invalid("rank", "3 to 5", x.len()));
    };
    same("batch and channels", &[batch, channels], &[*n, *c])?;
    same("spatial axes", &input, &spatial("spatial axes", axes, 1)?)?;
    Ok(axes.len())
}

/// The axes that the tensor does not have must have no window either.
fn with_spatial(
    axes: usize,
    batch: usize,
    channels: usize,
    output: [usize; 3],
) -> Result<Vec<usize>> {
    let (missing, present) = output.split_at(3 - axes.min(3));
    if missing.iter().any(|&n| n != 1) {
        return Err(Error::invalid("window", "nothing on axes that do not exist", "padding"));
    }
    Ok([&[batch, channels], present].concat())
}

pub(crate) fn linear(geometry: &LinearGeometry, x: &[usize]) -> Result<Vec<usize>> {
    let [rows @ .., inner] = x else {
        return Err(Error::invalid("rank", "at least 1", 0));
    };
    same("rows", &geometry.rows(), &rows.iter().product())?;
    same("columns", &geometry.inner(), inner)?;
    Ok([rows, &[geometry.outer()]].concat())
}

pub(crate) fn reshape(x: &[usize], shape: &[usize]) -> Result<Vec<usize>> {
    let (expected, got) = (bounded(x)?, bounded(shape)?);
    same("number of elements", &expected, &got)?;
    Ok(shape.to_vec())
}

pub(crate) fn concat(axis: usize, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    let [first, rest @ ..] = inputs else {
        return Err(Error::invalid("number of inputs", "at least 1", 0));
    };
    let mut shape = first.to_vec();
    for x in rest {
        let mut other = x.to_vec();
        if let (Some(total), Some(n)) = (shape.get_mut(axis), other.get_mut(axis)) {
            let sum = total.saturating_add(*n);
            (*total, *n) = (sum, sum);
        }
        same("shape of a part", &shape, &other)?;
    }
    if axis >= shape.len() {
        return Err(Error::invalid("axis", format_args!("below {}", shape.len()), axis));
    }
    Ok(shape)
}

pub(crate) fn transpose(x: &[usize], permutation: &[usize]) -> Result<Vec<usize>> {
    let mut sorted = permutation.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.len()) {
        let expected = format!("each of {} axes once", x.len());
        return Err(Error::invalid("permutation", expected, format_args!("{permutation:?}")));
    }
    Ok(permutation.iter().filter_map(|&a| x.get(a).copied()).collect())
}

pub(crate) fn pad(x: &[usize], before: &[usize], after: &[usize]) -> Result<Vec<usize>> {
    same("axes of the padding", &[x.len(); 2], &[before.len(), after.len()])?;
    let axes = x.iter().zip(before).zip(after);
    Ok(axes.map(|((&n, &b), &a)| n.saturating_add(b).saturating_add(a)).collect())
}

pub(crate) fn slice(
    x: &[usize],
    start: &[usize],
    step: &[usize],
    shape: &[usize],
) -> Result<Vec<usize>> {
    same("axes of the slice", &[x.len(); 3], &[start.len(), step.len(), shape.len()])?;
    for (((&n, &start), &step), &len) in x.iter().zip(start).zip(step).zip(shape) {
        let last = len.checked_sub(1).and_then(|k| k.checked_mul(step)?.checked_add(start));
        if step == 0 || last.is_none_or(|last| last >= n) {
            let got = format!("{len} from {start} by {step}");
            return Err(Error::invalid("slice", format_args!("inside {n}"), got));
        }
    }
    Ok(shape.to_vec())
}

/// The shape without one axis.
pub(crate) fn without(x: &[usize], axis: usize) -> Result<Vec<usize>> {
    if axis >= x.len() {
        return Err(Error::invalid("axis", format_args!("below {}", x.len()), axis));
    }
    Ok(x.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, &n)| n).collect())
}
