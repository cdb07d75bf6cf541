//! Table 7 of CrypTFlow2: whole networks over both backends.

use super::LINKS;
use crate::network::{Figures, Once, Run, picture, shared};
use crate::pair::Result;
use crate::plot::Plot;
use crate::prediction::{Prediction, predict, sample_of_convolutions};
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// The table.
pub const TABLE: Table = Table {
    name: "table7_networks",
    title: "Table 7: whole networks",
    notes: &[
        "Each run is the program itself: two processes, all phases, and the outputs must equal the cleartext run bit by \
         bit. Seconds and traffic are those of one input, set-up included (handshake, public program, base OT, keys of \
         lattice encryption; `set-up MiB` is its part of the traffic); rounds are those after it. CPU seconds are those of \
         the whole command, which also compiles the model and runs it in cleartext; peak memory is each party's.",
        "MiniONN and ResNet32 come from the files below `SCI_MODELS_DIR` if they are there; all else is from the zoo: the \
         same architecture with random weights, on a random input. Neither time nor traffic depends on the values. \
         SqueezeNet is version 1.1, whose counts are those of the papers' programs (2,033,480 ReLUs, 352,540,352 \
         products). Bitwidth and scale are the paper's: SqueezeNet 32 and 9, ResNet50 37 and 12, DenseNet121 32 and 11; otherwise 37 \
         and 12. The three large networks are run with the papers' sizes only (`SCI_BENCH=paper`), up to five \
         times and fewer where that takes long; over the WAN the default sizes have `auto` alone, and not ResNet32.",
        "`he` is lattice encryption for every product, over Z_2^l; `he, Z_n` is the paper's SCI-HE, batched slots over a \
         prime; `auto` takes the faster engine for each product: it is run once, and where that run took the plan of `he`, the same \
         bytes and rounds in every layer, the runs of `he` are its own. Over the links of Cheetah, `he` stands beside \
         Cheetah, whose results are off by one at times.",
        "`ot` is run as a whole for smaller networks and for SqueezeNet. For ResNet50 and DenseNet121 it is marked *: the second and then every fortieth convolution of the network is run by OT, as a \
         network of its own; their seconds a byte times the bytes of all products are the time of the products, to which \
         the time of everything else in the runs of `he` is added. Traffic (but for handshake and base OT) and rounds follow from \
         the formulas, which tests hold equal to what is sent.",
    ],
    run,
    plot: Plot::Bars { metric: "seconds", label: "seconds" },
};

/// The links of Cheetah.
const CHEETAH: [&str; 2] = ["lan-cheetah", "wan-cheetah"];
/// Every so-manieth convolution of the large networks is run by OT.
const SAMPLE: usize = 40;

/// Backend, domain, what it is called here, and in the paper.
type Engine = (&'static str, Option<&'static str>, &'static str, &'static str);
const OT: Engine = ("ot", None, "ours, ot", "SCI_OT");
const HE: Engine = ("he", None, "ours, he", "SCI_HE");
const SLOTS: Engine = ("he", Some("field"), "ours, he, Z_n", "SCI_HE");
const AUTO: Engine = ("auto", None, "ours, auto", "SCI_HE");

/// A network and where it comes from.
struct Network {
    name: &'static str,
    /// Below `SCI_MODELS_DIR`, and the size of its pictures.
    file: Option<(&'static str, usize)>,
    /// Its name in the zoo, or that of an embedded model.
    otherwise: &'static str,
    fixed: (u32, u32),
    engines: &'static [Engine],
    /// Over which of the papers' links OT does all; over the others it does a sample. `None`: no OT at all.
    by_ot: Option<&'static [&'static str]>,
    /// Whether it is run over the WAN, where every round takes its time, by `auto`; at the default sizes by nothing else.
    wan: bool,
}

const EMBEDDED: Network = Network {
    name: "digits",
    file: None,
    otherwise: "digits",
    fixed: (37, 12),
    engines: &[HE, SLOTS, AUTO],
    by_ot: Some(&LINKS),
    wan: true,
};

const SMALL: [Network; 2] = [
    Network {
        name: "MiniONN",
        file: Some(("models/minionn_cifar10.onnx", 32)),
        otherwise: "minionn_cifar10",
        fixed: (37, 12),
        engines: &[HE, AUTO],
        by_ot: None,
        wan: true,
    },
    Network {
        name: "ResNet32",
        file: Some(("models/resnet32_cifar10.onnx", 32)),
        otherwise: "resnet32_cifar100",
        fixed: (37, 12),
        engines: &[HE, AUTO],
        by_ot: None,
        wan: false,
    },
];

