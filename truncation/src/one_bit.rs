//! Arithmetic shift right by s over Z_2^l with an error of at most one (Cheetah, section 5.2):
//! for comparison with systems that have only that. Chosen by [`crate::Exactness::OneBitError`], never by default.
//!
//! **Functionality.** As [`mod@crate::truncate`] without its low comparison: the carry c of the low parts of the
//! shares is left out, so that the result is floor(x / 2^s) - c, c = 1{(y_0 mod 2^s) + (y_1 mod 2^s) >= 2^s}.
//! Here y_j are the shares of x, of which the server's has 2^(l-1) added where the sign is unknown. So
//! the result is the faithful value or one below it, never above and nothing else. It is a function of the shares,
//! not of x alone: with uniform shares, y mod 2^s = r gives the faithful value with probability
//! (r + 1) / 2^s, and a network that uses it is no longer equal to its cleartext.
//!
//! **Who learns what**: nothing beyond fresh shares of that result. The functionality takes the shares as
//! inputs, because its error depends on them.
//!
//! **Protocol.** w = 1{y_0 + y_1 >= 2^l} is one comparison of l bits and B2A to s bits where the sign is
//! unknown, one COT of s bits where it is known.
//!
//! **Cost** with IKNP in bits: F_MILL on l bits and lambda + s; lambda + s with known sign. With silent OT
//! at l = 32, s = 12, m = 4: 306 and 13. Rounds: 4 + ceil(log2 q), and 2; with silent OT one less of each.

use crate::Sign;
use crate::carries::{carry_job, carry_lane};
use crate::truncate::{by_tops_lane, by_tops_lane_cost, shifted};
use millionaires::compare::{compare_cost, load};
use sci_core::{Cost, Domain, Party, Result, Ring};
use sci_ot::Lane;
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::{Load, Plan};
use sci_ot::select::{b2a_lane, b2a_lane_cost};
use zeroize::Zeroizing;

pub(crate) fn plan(n: usize, ring: Ring, sign: Sign, settings: Settings) -> Plan {
    let compared = match sign {
        Sign::Unknown => load(&carry_job(ring.bits()), settings),
        Sign::NonNegative | Sign::Negative => Load::held(0),
    };
    Plan::new(n, compared.and(32))
}

/// The truncation on one lane, for 0 < shift < l.
///
/// # Errors
/// As [`crate::truncate::truncate`].
pub fn one_bit_lane(
    lane: &mut Lane,
    ring: Ring,
    x: &[u64],
    shift: u32,
    sign: Sign,
) -> Result<Elements> {
    match sign {
        Sign::Unknown => unknown_sign(lane, ring, x, shift),
        Sign::NonNegative | Sign::Negative => by_tops_lane(lane, (ring, ring), x, shift, sign),
    }
}

fn unknown_sign(lane: &mut Lane, ring: Ring, x: &[u64], shift: u32) -> Result<Elements> {
    let bits = ring.bits();
    let server = u64::from(lane.party() == Party::Server);
    let y: Elements =
        Zeroizing::new(x.iter().map(|&x| ring.add(x, server << (bits - 1))).collect());
    let wrap = carry_lane(lane, &y, bits)?;
    let w = b2a_lane(lane, Ring::new(shift)?, &wrap)?;
    Ok(shifted((ring, ring), shift, &y, &w, server << (bits - shift - 1)))
}

/// The cost of [`one_bit_lane`] for n > 0 elements.
///
/// # Errors
/// For a shift of 0 and a radix outside 1..=8.
pub fn one_bit_lane_cost(
    n: usize,
    ring: Ring,
    shift: u32,
    sign: Sign,
    settings: Settings,
    leader: Party,
) -> Result<Cost> {
    match sign {
        Sign::Unknown => {
            let compare = compare_cost(n, &carry_job(ring.bits()), settings, 0, leader)?;
            Ok(compare + b2a_lane_cost(settings.ot, n, Ring::new(shift)?, leader))
        }
        Sign::NonNegative | Sign::Negative => {
            by_tops_lane_cost(n, (ring, ring), shift, settings, leader)
        }
    }
}
