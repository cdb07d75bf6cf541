//! Frozen TensorFlow graphs (`.pb`, a serialised GraphDef), as the networks of the CrypTFlow papers use
//! them.
//!
//! TensorFlow keeps channels last (NHWC), this compiler keeps them first. A value of the graph is
//! remembered in the order in which it was made, and turned only where an operator needs the other one,
//! so that a chain of convolutions holds no transposition. **The input of a network with spatial axes is
//! taken with channels first**, as everywhere in this project, and its output is given in
//! TensorFlow's order.
//!
//! The file is hostile until read: the protobuf is counted before it is decoded, names must be unique
//! and defined, cycles are found before anything is read, every size is checked against the data that
//! is there. Nodes that cannot be read do not stop the reader: all of them that the output needs are
//! reported together.

mod attributes;
mod call;
mod ops;
mod order;
pub mod proto;
mod tensor;

use crate::hlil::{Graph, Op, ValueId};
use crate::{Error, Result, error::UnsupportedNode};
use attributes::Attributes;
use call::{Call, Failure};
use order::Order;
use prost::Message;
use proto::{GraphDef, NodeDef};
use std::collections::HashMap;

/// The operators that can be read.
pub fn operators() -> impl Iterator<Item = &'static str> {
    ops::REGISTRY.iter().map(|entry| entry.0)
}

/// A value of the graph and the order of its axes.
#[derive(Clone, Copy, Debug)]
struct Held {
    id: ValueId,
    /// Whether the last axis of TensorFlow comes second here.
    first: bool,
}

/// What the result of a node stands for.
#[derive(Clone, Debug)]
enum Value {
    Node(Held),
    /// Integers that are known while reading: shapes, axes.
    Ints {
        shape: Vec<usize>,
        data: Vec<i64>,
    },
    /// The result of a node that could not be read.
    Unavailable,
}

/// Reads a graph.
///
/// `input_shape` replaces the declared shape of the placeholder (in TensorFlow's order), which it must
/// fit where that is fixed; a batch dimension that is not fixed is 1. `output` names the node whose
/// value is wanted; without it the graph must have one that nothing else reads.
///
/// # Errors
/// [`Error::Invalid`] for a file that is no valid graph, [`Error::Unsupported`] with all nodes that
/// cannot be read.
pub fn read(bytes: &[u8], input_shape: Option<&[usize]>, output: Option<&str>) -> Result<Graph> {
    proto::check_counts(bytes)?;
    let file = GraphDef::decode(bytes)
        .map_err(|e| Error::invalid("model file", "a TensorFlow graph", e))?;
    let order = Order::of(&file.node)?;
    let output = match output {
        Some(name) => order.find(name)?,
        None => order.only_sink(&file.node)?,
    };
    let mut importer = Importer {
        graph: Graph::default(),
        values: HashMap::new(),
        unsupported: Vec::new(),
        input_shape,
    };
    let needed = order.needed_for(output);
    importer.read_input(needed.iter().filter_map(|&i| file.node.get(i)))?;
    for node in needed.iter().filter_map(|&i| file.node.get(i)) {
        importer.read_node(node)?;
    }
    let output = file.node.get(output).map_or("", |node| &node.name);
    importer.finish(output)
}

struct Importer<'a> {
    graph: Graph,
    /// By node and number of the output.
    values: HashMap<(&'a str, usize), Value>,
    unsupported: Vec<UnsupportedNode>,
    input_shape: Option<&'a [usize]>,
}

/// The node and output that an input names; `None` for one that only has to run before.
fn reference(input: &str) -> Option<(&str, usize)> {
    if input.starts_with('^') {
        return None;
    }
    match input.rsplit_once(':') {
        Some((name, output)) => Some(output.parse().map_or((input, 0), |output| (name, output))),
        None => Some((input, 0)),
    }
}

