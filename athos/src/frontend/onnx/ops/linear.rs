//! Conv, Gemm, MatMul, BatchNormalization.

use super::super::Value;
use super::super::attributes::Attributes;
use super::super::call::{Call, Failure, Read};
use super::pool::read_window;
use crate::Error;
use crate::hlil::{Op, Tensor, ValueId};
use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, spatial};

pub(super) fn conv<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let (_, filters) = call.constant(1, "filters")?;
    let shape = call.shape(x)?;
    let ([batch, channels, axes @ ..], [out_channels, _, kernel @ ..]) =
        (shape.as_slice(), filters.shape())
    else {
        return Err(Error::invalid("rank", "3 to 5", shape.len()).into());
    };
    let declared = attributes.sizes("kernel_shape", kernel.len(), 1, 0)?;
    if attributes.ints("kernel_shape")?.is_some() && declared != kernel {
        let got = format!("{declared:?}");
        return Err(Error::invalid("kernel_shape", format_args!("{kernel:?}"), got).into());
    }
    let window = read_window(attributes, kernel, axes)?;
    let groups = usize::try_from(attributes.int("group", 1)?).unwrap_or(0);
    let geometry = ConvGeometry::new(ConvSpec {
        batch: *batch,
        in_channels: *channels,
        out_channels: *out_channels,
        groups,
        input: spatial("input of a convolution", axes, 1)?,
        window,
    })?;
    let mut inputs = vec![x, call.float(1)?];
    if call.has(2) {
        call.constant(2, "bias")?;
        inputs.push(call.float(2)?);
    }
    Ok(Value::Node(call.push(Op::Conv { geometry }, &inputs)?))
}

/// The transpose of a matrix.
fn transposed(matrix: &Tensor) -> Read<Tensor> {
    let &[rows, columns] = matrix.shape() else {
        return Err(Error::invalid("rank of a matrix", 2, matrix.shape().len()).into());
    };
    let column = |c: usize| matrix.data().iter().skip(c).step_by(columns);
    let data = (0..columns).flat_map(column).copied().collect();
    Ok(Tensor::new(vec![columns, rows], data)?)
}

pub(super) fn gemm<'a>(call: &mut Call<'a, '_>, attributes: Attributes<'a>) -> Read<Value<'a>> {
    let mut x = call.float(0)?;
    let (name, weights) = call.constant(1, "second matrix")?;
    if attributes.int("transA", 0)? != 0 {
        x = call.push(Op::Transpose { permutation: vec![1, 0] }, &[x])?;
    }
    let &[rows, inner] = call.shape(x)?.as_slice() else {
        return Err(Error::invalid("rank of the first matrix", 2, call.shape(x)?.len()).into());
    };
    let mut weights =
        if attributes.int("transB", 0)? == 0 { transposed(&weights)? } else { weights };
    let alpha = attributes.float("alpha", 1.0)?;
    if alpha != 1.0 {
        weights = weights.map(|w| w * alpha);
    }
    let &[outer, columns] = weights.shape() else {
        return Err(Error::invalid("rank of a matrix", 2, weights.shape().len()).into());
    };
    if inner != columns {
        return Err(Error::invalid("inner dimension", inner, columns).into());
    }
    let geometry = LinearGeometry::new(rows, inner, outer)?;
    let mut inputs = vec![x, call.push_constant(&name, weights)?];
    let beta = attributes.float("beta", 1.0)?;
    if !call.has(2) || beta == 0.0 {
        return Ok(Value::Node(call.push(Op::Linear { geometry }, &inputs)?));
    }
    let (name, bias) = call.constant(2, "bias")?;
    let bias = bias.map(|b| b * beta);
    if let Some(bias) = row_bias(&bias, rows, outer)? {
        inputs.push(call.push_constant(&name, bias)?);
        return Ok(Value::Node(call.push(Op::Linear { geometry }, &inputs)?));
    }
    // Another number for every row: added afterwards.
    let &[r, n] = bias.shape() else {
        return Err(Error::invalid("rank of the bias", "at most 2", bias.shape().len()).into());
    };
    if ![1, rows].contains(&r) || ![1, outer].contains(&n) {
        let expected = format!("one that is repeated to [{rows}, {outer}]");
        return Err(Error::invalid("bias", expected, format_args!("[{r}, {n}]")).into());
    }
    let product = call.push(Op::Linear { geometry }, &inputs)?;
    let bias = call.push_constant(&name, bias)?;
    Ok(Value::Node(call.push(Op::Add, &[product, bias])?))
}

