//! Which settings a session has: the engine of every product, the radix of comparisons, the LPN set of silent OT and
//! the bytes that products by OT spend to load both directions of the link, by cost.
//!
//! For every choice the exact cost functions give the payload, the rounds and the OTs of the program; the link
//! and the machine weigh them:
//!
//! ```text
//! seconds = max(CPU of a party, bytes of the fuller direction / bandwidth) + rounds x (RTT / 2 + a round)
//! ```
//!
//! (A round is one flight, which takes half a round trip, and on any link system calls and threads that wake.)
//! In products by lattice encryption the parties take turns, so that most of the CPU time of both passes, and requests
//! and responses do not share the link.
//!
//! CPU time is linear in OTs, pads, blocks that pads are stretched to, and bytes, with the [`Rates`]. Two
//! examples hold it against measurement:
//!
//! * `cargo run --release -p sci-run --example radix_model`: ReLU of 2^17 elements over Z_2^32, radix 1 to 8, all
//!   engines and sets; the rates were fitted on the same machine. The model is within 13 % for IKNP up to
//!   radix 6 and for silent OT up to radix 7. It takes silent OT at radix 8 for up to a quarter dearer than it is, and
//!   IKNP beyond radix 6 for half as dear. For large layers over silent OT the choice is then radix 4 where CPU time decides
//!   (loopback, LAN, and 40 MB/s with one thread a party) and 2 where bytes do (40 MB/s with four threads, or a
//!   few MB/s).
//! * `cargo run --release -p sci-run --example product_model`: convolutions over Z_2^37 with 13-bit weights, by both
//!   engines over TCP. On a busy Intel Xeon, where ReLU takes 1.8 times the CPU time of the model, products by OT take 1.7
//!   to 2.2 times it, and those of coefficients 1.6 to 2.0. Channel by channel (CPU seconds of both parties, OT
//!   against lattice encryption): 32 x 112^2 is 0.5 to 0.16, 144 x 56^2 0.53 to 0.27, 192 x 28^2 0.19 to 0.23, 576 x 14^2
//!   0.17 to 0.58, 960 x 7^2 0.09 to 0.33. Large maps and volumes are for lattice encryption, small maps channel by
//!   channel for OT. A round of the smallest product is 25 to 31 us over loopback.

mod rates;

pub use rates::Rates;

use crate::cost;
use crate::linear::packing::Layer;
use crate::linear::{Assignment, Engine, Protocols, Style, candidate, factor};
use crate::two_party::NetDomain;
use athos::{Error, PublicProgram, Result};
use rates::expansion_bytes;
use sci_core::channel::shaped::LinkShape;
use sci_core::{Cost, Domain};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use std::sync::Arc;
use truncation::Exactness;

/// Predictions that differ by less than this share are taken for equally fast, the model being no better; the
/// one with fewer bytes then leaves more of the link to others. (13 %, by the measurements above.)
const INDIFFERENT: f64 = 0.13;

/// What products by OT may spend so that both directions of a link carry them, where bytes take longer than work: with
/// half more they take from half to three quarters of the time in one.
const WIDE_SURPLUS: u32 = 50;

/// The same for two engines, whose errors are not those of one model. (By the measurements above.)
const INDIFFERENT_ENGINES: f64 = 0.25;

/// Which engines a server's owner allows for the products.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Oblivious transfer for all.
    Ot,
    /// Lattice encryption for all that the packing has.
    He,
    /// The faster one for each.
    #[default]
    Auto,
}

impl Backend {
    /// As in options, reports and parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ot => "ot",
            Self::He => "he",
            Self::Auto => "auto",
        }
    }
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The engines that are allowed.
    pub backend: Backend,
    /// How lattice encryption is done.
    pub style: Style,
    /// Whether truncations are exact.
    pub exactness: Exactness,
    /// The link.
    pub link: LinkShape,
    /// Computing threads of a party.
    pub threads: usize,
    /// The OT engine.
    pub ot: OtKind,
    /// Bits of a digit in comparisons, if they are fixed.
    pub radix: Option<u32>,
}

/// Settings and engines of a session.
#[derive(Debug)]
pub struct Decision<D: Domain> {
    /// Of oblivious transfer.
    pub settings: Settings,
    /// The engine of every product.
    pub assignment: Assignment,
    /// The layers of lattice encryption.
    pub protocols: Arc<Protocols<D>>,
}

