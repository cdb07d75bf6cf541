//! What the owner of a model decides, and which of it goes together.

use super::args::{self, DomainKind, Ot, Output};
use crate::failure::{Failure, Result};
use crate::linear::{Packing, Privacy, Style};
use crate::model::modulus;
use crate::planner::Backend;
use athos::OutputForm;
use sci_core::{AnyDomain, Domain};
use sci_ot::OtKind;
use std::path::PathBuf;
use truncation::Exactness;

/// Where the embedded models were validated.
const DEFAULT_BITWIDTH: u32 = 37;
const DEFAULT_SCALE: u32 = 12;
/// Beyond it not even 1.0 fits 64 bits.
const MAX_SCALE: u32 = 62;
/// Axes of an input.
const MAX_AXES: usize = 8;

/// What the owner of the model decides. What is `None` was not said: a program file has it inside,
/// otherwise the default counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// l.
    pub bitwidth: Option<u32>,
    /// Bits after the binary point.
    pub scale: Option<u32>,
    /// What the client learns.
    pub output: Option<OutputForm>,
    /// Which engines may compute products.
    pub backend: Backend,
    /// Ring or field.
    pub domain: Option<DomainKind>,
    /// Whether truncations are exact.
    pub exactness: Exactness,
    /// How lattice encryption places values.
    pub packing: Option<Packing>,
    /// What the flooding of its responses promises.
    pub privacy: Privacy,
    /// The OT engine.
    pub ot: OtKind,
    /// Bits of a digit in comparisons; the planner chooses where none is given.
    pub radix: Option<u32>,
    /// Preprocessing.
    pub preprocess: Option<PathBuf>,
    /// Shape of the input where the model leaves it open.
    pub input_shape: Option<Vec<usize>>,
}

impl Plan {
    fn bitwidth(&self) -> u32 {
        self.bitwidth.unwrap_or(DEFAULT_BITWIDTH)
    }

    fn scale(&self) -> u32 {
        self.scale.unwrap_or(DEFAULT_SCALE)
    }

    /// Bitwidth and scale to compile for.
    ///
    /// # Errors
    /// If not even 1.0 fits.
    pub fn precision(&self) -> Result<(u32, u32)> {
        let (bitwidth, scale) = (self.bitwidth(), self.scale());
        if scale >= bitwidth && self.scale.is_some() {
            return Err(scale_beyond(scale, bitwidth));
        }
        Ok((bitwidth, scale))
    }

    /// How lattice encryption is done over a domain: batched slots over a field that allows them, as in the
    /// paper, and otherwise coefficients.
    pub fn style_over(&self, domain: AnyDomain) -> Style {
        let packing = self.packing.unwrap_or(match domain {
            AnyDomain::Field(field) if modulus::batches(field) => Packing::Simd,
            _ => Packing::Coefficient,
        });
        Style { packing, privacy: self.privacy }
    }

    /// Whether lattice encryption can place values as was said, over the domain of a model.
    ///
    /// # Errors
    /// Batched slots where there are none, and the nearest domain that has them.
    pub fn check_packing(&self, domain: AnyDomain) -> Result<()> {
        let field = match domain {
            _ if self.packing != Some(Packing::Simd) => return Ok(()),
            AnyDomain::Ring(_) => return Err(no_slots()),
            AnyDomain::Field(field) if modulus::batches(field) => return Ok(()),
            AnyDomain::Field(field) => field,
        };
        let cause =
            format!("--packing simd needs a field with batched slots, and Z_{domain} has none");
        let hint = match modulus::nearest_batched(field.bits()) {
            Some(bits) => format!("--domain field --bitwidth {bits}, or --packing coefficient"),
            None => "--packing coefficient".into(),
        };
        Err(Failure::usage(cause).hint(hint))
    }

