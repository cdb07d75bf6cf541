//! ConvTranspose.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Read};
use crate::Error;
use crate::hlil::compose::{self, TransposedConv};
use sci_core::geometry::MAX_AXIS;

pub(super) fn conv_transpose<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let (weights_name, weights) = call.constant(1, "filters")?;
    let bias = if call.has(2) { Some(call.constant(2, "bias")?) } else { None };
    let shape = call.shape(x)?;
    let ([_, _, input @ ..], [_, _, kernel @ ..]) = (shape.as_slice(), weights.shape()) else {
        return Err(Error::invalid("rank", "3 to 5", shape.len()).into());
    };
    if kernel.len() != input.len() {
        return Err(Error::invalid("axes of the kernel", input.len(), kernel.len()).into());
    }
    let declared = attributes.sizes("kernel_shape", kernel.len(), 1, 0)?;
    if attributes.ints("kernel_shape")?.is_some() && declared != kernel {
        let got = format!("{declared:?}");
        return Err(Error::invalid("kernel_shape", format_args!("{kernel:?}"), got).into());
    }
    let groups = usize::try_from(attributes.int("group", 1)?).unwrap_or(0);
    let (spec, bias) = (window(attributes, kernel, input, groups)?, bias.as_ref());
    let name = call.title();
    let weights = (weights_name.as_str(), &weights);
    let bias = bias.map(|(name, tensor)| (name.as_str(), tensor));
    Ok(Value::Node(compose::conv_transpose(call.graph(), name, x, weights, bias, &spec)?))
}

/// Where the output begins in the full one, and how long it is.
fn window(
    attributes: Attributes<'_>,
    kernel: &[usize],
    input: &[usize],
    groups: usize,
) -> Read<TransposedConv> {
    let rank = input.len();
    let stride = attributes.sizes("strides", rank, 1, 1)?;
    let dilation = attributes.sizes("dilations", rank, 1, 1)?;
    let extra = attributes.sizes("output_padding", rank, 0, 0)?;
    let pads = attributes.sizes("pads", 2 * rank, 0, 0)?;
    let small = [kernel, input, &stride, &dilation, &extra, &pads];
    if small.iter().any(|list| list.iter().any(|&n| n > MAX_AXIS)) {
        return Err(Error::invalid("window", "lengths up to 2^20", "longer ones").into());
    }
    let auto = attributes.text("auto_pad", "NOTSET")?;
    let wanted = match attributes.ints("output_shape")? {
        // Some exporters write batch and channels too.
        Some(all) => {
            let axes = all.get(all.len().saturating_sub(rank)..).unwrap_or(&[]);
            let axes: Option<Vec<usize>> = axes.iter().map(|&n| usize::try_from(n).ok()).collect();
            let axes = axes.filter(|axes| axes.len() == rank);
            Some(axes.ok_or_else(|| Error::invalid("output_shape", "one length an axis", "other"))?)
        }
        None if auto.starts_with("SAME") => {
            Some(input.iter().zip(&stride).map(|(n, s)| n * s).collect())
        }
        None => None,
    };
    let (low, high) = pads.split_at(rank);
    let mut pad_before = Vec::with_capacity(rank);
    let mut output = Vec::with_capacity(rank);
    let sizes = input.iter().zip(kernel).zip(stride.iter().zip(&dilation));
    for (i, ((&n, &k), (&s, &d))) in sizes.enumerate() {
        let at = |list: &[usize]| list.get(i).copied().unwrap_or(0);
        let full = (n.max(1) - 1) * s + (k.max(1) - 1) * d + 1 + at(&extra);
        let (before, length) = match &wanted {
            Some(wanted) => {
                // A longer output is the bias alone behind the full one.
                let cut = full.saturating_sub(at(wanted));
                let before = if auto == "SAME_UPPER" { cut / 2 } else { cut - cut / 2 };
                (before, at(wanted))
            }
            None if auto == "VALID" => (0, full),
            None => {
                let length = full.checked_sub(at(low) + at(high)).filter(|&n| n > 0);
                let length =
                    length.ok_or_else(|| Error::invalid("pads", "something left", "nothing"))?;
                (at(low), length)
            }
        };
        pad_before.push(before);
        output.push(length);
    }
    Ok(TransposedConv { groups, stride, dilation, pad_before, output })
}
