//! The reader: forms of operators across operator sets, and files that are wrong on purpose.

mod support;

use athos::frontend::onnx::proto::StringStringEntryProto;
use athos::frontend::onnx::{OPSETS, read, read_in};
use athos::{CompileOptions, Error, compile};
use sci_core::AnyDomain;
use std::path::Path;
use support::{Model, float, int, ints, residual, text};

/// Runs a model on an input.
fn run(model: Model, input: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let graph = read(&model.encode(), None).unwrap();
    let out = graph.evaluate(input).unwrap();
    (out.shape().to_vec(), out.data().to_vec())
}

#[track_caller]
fn refused(model: &Model, needles: &[&str]) {
    let error = read(&model.encode(), None).unwrap_err().to_string();
    for needle in needles {
        assert!(error.contains(needle), "{error:?} does not say {needle:?}");
    }
}

fn unary(opset: i64, shape: &[i64]) -> Model {
    Model::new(opset).input("x", shape).output("y")
}

#[test]
fn clip_takes_bounds_as_attributes_and_as_inputs() {
    let input = [-3.0, -0.5, 0.25, 2.0];
    let expected = vec![-1.0, -0.5, 0.25, 1.5];
    let old = unary(7, &[1, 4]).node_with(
        "Clip",
        &["x"],
        "y",
        vec![float("min", -1.0), float("max", 1.5)],
    );
    assert_eq!(run(old, &input).1, expected);
    let new = unary(13, &[1, 4]).floats("low", &[], &[-1.0]).floats("high", &[], &[1.5]).node(
        "Clip",
        &["x", "low", "high"],
        "y",
    );
    assert_eq!(run(new, &input).1, expected);
    let above =
        unary(13, &[1, 4]).floats("high", &[], &[1.5]).node("Clip", &["x", "", "high"], "y");
    assert_eq!(run(above, &input).1, vec![-3.0, -0.5, 0.25, 1.5]);
    // Bounds in the other form are not passed over.
    let early = unary(7, &[1, 4]).floats("high", &[], &[1.5]).node("Clip", &["x", "", "high"], "y");
    refused(&early, &["y (Clip): with bounds as attributes before operator set 11"]);
    let late = unary(13, &[1, 4]).node_with("Clip", &["x"], "y", vec![float("max", 1.5)]);
    refused(&late, &["y (Clip): with bounds as inputs since", "not the attribute max"]);
}

#[test]
fn batch_normalization_in_training_mode_is_refused() {
    let inputs = ["x", "scale", "bias", "mean", "variance"];
    let model = |opset| {
        let model = unary(opset, &[1, 2, 1, 1]);
        inputs[1..].iter().fold(model, |model, name| model.floats(name, &[2], &[1.0, 2.0]))
    };
    let outputs = |opset, names: &[&str]| {
        let mut model = model(opset).node("BatchNormalization", &inputs, "y");
        let node = model.graph().node.last_mut().unwrap();
        node.output.extend(names.iter().map(|name| (*name).to_owned()));
        model
    };
    for opset in [7, 9, 13] {
        let training = outputs(opset, &["", "var"]);
        refused(&training, &["y (BatchNormalization): in inference mode (one output)"]);
        for unused in [&[][..], &["", "", "", ""]] {
            assert!(read(&outputs(opset, unused).encode(), None).is_ok(), "{opset}");
        }
    }
    let modes = |mode| vec![int("training_mode", mode)];
    let new = |mode| model(15).node_with("BatchNormalization", &inputs, "y", modes(mode));
    assert!(read(&new(0).encode(), None).is_ok());
    refused(&new(1), &["training_mode = 0"]);
}

