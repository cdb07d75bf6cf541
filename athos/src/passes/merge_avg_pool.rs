//! Merges a truncation with the AvgPool behind it, on integer programs.
//!
//! Networks truncate what they average: convolution, ReLU, truncation, AvgPool. Merged, the untruncated
//! numbers are summed and each sum is divided once, by d·2^s: no member of a window is truncated by itself.
//! (The other order would merge without a change of numbers, floor(floor(S/d)/2^s) = floor(S/(d·2^s)), but
//! no program has it: products are truncated before anything else reads them, and averages are no products.)
//!
//! * **Numbers** are rounded once instead of d + 1 times, as where [`super::sink_truncation`] sums first. With
//!   S the untruncated sum, the merged average is floor(S/(d·2^s)), and the sum of d truncated members
//!   lies in (S/2^s - d, S/2^s]: the average grows by 0 or by 1 unit of its last place, nothing else changes.
//!   The program that comes out is what both engines compute, bit by bit.
//! * **Room.** The sums are as long as truncated ones and s bits more. Where they wrapped, averages would be
//!   wrong, so they must be certain to fit the domain, or fit it on all calibration inputs with the margin to
//!   spare and one bit at least. Without observations nothing is merged: the numbers of a
//!   layer are not bounded by the program alone, and a domain without room for untruncated sums would
//!   need log2 d bits more in every layer.
//! * **Signs** of untruncated sums are not known even after a ReLU: its outputs fill half of the domain as
//!   far as is certain. This costs a comparison of all bits that are looked at instead of s + log2 d.
//! * **Cost** decides, and the caller knows it. Windows that do not overlap merge well, since d
//!   truncations are saved for one that is dearer. Where windows overlap, there are as many averages as
//!   members, and what is saved may not pay for the unknown sign. A truncation that a ReLU does with what it
//!   compares anyway ([`Fusion`]) costs next to nothing, or less than that, and stays.
//!
//! [`part_avg_pool`] goes back, so that other observations may decide anew.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::narrow;
use crate::calibration::Calibration;
use crate::domain::{bits, signed_range};
use crate::llil::range::{Ranges, least_bits, signed_width};
use crate::llil::{
    Builder, Context, Fusion, Instruction, Op, Precision, Sign, TensorId, TensorInfo,
    divides_by_shifting, infer,
};
use crate::program::PublicProgram;
use crate::{Error, Result};
use sci_core::AnyDomain;
use sci_core::geometry::PoolGeometry;

/// A truncation, the AvgPool that alone reads it, and what they may become; signs and bits are those that
/// they would be narrowed to.
#[derive(Clone, Debug)]
pub struct AvgPoolMerge {
    /// The truncation; it has as many elements as its output.
    pub truncation: Instruction,
    /// Whether the ReLUs in front would do it ([`Fusion`]).
    pub fused: bool,
    /// The AvgPool.
    pub pool: Instruction,
    /// The AvgPool of the untruncated numbers.
    pub merged: Instruction,
}

