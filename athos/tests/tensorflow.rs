//! Frozen TensorFlow graphs, written here through the same messages, against equal ONNX models.

mod support;

use athos::frontend::tensorflow::proto::attr_value::Value as Attribute;
use athos::frontend::tensorflow::proto::{
    AttrValue, Dim, GraphDef, ListValue, NodeDef, TensorProto, TensorShapeProto,
};
use athos::frontend::{self, tensorflow};
use athos::testing::Numbers;
use athos::{CompileOptions, Error, OutputForm, cleartext, compile};
use prost::Message;
use sci_core::AnyDomain;
use support::{Model, float, int, ints, text};

/// A graph in the making.
#[derive(Clone, Default)]
struct Graph(GraphDef);

fn shape(axes: &[i64]) -> TensorShapeProto {
    let dim = axes.iter().map(|&size| Dim { size }).collect();
    TensorShapeProto { dim, unknown_rank: false }
}

fn floats_of(axes: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        dtype: 1,
        tensor_shape: Some(shape(axes)),
        tensor_content: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn words(s: &str) -> Attribute {
    Attribute::S(s.as_bytes().to_vec())
}

fn numbers(i: &[i64]) -> Attribute {
    Attribute::List(ListValue { i: i.to_vec(), f: Vec::new() })
}

impl Graph {
    fn node(mut self, op: &str, inputs: &[&str], name: &str, attr: &[(&str, Attribute)]) -> Self {
        let attr = attr
            .iter()
            .map(|(name, value)| ((*name).to_owned(), AttrValue { value: Some(value.clone()) }));
        self.0.node.push(NodeDef {
            name: name.into(),
            op: op.into(),
            input: inputs.iter().map(|s| (*s).into()).collect(),
            attr: attr.collect(),
        });
        self
    }

    fn placeholder(self, axes: &[i64]) -> Self {
        let attr = [("dtype", Attribute::Type(1)), ("shape", Attribute::Shape(shape(axes)))];
        self.node("Placeholder", &[], "x", &attr)
    }

    fn floats(self, name: &str, axes: &[i64], data: &[f32]) -> Self {
        self.node("Const", &[], name, &[("value", Attribute::Tensor(floats_of(axes, data)))])
    }

    fn ints(self, name: &str, axes: &[i64], data: &[i32]) -> Self {
        let tensor = TensorProto {
            dtype: 3,
            tensor_shape: Some(shape(axes)),
            int_val: data.to_vec(),
            ..TensorProto::default()
        };
        self.node("Const", &[], name, &[("value", Attribute::Tensor(tensor))])
    }

    fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}

fn ramp(n: usize, step: f32) -> Vec<f32> {
    (0..n).map(|i| ((i * 7) % 11) as f32 * step - 5.0 * step).collect()
}

/// Elements of a row-major tensor with its axes in another order.
fn permuted(data: &[f32], axes: &[usize], permutation: &[usize]) -> Vec<f32> {
    let shape: Vec<usize> = permutation.iter().map(|&a| axes[a]).collect();
    (0..data.len())
        .map(|mut i| {
            let mut index = vec![0; axes.len()];
            for (&n, &a) in shape.iter().zip(permutation).rev() {
                index[a] = i % n;
                i /= n;
            }
            data[index.iter().zip(axes).fold(0, |offset, (i, n)| offset * n + i)]
        })
        .collect()
}

/// Both models compute the same, in floats nearly and in integers bit by bit.
fn same(graph: &Graph, model: &Model) {
    let (graph, model) = (graph.encode(), model.encode());
    let by_shape = frontend::read(&graph, None).unwrap();
    assert_eq!(by_shape, tensorflow::read(&graph, None, None).unwrap());
    let expected = frontend::read(&model, None).unwrap();
    let len = expected.nodes()[0].shape.iter().product();
    let input: Vec<f32> = (0..len).map(|i| ((i * 5) % 13) as f32 / 8.0 - 0.75).collect();
    let (a, b) = (by_shape.evaluate(&input).unwrap(), expected.evaluate(&input).unwrap());
    assert_eq!(a.shape(), b.shape(), "{by_shape}\n{expected}");
    for (a, b) in a.data().iter().zip(b.data()) {
        assert!((a - b).abs() < 1e-4, "{a} {b}\n{by_shape}");
    }
    let mut options = CompileOptions::new(AnyDomain::ring(41).unwrap(), 12);
    options.output = OutputForm::Logits;
    let domain = options.domain;
    let quantised = athos::quantise(&input, 12, domain).unwrap();
    let run =
        |model: &[u8]| cleartext::run(&compile(model, &options).unwrap(), &quantised).unwrap();
    assert_eq!(run(&graph), run(&model), "{by_shape}\n{expected}");
}

fn classifier() -> Graph {
    let conv =
        |stride: i64| [("strides", numbers(&[1, stride, stride, 1])), ("padding", words("SAME"))];
    Graph::default()
        .floats("w1", &[3, 3, 2, 4], &ramp(72, 0.05))
        .floats("gamma", &[4], &[1.0, 0.5, 2.0, 1.5])
        .floats("beta", &[4], &[0.1, -0.2, 0.3, 0.0])
        .floats("mean", &[4], &[0.5, 0.0, -0.5, 0.25])
        .floats("var", &[4], &[1.0, 4.0, 0.25, 2.0])
        .node("Conv2D", &["x", "w1/read"], "conv1", &conv(1))
        .node("Identity", &["w1"], "w1/read", &[("T", Attribute::Type(1))])
        .placeholder(&[-1, 6, 6, 2])
        .node(
            "FusedBatchNormV3",
            &["conv1", "gamma", "beta", "mean", "var"],
            "bn",
            &[("is_training", Attribute::B(false)), ("epsilon", Attribute::F(0.001))],
        )
        .node("Relu", &["bn:0"], "relu1", &[])
        .node(
            "MaxPool",
            &["relu1"],
            "pool",
            &[
                ("ksize", numbers(&[1, 3, 3, 1])),
                ("strides", numbers(&[1, 2, 2, 1])),
                ("padding", words("SAME")),
            ],
        )
        .floats("w2", &[3, 3, 4, 2], &ramp(72, 0.04))
        .node("DepthwiseConv2dNative", &["pool", "w2"], "conv2", &conv(1))
        .floats("b2", &[8], &ramp(8, 0.1))
        .node("BiasAdd", &["conv2", "b2", "^bn"], "biased", &[])
        .node("Relu6", &["biased"], "relu2", &[])
        .ints("axes", &[2], &[1, 2])
        .node("Mean", &["relu2", "axes"], "mean2", &[("keep_dims", Attribute::B(false))])
        .floats("w3", &[8, 5], &ramp(40, 0.2))
        .node("MatMul", &["mean2", "w3"], "product", &[])
        .floats("b3", &[5], &ramp(5, 0.1))
        .node("BiasAdd", &["product", "b3"], "logits", &[])
        .node("Softmax", &["logits"], "probabilities", &[])
}

#[test]
fn a_classifier_equals_its_onnx_form() {
    let w1 = permuted(&ramp(72, 0.05), &[3, 3, 2, 4], &[3, 2, 0, 1]);
    let w2 = permuted(&ramp(72, 0.04), &[3, 3, 4, 2], &[2, 3, 0, 1]);
    let same_pads = || text("auto_pad", "SAME_UPPER");
    let model = Model::new(13)
        .input("x", &[0, 2, 6, 6])
        .floats("w1", &[4, 2, 3, 3], &w1)
        .floats("gamma", &[4], &[1.0, 0.5, 2.0, 1.5])
        .floats("beta", &[4], &[0.1, -0.2, 0.3, 0.0])
        .floats("mean", &[4], &[0.5, 0.0, -0.5, 0.25])
        .floats("var", &[4], &[1.0, 4.0, 0.25, 2.0])
        .floats("w2", &[8, 1, 3, 3], &w2)
        .floats("b2", &[8], &ramp(8, 0.1))
        .floats("six", &[], &[6.0])
        .floats("zero", &[], &[0.0])
        .floats("w3", &[8, 5], &ramp(40, 0.2))
        .floats("b3", &[5], &ramp(5, 0.1))
        .node_with("Conv", &["x", "w1"], "conv1", vec![same_pads()])
        .node_with(
            "BatchNormalization",
            &["conv1", "gamma", "beta", "mean", "var"],
            "bn",
            vec![float("epsilon", 0.001)],
        )
        .node("Relu", &["bn"], "relu1")
        .node_with(
            "MaxPool",
            &["relu1"],
            "pool",
            vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), same_pads()],
        )
        .node_with("Conv", &["pool", "w2", "b2"], "conv2", vec![int("group", 4), same_pads()])
        .node("Clip", &["conv2", "zero", "six"], "relu2")
        .node("GlobalAveragePool", &["relu2"], "mean2")
        .node("Flatten", &["mean2"], "flat")
        .node("Gemm", &["flat", "w3", "b3"], "logits")
        .node("Softmax", &["logits"], "probabilities")
        .output("probabilities");
    same(&classifier(), &model);
}

