//! One party's process: `party server|client JOB [ADDRESS]`, events as JSON lines on stdout, commands on stdin.
//!
//! The server prints where it listens. Both print `ready` after the set-up; then each line `N` on stdin is N runs, each
//! answered by a [`Run`]. The end of stdin ends the process. A run begins at a barrier and lasts until this party
//! has its result; outputs of the first run are brought together and checked.

use crate::job::{DomainSpec, Engine, Job, Output, Protocol};
use crate::machine::{cpu_seconds, peak_rss};
use crate::phases::{Ready, finish, prepare};
use garbled::functions::GarbledDomain;
use millionaires::SignDomain;
use sci_core::channel::tcp;
use sci_core::session::{Phase, PublicOffer, SessionOptions};
use sci_core::{Domain, Error, Field, Party, Result, Ring, Session};
use sci_ot::Peer;
use sci_ot::demand::Demand;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The first argument of a party.
pub const COMMAND: &str = "party";
/// How long the link may stand still: a run of the papers' sizes computes for long.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What a party tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Where the server is to be found.
    Listening(String),
    /// The set-up took so many seconds.
    Ready(f64),
    /// A run.
    Run(Run),
    /// What went wrong.
    Failed(String),
}

/// What one party saw of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Wall clock.
    pub seconds: f64,
    /// CPU time.
    pub cpu: f64,
    /// Payload sent: what the formulas count.
    pub sent: u64,
    /// Payload sent for the expansion of silent OT.
    pub expansion_sent: u64,
    /// The longest chain of dependent messages.
    pub rounds: u32,
    /// Resident memory so far.
    pub peak_rss: u64,
    /// Wall clock before the input was there, if the protocol has such a phase.
    #[serde(default)]
    pub offline_seconds: f64,
    /// Payload sent in it, expansion included.
    #[serde(default)]
    pub offline_sent: u64,
    /// The longest chain of dependent messages in it, without expansion.
    #[serde(default)]
    pub offline_rounds: u32,
}

