//! The command lines of `tune` and `check`.

use super::args::{ConsoleArgs, DomainKind, ModelArgs, PartyArgs, PlanArgs};
use super::check::{DEFAULT_IMAGES, DEFAULT_MARGIN, MAX_MARGIN, model_of, party, shape};
use super::plan::{Plan, range};
use super::{Local, PartyOptions};
use crate::failure::{Failure, Result};
use crate::layer_check::LayerCheck;
use crate::model::Source;
use crate::tune::Tune;
use clap::Args;
use sci_core::channel::shaped::LinkShape;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The largest scale that leaves anything of a product in 64 bits.
const MAX_SCALE: u32 = 31;

#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    /// Embedded model, zoo name or model.onnx
    model: String,
    /// Folder of inputs: images.npy or pictures, and labels.csv
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Take at most so many inputs
    #[arg(long, value_name = "N", default_value_t = DEFAULT_IMAGES)]
    images: usize,
    /// Scales to try
    #[arg(long, value_name = "LOW..HIGH", default_value = "6..16")]
    scales: String,
    /// Accuracy that may be lost, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.1)]
    tolerance: f64,
    /// Bits above the least ones, for inputs larger than these
    #[arg(long, value_name = "BITS", default_value_t = 1)]
    headroom: u32,
    /// Bitwidths below the least one to measure as well
    #[arg(long, value_name = "N", default_value_t = 2)]
    below: u32,
    /// The link that decides what is cheap; predictions are for LAN and WAN as well
    #[arg(long, value_name = "LINK", default_value = "lan")]
    link: String,
    /// Where tune.json, tune.csv, tune.svg and the program go
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output_folder: PathBuf,
    /// Where to write the program of the chosen setting [default: the model's name with .sci in the output
    /// folder]
    #[arg(long, value_name = "FILE.sci")]
    program: Option<PathBuf>,
    /// Bits by which a tensor of the program may grow beyond what these inputs need [default: 1]
    #[arg(long, value_name = "BITS", conflicts_with = "full_width")]
    margin: Option<u32>,
    /// Leave comparisons and truncations at full width instead of narrowing them to these inputs
    #[arg(long)]
    full_width: bool,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    file: ModelArgs,
    /// Threads [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Embedded model, zoo name or model.onnx
    model: String,
    /// Inputs: files, the name of an embedded set, or `random` [default: those of the model]
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    input: Vec<String>,
    /// A layer differs if its largest error exceeds this share of its largest value
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    tolerance: f64,
    /// Run server and client as well and compare their result with fixed point
    #[arg(long)]
    secure: bool,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    file: ModelArgs,
    #[command(flatten)]
    party: PartyArgs,
    #[command(flatten)]
    pub(super) console: ConsoleArgs,
}

fn percent(name: &str, value: f64) -> Result<f64> {
    match (0.0..=100.0).contains(&value) {
        true => Ok(value / 100.0),
        false => Err(Failure::usage(format_args!("{name}: expected 0..=100 percent, got {value}"))
            .hint(format_args!("--{name} 0.1"))),
    }
}

fn scales(text: &str) -> Result<RangeInclusive<u32>> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let range = low.trim().parse().ok().zip(high.trim().trim_start_matches('=').parse().ok());
    range
        .map(|(low, high)| low..=high)
        .filter(|x| !x.is_empty() && *x.end() <= MAX_SCALE)
        .ok_or_else(|| {
            Failure::usage(format_args!("scales: expected low..high up to {MAX_SCALE}, got {text}"))
                .hint("--scales 6..16")
        })
}

pub(super) fn tune(args: TuneArgs) -> Result<Tune> {
    let plan = Plan::check(&args.plan)?.with(args.file)?;
    if plan.bitwidth.is_some() || plan.scale.is_some() {
        let cause = "--bitwidth and --scale are what tune finds";
        return Err(Failure::usage(cause).hint("--scales LOW..HIGH bounds the search"));
    }
    if plan.domain == Some(DomainKind::Field) {
        let cause = "tune works over rings: --domain field does not go with it";
        return Err(Failure::usage(cause).hint("leave --domain out"));
    }
    range("margin", args.margin, 0, MAX_MARGIN)?;
    if args.images == 0 || args.threads == Some(0) {
        let cause = "images, threads: expected at least 1, got 0";
        return Err(Failure::usage(cause).hint("leave the option out"));
    }
    let model = Source::parse(&args.model)?;
    let name = format!("{}.sci", model.name());
    Ok(Tune {
        program: args.program.unwrap_or_else(|| args.output_folder.join(name)),
        margin: (!args.full_width).then(|| args.margin.unwrap_or(DEFAULT_MARGIN)),
        model,
        data: args.data,
        images: args.images,
        scales: scales(&args.scales)?,
        tolerance: percent("tolerance", args.tolerance)?,
        headroom: args.headroom.min(64),
        below: args.below.min(64),
        link: shape(&args.link)?,
        folder: args.output_folder,
        plan,
        threads: args.threads.unwrap_or_else(crate::party::cores),
    })
}

pub(super) fn layer_check(args: CheckArgs) -> Result<LayerCheck> {
    let plan = Plan::check(&args.plan)?.with(args.file)?;
    let (model, inputs) = model_of(&args.model, args.input)?;
    let party: PartyOptions = party(&args.party)?;
    Ok(LayerCheck {
        run: Local { model, inputs, output_file: None, link: LinkShape::LOOPBACK, plan, party },
        tolerance: percent("tolerance", args.tolerance)?,
        secure: args.secure,
    })
}
