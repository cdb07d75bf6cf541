//! How accuracy depends on the scale, the plot by which Athos chooses it (CrypTFlow, section III).

use crate::accuracy::Study;
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// The table.
pub const TABLE: Table = Table {
    name: "accuracy_over_scale",
    title: "Accuracy over scale, at 64 bits",
    notes: &[
        "Top-1 accuracy in fixed point by bits after the binary point, at l = 64, where nothing overflows; in the table \
         that of floats on the same inputs beside it. The embedded digits are ten pictures; the other networks, where \
         `SCI_MODELS_DIR` has them, see the first 100 pictures of CIFAR-10, 200 of MNIST and 25 photographs by default, 2000 \
         and 800 photographs with the papers' sizes.",
    ],
    run,
    plot: Plot::Lines {
        metric: "top-1 fixed, %",
        labels: ["scale (bits after the binary point)", "top-1, %"],
    },
};

/// What the plot calls it, the file, inputs by default and with the papers' sizes.
const CASES: [(&str, &str, usize, usize); 5] = [
    ("SqueezeNet, photographs", "squeezenet1_0_imagenet", 25, 800),
    ("ResNet32, CIFAR-10", "resnet32_cifar10", 100, 2000),
    ("MiniONN, CIFAR-10", "minionn_cifar10", 100, 2000),
    ("Network C, MNIST", "tfe_network_c_mnist", 200, 2000),
    ("LogReg, MNIST", "logreg_mnist", 200, 2000),
];
/// Everything fits.
const BITWIDTH: u32 = 64;

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let mut lines = over_scales(suite, "digits", &Study::embedded("digits")?)?;
    let cases = if suite.mode() == Mode::Quick { &CASES[4..] } else { &CASES[..] };
    for &(name, model, by_default, most) in cases {
        let limit = suite.mode().pick(20, by_default, most);
        let Some(study) = Study::shared(model, limit)? else {
            eprintln!("{name}: not run, SCI_MODELS_DIR has no {model} with its data");
            continue;
        };
        lines.extend(over_scales(suite, name, &study)?);
    }
    Ok(lines)
}

fn over_scales(suite: &mut Suite, name: &str, study: &Study) -> Result<Vec<Line>> {
    let scales = suite.mode().pick(vec![4, 12], (2..=16).step_by(2).collect(), (2..=16).collect());
    let mut lines = Vec::new();
    for scale in scales {
        let key = format!("{name} {scale}");
        let accuracy = suite.resumable(&key, |_| study.measure((BITWIDTH, scale)))?;
        let line = |metric: &str, value: f64| Line {
            case: format!("scale {scale}"),
            protocol: name.into(),
            metric: metric.into(),
            value,
            extrapolated: 1.0,
            x: Some(scale.into()),
            ..Line::default()
        };
        let (float, fixed) = (accuracy.float, accuracy.fixed);
        lines.push(line("top-1 fixed, %", fixed.percent(fixed.top1)));
        lines.push(line("top-1 float, %", float.percent(float.top1)));
    }
    Ok(lines)
}
