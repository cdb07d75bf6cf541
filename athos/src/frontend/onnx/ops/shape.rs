//! Moving elements: Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Concat, Pad, Slice; constants
//! and the integers that shapes are computed from.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, axis};
use crate::hlil::{Op, Tensor, ValueId};
use crate::{Error, Result};

/// The longest list of integers that is computed while reading.
const MAX_INTS: usize = 1 << 16;

fn reshaped<'a>(call: &mut Call<'a, '_>, x: ValueId, shape: Vec<usize>) -> Read<Value<'a>> {
    Ok(Value::Node(call.push(Op::Reshape { shape }, &[x])?))
}

pub(super) fn flatten<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let shape = call.shape(x)?;
    let at = attributes.int("axis", 1)?;
    // The axis may also be the rank itself.
    let at = if at == shape.len() as i64 { shape.len() } else { axis(at, shape.len())? };
    let (before, after) = shape.split_at_checked(at).unwrap_or((&shape, &[]));
    reshaped(call, x, vec![before.iter().product(), after.iter().product()])
}

pub(super) fn reshape<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let wanted = call.ints(1)?;
    let (old, x) = match call.value(0)? {
        Value::Ints { shape, .. } => (shape, None),
        _ => {
            let x = call.float(0)?;
            (call.shape(x)?, Some(x))
        }
    };
    let total: usize = old.iter().product();
    let wrong = || {
        Error::invalid("shape", format_args!("one of {total} elements"), format_args!("{wanted:?}"))
    };
    let copy_zeros = attributes.int("allowzero", 0)? == 0;
    let mut shape = Vec::with_capacity(wanted.len());
    for (i, &n) in wanted.iter().enumerate() {
        shape.push(match n {
            0 if copy_zeros => *old.get(i).ok_or_else(wrong)?,
            -1 => 0,
            n => usize::try_from(n).ok().filter(|&n| n > 0).ok_or_else(wrong)?,
        });
    }
    if wanted.iter().filter(|&&n| n == -1).count() > 1 {
        return Err(wrong().into());
    }
    let known = shape.iter().filter(|&&n| n > 0).try_fold(1usize, |a, &n| a.checked_mul(n));
    let known = known.ok_or_else(wrong)?;
    for n in shape.iter_mut().filter(|n| **n == 0) {
        *n = total.checked_div(known).filter(|n| n * known == total).ok_or_else(wrong)?;
    }
    match (x, call.value(0)?) {
        (Some(x), _) => reshaped(call, x, shape),
        (None, Value::Ints { data, .. }) if known_len(&shape) == Some(data.len()) => {
            Ok(Value::Ints { shape, data })
        }
        _ => Err(wrong().into()),
    }
}

fn known_len(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |a, &n| a.checked_mul(n))
}

/// Axes from an attribute (before operator set 13) or the second input.
fn axes(
    call: &mut Call<'_, '_>,
    attributes: Attributes<'_>,
    rank: usize,
) -> Read<Option<Vec<usize>>> {
    let axes = match attributes.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None if call.has(1) => call.ints(1)?,
        None => return Ok(None),
    };
    let mut axes: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Result<_>>()?;
    axes.sort_unstable();
    axes.dedup();
    Ok(Some(axes))
}

/// The shape of an input, floats or integers.
fn shape_of(call: &mut Call<'_, '_>, i: usize) -> Read<Vec<usize>> {
    match call.value(i)? {
        Value::Ints { shape, .. } => Ok(shape),
        _ => {
            let x = call.float(i)?;
            Ok(call.shape(x)?)
        }
    }
}

fn with_shape<'a>(call: &mut Call<'a, '_>, shape: Vec<usize>) -> Read<Value<'a>> {
    match call.value(0)? {
        Value::Ints { data, .. } => Ok(Value::Ints { shape, data }),
        _ => {
            let x = call.float(0)?;
            reshaped(call, x, shape)
        }
    }
}

pub(super) fn squeeze<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let shape = shape_of(call, 0)?;
    let axes = axes(call, attributes, shape.len())?;
    let goes = |i: usize, n: usize| axes.as_ref().map_or(n == 1, |axes| axes.contains(&i));
    if shape.iter().enumerate().any(|(i, &n)| n != 1 && goes(i, n)) {
        return Err(Error::invalid("axes", "axes of length 1", "a longer one").into());
    }
    let kept = shape.iter().enumerate().filter(|(i, n)| !goes(*i, **n)).map(|(_, &n)| n).collect();
    with_shape(call, kept)
}

