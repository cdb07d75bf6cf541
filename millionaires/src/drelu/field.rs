//! The sign over Z_n, for any n (CrypTFlow2 section 3.3, Algorithm 4; PROTOCOLS A5).
//!
//! Let h = ceil(n/2) - 1, the largest non-negative value, a_0 the leader's share and a_1 the other's.
//! As integers, a = a_0 + a_1 - n wrap with wrap = 1{a_0 + a_1 > n - 1}; it is negative if the sum
//! without wrap exceeds h, with wrap n + h. Of these last two comparisons the leader knows one from its
//! own share: if a_0 > h the sum exceeds h, else it cannot exceed n + h. So two comparisons suffice,
//!
//! ```text
//! wrap = 1{n - 1 - a_0 + h < h + a_1},   d = 1{(a_0 > h ? n + 2h : 2h) - a_0 < h + a_1}
//! ```
//!
//! and as the other party's input is the same in both, every leaf is one OT that carries the bits of
//! both (*twins*). One 1-of-4 OT of a bit, chosen with the other's shares of (wrap, d), ends it:
//! sign = a_0 > h ? not (wrap and not d) : (d and not wrap).
//!
//! **Cost** with IKNP, 32-bit n, m = 7: 4904 bits; 4 + ceil(log2 q) rounds with q digits of
//! ceil(log2 n) + 1 bits.

use super::{Precision, SignDomain};
use crate::compare::{Comparison, compare_cost, compare_lane, complement, load};
use sci_core::{Bits, Cost, Domain, Error, Field, Party, Result};
use sci_ot::OtKind;
use sci_ot::chosen::{Choices, Group};
use sci_ot::one_of_n::{First, Messages};
use sci_ot::peer::Settings;
use sci_ot::plan::Load;
use sci_ot::{Lane, Role};
use zeroize::Zeroizing;

/// The last OT: 1-of-4, one bit.
fn last_ot(ot: OtKind, n: usize) -> Messages {
    Messages { group: 0, count: n, log_n: 2, bits: 1, first: First::of_shares(ot, 2, 1) }
}

fn only_full(precision: Precision) -> Result<()> {
    match precision {
        Precision::Full => Ok(()),
        Precision::Bits(k) => Err(Error::misuse(format!(
            "{k} significant bits: shares mod n do not reduce to fewer bits"
        ))),
    }
}

fn jobs(field: Field) -> [Comparison; 2] {
    Comparison::twins(field.bits() + 1)
}

fn mask_if(condition: bool) -> u64 {
    u64::from(condition).wrapping_neg()
}

impl SignDomain for Field {
    fn msb_lane(self, lane: &mut Lane, x: &[u64], precision: Precision) -> Result<Bits> {
        only_full(precision)?;
        let (n, h, bits) = (self.n(), self.half() - 1, self.bits() + 1);
        // Both comparisons are "<", hence ">" of complements.
        let inputs = |value: &dyn Fn(u64) -> u64| -> Zeroizing<Vec<u64>> {
            Zeroizing::new(x.iter().map(|&a| complement(bits, value(a))).collect())
        };
        match lane.role() {
            Role::Sender => {
                let wrap = inputs(&|a| n - 1 - a + h);
                let other = inputs(&|a| 2 * h + (n & mask_if(a > h)) - a);
                let (outcomes, _) = compare_lane(lane, &jobs(self), &[&wrap, &other], 0)?;
                let [wrap, d] = &outcomes[..] else {
                    return Err(Error::misuse("two comparisons have two outcomes"));
                };
                lead(lane, x, h, &wrap.greater, &d.greater)
            }
            Role::Receiver => {
                let mine = inputs(&|a| h + a);
                let (outcomes, _) = compare_lane(lane, &jobs(self), &[&mine, &mine], 0)?;
                let planes = outcomes.into_iter().map(|outcome| outcome.greater).collect();
                follow(lane, x.len(), planes)
            }
        }
    }

    fn msb_cost(
        self,
        n: usize,
        settings: Settings,
        precision: Precision,
        leader: Party,
    ) -> Result<Cost> {
        only_full(precision)?;
        let compare = compare_cost(n, &jobs(self), settings, 0, leader)?;
        if n == 0 {
            return Ok(compare);
        }
        let group = Group { log_n: last_ot(settings.ot, n).log_n, count: n };
        let last = settings.ot.groups_cost(&[group], leader.peer())
            + Cost::message(leader, 8 * last_ot(settings.ot, n).wire_len() as u64);
        Ok(compare + last.in_rounds(2))
    }

    fn msb_load(self, settings: Settings, _: Precision) -> Load {
        load(&jobs(self), settings)
    }
}

/// The last OT, leader's side: shares of the sign for each pair of the peer's shares of (wrap, d).
fn lead(lane: &mut Lane, x: &[u64], h: u64, wrap: &Bits, d: &Bits) -> Result<Bits> {
    let n = x.len();
    let last = last_ot(lane.settings().ot, n);
    lane.send.extend_one_of_n(&mut lane.stream, &[Group { log_n: last.log_n, count: n }])?;
    // Bit k of these words is the first and the second bit of k.
    const FIRST: u64 = 0b1010;
    const SECOND: u64 = 0b1100;
    let spread = |bits: &Bits, i: usize| u64::from(bits.get(i)).wrapping_neg();
    let message = |i: usize, words: &mut [u64]| {
        let (wrap, d) = (FIRST ^ spread(wrap, i), SECOND ^ spread(d, i));
        let above = mask_if(x[i] > h);
        let sign = (above & !(wrap & !d)) | (!above & d & !wrap);
        words[0] = sign & 0b1111;
    };
    let mut shared = Ok(Vec::new());
    let (ot, prg) = (&*lane.send, &mut lane.prg);
    lane.stream.send_with(last.wire_len(), |out| {
        shared = last.share_short(ot, prg, message, out);
    })?;
    shared.map(|mut planes| planes.pop().unwrap_or_default())
}

fn follow(lane: &mut Lane, n: usize, planes: Vec<Bits>) -> Result<Bits> {
    let choices = [Choices { planes }];
    lane.recv.extend_one_of_n(&mut lane.stream, &choices)?;
    let last = last_ot(lane.settings().ot, n);
    let bytes = lane.stream.recv("signs over Z_n", last.wire_len())?;
    let [wrap, d] = &choices[0].planes[..] else {
        return Err(Error::misuse("two comparisons have two outcomes"));
    };
    let choice = |i: usize| u64::from(wrap.get(i)) | u64::from(d.get(i)) << 1;
    let mut planes = last.read_short(&*lane.recv, choice, &bytes)?;
    Ok(planes.pop().unwrap_or_default())
}
