//! Figure 1 of CrypTFlow2: how many times garbled circuits take over the number of ReLUs.

use super::{LINKS, Layer};
use crate::job::{DomainSpec, Function, Protocol};
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Suite, Table};

/// The figure.
pub const TABLE: Table = Table {
    name: "figure1_scaling",
    title: "Figure 1: ReLU layers over Z_2^32, garbled circuits' time by ours",
    notes: &[
        "The paper reports 2x to 25x on layers of 2^13 to 2^20 ReLUs, more on larger layers, and more over the WAN than \
         over the LAN above 2^17; its single points are not known to us.",
    ],
    run,
    plot: Plot::Curves {
        metric: "GC time by ours",
        labels: ["ReLUs in the layer", "time of garbled circuits / time of ours"],
    },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let exponents: Vec<u32> =
        suite.mode().pick(vec![0, 6], vec![0, 4, 8, 12, 15], (0..=20).step_by(2).collect());
    let ours = [Protocol::Iknp { radix: 4 }, Protocol::Silent { radix: 4 }];
    let mut lines = Vec::new();
    for log_n in exponents {
        let case = format!("2^{log_n} ReLUs");
        let layer = |protocol| Layer {
            case: &case,
            function: Function::Relu,
            domain: DomainSpec::Ring(32),
            protocol,
            elements: 1 << log_n,
        };
        let x = Some(f64::from(1u32 << log_n));
        let garbled = layer(Protocol::Garbled).over(suite, &LINKS)?;
        for protocol in ours {
            let measured = layer(protocol).over(suite, &LINKS)?;
            for (ours, theirs) in measured.iter().zip(&garbled) {
                let (seconds, spread) = ours.spread(|sample| sample.seconds);
                let (baseline, _) = theirs.spread(|sample| sample.seconds);
                let line = |metric: &str, value| Line {
                    case: case.clone(),
                    protocol: protocol.to_string(),
                    link: ours.job.link.clone(),
                    metric: metric.into(),
                    value,
                    runs: ours.samples.len(),
                    extrapolated: 1.0,
                    x,
                    ..Line::default()
                };
                let garbled = Some(baseline);
                lines.push(Line { spread: Some(spread), garbled, ..line("seconds", seconds) });
                lines.push(line("GC time by ours", baseline / seconds));
            }
        }
    }
    Ok(lines)
}