const LARGE: [Network; 3] = [
    Network {
        name: "SqueezeNet",
        file: None,
        otherwise: "squeezenet1_1",
        fixed: (32, 9),
        engines: &[HE, SLOTS, AUTO],
        by_ot: Some(&LINKS),
        wan: true,
    },
    Network {
        name: "ResNet50",
        file: None,
        otherwise: "resnet50",
        fixed: (37, 12),
        engines: &[HE, SLOTS, AUTO],
        by_ot: Some(&[]),
        wan: true,
    },
    Network {
        name: "DenseNet121",
        file: None,
        otherwise: "densenet121",
        fixed: (32, 11),
        engines: &[HE, SLOTS, AUTO],
        by_ot: Some(&[]),
        wan: true,
    },
];

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let mode = suite.mode();
    let links: &[&str] = mode.pick(&["lan"], &LINKS, &LINKS);
    let mut lines = of_network(suite, &EMBEDDED, links)?;
    for network in &SMALL[..mode.pick(0, 2, 2)] {
        lines.extend(of_network(suite, network, links)?);
    }
    if mode == Mode::Paper {
        for network in &LARGE {
            lines.extend(of_network(suite, network, &[LINKS, CHEETAH].concat())?);
        }
    }
    Ok(lines)
}

impl Network {
    /// A run of it, from its file if there is one.
    fn run(&self, suite: &Suite, engine: &Engine, link: &'static str) -> Result<Run> {
        let digit = concat!(env!("CARGO_MANIFEST_DIR"), "/../sci-run/assets/digits/inputs/00.png");
        let found = self.file.and_then(|(path, size)| Some((shared(path)?, size)));
        let (model, input) = match found {
            Some((path, size)) => {
                (path.display().to_string(), picture(size)?.display().to_string())
            }
            None if self.otherwise == EMBEDDED.otherwise => ("digits".into(), digit.into()),
            None => (self.otherwise.into(), "random".into()),
        };
        Ok(Run {
            name: self.name.into(),
            model,
            input: Some(input),
            backend: engine.0,
            domain: engine.1,
            fixed: self.fixed,
            link,
            threads: suite.threads(),
            ..Run::default()
        })
    }
}

fn of_network(suite: &mut Suite, network: &Network, links: &[&'static str]) -> Result<Vec<Line>> {
    let (mut lines, mut by_he) = (Vec::new(), Vec::new());
    let mode = suite.mode();
    let over = |engine: Engine, link: &'static str| {
        let few = mode == Mode::Default || engine == AUTO;
        let wanted = link != "wan" || !few || (network.wan && engine == AUTO);
        wanted && (engine == HE || !CHEETAH.contains(&link))
    };
    for &engine in network.engines {
        for &link in links.iter().filter(|link| over(engine, link)) {
            let run = network.run(suite, &engine, link)?;
            let figures = match by_he.iter().find(|(over, _)| engine == AUTO && *over == link) {
                Some((_, he)) => suite.network_like(&run, he)?,
                None => suite.network(&run)?,
            };
            lines.extend(measured_lines(&run, &engine, &figures));
            let whole = network.by_ot.is_none_or(|whole| whole.contains(&link));
            if engine == HE && !whole && LINKS.contains(&link) {
                lines.extend(by_sample(suite, network, link, &figures)?);
            }
            if engine == HE {
                by_he.push((link, figures));
            }
        }
    }
    for &link in network.by_ot.into_iter().flatten().filter(|&&link| over(OT, link)) {
        if links.contains(&link) {
            let run = network.run(suite, &OT, link)?;
            let figures = suite.network(&run)?;
            lines.extend(measured_lines(&run, &OT, &figures));
        }
    }
    Ok(lines)
}

fn line(case: &str, protocol: &str, link: &str, metric: &str, value: f64) -> Line {
    Line {
        case: case.into(),
        protocol: protocol.into(),
        link: link.into(),
        metric: metric.into(),
        value,
        extrapolated: 1.0,
        ..Line::default()
    }
}

const GIB: f64 = (1u64 << 30) as f64;
const MIB: f64 = (1u64 << 20) as f64;

