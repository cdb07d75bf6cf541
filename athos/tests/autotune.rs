//! Tuning against runs in the chosen and the neighbouring settings.

mod support;

use athos::autotune::{CostOracle, Prediction, Progress, Sample, Sweep, accuracy, tune};
use athos::testing::Numbers;
use athos::zoo::{self, Weights};
use athos::{
    CompileOptions, OutputForm, PublicProgram, Result, cleartext, compile_graph, frontend, quantise,
};
use sci_core::AnyDomain;
use std::sync::atomic::{AtomicUsize, Ordering};

fn samples(len: usize, count: usize) -> Vec<Sample> {
    let mut numbers = Numbers::new(3);
    let mut input = || (numbers.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0;
    (0..count).map(|_| Sample { input: (0..len).map(|_| input()).collect(), label: None }).collect()
}

/// Costs what has bits.
struct Bits;

impl CostOracle for Bits {
    fn predict(&self, program: &PublicProgram) -> Result<Vec<Prediction>> {
        let bits = program.modulus().ilog2();
        Ok(vec![Prediction { plan: "bits".into(), seconds: bits.into(), bytes: bits.into() }])
    }
}

#[test]
fn the_bitwidth_of_a_scale_is_exact_and_the_choice_keeps_the_predictions() {
    let graph = zoo::find("lenet_small").unwrap().graph(Weights::Seeded(5)).unwrap();
    let samples = samples(28 * 28, 12);
    let domain = AnyDomain::ring(64).unwrap();
    let mut sweep = Sweep::new(CompileOptions::new(domain, 0));
    sweep.scales = 6..=32;
    let steps = AtomicUsize::new(0);
    let progress = |progress: Progress| {
        steps.fetch_max(progress.done, Ordering::Relaxed);
        assert!(progress.done <= progress.total);
    };
    let tuning = tune(&graph, &samples, &sweep, Some(&Bits), &progress).unwrap();
    assert_eq!(steps.into_inner(), 12 * 28);
    assert!(!tuning.labelled);
    assert_eq!(tuning.float_accuracy, 1.0);
    // A sum of products at scale 2·32 does not fit 64 bits.
    assert!(tuning.impossible.iter().any(|(scale, _)| *scale == 32), "{:?}", tuning.impossible);
    assert!(tuning.impossible.iter().all(|(scale, _)| *scale > 20), "{:?}", tuning.impossible);
    let classes = |scale: u32, bitwidth: u32| -> Vec<i64> {
        let domain = AnyDomain::ring(bitwidth).unwrap();
        let options = CompileOptions::new(domain, scale);
        let program = compile_graph(graph.clone(), &options).unwrap();
        let class = |sample: &Sample| {
            let input = quantise(&sample.input, scale, domain).unwrap();
            cleartext::run(&program, &input).unwrap()[0]
        };
        samples.iter().map(class).collect()
    };
    for scale in [6, 11, 16] {
        let of_scale: Vec<_> = tuning.settings.iter().filter(|x| x.scale == scale).collect();
        let bitwidths: Vec<u32> = of_scale.iter().map(|x| x.bitwidth).collect();
        let least = of_scale.iter().find(|x| x.overflowing == 0).unwrap();
        assert_eq!(bitwidths, (least.bitwidth - 2..=least.bitwidth + 1).collect::<Vec<_>>());
        let overflowing: Vec<usize> = of_scale.iter().map(|x| x.overflowing).collect();
        assert!(overflowing.is_sorted_by(|a, b| a >= b) && overflowing[1] > 0, "{overflowing:?}");
        // Without overflow nothing depends on the bitwidth.
        assert_eq!(classes(scale, least.bitwidth), classes(scale, 64));
        let float = classes(20, 64);
        for setting in of_scale {
            let got = classes(scale, setting.bitwidth);
            let same = got.iter().zip(&float).filter(|(a, b)| a == b).count();
            assert_eq!(setting.accuracy, same as f64 / 12.0, "{setting:?}");
            for output in [OutputForm::ArgMax, OutputForm::Logits] {
                let domain = AnyDomain::ring(setting.bitwidth).unwrap();
                let options = CompileOptions { output, ..CompileOptions::new(domain, scale) };
                let program = compile_graph(graph.clone(), &options).unwrap();
                let alone = accuracy(&graph, &program, &samples).unwrap();
                // Logits out of range wrap as the comparisons of an ArgMax do not.
                if output == OutputForm::ArgMax || setting.overflowing == 0 {
                    assert_eq!(alone, setting.accuracy, "{output:?} {setting:?}");
                }
            }
            assert_eq!(setting.changed, 12 - same);
            assert_eq!(setting.cost.is_empty(), setting.overflowing > 0);
            assert!(setting.cost.iter().all(|cost| cost.bytes == setting.bitwidth.into()));
        }
    }
    let choice = tuning.chosen.unwrap();
    assert_eq!(choice.bitwidth, choice.least_bitwidth + 1);
    assert!(choice.accuracy >= 0.999);
    let cheaper = tuning.settings.iter().filter(|x| x.overflowing == 0 && x.accuracy >= 0.999);
    assert!(cheaper.map(|x| x.bitwidth).min().unwrap() >= choice.least_bitwidth);
}

#[test]
fn labels_count_where_all_samples_have_one() {
    let graph = zoo::find("logistic_regression").unwrap().graph(Weights::Seeded(5)).unwrap();
    let mut samples = samples(784, 10);
    for sample in &mut samples {
        sample.label = Some(3);
    }
    let mut sweep = Sweep::new(CompileOptions::new(AnyDomain::ring(64).unwrap(), 0));
    sweep.scales = 12..=12;
    let tuning = tune(&graph, &samples, &sweep, None, &|_| {}).unwrap();
    assert!(tuning.labelled);
    let threes = samples.iter().filter(|sample| {
        let logits = graph.evaluate(&sample.input).unwrap();
        let best = logits.data().iter().copied().fold(f32::NEG_INFINITY, f32::max);
        logits.data()[3] == best
    });
    assert_eq!(tuning.float_accuracy, threes.count() as f64 / 10.0);
    let setting = tuning.settings.last().unwrap();
    let domain = AnyDomain::ring(setting.bitwidth).unwrap();
    let options = CompileOptions { output: OutputForm::Logits, ..CompileOptions::new(domain, 12) };
    let program = compile_graph(graph.clone(), &options).unwrap();
    assert_eq!(accuracy(&graph, &program, &samples).unwrap(), setting.accuracy);
    assert!(tune(&graph, &[], &sweep, None, &|_| {}).is_err());
    samples[0].input.pop();
    assert!(tune(&graph, &samples, &sweep, None, &|_| {}).is_err());
}

/// A weight of 100 needs more bits than any value of samples that are all zero.
#[test]
fn a_scale_whose_weights_are_wider_than_its_values_is_kept() {
    let model = support::Model::new(13)
        .input("x", &[0, 2])
        .floats("w", &[2, 2], &[100.0, -100.0, 3.0, 0.5])
        .node("MatMul", &["x", "w"], "y")
        .output("y");
    let graph = frontend::read(&model.encode(), None).unwrap();
    let samples = [Sample { input: vec![0.0; 2], label: Some(0) }];
    let mut sweep = Sweep::new(CompileOptions::new(AnyDomain::ring(64).unwrap(), 0));
    sweep.scales = 4..=4;
    let tuning = tune(&graph, &samples, &sweep, None, &|_| {}).unwrap();
    assert_eq!(tuning.impossible, []);
    let first = tuning.settings[0].bitwidth;
    let options = |bits| CompileOptions::new(AnyDomain::ring(bits).unwrap(), 4);
    assert!(compile_graph(graph.clone(), &options(first - 1)).is_err());
    let bitwidths: Vec<u32> = tuning.settings.iter().map(|x| x.bitwidth).collect();
    assert_eq!(bitwidths, [first, first + 1]);
    let choice = tuning.chosen.unwrap();
    assert_eq!((choice.least_bitwidth, choice.bitwidth), (first, first + 1));
}
