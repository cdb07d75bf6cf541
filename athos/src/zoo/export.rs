//! A float graph as an ONNX file (opset 13), for other programs to read.

use crate::error::UnsupportedNode;
use crate::frontend::onnx::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, dimension,
};
use crate::hlil::{Graph, Node, Op};
use crate::{Error, Result};
use prost::Message;
use sci_core::geometry::Window;
use std::collections::HashSet;

const OPSET: i64 = 13;
const IR_VERSION: i64 = 8;
/// Element types of tensors.
const FLOAT: i32 = 1;
const INT64: i32 = 7;
/// Types of attributes.
const ATTRIBUTE_FLOAT: i32 = 1;
const ATTRIBUTE_INT: i32 = 2;
const ATTRIBUTE_INTS: i32 = 7;

/// The bytes of an ONNX file that computes what the graph computes.
///
/// # Errors
/// [`Error::Unsupported`] naming the first operation that is not written, [`Error::Misuse`] for a
/// graph without output.
pub fn to_onnx(graph: &Graph, name: &str) -> Result<Vec<u8>> {
    let mut file = File { names: names(graph), graph: GraphProto::default() };
    file.graph.name = name.to_owned();
    for (i, node) in graph.nodes().iter().enumerate() {
        file.node(i, node)?;
    }
    let output = graph.output()?;
    let shape = &graph.node(output)?.shape;
    file.graph.output.push(value_info(&file.names[output.index()], shape));
    let opset = OperatorSetIdProto { domain: String::new(), version: OPSET };
    let model =
        ModelProto { ir_version: IR_VERSION, graph: Some(file.graph), opset_import: vec![opset] };
    Ok(model.encode_to_vec())
}

/// The nodes' names, made unique.
fn names(graph: &Graph) -> Vec<String> {
    let mut seen = HashSet::new();
    let unique = |(i, node): (usize, &Node)| match seen.insert(node.name.clone()) {
        true => node.name.clone(),
        false => format!("{}.{i}", node.name),
    };
    graph.nodes().iter().enumerate().map(unique).collect()
}

struct File {
    names: Vec<String>,
    graph: GraphProto,
}