/// What lattice encryption could do for every product. No link plays a part in it, and it takes most of the time
/// of planning: who plans for several links does it once.
#[derive(Debug)]
pub struct Candidates<D: Domain>(Vec<(usize, Candidate<D>)>);

/// The layer of a product, `None` for what is none of this packing, or why it has no parameters.
type Candidate<D> = std::result::Result<Option<Arc<Layer<D>>>, Arc<Error>>;

impl<D: NetDomain> Candidates<D> {
    /// Of all products of a program.
    pub fn of(program: &PublicProgram, domain: D, style: Style) -> Self {
        let products = program.instructions.iter().enumerate();
        let products = products.filter(|(_, instruction)| factor(&instruction.op).is_some());
        let layer = |at| match candidate(program, domain, style, at) {
            Ok(layer) => Ok(layer.map(Arc::new)),
            Err(error) => Err(Arc::new(error)),
        };
        Self(products.map(|(at, _)| (at, layer(at))).collect())
    }

    /// Whether every product has a layer or is none of this packing.
    fn all_have_parameters(&self) -> bool {
        self.0.iter().all(|(_, candidate)| candidate.is_ok())
    }

    /// Whether an instruction is no product of this packing.
    fn lacks(&self, instruction: usize) -> bool {
        self.0.iter().any(|(at, candidate)| *at == instruction && matches!(candidate, Ok(None)))
    }
}

/// One product by both engines.
#[derive(Debug)]
pub struct Alternative<D: Domain> {
    /// Place in the program.
    pub instruction: usize,
    /// By OT.
    pub ot: Cost,
    /// By OT: wall-clock seconds.
    pub ot_seconds: f64,
    /// By lattice encryption, or why not.
    pub he: std::result::Result<He<D>, Arc<Error>>,
}

/// A product by lattice encryption.
#[derive(Debug)]
pub struct He<D: Domain> {
    /// The planned layer.
    pub layer: Arc<Layer<D>>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl<D: Domain> Alternative<D> {
    /// Of a product that costs `ot` by OT.
    fn weighed(instruction: usize, ot: Cost, candidate: Candidate<D>, request: &Request) -> Self {
        let (rates, settings) = (Rates::default(), Settings::over(request.ot));
        let none = || Arc::new(Error::Misuse("no product of lattice encryption".into()));
        let he = candidate.and_then(|layer| layer.ok_or_else(none)).map(|layer| {
            let seconds = rates.lattice_wall(&layer, request.link, request.threads);
            He { layer, seconds }
        });
        let ot_seconds = rates.seconds(&ot, settings, request.link, request.threads);
        Self { instruction, ot, ot_seconds, he }
    }

    /// The faster engine; of two that are about as fast, the one with fewer bytes.
    pub fn faster(&self) -> Engine {
        let ot = (self.ot_seconds, self.ot.bytes() as f64, Engine::Ot);
        let he = self.he.iter().map(|he| (he.seconds, he.layer.cost().bytes() as f64, Engine::He));
        preferred(INDIFFERENT_ENGINES, he.chain([ot])).unwrap_or(Engine::Ot)
    }
}

/// Every product of a program by both engines.
///
/// # Errors
/// A program that was not checked.
pub fn alternatives<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    request: &Request,
) -> Result<Vec<Alternative<D>>> {
    weighed(program, domain, request, &Candidates::of(program, domain, request.style))
}

/// [`alternatives`] of known candidates.
fn weighed<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    request: &Request,
    candidates: &Candidates<D>,
) -> Result<Vec<Alternative<D>>> {
    let settings = Settings::over(request.ot);
    let by_ot = cost::layers(program, domain, &Protocols::none(), settings)?;
    let weigh = |(at, candidate): &(usize, Candidate<D>)| {
        let cost = by_ot.get(*at).map(|layer| layer.cost);
        let ot = cost.ok_or_else(|| Error::Misuse(format!("no instruction {at}")))?;
        Ok(Alternative::weighed(*at, ot, candidate.clone(), request))
    };
    candidates.0.iter().map(weigh).collect()
}

