//! What a reader of an operator sees of the model.

use super::attributes::Attributes;
use super::ops::Entry;
use super::proto::{NodeProto, TensorProto};
use super::tensor::{self, Data};
use super::{Importer, Value};
use crate::hlil::{Graph, Op, Tensor, ValueId};
use crate::{Error, Result};

/// Why a node was not read.
#[derive(Debug)]
pub(super) enum Failure {
    /// A form that cannot be compiled: the nearest one that can.
    Unsupported(String),
    /// The file is wrong.
    Error(Error),
}

impl Failure {
    pub(super) fn unsupported(nearest: impl Into<String>) -> Self {
        Self::Unsupported(nearest.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<sci_core::Error> for Failure {
    fn from(error: sci_core::Error) -> Self {
        Self::Error(error.into())
    }
}

/// The result of a reader.
pub(super) type Read<T> = Result<T, Failure>;

/// A node being read.
pub(super) struct Call<'a, 'b> {
    importer: &'b mut Importer<'a>,
    node: &'a NodeProto,
    /// What the outputs after the first stand for.
    pub(super) further: Vec<Value<'a>>,
}

impl<'a, 'b> Call<'a, 'b> {
    pub(super) fn new(importer: &'b mut Importer<'a>, node: &'a NodeProto) -> Self {
        Self { importer, node, further: Vec::new() }
    }

    pub(super) fn read(&mut self, entry: &Entry) -> Read<Value<'a>> {
        let attributes = Attributes::of(self.node)?;
        if let Some(unknown) = attributes.unknown(entry.attributes) {
            return Err(Failure::unsupported(format!("without the attribute {unknown}")));
        }
        (entry.read)(self, attributes)
    }

    pub(super) fn opset(&self) -> i64 {
        self.importer.opset
    }

    pub(super) fn output_count(&self) -> usize {
        self.node.output.len()
    }

    /// Whether an output after the first has a name.
    pub(super) fn has_further_outputs(&self) -> bool {
        self.node.output.iter().skip(1).any(|name| !name.is_empty())
    }

    /// The graph, for operators that are made of several nodes.
    pub(super) fn graph(&mut self) -> &mut Graph {
        &mut self.importer.graph
    }

    pub(super) fn input_count(&self) -> usize {
        self.node.input.len()
    }

    /// Whether an optional input is given.
    pub(super) fn has(&self, i: usize) -> bool {
        self.node.input.get(i).is_some_and(|name| !name.is_empty())
    }

    fn name(&self, i: usize) -> Result<&'a str> {
        let name = self.node.input.get(i).filter(|name| !name.is_empty());
        name.map(String::as_str)
            .ok_or_else(|| Error::invalid(format!("input {i}"), "a name", "nothing"))
    }

    /// What an input stands for, initialisers decoded.
    pub(super) fn value(&mut self, i: usize) -> Read<Value<'a>> {
        let name = self.name(i)?;
        let value = self.importer.values.get(name).cloned();
        let value = value.ok_or_else(|| Error::invalid(name, "a definition", "none"))?;
        let Value::Initialiser(proto) = value else { return Ok(value) };
        let value = self.constant_value(proto, name)?;
        self.importer.values.insert(name, value.clone());
        Ok(value)
    }

    /// A constant of the file as a value.
    pub(super) fn constant_value(&mut self, proto: &TensorProto, name: &str) -> Read<Value<'a>> {
        let loaded = self.importer.folder.load(proto, name)?;
        Ok(match tensor::read(loaded.as_ref().unwrap_or(proto), name)? {
            Data::Floats(tensor) => Value::Node(self.push_as(name, Op::Constant(tensor), &[])?),
            Data::Ints { shape, data } => Value::Ints { shape, data },
        })
    }

    /// An input that is a float tensor.
    pub(super) fn float(&mut self, i: usize) -> Read<ValueId> {
        match self.value(i)? {
            Value::Node(id) => Ok(id),
            _ => {
                let what = format!("input {}", self.name(i)?);
                Err(Error::invalid(what, "floats", "integers").into())
            }
        }
    }

    /// An input that must be known while compiling: weights. `what` says what it is.
    pub(super) fn constant(&mut self, i: usize, what: &str) -> Read<(String, Tensor)> {
        let id = self.float(i)?;
        let name = self.importer.graph.node(id)?.name.clone();
        match self.importer.graph.constant(id) {
            Some(tensor) => Ok((name, tensor.clone())),
            None => Err(Failure::unsupported(format!("with constant {what}"))),
        }
    }

    /// An input that is a list of integers.
    pub(super) fn ints(&mut self, i: usize) -> Read<Vec<i64>> {
        match self.value(i)? {
            Value::Ints { data, .. } => Ok(data),
            Value::Node(_) => {
                let what = format!("input {}", self.name(i)?);
                Err(Error::invalid(what, "integers", "floats").into())
            }
            _ => Err(Failure::unsupported("with constant integers")),
        }
    }

    pub(super) fn shape(&self, id: ValueId) -> Result<Vec<usize>> {
        Ok(self.importer.graph.node(id)?.shape.clone())
    }

    pub(super) fn is_constant(&self, id: ValueId) -> bool {
        self.importer.graph.constant(id).is_some()
    }

    /// Appends an operation named after this node.
    pub(super) fn push(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        self.push_as(self.node.title(), op, inputs)
    }

    /// Appends an operation of another name.
    pub(super) fn push_as(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        self.importer.graph.push(name, op, inputs)
    }

    /// Appends a constant.
    pub(super) fn push_constant(&mut self, name: &str, tensor: Tensor) -> Result<ValueId> {
        self.push_as(name, Op::Constant(tensor), &[])
    }

    /// The node's own name, for constants made of its attributes.
    pub(super) fn title(&self) -> &'a str {
        self.node.title()
    }
}

/// An axis counted from the front, or from the back if negative.
pub(super) fn axis(value: i64, rank: usize) -> Result<usize> {
    let rank_signed = rank as i64;
    let axis = if value < 0 { value.saturating_add(rank_signed) } else { value };
    usize::try_from(axis).ok().filter(|&axis| axis < rank).ok_or_else(|| {
        Error::invalid("axis", format_args!("{}..{rank_signed}", -rank_signed), value)
    })
}
