//! Program text before and after every pass, compared with files. `ATHOS_BLESS=1` rewrites them.

mod support;

use athos::hlil::{Graph, Op as HlilOp, Tensor};
use athos::llil::{Builder, Op, Sign};
use athos::passes::{self, PIPELINE, sink_truncation};
use athos::{CompileOptions, OutputForm, PublicProgram, compile, compile_graph, frontend, lower};
use sci_core::AnyDomain;
use sci_core::geometry::{PoolGeometry, PoolSpec, Window};
use std::path::Path;

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("ATHOS_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} is now:\n{text}");
}

#[test]
fn the_text_after_every_pass() {
    let graph = frontend::onnx::read(&support::residual().encode(), None).unwrap();
    let mut text = format!("after reading\n{graph}");
    let reference = graph.evaluate(&[0.25; 72]).unwrap();
    let graph = passes::run(graph, PIPELINE, |name, graph| {
        text += &format!("\nafter {name}\n{graph}");
        let same = graph.evaluate(&[0.25; 72]).unwrap();
        for (a, b) in same.data().iter().zip(reference.data()) {
            assert!((a - b).abs() < 1e-5, "{name} changes {b} to {a}");
        }
    })
    .unwrap();
    golden("hlil.txt", &text);

    let domain = AnyDomain::ring(32).unwrap();
    let lowered = lower::lower(&graph, domain, 12, OutputForm::ArgMax).unwrap();
    let mut text = String::from("after lowering\n");
    for (i, instruction) in lowered.instructions.iter().enumerate() {
        text += &format!("%{i} = {instruction}\n");
    }
    let program = compile(&support::residual().encode(), &CompileOptions::new(domain, 12)).unwrap();
    text += &format!("\nafter sink-truncation\n{}", program.public);
    golden("llil.txt", &text);
}

/// The text of a program with its truncations moved.
fn sunk(builder: Builder) -> String {
    let domain = builder.domain();
    let (instructions, weights) = builder.finish();
    let (instructions, _) = sink_truncation(domain, &instructions, weights).unwrap();
    let text: Vec<String> =
        instructions.iter().enumerate().map(|(i, x)| format!("%{i} = {x}")).collect();
    text.join("\n")
}

fn input(builder: &mut Builder) -> athos::llil::TensorId {
    let op = Op::Input { shape: vec![1, 1, 4, 4], scale: 8 };
    builder.push("x", op, &[]).unwrap()
}

const SHIFT: Op = Op::Truncate { shift: 4, sign: Sign::Unknown };

fn pool(stride: [usize; 2]) -> Op {
    let [height, width] = stride;
    Op::MaxPool {
        geometry: PoolGeometry::new(PoolSpec {
            batch: 1,
            channels: 1,
            input: [1, 4, 4],
            window: Window::new([1, height, width]).with_stride([1, height, width]),
            count_include_pad: false,
        })
        .unwrap(),
    }
}

#[test]
fn a_truncation_sinks_below_relu_and_then_max_pool() {
    let mut b = Builder::new(AnyDomain::ring(16).unwrap(), vec![]);
    let x = input(&mut b);
    let t = b.push("t", SHIFT, &[x]).unwrap();
    let r = b.push("r", Op::Relu, &[t]).unwrap();
    b.push("p", pool([2, 2]), &[r]).unwrap();
    assert_eq!(
        sunk(b),
        "%0 = Input : 1x1x4x4 @8  ; x\n\
         %1 = Relu %0 : 1x1x4x4 @8  ; r\n\
         %2 = MaxPool %1 kernel 1x2x2 stride 1x2x2 : 1x1x2x2 @8  ; p\n\
         %3 = Truncate %2 by 4, x >= 0 : 1x1x2x2 @4  ; t"
    );
}

