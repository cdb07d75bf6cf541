//! DReLU: XOR shares of the sign of shared values, 1{x >= 0}.
//!
//! What a domain must do to take part is [`SignDomain`]; the ring does it with one comparison of
//! l - 1 bits.

mod field;
mod ring;

use sci_core::{BitShares, Bits, Cost, Domain, Party, Result, Shares};
use sci_ot::peer::Settings;
use sci_ot::plan::{Load, Plan};
use sci_ot::{Lane, Peer};

/// How many low bits of the shares hold the value: |x| < 2^(k-1).
///
/// A compiler that knows the range of a tensor lets a comparison look at k bits instead of l: the
/// reduction mod 2^k is local and keeps the sign exactly. If the promise is broken the result is the
/// sign of x mod 2^k, which is also what the cleartext meaning of a narrowed operation says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// All bits of the domain.
    #[default]
    Full,
    /// The given number of bits, at least 1.
    Bits(u32),
}

/// A domain whose sign two parties can read from shares.
pub trait SignDomain: Domain {
    /// XOR shares of 1{x < 0} on one lane.
    ///
    /// # Errors
    /// As the link and the peer behave; [`sci_core::Error::Misuse`] for a precision that the
    /// domain does not have.
    fn msb_lane(self, lane: &mut Lane, x: &[u64], precision: Precision) -> Result<Bits>;

    /// The cost of [`SignDomain::msb_lane`].
    ///
    /// # Errors
    /// For a radix outside 1..=8 or a precision that the domain does not have.
    fn msb_cost(
        self,
        n: usize,
        settings: Settings,
        precision: Precision,
        leader: Party,
    ) -> Result<Cost>;

    /// Bytes of OT rows that one element occupies.
    fn msb_load(self, settings: Settings, precision: Precision) -> Load;
}

/// 1{x >= 0} on one lane: the sign bit, flipped by the server.
///
/// # Errors
/// As [`SignDomain::msb_lane`].
pub fn drelu_lane<D: SignDomain>(
    lane: &mut Lane,
    domain: D,
    x: &[u64],
    precision: Precision,
) -> Result<Bits> {
    let mut bits = domain.msb_lane(lane, x, precision)?;
    if lane.party() == Party::Server {
        bits.not_assign();
    }
    Ok(bits)
}

fn plan<D: SignDomain>(n: usize, domain: D, settings: Settings, precision: Precision) -> Plan {
    Plan::new(n, domain.msb_load(settings, precision))
}

/// XOR shares of 1{x >= 0} for a batch.
///
/// # Errors
/// As [`SignDomain::msb_lane`].
pub fn drelu<D: SignDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    precision: Precision,
) -> Result<BitShares> {
    let domain = x.domain();
    let plan = plan(x.len(), domain, peer.settings(), precision);
    peer.map_bits(&plan, |lane, range| drelu_lane(lane, domain, &x.values()[range], precision))
}

/// The cost of [`drelu`].
///
/// # Errors
/// As [`SignDomain::msb_cost`].
pub fn drelu_cost<D: SignDomain>(
    n: usize,
    domain: D,
    settings: Settings,
    precision: Precision,
) -> Result<Cost> {
    domain.msb_cost(1, settings, precision, Party::Server)?;
    Ok(plan(n, domain, settings, precision)
        .cost(|n, leader| domain.msb_cost(n, settings, precision, leader).unwrap_or_default()))
}
