//! Float against fixed point, layer by layer.
//!
//! Passes fold, move and merge operations, so the layers of the float graph and the instructions of
//! the program are not the same. What is compared is therefore the program with itself: once on
//! integers, once on floats with the float weights of the graph that it was lowered from. A
//! truncation on floats is the identity; every tensor then has its float counterpart.

use crate::backend::Backend;
use crate::cleartext::{run_observed, run_wide};
use crate::domain::{bits, with_domain};
use crate::executor::execute;
use crate::hlil::{Graph, interpret};
use crate::llil::{
    AxisGeometry, Broadcast, Instruction, Op, Precision, Rearrange, Sign, WeightId, WeightInfo,
};
use crate::lower::{Origin, lower};
use crate::passes::{self, PIPELINE};
use crate::program::{Program, PublicProgram};
use crate::{Error, Result, quantise};
use sci_core::Domain;
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};
use serde::Serialize;
use std::iter::repeat;

/// What one instruction computes on integers, against floats.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerDifference {
    /// The layer it belongs to.
    pub name: String,
    /// The operation.
    pub op: &'static str,
    /// The largest float, in magnitude.
    pub magnitude: f64,
    /// The largest difference.
    pub max_error: f64,
    /// The mean difference, in magnitude.
    pub mean_error: f64,
    /// Bits that this input needs of what the instruction looks at; 0 where it does not, `None` if
    /// the run over the integers left 64 bits.
    pub needed_bits: Option<u32>,
    /// Bits that it has: l, or fewer where the operation was narrowed.
    pub available_bits: u32,
}

impl LayerDifference {
    /// Whether the input leaves the range that the program was compiled for.
    pub fn overflows(&self) -> bool {
        self.needed_bits.is_none_or(|needed| needed > self.available_bits)
    }
}

