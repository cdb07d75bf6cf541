//! What a run tells: one value, printed in several forms.

mod figures;
mod markdown;
mod table;
mod text;

pub use figures::Figures;
pub(crate) use figures::{hex, printable};
pub use markdown::Markdown;
pub use table::Csv;
pub use text::Text;

use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// Version of the JSON object.
pub const SCHEMA: u32 = 1;

/// A run of one session. What a party cannot know is `None`, in JSON null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What the model is called.
    pub model: String,
    /// SHA-256 of the public program.
    pub digest: String,
    /// Protocol of the linear layers.
    pub backend: String,
    /// `ring` or `field`.
    pub domain: String,
    /// `2^l` or n.
    pub modulus: String,
    /// l.
    pub bitwidth: u32,
    /// Bits after the binary point.
    pub scale: u32,
    /// OT extension.
    pub ot: Option<String>,
    /// Whether every value equals the cleartext meaning by construction.
    pub exact: bool,
    /// Threads of a party.
    pub threads: usize,
    /// The link that the plan is for; in a local run it has this shape.
    pub link: Option<String>,
    /// Whether the server measured it, or it was given.
    #[serde(default)]
    pub link_probed: Option<bool>,
    /// What the client learned.
    pub predictions: Option<Vec<Prediction>>,
    /// Whether all outputs equal those of the cleartext run.
    pub bitwise_equal: Option<bool>,
    /// By phase.
    pub seconds: Seconds,
    /// Payload.
    pub bytes: Bytes,
    /// The longest chain of dependent messages of the offline and online phases.
    pub rounds: u32,
    /// Resident memory at its peak.
    pub peak_rss_bytes: PeakRss,
    /// By layer and operation.
    pub layers: Vec<Layer>,
}

/// What came out for one input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The file, or its place in an embedded set.
    pub input: String,
    /// The class; `None` if there is one for every position.
    pub class: Option<u64>,
    /// The right class, where it is known.
    pub label: Option<u64>,
    /// The outputs, if the server permits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logits: Option<Vec<f64>>,
    /// The classes of all positions, as a segmentation has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<ClassMap>,
    /// What the class is called; for people.
    #[serde(skip)]
    pub name: Option<String>,
    /// What the label is called; for people.
    #[serde(skip)]
    pub label_name: Option<String>,
    /// What all classes are called; for people, where there is a map.
    #[serde(skip)]
    pub class_names: Vec<String>,
}

/// A class for every position of a picture or volume: how many of each. The classes themselves go to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassMap {
    /// Axes of the positions, batch first.
    pub shape: Vec<usize>,
    /// Positions by class.
    pub counts: Vec<u64>,
}

impl Prediction {
    /// Of an input of which nothing is known yet.
    pub fn of(input: String, label: Option<u64>) -> Self {
        let (name, label_name, class_names) = (None, None, Vec::new());
        Self { input, class: None, label, logits: None, map: None, name, label_name, class_names }
    }

    /// Says what classes and labels are called.
    pub fn name_classes(&mut self, names: &[String]) {
        let name = |class: u64| names.get(usize::try_from(class).ok()?).map(|name| printable(name));
        (self.name, self.label_name) = (self.class.and_then(name), self.label.and_then(name));
        if self.map.is_some() {
            self.class_names = names.iter().map(|name| printable(name)).collect();
        }
    }
}

/// Disjoint phases, wall clock, summed over the inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// Connection, base OT, keys.
    pub setup: f64,
    /// What does not depend on the input.
    pub offline: f64,
    /// What does.
    pub online: f64,
    /// All of it.
    pub total: f64,
}

/// Payload bytes of everything, as [`Seconds::total`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// From client to server.
    pub client_to_server: u64,
    /// From server to client.
    pub server_to_client: u64,
    /// Both.
    pub total: u64,
    /// What of it, both ways, is the set-up, once a session: handshake, public program, base OT, keys.
    #[serde(default)]
    pub setup: u64,
}

/// Each party knows its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeakRss {
    /// Of the server.
    pub server: Option<u64>,
    /// Of the client.
    pub client: Option<u64>,
}

/// A layer's operation, summed over the inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// After the model's node.
    pub name: String,
    /// What it does.
    pub op: String,
    /// Which protocol; empty for what is local.
    pub backend: String,
    /// Wall clock.
    pub seconds: f64,
    /// Payload, both ways.
    pub bytes: u64,
    /// Dependent messages.
    pub rounds: u32,
}

/// A form in which a report can be printed.
pub trait Exporter {
    /// Writes the report.
    ///
    /// # Errors
    /// Those of the writer.
    fn export(&self, report: &Report, to: &mut dyn Write) -> io::Result<()>;
}

/// One JSON object on one line.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl Exporter for Json {
    fn export(&self, report: &Report, to: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer(&mut *to, report)?;
        writeln!(to)
    }
}

/// A number of bytes for people.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let digits = if unit == 0 { 0 } else { 2 };
    format!("{value:.digits$} {}", UNITS.get(unit).copied().unwrap_or_default())
}

/// Rows that sum up: the layers with their columns as text, then the total.
fn layer_rows(report: &Report) -> Vec<[String; 6]> {
    let row = |name: &str, op: &str, backend: &str, seconds: f64, bytes: u64, rounds: u32| {
        let seconds = format!("{seconds:.3}");
        [name.into(), op.into(), backend.into(), seconds, bytes.to_string(), rounds.to_string()]
    };
    let rows = report.layers.iter();
    rows.map(|l| row(&l.name, &l.op, &l.backend, l.seconds, l.bytes, l.rounds)).collect()
}

/// The head of [`layer_rows`].
const COLUMNS: [&str; 6] = ["layer", "op", "backend", "seconds", "bytes", "rounds"];

#[cfg(test)]
mod tests;
