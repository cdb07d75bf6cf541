//! From one domain to another: Z_2^l to Z_n, back, and between rings.
//!
//! Let M and M' be the moduli. Adding floor(M/2) makes the signed view a non-negative integer below M:
//! y = y_0 + y_1 - M w as integers, with w = 1{y_0 + y_1 >= M} = 1{y_0 > M - 1 - y_1}. One comparison of
//! as many bits as an element of the source has and one B2A into the target give shares of
//! y_0 + y_1 - M w - floor(M/2) mod M'.
//!
//! The result is the signed view of x reduced mod M', always; it is the same integer if x lies
//! in the signed range of the target.
//!
//! **Cost**: F_MILL on ceil(log2 M) bits and lambda + ceil(log2 M') bits of B2A.

use crate::compare::{Comparison, Relation, compare_cost, compare_lane, load};
use sci_core::{Cost, Domain, Party, Result, Shares};
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::select::{b2a_lane, b2a_lane_cost};
use sci_ot::{Lane, Peer, Role};
use zeroize::Zeroizing;

fn job<A: Domain>(source: A) -> [Comparison; 1] {
    [Comparison::new(source.bits(), Relation::Greater)]
}

fn plan<A: Domain>(n: usize, source: A, settings: Settings) -> Plan {
    Plan::new(n, load(&job(source), settings).and(32))
}

/// Shares over `target` of the signed view of x.
///
/// # Errors
/// As the link and the peer behave.
pub fn convert<A: Domain, B: Domain>(
    peer: &mut Peer,
    x: &Shares<A>,
    target: B,
) -> Result<Shares<B>> {
    let source = x.domain();
    let plan = plan(x.len(), source, peer.settings());
    peer.map_shares(&plan, target, |lane, range| {
        convert_lane(lane, source, target, &x.values()[range])
    })
}

fn convert_lane<A: Domain, B: Domain>(
    lane: &mut Lane,
    source: A,
    target: B,
    x: &[u64],
) -> Result<Elements> {
    let modulus = source.modulus();
    let half = source.reduce_wide(modulus / 2);
    let last = (modulus - 1) as u64;
    let own = u64::from(lane.party() == Party::Server).wrapping_neg();
    let y: Elements = Zeroizing::new(x.iter().map(|&x| source.add(x, half & own)).collect());
    let inputs: Elements = match lane.role() {
        Role::Sender => y.clone(),
        Role::Receiver => Zeroizing::new(y.iter().map(|y| last - y).collect()),
    };
    let (outcomes, _) = compare_lane(lane, &job(source), &[&inputs], 0)?;
    let wrap = outcomes.into_iter().next().unwrap_or_default().greater;
    let mut out = b2a_lane(lane, target, &wrap)?;
    let (whole, offset) = (target.reduce_wide(modulus), target.reduce_wide(modulus / 2) & own);
    for (w, y) in out.iter_mut().zip(y.iter()) {
        let wrapped = target.mul(*w, whole);
        *w = target.sub(target.sub(target.reduce(*y), wrapped), target.reduce(offset));
    }
    Ok(out)
}

/// The cost of [`convert`].
///
/// # Errors
/// For a radix outside 1..=8.
pub fn convert_cost<A: Domain, B: Domain>(
    n: usize,
    source: A,
    target: B,
    settings: Settings,
) -> Result<Cost> {
    compare_cost(1, &job(source), settings, 0, Party::Server)?;
    Ok(plan(n, source, settings).cost(|n, leader| {
        compare_cost(n, &job(source), settings, 0, leader).unwrap_or_default()
            + b2a_lane_cost(settings.ot, n, target, leader)
    }))
}
