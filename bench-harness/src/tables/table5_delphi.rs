//! Table 5 of CrypTFlow2: the non-linear layers of two CIFAR-10 networks at l = 41, beside Delphi.

use super::{Layer, beside_garbled};
use crate::job::{DomainSpec, Function, Protocol};
use crate::pair::{Measurement, Result};
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Suite, Table};

/// Networks and their ReLUs.
pub(super) const NETWORKS: [(&str, usize); 2] = [("MiniONN", 173_056), ("ResNet32", 303_104)];
/// The 41-bit prime of the reference implementation.
pub(super) const PRIME: u64 = 2_199_023_190_017;

/// Of a garbled circuit over Z_n, where the shift is free.
pub(super) const RELU: [Function; 1] = [Function::Relu];
/// The paper's two protocols.
pub(super) const APART: [Function; 2] =
    [Function::Relu, Function::TruncatePositive { shift: SHIFT }];
/// Both by one comparison.
pub(super) const TOGETHER: [Function; 1] = [Function::ReluTruncate { shift: SHIFT }];
const SHIFT: u32 = 12;

/// What a row is called.
pub(super) fn called(protocol: Protocol, functions: &[Function]) -> String {
    match functions {
        [Function::ReluTruncate { .. }] => format!("{protocol}, one comparison"),
        _ => protocol.to_string(),
    }
}

/// The table.
pub const TABLE: Table = Table {
    name: "table5_delphi",
    title: "Table 5: ReLU and truncation of two networks at l = 41, over the LAN",
    notes: &[
        "173,056 (MiniONN) and 303,104 (ResNet32) elements, each through a ReLU and a truncation by 2^12 of known sign; \
         AvgPool is left out. Delphi garbles ReLU over a 41-bit Z_n, where the shift is free: the row GC is our \
         garbled ReLU over such a Z_n, its paper's figure is Delphi's.",
        "`ours, IKNP` are the paper's protocols, a ReLU and then a truncation; with one comparison, the carry that the \
         truncation needs is read from what ReLU compares.",
        "Figures marked * are those of a sample of 2^14 elements, multiplied up. All work is counted, offline and online \
         together; table 6 has it by phase.",
    ],
    run,
    plot: Plot::Bars { metric: "seconds", label: "seconds" },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let (ring, field) = (DomainSpec::Ring(41), DomainSpec::Field(PRIME));
    let mut lines = Vec::new();
    for (network, elements) in NETWORKS {
        let sample = suite.mode().pick(64, 1 << 14, elements);
        for (protocol, domain, functions, in_paper) in [
            (Protocol::Garbled, field, &RELU[..], "Delphi"),
            (Protocol::Iknp { radix: 4 }, ring, &APART, "ours"),
            (Protocol::Iknp { radix: 4 }, ring, &TOGETHER, "ours"),
            (Protocol::Silent { radix: 4 }, ring, &TOGETHER, "ours"),
        ] {
            let mut parts: Vec<Measurement> = Vec::new();
            for &function in functions {
                let layer = Layer { case: network, function, domain, protocol, elements: sample };
                parts.extend(layer.over(suite, &["lan"])?);
            }
            let times = elements as f64 / sample as f64;
            let sum = |f: &dyn Fn(&Measurement) -> f64| parts.iter().map(f).sum::<f64>() * times;
            let line = |metric: &str, value: f64| Line {
                case: network.into(),
                protocol: called(protocol, functions),
                link: "lan".into(),
                metric: metric.into(),
                value,
                extrapolated: 1.0,
                ..Line::default()
            };
            let seconds = |i: usize| sum(&|part| part.spread(|s| s.seconds).1[i]);
            let time = Line {
                spread: Some([seconds(0), seconds(1)]),
                runs: parts.iter().map(|part| part.samples.len()).min().unwrap_or(0),
                extrapolated: times,
                ..line("seconds", sum(&|part| part.spread(|s| s.seconds).0))
            };
            let bytes = sum(&|part| part.bytes() as f64 + part.expansion());
            let gib = Line { extrapolated: times, ..line("GiB", bytes / f64::from(1 << 30)) };
            lines.extend([time, gib].map(|l| l.beside_paper("table5", network, in_paper)));
        }
    }
    Ok(beside_garbled(lines))
}
