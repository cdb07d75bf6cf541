//! The zoo has the papers' numbers of operations, and its networks run at the papers' precision.

use athos::hlil::{Graph, Op};
use athos::testing::Numbers;
use athos::zoo::{self, UNet3d, Weights};
use athos::{CompileOptions, OutputForm, cleartext, compile_graph, quantise};
use sci_core::AnyDomain;

/// What papers count of a network.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    relus: usize,
    /// With the ReLU behind the pool wherever a MaxPool alone reads one.
    switched: usize,
    macs: u64,
    /// Of convolutions and fully connected layers, without biases.
    weights: usize,
}

fn counts(graph: &Graph) -> Counts {
    let len = |i: usize| graph.nodes()[i].shape.iter().product::<usize>();
    let readers = |i: usize| {
        graph.nodes().iter().filter(move |node| node.inputs.iter().any(|id| id.index() == i))
    };
    let mut counts = Counts { relus: 0, switched: 0, macs: 0, weights: 0 };
    for (i, node) in graph.nodes().iter().enumerate() {
        match &node.op {
            Op::Relu => {
                counts.relus += len(i);
                let pooled = readers(i).all(|node| matches!(node.op, Op::MaxPool { .. }));
                counts.switched += readers(i)
                    .next()
                    .filter(|_| pooled)
                    .map_or(len(i), |node| node.shape.iter().product());
            }
            Op::Conv { geometry } => {
                counts.macs += geometry.macs();
                counts.weights += geometry.weight_len();
            }
            Op::Linear { geometry } => {
                counts.macs += geometry.macs();
                counts.weights += geometry.weight_len();
            }
            _ => {}
        }
    }
    counts
}

fn of(name: &str) -> Counts {
    counts(&zoo::find(name).unwrap().graph(Weights::Zero).unwrap())
}

/// The tables of CrypTFlow2, Cheetah and MiniONN, and what follows from the architectures.
#[test]
fn operations_are_as_many_as_in_the_papers() {
    let squeezenet = of("squeezenet1_1");
    assert_eq!((squeezenet.switched, squeezenet.macs), (2_033_480, 352_540_352));
    let squeezenet = of("squeezenet1_0");
    assert_eq!((squeezenet.relus, squeezenet.switched), (4_451_272, 3_558_856));
    assert_eq!(squeezenet.weights, 1_244_448);
    let resnet = of("resnet50");
    assert_eq!(
        (resnet.switched, resnet.macs, resnet.weights),
        (9_006_592, 4_089_186_304, 25_504_960)
    );
    assert_eq!(of("densenet121").switched, 15_065_344);
    // Convolutions, shortcuts and the matrix of the classes, without normalisations and biases.
    for (name, weights) in [
        ("resnet18", 11_678_912),
        ("resnet34", 21_779_648),
        ("resnet101", 44_444_864),
        ("densenet121", 7_894_208),
        ("resnet32_cifar100", 470_192),
        ("lenet_small", 33_400),
        ("lenet_large", 430_500),
        ("secureml_mlp", 118_016),
        ("logistic_regression", 7_840),
    ] {
        assert_eq!(of(name).weights, weights, "{name}");
    }
    assert_eq!(of("unet3d").weights, 19_067_616);
    assert_eq!(of("minionn_cifar10").relus, 2 * 65_536 + 2 * 16_384 + 2 * 4_096 + 1_024);
}

#[test]
fn names_are_unique_and_every_architecture_is_one() {
    for architecture in zoo::ARCHITECTURES {
        let found = zoo::find(architecture.name).unwrap();
        assert!(std::ptr::eq(found, architecture), "{} twice", architecture.name);
        let graph = architecture.graph(Weights::Zero).unwrap();
        // What a layer only rearranges is called like the layer.
        let layers = graph.nodes().iter().filter(|x| {
            !matches!(x.op, Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. })
        });
        let mut names: Vec<&str> = layers.map(|x| x.name.as_str()).collect();
        let before = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), before, "{}: a name twice", architecture.name);
    }
}

/// Small networks of the zoo at the papers' bitwidth and scale: fixed point stays near float (floors
/// of weights and sums add up; what wraps would be off by thousands).
#[test]
fn random_weights_keep_values_in_range() {
    let domain = AnyDomain::ring(37).unwrap();
    for name in ["minionn_cifar10", "resnet32_cifar100", "lenet_large", "secureml_mlp"] {
        let graph = zoo::find(name).unwrap().graph(Weights::Seeded(1)).unwrap();
        let len: usize = graph.nodes()[0].shape.iter().product();
        let input = numbers(2, len);
        let float = graph.evaluate(&input).unwrap();
        let mut options = CompileOptions::new(domain, 12);
        options.output = OutputForm::Logits;
        let program = compile_graph(graph, &options).unwrap();
        let fixed = cleartext::run(&program, &quantise(&input, 12, domain).unwrap()).unwrap();
        let size = float.data().iter().fold(0f32, |a, b| a.max(b.abs()));
        assert!((0.05..100.0).contains(&size), "{name}: outputs of size {size}");
        for (fixed, float) in fixed.iter().zip(float.data()) {
            let fixed = *fixed as f32 / 4096.0;
            assert!((fixed - float).abs() < 0.5 * size, "{name}: {fixed} for {float}");
        }
    }
}

