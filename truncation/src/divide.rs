//! floor(x / d) for any public d, over Z_2^l or Z_n with n > 6d (CrypTFlow2 section 4, Theorem 1).
//!
//! Write n = n_1 d + n_0, m(a) = 1{a is negative}, a = a_0 + a_1 mod n with representatives a_j. Then
//!
//! ```text
//! corr = -1 if m(a) and neither m(a_0) nor m(a_1);  +1 if both m(a_0), m(a_1) and not m(a);  else 0
//! A    = (a_0 mod d) + (a_1 mod d) - (m(a_0) + m(a_1) - corr) n_0          (an integer, |A| + d < 3d)
//! C    = 1{A < d} + 1{A < 0} + 1{A < -d}
//! floor(a / d) = q_0 + q_1 + (corr - m(a_0) - m(a_1)) n_1 + 1 - C          (mod n; a signed)
//! ```
//!
//! with q_j = floor(a_j / d) of the representatives. (The theorem is printed with signed quotients of the
//! shares and a local correction B; both are functions of q_j, m(a_j) n_1 that cancel to this.)
//!
//! **Protocol.** The sign of a by DReLU (skipped if known); corr by one 1-of-4 OT (1-of-2 if the sign is known)
//! whose messages carry shares mod n and mod 2^delta, delta = ceil(log2 6d); C by up to three sign
//! bits over Z_2^delta in one batch and B2A. 1{A < -d} is identically zero and dropped when 2 n_0 < d.
//!
//! **Cost** with IKNP, m = 8, l = 32, d = 49: 5570 bits, 10 rounds.

use crate::Sign;
use millionaires::{Precision, SignDomain};
use sci_core::{Bits, Cost, Domain, Error, Party, Result, Ring, Shares};
use sci_ot::chosen::{Choices, Group};
use sci_ot::cot::Elements;
use sci_ot::one_of_n::{First, Messages};
use sci_ot::peer::Settings;
use sci_ot::plan::{Load, Plan};
use sci_ot::select::{b2a_lane, b2a_lane_cost};
use sci_ot::{Lane, Peer, Role};
use zeroize::Zeroizing;

/// Quotient and remainder by a public d >= 2, without a division instruction: those take time that
/// depends on the (secret) dividend.
#[derive(Clone, Copy, Debug)]
struct Reciprocal {
    d: u64,
    /// floor(2^64 / d).
    inverse: u64,
}

impl Reciprocal {
    fn new(d: u64) -> Self {
        Self { d, inverse: ((1u128 << 64) / u128::from(d)) as u64 }
    }

    fn div_rem(self, a: u64) -> (u64, u64) {
        // The estimate is short by at most one: a (2^64/d - inverse) < 2^64.
        let estimate = ((u128::from(a) * u128::from(self.inverse)) >> 64) as u64;
        let rest = a - estimate * self.d;
        let short = u64::from(rest >= self.d);
        (estimate + short, rest - (self.d & short.wrapping_neg()))
    }
}

/// The public constants of one division.
#[derive(Clone, Copy, Debug)]
struct Divisor<D> {
    domain: D,
    d: u64,
    by: Reciprocal,
    /// n mod d.
    n0: u64,
    /// floor(n / d), in the domain.
    n1: u64,
    /// Z_2^delta, where A lives.
    small: Ring,
    sign: Sign,
}

impl<D: SignDomain> Divisor<D> {
    fn new(domain: D, d: u64, sign: Sign) -> Result<Self> {
        let n = domain.modulus();
        if d < 2 || n <= 6 * u128::from(d) {
            let most = (n - 1) / 6;
            return Err(Error::invalid("divisor", format_args!("2..={most} over Z_{domain}"), d));
        }
        let delta = 128 - (6 * u128::from(d) - 1).leading_zeros();
        Ok(Self {
            domain,
            d,
            by: Reciprocal::new(d),
            n0: (n % u128::from(d)) as u64,
            n1: domain.reduce_wide(n / u128::from(d)),
            small: Ring::new(delta)?,
            sign,
        })
    }

    /// How many of the three comparisons of C are not constant.
    fn comparisons(&self) -> usize {
        if 2 * u128::from(self.n0) < u128::from(self.d) { 2 } else { 3 }
    }

    /// The sign is either read (1-of-4) or known (1-of-2).
    fn log_cases(&self) -> u32 {
        if self.sign == Sign::Unknown { 2 } else { 1 }
    }