#[test]
fn axes_come_as_attributes_and_as_inputs() {
    let old =
        unary(11, &[1, 1, 3, 1]).node_with("Squeeze", &["x"], "y", vec![ints("axes", &[1, -1])]);
    assert_eq!(run(old, &[1.0, 2.0, 3.0]), (vec![1, 3], vec![1.0, 2.0, 3.0]));
    let new = unary(13, &[1, 1, 3, 1]).ints("axes", &[-1]).node("Squeeze", &["x", "axes"], "y");
    assert_eq!(run(new, &[1.0, 2.0, 3.0]).0, vec![1, 1, 3]);
    let new = unary(13, &[1, 3]).ints("axes", &[0, 3]).node("Unsqueeze", &["x", "axes"], "y");
    assert_eq!(run(new, &[1.0, 2.0, 3.0]).0, vec![1, 1, 3, 1]);
    let mean = [1.0, 2.0, 3.0, 6.0];
    let old = unary(13, &[1, 1, 2, 2]).node_with(
        "ReduceMean",
        &["x"],
        "y",
        vec![ints("axes", &[2, 3]), int("keepdims", 0)],
    );
    assert_eq!(run(old, &mean), (vec![1, 1], vec![3.0]));
    let new =
        unary(18, &[1, 1, 2, 2]).ints("axes", &[-1, -2]).node("ReduceMean", &["x", "axes"], "y");
    assert_eq!(run(new, &mean), (vec![1, 1, 1, 1], vec![3.0]));
}

