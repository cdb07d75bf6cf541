//! Other axes and parts; constants and the integers that shapes are computed from; what stands at the
//! end of a classifier.

use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, axis, image, list, plain};
use super::super::tensor::{self, Data};
use super::super::{Held, Value};
use crate::hlil::Op;
use crate::hlil::compose::{self, Border};
use crate::{Error, Result};

/// The longest list of integers that is computed while reading.
const MAX_INTS: usize = 1 << 16;

pub(super) fn constant(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let tensor = attributes.tensor("value")?;
    let tensor = tensor.ok_or_else(|| Error::invalid("attribute value", "a tensor", "none"))?;
    Ok(match tensor::read(tensor, call.name())? {
        Data::Floats(tensor) => {
            let id = call.push_constant(call.name(), tensor)?;
            vec![Value::Node(Held { id, first: false })]
        }
        Data::Ints { shape, data } => vec![Value::Ints { shape, data }],
    })
}

pub(super) fn shape(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let shape = call.shape_of(0)?;
    list(shape.into_iter().map(|n| i64::try_from(n).unwrap_or(i64::MAX)).collect())
}

/// Numbers side by side, of shapes alone.
pub(super) fn pack(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let axis = attributes.int("axis", 0)?;
    let mut data = Vec::new();
    for i in 0..call.inputs.len() {
        match call.value(i)? {
            // Single numbers have no other axis; the last one is theirs as well.
            Value::Ints { data: one, .. } if axis == 0 || (axis == -1 && one.len() == 1) => {
                data.extend(one);
            }
            Value::Ints { .. } => return Err(Failure::unsupported("along axis 0")),
            _ => return Err(Failure::unsupported("of integers")),
        }
        if data.len() > MAX_INTS {
            return Err(Error::invalid("integers", "at most 65536", data.len()).into());
        }
    }
    list(data)
}

pub(super) fn reshape(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let wanted = call.ints(1)?;
    let total: usize = call.shape_of(0)?.iter().product();
    let wrong =
        || Error::invalid("shape", format_args!("{total} elements"), format_args!("{wanted:?}"));
    let fixed: Option<usize> =
        wanted.iter().filter(|&&n| n != -1).try_fold(1usize, |product, &n| {
            product.checked_mul(usize::try_from(n).ok().filter(|&n| n > 0)?)
        });
    let fixed = fixed.ok_or_else(wrong)?;
    let open = wanted.iter().filter(|&&n| n == -1).count();
    let rest = total / fixed;
    if open > 1 || rest * fixed != total {
        return Err(wrong().into());
    }
    let axis = |&n: &i64| usize::try_from(n).unwrap_or(rest);
    let shape: Vec<usize> = wanted.iter().map(axis).collect();
    if let Value::Ints { data, .. } = call.value(0)? {
        return Ok(vec![Value::Ints { shape, data }]);
    }
    let x = call.plain(0)?;
    plain(call.push(Op::Reshape { shape }, &[x])?)
}

pub(super) fn squeeze(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let old = call.shape_of(0)?;
    let axes: Vec<usize> = attributes
        .ints("squeeze_dims")?
        .iter()
        .map(|&a| axis(a, old.len()))
        .collect::<Result<_>>()?;
    let goes = |i: usize, n: usize| if axes.is_empty() { n == 1 } else { axes.contains(&i) };
    if old.iter().enumerate().any(|(i, &n)| n != 1 && goes(i, n)) {
        return Err(Error::invalid("squeeze_dims", "axes of length 1", "a longer one").into());
    }
    let kept = old.iter().enumerate().filter(|(i, n)| !goes(*i, **n)).map(|(_, &n)| n);
    let shape: Vec<usize> = kept.collect();
    if let Value::Ints { data, .. } = call.value(0)? {
        return Ok(vec![Value::Ints { shape, data }]);
    }
    // Where all spatial axes are 1 the elements are in the same order either way.
    let held = call.held(0)?;
    let single = old.get(1..old.len().saturating_sub(1)).unwrap_or(&[]).iter().all(|&n| n == 1);
    let x = if held.first && single { held.id } else { call.plain(0)? };
    plain(call.push(Op::Reshape { shape }, &[x])?)
}

