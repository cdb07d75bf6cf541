//! Running a program over the integers: which bitwidth it needs, exactly.
//!
//! Nothing wraps here. Reduction modulo 2^l commutes with sums and products, so a run over Z_2^l
//! differs from this one only where an operation looks at the signed view: comparisons (ReLU, the
//! differences of MaxPool and ArgMax), truncations, the sums that an average divides, the input and
//! the logits. It computes the same numbers if all those operands fit l bits, so one run gives the
//! least bitwidth for an input. With a bit less some sign or quotient is wrong (but for the smallest
//! number itself, whose ReLU is 0 by accident), though later layers may forget it. A sum that wraps
//! and is not looked at before it wraps back, as in x + y - z, costs nothing.

use super::product::{self, Factors, Sums, magnitude_bits};
use super::tree;
use crate::backend::Backend;
use crate::domain::signed_bits;
use crate::executor::execute;
use crate::llil::{AxisGeometry, Broadcast, Precision, Rearrange, Sign, WeightId};
use crate::program::{OutputForm, Program, PublicProgram, Weights};
use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};
use zeroize::Zeroizing;

/// What a run over the integers found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WideRun {
    /// As from [`super::run`] with enough bits.
    pub output: Vec<i64>,
    /// The least l for which the run over Z_2^l is this one.
    pub bitwidth: u32,
    /// The bits that each instruction needs of what it looks at; 0 where it does not.
    pub needed: Vec<u32>,
    /// The smallest and largest value of each tensor.
    pub ranges: Vec<(i64, i64)>,
}

/// Runs a program over the integers. The program's own domain plays no part, and the precision of its
/// instructions none either: where an instruction looks at fewer bits than it needs, `needed` says so.
///
/// # Errors
/// [`Error::Overflow`] if a value needs more than 64 bits; [`Error::Invalid`] if the input does not fit
/// the program.
pub fn run_wide(program: &Program, input: &[i64]) -> Result<WideRun> {
    let Program { public, weights } = program;
    let count = public.instructions.len();
    let mut wide = Wide { public, weights, input, at: 0, needed: vec![0; count] };
    let mut ranges = Vec::with_capacity(count);
    let output = execute(public, &mut wide, |step| ranges.push(range(step.value)))?;
    let mut bitwidth = wide.needed.iter().copied().max().unwrap_or(1).max(1);
    if public.output_form == OutputForm::Logits {
        bitwidth = bitwidth.max(bits_of(range(&output)));
    }
    Ok(WideRun { output, bitwidth, needed: wide.needed, ranges })
}

fn range(values: &[i64]) -> (i64, i64) {
    let start = values.first().copied().unwrap_or(0);
    values.iter().fold((start, start), |(low, high), &v| (low.min(v), high.max(v)))
}

/// The bits of a signed number that holds both ends.
fn bits_of((low, high): (i64, i64)) -> u32 {
    let magnitude = |v: i64| (v ^ (v >> 63)) as u64;
    signed_bits(magnitude(low).max(magnitude(high)).into())
}

/// The integers, in 64 bits; more is an error.
#[derive(Clone, Copy)]
struct Integers;

impl Sums for Integers {
    type Word = i128;
    type Element = i64;
    type Weight = u32;

    fn weight(self, shift: u32) -> Option<u32> {
        Some(shift)
    }

    #[inline(always)]
    fn add(self, word: i128, partial: i64, shift: u32) -> i128 {
        // `Wide::fits` has bounded the whole sum.
        word + (i128::from(partial) << shift)
    }

    #[inline(always)]
    fn add_product(self, word: i128, w: i64, x: i64) -> i128 {
        word + i128::from(w) * i128::from(x)
    }

    #[inline(always)]
    fn finish(self, word: i128, bias: i64) -> Result<i64> {
        i64::try_from(word + i128::from(bias)).map_err(|_| beyond())
    }
}

fn beyond() -> Error {
    Error::Overflow {
        tensor: "a sum".into(),
        what: "needs more than 64 bits".into(),
        bitwidth: None,
    }
}

struct Wide<'a> {
    public: &'a PublicProgram,
    weights: &'a Weights,
    input: &'a [i64],
    at: usize,
    needed: Vec<u32>,
}

