//! Bounds that are no multiples of the unit: what is within them stays as it is.

mod support;

use athos::compare::compare;
use athos::{CompileOptions, OutputForm, Program, cleartext, compile_graph, frontend, quantise};
use sci_core::AnyDomain;
use support::Model;

const SCALE: u32 = 8;

fn domain() -> AnyDomain {
    AnyDomain::ring(24).unwrap()
}

fn compiled(model: &Model) -> (athos::hlil::Graph, Program) {
    let graph = frontend::onnx::read(&model.encode(), None).unwrap();
    let mut options = CompileOptions::new(domain(), SCALE);
    options.output = OutputForm::Logits;
    (graph.clone(), compile_graph(graph, &options).unwrap())
}

fn run(program: &Program, input: &[f32]) -> Vec<i64> {
    let input = quantise(input, SCALE, domain()).unwrap();
    cleartext::run(program, &input).unwrap()
}

/// Numbers from -3 to 3, all multiples of the unit.
fn input() -> Vec<f32> {
    (-768..768).map(|i| i as f32 / 256.0).collect()
}

fn floor(v: f32) -> i64 {
    (f64::from(v) * 256.0).floor() as i64
}

fn unary() -> Model {
    Model::new(13).input("x", &[1, 1536]).output("y")
}

#[test]
fn clips_and_extrema_keep_what_is_within() {
    let (low, high) = (-1.3, 2.7);
    let bounded = |model: Model| model.floats("low", &[], &[low]).floats("high", &[], &[high]);
    let cases = [
        ("Clip", &["x", "low", "high"][..], floor(low), floor(high)),
        ("Clip", &["x", "low"], floor(low), i64::MAX),
        ("Clip", &["x", "", "high"], i64::MIN, floor(high)),
        ("Max", &["x", "low"], floor(low), i64::MAX),
        ("Min", &["x", "high"], i64::MIN, floor(high)),
    ];
    for (op, inputs, low, high) in cases {
        let (_, program) = compiled(&bounded(unary()).node(op, inputs, "y"));
        let expected: Vec<i64> = input().iter().map(|&v| floor(v).clamp(low, high)).collect();
        assert_eq!(run(&program, &input()), expected, "{op} {inputs:?}");
    }
}

#[test]
fn what_is_subtracted_is_what_would_be_added() {
    let model = unary().floats("c", &[1, 1], &[0.7]);
    let (_, program) = compiled(&model.node("Sub", &["x", "c"], "z").node("Add", &["z", "c"], "y"));
    let expected: Vec<i64> = input().iter().map(|&v| floor(v)).collect();
    assert_eq!(run(&program, &input()), expected);
}

/// -2^(l-1) fits, its negative does not.
#[test]
fn a_negative_that_does_not_fit_is_named() {
    let model = unary().floats("c", &[1, 1], &[-128.0]).node("Sub", &["x", "c"], "y");
    let graph = frontend::onnx::read(&model.encode(), None).unwrap();
    let options = |bits| CompileOptions::new(AnyDomain::ring(bits).unwrap(), SCALE);
    match compile_graph(graph.clone(), &options(16)) {
        Err(athos::Error::Overflow { tensor, bitwidth, .. }) => {
            assert_eq!((&*tensor, bitwidth), ("c", Some(17)));
        }
        other => panic!("{other:?}"),
    }
    assert!(compile_graph(graph, &options(17)).is_ok());
}

/// The float reference of every layer is that of the float network, whatever the constants are called.
#[test]
fn the_float_side_of_bounds_is_the_float_network() {
    let shared = |model: Model| model.floats("c", &[1, 1], &[-1.0]).floats("d", &[1, 1], &[6.0]);
    let models = [
        unary().floats("low", &[], &[-1.0]).floats("high", &[], &[2.0]).node(
            "Clip",
            &["x", "low", "high"],
            "y",
        ),
        unary().floats("low", &[], &[-1.0]).floats("high", &[], &[6.0]).node(
            "Clip",
            &["x", "low", "high"],
            "y",
        ),
        shared(unary()).node("Max", &["x", "c"], "y"),
        shared(unary()).node("Sub", &["x", "c"], "z").node("Min", &["z", "d"], "y"),
        // The same constant subtracted, added and multiplied.
        shared(unary()).node("Sub", &["x", "c"], "z").node("Add", &["z", "c"], "w").node(
            "Mul",
            &["w", "c"],
            "y",
        ),
    ];
    for model in models {
        let (graph, program) = compiled(&model);
        let layers = compare(&graph, &program, &input()).unwrap();
        let float = graph.evaluate(&input()).unwrap();
        let largest = float.data().iter().fold(0f32, |all, v| all.max(v.abs()));
        assert_eq!(layers.last().unwrap().magnitude, f64::from(largest), "{layers:?}");
        for layer in layers {
            assert!(layer.max_error <= 1.0 / 256.0, "{layer:?}");
        }
    }
    // Another graph is not taken for the one that was compiled.
    let (_, program) = compiled(&shared(unary()).node("Max", &["x", "c"], "y"));
    let (other, _) = compiled(&shared(unary()).node("Max", &["x", "d"], "y"));
    assert!(compare(&other, &program, &input()).is_err());
}
