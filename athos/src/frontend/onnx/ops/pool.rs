//! Windows; MaxPool, AveragePool and their global forms.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Read};
use crate::hlil::Op;
use crate::hlil::compose::{self, Reduction};
use crate::{Error, Result};
use sci_core::geometry::{MAX_AXIS, PoolGeometry, PoolSpec, Window, spatial};

/// Strides, dilations and padding for a kernel.
pub(super) fn read_window(
    attributes: Attributes<'_>,
    kernel: &[usize],
    input: &[usize],
) -> Result<Window> {
    let rank = input.len();
    if kernel.len() != rank {
        return Err(Error::invalid("axes of the kernel", rank, kernel.len()));
    }
    let strides = attributes.sizes("strides", rank, 1, 1)?;
    let dilations = attributes.sizes("dilations", rank, 1, 1)?;
    let explicit = attributes.sizes("pads", 2 * rank, 0, 0)?;
    let (before, after) = explicit.split_at(rank);
    let (mut before, mut after) = (before.to_vec(), after.to_vec());
    let auto = attributes.text("auto_pad", "NOTSET")?;
    match auto.as_str() {
        "NOTSET" | "" => {}
        "VALID" => {
            before.fill(0);
            after.fill(0);
        }
        "SAME_UPPER" | "SAME_LOWER" => {
            let axes = input.iter().zip(kernel).zip(strides.iter().zip(&dilations));
            let pads = before.iter_mut().zip(after.iter_mut()).zip(axes);
            for ((before, after), ((&n, &k), (&stride, &dilation))) in pads {
                if [n, k, stride, dilation].iter().any(|&v| v == 0 || v > MAX_AXIS) {
                    return Err(Error::invalid("window", "axes in 1..=2^20", "another"));
                }
                let extent = dilation * (k - 1) + 1;
                let total = ((n.div_ceil(stride) - 1) * stride + extent).saturating_sub(n);
                let (less, more) = (total / 2, total - total / 2);
                (*before, *after) = if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
            }
        }
        other => return Err(Error::invalid("auto_pad", "a known word", other)),
    }
    let window = Window::new(spatial("kernel", kernel, 1)?)
        .with_stride(spatial("strides", &strides, 1)?)
        .with_dilation(spatial("dilations", &dilations, 1)?)
        .with_pads(spatial("pads", &before, 0)?, spatial("pads", &after, 0)?);
    Ok(window)
}

fn spec(shape: &[usize], window: Window, count_include_pad: bool) -> Result<PoolSpec> {
    let [batch, channels, axes @ ..] = shape else {
        return Err(Error::invalid("rank", "3 to 5", shape.len()));
    };
    Ok(PoolSpec {
        batch: *batch,
        channels: *channels,
        input: spatial("input of a pooling", axes, 1)?,
        window,
        count_include_pad,
    })
}

fn read_pool<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'_>,
    op: impl FnOnce(PoolGeometry) -> Op,
) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let shape = call.shape(x)?;
    let axes = shape.get(2..).unwrap_or(&[]);
    if attributes.ints("kernel_shape")?.is_none() {
        return Err(Error::invalid("kernel_shape", "a list", "none").into());
    }
    let kernel = attributes.sizes("kernel_shape", axes.len(), 1, 1)?;
    let window = read_window(attributes, &kernel, axes)?;
    let spec = spec(&shape, window, attributes.int("count_include_pad", 0)? != 0)?;
    let ceil = attributes.int("ceil_mode", 0)? != 0;
    let name = call.title();
    Ok(Value::Node(compose::pool(call.graph(), name, x, spec, ceil, op)?))
}

pub(super) fn max_pool<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    read_pool(call, attributes, |geometry| Op::MaxPool { geometry })
}

pub(super) fn average_pool<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    read_pool(call, attributes, |geometry| Op::AvgPool { geometry })
}

/// One window over all spatial axes.
fn global<'a>(call: &mut Call<'a, '_>, reduction: Reduction) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let rank = call.shape(x)?.len();
    if !(3..=5).contains(&rank) {
        return Err(Error::invalid("rank", "3 to 5", rank).into());
    }
    let (name, axes): (_, Vec<usize>) = (call.title(), (2..rank).collect());
    Ok(Value::Node(compose::reduce(call.graph(), name, x, &axes, true, reduction)?))
}

pub(super) fn global_average_pool<'a>(
    call: &mut Call<'a, '_>,
    _: Attributes<'a>,
) -> Read<Value<'a>> {
    global(call, Reduction::Mean)
}

pub(super) fn global_max_pool<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    global(call, Reduction::Max)
}