impl Wide<'_> {
    /// The current instruction looks at these.
    fn looks_at(&mut self, values: (i64, i64)) {
        if let Some(needed) = self.needed.get_mut(self.at) {
            *needed = bits_of(values).max(*needed);
        }
    }

    fn values(&self, id: WeightId) -> Result<Zeroizing<Vec<i64>>> {
        Ok(Zeroizing::new(self.weights.get(id)?.to_signed()))
    }

    fn bias(&self, id: Option<WeightId>) -> Result<Option<Zeroizing<Vec<i64>>>> {
        id.map(|id| self.values(id)).transpose()
    }

    /// Refuses products whose sums might leave 127 bits.
    fn fits(&self, x: &[i64], terms: usize) -> Result<()> {
        let log_terms = usize::BITS - terms.leading_zeros();
        let bits = self.public.weight_bits + bits_of(range(x)) + log_terms;
        self.named(if bits < i128::BITS { Ok(()) } else { Err(beyond()) })
    }

    fn named<T>(&self, result: Result<T>) -> Result<T> {
        let name = self.public.instructions.get(self.at).map_or("", |x| x.name.as_str());
        result.map_err(|e| e.at(name))
    }

    fn pairwise(
        &self,
        x: &[i64],
        y: &[i64],
        f: impl Fn(i64, i64) -> Option<i64>,
    ) -> Result<Vec<i64>> {
        if x.len() != y.len() {
            return Err(Error::Misuse(format!("operands of {} and {}", x.len(), y.len())));
        }
        let all: Option<Vec<i64>> = x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect();
        self.named(all.ok_or_else(beyond))
    }
}

