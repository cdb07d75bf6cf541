//! The protocols of a session: which products lattice encryption computes, and how exact truncations are.

use super::packing::{Layer, Packing, Setup};
use super::{Assignment, Engine, factor, factor_bits};
use athos::llil::Op;
use athos::{PublicProgram, Result};
use sci_core::{Cost, Domain, Error};
use sci_he::params;
use truncation::Exactness;

/// What the flooding of responses promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privacy {
    /// A statistical distance of 2^-40 for all that a session sends.
    #[default]
    Run,
    /// 2^-40 for each coefficient.
    Coefficient,
}

impl Privacy {
    /// As in options and parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Coefficient => "coefficient",
        }
    }
}

/// Packing and privacy of a session. Public.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Where values stand in ciphertexts.
    pub packing: Packing,
    /// What flooding promises.
    pub privacy: Privacy,
}

/// The logarithm of the coefficients that flooding covers at least: those of the largest networks of the papers.
const LOG2_COEFFICIENTS: u32 = 24;
/// That of the inputs that a session may have at least. Batched slots would pay for them with keys of five times
/// the size.
fn log2_inputs(packing: Packing) -> u32 {
    match packing {
        Packing::Coefficient => 4,
        Packing::Simd => 0,
    }
}
/// Beyond it there are no parameters.
const MOST_LOG2: u32 = 60;

/// What covers a session with so many coefficients an inference.
fn covering(coefficients: u64, packing: Packing) -> u32 {
    let log2 = u64::BITS - coefficients.saturating_sub(1).leading_zeros();
    (log2 + log2_inputs(packing)).clamp(LOG2_COEFFICIENTS, MOST_LOG2)
}

/// The layer of an instruction, if what a session sends has at most 2^`log2_outputs` coefficients; `None` for
/// what is no product of this packing.
///
/// # Errors
/// [`Error::InvalidInput`] where no parameters hold it.
fn plan_one<D: Domain>(
    program: &PublicProgram,
    domain: D,
    style: Style,
    log2_outputs: u32,
    instruction: usize,
) -> Result<Option<Layer<D>>> {
    let Some(instruction) = program.instructions.get(instruction) else { return Ok(None) };
    let Some(weight) = factor(&instruction.op) else { return Ok(None) };
    let bound = 1u64 << (factor_bits(program, weight)?.clamp(1, 64) - 1);
    let privacy = match style.privacy {
        Privacy::Run => params::Privacy::Run { log2_outputs },
        Privacy::Coefficient => params::Privacy::Coefficient,
    };
    let packing = style.packing;
    Ok(match &instruction.op {
        Op::Conv { geometry, .. } => Some(Layer::conv(packing, geometry, domain, bound, privacy)?),
        Op::Linear { geometry, .. } => {
            Some(Layer::fully_connected(packing, geometry, domain, bound, privacy)?)
        }
        Op::MulWeight { .. } => {
            let (shape, info) = (&instruction.output.shape, program.weights.get(weight.index()));
            let weights = info.map(|info| info.shape.as_slice()).unwrap_or_default();
            Some(Layer::elementwise(packing, shape, weights, domain, bound, privacy)?)
        }
        _ => None,
    })
}

/// The layer that an instruction would have; `None` for what is no product of this packing.
///
/// # Errors
/// [`Error::InvalidInput`] where no parameters hold it.
pub fn candidate<D: Domain>(
    program: &PublicProgram,
    domain: D,
    style: Style,
    instruction: usize,
) -> Result<Option<Layer<D>>> {
    let products = program.instructions.iter().filter(|i| factor(&i.op).is_some());
    let outputs = products.map(|i| i.output.len() as u64).sum();
    plan_one(program, domain, style, covering(outputs, style.packing), instruction)
}

/// The layers of a program that lattice encryption computes, with the keys that they need, and the kind of its
/// truncations. Public: both parties derive the same from the program and the parameters of the session.
#[derive(Debug)]
pub struct Protocols<D: Domain> {
    layers: Vec<Option<Layer<D>>>,
    setup: Option<Setup<D>>,
    style: Style,
    /// What flooding covers.
    log2_outputs: u32,
    exactness: Exactness,
}

impl<D: Domain> Protocols<D> {
    /// Everything by OT, exactly.
    pub fn none() -> Self {
        Self {
            layers: Vec::new(),
            setup: None,
            style: Style::default(),
            log2_outputs: 0,
            exactness: Exactness::Faithful,
        }
    }

    /// Plans the products that are assigned to [`Engine::He`].
    ///
    /// # Errors
    /// Names the first layer that has no parameters.
    pub fn plan(
        program: &PublicProgram,
        domain: D,
        assignment: &Assignment,
        style: Style,
    ) -> Result<Self> {
        let engines = assignment.by_instruction(program);
        let layer = |at: usize, engine: Option<Engine>, log2_outputs: u32| {
            if engine != Some(Engine::He) {
                return Ok(None);
            }
            let name = program.instructions.get(at).map_or("", |i| i.name.as_str());
            let unsupported = |why: &dyn std::fmt::Display| {
                let what = format!("layer {name} by lattice encryption");
                Error::invalid(what, "a product that has parameters", why)
            };
            match plan_one(program, domain, style, log2_outputs, at) {
                Ok(Some(layer)) => Ok(Some(layer)),
                Ok(None) => Err(unsupported(&"an operation of another kind").into()),
                Err(error) => Err(unsupported(&error).into()),
            }
        };
        // What a plan sends may depend on what it must cover.
        let mut log2_outputs = LOG2_COEFFICIENTS;
        loop {
            let numbered = engines.iter().enumerate();
            let layers = numbered.map(|(at, &engine)| layer(at, engine, log2_outputs));
            let layers: Vec<_> = layers.collect::<Result<_>>()?;
            let sent = layers.iter().flatten().map(Layer::response_coefficients).sum();
            let needed = covering(sent, style.packing);
            if needed <= log2_outputs {
                let setup = Setup::new(layers.iter().flatten())?;
                let exactness = Exactness::Faithful;
                return Ok(Self { layers, setup, style, log2_outputs, exactness });
            }
            log2_outputs = needed;
        }
    }

    /// The same with this kind of truncation.
    pub fn truncating(self, exactness: Exactness) -> Self {
        Self { exactness, ..self }
    }

    /// Whether truncations are exact.
    pub fn exactness(&self) -> Exactness {
        self.exactness
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

    /// Coefficients that an inference sends.
    fn coefficients(&self) -> u64 {
        self.layers.iter().flatten().map(Layer::response_coefficients).sum()
    }

    /// How many inputs a session may have before what is promised no longer holds.
    pub fn most_inputs(&self) -> u64 {
        match (self.style.privacy, self.coefficients()) {
            (_, 0) | (Privacy::Coefficient, _) => u64::MAX,
            (Privacy::Run, coefficients) => (1u64 << self.log2_outputs) / coefficients,
        }
    }

    /// k such that all that a session of so many inputs sends is within 2^-k of what says nothing about the
    /// weights; `None` without layers.
    pub fn session_bits(&self, inputs: u64) -> Option<f64> {
        self.setup.as_ref()?;
        let privacy = match self.style.privacy {
            Privacy::Run => params::Privacy::Run { log2_outputs: self.log2_outputs },
            Privacy::Coefficient => params::Privacy::Coefficient,
        };
        let sent = self.coefficients().max(1) as f64 * inputs.max(1) as f64;
        Some(f64::from(privacy.flood_bits()) - sent.log2())
    }
}
