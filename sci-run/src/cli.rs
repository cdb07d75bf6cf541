//! The command line: from what is typed to what the program needs, without side effects.

mod args;
mod check;
mod plan;
mod tuning;

pub use args::DomainKind;
pub use check::is_loopback;
pub use plan::Plan;

use crate::calibrate::Calibrate;
use crate::failure::{Failure, Result};
use crate::layer_check::LayerCheck;
use crate::model::Source;
use crate::tune::Tune;
use crate::zoo_command::ZooCommand;
use args::{CommandArgs, Line};
use clap::Parser;
use sci_core::channel::shaped::LinkShape;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use truncation::Exactness;

/// What is to be done, checked.
#[derive(Debug)]
pub enum Command {
    /// Server and client on this machine, compared with a cleartext run.
    Local(Local),
    /// Offer a model.
    Serve(Serve),
    /// Ask for predictions.
    Infer(Infer),
    /// Write or print a compiled model.
    Compile(Compile),
    /// Show what is public about a model.
    Inspect(Inspect),
    /// List operators.
    Ops,
    /// Known architectures.
    Zoo(ZooCommand),
    /// Find scale and bitwidth.
    Tune(Tune),
    /// Compare float, fixed point and a secure run.
    Check(LayerCheck),
}

/// A local run.
#[derive(Debug)]
pub struct Local {
    /// The server's model.
    pub model: Source,
    /// The client's inputs: files or embedded sets.
    pub inputs: Vec<String>,
    /// Where the outputs go, beside the report.
    pub output_file: Option<PathBuf>,
    /// How the link is shaped.
    pub link: LinkShape,
    /// What the server decides.
    pub plan: Plan,
    /// Of each party.
    pub party: PartyOptions,
}

/// A server.
#[derive(Debug)]
pub struct Serve {
    /// The model.
    pub model: Source,
    /// `host:port`.
    pub listen: String,
    /// End after one session.
    pub once: bool,
    /// Inputs in one session.
    pub max_inputs: u32,
    /// What the server decides.
    pub plan: Plan,
    /// What the planner takes the clients' links for; `None` probes each.
    pub link: Option<LinkShape>,
    /// Of this party.
    pub party: PartyOptions,
    /// Whether an orchestrator runs this process, and how it shapes the link.
    pub child: Option<LinkShape>,
}

/// A client.
#[derive(Debug)]
pub struct Infer {
    /// Files or embedded sets.
    pub inputs: Vec<String>,
    /// Where the outputs go, beside the report.
    pub output_file: Option<PathBuf>,
    /// `host:port`.
    pub connect: String,
    /// Names and values that the server's parameters must have.
    pub requirements: Vec<(String, String)>,
    /// The kind of truncation that it accepts.
    pub exactness: Exactness,
    /// The digest that the public program must have.
    pub expect_digest: Option<[u8; 32]>,
    /// Elements of the largest tensor.
    pub max_elements: Option<usize>,
    /// Bytes that its tensors may take here.
    pub max_memory: u64,
    /// Of this party.
    pub party: PartyOptions,
    /// Whether an orchestrator runs this process, and how it shapes the link.
    pub child: Option<LinkShape>,
}

/// A compilation.
#[derive(Debug)]
pub struct Compile {
    /// The model.
    pub model: Source,
    /// Print this form, or write the program to this file.
    pub target: CompileTarget,
    /// Inputs to narrow the program to.
    pub calibration: Option<Calibrate>,
    /// The link that costs are for.
    pub link: LinkShape,
    /// Bitwidth, scale, output, preprocessing.
    pub plan: Plan,
}

/// Where a compilation goes.
#[derive(Debug, PartialEq, Eq)]
pub enum CompileTarget {
    /// A program file.
    File(PathBuf),
    /// The typed float graph, as text.
    Hlil,
    /// The integer program, as text.
    Llil,
    /// Every product by every engine, as a table.
    Cost,
    /// The program after a stage of the compiler, as text.
    After(&'static str),
}

/// A look at a model.
#[derive(Debug)]
pub struct Inspect {
    /// The model.
    pub model: Source,
    /// Bitwidth and scale if it has to be compiled.
    pub plan: Plan,
}

/// What each party decides for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct PartyOptions {
    /// Threads; `None` for what the machine has.
    pub threads: Option<usize>,
    /// Bytes that tensors may take.
    pub memory: u64,
    /// How long the link may stand still.
    pub timeout: Duration,
}