impl Backend for Wide<'_> {
    type Secret = Vec<i64>;
    type Error = Error;

    fn enter_layer(&mut self, index: usize, _: &str, _: &'static str) -> Result<()> {
        self.at = index;
        Ok(())
    }

    fn input(&mut self, shape: &[usize]) -> Result<Vec<i64>> {
        let wanted: usize = shape.iter().product();
        if self.input.len() != wanted {
            let expected = format!("{wanted} numbers of shape {shape:?}");
            return Err(Error::invalid("input", expected, self.input.len()));
        }
        self.looks_at(range(self.input));
        Ok(self.input.to_vec())
    }

    fn conv(
        &mut self,
        x: &Vec<i64>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<Vec<i64>> {
        let (values, bias) = (self.values(weight)?, self.bias(bias)?);
        let factors = Factors { values: &values, bits: self.public.weight_bits };
        let bias = bias.as_ref().map(|bias| bias.as_slice());
        self.fits(x, geometry.patch_len())?;
        self.named(product::conv_by(Integers, x, magnitude_bits(x), factors, bias, geometry))
    }

    fn linear(
        &mut self,
        x: &Vec<i64>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<Vec<i64>> {
        let (values, bias) = (self.values(weight)?, self.bias(bias)?);
        let factors = Factors { values: &values, bits: self.public.weight_bits };
        let bias = bias.as_ref().map(|bias| bias.as_slice());
        self.fits(x, geometry.inner())?;
        self.named(product::linear_by(Integers, x, magnitude_bits(x), factors, bias, geometry))
    }

    fn add(&mut self, x: &Vec<i64>, y: &Vec<i64>) -> Result<Vec<i64>> {
        self.pairwise(x, y, i64::checked_add)
    }

    fn sub(&mut self, x: &Vec<i64>, y: &Vec<i64>) -> Result<Vec<i64>> {
        self.pairwise(x, y, i64::checked_sub)
    }

    fn mul_public(&mut self, x: &Vec<i64>, factor: i64) -> Result<Vec<i64>> {
        let all: Option<Vec<i64>> = x.iter().map(|x| x.checked_mul(factor)).collect();
        self.named(all.ok_or_else(beyond))
    }

    fn add_weight(
        &mut self,
        x: &Vec<i64>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Vec<i64>> {
        let w = Zeroizing::new(broadcast.expand(&self.values(weight)?)?);
        self.pairwise(x, &w, i64::checked_add)
    }

    fn mul_weight(
        &mut self,
        x: &Vec<i64>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Vec<i64>> {
        let w = Zeroizing::new(broadcast.expand(&self.values(weight)?)?);
        self.pairwise(x, &w, i64::checked_mul)
    }

    fn relu(&mut self, x: &Vec<i64>, _: Precision) -> Result<Vec<i64>> {
        self.looks_at(range(x));
        Ok(x.iter().map(|&x| x.max(0)).collect())
    }

    fn max_pool(
        &mut self,
        x: &Vec<i64>,
        geometry: &PoolGeometry,
        _: Precision,
    ) -> Result<Vec<i64>> {
        if x.len() != geometry.input_len() {
            return Err(Error::Misuse(format!("{} inputs for {geometry:?}", x.len())));
        }
        let mut out = Vec::with_capacity(geometry.output_len());
        let (mut window, mut differences) = (Vec::new(), (0, 0));
        for plane in x.chunks_exact(geometry.input_plane()) {
            for position in 0..geometry.positions() {
                window.clear();
                window.extend(geometry.members(position).map(|i| plane[i]));
                out.extend(tree(&mut window, |x, y| {
                    differences = widen(differences, x, y);
                    x.max(y)
                }));
            }
        }
        self.compared(differences)?;
        Ok(out)
    }

    fn avg_pool(
        &mut self,
        x: &Vec<i64>,
        geometry: &PoolGeometry,
        shift: u32,
        _: Sign,
        _: Precision,
    ) -> Result<Vec<i64>> {
        if x.len() != geometry.input_len() {
            return Err(Error::Misuse(format!("{} inputs for {geometry:?}", x.len())));
        }
        let mut out = Vec::with_capacity(geometry.output_len());
        let mut sums = (0, 0);
        for plane in x.chunks_exact(geometry.input_plane()) {
            for position in 0..geometry.positions() {
                // At most 2^31 members of 64 bits.
                let sum: i128 = geometry.members(position).map(|i| i128::from(plane[i])).sum();
                let sum = self.named(i64::try_from(sum).map_err(|_| beyond()))?;
                sums = (sums.0.min(sum), sums.1.max(sum));
                out.push(sum.div_euclid(geometry.divisor(position) as i64) >> shift.min(63));
            }
        }
        self.looks_at(sums);
        Ok(out)
    }

    fn truncate(&mut self, x: &Vec<i64>, shift: u32, _: Sign, _: Precision) -> Result<Vec<i64>> {
        self.looks_at(range(x));
        Ok(x.iter().map(|&x| x >> shift.min(63)).collect())
    }

    fn arg_max(&mut self, x: &Vec<i64>, axis: &AxisGeometry, _: Precision) -> Result<Vec<i64>> {
        let AxisGeometry { outer, len, inner } = *axis;
        if x.len() != outer * len * inner {
            return Err(Error::Misuse(format!("{} inputs for {axis:?}", x.len())));
        }
        let mut out = Vec::with_capacity(outer * inner);
        let (mut items, mut differences) = (Vec::with_capacity(len), (0, 0));
        for block in x.chunks_exact(len * inner) {
            for i in 0..inner {
                items.clear();
                items.extend((0..len).map(|k| (block[k * inner + i], k as i64)));
                let best = tree(&mut items, |(x, i), (y, j)| {
                    differences = widen(differences, x, y);
                    if x >= y { (x, i) } else { (y, j) }
                });
                out.extend(best.map(|(_, index)| index));
            }
        }
        self.compared(differences)?;
        Ok(out)
    }

    fn rearrange(&mut self, inputs: &[&Vec<i64>], rearrange: &Rearrange) -> Result<Vec<i64>> {
        let inputs: Vec<&[i64]> = inputs.iter().map(|x| x.as_slice()).collect();
        rearrange.apply(&inputs)
    }
}

/// A range of differences that holds x - y as well.
fn widen((low, high): (i128, i128), x: i64, y: i64) -> (i128, i128) {
    let difference = i128::from(x) - i128::from(y);
    (low.min(difference), high.max(difference))
}

impl Wide<'_> {
    /// The current instruction looks at differences.
    fn compared(&mut self, (low, high): (i128, i128)) -> Result<()> {
        let both = i64::try_from(low).and_then(|low| Ok((low, i64::try_from(high)?)));
        let both = self.named(both.map_err(|_| beyond()))?;
        self.looks_at(both);
        Ok(())
    }
}
