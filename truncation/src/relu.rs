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
//! The extension may come first, beside the B2A: where d is 1 the shares of x wrap where either of
//! *their* top bits is 1, and where it is 0 nothing of u is left. That saves the flight of step 3, but B2A and MUX then are
//! over Z_2^l, 3 (l - k + s) bits more. The cheaper one is taken, a flight counted as [`Settings::flight`] bytes.
//!
//! CrypTFlow2 computes the two apart (sections 3.2 and 4.2); so do its successors, which save the truncation's
//! comparison by leaving out the carry. Here it is part of what ReLU compares anyway, and MUX works on s bits less.
//!
//! **Cost** in bits with IKNP: both carries, which is F_MILL on k - 1 bits but for a few triples that are pairs, and
//! 4 lambda + 2 (k - s) + l, or with the extension first 4 lambda + 4 l - k + s: at l = 37, s = 12 and m = 7 3969,
//! 4727 for ReLU and truncation apart. With silent OT each lambda here is 1: 424 bits at m = 4, 553 apart, and 326 at
//! m = 2, 429 apart; 36 more with the extension first. Rounds, q being the digits of the longer piece: 5 + ceil(log2 q)
//! with silent OT, B2A being beside the last of the comparison; 7 + ceil(log2 q) with IKNP, B2A being beside that
//! and the first of MUX; one or two less with the extension first.

use crate::Sign;
use crate::carries::{Joining, Pieces, carries_cost, carries_load};
use crate::products::products_answer;
use crate::truncate::{Rings, by_tops_lane, by_tops_lane_cost, narrowed, reduced};
use crate::truncate::{of_known_sign, wrap_factor, wrap_ring};
use millionaires::Precision;
use sci_core::{Bits, Cost, Domain, Party, Result, Ring, Shares};
use sci_ot::cot::{self, Elements};
use sci_ot::pair::{AskedPair, Pair, ask_pair, pair_cost};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::select::{
    b2a_answer, b2a_ask, b2a_correlations, b2a_lane_cost, b2a_read, mux_choose, mux_chosen,
    mux_lane_cost,
};
use sci_ot::{Lane, Peer, Role};
use zeroize::Zeroizing;

/// When the shares are extended to the ring of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// Those of x, beside the B2A: a flight less.
    First,
    /// Those of y: fewer bits.
    Last,
}

/// A case: the three rings, and when the shares are extended.
#[derive(Clone, Copy)]
struct Widths {
    /// Of the result.
    ring: Ring,
    /// Of the significant bits.
    inner: Ring,
    /// Of what is left of those.
    small: Ring,
    shift: u32,
    extension: Extension,
}

impl Widths {
    /// `None` if nothing but zeros is left: the shift takes all bits below the sign.
    fn of(n: usize, (ring, inner): Rings, shift: u32, settings: Settings) -> Result<Option<Self>> {
        if shift + 1 >= inner.bits() {
            return Ok(None);
        }
        let small = Ring::new(inner.bits() - shift)?;
        let case = |extension| Self { ring, inner, small, shift, extension };
        let (first, last) = (case(Extension::First), case(Extension::Last));
        let weight = |case: Self| match n {
            0 => Ok(0),
            n => case.cost(n, settings, Party::Server).map(|cost| cost.weighed(settings.flight)),
        };
        Ok(Some(if weight(first)? < weight(last)? { first } else { last }))
    }

    fn plan(self, n: usize, settings: Settings) -> Plan {
        Plan::new(n, carries_load(self.inner.bits() - 1, self.shift, settings).and(96))
    }

    fn rings(self) -> Rings {
        (self.ring, self.inner)
    }

    /// COTs that the sender of B2A sends before those of MUX, for each element.
    fn sends(self) -> usize {
        match self.extension {
            Extension::First => 2,
            Extension::Last => 1,
        }
    }

    /// The ring that MUX works over.
    fn chosen(self) -> Ring {
        match self.extension {
            Extension::First => self.ring,
            Extension::Last => self.small,
        }
    }

