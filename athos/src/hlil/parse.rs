//! Reading what [`super::print`] wrote. The text shows no numbers: whoever reads it says what the
//! constants are.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{Graph, Op, Tensor, ValueId};
use crate::text::{Cursor, linear};
use crate::{Error, Result};

/// Reads a graph; `constants` is asked for every constant, by name and shape.
///
/// # Errors
/// [`Error::Invalid`] naming the line, and what `constants` returns.
pub fn parse(
    text: &str,
    mut constants: impl FnMut(&str, &[usize]) -> Result<Tensor>,
) -> Result<Graph> {
    let mut graph = Graph::default();
    let mut output = None;
    for (i, line) in text.lines().enumerate() {
        let mut line = Cursor::new(i + 1, line);
        if output.is_some() {
            return Err(line.wrong("nothing after the output"));
        }
        if line.eat("output %") {
            let id = ValueId(line.number()?);
            line.end()?;
            graph.node(id).map_err(|_| line.wrong("a value defined before"))?;
            output = Some(id);
        } else {
            node(line, &mut graph, &mut constants)?;
        }
    }
    let output = output.ok_or_else(|| Error::invalid("graph", "a line with the output", "none"))?;
    graph.set_output(output);
    Ok(graph)
}

fn node(
    line: Cursor<'_>,
    graph: &mut Graph,
    constants: &mut impl FnMut(&str, &[usize]) -> Result<Tensor>,
) -> Result<()> {
    let whole = line.clone();
    let line = line.split()?;
    let (mut body, mut tail) = (line.body, line.tail);
    body.expect(&format!("%{} = ", graph.nodes().len()))?;
    let name = body.word();
    let inputs: Vec<ValueId> = body.operands()?.into_iter().map(ValueId).collect();
    let shape = tail.shape()?;
    tail.end()?;
    let operand = |i: usize| -> Result<&[usize]> {
        let node = inputs.get(i).and_then(|id| graph.nodes().get(id.index()));
        Ok(&node.ok_or_else(|| whole.wrong("operands defined before"))?.shape)
    };
    let op = match name {
        "Input" => Op::Input { shape: shape.clone() },
        "Constant" => Op::Constant(constants(&line.name, &shape)?),
        "Conv" => Op::Conv { geometry: body.conv(operand(0)?, operand(1)?)? },
        "Linear" => Op::Linear { geometry: linear(operand(0)?, operand(1)?)? },
        "BatchNorm" => Op::BatchNorm { epsilon: body.field(" epsilon ")? },
        "Add" => Op::Add,
        "Sub" => Op::Sub,
        "Mul" => Op::Mul,
        "MulPublic" => Op::MulPublic { factor: body.field(" by ")? },
        "Relu" => Op::Relu,
        "MaxPool" => Op::MaxPool { geometry: body.pool(operand(0)?)? },
        "AvgPool" => Op::AvgPool { geometry: body.pool(operand(0)?)? },
        "Reshape" => Op::Reshape { shape: shape.clone() },
        "Concat" => Op::Concat { axis: body.field(" axis ")? },
        "Softmax" => Op::Softmax { axis: body.field(" axis ")? },
        "LogSoftmax" => Op::LogSoftmax { axis: body.field(" axis ")? },
        "ArgMax" => Op::ArgMax { axis: body.field(" axis ")? },
        "Transpose" => {
            body.expect(" ")?;
            Op::Transpose { permutation: body.list()? }
        }
        "Pad" => {
            body.expect(" ")?;
            let before = body.list()?;
            body.expect("..")?;
            Op::Pad { before, after: body.list()? }
        }
        "Slice" => {
            body.expect(" from ")?;
            let start = body.list()?;
            body.expect(" by ")?;
            Op::Slice { start, step: body.list()?, shape: shape.clone() }
        }
        _ => return Err(whole.wrong(format_args!("an operation, not {name:?},"))),
    };
    body.end()?;
    let id = graph.push(&line.name, op, &inputs)?;
    let inferred = &graph.node(id)?.shape;
    if *inferred != shape {
        return Err(whole.wrong(format_args!("{inferred:?}")));
    }
    Ok(())
}
