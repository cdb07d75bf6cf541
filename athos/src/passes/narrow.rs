//! Gives every comparison, truncation and division the fewest bits it needs.
//!
//! Two kinds of bounds count. What is *certain* ([`crate::llil::range`]) follows from the public
//! program: the bits that it leaves out never matter, and a sign that it shows selects the cheaper
//! protocol. What was *observed* ([`Calibration`]) on sample inputs, with a margin, is smaller and may
//! be left by another input: a comparison then reads the sign of x mod 2^k, in cleartext as in secret,
//! so that both still agree bit for bit, and [`crate::calibration::outside`] tells where. An observed bound is
//! never the ground for a sign. For the sums that an AvgPool divides it counts where the division is a
//! truncation ([`divides_by_shifting`]): other divisions are right for numbers that are known to fit alone.
//!
//! After a ReLU that looks at k bits, x mod 2^k is not negative, whatever x is: the truncation that
//! follows looks at the same k bits and keeps its known sign.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::calibration::Calibration;
use crate::llil::range::{Range, Ranges, least_bits, signed_width};
use crate::llil::{Instruction, Op, Precision, Sign, TensorId, divides_by_shifting};
use crate::program::PublicProgram;
use crate::{Error, Result};
use sci_core::geometry::PoolGeometry;
use sci_core::{AnyDomain, Domain};
use std::collections::HashMap;

/// The program with its precisions and signs. What was certain before is found again, so that a
/// program may be narrowed anew with other observations.
///
/// # Errors
/// [`Error::Misuse`] for a program that did not pass its check or observations of another one.
pub fn narrow(public: &PublicProgram, observed: Option<&Calibration>) -> Result<Vec<Instruction>> {
    if let Some(observed) = observed.filter(|x| x.len() != public.instructions.len()) {
        let got = observed.len();
        return Err(Error::Misuse(format!("observations of {got} tensors for another program")));
    }
    let shared = observed.map_or_else(HashMap::new, |observed| side_by_side(public, observed));
    let mut ranges = Ranges::new(public.domain, public.weight_bits);
    let mut narrowed = Vec::with_capacity(public.instructions.len());
    for (i, instruction) in public.instructions.iter().enumerate() {
        let instruction = match (public.domain, instruction.inputs.first()) {
            (AnyDomain::Ring(ring), Some(&x)) => {
                let seen = observed.and_then(|observed| observed.bounds(x));
                let seen = shared.get(&i).copied().or(seen);
                let narrowing = Narrowing {
                    ranges: &ranges,
                    width: ring.bits(),
                    certain: ranges.get(x)?,
                    seen,
                    derived: observed.and_then(|observed| observed.derived(TensorId(i as u32))),
                    margin: observed.map_or(0, Calibration::margin),
                };
                narrowing.apply(instruction)
            }
            (_, Some(&x)) => with_sign(&ranges, instruction, ranges.get(x)?),
            (_, None) => instruction.clone(),
        };
        ranges.push(&instruction)?;
        narrowed.push(instruction);
    }
    Ok(narrowed)
}

/// What was observed of all ReLUs that a Concat puts side by side, for each of them: they look at the
/// same number of bits, so that the sign of the whole is known in as many.
fn side_by_side(public: &PublicProgram, observed: &Calibration) -> HashMap<usize, (i64, i64)> {
    let operand = |part: &TensorId| {
        let relu = public.instructions.get(part.index()).filter(|x| x.op == Op::Relu)?;
        observed.bounds(*relu.inputs.first()?)
    };
    let mut shared = HashMap::new();
    for concat in public.instructions.iter().filter(|x| matches!(x.op, Op::Concat { .. })) {
        let bounds: Option<Vec<(i64, i64)>> = concat.inputs.iter().map(operand).collect();
        let all = bounds.and_then(|all| {
            all.into_iter().reduce(|(low, high), (l, h)| (low.min(l), high.max(h)))
        });
        for (part, (low, high)) in concat.inputs.iter().zip(all.into_iter().cycle()) {
            let before = shared.get(&part.index()).copied().unwrap_or((low, high));
            shared.insert(part.index(), (low.min(before.0), high.max(before.1)));
        }
    }
    shared
}

