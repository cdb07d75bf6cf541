//! What a reader of an operator sees of the graph.

use super::proto::NodeDef;
use super::{Held, Importer, Value};
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

/// The result of a reader: the node's outputs, or a part of that.
pub(super) type Read<T = Vec<Value>> = Result<T, Failure>;

/// A node being read.
pub(super) struct Call<'a, 'b> {
    pub(super) importer: &'b mut Importer<'a>,
    pub(super) node: &'a NodeDef,
    /// Inputs that are values.
    pub(super) inputs: Vec<(&'a str, usize)>,
}

/// The last axis put second.
pub(super) fn channels_first(shape: &[usize]) -> Vec<usize> {
    match shape {
        [batch, axes @ .., channels] => [&[*batch, *channels], axes].concat(),
        shape => shape.to_vec(),
    }
}

/// The second axis put last.
fn channels_last_shape(shape: &[usize]) -> Vec<usize> {
    match shape {
        [batch, channels, axes @ ..] => [&[*batch], axes, &[*channels]].concat(),
        shape => shape.to_vec(),
    }
}

/// A value in TensorFlow's order.
pub(super) fn channels_last(graph: &mut Graph, name: &str, x: Held) -> Result<ValueId> {
    let rank = graph.node(x.id)?.shape.len();
    if !x.first || rank < 3 {
        return Ok(x.id);
    }
    let permutation = channels_last_shape(&(0..rank).collect::<Vec<usize>>());
    graph.push(name, Op::Transpose { permutation }, &[x.id])
}

impl<'a> Call<'a, '_> {
    pub(super) fn name(&self) -> &'a str {
        &self.node.name
    }

    pub(super) fn graph(&mut self) -> &mut Graph {
        &mut self.importer.graph
    }

    /// What an input stands for.
    pub(super) fn value(&self, i: usize) -> Read<Value> {
        let missing = || Error::invalid(format!("input {i}"), "a value", "none");
        let name = self.inputs.get(i).ok_or_else(missing)?;
        match self.importer.values.get(name) {
            Some(value) => Ok(value.clone()),
            None => Err(Failure::unsupported(format!("without output {} of {}", name.1, name.0))),
        }
    }

    /// An input that is a tensor, in whatever order.
    pub(super) fn held(&self, i: usize) -> Read<Held> {
        match self.value(i)? {
            Value::Node(held) => Ok(held),
            _ => Err(Error::invalid(format!("input {i}"), "floats", "integers").into()),
        }
    }

    /// An input in TensorFlow's order.
    pub(super) fn plain(&mut self, i: usize) -> Read<ValueId> {
        let (held, name) = (self.held(i)?, self.name());
        Ok(channels_last(self.graph(), name, held)?)
    }

    /// An input with channels first; `last` says where the operator has them.
    pub(super) fn image(&mut self, i: usize, last: bool) -> Read<ValueId> {
        let held = self.held(i)?;
        if !last {
            return self.plain(i);
        }
        let rank = self.importer.graph.node(held.id)?.shape.len();
        if held.first || rank < 3 {
            return Ok(held.id);
        }
        let permutation = channels_first(&(0..rank).collect::<Vec<usize>>());
        Ok(self.push(Op::Transpose { permutation }, &[held.id])?)
    }

    /// The shape of a value.
    pub(super) fn shape(&self, id: ValueId) -> Result<Vec<usize>> {
        Ok(self.importer.graph.node(id)?.shape.clone())
    }

    /// The shape of an input in TensorFlow's order.
    pub(super) fn shape_of(&self, i: usize) -> Read<Vec<usize>> {
        Ok(match self.value(i)? {
            Value::Node(Held { id, first }) => {
                let shape = self.shape(id)?;
                if first { channels_last_shape(&shape) } else { shape }
            }
            Value::Ints { shape, .. } => shape,
            Value::Unavailable => Vec::new(),
        })
    }

    /// The constant that a value is.
    pub(super) fn known(&self, held: Held) -> Option<&Tensor> {
        self.importer.graph.constant(held.id)
    }

    /// An input that must be known while compiling. `what` says what it is.
    pub(super) fn constant(&self, i: usize, what: &str) -> Read<Tensor> {
        let known = self.known(self.held(i)?).cloned();
        known.ok_or_else(|| Failure::unsupported(format!("with constant {what}")))
    }

    /// The name of what an input is, for constants made of it.
    pub(super) fn input_name(&self, i: usize) -> &'a str {
        self.inputs.get(i).map_or("", |input| input.0)
    }

    /// An input that is a list of integers.
    pub(super) fn ints(&self, i: usize) -> Read<Vec<i64>> {
        match self.value(i)? {
            Value::Ints { data, .. } => Ok(data),
            _ => Err(Failure::unsupported("with constant integers")),
        }
    }

    /// An input that is one integer.
    pub(super) fn int(&self, i: usize) -> Read<i64> {
        match self.ints(i)?.as_slice() {
            [only] => Ok(*only),
            several => {
                Err(Error::invalid(format!("input {i}"), "one number", several.len()).into())
            }
        }
    }

    pub(super) fn push(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        self.importer.graph.push(&self.node.name, op, inputs)
    }

    pub(super) fn push_constant(&mut self, name: &str, tensor: Tensor) -> Result<ValueId> {
        self.importer.graph.push(name, Op::Constant(tensor), &[])
    }
}

/// One output in TensorFlow's order.
pub(super) fn plain(id: ValueId) -> Read {
    Ok(vec![Value::Node(Held { id, first: false })])
}

/// One output of an operator on images.
pub(super) fn image(id: ValueId, last: bool) -> Read {
    Ok(vec![Value::Node(Held { id, first: last })])
}

/// Integers.
pub(super) fn list(data: Vec<i64>) -> Read {
    Ok(vec![Value::Ints { shape: vec![data.len()], data }])
}

/// An axis counted from the front, or from the back if negative.
pub(super) fn axis(value: i64, rank: usize) -> Result<usize> {
    let signed = rank as i64;
    let axis = if value < 0 { value.saturating_add(signed) } else { value };
    usize::try_from(axis)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| Error::invalid("axis", format_args!("{}..{signed}", -signed), value))
}
