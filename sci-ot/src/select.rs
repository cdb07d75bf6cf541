//! MUX and B2A: what one correlated OT each way buys.
//!
//! **MUX** (CrypTFlow2's F_MUX, in two COTs). Input: XOR shares of a bit b and additive shares of x; output: fresh additive
//! shares of b x. With z = [b_0 x_0 + b_1 (x_0 - 2 b_0 x_0)] + [b_1 x_1 + b_0 (x_1 - 2 b_1 x_1)] each
//! bracket is one COT with correlation x_j (1 - 2 b_j) against the other's bit, both directions
//! in parallel: 2 (lambda + l) bits, 2 rounds. The text of CrypTFlow2 uses two plain OTs, 2 (lambda + 2l)
//! bits; [`mux_plain`] keeps that form for comparison.
//!
//! **B2A**. Input: XOR shares of b; output: additive shares of b = b_0 + b_1 - 2 b_0 b_1. One COT with
//! correlation -2 b_0: lambda + l bits, 2 rounds.
//!
//! With silent OT each lambda here is one bit, and both take **one round** ([`crate::cot`]).

use crate::cot::{self, Asked, Elements};
use crate::kind::OtKind;
use crate::pair::{Pair, ask_pair, pair_cost, send_pair};
use crate::peer::{Lane, Peer, Role};
use crate::plan::{Load, Plan};
use sci_core::{BitShares, Bits, Block, Cost, Domain, Error, Party, Result, Ring, Shares, pack};
use zeroize::Zeroizing;

/// OT rows that one element of a MUX occupies, for chunking.
const MUX_ROW_BYTES: usize = 32;

/// Shares of b x for a batch. 2 (lambda + l) bits an element, in [`OtKind::cot_rounds`] rounds.
///
/// # Errors
/// [`Error::Misuse`] if the batches differ in length; otherwise as the link and the peer behave.
pub fn mux<D: Domain>(peer: &mut Peer, bits: &BitShares, x: &Shares<D>) -> Result<Shares<D>> {
    same_len(bits, x)?;
    let plan = mux_plan(x.len());
    let domain = x.domain();
    peer.map_shares(&plan, domain, |lane, range| {
        mux_lane(lane, domain, &bits.slice(range.clone()), &x.values()[range])
    })
}

fn same_len<D: Domain>(bits: &Bits, x: &Shares<D>) -> Result<()> {
    if bits.len() == x.len() {
        Ok(())
    } else {
        Err(Error::misuse(format!("MUX of {} bits and {} values", bits.len(), x.len())))
    }
}

fn mux_plan(n: usize) -> Plan {
    Plan::new(n, Load::held(MUX_ROW_BYTES))
}

/// The cost of [`mux`].
pub fn mux_cost<D: Domain>(ot: OtKind, n: usize, domain: D) -> Cost {
    mux_plan(n).cost(|n, _| mux_lane_cost(ot, n, domain))
}

/// The cost of [`mux_lane`].
pub fn mux_lane_cost<D: Domain>(ot: OtKind, n: usize, domain: D) -> Cost {
    if n == 0 {
        return Cost::ZERO;
    }
    let corrections = 8 * pack::packed_len(n, domain.bits()) as u64;
    let one_way = |from| ot.cot_cost(n, from) + Cost::message(from, corrections);
    (one_way(Party::Server) + one_way(Party::Client)).in_rounds(ot.cot_rounds())
}

/// x_j (1 - 2 b_j): the correlation of party j.
fn signed_by<D: Domain>(domain: D, x: u64, bit: u64) -> u64 {
    let mask = bit.wrapping_neg();
    (x & !mask) | (domain.neg(x) & mask)
}

/// [`mux`] on one lane.
///
/// # Errors
/// As [`mux`].
pub fn mux_lane<D: Domain>(lane: &mut Lane, domain: D, bits: &Bits, x: &[u64]) -> Result<Elements> {
    lane.prepare(x.len(), x.len())?;
    let asked = mux_choose(lane, domain, bits)?;
    mux_chosen(lane, domain, bits, asked, x)
}

/// The first half of [`mux_lane`], for which x need not be known yet: sends this party's choices. Other messages of the
/// same flight may follow. The lane must be prepared ([`Lane::prepare`]).
///
/// # Errors
/// As [`mux`].
pub fn mux_choose<D: Domain>(lane: &mut Lane, domain: D, bits: &Bits) -> Result<Asked> {
    cot::ask_correlated(&mut lane.stream, &mut *lane.recv, domain, bits)
}

