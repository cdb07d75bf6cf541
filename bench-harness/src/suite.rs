//! How a table is run: sizes, repetitions, progress, what is written.

use crate::job::Job;
use crate::machine::{Machine, commit};
use crate::pair::{Measurement, Pair, Result, Sample};
use crate::result::{Line, ResultFile, SCHEMA};
use crate::runs::Runs;
use crate::summary::readme;
use crate::{network, plot};
use criterion::Criterion;
use serde::{Serialize, de::DeserializeOwned};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Runs of which a median is taken.
const RUNS: u64 = 5;
/// A job whose run takes longer than this, as over the WAN, is run five times; criterion would run it ten times and more.
const LONG: f64 = 0.25;
/// Seconds after which a network of the papers' sizes is not run again, unless [`PATIENCE_VARIABLE`] says otherwise.
const PATIENCE: f64 = 40.0;
/// The environment variable for the seconds after which a network of the papers' sizes is not run again. With more
/// of them the next run of the table goes on where networks were run fewer than five times.
pub const PATIENCE_VARIABLE: &str = "SCI_BENCH_PATIENCE";

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The smallest of everything, once: whether it works.
    Quick,
    /// What two cores finish in a quarter of an hour.
    Default,
    /// The papers' sizes.
    Paper,
}

impl Mode {
    /// One of three.
    pub fn pick<T>(self, quick: T, default: T, paper: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Default => default,
            Self::Paper => paper,
        }
    }

    fn name(self) -> &'static str {
        self.pick("quick", "default, smaller than the paper's", "the paper's")
    }
}

/// A table or figure.
#[derive(Clone, Copy)]
pub struct Table {
    /// Name of the bench target and the files.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What a reader must know.
    pub notes: &'static [&'static str],
    /// Measures.
    pub run: fn(&mut Suite) -> Result<Vec<Line>>,
    /// What the plot shows.
    pub plot: plot::Plot,
}

/// A table being run.
pub struct Suite {
    /// The program of the parties: this one.
    program: String,
    table: Table,
    mode: Mode,
    /// Of which source this is: that of the start, whatever is changed meanwhile.
    commit: String,
    criterion: Criterion,
    /// Seconds after which a network of the papers' sizes is not run again.
    patience: f64,
    /// What a run of this commit finds of one before it, if that was interrupted or cut short: of the papers' sizes
    /// alone, and not where files were changed since, which no name tells apart.
    runs: Option<Runs>,
    measured: usize,
    start: Instant,
}

/// Reads the value of [`PATIENCE_VARIABLE`].
fn patience(value: Option<&str>) -> Result<f64> {
    let Some(value) = value else { return Ok(PATIENCE) };
    let seconds = value.parse().ok().filter(|seconds: &f64| *seconds >= 0.0);
    seconds.ok_or_else(|| format!("{PATIENCE_VARIABLE}: seconds, got {value}"))
}

