//! The noise budget. The table is in the [module docs](super).

use super::{Demand, ERROR_COINS, Flood};
use sci_core::Domain;

/// Variance proxy of an error coefficient with the randomised roundings of both shares and of what the
/// server takes back, 1/4 each, and the rounding of the request to multiples of `step`.
fn fresh(step: f64) -> f64 {
    f64::from(ERROR_COINS) / 2.0 + 0.75 + step * step / 12.0
}

/// What the fixed-point arithmetic of that rounding may be off by, in the worst case for every term.
fn offset<D: Domain>(demand: &Demand<D>, step: f64) -> f64 {
    demand.weight_bound as f64 * demand.terms as f64 * (step * (-31f64).exp2() + (-23f64).exp2())
}

/// Tails below 2^-67.
pub(super) fn tau() -> f64 {
    (2.0 * std::f64::consts::LN_2 * 68.0).sqrt()
}

/// Tails below 2^-71: packing has up to 26 of them.
fn packing_tau() -> f64 {
    (2.0 * std::f64::consts::LN_2 * 72.0).sqrt()
}

fn sigma() -> f64 {
    (f64::from(ERROR_COINS) / 2.0).sqrt()
}

/// h.
pub(super) fn secret_weight(degree: usize) -> f64 {
    let n = degree as f64;
    (2.0 * n / 3.0).ceil() + 7.0 * n.sqrt()
}

/// G, the root mean square of the error before flooding, with the roundings to integers.
pub(super) fn rms<D: Domain>(demand: &Demand<D>, degree: usize, step: f64) -> f64 {
    let (w, terms) = (demand.weight_bound as f64, demand.terms as f64);
    let zero = 2.0 * degree as f64 * (2.0 / 3.0) * sigma().powi(2);
    (w * w * terms * fresh(step) + zero).sqrt() + offset(demand, step) + 1.0
}

/// B, the tail of the same.
pub(super) fn tail<D: Domain>(demand: &Demand<D>, degree: usize, step: f64) -> f64 {
    let (w, terms) = (demand.weight_bound as f64, demand.terms as f64);
    tau() * fresh(step).sqrt() * w * terms.sqrt()
        + 2.0 * tau() * sigma() * secret_weight(degree).sqrt()
        + offset(demand, step)
        + 1.0
}

/// t times the error at the modulus q, over q.
pub(super) fn at_modulus<D: Domain>(
    demand: &Demand<D>,
    degree: usize,
    flood: Flood,
    log2_q: f64,
    step: f64,
) -> f64 {
    let error = tail(demand, degree, step) + flood.reach() + 1.0;
    ((demand.domain.modulus() as f64).log2() + error.log2() - log2_q).exp2()
}

/// r: the rounding of c1 meets the secret, that of c0 does not.
fn rescaling(degree: usize) -> f64 {
    packing_tau() * (secret_weight(degree) / 12.0).sqrt() + 0.5
}

/// t times the error of packing 2^levels responses, over the modulus of the packing base.
pub(super) fn of_packing(t: f64, degree: usize, levels: u32, primes: &[u32]) -> f64 {
    let Some((&special, digits)) = primes.split_first() else { return f64::INFINITY };
    let n = degree as f64;
    let gadget: f64 = digits.iter().map(|&p| n * (f64::from(p) / 2.0).powi(2)).sum();
    let switch = packing_tau() * sigma() * gadget.sqrt() / f64::from(special) + rescaling(degree);
    let error = rescaling(degree) + (f64::from(levels).exp2() - 1.0) * switch;
    (t.log2() + error.log2() - super::primes::log2_product(digits)).exp2()
}
