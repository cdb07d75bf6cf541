//! Table 4 of CrypTFlow2: all ReLUs of three networks beside garbled circuits.

use super::{LINKS, Layer, PRIME_32, PRIME_37, beside_garbled};
use crate::job::{DomainSpec, Function, Protocol};
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Suite, Table};

/// Networks, their ReLUs, the bitwidths of the paper.
const NETWORKS: [(&str, usize, u32); 3] =
    [("SqueezeNet", 2_033_480, 32), ("ResNet50", 9_006_592, 37), ("DenseNet121", 15_065_344, 32)];

/// The table.
pub const TABLE: Table = Table {
    name: "table4_relu_layers",
    title: "Table 4: the ReLU layers of three networks",
    notes: &[
        "Elements: 2,033,480 (SqueezeNet, l = 32), 9,006,592 (ResNet50, l = 37), 15,065,344 (DenseNet121, l = 32). GiB \
         are measured on a sample and exact for the whole, being linear; seconds marked * are those of the sample, \
         multiplied up: of 2^15 elements by default, of 2^20 with the papers' sizes.",
        "The paper ran four threads a party on two machines; here one thread a party, both on one machine.",
    ],
    run,
    plot: Plot::Bars { metric: "seconds", label: "seconds" },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let sample = suite.mode().pick(64, 1 << 15, 1 << 20);
    let protocols = [
        (Protocol::Garbled, "GC"),
        (Protocol::Iknp { radix: 4 }, "ours"),
        (Protocol::Silent { radix: 4 }, "ours"),
    ];
    let mut lines = Vec::new();
    for bits in [32, 37] {
        let prime = if bits == 32 { PRIME_32 } else { PRIME_37 };
        for (name, domain) in [("Z_2^l", DomainSpec::Ring(bits)), ("Z_n", DomainSpec::Field(prime))]
        {
            for (protocol, in_paper) in protocols {
                let function = Function::Relu;
                let layer = Layer { case: "", function, domain, protocol, elements: sample };
                let measured = layer.over(suite, &LINKS)?;
                for (network, elements, _) in NETWORKS.iter().filter(|n| n.2 == bits) {
                    let case = format!("{network}, {name}");
                    let times = *elements as f64 / sample as f64;
                    let line = |metric: &str, value: f64| Line {
                        case: case.clone(),
                        protocol: protocol.to_string(),
                        metric: metric.into(),
                        value,
                        extrapolated: 1.0,
                        ..Line::default()
                    };
                    let Some(first) = measured.first() else { continue };
                    let gib = |bytes: f64| bytes * times / f64::from(1 << 30);
                    let whole = gib(first.bytes() as f64 + first.expansion());
                    lines.push(line("GiB", whole).beside_paper("table4", &case, in_paper));
                    for one in &measured {
                        let (median, spread) = one.spread(|sample| sample.seconds * times);
                        let line = Line {
                            link: one.job.link.clone(),
                            spread: Some(spread),
                            runs: one.samples.len(),
                            extrapolated: times,
                            ..line("seconds", median)
                        };
                        lines.push(line.beside_paper("table4", &case, in_paper));
                    }
                }
            }
        }
    }
    lines.sort_by_key(|line| NETWORKS.iter().position(|n| line.case.starts_with(n.0)));
    Ok(beside_garbled(lines))
}
