//! The results of a sweep: a table for programs, text for people.

use super::Tune;
use super::program::Written;
use crate::failure::{Failure, Result};
use crate::report::human_bytes;
use athos::autotune::{Choice, Prediction, Setting, Tuning};
use std::fmt::Write;

/// All settings, a line each.
pub(super) fn table(tuning: &Tuning) -> Result<String> {
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
pub(super) fn text(command: &Tune, tuning: &Tuning, written: Option<&Written>) -> String {
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
    if let (Some(chosen), Some(written)) = (&tuning.chosen, written) {
        choice(&mut out, what, chosen, written);
    }
    let folder = command.folder.display();
    let _ = writeln!(out, "written  tune.json, tune.csv, tune.svg in {folder}");
    if let Some(Written { file, digest, .. }) = written {
        let _ = writeln!(out, "program  {file} (digest {digest})\n         sci-run serve {file}");
    }
    out
}

/// The chosen setting, and what one inference is predicted to take with and without narrowing.
fn choice(out: &mut String, what: &str, chosen: &Choice, written: &Written) {
    let Choice { scale, bitwidth, least_bitwidth, accuracy } = chosen;
    let _ = writeln!(
        out,
        "\nchosen   --bitwidth {bitwidth} --scale {scale}  (nothing overflows from {least_bitwidth} \
         bits; {what} {})",
        percent(*accuracy)
    );
    match (written.margin, written.narrowed) {
        (Some(margin), layers) => {
            let _ = writeln!(
                out,
                "         {layers} instructions narrowed to what these inputs need and {margin} bits more; {what} {}\n",
                percent(written.accuracy)
            );
            let _ = writeln!(out, "{:14} {:>24}  {:>24}", "predicted", "full width", "narrowed");
        }
        (None, _) => {
            let _ = writeln!(out, "\n{:14} {:>24}", "predicted", "full width");
        }
    }
    let cell = |cost: &Prediction| format!("{:.3} s {:>11}", cost.seconds, human_bytes(cost.bytes));
    for full in &written.full_width {
        let narrowed = written.predicted.iter().find(|cost| cost.plan == full.plan);
        let narrowed = narrowed.filter(|_| written.margin.is_some()).map_or(String::new(), cell);
        let line = format!("{:14} {:>24}  {narrowed:>24}", full.plan, cell(full));
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
