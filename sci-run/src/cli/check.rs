//! Which options make sense, and together.

pub use super::args::DomainKind;
use super::args::{self, Emit, Ot, Output};
use super::{Compile, CompileTarget, Infer, Inspect, Local, PartyOptions, Serve};
use crate::failure::{Failure, Result};
use crate::linear::{Packing, Privacy, Style};
use crate::model::Source;
use crate::model::modulus;
use crate::parameters;
use crate::planner::Backend;
use crate::zoo_command::ZooCommand;
use athos::OutputForm;
use sci_core::AnyDomain;
use sci_core::channel::shaped::LinkShape;
use sci_ot::OtKind;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use truncation::Exactness;

/// Where the embedded models were validated.
const DEFAULT_BITWIDTH: u32 = 37;
const DEFAULT_SCALE: u32 = 12;
/// Beyond it not even 1.0 fits 64 bits.
const MAX_SCALE: u32 = 62;
/// More than a machine has.
const MAX_THREADS: usize = 4096;
const MAX_TIMEOUT: f64 = 1e6;

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

    pub(super) fn check(args: &args::PlanArgs, preprocess: Option<PathBuf>) -> Result<Self> {
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
            let cause = "--packing simd needs a prime field: batched slots do not exist over Z_2^l";
            return Err(Failure::usage(cause).hint("--domain field"));
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
                preprocess,
            });
        };
        Err(scale_beyond(scale, bitwidth))
    }
}

/// Not even 1.0 fits.
fn scale_beyond(scale: u32, bitwidth: u32) -> Failure {
    let cause = format!("scale: expected less than the bitwidth of {bitwidth}, got {scale}");
    Failure::usage(cause).hint("a larger --bitwidth or a smaller --scale")
}

fn range(name: &str, value: Option<u32>, low: u32, high: u32) -> Result<()> {
    match value {
        Some(value) if !(low..=high).contains(&value) => {
            let cause = format!("{name}: expected {low}..={high}, got {value}");
            let nearest = value.clamp(low, high);
            Err(Failure::usage(cause).hint(format_args!("--{name} {nearest} is the nearest")))
        }
        _ => Ok(()),
    }
}

/// A model and inputs for it: its own where none are given.
pub(super) fn model_of(model: &str, given: Vec<String>) -> Result<(Source, Vec<String>)> {
    let model = Source::parse(model)?;
    let inputs = match &model {
        _ if !given.is_empty() => given,
        Source::Embedded(model) => vec![model.name.to_string()],
        Source::Zoo(_) => vec![crate::input::RANDOM.to_string()],
        Source::File(path) => {
            let cause = format!("{} needs the client's inputs: --input is missing", path.display());
            return Err(Failure::usage(cause).hint("--input FILE..."));
        }
    };
    Ok((model, inputs))
}

pub(super) fn local(args: args::LocalArgs) -> Result<Local> {
    let plan = Plan::check(&args.plan, args.preprocess)?;
    let (model, inputs) = model_of(args.model.as_deref().unwrap_or("digits"), args.input)?;
    let (link, party) = (shape(&args.link)?, party(&args.party)?);
    Ok(Local { model, inputs, link, plan, party })
}

pub(super) fn serve(args: args::ServeArgs) -> Result<Serve> {
    let plan = Plan::check(&args.plan, args.preprocess)?;
    let model = Source::parse(&args.model)?;
    address("--listen", &args.listen, args.insecure_plaintext)?;
    range("max-inputs", Some(args.max_inputs), 1, u32::MAX)?;
    Ok(Serve {
        model,
        listen: args.listen,
        once: args.once,
        max_inputs: args.max_inputs,
        plan,
        link: args.link.as_deref().map(shape).transpose()?,
        party: party(&args.party)?,
        child: child(&args.child)?,
    })
}

pub(super) fn infer(args: args::InferArgs) -> Result<Infer> {
    let plan = Plan::check(&args.plan, None)?;
    let mut requirements = Vec::new();
    let mut require = |name: &str, value: Option<String>| {
        requirements.extend(value.map(|value| (name.to_string(), value)));
    };
    require(parameters::MODEL, args.model);
    require(parameters::BACKEND, args.plan.backend.map(|_| plan.backend.name().into()));
    require(parameters::DOMAIN, args.plan.domain.map(|kind| kind.name().into()));
    require(parameters::PACKING, plan.packing.map(|packing| packing.name().into()));
    require(parameters::HE_PRIVACY, args.plan.he_privacy.map(|_| plan.privacy.name().into()));
    require(parameters::BITWIDTH, plan.bitwidth.map(|bits| bits.to_string()));
    require(parameters::SCALE, plan.scale.map(|bits| bits.to_string()));
    require(parameters::OT, args.plan.ot.map(|_| plan.ot.name().into()));
    require(parameters::RADIX, plan.radix.map(|bits| bits.to_string()));
    require(parameters::OUTPUT, plan.output.map(|form| parameters::output_name(form).into()));
    address("--connect", &args.connect, args.insecure_plaintext)?;
    let party = party(&args.party)?;
    let max_memory = match &args.max_memory {
        Some(text) => bytes("max-memory", text)?,
        None => party.memory,
    };
    Ok(Infer {
        inputs: args.input,
        connect: args.connect,
        requirements,
        exactness: plan.exactness,
        expect_digest: args.expect_digest.as_deref().map(digest).transpose()?,
        max_elements: args.max_elements,
        max_memory,
        party,
        child: child(&args.child)?,
    })
}

