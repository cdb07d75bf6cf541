//! Products of one party's numbers with the other's bits: two batches over two domains in the flights of one.
//!
//! One COT each, with the number as its correlation: lambda + bits of the domain.

use sci_core::{Bits, Cost, Domain, Party, Result, Ring, pack};
use sci_ot::chosen::Flips;
use sci_ot::cot::{self, Elements};
use sci_ot::peer::Settings;
use sci_ot::{Lane, Role};
use zeroize::Zeroizing;

/// Two batches of n that are multiplied in the same flights, over two domains: of the leader's correlations, and of
/// the other's choices.
pub(crate) struct Pair<'a, A, T: ?Sized> {
    pub(crate) first: (A, &'a T),
    pub(crate) second: (Ring, &'a T),
}

/// What the receiver of products keeps until the answer is there: its pads, and how they were made.
pub(crate) struct Asked {
    first: Elements,
    second: Elements,
    flips: Flips,
}

/// Shares of leader's correlation times other's choice, for two batches, in the flights of one: lambda + bits of the
/// domain for each. Correlations are read at the leader, choices at the other party.
pub(crate) fn products_lane<A: Domain>(
    lane: &mut Lane,
    correlations: &Pair<'_, A, [u64]>,
    choices: &Pair<'_, A, Bits>,
) -> Result<(Elements, Elements)> {
    match lane.role() {
        Role::Sender => products_answer(lane, correlations),
        Role::Receiver => {
            let asked = products_ask(lane, choices)?;
            products_read(lane, choices, asked)
        }
    }
}

/// The leader's part of [`products_lane`].
pub(crate) fn products_answer<A: Domain>(
    lane: &mut Lane,
    &Pair { first: (first, a), second: (second, b) }: &Pair<'_, A, [u64]>,
) -> Result<(Elements, Elements)> {
    let (n, both) = (a.len(), a.len() + b.len());
    lane.send.extend_deferred(&mut lane.stream, both)?;
    let (mut x, messages) = cot::correct(&*lane.send, first, 0, a);
    cot::send_elements(&mut lane.stream, first, &messages)?;
    let (mut y, messages) = cot::correct(&*lane.send, second, n, b);
    cot::send_elements(&mut lane.stream, second, &messages)?;
    let flips = lane.send.flips(&mut lane.stream, both)?;
    cot::turn(first, 0, &flips, a, &mut x);
    cot::turn(second, n, &flips, b, &mut y);
    x.iter_mut().for_each(|x| *x = first.neg(*x));
    y.iter_mut().for_each(|y| *y = second.neg(*y));
    Ok((x, y))
}

/// The other's first part of [`products_lane`]: sends its choices. Others may be extended before [`products_read`].
pub(crate) fn products_ask<A: Domain>(
    lane: &mut Lane,
    &Pair { first: (first, a), second: (second, b) }: &Pair<'_, A, Bits>,
) -> Result<Asked> {
    let mut choices = a.clone();
    choices.extend(b);
    let flips = lane.recv.extend_deferred(&mut lane.stream, &choices)?;
    let first = cot::chosen_elements(&*lane.recv, first, 0, a.len());
    let second = cot::chosen_elements(&*lane.recv, second, a.len(), b.len());
    Ok(Asked { first, second, flips })
}

/// The other's second part: the answer.
pub(crate) fn products_read<A: Domain>(
    lane: &mut Lane,
    &Pair { first: (first, a), second: (second, b) }: &Pair<'_, A, Bits>,
    Asked { first: mut x, second: mut y, flips }: Asked,
) -> Result<(Elements, Elements)> {
    let messages = cot::recv_elements(&mut lane.stream, first, "carry corrections", a.len())?;
    cot::correct_chosen(first, 0, (a, &flips), &messages, &mut x);
    let messages = cot::recv_elements(&mut lane.stream, second, "carry corrections", b.len())?;
    cot::correct_chosen(second, a.len(), (b, &flips), &messages, &mut y);
    Ok((x, y))
}

/// The cost of [`products_lane`] for two batches of n > 0.
pub(crate) fn products_lane_cost<A: Domain>(
    n: usize,
    (first, second): (A, Ring),
    settings: Settings,
    leader: Party,
) -> Cost {
    let corrections = pack::packed_len(n, first.bits()) + pack::packed_len(n, second.bits());
    let cost =
        settings.ot.cot_cost(2 * n, leader.peer()) + Cost::message(leader, 8 * corrections as u64);
    cost.in_rounds(settings.ot.cot_rounds())
}

/// -2 b: the correlation of B2A.
pub(crate) fn minus_two<D: Domain>(domain: D, bits: &Bits) -> Elements {
    let minus_two = domain.from_signed(-2);
    Zeroizing::new(bits.iter().map(|b| minus_two & b.wrapping_neg()).collect())
}