/// How the program talks to its user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Console {
    /// One JSON object on stdout.
    pub json: bool,
    /// 0 warnings, 1 steps, 2 details.
    pub verbose: u8,
}

/// What came of a command line.
#[derive(Debug)]
pub enum Parsed {
    /// Something to do.
    Run(Box<Command>, Console),
    /// Something to print on stdout: help, version.
    Print(String),
    /// Wrong usage.
    Wrong(Failure, Console),
}

/// Reads a command line, the name of the program first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Parsed {
    let args: Vec<OsString> = args.into_iter().collect();
    match Line::try_parse_from(&args) {
        Ok(parsed) => {
            let console = console(&parsed);
            match command(parsed) {
                Ok(command) => Parsed::Run(Box::new(command), console),
                Err(failure) => Parsed::Wrong(failure, console),
            }
        }
        Err(error) if !error.use_stderr() => Parsed::Print(error.render().to_string()),
        Err(error) => {
            let json = args.iter().any(|arg| arg == "--json");
            Parsed::Wrong(usage(&error), Console { json, verbose: 0 })
        }
    }
}

/// The parser's error as one line and a hint.
fn usage(error: &clap::Error) -> Failure {
    let text = error.render().to_string();
    let mut parts = text.split("\n\n");
    let cause = parts.next().unwrap_or_default().trim_start_matches("error: ");
    let tip = parts.find_map(|part| part.trim().strip_prefix("tip: "));
    Failure::usage(cause).hint(tip.unwrap_or("sci-run --help"))
}

fn console(args: &Line) -> Console {
    let args = match &args.command {
        None => args.local.console,
        Some(CommandArgs::Serve(serve)) => serve.console,
        Some(CommandArgs::Infer(infer)) => infer.console,
        Some(CommandArgs::Compile(compile)) => compile.console,
        Some(CommandArgs::Inspect(inspect)) => inspect.console,
        Some(CommandArgs::Ops(console)) => *console,
        Some(CommandArgs::Zoo(zoo)) => match zoo.action {
            args::ZooAction::List(console) | args::ZooAction::Export { console, .. } => console,
        },
        Some(CommandArgs::Tune(tune)) => tune.console,
        Some(CommandArgs::Check(check)) => check.console,
    };
    Console { json: args.json, verbose: args.verbose }
}

