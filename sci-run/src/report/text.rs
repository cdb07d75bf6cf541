//! For people at a terminal.

use super::{COLUMNS, Exporter, Prediction, Report, human_bytes, layer_rows};
use std::io::{self, Write};

/// Predictions, figures, a table of layers.
#[derive(Clone, Copy, Debug)]
pub struct Text;

impl Exporter for Text {
    fn export(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        settings(report, to)?;
        predictions(report, to)?;
        match report.bitwise_equal {
            Some(true) => writeln!(to, "bitwise equal to cleartext")?,
            Some(false) => writeln!(to, "NOT equal to cleartext")?,
            None => {}
        }
        figures(report, to)?;
        table(report, to)
    }
}

fn settings(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    let Report { model, backend, modulus, scale, threads, .. } = report;
    write!(to, "{model}: backend {backend}")?;
    if let Some(ot) = &report.ot {
        write!(to, " ({ot})")?;
    }
    let plural = if *threads == 1 { "" } else { "s" };
    write!(to, ", Z_{modulus}, scale {scale}, {threads} thread{plural}")?;
    if let Some(link) = &report.link {
        let probed = if report.link_probed == Some(true) { " (probed)" } else { "" };
        write!(to, ", link {link}{probed}")?;
    }
    if !report.exact {
        write!(to, ", NOT exact: truncations may be one below")?;
    }
    writeln!(to, "\ndigest {}", report.digest)
}

fn predictions(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    let Some(predictions) = &report.predictions else { return Ok(()) };
    writeln!(to)?;
    let width = predictions.iter().map(|p| p.input.chars().count()).max().unwrap_or(0);
    let (mut right, mut known) = (0, 0);
    for prediction in predictions {
        write!(to, "  {:width$}  {}", prediction.input, what(prediction))?;
        if let Some(label) = prediction.label {
            known += 1;
            let equal = prediction.class == Some(label);
            right += usize::from(equal);
            write!(to, "  label {}", class(label, &prediction.label_name))?;
            write!(to, "{}", if equal { "" } else { "  (differs)" })?;
        }
        if let Some(logits) = &prediction.logits {
            let logits: Vec<String> = logits.iter().map(|x| format!("{x:.4}")).collect();
            write!(to, "  [{}]", logits.join(", "))?;
        }
        writeln!(to)?;
    }
    if known > 0 {
        writeln!(to, "\n{right} of {known} labels agree")?;
    }
    Ok(())
}

/// The class, or how many positions have which.
fn what(prediction: &Prediction) -> String {
    if let Some(number) = prediction.class {
        return class(number, &prediction.name);
    }
    let Some(map) = &prediction.map else { return String::new() };
    let all: u64 = map.counts.iter().sum();
    let part = |(number, count): (usize, &u64)| {
        let name = class(number as u64, &prediction.class_names.get(number).cloned());
        format!("{name}: {count} ({:.1} %)", 100.0 * *count as f64 / all.max(1) as f64)
    };
    let seen = map.counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let parts: Vec<String> = seen.map(part).collect();
    let shape: Vec<String> = map.shape.iter().map(ToString::to_string).collect();
    format!("{}  class {}", shape.join("x"), parts.join(", "))
}

/// A class by number and by name if that says more.
fn class(class: u64, name: &Option<String>) -> String {
    let number = class.to_string();
    match name {
        Some(name) if *name != number => format!("{number} ({name})"),
        _ => number,
    }
}

fn figures(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    let seconds = &report.seconds;
    writeln!(
        to,
        "seconds  {:.3} (setup {:.3}, offline {:.3}, online {:.3})",
        seconds.total, seconds.setup, seconds.offline, seconds.online
    )?;
    let bytes = &report.bytes;
    writeln!(
        to,
        "bytes    {} ({} client to server, {} server to client; set-up {} of it)",
        human_bytes(bytes.total),
        human_bytes(bytes.client_to_server),
        human_bytes(bytes.server_to_client),
        human_bytes(bytes.setup)
    )?;
    writeln!(to, "rounds   {}", report.rounds)?;
    let memory =
        [("server", report.peak_rss_bytes.server), ("client", report.peak_rss_bytes.client)];
    let memory: Vec<String> = memory
        .iter()
        .filter_map(|(party, bytes)| bytes.map(|bytes| format!("{party} {}", human_bytes(bytes))))
        .collect();
    if !memory.is_empty() {
        writeln!(to, "memory   {} at the peak", memory.join(", "))?;
    }
    Ok(())
}

fn table(report: &Report, to: &mut dyn Write) -> io::Result<()> {
    let rows = layer_rows(report);
    if rows.is_empty() {
        return Ok(());
    }
    let head = COLUMNS.map(String::from);
    let mut widths = [0; COLUMNS.len()];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    writeln!(to)?;
    for row in [&head].into_iter().chain(&rows) {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            line +=
                &if column < 3 { format!("{cell:width$}  ") } else { format!("{cell:>width$}  ") };
        }
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}
