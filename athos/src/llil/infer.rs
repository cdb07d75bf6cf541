//! The typing rules: from an operation and what it reads to what it defines.

use super::{AxisGeometry, Broadcast, Op, TensorInfo, WeightId, WeightInfo, WeightRole};
use crate::domain::{bits, modulus};
use crate::shape::{self, same};
use crate::{Error, Result};
use sci_core::{AnyDomain, Domain};

/// The largest scale of any tensor.
const MAX_SCALE: u32 = 128;

/// What the rules need to know of the program.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Where the integers live.
    pub domain: AnyDomain,
    /// The declared weights.
    pub weights: &'a [WeightInfo],
}

/// The type of the tensor that an operation defines.
///
/// # Errors
/// [`Error::Invalid`] if the operation cannot be applied to these inputs, [`Error::Overflow`] if it
/// is a division that the domain is too small for.
pub fn infer(context: Context<'_>, op: &Op, inputs: &[&TensorInfo]) -> Result<TensorInfo> {
    let (shape, scale) = match (op, inputs) {
        (Op::Input { shape, scale }, []) => (shape.clone(), *scale),
        (Op::Concat { axis }, [first, ..]) => {
            for x in inputs {
                same("scale of a part", &first.scale, &x.scale)?;
            }
            let shapes: Vec<&[usize]> = inputs.iter().map(|x| x.shape.as_slice()).collect();
            (shape::concat(*axis, &shapes)?, first.scale)
        }
        (Op::Add | Op::Sub, [x, y]) => {
            same("shape of the second operand", &x.shape, &y.shape)?;
            same("scale of the second operand", &x.scale, &y.scale)?;
            (x.shape.clone(), x.scale)
        }
        (Op::Input { .. } | Op::Concat { .. } | Op::Add | Op::Sub, _) => {
            return Err(Error::invalid("number of inputs", "another", inputs.len()));
        }
        (_, [x]) => (unary_shape(context, op, x)?, unary_scale(context, op, x)?),
        _ => return Err(Error::invalid("number of inputs", 1, inputs.len())),
    };
    shape::bounded(&shape)?;
    if scale > MAX_SCALE {
        return Err(Error::invalid("scale", format_args!("at most {MAX_SCALE}"), scale));
    }
    Ok(TensorInfo { shape, scale })
}

fn unary_shape(context: Context<'_>, op: &Op, x: &TensorInfo) -> Result<Vec<usize>> {
    match op {
        Op::Conv { weight, geometry, .. } => {
            let filters = shape::filters(geometry, &x.shape)?;
            declared(context, *weight, WeightRole::Factor, Some(&filters))?;
            shape::conv(geometry, &x.shape)
        }
        Op::Linear { weight, geometry, .. } => {
            let matrix = [geometry.outer(), geometry.inner()];
            declared(context, *weight, WeightRole::Factor, Some(&matrix))?;
            shape::linear(geometry, &x.shape)
        }
        Op::AddWeight { weight } => {
            let w = declared(context, *weight, WeightRole::Addend, None)?;
            Broadcast::new(&x.shape, &w.shape)?;
            Ok(x.shape.clone())
        }
        Op::MulWeight { weight } => {
            let w = declared(context, *weight, WeightRole::Factor, None)?;
            Broadcast::new(&x.shape, &w.shape)?;
            Ok(x.shape.clone())
        }
        Op::MaxPool { geometry } => shape::pool(geometry, &x.shape),
        Op::AvgPool { geometry, shift, .. } => {
            let shape = shape::pool(geometry, &x.shape)?;
            within("shift", 0, x.scale.min(63), *shift)?;
            // Below 2^31·2^63.
            let divisor = u128::from(geometry.max_divisor()) << shift;
            if divisor > 1 {
                division(context.domain, divisor)?;
            }
            Ok(shape)
        }
        Op::Reshape { shape } => shape::reshape(&x.shape, shape),
        Op::Transpose { permutation } => shape::transpose(&x.shape, permutation),
        Op::Pad { before, after } => shape::pad(&x.shape, before, after),
        Op::Slice { start, step, shape } => shape::slice(&x.shape, start, step, shape),
        Op::ArgMax { axis } => {
            let indices = AxisGeometry::new(&x.shape, *axis)?.len;
            if indices as u128 > modulus(context.domain) {
                return Err(Error::Overflow {
                    tensor: "indices".into(),
                    what: format!("0..{indices} do not fit {}", context.domain),
                    bitwidth: Some(usize::BITS - (indices - 1).leading_zeros()),
                });
            }
            shape::without(&x.shape, *axis)
        }
        _ => Ok(x.shape.clone()),
    }
}