fn command(args: Line) -> Result<Command> {
    match args.command {
        None => check::local(args.local).map(Command::Local),
        Some(CommandArgs::Serve(serve)) => check::serve(serve).map(Command::Serve),
        Some(CommandArgs::Infer(infer)) => check::infer(infer).map(Command::Infer),
        Some(CommandArgs::Compile(compile)) => check::compile(compile).map(Command::Compile),
        Some(CommandArgs::Inspect(inspect)) => check::inspect(inspect).map(Command::Inspect),
        Some(CommandArgs::Ops(_)) => Ok(Command::Ops),
        Some(CommandArgs::Tune(tune)) => tuning::tune(*tune).map(Command::Tune),
        Some(CommandArgs::Check(check)) => tuning::layer_check(*check).map(Command::Check),
        Some(CommandArgs::Zoo(zoo)) => check::zoo(zoo).map(Command::Zoo),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        parse(line.split_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> Command {
        match parsed(line) {
            Parsed::Run(command, _) => *command,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn wrong(line: &str) -> Failure {
        match parsed(line) {
            Parsed::Wrong(failure, _) => failure,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Line::command().debug_assert();
    }

    #[test]
    fn no_argument_is_a_local_run_of_the_default_model() {
        let Command::Local(local) = run("sci-run") else { panic!() };
        assert_eq!(local.inputs, ["digits"]);
        assert!(local.link.is_loopback());
        let Command::Local(local) = run("sci-run --model breast-cancer --link 40,80") else {
            panic!()
        };
        assert_eq!(local.inputs, ["breast-cancer"]);
        assert_eq!(local.link.to_string(), "wan");
    }

    #[test]
    fn what_a_client_is_given_is_a_requirement() {
        let line = "sci-run infer a.png --connect 127.0.0.1:1 --bitwidth 32 --output logits";
        let Command::Infer(infer) = run(line) else { panic!() };
        let expected = [("bitwidth", "32"), ("output", "logits")];
        assert_eq!(infer.requirements, expected.map(|(a, b)| (a.to_string(), b.to_string())));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (line, kind, word) in [
            ("sci-run --bitwidth 0", "usage", "bitwidth"),
            ("sci-run --bitwidth 65", "usage", "1..=64"),
            ("sci-run --bitwidth x", "usage", "--bitwidth"),
            ("sci-run --bitwidth 12 --scale 12", "usage", "scale"),
            ("sci-run --radix 9", "usage", "radix"),
            ("sci-run --domain field --bitwidth 63", "usage", "1..=62"),
            ("sci-run --backend fhe", "usage", "fhe"),
            ("sci-run --domain field --truncation one-bit-error", "usage", "--truncation"),
            ("sci-run --ot ferret", "usage", "ferret"),
            ("sci-run --output topk", "not_built", "topk"),
            ("sci-run --packing simd --domain ring", "usage", "simd"),
            ("sci-run --backend ot --packing coefficient", "usage", "--packing"),
            ("sci-run --backend ot --he-privacy run", "usage", "--he-privacy"),
            ("sci-run --link fast", "usage", "fast"),
            ("sci-run --timeout 0", "usage", "timeout"),
            ("sci-run --threads 0", "usage", "threads"),
            ("sci-run --memory lots", "usage", "memory"),
            ("sci-run --output-file labels.csv", "usage", ".npy"),
            ("sci-run --model nothing", "usage", "nothing"),
            ("sci-run --model ./m.onnx", "usage", "--input"),
            ("sci-run --nonsense", "usage", "--nonsense"),
            ("sci-run tune m.onnx", "usage", "--data"),
            ("sci-run tune m.onnx --data val --scales 9..6", "usage", "scales"),
            ("sci-run tune m.onnx --data val --scale 6", "usage", "--scale"),
            ("sci-run zoo export nothing", "usage", "nothing"),
            ("sci-run check ./m.onnx", "usage", "--input"),
            ("sci-run infer a.png", "usage", "--connect"),
            ("sci-run infer a.png --connect 10.0.0.1:1", "usage", "--insecure-plaintext"),
            ("sci-run infer a.png --connect localhost", "usage", "host:port"),
            ("sci-run infer a.png --connect [::1]:1 --expect-digest 00", "usage", "digest"),
            ("sci-run serve digits --listen 0.0.0.0:1", "usage", "--insecure-plaintext"),
            ("sci-run serve digits --max-inputs 0", "usage", "max-inputs"),
            ("sci-run compile m.onnx --emit cost -o x.sci", "usage", "--emit"),
            ("sci-run compile m.onnx --dump-after x", "usage", "sink-truncation"),
            ("sci-run compile m.onnx --dump-after read --emit llil", "usage", "--dump-after"),
            ("sci-run compile m.onnx --margin 2", "usage", "--calibrate"),
            ("sci-run compile m.onnx --calibrate val --margin 65", "usage", "margin"),
            ("sci-run compile m.onnx --calibrate val --domain field", "usage", "--calibrate"),
            ("sci-run compile m.onnx --calibrate val --emit hlil", "usage", "--calibrate"),
            ("sci-run compile m.onnx --input-shape 1x0x8", "usage", "input-shape"),
            ("sci-run tune m.onnx --data val --domain field", "usage", "--domain"),
            ("sci-run tune m.onnx --data val --full-width --margin 2", "usage", "--margin"),
        ] {
            let failure = wrong(line);
            assert_eq!(failure.exit, 2, "{line}: {failure}");
            assert_eq!(failure.kind, kind, "{line}: {failure}");
            assert!(failure.message.contains(word), "{line}: {failure}");
            assert!(failure.hint.is_some(), "{line}: {failure}");
        }
        assert!(matches!(parsed("sci-run --help"), Parsed::Print(_)));
        let Parsed::Wrong(_, console) = parsed("sci-run --json --bitwidth x") else { panic!() };
        assert!(console.json);
    }
}
