//! A domain as data: reading, writing and asking it without knowing which it is.

use sci_core::{AnyDomain, Domain, Field, Ring};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Runs a generic expression with the concrete domain.
macro_rules! with_domain {
    ($any:expr, $domain:ident => $body:expr) => {
        match $any {
            ::sci_core::AnyDomain::Ring($domain) => $body,
            ::sci_core::AnyDomain::Field($domain) => $body,
        }
    };
}
pub(crate) use with_domain;

/// Bits of an element.
pub(crate) fn bits(domain: AnyDomain) -> u32 {
    with_domain!(domain, d => d.bits())
}

/// 2^l or n.
pub(crate) fn modulus(domain: AnyDomain) -> u128 {
    with_domain!(domain, d => d.modulus())
}

/// The smallest and largest signed views.
pub(crate) fn signed_range(domain: AnyDomain) -> (i128, i128) {
    let modulus = modulus(domain) as i128;
    let half = (modulus + 1) / 2;
    (half - modulus, half - 1)
}

/// The smallest bitwidth of a ring whose signed view holds `bound` and `-bound`.
pub(crate) fn signed_bits(bound: u128) -> u32 {
    u128::BITS - bound.leading_zeros() + 1
}

#[derive(Serialize, Deserialize)]
enum Wire {
    Ring(u32),
    Field(u64),
}

/// For `#[serde(with)]`.
pub(crate) fn serialize<S: Serializer>(domain: &AnyDomain, to: S) -> Result<S::Ok, S::Error> {
    match domain {
        AnyDomain::Ring(ring) => Wire::Ring(ring.bits()),
        AnyDomain::Field(field) => Wire::Field(field.n()),
    }
    .serialize(to)
}

/// For `#[serde(with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<AnyDomain, D::Error> {
    match Wire::deserialize(from)? {
        Wire::Ring(bits) => Ring::new(bits).map(AnyDomain::Ring),
        Wire::Field(n) => Field::new(n).map(AnyDomain::Field),
    }
    .map_err(D::Error::custom)
}
