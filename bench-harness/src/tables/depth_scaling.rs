//! Cost over depth: ResNets of 18 to 152 layers.

use crate::network::Run;
use crate::pair::Result;
use crate::plot::Plot;
use crate::prediction::{Prediction, predict};
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// The figure.
pub const TABLE: Table = Table {
    name: "depth_scaling",
    title: "Cost over depth: ResNet-18 to ResNet-152",
    notes: &[
        "One image of 224x224, l = 37, scale 12, `auto` over the LAN, architectures of the zoo with random weights. The rows \
         `by formula` are the cost functions, exact for payload and keys, with silent OT's expansion as it is predicted, and the \
         planner's estimate of the time on one core of the machine it was fitted on; the rows `measured` are runs, whose \
         traffic has handshake and base OT too, and whose rounds may be fewer where messages of the same party meet at \
         the border of two layers, or more by those of an expansion. The default sizes run ResNet-18 once, the \
         papers' all depths. ResNet-18 and 34 have two 3x3 convolutions a block, the deeper ones three of 1x1, 3x3 and \
         1x1.",
    ],
    run,
    plot: Plot::Curves { metric: "GiB", labels: ["layers", "GiB, both directions"] },
};

const DEPTHS: [(&str, f64); 5] = [
    ("resnet18", 18.0),
    ("resnet34", 34.0),
    ("resnet50", 50.0),
    ("resnet101", 101.0),
    ("resnet152", 152.0),
];

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let mode = suite.mode();
    // A network of no depth to speak of stands for all in a quick run.
    let quick = [("lenet_small", 4.0), ("minionn_cifar10", 8.0)];
    let (all, measured) = match mode {
        Mode::Quick => (quick.as_slice(), 1),
        Mode::Default => (DEPTHS.as_slice(), 1),
        Mode::Paper => (DEPTHS.as_slice(), DEPTHS.len()),
    };
    let threads = suite.threads();
    let run = |model: &str| Run {
        name: model.into(),
        model: model.into(),
        input: Some("random".into()),
        backend: "auto",
        fixed: (37, 12),
        link: "lan",
        threads,
        ..Run::default()
    };
    // Planning takes most of the time of the default sizes.
    let predictions: Vec<Result<Prediction>> = std::thread::scope(|scope| {
        let planning = all.iter().map(|(model, _)| scope.spawn(move || predict(&run(model))));
        let planning: Vec<_> = planning.collect();
        let ended = |_| Err("planning ended in a defect".into());
        planning.into_iter().map(|one| one.join().unwrap_or_else(ended)).collect()
    });
    let mut lines = Vec::new();
    for (i, (&(model, depth), cost)) in all.iter().zip(predictions).enumerate() {
        let (run, cost) = (run(model), cost?);
        let line = |protocol: &str, metric: &str, value: f64| Line {
            case: model.into(),
            protocol: protocol.into(),
            link: run.link.into(),
            metric: metric.into(),
            value,
            extrapolated: 1.0,
            x: Some(depth),
            ..Line::default()
        };
        let gib = |bytes: u64| bytes as f64 / (1u64 << 30) as f64;
        lines.extend([
            line("by formula", "GiB", gib(cost.payload + cost.expansion + cost.keys)),
            line("by formula", "rounds", f64::from(cost.rounds)),
            line("by formula", "seconds, the planner's", cost.seconds),
            line("by formula", "million ReLUs", cost.relus as f64 / 1e6),
            line("by formula", "billion multiplications", cost.macs as f64 / 1e9),
        ]);
        if i < measured {
            let figures = suite.network_once(&run)?;
            let (seconds, spread) = figures.spread(|once| once.seconds);
            let first = figures.first();
            lines.extend([
                Line {
                    spread: Some(spread),
                    runs: figures.runs.len(),
                    ..line("measured", "seconds", seconds)
                },
                line("measured", "GiB", gib(first.bytes)),
                line("measured", "rounds", f64::from(first.rounds)),
            ]);
        }
    }
    Ok(lines)
}