pub(super) fn expand_dims(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let mut shape = call.shape_of(0)?;
    let at = axis(call.int(1)?, shape.len() + 1)?;
    shape.insert(at, 1);
    if let Value::Ints { data, .. } = call.value(0)? {
        return Ok(vec![Value::Ints { shape, data }]);
    }
    let x = call.plain(0)?;
    plain(call.push(Op::Reshape { shape }, &[x])?)
}

pub(super) fn transpose(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let x = call.plain(0)?;
    let rank = call.shape(x)?.len();
    let permutation =
        call.ints(1)?.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<usize>>>()?;
    plain(call.push(Op::Transpose { permutation }, &[x])?)
}

/// The axis of an image in this compiler's order.
fn in_order(axis: usize, rank: usize, first: bool) -> usize {
    match axis {
        0 => 0,
        _ if !first || rank < 3 => axis,
        _ if axis + 1 == rank => 1,
        _ => axis + 1,
    }
}

pub(super) fn concat(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let count = call.inputs.len().saturating_sub(1);
    let at = call.int(count)?;
    if let Value::Ints { .. } = call.value(0)? {
        let mut data = Vec::new();
        for i in 0..count {
            data.extend(call.ints(i)?);
        }
        return if data.len() > MAX_INTS {
            Err(Error::invalid("integers", "at most 65536", data.len()).into())
        } else {
            list(data)
        };
    }
    let parts = (0..count).map(|i| call.held(i)).collect::<Read<Vec<Held>>>()?;
    let rank = parts.first().map_or(Ok(0), |x| call.shape(x.id).map(|shape| shape.len()))?;
    let first = !parts.is_empty() && parts.iter().all(|x| x.first);
    let ids = match first {
        true => parts.iter().map(|x| x.id).collect(),
        false => (0..count).map(|i| call.plain(i)).collect::<Read<Vec<_>>>()?,
    };
    let axis = in_order(axis(at, rank)?, rank, first);
    image(call.push(Op::Concat { axis }, &ids)?, first)
}

pub(super) fn split(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let at = call.int(0)?;
    let Held { id, first } = call.held(1)?;
    let shape = call.shape(id)?;
    let at = in_order(axis(at, shape.len())?, shape.len(), first);
    let n = shape.get(at).copied().unwrap_or(0);
    let count = usize::try_from(attributes.int("num_split", 0)?).unwrap_or(0);
    if count == 0 || !n.is_multiple_of(count) {
        return Err(Error::invalid("num_split", format_args!("a divisor of {n}"), count).into());
    }
    let (length, name) = (n / count, call.name());
    let part = |k: usize| {
        let positions: Vec<usize> = (k * length..(k + 1) * length).collect();
        let part = compose::pick(call.graph(), name, id, at, &positions)?;
        Ok(Value::Node(Held { id: part, first }))
    };
    (0..count).map(part).collect()
}

fn padded(call: &mut Call<'_, '_>, border: Border, less: i64) -> Read {
    let pads = call.ints(1)?;
    let Held { id, first } = call.held(0)?;
    let rank = call.shape(id)?.len();
    let (pairs, _) = pads.as_chunks::<2>();
    if pairs.len() != rank || pads.len() != 2 * rank {
        return Err(Error::invalid("paddings", 2 * rank, pads.len()).into());
    }
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (i, &[low, high]) in pairs.iter().enumerate() {
        let at = in_order(i, rank, first);
        if low < 0 || high < 0 || low > less || high > less {
            let got = format!("[{low}, {high}]");
            return Err(Error::invalid("paddings", format_args!("0..={less}"), got).into());
        }
        if let (Some(before), Some(after)) = (before.get_mut(at), after.get_mut(at)) {
            (*before, *after) = (low, high);
        }
    }
    let name = call.name();
    image(compose::pad(call.graph(), name, id, &before, &after, border)?, first)
}

pub(super) fn pad(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let value = match call.inputs.len() {
        3 => call.constant(2, "value")?.data().first().copied().unwrap_or(0.0),
        _ => 0.0,
    };
    padded(call, Border::Constant(value), i64::MAX)
}

