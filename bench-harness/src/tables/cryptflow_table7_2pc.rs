//! Table VII of CrypTFlow: networks for MNIST between two parties, and the others of its table V.

use crate::network::Run;
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// The table.
pub const TABLE: Table = Table {
    name: "cryptflow_table7_2pc",
    title: "CrypTFlow, table VII: networks for MNIST between two parties, over the LAN",
    notes: &[
        "The program itself on architectures of the zoo with random weights, l = 37, scale 12: two processes, all phases and \
         the set-up, and the outputs must equal the cleartext run bit by bit; rounds are those after the set-up. Time \
         and traffic do not depend on the weights. \
         CrypTFlow's two-party backend was ABY.",
        "LogReg and the small LeNet are the paper's rows; the latter is taken to be network B of SecureNN. SecureML's perceptron and the large LeNet are those of its table \
         V, which is about three parties (Porthos: LogReg 2.7 ms, SecureML 8 ms, MiniONN's network, which is our small \
         LeNet, 34 ms, LeNet 58 ms, at 1.5 GB/s).",
    ],
    run,
    plot: Plot::Bars { metric: "seconds", label: "seconds" },
};

/// Name in the table, name in the zoo.
const NETWORKS: [(&str, &str); 4] = [
    ("LogReg", "logistic_regression"),
    ("SecureML", "secureml_mlp"),
    ("LeNet, small", "lenet_small"),
    ("LeNet, large", "lenet_large"),
];

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let networks = if suite.mode() == Mode::Quick { &NETWORKS[..1] } else { &NETWORKS[..] };
    let mut lines = Vec::new();
    for &(name, model) in networks {
        for backend in ["ot", "auto"] {
            let run = Run {
                name: name.into(),
                model: model.into(),
                input: Some(sci_run::input::RANDOM.into()),
                backend,
                fixed: (37, 12),
                link: "lan",
                threads: suite.threads(),
                ..Run::default()
            };
            let figures = suite.network(&run)?;
            let (seconds, spread) = figures.spread(|once| once.seconds);
            let first = figures.first();
            let line = |metric: &str, value: f64| Line {
                case: name.into(),
                protocol: format!("ours, {backend}"),
                link: run.link.into(),
                metric: metric.into(),
                value,
                extrapolated: 1.0,
                ..Line::default()
            };
            let time =
                Line { spread: Some(spread), runs: figures.runs.len(), ..line("seconds", seconds) };
            let bytes = line("MB", first.bytes as f64 / 1e6);
            let rounds = line("rounds", f64::from(first.rounds));
            let beside = |line: Line| line.beside_paper("cryptflow table7", name, "2PC");
            lines.extend([time, bytes, rounds].map(beside));
        }
    }
    Ok(lines)
}
