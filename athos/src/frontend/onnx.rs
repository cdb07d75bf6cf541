//! ONNX files, operator set 7 and later.
//!
//! The file is hostile until read: the protobuf is counted before it is decoded, every name must be
//! defined before it is used (so there are no cycles), every size is checked against the data that
//! is there, and nothing is opened but files below a folder that the caller names. Nodes that cannot
//! be read do not stop the reader: all of them are reported together.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attributes;
mod call;
mod external;
mod ops;
pub mod proto;
mod tensor;

use crate::hlil::{Graph, Op, ValueId};
use crate::{Error, Result, error::UnsupportedNode};
use call::{Call, Failure};
use external::Folder;
use prost::Message;
use proto::{GraphProto, ModelProto, NodeProto, TensorProto, dimension::Value as Dimension};
use std::collections::HashMap;
use std::path::Path;

/// Operator sets whose meaning this reader knows.
pub const OPSETS: std::ops::RangeInclusive<i64> = 7..=28;

/// The operators that can be read.
pub fn operators() -> impl Iterator<Item = &'static str> {
    ops::REGISTRY.iter().map(|entry| entry.name)
}

/// What a name stands for.
#[derive(Clone, Debug)]
enum Value<'a> {
    /// A value of the graph.
    Node(ValueId),
    /// An initialiser that nothing has read yet.
    Initialiser(&'a TensorProto),
    /// Integers: shapes, axes, counts. They are known while reading and no part of the graph.
    Ints { shape: Vec<usize>, data: Vec<i64> },
    /// The result of a node that could not be read.
    Unavailable,
}

/// Reads a model.
///
/// `input_shape` replaces the declared shape of the input, which it must fit where that is fixed. A
/// batch dimension that is not fixed is 1.
///
/// # Errors
/// [`Error::Invalid`] for a file that is no valid model, [`Error::Unsupported`] with all nodes that
/// cannot be read.
pub fn read(bytes: &[u8], input_shape: Option<&[usize]>) -> Result<Graph> {
    read_in(bytes, input_shape, None)
}

/// [`read`] for a model that keeps constants in files below a folder, mostly that of the model itself.
///
/// # Errors
/// As [`read`]; [`Error::Invalid`] for data that is not there or a path that leaves the folder.
pub fn read_in(
    bytes: &[u8],
    input_shape: Option<&[usize]>,
    folder: Option<&Path>,
) -> Result<Graph> {
    proto::check_counts(bytes)?;
    let model =
        ModelProto::decode(bytes).map_err(|e| Error::invalid("model file", "an ONNX model", e))?;
    let opset = opset(&model)?;
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| Error::invalid("model file", "a graph", "none"))?;
    Importer::new(graph, opset, folder)?.run(graph, input_shape)
}

fn opset(model: &ModelProto) -> Result<i64> {
    let main = |domain: &str| matches!(domain, "" | "ai.onnx");
    let versions = model.opset_import.iter().filter(|x| main(&x.domain)).map(|x| x.version);
    let version = versions.max();
    version.filter(|v| OPSETS.contains(v)).ok_or_else(|| {
        let expected = format!("{}..={}", OPSETS.start(), OPSETS.end());
        let got = version.map_or("none".to_owned(), |v| v.to_string());
        Error::invalid("operator set of the model", expected, got)
    })
}

struct Importer<'a> {
    folder: Folder<'a>,
    opset: i64,
    graph: Graph,
    values: HashMap<&'a str, Value<'a>>,
    unsupported: Vec<UnsupportedNode>,
}

impl<'a> Importer<'a> {
    fn new(graph: &'a GraphProto, opset: i64, folder: Option<&'a Path>) -> Result<Self> {
        let mut importer = Self {
            folder: Folder::new(folder),
            opset,
            graph: Graph::default(),
            values: HashMap::new(),
            unsupported: Vec::new(),
        };
        if graph.sparse_initializer_count() > 0 {
            return Err(Error::invalid("initialisers", "dense tensors", "sparse ones"));
        }
        for tensor in &graph.initializer {
            importer.define(&tensor.name, Value::Initialiser(tensor))?;
        }
        Ok(importer)
    }

    fn define(&mut self, name: &'a str, value: Value<'a>) -> Result<()> {
        if self.values.insert(name, value).is_some() {
            return Err(Error::invalid(name, "one definition", "another"));
        }
        Ok(())
    }

