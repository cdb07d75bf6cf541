//! From real numbers to integers: r becomes floor(r·2^s).

use crate::domain::{signed_bits, signed_range};
use crate::{Error, Result};
use sci_core::AnyDomain;

/// floor(v·2^scale), exactly, or how many bits it would need.
fn floor_scaled(value: f64, scale: u32) -> Result<i128, Option<u32>> {
    // A product with a power of two is exact unless it leaves the range of doubles.
    let scaled = (value * 2f64.powi(scale as i32)).floor();
    if scaled.abs() < 2f64.powi(120) { Ok(scaled as i128) } else { Err(None) }
}

/// floor(v·2^scale) of every number, which has to lie in the signed view of the domain.
pub(crate) fn quantise<T: Copy + Into<f64>>(
    name: &str,
    values: &[T],
    scale: u32,
    domain: AnyDomain,
) -> Result<Vec<i64>> {
    let (low, high) = signed_range(domain);
    let mut out = Vec::with_capacity(values.len());
    let mut worst: Option<u128> = None;
    for &value in values {
        match floor_scaled(value.into(), scale) {
            Ok(v) if (low..=high).contains(&v) => out.push(v as i64),
            // -2^(l-1) fits l bits, 2^(l-1) does not.
            Ok(v) => {
                let bound = if v < 0 { (-(v + 1)) as u128 } else { v as u128 };
                worst = Some(worst.unwrap_or(0).max(bound));
            }
            Err(_) => worst = Some(u128::MAX),
        }
    }
    match worst {
        Some(bound) => Err(does_not_fit(name, bound, scale, domain)),
        None => Ok(out),
    }
}

/// The negatives of integers at a scale, which have to lie in the signed view of the domain as well.
pub(crate) fn negated(
    name: &str,
    values: &[i64],
    scale: u32,
    domain: AnyDomain,
) -> Result<Vec<i64>> {
    let (_, high) = signed_range(domain);
    let worst = values.iter().map(|&v| -i128::from(v)).filter(|&v| v > high).max();
    match worst {
        Some(bound) => Err(does_not_fit(name, bound.unsigned_abs(), scale, domain)),
        None => Ok(values.iter().map(|v| v.wrapping_neg()).collect()),
    }
}

fn does_not_fit(name: &str, bound: u128, scale: u32, domain: AnyDomain) -> Error {
    Error::Overflow {
        tensor: name.to_owned(),
        what: format!("a value at scale {scale} does not fit {domain}"),
        bitwidth: Some(bound).filter(|&b| b < 1 << 63).map(signed_bits),
    }
}
