//! ArgMax: shares of the position of the first maximum of each row.
//!
//! A binary tree of neighbours, left to right, an odd last element carried up. A node takes one DReLU of
//! the difference v_0 - v_1 and one MUX of value and index: v = v_1 + b (v_0 - v_1),
//! i = i_1 + b (i_0 - i_1), b = 1{v_0 - v_1 >= 0}; ties keep the left, hence the lower index. n - 1 nodes,
//! ceil(log2 n) levels. Indices live in Z_2^k with k = max(1, ceil(log2 n)).

use crate::drelu::{Precision, SignDomain, drelu_lane};
use sci_core::{Cost, Domain, Error, Party, Result, Ring, Shares};
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::select::{mux_both_lane, mux_both_lane_cost};
use sci_ot::{Lane, Peer};
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
    let ring = index_ring(row)?;
    if !x.len().is_multiple_of(row) {
        return Err(Error::misuse(format!("{} values in rows of {row}", x.len())));
    }
    let domain = x.domain();
    let plan = plan(x.len() / row, row, domain, peer.settings(), precision);
    peer.map_shares(&plan, ring, |lane, range| {
        argmax_lane(
            lane,
            domain,
            &x.values()[range.start * row..range.end * row],
            row,
            ring,
            precision,
        )
    })
}

fn plan<D: SignDomain>(
    rows: usize,
    row: usize,
    domain: D,
    settings: Settings,
    precision: Precision,
) -> Plan {
    Plan::new(rows, domain.msb_load(settings, precision).and(96).times(row.div_ceil(2)))
}

fn argmax_lane<D: SignDomain>(
    lane: &mut Lane,
    domain: D,
    x: &[u64],
    row: usize,
    ring: Ring,
    precision: Precision,
) -> Result<Elements> {
    let mut values: Elements = Zeroizing::new(x.to_vec());
    // Indices are public here: the server's share is the index, the client's zero.
    let own = u64::from(lane.party() == Party::Server).wrapping_neg();
    let mut indices: Elements =
        Zeroizing::new((0..x.len()).map(|i| ring.reduce((i % row) as u64) & own).collect());
    let mut width = row;
    while width > 1 {
        let pairs = || {
            let rows = 0..values.len() / width;
            rows.flat_map(|r| (0..width / 2).map(move |p| r * width + 2 * p))
        };
        let dv: Elements =
            Zeroizing::new(pairs().map(|i| domain.sub(values[i], values[i + 1])).collect());
        let di: Elements =
            Zeroizing::new(pairs().map(|i| ring.sub(indices[i], indices[i + 1])).collect());
        let left = drelu_lane(lane, domain, &dv, precision)?;
        let (mv, mi) = mux_both_lane(lane, &left, (domain, &dv), (ring, &di))?;

        let mut next_v = Zeroizing::new(Vec::with_capacity(values.len().div_ceil(2)));
        let mut next_i = Zeroizing::new(Vec::with_capacity(values.len().div_ceil(2)));
        let mut chosen = mv.iter().zip(mi.iter());
        for (v, i) in values.chunks_exact(width).zip(indices.chunks_exact(width)) {
            for (v, i) in v.chunks(2).zip(i.chunks(2)) {
                match (v, i) {
                    ([_, v1], [_, i1]) => {
                        let (dv, di) = chosen.next().unwrap_or((&0, &0));
                        next_v.push(domain.add(*v1, *dv));
                        next_i.push(ring.add(*i1, *di));
                    }
                    _ => {
                        next_v.extend_from_slice(v);
                        next_i.extend_from_slice(i);
                    }
                }
            }
        }
        (values, indices) = (next_v, next_i);
        width = width.div_ceil(2);
    }
    Ok(indices)
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
    let ring = index_ring(row)?;
    domain.msb_cost(1, settings, precision, Party::Server)?;
    Ok(plan(rows, row, domain, settings, precision).cost(|rows, leader| {
        let mut cost = Cost::ZERO;
        let mut width = row;
        while width > 1 {
            let pairs = rows * (width / 2);
            cost += domain.msb_cost(pairs, settings, precision, leader).unwrap_or_default()
                + mux_both_lane_cost(settings.ot, pairs, domain, ring);
            width = width.div_ceil(2);
        }
        cost
    }))
}
