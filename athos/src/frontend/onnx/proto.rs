//! The protobuf messages of ONNX, as far as they are read, and a count that bounds their size.

use crate::Result;
use crate::frontend::protobuf::{self, LEAF, Level};

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelProto {
    /// Version of the container.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// The network.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Versions of the operators.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
}

/// A version of a set of operators.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OperatorSetIdProto {
    /// Empty for the standard one.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Its version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A network.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphProto {
    /// In topological order.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Its name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Inputs.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    /// Constants in sparse form, which are not read.
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub sparse_initializer: Vec<Vec<u8>>,
}

impl GraphProto {
    pub(super) fn sparse_initializer_count(&self) -> usize {
        self.sparse_initializer.len()
    }
}

/// An operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeProto {
    /// Names of what it reads; an empty one is an optional input left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of what it defines.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Its name, perhaps empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Parameters.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// The operator's set.
    #[prost(string, tag = "7")]
    pub domain: String,
}

impl NodeProto {
    /// The node's name, or else that of its first output, or else its operator.
    pub fn title(&self) -> &str {
        let names = [Some(&self.name), self.output.first(), Some(&self.op_type)];
        names.into_iter().flatten().find(|name| !name.is_empty()).map_or("a node", |name| name)
    }
}

/// A parameter of an operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttributeProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// A float.
    #[prost(float, tag = "2")]
    pub f: f32,
    /// An integer.
    #[prost(int64, tag = "3")]
    pub i: i64,
    /// A string.
    #[prost(bytes = "vec", tag = "4")]
    pub s: Vec<u8>,
    /// A tensor.
    #[prost(message, optional, tag = "5")]
    pub t: Option<TensorProto>,
    /// Floats.
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    /// Integers.
    #[prost(int64, repeated, tag = "8")]
    pub ints: Vec<i64>,
    /// Which of them; 0 in very old files.
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

/// A constant.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// Its axes.
    #[prost(int64, repeated, tag = "1")]
    pub dims: Vec<i64>,
    /// Element type.
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// 32-bit floats.
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    /// 32-bit and smaller integers.
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    /// 64-bit integers.
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    /// Its name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little-endian bytes instead of one of the lists.
    #[prost(bytes = "vec", tag = "9")]
    pub raw_data: Vec<u8>,
    /// 64-bit floats.
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    /// Where the data is if it is elsewhere.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// 1 for elsewhere.
    #[prost(int32, tag = "14")]
    pub data_location: i32,
}

/// A named text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StringStringEntryProto {
    /// The name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// The text.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A declared input or output.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ValueInfoProto {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

impl ValueInfoProto {
    /// The type, if it is a tensor.
    pub fn tensor_type(&self) -> Option<&TensorTypeProto> {
        self.r#type.as_ref()?.tensor_type.as_ref()
    }
}

/// A type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    /// Of a tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// The type of a tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorTypeProto {
    /// Element type.
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Its axes, if known.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// Axes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    /// One after another.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dimension>,
}

/// An axis.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dimension {
    /// Fixed, named or unknown.
    #[prost(oneof = "dimension::Value", tags = "1, 2")]
    pub value: Option<dimension::Value>,
}

/// The forms of an axis.
pub mod dimension {
    /// Fixed or named.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Value {
        /// A length.
        #[prost(int64, tag = "1")]
        DimValue(i64),
        /// A name, such as that of the batch.
        #[prost(string, tag = "2")]
        DimParam(String),
    }
}

const TENSOR: Level = Level(&[(13, Level(&[(1, LEAF), (2, LEAF)]))]);
const ATTRIBUTE: Level = Level(&[(5, TENSOR)]);
const NODE: Level = Level(&[(1, LEAF), (2, LEAF), (5, ATTRIBUTE)]);
const SHAPE: Level = Level(&[(1, LEAF)]);
const VALUE_INFO: Level = Level(&[(2, Level(&[(1, Level(&[(2, SHAPE)]))]))]);
const GRAPH: Level =
    Level(&[(1, NODE), (5, TENSOR), (11, VALUE_INFO), (12, VALUE_INFO), (15, LEAF)]);
const MODEL: Level = Level(&[(7, GRAPH), (8, LEAF)]);

/// Bounds what decoding a file can allocate, by walking over it once.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) if it is too large, holds too many messages or is no protobuf.
pub(super) fn check_counts(bytes: &[u8]) -> Result<()> {
    protobuf::check_counts(bytes, "an ONNX model", &MODEL)
}