pub(super) fn unsqueeze<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    let shape = shape_of(call, 0)?;
    let count = match attributes.ints("axes")? {
        Some(axes) => axes.len(),
        None => call.ints(1)?.len(),
    };
    let rank = shape.len().saturating_add(count);
    let axes = axes(call, attributes, rank)?.unwrap_or_default();
    if axes.len() != count || rank > 64 {
        return Err(Error::invalid("axes", "different ones", "the same twice").into());
    }
    let mut old = shape.iter();
    let new = |i: usize| if axes.contains(&i) { Some(1) } else { old.next().copied() };
    let shape = (0..rank).filter_map(new).collect();
    with_shape(call, shape)
}

pub(super) fn transpose<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let rank = call.shape(x)?.len();
    let permutation = match attributes.ints("perm")? {
        Some(_) => attributes.sizes("perm", rank, 0, 0)?,
        None => (0..rank).rev().collect(),
    };
    Ok(Value::Node(call.push(Op::Transpose { permutation }, &[x])?))
}

pub(super) fn concat<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    if let Value::Ints { .. } = call.value(0)? {
        let mut data = Vec::new();
        for i in 0..call.input_count() {
            data.extend(call.ints(i)?);
            if data.len() > MAX_INTS {
                return Err(Error::invalid("integers", "at most 65536", data.len()).into());
            }
        }
        return Ok(Value::Ints { shape: vec![data.len()], data });
    }
    let inputs = (0..call.input_count()).map(|i| call.float(i)).collect::<Read<Vec<ValueId>>>()?;
    let rank = inputs.first().map_or(Ok(0), |&x| call.shape(x).map(|shape| shape.len()))?;
    let axis = axis(attributes.int("axis", 0)?, rank)?;
    Ok(Value::Node(call.push(Op::Concat { axis }, &inputs)?))
}

pub(super) fn pad<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let rank = call.shape(x)?.len();
    if attributes.text("mode", "constant")? != "constant" {
        return Err(Failure::unsupported("with mode = constant"));
    }
    let (pads, value) = if call.opset() < 11 {
        (attributes.ints("pads")?.unwrap_or(&[]).to_vec(), attributes.float("value", 0.0)?)
    } else {
        let value = if call.has(2) {
            call.constant(2, "value")?.1.data().first().copied().unwrap_or(0.0)
        } else {
            0.0
        };
        (call.ints(1)?, value)
    };
    if value != 0.0 {
        return Err(Failure::unsupported("with the value 0"));
    }
    let which = if call.has(3) { call.ints(3)? } else { (0..rank as i64).collect() };
    if pads.len() != 2 * which.len() {
        let expected = format!("{} numbers", 2 * which.len());
        return Err(Error::invalid("pads", expected, pads.len()).into());
    }
    if pads.iter().any(|&p| p < 0) {
        return Err(Failure::unsupported("with pads of at least 0 (Slice crops)"));
    }
    let (low, high) = pads.split_at(which.len());
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for ((&a, &low), &high) in which.iter().zip(low).zip(high) {
        let a = axis(a, rank)?;
        let size = |v: i64| usize::try_from(v).unwrap_or(usize::MAX);
        if let (Some(before), Some(after)) = (before.get_mut(a), after.get_mut(a)) {
            (*before, *after) = (size(low), size(high));
        }
    }
    Ok(Value::Node(call.push(Op::Pad { before, after }, &[x])?))
}

/// One axis of a slice: first, distance, how many.
fn slice_axis(n: usize, start: i64, end: i64, step: i64) -> Read<(usize, usize, usize)> {
    if step < 1 {
        return Err(Failure::unsupported("with steps of at least 1"));
    }
    let length = n as i64;
    let clamp = |v: i64| if v < 0 { v.saturating_add(length) } else { v }.clamp(0, length);
    let (start, end) = (clamp(start), clamp(end));
    let count = (end - start).max(0) as u64;
    let count = count.div_ceil(step as u64) as usize;
    if count == 0 {
        return Err(Error::invalid("slice", "at least one element", "none").into());
    }
    Ok((start as usize, usize::try_from(step).unwrap_or(usize::MAX), count))
}

