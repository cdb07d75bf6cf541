//! The backend that defines what a program computes, bit by bit.
//!
//! Everything wraps in the domain and every operation is written from its definition at
//! [`crate::llil::Op`]; shares, chunks and protocols do not occur here. Linear layers go through a
//! blocked product that computes the same integers modulo the domain in another order. [`run_wide`]
//! runs a program over the integers and says which bitwidth it needs.

mod derived;
pub mod product;
mod wide;

pub(crate) use derived::derived;
pub use wide::{WideRun, run_wide};

use crate::backend::Backend;
use crate::domain::{signed_range, with_domain};
use crate::executor::{Step, execute};
use crate::llil::{AxisGeometry, Broadcast, Precision, Rearrange, Sign, WeightId};
use crate::program::{Program, PublicProgram, Weights};
use crate::{Error, Result};
use product::{Factors, Width};
use sci_core::Domain;
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};
use zeroize::Zeroizing;

/// Plain values in a domain.
#[derive(Debug)]
pub struct Cleartext<'a, D: Domain> {
    domain: D,
    public: &'a PublicProgram,
    weights: &'a Weights,
    input: &'a [i64],
    fuses: bool,
}

/// Runs a program on an input of signed integers; returns the signed view of its output.
///
/// # Errors
/// [`Error::Invalid`], [`Error::Overflow`] if the input does not fit the program.
pub fn run(program: &Program, input: &[i64]) -> Result<Vec<i64>> {
    run_observed(program, input, |_| {})
}

/// [`run`], calling `observe` with the representatives of every intermediate tensor.
///
/// # Errors
/// As [`run`].
pub fn run_observed(
    program: &Program,
    input: &[i64],
    observe: impl FnMut(Step<'_, Vec<u64>>),
) -> Result<Vec<i64>> {
    run_as(program, input, false, observe)
}

/// [`run_observed`] as a backend executes the program that may fuse truncations with the ReLUs in front: the same
/// output, and between a ReLU and its truncation what is truncated already.
///
/// # Errors
/// As [`run`].
pub fn run_as(
    program: &Program,
    input: &[i64],
    fuses: bool,
    observe: impl FnMut(Step<'_, Vec<u64>>),
) -> Result<Vec<i64>> {
    let Program { public, weights } = program;
    with_domain!(public.domain, domain => {
        let mut backend = Cleartext { domain, public, weights, input, fuses };
        let output = execute(public, &mut backend, observe)?;
        Ok(output.into_iter().map(|x| signed(public, domain, x)).collect())
    })
}

/// Indices are representatives, all else is signed.
fn signed<D: Domain>(public: &PublicProgram, domain: D, x: u64) -> i64 {
    match public.output_form {
        crate::program::OutputForm::ArgMax => x as i64,
        crate::program::OutputForm::Logits => domain.to_signed(x),
    }
}

/// The signed view of an element, or of its low bits. (Only rings have a precision of their own.)
fn view<D: Domain>(domain: D, x: u64, precision: Precision) -> i64 {
    match precision {
        Precision::Full => domain.to_signed(x),
        Precision::Bits(bits) => {
            let unused = 64 - bits.clamp(1, 64);
            ((x << unused) as i64) >> unused
        }
    }
}

/// ReLU of one element.
fn relu<D: Domain>(domain: D, x: u64, precision: Precision) -> u64 {
    if view(domain, x, precision) >= 0 { x } else { 0 }
}

/// max(x, y) = y + ReLU(x - y).
fn max<D: Domain>(domain: D, x: u64, y: u64, precision: Precision) -> u64 {
    domain.add(y, relu(domain, domain.sub(x, y), precision))
}

/// Reduces neighbours left to right until one is left; an odd last element is carried up.
fn tree<T: Copy>(items: &mut Vec<T>, mut join: impl FnMut(T, T) -> T) -> Option<T> {
    while items.len() > 1 {
        let pairs = items.len() / 2;
        for i in 0..pairs {
            items[i] = join(items[2 * i], items[2 * i + 1]);
        }
        if items.len() % 2 == 1 {
            items[pairs] = items[items.len() - 1];
        }
        items.truncate(pairs + items.len() % 2);
    }
    items.first().copied()
}

impl<D: Domain> Cleartext<'_, D> {
    fn weight(&self, id: WeightId) -> Result<Zeroizing<Vec<i64>>> {
        Ok(Zeroizing::new(self.weights.get(id)?.to_signed()))
    }

    fn factors<'w>(&self, values: &'w [i64]) -> Factors<'w> {
        Factors { values, bits: self.public.weight_bits }
    }

    fn bias(&self, id: Option<WeightId>) -> Result<Option<Zeroizing<Vec<u64>>>> {
        let data = id.map(|id| self.weights.get(id)).transpose()?;
        Ok(data.map(|data| Zeroizing::new(data.to_domain(self.domain))))
    }

    fn pairwise(&self, x: &[u64], y: &[u64], f: impl Fn(u64, u64) -> u64) -> Result<Vec<u64>> {
        if x.len() != y.len() {
            return Err(Error::Misuse(format!("operands of {} and {}", x.len(), y.len())));
        }
        Ok(x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect())
    }
}

