//! ArgMax: shares of the position of the first maximum of each row.
//!
//! A tournament ([`crate::tournament`]) of neighbours, left to right, that carries indices along: ties keep the
//! left, hence the lower index. Indices live in Z_2^k with k = max(1, ceil(log2 n)).

use crate::drelu::{Precision, SignDomain};
use crate::tournament::{Contest, Entrants, Sizes};
use sci_core::{Cost, Domain, Error, Party, Result, Ring, Shares};
use sci_ot::Peer;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use zeroize::Zeroizing;

/// The ring of indices into rows of `n` elements.
///
/// # Errors
/// [`Error::InvalidInput`] for empty rows.
pub fn index_ring(n: usize) -> Result<Ring> {
    match n {
        0 => Err(Error::invalid("ArgMax row", "at least one element", 0)),
        _ => Ring::new((usize::BITS - (n - 1).leading_zeros()).max(1)),
    }
}

/// Shares of the index of the maximum of each row of `row` elements.
///
/// # Errors
/// [`Error::Misuse`] if the batch is not whole rows; otherwise as [`SignDomain::msb_lane`].
pub fn argmax<D: SignDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    row: usize,
    precision: Precision,
) -> Result<Shares<Ring>> {
    let contest = contest(x.domain(), row, precision)?;
    let ring = index_ring(row)?;
    if !x.len().is_multiple_of(row) {
        return Err(Error::misuse(format!("{} values in rows of {row}", x.len())));
    }
    let (span, plan) = plan(x.len() / row, row, contest, peer.settings());
    peer.map_shares(&plan, ring, |lane, range| {
        let values = Zeroizing::new(x.values()[range.start * row..range.end * row].to_vec());
        // Indices are public here: the server's share is the index, the client's zero.
        let own = u64::from(lane.party() == Party::Server).wrapping_neg();
        let indices = (0..values.len()).map(|i| ring.reduce((i % row) as u64) & own);
        let indices = Zeroizing::new(indices.collect());
        Ok(contest.lane(lane, Entrants { values, indices }, vec![row; range.len()], span)?.indices)
    })
}

fn contest<D: SignDomain>(domain: D, row: usize, precision: Precision) -> Result<Contest<D>> {
    Ok(Contest { domain, precision, indices: Some(index_ring(row)?) })
}

/// How many neighbours are played at once, and the chunks.
fn plan<D: SignDomain>(
    rows: usize,
    row: usize,
    contest: Contest<D>,
    settings: Settings,
) -> (usize, Plan) {
    let span = contest.span(&Sizes::from([(row, rows)]), settings);
    (span, Plan::new(rows, contest.load(row, span, settings)))
}

/// The cost of [`argmax`] for `rows` rows.
///
/// # Errors
/// As [`SignDomain::msb_cost`].
pub fn argmax_cost<D: SignDomain>(
    rows: usize,
    row: usize,
    domain: D,
    settings: Settings,
    precision: Precision,
) -> Result<Cost> {
    let contest = contest(domain, row, precision)?;
    domain.msb_cost(1, settings, precision, Party::Server)?;
    let (span, plan) = plan(rows, row, contest, settings);
    Ok(plan.cost(|rows, leader| {
        let sizes = Sizes::from([(row, rows)]);
        contest.cost(sizes, span, settings, leader).unwrap_or_default()
    }))
}