    fn run(mut self, graph: &'a GraphProto, input_shape: Option<&[usize]>) -> Result<Graph> {
        self.read_input(graph, input_shape)?;
        for node in &graph.node {
            self.read_node(node)?;
        }
        if !self.unsupported.is_empty() {
            return Err(Error::Unsupported(self.unsupported));
        }
        let [output] = graph.output.as_slice() else {
            return Err(Error::invalid("outputs of the model", 1, graph.output.len()));
        };
        let id = match self.values.get(output.name.as_str()) {
            Some(Value::Node(id)) => *id,
            Some(_) => {
                return Err(Error::invalid(
                    &*output.name,
                    "a tensor computed from the input",
                    "a constant",
                ));
            }
            None => return Err(Error::invalid(&*output.name, "a node that defines it", "none")),
        };
        self.graph.set_output(id);
        self.graph.check()?;
        Ok(self.graph)
    }

    fn read_input(&mut self, graph: &'a GraphProto, wanted: Option<&[usize]>) -> Result<()> {
        // Before IR version 4 initialisers are declared as inputs too.
        let mut inputs = graph.input.iter().filter(|x| !self.values.contains_key(&*x.name));
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            let n = graph.input.iter().filter(|x| !self.values.contains_key(&*x.name)).count();
            return Err(Error::invalid("inputs of the model", 1, n));
        };
        let declared = input.tensor_type().ok_or_else(|| {
            Error::invalid(&*input.name, "a tensor with a declared shape", "something else")
        })?;
        if !matches!(declared.elem_type, tensor::FLOAT | tensor::DOUBLE) {
            return Err(Error::invalid(&*input.name, "32-bit floats", "another element type"));
        }
        let dimensions = declared.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
        let place = |what: &str| format!("input {}: {what}", input.name);
        if let Some(wanted) = wanted
            && !dimensions.is_empty()
            && wanted.len() != dimensions.len()
        {
            return Err(Error::invalid(place("rank"), dimensions.len(), wanted.len()));
        }
        let mut shape = wanted.map_or(vec![0; dimensions.len()], <[usize]>::to_vec);
        for (i, (n, dimension)) in shape.iter_mut().zip(dimensions).enumerate() {
            let fixed = match &dimension.value {
                Some(Dimension::DimValue(v)) if *v > 0 => Some(
                    usize::try_from(*v).map_err(|_| Error::invalid(place("axis"), "less", v))?,
                ),
                Some(Dimension::DimValue(v)) if *v < 0 => {
                    return Err(Error::invalid(place("axis"), "a positive number", v));
                }
                _ => None,
            };
            match (wanted.is_some(), fixed) {
                (true, Some(fixed)) if fixed != *n => {
                    return Err(Error::invalid(place(&format!("axis {i}")), fixed, *n));
                }
                (true, _) => {}
                (false, Some(fixed)) => *n = fixed,
                (false, None) if i == 0 => *n = 1,
                (false, None) => {
                    let expected = "a fixed length, or an input shape given with the options";
                    return Err(Error::invalid(place(&format!("axis {i}")), expected, "neither"));
                }
            }
        }
        let id = self.graph.push(&input.name, Op::Input { shape }, &[])?;
        self.define(&input.name, Value::Node(id))
    }

    fn read_node(&mut self, node: &'a NodeProto) -> Result<()> {
        let entry = matches!(node.domain.as_str(), "" | "ai.onnx")
            .then(|| ops::REGISTRY.iter().find(|entry| entry.name == node.op_type))
            .flatten();
        let unavailable =
            |name: &String| matches!(self.values.get(name.as_str()), Some(Value::Unavailable));
        let blocked = node.input.iter().any(unavailable);
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            if !self.values.contains_key(name.as_str()) {
                return Err(Error::invalid(
                    format!("{}: input {name}", node.title()),
                    "something defined before",
                    "a name that is not (a dangling name or a cycle)",
                ));
            }
        }
        let mut further = Vec::new();
        let outcome = match entry {
            None => Err(Failure::unsupported(ops::nearest(&node.op_type))),
            Some(_) if blocked => Ok(Value::Unavailable),
            Some(entry) => {
                let mut call = Call::new(self, node);
                let outcome = call.read(entry);
                further = call.further;
                outcome
            }
        };
        let value = match outcome {
            Ok(value) => value,
            Err(Failure::Unsupported(nearest)) => {
                self.unsupported.push(UnsupportedNode {
                    node: node.title().to_owned(),
                    op: node.op_type.clone(),
                    nearest,
                });
                Value::Unavailable
            }
            Err(Failure::Error(error)) => return Err(error.at(node.title())),
        };
        // Outputs that no reader speaks of (a dropout's mask, statistics of training) exist in name
        // alone: whoever reads one is told so.
        let mut further = further.into_iter();
        for (i, name) in node.output.iter().enumerate() {
            let value = if i == 0 { Some(value.clone()) } else { further.next() };
            match value {
                _ if name.is_empty() => {}
                Some(value) => self.define(name, value)?,
                None => drop(self.values.entry(name).or_insert(Value::Unavailable)),
            }
        }
        Ok(())
    }
}
