//! The high-level language: a typed float graph with all shapes known.
//!
//! A graph is a list of nodes in topological order; node i defines value i and reads values below i.
//! Node 0 is the input. Constants are nodes, so that passes and readers treat everything alike.
//! [`Graph::evaluate`] is the reference for accuracy: what the network computes in 32-bit floats.

pub mod compose;
pub(crate) mod interpret;
mod parse;
mod print;
mod statements;
mod tensor;

pub use interpret::apply;
pub use parse::parse;
pub(crate) use statements::Names;
pub use statements::Statements;
pub use tensor::Tensor;

use crate::llil::Broadcast;
use crate::shape::{self, same};
use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};

/// A value, by the number of the node that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) usize);

impl ValueId {
    /// The node that defines it.
    pub fn index(self) -> usize {
        self.0
    }
}

/// An operation on 32-bit floats.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// What the network is given.
    Input {
        /// Its axes.
        shape: Vec<usize>,
    },
    /// A number of the model.
    Constant(Tensor),
    /// x, filters `[C_o, C_i/g, kernel]` and perhaps a bias `[C_o]`.
    Conv {
        /// Shapes.
        geometry: ConvGeometry,
    },
    /// x, W `[outer, inner]` and perhaps a bias `[outer]`: x·W^T + b.
    Linear {
        /// Shapes.
        geometry: LinearGeometry,
    },
    /// x, gamma, beta, mean, variance, each `[channels]`.
    BatchNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// x + y; y of the same shape, or a constant repeated along its axes of length 1.
    Add,
    /// x - y; as Add.
    Sub,
    /// x·y; as Add.
    Mul,
    /// x times a number that is part of the architecture.
    MulPublic {
        /// The number.
        factor: f32,
    },
    /// max(x, 0).
    Relu,
    /// Maxima of windows.
    MaxPool {
        /// Windows.
        geometry: PoolGeometry,
    },
    /// Means of windows.
    AvgPool {
        /// Windows.
        geometry: PoolGeometry,
    },
    /// The same elements with other axes.
    Reshape {
        /// The new axes.
        shape: Vec<usize>,
    },
    /// Inputs one after another along an axis.
    Concat {
        /// Which.
        axis: usize,
    },
    /// Output axis i is input axis `permutation[i]`.
    Transpose {
        /// A permutation of the axes.
        permutation: Vec<usize>,
    },
    /// Zeros around.
    Pad {
        /// How many before each axis.
        before: Vec<usize>,
        /// How many after.
        after: Vec<usize>,
    },
    /// Every `step`-th element from `start`, `shape` many, along every axis.
    Slice {
        /// First.
        start: Vec<usize>,
        /// Distance.
        step: Vec<usize>,
        /// How many.
        shape: Vec<usize>,
    },
    /// exp(x) over its sum along an axis.
    Softmax {
        /// Which.
        axis: usize,
    },
    /// Logarithm of that.
    LogSoftmax {
        /// Which.
        axis: usize,
    },
    /// Index of the largest along an axis, which disappears; the lowest if there are several.
    ArgMax {
        /// Which.
        axis: usize,
    },
}

impl Op {
    /// A short name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "Input",
            Self::Constant(_) => "Constant",
            Self::Conv { .. } => "Conv",
            Self::Linear { .. } => "Linear",
            Self::BatchNorm { .. } => "BatchNorm",
            Self::Add => "Add",
            Self::Sub => "Sub",
            Self::Mul => "Mul",
            Self::MulPublic { .. } => "MulPublic",
            Self::Relu => "Relu",
            Self::MaxPool { .. } => "MaxPool",
            Self::AvgPool { .. } => "AvgPool",
            Self::Reshape { .. } => "Reshape",
            Self::Concat { .. } => "Concat",
            Self::Transpose { .. } => "Transpose",
            Self::Pad { .. } => "Pad",
            Self::Slice { .. } => "Slice",
            Self::Softmax { .. } => "Softmax",
            Self::LogSoftmax { .. } => "LogSoftmax",
            Self::ArgMax { .. } => "ArgMax",
        }
    }

    /// The shape of the result.
    fn infer(&self, inputs: &[&[usize]]) -> Result<Vec<usize>> {
        let out = match (self, inputs) {
            (Self::Input { shape }, []) => shape.clone(),
            (Self::Constant(tensor), []) => tensor.shape().to_vec(),
            (Self::Conv { geometry }, [x, w, bias @ ..]) if bias.len() < 2 => {
                same("shape of the filters", &shape::filters(geometry, x)?.as_slice(), w)?;
                per_channel(bias, geometry.out_channels())?;
                shape::conv(geometry, x)?
            }
            (Self::Linear { geometry }, [x, w, bias @ ..]) if bias.len() < 2 => {
                same("shape of W", &[geometry.outer(), geometry.inner()].as_slice(), w)?;
                per_channel(bias, geometry.outer())?;
                shape::linear(geometry, x)?
            }
            (Self::BatchNorm { .. }, [x, parameters @ ..]) if parameters.len() == 4 => {
                let channels = x.get(1).copied().unwrap_or(0);
                per_channel(parameters, channels)?;
                x.to_vec()
            }
            (Self::Add | Self::Sub | Self::Mul, [x, y]) => {
                Broadcast::new(x, y)?;
                x.to_vec()
            }
            (Self::Relu | Self::MulPublic { .. }, [x]) => x.to_vec(),
            (Self::MaxPool { geometry } | Self::AvgPool { geometry }, [x]) => {
                shape::pool(geometry, x)?
            }
            (Self::Reshape { shape }, [x]) => shape::reshape(x, shape)?,
            (Self::Concat { axis }, [_, ..]) => shape::concat(*axis, inputs)?,
            (Self::Transpose { permutation }, [x]) => shape::transpose(x, permutation)?,
            (Self::Pad { before, after }, [x]) => shape::pad(x, before, after)?,
            (Self::Slice { start, step, shape }, [x]) => shape::slice(x, start, step, shape)?,
            (Self::Softmax { axis } | Self::LogSoftmax { axis }, [x]) => {
                shape::without(x, *axis)?;
                x.to_vec()
            }
            (Self::ArgMax { axis }, [x]) => shape::without(x, *axis)?,
            _ => return Err(Error::invalid("number of inputs", "another", inputs.len())),
        };
        shape::bounded(&out)?;
        Ok(out)
    }
}

