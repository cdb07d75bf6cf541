//! The public parameters of a session: what the server offers and the client holds against the
//! program that it was given.

use crate::linear::{Assignment, Engine, Packing, Privacy, Style};
use crate::link::PlannedLink;
use crate::planner::Backend;
use athos::{OutputForm, PublicProgram};
use sci_core::session::{Offer, PublicOffer};
use sci_core::{AnyDomain, Domain, Error, Result};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use std::fmt::Display;
use std::str::FromStr;
use truncation::Exactness;

/// What the model is called.
pub const MODEL: &str = "model";
/// Which engines the server allows for the products.
pub const BACKEND: &str = "backend";
/// The engine of every product.
pub const PLAN: &str = "plan";
/// How lattice encryption places values.
pub const PACKING: &str = "packing";
/// What the flooding of lattice responses promises.
pub const HE_PRIVACY: &str = "he-privacy";
/// Ring or field.
pub const DOMAIN: &str = "domain";
/// l.
pub const BITWIDTH: &str = "bitwidth";
/// Bits after the binary point.
pub const SCALE: &str = "scale";
/// OT extension.
pub const OT: &str = "ot";
/// log2 of the dimension of the largest LPN set of silent OT.
pub const LPN: &str = "lpn";
/// Bits of a digit in comparisons.
pub const RADIX: &str = "radix";
/// Bytes that protocols may spend to save a flight.
pub const FLIGHT: &str = "flight";
/// Percent of bytes that products may spend to load both directions of the link.
pub const SURPLUS: &str = "surplus";
/// What the client learns.
pub const OUTPUT: &str = "output";
/// The kind of truncation: only the faithful one gives what the cleartext run gives.
pub const TRUNCATION: &str = "truncation";
/// The link that the plan is for.
pub const LINK: &str = "link";
/// The most inputs of a session.
pub const MAX_INPUTS: &str = "max-inputs";

/// A value of [`DOMAIN`].
pub const RING: &str = "ring";
/// A value of [`DOMAIN`].
pub const FIELD: &str = "field";

/// A value of [`OUTPUT`].
pub fn output_name(form: OutputForm) -> &'static str {
    match form {
        OutputForm::ArgMax => "argmax",
        OutputForm::Logits => "logits",
    }
}

/// A value of [`DOMAIN`].
pub fn domain_name(domain: AnyDomain) -> &'static str {
    match domain {
        AnyDomain::Ring(_) => RING,
        AnyDomain::Field(_) => FIELD,
    }
}

/// A value of [`BITWIDTH`].
pub fn bitwidth(domain: AnyDomain) -> u32 {
    match domain {
        AnyDomain::Ring(ring) => ring.bits(),
        AnyDomain::Field(field) => field.bits(),
    }
}

/// What both parties must see alike because the program says it.
fn of_program(program: &PublicProgram) -> [(&'static str, String); 5] {
    [
        (MODEL, program.name.clone()),
        (DOMAIN, domain_name(program.domain).into()),
        (BITWIDTH, bitwidth(program.domain).to_string()),
        (SCALE, program.scale.to_string()),
        (OUTPUT, output_name(program.output_form).into()),
    ]
}

/// What a server makes public.
///
/// # Errors
/// None for a program that was checked.
pub fn offer(program: &PublicProgram, offered: &Offered) -> athos::Result<PublicOffer> {
    let Offered { backend, ref assignment, style, exactness, settings, max_inputs, link } =
        *offered;
    let own = [
        (BACKEND, backend.name().to_string()),
        (PLAN, assignment.to_string()),
        (PACKING, style.packing.name().to_string()),
        (HE_PRIVACY, style.privacy.name().to_string()),
        (OT, settings.ot.name().to_string()),
        (LPN, settings.silent_log_k.to_string()),
        (RADIX, settings.radix.to_string()),
        (FLIGHT, settings.flight.to_string()),
        (SURPLUS, settings.surplus.to_string()),
        (TRUNCATION, exactness.name().to_string()),
        (MAX_INPUTS, max_inputs.to_string()),
        (LINK, link.to_string()),
    ];
    let parameters = of_program(program).into_iter().chain(own);
    Ok(PublicOffer {
        parameters: parameters.map(|(name, value)| (name.to_string(), value)).collect(),
        blob: program.to_blob()?,
    })
}

/// What an offer says beside the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Offered {
    /// Which engines the server allows.
    pub backend: Backend,
    /// The engine of every product.
    pub assignment: Assignment,
    /// How lattice encryption is done.
    pub style: Style,
    /// Whether truncations are exact.
    pub exactness: Exactness,
    /// The settings of oblivious transfer.
    pub settings: Settings,
    /// Inputs in one session.
    pub max_inputs: u32,
    /// The link that all this was planned for.
    pub link: PlannedLink,
}