impl Suite {
    /// Prepares a table.
    ///
    /// # Errors
    /// If the system does not say where this program is, for a patience that is no number of seconds, and for earlier runs
    /// that cannot be read.
    pub fn new(table: Table, mode: Mode) -> Result<Self> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let program = program.to_str().ok_or("the path of this program is no text")?.to_string();
        let mut criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_millis(1))
            .measurement_time(Duration::from_millis(500))
            .without_plots();
        if mode == Mode::Default {
            criterion = criterion.configure_from_args();
        }
        let commit = commit();
        let runs = if mode == Mode::Paper && !commit.ends_with('+') {
            Some(Runs::open(&results(mode), table.name, &commit, &Machine::this())?)
        } else {
            None
        };
        Ok(Self {
            program,
            table,
            mode,
            commit,
            criterion,
            patience: patience(std::env::var(PATIENCE_VARIABLE).ok().as_deref())?,
            runs,
            measured: 0,
            start: Instant::now(),
        })
    }

    /// How much is run.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Threads of a party.
    pub fn threads(&self) -> usize {
        1
    }

    /// Runs the table and writes what it came to.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn run(mut self) -> Result<()> {
        let lines = (self.table.run)(&mut self)?;
        if self.mode == Mode::Default {
            self.criterion.final_summary();
        }
        let earlier = self.runs.as_ref().map_or(0.0, Runs::seconds);
        let seconds = self.start.elapsed().as_secs_f64() + earlier;
        let file = ResultFile {
            schema: SCHEMA,
            name: self.table.name.into(),
            title: self.table.title.into(),
            notes: self.table.notes.iter().map(ToString::to_string).collect(),
            sizes: self.mode.name().into(),
            machine: Machine::this(),
            commit: self.commit.clone(),
            threads: self.threads(),
            seconds,
            lines,
        };
        let directory = results(self.mode);
        write_all(&directory, &file, &self.table)?;
        eprintln!("{}: {seconds:.0} s, written to {}", self.table.name, directory.display());
        Ok(())
    }

    /// What was measured before for `key`, or what `measure` measures.
    pub(crate) fn resumable<T: Serialize + DeserializeOwned>(
        &mut self,
        key: &str,
        measure: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.measured += 1;
        let seconds = self.start.elapsed().as_secs();
        eprintln!("{} [{}, {seconds} s]: {key}", self.table.name, self.measured);
        if let Some(kept) = self.runs.as_mut().and_then(|runs| runs.get(key)) {
            return Ok(kept);
        }
        let start = Instant::now();
        let measured = measure(self)?;
        if let Some(runs) = &mut self.runs {
            runs.add(key, start.elapsed().as_secs_f64(), &measured)?;
        }
        Ok(measured)
    }

    /// Measures a job.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn measure(&mut self, job: &Job) -> Result<Measurement> {
        let key = key_of(job);
        let what = job.clone();
        self.resumable(&key, |suite| suite.measure_now(&key, what))
    }

    fn measure_now(&mut self, key: &str, job: Job) -> Result<Measurement> {
        let mut pair = Pair::start(&self.program, &job)?;
        let setup = pair.setup;
        // Starts the pools of silent OT and warms the caches.
        let first = pair.run(1)?[0];
        let samples = match self.mode {
            Mode::Quick => pair.run(1)?,
            Mode::Default if first.seconds < LONG => self.by_criterion(key, &mut pair)?,
            _ => pair.run(RUNS)?,
        };
        Ok(Measurement { job, setup, samples })
    }

    /// Lets criterion decide how often, and keeps every run.
    fn by_criterion(&mut self, key: &str, pair: &mut Pair) -> Result<Vec<Sample>> {
        let mut samples: Result<Vec<Sample>> = Ok(Vec::new());
        let mut group = self.criterion.benchmark_group(self.table.name);
        group.sampling_mode(criterion::SamplingMode::Flat);
        group.bench_function(key, |b| {
            b.iter_custom(|iterations| match (&mut samples, pair.run(iterations)) {
                (Ok(samples), Ok(runs)) => {
                    samples.extend_from_slice(&runs);
                    Duration::from_secs_f64(runs.iter().map(|run| run.seconds).sum())
                }
                // Criterion divides by it.
                (Err(_), _) => Duration::from_secs(1),
                (samples, Err(error)) => {
                    *samples = Err(error);
                    Duration::from_secs(1)
                }
            });
        });
        group.finish();
        // A filter on the command line leaves criterion without work; the table needs its figures all the same.
        match samples {
            Ok(samples) if samples.len() < RUNS as usize => pair.run(RUNS),
            other => other,
        }
    }

    /// Runs a whole network through the program: once, five times, or at the papers' sizes until patience
    /// ends, up to five times. Every run is kept by itself.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn network(&mut self, run: &network::Run) -> Result<network::Figures> {
        self.network_at_most(run, self.mode.pick(1, RUNS, RUNS))
    }

    /// The same, of a network that was run with other settings before: once, if that shows that the settings come to the
    /// same plan, layer by layer; the runs of `before` then are runs of this, too.
    ///
    /// # Errors
    /// As [`Suite::network`].
    pub fn network_like(
        &mut self,
        run: &network::Run,
        before: &network::Figures,
    ) -> Result<network::Figures> {
        let first = self.network_at_most(run, 1)?;
        if first.first().plan != before.first().plan {
            return self.network(run);
        }
        Ok(network::Figures { runs: [before.runs.as_slice(), &first.runs].concat() })
    }

    /// The same once, where the papers' sizes are not asked for: for a network of minutes.
    ///
    /// # Errors
    /// As [`Suite::network`].
    pub fn network_once(&mut self, run: &network::Run) -> Result<network::Figures> {
        self.network_at_most(run, self.mode.pick(1, 1, RUNS))
    }

    fn network_at_most(&mut self, run: &network::Run, most: u64) -> Result<network::Figures> {
        let program = self.program.clone();
        let (bits, scale) = run.fixed;
        let key = format!(
            "{} {} {} {} {} {bits} {scale} {}",
            run.name,
            run.backend,
            run.domain.unwrap_or("ring"),
            run.ot.unwrap_or("silent"),
            run.link,
            run.threads
        );
        let mut figures = network::Figures::default();
        for number in 1..=most {
            let key = format!("{key}, run {number}");
            figures.runs.push(self.resumable(&key, |_| network::once(&program, run))?);
            let spent: f64 = figures.runs.iter().map(|once| once.seconds).sum();
            if self.mode == Mode::Paper && spent > self.patience && number < most {
                break;
            }
        }
        Ok(figures)
    }
}

/// Where results go: beside the crates, or below the build directory for a quick run.
fn results(mode: Mode) -> PathBuf {
    if let Some(directory) = std::env::var_os("SCI_BENCH_RESULTS") {
        return directory.into();
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    workspace.join(mode.pick("target/sci-bench/quick", "results", "results"))
}

/// What a job is called. Part of it is criterion's, which compares a run with the one before by name.
fn key_of(job: &Job) -> String {
    let threads = match job.threads {
        1 => String::new(),
        threads => format!(", {threads} threads"),
    };
    format!(
        "{:?}, {}, {}, {} x, {}{threads}",
        job.function, job.domain, job.protocol, job.elements, job.link
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn write_all(directory: &Path, file: &ResultFile, table: &Table) -> Result<()> {
    fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let path = |extension: &str| directory.join(format!("{}.{extension}", file.name));
    let json = serde_json::to_string_pretty(file).map_err(|e| e.to_string())?;
    write(&path("json"), &(json + "\n"))?;
    write(&path("csv"), &file.csv())?;
    write(&path("md"), &file.markdown())?;
    write(&path("svg"), &plot::draw(file, table.plot)?)?;
    let mut files = Vec::new();
    for known in crate::tables::ALL {
        let path = directory.join(format!("{}.json", known.name));
        // Tables that have not been run yet are not there.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let file: ResultFile =
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        files.push(file);
    }
    write(&directory.join("README.md"), &readme(&files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_a_number_of_seconds() {
        assert_eq!(patience(None), Ok(PATIENCE));
        assert_eq!(patience(Some("1e4")), Ok(1e4));
        assert_eq!(patience(Some("inf")), Ok(f64::INFINITY));
        for wrong in ["", "long", "-1", "NaN"] {
            assert!(patience(Some(wrong)).unwrap_err().contains(PATIENCE_VARIABLE));
        }
    }
}
