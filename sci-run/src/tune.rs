//! `sci-run tune`: which scale and bitwidth a model needs on a validation folder, and what that costs.

mod oracle;
mod plot;

use crate::cli::Plan;
use crate::failure::{Failure, Result};
use crate::input;
use crate::model::Source;
use crate::report::{SCHEMA, human_bytes};
use crate::voice::print;
use athos::autotune::{Choice, Progress, Sample, Setting, Sweep, Tuning, tune};
use indicatif::{ProgressBar, ProgressStyle};
use oracle::Oracle;
use sci_core::channel::shaped::LinkShape;
use serde::Serialize;
use std::fmt::Write;
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
}

/// Sweeps, writes `tune.json`, `tune.csv` and `tune.svg`, and prints what was chosen.
///
/// # Errors
/// Those of the model, the folder and the files, and if no setting is accurate enough.
pub fn run(command: &Tune, json: bool) -> Result<()> {
    let graph = command.model.graph()?;
    let samples = samples(command)?;
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
    let bar = bar();
    let progress = |progress: Progress| {
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(match progress.scale {
            None => "float".to_string(),
            Some(scale) => format!("scale {scale}"),
        });
    };
    let tuning = pool.install(|| tune(&graph, &samples, &sweep, Some(&oracle), &progress));
    bar.finish_and_clear();
    let tuning = tuning?;
    let name = command.model.name();
    let report = Report {
        schema: SCHEMA,
        model: &name,
        data: command.data.display().to_string(),
        tolerance: command.tolerance,
        headroom: command.headroom,
        tuning: &tuning,
    };
    let object = serde_json::to_string(&report)
        .map_err(|e| Failure::new("misuse", format_args!("cannot print: {e}")))?;
    fs::create_dir_all(&command.folder).map_err(|e| Failure::file(&command.folder, &e))?;
    for (file, text) in [
        ("tune.json", object.clone() + "\n"),
        ("tune.csv", table(&tuning)?),
        ("tune.svg", plot::svg(&name, &tuning, command.tolerance)?),
    ] {
        let path = command.folder.join(file);
        fs::write(&path, text).map_err(|e| Failure::file(&path, &e))?;
    }
    match json {
        true => print((object + "\n").as_bytes()),
        false => print(text(command, &tuning).as_bytes()),
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
    let sample = |input: &input::Input| {
        Ok(Sample { input: input.numbers(&program)?.to_vec(), label: input.label })
    };
    inputs.iter().map(sample).collect()
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs  {msg}  {eta} left");
    let bar = ProgressBar::new(0);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// All settings, a line each.
fn table(tuning: &Tuning) -> Result<String> {
    let failed = |e: csv::Error| Failure::new("misuse", format_args!("cannot write: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut plans: Vec<&str> = Vec::new();
    for cost in tuning.settings.iter().flat_map(|setting| &setting.cost) {
        if !plans.contains(&cost.plan.as_str()) {
            plans.push(&cost.plan);
        }
    }
    let mut names: Vec<String> =
        ["scale", "bitwidth", "samples", "overflowing", "accuracy", "changed"]
            .map(String::from)
            .to_vec();
    names
        .extend(plans.iter().flat_map(|plan| [format!("{plan} seconds"), format!("{plan} bytes")]));
    writer.write_record(&names).map_err(failed)?;
    for setting in &tuning.settings {
        let mut row = vec![
            setting.scale.to_string(),
            setting.bitwidth.to_string(),
            tuning.samples.to_string(),
            setting.overflowing.to_string(),
            setting.accuracy.to_string(),
            setting.changed.to_string(),
        ];
        for plan in &plans {
            let cost = setting.cost.iter().find(|cost| cost.plan == *plan);
            row.push(cost.map_or(String::new(), |cost| format!("{:.4}", cost.seconds)));
            row.push(cost.map_or(String::new(), |cost| cost.bytes.to_string()));
        }
        writer.write_record(&row).map_err(failed)?;
    }
    let bytes = writer.into_inner();
    let bytes = bytes.map_err(|e| Failure::new("misuse", format_args!("cannot write: {e}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn percent(part: f64) -> String {
    format!("{:.2} %", 100.0 * part)
}

/// For the user.
fn text(command: &Tune, tuning: &Tuning) -> String {
    let mut out = String::new();
    let what = if tuning.labelled { "top-1" } else { "agreement with float" };
    let _ = writeln!(
        out,
        "{} on {} samples: float {what} {}\n",
        command.model.name(),
        tuning.samples,
        percent(tuning.float_accuracy)
    );
    let _ = writeln!(out, "scale  bitwidth  overflowing  {what:>8}  changed");
    for Setting { scale, bitwidth, overflowing, accuracy, changed, .. } in &tuning.settings {
        let accuracy = percent(*accuracy);
        let width = what.len().max(8);
        let _ = writeln!(
            out,
            "{scale:>5}  {bitwidth:>8}  {overflowing:>11}  {accuracy:>width$}  {changed:>7}"
        );
    }
    for (scale, why) in &tuning.impossible {
        let _ = writeln!(out, "{scale:>5}  none: {why}");
    }
    let Some(Choice { scale, bitwidth, least_bitwidth, accuracy }) = &tuning.chosen else {
        return out;
    };
    let _ = writeln!(
        out,
        "\nchosen   --bitwidth {bitwidth} --scale {scale}  (nothing overflows from {least_bitwidth} \
         bits; {what} {})",
        percent(*accuracy)
    );
    let chosen = tuning.settings.iter().find(|x| (x.scale, x.bitwidth) == (*scale, *bitwidth));
    for cost in chosen.into_iter().flat_map(|setting| &setting.cost) {
        let bytes = human_bytes(cost.bytes);
        let _ = writeln!(out, "{:14} {:9.3} s  {bytes:>10}  predicted", cost.plan, cost.seconds);
    }
    let _ = writeln!(out, "written  tune.json, tune.csv, tune.svg in {}", command.folder.display());
    out
}
