//! The sign over Z_n, for any n (CrypTFlow2 section 3.3, Algorithm 4).
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
//! both (*twins*). The sign is a_0 > h ? not (wrap and not d) : (d and not wrap). With u = 1{a_0 > h}, which the
//! leader knows, that is u xor ((wrap xor u xor 1) and (d xor u)): one AND of shared bits, lambda + 20 bits and one
//! round. (CrypTFlow2 has a 1-of-4 OT there, 2 lambda + 4 bits and two rounds.)
//!
//! **Cost** with IKNP, 32-bit n, m = 7: 4664 bits; 3 + ceil(log2 q) rounds with q digits of
//! ceil(log2 n) + 1 bits.

use super::{Precision, SignDomain};
use crate::compare::{Comparison, Outcome, compare_cost, compare_lane, complement, load};
use sci_core::{Bits, Cost, Domain, Error, Field, Party, Result};
use sci_ot::peer::Settings;
use sci_ot::plan::Load;
use sci_ot::triple::{Need, and_cost};
use sci_ot::{Lane, Role};
use zeroize::Zeroizing;

/// The AND that ends it.
const LAST: Need = Need { singles: 1, pairs: 0 };

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
        let leads = lane.role() == Role::Sender;
        let (first, second) = match leads {
            true => {
                let other = inputs(&|a| 2 * h + (n & mask_if(a > h)) - a);
                (inputs(&|a| n - 1 - a + h), Some(other))
            }
            false => (inputs(&|a| h + a), None),
        };
        let both: [&[u64]; 2] = [&first, second.as_ref().unwrap_or(&first)];
        let (outcomes, mut supply) = compare_lane(lane, &jobs(self), &both, LAST.singles)?;
        let Ok([mut wrap, mut d]) = <[Outcome; 2]>::try_from(outcomes) else {
            return Err(Error::misuse("two comparisons have two outcomes"));
        };
        // The leader's shares take in u = 1{a_0 > h}; the other's are as they are.
        let above = match leads {
            true => Bits::from_fn(x.len(), |i| u64::from(x[i] > h)),
            false => Bits::zeros(x.len()),
        };
        wrap.greater.xor_assign(&above);
        d.greater.xor_assign(&above);
        if leads {
            wrap.greater.not_assign();
        }
        let (ands, _) = supply.and(lane, &[[&wrap.greater, &d.greater]], &[])?;
        let mut sign = above;
        ands.iter().for_each(|and| sign.xor_assign(and));
        Ok(sign)
    }

    fn msb_cost(
        self,
        n: usize,
        settings: Settings,
        precision: Precision,
        leader: Party,
    ) -> Result<Cost> {
        only_full(precision)?;
        let compare = compare_cost(n, &jobs(self), settings, LAST.singles, leader)?;
        Ok(if n == 0 { compare } else { compare + and_cost(n, LAST) })
    }

    fn msb_load(self, settings: Settings, _: Precision) -> Load {
        load(&jobs(self), settings)
    }
}
