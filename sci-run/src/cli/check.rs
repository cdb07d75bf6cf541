//! Which options make sense, and together.

use super::args::{self, DomainKind, Emit};
use super::plan::{Plan, range};
use super::{Compile, CompileTarget, Infer, Inspect, Local, PartyOptions, Serve};
use crate::calibrate::Calibrate;
use crate::failure::{Failure, Result};
use crate::model::Source;
use crate::parameters;
use crate::zoo_command::ZooCommand;
use sci_core::channel::shaped::LinkShape;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// More than a machine has.
const MAX_THREADS: usize = 4096;
const MAX_TIMEOUT: f64 = 1e6;
/// Inputs of a folder that are taken where nothing is said.
pub(super) const DEFAULT_IMAGES: usize = 1000;
/// Bits beyond what calibration saw.
pub(super) const DEFAULT_MARGIN: u32 = 1;
/// As many bits as there are.
pub(super) const MAX_MARGIN: u32 = 64;

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
    let plan = Plan::check(&args.plan)?.with(args.file)?;
    let (model, inputs) = model_of(args.model.as_deref().unwrap_or("digits"), args.input)?;
    let (link, party) = (shape(&args.link)?, party(&args.party)?);
    let output_file = array_file(args.output_file)?;
    Ok(Local { model, inputs, output_file, link, plan, party })
}

/// A file for outputs, whose format its name tells.
fn array_file(path: Option<PathBuf>) -> Result<Option<PathBuf>> {
    match path {
        Some(path) if path.extension().is_none_or(|extension| extension != "npy") => {
            let cause = format!("output-file: expected a name with .npy, got {}", path.display());
            Err(Failure::usage(cause).hint("--output-file labels.npy"))
        }
        path => Ok(path),
    }
}

pub(super) fn serve(args: args::ServeArgs) -> Result<Serve> {
    let plan = Plan::check(&args.plan)?.with(args.file)?;
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
    let plan = Plan::check(&args.plan)?;
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
        output_file: array_file(args.output_file)?,
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
    let plan = Plan::check(&args.plan)?.with(args.file)?;
    let model = Source::parse(&args.model)?;
    let calibration = calibration(args.calibration, &plan)?;
    let target = target(&model, args.emit, args.dump_after, args.output_file)?;
    if calibration.is_some() && matches!(target, CompileTarget::Hlil | CompileTarget::After(_)) {
        let cause = "--calibrate narrows the finished program: it does not go with this form";
        return Err(Failure::usage(cause).hint("--emit llil shows the narrowed program"));
    }
    let prints = !matches!(target, CompileTarget::File(_) | CompileTarget::Cost);
    if args.console.json && prints {
        let cause = "--json: a form of the program is printed as text alone";
        return Err(Failure::usage(cause).hint("--emit cost, or a program file, has a JSON object"));
    }
    if let (Source::File(from), CompileTarget::File(to)) = (&model, &target)
        && from == to
    {
        let cause = format!("{} would be overwritten by its own program", from.display());
        return Err(Failure::usage(cause).hint("-o another.sci"));
    }
    let link = shape(&args.link)?;
    Ok(Compile { model, target, calibration, link, plan })
}

/// What is to be written or printed.
fn target(
    model: &Source,
    emit: Option<Emit>,
    after: Option<String>,
    file: Option<PathBuf>,
) -> Result<CompileTarget> {
    match (emit, after, file) {
        (Some(Emit::Hlil), None, None) => Ok(CompileTarget::Hlil),
        (Some(Emit::Llil), None, None) => Ok(CompileTarget::Llil),
        (Some(Emit::Cost), None, None) => Ok(CompileTarget::Cost),
        (None, Some(pass), None) => stage(&pass).map(CompileTarget::After),
        (None, None, Some(path)) => Ok(CompileTarget::File(path)),
        (None, None, None) => Ok(CompileTarget::File(match model {
            Source::Embedded(_) | Source::Zoo(_) => PathBuf::from(format!("{}.sci", model.name())),
            Source::File(path) => path.with_extension("sci"),
        })),
        _ => {
            let cause = "-o, --emit and --dump-after do not go together: the last two print";
            Err(Failure::usage(cause).hint("one of the three"))
        }
    }
}

/// A stage of the compiler by its name.
fn stage(name: &str) -> Result<&'static str> {
    athos::stages().find(|stage| *stage == name).ok_or_else(|| {
        let mut names: Vec<&str> = Vec::new();
        for stage in athos::stages() {
            if !names.contains(&stage) {
                names.push(stage);
            }
        }
        let cause = format!("dump-after: expected {}, got {name}", names.join(", "));
        Failure::usage(cause).hint("--dump-after lower")
    })
}

fn calibration(args: args::CalibrationArgs, plan: &Plan) -> Result<Option<Calibrate>> {
    let Some(folder) = args.calibrate else { return Ok(None) };
    if plan.domain == Some(DomainKind::Field) {
        let cause =
            "--calibrate is there for --domain ring alone: shares modulo n have no low bits";
        return Err(Failure::usage(cause).hint("leave --calibrate out, or --domain ring"));
    }
    let images = args.images.unwrap_or(DEFAULT_IMAGES);
    range("images", Some(u32::try_from(images).unwrap_or(u32::MAX)), 1, u32::MAX)?;
    range("margin", args.margin, 0, MAX_MARGIN)?;
    Ok(Some(Calibrate { folder, images, margin: args.margin.unwrap_or(DEFAULT_MARGIN) }))
}

pub(super) fn inspect(args: args::InspectArgs) -> Result<Inspect> {
    Ok(Inspect {
        model: Source::parse(&args.model)?,
        plan: Plan::check(&args.plan)?.with(args.file)?,
    })
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
