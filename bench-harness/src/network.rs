//! Whole networks, through the program that users run.

use crate::machine;
use crate::pair::Result;
use sci_core::{Block, Prg};
use sci_run::report::{Layer, Report};
use serde::{Deserialize, Serialize};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A network, an input, and how it is run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// What it is called in the tables.
    pub name: String,
    /// `--model`.
    pub model: String,
    /// `--input`, if it is not the model's own.
    pub input: Option<String>,
    /// `--preprocess`.
    pub preprocess: Option<String>,
    /// `--backend`.
    pub backend: &'static str,
    /// `--domain`, if it is not the ring.
    pub domain: Option<&'static str>,
    /// `--ot`, if it is not silent.
    pub ot: Option<&'static str>,
    /// `--bitwidth` and `--scale`.
    pub fixed: (u32, u32),
    /// `--output`, if it is not the class.
    pub output: Option<&'static str>,
    /// `--link`.
    pub link: &'static str,
    /// Threads of a party.
    pub threads: usize,
}

/// What one run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Once {
    /// Seconds, set-up and all, of all inputs.
    pub seconds: f64,
    /// Seconds of the online phase.
    pub online: f64,
    /// Seconds within products: convolutions and fully connected layers.
    pub products: f64,
    /// CPU seconds of the whole command: both parties, compiling and the cleartext run.
    pub cpu: f64,
    /// Payload both ways, set-up and all.
    pub bytes: u64,
    /// What of it is the set-up: handshake, public program, base OT, keys.
    pub setup_bytes: u64,
    /// Payload of products.
    pub product_bytes: u64,
    /// The longest chain of dependent messages after the set-up.
    pub rounds: u32,
    /// Resident memory of server and client at its peak.
    pub peak_rss: [u64; 2],
    /// Inputs.
    pub inputs: usize,
    /// Stands for what was done: names, operations, engines, bytes and rounds of all layers.
    pub plan: u64,
}

/// The same network, run several times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Each run.
    pub runs: Vec<Once>,
}

impl Figures {
    /// Median and extremes of a figure.
    pub fn spread(&self, figure: impl Fn(&Once) -> f64) -> (f64, [f64; 2]) {
        let mut all: Vec<f64> = self.runs.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        let at = |i: usize| all.get(i).copied().unwrap_or(f64::NAN);
        let (low, high) = (all.len().saturating_sub(1) / 2, all.len() / 2);
        ((at(low) + at(high)) / 2.0, [at(0), at(all.len().saturating_sub(1))])
    }

    /// The first run, for what is the same in all.
    pub fn first(&self) -> Once {
        self.runs.first().copied().unwrap_or_default()
    }
}

/// Whether a layer of a report multiplies with weights.
fn is_product(layer: &&Layer) -> bool {
    matches!(layer.op.as_str(), "Conv" | "Linear" | "MulWeight")
}

/// Runs a network once; the run must agree with the cleartext run bit by bit.
///
/// # Errors
/// What the program says.
pub fn once(program: &str, run: &Run) -> Result<Once> {
    let before = machine::children_cpu_seconds();
    let report = report(program, run)?;
    if report.bitwise_equal != Some(true) {
        return Err(format!("{}: not bitwise equal to the cleartext run", run.name));
    }
    let cpu = machine::children_cpu_seconds().zip(before).map_or(0.0, |(now, then)| now - then);
    let products = || report.layers.iter().filter(is_product);
    Ok(Once {
        seconds: report.seconds.total,
        online: report.seconds.online,
        products: products().map(|layer| layer.seconds).sum(),
        cpu,
        bytes: report.bytes.total,
        setup_bytes: report.bytes.setup,
        product_bytes: products().map(|layer| layer.bytes).sum(),
        rounds: report.rounds,
        peak_rss: [report.peak_rss_bytes.server, report.peak_rss_bytes.client]
            .map(Option::unwrap_or_default),
        inputs: report.predictions.as_ref().map_or(0, Vec::len).max(1),
        plan: plan(&report.layers),
    })
}

fn plan(layers: &[Layer]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for Layer { name, op, backend, bytes, rounds, .. } in layers {
        (name, op, backend, bytes, rounds).hash(&mut hasher);
    }
    hasher.finish()
}

fn report(program: &str, run: &Run) -> Result<Report> {
    let (bitwidth, scale) = run.fixed;
    let mut command = Command::new(program);
    command.env_remove(crate::TABLE_VARIABLE);
    command.args(["--model", &run.model, "--backend", run.backend, "--link", run.link, "--json"]);
    command.args(["--bitwidth", &bitwidth.to_string(), "--scale", &scale.to_string()]);
    command.args(["--threads", &run.threads.to_string(), "--timeout", "600"]);
    for (option, value) in [
        ("--input", run.input.as_deref()),
        ("--preprocess", run.preprocess.as_deref()),
        ("--domain", run.domain),
        ("--ot", run.ot),
        ("--output", run.output),
    ] {
        if let Some(value) = value {
            command.args([option, value]);
        }
    }
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.map_err(|e| format!("cannot start {program}: {e}"))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said =
            [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s).into_owned());
        format!("{}: {}", run.name, said.concat().trim())
    })
}

/// Where files of this run of the benches go.
///
/// # Errors
/// If the folder cannot be made.
pub fn scratch() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sci-bench");
    fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    Ok(directory)
}

/// A file of the models that are too large for the repository, if they are at hand.
pub fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(&std::env::var_os("SCI_MODELS_DIR")?).join(path);
    found.exists().then_some(found)
}

/// A file with a random picture of three planes, as a network's own input: cost does not depend on it.
///
/// # Errors
/// If it cannot be written.
pub fn picture(size: usize) -> Result<PathBuf> {
    let path = scratch()?.join(format!("picture-{size}.npy"));
    let mut header =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, {size}, {size}), }}");
    // The array begins at a multiple of 64; magic, version and length take 10 bytes.
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    let mut prg = Prg::new(Block::from(20));
    for _ in 0..3 * size * size {
        let value = (prg.next_u64() >> 40) as f32 / (1 << 24) as f32;
        bytes.extend(value.to_le_bytes());
    }
    fs::write(&path, bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}
