//! Table 6 of CrypTFlow2: what is left of the non-linear layers of table 5 once the input is there, beside Delphi.

use super::table5_delphi::{APART, NETWORKS, PRIME, RELU, TOGETHER, called};
use super::{Layer, beside};
use crate::job::{DomainSpec, Protocol};
use crate::pair::{Measurement, Result, Sample};
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Suite, Table};

/// The table.
pub const TABLE: Table = Table {
    name: "table6_delphi_online",
    title: "Table 6: ReLU and truncation of two networks at l = 41, by phase, over the LAN",
    notes: &[
        "The layers of table 5 in two phases. GC in Delphi's phases: offline the server garbles max(x_0 + x_1, 0) + r \
         over a 41-bit Z_n and sends the tables, and the client obtains by IKNP the labels of x_1 and r, which it \
         knows ahead; online the server sends the labels of x_0, the client evaluates and returns the 41 colours that it \
         ends with, which only the server can decode. Both phases are held equal to their formulas. Lattice work, by \
         which Delphi makes x_1 known ahead, is not counted.",
        "Ours, silent OT ahead: offline the correlated OTs that the layers take are expanded, as many as a rehearsal \
         took; online there is no expansion, which every run checks. With IKNP the live choices go into the extension: \
         everything is online.",
        "`seconds` are those of the online phase, as in the paper. Figures marked * are those of a sample of 2^14 \
         elements by default, multiplied up.",
    ],
    run,
    plot: Plot::Bars { metric: "seconds", label: "seconds online" },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let (ring, field) = (DomainSpec::Ring(41), DomainSpec::Field(PRIME));
    let mut lines = Vec::new();
    // Both networks are extrapolated from one sample.
    let mut samples: Vec<(String, usize, Vec<Measurement>)> = Vec::new();
    for (network, elements) in NETWORKS {
        let sample = suite.mode().pick(64, 1 << 14, elements);
        for (protocol, domain, functions, in_paper) in [
            (Protocol::GarbledAhead, field, &RELU[..], "Delphi"),
            (Protocol::Iknp { radix: 4 }, ring, &APART, "ours"),
            (Protocol::Iknp { radix: 4 }, ring, &TOGETHER, "ours"),
            (Protocol::SilentAhead { radix: 4 }, ring, &TOGETHER, "ours"),
        ] {
            let called = called(protocol, functions);
            let known = samples.iter().find(|(p, n, _)| (p, *n) == (&called, sample));
            let parts = match known {
                Some((_, _, parts)) => parts.clone(),
                None => {
                    let mut parts = Vec::new();
                    for &function in functions {
                        let elements = sample;
                        let layer = Layer { case: network, function, domain, protocol, elements };
                        parts.extend(layer.over(suite, &["lan"])?);
                    }
                    samples.push((called.clone(), sample, parts.clone()));
                    parts
                }
            };
            let times = elements as f64 / sample as f64;
            let whole = Whole { network, called, parts, times };
            let online = whole.seconds("seconds", |sample| sample.seconds);
            lines.push(online.beside_paper("table6", network, in_paper));
            lines.push(whole.gib("GiB online", |part| part.bytes() as f64 + part.expansion()));
            let rounds = whole.parts.iter().map(|part| f64::from(part.rounds())).sum();
            lines.push(whole.line("rounds online", rounds));
            if protocol.has_offline_phase() {
                lines.push(whole.seconds("seconds offline", |sample| sample.offline_seconds));
                lines.push(whole.gib("GiB offline", Measurement::offline_bytes));
            }
        }
    }
    Ok(beside(lines, Protocol::GarbledAhead))
}

/// All layers of a network by one protocol.
struct Whole {
    network: &'static str,
    called: String,
    parts: Vec<Measurement>,
    /// How many samples the network is.
    times: f64,
}

impl Whole {
    fn line(&self, metric: &str, value: f64) -> Line {
        Line {
            case: self.network.into(),
            protocol: self.called.clone(),
            link: "lan".into(),
            metric: metric.into(),
            value,
            extrapolated: 1.0,
            ..Line::default()
        }
    }

    fn seconds(&self, metric: &str, of: impl Fn(&Sample) -> f64) -> Line {
        let mut sum = [0.0; 3];
        for part in &self.parts {
            let (median, [least, greatest]) = part.spread(&of);
            let parts = [least, median, greatest];
            sum.iter_mut().zip(parts).for_each(|(sum, part)| *sum += self.times * part);
        }
        let [least, median, greatest] = sum;
        Line {
            spread: Some([least, greatest]),
            runs: self.parts.iter().map(|part| part.samples.len()).min().unwrap_or(0),
            extrapolated: self.times,
            ..self.line(metric, median)
        }
    }

    fn gib(&self, metric: &str, of: impl Fn(&Measurement) -> f64) -> Line {
        let bytes: f64 = self.parts.iter().map(of).sum();
        let gib = self.line(metric, bytes * self.times / f64::from(1 << 30));
        Line { extrapolated: self.times, ..gib }
    }
}
