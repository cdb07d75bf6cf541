//! What is certain of every tensor, from the public program alone.
//!
//! A [`Range`] says: x mod 2^k, read as a signed number, lies in low..=high. For k = l that is x̂
//! itself. Additions and products are right mod 2^k, so that such a fact lives through linear layers
//! as long as the interval fits k bits; a truncation ends it and begins a new one over the whole
//! domain. Weights count with the bound that all factors share, addends with nothing: both parties
//! come to the same facts.
//!
//! Protocols rely on some of them: a truncation or division of known sign is another, cheaper protocol
//! that is right for no other sign, and the sign of a divided sum must be read in enough bits.
//! [`Ranges::push`] refuses an instruction that promises what does not follow.

use super::{Instruction, Op, Precision, Sign, TensorId, divides_by_shifting};
use crate::domain::{bits, signed_range};
use crate::{Error, Result};
use sci_core::AnyDomain;
use sci_core::geometry::PoolGeometry;

/// An interval of the signed view of the low `view` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Smallest.
    pub low: i128,
    /// Largest.
    pub high: i128,
    /// Of how many bits; those of the domain for all of it.
    pub view: u32,
}

impl Range {
    /// The smallest number of bits whose signed view holds the interval.
    pub fn bits(&self) -> u32 {
        signed_width(self.low, self.high)
    }
}

/// The smallest number of bits whose signed view holds both numbers.
pub(crate) fn signed_width(low: i128, high: i128) -> u32 {
    let magnitude = |v: i128| if v < 0 { !v } else { v };
    i128::BITS - magnitude(low).max(magnitude(high)).leading_zeros() + 1
}

/// The fewest bits that an operation of this kind can look at: one more than it drops.
pub(crate) fn least_bits(op: &Op) -> u32 {
    match op {
        Op::Truncate { shift, .. } => shift.saturating_add(1),
        Op::AvgPool { geometry, shift, .. } => {
            geometry.max_divisor().ilog2().saturating_add(*shift).saturating_add(1)
        }
        _ => 1,
    }
}

/// The facts of a program in the making.
#[derive(Clone, Debug)]
pub struct Ranges {
    domain: AnyDomain,
    weight_bits: u32,
    known: Vec<Range>,
    /// What a tensor is the ReLU of.
    relu_of: Vec<Option<TensorId>>,
}

impl Ranges {
    /// Of no instruction yet; every factor lies in -2^(b-1)..2^(b-1).
    pub fn new(domain: AnyDomain, weight_bits: u32) -> Self {
        Self { domain, weight_bits, known: Vec::new(), relu_of: Vec::new() }
    }

    /// The facts of a whole program.
    ///
    /// # Errors
    /// As [`Ranges::push`].
    pub fn of(domain: AnyDomain, weight_bits: u32, instructions: &[Instruction]) -> Result<Self> {
        let mut ranges = Self::new(domain, weight_bits);
        instructions.iter().try_for_each(|x| ranges.push(x).map(drop))?;
        Ok(ranges)
    }

    /// What is certain of a tensor.
    ///
    /// # Errors
    /// [`Error::Misuse`] if it is not defined.
    pub fn get(&self, id: TensorId) -> Result<Range> {
        let known = self.known.get(id.index()).copied();
        known.ok_or_else(|| Error::Misuse(format!("no range of {id}")))
    }

    /// Checks what an instruction promises and adds what it makes certain.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a precision that the operation or the domain does not have, a sign that
    /// is not certain, or too few bits for a sum that is divided.
    pub fn push(&mut self, instruction: &Instruction) -> Result<Range> {
        let Instruction { op, inputs, precision, .. } = instruction;
        let facts = inputs.iter().map(|id| self.get(*id)).collect::<Result<Vec<_>>>()?;
        self.check(op, *precision, &facts)?;
        let range = self.range(op, *precision, inputs, &facts);
        self.known.push(range);
        self.relu_of.push(inputs.first().copied().filter(|_| *op == Op::Relu));
        Ok(range)
    }

    fn domain_bits(&self) -> u32 {
        bits(self.domain)
    }

    /// Everything that fits a view.
    fn all(&self, view: u32) -> Range {
        let (low, high) = match view == self.domain_bits() {
            true => signed_range(self.domain),
            false => (-(1 << (view - 1)), (1 << (view - 1)) - 1),
        };
        Range { low, high, view }
    }

