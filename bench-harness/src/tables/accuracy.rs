//! The accuracy appendix of CrypTFlow2 and table VI of CrypTFlow: what fixed point costs in accuracy.

use crate::accuracy::{Accuracy, Study};
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// The table.
pub const TABLE: Table = Table {
    name: "accuracy",
    title: "Accuracy in floats and in fixed point",
    notes: &[
        "Trained networks on labelled data, by the float interpreter and the cleartext engine of athos, which a secure run \
         equals bit by bit. The embedded models are measured on the ten inputs that they come with; the others, where \
         `SCI_MODELS_DIR` has them, on the first 200 or 300 inputs of their test sets and 50 photographs by default, and on all at \
         hand with the papers' sizes (2000, 8000 of MNIST, 800 photographs).",
        "The paper's SqueezeNet has other weights and was measured on the validation set of ImageNet: its two figures are to \
         be compared with each other, not with ours, whose weights were pruned and coded in 8 bits: at the paper's l = 32, \
         s = 9 they lose accuracy, the second row is at what they need. CrypTFlow's table VI, with trained networks that are not at hand: \
         ResNet50 at scale 12 top-1 76.47 % in floats, 76.45 % in fixed point, top-5 93.21 % and 93.23 %; DenseNet121 at \
         scale 11 74.25 % and 74.33 %, 91.88 % and 91.90 %.",
    ],
    run,
    plot: Plot::Shares { metric: "top-1 fixed, %", label: "top-1 in fixed point, %" },
};

/// What the table calls it, the file, bitwidth and scale, inputs by default.
type Case = (&'static str, &'static str, (u32, u32), usize);

const CASES: [Case; 15] = [
    ("SqueezeNet", "squeezenet1_0_imagenet", (32, 9), 50),
    ("SqueezeNet, its own setting", "squeezenet1_0_imagenet", (46, 14), 50),
    ("MobileNetV2", "mobilenet_v2_imagenet", (37, 12), 50),
    ("MiniONN, CIFAR-10", "minionn_cifar10", (37, 12), 300),
    ("ResNet20, CIFAR-10", "resnet20_cifar10", (37, 12), 300),
    ("ResNet32, CIFAR-10", "resnet32_cifar10", (37, 12), 300),
    ("ResNet44, CIFAR-10", "resnet44_cifar10", (37, 12), 200),
    ("ResNet56, CIFAR-10", "resnet56_cifar10", (37, 12), 200),
    ("ResNet32, CIFAR-100", "resnet32_cifar100", (37, 12), 300),
    ("LogReg, MNIST", "logreg_mnist", (37, 12), 300),
    ("SecureML, MNIST", "secureml_mlp_mnist", (37, 12), 300),
    ("Network A, MNIST", "tfe_network_a_mnist", (37, 12), 300),
    ("Network B, MNIST", "tfe_network_b_mnist", (37, 12), 300),
    ("Network C, MNIST", "tfe_network_c_mnist", (37, 12), 300),
    ("LeNet, PneumoniaMNIST", "lenet_pneumoniamnist", (37, 12), 300),
];

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for name in ["digits", "breast-cancer"] {
        let setting = (37, 12);
        let accuracy = suite.resumable(name, |_| Study::embedded(name)?.measure(setting))?;
        lines.extend(lines_of(name, setting, &accuracy));
    }
    let cases = if suite.mode() == Mode::Quick { &CASES[9..10] } else { &CASES[..] };
    for &(name, model, setting, by_default) in cases {
        let limit = suite.mode().pick(20, by_default, usize::MAX);
        let Some(study) = Study::shared(model, limit)? else {
            eprintln!("{name}: not run, SCI_MODELS_DIR has no {model} with its data");
            continue;
        };
        let accuracy = suite.resumable(name, |_| study.measure(setting))?;
        lines.extend(lines_of(name, setting, &accuracy));
    }
    Ok(lines)
}

fn lines_of(name: &str, (bitwidth, scale): (u32, u32), accuracy: &Accuracy) -> Vec<Line> {
    let Accuracy { float, fixed, changed } = accuracy;
    let figures = [
        ("top-1 float, %", float.percent(float.top1)),
        ("top-1 fixed, %", fixed.percent(fixed.top1)),
        ("top-5 float, %", float.percent(float.top5)),
        ("top-5 fixed, %", fixed.percent(fixed.top5)),
        ("another class than float, %", fixed.percent(*changed)),
    ];
    let line = |(metric, value): (&str, f64)| {
        let line = Line {
            case: format!("{name}, {} inputs", fixed.inputs),
            protocol: format!("Athos, l = {bitwidth}, s = {scale}"),
            metric: metric.into(),
            value,
            extrapolated: 1.0,
            ..Line::default()
        };
        line.beside_paper("accuracy", name, "SCI")
    };
    figures.map(line).into()
}
