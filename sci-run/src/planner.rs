//! Which settings a session has: the engine of every product, the radix of comparisons and the LPN set of
//! silent OT, by cost.
//!
//! For every choice the exact cost functions give the payload, the rounds and the OTs of the program; the link
//! and the machine weigh them:
//!
//! ```text
//! seconds = max(CPU of a party, bytes of the fuller direction / bandwidth) + rounds x RTT / 2
//! ```
//!
//! (a round is one flight, which takes half a round trip).
//!
//! CPU time is linear in OTs, pads and bytes with the [`Rates`]. Held against measurement (`cargo run
//! --release -p sci-run --example radix_model`: ReLU of 2^17 elements over Z_2^32, radix 1 to 8, all
//! engines and sets; the rates were fitted on the same machine) the model is within 13 % for IKNP up to
//! radix 6 and for silent OT up to radix 7. It takes silent OT at radix 8 for up to a quarter dearer than it is, and
//! IKNP beyond radix 6 for half as dear. For large layers over silent OT the choice is then radix 4 where CPU time decides
//! (loopback, LAN, and 40 MB/s with one thread a party) and 2 where bytes do (40 MB/s with four threads, or a
//! few MB/s).

use crate::cost;
use crate::linear::packing::Layer;
use crate::linear::{Assignment, Engine, Protocols, Style, candidate, factor};
use crate::two_party::NetDomain;
use athos::{Error, PublicProgram, Result};
use sci_core::channel::shaped::LinkShape;
use sci_core::{Cost, Domain};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::silent::{Growth, IKNP_SERVES, SETS};
use std::sync::Arc;
use truncation::Exactness;

/// Lanes and directions that share the OTs of a large layer.
const POOLS: u64 = 8;

/// Predictions that differ by less than this share are taken for equally fast, the model being no better; the
/// one with fewer bytes then leaves more of the link to others. (13 %, by the measurements above.)
const INDIFFERENT: f64 = 0.13;

/// CPU seconds of both parties together, measured on one core of an AMD EPYC "Genoa" at 3.6 GHz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// For each silent COT with all that follows from it, by the set, smallest first.
    pub silent_cot: [f64; 4],
    /// For each pad of 1-of-N OT from silent COTs.
    pub silent_pad: f64,
    /// For each COT by IKNP.
    pub iknp_cot: f64,
    /// For each row of 1-of-N OT by KKOT.
    pub row: f64,
    /// For each pad of KKOT.
    pub row_pad: f64,
    /// For each byte of payload.
    pub byte: f64,
    /// Of batched slots, for each residue of a product of a ciphertext and a plaintext.
    pub slots_product: f64,
    /// For each residue of a request: encryption, and its way into the transformed domain.
    pub slots_request: f64,
    /// For each residue of a response: fresh zero, flooding, and decryption.
    pub slots_response: f64,
    /// For each residue of a rotation of batched slots.
    pub slots_rotation: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            silent_cot: [42e-9, 45.5e-9, 49e-9, 55e-9],
            silent_pad: 1.5e-9,
            iknp_cot: 20e-9,
            row: 45e-9,
            row_pad: 3.2e-9,
            byte: 0.8e-9,
            slots_product: 0.6e-9,
            slots_request: 20e-9,
            slots_response: 60e-9,
            slots_rotation: 60e-9,
        }
    }
}

impl Rates {
    /// CPU seconds of both parties together.
    pub fn cpu_seconds(&self, cost: &Cost, settings: Settings) -> f64 {
        let (cot, pad) = match settings.ot {
            OtKind::Iknp => (self.iknp_cot, self.row_pad),
            OtKind::Silent => {
                let set = settings.silent_log_k.clamp(16, 19) as usize - 16;
                (self.silent_cot[set], self.silent_pad)
            }
        };
        cost.cots as f64 * cot
            + cost.rows as f64 * self.row
            + cost.pads as f64 * pad
            + cost.bytes() as f64 * self.byte
    }

    /// Wall-clock seconds over a link, with so many computing threads a party.
    pub fn seconds(&self, cost: &Cost, settings: Settings, link: LinkShape, threads: usize) -> f64 {
        let expansion = expansion_bytes(cost.cots, settings);
        self.wall(self.cpu_seconds(cost, settings), cost, expansion, link, threads)
    }