/// The program with truncations merged into the AvgPools behind them where there is room for the sums and
/// `cheaper` says so; `None` if there is no such place. What was observed must be of this program. The merged
/// divisions look at all bits: [`narrow`] finds fewer, given observations of the new program.
///
/// # Errors
/// [`Error::Misuse`] for a program that did not pass its check or observations of another one.
pub fn merge_avg_pool(
    public: &PublicProgram,
    observed: &Calibration,
    cheaper: &dyn Fn(&AvgPoolMerge) -> bool,
) -> Result<Option<Vec<Instruction>>> {
    let narrowed = narrow(public, Some(observed))?;
    let search = Search {
        public,
        observed,
        narrowed: &narrowed,
        fusion: &Fusion::of(&narrowed),
        ranges: &Ranges::of(public.domain, public.weight_bits, &public.instructions)?,
    };
    let mut uses = vec![0usize; public.instructions.len()];
    for id in public.instructions.iter().flat_map(|x| &x.inputs) {
        if let Some(uses) = uses.get_mut(id.index()) {
            *uses += 1;
        }
    }
    // By the number of the AvgPool, and by that of the truncation.
    let mut merged: Vec<Option<Instruction>> = vec![None; public.instructions.len()];
    let mut gone = vec![false; public.instructions.len()];
    for (i, pool) in public.instructions.iter().enumerate() {
        let alone = |id: &TensorId| uses.get(id.index()) == Some(&1);
        let Some(&truncated) = pool.inputs.first().filter(|id| alone(id)) else { continue };
        let Some(merge) = search.merge(i, truncated)?.filter(cheaper) else { continue };
        if let (Some(place), Some(gone)) = (merged.get_mut(i), gone.get_mut(truncated.index())) {
            *place = Some(merge.merged);
            *gone = true;
        }
    }
    if merged.iter().all(Option::is_none) {
        return Ok(None);
    }
    rebuild(public, |new, map, i, instruction| {
        if gone.get(i) == Some(&true) {
            return Ok(None);
        }
        match merged.get(i).and_then(Option::as_ref) {
            Some(Instruction { name, op, inputs, .. }) => {
                new.push(name, unsigned(op), &renamed(map, inputs)?).map(Some)
            }
            None => copy(new, map, instruction).map(Some),
        }
    })
    .map(Some)
}

/// The program with every merged AvgPool parted into a truncation and an AvgPool again.
///
/// # Errors
/// Those of the typing rules, for a program that did not pass its check.
pub fn part_avg_pool(public: &PublicProgram) -> Result<Vec<Instruction>> {
    rebuild(public, |new, map, _, instruction| match &instruction.op {
        Op::AvgPool { geometry, shift, .. } if *shift > 0 => {
            let Instruction { name, inputs, .. } = instruction;
            let truncation = Op::Truncate { shift: *shift, sign: Sign::Unknown };
            let truncated = new.push(name, truncation, &renamed(map, inputs)?)?;
            let pool = Op::AvgPool { geometry: *geometry, shift: 0, sign: Sign::Unknown };
            new.push(name, pool, &[truncated]).map(Some)
        }
        _ => copy(new, map, instruction).map(Some),
    })
}

/// What old tensors are called in a new program; those that are gone have no name.
type Names = Vec<Option<TensorId>>;

/// Appends all instructions by a function that says what became of each.
fn rebuild(
    public: &PublicProgram,
    mut step: impl FnMut(&mut Builder, &Names, usize, &Instruction) -> Result<Option<TensorId>>,
) -> Result<Vec<Instruction>> {
    let mut new = Builder::new(public.domain, public.weights.clone());
    let mut map = Names::with_capacity(public.instructions.len());
    for (i, instruction) in public.instructions.iter().enumerate() {
        let id = step(&mut new, &map, i, instruction)?;
        map.push(id);
    }
    Ok(new.finish().0)
}

fn renamed(map: &Names, ids: &[TensorId]) -> Result<Vec<TensorId>> {
    let name = |id: &TensorId| map.get(id.index()).copied().flatten();
    ids.iter()
        .map(|id| name(id).ok_or_else(|| Error::Misuse(format!("no tensor {id} any more"))))
        .collect()
}

fn copy(new: &mut Builder, map: &Names, instruction: &Instruction) -> Result<TensorId> {
    let Instruction { name, op, inputs, precision, .. } = instruction;
    new.push_narrow(name, op.clone(), *precision, &renamed(map, inputs)?)
}

/// The same without a promise.
fn unsigned(op: &Op) -> Op {
    match op {
        Op::AvgPool { geometry, shift, .. } => {
            Op::AvgPool { geometry: *geometry, shift: *shift, sign: Sign::Unknown }
        }
        op => op.clone(),
    }
}

struct Search<'a> {
    public: &'a PublicProgram,
    observed: &'a Calibration,
    /// The program as it would be without merging.
    narrowed: &'a [Instruction],
    fusion: &'a Fusion,
    ranges: &'a Ranges,
}

