//! Arithmetic shift right by s over Z_2^l: floor(x / 2^s), exactly (CrypTFlow2 section 4.2 and Appendix D;
//! SIRNN for the unknown sign).
//!
//! With c = 1{(x_0 mod 2^s) + (x_1 mod 2^s) >= 2^s} and w = 1{x_0 + x_1 >= 2^l},
//! (x >> s) = (x_0 >> s) + (x_1 >> s) + c - w 2^(l-s) for the logical shift. c is one comparison of s bits
//! and B2A to l bits. As w is multiplied by 2^(l-s), s bits of it suffice.
//!
//! * **Sign unknown**: 2^(l-1) is added first, so that the logical shift is the arithmetic one up to the
//!   constant 2^(l-s-1). The comparison of the upper l - s bits, with equality, joins that of the lower:
//!   w = gt_upper xor (eq_upper AND c); B2A of w to s bits. At l = 32, s = 12, m = 7: 3264 bits.
//! * **Sign known**: w = m_0 OR m_1 for x >= 0 and m_0 AND m_1 for x < 0, where m_j is the top bit of
//!   x_j: one COT of s bits beside the B2A; for x < 0 the sign is filled in by subtracting 2^(l-s).
//! * **Fewer bits**: with k significant bits, x mod 2^k is what is shifted, sign and all, and the result is
//!   over Z_2^l all the same: the comparison of the upper bits covers k - s of them, and w, now multiplied
//!   by 2^(k-s), travels in l - k + s bits.
//! * **Truncate and reduce** to Z_2^(l-s): c alone, B2A to l - s bits.
//!
//! [`truncate_with`] also offers what other systems have, the same without c ([`Exactness::OneBitError`]).

use crate::carries::{Carries, carries_cost, carries_lane, carries_load, carry_job, carry_lane};
use crate::one_bit::{self, one_bit_lane, one_bit_lane_cost};
use crate::products::products_lane;
use crate::{Exactness, Sign};
use millionaires::Precision;
use millionaires::compare::{compare_cost, load};
use sci_core::{Bits, Cost, Domain, Error, Party, Result, Ring, Shares};
use sci_ot::cot::{self, Elements};
use sci_ot::pair::{Pair, pair_cost};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::select::{b2a_correlations, b2a_lane, b2a_lane_cost};
use sci_ot::{Lane, Peer, Role};
use zeroize::Zeroizing;

/// Shares of floor(x / 2^shift) by the signed view.
///
/// # Errors
/// [`Error::InvalidInput`] unless shift < l; otherwise as the link and the peer behave.
pub fn truncate(peer: &mut Peer, x: &Shares<Ring>, shift: u32, sign: Sign) -> Result<Shares<Ring>> {
    truncate_with(peer, x, shift, sign, Exactness::Faithful)
}

/// [`truncate`], or with [`Exactness::OneBitError`] shares of the same or one less.
///
/// # Errors
/// As [`truncate`].
pub fn truncate_with(
    peer: &mut Peer,
    x: &Shares<Ring>,
    shift: u32,
    sign: Sign,
    exactness: Exactness,
) -> Result<Shares<Ring>> {
    let ring = x.domain();
    check(ring, shift)?;
    if shift == 0 {
        return Ok(x.clone());
    }
    let plan = plan(x.len(), ring, shift, sign, exactness, peer.settings());
    peer.map_shares(&plan, ring, |lane, range| {
        truncate_lane(lane, ring, &x.values()[range], shift, sign, exactness)
    })
}

/// Shares of floor(x / 2^shift), x read as the signed view of its low bits. `sign` is that of this view.
///
/// # Errors
/// [`Error::InvalidInput`] unless shift is below the significant bits, and at least 1 if those are not all,
/// [`Error::Misuse`] if the ring has fewer; otherwise as the link and the peer behave.
pub fn truncate_narrow(
    peer: &mut Peer,
    x: &Shares<Ring>,
    shift: u32,
    sign: Sign,
    precision: Precision,
) -> Result<Shares<Ring>> {
    let rings = narrowed(x.domain(), shift, precision)?;
    if rings.0 == rings.1 {
        return truncate(peer, x, shift, sign);
    }
    let plan = plan(x.len(), rings.1, shift, sign, Exactness::Faithful, peer.settings());
    peer.map_shares(&plan, rings.0, |lane, range| {
        let x = x.values()[range].iter().map(|&x| rings.1.reduce(x));
        let x: Elements = Zeroizing::new(x.collect());
        faithful_lane(lane, rings, &x, shift, sign)
    })
}

