//! Bounds that are no multiples of the unit: what is within them stays as it is.

mod support;

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
