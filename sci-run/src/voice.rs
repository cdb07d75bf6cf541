//! How a command talks: to its user, or to the orchestrator that started it.

use crate::cli::Console;
use crate::failure::{EXIT_FAILED, Failure};
use crate::report::{Exporter, Json, Report, Text};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::sync::OnceLock;

/// What a child tells the orchestrator, one JSON object a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The server can be reached.
    Listening {
        /// Where.
        address: String,
    },
    /// A layer is done.
    Progress(Progress),
    /// What the client learned, for each input.
    Outputs {
        /// Signed integers; an index for argmax.
        values: Vec<Vec<i64>>,
    },
    /// The session is over.
    Report {
        /// What this party knows of it.
        report: Box<Report>,
    },
    /// The session failed.
    Failed {
        /// Why.
        failure: Failure,
        /// The exit code.
        exit: u8,
    },
}

/// How far a client is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Number of the input, from 0.
    pub input: usize,
    /// How many there are.
    pub inputs: usize,
    /// Layers of this input that are done.
    pub layer: usize,
    /// How many there are.
    pub layers: usize,
    /// What is being done.
    pub name: String,
}

/// Where a command's words go.
#[derive(Debug)]
pub struct Voice {
    console: Console,
    child: bool,
    bar: OnceLock<ProgressBar>,
}

impl Voice {
    /// To the user, or as events if this is a child.
    pub fn new(console: Console, child: bool) -> Self {
        Self { console, child, bar: OnceLock::new() }
    }

    /// The server can be reached.
    pub fn listening(&self, model: &str, digest: &str, address: &str) {
        if self.child {
            self.event(&Event::Listening { address: address.to_string() });
        } else {
            self.note(format_args!("serving {model} (digest {digest})\nlistening on {address}"));
        }
    }

    /// A line for the user beside the result.
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.child {
            // Nobody is left to be told that stderr is gone.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// A layer is done.
    pub fn progress(&self, progress: &Progress) {
        if self.child {
            return self.event(&Event::Progress(progress.clone()));
        }
        let Progress { input, inputs, layer, layers, name } = progress;
        let bar = self.bar.get_or_init(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = ProgressBar::with_draw_target(Some((inputs * layers) as u64), target);
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} layers  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_position((input * layers + layer) as u64);
        bar.set_message(format!("input {}/{inputs}  {name}", input + 1));
    }

    /// What the client learned, for the orchestrator's comparison.
    pub fn outputs(&self, values: &[Vec<i64>]) {
        if self.child {
            self.event(&Event::Outputs { values: values.to_vec() });
        }
    }

    /// A session is over.
    pub fn report(&self, report: Report) {
        self.clear();
        if self.child {
            return self.event(&Event::Report { report: Box::new(report) });
        }
        let exporter: &dyn Exporter = if self.console.json { &Json } else { &Text };
        let mut text = Vec::new();
        if exporter.export(&report, &mut text).is_ok() {
            print(&text);
        }
    }

    /// Something failed.
    pub fn failed(&self, failure: &Failure) {
        self.clear();
        if self.child {
            let (failure, exit) = (failure.clone(), failure.exit);
            return self.event(&Event::Failed { failure, exit });
        }
        self.note(failure);
        if self.console.json {
            #[derive(Serialize)]
            struct Object<'a> {
                schema: u32,
                error: &'a Failure,
            }
            let object = Object { schema: crate::report::SCHEMA, error: failure };
            if let Ok(text) = serde_json::to_string(&object) {
                print(format!("{text}\n").as_bytes());
            }
        }
    }

    /// Takes the progress bar away.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    fn event(&self, event: &Event) {
        if let Ok(text) = serde_json::to_string(event) {
            print(format!("{text}\n").as_bytes());
        }
    }
}

/// Writes to stdout at once; a reader that has gone is no error of ours.
pub fn print(text: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text).and_then(|()| out.flush());
}

impl Event {
    /// Reads one line of a child.
    pub fn parse(line: &str) -> Option<Self> {
        let mut event: Self = serde_json::from_str(line).ok()?;
        if let Self::Failed { failure, exit } = &mut event {
            failure.exit = (*exit).max(EXIT_FAILED);
        }
        Some(event)
    }
}
