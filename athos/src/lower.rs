//! From floats to integers: r becomes floor(r·2^s), one scale s for the network.
//!
//! Inputs and factors are at scale s, so a product is at 2s: its bias is quantised there, as is the constant that is
//! added to an element-wise product where nothing else reads that, and one truncation by s brings it back. All
//! divisions round down. A constant that is subtracted is quantised like one that is added, and then negated. What the
//! model ends with decides nothing but the axis of the classes: a softmax is monotone and dropped.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::domain::{bits, signed_bits};
use crate::fixed::{self, quantise};
use crate::hlil::{self, Graph, Node, Tensor, ValueId};
use crate::llil::{Builder, Instruction, Op, Sign, TensorId, WeightId, WeightInfo, WeightRole};
use crate::program::{OutputForm, WeightData, Weights};
use crate::{Error, Result, error::UnsupportedNode};
use sci_core::AnyDomain;
use std::collections::HashMap;
use zeroize::Zeroizing;

/// An integer program and its weights.
#[derive(Debug)]
pub struct Lowered {
    /// The instructions, each linear layer followed by its truncation.
    pub instructions: Vec<Instruction>,
    /// What is public of the weights.
    pub infos: Vec<WeightInfo>,
    /// The weights.
    pub weights: Weights,
    /// What they are of the graph.
    pub origins: Vec<Origin>,
    /// The bound of the factors.
    pub weight_bits: u32,
}

/// Which constant of a graph a weight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The constant.
    pub id: ValueId,
    /// Whether the weight is its negative, since it is subtracted.
    pub negated: bool,
}

/// Lowers a graph after [`crate::passes::PIPELINE`].
///
/// # Errors
/// [`Error::Unsupported`] for nodes that have no integer form here, [`Error::Overflow`] for a number
/// that does not fit, with the bitwidth that works.
pub fn lower(graph: &Graph, domain: AnyDomain, scale: u32, output: OutputForm) -> Result<Lowered> {
    let mut lowering = Lowering {
        graph,
        domain,
        scale,
        new: Builder::new(domain, Vec::new()),
        map: vec![None; graph.nodes().len()],
        waits: products_before_constants(graph),
        values: Vec::new(),
        origins: Vec::new(),
        cache: HashMap::new(),
    };
    let body = lowering.end(output)?;
    lowering.nodes(body.last)?;
    let last = lowering.get(body.last)?;
    if let Some(axis) = body.axis {
        let classes = lowering.new.info(last)?.shape.get(axis).copied();
        if classes == Some(1) {
            return Err(Error::invalid("output", "two classes or more (or output logits)", 1));
        }
        let name = &graph.node(graph.output()?)?.name;
        lowering.new.push(name, Op::ArgMax { axis }, &[last])?;
    } else if last.index() + 1 != lowering.new.instructions().len() {
        let shape = lowering.new.info(last)?.shape.clone();
        lowering.new.push("output", Op::Reshape { shape }, &[last])?;
    }
    lowering.finish()
}

/// Where the integer program ends, and along which axis the classes are.
struct End {
    last: ValueId,
    axis: Option<usize>,
}

struct Lowering<'a> {
    graph: &'a Graph,
    domain: AnyDomain,
    scale: u32,
    new: Builder,
    map: Vec<Option<TensorId>>,
    /// Which element-wise products wait for a constant before they are truncated.
    waits: Vec<bool>,
    values: Vec<Zeroizing<Vec<i64>>>,
    origins: Vec<Origin>,
    cache: HashMap<(ValueId, u32, bool, bool), WeightId>,
}

