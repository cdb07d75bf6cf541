//! Table 7 of CrypTFlow2: whole networks over both backends.

use super::LINKS;
use crate::network::{Figures, Run, picture, shared};
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// The table.
pub const TABLE: Table = Table {
    name: "table7_networks",
    title: "Table 7: whole networks",
    notes: &[
        "Each run is the program itself: two processes, all phases, and the outputs must equal the cleartext run bit by \
         bit. Seconds and GiB are those of one input, set-up included.",
        "The embedded networks are always there; the others are run where `SCI_MODELS_DIR` points to their files, \
         SqueezeNet with the papers' sizes only. Their input is a random picture: neither time nor traffic depends on it.",
    ],
    run,
    plot: Plot::Bars { metric: "seconds", label: "seconds" },
};

/// Networks from files: name, model, size of the picture, whether it is one of the paper's large ones.
const FILES: [(&str, &str, usize, bool); 3] = [
    ("MiniONN", "models/minionn_cifar10.onnx", 32, false),
    ("ResNet32", "models/resnet32_cifar10.onnx", 32, false),
    ("SqueezeNet", "models/squeezenet1_0_imagenet.onnx", 227, true),
];

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let digit = concat!(env!("CARGO_MANIFEST_DIR"), "/../sci-run/assets/digits/inputs/00.png");
    let all = ["ot", "he", "auto"].as_slice();
    let mut networks = vec![("digits", "digits".to_string(), digit.to_string(), all)];
    if suite.mode() != Mode::Quick {
        for (name, path, size, large) in FILES {
            let Some(path) = shared(path) else {
                eprintln!("{name}: not run, SCI_MODELS_DIR has no {path}");
                continue;
            };
            if !large || suite.mode() == Mode::Paper {
                let backends = if large { all } else { &["he", "auto"] };
                let input = picture(size)?.display().to_string();
                networks.push((name, path.display().to_string(), input, backends));
            }
        }
    }
    let mut lines = Vec::new();
    let links: &[&str] = suite.mode().pick(&["lan"], &LINKS, &LINKS);
    for (name, model, input, backends) in networks {
        for &backend in backends {
            for &link in links {
                let run = Run {
                    name,
                    model: model.clone(),
                    input: Some(input.clone()),
                    preprocess: None,
                    backend,
                    fixed: (37, 12),
                    link,
                    threads: suite.threads(),
                };
                lines.extend(lines_of(&run, &suite.network(&run)?));
            }
        }
    }
    Ok(lines)
}

fn lines_of(run: &Run, figures: &Figures) -> Vec<Line> {
    let inputs = figures.inputs.max(1) as f64;
    let mut seconds: Vec<f64> = figures.seconds.iter().map(|s| s / inputs).collect();
    seconds.sort_by(f64::total_cmp);
    let at = |i: usize| seconds.get(i).copied().unwrap_or(f64::NAN);
    let middle = (at(seconds.len().saturating_sub(1) / 2) + at(seconds.len() / 2)) / 2.0;
    let in_paper = if run.backend == "ot" { "SCI_OT" } else { "SCI_HE" };
    let line = |metric: &str, value: f64| Line {
        case: run.name.into(),
        protocol: format!("ours, {}", run.backend),
        link: run.link.into(),
        metric: metric.into(),
        value,
        extrapolated: 1.0,
        ..Line::default()
    };
    let spread = Some([at(0), at(seconds.len().saturating_sub(1))]);
    let time = Line { spread, runs: seconds.len(), ..line("seconds", middle) };
    let gib = line("GiB", figures.bytes as f64 / inputs / f64::from(1 << 30));
    let rounds = line("rounds", f64::from(figures.rounds) / inputs);
    [time, gib, rounds].map(|line| line.beside_paper("table7", run.name, in_paper)).into()
}