impl<D: Domain> Backend for Cleartext<'_, D> {
    type Secret = Vec<u64>;
    type Error = Error;

    fn fuses_truncation(&self) -> bool {
        self.fuses
    }

    fn enter_layer(&mut self, _: usize, _: &str, _: &'static str) -> Result<()> {
        Ok(())
    }

    fn input(&mut self, shape: &[usize]) -> Result<Vec<u64>> {
        let wanted: usize = shape.iter().product();
        if self.input.len() != wanted {
            let expected = format!("{wanted} numbers of shape {shape:?}");
            return Err(Error::invalid("input", expected, self.input.len()));
        }
        let (low, high) = signed_range(self.public.domain);
        if let Some(&x) = self.input.iter().find(|&&x| !(low..=high).contains(&i128::from(x))) {
            let bound = if x < 0 { !x as u64 } else { x as u64 };
            return Err(Error::Overflow {
                tensor: "input".into(),
                what: format!("a value does not fit {}", self.domain),
                bitwidth: Some(crate::domain::signed_bits(bound.into())),
            });
        }
        Ok(self.input.iter().map(|&x| self.domain.from_signed(x)).collect())
    }

    fn conv(
        &mut self,
        x: &Vec<u64>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<Vec<u64>> {
        let bias = self.bias(bias)?;
        let bias = bias.as_ref().map(|bias| bias.as_slice());
        let own = self.weight(weight)?;
        let factors = self.factors(&own);
        product::conv(self.domain, x, Width::Measured, factors, bias, geometry)
    }

    fn linear(
        &mut self,
        x: &Vec<u64>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<Vec<u64>> {
        let bias = self.bias(bias)?;
        let bias = bias.as_ref().map(|bias| bias.as_slice());
        let own = self.weight(weight)?;
        let factors = self.factors(&own);
        product::linear(self.domain, x, Width::Measured, factors, bias, geometry)
    }

    fn add(&mut self, x: &Vec<u64>, y: &Vec<u64>) -> Result<Vec<u64>> {
        self.pairwise(x, y, |x, y| self.domain.add(x, y))
    }

    fn sub(&mut self, x: &Vec<u64>, y: &Vec<u64>) -> Result<Vec<u64>> {
        self.pairwise(x, y, |x, y| self.domain.sub(x, y))
    }

    fn mul_public(&mut self, x: &Vec<u64>, factor: i64) -> Result<Vec<u64>> {
        let factor = self.domain.from_signed(factor);
        Ok(x.iter().map(|&x| self.domain.mul(x, factor)).collect())
    }

    fn add_weight(
        &mut self,
        x: &Vec<u64>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Vec<u64>> {
        let w = Zeroizing::new(self.weights.get(weight)?.to_domain(self.domain));
        let w = Zeroizing::new(broadcast.expand(&w)?);
        self.pairwise(x, &w, |x, w| self.domain.add(x, w))
    }

    fn mul_weight(
        &mut self,
        x: &Vec<u64>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Vec<u64>> {
        let w = Zeroizing::new(self.weights.get(weight)?.to_domain(self.domain));
        let w = Zeroizing::new(broadcast.expand(&w)?);
        self.pairwise(x, &w, |x, w| self.domain.mul(x, w))
    }

    fn relu(&mut self, x: &Vec<u64>, precision: Precision) -> Result<Vec<u64>> {
        Ok(x.iter().map(|&x| relu(self.domain, x, precision)).collect())
    }

    fn max_pool(
        &mut self,
        x: &Vec<u64>,
        geometry: &PoolGeometry,
        precision: Precision,
    ) -> Result<Vec<u64>> {
        if x.len() != geometry.input_len() {
            return Err(Error::Misuse(format!("{} inputs for {geometry:?}", x.len())));
        }
        let mut out = Vec::with_capacity(geometry.output_len());
        let mut window = Vec::new();
        for plane in x.chunks_exact(geometry.input_plane()) {
            for position in 0..geometry.positions() {
                window.clear();
                window.extend(geometry.members(position).map(|i| plane[i]));
                out.extend(tree(&mut window, |x, y| max(self.domain, x, y, precision)));
            }
        }
        Ok(out)
    }

    fn avg_pool(
        &mut self,
        x: &Vec<u64>,
        geometry: &PoolGeometry,
        shift: u32,
        _: Sign,
        precision: Precision,
    ) -> Result<Vec<u64>> {
        let mut sums = geometry.sums(self.domain, x)?;
        for plane in sums.chunks_mut(geometry.positions()) {
            for (position, sum) in plane.iter_mut().enumerate() {
                // A divisor counts taps, at most 2^31; floor(floor(S/d)/2^s) = floor(S/(d·2^s)).
                let divisor = geometry.divisor(position) as i64;
                let average = view(self.domain, *sum, precision).div_euclid(divisor);
                *sum = self.domain.from_signed(average >> shift.min(63));
            }
        }
        Ok(sums)
    }

    fn truncate(
        &mut self,
        x: &Vec<u64>,
        shift: u32,
        _: Sign,
        precision: Precision,
    ) -> Result<Vec<u64>> {
        let shift = shift.min(63);
        let one = |&x: &u64| self.domain.from_signed(view(self.domain, x, precision) >> shift);
        Ok(x.iter().map(one).collect())
    }

    fn arg_max(
        &mut self,
        x: &Vec<u64>,
        axis: &AxisGeometry,
        precision: Precision,
    ) -> Result<Vec<u64>> {
        let AxisGeometry { outer, len, inner } = *axis;
        if x.len() != outer * len * inner {
            return Err(Error::Misuse(format!("{} inputs for {axis:?}", x.len())));
        }
        let domain = self.domain;
        let mut out = Vec::with_capacity(outer * inner);
        let mut items = Vec::with_capacity(len);
        for block in x.chunks_exact(len * inner) {
            for i in 0..inner {
                items.clear();
                items.extend((0..len).map(|k| (block[k * inner + i], k as u64)));
                let best = tree(&mut items, |(x, i), (y, j)| {
                    let left = view(domain, domain.sub(x, y), precision) >= 0;
                    (max(domain, x, y, precision), if left { i } else { j })
                });
                out.extend(best.map(|(_, index)| index));
            }
        }
        Ok(out)
    }

    fn rearrange(&mut self, inputs: &[&Vec<u64>], rearrange: &Rearrange) -> Result<Vec<u64>> {
        let inputs: Vec<&[u64]> = inputs.iter().map(|x| x.as_slice()).collect();
        rearrange.apply(&inputs)
    }
}
