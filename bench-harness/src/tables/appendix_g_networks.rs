//! Appendix G of CrypTFlow2: what the benchmark networks consist of.

use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};
use athos::hlil::{Graph, Op};
use athos::zoo::{self, Weights};
use athos::{CompileOptions, compile_graph};
use sci_core::AnyDomain;

/// The table.
pub const TABLE: Table = Table {
    name: "appendix_g_networks",
    title: "Appendix G: layers, ReLUs, products and weights of the networks",
    notes: &[
        "Counted in the architectures of the zoo: layers as they are defined, ReLUs and multiplications (MACs) as they are \
         compiled, where MaxPool comes before ReLU; weights are those of convolutions and fully connected layers, without \
         biases and normalisations.",
        "The paper's figures are counted in the authors' programs: that of ResNet50 has 49 normalisations, the \
         architecture 53; the last layer of their DenseNet121 is a convolution. Of SqueezeNet fewer ReLUs are left because \
         they are moved below Concat, too, and so behind MaxPool.",
    ],
    run,
    plot: Plot::Bars { metric: "ReLUs", label: "ReLUs" },
};

/// Name in the paper, name in the zoo.
const NETWORKS: [(&str, &str); 11] = [
    ("SqueezeNet", "squeezenet1_1"),
    ("ResNet50", "resnet50"),
    ("DenseNet121", "densenet121"),
    ("MiniONN", "minionn_cifar10"),
    ("ResNet32", "resnet32_cifar100"),
    ("ResNet18", "resnet18"),
    ("ResNet34", "resnet34"),
    ("LogReg", "logistic_regression"),
    ("SecureML", "secureml_mlp"),
    ("LeNet, small", "lenet_small"),
    ("LeNet, large", "lenet_large"),
];

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let networks = if suite.mode() == Mode::Quick { &NETWORKS[7..] } else { &NETWORKS[..] };
    let mut lines = Vec::new();
    for &(name, model) in networks {
        for (metric, count) in counts(model)? {
            let line = Line {
                case: name.into(),
                protocol: "Athos".into(),
                metric: metric.into(),
                value: count as f64,
                extrapolated: 1.0,
                ..Line::default()
            };
            lines.push(line.beside_paper("network summaries", name, "SCI"));
        }
    }
    Ok(lines)
}

/// What a network of the zoo has of everything.
fn counts(model: &str) -> Result<[(&'static str, u64); 7]> {
    let architecture = zoo::find(model).ok_or_else(|| format!("{model}: no such network"))?;
    let graph = architecture.graph(Weights::Zero).map_err(|e| e.to_string())?;
    let layers = |kind: fn(&Op) -> bool| -> u64 {
        graph.nodes().iter().filter(|node| kind(&node.op)).count() as u64
    };
    let layers = [
        ("conv layers", layers(|op| matches!(op, Op::Conv { .. }))),
        ("FC layers", layers(|op| matches!(op, Op::Linear { .. }))),
        ("BN layers", layers(|op| matches!(op, Op::BatchNorm { .. }))),
        ("ReLU layers", layers(|op| matches!(op, Op::Relu))),
    ];
    let weights = weights(&graph);
    let domain = AnyDomain::ring(37).map_err(|e| e.to_string())?;
    let program = compile_graph(graph, &CompileOptions::new(domain, 12));
    let compiled = program.map_err(|e| format!("{model}: {e}"))?.public.counts();
    let [a, b, c, d] = layers;
    Ok([a, b, c, d, ("ReLUs", compiled.relus), ("MACs", compiled.macs), ("weights", weights)])
}

fn weights(graph: &Graph) -> u64 {
    let of = |op: &Op| match op {
        Op::Conv { geometry } => geometry.weight_len(),
        Op::Linear { geometry } => geometry.weight_len(),
        _ => 0,
    };
    graph.nodes().iter().map(|node| of(&node.op) as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper;

    /// The paper's figures of the smallest of its networks.
    #[test]
    fn squeezenet_is_the_papers() {
        for (metric, count) in counts("squeezenet1_1").unwrap() {
            let figure = paper::find("network summaries", "SqueezeNet", "SCI", "", metric);
            let theirs = figure.map_or(0.0, |f| f.value);
            match metric {
                // More of ours stand behind a MaxPool.
                "ReLUs" => assert!(count > 0 && (count as f64) < theirs, "{count}"),
                _ => assert_eq!(theirs, count as f64, "{metric}"),
            }
        }
    }
}
