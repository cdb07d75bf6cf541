//! Whole networks, through the program that users run.

use crate::pair::Result;
use sci_core::{Block, Prg};
use sci_run::report::Report;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A network, an input, and how it is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What it is called in the tables.
    pub name: &'static str,
    /// `--model`.
    pub model: String,
    /// `--input`, if it is not the model's own.
    pub input: Option<String>,
    /// `--preprocess`.
    pub preprocess: Option<String>,
    /// `--backend`.
    pub backend: &'static str,
    /// `--bitwidth` and `--scale`.
    pub fixed: (u32, u32),
    /// `--link`.
    pub link: &'static str,
    /// Threads of a party.
    pub threads: usize,
}

/// What several runs came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Seconds of each run, set-up and all.
    pub seconds: Vec<f64>,
    /// Seconds of the online phase.
    pub online: Vec<f64>,
    /// Payload both ways.
    pub bytes: u64,
    /// The longest chain of dependent messages.
    pub rounds: u32,
    /// Larger resident memory of the two parties.
    pub peak_rss: u64,
    /// Inputs of a run.
    pub inputs: usize,
}

impl Figures {
    /// The median of the seconds of all runs, and their extremes.
    pub fn spread(&self) -> (f64, [f64; 2]) {
        let mut all = self.seconds.clone();
        all.sort_by(f64::total_cmp);
        let at = |i: usize| all.get(i).copied().unwrap_or(f64::NAN);
        let last = all.len().saturating_sub(1);
        ((at(last / 2) + at(all.len() / 2)) / 2.0, [at(0), at(last)])
    }
}

/// Runs a network so many times; each run must agree with the cleartext run bit by bit.
///
/// # Errors
/// What the program says.
pub fn measure(program: &str, run: &Run, runs: u64) -> Result<Figures> {
    let mut figures = Figures::default();
    for _ in 0..runs {
        let report = once(program, run)?;
        if report.bitwise_equal != Some(true) {
            return Err(format!("{}: not bitwise equal to the cleartext run", run.name));
        }
        figures.seconds.push(report.seconds.total);
        figures.online.push(report.seconds.online);
        figures.bytes = report.bytes.total;
        figures.rounds = report.rounds;
        let rss = [report.peak_rss_bytes.server, report.peak_rss_bytes.client];
        figures.peak_rss = figures.peak_rss.max(rss.into_iter().flatten().max().unwrap_or(0));
        figures.inputs = report.predictions.map_or(0, |predictions| predictions.len());
    }
    Ok(figures)
}

fn once(program: &str, run: &Run) -> Result<Report> {
    let (bitwidth, scale) = run.fixed;
    let mut command = Command::new(program);
    command.env_remove(crate::TABLE_VARIABLE);
    command.args(["--model", &run.model, "--backend", run.backend, "--link", run.link, "--json"]);
    command.args(["--bitwidth", &bitwidth.to_string(), "--scale", &scale.to_string()]);
    command.args(["--threads", &run.threads.to_string(), "--timeout", "600"]);
    for (option, value) in [("--input", &run.input), ("--preprocess", &run.preprocess)] {
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
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/sci-bench");
    let path = directory.join(format!("picture-{size}.npy"));
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
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(&path, bytes));
    written.map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}
