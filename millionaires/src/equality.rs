//! Equality of private integers: XOR shares of 1{a_i = b_i}.
//!
//! The leaves of [`crate::compare`] with the equality bit alone, joined by ANDs: q leaves of
//! 2 lambda + 2^m bits and q - 1 single ANDs of lambda + 20; 2 + ceil(log2 q) rounds.

use crate::compare::{Comparison, Relation, compare_cost, compare_lane, load};
use sci_core::{BitShares, Cost, Result, Ring};
use sci_ot::Peer;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;

fn job(ring: Ring) -> [Comparison; 1] {
    [Comparison::new(ring.bitwidth().get(), Relation::Equal)]
}

fn plan(n: usize, ring: Ring, settings: Settings) -> Plan {
    Plan::new(n, load(&job(ring), settings))
}

/// XOR shares of 1{a_i = b_i}, where `mine` are this party's integers below 2^l.
///
/// # Errors
/// As the link and the peer behave.
pub fn equal(peer: &mut Peer, ring: Ring, mine: &[u64]) -> Result<BitShares> {
    let plan = plan(mine.len(), ring, peer.settings());
    peer.map_bits(&plan, |lane, range| {
        let (mut outcomes, _) = compare_lane(lane, &job(ring), &[&mine[range]], 0)?;
        Ok(outcomes.pop().unwrap_or_default().equal)
    })
}

/// The cost of [`equal`].
///
/// # Errors
/// For a radix outside 1..=8.
pub fn equal_cost(n: usize, ring: Ring, settings: Settings) -> Result<Cost> {
    compare_cost(1, &job(ring), settings, 0, sci_core::Party::Server)?;
    Ok(plan(n, ring, settings)
        .cost(|n, leader| compare_cost(n, &job(ring), settings, 0, leader).unwrap_or_default()))
}
