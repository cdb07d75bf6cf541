//! Other axes: Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Concat; constants and the integers that
//! shapes are computed from.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, axis};
use super::super::tensor::{self, Data};
use crate::hlil::{Op, Tensor, ValueId};
use crate::{Error, Result};

/// The longest list of integers that is computed while reading.
const MAX_INTS: usize = 1 << 16;

/// The largest tensor that is made of one number.
const MAX_FILL: usize = 1 << 24;

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
pub(super) fn shape_of(call: &mut Call<'_, '_>, i: usize) -> Read<Vec<usize>> {
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
    let secret = |x: &ValueId| !call.is_constant(*x);
    let (first, last) = (inputs.iter().position(secret), inputs.iter().rposition(secret));
    match first.zip(last) {
        Some((first, last)) if inputs.iter().filter(|x| call.is_constant(**x)).count() > 0 => {
            framed(call, axis, &inputs, first..last + 1)
        }
        _ => Ok(Value::Node(call.push(Op::Concat { axis }, &inputs)?)),
    }
}

/// Constants in front of and behind what the input feeds: zeros there, and the constants added.
fn framed<'a>(
    call: &mut Call<'a, '_>,
    axis: usize,
    inputs: &[ValueId],
    secret: std::ops::Range<usize>,
) -> Read<Value<'a>> {
    let inside = inputs.get(secret.clone()).unwrap_or(&[]).to_vec();
    if inside.iter().any(|x| call.is_constant(*x)) {
        return Err(Failure::unsupported("with constants at the ends only"));
    }
    let joined = match inside.as_slice() {
        [only] => *only,
        inside => call.push(Op::Concat { axis }, inside)?,
    };
    // The shape that all of them have together, found by the rule of the operator.
    let (mut low, mut high, mut parts) = (0, 0, Vec::with_capacity(inputs.len()));
    for (i, &x) in inputs.iter().enumerate() {
        let shape = call.shape(x)?;
        let length = shape.get(axis).copied().unwrap_or(0);
        low += if i < secret.start { length } else { 0 };
        high += if i >= secret.end { length } else { 0 };
        let zeros = || Tensor::new(shape.clone(), vec![0.0; shape.iter().product()]);
        let zeros = if secret.contains(&i) { Some(zeros()?) } else { None };
        parts.push(match zeros {
            Some(zeros) => call.push_constant(call.title(), zeros)?,
            None => x,
        });
    }
    let rank = call.shape(joined)?.len();
    let at_axis = |n: usize| (0..rank).map(|i| if i == axis { n } else { 0 }).collect();
    let frame = call.push(Op::Concat { axis }, &parts)?;
    let padded = call.push(Op::Pad { before: at_axis(low), after: at_axis(high) }, &[joined])?;
    Ok(Value::Node(call.push(Op::Add, &[padded, frame])?))
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

/// A tensor of one value, floats or integers.
pub(super) fn constant_of_shape<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    let wanted = call.ints(0)?;
    let shape: Option<Vec<usize>> =
        wanted.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n > 0)).collect();
    let len = shape.as_deref().and_then(known_len).filter(|&n| n <= MAX_FILL);
    let (Some(shape), Some(len)) = (shape, len) else {
        let expected = format!("axes of at least 1 and at most {MAX_FILL} elements");
        return Err(Error::invalid("shape", expected, format_args!("{wanted:?}")).into());
    };
    let value = match attributes.tensor("value")? {
        Some(tensor) if tensor.data_location == 0 => tensor::read(tensor, "value")?,
        Some(_) => return Err(Failure::unsupported("with a value inside the file")),
        None => Data::Floats(Tensor::new(vec![1], vec![0.0])?),
    };
    match value {
        Data::Floats(value) => {
            let value = value.data().first().copied().unwrap_or_default();
            let tensor = Tensor::new(shape, vec![value; len])?;
            Ok(Value::Node(call.push(Op::Constant(tensor), &[])?))
        }
        Data::Ints { data, .. } if len <= MAX_INTS => {
            Ok(Value::Ints { shape, data: vec![data.first().copied().unwrap_or_default(); len] })
        }
        Data::Ints { .. } => Err(Error::invalid("integers", "at most 65536", len).into()),
    }
}
