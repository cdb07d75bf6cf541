//! Convolutions, MatMul, FusedBatchNorm.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, image, plain};
use super::pool::{Windowed, read_window};
use crate::hlil::compose::{self, TransposedConv};
use crate::hlil::{Op, Tensor, apply};
use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, spatial};

/// A constant with its axes in another order.
fn turned(tensor: &Tensor, permutation: &[usize]) -> Result<Tensor> {
    let shape: Option<Vec<usize>> =
        permutation.iter().map(|&i| tensor.shape().get(i).copied()).collect();
    let shape = shape.filter(|shape| shape.len() == tensor.shape().len());
    let shape = shape.ok_or_else(|| {
        Error::invalid("rank of the filters", permutation.len(), tensor.shape().len())
    })?;
    apply(&Op::Transpose { permutation: permutation.to_vec() }, &[tensor], &shape)
}

/// `[kernel, C_i/g, C_o]` to `[C_o, C_i/g, kernel]`.
fn filters_first(filters: &Tensor) -> Result<Tensor> {
    let axes = filters.shape().len().saturating_sub(2);
    let permutation: Vec<usize> = [axes + 1, axes].into_iter().chain(0..axes).collect();
    turned(filters, &permutation)
}

/// A convolution with filters `[C_o, C_i/g, kernel]`.
fn convolve(call: &mut Call<'_, '_>, attributes: Attributes<'_>, filters: Tensor) -> Read {
    let last = attributes.channels_last()?;
    let x = call.image(0, last)?;
    let shape = call.shape(x)?;
    let (&[batch, channels, ref axes @ ..], &[out_channels, group_in, ref kernel @ ..]) =
        (shape.as_slice(), filters.shape())
    else {
        return Err(Error::invalid("rank", "3 to 5", shape.len()).into());
    };
    if group_in == 0 || !channels.is_multiple_of(group_in) {
        return Err(Error::invalid("channels of the filters", channels, group_in).into());
    }
    let window = read_window(attributes, kernel, axes, Windowed::Conv)?;
    let geometry = ConvGeometry::new(ConvSpec {
        batch,
        in_channels: channels,
        out_channels,
        groups: channels / group_in,
        input: spatial("input of a convolution", axes, 1)?,
        window,
    })?;
    let weights = call.push_constant(call.input_name(1), filters)?;
    image(call.push(Op::Conv { geometry }, &[x, weights])?, last)
}

pub(super) fn conv(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let filters = filters_first(&call.constant(1, "filters")?)?;
    convolve(call, attributes, filters)
}

/// Filters `[height, width, C, multiplier]`: channel c makes outputs c·multiplier and those after it.
pub(super) fn depth_wise(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let filters = turned(&call.constant(1, "filters")?, &[2, 3, 0, 1])?;
    let &[channels, multiplier, ref kernel @ ..] = filters.shape() else {
        return Err(Error::invalid("rank of the filters", 4, filters.shape().len()).into());
    };
    let shape = [&[channels.saturating_mul(multiplier), 1], kernel].concat();
    let filters = filters.reshaped(&shape)?;
    convolve(call, attributes, filters)
}

/// The gradient of a convolution with filters `[kernel, C_o, C_i]`: shape of the output, filters, input.
pub(super) fn conv_transpose(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let wanted = call.ints(0)?;
    let filters = filters_first(&call.constant(1, "filters")?)?;
    let last = attributes.channels_last()?;
    let x = call.image(2, last)?;
    let shape = call.shape(x)?;
    let (&[_, _, ref input @ ..], &[_, _, ref kernel @ ..]) = (shape.as_slice(), filters.shape())
    else {
        return Err(Error::invalid("rank", "4 or 5", shape.len()).into());
    };
    if wanted.len() != shape.len() {
        return Err(Error::invalid("shape of the output", shape.len(), wanted.len()).into());
    }
    let wanted: Vec<i64> = match last {
        true => wanted.get(1..wanted.len() - 1).unwrap_or(&[]).to_vec(),
        false => wanted.get(2..).unwrap_or(&[]).to_vec(),
    };
    let output: Option<Vec<usize>> = wanted.iter().map(|&n| usize::try_from(n).ok()).collect();
    let output = output.ok_or_else(|| {
        Error::invalid("shape of the output", "fixed axes", format_args!("{wanted:?}"))
    })?;
    // The convolution whose gradient this is: from the output to the input.
    let window = read_window(attributes, kernel, &output, Windowed::Conv)?;
    let axes = |list: [usize; 3]| -> Vec<usize> {
        list.into_iter().skip(3usize.saturating_sub(input.len())).collect()
    };
    let forward = ConvGeometry::new(ConvSpec {
        batch: 1,
        in_channels: 1,
        out_channels: 1,
        groups: 1,
        input: spatial("output of a transposed convolution", &output, 1)?,
        window,
    })?;
    if axes(forward.output()) != *input {
        let expected = format!("{:?}", axes(forward.output()));
        return Err(Error::invalid("spatial axes", expected, format_args!("{input:?}")).into());
    }
    let spec = TransposedConv {
        groups: 1,
        stride: axes(window.stride),
        dilation: axes(window.dilation),
        pad_before: axes(window.pad_before),
        output,
    };
    let (name, weights) = (call.name(), call.input_name(1));
    let y = compose::conv_transpose(call.graph(), name, x, (weights, &filters), None, &spec)?;
    image(y, last)
}

pub(super) fn mat_mul(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let weights = call.constant(1, "second matrix")?;
    let mut x = call.plain(0)?;
    if attributes.flag("transpose_a")? {
        x = call.push(Op::Transpose { permutation: vec![1, 0] }, &[x])?;
    }
    let weights =
        if attributes.flag("transpose_b")? { weights } else { turned(&weights, &[1, 0])? };
    let (&[rows, inner], &[outer, columns]) = (call.shape(x)?.as_slice(), weights.shape()) else {
        return Err(Failure::unsupported("of two matrices"));
    };
    if inner != columns {
        return Err(Error::invalid("inner dimension", inner, columns).into());
    }
    let geometry = LinearGeometry::new(rows, inner, outer)?;
    let weights = call.push_constant(call.input_name(1), weights)?;
    plain(call.push(Op::Linear { geometry }, &[x, weights])?)
}

/// Further outputs, the statistics, exist for training alone.
pub(super) fn batch_norm(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    if attributes.optional_bool("is_training")?.unwrap_or(true) {
        return Err(Failure::unsupported("in inference mode (is_training = false)"));
    }
    let epsilon = attributes.float("epsilon", 1e-4)?;
    let last = attributes.channels_last()?;
    let mut inputs = vec![call.image(0, last)?];
    for (i, what) in [(1, "scale"), (2, "offset"), (3, "mean"), (4, "variance")] {
        let tensor = call.constant(i, what)?;
        if i == 4 && tensor.data().iter().any(|v| v + epsilon <= 0.0) {
            return Err(Error::invalid("variance", "more than -epsilon", "less").into());
        }
        inputs.push(call.held(i)?.id);
    }
    let y = call.push(Op::BatchNorm { epsilon }, &inputs)?;
    let mut outputs = image(y, last)?;
    outputs.extend((0..5).map(|_| Value::Unavailable));
    Ok(outputs)
}