/// The fastest plan that the request allows.
///
/// # Errors
/// A product that lattice encryption has no parameters for, if it is to do all; as [`cost::layers`].
pub fn decide<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    request: &Request,
) -> Result<Decision<D>> {
    decide_among(program, domain, request, &mut None, |_| None)
}

/// [`decide`] for a server that plans for several links: `candidates` are found if they are needed and kept, and
/// `ready` may know the layers of an assignment from a plan of the same style and exactness.
///
/// # Errors
/// As [`decide`].
pub fn decide_among<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    request: &Request,
    candidates: &mut Option<Candidates<D>>,
    ready: impl Fn(&Assignment) -> Option<Arc<Protocols<D>>>,
) -> Result<Decision<D>> {
    let plan = |assignment: &Assignment| match ready(assignment) {
        Some(protocols) => Ok(protocols),
        None => {
            let protocols = Protocols::plan(program, domain, assignment, request.style)?;
            Ok::<_, Error>(Arc::new(protocols.truncating(request.exactness)))
        }
    };
    if request.backend == Backend::Ot {
        let protocols = Protocols::none().truncating(request.exactness);
        let assignment = Assignment::uniform(program, Engine::Ot);
        return Plan::of(program, domain, assignment, Arc::new(protocols), request).map(Plan::made);
    }
    let candidates =
        candidates.get_or_insert_with(|| Candidates::of(program, domain, request.style));
    // A packing may have no scaling by secret factors; a layer without parameters is an error.
    let lattice = Assignment::of(program, |at| match candidates.lacks(at) {
        true => Engine::Ot,
        false => Engine::He,
    });
    if request.backend == Backend::He {
        let protocols = plan(&lattice)?;
        return Plan::of(program, domain, lattice, protocols, request).map(Plan::made);
    }
    let mut assignments = vec![mixed(program, domain, request, candidates)?];
    if candidates.all_have_parameters() {
        assignments.push(lattice);
    }
    assignments.push(Assignment::uniform(program, Engine::Ot));
    assignments.dedup();
    let plans = assignments.into_iter().map(|assignment| {
        let protocols = plan(&assignment)?;
        let plan = Plan::of(program, domain, assignment, protocols, request)?;
        Ok((plan.seconds, plan.bytes, plan.decision))
    });
    let best = preferred(INDIFFERENT, plans.collect::<Result<Vec<_>>>()?);
    best.ok_or_else(|| Error::Misuse("no plan".into()))
}

/// A decision and what it is predicted to take.
struct Plan<D: Domain> {
    decision: Decision<D>,
    seconds: f64,
    bytes: f64,
}

impl<D: NetDomain> Plan<D> {
    /// With the settings of oblivious transfer with which the whole program takes the fewest bytes, among those with
    /// which it is about as fast as with the fastest; a given radix is kept.
    fn of(
        program: &PublicProgram,
        domain: D,
        assignment: Assignment,
        protocols: Arc<Protocols<D>>,
        request: &Request,
    ) -> Result<Self> {
        let &Request { ot, radix, link, threads, .. } = request;
        let flight = Rates::default().flight_bytes(ot, link, threads);
        let sets = match ot {
            OtKind::Iknp => 17..=17,
            OtKind::Silent => 16..=19,
        };
        let radices = radix.map_or(1..=8, |radix| radix..=radix);
        let surpluses: &[u32] = match assignment.uses(Engine::Ot) {
            true => &[Settings::DEFAULT_SURPLUS, WIDE_SURPLUS],
            false => &[Settings::DEFAULT_SURPLUS],
        };
        let mut choices = Vec::new();
        for radix in radices {
            for &surplus in surpluses {
                let settings = Settings { radix, flight, surplus, ..Settings::over(ot) };
                let reckoned = Reckoned::of(program, domain, &protocols, settings, request)?;
                for silent_log_k in sets.clone() {
                    let settings = Settings { silent_log_k, ..settings };
                    let (seconds, bytes) = reckoned.with(settings, request);
                    choices.push((seconds, bytes, (settings, seconds, bytes)));
                }
            }
        }
        let best = preferred(INDIFFERENT, choices);
        let (settings, seconds, bytes) =
            best.ok_or_else(|| Error::Misuse("no settings of oblivious transfer".into()))?;
        Ok(Self { decision: Decision { settings, assignment, protocols }, seconds, bytes })
    }