impl File {
    fn node(&mut self, i: usize, node: &Node) -> Result<()> {
        let name = self.names[i].clone();
        let mut inputs: Vec<String> =
            node.inputs.iter().map(|id| self.names[id.index()].clone()).collect();
        let axes = node.shape.len().saturating_sub(2);
        let (op_type, attribute) = match &node.op {
            Op::Input { shape } => {
                self.graph.input.push(value_info(&name, shape));
                return Ok(());
            }
            Op::Constant(tensor) => {
                self.graph.initializer.push(TensorProto {
                    name,
                    dims: signed(tensor.shape()),
                    data_type: FLOAT,
                    raw_data: tensor.data().iter().flat_map(|v| v.to_le_bytes()).collect(),
                    ..TensorProto::default()
                });
                return Ok(());
            }
            Op::Conv { geometry } => {
                let mut attributes = window(geometry.window(), axes);
                attributes.push(ints("dilations", tail(&geometry.window().dilation, axes)));
                attributes.push(int("group", geometry.groups() as i64));
                ("Conv", attributes)
            }
            Op::Linear { .. } if node.shape.len() == 2 => ("Gemm", vec![int("transB", 1)]),
            Op::BatchNorm { epsilon } => {
                let epsilon = AttributeProto {
                    name: "epsilon".into(),
                    f: *epsilon,
                    r#type: ATTRIBUTE_FLOAT,
                    ..AttributeProto::default()
                };
                ("BatchNormalization", vec![epsilon])
            }
            Op::MaxPool { geometry } => {
                let mut attributes = window(geometry.window(), axes);
                attributes.push(ints("dilations", tail(&geometry.window().dilation, axes)));
                ("MaxPool", attributes)
            }
            Op::AvgPool { geometry } if geometry.window().dilation == [1; 3] => {
                let mut attributes = window(geometry.window(), axes);
                let include = geometry.spec().count_include_pad;
                attributes.push(int("count_include_pad", include.into()));
                ("AveragePool", attributes)
            }
            Op::Reshape { shape } => {
                inputs.push(self.integers(&format!("{name}.shape"), signed(shape)));
                ("Reshape", vec![])
            }
            Op::Pad { before, after } => {
                let pads = [signed(before), signed(after)].concat();
                inputs.push(self.integers(&format!("{name}.pads"), pads));
                ("Pad", vec![])
            }
            Op::Slice { start, step, shape } => {
                let end = start.iter().zip(step).zip(shape);
                let end = end.map(|((start, step), len)| (start + (len - 1) * step + 1) as i64);
                let axes = (0..start.len() as i64).collect();
                for (part, numbers) in [
                    ("starts", signed(start)),
                    ("ends", end.collect()),
                    ("axes", axes),
                    ("steps", signed(step)),
                ] {
                    inputs.push(self.integers(&format!("{name}.{part}"), numbers));
                }
                ("Slice", vec![])
            }
            Op::Transpose { permutation } => ("Transpose", vec![ints("perm", signed(permutation))]),
            Op::MulPublic { factor } => {
                let factor_name = format!("{name}.factor");
                self.graph.initializer.push(TensorProto {
                    name: factor_name.clone(),
                    data_type: FLOAT,
                    raw_data: factor.to_le_bytes().to_vec(),
                    ..TensorProto::default()
                });
                inputs.push(factor_name);
                ("Mul", vec![])
            }
            Op::Concat { axis } => ("Concat", vec![int("axis", *axis as i64)]),
            Op::Softmax { axis } => ("Softmax", vec![int("axis", *axis as i64)]),
            Op::LogSoftmax { axis } => ("LogSoftmax", vec![int("axis", *axis as i64)]),
            Op::ArgMax { axis } => ("ArgMax", vec![int("axis", *axis as i64), int("keepdims", 0)]),
            op @ (Op::Add | Op::Sub | Op::Mul | Op::Relu) => (op.name(), vec![]),
            op => {
                return Err(Error::Unsupported(vec![UnsupportedNode {
                    node: name,
                    op: op.name().to_owned(),
                    nearest: "not written to ONNX files".to_owned(),
                }]));
            }
        };
        self.graph.node.push(NodeProto {
            input: inputs,
            output: vec![name.clone()],
            name,
            op_type: op_type.into(),
            attribute,
            ..NodeProto::default()
        });
        Ok(())
    }

    /// An operand that is a list of integers.
    fn integers(&mut self, name: &str, numbers: Vec<i64>) -> String {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: vec![numbers.len() as i64],
            data_type: INT64,
            raw_data: numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ..TensorProto::default()
        });
        name.to_owned()
    }
}

fn signed(numbers: &[usize]) -> Vec<i64> {
    numbers.iter().map(|&n| n as i64).collect()
}

/// The last of the three spatial axes.
fn tail(axes: &[usize; 3], count: usize) -> Vec<i64> {
    signed(axes.get(3 - count.min(3)..).unwrap_or_default())
}

/// What convolutions and pools share.
fn window(window: &Window, axes: usize) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", tail(&window.kernel, axes)),
        ints("strides", tail(&window.stride, axes)),
        ints("pads", [tail(&window.pad_before, axes), tail(&window.pad_after, axes)].concat()),
    ]
}

fn int(name: &str, i: i64) -> AttributeProto {
    let name = name.to_owned();
    AttributeProto { name, i, r#type: ATTRIBUTE_INT, ..AttributeProto::default() }
}

fn ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    let name = name.to_owned();
    AttributeProto { name, ints, r#type: ATTRIBUTE_INTS, ..AttributeProto::default() }
}

fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let axis = |&n: &usize| Dimension { value: Some(dimension::Value::DimValue(n as i64)) };
    let shape = TensorShapeProto { dim: shape.iter().map(axis).collect() };
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape: Some(shape) });
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }
}