/// The second half of [`mux_lane`], with what [`mux_choose`] returned.
///
/// # Errors
/// As [`mux`].
pub fn mux_chosen<D: Domain>(
    lane: &mut Lane,
    domain: D,
    bits: &Bits,
    asked: Asked,
    x: &[u64],
) -> Result<Elements> {
    let correlations = correlations(domain, bits, x);
    let sent = cot::send_correlated(&mut lane.stream, &mut *lane.send, domain, &correlations)?;
    let mut z = asked.read(&mut lane.stream, domain, bits)?;
    combine(domain, bits, x, &sent, &mut z);
    Ok(z)
}

fn correlations<D: Domain>(domain: D, bits: &Bits, x: &[u64]) -> Elements {
    Zeroizing::new(x.iter().zip(bits.iter()).map(|(&x, b)| signed_by(domain, x, b)).collect())
}

/// z_j = x_j b_j + received - sent.
fn combine<D: Domain>(domain: D, bits: &Bits, x: &[u64], sent: &[u64], z: &mut [u64]) {
    for (((z, s), x), b) in z.iter_mut().zip(sent).zip(x).zip(bits.iter()) {
        *z = domain.add(domain.sub(*z, *s), x & b.wrapping_neg());
    }
}

/// MUX of two values by the same bit, in two domains, in the flights of one: shares of (b x, b y).
///
/// # Errors
/// As [`mux`].
pub fn mux_both_lane<D: Domain>(
    lane: &mut Lane,
    bits: &Bits,
    (domain, x): (D, &[u64]),
    (ring, y): (Ring, &[u64]),
) -> Result<(Elements, Elements)> {
    let n = bits.len();
    lane.prepare(2 * n, 2 * n)?;
    let choices = Pair { first: (domain, bits), second: (ring, bits) };
    let asked = ask_pair(lane, &choices)?;
    let (of_x, of_y) = (correlations(domain, bits, x), correlations(ring, bits, y));
    let pair = Pair { first: (domain, &of_x[..]), second: (ring, &of_y[..]) };
    let (sent_x, sent_y) = send_pair(lane, &pair)?;
    let (mut z, mut w) = asked.read(lane, &choices)?;
    combine(domain, bits, x, &sent_x, &mut z);
    combine(ring, bits, y, &sent_y, &mut w);
    Ok((z, w))
}

/// The cost of [`mux_both_lane`].
pub fn mux_both_lane_cost<D: Domain>(ot: OtKind, n: usize, domain: D, ring: Ring) -> Cost {
    let one_way = |sender| pair_cost(ot, n, domain, ring, sender);
    one_way(Party::Server).beside(one_way(Party::Client))
}

/// [`mux`] by two plain OTs, as the text of CrypTFlow2 has it: 2 (lambda + 2l) bits. Kept to measure
/// the paper's figure; never chosen otherwise.
///
/// # Errors
/// As [`mux`].
pub fn mux_plain<D: Domain>(peer: &mut Peer, bits: &BitShares, x: &Shares<D>) -> Result<Shares<D>> {
    same_len(bits, x)?;
    let domain = x.domain();
    peer.map_shares(&mux_plan(x.len()), domain, |lane, range| {
        mux_plain_lane(lane, domain, &bits.slice(range.clone()), &x.values()[range])
    })
}

/// The cost of [`mux_plain`].
pub fn mux_plain_cost<D: Domain>(ot: OtKind, n: usize, domain: D) -> Cost {
    mux_plan(n).cost(|n, _| mux_plain_lane_cost(ot, n, domain))
}

/// The cost of [`mux_plain_lane`].
pub fn mux_plain_lane_cost<D: Domain>(ot: OtKind, n: usize, domain: D) -> Cost {
    if n == 0 {
        return Cost::ZERO;
    }
    let messages = 16 * pack::packed_len(n, domain.bits()) as u64;
    let one_way = |from| ot.cot_cost(n, from) + Cost::message(from, messages);
    (one_way(Party::Server) + one_way(Party::Client)).in_rounds(2)
}