    /// Wall-clock seconds for so many CPU seconds of both parties; `beside` bytes load both directions alike.
    fn wall(&self, cpu: f64, cost: &Cost, beside: f64, link: LinkShape, threads: usize) -> f64 {
        let cpu = cpu / (2 * threads.max(1)) as f64;
        let fuller = cost.server_to_client.max(cost.client_to_server) as f64;
        let transfer = (fuller + beside / 2.0) / link.bytes_per_second;
        cpu.max(transfer) + f64::from(cost.rounds) * link.rtt.as_secs_f64() / 2.0
    }

    /// CPU seconds of both parties for a lattice layer: what the layer itself reckoned with, or the rates.
    pub fn lattice_seconds<D: Domain>(&self, layer: &Layer<D>) -> f64 {
        match layer {
            Layer::Coefficient(layer) => layer.estimated_seconds(),
            Layer::Simd(layer) => {
                let params = layer.context().params();
                let rotations: usize = layer.rotations().iter().sum();
                (params.degree() * params.primes().len()) as f64
                    * (layer.products() as f64 * self.slots_product
                        + layer.requests() as f64 * self.slots_request
                        + layer.responses() as f64 * self.slots_response
                        + rotations as f64 * self.slots_rotation)
            }
        }
    }
}

/// Bytes that silent OT expands `cots` from, bootstrap included.
fn expansion_bytes(cots: u64, settings: Settings) -> f64 {
    if settings.ot == OtKind::Iknp {
        return 0.0;
    }
    let share = cots / POOLS;
    if share <= IKNP_SERVES {
        return 16.0 * cots as f64;
    }
    let growth = Growth { largest: settings.silent_log_k };
    let mut bytes = 16 * (IKNP_SERVES as usize + SETS[0].base());
    let (mut served, mut round) = (IKNP_SERVES, 0);
    while served < share && round < 64 {
        let (set, next) = (growth.set(round), growth.set(round + 1));
        served += set.usable(next) as u64;
        bytes += set.bytes();
        round += 1;
    }
    // Beyond many rounds the last set repeats.
    let last = growth.set(round);
    let rest = share.saturating_sub(served) as f64 / last.usable(last) as f64;
    (bytes as f64 + rest * last.bytes() as f64) * POOLS as f64
}

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
    /// The faster engine.
    pub fn faster(&self) -> Engine {
        match &self.he {
            Ok(he) if he.seconds < self.ot_seconds => Engine::He,
            _ => Engine::Ot,
        }
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
    let (rates, settings) = (Rates::default(), Settings::over(request.ot));
    let by_ot = cost::layers(program, domain, &Protocols::none(), settings)?;
    let weigh = |(at, candidate): &(usize, Candidate<D>)| {
        let cost = by_ot.get(*at).map(|layer| layer.cost);
        let ot = cost.ok_or_else(|| Error::Misuse(format!("no instruction {at}")))?;
        let none = || Arc::new(Error::Misuse("no product of lattice encryption".into()));
        let he = candidate.clone().and_then(|layer| layer.ok_or_else(none)).map(|layer| {
            let cpu = rates.lattice_seconds(&layer);
            let seconds = rates.wall(cpu, &layer.cost(), 0.0, request.link, request.threads);
            He { layer, seconds }
        });
        let ot_seconds = rates.seconds(&ot, settings, request.link, request.threads);
        Ok(Alternative { instruction: *at, ot, ot_seconds, he })
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
    let only_ot = || {
        let protocols = Protocols::none().truncating(request.exactness);
        (Assignment::uniform(program, Engine::Ot), Arc::new(protocols))
    };
    let (assignment, protocols) = match request.backend {
        Backend::Ot => only_ot(),
        Backend::He => {
            // A packing may have no scaling by secret factors; a layer without parameters is an error.
            let candidates =
                candidates.get_or_insert_with(|| Candidates::of(program, domain, request.style));
            let assignment = Assignment::of(program, |at| match candidates.lacks(at) {
                true => Engine::Ot,
                false => Engine::He,
            });
            let protocols = plan(&assignment)?;
            (assignment, protocols)
        }
        Backend::Auto => {
            let candidates =
                candidates.get_or_insert_with(|| Candidates::of(program, domain, request.style));
            let (assignment, gain) = mixed(program, domain, request, candidates)?;
            let protocols = plan(&assignment)?;
            let keys = Rates::default().wall(
                0.0,
                &protocols.key_cost(),
                0.0,
                request.link,
                request.threads,
            );
            if gain > keys { (assignment, protocols) } else { only_ot() }
        }
    };
    let settings = settings(program, domain, &protocols, request)?;
    Ok(Decision { settings, assignment, protocols })
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
    let (rates, settings, protocols) = (Rates::default(), decision.settings, &decision.protocols);
    let cost = cost::total(program, domain, protocols, settings)? + protocols.key_cost();
    let layers = protocols.layers().iter().flatten();
    let encryption: f64 = layers.map(|layer| rates.lattice_seconds(layer)).sum();
    let cpu = rates.cpu_seconds(&cost, settings) + encryption;
    let expansion = expansion_bytes(cost.cots, settings);
    let seconds = rates.wall(cpu, &cost, expansion, request.link, request.threads);
    Ok((seconds, cost.bytes() + expansion as u64))
}

/// The faster engine for each product, and the seconds that this gains over OT alone.
fn mixed<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    request: &Request,
    candidates: &Candidates<D>,
) -> Result<(Assignment, f64)> {
    let mut chosen = vec![false; program.instructions.len()];
    let mut gain = 0.0;
    for alternative in weighed(program, domain, request, candidates)? {
        if alternative.faster() == Engine::He
            && let Ok(he) = &alternative.he
            && let Some(chosen) = chosen.get_mut(alternative.instruction)
        {
            gain += alternative.ot_seconds - he.seconds;
            *chosen = true;
        }
    }
    let assignment = Assignment::of(program, |at| match chosen.get(at) {
        Some(true) => Engine::He,
        _ => Engine::Ot,
    });
    Ok((assignment, gain))
}