pub(super) fn mirror_pad(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    match attributes.text("mode", "REFLECT")? {
        "REFLECT" => padded(call, Border::Reflect, i64::MAX),
        _ => Err(Failure::unsupported("with mode REFLECT")),
    }
}

/// Of shapes, and of tensors without masks that add axes.
pub(super) fn strided_slice(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let (begin, end, strides) = (call.ints(1)?, call.ints(2)?, call.ints(3)?);
    let mask = |name: &str| attributes.int(name, 0);
    if mask("ellipsis_mask")? != 0 || mask("new_axis_mask")? != 0 {
        return Err(Failure::unsupported("without an ellipsis or new axes"));
    }
    let (open_begin, open_end) = (mask("begin_mask")?, mask("end_mask")?);
    let shrunk = mask("shrink_axis_mask")?;
    let old = call.shape_of(0)?;
    let lists = begin.iter().zip(&end).zip(&strides);
    if [end.len(), strides.len()] != [begin.len(); 2] || begin.len() > old.len().min(32) {
        return Err(Error::invalid("slice", "lists of one length", "others").into());
    }
    let mut axes: Vec<(usize, usize, usize)> = old.iter().map(|&n| (0, 1, n)).collect();
    for (i, (((&from, &to), &by), axis)) in lists.zip(&mut axes).enumerate() {
        let n = axis.2 as i64;
        let set = |mask: i64| mask >> i & 1 == 1;
        let at = |v: i64| if v < 0 { v.saturating_add(n) } else { v }.clamp(0, n);
        let (from, to) = match set(shrunk) {
            true => (at(from), at(from).saturating_add(1)),
            false => {
                let (from, to) = (at(from), at(to));
                (if set(open_begin) { 0 } else { from }, if set(open_end) { n } else { to })
            }
        };
        if by < 1 {
            return Err(Failure::unsupported("with strides of at least 1"));
        }
        let count = ((to - from).max(0) as u64).div_ceil(by.unsigned_abs()) as usize;
        if count == 0 || to > n {
            return Err(Error::invalid("slice", "at least one element", "none").into());
        }
        *axis = (from as usize, usize::try_from(by).unwrap_or(usize::MAX), count);
    }
    let kept = axes.iter().enumerate().filter(|(i, _)| shrunk >> *i & 1 == 0);
    let shape: Vec<usize> = kept.map(|(_, axis)| axis.2).collect();
    if let Value::Ints { data, .. } = call.value(0)? {
        let &[(start, step, len)] = axes.as_slice() else {
            return Err(Failure::unsupported("of a list of integers"));
        };
        let data = data.into_iter().skip(start).step_by(step).take(len).collect();
        return Ok(vec![Value::Ints { shape, data }]);
    }
    let (x, name) = (call.plain(0)?, call.name());
    let start = axes.iter().map(|axis| axis.0).collect();
    let step = axes.iter().map(|axis| axis.1).collect();
    let whole: Vec<usize> = axes.iter().map(|axis| axis.2).collect();
    let y = compose::slice(call.graph(), name, x, start, step, whole.clone())?;
    if whole == shape {
        return plain(y);
    }
    plain(call.push(Op::Reshape { shape }, &[y])?)
}

fn last_axis(call: &mut Call<'_, '_>, op: impl FnOnce(usize) -> Op) -> Read {
    let Held { id, first } = call.held(0)?;
    let rank = call.shape(id)?.len();
    let last = rank.checked_sub(1).ok_or_else(|| Error::invalid("rank", "at least 1", 0))?;
    image(call.push(op(in_order(last, rank, first)), &[id])?, first)
}

pub(super) fn softmax(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    last_axis(call, |axis| Op::Softmax { axis })
}

pub(super) fn log_softmax(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    last_axis(call, |axis| Op::LogSoftmax { axis })
}

/// The axis disappears, so that what is left of an image is in TensorFlow's order.
pub(super) fn arg_max(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let Held { id, first } = call.held(0)?;
    let rank = call.shape(id)?.len();
    let at = axis(call.int(1)?, rank)?;
    if first && at + 1 == rank {
        return plain(call.push(Op::ArgMax { axis: in_order(at, rank, first) }, &[id])?);
    }
    let x = call.plain(0)?;
    plain(call.push(Op::ArgMax { axis: at }, &[x])?)
}