/// What untruncated sums hold.
struct Sums {
    low: i128,
    high: i128,
    /// By the program, not by observation.
    certain: bool,
}

impl Search<'_> {
    fn info(&self, id: TensorId) -> Result<&TensorInfo> {
        let found = self.public.instructions.get(id.index()).map(|x| &x.output);
        found.ok_or_else(|| Error::Misuse(format!("no tensor {id}")))
    }

    /// What instruction i and the truncation that it reads would become, if the sums fit.
    fn merge(&self, i: usize, truncated: TensorId) -> Result<Option<AvgPoolMerge>> {
        let parts = (self.narrowed.get(i), self.narrowed.get(truncated.index()));
        let (Some(pool), Some(truncation)) = parts else { return Ok(None) };
        let (&Op::AvgPool { ref geometry, shift: own, .. }, &Op::Truncate { shift, .. }) =
            (&pool.op, &truncation.op)
        else {
            return Ok(None);
        };
        let Some(&x) = truncation.inputs.first() else { return Ok(None) };
        let Some(sums) = self.sums(i, (x, truncated), geometry, shift)? else { return Ok(None) };
        let known = sums.certain && sums.low >= 0;
        let sign = if known { Sign::NonNegative } else { Sign::Unknown };
        let op = Op::AvgPool { geometry: *geometry, shift: own.saturating_add(shift), sign };
        let context = Context { domain: self.public.domain, weights: &self.public.weights };
        // A divisor that the domain is too small for.
        let Ok(output) = infer(context, &op, &[self.info(x)?]) else { return Ok(None) };
        let precision = self.precision(&op, &sums);
        let merged =
            Instruction { name: pool.name.clone(), op, inputs: vec![x], precision, output };
        let (truncation, pool) = (truncation.clone(), pool.clone());
        let fused = self.fusion.done_before(truncated.index());
        Ok(Some(AvgPoolMerge { truncation, fused, pool, merged }))
    }

    /// The bits that the merged division would be narrowed to.
    fn precision(&self, op: &Op, sums: &Sums) -> Precision {
        let &Op::AvgPool { ref geometry, shift, sign } = op else { return Precision::Full };
        let narrow = sums.certain || divides_by_shifting(geometry, shift);
        let margin = if sums.certain { 0 } else { self.observed.margin() };
        let needed = signed_width(sums.low, sums.high).saturating_add(margin).max(least_bits(op));
        match self.public.domain {
            AnyDomain::Ring(ring)
                if sign == Sign::Unknown && narrow && needed < bits(AnyDomain::Ring(ring)) =>
            {
                Precision::Bits(needed)
            }
            _ => Precision::Full,
        }
    }

    /// The untruncated sums, unless they might wrap.
    fn sums(
        &self,
        i: usize,
        (x, truncated): (TensorId, TensorId),
        geometry: &PoolGeometry,
        shift: u32,
    ) -> Result<Option<Sums>> {
        if let Some(sums) = self.ranges.sums(geometry, self.ranges.get(x)?) {
            return Ok(Some(Sums { low: sums.low, high: sums.high, certain: true }));
        }
        // Sums of truncated numbers say what the untruncated ones are, as long as they did not wrap.
        let whole = self.ranges.sums(geometry, self.ranges.get(truncated)?).is_some();
        let seen = self.observed.derived(TensorId(i as u32)).filter(|_| whole && shift < 63);
        let Some((low, high)) = seen else { return Ok(None) };
        let lost = geometry.window().taps() as i128 * ((1 << shift) - 1);
        let (low, high) = (i128::from(low) << shift, (i128::from(high) << shift) + lost);
        let (least, most) = signed_range(self.public.domain);
        let spare = self.observed.margin().max(1);
        let fits = signed_width(low, high).saturating_add(spare) <= signed_width(least, most);
        Ok(fits.then_some(Sums { low, high, certain: false }))
    }
}