/// The ring of the result and the one that holds the significant bits.
pub(crate) fn narrowed(ring: Ring, shift: u32, precision: Precision) -> Result<Rings> {
    let inner = match precision {
        Precision::Full => ring,
        Precision::Bits(k) if k <= ring.bits() => Ring::new(k)?,
        Precision::Bits(k) => {
            return Err(Error::misuse(format!("{k} significant bits of Z_{ring}")));
        }
    };
    check(inner, shift)?;
    match shift {
        0 if inner != ring => Err(Error::invalid("shift", "at least 1 for fewer bits", shift)),
        _ => Ok((ring, inner)),
    }
}

fn check(ring: Ring, shift: u32) -> Result<()> {
    let bits = ring.bitwidth().get();
    if shift < bits {
        Ok(())
    } else {
        Err(Error::invalid("shift", format_args!("below the bitwidth {bits}"), shift))
    }
}

fn plan(
    n: usize,
    ring: Ring,
    shift: u32,
    sign: Sign,
    exactness: Exactness,
    settings: Settings,
) -> Plan {
    match exactness {
        Exactness::Faithful => {
            let compared = match sign {
                Sign::Unknown => carries_load(ring.bits(), shift, settings),
                Sign::NonNegative | Sign::Negative => load(&carry_job(shift), settings),
            };
            Plan::new(n, compared.and(64))
        }
        Exactness::OneBitError => one_bit::plan(n, ring, sign, settings),
    }
}

/// [`truncate_with`] on one lane, for 0 < shift < l.
///
/// # Errors
/// As [`truncate`].
pub fn truncate_lane(
    lane: &mut Lane,
    ring: Ring,
    x: &[u64],
    shift: u32,
    sign: Sign,
    exactness: Exactness,
) -> Result<Elements> {
    match (exactness, sign) {
        (Exactness::OneBitError, _) => one_bit_lane(lane, ring, x, shift, sign),
        (Exactness::Faithful, _) => faithful_lane(lane, (ring, ring), x, shift, sign),
    }
}

/// The ring of a result, and the one that holds what is truncated.
pub(crate) type Rings = (Ring, Ring);

fn faithful_lane(
    lane: &mut Lane,
    rings: Rings,
    x: &[u64],
    shift: u32,
    sign: Sign,
) -> Result<Elements> {
    match sign {
        Sign::Unknown => unknown_sign(lane, rings, x, shift),
        _ => known_sign(lane, rings, x, shift, sign),
    }
}

/// The ring of w, which is multiplied by 2^(k-s): as many bits as that leaves of the result.
pub(crate) fn wrap_ring((ring, inner): Rings, shift: u32) -> Result<Ring> {
    Ring::new(ring.bits() - inner.bits() + shift)
}

/// (x_j >> s) - 2^(k-s) w_j - constant: what lacks only c.
pub(crate) fn shifted(
    (ring, inner): Rings,
    shift: u32,
    x: &[u64],
    w: &[u64],
    constant: u64,
) -> Elements {
    let (upper, constant) = (inner.bits() - shift, ring.reduce(constant));
    let whole = |(x, w): (&u64, &u64)| ring.sub(x >> shift, ring.reduce(w << upper));
    Zeroizing::new(x.iter().zip(w).map(|pair| ring.sub(whole(pair), constant)).collect())
}

/// (x_j >> s) - 2^(k-s) w_j, w from the top bits for a known sign: the truncation but for its carry, and with no shift
/// the extension of k bits to l. One COT of l - k + s bits.
pub(crate) fn by_tops_lane(
    lane: &mut Lane,
    rings: Rings,
    x: &[u64],
    shift: u32,
    sign: Sign,
) -> Result<Elements> {
    let (low_ring, inner) = (wrap_ring(rings, shift)?, rings.1);
    let tops = Bits::from_fn(x.len(), |i| inner.msb(x[i]));
    let mut w = match lane.role() {
        Role::Sender => {
            let factor = wrap_factor(sign, &tops);
            let mut w = cot::send_correlated(&mut lane.stream, &mut *lane.send, low_ring, &factor)?;
            w.iter_mut().for_each(|w| *w = low_ring.neg(*w));
            w
        }
        Role::Receiver => cot::recv_correlated(&mut lane.stream, &mut *lane.recv, low_ring, &tops)?,
    };
    let fill = wrap_known(lane, rings, shift, sign, &tops, &mut w);
    Ok(shifted(rings, shift, x, &w, fill))
}

/// The cost of [`by_tops_lane`]. (A COT with a correlation of its own costs what that of B2A does.)
pub(crate) fn by_tops_lane_cost(
    n: usize,
    rings: Rings,
    shift: u32,
    settings: Settings,
    leader: Party,
) -> Result<Cost> {
    Ok(b2a_lane_cost(settings.ot, n, wrap_ring(rings, shift)?, leader))
}

