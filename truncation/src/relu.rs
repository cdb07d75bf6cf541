//! ReLU and the truncation behind it by one comparison: floor(max(x, 0) / 2^s) over Z_2^l, exactly.
//!
//! **Functionality.** Shares of y over Z_2^l with y = floor(x̂ / 2^s) where x̂ >= 0 and 0 elsewhere, x̂ the signed view
//! of x mod 2^k (k = l, or the significant bits). It is what [`millionaires::relu`] and [`mod@crate::truncate`], both
//! of k bits, compute one after the other, on every input. The parties learn nothing else.
//!
//! **Protocol.** DReLU compares the low k - 1 bits of the shares, and the truncation their low s bits: the second
//! comparison is a part of the first, because the truncation of a product with a bit is the product of the bit and
//! the truncation. With d = 1{x̂ >= 0} and c the carry out of the low s bits, both from one comparison in two pieces:
//!
//! 1. u_j = (x_j >> s) + c_j over Z_2^(k-s), c by B2A: shares of x >> s, but for wraps of the whole;
//! 2. MUX of u by d, over Z_2^(k-s): shares of y, which lies in 0..2^(k-s-1) now;
//! 3. extension to Z_2^l: y's top bit over Z_2^(k-s) being 0, the shares wrap where either of their top bits is 1, which is one
//!    COT of l - k + s bits.
//!
//! CrypTFlow2 computes the two apart (sections 3.2 and 4.2); so do its successors, which save the truncation's
//! comparison by leaving out the carry. Here it is part of what ReLU compares anyway, and MUX works on s bits less.
//!
//! **Cost** in bits with IKNP: both carries, which is F_MILL on k - 1 bits but for a few triples that are pairs, and
//! 4 lambda + 2 (k - s) + l: at l = 37, s = 12 and m = 7 4241, 5051 for ReLU and truncation apart. With silent OT
//! each lambda here is 1: 424 bits at m = 4, 553 apart, and 326 at m = 2, 429 apart. Rounds: 7 + ceil(log2 q), q the
//! digits of the longer piece, B2A being beside the last round of the comparison and the first of MUX.

use crate::Sign;
use crate::carries::{Joining, Pieces, carries_cost, carries_load};
use crate::truncate::{Rings, by_tops_lane, by_tops_lane_cost, narrowed, reduced};
use millionaires::Precision;
use sci_core::{Bits, Cost, Domain, Party, Result, Ring, Shares};
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::select::{
    b2a_answer, b2a_ask, b2a_lane_cost, b2a_read, mux_choose, mux_chosen, mux_lane_cost,
};
use sci_ot::{Lane, Peer, Role};
use zeroize::Zeroizing;

/// The three rings of a case.
#[derive(Clone, Copy)]
struct Widths {
    /// Of the result.
    ring: Ring,
    /// Of the significant bits.
    inner: Ring,
    /// Of what is left of those.
    small: Ring,
}

impl Widths {
    /// `None` if nothing but zeros is left: the shift takes all bits below the sign.
    fn of((ring, inner): Rings, shift: u32) -> Result<Option<Self>> {
        if shift + 1 >= inner.bits() {
            return Ok(None);
        }
        Ok(Some(Self { ring, inner, small: Ring::new(inner.bits() - shift)? }))
    }

    fn plan(self, n: usize, shift: u32, settings: Settings) -> Plan {
        Plan::new(n, carries_load(self.inner.bits() - 1, shift, settings).and(96))
    }
}

/// Shares of floor(max(x̂, 0) / 2^shift) for a batch, x̂ the signed view of the significant bits.
///
/// # Errors
/// [`sci_core::Error::InvalidInput`] unless 0 < shift < the significant bits, [`sci_core::Error::Misuse`] if the ring has
/// fewer; otherwise as the link and the peer behave.
pub fn relu_truncate(
    peer: &mut Peer,
    x: &Shares<Ring>,
    shift: u32,
    precision: Precision,
) -> Result<Shares<Ring>> {
    let rings = checked(x.domain(), shift, precision)?;
    let Some(widths) = Widths::of(rings, shift)? else {
        return Ok(Shares::zeros(x.domain(), x.len()));
    };
    let plan = widths.plan(x.len(), shift, peer.settings());
    peer.map_shares(&plan, widths.ring, |lane, range| {
        let x = x.values()[range].iter().map(|&x| widths.inner.reduce(x));
        relu_truncate_lane(lane, widths, &Zeroizing::new(x.collect::<Vec<_>>()), shift)
    })
}