fn per_channel(tensors: &[&[usize]], channels: usize) -> Result<()> {
    tensors.iter().try_for_each(|x| same("shape of a parameter", &[channels].as_slice(), x))
}

/// One operation; the i-th of a graph defines value i.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// After the model's node or initialiser.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<ValueId>,
    /// The shape of what it defines.
    pub shape: Vec<usize>,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    output: Option<ValueId>,
}

impl Graph {
    /// Appends an operation.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it cannot be applied to these inputs; the node's name is in front.
    pub fn push(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let shapes: Option<Vec<&[usize]>> =
            inputs.iter().map(|id| self.nodes.get(id.0).map(|x| x.shape.as_slice())).collect();
        let shapes = shapes.ok_or_else(|| Error::Misuse(format!("inputs of {name}")))?;
        let shape = op.infer(&shapes).map_err(|e| e.at(name))?;
        self.nodes.push(Node { name: name.to_owned(), op, inputs: inputs.to_vec(), shape });
        Ok(ValueId(self.nodes.len() - 1))
    }

    /// The nodes in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node that defines a value.
    ///
    /// # Errors
    /// [`Error::Misuse`] if it is of another graph.
    pub fn node(&self, id: ValueId) -> Result<&Node> {
        self.nodes.get(id.0).ok_or_else(|| Error::Misuse(format!("value {} of a graph", id.0)))
    }

    /// What the network returns.
    ///
    /// # Errors
    /// [`Error::Misuse`] while none is set.
    pub fn output(&self) -> Result<ValueId> {
        self.output.ok_or_else(|| Error::Misuse("a graph without output".into()))
    }

    /// Says what the network returns.
    pub fn set_output(&mut self, id: ValueId) {
        self.output = Some(id);
    }

    /// The constant that a value is, if it is one.
    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        match self.nodes.get(id.0).map(|x| &x.op) {
            Some(Op::Constant(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// How many times each value is read, the output counting as one reading.
    pub fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        let read = self.nodes.iter().flat_map(|x| &x.inputs).chain(&self.output);
        for id in read {
            if let Some(n) = uses.get_mut(id.0) {
                *n += 1;
            }
        }
        uses
    }

    /// Infers all shapes again and compares.
    ///
    /// # Errors
    /// [`Error::Misuse`] naming the first node that is not what it says: a defect of a pass.
    pub fn check(&self) -> Result<()> {
        let wrong = |node: &Node| Error::Misuse(format!("node {} is ill-typed", node.name));
        for (i, node) in self.nodes.iter().enumerate() {
            let shapes: Option<Vec<&[usize]>> = node
                .inputs
                .iter()
                .map(|id| self.nodes.get(id.0).filter(|_| id.0 < i).map(|x| x.shape.as_slice()))
                .collect();
            let shapes = shapes.ok_or_else(|| wrong(node))?;
            let broadcast =
                matches!(node.op, Op::Add | Op::Sub | Op::Mul) && shapes.first() != shapes.get(1);
            let constant = node.inputs.get(1).is_some_and(|id| self.constant(*id).is_some());
            if node.op.infer(&shapes)? != node.shape || (broadcast && !constant) {
                return Err(wrong(node));
            }
            if matches!(node.op, Op::Input { .. }) != (i == 0) {
                return Err(wrong(node));
            }
        }
        self.node(self.output()?).map(|_| ())
    }
}