fn unary_scale(context: Context<'_>, op: &Op, x: &TensorInfo) -> Result<u32> {
    let product = |weight: WeightId| -> Result<u32> {
        let weight = declared(context, weight, WeightRole::Factor, None)?;
        Ok(x.scale.saturating_add(weight.scale))
    };
    let bias = |bias: Option<WeightId>, len: usize, scale: u32| {
        let Some(bias) = bias else { return Ok(scale) };
        let bias = declared(context, bias, WeightRole::Addend, Some(&[len]))?;
        same("scale of the bias", &scale, &bias.scale)?;
        Ok(scale)
    };
    match op {
        Op::Conv { weight, bias: b, geometry } => {
            bias(*b, geometry.out_channels(), product(*weight)?)
        }
        Op::Linear { weight, bias: b, geometry } => bias(*b, geometry.outer(), product(*weight)?),
        Op::MulWeight { weight } => product(*weight),
        Op::AddWeight { weight } => {
            let w = declared(context, *weight, WeightRole::Addend, None)?;
            same("scale of the addend", &x.scale, &w.scale)?;
            Ok(x.scale)
        }
        Op::ScaleUp { shift } => {
            within("shift", 1, bits(context.domain).saturating_sub(1).min(62), *shift)?;
            Ok(x.scale.saturating_add(*shift))
        }
        Op::MulPublic { scale, .. } => Ok(x.scale.saturating_add(*scale)),
        Op::Truncate { shift, .. } => {
            truncation(context.domain, *shift)?;
            within("shift", 1, x.scale, *shift)?;
            Ok(x.scale - shift)
        }
        // Its shape was found first, and with it that the shift is no larger.
        Op::AvgPool { shift, .. } => Ok(x.scale.saturating_sub(*shift)),
        Op::ArgMax { .. } => Ok(0),
        _ => Ok(x.scale),
    }
}

fn within(what: &str, low: u32, high: u32, got: u32) -> Result<()> {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    Err(Error::invalid(what, format_args!("{low}..={high}"), got))
}

fn declared<'a>(
    context: Context<'a>,
    id: WeightId,
    role: WeightRole,
    shape: Option<&[usize]>,
) -> Result<&'a WeightInfo> {
    let count = context.weights.len();
    let info = context.weights.get(id.index());
    let info = info.ok_or_else(|| Error::invalid("weight", format_args!("one of {count}"), id))?;
    same("role of the weight", &role, &info.role)?;
    if let Some(shape) = shape {
        same("shape of the weight", &shape, &info.shape.as_slice())?;
    }
    Ok(info)
}

/// Exact division on shares needs n > 6d (CrypTFlow2, the division theorem).
fn division(domain: AnyDomain, divisor: u128) -> Result<()> {
    let needed = 6 * divisor;
    if modulus(domain) > needed {
        return Ok(());
    }
    Err(Error::Overflow {
        tensor: "division".into(),
        what: format!("by {divisor} needs a modulus above {needed}, not {domain}"),
        bitwidth: Some(u128::BITS - needed.leading_zeros()).filter(|&bits| bits <= 64),
    })
}

fn truncation(domain: AnyDomain, shift: u32) -> Result<()> {
    match domain {
        AnyDomain::Ring(ring) if shift >= ring.bits() => Err(Error::Overflow {
            tensor: "truncation".into(),
            what: format!("by {shift} bits leaves nothing of {domain}"),
            bitwidth: Some(shift.saturating_add(1)).filter(|&bits| bits <= 64),
        }),
        AnyDomain::Ring(_) => Ok(()),
        AnyDomain::Field(_) if shift < 64 => division(domain, 1 << shift),
        AnyDomain::Field(_) => Err(Error::invalid("shift", "below 64", shift)),
    }
}
