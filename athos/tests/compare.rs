//! Float against fixed point, layer by layer.

mod support;

use athos::compare::compare;
use athos::{CompileOptions, OutputForm, cleartext, compile_graph, frontend, quantise};
use sci_core::AnyDomain;

#[test]
fn differences_are_those_of_the_tensors() {
    let graph = frontend::onnx::read(&support::residual().encode(), None).unwrap();
    let input: Vec<f32> = (0..72).map(|i| (i * 5 % 23) as f32 / 8.0 - 1.3).collect();
    let layers = |bits: u32, scale: u32| {
        let mut options = CompileOptions::new(AnyDomain::ring(bits).unwrap(), scale);
        options.output = OutputForm::Logits;
        let program = compile_graph(graph.clone(), &options).unwrap();
        let layers = compare(&graph, &program, &input).unwrap();
        assert_eq!(layers.len(), program.public.instructions.len());
        // The last one is the logits.
        let integers = quantise(&input, scale, program.public.domain).unwrap();
        let fixed = cleartext::run(&program, &integers).unwrap();
        (layers, fixed)
    };
    let (coarse, _) = layers(40, 8);
    let (fine, fixed) = layers(60, 20);
    for (coarse, fine) in coarse.iter().zip(&fine) {
        assert_eq!(coarse.name, fine.name);
        assert!(!coarse.overflows() && !fine.overflows(), "{coarse:?}");
        assert!(coarse.max_error < 0.2, "{coarse:?}");
        assert!(fine.max_error < 1e-4 && fine.mean_error <= fine.max_error, "{fine:?}");
    }
    // The float side is the network itself, before its softmax: the same up to rounding.
    let probabilities = graph.evaluate(&input).unwrap();
    let logits: Vec<f64> = fixed.iter().map(|&v| v as f64 / 2f64.powi(20)).collect();
    let sum: f64 = logits.iter().map(|v| v.exp()).sum();
    for (logit, probability) in logits.iter().zip(probabilities.data()) {
        assert!((logit.exp() / sum - f64::from(*probability)).abs() < 1e-4);
    }
    // A bit less than is needed: nothing is wrong before what overflows is computed.
    let needed = coarse.iter().filter_map(|layer| layer.needed_bits).max().unwrap();
    let (narrow, _) = layers(needed - 1, 8);
    let first = narrow.iter().find(|layer| layer.overflows()).expect("an overflow");
    assert!(first.needed_bits.unwrap() > first.available_bits, "{first:?}");
    let off = narrow.iter().position(|layer| layer.max_error > 1.0).expect("a wrong layer");
    let overflow = narrow.iter().position(|layer| layer.overflows()).unwrap();
    assert!(off + 1 >= overflow, "{narrow:?}");
}
