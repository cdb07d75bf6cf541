//! `sci-run tune`: which scale and bitwidth a model needs on a validation folder, what that costs, and the program
//! that a server serves.

mod oracle;
mod plot;
mod program;
mod show;

use crate::calibrate::bar;
use crate::cli::Plan;
use crate::failure::{Failure, Result};
use crate::input;
use crate::model::Source;
use crate::report::SCHEMA;
use crate::voice::print;
use athos::autotune::{Progress, Sample, Sweep, Tuning, tune};
use oracle::Oracle;
use program::Written;
use rayon::prelude::*;
use sci_core::channel::shaped::LinkShape;
use serde::Serialize;
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// A sweep.
#[derive(Debug)]
pub struct Tune {
    /// The model: floats, not a program file.
    pub model: Source,
    /// The validation folder.
    pub data: PathBuf,
    /// At most so many of its inputs.
    pub images: usize,
    /// Bits after the binary point to try.
    pub scales: RangeInclusive<u32>,
    /// How much accuracy may be lost, of 1.
    pub tolerance: f64,
    /// Bits above the least ones.
    pub headroom: u32,
    /// Bitwidths below that are measured as well.
    pub below: u32,
    /// The link that decides what is cheap; LAN and WAN are shown anyway.
    pub link: LinkShape,
    /// Where the results go.
    pub folder: PathBuf,
    /// Where the program of the chosen setting goes.
    pub program: PathBuf,
    /// Bits by which its tensors may grow beyond what the inputs need; `None` leaves it at full width.
    pub margin: Option<u32>,
    /// Preprocessing.
    pub plan: Plan,
    /// Threads.
    pub threads: usize,
}

/// What is written to `tune.json`.
#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    model: &'a str,
    data: String,
    tolerance: f64,
    headroom: u32,
    #[serde(flatten)]
    tuning: &'a Tuning,
    /// Of the chosen setting.
    program: Option<&'a Written>,
}

/// Sweeps, writes `tune.json`, `tune.csv`, `tune.svg` and the program of the chosen setting, and prints what was
/// chosen.
///
/// # Errors
/// Those of the model, the folder and the files, and if no setting is accurate enough.
pub fn run(command: &Tune, json: bool) -> Result<()> {
    let graph = command.model.graph(&command.plan)?;
    // Whoever cannot write there should hear of it before the sweep.
    fs::create_dir_all(&command.folder).map_err(|e| Failure::file(&command.folder, &e))?;
    let options = command.model.options(&Plan { scale: Some(0), ..command.plan.clone() })?;
    let sweep = Sweep {
        scales: command.scales.clone(),
        below: command.below,
        headroom: command.headroom,
        tolerance: command.tolerance,
        compile: options,
    };
    let oracle = Oracle::new(command.link, command.threads, &command.plan)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(command.threads).build();
    let pool = pool.map_err(|e| Failure::new("resource", format_args!("no threads: {e}")))?;
    let samples = pool.install(|| samples(command))?;
    let bar = bar("runs");
    let progress = |progress: Progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(match progress.scale {
            None => "float".to_string(),
            Some(scale) => format!("scale {scale}"),
        });
    };
    let tuning = pool.install(|| tune(&graph, &samples, &sweep, Some(&oracle), &progress));
    let written = tuning.map_err(Failure::from).and_then(|tuning| {
        let choice = tuning.chosen.as_ref();
        let write = |choice| program::write(command, graph, &samples, choice, &oracle, &bar);
        let written = choice.map(|choice| pool.install(|| write(choice))).transpose()?;
        Ok((tuning, written))
    });
    bar.finish_and_clear();
    let (tuning, written) = written?;
    let name = command.model.name();
    let report = Report {
        schema: SCHEMA,
        model: &name,
        data: command.data.display().to_string(),
        tolerance: command.tolerance,
        headroom: command.headroom,
        tuning: &tuning,
        program: written.as_ref(),
    };
    let object = serde_json::to_string(&report)
        .map_err(|e| Failure::new("misuse", format_args!("cannot print: {e}")))?;
    for (file, text) in [
        ("tune.json", object.clone() + "\n"),
        ("tune.csv", show::table(&tuning)?),
        ("tune.svg", plot::svg(&name, &tuning, command.tolerance)?),
    ] {
        let path = command.folder.join(file);
        fs::write(&path, text).map_err(|e| Failure::file(&path, &e))?;
    }
    match json {
        true => print((object + "\n").as_bytes()),
        false => print(show::text(command, &tuning, written.as_ref()).as_bytes()),
    }
    match tuning.chosen {
        Some(_) => Ok(()),
        None => Err(Failure::new("accuracy", "no setting is as accurate as the float network")
            .hint("more scales with --scales, or a larger --tolerance")),
    }
}

fn samples(command: &Tune) -> Result<Vec<Sample>> {
    let inputs = input::dataset(&command.data, command.images)?;
    // Shape and preprocessing are those of every program of this model.
    let plan = Plan { scale: Some(0), bitwidth: Some(64), ..command.plan.clone() };
    let program = command.model.load(&plan)?.public;
    // Every input is let go as soon as its numbers are there.
    let sample = |input: input::Input| {
        Ok(Sample { input: input.numbers(&program)?.to_vec(), label: input.label })
    };
    inputs.into_par_iter().map(sample).collect()
}