pub(super) fn compile(args: args::CompileArgs) -> Result<Compile> {
    let plan = Plan::check(&args.plan, args.preprocess)?;
    let model = Source::parse(&args.model)?;
    if args.dump_after.is_some() {
        return Err(Failure::not_built("--dump-after", "--emit hlil or --emit llil"));
    }
    let target = match (args.emit, args.output_file) {
        (Some(_), Some(_)) => {
            let cause = "-o and --emit do not go together: --emit prints";
            return Err(Failure::usage(cause).hint("one of the two"));
        }
        (Some(Emit::Hlil), None) => CompileTarget::Hlil,
        (Some(Emit::Llil), None) => CompileTarget::Llil,
        (Some(Emit::Cost), None) => CompileTarget::Cost,
        (None, Some(path)) => CompileTarget::File(path),
        (None, None) => CompileTarget::File(match &model {
            Source::Embedded(_) | Source::Zoo(_) => PathBuf::from(format!("{}.sci", model.name())),
            Source::File(path) => path.with_extension("sci"),
        }),
    };
    if let (Source::File(from), CompileTarget::File(to)) = (&model, &target)
        && from == to
    {
        let cause = format!("{} would be overwritten by its own program", from.display());
        return Err(Failure::usage(cause).hint("-o another.sci"));
    }
    let link = shape(&args.link)?;
    Ok(Compile { model, target, link, plan })
}

pub(super) fn inspect(args: args::InspectArgs) -> Result<Inspect> {
    Ok(Inspect { model: Source::parse(&args.model)?, plan: Plan::check(&args.plan, None)? })
}

pub(super) fn zoo(args: args::ZooArgs) -> Result<ZooCommand> {
    Ok(match args.action {
        args::ZooAction::List(_) => ZooCommand::List,
        args::ZooAction::Export { name, output_file, seed, .. } => {
            let architecture = crate::zoo_command::find(&name)?;
            let path = output_file.unwrap_or_else(|| PathBuf::from(format!("{name}.onnx")));
            ZooCommand::Export { architecture, seed, path }
        }
    })
}

pub(super) fn party(args: &args::PartyArgs) -> Result<PartyOptions> {
    if let Some(threads) = args.threads
        && !(1..=MAX_THREADS).contains(&threads)
    {
        let cause = format!("threads: expected 1..={MAX_THREADS}, got {threads}");
        return Err(Failure::usage(cause).hint("--threads 1"));
    }
    if !(args.timeout > 0.0 && args.timeout <= MAX_TIMEOUT) {
        let cause = format!("timeout: expected 0 < seconds <= {MAX_TIMEOUT}, got {}", args.timeout);
        return Err(Failure::usage(cause).hint("--timeout 30"));
    }
    Ok(PartyOptions {
        threads: args.threads,
        memory: bytes("memory", &args.memory)?,
        timeout: Duration::from_secs_f64(args.timeout),
    })
}

fn child(args: &args::ChildArgs) -> Result<Option<LinkShape>> {
    let shape = shape(&args.shape)?;
    Ok(args.announce.then_some(shape))
}

pub(super) fn shape(text: &str) -> Result<LinkShape> {
    text.parse().map_err(|error| Failure::usage(error).hint("--link lan"))
}

/// `512`, `64K`, `512M`, `2G`: powers of 1024.
fn bytes(name: &str, text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text.get(digits.len()..).unwrap_or_default() {
        "" => Some(0),
        "K" | "k" => Some(10),
        "M" | "m" => Some(20),
        "G" | "g" => Some(30),
        "T" | "t" => Some(40),
        _ => None,
    };
    let value = digits.parse::<u64>().ok().zip(shift);
    let value = value.and_then(|(n, shift)| n.checked_mul(1 << shift)).filter(|&n| n > 0);
    value.ok_or_else(|| {
        let cause = format!("{name}: expected a number of bytes such as 512M or 2G, got {text}");
        Failure::usage(cause).hint(format_args!("--{name} 2G"))
    })
}

fn digest(text: &str) -> Result<[u8; 32]> {
    let mut out = [0; 32];
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    match digits {
        Some(digits) if digits.len() == 64 => {
            for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
            }
            Ok(out)
        }
        _ => Err(Failure::usage(format_args!(
            "expect-digest: expected 64 hexadecimal digits, got {} characters",
            text.chars().count()
        ))
        .hint("`sci-run inspect` shows the digest of a program")),
    }
}

/// Checks the form, and that nothing leaves the machine unless this was said.
fn address(option: &str, text: &str, insecure: bool) -> Result<()> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
        let cause = format!("{option}: expected host:port, got {text}");
        return Err(Failure::usage(cause).hint(format_args!("{option} 127.0.0.1:7700")));
    }
    if insecure || is_loopback(text) {
        return Ok(());
    }
    let cause = format!(
        "{option} {text} leaves this machine without encryption: --insecure-plaintext is missing"
    );
    Err(Failure::usage(cause)
        .hint("add --insecure-plaintext if the network in between is trusted, or use a tunnel"))
}

/// Whether an address is on this machine, by its text alone: other names are not looked up.
pub fn is_loopback(address: &str) -> bool {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return address.ip().to_canonical().is_loopback();
    }
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_digests() {
        assert_eq!(bytes("memory", "512").unwrap(), 512);
        assert_eq!(bytes("memory", "2G").unwrap(), 2 << 30);
        for bad in ["", "G", "0", "-1", "2GB", "99999999999T", "1.5G"] {
            assert!(bytes("memory", bad).is_err(), "{bad}");
        }
        let text: String = (0..32).map(|i| format!("{i:02x}")).collect();
        assert_eq!(digest(&text).unwrap(), std::array::from_fn(|i| i as u8));
        assert!(digest(&text[1..]).is_err() && digest(&format!("{text}0")).is_err());
        assert!(digest(&text.replace('0', "g")).is_err());
    }

    #[test]
    fn only_loopback_is_loopback() {
        for yes in ["127.0.0.1:1", "127.9.9.9:80", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"]
        {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1", "example.org:1"] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}
