//! Moves products and sums with one constant a channel into the convolution or matrix product before:
//! a·(W x + b) + c = (a·W) x + (a·b + c), rows scaled. A bias is created where there was none.

use super::rewrite::Rewriter;
use crate::hlil::{Graph, Node, Op, Tensor, ValueId};
use crate::{Error, Result};

/// The graph with affine maps folded into the linear layers that alone feed them.
///
/// # Errors
/// [`Error::Invalid`] if a folded number is not finite.
pub fn fold_affine(graph: &Graph) -> Result<Graph> {
    let uses = graph.uses();
    let mut rewriter = Rewriter::new(graph);
    for node in graph.nodes() {
        let folded = match candidate(graph, &uses, node) {
            Some((x, map)) => fold(&mut rewriter, x, &map)?,
            None => None,
        };
        let id = match folded {
            Some(id) => id,
            None => rewriter.copy(node)?,
        };
        rewriter.place(Some(id));
    }
    rewriter.finish()
}

/// x·factor + offset, one of each for every channel or for all.
struct Affine {
    factor: Option<Vec<f64>>,
    offset: Option<Vec<f64>>,
}

/// If a node maps a value that nothing else reads: that value and the map.
fn candidate(graph: &Graph, uses: &[usize], node: &Node) -> Option<(ValueId, Affine)> {
    let &[x, constant] = node.inputs.as_slice() else { return None };
    if uses.get(x.index()) != Some(&1) {
        return None;
    }
    let values: Vec<f64> = {
        let tensor = graph.constant(constant)?;
        let channel_axis = match producer(graph, x)? {
            Op::Conv { .. } => 1,
            _ => node.shape.len().checked_sub(1)?,
        };
        let axes = tensor.shape().iter().enumerate();
        if axes.clone().any(|(i, &n)| i != channel_axis && n != 1) {
            return None;
        }
        tensor.data().iter().map(|&v| f64::from(v)).collect()
    };
    let negated = || values.iter().map(|v| -v).collect();
    let map = match node.op {
        Op::Mul => Affine { factor: Some(values), offset: None },
        Op::Sub => Affine { factor: None, offset: Some(negated()) },
        Op::Add => Affine { factor: None, offset: Some(values) },
        _ => return None,
    };
    Some((x, map))
}

/// The linear layer that a value comes from, through maps that are folded as well.
fn producer(graph: &Graph, mut x: ValueId) -> Option<&Op> {
    loop {
        let node = graph.node(x).ok()?;
        match node.op {
            Op::Conv { .. } | Op::Linear { .. } => return Some(&node.op),
            Op::Mul | Op::Add | Op::Sub => x = *node.inputs.first()?,
            _ => return None,
        }
    }
}

/// Appends the layer with the map folded in, if the new value is a layer with constant weights.
fn fold(rewriter: &mut Rewriter<'_>, x: ValueId, map: &Affine) -> Result<Option<ValueId>> {
    let layer = rewriter.new.node(rewriter.get(x)?)?.clone();
    let rows = match &layer.op {
        Op::Conv { geometry } => geometry.out_channels(),
        Op::Linear { geometry } => geometry.outer(),
        _ => return Ok(None),
    };
    let &[input, weights, ref bias @ ..] = layer.inputs.as_slice() else { return Ok(None) };
    let constant = |id: ValueId| {
        let node = rewriter.new.node(id)?;
        let tensor = rewriter.new.constant(id);
        Ok::<_, Error>(tensor.map(|tensor| (node.name.clone(), tensor.clone())))
    };
    let Some((weights_name, matrix)) = constant(weights)? else { return Ok(None) };
    let old_bias = match bias.first() {
        None => None,
        Some(&id) => match constant(id)? {
            None => return Ok(None),
            bias => bias,
        },
    };
    let of_row = |values: &Option<Vec<f64>>, row: usize, default: f64| {
        let values = values.as_deref().unwrap_or(&[]);
        values.get(row).or(values.first()).copied().unwrap_or(default)
    };
    let finite = |values: Vec<f64>, shape: &[usize], name: &str| {
        let values: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
        if values.iter().any(|v| !v.is_finite()) {
            return Err(Error::invalid(name, "finite numbers after folding", "another"));
        }
        Tensor::new(shape.to_vec(), values)
    };
    let weights = if map.factor.is_some() {
        let terms = matrix.data().len() / rows;
        let scaled = matrix.data().chunks(terms).enumerate().flat_map(|(row, chunk)| {
            let factor = of_row(&map.factor, row, 1.0);
            chunk.iter().map(move |&w| f64::from(w) * factor)
        });
        let tensor = finite(scaled.collect(), matrix.shape(), &weights_name)?;
        rewriter.constant(&weights_name, tensor)?
    } else {
        weights
    };
    let mut inputs = vec![input, weights];
    if map.offset.is_some() || old_bias.is_some() {
        let (name, old) = match old_bias {
            Some((name, tensor)) => (name, tensor.data().to_vec()),
            None => (format!("{}.bias", layer.name), vec![0.0; rows]),
        };
        let mapped = old.iter().enumerate().map(|(row, &b)| {
            f64::from(b) * of_row(&map.factor, row, 1.0) + of_row(&map.offset, row, 0.0)
        });
        let tensor = finite(mapped.collect(), &[rows], &name)?;
        inputs.push(rewriter.constant(&name, tensor)?);
    }
    Ok(Some(rewriter.new.push(&layer.name, layer.op, &inputs)?))
}