pub(super) fn slice<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let old = shape_of(call, 0)?;
    let (starts, ends, which, steps) = if call.opset() < 10 {
        let list = |name: &str| attributes.ints(name).map(|x| x.map(<[i64]>::to_vec));
        let starts = list("starts")?.unwrap_or_default();
        (starts, list("ends")?.unwrap_or_default(), list("axes")?, None)
    } else {
        let which = if call.has(3) { Some(call.ints(3)?) } else { None };
        let steps = if call.has(4) { Some(call.ints(4)?) } else { None };
        (call.ints(1)?, call.ints(2)?, which, steps)
    };
    let which = which.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), which.len(), steps.len()] != [starts.len(); 3] {
        return Err(Error::invalid("slice", "lists of one length", "several lengths").into());
    }
    let rank = old.len();
    let (mut start, mut step, mut shape) = (vec![0; rank], vec![1; rank], old.clone());
    for (((&a, &from), &to), &by) in which.iter().zip(&starts).zip(&ends).zip(&steps) {
        let a = axis(a, rank)?;
        let axes = (old.get(a), start.get_mut(a), step.get_mut(a), shape.get_mut(a));
        if let (Some(&n), Some(start), Some(step), Some(len)) = axes {
            (*start, *step, *len) = slice_axis(n, from, to, by)?;
        }
    }
    if let Value::Ints { data, .. } = call.value(0)? {
        let ([start], [step], [len]) = (start.as_slice(), step.as_slice(), shape.as_slice()) else {
            return Err(Failure::unsupported("of a list of integers"));
        };
        let data = data.iter().skip(*start).step_by(*step).take(*len).copied().collect();
        return Ok(Value::Ints { shape, data });
    }
    let x = call.float(0)?;
    Ok(Value::Node(call.push(Op::Slice { start, step, shape }, &[x])?))
}

pub(super) fn constant<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    if let Some(tensor) = attributes.tensor("value")? {
        return call.constant_value(tensor, call.title());
    }
    let scalar = attributes.optional_float("value_float")?.map(|v| (Vec::new(), vec![v]));
    let floats = attributes.floats("value_floats")?.map(|v| (vec![v.len()], v.to_vec()));
    if let Some((shape, data)) = scalar.or(floats) {
        if data.iter().any(|v| !v.is_finite()) {
            return Err(Error::invalid("value", "finite numbers", "another").into());
        }
        let tensor = Tensor::new(shape, data)?;
        return Ok(Value::Node(call.push(Op::Constant(tensor), &[])?));
    }
    if let Some(ints) = attributes.ints("value_ints")? {
        return Ok(Value::Ints { shape: vec![ints.len()], data: ints.to_vec() });
    }
    if attributes.unknown(&[]) == Some("value_int") {
        return Ok(Value::Ints { shape: Vec::new(), data: vec![attributes.int("value_int", 0)?] });
    }
    Err(Failure::unsupported("with a tensor, numbers or a number"))
}

pub(super) fn shape<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let shape = shape_of(call, 0)?;
    let rank = shape.len() as i64;
    let clamp = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank) as usize;
    let start = clamp(attributes.int("start", 0)?);
    let end = clamp(attributes.int("end", rank)?);
    let data: Vec<i64> =
        shape.iter().take(end).skip(start).map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect();
    Ok(Value::Ints { shape: vec![data.len()], data })
}

/// Of integers alone: picking axes out of a shape.
pub(super) fn gather<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let Value::Ints { shape, data } = call.value(0)? else {
        return Err(Failure::unsupported("of a shape; use Slice"));
    };
    if shape.len() > 1 || attributes.int("axis", 0)? != 0 {
        return Err(Failure::unsupported("of a list of integers"));
    }
    let Value::Ints { shape, data: indices } = call.value(1)? else {
        return Err(Error::invalid("indices", "integers", "floats").into());
    };
    let data: Result<Vec<i64>> = indices
        .iter()
        .map(|&i| Ok(data.get(axis(i, data.len())?).copied().unwrap_or_default()))
        .collect();
    Ok(Value::Ints { shape, data: data? })
}
