//! For documents.

use super::{COLUMNS, Exporter, Report, layer_rows};
use std::io::{self, Write};

/// The figures and the layers as tables.
#[derive(Clone, Copy, Debug)]
pub struct Markdown;

impl Exporter for Markdown {
    fn export(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        let Report { seconds, bytes, .. } = report;
        let figures = [
            ("model", report.model.clone()),
            ("backend", report.backend.clone()),
            ("modulus", report.modulus.clone()),
            ("scale", report.scale.to_string()),
            ("seconds", format!("{:.3}", seconds.total)),
            ("bytes", bytes.total.to_string()),
            ("rounds", report.rounds.to_string()),
        ];
        row(to, figures.iter().map(|(name, _)| *name))?;
        row(to, figures.iter().map(|_| "---"))?;
        row(to, figures.iter().map(|(_, value)| value.as_str()))?;
        writeln!(to)?;
        row(to, COLUMNS.into_iter())?;
        row(to, ["---", "---", "---", "---:", "---:", "---:"].into_iter())?;
        for cells in layer_rows(report) {
            row(to, cells.iter().map(String::as_str))?;
        }
        Ok(())
    }
}

fn row<'a>(to: &mut dyn Write, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
    writeln!(to, "| {} |", cells.join(" | "))
}