    fn made(self) -> Decision<D> {
        self.decision
    }
}

/// Wall-clock seconds and bytes of both directions that one inference is predicted to take, keys and
/// expansion included.
///
/// # Errors
/// As [`cost::layers`].
pub fn predict<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    decision: &Decision<D>,
    request: &Request,
) -> Result<(f64, u64)> {
    let Decision { settings, protocols, .. } = decision;
    let reckoned = Reckoned::of(program, domain, protocols, *settings, request)?;
    let (seconds, bytes) = reckoned.with(*settings, request);
    Ok((seconds, bytes as u64))
}

/// What a program takes by a plan, whichever LPN set silent OT expands from.
struct Reckoned {
    /// Of all that is done by OT.
    by_ot: Cost,
    /// Seconds and bytes of lattice encryption, keys included.
    lattice: (f64, u64),
}

impl Reckoned {
    fn of<D: NetDomain>(
        program: &PublicProgram,
        domain: D,
        protocols: &Protocols<D>,
        settings: Settings,
        request: &Request,
    ) -> Result<Self> {
        let (rates, Request { link, threads, .. }) = (Rates::default(), *request);
        let (mut by_ot, keys) = (Cost::ZERO, protocols.key_cost());
        let mut lattice = (rates.wall(0.0, &keys, 0.0, link, threads), keys.bytes());
        for (at, layer) in cost::layers(program, domain, protocols, settings)?.iter().enumerate() {
            match protocols.layer(at) {
                Some(planned) => {
                    lattice.0 += rates.lattice_wall(planned, link, threads);
                    lattice.1 += layer.cost.bytes();
                }
                None => by_ot += layer.cost,
            }
        }
        Ok(Self { by_ot, lattice })
    }

    /// Seconds and bytes of one inference, keys and expansion included.
    fn with(&self, settings: Settings, request: &Request) -> (f64, f64) {
        let seconds =
            Rates::default().seconds(&self.by_ot, settings, request.link, request.threads);
        let bytes = self.by_ot.bytes() as f64 + expansion_bytes(self.by_ot.cots, settings);
        (self.lattice.0 + seconds, self.lattice.1 as f64 + bytes)
    }
}

/// What is left of choices of (seconds, bytes, choice): the one with the fewest bytes among those that are as fast
/// as the fastest up to `error`, a share of it.
fn preferred<T>(error: f64, choices: impl IntoIterator<Item = (f64, f64, T)>) -> Option<T> {
    let choices: Vec<_> = choices.into_iter().collect();
    let fastest = choices.iter().fold(f64::INFINITY, |least, choice| least.min(choice.0));
    let as_good = choices.into_iter().filter(|choice| choice.0 <= fastest * (1.0 + error));
    as_good.min_by(|a, b| a.1.total_cmp(&b.1)).map(|choice| choice.2)
}

