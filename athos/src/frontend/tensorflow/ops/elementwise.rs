//! Relu and its relatives, sums, differences, products with constants, and what does nothing.

use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read, channels_first};
use super::super::tensor::{DOUBLE, FLOAT, INT32, INT64};
use super::super::{Held, Value};
use crate::hlil::{Graph, Op, Tensor, ValueId, apply, compose};
use crate::{Error, Result};

fn one(id: ValueId, first: bool) -> Read {
    Ok(vec![Value::Node(Held { id, first })])
}

pub(super) fn identity(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    Ok(vec![call.value(0)?])
}

/// Between floats or between integers, or constant integers to floats.
pub(super) fn cast(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let to = attributes.element_type("DstT")?;
    let (floats, ints) = (matches!(to, FLOAT | DOUBLE), matches!(to, INT32 | INT64));
    match call.value(0)? {
        value @ Value::Node(_) if floats => Ok(vec![value]),
        value @ Value::Ints { .. } if ints => Ok(vec![value]),
        Value::Ints { shape, data } if floats => {
            let tensor = Tensor::new(shape, data.into_iter().map(|v| v as f32).collect())?;
            one(call.push_constant(call.name(), tensor)?, false)
        }
        _ => Err(Failure::unsupported("between floats, or between integers")),
    }
}

pub(super) fn relu(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let Held { id, first } = call.held(0)?;
    one(call.push(Op::Relu, &[id])?, first)
}

pub(super) fn relu6(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let (Held { id, first }, name) = (call.held(0)?, call.name());
    one(compose::clip(call.graph(), name, id, Some(0.0), Some(6.0))?, first)
}

pub(super) fn leaky_relu(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let (Held { id, first }, name) = (call.held(0)?, call.name());
    let slope = attributes.float("alpha", 0.2)?;
    one(compose::leaky_relu(call.graph(), name, id, slope)?, first)
}

pub(super) fn abs(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let (Held { id, first }, name) = (call.held(0)?, call.name());
    one(compose::absolute(call.graph(), name, id)?, first)
}

/// 0 - x, the zero being x - x.
fn negated(call: &mut Call<'_, '_>, x: ValueId) -> Result<ValueId> {
    let zero = call.push(Op::Sub, &[x, x])?;
    call.push(Op::Sub, &[zero, x])
}

pub(super) fn neg(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let Held { id, first } = call.held(0)?;
    one(negated(call, id)?, first)
}

/// Two operands of one order of axes, a constant one second.
struct Pair {
    x: ValueId,
    y: ValueId,
    first: bool,
    /// Whether the constant was the first one.
    exchanged: bool,
}

/// A constant with leading axes of length 1 and in the order of what it is combined with.
fn fitted(call: &mut Call<'_, '_>, constant: Held, i: usize, x: Held) -> Read<ValueId> {
    let rank = call.shape(x.id)?.len();
    let tensor = call.known(constant).cloned();
    let tensor = tensor.ok_or_else(|| Failure::unsupported("with a constant operand"))?;
    let missing = rank.checked_sub(tensor.shape().len());
    let missing =
        missing.ok_or_else(|| Failure::unsupported("with a constant of no higher rank"))?;
    let mut tensor = tensor.reshaped(&[vec![1; missing], tensor.shape().to_vec()].concat())?;
    if x.first && rank > 2 {
        let permutation = channels_first(&(0..rank).collect::<Vec<usize>>());
        let shape = channels_first(tensor.shape());
        tensor = apply(&Op::Transpose { permutation }, &[&tensor], &shape)?;
    }
    Ok(call.push_constant(call.input_name(i), tensor)?)
}

fn pair(call: &mut Call<'_, '_>) -> Read<Pair> {
    let (x, y) = (call.held(0)?, call.held(1)?);
    match (call.known(x).is_some(), call.known(y).is_some()) {
        (_, true) => {
            let y = fitted(call, y, 1, x)?;
            Ok(Pair { x: x.id, y, first: x.first, exchanged: false })
        }
        (true, false) => {
            let constant = fitted(call, x, 0, y)?;
            Ok(Pair { x: y.id, y: constant, first: y.first, exchanged: true })
        }
        (false, false) => {
            let first = x.first && y.first;
            let (x, y) =
                if x.first == y.first { (x.id, y.id) } else { (call.plain(0)?, call.plain(1)?) };
            let (a, b) = (call.shape(x)?, call.shape(y)?);
            if a != b {
                return Err(Failure::unsupported(format!(
                    "of equal shapes, or with a constant that is repeated (here {a:?} and {b:?})"
                )));
            }
            Ok(Pair { x, y, first, exchanged: false })
        }
    }
}

pub(super) fn add(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let Pair { x, y, first, .. } = pair(call)?;
    one(call.push(Op::Add, &[x, y])?, first)
}

pub(super) fn sub(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let Pair { x, y, first, exchanged } = pair(call)?;
    if !exchanged {
        return one(call.push(Op::Sub, &[x, y])?, first);
    }
    let x = negated(call, x)?;
    one(call.push(Op::Add, &[x, y])?, first)
}

pub(super) fn mul(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let Pair { x, y, first, .. } = pair(call)?;
    if call.known(Held { id: y, first }).is_none() {
        return Err(Failure::unsupported("with a constant operand"));
    }
    one(call.push(Op::Mul, &[x, y])?, first)
}

pub(super) fn div(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    let Pair { x, y, first, exchanged } = pair(call)?;
    let divisor = call.known(Held { id: y, first }).cloned().filter(|_| !exchanged);
    let divisor = divisor.ok_or_else(|| Failure::unsupported("with a constant divisor"))?;
    if divisor.data().contains(&0.0) {
        return Err(Error::invalid(call.input_name(1), "divisors other than 0", 0).into());
    }
    let reciprocals = call.push_constant(call.input_name(1), divisor.map(|d| 1.0 / d))?;
    one(call.push(Op::Mul, &[x, reciprocals])?, first)
}

type Join = fn(&mut Graph, &str, ValueId, ValueId) -> Result<ValueId>;

fn extremum(call: &mut Call<'_, '_>, join: Join) -> Read {
    let (Pair { x, y, first, .. }, name) = (pair(call)?, call.name());
    one(join(call.graph(), name, x, y)?, first)
}

pub(super) fn maximum(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    extremum(call, compose::maximum)
}

pub(super) fn minimum(call: &mut Call<'_, '_>, _: Attributes<'_>) -> Read {
    extremum(call, compose::minimum)
}

/// A constant for each channel.
pub(super) fn bias_add(call: &mut Call<'_, '_>, attributes: Attributes<'_>) -> Read {
    let bias = call.constant(1, "bias")?;
    let last = attributes.channels_last()?;
    let x = call.image(0, last)?;
    let rank = call.shape(x)?.len();
    // With channels first they are axis 1; a matrix has them there in any case.
    let shape: Vec<usize> = (0..rank).map(|i| if i == 1 { bias.data().len() } else { 1 }).collect();
    let bias = call.push_constant(call.input_name(1), bias.reshaped(&shape)?)?;
    one(call.push(Op::Add, &[x, bias])?, last && rank > 2)
}
