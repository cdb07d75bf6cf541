//! Products of one party's numbers with the other's bits: two batches over two domains in the flights of one.
//!
//! One COT each, with the number as its correlation: lambda + bits of the domain.

use sci_core::{Bits, Domain, Result};
use sci_ot::cot::Elements;
use sci_ot::pair::{Pair, ask_pair, send_pair};
use sci_ot::{Lane, Role};

/// Shares of the leader's correlations times the other's choices, for both batches. Correlations are read at the
/// leader, choices at the other party.
pub(crate) fn products_lane<D: Domain>(
    lane: &mut Lane,
    correlations: &Pair<'_, D, [u64]>,
    choices: &Pair<'_, D, Bits>,
) -> Result<(Elements, Elements)> {
    match lane.role() {
        Role::Sender => products_answer(lane, correlations),
        Role::Receiver => ask_pair(lane, choices)?.read(lane, choices),
    }
}

/// The leader's part of [`products_lane`].
pub(crate) fn products_answer<D: Domain>(
    lane: &mut Lane,
    correlations: &Pair<'_, D, [u64]>,
) -> Result<(Elements, Elements)> {
    let (mut x, mut y) = send_pair(lane, correlations)?;
    x.iter_mut().for_each(|x| *x = correlations.first.0.neg(*x));
    y.iter_mut().for_each(|y| *y = correlations.second.0.neg(*y));
    Ok((x, y))
}