/// The leader's factor of w for a known sign, the other being the follower's top bit. With tops m_s
/// (leader) and m_r: m_s OR m_r = m_s + (1 - m_s) m_r, m_s AND m_r = m_s m_r.
pub(crate) fn wrap_factor(sign: Sign, tops: &Bits) -> Elements {
    let negative = sign == Sign::Negative;
    Zeroizing::new(tops.iter().map(|m| if negative { m } else { 1 - m }).collect())
}

/// Completes shares of the product of [`wrap_factor`] to those of w; returns what this party then
/// subtracts to fill in the sign.
fn wrap_known(
    lane: &Lane,
    (ring, inner): Rings,
    shift: u32,
    sign: Sign,
    tops: &Bits,
    product: &mut [u64],
) -> u64 {
    let negative = sign == Sign::Negative;
    if lane.role() == Role::Sender && !negative {
        let low = u64::MAX >> (64 - (ring.bits() - inner.bits() + shift));
        product.iter_mut().zip(tops.iter()).for_each(|(w, m)| *w = w.wrapping_add(m) & low);
    }
    u64::from(negative && lane.party() == Party::Server) << (inner.bits() - shift)
}

fn unknown_sign(lane: &mut Lane, rings: Rings, x: &[u64], shift: u32) -> Result<Elements> {
    let (ring, inner) = rings;
    let bits = inner.bits();
    let server = u64::from(lane.party() == Party::Server);
    let offset = server << (bits - 1);
    let x: Elements = Zeroizing::new(x.iter().map(|&x| inner.add(x, offset)).collect());
    let Carries { low, all: wrap } = carries_lane(lane, &x, bits, shift)?;

    let low_ring = wrap_ring(rings, shift)?;
    let (of_low, of_wrap) = (b2a_correlations(ring, &low), b2a_correlations(low_ring, &wrap));
    let correlations = Pair { first: (ring, &of_low[..]), second: (low_ring, &of_wrap[..]) };
    let choices = Pair { first: (ring, &low), second: (low_ring, &wrap) };
    let (mut c, mut w) = products_lane(lane, &correlations, &choices)?;
    for ((c, w), (cb, wb)) in c.iter_mut().zip(&mut *w).zip(low.iter().zip(wrap.iter())) {
        *c = ring.add(*c, ring.reduce(cb));
        *w = low_ring.add(*w, low_ring.reduce(wb));
    }
    let mut out = shifted(rings, shift, &x, &w, server << (bits - shift - 1));
    ring.add_assign(&mut out, &c);
    Ok(out)
}

fn known_sign(
    lane: &mut Lane,
    rings: Rings,
    x: &[u64],
    shift: u32,
    sign: Sign,
) -> Result<Elements> {
    let (ring, inner) = rings;
    let wraps = wrap_ring(rings, shift)?;
    let carry = carry_lane(lane, x, shift)?;
    let tops = Bits::from_fn(x.len(), |i| inner.msb(x[i]));
    let (of_carry, of_tops) = (b2a_correlations(ring, &carry), wrap_factor(sign, &tops));
    let correlations = Pair { first: (ring, &of_carry[..]), second: (wraps, &of_tops[..]) };
    let choices = Pair { first: (ring, &carry), second: (wraps, &tops) };
    let products = products_lane(lane, &correlations, &choices)?;
    Ok(of_known_sign(lane, rings, x, shift, sign, [&carry, &tops], products))
}

/// The truncation for a known sign, from bits (the carry, the tops) and the products of [`known_sign`].
pub(crate) fn of_known_sign(
    lane: &Lane,
    rings: Rings,
    x: &[u64],
    shift: u32,
    sign: Sign,
    [carry, tops]: [&Bits; 2],
    (mut c, mut w): (Elements, Elements),
) -> Elements {
    let ring = rings.0;
    for (c, b) in c.iter_mut().zip(carry.iter()) {
        *c = ring.add(*c, ring.reduce(b));
    }
    let fill = wrap_known(lane, rings, shift, sign, tops, &mut w);
    let mut out = shifted(rings, shift, x, &w, fill);
    ring.add_assign(&mut out, &c);
    out
}

/// The cost of [`truncate_lane`].
///
/// # Errors
/// As [`truncate`], and for a radix outside 1..=8.
pub fn truncate_lane_cost(
    n: usize,
    ring: Ring,
    shift: u32,
    sign: Sign,
    exactness: Exactness,
    settings: Settings,
    leader: Party,
) -> Result<Cost> {
    check(ring, shift)?;
    if n == 0 || shift == 0 {
        return Ok(Cost::ZERO);
    }
    match exactness {
        Exactness::OneBitError => one_bit_lane_cost(n, ring, shift, sign, settings, leader),
        Exactness::Faithful => faithful_lane_cost(n, (ring, ring), shift, sign, settings, leader),
    }
}