    /// The OT that gives shares of corr over both domains.
    fn messages(&self, count: usize) -> Messages {
        let bits = self.domain.bits() + self.small.bits();
        Messages { group: 0, count, log_n: self.log_cases(), bits, first: First::Sent }
    }

    fn load(&self, settings: Settings, precision: Precision) -> Load {
        let small = self.small.msb_load(settings, Precision::Full);
        let sign = match self.sign {
            Sign::Unknown => self.domain.msb_load(settings, precision),
            _ => Load::held(0),
        };
        sign.or(small.times(self.comparisons())).and(256)
    }

    /// corr in {-1, 0, 1} from the three signs.
    fn correction(negative: bool, m0: bool, m1: bool) -> i64 {
        i64::from(!negative & m0 & m1) - i64::from(negative & !m0 & !m1)
    }
}

/// Shares of floor(x / d) by the signed view.
///
/// # Errors
/// [`Error::InvalidInput`] unless 2 <= d and 6d < n; otherwise as the link and the peer behave.
pub fn divide<D: SignDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    d: u64,
    sign: Sign,
    precision: Precision,
) -> Result<Shares<D>> {
    let domain = x.domain();
    let divisor = Divisor::new(domain, d, sign)?;
    let plan = Plan::new(x.len(), divisor.load(peer.settings(), precision));
    peer.map_shares(&plan, domain, |lane, range| {
        divide_on(lane, &divisor, &x.values()[range], precision)
    })
}

/// [`divide`] on one lane.
///
/// # Errors
/// As [`divide`].
pub fn divide_lane<D: SignDomain>(
    lane: &mut Lane,
    domain: D,
    x: &[u64],
    d: u64,
    sign: Sign,
    precision: Precision,
) -> Result<Elements> {
    divide_on(lane, &Divisor::new(domain, d, sign)?, x, precision)
}

fn divide_on<D: SignDomain>(
    lane: &mut Lane,
    by: &Divisor<D>,
    x: &[u64],
    precision: Precision,
) -> Result<Elements> {
    let (domain, small) = (by.domain, by.small);
    let server = lane.party() == Party::Server;
    let tops = Bits::from_fn(x.len(), |i| u64::from(domain.to_signed(x[i]) < 0));
    let msb = match by.sign {
        Sign::Unknown => domain.msb_lane(lane, x, precision)?,
        Sign::NonNegative => Bits::zeros(x.len()),
        // Known signs are shared as (sign, 0): the leader holds the constant.
        Sign::Negative => Bits::from_fn(x.len(), |_| u64::from(lane.role() == Role::Sender)),
    };
    let (corr, small_corr) = correction_lane(lane, by, &msb, &tops)?;

    // A_j over Z_2^delta, then A - d, A, A + d, whose sign bits are the terms of C.
    let n = x.len();
    let parts = Zeroizing::new(x.iter().map(|&x| by.by.div_rem(x)).collect::<Vec<_>>());
    let mut shifted: Elements = Zeroizing::new(Vec::with_capacity(by.comparisons() * n));
    let d = small.reduce(by.d);
    for offset in [small.neg(d), 0, d].iter().take(by.comparisons()) {
        let offset = offset & u64::from(server).wrapping_neg();
        let wraps = tops.iter().zip(small_corr.iter());
        shifted.extend(parts.iter().zip(wraps).map(|((_, rest), (m, corr))| {
            let wraps = small.mul(small.sub(small.reduce(m), *corr), small.reduce(by.n0));
            small.add(small.sub(small.reduce(*rest), wraps), offset)
        }));
    }
    let signs = small.msb_lane(lane, &shifted, Precision::Full)?;
    let terms = b2a_lane(lane, domain, &signs)?;

    let one = domain.reduce(u64::from(server));
    let wraps = tops.iter().zip(corr.iter());
    let out = parts.iter().zip(wraps).enumerate().map(|(i, ((quotient, _), (m, corr)))| {
        let c = terms.iter().skip(i).step_by(n).fold(0, |sum, t| domain.add(sum, *t));
        let wraps = domain.mul(by.n1, domain.sub(*corr, domain.reduce(m)));
        let whole = domain.add(domain.reduce(*quotient), wraps);
        domain.add(whole, domain.sub(one, c))
    });
    Ok(Zeroizing::new(out.collect()))
}