/// The rings of the result and of the significant bits.
fn checked(ring: Ring, shift: u32, precision: Precision) -> Result<Rings> {
    match shift {
        0 => Err(sci_core::Error::invalid("shift", "at least 1", shift)),
        _ => narrowed(ring, shift, precision),
    }
}

fn relu_truncate_lane(lane: &mut Lane, widths: Widths, x: &[u64], shift: u32) -> Result<Elements> {
    let Widths { ring, inner, small } = widths;
    let pieces = Pieces::compare(lane, x, inner.bits() - 1, shift)?;
    let y = match lane.role() {
        Role::Sender => lead(lane, widths, x, shift, pieces)?,
        Role::Receiver => follow(lane, widths, x, shift, pieces)?,
    };
    by_tops_lane(lane, (ring, small), &y, 0, Sign::NonNegative)
}

// Steps 1 and 2 share flights: the follower's choices of B2A travel beside the openings of the AND that ends the
// comparison, and the leader's answer beside the choices of MUX. Refills come before them all, because the messages of
// neither are waited for in the order in which those of the other direction are sent.

/// MUX of the truncation by DReLU, for the sender of B2A.
fn lead(
    lane: &mut Lane,
    widths: Widths,
    x: &[u64],
    shift: u32,
    pieces: Pieces,
) -> Result<Elements> {
    let n = x.len();
    lane.prepare(2 * n, n)?;
    let (low, joining) = pieces.join(lane)?;
    lane.send.extend_cot(&mut lane.stream, n)?;
    let positive = positive(lane, widths, x, joining)?;
    let carry = b2a_answer(lane, widths.small, &low)?;
    mux_choose(lane, &positive)?;
    mux_chosen(lane, widths.small, &positive, &reduced(widths.small, x, shift, carry))
}

/// MUX of the truncation by DReLU, for the receiver of B2A.
fn follow(
    lane: &mut Lane,
    widths: Widths,
    x: &[u64],
    shift: u32,
    pieces: Pieces,
) -> Result<Elements> {
    let n = x.len();
    lane.prepare(n, 2 * n)?;
    let pads = b2a_ask(lane, widths.small, pieces.low())?;
    let (low, joining) = pieces.join(lane)?;
    let positive = positive(lane, widths, x, joining)?;
    mux_choose(lane, &positive)?;
    let carry = b2a_read(lane, widths.small, &low, pads)?;
    mux_chosen(lane, widths.small, &positive, &reduced(widths.small, x, shift, carry))
}

/// 1{x̂ >= 0}, from the carry of its bits below the sign.
fn positive(
    lane: &mut Lane,
    Widths { inner, .. }: Widths,
    x: &[u64],
    joining: Joining,
) -> Result<Bits> {
    let mut positive = Bits::from_fn(x.len(), |i| inner.msb(x[i]));
    positive.xor_assign(&joining.all(lane)?);
    if lane.party() == Party::Server {
        positive.not_assign();
    }
    Ok(positive)
}

/// The cost of [`relu_truncate`].
///
/// # Errors
/// As [`relu_truncate`], and for a radix outside 1..=8.
pub fn relu_truncate_cost(
    n: usize,
    ring: Ring,
    shift: u32,
    precision: Precision,
    settings: Settings,
) -> Result<Cost> {
    let rings = checked(ring, shift, precision)?;
    let Some(widths) = Widths::of(rings, shift)? else { return Ok(Cost::ZERO) };
    let cost = |n, leader| match n {
        0 => Ok(Cost::ZERO),
        n => lane_cost(n, widths, shift, settings, leader),
    };
    cost(1, Party::Server)?;
    Ok(widths.plan(n, shift, settings).cost(|n, leader| cost(n, leader).unwrap_or_default()))
}

fn lane_cost(
    n: usize,
    Widths { ring, inner, small }: Widths,
    shift: u32,
    settings: Settings,
    leader: Party,
) -> Result<Cost> {
    let carries = carries_cost(n, inner.bits() - 1, shift, settings, leader)?;
    let truncated = b2a_lane_cost(settings.ot, n, small, leader);
    let chosen = mux_lane_cost(settings.ot, n, small);
    let extended = by_tops_lane_cost(n, (ring, small), 0, settings, leader)?;
    // B2A shares the flights of others.
    Ok(carries + truncated.in_rounds(0) + chosen + extended)
}