impl<'a> Importer<'a> {
    /// The placeholder comes first, wherever it stands in the file.
    fn read_input(&mut self, nodes: impl Iterator<Item = &'a NodeDef>) -> Result<()> {
        let inputs: Vec<&NodeDef> =
            nodes.filter(|node| node.op.starts_with("Placeholder")).collect();
        let &[node] = inputs.as_slice() else {
            return Err(Error::invalid("placeholders", 1, inputs.len()));
        };
        let attributes = Attributes(node);
        let place = |what: &str| format!("input {}: {what}", node.name);
        if !matches!(attributes.element_type("dtype")?, tensor::FLOAT | tensor::DOUBLE) {
            return Err(Error::invalid(place("type"), "32-bit floats", "another element type"));
        }
        let declared = attributes.shape("shape")?.filter(|shape| !shape.unknown_rank);
        let shape = match (declared, self.input_shape) {
            (None, Some(wanted)) => wanted.to_vec(),
            (None, None) => {
                let expected = "a shape, or one given with the options";
                return Err(Error::invalid(place("shape"), expected, "neither"));
            }
            (Some(declared), wanted) => {
                let axes: Vec<i64> = declared.dim.iter().map(|dim| dim.size).collect();
                fitted(&axes, wanted, place)?
            }
        };
        let first = shape.len() > 2;
        let shape = if first { call::channels_first(&shape) } else { shape };
        let id = self.graph.push(&node.name, Op::Input { shape }, &[])?;
        self.values.insert((&node.name, 0), Value::Node(Held { id, first }));
        Ok(())
    }

    fn read_node(&mut self, node: &'a NodeDef) -> Result<()> {
        if self.values.contains_key(&(node.name.as_str(), 0)) {
            return Ok(());
        }
        let entry = ops::REGISTRY.iter().find(|(name, _)| *name == node.op);
        let inputs: Vec<(&'a str, usize)> =
            node.input.iter().filter_map(|input| reference(input)).collect();
        let blocked = inputs.iter().any(|x| matches!(self.values.get(x), Some(Value::Unavailable)));
        let outcome = match entry {
            None => Err(Failure::unsupported(ops::nearest(&node.op))),
            Some(_) if blocked => Ok(vec![Value::Unavailable]),
            Some((_, read)) => {
                let mut call = Call { importer: self, node, inputs };
                read(&mut call, Attributes(node))
            }
        };
        let values = match outcome {
            Ok(values) => values,
            Err(Failure::Unsupported(nearest)) => {
                let (node, op) = (node.name.clone(), node.op.clone());
                self.unsupported.push(UnsupportedNode { node, op, nearest });
                vec![Value::Unavailable]
            }
            Err(Failure::Error(error)) => return Err(error.at(&node.name)),
        };
        for (i, value) in values.into_iter().enumerate() {
            self.values.insert((&node.name, i), value);
        }
        Ok(())
    }

    fn finish(mut self, output: &str) -> Result<Graph> {
        if !self.unsupported.is_empty() {
            return Err(Error::Unsupported(self.unsupported));
        }
        let Some(Value::Node(held)) = self.values.get(&(output, 0)).cloned() else {
            return Err(Error::invalid(output, "a tensor computed from the input", "a constant"));
        };
        let id = call::channels_last(&mut self.graph, output, held)?;
        self.graph.set_output(id);
        self.graph.check()?;
        Ok(self.graph)
    }
}

/// The declared axes with the open ones filled in.
fn fitted(
    declared: &[i64],
    wanted: Option<&[usize]>,
    place: impl Fn(&str) -> String,
) -> Result<Vec<usize>> {
    if let Some(wanted) = wanted.filter(|wanted| wanted.len() != declared.len()) {
        return Err(Error::invalid(place("rank"), declared.len(), wanted.len()));
    }
    let axis = |(i, &declared): (usize, &i64)| {
        let fixed = usize::try_from(declared).ok();
        let wanted = wanted.and_then(|wanted| wanted.get(i)).copied();
        match (fixed, wanted) {
            (Some(fixed), Some(wanted)) if fixed != wanted => {
                Err(Error::invalid(place(&format!("axis {i}")), fixed, wanted))
            }
            (_, Some(n)) | (Some(n), None) => Ok(n),
            (None, None) if i == 0 => Ok(1),
            (None, None) => {
                let expected = "a fixed length, or an input shape given with the options";
                Err(Error::invalid(place(&format!("axis {i}")), expected, "neither"))
            }
        }
    };
    declared.iter().enumerate().map(axis).collect()
}
