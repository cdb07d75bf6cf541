//! The command line as it is typed. Nothing is checked here beyond its form.

use super::tuning::{CheckArgs, TuneArgs};
use crate::parameters;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Secure two-party neural-network inference: the server keeps its weights, the client its input.
///
/// Without a subcommand: server and client run as two processes of this program on an embedded
/// model, and the result is compared with a cleartext run.
#[derive(Debug, Parser)]
#[command(name = "sci-run", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Exit codes: 0 done, 1 the run failed, 2 wrong usage.")]
pub(super) struct Line {
    #[command(subcommand)]
    pub(super) command: Option<CommandArgs>,
    #[command(flatten)]
    pub(super) local: LocalArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum CommandArgs {
    /// Offer a model to clients, one after the other.
    Serve(ServeArgs),
    /// Ask a server for predictions; the public program comes with the handshake.
    Infer(InferArgs),
    /// Turn a model, ONNX or TensorFlow, into a program file.
    Compile(CompileArgs),
    /// Show what is public about a model or program file.
    Inspect(InspectArgs),
    /// List the operators that can be compiled.
    Ops(ConsoleArgs),
    /// Find the scale and the bitwidth that a model needs, and what that costs.
    Tune(Box<TuneArgs>),
    /// Compare float, fixed point and a secure run, layer by layer.
    Check(Box<CheckArgs>),
    /// Known architectures with random weights, to measure time and traffic.
    Zoo(ZooArgs),
}

#[derive(Debug, Args)]
pub(super) struct LocalArgs {
    /// Embedded model (digits, breast-cancer), zoo name or file [default: digits]
    #[arg(long, value_name = "NAME|FILE")]
    pub(super) model: Option<String>,
    /// Inputs of the client: files, the name of an embedded set, or `random` [default: those of the
    /// model]
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    pub(super) input: Vec<String>,
    /// Write the outputs to this file as well: classes, one for every position if there are many, or logits
    #[arg(long, value_name = "FILE.npy")]
    pub(super) output_file: Option<PathBuf>,
    /// Shape of the link between the two processes: loopback, lan, wan, lan-cheetah, wan-cheetah or
    /// <MB/s>,<RTT ms>
    #[arg(long, value_name = "LINK", default_value = "loopback")]
    pub(super) link: String,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    #[command(flatten)]
    pub(super) file: ModelArgs,
    #[command(flatten)]
    pub(super) party: PartyArgs,
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Embedded model (digits, breast-cancer), zoo name, model.onnx or program.sci
    pub(super) model: String,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7700")]
    pub(super) listen: String,
    /// End after one client; exit code 1 if that session failed
    #[arg(long)]
    pub(super) once: bool,
    /// The most inputs that a client may bring in one session
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) max_inputs: u32,
    /// What the planner takes the clients' links for [default: each is probed]
    #[arg(long, value_name = "LINK")]
    pub(super) link: Option<String>,
    /// Allow an address that other machines can reach, without encryption
    #[arg(long)]
    pub(super) insecure_plaintext: bool,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    #[command(flatten)]
    pub(super) file: ModelArgs,
    #[command(flatten)]
    pub(super) party: PartyArgs,
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
    #[command(flatten)]
    pub(super) child: ChildArgs,
}

/// Options of the plan are requirements here: a difference to the server's is an error.
#[derive(Debug, Args)]
pub(super) struct InferArgs {
    /// png, jpeg, npy (u8: raw, f32: preprocessed) or csv (a row an input), or an embedded set
    #[arg(required = true)]
    pub(super) input: Vec<String>,
    /// Write the outputs to this file as well: classes, one for every position if there are many, or logits
    #[arg(long, value_name = "FILE.npy")]
    pub(super) output_file: Option<PathBuf>,
    /// The server
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) connect: String,
    /// Require this model
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,
    /// Require this SHA-256 digest of the public program
    #[arg(long, value_name = "HEX")]
    pub(super) expect_digest: Option<String>,
    /// Refuse a program with a larger tensor
    #[arg(long, value_name = "N")]
    pub(super) max_elements: Option<usize>,
    /// Refuse a program that needs more memory here (512M, 2G) [default: --memory]
    #[arg(long, value_name = "BYTES")]
    pub(super) max_memory: Option<String>,
    /// Allow a server on another machine, without encryption
    #[arg(long)]
    pub(super) insecure_plaintext: bool,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    #[command(flatten)]
    pub(super) party: PartyArgs,
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
    #[command(flatten)]
    pub(super) child: ChildArgs,
}

#[derive(Debug, Args)]
pub(super) struct CompileArgs {
    /// The model
    pub(super) model: String,
    /// Where to write the program [default: the model's name with .sci]
    #[arg(short, long, value_name = "FILE.sci")]
    pub(super) output_file: Option<PathBuf>,
    /// Print an intermediate form instead of writing a file
    #[arg(long, value_enum)]
    pub(super) emit: Option<Emit>,
    /// The link that `--emit cost` is for
    #[arg(long, value_name = "LINK", default_value = "lan")]
    pub(super) link: String,
    /// Print the program after a pass instead of writing a file; a pass that runs twice counts the second time
    #[arg(long, value_name = "PASS")]
    pub(super) dump_after: Option<String>,
    #[command(flatten)]
    pub(super) calibration: CalibrationArgs,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    #[command(flatten)]
    pub(super) file: ModelArgs,
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
}

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// Embedded model, zoo name, model.onnx or program.sci
    pub(super) model: String,
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    #[command(flatten)]
    pub(super) file: ModelArgs,
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
}