/// Checks that the parameters say what the program says, that this client knows them all, and that the kind of
/// truncation is the accepted one.
///
/// # Errors
/// [`Error::PeerMisbehaved`] or [`Error::PeerIncompatible`] naming the parameter.
pub fn check(offer: &Offer, program: &PublicProgram, accepted: Exactness) -> Result<Offered> {
    for (name, value) in of_program(program) {
        let stated = parameter(offer, name)?;
        if stated != value {
            let what = format!("parameter {name}");
            return Err(Error::misbehaved(
                what,
                format_args!("{value}, as in the program"),
                stated,
            ));
        }
    }
    let kinds = [Exactness::Faithful, Exactness::OneBitError];
    let exactness = one_of(offer, TRUNCATION, kinds, Exactness::name)?;
    // Nobody gets inexact results without asking for them.
    if exactness != accepted {
        return Err(Error::incompatible(TRUNCATION, accepted.name(), exactness.name()));
    }
    let backends = [Backend::Ot, Backend::He, Backend::Auto];
    let backend = one_of(offer, BACKEND, backends, Backend::name)?;
    let privacy = one_of(offer, HE_PRIVACY, [Privacy::Run, Privacy::Coefficient], Privacy::name)?;
    let packing = one_of(offer, PACKING, [Packing::Coefficient, Packing::Simd], Packing::name)?;
    let style = Style { packing, privacy };
    let assignment = Assignment::parse(parameter(offer, PLAN)?, program)?;
    if backend == Backend::Ot && assignment.uses(Engine::He) {
        let expected = "oblivious transfer alone, as the backend says";
        return Err(Error::misbehaved("parameter plan", expected, assignment));
    }
    let ot = one_of(offer, OT, [OtKind::Silent, OtKind::Iknp], OtKind::name)?;
    let settings = Settings {
        ot,
        radix: within(offer, RADIX, 1, 8)?,
        silent_log_k: within(offer, LPN, 16, 19)?,
        flight: within(offer, FLIGHT, 0, Settings::MAX_FLIGHT)?,
        surplus: within(offer, SURPLUS, 0, Settings::MAX_SURPLUS)?,
    };
    let max_inputs = number(offer, MAX_INPUTS)?;
    let link = parameter(offer, LINK)?;
    let link =
        link.parse().map_err(|_| Error::misbehaved(LINK, "a link", link.escape_default()))?;
    Ok(Offered { backend, assignment, style, exactness, settings, max_inputs, link })
}

/// The value of a parameter with that name.
fn one_of<T: Copy, const N: usize>(
    offer: &Offer,
    name: &'static str,
    values: [T; N],
    text: impl Fn(T) -> &'static str,
) -> Result<T> {
    let theirs = parameter(offer, name)?;
    let known = values.into_iter().find(|&value| text(value) == theirs);
    known.ok_or_else(|| {
        let ours = values.map(text).join(" or ");
        Error::incompatible(name, ours, theirs.escape_default())
    })
}

fn within<T>(offer: &Offer, name: &'static str, low: T, high: T) -> Result<T>
where
    T: Copy + FromStr + PartialOrd + Display,
{
    match number(offer, name)? {
        value if (low..=high).contains(&value) => Ok(value),
        other => Err(Error::misbehaved(name, format_args!("{low}..={high}"), other)),
    }
}

fn parameter<'a>(offer: &'a Offer, name: &str) -> Result<&'a str> {
    offer
        .parameter(name)
        .ok_or_else(|| Error::misbehaved(format!("parameter {name}"), "a value", "none"))
}

fn number<T: FromStr>(offer: &Offer, name: &'static str) -> Result<T> {
    let text = parameter(offer, name)?;
    text.parse().map_err(|_| Error::misbehaved(name, "a number", text.escape_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Plan;
    use crate::model::Source;
    use sci_core::channel::shaped::LinkShape;

    #[test]
    fn a_server_sets_nothing_beyond_bounds() {
        let program = Source::parse("digits").unwrap().load(&Plan::default()).unwrap().public;
        let checked = |radix, flight, surplus| {
            let offered = Offered {
                backend: Backend::Ot,
                assignment: Assignment::uniform(&program, Engine::Ot),
                style: Style::default(),
                exactness: Exactness::Faithful,
                settings: Settings { radix, flight, surplus, ..Settings::default() },
                max_inputs: 1,
                link: PlannedLink::given(LinkShape::LAN),
            };
            let PublicOffer { parameters, blob } = offer(&program, &offered).unwrap();
            let offer = Offer { parameters, blob, digest: [0; 32] };
            check(&offer, &program, Exactness::Faithful)
                .inspect(|checked| assert_eq!(*checked, offered))
        };
        checked(4, Settings::MAX_FLIGHT, Settings::MAX_SURPLUS).unwrap();
        for (radix, flight, surplus, name) in [
            (4, Settings::MAX_FLIGHT + 1, 0, FLIGHT),
            (4, u64::MAX, 0, FLIGHT),
            (9, 0, 0, RADIX),
            (4, 0, Settings::MAX_SURPLUS + 1, SURPLUS),
        ] {
            let error = checked(radix, flight, surplus).unwrap_err();
            assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
