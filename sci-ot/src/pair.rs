//! Correlated OT of two batches over two domains: one extension, and the flights of one.
//!
//! lambda + bits of the domain for every element of either batch, in [`OtKind::cot_rounds`] rounds.

use crate::chosen::Flips;
use crate::cot::{self, Elements};
use crate::kind::OtKind;
use crate::peer::Lane;
use sci_core::{Bits, Cost, Domain, Party, Result, Ring, pack};

/// The correlations of two batches, or their choices.
pub struct Pair<'a, D, T: ?Sized> {
    /// Those over a domain.
    pub first: (D, &'a T),
    /// Those over a ring.
    pub second: (Ring, &'a T),
}

/// Sender: learns s_j for both batches; the receiver learns s_j + c_j corr_j.
///
/// # Errors
/// As [`cot::send_correlated`].
pub fn send_pair<D: Domain>(
    lane: &mut Lane,
    &Pair { first: (domain, a), second: (ring, b) }: &Pair<'_, D, [u64]>,
) -> Result<(Elements, Elements)> {
    let (n, both) = (a.len(), a.len() + b.len());
    lane.send.extend_deferred(&mut lane.stream, both)?;
    let (mut x, messages) = cot::correct(&*lane.send, domain, 0, a);
    cot::send_elements(&mut lane.stream, domain, &messages)?;
    let (mut y, messages) = cot::correct(&*lane.send, ring, n, b);
    cot::send_elements(&mut lane.stream, ring, &messages)?;
    let flips = lane.send.flips(&mut lane.stream, both)?;
    cot::turn(domain, 0, &flips, a, &mut x);
    cot::turn(ring, n, &flips, b, &mut y);
    Ok((x, y))
}

/// What a receiver keeps until the corrections are there.
#[must_use = "the corrections are under way"]
pub struct AskedPair {
    pads: (Elements, Elements),
    flips: Flips,
}

/// Receiver: sends the choices of both batches. Others may be extended before [`AskedPair::read`].
///
/// # Errors
/// If the link fails.
pub fn ask_pair<D: Domain>(
    lane: &mut Lane,
    &Pair { first: (domain, a), second: (ring, b) }: &Pair<'_, D, Bits>,
) -> Result<AskedPair> {
    let mut choices = a.clone();
    choices.extend(b);
    let flips = lane.recv.extend_deferred(&mut lane.stream, &choices)?;
    let x = cot::chosen_elements(&*lane.recv, domain, 0, a.len());
    let y = cot::chosen_elements(&*lane.recv, ring, a.len(), b.len());
    Ok(AskedPair { pads: (x, y), flips })
}

impl AskedPair {
    /// Receiver: s_j + c_j corr_j for both batches, from the corrections, for the same domains and choices.
    ///
    /// # Errors
    /// As [`cot::recv_correlated`].
    pub fn read<D: Domain>(
        self,
        lane: &mut Lane,
        &Pair { first: (domain, a), second: (ring, b) }: &Pair<'_, D, Bits>,
    ) -> Result<(Elements, Elements)> {
        let Self { pads: (mut x, mut y), flips } = self;
        let messages = cot::recv_elements(&mut lane.stream, domain, "COT corrections", a.len())?;
        cot::correct_chosen(domain, 0, (a, &flips), &messages, &mut x);
        let messages = cot::recv_elements(&mut lane.stream, ring, "COT corrections", b.len())?;
        cot::correct_chosen(ring, a.len(), (b, &flips), &messages, &mut y);
        Ok((x, y))
    }
}

/// The cost of two batches of `n` when `sender` sends.
pub fn pair_cost<D: Domain>(ot: OtKind, n: usize, domain: D, ring: Ring, sender: Party) -> Cost {
    if n == 0 {
        return Cost::ZERO;
    }
    let corrections = pack::packed_len(n, domain.bits()) + pack::packed_len(n, ring.bits());
    let cost = ot.cot_cost(2 * n, sender.peer()) + Cost::message(sender, 8 * corrections as u64);
    cost.in_rounds(ot.cot_rounds())
}