/// [`mux_plain`] on one lane: party j offers x_j (b_j xor c) - r_j for both values c of the peer's bit.
///
/// # Errors
/// As [`mux`].
pub fn mux_plain_lane<D: Domain>(
    lane: &mut Lane,
    domain: D,
    bits: &Bits,
    x: &[u64],
) -> Result<Elements> {
    let n = x.len();
    lane.prepare(n, n)?;
    lane.recv.extend_cot(&mut lane.stream, bits)?;
    lane.send.extend_cot(&mut lane.stream, n)?;
    let mut masks = Zeroizing::new(vec![0; n]);
    domain.sample_into(&mut lane.prg, &mut masks);
    let mut pads = Zeroizing::new(vec![[Block::ZERO; 2]; n]);
    lane.send.cot_pads(0, &mut pads);
    for c in 0..2u64 {
        let messages: Elements = Zeroizing::new(
            x.iter()
                .zip(bits.iter())
                .zip(masks.iter().zip(pads.iter()))
                .map(|((x, b), (r, pad))| {
                    let plain = domain.sub(x & (b ^ c).wrapping_neg(), *r);
                    domain.add(plain, domain.reduce_wide(pad[c as usize].to_u128()))
                })
                .collect(),
        );
        cot::send_elements(&mut lane.stream, domain, &messages)?;
    }
    let zero = cot::recv_elements(&mut lane.stream, domain, "MUX messages", n)?;
    let one = cot::recv_elements(&mut lane.stream, domain, "MUX messages", n)?;
    let mut chosen = Zeroizing::new(vec![Block::ZERO; n]);
    lane.recv.cot_pads(0, &mut chosen);
    let received = zero.iter().zip(one.iter()).zip(bits.iter()).zip(chosen.iter());
    Ok(Zeroizing::new(
        received
            .zip(masks.iter())
            .map(|((((zero, one), b), pad), r)| {
                let message = zero ^ ((zero ^ one) & b.wrapping_neg());
                let plain = domain.sub(message, domain.reduce_wide(pad.to_u128()));
                domain.add(plain, *r)
            })
            .collect(),
    ))
}

/// Additive shares of XOR-shared bits. lambda + l bits an element, in [`OtKind::cot_rounds`] rounds.
///
/// # Errors
/// As the link and the peer behave.
pub fn b2a<D: Domain>(peer: &mut Peer, domain: D, bits: &BitShares) -> Result<Shares<D>> {
    peer.map_shares(&b2a_plan(bits.len()), domain, |lane, range| {
        b2a_lane(lane, domain, &bits.slice(range))
    })
}

fn b2a_plan(n: usize) -> Plan {
    Plan::new(n, Load::held(MUX_ROW_BYTES / 2))
}

/// The cost of [`b2a`].
pub fn b2a_cost<D: Domain>(ot: OtKind, n: usize, domain: D) -> Cost {
    b2a_plan(n).cost(|n, leader| b2a_lane_cost(ot, n, domain, leader))
}

/// The cost of [`b2a_lane`] when `leader` sends.
pub fn b2a_lane_cost<D: Domain>(ot: OtKind, n: usize, domain: D, leader: Party) -> Cost {
    if n == 0 {
        return Cost::ZERO;
    }
    let corrections = 8 * pack::packed_len(n, domain.bits()) as u64;
    (ot.cot_cost(n, leader.peer()) + Cost::message(leader, corrections)).in_rounds(ot.cot_rounds())
}

/// [`b2a`] on one lane: the leader sends the COTs.
///
/// # Errors
/// As [`b2a`].
pub fn b2a_lane<D: Domain>(lane: &mut Lane, domain: D, bits: &Bits) -> Result<Elements> {
    match lane.role() {
        Role::Sender => b2a_answer(lane, domain, bits),
        Role::Receiver => {
            let asked = b2a_ask(lane, domain, bits)?;
            b2a_read(lane, domain, bits, asked)
        }
    }
}

/// -2 b: the correlation of B2A.
pub fn b2a_correlations<D: Domain>(domain: D, bits: &Bits) -> Elements {
    let minus_two = domain.from_signed(-2);
    Zeroizing::new(bits.iter().map(|b| minus_two & b.wrapping_neg()).collect())
}

/// The sender's part of [`b2a_lane`].
///
/// # Errors
/// As [`b2a`].
pub fn b2a_answer<D: Domain>(lane: &mut Lane, domain: D, bits: &Bits) -> Result<Elements> {
    let correlations = b2a_correlations(domain, bits);
    let mut y = cot::send_correlated(&mut lane.stream, &mut *lane.send, domain, &correlations)?;
    for (y, b) in y.iter_mut().zip(bits.iter()) {
        *y = domain.sub(domain.reduce(b), *y);
    }
    Ok(y)
}

/// The receiver's first part of [`b2a_lane`]: sends its choices. Others may be extended before [`b2a_read`].
///
/// # Errors
/// As [`b2a`].
pub fn b2a_ask<D: Domain>(lane: &mut Lane, domain: D, bits: &Bits) -> Result<Asked> {
    cot::ask_correlated(&mut lane.stream, &mut *lane.recv, domain, bits)
}

/// The receiver's second part: the answer.
///
/// # Errors
/// As [`b2a`].
pub fn b2a_read<D: Domain>(
    lane: &mut Lane,
    domain: D,
    bits: &Bits,
    asked: Asked,
) -> Result<Elements> {
    let mut y = asked.read(&mut lane.stream, domain, bits)?;
    for (y, b) in y.iter_mut().zip(bits.iter()) {
        *y = domain.add(domain.reduce(b), *y);
    }
    Ok(y)
}
