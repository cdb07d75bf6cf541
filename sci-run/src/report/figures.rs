//! From the statistics of a session to a report.

use super::{Bytes, Layer, PeakRss, Report, SCHEMA, Seconds};
use crate::parameters::{self, Offered};
use athos::PublicProgram;
use sci_core::session::{Phase, Stats, Totals};
use sci_core::{AnyDomain, Domain, Party};
use std::fmt::Write;
use std::time::Duration;
use truncation::Exactness;

/// What one party measured.
#[derive(Debug)]
pub struct Figures<'a> {
    /// Which party.
    pub party: Party,
    /// The statistics of its session.
    pub stats: &'a Stats,
    /// Waiting for the connection.
    pub connecting: Duration,
    /// What the server offered.
    pub offered: &'a Offered,
    /// Threads that it used.
    pub threads: usize,
}

impl Figures<'_> {
    /// The report without predictions.
    pub fn report(&self, program: &PublicProgram, digest: &[u8; 32]) -> Report {
        let Self { stats, offered, .. } = self;
        let mut report = Report {
            schema: SCHEMA,
            model: printable(&program.name),
            digest: hex(digest),
            backend: offered.backend.name().into(),
            domain: parameters::domain_name(program.domain).into(),
            modulus: modulus(program.domain),
            bitwidth: parameters::bitwidth(program.domain),
            scale: program.scale,
            ot: Some(offered.settings.ot.name().into()),
            exact: offered.exactness == Exactness::Faithful,
            threads: self.threads,
            link: Some(offered.link.shape.to_string()),
            link_probed: Some(offered.link.probed),
            predictions: None,
            bitwise_equal: None,
            seconds: self.seconds(),
            bytes: Bytes::default(),
            rounds: 0,
            peak_rss_bytes: PeakRss::default(),
            layers: layers(stats),
        };
        let work = [stats.phase(Phase::Offline), stats.phase(Phase::Online), &stats.outside];
        report.rounds = work.iter().map(|part| part.rounds).sum();
        let [setup, work] = [[&stats.handshake, stats.phase(Phase::Setup)].as_slice(), &work]
            .map(sent_and_received);
        let (sent, received) = (setup.0 + work.0, setup.1 + work.1);
        let (client_to_server, server_to_client) = match self.party {
            Party::Server => (received, sent),
            Party::Client => (sent, received),
        };
        let (total, setup) = (sent + received, setup.0 + setup.1);
        report.bytes = Bytes { client_to_server, server_to_client, total, setup };
        let own = match self.party {
            Party::Server => &mut report.peak_rss_bytes.server,
            Party::Client => &mut report.peak_rss_bytes.client,
        };
        *own = peak_rss();
        report
    }

    fn seconds(&self) -> Seconds {
        let stats = self.stats;
        let setup = self.connecting.as_secs_f64()
            + stats.handshake.seconds
            + stats.phase(Phase::Setup).seconds;
        let offline = stats.phase(Phase::Offline).seconds;
        let online = stats.phase(Phase::Online).seconds + stats.outside.seconds;
        Seconds { setup, offline, online, total: setup + offline + online }
    }
}

fn sent_and_received(parts: &[&Totals]) -> (u64, u64) {
    let sum = |of: fn(&Totals) -> u64| parts.iter().map(|part| of(part)).sum();
    (sum(|part| part.bytes_sent), sum(|part| part.bytes_received))
}

/// Offline and online of the same operation are one row.
fn layers(stats: &Stats) -> Vec<Layer> {
    let mut rows: Vec<Layer> = Vec::new();
    for layer in stats.layers.iter().filter(|layer| layer.phase != Phase::Setup) {
        let same =
            rows.iter().position(|row| row.name == printable(&layer.name) && row.op == layer.op);
        let at = same.unwrap_or_else(|| {
            rows.push(Layer {
                name: printable(&layer.name),
                op: layer.op.to_string(),
                backend: layer.backend.to_string(),
                seconds: 0.0,
                bytes: 0,
                rounds: 0,
            });
            rows.len() - 1
        });
        if let Some(row) = rows.get_mut(at) {
            row.seconds += layer.seconds;
            row.bytes += layer.bytes_sent + layer.bytes_received;
            row.rounds += layer.rounds;
        }
    }
    rows
}

fn modulus(domain: AnyDomain) -> String {
    match domain {
        AnyDomain::Ring(ring) => format!("2^{}", ring.bits()),
        AnyDomain::Field(field) => field.modulus().to_string(),
    }
}

/// Names come from the peer: on one line, without control characters, bounded.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONGEST).map(safe).collect()
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The most memory that this process has had, where the system tells.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