    /// An interval if it fits the view, otherwise everything.
    fn fit(&self, view: u32, low: Option<i128>, high: Option<i128>) -> Range {
        let all = self.all(view);
        match (low, high) {
            (Some(low), Some(high)) if all.low <= low && high <= all.high => {
                Range { low, high, view }
            }
            _ => all,
        }
    }

    fn width(&self, precision: Precision) -> u32 {
        match precision {
            Precision::Full => self.domain_bits(),
            Precision::Bits(bits) => bits.clamp(1, self.domain_bits()),
        }
    }

    /// A tensor as an operation of this precision sees it.
    pub fn seen(&self, x: Range, precision: Precision) -> Range {
        let view = self.width(precision);
        if view > x.view {
            return self.all(view);
        }
        self.fit(view, Some(x.low), Some(x.high))
    }

    /// The sums of a pooling, if it is certain that they do not wrap.
    pub fn sums(&self, geometry: &PoolGeometry, x: Range) -> Option<Range> {
        let taps = geometry.window().taps() as i128;
        let (low, high) = (x.low.min(0).checked_mul(taps)?, x.high.max(0).checked_mul(taps)?);
        let view = self.domain_bits();
        let all = self.all(view);
        let certain = x.view == view && all.low <= low && high <= all.high;
        let low = if x.low >= 0 { 0 } else { low };
        certain.then_some(Range { low, high, view })
    }

    fn check(&self, op: &Op, precision: Precision, inputs: &[Range]) -> Result<()> {
        if let Precision::Bits(bits) = precision {
            let narrow = matches!(
                op,
                Op::Relu
                    | Op::MaxPool { .. }
                    | Op::AvgPool { .. }
                    | Op::Truncate { .. }
                    | Op::ArgMax { .. }
            );
            let least = least_bits(op);
            let ring = matches!(self.domain, AnyDomain::Ring(_));
            if !narrow || !ring || !(least..self.domain_bits()).contains(&bits) {
                let expected = format!("all bits of {} or, where signs matter, fewer", self.domain);
                return Err(Error::invalid("significant bits", expected, bits));
            }
        }
        let Some(&x) = inputs.first() else { return Ok(()) };
        let (certain, promised) = match op {
            Op::Truncate { sign, .. } => {
                (self.seen(x, precision).low >= 0, *sign == Sign::NonNegative)
            }
            Op::AvgPool { geometry, shift, sign } => {
                let sums = self.sums(geometry, x);
                let fits = |sums: Range| sums.bits() <= self.width(precision);
                let signed = *sign == Sign::NonNegative;
                let certain = sums.is_some_and(|sums| fits(sums) && (!signed || sums.low >= 0));
                let narrow = precision != Precision::Full && !divides_by_shifting(geometry, *shift);
                (certain, signed || narrow)
            }
            _ => return Ok(()),
        };
        if promised && !certain {
            let expected = "a sign and a number of bits that follow from the program";
            return Err(Error::invalid(op.name(), expected, "a promise that does not"));
        }
        Ok(())
    }