/// Compares all instructions on one input. `graph` is what the program was compiled from.
///
/// # Errors
/// [`Error::Invalid`] if the input or the graph is not the program's, [`Error::Overflow`] if the input
/// does not fit its domain.
pub fn compare(graph: &Graph, program: &Program, input: &[f32]) -> Result<Vec<LayerDifference>> {
    let public = &program.public;
    let constants = Constants::of(graph, public)?;
    let mut floats = Vec::new();
    let mut backend = Floats { program: public, at: 0, constants: &constants, input };
    execute(public, &mut backend, |step| floats.push(step.value.clone()))?;
    let integers = quantise(input, public.scale, public.domain)?;
    let needed = match run_wide(program, &integers) {
        Ok(run) => Some(run.needed),
        Err(Error::Overflow { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut differences = Vec::new();
    run_observed(program, &integers, |step| {
        let index = matches!(step.instruction.op, Op::ArgMax { .. });
        let unit = 2f64.powi(-(step.instruction.output.scale as i32));
        let fixed = |&x: &u64| {
            let signed = with_domain!(public.domain, domain => domain.to_signed(x));
            if index { x as f64 } else { signed as f64 * unit }
        };
        let available_bits = available(step.instruction, bits(public.domain));
        let needed_bits = needed.as_ref().map(|x| x.get(step.index).copied().unwrap_or(0));
        let float = floats.get(step.index).map_or(&[][..], Vec::as_slice);
        let (mut magnitude, mut max_error, mut sum) = (0f64, 0f64, 0f64);
        for (float, fixed) in float.iter().zip(step.value.iter().map(fixed)) {
            let error = (f64::from(*float) - fixed).abs();
            magnitude = magnitude.max(f64::from(float.abs()));
            max_error = max_error.max(error);
            sum += error;
        }
        differences.push(LayerDifference {
            name: step.instruction.name.clone(),
            op: step.instruction.op.name(),
            magnitude,
            max_error,
            mean_error: sum / float.len().max(1) as f64,
            needed_bits,
            available_bits,
        });
    })?;
    Ok(differences)
}

/// The bits that an instruction looks at.
fn available(instruction: &Instruction, all: u32) -> u32 {
    match instruction.precision {
        Precision::Full => all,
        Precision::Bits(bits) => bits.min(all),
    }
}

/// The float weights, in the order of the program's.
struct Constants(Vec<Vec<f32>>);

impl Constants {
    /// Weights are declared in the order in which lowering meets them, and no later pass changes that. Names would not
    /// tell the two bounds of a clip, or a constant and its negative.
    fn of(graph: &Graph, program: &PublicProgram) -> Result<Self> {
        let graph = passes::run(graph.clone(), PIPELINE, |_, _| {})?;
        let lowered = lower(&graph, program.domain, program.scale, program.output_form)?;
        let origins = lowered.infos.iter().zip(&lowered.origins).map(Some).chain(repeat(None));
        let find = |(info, origin): (&WeightInfo, Option<(&WeightInfo, &Origin)>)| {
            let origin = origin.filter(|(lowered, _)| *lowered == info).map(|(_, origin)| origin);
            let tensor = origin.and_then(|origin| graph.constant(origin.id));
            let (Some(origin), Some(tensor)) = (origin, tensor) else {
                let expected = "a constant of the float graph";
                return Err(Error::invalid(info.name.clone(), expected, "none"));
            };
            let sign = if origin.negated { -1.0 } else { 1.0 };
            Ok(tensor.data().iter().map(|v| sign * v).collect())
        };
        Ok(Self(program.weights.iter().zip(origins).map(find).collect::<Result<_>>()?))
    }

    fn get(&self, id: WeightId) -> Result<&[f32]> {
        let found = self.0.get(id.index()).map(Vec::as_slice);
        found.ok_or_else(|| Error::Misuse(format!("no weight {id}")))
    }
}

/// An integer program on floats.
struct Floats<'a> {
    program: &'a PublicProgram,
    at: usize,
    constants: &'a Constants,
    input: &'a [f32],
}

fn pairwise(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> Result<Vec<f32>> {
    if x.len() != y.len() {
        return Err(Error::Misuse(format!("operands of {} and {}", x.len(), y.len())));
    }
    Ok(x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect())
}

impl Backend for Floats<'_> {
    type Secret = Vec<f32>;
    type Error = Error;

    fn enter_layer(&mut self, index: usize, _: &str, _: &'static str) -> Result<()> {
        self.at = index;
        Ok(())
    }

    fn input(&mut self, shape: &[usize]) -> Result<Vec<f32>> {
        let wanted: usize = shape.iter().product();
        if self.input.len() != wanted {
            let expected = format!("{wanted} numbers of shape {shape:?}");
            return Err(Error::invalid("input", expected, self.input.len()));
        }
        Ok(self.input.to_vec())
    }

    fn conv(
        &mut self,
        x: &Vec<f32>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<Vec<f32>> {
        let bias = bias.map(|id| self.constants.get(id)).transpose()?;
        interpret::conv(x, self.constants.get(weight)?, bias, geometry)
    }

    fn linear(
        &mut self,
        x: &Vec<f32>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<Vec<f32>> {
        let bias = bias.map(|id| self.constants.get(id)).transpose()?;
        Ok(interpret::linear(x, self.constants.get(weight)?, bias, geometry))
    }

    fn add(&mut self, x: &Vec<f32>, y: &Vec<f32>) -> Result<Vec<f32>> {
        pairwise(x, y, |x, y| x + y)
    }

    fn sub(&mut self, x: &Vec<f32>, y: &Vec<f32>) -> Result<Vec<f32>> {
        pairwise(x, y, |x, y| x - y)
    }

    fn scale_up(&mut self, x: &Vec<f32>, _: u32) -> Result<Vec<f32>> {
        Ok(x.clone())
    }

    fn mul_public(&mut self, x: &Vec<f32>, factor: i64) -> Result<Vec<f32>> {
        // The factor is part of the architecture: its float is the integer at its scale.
        let instruction = self.program.instructions.get(self.at);
        let scale = match instruction.map(|x| &x.op) {
            Some(Op::MulPublic { scale, .. }) => *scale,
            _ => 0,
        };
        let factor = factor as f32 / 2f32.powi(scale as i32);
        Ok(x.iter().map(|x| x * factor).collect())
    }

    fn add_weight(
        &mut self,
        x: &Vec<f32>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Vec<f32>> {
        pairwise(x, &broadcast.expand(self.constants.get(weight)?)?, |x, w| x + w)
    }

    fn mul_weight(
        &mut self,
        x: &Vec<f32>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Vec<f32>> {
        pairwise(x, &broadcast.expand(self.constants.get(weight)?)?, |x, w| x * w)
    }

    fn relu(&mut self, x: &Vec<f32>, _: Precision) -> Result<Vec<f32>> {
        Ok(x.iter().map(|x| x.max(0.0)).collect())
    }

    fn max_pool(
        &mut self,
        x: &Vec<f32>,
        geometry: &PoolGeometry,
        _: Precision,
    ) -> Result<Vec<f32>> {
        Ok(interpret::pool(x, geometry, |window, _| window.fold(f32::NEG_INFINITY, f32::max)))
    }

    fn avg_pool(
        &mut self,
        x: &Vec<f32>,
        geometry: &PoolGeometry,
        _: u32,
        _: Sign,
        _: Precision,
    ) -> Result<Vec<f32>> {
        Ok(interpret::pool(x, geometry, |window, divisor| window.sum::<f32>() / divisor as f32))
    }

    fn truncate(&mut self, x: &Vec<f32>, _: u32, _: Sign, _: Precision) -> Result<Vec<f32>> {
        Ok(x.clone())
    }

    fn arg_max(&mut self, x: &Vec<f32>, axis: &AxisGeometry, _: Precision) -> Result<Vec<f32>> {
        Ok(interpret::largest(x, axis).map(|best| best as f32).collect())
    }

    fn rearrange(&mut self, inputs: &[&Vec<f32>], rearrange: &Rearrange) -> Result<Vec<f32>> {
        let inputs: Vec<&[f32]> = inputs.iter().map(|x| x.as_slice()).collect();
        rearrange.apply(&inputs)
    }
}