/// The engine for each product by itself.
fn mixed<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    request: &Request,
    candidates: &Candidates<D>,
) -> Result<Assignment> {
    let alternatives = weighed(program, domain, request, candidates)?;
    Ok(Assignment::of(program, |at| {
        let alternative = alternatives.iter().find(|alternative| alternative.instruction == at);
        alternative.map_or(Engine::Ot, Alternative::faster)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Packing;
    use sci_core::Ring;
    use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
    use sci_ot::linear::convolution_product;

    fn request(backend: Backend, link: &str) -> Request {
        Request {
            backend,
            style: Style::default(),
            exactness: Exactness::Faithful,
            link: link.parse().unwrap(),
            threads: 1,
            ot: OtKind::Silent,
            radix: None,
        }
    }

    /// The engine of a convolution over Z_2^37 with 13-bit weights.
    fn engine(channels: [usize; 3], input: [usize; 3], window: Window, link: &str) -> Engine {
        let [in_channels, out_channels, groups] = channels;
        let spec = ConvSpec { batch: 1, in_channels, out_channels, groups, input, window };
        let (geometry, ring) = (ConvGeometry::new(spec).unwrap(), Ring::new(37).unwrap());
        let product = convolution_product(ring, &geometry, 13);
        let settings = Settings::over(OtKind::Silent);
        let ot = product.cost(settings.ot, product.way(settings));
        let privacy = sci_he::params::Privacy::default();
        let layer = Layer::conv(Packing::Coefficient, &geometry, ring, 1 << 12, privacy).unwrap();
        let candidate = Ok(Some(Arc::new(layer)));
        Alternative::weighed(0, ot, candidate, &request(Backend::Auto, link)).faster()
    }

    /// Where the example `product_model` measures one engine well ahead of the other, it is chosen.
    #[test]
    fn convolutions_go_to_the_engine_that_measures_faster() {
        let square = Window::new([1, 3, 3]).with_pads([0, 1, 1], [0, 1, 1]);
        for link in ["loopback", "lan"] {
            // Channel by channel, as in MobileNetV2: large maps, then small ones.
            for (channels, side) in [(32, 112), (144, 56)] {
                let engine = engine([channels; 3], [1, side, side], square, link);
                assert_eq!(engine, Engine::He, "{channels} x {side}^2 over {link}");
            }
            for (channels, side) in [(576, 14), (960, 7)] {
                let engine = engine([channels; 3], [1, side, side], square, link);
                assert_eq!(engine, Engine::Ot, "{channels} x {side}^2 over {link}");
            }
            // Between channels, and volumes as in MeshNet.
            let point = Window::new([1; 3]);
            assert_eq!(engine([24, 144, 1], [1, 56, 56], point, link), Engine::He);
            assert_eq!(engine([960, 160, 1], [1, 7, 7], point, link), Engine::He);
            for (channels, side, dilation) in [(5, 48, 4), (5, 48, 16), (11, 24, 1)] {
                let window = Window::new([3; 3]).with_dilation([dilation; 3]);
                let window = window.with_pads([dilation; 3], [dilation; 3]);
                let engine = engine([channels, channels, 1], [side; 3], window, link);
                assert_eq!(engine, Engine::He, "{channels} x {side}^3 / {dilation} over {link}");
            }
        }
    }

    #[test]
    fn of_choices_about_as_fast_the_one_with_fewer_bytes_is_left() {
        let fast = (1.0, 100.0, "fast");
        assert_eq!(preferred(0.13, [fast, (1.1, 50.0, "small")]), Some("small"));
        assert_eq!(preferred(0.13, [fast, (1.2, 50.0, "slow")]), Some("fast"));
        assert_eq!(preferred(0.13, [(1.1, 150.0, "worse"), fast]), Some("fast"));
        assert_eq!(preferred::<()>(0.13, []), None);
    }

    /// Where bytes take longer than work.
    #[test]
    fn products_by_ot_load_both_directions_of_a_slow_link() {
        use crate::cli::Plan;
        use crate::model::Source;
        let plan = Plan::default();
        let program = Source::parse("minionn_cifar10").unwrap().load(&plan).unwrap().public;
        let sci_core::AnyDomain::Ring(ring) = program.domain else { panic!() };
        for (link, surplus) in [("loopback", Settings::DEFAULT_SURPLUS), ("wan", WIDE_SURPLUS)] {
            let decision = decide(&program, ring, &request(Backend::Ot, link)).unwrap();
            assert_eq!(decision.settings.surplus, surplus, "{link}");
        }
    }

    #[test]
    fn what_is_kept_between_plans_changes_no_plan() {
        use crate::cli::Plan;
        use crate::model::Source;
        let program = Source::parse("digits").unwrap().load(&Plan::default()).unwrap().public;
        let sci_core::AnyDomain::Ring(ring) = program.domain else { panic!() };
        for backend in [Backend::Auto, Backend::He, Backend::Ot] {
            let mut candidates = None;
            let mut made: Vec<Decision<_>> = Vec::new();
            for link in ["loopback", "lan", "wan", "1,500", "1000,0.1"] {
                let request = request(backend, link);
                let alone = decide(&program, ring, &request).unwrap();
                let ready = |assignment: &Assignment| {
                    let same = made.iter().find(|made| made.assignment == *assignment);
                    same.map(|made| Arc::clone(&made.protocols))
                };
                let kept = decide_among(&program, ring, &request, &mut candidates, ready).unwrap();
                assert_eq!((&kept.assignment, kept.settings), (&alone.assignment, alone.settings));
                assert_eq!(kept.protocols.key_cost(), alone.protocols.key_cost());
                made.push(kept);
            }
        }
    }
}