    /// The cost on one lane for n > 0 elements.
    fn cost(self, n: usize, settings: Settings, leader: Party) -> Result<Cost> {
        let Self { inner, small, shift, .. } = self;
        let carries = carries_cost(n, inner.bits() - 1, shift, settings, leader)?;
        let chosen = mux_lane_cost(settings.ot, n, self.chosen());
        // B2A shares the flights of others.
        Ok(match self.extension {
            Extension::First => {
                let wraps = wrap_ring(self.rings(), shift)?;
                let products = pair_cost(settings.ot, n, self.ring, wraps, leader);
                carries + products.in_rounds(0) + chosen
            }
            Extension::Last => {
                let extended = by_tops_lane_cost(n, (self.ring, small), 0, settings, leader)?;
                let carry = b2a_lane_cost(settings.ot, n, small, leader);
                carries + carry.in_rounds(0) + chosen + extended
            }
        })
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
    let Some(widths) = Widths::of(x.len(), rings, shift, peer.settings())? else {
        return Ok(Shares::zeros(x.domain(), x.len()));
    };
    let plan = widths.plan(x.len(), peer.settings());
    peer.map_shares(&plan, widths.ring, |lane, range| {
        let x = x.values()[range].iter().map(|&x| widths.inner.reduce(x));
        relu_truncate_lane(lane, widths, &Zeroizing::new(x.collect::<Vec<_>>()))
    })
}

/// The rings of the result and of the significant bits.
fn checked(ring: Ring, shift: u32, precision: Precision) -> Result<Rings> {
    match shift {
        0 => Err(sci_core::Error::invalid("shift", "at least 1", shift)),
        _ => narrowed(ring, shift, precision),
    }
}

fn relu_truncate_lane(lane: &mut Lane, widths: Widths, x: &[u64]) -> Result<Elements> {
    let pieces = Pieces::compare(lane, x, widths.inner.bits() - 1, widths.shift)?;
    let y = match lane.role() {
        Role::Sender => lead(lane, widths, x, pieces)?,
        Role::Receiver => follow(lane, widths, x, pieces)?,
    };
    match widths.extension {
        Extension::First => Ok(y),
        Extension::Last => {
            by_tops_lane(lane, (widths.ring, widths.small), &y, 0, Sign::NonNegative)
        }
    }
}

// B2A shares the flight of the AND that ends the comparison; with IKNP, whose leader must wait for the choices, its
// answer travels beside the choices of MUX. Refills come before them all, because the messages of neither are waited
// for in the order in which those of the other direction are sent.

/// MUX of the truncation by DReLU, for the sender of B2A.
fn lead(lane: &mut Lane, widths: Widths, x: &[u64], pieces: Pieces) -> Result<Elements> {
    let n = x.len();
    lane.prepare((1 + widths.sends()) * n, n)?;
    let (low, joining) = pieces.join(lane)?;
    // The openings do not depend on the answer, nor it on them.
    let mut fork = lane.stream.fork();
    let shifted = match widths.extension {
        Extension::First => {
            let tops = tops(widths, x);
            let correlations =
                (b2a_correlations(widths.ring, &low), wrap_factor(Sign::NonNegative, &tops));
            let pair = pair(widths, &correlations.0[..], &correlations.1[..])?;
            let products = products_answer(lane, &pair)?;
            extended(lane, widths, x, [&low, &tops], products)
        }
        Extension::Last => {
            let carry = b2a_answer(lane, widths.small, &low)?;
            reduced(widths.small, x, widths.shift, carry)
        }
    };
    lane.stream.branch(&mut fork);
    let positive = positive(lane, widths, x, joining)?;
    lane.stream.join(fork);
    let chosen = mux_choose(lane, widths.chosen(), &positive)?;
    mux_chosen(lane, widths.chosen(), &positive, chosen, &shifted)
}

/// MUX of the truncation by DReLU, for the receiver of B2A.
fn follow(lane: &mut Lane, widths: Widths, x: &[u64], pieces: Pieces) -> Result<Elements> {
    let n = x.len();
    lane.prepare(n, (1 + widths.sends()) * n)?;
    let tops = tops(widths, x);
    let asked = match widths.extension {
        Extension::First => Asked::First(ask_pair(lane, &pair(widths, pieces.low(), &tops)?)?),
        Extension::Last => Asked::Last(b2a_ask(lane, widths.small, pieces.low())?),
    };
    let (low, joining) = pieces.join(lane)?;
    let positive = positive(lane, widths, x, joining)?;
    // The answer does not depend on the choices, nor they on it.
    let mut fork = lane.stream.fork();
    let chosen = mux_choose(lane, widths.chosen(), &positive)?;
    lane.stream.branch(&mut fork);
    let shifted = match asked {
        Asked::First(asked) => {
            let products = asked.read(lane, &pair(widths, &low, &tops)?)?;
            extended(lane, widths, x, [&low, &tops], products)
        }
        Asked::Last(asked) => {
            let carry = b2a_read(lane, widths.small, &low, asked)?;
            reduced(widths.small, x, widths.shift, carry)
        }
    };
    lane.stream.join(fork);
    mux_chosen(lane, widths.chosen(), &positive, chosen, &shifted)
}

/// What the receiver keeps of B2A.
enum Asked {
    First(AskedPair),
    Last(cot::Asked),
}

/// The top significant bits of this party's shares.
fn tops(widths: Widths, x: &[u64]) -> Bits {
    Bits::from_fn(x.len(), |i| widths.inner.msb(x[i]))
}

/// What is multiplied for the carry, and for the wraps of the whole.
fn pair<'a, T: ?Sized>(widths: Widths, carry: &'a T, wraps: &'a T) -> Result<Pair<'a, Ring, T>> {
    let second = wrap_ring(widths.rings(), widths.shift)?;
    Ok(Pair { first: (widths.ring, carry), second: (second, wraps) })
}

/// Shares of x >> s over the ring of the result where x̂ >= 0, from bits (carry, tops) and their products.
fn extended(
    lane: &Lane,
    widths: Widths,
    x: &[u64],
    bits: [&Bits; 2],
    products: (Elements, Elements),
) -> Elements {
    of_known_sign(lane, widths.rings(), x, widths.shift, Sign::NonNegative, bits, products)
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
    let Some(widths) = Widths::of(n, rings, shift, settings)? else { return Ok(Cost::ZERO) };
    let cost = |n, leader| match n {
        0 => Ok(Cost::ZERO),
        n => widths.cost(n, settings, leader),
    };
    cost(1, Party::Server)?;
    Ok(widths.plan(n, settings).cost(|n, leader| cost(n, leader).unwrap_or_default()))
}
