//! For programs that read tables.

use super::{COLUMNS, Exporter, Report, layer_rows};
use std::io::{self, Write};

/// The layers as comma-separated values.
#[derive(Clone, Copy, Debug)]
pub struct Csv;

impl Exporter for Csv {
    fn export(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(to);
        writer.write_record(COLUMNS)?;
        for row in layer_rows(report) {
            writer.write_record(row)?;
        }
        writer.flush()
    }
}
