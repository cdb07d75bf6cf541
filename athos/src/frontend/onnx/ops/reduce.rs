//! ReduceMean and ReduceMax.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Read, axis};
use crate::Result;
use crate::hlil::compose::{self, Reduction};

fn reduce<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
    reduction: Reduction,
) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let rank = call.shape(x)?.len();
    let axes = match attributes.ints("axes")? {
        Some(axes) => Some(axes.to_vec()),
        None if call.has(1) => Some(call.ints(1)?),
        None => None,
    };
    let axes = axes.filter(|axes| !axes.is_empty());
    if axes.is_none() && attributes.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(Value::Node(x));
    }
    let axes = axes.unwrap_or_else(|| (0..rank as i64).collect());
    let mut axes: Vec<usize> = axes.iter().map(|&a| axis(a, rank)).collect::<Result<_>>()?;
    axes.sort_unstable();
    axes.dedup();
    let keep = attributes.int("keepdims", 1)? != 0;
    let name = call.title();
    Ok(Value::Node(compose::reduce(call.graph(), name, x, &axes, keep, reduction)?))
}

pub(super) fn mean<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    reduce(call, attributes, Reduction::Mean)
}

pub(super) fn max<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    reduce(call, attributes, Reduction::Max)
}