/// Known signs alone: shares mod n do not reduce to fewer bits.
fn with_sign(ranges: &Ranges, instruction: &Instruction, x: Range) -> Instruction {
    let known = |certain: bool| if certain { Sign::NonNegative } else { Sign::Unknown };
    let op = match &instruction.op {
        Op::Truncate { shift, .. } => Op::Truncate { shift: *shift, sign: known(x.low >= 0) },
        Op::AvgPool { geometry, shift, .. } => {
            let sign = known(ranges.sums(geometry, x).is_some_and(|x| x.low >= 0));
            Op::AvgPool { geometry: *geometry, shift: *shift, sign }
        }
        op => op.clone(),
    };
    Instruction { op, ..instruction.clone() }
}

/// One instruction, by what is known of its operand.
struct Narrowing<'a> {
    ranges: &'a Ranges,
    width: u32,
    certain: Range,
    seen: Option<(i64, i64)>,
    /// Differences, of a MaxPool or an ArgMax, or sums, of an AvgPool.
    derived: Option<(i64, i64)>,
    margin: u32,
}

impl Narrowing<'_> {
    /// At least `least` bits, all of them if there are no fewer.
    fn precision(&self, bits: u32, least: u32) -> Precision {
        match bits.max(least) {
            bits if bits < self.width => Precision::Bits(bits),
            _ => Precision::Full,
        }
    }

    /// The range of the operand unless it says no more than how many bits were looked at before: what
    /// is then beyond those bits may be anything.
    fn telling(&self) -> Option<Range> {
        let view = self.certain.view;
        let bounded = self.certain.bits() < view || self.certain.low >= 0;
        (view == self.width || bounded).then_some(self.certain)
    }

    /// Bits of the operand, as far as is certain.
    fn certain(&self) -> u32 {
        self.telling().map_or(u32::MAX, |x| x.bits())
    }

    /// Bits of numbers, as far as they were observed.
    fn observed(&self, seen: Option<(i64, i64)>) -> u32 {
        seen.map_or(u32::MAX, |(low, high)| {
            signed_width(low.into(), high.into()).saturating_add(self.margin)
        })
    }

    /// Bits of a difference of two elements, as far as is certain or was observed of those compared.
    fn differences(&self) -> u32 {
        let certain = self.telling().map_or(u32::MAX, |Range { low, high, .. }| {
            signed_width(low.saturating_sub(high), high.saturating_sub(low))
        });
        certain.min(self.observed(self.derived))
    }

    fn apply(&self, instruction: &Instruction) -> Instruction {
        let (op, precision) = match &instruction.op {
            Op::Relu => {
                let bits = self.certain().min(self.observed(self.seen));
                (Op::Relu, self.precision(bits, 1))
            }
            op @ (Op::MaxPool { .. } | Op::ArgMax { .. }) => {
                (op.clone(), self.precision(self.differences(), 1))
            }
            Op::Truncate { shift, .. } => self.truncation(*shift),
            Op::AvgPool { geometry, shift, .. } => self.average(geometry, *shift),
            op => (op.clone(), Precision::Full),
        };
        Instruction { op, precision, ..instruction.clone() }
    }

    /// A known sign is worth more than fewer bits here, too.
    fn average(&self, geometry: &PoolGeometry, shift: u32) -> (Op, Precision) {
        let sums = self.ranges.sums(geometry, self.certain);
        let op = |sign| Op::AvgPool { geometry: *geometry, shift, sign };
        if sums.is_some_and(|sums| sums.low >= 0) {
            return (op(Sign::NonNegative), Precision::Full);
        }
        let observed = match divides_by_shifting(geometry, shift) {
            true => self.observed(self.derived),
            false => u32::MAX,
        };
        let bits = sums.map_or(u32::MAX, |sums| sums.bits()).min(observed);
        let op = op(Sign::Unknown);
        let least = least_bits(&op);
        (op, self.precision(bits, least))
    }

    /// A known sign is worth more than fewer bits, and then more bits are cheaper than fewer: in k bits a number
    /// takes l - k bits more on the wire than in all l. The ReLU in front that leaves no more than k saves
    /// several times that by each of them, so that both are narrowed.
    fn truncation(&self, shift: u32) -> (Op, Precision) {
        let x = self.certain;
        let (sign, bits) = if x.low >= 0 && x.view > shift {
            (Sign::NonNegative, x.view)
        } else {
            (Sign::Unknown, self.certain().min(self.observed(self.seen)))
        };
        let precision = self.precision(bits, shift + 1);
        let sign = match self.ranges.seen(x, precision).low >= 0 {
            true => sign,
            false => Sign::Unknown,
        };
        (Op::Truncate { shift, sign }, precision)
    }
}