#[test]
fn a_volume_network_equals_its_onnx_form() {
    let (w1, w2) = (ramp(8 * 2 * 3, 0.1), ramp(8 * 2 * 3, 0.07));
    let stride = |s: i64| ("strides", numbers(&[1, s, s, s, 1]));
    let graph = Graph::default()
        .placeholder(&[1, 4, 4, 4, 2])
        .floats("w1", &[2, 2, 2, 2, 3], &w1)
        .node("Conv3D", &["x", "w1"], "down", &[stride(2), ("padding", words("VALID"))])
        .node("LeakyRelu", &["down"], "leaky", &[("alpha", Attribute::F(0.25))])
        .ints("size", &[5], &[1, 4, 4, 4, 2])
        .floats("w2", &[2, 2, 2, 2, 3], &w2)
        .node(
            "Conv3DBackpropInputV2",
            &["size", "w2", "leaky"],
            "up",
            &[stride(2), ("padding", words("VALID"))],
        )
        .ints("axis", &[], &[-1])
        .node("ConcatV2", &["up", "x", "axis"], "both", &[])
        .node(
            "AvgPool3D",
            &["both"],
            "pool",
            &[stride(1), ("ksize", numbers(&[1, 2, 2, 2, 1])), ("padding", words("SAME"))],
        )
        .ints("pads", &[5, 2], &[0, 0, 1, 0, 0, 1, 0, 0, 0, 2])
        .node("Pad", &["pool", "pads"], "padded", &[])
        .floats("half", &[4 + 2], &ramp(6, 0.1))
        .node("AddV2", &["padded", "half"], "sum", &[])
        .node("RealDiv", &["sum", "two"], "y", &[])
        .floats("two", &[], &[2.0]);
    let model = Model::new(13)
        .input("x", &[1, 2, 4, 4, 4])
        .floats("w1", &[3, 2, 2, 2, 2], &permuted(&w1, &[2, 2, 2, 2, 3], &[4, 3, 0, 1, 2]))
        .floats("w2", &[3, 2, 2, 2, 2], &permuted(&w2, &[2, 2, 2, 2, 3], &[4, 3, 0, 1, 2]))
        .floats("half", &[6, 1, 1, 1], &ramp(6, 0.1))
        .floats("two", &[], &[2.0])
        .ints("pads", &[0, 0, 1, 0, 0, 0, 2, 0, 1, 0])
        .node_with("Conv", &["x", "w1"], "down", vec![ints("strides", &[2, 2, 2])])
        .node_with("LeakyRelu", &["down"], "leaky", vec![float("alpha", 0.25)])
        .node_with("ConvTranspose", &["leaky", "w2"], "up", vec![ints("strides", &[2, 2, 2])])
        .node_with("Concat", &["up", "x"], "both", vec![int("axis", 1)])
        .node_with(
            "AveragePool",
            &["both"],
            "pool",
            vec![ints("kernel_shape", &[2, 2, 2]), text("auto_pad", "SAME_UPPER")],
        )
        .node("Pad", &["pool", "pads"], "padded")
        .node("Add", &["padded", "half"], "sum")
        .node("Div", &["sum", "two"], "halved")
        .node_with("Transpose", &["halved"], "y", vec![ints("perm", &[0, 2, 3, 4, 1])])
        .output("y");
    same(&graph, &model);
}

