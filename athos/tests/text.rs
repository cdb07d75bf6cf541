//! Printed programs read back, and the logistic regression of the CrypTFlow paper.

mod support;

use athos::hlil::{self, Graph, Op, Tensor};
use athos::testing::{Numbers, random_network, random_program};
use athos::{
    CompileOptions, Limits, OutputForm, PublicProgram, Stage, compile_observed, frontend, lower,
    stages,
};
use athos::{Preprocess, llil};
use sci_core::{AnyDomain, Field};
use support::{Model, int, residual};

fn parse_graph(graph: &Graph, text: &str) -> athos::Result<Graph> {
    let constants = graph.nodes().iter().filter_map(|node| match &node.op {
        Op::Constant(tensor) => Some(tensor.clone()),
        _ => None,
    });
    let mut constants = constants.collect::<Vec<Tensor>>().into_iter();
    hlil::parse(text, |_, shape| {
        let len = shape.iter().product();
        constants.next().map_or_else(|| Tensor::new(shape.to_vec(), vec![0.0; len]), Ok)
    })
}

#[test]
fn float_graphs_round_trip() {
    for seed in 0..200 {
        let graph = random_network(seed).unwrap();
        let text = graph.to_string();
        assert_eq!(parse_graph(&graph, &text).unwrap(), graph, "{text}");
    }
    let graph = frontend::onnx::read(&residual().encode(), None).unwrap();
    assert_eq!(parse_graph(&graph, &graph.to_string()).unwrap(), graph);
}

#[test]
fn integer_programs_round_trip() {
    for domain in [
        AnyDomain::ring(41).unwrap(),
        AnyDomain::ring(64).unwrap(),
        AnyDomain::Field(Field::new(137_438_822_401).unwrap()),
    ] {
        for seed in 0..200 {
            let mut public = random_program(seed, domain).unwrap().public;
            public.name = "a name over 2^3, scale ; and\nanother".into();
            public.instructions[0].name = "x : y  ; z".into();
            let text = public.to_string();
            let again = llil::parse(&text).unwrap();
            again.check(&Limits::default()).unwrap();
            assert_eq!(again, public, "{text}");
        }
    }
}

#[test]
fn what_the_text_leaves_out_is_the_preprocessing() {
    let mut public = random_program(1, AnyDomain::ring(41).unwrap()).unwrap().public;
    public.preprocess = Some(Preprocess::default());
    let again = llil::parse(&public.to_string()).unwrap();
    assert_eq!(again, PublicProgram { preprocess: None, ..public });
}

/// Neither parser panics, and what it accepts prints as itself.
#[test]
fn damaged_text_is_refused_or_another_program() {
    let graph = random_network(5).unwrap();
    let program = random_program(5, AnyDomain::ring(41).unwrap()).unwrap().public;
    let (high, low) = (graph.to_string(), program.to_string());
    let mut numbers = Numbers::new(9);
    let letters: Vec<char> = "%:;x[]., 0123456789\nabcRelu".chars().collect();
    let mut refused = 0;
    for _ in 0..4000 {
        let mut damage = |text: &str| -> String {
            let mut text: Vec<char> = text.chars().collect();
            for _ in 0..numbers.within(1, 2) {
                let at = numbers.within(0, text.len() - 1);
                match numbers.within(0, 2) {
                    0 => drop(text.remove(at)),
                    1 => text.insert(at, letters[numbers.within(0, letters.len() - 1)]),
                    _ => text[at] = letters[numbers.within(0, letters.len() - 1)],
                }
            }
            text.into_iter().collect()
        };
        let (high, low) = (damage(&high), damage(&low));
        match parse_graph(&graph, &high) {
            Ok(other) => assert_eq!(parse_graph(&other, &other.to_string()).unwrap(), other),
            Err(_) => refused += 1,
        }
        match llil::parse(&low) {
            Ok(other) => assert_eq!(llil::parse(&other.to_string()).unwrap(), other),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 2000, "{refused}");
    for (text, line) in [("", "program"), ("program x over 2^65, scale 1, weights 2 bits\n", "bit")]
    {
        assert!(llil::parse(text).unwrap_err().to_string().contains(line));
    }
}

/// The logistic regression as a program on floats and as one on integers at scale 15: CrypTFlow's figures 3 and 4 (IEEE
/// S&P 2020) as we recollect them, not held against the paper.
#[test]
fn the_logistic_regression_of_the_paper() {
    let model = Model::new(13)
        .input("x", &[1, 784])
        .ramp("W", &[784, 10], 0.01)
        .ramp("b", &[10], 0.1)
        .node("MatMul", &["x", "W"], "xW")
        .node("Add", &["xW", "b"], "xWb")
        .node_with("ArgMax", &["xWb"], "class", vec![int("axis", 1), int("keepdims", 0)])
        .output("class");
    let graph = frontend::onnx::read(&model.encode(), None).unwrap();
    let graph = athos::passes::remove_dead_code(&graph).unwrap();
    assert_eq!(
        hlil::Statements(&graph).to_string(),
        "xW = MatMul(x, W);\n\
         xWb = MatAdd(xW, b);\n\
         output(ArgMax(xWb));\n"
    );
    let domain = AnyDomain::ring(64).unwrap();
    let lowered = lower::lower(&graph, domain, 15, OutputForm::ArgMax).unwrap();
    let program = PublicProgram {
        name: "logistic regression".into(),
        domain,
        scale: 15,
        weight_bits: lowered.weight_bits,
        instructions: lowered.instructions,
        weights: lowered.infos,
        output_form: OutputForm::ArgMax,
        preprocess: None,
    };
    assert_eq!(
        llil::Statements(&program).to_string(),
        "xW = MatMul(x, W);\n\
         ScaleDown(xW, 15);\n\
         xWb = MatAdd(xW, b);\n\
         output(ArgMax(xWb));\n"
    );
    // Folding and sinking leave one layer and no truncation.
    let program = athos::compile_graph(graph, &CompileOptions::new(domain, 15)).unwrap();
    assert_eq!(
        llil::Statements(&program.public).to_string(),
        "xW = MatAdd(MatMul(x, W), xW_bias);\n\
         output(ArgMax(xW));\n"
    );
}

#[test]
fn programs_are_shown_after_every_pass() {
    let graph = frontend::onnx::read(&residual().encode(), None).unwrap();
    let options = CompileOptions::new(AnyDomain::ring(41).unwrap(), 12);
    let mut seen = Vec::new();
    let program = compile_observed(graph, &options, |name, stage| {
        seen.push(name.to_owned());
        match stage {
            Stage::Hlil(graph) => assert_eq!(stage.to_string(), graph.to_string()),
            Stage::Llil(program) => program.check(&Limits::default()).unwrap(),
        }
    })
    .unwrap();
    assert!(seen.iter().map(String::as_str).eq(stages()), "{seen:?}");
    program.check(&Limits::default()).unwrap();
}