#[test]
fn a_truncation_sinks_below_what_has_fewer_elements() {
    let mut b = Builder::new(AnyDomain::ring(16).unwrap(), vec![]);
    let x = input(&mut b);
    let t = b.push("t", SHIFT, &[x]).unwrap();
    b.push("p", pool([2, 2]), &[t]).unwrap();
    assert!(sunk(b).ends_with(
        "%1 = MaxPool %0 kernel 1x2x2 stride 1x2x2 : 1x1x2x2 @8  ; p\n\
         %2 = Truncate %1 by 4 : 1x1x2x2 @4  ; t"
    ));
    let mut b = Builder::new(AnyDomain::ring(16).unwrap(), vec![]);
    let x = input(&mut b);
    let t = b.push("t", SHIFT, &[x]).unwrap();
    b.push("p", pool([1, 1]), &[t]).unwrap();
    assert!(sunk(b).contains("%1 = Truncate %0 by 4 : 1x1x4x4 @4  ; t\n%2 = MaxPool"));

    let mut b = Builder::new(AnyDomain::ring(16).unwrap(), vec![]);
    let x = input(&mut b);
    let y = b.push("y", Op::MulPublic { factor: 3, scale: 0 }, &[x]).unwrap();
    let t = b.push("t", SHIFT, &[x]).unwrap();
    let u = b.push("u", SHIFT, &[y]).unwrap();
    let c = b.push("c", Op::Concat { axis: 1 }, &[t, u]).unwrap();
    b.push("r", Op::Relu, &[c]).unwrap();
    assert!(sunk(b).ends_with(
        "%2 = Concat %0, %1 axis 1 : 1x2x4x4 @8  ; c\n\
         %3 = Relu %2 : 1x2x4x4 @8  ; r\n\
         %4 = Truncate %3 by 4, x >= 0 : 1x2x4x4 @4  ; t"
    ));
}

#[test]
fn a_truncation_stays_where_others_read_it() {
    let mut b = Builder::new(AnyDomain::ring(16).unwrap(), vec![]);
    let x = input(&mut b);
    let t = b.push("t", SHIFT, &[x]).unwrap();
    let r = b.push("r", Op::Relu, &[t]).unwrap();
    b.push("s", Op::Sub, &[r, t]).unwrap();
    assert_eq!(
        sunk(b),
        "%0 = Input : 1x1x4x4 @8  ; x\n\
         %1 = Truncate %0 by 4 : 1x1x4x4 @4  ; t\n\
         %2 = Relu %1 : 1x1x4x4 @4  ; r\n\
         %3 = Sub %2, %1 : 1x1x4x4 @4  ; s"
    );
}

#[test]
fn sums_are_truncated_once() {
    let mut b = Builder::new(AnyDomain::ring(16).unwrap(), vec![]);
    let x = input(&mut b);
    let y = b.push("y", Op::MulPublic { factor: 3, scale: 0 }, &[x]).unwrap();
    let t = b.push("t", SHIFT, &[x]).unwrap();
    let u = b.push("u", SHIFT, &[y]).unwrap();
    b.push("s", Op::Add, &[t, u]).unwrap();
    assert_eq!(
        sunk(b),
        "%0 = Input : 1x1x4x4 @8  ; x\n\
         %1 = MulPublic %0 by 3 @0 : 1x1x4x4 @8  ; y\n\
         %2 = Add %0, %1 : 1x1x4x4 @8  ; s\n\
         %3 = Truncate %2 by 4 : 1x1x4x4 @4  ; t"
    );
}

/// Whether no difference of two elements of what a MaxPool reads wraps.
fn maxima_fit(program: &athos::Program, input: &[i64]) -> bool {
    let mut seen = athos::Calibration::new(program, 0);
    seen.observe(program, input).unwrap();
    program.public.instructions.iter().filter(|x| matches!(x.op, Op::MaxPool { .. })).all(|x| {
        let (low, high) = seen.bounds(x.inputs[0]).unwrap();
        high - low < 1 << 23
    })
}

