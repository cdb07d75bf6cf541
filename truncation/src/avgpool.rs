//! AvgPool: the window is summed locally (the sum wraps in the domain), then divided exactly.
//!
//! With a shift s, windows of numbers that were not truncated yet are divided by d·2^s, d the size of the
//! window: one division for the mean and the truncation, floor(floor(S/2^s)/d) = floor(S/(d·2^s)).
//!
//! Over Z_2^l a divisor that is a power of two takes the cheaper [`crate::truncate`]; both compute the same
//! function. Windows of different size (padding not counted) are divided in one batch per size.

use crate::Sign;
use crate::divide::{divide, divide_cost};
use crate::truncate::{truncate_narrow, truncate_narrow_cost};
use millionaires::{Precision, SignDomain};
use sci_core::geometry::PoolGeometry;
use sci_core::{Cost, Error, Field, Result, Ring, Shares};
use sci_ot::Peer;
use sci_ot::peer::Settings;

/// A domain with its cheapest exact division by a public integer: [`divide()`], if there is none better.
pub trait QuotientDomain: SignDomain {
    /// Shares of floor(x / d).
    ///
    /// # Errors
    /// As [`divide()`]; d = 1 is the identity.
    fn quotient(
        peer: &mut Peer,
        x: &Shares<Self>,
        d: u64,
        sign: Sign,
        precision: Precision,
    ) -> Result<Shares<Self>> {
        if d == 1 { Ok(x.clone()) } else { divide(peer, x, d, sign, precision) }
    }

    /// The cost of [`QuotientDomain::quotient`].
    ///
    /// # Errors
    /// As [`divide_cost`].
    fn quotient_cost(
        self,
        n: usize,
        d: u64,
        sign: Sign,
        precision: Precision,
        settings: Settings,
    ) -> Result<Cost> {
        if d == 1 { Ok(Cost::ZERO) } else { divide_cost(n, self, d, sign, precision, settings) }
    }
}

impl QuotientDomain for Field {}

/// Powers of two are truncations.
impl QuotientDomain for Ring {
    fn quotient(
        peer: &mut Peer,
        x: &Shares<Self>,
        d: u64,
        sign: Sign,
        precision: Precision,
    ) -> Result<Shares<Self>> {
        match d {
            1 => Ok(x.clone()),
            d if d.is_power_of_two() => {
                truncate_narrow(peer, x, d.trailing_zeros(), sign, precision)
            }
            d => divide(peer, x, d, sign, precision),
        }
    }

    fn quotient_cost(
        self,
        n: usize,
        d: u64,
        sign: Sign,
        precision: Precision,
        settings: Settings,
    ) -> Result<Cost> {
        match d {
            1 => Ok(Cost::ZERO),
            d if d.is_power_of_two() => {
                truncate_narrow_cost(n, self, d.trailing_zeros(), sign, precision, settings)
            }
            d => divide_cost(n, self, d, sign, precision, settings),
        }
    }
}

/// Positions by divisor, smallest divisor first.
fn by_divisor(divisors: &[u64]) -> Vec<(u64, Vec<usize>)> {
    let mut groups: Vec<(u64, Vec<usize>)> = Vec::new();
    for (at, &d) in divisors.iter().enumerate() {
        match groups.iter_mut().find(|(divisor, _)| *divisor == d) {
            Some((_, members)) => members.push(at),
            None => groups.push((d, vec![at])),
        }
    }
    groups.sort_unstable_by_key(|(d, _)| *d);
    groups
}

/// d·2^shift for every window.
fn divisors(geometry: &PoolGeometry, shift: u32) -> Result<Vec<u64>> {
    let scaled = |p: usize| {
        let d = 1u64.checked_shl(shift).and_then(|scale| geometry.divisor(p).checked_mul(scale));
        d.ok_or_else(|| Error::invalid("shift of an average", "d·2^shift below 2^64", shift))
    };
    let plane = (0..geometry.positions()).map(scaled).collect::<Result<Vec<u64>>>()?;
    Ok(plane.iter().copied().cycle().take(geometry.output_len()).collect())
}

/// Shares of floor(sum of window / (d·2^shift)), d the divisor of the window. `sign` is what is known of
/// the *sums*, which wrap.
///
/// # Errors
/// As [`divide`], and for a shift beyond 64 bits; [`sci_core::Error::Misuse`] if the input does not fit the
/// geometry.
pub fn avgpool<D: QuotientDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    geometry: &PoolGeometry,
    shift: u32,
    sign: Sign,
    precision: Precision,
) -> Result<Shares<D>> {
    let sums = Shares::from_canonical(x.domain(), geometry.sums(x.domain(), x.values())?);
    quotients(peer, &sums, &divisors(geometry, shift)?, sign, precision)
}

/// Shares of floor(x_i / d_i) for public d_i, one batch for each divisor that occurs.
///
/// # Errors
/// As [`divide`]; [`Error::Misuse`] unless there is one divisor for each element.
pub fn quotients<D: QuotientDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    divisors: &[u64],
    sign: Sign,
    precision: Precision,
) -> Result<Shares<D>> {
    if divisors.len() != x.len() {
        return Err(Error::misuse(format!("{} divisors for {} values", divisors.len(), x.len())));
    }
    let mut out = Shares::zeros(x.domain(), x.len());
    for (d, members) in by_divisor(divisors) {
        let values = members.iter().map(|&at| x.values()[at]).collect();
        let batch = Shares::from_canonical(x.domain(), values);
        let quotients = D::quotient(peer, &batch, d, sign, precision)?;
        for (&at, value) in members.iter().zip(quotients.values()) {
            out.values_mut()[at] = *value;
        }
    }
    Ok(out)
}

/// The cost of [`avgpool`].
///
/// # Errors
/// As [`divide_cost`], and for a shift beyond 64 bits.
pub fn avgpool_cost<D: QuotientDomain>(
    domain: D,
    geometry: &PoolGeometry,
    shift: u32,
    sign: Sign,
    precision: Precision,
    settings: Settings,
) -> Result<Cost> {
    quotients_cost(domain, &divisors(geometry, shift)?, sign, precision, settings)
}

/// The cost of [`quotients`].
///
/// # Errors
/// As [`divide_cost`].
pub fn quotients_cost<D: QuotientDomain>(
    domain: D,
    divisors: &[u64],
    sign: Sign,
    precision: Precision,
    settings: Settings,
) -> Result<Cost> {
    by_divisor(divisors).iter().try_fold(Cost::ZERO, |sum, (d, members)| {
        Ok(sum + domain.quotient_cost(members.len(), *d, sign, precision, settings)?)
    })
}