#[derive(Debug, Args)]
pub(super) struct ZooArgs {
    #[command(subcommand)]
    pub(super) action: ZooAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum ZooAction {
    /// Show all names.
    List(ConsoleArgs),
    /// Write one as an ONNX file.
    Export {
        /// Its name.
        name: String,
        /// Where to write it [default: the name with .onnx].
        #[arg(short, long, value_name = "FILE.onnx")]
        output_file: Option<PathBuf>,
        /// Seed of the weights.
        #[arg(long, default_value_t = crate::zoo_command::DEFAULT_SEED)]
        seed: u64,
        #[command(flatten)]
        console: ConsoleArgs,
    },
}

/// What a model file does not say.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Preprocessing, which becomes part of the public program
    #[arg(long, value_name = "FILE.toml")]
    pub(super) preprocess: Option<PathBuf>,
    /// Shape of the input where the model leaves it open, batch first: 1x1x48x48x48
    #[arg(long, value_name = "SHAPE")]
    pub(super) input_shape: Option<String>,
}

/// Which inputs a program is narrowed to.
#[derive(Debug, Args)]
pub(super) struct CalibrationArgs {
    /// Let comparisons and truncations look at the bits that the inputs of this folder need (images.npy or
    /// pictures), and no more
    #[arg(long, value_name = "DIR")]
    pub(super) calibrate: Option<PathBuf>,
    /// Take at most so many of these inputs [default: 1000]
    #[arg(long, value_name = "N", requires = "calibrate")]
    pub(super) images: Option<usize>,
    /// Bits by which a tensor may grow beyond what was seen [default: 1]
    #[arg(long, value_name = "BITS", requires = "calibrate")]
    pub(super) margin: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    /// Protocol of the linear layers; auto takes the faster one for each [default: auto]
    #[arg(long, value_enum)]
    pub(super) backend: Option<Backend>,
    /// l of the ring Z_2^l, 1..=64, or bits of the prime field, 1..=62 [default: 37]
    #[arg(long, value_name = "BITS")]
    pub(super) bitwidth: Option<u32>,
    /// Bits after the binary point of inputs and weights [default: 12]
    #[arg(long, value_name = "BITS")]
    pub(super) scale: Option<u32>,
    /// Where shares live [default: ring]
    #[arg(long, value_enum)]
    pub(super) domain: Option<DomainKind>,
    /// Packing of ciphertexts (backend he)
    #[arg(long, value_enum)]
    pub(super) packing: Option<Packing>,
    /// What the flooding of responses is for (backend he)
    #[arg(long, value_enum)]
    pub(super) he_privacy: Option<HePrivacy>,
    /// OT extension [default: silent]
    #[arg(long, value_enum)]
    pub(super) ot: Option<Ot>,
    /// Exact truncation, or one that may be one below: cheaper, and the result is no longer that of the cleartext
    /// run [default: faithful]
    #[arg(long, value_enum)]
    pub(super) truncation: Option<Truncation>,
    /// Bits of a digit in comparisons, 1..=8 [default: by cost]
    #[arg(long, value_name = "BITS")]
    pub(super) radix: Option<u32>,
    /// What the client learns [default: argmax]
    #[arg(long, value_enum)]
    pub(super) output: Option<Output>,
}

#[derive(Debug, Args)]
pub(super) struct PartyArgs {
    /// Threads of a party [default: all cores; half of them in a local run]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
    /// Memory that the tensors of a party may take (512M, 2G)
    #[arg(long, value_name = "BYTES", default_value = "2G")]
    pub(super) memory: String,
    /// Seconds without progress of the link after which it has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub(super) timeout: f64,
}

#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ConsoleArgs {
    /// Print one JSON object on stdout
    #[arg(long)]
    pub(super) json: bool,
    /// Log to stderr; twice for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
}

/// How the orchestrator of a local run talks to its children.
#[derive(Debug, Args)]
pub(super) struct ChildArgs {
    /// Report events as JSON lines on stdout and end when stdin does.
    #[arg(long, hide = true)]
    pub(super) announce: bool,
    /// Shape of what this party sends.
    #[arg(long, hide = true, default_value = "loopback")]
    pub(super) shape: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Backend {
    Ot,
    He,
    Auto,
}

/// Where shares live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DomainKind {
    /// Z_2^l.
    Ring,
    /// Z_n for a prime n of l bits.
    Field,
}

impl DomainKind {
    /// As in options and parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring => parameters::RING,
            Self::Field => parameters::FIELD,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Packing {
    Coefficient,
    Simd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum HePrivacy {
    Run,
    Coefficient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Truncation {
    Faithful,
    OneBitError,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Ot {
    Silent,
    Iknp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Argmax,
    Topk,
    Logits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Emit {
    Hlil,
    Llil,
    Cost,
}
