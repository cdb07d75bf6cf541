//! Relu, Clip, sums, differences, products with constants, and what does nothing.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read};
use crate::hlil::{Op, Tensor, ValueId};
use crate::{Error, Result};

pub(super) fn relu<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    Ok(Value::Node(call.push(Op::Relu, &[x])?))
}

pub(super) fn identity<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    call.value(0)
}

pub(super) fn dropout<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    if call.has(2) && call.ints(2)?.first() != Some(&0) {
        return Err(Failure::unsupported("in inference mode (training_mode = false)"));
    }
    call.value(0)
}

pub(super) fn cast<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let floats = matches!(attributes.int("to", 0)?, 1 | 11);
    let ints = matches!(attributes.int("to", 0)?, 6 | 7);
    match call.value(0)? {
        Value::Node(id) if floats => Ok(Value::Node(id)),
        Value::Ints { shape, data } if ints => Ok(Value::Ints { shape, data }),
        _ => Err(Failure::unsupported("between floats, or between integers")),
    }
}

/// A constant with leading axes of length 1, so that it has the rank of what it is combined with.
fn of_rank(call: &mut Call<'_, '_>, id: ValueId, i: usize, rank: usize) -> Read<ValueId> {
    let (name, tensor) = call.constant(i, "operand")?;
    let missing = rank.checked_sub(tensor.shape().len());
    let missing =
        missing.ok_or_else(|| Failure::unsupported("with a constant of no higher rank"))?;
    if missing == 0 {
        return Ok(id);
    }
    let shape = [vec![1; missing], tensor.shape().to_vec()].concat();
    Ok(call.push_constant(&name, tensor.reshaped(&shape)?)?)
}

/// The two operands with a constant one second, and whether they were exchanged.
fn operands(call: &mut Call<'_, '_>, i: usize, j: usize) -> Read<(ValueId, ValueId, bool)> {
    let (x, y) = (call.float(i)?, call.float(j)?);
    let (shape_x, shape_y) = (call.shape(x)?, call.shape(y)?);
    let fits = |big: &[usize], small: &[usize]| {
        let tail = big.iter().rev().zip(small.iter().rev());
        big.len() >= small.len() && tail.into_iter().all(|(b, s)| s == b || *s == 1)
    };
    match (call.is_constant(x), call.is_constant(y)) {
        (_, true) if fits(&shape_x, &shape_y) => {
            Ok((x, of_rank(call, y, j, shape_x.len())?, false))
        }
        (true, _) if fits(&shape_y, &shape_x) => Ok((y, of_rank(call, x, i, shape_y.len())?, true)),
        (false, false) if shape_x == shape_y => Ok((x, y, false)),
        _ => Err(Failure::unsupported(format!(
            "of equal shapes, or with a constant that is repeated (here {shape_x:?} and {shape_y:?})"
        ))),
    }
}

pub(super) fn add<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let (x, y, _) = operands(call, 0, 1)?;
    Ok(Value::Node(call.push(Op::Add, &[x, y])?))
}

pub(super) fn sum<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let mut total = call.float(0)?;
    let shape = call.shape(total)?;
    for i in 1..call.input_count() {
        let x = call.float(i)?;
        if call.shape(x)? != shape {
            return Err(Failure::unsupported("of equal shapes"));
        }
        total = call.push(Op::Add, &[total, x])?;
    }
    Ok(Value::Node(total))
}

/// A constant of one element for a tensor of this rank.
fn scalar(call: &mut Call<'_, '_>, rank: usize, value: f32) -> Result<ValueId> {
    let tensor = Tensor::new(vec![1; rank], vec![value])?;
    call.push_constant(call.title(), tensor)
}

pub(super) fn sub<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let (x, y, exchanged) = operands(call, 0, 1)?;
    if !exchanged {
        return Ok(Value::Node(call.push(Op::Sub, &[x, y])?));
    }
    let rank = call.shape(x)?.len();
    let minus_one = scalar(call, rank, -1.0)?;
    let negated = call.push(Op::Mul, &[x, minus_one])?;
    Ok(Value::Node(call.push(Op::Add, &[negated, y])?))
}

pub(super) fn mul<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let (x, y, _) = operands(call, 0, 1)?;
    if !call.is_constant(y) {
        return Err(Failure::unsupported("with a constant operand"));
    }
    Ok(Value::Node(call.push(Op::Mul, &[x, y])?))
}

pub(super) fn div<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let (name, divisor) = call.constant(1, "divisor")?;
    let (x, y, exchanged) = operands(call, 0, 1)?;
    if exchanged {
        return Err(Failure::unsupported("with a constant divisor"));
    }
    if divisor.data().contains(&0.0) {
        return Err(Error::invalid(name, "divisors other than 0", 0).into());
    }
    let reciprocals = divisor.map(|d| 1.0 / d).reshaped(&call.shape(y)?)?;
    let reciprocals = call.push_constant(&name, reciprocals)?;
    Ok(Value::Node(call.push(Op::Mul, &[x, reciprocals])?))
}

/// A bound of a clip: an attribute before operator set 11, an input since.
fn bound(
    call: &mut Call<'_, '_>,
    attributes: Attributes<'_>,
    name: &str,
    i: usize,
) -> Read<Option<f32>> {
    let value = if call.opset() < 11 {
        attributes.optional_float(name)?
    } else if call.has(i) {
        let (_, tensor) = call.constant(i, "bounds")?;
        match tensor.data() {
            [value] => Some(*value),
            _ => return Err(Error::invalid(name, "one number", tensor.data().len()).into()),
        }
    } else {
        None
    };
    // Exporters write the largest float for "no bound".
    Ok(value.filter(|v| v.is_finite() && v.abs() < f32::MAX))
}

/// max(x, a) = a + ReLU(x - a), min(x, b) = x - ReLU(x - b).
pub(super) fn clip<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let mut x = call.float(0)?;
    let rank = call.shape(x)?.len();
    let low = bound(call, attributes, "min", 1)?;
    let high = bound(call, attributes, "max", 2)?;
    match low {
        Some(low) if low != 0.0 => {
            let low = scalar(call, rank, low)?;
            let above = call.push(Op::Sub, &[x, low])?;
            let above = call.push(Op::Relu, &[above])?;
            x = call.push(Op::Add, &[above, low])?;
        }
        Some(_) => x = call.push(Op::Relu, &[x])?,
        None => {}
    }
    if let Some(high) = high {
        let high = scalar(call, rank, high)?;
        let above = call.push(Op::Sub, &[x, high])?;
        let above = call.push(Op::Relu, &[above])?;
        x = call.push(Op::Sub, &[x, above])?;
    }
    Ok(Value::Node(x))
}
