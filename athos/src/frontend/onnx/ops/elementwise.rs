//! Relu and its relatives, sums, differences, products with constants, and what does nothing.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read};
use crate::hlil::{Graph, Op, Tensor, ValueId, compose};
use crate::{Error, Result};

/// The longest list of integers that is computed while reading.
const MAX_INTS: usize = 1 << 16;

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
        Value::Ints { shape, data } if floats => {
            let tensor = Tensor::new(shape, data.into_iter().map(|v| v as f32).collect())?;
            Ok(Value::Node(call.push(Op::Constant(tensor), &[])?))
        }
        _ => Err(Failure::unsupported("between floats, or between integers")),
    }
}

/// A constant with leading axes of length 1, so that it has the rank of what it is combined with.
fn of_rank(call: &mut Call<'_, '_>, id: ValueId, rank: usize) -> Read<ValueId> {
    let node = call.graph().node(id)?;
    let (name, Op::Constant(tensor)) = (node.name.clone(), &node.op) else {
        return Err(Failure::unsupported("with a constant operand"));
    };
    let missing = rank.checked_sub(tensor.shape().len());
    let missing =
        missing.ok_or_else(|| Failure::unsupported("with a constant of no higher rank"))?;
    if missing == 0 {
        return Ok(id);
    }
    let tensor = tensor.reshaped(&[vec![1; missing], tensor.shape().to_vec()].concat())?;
    Ok(call.push_constant(&name, tensor)?)
}

/// The two operands with a constant one second, and whether they were exchanged.
fn operands(call: &mut Call<'_, '_>, i: usize, j: usize) -> Read<(ValueId, ValueId, bool)> {
    let x = call.float(i)?;
    pair(call, x, j)
}

/// As [`operands`], the first one being known.
fn pair(call: &mut Call<'_, '_>, x: ValueId, j: usize) -> Read<(ValueId, ValueId, bool)> {
    let y = call.float(j)?;
    let (shape_x, shape_y) = (call.shape(x)?, call.shape(y)?);
    let fits = |big: &[usize], small: &[usize]| {
        let tail = big.iter().rev().zip(small.iter().rev());
        big.len() >= small.len() && tail.into_iter().all(|(b, s)| s == b || *s == 1)
    };
    match (call.is_constant(x), call.is_constant(y)) {
        (_, true) if fits(&shape_x, &shape_y) => Ok((x, of_rank(call, y, shape_x.len())?, false)),
        (true, _) if fits(&shape_y, &shape_x) => Ok((y, of_rank(call, x, shape_y.len())?, true)),
        (false, false) if shape_x == shape_y => Ok((x, y, false)),
        _ => Err(Failure::unsupported(format!(
            "of equal shapes, or with a constant that is repeated (here {shape_x:?} and {shape_y:?})"
        ))),
    }
}

/// Arithmetic on integers that are known while reading: of equal shapes or with a single number.
fn integers<'a>(
    call: &mut Call<'a, '_>,
    f: impl Fn(i64, i64) -> Option<i64>,
) -> Read<Option<Value<'a>>> {
    let (Value::Ints { shape, data: x }, Value::Ints { shape: other, data: y }) =
        (call.value(0)?, call.value(1)?)
    else {
        return Ok(None);
    };
    let (shape, len) = match (x.len(), y.len()) {
        (_, 1) => (shape, x.len()),
        (1, _) => (other, y.len()),
        _ if shape == other => (shape, x.len()),
        _ => return Err(Failure::unsupported("of integers of equal shapes")),
    };
    if len > MAX_INTS {
        return Err(Error::invalid("integers", "at most 65536", len).into());
    }
    let pairs = x.iter().cycle().zip(y.iter().cycle()).take(len);
    let data: Option<Vec<i64>> = pairs.map(|(&x, &y)| f(x, y)).collect();
    let data = data.ok_or_else(|| Error::invalid("integers", "a result in 64 bits", "none"))?;
    Ok(Some(Value::Ints { shape, data }))
}

pub(super) fn add<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    if let Some(known) = integers(call, i64::checked_add)? {
        return Ok(known);
    }
    let (x, y, _) = operands(call, 0, 1)?;
    Ok(Value::Node(call.push(Op::Add, &[x, y])?))
}

pub(super) fn sum<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    fold(call, |graph, name, x, y| graph.push(name, Op::Add, &[x, y]))
}

/// A constant of one element for a tensor of this rank.
fn scalar(call: &mut Call<'_, '_>, rank: usize, value: f32) -> Result<ValueId> {
    let tensor = Tensor::new(vec![1; rank], vec![value])?;
    call.push_constant(call.title(), tensor)
}

pub(super) fn sub<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    if let Some(known) = integers(call, i64::checked_sub)? {
        return Ok(known);
    }
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
    if let Some(known) = integers(call, i64::checked_mul)? {
        return Ok(known);
    }
    let (x, y, _) = operands(call, 0, 1)?;
    if !call.is_constant(y) {
        return Err(Failure::unsupported("with a constant operand"));
    }
    Ok(Value::Node(call.push(Op::Mul, &[x, y])?))
}

pub(super) fn div<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    if let Some(known) = integers(call, i64::checked_div)? {
        return Ok(known);
    }
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

pub(super) fn clip<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let attribute = ["min", "max"].into_iter().find(|name| attributes.has(name));
    match attribute {
        None if call.opset() < 11 && (call.has(1) || call.has(2)) => {
            return Err(Failure::unsupported("with bounds as attributes before operator set 11"));
        }
        Some(name) if call.opset() >= 11 => {
            let form = "with bounds as inputs since operator set 11";
            return Err(Failure::unsupported(format!("{form}, not the attribute {name}")));
        }
        _ => {}
    }
    let low = bound(call, attributes, "min", 1)?;
    let high = bound(call, attributes, "max", 2)?;
    let name = call.title();
    Ok(Value::Node(compose::clip(call.graph(), name, x, low, high)?))
}

pub(super) fn leaky_relu<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let slope = attributes.float("alpha", 0.01)?;
    let name = call.title();
    Ok(Value::Node(compose::leaky_relu(call.graph(), name, x, slope)?))
}

pub(super) fn p_relu<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    call.constant(1, "slopes")?;
    let (x, slopes, exchanged) = operands(call, 0, 1)?;
    if exchanged {
        return Err(Failure::unsupported("with slopes of no higher rank"));
    }
    let name = call.title();
    Ok(Value::Node(compose::p_relu(call.graph(), name, x, slopes)?))
}

pub(super) fn abs<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let name = call.title();
    Ok(Value::Node(compose::absolute(call.graph(), name, x)?))
}

pub(super) fn neg<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let zero = call.push(Op::Sub, &[x, x])?;
    Ok(Value::Node(call.push(Op::Sub, &[zero, x])?))
}

type Pairwise = fn(&mut Graph, &str, ValueId, ValueId) -> Result<ValueId>;

/// Max or Min of any number of operands, joined from the left.
fn fold<'a>(call: &mut Call<'a, '_>, join: Pairwise) -> Read<Value<'a>> {
    let mut all = call.float(0)?;
    let name = call.title();
    for i in 1..call.input_count() {
        let (x, y, _) = pair(call, all, i)?;
        all = join(call.graph(), name, x, y)?;
    }
    Ok(Value::Node(all))
}

pub(super) fn max<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    fold(call, compose::maximum)
}

pub(super) fn min<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    fold(call, compose::minimum)
}
