//! The protobuf messages of a TensorFlow GraphDef, as far as they are read.

use crate::Result;
use crate::frontend::protobuf::{self, LEAF, Level};
use std::collections::HashMap;

/// A file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GraphDef {
    /// In any order.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeDef>,
}

/// An operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct NodeDef {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The operator.
    #[prost(string, tag = "2")]
    pub op: String,
    /// `node`, `node:output` or `^node` for one that has to run before.
    #[prost(string, repeated, tag = "3")]
    pub input: Vec<String>,
    /// Parameters.
    #[prost(map = "string, message", tag = "5")]
    pub attr: HashMap<String, AttrValue>,
}

/// A parameter of an operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AttrValue {
    /// Its value.
    #[prost(oneof = "attr_value::Value", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub value: Option<attr_value::Value>,
}

/// The forms of a parameter.
pub mod attr_value {
    /// One of them.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Value {
        /// A list.
        #[prost(message, tag = "1")]
        List(super::ListValue),
        /// Bytes, mostly text.
        #[prost(bytes, tag = "2")]
        S(Vec<u8>),
        /// An integer.
        #[prost(int64, tag = "3")]
        I(i64),
        /// A float.
        #[prost(float, tag = "4")]
        F(f32),
        /// A truth value.
        #[prost(bool, tag = "5")]
        B(bool),
        /// An element type.
        #[prost(int32, tag = "6")]
        Type(i32),
        /// A shape.
        #[prost(message, tag = "7")]
        Shape(super::TensorShapeProto),
        /// A tensor.
        #[prost(message, tag = "8")]
        Tensor(super::TensorProto),
    }
}

/// A list of numbers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// Integers.
    #[prost(int64, repeated, tag = "3")]
    pub i: Vec<i64>,
    /// Floats.
    #[prost(float, repeated, tag = "4")]
    pub f: Vec<f32>,
}

/// Axes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    /// One after another.
    #[prost(message, repeated, tag = "2")]
    pub dim: Vec<Dim>,
    /// Whether even their number is open.
    #[prost(bool, tag = "3")]
    pub unknown_rank: bool,
}

/// An axis.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Dim {
    /// Its length; -1 if it is open.
    #[prost(int64, tag = "1")]
    pub size: i64,
}

/// A constant.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorProto {
    /// Element type.
    #[prost(int32, tag = "1")]
    pub dtype: i32,
    /// Its axes.
    #[prost(message, optional, tag = "2")]
    pub tensor_shape: Option<TensorShapeProto>,
    /// Little-endian bytes instead of one of the lists.
    #[prost(bytes = "vec", tag = "4")]
    pub tensor_content: Vec<u8>,
    /// 32-bit floats; a last one that is missing repeats the one before.
    #[prost(float, repeated, tag = "5")]
    pub float_val: Vec<f32>,
    /// 64-bit floats.
    #[prost(double, repeated, tag = "6")]
    pub double_val: Vec<f64>,
    /// 32-bit and smaller integers.
    #[prost(int32, repeated, tag = "7")]
    pub int_val: Vec<i32>,
    /// 64-bit integers.
    #[prost(int64, repeated, tag = "10")]
    pub int64_val: Vec<i64>,
}

const SHAPE: Level = Level(&[(2, LEAF)]);
const TENSOR: Level = Level(&[(2, SHAPE)]);
const LIST: Level = Level(&[(2, LEAF), (7, SHAPE), (8, TENSOR)]);
const VALUE: Level = Level(&[(1, LIST), (7, SHAPE), (8, TENSOR)]);
const ENTRY: Level = Level(&[(1, LEAF), (2, VALUE)]);
const NODE: Level = Level(&[(3, LEAF), (5, ENTRY)]);
const GRAPH: Level = Level(&[(1, NODE)]);

/// Bounds what decoding a file can allocate, by walking over it once.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) if it is too large, holds too many messages or is no protobuf.
pub(super) fn check_counts(bytes: &[u8]) -> Result<()> {
    protobuf::check_counts(bytes, "a TensorFlow graph", &GRAPH)
}
