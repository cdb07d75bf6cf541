//! Where shares overflow: the carry out of their low bits, by one comparison, or that out of the low s of k bits
//! and the one out of all k.
//!
//! These two are one comparison in two pieces. The upper bits are compared with equality, so that
//! all = gt_upper xor (eq_upper AND low): both carries take what the one of k bits takes, but for a few bits of
//! triples.

use millionaires::compare::{
    Comparison, Outcome, Relation, compare_cost, compare_lane, complement, load,
};
use sci_core::{Bits, Cost, Error, Party, Result};
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Load;
use sci_ot::triple::{Need, Opening, Supply, and_cost};
use sci_ot::{Lane, Role};
use zeroize::Zeroizing;

/// XOR shares of both carries.
pub(crate) struct Carries {
    /// Of the low part.
    pub(crate) low: Bits,
    /// Of all.
    pub(crate) all: Bits,
}

/// This party's input to "do our parts overflow": its part at the leader, what is missing to
/// overflow at the other.
fn overflow_input(leads: bool, bits: u32, part: impl Iterator<Item = u64>) -> Elements {
    let part = part.map(|x| x & (u64::MAX >> (64 - bits)));
    Zeroizing::new(if leads { part.collect() } else { part.map(|x| complement(bits, x)).collect() })
}

/// The comparison of [`carry_lane`].
pub(crate) fn carry_job(bits: u32) -> [Comparison; 1] {
    [Comparison::new(bits, Relation::Greater)]
}

/// XOR shares of the carry out of the low `bits` of shares, at least 1.
pub(crate) fn carry_lane(lane: &mut Lane, x: &[u64], bits: u32) -> Result<Bits> {
    let own = overflow_input(lane.role() == Role::Sender, bits, x.iter().copied());
    let (outcomes, _) = compare_lane(lane, &carry_job(bits), &[&own], 0)?;
    Ok(outcomes.into_iter().next().unwrap_or_default().greater)
}

fn jobs(bits: u32, low: u32) -> [Comparison; 2] {
    let upper = Comparison::new(bits - low, Relation::GreaterAndEqual);
    [Comparison::new(low, Relation::Greater), upper]
}

/// Both carries of the low `bits` of shares, the lower one out of 0 < `low` < `bits` of them.
pub(crate) fn carries_lane(lane: &mut Lane, x: &[u64], bits: u32, low: u32) -> Result<Carries> {
    let (low, joining) = Pieces::compare(lane, x, bits, low)?.join(lane)?;
    Ok(Carries { low, all: joining.all(lane)? })
}

/// Both pieces of the comparison, before they are joined.
pub(crate) struct Pieces {
    low: Bits,
    upper: Outcome,
    supply: Supply,
}

impl Pieces {
    /// As [`carries_lane`], but for its last round.
    pub(crate) fn compare(lane: &mut Lane, x: &[u64], bits: u32, low: u32) -> Result<Self> {
        let leads = lane.role() == Role::Sender;
        let lower = overflow_input(leads, low, x.iter().copied());
        let upper = overflow_input(leads, bits - low, x.iter().map(|x| x >> low));
        let (outcomes, supply) = compare_lane(lane, &jobs(bits, low), &[&lower, &upper], 1)?;
        let Ok([Outcome { greater: low, .. }, upper]) = <[Outcome; 2]>::try_from(outcomes) else {
            return Err(Error::misuse("two comparisons have two outcomes"));
        };
        Ok(Self { low, upper, supply })
    }

    /// The carry out of the low part.
    pub(crate) fn low(&self) -> &Bits {
        &self.low
    }

    /// Sends this party's half of the AND that joins the pieces. Other messages of the same flight may follow.
    pub(crate) fn join(self, lane: &mut Lane) -> Result<(Bits, Joining)> {
        let Self { low, upper, mut supply } = self;
        let opening = supply.open(lane, &[[&upper.equal, &low]], &[])?;
        Ok((low, Joining { upper: upper.greater, opening }))
    }
}

/// Pieces that are being joined.
pub(crate) struct Joining {
    upper: Bits,
    opening: Opening,
}

impl Joining {
    /// The carry out of all bits.
    pub(crate) fn all(self, lane: &mut Lane) -> Result<Bits> {
        let mut all = self.upper;
        let (carried, _) = self.opening.products(lane)?;
        carried.iter().for_each(|bits| all.xor_assign(bits));
        Ok(all)
    }
}

/// The cost of [`carries_lane`] for n > 0 elements.
pub(crate) fn carries_cost(
    n: usize,
    bits: u32,
    low: u32,
    settings: Settings,
    leader: Party,
) -> Result<Cost> {
    let join = and_cost(n, Need { singles: 1, pairs: 0 });
    Ok(compare_cost(n, &jobs(bits, low), settings, 1, leader)? + join)
}

/// What one element of [`carries_lane`] takes.
pub(crate) fn carries_load(bits: u32, low: u32, settings: Settings) -> Load {
    load(&jobs(bits, low), settings)
}