fn measured_lines(run: &Run, engine: &Engine, figures: &Figures) -> Vec<Line> {
    let first = figures.first();
    let inputs = first.inputs.max(1) as f64;
    let cheetah = CHEETAH.contains(&run.link);
    let (_, _, protocol, in_paper) = *engine;
    let line = |metric: &str, value: f64| line(&run.name, protocol, run.link, metric, value);
    let timed = |metric: &str, figure: fn(&Once) -> f64| {
        let (median, [least, most]) = figures.spread(figure);
        let spread = Some([least / inputs, most / inputs]);
        Line { spread, runs: figures.runs.len(), ..line(metric, median / inputs) }
    };
    let bytes = first.bytes as f64 / inputs;
    let traffic = if cheetah { line("GB", bytes / 1e9) } else { line("GiB", bytes / GIB) };
    let beside = if cheetah { "Cheetah" } else { in_paper };
    let compared = [
        timed("seconds", |once| once.seconds),
        traffic,
        line("rounds", f64::from(first.rounds) / inputs),
    ];
    let mut lines = compared.map(|line| line.beside_paper("table7", &run.name, beside)).to_vec();
    // These do not depend on the link.
    if matches!(run.link, "lan" | "lan-cheetah") && !cheetah {
        lines.push(line("set-up MiB", first.setup_bytes as f64 / MIB));
        lines.push(timed("CPU s, both parties and the check", |once| once.cpu));
        for (i, party) in ["server", "client"].into_iter().enumerate() {
            let peak = figures.runs.iter().map(|once| once.peak_rss[i]).max().unwrap_or(0);
            lines.push(line(&format!("peak MiB, {party}"), peak as f64 / MIB));
        }
    }
    lines
}

/// A network by OT alone, from some of its convolutions, the formulas, and what else happens in a run of `he`.
fn by_sample(
    suite: &mut Suite,
    network: &Network,
    link: &'static str,
    he: &Figures,
) -> Result<Vec<Line>> {
    let prediction = predict(&network.run(suite, &OT, link)?)?;
    let mut sample = Vec::new();
    for (layer, path) in sample_of_convolutions(network.otherwise, SAMPLE)? {
        let run = Run {
            name: format!("{} {layer}", network.name),
            model: path.display().to_string(),
            // Its own shape, whatever the picture of the network.
            input: Some(sci_run::input::RANDOM.into()),
            output: Some("logits"),
            ..network.run(suite, &OT, link)?
        };
        sample.push(suite.network(&run)?);
    }
    Ok(extrapolated_lines(network.name, link, he, &sample, &prediction))
}

fn extrapolated_lines(
    name: &str,
    link: &str,
    he: &Figures,
    sample: &[Figures],
    prediction: &Prediction,
) -> Vec<Line> {
    let sampled: f64 = sample.iter().map(|layer| layer.first().product_bytes as f64).sum();
    let times = prediction.products as f64 / sampled.max(1.0);
    let (rest, _) = he.spread(|once| once.seconds - once.products);
    // All of it: what a layer sends may leave after its span has ended.
    let products: f64 = sample.iter().map(|layer| layer.spread(|once| once.seconds).0).sum();
    let runs = sample.iter().map(|layer| layer.runs.len()).min().unwrap_or(0);
    let traffic = (prediction.payload + prediction.expansion + prediction.keys) as f64;
    let lines = [
        Line { runs, ..line(name, OT.2, link, "seconds", products * times + rest) },
        line(name, OT.2, link, "GiB", traffic / GIB),
        line(name, OT.2, link, "rounds", f64::from(prediction.rounds)),
    ];
    let marked = lines.map(|line| Line { extrapolated: times.max(1.0), ..line });
    marked.map(|line| line.beside_paper("table7", name, OT.3)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_multiplied_up_by_bytes() {
        let once = |seconds, products, product_bytes| Once {
            seconds,
            products,
            product_bytes,
            ..Once::default()
        };
        let he = Figures { runs: vec![once(10.0, 4.0, 1), once(14.0, 4.0, 1), once(12.0, 4.0, 1)] };
        let sample = [(1.5, 100), (2.5, 300)].map(|(s, b)| Figures { runs: vec![once(s, 0.1, b)] });
        let prediction = Prediction {
            payload: 3 << 30,
            expansion: 1 << 30,
            products: 4000,
            rounds: 77,
            ..Prediction::default()
        };
        let lines = extrapolated_lines("ResNet50", "lan", &he, &sample, &prediction);
        // Ten times 4 seconds, and the 8 that are no products.
        assert_eq!(lines.iter().map(|l| l.value).collect::<Vec<_>>(), [48.0, 4.0, 77.0]);
        assert!(lines.iter().all(|line| line.extrapolated == 10.0), "{lines:?}");
        assert_eq!(lines[0].paper, Some(619.4));
    }

    #[test]
    fn every_large_network_has_figures_to_be_held_against() {
        let figures = Figures { runs: vec![Once { bytes: 1, inputs: 1, ..Once::default() }] };
        for network in &LARGE {
            for (engine, link) in [(&HE, "wan"), (&AUTO, "wan"), (&HE, "lan-cheetah")] {
                let run = Run { name: network.name.into(), link, ..Run::default() };
                let lines = measured_lines(&run, engine, &figures);
                assert!(lines[0].paper.is_some() && lines[1].paper.is_some(), "{lines:?}");
                assert_eq!(lines[0].paper_of.is_empty(), link == "wan", "{lines:?}");
            }
        }
    }
}