    pub(super) fn check(args: &args::PlanArgs) -> Result<Self> {
        let backend = match args.backend {
            Some(args::Backend::Ot) => Backend::Ot,
            Some(args::Backend::He) => Backend::He,
            Some(args::Backend::Auto) | None => Backend::Auto,
        };
        for (given, name) in
            [(args.packing.is_some(), "--packing"), (args.he_privacy.is_some(), "--he-privacy")]
        {
            if given && backend == Backend::Ot {
                let cause = format!("{name} does not go with the backend ot: it is for he");
                return Err(Failure::usage(cause).hint(format_args!("leave {name} out")));
            }
        }
        let packing = match args.packing {
            None => None,
            Some(args::Packing::Coefficient) => Some(Packing::Coefficient),
            Some(args::Packing::Simd) => Some(Packing::Simd),
        };
        if packing == Some(Packing::Simd) && args.domain == Some(DomainKind::Ring) {
            return Err(no_slots());
        }
        let privacy = match args.he_privacy {
            Some(args::HePrivacy::Coefficient) => Privacy::Coefficient,
            Some(args::HePrivacy::Run) | None => Privacy::Run,
        };
        let domain = args.domain;
        let exactness = match args.truncation {
            None | Some(args::Truncation::Faithful) => Exactness::Faithful,
            Some(args::Truncation::OneBitError) => Exactness::OneBitError,
        };
        if exactness == Exactness::OneBitError && domain == Some(DomainKind::Field) {
            let cause = "--truncation one-bit-error is there for --domain ring alone";
            return Err(Failure::usage(cause).hint("--domain ring"));
        }
        let ot = match args.ot {
            Some(Ot::Iknp) => OtKind::Iknp,
            Some(Ot::Silent) | None => OtKind::Silent,
        };
        let output = match args.output {
            None => None,
            Some(Output::Argmax) => Some(OutputForm::ArgMax),
            Some(Output::Logits) => Some(OutputForm::Logits),
            Some(Output::Topk) => {
                return Err(Failure::not_built("--output topk", "--output argmax or logits"));
            }
        };
        let widest = match domain {
            Some(DomainKind::Field) => modulus::WIDEST,
            Some(DomainKind::Ring) | None => 64,
        };
        range("bitwidth", args.bitwidth, 1, widest)?;
        range("scale", args.scale, 0, MAX_SCALE)?;
        range("radix", args.radix, 1, 8)?;
        let Some((bitwidth, scale)) = args.bitwidth.zip(args.scale).filter(|(l, s)| s >= l) else {
            let (bitwidth, scale, radix) = (args.bitwidth, args.scale, args.radix);
            return Ok(Self {
                bitwidth,
                scale,
                output,
                backend,
                domain,
                exactness,
                packing,
                privacy,
                ot,
                radix,
                preprocess: None,
                input_shape: None,
            });
        };
        Err(scale_beyond(scale, bitwidth))
    }

    /// The same for a model of which something is said that its file does not say.
    pub(super) fn with(self, file: args::ModelArgs) -> Result<Self> {
        let input_shape = file.input_shape.as_deref().map(input_shape).transpose()?;
        Ok(Self { preprocess: file.preprocess, input_shape, ..self })
    }
}

/// `1x3x224x224`.
fn input_shape(text: &str) -> Result<Vec<usize>> {
    let axes: Option<Vec<usize>> =
        text.split('x').map(|axis| axis.parse().ok().filter(|&n| n > 0)).collect();
    axes.filter(|axes| axes.len() <= MAX_AXES).ok_or_else(|| {
        let cause = format!(
            "input-shape: expected up to {MAX_AXES} lengths such as 1x3x224x224, got {text}"
        );
        Failure::usage(cause).hint("--input-shape BATCHxCHANNELSxHEIGHTxWIDTH")
    })
}

/// Batched slots over a ring.
fn no_slots() -> Failure {
    let cause = "--packing simd needs a prime field: batched slots do not exist over Z_2^l";
    Failure::usage(cause).hint("--domain field")
}

/// Not even 1.0 fits.
fn scale_beyond(scale: u32, bitwidth: u32) -> Failure {
    let cause = format!("scale: expected less than the bitwidth of {bitwidth}, got {scale}");
    Failure::usage(cause).hint("a larger --bitwidth or a smaller --scale")
}

/// A number within bounds, or the nearest that is.
pub(super) fn range(name: &str, value: Option<u32>, low: u32, high: u32) -> Result<()> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            let cause = format!("{name}: expected {low}..={high}, got {value}");
            let nearest = value.clamp(low, high);
            Err(Failure::usage(cause).hint(format_args!("--{name} {nearest} is the nearest")))
        }
        _ => Ok(()),
    }
}