/// Shares of corr over the domain and over Z_2^delta, by one OT with a message per case of the
/// receiver's (sign share, top bit).
fn correction_lane<D: SignDomain>(
    lane: &mut Lane,
    by: &Divisor<D>,
    msb: &Bits,
    tops: &Bits,
) -> Result<(Elements, Elements)> {
    let (n, log_n) = (tops.len(), by.log_cases());
    let messages = by.messages(n);
    let (domain, small) = (by.domain, by.small);
    match lane.role() {
        Role::Sender => {
            lane.send.extend_one_of_n(&mut lane.stream, &[Group { log_n, count: n }])?;
            let mut large = Zeroizing::new(vec![0; n]);
            let mut little = Zeroizing::new(vec![0; n]);
            domain.sample_into(&mut lane.prg, &mut large);
            small.sample_into(&mut lane.prg, &mut little);
            let message = |i: usize, k: usize| {
                let sign = msb.get(i) ^ (k & 2 != 0);
                let corr = Divisor::<D>::correction(sign, tops.get(i), k & 1 != 0);
                let first = domain.sub(domain.from_signed(corr), large[i]);
                let second = small.sub(small.from_signed(corr), little[i]);
                u128::from(first) | u128::from(second) << domain.bits()
            };
            let ot = &*lane.send;
            lane.stream
                .send_with(messages.wire_len(), |out| messages.write_long(ot, message, out))?;
            Ok((large, little))
        }
        Role::Receiver => {
            let mut planes = vec![tops.clone()];
            if log_n == 2 {
                planes.push(msb.clone());
            }
            lane.recv.extend_one_of_n(&mut lane.stream, &[Choices { planes }])?;
            let bytes = lane.stream.recv("corrections of a division", messages.wire_len())?;
            let high = u64::from(log_n == 2);
            let choice = |i: usize| u64::from(tops.get(i)) | (u64::from(msb.get(i)) & high) << 1;
            let messages = Zeroizing::new(messages.read_long(&*lane.recv, choice, &bytes)?);
            let mut large = Zeroizing::new(Vec::with_capacity(n));
            let mut little = Zeroizing::new(Vec::with_capacity(n));
            for message in messages.iter() {
                let first = (message & ((1 << domain.bits()) - 1)) as u64;
                if !domain.is_canonical(first) {
                    return Err(Error::misbehaved(
                        "correction of a division",
                        format_args!("an element of Z_{domain}"),
                        "a larger one",
                    ));
                }
                large.push(first);
                little.push(small.reduce((message >> domain.bits()) as u64));
            }
            Ok((large, little))
        }
    }
}

/// The cost of [`divide_lane`].
///
/// # Errors
/// As [`divide`], and for a radix outside 1..=8.
pub fn divide_lane_cost<D: SignDomain>(
    n: usize,
    domain: D,
    d: u64,
    sign: Sign,
    precision: Precision,
    settings: Settings,
    leader: Party,
) -> Result<Cost> {
    let by = Divisor::new(domain, d, sign)?;
    if n == 0 {
        return Ok(Cost::ZERO);
    }
    let msb = match sign {
        Sign::Unknown => domain.msb_cost(n, settings, precision, leader)?,
        _ => Cost::ZERO,
    };
    let group = Group { log_n: by.log_cases(), count: n };
    let corr = settings.ot.groups_cost(&[group], leader.peer())
        + Cost::message(leader, 8 * by.messages(n).wire_len() as u64);
    let terms = by.comparisons() * n;
    Ok(msb
        + corr.in_rounds(2)
        + by.small.msb_cost(terms, settings, Precision::Full, leader)?
        + b2a_lane_cost(settings.ot, terms, domain, leader))
}

/// The cost of [`divide`].
///
/// # Errors
/// As [`divide_lane_cost`].
pub fn divide_cost<D: SignDomain>(
    n: usize,
    domain: D,
    d: u64,
    sign: Sign,
    precision: Precision,
    settings: Settings,
) -> Result<Cost> {
    divide_lane_cost(1, domain, d, sign, precision, settings, Party::Server)?;
    let by = Divisor::new(domain, d, sign)?;
    let plan = Plan::new(n, by.load(settings, precision));
    Ok(plan.cost(|n, leader| {
        divide_lane_cost(n, domain, d, sign, precision, settings, leader).unwrap_or_default()
    }))
}
