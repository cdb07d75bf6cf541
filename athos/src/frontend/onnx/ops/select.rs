//! Choosing and surrounding elements: Slice, Split, Gather, Pad.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, axis};
use super::shape::shape_of;
use crate::hlil::ValueId;
use crate::hlil::compose::{self, Border};
use crate::{Error, Result};

/// An attribute in older operator sets, an input in newer ones.
fn list(
    call: &mut Call<'_, '_>,
    attributes: Attributes<'_>,
    name: &str,
    i: usize,
) -> Read<Option<Vec<i64>>> {
    match attributes.ints(name)? {
        Some(list) => Ok(Some(list.to_vec())),
        None if call.has(i) => Ok(Some(call.ints(i)?)),
        None => Ok(None),
    }
}

pub(super) fn pad<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let rank = call.shape(x)?.len();
    let pads = list(call, attributes, "pads", 1)?.unwrap_or_default();
    let border = match attributes.text("mode", "constant")?.as_str() {
        "constant" => {
            let value = match attributes.optional_float("value")? {
                Some(value) => value,
                None if call.opset() >= 11 && call.has(2) => {
                    call.constant(2, "value")?.1.data().first().copied().unwrap_or(0.0)
                }
                None => 0.0,
            };
            Border::Constant(value)
        }
        "edge" => Border::Edge,
        "reflect" => Border::Reflect,
        "wrap" => Border::Wrap,
        other => return Err(Error::invalid("mode", "a known word", other).into()),
    };
    let which = if call.has(3) { call.ints(3)? } else { (0..rank as i64).collect() };
    if pads.len() != 2 * which.len() {
        let expected = format!("{} numbers", 2 * which.len());
        return Err(Error::invalid("pads", expected, pads.len()).into());
    }
    let (low, high) = pads.split_at(which.len());
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for ((&a, &low), &high) in which.iter().zip(low).zip(high) {
        let a = axis(a, rank)?;
        if let (Some(before), Some(after)) = (before.get_mut(a), after.get_mut(a)) {
            (*before, *after) = (low, high);
        }
    }
    let name = call.title();
    Ok(Value::Node(compose::pad(call.graph(), name, x, &before, &after, border)?))
}

/// One axis of a slice: first, distance (negative: backwards), how many.
fn slice_axis(n: usize, start: i64, end: i64, step: i64) -> Read<(usize, i64, usize)> {
    let length = i64::try_from(n).unwrap_or(i64::MAX);
    let from_front = |v: i64| if v < 0 { v.saturating_add(length) } else { v };
    let (start, end) = match step {
        0 => return Err(Error::invalid("step", "another number", 0).into()),
        1.. => (from_front(start).clamp(0, length), from_front(end).clamp(0, length)),
        _ => (from_front(start).clamp(-1, length - 1), from_front(end).clamp(-1, length - 1)),
    };
    let distance = if step > 0 { end - start } else { start - end };
    let count = (distance.max(0) as u64).div_ceil(step.unsigned_abs()) as usize;
    if count == 0 {
        return Err(Failure::unsupported("of at least one element"));
    }
    Ok((start as usize, step, count))
}

pub(super) fn slice<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let old = shape_of(call, 0)?;
    let starts = list(call, attributes, "starts", 1)?.unwrap_or_default();
    let ends = list(call, attributes, "ends", 2)?.unwrap_or_default();
    let which = list(call, attributes, "axes", 3)?;
    let which = which.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if call.has(4) { call.ints(4)? } else { vec![1; starts.len()] };
    if [ends.len(), which.len(), steps.len()] != [starts.len(); 3] {
        return Err(Error::invalid("slice", "lists of one length", "several lengths").into());
    }
    let rank = old.len();
    let mut axes: Vec<(usize, i64, usize)> = old.iter().map(|&n| (0, 1, n)).collect();
    for (((&a, &from), &to), &by) in which.iter().zip(&starts).zip(&ends).zip(&steps) {
        let a = axis(a, rank)?;
        if let (Some(&n), Some(place)) = (old.get(a), axes.get_mut(a)) {
            *place = slice_axis(n, from, to, by)?;
        }
    }
    if let Value::Ints { data, .. } = call.value(0)? {
        let &[(start, step, len)] = axes.as_slice() else {
            return Err(Failure::unsupported("of a list of integers"));
        };
        let at = |k: usize| usize::try_from(start as i64 + step * k as i64).ok();
        let data = (0..len).filter_map(|k| data.get(at(k)?).copied()).collect();
        return Ok(Value::Ints { shape: vec![len], data });
    }
    let mut x = call.float(0)?;
    let name = call.title();
    // Backwards axes first, one element after another; the others are one slice.
    for (a, axis) in axes.iter_mut().enumerate().filter(|(_, axis)| axis.1 < 0) {
        let (start, step, len) = *axis;
        let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
        let positions: Vec<usize> = (0..len).map(|k| start - k * step).collect();
        x = compose::pick(call.graph(), name, x, a, &positions)?;
        *axis = (0, 1, len);
    }
    let start = axes.iter().map(|axis| axis.0).collect();
    let step = axes.iter().map(|axis| usize::try_from(axis.1).unwrap_or(usize::MAX)).collect();
    let shape = axes.iter().map(|axis| axis.2).collect();
    Ok(Value::Node(compose::slice(call.graph(), name, x, start, step, shape)?))
}

