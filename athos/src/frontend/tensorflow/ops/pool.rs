//! Windows; MaxPool and AvgPool, Mean and Max over axes.

use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, axis, channels_first, image, plain};
use crate::hlil::Op;
use crate::hlil::compose::{self, Reduction};
use crate::{Error, Result};
use sci_core::geometry::{MAX_AXIS, PoolGeometry, PoolSpec, Window, spatial};

/// What a window belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Windowed {
    Conv,
    Pool,
}

/// The spatial entries of a list that has one for each axis of a tensor.
fn spatial_entries(
    attributes: Attributes<'_>,
    name: &str,
    rank: usize,
    default: usize,
) -> Result<Vec<usize>> {
    let list = attributes.ints(name)?;
    if list.is_empty() {
        return Ok(vec![default; rank]);
    }
    let wrong = || {
        let expected = format!("1, {rank} numbers of at least 1, 1");
        Error::invalid(format!("attribute {name}"), expected, format_args!("{list:?}"))
    };
    let positive: Option<Vec<usize>> =
        list.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n > 0)).collect();
    let list = positive.filter(|list| list.len() == rank + 2).ok_or_else(wrong)?;
    let ordered = if attributes.channels_last()? { channels_first(&list) } else { list };
    match ordered.as_slice() {
        [1, 1, axes @ ..] => Ok(axes.to_vec()),
        _ => Err(wrong()),
    }
}

/// The window of a convolution with this kernel, or of a pooling (whose kernel is an attribute).
pub(super) fn read_window(
    attributes: Attributes<'_>,
    kernel: &[usize],
    input: &[usize],
    of: Windowed,
) -> Result<Window> {
    let rank = input.len();
    let kernel = match of {
        Windowed::Conv => kernel.to_vec(),
        Windowed::Pool => spatial_entries(attributes, "ksize", rank, 1)?,
    };
    if kernel.len() != rank {
        return Err(Error::invalid("axes of the kernel", rank, kernel.len()));
    }
    let stride = spatial_entries(attributes, "strides", rank, 1)?;
    let dilation = spatial_entries(attributes, "dilations", rank, 1)?;
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    match attributes.text("padding", "VALID")? {
        "VALID" => {}
        "SAME" => {
            let axes = input.iter().zip(&kernel).zip(stride.iter().zip(&dilation));
            let pads = before.iter_mut().zip(after.iter_mut());
            for ((before, after), ((&n, &k), (&s, &d))) in pads.zip(axes) {
                if [n, k, s, d].iter().any(|&v| v == 0 || v > MAX_AXIS) {
                    return Err(Error::invalid("window", "axes in 1..=2^20", "another"));
                }
                let extent = d * (k - 1) + 1;
                let total = ((n.div_ceil(s) - 1) * s + extent).saturating_sub(n);
                (*before, *after) = (total / 2, total - total / 2);
            }
        }
        "EXPLICIT" => {
            let list = attributes.ints("explicit_paddings")?;
            let (pairs, _) = list.as_chunks::<2>();
            let size = |n: i64| usize::try_from(n).unwrap_or(usize::MAX);
            let (low, high): (Vec<usize>, Vec<usize>) =
                pairs.iter().map(|&[low, high]| (size(low), size(high))).unzip();
            if low.len() != rank + 2 {
                return Err(Error::invalid("explicit_paddings", 2 * (rank + 2), list.len()));
            }
            let last = attributes.channels_last()?;
            let order = |list: Vec<usize>| if last { channels_first(&list) } else { list };
            before = order(low).split_off(2);
            after = order(high).split_off(2);
        }
        other => return Err(Error::invalid("padding", "SAME, VALID or EXPLICIT", other)),
    }
    Ok(Window::new(spatial("kernel", &kernel, 1)?)
        .with_stride(spatial("strides", &stride, 1)?)
        .with_dilation(spatial("dilations", &dilation, 1)?)
        .with_pads(spatial("padding", &before, 0)?, spatial("padding", &after, 0)?))
}

/// Padding takes no part in a maximum and is not counted in an average.
fn pool(
    call: &mut Call<'_, '_>,
    attributes: Attributes<'_>,
    op: impl FnOnce(PoolGeometry) -> Op,
) -> Read {
    let last = attributes.channels_last()?;
    let x = call.image(0, last)?;
    let shape = call.shape(x)?;
    let &[batch, channels, ref axes @ ..] = shape.as_slice() else {
        return Err(Error::invalid("rank", "4 or 5", shape.len()).into());
    };
    let window = read_window(attributes, &[], axes, Windowed::Pool)?;
    let geometry = PoolGeometry::new(PoolSpec {
        batch,
        channels,
        input: spatial("input of a pooling", axes, 1)?,
        window,
        count_include_pad: false,
    })?;
    image(call.push(op(geometry), &[x])?, last)
}

pub(super) fn max(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    pool(call, attributes, |geometry| Op::MaxPool { geometry })
}

pub(super) fn average(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    pool(call, attributes, |geometry| Op::AvgPool { geometry })
}

fn reduce(call: &mut Call<'_, '_>, attributes: Attributes<'_>, reduction: Reduction) -> Read {
    let keep = attributes.flag("keep_dims")?;
    let held = call.held(0)?;
    let rank = call.shape(held.id)?.len();
    let mut axes: Vec<usize> =
        call.ints(1)?.iter().map(|&a| axis(a, rank)).collect::<Result<_>>()?;
    axes.sort_unstable();
    axes.dedup();
    if axes.is_empty() {
        return Err(Failure::unsupported("over at least one axis"));
    }
    let name = call.name();
    // The usual case, all spatial axes: a window of the image as it is.
    let spatial = rank > 2 && axes.iter().copied().eq(1..rank - 1);
    if spatial {
        let x = call.image(0, true)?;
        let axes: Vec<usize> = (2..rank).collect();
        let y = compose::reduce(call.graph(), name, x, &axes, keep, reduction)?;
        return if keep { image(y, true) } else { plain(y) };
    }
    let x = call.plain(0)?;
    plain(compose::reduce(call.graph(), name, x, &axes, keep, reduction)?)
}

pub(super) fn mean(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    reduce(call, attributes, Reduction::Mean)
}

pub(super) fn reduce_max(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    reduce(call, attributes, Reduction::Max)
}