/// A bias that is the same for every row, if it is.
fn row_bias(bias: &Tensor, rows: usize, outer: usize) -> Read<Option<Tensor>> {
    let same_rows = match bias.shape() {
        [] | [1] | [1, 1] => {
            let value = bias.data().first().copied().unwrap_or_default();
            return Ok(Some(Tensor::new(vec![outer], vec![value; outer])?));
        }
        [n] => *n == outer,
        [r, n] => *n == outer && (*r == 1 || rows == 1),
        _ => false,
    };
    Ok(if same_rows { Some(bias.reshaped(&[outer])?) } else { None })
}

/// A constant matrix times what the input feeds: W X = (X^T W^T)^T.
fn from_left<'a>(call: &mut Call<'a, '_>) -> Read<Value<'a>> {
    let (name, weights) = call.constant(0, "first matrix")?;
    let x = call.float(1)?;
    let (&[inner, columns], &[outer, terms]) = (call.shape(x)?.as_slice(), weights.shape()) else {
        return Err(Failure::unsupported("of two matrices, or with a constant second one"));
    };
    if inner != terms {
        return Err(Error::invalid("inner dimension", terms, inner).into());
    }
    let turn = || Op::Transpose { permutation: vec![1, 0] };
    let x = call.push(turn(), &[x])?;
    let weights = call.push_constant(&name, weights)?;
    let geometry = LinearGeometry::new(columns, inner, outer)?;
    let product = call.push(Op::Linear { geometry }, &[x, weights])?;
    Ok(Value::Node(call.push(turn(), &[product])?))
}

pub(super) fn mat_mul<'a>(call: &mut Call<'a, '_>, _: Attributes<'a>) -> Read<Value<'a>> {
    let x = call.float(0)?;
    let second = call.float(1)?;
    if call.is_constant(x) && !call.is_constant(second) {
        return from_left(call);
    }
    let (name, weights) = call.constant(1, "second matrix")?;
    let shape = call.shape(x)?;
    let ([rows @ .., inner], &[columns, outer]) = (shape.as_slice(), weights.shape()) else {
        return Err(Failure::unsupported("with a second operand of rank 2"));
    };
    if *inner != columns {
        return Err(Error::invalid("inner dimension", inner, columns).into());
    }
    let weights = call.push_constant(&name, transposed(&weights)?)?;
    let geometry = LinearGeometry::new(rows.iter().product(), *inner, outer)?;
    Ok(Value::Node(call.push(Op::Linear { geometry }, &[x, weights])?))
}

pub(super) fn batch_normalization<'a>(
    call: &mut Call<'a, '_>,
    attributes: Attributes<'a>,
) -> Read<Value<'a>> {
    if attributes.int("training_mode", 0)? != 0 {
        return Err(Failure::unsupported("in inference mode (training_mode = 0)"));
    }
    // Before operator set 14 the number of outputs says it.
    if call.opset() < 14 && call.has_further_outputs() {
        return Err(Failure::unsupported("in inference mode (one output)"));
    }
    if attributes.int("spatial", 1)? != 1 {
        return Err(Failure::unsupported("with spatial = 1"));
    }
    let epsilon = attributes.float("epsilon", 1e-5)?;
    let mut inputs: Vec<ValueId> = vec![call.float(0)?];
    for (i, what) in [(1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")] {
        call.constant(i, what)?;
        inputs.push(call.float(i)?);
    }
    let (name, variance) = call.constant(4, "variance")?;
    if variance.data().iter().any(|v| v + epsilon <= 0.0) {
        return Err(Error::invalid(name, "variances above -epsilon", "another").into());
    }
    Ok(Value::Node(call.push(Op::BatchNorm { epsilon }, &inputs)?))
}