#[test]
fn shapes_are_computed_while_reading() {
    let graph = Graph::default()
        .placeholder(&[-1, 2, 3, 2])
        .node("Shape", &["x"], "shape", &[])
        .ints("zero", &[1], &[0])
        .ints("one", &[1], &[1])
        .node(
            "StridedSlice",
            &["shape", "zero", "one", "one"],
            "batch",
            &[("shrink_axis_mask", Attribute::I(1))],
        )
        .ints("rest", &[], &[-1])
        .node("Pack", &["batch", "rest"], "target", &[])
        .node("Reshape", &["x", "target"], "flat", &[])
        .ints("from", &[2], &[0, 1])
        .ints("to", &[2], &[0, 11])
        .ints("by", &[2], &[1, 3])
        .node(
            "StridedSlice",
            &["flat", "from", "to", "by"],
            "some",
            &[("end_mask", Attribute::I(1))],
        );
    let graph = tensorflow::read(&graph.encode(), None, None).unwrap();
    // Given with channels first, flattened in TensorFlow's order.
    let input: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let out = graph.evaluate(&input).unwrap();
    assert_eq!((out.shape(), out.data()), (&[1, 4][..], &[6.0, 2.0, 9.0, 5.0][..]));
}

#[test]
fn channels_may_come_first_in_the_file() {
    let first = |name: &'static str| (name, words("NCHW"));
    let graph = Graph::default()
        .placeholder(&[1, 2, 3, 3])
        .floats("w", &[1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0])
        .node(
            "Conv2D",
            &["x", "w"],
            "y",
            &[
                first("data_format"),
                ("strides", numbers(&[1, 1, 1, 1])),
                ("padding", words("SAME")),
            ],
        );
    let graph = tensorflow::read(&graph.encode(), None, None).unwrap();
    assert_eq!(graph.node(graph.output().unwrap()).unwrap().shape, [1, 2, 3, 3]);
}