impl Lowering<'_> {
    /// Strips what is monotone or only reshapes indices from the end of the graph.
    fn end(&self, output: OutputForm) -> Result<End> {
        let mut last = self.graph.output()?;
        let mut axis = None;
        let mut reshaped = false;
        loop {
            let node = self.graph.node(last)?;
            let before = node.inputs.first().copied();
            match (&node.op, before) {
                (hlil::Op::Softmax { axis: a } | hlil::Op::LogSoftmax { axis: a }, Some(x)) => {
                    axis = Some(*a);
                    last = x;
                    break;
                }
                (hlil::Op::ArgMax { axis: a }, Some(x)) => {
                    if output != OutputForm::ArgMax {
                        let node = &node.name;
                        return Err(Error::invalid(
                            "output",
                            format_args!("argmax, for the model ends with ArgMax ({node})"),
                            "logits",
                        ));
                    }
                    axis = Some(*a);
                    last = x;
                    break;
                }
                (hlil::Op::Reshape { .. }, Some(x)) if self.ends_in_index(x)? => {
                    reshaped = true;
                    last = x;
                }
                _ => break,
            }
        }
        debug_assert!(!reshaped || axis.is_some());
        let shape = &self.graph.node(last)?.shape;
        let default = usize::from(shape.len() > 1);
        let axis = (output == OutputForm::ArgMax).then_some(axis.unwrap_or(default));
        if let Some(axis) = axis.filter(|&axis| axis >= shape.len()) {
            return Err(Error::invalid("output", "an axis of classes", axis));
        }
        Ok(End { last, axis })
    }

    /// Whether a value is an index, perhaps reshaped.
    fn ends_in_index(&self, mut x: ValueId) -> Result<bool> {
        loop {
            let node = self.graph.node(x)?;
            match (&node.op, node.inputs.first()) {
                (hlil::Op::ArgMax { .. }, _) => return Ok(true),
                (hlil::Op::Reshape { .. }, Some(&before)) => x = before,
                _ => return Ok(false),
            }
        }
    }

    fn get(&self, id: ValueId) -> Result<TensorId> {
        self.map.get(id.index()).copied().flatten().ok_or_else(|| {
            let node = self.graph.nodes().get(id.index());
            let name = node.map_or("output", |x| x.name.as_str());
            Error::invalid(name, "a value computed from the input", "a constant")
        })
    }

    fn constant(&self, node: &Node, i: usize) -> Result<(ValueId, &Tensor)> {
        let id = node.inputs.get(i).copied();
        let found = id.and_then(|id| self.graph.constant(id).map(|tensor| (id, tensor)));
        found.ok_or_else(|| unsupported(node, "with constant weights"))
    }

    /// A weight at a scale, declared once for each use of its kind.
    fn weight(
        &mut self,
        node: &Node,
        i: usize,
        scale: u32,
        role: WeightRole,
        negated: bool,
    ) -> Result<WeightId> {
        let (id, tensor) = self.constant(node, i)?;
        let key = (id, scale, role == WeightRole::Factor, negated);
        if let Some(known) = self.cache.get(&key) {
            return Ok(*known);
        }
        let name = self.graph.node(id)?.name.clone();
        let mut values = Zeroizing::new(quantise(&name, tensor.data(), scale, self.domain)?);
        if negated {
            // Of the integer: what is subtracted and added again, as by a clip, leaves no unit behind.
            values = Zeroizing::new(fixed::negated(&name, &values, scale, self.domain)?);
        }
        let shape = tensor.shape().to_vec();
        let weight = self.new.declare(WeightInfo { name, shape, scale, role })?;
        self.values.push(values);
        self.origins.push(Origin { id, negated });
        self.cache.insert(key, weight);
        Ok(weight)
    }

    /// An element-wise product, truncated unless it waits.
    fn scaled(&mut self, i: usize, node: &Node, op: Op, x: TensorId) -> Result<TensorId> {
        let y = self.new.push(&node.name, op, &[x])?;
        if self.waits.get(i) == Some(&true) { Ok(y) } else { self.rescale(node, y) }
    }

    fn rescale(&mut self, node: &Node, x: TensorId) -> Result<TensorId> {
        if self.scale == 0 {
            return Ok(x);
        }
        let op = Op::Truncate { shift: self.scale, sign: Sign::Unknown };
        self.new.push(&node.name, op, &[x])
    }

    /// Appends all nodes up to one. Those that have no integer form are reported together; what
    /// reads them is passed over.
    fn nodes(&mut self, last: ValueId) -> Result<()> {
        let graph = self.graph;
        let mut unsupported = Vec::new();
        let mut missing = vec![false; graph.nodes().len()];
        for (i, node) in graph.nodes().iter().enumerate().take(last.index() + 1) {
            let blocked = node.inputs.iter().any(|id| missing.get(id.index()) == Some(&true));
            let outcome = if blocked { Ok(None) } else { self.node(i, node) };
            let id = match outcome {
                Ok(id) => id,
                Err(Error::Unsupported(nodes)) => {
                    unsupported.extend(nodes);
                    None
                }
                Err(error) => return Err(error),
            };
            let constant = matches!(node.op, hlil::Op::Constant(_));
            if let (Some(place), Some(missing)) = (self.map.get_mut(i), missing.get_mut(i)) {
                *place = id;
                *missing = id.is_none() && !constant;
            }
        }
        if unsupported.is_empty() { Ok(()) } else { Err(Error::Unsupported(unsupported)) }
    }

    /// Appends a node; constants are nothing by themselves.
    fn node(&mut self, i: usize, node: &Node) -> Result<Option<TensorId>> {
        use hlil::Op as H;
        let x = match node.inputs.first() {
            Some(&x) if self.graph.constant(x).is_none() => Some(self.get(x)?),
            _ => None,
        };
        let operand = || x.ok_or_else(|| unsupported(node, "applied to what the input feeds"));
        let op = match &node.op {
            H::Constant(_) => return Ok(None),
            H::Input { shape } => {
                let op = Op::Input { shape: shape.clone(), scale: self.scale };
                return Ok(Some(self.new.push(&node.name, op, &[])?));
            }
            H::Conv { geometry } => {
                let (x, weight, bias) = self.layer(node, operand()?)?;
                let op = Op::Conv { weight, bias, geometry: *geometry };
                let y = self.new.push(&node.name, op, &[x])?;
                return Ok(Some(self.rescale(node, y)?));
            }
            H::Linear { geometry } => {
                let (x, weight, bias) = self.layer(node, operand()?)?;
                let op = Op::Linear { weight, bias, geometry: *geometry };
                let y = self.new.push(&node.name, op, &[x])?;
                return Ok(Some(self.rescale(node, y)?));
            }
            H::Mul => {
                let x = operand()?;
                let weight = self.weight(node, 1, self.scale, WeightRole::Factor, false)?;
                return Ok(Some(self.scaled(i, node, Op::MulWeight { weight }, x)?));
            }
            H::MulPublic { factor } => {
                let x = operand()?;
                let factor = quantise(&node.name, &[*factor], self.scale, self.domain)?;
                let factor = factor.first().copied().unwrap_or_default();
                let op = Op::MulPublic { factor, scale: self.scale };
                return Ok(Some(self.scaled(i, node, op, x)?));
            }
            H::Add | H::Sub => return Ok(Some(self.sum(node, operand()?)?)),
            H::BatchNorm { .. } => {
                return Err(Error::Misuse(format!("{}: BatchNorm was not lowered", node.name)));
            }
            H::Softmax { .. } | H::LogSoftmax { .. } | H::ArgMax { .. } => {
                return Err(unsupported(node, "only as the last node"));
            }
            H::Concat { axis } => {
                let parts = node.inputs.iter().map(|id| {
                    self.get(*id).map_err(|_| unsupported(node, "of values the input feeds"))
                });
                let parts = parts.collect::<Result<Vec<_>>>()?;
                return Ok(Some(self.new.push(&node.name, Op::Concat { axis: *axis }, &parts)?));
            }
            H::Relu => Op::Relu,
            H::MaxPool { geometry } => Op::MaxPool { geometry: *geometry },
            H::AvgPool { geometry } => {
                Op::AvgPool { geometry: *geometry, shift: 0, sign: Sign::Unknown }
            }
            H::Reshape { shape } => Op::Reshape { shape: shape.clone() },
            H::Transpose { permutation } => Op::Transpose { permutation: permutation.clone() },
            H::Pad { before, after } => Op::Pad { before: before.clone(), after: after.clone() },
            H::Slice { start, step, shape } => {
                Op::Slice { start: start.clone(), step: step.clone(), shape: shape.clone() }
            }
        };
        let x = operand()?;
        Ok(Some(self.new.push(&node.name, op, &[x])?))
    }

    fn layer(
        &mut self,
        node: &Node,
        x: TensorId,
    ) -> Result<(TensorId, WeightId, Option<WeightId>)> {
        let weight = self.weight(node, 1, self.scale, WeightRole::Factor, false)?;
        let bias = match node.inputs.len() {
            0..=2 => None,
            _ => Some(self.weight(node, 2, 2 * self.scale, WeightRole::Addend, false)?),
        };
        Ok((x, weight, bias))
    }

    fn sum(&mut self, node: &Node, x: TensorId) -> Result<TensorId> {
        let negated = node.op == hlil::Op::Sub;
        let second = node.inputs.get(1).copied();
        match second.filter(|id| self.graph.constant(*id).is_none()) {
            Some(y) => {
                let y = self.get(y)?;
                let op = if negated { Op::Sub } else { Op::Add };
                self.new.push(&node.name, op, &[x, y])
            }
            None => {
                let first = node.inputs.first().map_or(0, |x| x.index());
                let waited = self.waits.get(first) == Some(&true);
                let scale = if waited { 2 * self.scale } else { self.scale };
                let weight = self.weight(node, 1, scale, WeightRole::Addend, negated)?;
                let y = self.new.push(&node.name, Op::AddWeight { weight }, &[x])?;
                if waited { self.rescale(node, y) } else { Ok(y) }
            }
        }
    }

    /// Narrows the weights to the bound that all factors share.
    fn finish(self) -> Result<Lowered> {
        let (instructions, infos) = self.new.finish();
        let domain_bits = bits(self.domain);
        if let Some(x) = instructions.iter().find(|x| x.output.scale >= domain_bits) {
            let scale = x.output.scale;
            return Err(Error::Overflow {
                tensor: x.name.clone(),
                what: format!("{scale} bits after the binary point do not fit {}", self.domain),
                bitwidth: Some(scale + 1).filter(|&bits| bits <= 64),
            });
        }
        let mut weight_bits = 2;
        for (info, values) in infos.iter().zip(&self.values) {
            if info.role == WeightRole::Factor {
                // v and -v-1 need the same bits.
                let largest = values.iter().map(|&v| (v ^ (v >> 63)) as u64).max().unwrap_or(0);
                weight_bits = weight_bits.max(signed_bits(largest.into()));
            }
        }
        let weight_bits = weight_bits.min(domain_bits);
        let tensors = infos.iter().zip(&self.values).map(|(info, values)| {
            let bits = match info.role {
                WeightRole::Factor => weight_bits,
                WeightRole::Addend => domain_bits,
            };
            WeightData::new(&info.name, values, bits)
        });
        let weights = Weights::new(tensors.collect::<Result<Vec<_>>>()?);
        Ok(Lowered { instructions, infos, weights, origins: self.origins, weight_bits })
    }
}

/// Which element-wise products nothing reads but the sum with a constant.
fn products_before_constants(graph: &Graph) -> Vec<bool> {
    let (uses, mut waits) = (graph.uses(), vec![false; graph.nodes().len()]);
    for node in graph.nodes() {
        let (hlil::Op::Add | hlil::Op::Sub, &[x, constant]) = (&node.op, &node.inputs[..]) else {
            continue;
        };
        let product = graph.nodes().get(x.index()).map(|node| &node.op);
        if let (Some(waits), Some(hlil::Op::Mul | hlil::Op::MulPublic { .. }), Some(1), Some(_)) =
            (waits.get_mut(x.index()), product, uses.get(x.index()), graph.constant(constant))
        {
            *waits = true;
        }
    }
    waits
}

fn unsupported(node: &Node, nearest: &str) -> Error {
    Error::Unsupported(vec![UnsupportedNode {
        node: node.name.clone(),
        op: node.op.name().to_owned(),
        nearest: nearest.to_owned(),
    }])
}