#[test]
fn programs_without_sums_mean_the_same_afterwards() {
    use athos::testing::{random_input, random_program};
    let mut moved = 0;
    for seed in 0..1500 {
        let program = random_program(seed, AnyDomain::ring(24).unwrap()).unwrap();
        let public = &program.public;
        if public.instructions.iter().any(|x| matches!(x.op, Op::Add | Op::ArgMax { .. })) {
            continue;
        }
        let (instructions, weights) =
            sink_truncation(public.domain, &public.instructions, public.weights.clone()).unwrap();
        moved += usize::from(instructions != public.instructions);
        let sunk = athos::Program {
            public: PublicProgram { instructions, weights, ..public.clone() },
            weights: program.weights.clone(),
        };
        sunk.check(&athos::Limits::default()).unwrap();
        let input = random_input(seed, public).unwrap();
        if !maxima_fit(&sunk, &input) {
            continue;
        }
        assert_eq!(
            athos::cleartext::run(&sunk, &input).unwrap(),
            athos::cleartext::run(&program, &input).unwrap(),
            "before:\n{public}\nafter:\n{}",
            sunk.public
        );
    }
    assert!(moved > 10, "{moved}");
}

/// The text of a graph without constants.
fn switched(model: support::Model, passes: &[passes::Pass]) -> String {
    let graph = frontend::onnx::read(&model.encode(), None).unwrap();
    let input: Vec<f32> = (0..32).map(|i| (i * 7 % 13) as f32 - 6.0).collect();
    let expected = graph.evaluate(&input).unwrap();
    let graph = passes::run(graph, passes, |_, _| {}).unwrap();
    assert_eq!(graph.evaluate(&input).unwrap(), expected, "not a bit of a float changes");
    graph.to_string()
}

fn pooled() -> Vec<athos::frontend::onnx::proto::AttributeProto> {
    vec![support::ints("kernel_shape", &[3, 3]), support::ints("strides", &[2, 2])]
}

#[test]
fn relu_and_max_pool_change_places() {
    let model = || support::Model::new(13).input("x", &[1, 2, 4, 4]).node("Relu", &["x"], "r");
    let both = [
        ("sink-relu-below-concat", passes::sink_relu_below_concat as fn(&_) -> _),
        ("switch-relu-max-pool", passes::switch_relu_max_pool),
        ("remove-dead-code", passes::remove_dead_code),
    ];
    let direct = model().node_with("MaxPool", &["r"], "p", pooled()).output("p");
    assert_eq!(
        switched(direct, &both),
        "%0 = Input : 1x2x4x4  ; x\n\
         %1 = MaxPool %0 kernel 1x3x3 stride 1x2x2 : 1x2x1x1  ; p\n\
         %2 = Relu %1 : 1x2x1x1  ; r\n\
         output %2\n"
    );
    let fire = || {
        model()
            .node("Neg", &["x"], "n")
            .node("Relu", &["n"], "s")
            .node_with("Concat", &["r", "s"], "c", vec![support::int("axis", 1)])
            .node_with("MaxPool", &["c"], "p", pooled())
            .output("p")
    };
    let text = switched(fire(), &both);
    assert!(
        text.ends_with(
            "%3 = Concat %0, %2 axis 1 : 1x4x4x4  ; c\n\
             %4 = MaxPool %3 kernel 1x3x3 stride 1x2x2 : 1x4x1x1  ; p\n\
             %5 = Relu %4 : 1x4x1x1  ; r\n\
             output %5\n"
        ),
        "{text}"
    );
    assert_eq!(switched(fire(), &both[1..]).matches("Relu").count(), 2, "through Concat apart");
    // What something else reads stays.
    let read = model().node_with("MaxPool", &["r"], "p", pooled()).node_with(
        "ReduceMax",
        &["r"],
        "m",
        vec![support::ints("axes", &[2, 3])],
    );
    let read = read.node("Add", &["p", "m"], "y").output("y");
    assert!(switched(read, &both).contains("%1 = Relu %0"));
}