#[track_caller]
fn refused(graph: &Graph, needles: &[&str]) {
    let error = tensorflow::read(&graph.encode(), None, None).unwrap_err().to_string();
    for needle in needles {
        assert!(error.contains(needle), "{error:?} does not say {needle:?}");
    }
}

#[test]
fn graphs_that_are_wrong_are_refused() {
    let x = || Graph::default().placeholder(&[1, 3]);
    let cycle = x().node("Add", &["x", "y"], "a", &[]).node("Relu", &["a"], "y", &[]);
    refused(&cycle, &["a cycle"]);
    refused(&x().node("Relu", &["^y"], "y", &[]), &["a cycle"]);
    refused(&x().node("Relu", &["nothing"], "y", &[]), &["y: input nothing", "dangling"]);
    refused(&x().node("Relu", &["x"], "y", &[]).node("Relu", &["x"], "y", &[]), &["of its own"]);
    refused(&x(), &["outputs of the graph: expected 1, got 0"]);
    let two = x().node("Relu", &["x"], "a", &[]).node("Relu", &["x"], "b", &[]);
    refused(&two, &["one named", "a, b"]);
    assert!(tensorflow::read(&two.encode(), None, Some("b")).is_ok());
    assert!(tensorflow::read(&two.encode(), None, Some("c")).is_err());
    refused(&x().node("Relu", &["x:1"], "y", &[]), &["without output 1 of x"]);
    let open = Graph::default().placeholder(&[-1, -1]).node("Relu", &["x"], "y", &[]);
    refused(&open, &["axis 1", "input shape"]);
    assert!(tensorflow::read(&open.encode(), Some(&[1, 3]), None).is_ok());
    assert!(tensorflow::read(&open.encode(), Some(&[3]), None).is_err());
    let huge = x().ints("n", &[1 << 40], &[1]).node("Reshape", &["x", "n"], "y", &[]);
    refused(&huge, &["n: expected 1099511627776 elements"]);
    let infinite = x().floats("c", &[], &[f32::INFINITY]).node("Add", &["x", "c"], "y", &[]);
    refused(&infinite, &["finite numbers"]);
}