fn tell(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        let mut out = std::io::stdout().lock();
        // A parent that has gone hears nothing, and the end of stdin follows.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// The process.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let text: Vec<&str> = arguments.iter().filter_map(|a| a.to_str()).collect();
    let done = match text[..] {
        ["server", job] => parse(job).and_then(|job| serve(&job)),
        ["client", job, address] => parse(job).and_then(|job| join(&job, address)),
        _ => Err(Error::misuse("party server JOB | party client JOB ADDRESS")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&Event::Failed(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn parse(job: &str) -> Result<Job> {
    serde_json::from_str(job).map_err(|e| Error::invalid("job", "a job as JSON", e))
}

fn options(job: &Job) -> SessionOptions {
    SessionOptions { timeout: TIMEOUT, threads: job.threads, ..SessionOptions::default() }
}

fn serve(job: &Job) -> Result<()> {
    let listener = tcp::listen("127.0.0.1:0")?;
    tell(&Event::Listening(listener.local_addr().to_string()));
    let link = listener.accept(Some(TIMEOUT))?;
    let start = Instant::now();
    let offer = PublicOffer::default();
    let session = Session::serve(job.shape()?.apply(link)?, options(job), &offer)?;
    party(job, session, start)
}

fn join(job: &Job, address: &str) -> Result<()> {
    let link = tcp::connect(address, TIMEOUT)?;
    let start = Instant::now();
    let link = job.shape()?.apply(link)?;
    let (session, _) = Session::join(link, options(job), Vec::new(), 0, |_| Ok(()))?;
    party(job, session, start)
}

fn party(job: &Job, session: Session, start: Instant) -> Result<()> {
    let mut peer = Peer::establish(session, job.protocol.settings())?;
    let mut engine = Engine::new(job.protocol, &mut peer)?;
    match job.domain {
        DomainSpec::Ring(l) => {
            let ring = Ring::new(l)?;
            let data = job.data(ring);
            let run = |engine: &mut Engine<'_>, party| engine.run_ring(job, party, &data);
            runs(job, &mut engine, ring, &data, start, run)
        }
        DomainSpec::Field(n) => {
            let field = Field::new(n)?;
            let data = job.data(field);
            let run = |engine: &mut Engine<'_>, party| engine.run(job, party, &data);
            runs(job, &mut engine, field, &data, start, run)
        }
    }
}

/// Ends the set-up, then does what stdin says.
fn runs<D: SignDomain + GarbledDomain>(
    job: &Job,
    engine: &mut Engine<'_>,
    domain: D,
    data: &crate::job::Data<D>,
    start: Instant,
    mut run: impl FnMut(&mut Engine<'_>, Party) -> Result<Output>,
) -> Result<()> {
    let party = engine.peer().party();
    let mut demand = Demand::default();
    if matches!(job.protocol, Protocol::SilentAhead { .. }) {
        // A rehearsal: what a run takes is the same every time.
        let before = engine.peer().taken();
        run(engine, party)?;
        demand = engine.peer().taken().since(&before);
    }
    tell(&Event::Ready(start.elapsed().as_secs_f64()));
    let mut checked = false;
    for line in std::io::stdin().lock().lines() {
        let Ok(count) = line.unwrap_or_default().trim().parse::<u64>() else { return Ok(()) };
        for _ in 0..count {
            let mut ready = Ready::Pools;
            let mut offline = Part::default();
            if job.protocol.has_offline_phase() {
                (offline, ready) = measured(engine, Phase::Offline, |engine| {
                    prepare(engine, job, party, data, &demand)
                })?;
            }
            let (online, output) = measured(engine, Phase::Online, |engine| {
                match finish(engine, party, data, ready)? {
                    Some(output) => Ok(output),
                    None => run(engine, party),
                }
            })?;
            if !checked {
                check(job, engine, domain, data, &output)?;
                checked = true;
            }
            tell(&Event::Run(Run {
                seconds: online.seconds,
                cpu: online.cpu,
                sent: online.sent,
                expansion_sent: online.expansion_sent,
                rounds: online.rounds,
                peak_rss: peak_rss().unwrap_or_default(),
                offline_seconds: offline.seconds,
                offline_sent: offline.expansion_sent,
                offline_rounds: offline.offline_rounds,
            }));
        }
    }
    Ok(())
}

/// One phase of a run.
#[derive(Clone, Copy, Default)]
struct Part {
    seconds: f64,
    cpu: f64,
    /// Payload that counts as online.
    sent: u64,
    /// Payload that counts as offline.
    expansion_sent: u64,
    rounds: u32,
    offline_rounds: u32,
}

/// From a barrier until this party is done.
fn measured<T>(
    engine: &mut Engine<'_>,
    phase: Phase,
    work: impl FnOnce(&mut Engine<'_>) -> Result<T>,
) -> Result<(Part, T)> {
    let peer = engine.peer();
    peer.main().send(&[1])?;
    peer.main().recv("barrier", 1)?;
    let before = peer.session().stats();
    let cpu = cpu_seconds();
    let span = peer.session().span("job", "job", phase);
    let start = Instant::now();
    let value = work(engine)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(span);
    let after = engine.peer().session().stats();
    let sent = |phase| after.phase(phase).bytes_sent - before.phase(phase).bytes_sent;
    let rounds = |phase| after.phase(phase).rounds - before.phase(phase).rounds;
    let part = Part {
        seconds,
        cpu: cpu_seconds().zip(cpu).map_or(0.0, |(now, then)| now - then),
        sent: sent(Phase::Online),
        expansion_sent: sent(Phase::Offline),
        rounds: rounds(Phase::Online),
        offline_rounds: rounds(Phase::Offline),
    };
    Ok((part, value))
}

/// The client shows its output of benchmark data, the server adds its own and looks.
fn check<D: Domain>(
    job: &Job,
    engine: &mut Engine<'_>,
    domain: D,
    data: &crate::job::Data<D>,
    output: &[u64],
) -> Result<()> {
    const PIECE: usize = 1 << 20;
    let peer = engine.peer();
    let party = peer.party();
    let stream = peer.main();
    match party {
        Party::Client => {
            for piece in output.chunks(PIECE) {
                let bytes: Vec<u8> = piece.iter().flat_map(|x| x.to_le_bytes()).collect();
                stream.send(&bytes)?;
            }
            Ok(())
        }
        Party::Server => {
            let mut theirs = Vec::with_capacity(output.len());
            for piece in output.chunks(PIECE) {
                let frame = stream.recv("output to be checked", 8 * piece.len())?;
                theirs.extend(frame.as_chunks().0.iter().map(|x| u64::from_le_bytes(*x)));
            }
            if job.is_right(domain, data, [output, &theirs]) {
                return Ok(());
            }
            Err(Error::misuse("the result of the protocol is wrong"))
        }
    }
}
