//! Both parties as processes, driven from here.

use crate::job::{Job, Protocol};
use crate::party::{COMMAND, Event, Run};
use crate::phases::garbled_costs;
use sci_core::Cost;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What can go wrong, in words.
pub type Result<T> = std::result::Result<T, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// One process; dropping it ends it.
struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    events: BufReader<ChildStdout>,
}

impl Process {
    fn start(program: &str, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(program)
            .env_remove(crate::TABLE_VARIABLE)
            .arg(COMMAND)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {program}: {e}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("a process without stdout")?;
        Ok(Self { child, stdin, events: BufReader::new(stdout) })
    }

    fn event(&mut self) -> Result<Event> {
        let mut line = String::new();
        match self.events.read_line(&mut line).map_err(text)? {
            0 => Err("a party has ended".into()),
            _ => match serde_json::from_str(&line).map_err(text)? {
                Event::Failed(why) => Err(why),
                event => Ok(event),
            },
        }
    }

    fn order(&mut self, runs: u64) -> Result<()> {
        let stdin = self.stdin.as_mut().ok_or("a process without stdin")?;
        writeln!(stdin, "{runs}").and_then(|()| stdin.flush()).map_err(text)
    }

    fn run(&mut self) -> Result<Run> {
        match self.event()? {
            Event::Run(run) => Ok(run),
            other => Err(format!("a run expected, got {other:?}")),
        }
    }

    fn ready(&mut self) -> Result<f64> {
        match self.event()? {
            Event::Ready(seconds) => Ok(seconds),
            other => Err(format!("readiness expected, got {other:?}")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The end of its stdin is the order to go; whoever computes is not waited for.
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One run of both parties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Wall clock until the later one had its result.
    pub seconds: f64,
    /// CPU time of both.
    pub cpu: f64,
    /// Payload from server to client and back.
    pub bytes: [u64; 2],
    /// Payload of silent OT's expansion, both ways.
    pub expansion: u64,
    /// The longest chain of dependent messages.
    pub rounds: u32,
    /// Larger resident memory of the two.
    pub peak_rss: u64,
    /// Wall clock of the phase before the input was there, until the later one was ready.
    #[serde(default)]
    pub offline_seconds: f64,
    /// Payload of that phase from server to client and back, expansion included.
    #[serde(default)]
    pub offline: [u64; 2],
}

/// Two parties, connected and set up.
pub struct Pair {
    server: Process,
    client: Process,
    protocol: Protocol,
    cost: Cost,
    /// Of the phase before, if a formula says it.
    offline: Option<Cost>,
    /// Seconds of connection, base OTs and keys.
    pub setup: f64,
}

impl Pair {
    /// Starts both processes of `program` on a job.
    ///
    /// # Errors
    /// What either says.
    pub fn start(program: &str, job: &Job) -> Result<Self> {
        let cost = job.cost().map_err(text)?;
        let offline = match job.protocol {
            Protocol::GarbledAhead => Some(garbled_costs(job).map_err(text)?[0]),
            _ => None,
        };
        let text_of_job = serde_json::to_string(job).map_err(text)?;
        let mut server = Process::start(program, &["server", &text_of_job])?;
        let Event::Listening(address) = server.event()? else {
            return Err("the server does not say where it listens".into());
        };
        let mut client = Process::start(program, &["client", &text_of_job, &address])?;
        let setup = server.ready()?.max(client.ready()?);
        Ok(Self { server, client, protocol: job.protocol, cost, offline, setup })
    }

    /// Runs the job so many times. Every run is held to the formulas.
    ///
    /// # Errors
    /// What either party says, and payload or rounds that differ from the formulas.
    pub fn run(&mut self, runs: u64) -> Result<Vec<Sample>> {
        self.server.order(runs)?;
        self.client.order(runs)?;
        (0..runs).map(|_| self.sample()).collect()
    }

    fn sample(&mut self) -> Result<Sample> {
        // Whose error is the cause is not known before both have spoken.
        let (server, client) = (self.server.run(), self.client.run());
        let (server, client) = match (server, client) {
            (Ok(server), Ok(client)) => (server, client),
            (server, client) => {
                let causes = [server.err(), client.err()].into_iter().flatten();
                return Err(causes.collect::<Vec<_>>().join("; "));
            }
        };
        let sample = Sample {
            seconds: server.seconds.max(client.seconds),
            cpu: server.cpu + client.cpu,
            bytes: [server.sent, client.sent],
            expansion: server.expansion_sent + client.expansion_sent,
            rounds: server.rounds.max(client.rounds),
            peak_rss: server.peak_rss.max(client.peak_rss),
            offline_seconds: server.offline_seconds.max(client.offline_seconds),
            offline: [server.offline_sent, client.offline_sent],
        };
        let formula = [self.cost.server_to_client, self.cost.client_to_server];
        if sample.bytes != formula || sample.rounds != self.cost.rounds {
            return Err(format!(
                "{:?} bytes in {} rounds where the formulas say {formula:?} in {}",
                sample.bytes, sample.rounds, self.cost.rounds
            ));
        }
        if let Some(cost) = self.offline {
            let formula = [cost.server_to_client, cost.client_to_server];
            let rounds = server.offline_rounds.max(client.offline_rounds);
            if (sample.offline, rounds) != (formula, cost.rounds) {
                return Err(format!(
                    "offline {:?} bytes in {rounds} rounds where the formulas say {formula:?} in {}",
                    sample.offline, cost.rounds
                ));
            }
        }
        if matches!(self.protocol, Protocol::SilentAhead { .. }) && sample.expansion != 0 {
            return Err(format!("{} bytes of expansion in the online phase", sample.expansion));
        }
        Ok(sample)
    }
}

/// What several runs of a job came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The job.
    pub job: Job,
    /// Seconds of the set-up.
    pub setup: f64,
    /// The runs, without the first, which warms up.
    pub samples: Vec<Sample>,
}

impl Measurement {
    /// The median of a figure, and its extremes.
    pub fn spread(&self, figure: impl Fn(&Sample) -> f64) -> (f64, [f64; 2]) {
        let mut all: Vec<f64> = self.samples.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        let (low, high) = (all.len().saturating_sub(1) / 2, all.len() / 2);
        let at = |i: usize| all.get(i).copied().unwrap_or(f64::NAN);
        ((at(low) + at(high)) / 2.0, [at(0), at(all.len().saturating_sub(1))])
    }

    /// Payload both ways; every run has the same.
    pub fn bytes(&self) -> u64 {
        self.samples.first().map_or(0, |s| s.bytes[0] + s.bytes[1])
    }

    /// Payload of the phase before the input was there, an average run.
    pub fn offline_bytes(&self) -> f64 {
        let sum: u64 = self.samples.iter().map(|s| s.offline[0] + s.offline[1]).sum();
        sum as f64 / self.samples.len().max(1) as f64
    }

    /// Rounds; every run has the same.
    pub fn rounds(&self) -> u32 {
        self.samples.first().map_or(0, |s| s.rounds)
    }

    /// Payload of silent OT's expansion an average run.
    pub fn expansion(&self) -> f64 {
        let sum: u64 = self.samples.iter().map(|s| s.expansion).sum();
        sum as f64 / self.samples.len().max(1) as f64
    }
}
