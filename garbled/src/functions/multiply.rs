//! Products of a number of the garbler's and one of the evaluator's.

use crate::circuit::{Builder, Circuit, SINGLE_BITS};
use sci_core::{Domain, Error, Result, Ring};

/// The product of two singles ([`Builder::multiply_single`]).
pub fn single_multiplication() -> Circuit {
    let mut builder = Builder::default();
    let (a, b) = (builder.garbler_word(SINGLE_BITS), builder.evaluator_word(SINGLE_BITS));
    let out = builder.multiply_single(&a, &b);
    builder.finish(&out)
}

/// floor(a b / 2^shift) over Z_2^l, a b being the signed view of the product mod 2^l: one AND gate a bit of every
/// partial product and of every sum, none for the shift.
///
/// # Errors
/// [`Error::InvalidInput`] for a shift of l or more.
pub fn fixed_multiplication(ring: Ring, shift: u32) -> Result<Circuit> {
    if shift >= ring.bits() {
        return Err(Error::invalid("shift", format_args!("below {}", ring.bits()), shift));
    }
    let mut builder = Builder::default();
    let (a, b) = (builder.garbler_word(ring.bits()), builder.evaluator_word(ring.bits()));
    let product = builder.multiply_modulo(&a, &b, ring.bits() as usize);
    let mut out = product[shift as usize..].to_vec();
    let sign = out.last().copied();
    out.resize(ring.bits() as usize, sign.unwrap_or(crate::circuit::ZERO));
    Ok(builder.finish(&out))
}

fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0f32.copysign(x) } else { x }
}

/// What [`single_multiplication`] computes, for singles and with the processor's doubles: their product is exact,
/// having 48 significant bits and an exponent far from the ends.
pub fn single_product(a: f32, b: f32) -> f32 {
    const BELOW: u64 = (1 << (f64::MANTISSA_DIGITS - f32::MANTISSA_DIGITS)) - 1;
    let exact = f64::from(flushed(a)) * f64::from(flushed(b));
    if exact.is_nan() {
        return f32::from_bits(0x7fc0_0000);
    }
    // To 24 significant bits, ties to even, whatever the exponent.
    let bits = exact.to_bits();
    let odd = bits >> BELOW.count_ones() & 1;
    let rounded = f64::from_bits((bits + BELOW / 2 + odd) & !BELOW);
    match rounded.abs() < f64::from(f32::MIN_POSITIVE) {
        true => 0f32.copysign(rounded as f32),
        // Exact, or an infinity.
        false => rounded as f32,
    }
}
