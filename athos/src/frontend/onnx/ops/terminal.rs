//! What stands at the end of a classifier.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, axis};
use crate::hlil::{Op, ValueId};

pub(super) fn softmax<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let (x, axis) = read_axis(call, attributes)?;
    Ok(Value::Node(call.push(Op::Softmax { axis }, &[x])?))
}

pub(super) fn log_softmax<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    let (x, axis) = read_axis(call, attributes)?;
    Ok(Value::Node(call.push(Op::LogSoftmax { axis }, &[x])?))
}

fn read_axis(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read<(ValueId, usize)> {
    let x = call.float(0)?;
    let shape = call.shape(x)?;
    let default = if call.opset() < 13 { 1 } else { -1 };
    let axis = axis(attributes.int("axis", default)?, shape.len())?;
    // Before operator set 13 all axes from this one on count as one.
    let flattened = shape.iter().skip(axis + 1).any(|&n| n != 1);
    if call.opset() < 13 && flattened {
        return Err(Failure::unsupported("over a single axis (flatten before)"));
    }
    Ok((x, axis))
}

pub(super) fn arg_max<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let mut shape = call.shape(x)?;
    let axis = axis(attributes.int("axis", 0)?, shape.len())?;
    if attributes.int("select_last_index", 0)? != 0 {
        return Err(Failure::unsupported("with select_last_index = 0"));
    }
    let index = call.push(Op::ArgMax { axis }, &[x])?;
    if attributes.int("keepdims", 1)? == 0 {
        return Ok(Value::Node(index));
    }
    if let Some(n) = shape.get_mut(axis) {
        *n = 1;
    }
    Ok(Value::Node(call.push(Op::Reshape { shape }, &[index])?))
}