/// The lengths of the parts of an axis of n elements.
fn parts(call: &mut Call<'_, '_>, attributes: Attributes<'_>, n: usize) -> Read<Vec<usize>> {
    if let Some(lengths) = list(call, attributes, "split", 1)? {
        let lengths: Option<Vec<usize>> =
            lengths.iter().map(|&n| usize::try_from(n).ok()).collect();
        return lengths
            .filter(|parts| parts.iter().try_fold(0usize, |a, &b| a.checked_add(b)) == Some(n))
            .ok_or_else(|| Error::invalid("split", format_args!("{n} in all"), "others").into());
    }
    let count = attributes.int("num_outputs", call.output_count() as i64)?;
    let count = usize::try_from(count).ok().filter(|&count| (1..=n).contains(&count));
    let count = count.ok_or_else(|| Error::invalid("parts", format_args!("1..={n}"), "others"))?;
    // All of one length but the last, which may be shorter.
    let length = n.div_ceil(count);
    Ok((0..count).map(|i| n.saturating_sub(i * length).min(length)).collect())
}

pub(super) fn split<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let shape = call.shape(x)?;
    let axis = axis(attributes.int("axis", 0)?, shape.len())?;
    let lengths = parts(call, attributes, shape.get(axis).copied().unwrap_or(0))?;
    if lengths.contains(&0) {
        return Err(Failure::unsupported("into parts of at least one element"));
    }
    if lengths.len() < call.output_count() {
        let got = call.output_count();
        return Err(Error::invalid("outputs", lengths.len(), got).into());
    }
    let name = call.title();
    let mut first = 0;
    let mut values: Vec<Value<'a>> = Vec::with_capacity(lengths.len());
    for length in lengths {
        let positions: Vec<usize> = (first..first + length).collect();
        let part: ValueId = compose::pick(call.graph(), name, x, axis, &positions)?;
        values.push(Value::Node(part));
        first += length;
    }
    let mut values = values.into_iter();
    let value = values.next().ok_or_else(|| Error::invalid("parts", "at least 1", 0))?;
    call.further = values.collect();
    Ok(value)
}

/// Positions along an axis, known while reading; of a list of integers too.
pub(super) fn gather<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let Value::Ints { shape: wanted, data: indices } = call.value(1)? else {
        return Err(Failure::unsupported("with constant indices"));
    };
    let old = shape_of(call, 0)?;
    let at = axis(attributes.int("axis", 0)?, old.len())?;
    let n = old.get(at).copied().unwrap_or(0);
    let positions = indices.iter().map(|&i| axis(i, n)).collect::<Result<Vec<usize>>>()?;
    if let Value::Ints { shape, data } = call.value(0)? {
        if shape.len() > 1 {
            return Err(Failure::unsupported("of a list of integers"));
        }
        let data = positions.iter().filter_map(|&i| data.get(i).copied()).collect();
        return Ok(Value::Ints { shape: wanted, data });
    }
    let x = call.float(0)?;
    let name = call.title();
    let picked = compose::pick(call.graph(), name, x, at, &positions)?;
    let (before, after) = old.split_at_checked(at).unwrap_or((&old, &[]));
    let shape = [before, &wanted, after.get(1..).unwrap_or(&[])].concat();
    if call.shape(picked)? == shape {
        return Ok(Value::Node(picked));
    }
    Ok(Value::Node(call.push(crate::hlil::Op::Reshape { shape }, &[picked])?))
}