/// Parameters as the paper counts them: convolutions and their biases.
#[test]
fn the_u_net_has_the_parameters_and_the_output_of_the_paper() {
    let graph = zoo::find("unet3d").unwrap().graph(Weights::Zero).unwrap();
    let parameters = graph.nodes().iter().filter(|x| matches!(x.op, Op::Conv { .. }));
    let constants = parameters.flat_map(|x| &x.inputs[1..]);
    let parameters: usize = constants.map(|id| graph.constant(*id).unwrap().data().len()).sum();
    assert_eq!(parameters, 19_069_955);
    let output = graph.node(graph.output().unwrap()).unwrap();
    assert_eq!(output.shape, [1, 3, 44, 44, 28]);
}

/// Classes of voxels: the axis of the channels disappears.
#[test]
fn a_u_net_classifies_voxels() {
    let tiny = UNet3d { input: [2, 20, 20, 22], channels: 2, levels: 2, classes: 3 };
    let graph = tiny.graph(Weights::Seeded(3)).unwrap();
    let input = numbers(4, 2 * 20 * 20 * 22);
    let float = graph.evaluate(&input).unwrap();
    assert_eq!(float.shape(), [1, 3, 4, 4, 6]);
    let domain = AnyDomain::ring(44).unwrap();
    let mut options = CompileOptions::new(domain, 14);
    options.output = OutputForm::Logits;
    let program = compile_graph(graph.clone(), &options).unwrap();
    let quantised = quantise(&input, 14, domain).unwrap();
    let fixed = cleartext::run(&program, &quantised).unwrap();
    for (fixed, float) in fixed.iter().zip(float.data()) {
        let fixed = *fixed as f32 / 16384.0;
        assert!((fixed - float).abs() < 0.05, "{fixed} for {float}");
    }
    options.output = OutputForm::ArgMax;
    let program = compile_graph(graph, &options).unwrap();
    assert_eq!(program.public.output().unwrap().shape, [1, 4, 4, 6]);
    let classes = cleartext::run(&program, &quantised).unwrap();
    let best =
        |i: usize| (1..3).fold(0, |b, c| if fixed[c * 96 + i] > fixed[b * 96 + i] { c } else { b });
    assert!(classes.iter().enumerate().all(|(i, class)| *class == best(i) as i64));
    assert!((0..3).all(|class| classes.contains(&class)), "every class somewhere");
    // 19 is odd behind two convolutions of the first level.
    let odd = UNet3d { input: [2, 20, 19, 22], ..tiny };
    assert!(odd.graph(Weights::Zero).unwrap_err().to_string().contains("even"));
    let thin = UNet3d { input: [2, 14, 20, 20], ..tiny };
    assert!(thin.graph(Weights::Zero).is_err());
}

#[test]
fn u_nets_compile() {
    let mut options = CompileOptions::new(AnyDomain::ring(37).unwrap(), 12);
    options.output = OutputForm::ArgMax;
    for (name, voxels) in [("unet3d", vec![1, 44, 44, 28]), ("unet3d_small", vec![1, 4, 4, 4])] {
        let graph = zoo::find(name).unwrap().graph(Weights::Zero).unwrap();
        let program = compile_graph(graph, &options).unwrap();
        assert_eq!(program.public.output().unwrap().shape, voxels, "{name}");
    }
}

/// Numbers in -1..1.
fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut numbers = Numbers::new(seed);
    (0..len).map(|_| (numbers.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// What is exported is read back as the same network.
#[test]
fn exported_files_are_read_back() {
    for name in
        ["lenet_small", "secureml_mlp", "resnet32_cifar100", "logistic_regression", "unet3d_small"]
    {
        let graph = zoo::find(name).unwrap().graph(Weights::Seeded(7)).unwrap();
        let onnx = zoo::to_onnx(&graph, name).unwrap();
        let again = athos::frontend::onnx::read(&onnx, None).unwrap();
        assert_eq!(counts(&again), counts(&graph), "{name}");
        let len: usize = graph.nodes()[0].shape.iter().product();
        let input: Vec<f32> = (0..len).map(|i| (i % 17) as f32 / 17.0).collect();
        let (a, b) = (graph.evaluate(&input).unwrap(), again.evaluate(&input).unwrap());
        assert_eq!(a.data(), b.data(), "{name}");
    }
}
