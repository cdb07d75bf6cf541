//! The layers of a program that lattice encryption computes.

use super::{Assignment, Engine, factor, factor_bits};
use athos::llil::Op;
use athos::{PublicProgram, Result};
use sci_core::{Cost, Domain, Error};
use sci_he::coefficient::Layer;
use sci_he::params;
use sci_he::session::Setup;

/// What the flooding of responses promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privacy {
    /// A statistical distance of 2^-40 for all that a session sends.
    #[default]
    Run,
    /// 2^-40 for each coefficient.
    Coefficient,
}

/// Outputs of products that every session may have at least: those of the largest networks of the papers.
const LOG2_OUTPUTS: u32 = 24;
/// Inputs of a session that a larger network may have at least.
const LOG2_INPUTS: u32 = 4;

impl Privacy {
    /// As in options and parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Coefficient => "coefficient",
        }
    }

    /// For a program: flooding that covers all of a session.
    fn parameters(self, program: &PublicProgram) -> params::Privacy {
        match self {
            Self::Run => params::Privacy::Run { log2_outputs: log2_outputs(program) },
            Self::Coefficient => params::Privacy::Coefficient,
        }
    }

    /// How many inputs a session may have before what is promised no longer holds.
    pub fn most_inputs(self, program: &PublicProgram) -> u64 {
        match self {
            Self::Run => (1u64 << log2_outputs(program)) / outputs(program).max(1),
            Self::Coefficient => u64::MAX,
        }
    }

    /// k such that what a session of so many inputs sends is within 2^-k of what says nothing about the weights.
    pub fn session_bits(self, program: &PublicProgram, inputs: u64) -> f64 {
        let sent = (outputs(program).max(1) as f64 * inputs.max(1) as f64).log2();
        f64::from(self.parameters(program).flood_bits()) - sent
    }
}

/// Outputs of all products of an inference.
fn outputs(program: &PublicProgram) -> u64 {
    let products = program.instructions.iter().filter(|i| factor(&i.op).is_some());
    products.map(|i| i.output.len() as u64).sum()
}

fn log2_outputs(program: &PublicProgram) -> u32 {
    let log2 = u64::BITS - outputs(program).saturating_sub(1).leading_zeros();
    (log2 + LOG2_INPUTS).clamp(LOG2_OUTPUTS, 60)
}

/// The layer of an instruction; `None` for what is no product that lattices compute.
///
/// # Errors
/// [`Error::InvalidInput`] where no parameters hold it.
pub fn candidate<D: Domain>(
    program: &PublicProgram,
    domain: D,
    privacy: Privacy,
    instruction: usize,
) -> Result<Option<Layer<D>>> {
    let Some(instruction) = program.instructions.get(instruction) else { return Ok(None) };
    let Some(weight) = factor(&instruction.op) else { return Ok(None) };
    let bound = 1u64 << (factor_bits(program, weight)?.clamp(1, 64) - 1);
    let privacy = privacy.parameters(program);
    let layer = match &instruction.op {
        Op::Conv { geometry, .. } => Layer::conv(geometry, domain, bound, privacy)?,
        Op::Linear { geometry, .. } => Layer::fully_connected(geometry, domain, bound, privacy)?,
        _ => return Ok(None),
    };
    Ok(Some(layer))
}

/// The layers of a program that lattice encryption computes, with the keys that they need. Public.
#[derive(Debug)]
pub struct Lattice<D: Domain> {
    layers: Vec<Option<Layer<D>>>,
    setup: Option<Setup<D>>,
}

impl<D: Domain> Lattice<D> {
    /// Plans the products that are assigned to [`Engine::He`].
    ///
    /// # Errors
    /// Names the first layer that has no parameters.
    pub fn plan(
        program: &PublicProgram,
        domain: D,
        assignment: &Assignment,
        privacy: Privacy,
    ) -> Result<Self> {
        let engines = assignment.by_instruction(program).into_iter().enumerate();
        let layers = engines.map(|(at, engine)| match engine {
            Some(Engine::He) => {
                let name = program.instructions.get(at).map_or("", |i| i.name.as_str());
                let unsupported = |why: &dyn std::fmt::Display| {
                    let what = format!("layer {name} by lattice encryption");
                    Error::invalid(what, "a product that has parameters", why)
                };
                match candidate(program, domain, privacy, at) {
                    Ok(Some(layer)) => Ok(Some(layer)),
                    Ok(None) => Err(unsupported(&"an operation of another kind").into()),
                    Err(error) => Err(unsupported(&error).into()),
                }
            }
            _ => Ok(None),
        });
        Ok(Self::of(layers.collect::<Result<_>>()?))
    }

    /// Of layers by instruction.
    pub fn of(layers: Vec<Option<Layer<D>>>) -> Self {
        let any = layers.iter().any(Option::is_some);
        let setup = any.then(|| Setup::new(layers.iter().flatten()));
        Self { layers, setup }
    }

    /// The layer of an instruction.
    pub fn layer(&self, instruction: usize) -> Option<&Layer<D>> {
        self.layers.get(instruction).and_then(Option::as_ref)
    }

    /// By instruction.
    pub fn layers(&self) -> &[Option<Layer<D>>] {
        &self.layers
    }

    /// What keys they need, if there are any layers.
    pub fn setup(&self) -> Option<&Setup<D>> {
        self.setup.as_ref()
    }

    /// Payload of the keys, once a session.
    pub fn key_cost(&self) -> Cost {
        self.setup.as_ref().map_or(Cost::ZERO, Setup::cost)
    }
}