    fn range(&self, op: &Op, precision: Precision, ids: &[TensorId], inputs: &[Range]) -> Range {
        let whole = self.domain_bits();
        let factor = self.factor();
        match (op, inputs) {
            (Op::Add, &[x, y]) => {
                let (x, y, view) = self.common(x, y);
                self.fit(view, x.low.checked_add(y.low), x.high.checked_add(y.high))
            }
            (Op::Sub, &[x, y]) => match self.negative_part(ids, x, y) {
                Some(range) => range,
                None => {
                    let (x, y, view) = self.common(x, y);
                    self.fit(view, x.low.checked_sub(y.high), x.high.checked_sub(y.low))
                }
            },
            (Op::ScaleUp { shift }, &[x]) => self.times(x, 1 << shift, 1 << shift),
            (Op::MulPublic { factor, .. }, &[x]) => {
                self.times(x, i128::from(*factor), i128::from(*factor))
            }
            (Op::MulWeight { .. }, &[x]) => self.times(x, factor.0, factor.1),
            (Op::Conv { bias: None, geometry, .. }, &[x]) => self.products(x, geometry.patch_len()),
            (Op::Linear { bias: None, geometry, .. }, &[x]) => self.products(x, geometry.inner()),
            (Op::Relu, &[x]) => {
                let seen = self.seen(x, precision);
                // Where the bits suffice, more bits than those are right as well.
                let exact = (seen.low, seen.high) == (x.low, x.high) && seen.view <= x.view;
                let view = if exact { x.view } else { seen.view };
                Range { low: seen.low.max(0), high: seen.high.max(0), view }
            }
            // y + ReLU(x - y) is x or y, however the sign was read.
            (Op::MaxPool { .. }, &[x])
            | (Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. }, &[x]) => x,
            (Op::AvgPool { geometry, shift, .. }, &[x]) => {
                self.averages(geometry, *shift, precision, x)
            }
            (Op::Truncate { shift, .. }, &[x]) => {
                let x = self.seen(x, precision);
                let shift = (*shift).min(127);
                Range { low: x.low >> shift, high: x.high >> shift, view: whole }
            }
            (Op::Concat { .. }, &[first, ref rest @ ..]) => rest.iter().fold(first, |x, &y| {
                let (x, y, view) = self.common(x, y);
                Range { low: x.low.min(y.low), high: x.high.max(y.high), view }
            }),
            (Op::Pad { .. }, &[x]) => Range { low: x.low.min(0), high: x.high.max(0), ..x },
            _ => self.all(whole),
        }
    }

    /// The quotients of a pooling. An average lies between the numbers that it is of, and 0 if padding
    /// counts.
    fn averages(
        &self,
        geometry: &PoolGeometry,
        shift: u32,
        precision: Precision,
        x: Range,
    ) -> Range {
        let whole = self.domain_bits();
        let all = self.all(self.width(precision));
        let average = match self.sums(geometry, x) {
            Some(sums) if sums.bits() <= all.bits() => (x.low.min(0), x.high.max(0)),
            _ => {
                let divisor = i128::from(geometry.uniform_divisor().unwrap_or(1));
                (all.low.div_euclid(divisor), all.high.div_euclid(divisor))
            }
        };
        let shift = shift.min(127);
        Range { low: average.0 >> shift, high: average.1 >> shift, view: whole }
    }

    /// Both in the bits that both are known in.
    fn common(&self, x: Range, y: Range) -> (Range, Range, u32) {
        let view = x.view.min(y.view);
        let seen = |x: Range| self.fit(view, Some(x.low), Some(x.high));
        (seen(x), seen(y), view)
    }

    /// ReLU(x) - x is at least 0, unless x is the one number without a negative.
    fn negative_part(&self, ids: &[TensorId], relu: Range, x: Range) -> Option<Range> {
        let &[of, operand] = ids else { return None };
        if self.relu_of.get(of.index()).copied().flatten() != Some(operand) {
            return None;
        }
        let view = relu.view;
        let x =
            if view > x.view { self.all(view) } else { self.fit(view, Some(x.low), Some(x.high)) };
        let high = x.low.min(0).checked_neg()?;
        (high <= self.all(view).high).then_some(Range { low: 0, high, view })
    }

    fn factor(&self) -> (i128, i128) {
        let half = 1i128 << (self.weight_bits.clamp(1, 64) - 1);
        (-half, half - 1)
    }

    fn times(&self, x: Range, low: i128, high: i128) -> Range {
        let corners = [(x.low, low), (x.low, high), (x.high, low), (x.high, high)];
        let products: Option<Vec<i128>> =
            corners.into_iter().map(|(a, b)| a.checked_mul(b)).collect();
        let low = products.as_ref().and_then(|p| p.iter().min().copied());
        let high = products.as_ref().and_then(|p| p.iter().max().copied());
        self.fit(x.view, low, high)
    }

    /// Sums of products with factors.
    fn products(&self, x: Range, terms: usize) -> Range {
        let (low, high) = self.factor();
        // Padding puts zeros among the terms.
        let x = Range { low: x.low.min(0), high: x.high.max(0), ..x };
        let Range { low, high, view } = self.times(x, low, high);
        self.fit(view, low.checked_mul(terms as i128), high.checked_mul(terms as i128))
    }
}