fn faithful_lane_cost(
    n: usize,
    rings: Rings,
    shift: u32,
    sign: Sign,
    settings: Settings,
    leader: Party,
) -> Result<Cost> {
    let (ring, inner) = rings;
    let wraps = wrap_ring(rings, shift)?;
    let compare = match sign {
        Sign::Unknown => carries_cost(n, inner.bits(), shift, settings, leader)?,
        Sign::NonNegative | Sign::Negative => {
            compare_cost(n, &carry_job(shift), settings, 0, leader)?
        }
    };
    Ok(compare + pair_cost(settings.ot, n, ring, wraps, leader))
}

/// The cost of [`truncate`].
///
/// # Errors
/// As [`truncate_lane_cost`].
pub fn truncate_cost(
    n: usize,
    ring: Ring,
    shift: u32,
    sign: Sign,
    settings: Settings,
) -> Result<Cost> {
    truncate_with_cost(n, ring, shift, sign, Exactness::Faithful, settings)
}

/// The cost of [`truncate_with`].
///
/// # Errors
/// As [`truncate_lane_cost`].
pub fn truncate_with_cost(
    n: usize,
    ring: Ring,
    shift: u32,
    sign: Sign,
    exactness: Exactness,
    settings: Settings,
) -> Result<Cost> {
    truncate_lane_cost(1, ring, shift, sign, exactness, settings, Party::Server)?;
    Ok(plan(n, ring, shift, sign, exactness, settings).cost(|n, leader| {
        truncate_lane_cost(n, ring, shift, sign, exactness, settings, leader).unwrap_or_default()
    }))
}

/// The cost of [`truncate_narrow`].
///
/// # Errors
/// As [`truncate_narrow`], and for a radix outside 1..=8.
pub fn truncate_narrow_cost(
    n: usize,
    ring: Ring,
    shift: u32,
    sign: Sign,
    precision: Precision,
    settings: Settings,
) -> Result<Cost> {
    let rings = narrowed(ring, shift, precision)?;
    if rings.0 == rings.1 {
        return truncate_cost(n, ring, shift, sign, settings);
    }
    let cost = |n, leader| match n {
        0 => Ok(Cost::ZERO),
        n => faithful_lane_cost(n, rings, shift, sign, settings, leader),
    };
    cost(1, Party::Server)?;
    Ok(plan(n, rings.1, shift, sign, Exactness::Faithful, settings)
        .cost(|n, leader| cost(n, leader).unwrap_or_default()))
}

/// Shares over Z_2^(l-shift) of floor(x / 2^shift) mod 2^(l-shift): the carry alone.
///
/// # Errors
/// [`Error::InvalidInput`] unless shift < l; otherwise as the link and the peer behave.
pub fn truncate_reduce(peer: &mut Peer, x: &Shares<Ring>, shift: u32) -> Result<Shares<Ring>> {
    let ring = x.domain();
    check(ring, shift)?;
    if shift == 0 {
        return Ok(x.clone());
    }
    let target = Ring::new(ring.bitwidth().get() - shift)?;
    let plan = plan(x.len(), ring, shift, Sign::NonNegative, Exactness::Faithful, peer.settings());
    peer.map_shares(&plan, target, |lane, range| {
        let x = &x.values()[range];
        let carry = carry_lane(lane, x, shift)?;
        let carry = b2a_lane(lane, target, &carry)?;
        Ok(reduced(target, x, shift, carry))
    })
}

/// (x_j >> s) + c over Z_2^(l-s), with additive shares of the carry c.
pub(crate) fn reduced(target: Ring, x: &[u64], shift: u32, carry: Elements) -> Elements {
    let mut out = carry;
    for (y, x) in out.iter_mut().zip(x) {
        *y = target.add(*y, target.reduce(x >> shift));
    }
    out
}

/// The cost of [`truncate_reduce`].
///
/// # Errors
/// As [`truncate_reduce`], and for a radix outside 1..=8.
pub fn truncate_reduce_cost(n: usize, ring: Ring, shift: u32, settings: Settings) -> Result<Cost> {
    check(ring, shift)?;
    if shift == 0 {
        return Ok(Cost::ZERO);
    }
    let target = Ring::new(ring.bitwidth().get() - shift)?;
    let jobs = carry_job(shift);
    compare_cost(1, &jobs, settings, 0, Party::Server)?;
    Ok(plan(n, ring, shift, Sign::NonNegative, Exactness::Faithful, settings).cost(|n, leader| {
        compare_cost(n, &jobs, settings, 0, leader).unwrap_or_default()
            + b2a_lane_cost(settings.ot, n, target, leader)
    }))
}
