//! Small ONNX models made in memory.
#![allow(dead_code, reason = "each test file uses a part")]

use athos::frontend::onnx::proto::*;
use prost::Message;

/// A model in the making.
pub(crate) struct Model(ModelProto);

impl Model {
    pub(crate) fn new(opset: i64) -> Self {
        Self(ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
            graph: Some(GraphProto { name: "test".into(), ..GraphProto::default() }),
        })
    }

    pub(crate) fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().unwrap()
    }

    /// An input; a length of 0 is a free one.
    pub(crate) fn input(mut self, name: &str, shape: &[i64]) -> Self {
        self.graph().input.push(value_info(name, shape));
        self
    }

    pub(crate) fn output(mut self, name: &str) -> Self {
        self.graph().output.push(value_info(name, &[]));
        self
    }

    pub(crate) fn floats(mut self, name: &str, shape: &[i64], data: &[f32]) -> Self {
        self.graph().initializer.push(tensor(name, shape, data));
        self
    }

    /// Counting numbers, scaled.
    pub(crate) fn ramp(self, name: &str, shape: &[i64], step: f32) -> Self {
        let n: i64 = shape.iter().product();
        let data: Vec<f32> = (0..n).map(|i| ((i * 7) % 11 - 5) as f32 * step).collect();
        self.floats(name, shape, &data)
    }

    pub(crate) fn ints(mut self, name: &str, data: &[i64]) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.into(),
            dims: vec![data.len() as i64],
            data_type: 7,
            int64_data: data.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn node(self, op: &str, inputs: &[&str], output: &str) -> Self {
        self.node_with(op, inputs, output, vec![])
    }

    pub(crate) fn node_with(
        mut self,
        op: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> Self {
        self.graph().node.push(NodeProto {
            input: inputs.iter().map(|s| (*s).into()).collect(),
            output: vec![output.into()],
            name: String::new(),
            op_type: op.into(),
            attribute,
            domain: String::new(),
        });
        self
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}

pub(crate) fn tensor(name: &str, shape: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: shape.to_vec(),
        data_type: 1,
        raw_data: data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

fn value_info(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = shape.iter().map(|&n| Dimension {
        value: Some(match n {
            0 => dimension::Value::DimParam("N".into()),
            n => dimension::Value::DimValue(n),
        }),
    });
    let shape = TensorShapeProto { dim: dim.collect() };
    let tensor_type = Some(TensorTypeProto { elem_type: 1, shape: Some(shape) });
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
}

pub(crate) fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: 2, ..AttributeProto::default() }
}

pub(crate) fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: 1, ..AttributeProto::default() }
}

pub(crate) fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let ints = ints.to_vec();
    AttributeProto { name: name.into(), ints, r#type: 7, ..AttributeProto::default() }
}

pub(crate) fn text(name: &str, s: &str) -> AttributeProto {
    let s = s.as_bytes().to_vec();
    AttributeProto { name: name.into(), s, r#type: 3, ..AttributeProto::default() }
}

/// A convolutional classifier with a residual block: every pass has something to do.
pub(crate) fn residual() -> Model {
    residual_in(13)
}

/// The same in another operator set.
pub(crate) fn residual_in(opset: i64) -> Model {
    Model::new(opset)
        .input("image", &[0, 2, 6, 6])
        .ramp("conv1.w", &[3, 2, 3, 3], 0.05)
        .floats("bn1.gamma", &[3], &[1.5, 0.5, 1.0])
        .floats("bn1.beta", &[3], &[0.1, -0.2, 0.3])
        .floats("bn1.mean", &[3], &[0.5, 0.0, -0.5])
        .floats("bn1.var", &[3], &[1.0, 4.0, 0.25])
        .ramp("conv2.w", &[3, 3, 3, 3], 0.04)
        .ramp("conv2.b", &[3], 0.1)
        .ramp("fc.w", &[4, 3], 0.2)
        .ramp("fc.b", &[4], 0.1)
        .ints("unused", &[1, 2, 3])
        .node_with("Conv", &["image", "conv1.w"], "conv1", vec![ints("pads", &[1, 1, 1, 1])])
        .node(
            "BatchNormalization",
            &["conv1", "bn1.gamma", "bn1.beta", "bn1.mean", "bn1.var"],
            "bn1",
        )
        .node("Relu", &["bn1"], "relu1")
        .node_with(
            "MaxPool",
            &["relu1"],
            "pool1",
            vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .node_with(
            "Conv",
            &["pool1", "conv2.w", "conv2.b"],
            "conv2",
            vec![ints("pads", &[1, 1, 1, 1])],
        )
        .node("Add", &["conv2", "pool1"], "sum")
        .node("Relu", &["sum"], "relu2")
        .node("GlobalAveragePool", &["relu2"], "mean")
        .node("Dropout", &["mean"], "dropped")
        .node("Flatten", &["dropped"], "flat")
        .node_with("Gemm", &["flat", "fc.w", "fc.b"], "logits", vec![int("transB", 1)])
        .node("Softmax", &["logits"], "probabilities")
        .output("probabilities")
}