#[test]
fn slices_and_pads_come_as_attributes_and_as_inputs() {
    let input: Vec<f32> = (0..10).map(|i| i as f32).collect();
    let old = unary(9, &[1, 10]).node_with(
        "Slice",
        &["x"],
        "y",
        vec![ints("starts", &[2]), ints("ends", &[-1]), ints("axes", &[1])],
    );
    assert_eq!(run(old, &input).1, vec![2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let new = unary(13, &[1, 10])
        .ints("starts", &[1])
        .ints("ends", &[i64::MAX])
        .ints("axes", &[-1])
        .ints("steps", &[4])
        .node("Slice", &["x", "starts", "ends", "axes", "steps"], "y");
    assert_eq!(run(new, &input).1, vec![1.0, 5.0, 9.0]);
    let old = unary(10, &[1, 2]).node_with("Pad", &["x"], "y", vec![ints("pads", &[0, 1, 0, 2])]);
    assert_eq!(run(old, &[1.0, 2.0]).1, vec![0.0, 1.0, 2.0, 0.0, 0.0]);
    let new = unary(18, &[1, 2]).ints("pads", &[2, 0]).ints("axes", &[1]).node(
        "Pad",
        &["x", "pads", "", "axes"],
        "y",
    );
    assert_eq!(run(new, &[1.0, 2.0]).1, vec![0.0, 0.0, 1.0, 2.0]);
}

/// Operators that mean the same in all of them.
#[test]
fn a_network_is_the_same_in_every_operator_set() {
    let read = |opset| read(&support::residual_in(opset).encode(), None);
    let graph = read(13).unwrap();
    for opset in OPSETS {
        assert_eq!(read(opset).unwrap(), graph, "operator set {opset}");
    }
    for opset in [OPSETS.start() - 1, OPSETS.end() + 1] {
        assert!(read(opset).is_err(), "operator set {opset}");
    }
}

#[test]
fn shapes_are_computed_while_reading() {
    let model = unary(13, &[0, 2, 3])
        .ints("zero", &[0])
        .ints("rest", &[-1])
        .node("Shape", &["x"], "shape")
        .node_with("Gather", &["shape", "zero"], "batch", vec![int("axis", 0)])
        .node_with("Concat", &["batch", "rest"], "target", vec![int("axis", 0)])
        .node("Reshape", &["x", "target"], "y");
    assert_eq!(run(model, &[0.0; 6]).0, vec![1, 6]);
    let model =
        unary(13, &[1, 2, 3]).ints("target", &[0, -1]).node("Reshape", &["x", "target"], "y");
    assert_eq!(run(model, &[0.0; 6]).0, vec![1, 6]);
    let model = unary(13, &[1, 2, 3]).node_with("Flatten", &["x"], "y", vec![int("axis", -1)]);
    assert_eq!(run(model, &[0.0; 6]).0, vec![2, 3]);
    let model =
        unary(13, &[1, 2, 3]).node_with("Transpose", &["x"], "y", vec![ints("perm", &[0, 2, 1])]);
    assert_eq!(run(model, &[1., 2., 3., 4., 5., 6.]).1, vec![1., 4., 2., 5., 3., 6.]);
}

#[test]
fn arithmetic_with_constants_on_either_side() {
    let x = [1.0, 2.0, 4.0];
    let with = |op: &str, inputs: &[&str]| {
        unary(13, &[1, 3]).floats("c", &[3], &[2.0, 4.0, 8.0]).node(op, inputs, "y")
    };
    assert_eq!(run(with("Add", &["c", "x"]), &x).1, vec![3.0, 6.0, 12.0]);
    assert_eq!(run(with("Sub", &["x", "c"]), &x).1, vec![-1.0, -2.0, -4.0]);
    assert_eq!(run(with("Sub", &["c", "x"]), &x).1, vec![1.0, 2.0, 4.0]);
    assert_eq!(run(with("Mul", &["c", "x"]), &x).1, vec![2.0, 8.0, 32.0]);
    assert_eq!(run(with("Div", &["x", "c"]), &x).1, vec![0.5, 0.5, 0.5]);
    assert_eq!(run(with("Sum", &["x", "x", "x"]), &x).1, vec![3.0, 6.0, 12.0]);
    refused(&with("Div", &["c", "x"]), &["y (Div)", "constant divisor"]);
    refused(&with("Mul", &["x", "x"]), &["y (Mul)", "constant"]);
}

#[test]
fn matrix_products_in_all_forms() {
    let x = [1.0, 10.0];
    let product = unary(13, &[1, 2]).floats("w", &[2, 3], &[1., 2., 3., 4., 5., 6.]).node(
        "MatMul",
        &["x", "w"],
        "y",
    );
    assert_eq!(run(product, &x).1, vec![41.0, 52.0, 63.0]);
    let gemm = unary(7, &[1, 2])
        .floats("w", &[2, 3], &[1., 2., 3., 4., 5., 6.])
        .floats("b", &[1], &[3.0])
        .node_with("Gemm", &["x", "w", "b"], "y", vec![float("alpha", 2.0), float("beta", 0.5)]);
    assert_eq!(run(gemm, &x).1, vec![83.5, 105.5, 127.5]);
    let wrong = unary(13, &[1, 2]).ramp("w", &[3, 3], 1.0).node("MatMul", &["x", "w"], "y");
    refused(&wrong, &["y: inner dimension", "expected 2, got 3"]);
}

#[test]
fn automatic_padding() {
    let conv = |auto: &str, stride: i64| {
        unary(13, &[1, 1, 1, 4]).floats("w", &[1, 1, 1, 2], &[1.0, 10.0]).node_with(
            "Conv",
            &["x", "w"],
            "y",
            vec![text("auto_pad", auto), ints("strides", &[1, stride])],
        )
    };
    let x = [1.0, 2.0, 3.0, 4.0];
    assert_eq!(run(conv("SAME_UPPER", 1), &x).1, vec![21.0, 32.0, 43.0, 4.0]);
    assert_eq!(run(conv("SAME_LOWER", 1), &x).1, vec![10.0, 21.0, 32.0, 43.0]);
    assert_eq!(run(conv("VALID", 2), &x).1, vec![21.0, 43.0]);
    assert_eq!(run(conv("SAME_UPPER", 2), &x).1, vec![21.0, 43.0]);
}

#[test]
fn pooling_at_the_border() {
    let pool = |op: &str, extra: Vec<_>| {
        let window = vec![ints("kernel_shape", &[3]), ints("pads", &[1, 1])];
        unary(13, &[1, 1, 3]).node_with(op, &["x"], "y", [window, extra].concat())
    };
    let x = [-3.0, -6.0, -9.0];
    assert_eq!(run(pool("MaxPool", vec![]), &x).1, vec![-3.0, -3.0, -6.0]);
    assert_eq!(run(pool("AveragePool", vec![]), &x).1, vec![-4.5, -6.0, -7.5]);
    let counting = vec![int("count_include_pad", 1)];
    assert_eq!(run(pool("AveragePool", counting), &x).1, vec![-3.0, -6.0, -5.0]);
    let ceil = unary(13, &[1, 1, 4]).node_with(
        "MaxPool",
        &["x"],
        "y",
        vec![ints("kernel_shape", &[3]), ints("strides", &[2]), int("ceil_mode", 1)],
    );
    assert_eq!(run(ceil, &[1.0, 2.0, 3.0, 4.0]).1, vec![3.0, 4.0]);
    // The window that hangs over counts the padding it has, not what lies beyond.
    let ceil = unary(13, &[1, 1, 3]).node_with(
        "AveragePool",
        &["x"],
        "y",
        vec![
            ints("kernel_shape", &[3]),
            ints("strides", &[2]),
            ints("pads", &[0, 1]),
            int("ceil_mode", 1),
            int("count_include_pad", 1),
        ],
    );
    assert_eq!(run(ceil, &[1.0, 2.0, 3.0]).1, vec![2.0, 1.5]);
}

#[test]
fn rectifiers_of_every_slope() {
    let x = [-4.0, -1.0, 0.0, 2.0];
    let leaky = unary(13, &[1, 4]).node_with("LeakyRelu", &["x"], "y", vec![float("alpha", 0.25)]);
    assert_eq!(run(leaky, &x).1, vec![-1.0, -0.25, 0.0, 2.0]);
    let p = unary(13, &[1, 4]).floats("slope", &[4], &[0.5, 2.0, 1.0, 3.0]);
    assert_eq!(run(p.node("PRelu", &["x", "slope"], "y"), &x).1, vec![-2.0, -2.0, 0.0, 2.0]);
    assert_eq!(run(unary(13, &[1, 4]).node("Abs", &["x"], "y"), &x).1, vec![4.0, 1.0, 0.0, 2.0]);
    assert_eq!(run(unary(13, &[1, 4]).node("Neg", &["x"], "y"), &x).1, vec![4.0, 1.0, 0.0, -2.0]);
    let with = |op: &str| unary(13, &[1, 4]).floats("c", &[], &[-2.0]).node(op, &["c", "x"], "y");
    assert_eq!(run(with("Max"), &x).1, vec![-2.0, -1.0, 0.0, 2.0]);
    assert_eq!(run(with("Min"), &x).1, vec![-4.0, -2.0, -2.0, -2.0]);
}

/// The definition: every element of the input adds its multiples of the filters to the output.
fn scattered(
    x: (&[f32], [usize; 3]),
    w: (&[f32], [usize; 2]),
    stride: usize,
    dilation: usize,
    pads: [usize; 2],
    extra: usize,
    groups: usize,
) -> Vec<f32> {
    let ((x, [channels, n, _]), (w, [group_out, kernel])) = (x, w);
    let full = (n - 1) * stride + (kernel - 1) * dilation + 1 + extra;
    let mut out = vec![vec![0.0; full]; group_out * groups];
    for c in 0..channels {
        let group = c / (channels / groups);
        for i in 0..n {
            for o in 0..group_out {
                for j in 0..kernel {
                    out[group * group_out + o][i * stride + j * dilation] +=
                        x[c * n + i] * w[(c * group_out + o) * kernel + j];
                }
            }
        }
    }
    out.iter().flat_map(|row| row[pads[0]..full - pads[1]].to_vec()).collect()
}

#[test]
fn transposed_convolutions_add_what_their_definition_adds() {
    let mut tried = 0;
    for (n, kernel, stride, dilation) in
        [(4, 3, 2, 1), (3, 2, 2, 1), (5, 3, 1, 1), (3, 4, 3, 2), (2, 1, 3, 1), (4, 5, 2, 3)]
    {
        for (groups, channels, group_out) in [(1, 2, 3), (2, 4, 1), (3, 3, 2)] {
            for (pads, extra) in [([0, 0], 0), ([1, 0], 0), ([0, 2], 1), ([2, 1], 1)] {
                if stride <= extra {
                    continue;
                }
                let x: Vec<f32> = (0..channels * n).map(|i| (i * 5 % 7) as f32 - 3.0).collect();
                let w: Vec<f32> =
                    (0..channels * group_out * kernel).map(|i| (i * 3 % 11) as f32 - 5.0).collect();
                let (c, k) = (channels as i64, kernel as i64);
                let model = unary(13, &[1, c, n as i64])
                    .floats("w", &[c, group_out as i64, k], &w)
                    .node_with(
                        "ConvTranspose",
                        &["x", "w"],
                        "y",
                        vec![
                            ints("strides", &[stride as i64]),
                            ints("dilations", &[dilation as i64]),
                            ints("pads", &pads.map(|p| p as i64)),
                            ints("output_padding", &[extra as i64]),
                            int("group", groups as i64),
                        ],
                    );
                let shape = [channels, n, 1];
                let expected = scattered(
                    (&x, shape),
                    (&w, [group_out, kernel]),
                    stride,
                    dilation,
                    pads,
                    extra,
                    groups,
                );
                assert_eq!(run(model, &x).1, expected, "{n} {kernel} {stride} {dilation} {pads:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn parts_paddings_and_positions() {
    let input: Vec<f32> = (0..6).map(|i| i as f32).collect();
    let mut split = unary(13, &[1, 6]).ints("lengths", &[1, 2, 3]).node_with(
        "Split",
        &["x", "lengths"],
        "a",
        vec![int("axis", 1)],
    );
    split.graph().node[0].output = ["a", "b", "y"].map(String::from).to_vec();
    assert_eq!(run(split, &input).1, vec![3.0, 4.0, 5.0]);
    let pad = |mode: &str| {
        let model = unary(19, &[1, 6]).ints("pads", &[0, 2, 0, -1]);
        model.node_with("Pad", &["x", "pads"], "y", vec![text("mode", mode)])
    };
    assert_eq!(run(pad("edge"), &input).1, vec![0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(run(pad("reflect"), &input).1, vec![2.0, 1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
    let valued = unary(13, &[1, 6]).ints("pads", &[0, 1, 0, 1]).floats("v", &[], &[9.0]).node(
        "Pad",
        &["x", "pads", "v"],
        "y",
    );
    assert_eq!(run(valued, &input).1, vec![9.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0]);
    let backwards = unary(13, &[1, 6])
        .ints("starts", &[-1])
        .ints("ends", &[i64::MIN])
        .ints("axes", &[1])
        .ints("steps", &[-2])
        .node("Slice", &["x", "starts", "ends", "axes", "steps"], "y");
    assert_eq!(run(backwards, &input).1, vec![5.0, 3.0, 1.0]);
    let gather = unary(13, &[1, 6]).ints("i", &[4, 0, -1]).node_with(
        "Gather",
        &["x", "i"],
        "y",
        vec![int("axis", 1)],
    );
    assert_eq!(run(gather, &input).1, vec![4.0, 0.0, 5.0]);
    let mean = unary(13, &[2, 3]).node_with("ReduceMean", &["x"], "y", vec![ints("axes", &[0])]);
    assert_eq!(run(mean, &input), (vec![1, 3], vec![1.5, 2.5, 3.5]));
    let gemm = unary(13, &[2, 3])
        .floats("w", &[2, 1], &[1.0, 10.0])
        .floats("b", &[3, 1], &[100.0, 200.0, 300.0])
        .node_with("Gemm", &["x", "w", "b"], "y", vec![int("transA", 1)]);
    assert_eq!(run(gemm, &input).1, vec![130.0, 241.0, 352.0]);
}

#[test]
fn all_unsupported_nodes_are_listed_at_once() {
    let model = Model::new(13)
        .input("x", &[0, 3])
        .node("Sigmoid", &["x"], "a")
        .node("Relu", &["a"], "b")
        .node_with("Gelu", &["b"], "c", vec![])
        .node_with("Flatten", &["x"], "d", vec![int("colour", 3)])
        .output("c");
    let error = read(&model.encode(), None).unwrap_err();
    let Error::Unsupported(nodes) = &error else { panic!("{error}") };
    let names: Vec<(&str, &str)> = nodes.iter().map(|x| (x.node.as_str(), x.op.as_str())).collect();
    assert_eq!(names, [("a", "Sigmoid"), ("c", "Gelu"), ("d", "Flatten")]);
    assert!(error.to_string().contains("use Relu, LeakyRelu or Clip"), "{error}");
    assert!(error.to_string().contains("without the attribute colour"), "{error}");
}

#[test]
fn softmax_in_the_middle_is_named() {
    let model = unary(13, &[1, 3]).node("Softmax", &["x"], "s").node("Relu", &["s"], "y");
    let options = CompileOptions::new(AnyDomain::ring(32).unwrap(), 12);
    let error = compile(&model.encode(), &options).unwrap_err().to_string();
    assert!(error.contains("s (Softmax): only as the last node"), "{error}");
}

#[test]
fn names_must_be_defined_before_they_are_used() {
    let cycle = unary(13, &[1, 3]).node("Add", &["x", "y"], "a").node("Relu", &["a"], "y");
    refused(&cycle, &["a: input y", "cycle"]);
    refused(&unary(13, &[1, 3]).node("Relu", &["nothing"], "y"), &["input nothing"]);
    refused(&unary(13, &[1, 3]).node("Relu", &["x"], "z"), &["y: expected a node"]);
    let twice = unary(13, &[1, 3]).node("Relu", &["x"], "y").node("Relu", &["x"], "y");
    refused(&twice, &["y: expected one definition"]);
    refused(&Model::new(13).output("y"), &["inputs of the model: expected 1, got 0"]);
    refused(&unary(6, &[1, 3]).node("Relu", &["x"], "y"), &["operator set", "got 6"]);
    refused(&unary(13, &[0, 0]).node("Relu", &["x"], "y"), &["input x: axis 1"]);
}

#[test]
fn constants_that_do_not_fit_are_refused() {
    let with = |edit: fn(&mut athos::frontend::onnx::proto::TensorProto)| {
        let mut model = unary(13, &[1, 3]).ramp("w", &[3, 2], 1.0).node("MatMul", &["x", "w"], "y");
        edit(&mut model.graph().initializer[0]);
        model
    };
    assert!(read(&with(|_| {}).encode(), None).is_ok());
    refused(&with(|w| w.dims = vec![3, 3]), &["w: expected 9 elements, got 6"]);
    refused(&with(|w| w.dims = vec![-3, -2]), &["w: expected axes of at least 0"]);
    refused(&with(|w| w.dims = vec![i64::MAX, i64::MAX]), &["w: expected fewer elements"]);
    refused(&with(|w| w.raw_data.truncate(23)), &["w: expected whole elements"]);
    refused(&with(|w| w.float_data = vec![1.0]), &["w: expected whole elements"]);
    refused(&with(|w| w.data_type = 16), &["w: ", "element type 16"]);
    refused(&with(|w| w.data_location = 1), &["w: ", "external data"]);
    refused(&with(|w| w.external_data = vec![location("w.bin")]), &["external data"]);
    let infinite = |w: &mut athos::frontend::onnx::proto::TensorProto| {
        w.raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    };
    refused(&with(infinite), &["w: expected finite numbers"]);
}

#[test]
fn absurd_sizes_are_refused_at_once() {
    let huge = unary(13, &[1, 1 << 40]).node("Relu", &["x"], "y");
    refused(&huge, &["x: shape", "elements"]);
    let pads = vec![ints("pads", &[i64::MAX, 0, 0, 0]), ints("kernel_shape", &[1, 1])];
    let pool = unary(13, &[1, 1, 4, 4]).node_with("MaxPool", &["x"], "y", pads);
    refused(&pool, &["y: "]);
    let mut doubling = unary(13, &[1, 2]).ints("a0", &[1]);
    for i in 0..60 {
        let (from, to) = (format!("a{i}"), format!("a{}", i + 1));
        doubling = doubling.node_with("Concat", &[&from, &from], &to, vec![int("axis", 0)]);
    }
    refused(&doubling.node("Relu", &["x"], "y"), &["integers", "at most 65536"]);
    let mut growing = unary(13, &[1, 2]).floats("a0", &[1, 2], &[1.0, 2.0]);
    for i in 0..28 {
        let (from, to) = (format!("a{i}"), format!("a{}", i + 1));
        growing = growing.node_with("Concat", &[&from, &from], &to, vec![int("axis", 0)]);
    }
    let growing = growing.node_with("Concat", &["x", "a28"], "y", vec![int("axis", 0)]);
    let options = CompileOptions::new(AnyDomain::ring(32).unwrap(), 12);
    assert!(compile(&growing.encode(), &options).is_err());
    // Two bytes a node in the file, hundreds in memory.
    let mut many = vec![0x3a];
    let body = [0x0a, 0x00].repeat(1 << 21);
    prost::encoding::encode_varint(body.len() as u64, &mut many);
    many.extend(body);
    let error = read(&many, None).unwrap_err().to_string();
    assert!(error.contains("at most 2^20 messages"), "{error}");
}

#[test]
fn truncated_and_damaged_files_never_panic() {
    let whole = residual().encode();
    let options = CompileOptions::new(AnyDomain::ring(32).unwrap(), 12);
    assert!(compile(&whole, &options).is_ok());
    for len in 0..whole.len() {
        assert!(compile(&whole[..len], &options).is_err(), "the first {len} bytes");
    }
    let mut numbers = athos::testing::Numbers::new(7);
    for _ in 0..20_000 {
        let mut damaged = whole.clone();
        for _ in 0..numbers.within(1, 3) {
            let at = numbers.within(0, damaged.len() - 1);
            damaged[at] ^= 1 << numbers.within(0, 7);
        }
        if let Ok(program) = compile(&damaged, &options) {
            let input = athos::testing::random_input(1, &program.public).unwrap();
            if program.public.macs() < 1 << 20 {
                athos::cleartext::run(&program, &input).unwrap();
            }
        }
    }
}

fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto { key: key.into(), value: value.into() }
}

fn location(path: &str) -> StringStringEntryProto {
    entry("location", path)
}

#[test]
fn external_data_stays_below_the_folder() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("external");
    let folder = base.join("model");
    std::fs::create_dir_all(folder.join("parts")).unwrap();
    let bytes: Vec<u8> =
        [9.0f32, 1.0, 2.0, 3.0, 9.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("parts/w.bin"), &bytes).unwrap();
    std::fs::write(base.join("secret.bin"), &bytes).unwrap();
    let with = |entries: &[StringStringEntryProto]| {
        let mut model =
            unary(13, &[1, 3]).floats("w", &[3], &[0.0; 3]).node("Add", &["x", "w"], "y");
        let w = &mut model.graph().initializer[0];
        w.raw_data.clear();
        w.data_location = 1;
        w.external_data = entries.to_vec();
        read_in(&model.encode(), None, Some(&folder))
    };
    let inside = [location("parts/w.bin"), entry("offset", "4"), entry("length", "12")];
    let graph = with(&inside).unwrap();
    assert_eq!(graph.evaluate(&[0.0; 3]).unwrap().data(), [1.0, 2.0, 3.0]);
    let refused = |entries: &[StringStringEntryProto], needle: &str| {
        let error = with(entries).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    };
    refused(&[location("../secret.bin")], "may leave it");
    refused(&[location("parts/../../secret.bin")], "may leave it");
    refused(&[location(base.join("secret.bin").to_str().unwrap())], "may leave it");
    refused(&[location("")], "may leave it");
    refused(&[location("parts")], "no file");
    refused(&[location("nothing.bin")], "below the model's folder");
    refused(&[location("parts/w.bin"), entry("offset", "12")], "bytes that the file has");
    refused(
        &[location("parts/w.bin"), entry("offset", &u64::MAX.to_string())],
        "that the file has",
    );
    refused(&[location("parts/w.bin"), entry("length", "8")], "expected 12, got 8");
    refused(&[location("parts/w.bin"), entry("offset", "-1")], "a number");
    #[cfg(unix)]
    {
        let link = folder.join("link.bin");
        drop(std::fs::remove_file(&link));
        std::os::unix::fs::symlink(base.join("secret.bin"), link).unwrap();
        refused(&[location("link.bin")], "a link that leaves it");
    }
}
