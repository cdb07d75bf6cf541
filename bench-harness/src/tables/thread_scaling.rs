//! Cost over threads: a layer of ReLUs, and a network.

use crate::job::{DomainSpec, Function, Job, Protocol};
use crate::network::Run;
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Suite, Table};

/// The figure.
pub const TABLE: Table = Table {
    name: "thread_scaling",
    title: "Cost over threads of a party",
    notes: &[
        "A layer of ReLUs over Z_2^37 and MiniONN's network for CIFAR-10, over loopback. Both parties run on this machine: \
         with t threads each, 2t threads share its cores, and what is beyond them gains nothing.",
    ],
    run,
    plot: Plot::Curves { metric: "seconds", labels: ["threads of a party", "seconds"] },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let counts: &[usize] = suite.mode().pick(&[1, 2], &[1, 2], &[1, 2, 4, 8]);
    let elements = suite.mode().pick(64, 1 << 16, 1 << 20);
    let mut lines = Vec::new();
    for &threads in counts {
        let line = |case: String, protocol: String, link: &str, value: f64| Line {
            case,
            protocol,
            link: link.into(),
            metric: "seconds".into(),
            value,
            extrapolated: 1.0,
            x: Some(threads as f64),
            ..Line::default()
        };
        for protocol in
            [Protocol::Garbled, Protocol::Iknp { radix: 4 }, Protocol::Silent { radix: 4 }]
        {
            let job = Job {
                function: Function::Relu,
                domain: DomainSpec::Ring(37),
                protocol,
                elements,
                link: "loopback".into(),
                threads,
            };
            let measured = suite.measure(&job)?;
            let (seconds, spread) = measured.spread(|sample| sample.seconds);
            let case = format!("{elements} ReLUs, {threads} threads");
            lines.push(Line {
                spread: Some(spread),
                runs: measured.samples.len(),
                ..line(case, format!("ReLU: {protocol}"), &job.link, seconds)
            });
        }
        let model = suite.mode().pick("lenet_small", "minionn_cifar10", "minionn_cifar10");
        let run = Run {
            name: model.into(),
            model: model.into(),
            input: Some("random".into()),
            backend: "auto",
            fixed: (37, 12),
            link: "loopback",
            threads,
            ..Run::default()
        };
        let figures = suite.network(&run)?;
        let (seconds, spread) = figures.spread(|once| once.seconds);
        lines.push(Line {
            spread: Some(spread),
            runs: figures.runs.len(),
            ..line(format!("{model}, {threads} threads"), "network: auto".into(), run.link, seconds)
        });
    }
    Ok(lines)
}