#[test]
fn casts_keep_the_kind_of_number() {
    let to = |kind: i32| [("DstT", Attribute::Type(kind))];
    let x = || Graph::default().placeholder(&[1, 3]);
    for float in [1, 2] {
        let graph = x()
            .node("Cast", &["x"], "c", &to(float))
            .ints("n", &[3], &[1, -2, 3])
            .node("Cast", &["n"], "f", &to(float))
            .node("Add", &["c", "f"], "y", &[]);
        let read = tensorflow::read(&graph.encode(), None, None).unwrap();
        assert_eq!(read.evaluate(&[0.5, 0.5, 0.5]).unwrap().data(), [1.5, -1.5, 3.5]);
    }
    let ints = x().ints("n", &[2], &[3, 1]).node("Cast", &["n"], "m", &to(9)).node(
        "Reshape",
        &["x", "m"],
        "y",
        &[],
    );
    assert!(tensorflow::read(&ints.encode(), None, None).is_ok());
    // Rounding is no integer operation of a program: 1.5 does not become 1 unseen. 3 and 9 are integers, 10 truth
    // values, 19 halves.
    for other in [3, 9, 10, 19, 0] {
        let graph = x().node("Cast", &["x"], "c", &to(other)).node("Relu", &["c"], "y", &[]);
        refused(&graph, &["c (Cast): between floats, or between integers"]);
    }
    refused(&x().node("Cast", &["x"], "y", &[]), &["y (Cast)"]);
    let bytes = x().ints("n", &[2], &[3, 300]).node("Cast", &["n"], "m", &to(4)).node(
        "Reshape",
        &["x", "m"],
        "y",
        &[],
    );
    refused(&bytes, &["m (Cast)"]);
}

#[test]
fn numbers_are_packed_along_their_only_axis() {
    let packed = |axis: Option<i64>, len: i64| {
        let attr: Vec<_> = axis.map(|axis| ("axis", Attribute::I(axis))).into_iter().collect();
        let (one, other) = (vec![1; len as usize], vec![3; len as usize]);
        Graph::default()
            .placeholder(&[1, 3])
            .ints("a", &[len], &other)
            .ints("b", &[len], &one)
            .node("Pack", &["a", "b"], "s", &attr)
            .node("Reshape", &["x", "s"], "y", &[])
    };
    for axis in [None, Some(0), Some(-1)] {
        let read = tensorflow::read(&packed(axis, 1).encode(), None, None).unwrap();
        assert_eq!(read.evaluate(&[1.0, 2.0, 3.0]).unwrap().shape(), [3, 1]);
    }
    for (axis, len) in [(Some(1), 1), (Some(1), 2), (Some(-1), 2)] {
        refused(&packed(axis, len), &["s (Pack): along axis 0"]);
    }
}

#[test]
fn all_unsupported_nodes_that_matter_are_listed() {
    let graph = Graph::default()
        .placeholder(&[1, 3])
        .node("Sigmoid", &["x"], "a", &[])
        .node("Relu", &["a"], "b", &[])
        .node("Tanh", &["x"], "c", &[])
        .node("Add", &["b", "c"], "y", &[])
        .node("Elu", &["x"], "unread", &[])
        .node("NoOp", &["^unread"], "init", &[]);
    let error = tensorflow::read(&graph.encode(), None, Some("y")).unwrap_err();
    let Error::Unsupported(nodes) = &error else { panic!("{error}") };
    let names: Vec<(&str, &str)> = nodes.iter().map(|x| (&*x.node, &*x.op)).collect();
    assert_eq!(names, [("a", "Sigmoid"), ("c", "Tanh")]);
    assert!(error.to_string().contains("use Relu, Relu6 or LeakyRelu"), "{error}");
}

#[test]
fn truncated_and_damaged_files_never_panic() {
    let bytes = classifier().encode();
    for len in 0..bytes.len() {
        drop(tensorflow::read(&bytes[..len], None, None));
    }
    let mut numbers = Numbers::new(4);
    for _ in 0..20_000 {
        let mut damaged = bytes.clone();
        for _ in 0..numbers.within(1, 3) {
            let at = numbers.within(0, damaged.len() - 1);
            damaged[at] = numbers.next_u64() as u8;
        }
        drop(frontend::read(&damaged, None));
    }
}