/// ReLUs of a compiled network of the zoo.
fn relus(name: &str, skip: &[&str]) -> (u64, u64) {
    let graph = athos::zoo::find(name).unwrap().graph(athos::zoo::Weights::Zero).unwrap();
    let mut options = CompileOptions::new(AnyDomain::ring(37).unwrap(), 12);
    options.skip = skip.iter().map(|name| (*name).to_owned()).collect();
    let counts = athos::compile_graph(graph, &options).unwrap().public.counts();
    (counts.relus, counts.macs)
}

/// The papers' numbers, and what the switch behind a fire module saves on top.
#[test]
fn compiled_networks_have_the_papers_numbers_of_relus() {
    let apart = ["sink-relu-below-concat"];
    let neither = ["sink-relu-below-concat", "switch-relu-max-pool"];
    assert_eq!(relus("squeezenet1_1", &apart), (2_033_480, 352_540_352));
    assert_eq!(relus("squeezenet1_0", &neither).0, 4_451_272);
    assert_eq!(relus("squeezenet1_0", &apart).0, 3_558_856);
    assert_eq!(relus("squeezenet1_1", &[]).0, 1_582_024);
    assert_eq!(relus("squeezenet1_0", &[]).0, 2_684_360);
    assert_eq!(relus("resnet50", &[]), (9_006_592, 4_089_186_304));
}

#[test]
fn passes_can_be_left_out_by_name() {
    let mut options = CompileOptions::new(AnyDomain::ring(41).unwrap(), 12);
    let model = support::residual().encode();
    let text = |options: &CompileOptions| compile(&model, options).unwrap().public.to_string();
    let with = text(&options);
    options.skip = vec!["switch-relu-max-pool".into()];
    assert!(text(&options) != with);
    options.skip = vec!["fold-everything".into()];
    let error = compile(&model, &options).unwrap_err().to_string();
    assert!(error.contains("switch-relu-max-pool, remove-dead-code"), "{error}");
}

/// What lowering makes of x·w + c, with c subtracted in the second place, and the product read once more in the third.
#[test]
fn constants_are_added_to_products_before_their_truncation() {
    let lowered = |op: HlilOp, twice: bool| {
        let mut graph = Graph::default();
        let of =
            |values: &[f32]| HlilOp::Constant(Tensor::new(vec![1, 2], values.to_vec()).unwrap());
        let x = graph.push("x", HlilOp::Input { shape: vec![1, 2] }, &[]).unwrap();
        let w = graph.push("w", of(&[0.5, -0.25]), &[]).unwrap();
        let c = graph.push("c", of(&[0.75, 0.125]), &[]).unwrap();
        let product = graph.push("product", HlilOp::Mul, &[x, w]).unwrap();
        let mut y = graph.push("sum", op, &[product, c]).unwrap();
        if twice {
            y = graph.push("again", HlilOp::Add, &[y, product]).unwrap();
        }
        graph.set_output(y);
        let options = CompileOptions {
            output: OutputForm::Logits,
            ..CompileOptions::new(AnyDomain::ring(32).unwrap(), 4)
        };
        let program = compile_graph(graph, &options).unwrap();
        let text: Vec<String> =
            program.public.instructions.iter().map(ToString::to_string).collect();
        // 1.1875 and -1.1875, the products 0.59375 and 0.296875: sums are rounded once.
        (text, athos::cleartext::run(&program, &[19, -19]).unwrap())
    };
    let (text, sums) = lowered(HlilOp::Add, false);
    assert!(text[1].starts_with("MulWeight") && text[1].contains("@8"), "{text:?}");
    assert!(text[2].starts_with("AddWeight") && text[2].contains("@8"), "{text:?}");
    assert!(text[3].starts_with("Truncate"), "{text:?}");
    assert_eq!(sums, [(19 * 8 + 192) >> 4, (19 * 4 + 32) >> 4]);
    let (_, differences) = lowered(HlilOp::Sub, false);
    assert_eq!(differences, [(19 * 8 - 192) >> 4, (19 * 4 - 32) >> 4]);
    let (text, _) = lowered(HlilOp::Add, true);
    assert!(text[2].starts_with("Truncate") && text[3].starts_with("AddWeight"), "{text:?}");
}
