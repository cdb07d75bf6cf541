//! Gives every comparison, truncation and division the fewest bits it needs.
//!
//! Two kinds of bounds count. What is *certain* ([`crate::llil::range`]) follows from the public
//! program: the bits that it leaves out never matter, and a sign that it shows selects the cheaper
//! protocol. What was *observed* ([`Calibration`]) on sample inputs, with a margin, is smaller and may
//! be left by another input: a comparison then reads the sign of x mod 2^k, in cleartext as in secret,
//! so that both still agree bit for bit, and [`crate::calibration::outside`] tells where. An observed bound is
//! never the ground for a sign, and never for the sum that an AvgPool divides.
//!
//! After a ReLU that looks at k bits, x mod 2^k is not negative, whatever x is: the truncation that
//! follows looks at the same k bits and keeps its known sign.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::calibration::Calibration;
use crate::llil::range::{Range, Ranges, signed_width};
use crate::llil::{Instruction, Op, Precision, Sign, TensorId};
use crate::program::PublicProgram;
use crate::{Error, Result};
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
                    compared: observed
                        .and_then(|observed| observed.differences(TensorId(i as u32))),
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
        Op::AvgPool { geometry, .. } => {
            let sums = ranges.sums(geometry, x);
            Op::AvgPool { geometry: *geometry, sign: known(sums.is_some_and(|x| x.low >= 0)) }
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
    /// Differences, of a MaxPool or an ArgMax.
    compared: Option<(i64, i64)>,
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

    /// Bits of the operand, as far as was observed.
    fn observed(&self) -> u32 {
        self.seen.map_or(u32::MAX, |(low, high)| {
            signed_width(low.into(), high.into()).saturating_add(self.margin)
        })
    }

    /// Bits of a difference of two elements, as far as is certain or was observed of those compared.
    fn differences(&self) -> u32 {
        let certain = self.telling().map_or(u32::MAX, |Range { low, high, .. }| {
            signed_width(low.saturating_sub(high), high.saturating_sub(low))
        });
        self.compared.map_or(certain, |(low, high)| {
            certain.min(signed_width(low.into(), high.into()).saturating_add(self.margin))
        })
    }

    fn apply(&self, instruction: &Instruction) -> Instruction {
        let x = self.certain;
        let (op, precision) = match &instruction.op {
            Op::Relu => {
                let bits = self.certain().min(self.observed());
                (Op::Relu, self.precision(bits, 1))
            }
            op @ (Op::MaxPool { .. } | Op::ArgMax { .. }) => {
                (op.clone(), self.precision(self.differences(), 1))
            }
            Op::Truncate { shift, .. } => self.truncation(*shift),
            Op::AvgPool { geometry, .. } => match self.ranges.sums(geometry, x) {
                Some(sums) if sums.low >= 0 => {
                    (Op::AvgPool { geometry: *geometry, sign: Sign::NonNegative }, Precision::Full)
                }
                Some(sums) => {
                    let op = Op::AvgPool { geometry: *geometry, sign: Sign::Unknown };
                    (op, self.precision(sums.bits(), 1))
                }
                None => (Op::AvgPool { geometry: *geometry, sign: Sign::Unknown }, Precision::Full),
            },
            op => (op.clone(), Precision::Full),
        };
        Instruction { op, precision, ..instruction.clone() }
    }

    /// A known sign is worth more than fewer bits, and then more bits are cheaper than fewer.
    fn truncation(&self, shift: u32) -> (Op, Precision) {
        let x = self.certain;
        let (sign, bits) = if x.low >= 0 && x.view > shift {
            (Sign::NonNegative, x.view)
        } else {
            (Sign::Unknown, self.certain().min(self.observed()))
        };
        let precision = self.precision(bits, shift + 1);
        let sign = match self.ranges.seen(x, precision).low >= 0 {
            true => sign,
            false => Sign::Unknown,
        };
        (Op::Truncate { shift, sign }, precision)
    }
}
