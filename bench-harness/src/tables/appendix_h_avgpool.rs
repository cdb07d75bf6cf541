//! Appendix H of CrypTFlow2: the AvgPool layers of the benchmark networks beside garbled circuits.

use super::{LINKS, Layer, PRIME_32, PRIME_37, beside_garbled};
use crate::job::{DomainSpec, Function, Protocol};
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// Layers alike: network, divisor, outputs of all, how many they are, bitwidth of the paper.
const LAYERS: [(&str, u64, usize, usize, u32); 4] = [
    ("SqueezeNet, 13x13", 169, 1_000, 1, 32),
    ("ResNet50, 7x7", 49, 2_048, 1, 37),
    ("DenseNet121, 7x7", 49, 1_024, 1, 32),
    ("DenseNet121, 3 of 2x2", 4, 175_616, 3, 32),
];

/// The table.
pub const TABLE: Table = Table {
    name: "appendix_h_avgpool",
    title: "Appendix H: the AvgPool layers of three networks",
    notes: &[
        "Outputs: 1000 of 169 (SqueezeNet, l = 32), 2048 of 49 (ResNet50, l = 37), 1024 of 49 and 128x28x28 + 256x14x14 + \
         512x7x7 of 4 (DenseNet121, l = 32). Sums of windows are local; a division by 4 over Z_2^l is a truncation. The \
         sign of a sum counts as unknown. The paper reports up to 51 times less time and 41 times less communication than \
         its garbled circuits, which hold a general divider; ours divide by the public number.",
        "Times and MiB marked * are those of one layer of the mean size, times three. By default the WAN is measured over \
         Z_2^l alone.",
    ],
    run,
    plot: Plot::Bars { metric: "ms", label: "milliseconds" },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (case, d, outputs, layers, bits) in LAYERS {
        let layer = outputs.div_ceil(layers);
        let elements = suite.mode().pick(64, layer, layer);
        let times = outputs as f64 / elements as f64;
        let prime = if bits == 32 { PRIME_32 } else { PRIME_37 };
        for (name, domain) in [("Z_2^l", DomainSpec::Ring(bits)), ("Z_n", DomainSpec::Field(prime))]
        {
            let case = format!("{case}, {name}");
            let field = matches!(domain, DomainSpec::Field(_));
            let lan = suite.mode() == Mode::Quick || field && suite.mode() == Mode::Default;
            let links = if lan { &LINKS[..1] } else { &LINKS[..] };
            for protocol in
                [Protocol::Garbled, Protocol::Iknp { radix: 4 }, Protocol::Silent { radix: 4 }]
            {
                let function = match (domain, d.is_power_of_two()) {
                    (DomainSpec::Ring(_), true) => Function::Truncate { shift: d.trailing_zeros() },
                    _ => Function::Divide { d },
                };
                let layer = Layer { case: &case, function, domain, protocol, elements };
                let measured = layer.over(suite, links)?;
                let Some(first) = measured.first() else { continue };
                let bytes = first.bytes() as f64 + first.expansion();
                let mib = bytes * times / f64::from(1 << 20);
                lines.push(Line { extrapolated: times, ..layer.line("MiB", mib) });
                for one in &measured {
                    let (median, spread) = one.spread(|sample| 1e3 * sample.seconds * times);
                    lines.push(Line {
                        link: one.job.link.clone(),
                        spread: Some(spread),
                        runs: one.samples.len(),
                        extrapolated: times,
                        ..layer.line("ms", median)
                    });
                }
            }
        }
    }
    Ok(beside_garbled(lines))
}