/// The settings of oblivious transfer with the fewest bytes among those that are about as fast as the
/// fastest; a given radix is kept.
fn settings<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    protocols: &Protocols<D>,
    request: &Request,
) -> Result<Settings> {
    let &Request { link, threads, ot, radix, .. } = request;
    let rates = Rates::default();
    let sets = match ot {
        OtKind::Iknp => 17..=17,
        OtKind::Silent => 16..=19,
    };
    let radices = radix.map_or(1..=8, |radix| radix..=radix);
    let mut choices = Vec::new();
    for radix in radices {
        let settings = Settings { radix, ..Settings::over(ot) };
        let cost = cost::total(program, domain, protocols, settings)?;
        for silent_log_k in sets.clone() {
            let settings = Settings { radix, ot, silent_log_k };
            let seconds = rates.seconds(&cost, settings, link, threads);
            choices.push((
                seconds,
                cost.bytes() as f64 + expansion_bytes(cost.cots, settings),
                settings,
            ));
        }
    }
    let fastest = choices.iter().fold(f64::INFINITY, |least, choice| least.min(choice.0));
    let as_good = choices.iter().filter(|choice| choice.0 <= fastest * (1.0 + INDIFFERENT));
    let best = as_good.min_by(|a, b| a.1.total_cmp(&b.1));
    Ok(best.map_or(Settings::over(ot), |&(_, _, settings)| settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(n: u64, cots: u64, pads: u64, bytes: u64, rounds: u32) -> Cost {
        let half = n * bytes / 2;
        Cost {
            server_to_client: half,
            client_to_server: half,
            rounds,
            cots: n * cots,
            rows: 0,
            pads: n * pads,
        }
    }

    /// ReLU over Z_2^32 at radix 2 and 4: few bytes or few rounds and little time.
    #[test]
    fn slow_links_want_small_digits_and_fast_ones_large() {
        let rates = Rates::default();
        let (two, four) = (layer(1 << 22, 63, 84, 38, 8), layer(1 << 22, 47, 134, 45, 7));
        let of = |radix| Settings { radix, ..Settings::over(OtKind::Silent) };
        let faster = |link: LinkShape| {
            rates.seconds(&four, of(4), link, 4) < rates.seconds(&two, of(2), link, 4)
        };
        assert!(faster(LinkShape::LOOPBACK));
        assert!(faster("lan".parse().unwrap()));
        assert!(!faster("wan".parse().unwrap()));
        assert!(!faster("5,80".parse().unwrap()));
    }

    #[test]
    fn a_small_job_pays_for_no_pool_and_a_large_one_little_per_cot() {
        let settings = Settings { silent_log_k: 19, ..Settings::over(OtKind::Silent) };
        assert!(expansion_bytes(1000, settings) <= 16_000.0);
        let many = 10_000_000_000u64;
        assert!(expansion_bytes(many, settings) * 8.0 / (many as f64) < 0.35);
        assert_eq!(expansion_bytes(many, Settings::over(OtKind::Iknp)), 0.0);
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
                let request = Request {
                    backend,
                    style: Style::default(),
                    exactness: Exactness::Faithful,
                    link: link.parse().unwrap(),
                    threads: 1,
                    ot: OtKind::Silent,
                    radix: None,
                };
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
