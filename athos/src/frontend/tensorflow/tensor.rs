//! Constants of a graph.

use super::proto::{TensorProto, TensorShapeProto};
use crate::hlil::Tensor;
use crate::{Error, Result};

pub(super) const FLOAT: i32 = 1;
pub(super) const DOUBLE: i32 = 2;
pub(super) const INT32: i32 = 3;
pub(super) const INT64: i32 = 9;

/// The largest tensor that a shorter list of numbers may stand for.
const MAX_FILL: usize = 1 << 24;

/// What is in a constant.
pub(super) enum Data {
    Floats(Tensor),
    Ints { shape: Vec<usize>, data: Vec<i64> },
}

/// The axes of a shape, if all are fixed.
pub(super) fn fixed(shape: &TensorShapeProto) -> Option<Vec<usize>> {
    let axes = shape.dim.iter().map(|dim| usize::try_from(dim.size).ok());
    if shape.unknown_rank { None } else { axes.collect() }
}

/// Reads a constant; `place` is the name of its node.
pub(super) fn read(tensor: &TensorProto, place: &str) -> Result<Data> {
    let shape = tensor.tensor_shape.clone().unwrap_or_default();
    let shape = fixed(&shape)
        .ok_or_else(|| Error::invalid(place, "a constant of known shape", "an open axis"))?;
    let len = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let len = len.ok_or_else(|| Error::invalid(place, "fewer elements", "too many"))?;
    let content = &tensor.tensor_content;
    Ok(match tensor.dtype {
        FLOAT => {
            let data = values(content, &tensor.float_val, f32::from_le_bytes, len, place)?;
            floats(shape, data, place)?
        }
        DOUBLE => {
            let data = values(content, &tensor.double_val, f64::from_le_bytes, len, place)?;
            floats(shape, data.into_iter().map(|v| v as f32).collect(), place)?
        }
        INT32 => {
            let data = values(content, &tensor.int_val, i32::from_le_bytes, len, place)?;
            Data::Ints { shape, data: data.into_iter().map(i64::from).collect() }
        }
        INT64 => {
            let data = values(content, &tensor.int64_val, i64::from_le_bytes, len, place)?;
            Data::Ints { shape, data }
        }
        other => {
            let expected = "32- or 64-bit floats or integers";
            return Err(Error::invalid(place, expected, format_args!("element type {other}")));
        }
    })
}

/// From raw bytes or from the list for the type, whose last element may stand for those after it.
fn values<T: Copy + Default, const N: usize>(
    content: &[u8],
    list: &[T],
    from_bytes: impl Fn([u8; N]) -> T,
    len: usize,
    place: &str,
) -> Result<Vec<T>> {
    let expected = || format!("{len} elements");
    if !content.is_empty() {
        let (chunks, rest) = content.as_chunks::<N>();
        if chunks.len() != len || !rest.is_empty() || !list.is_empty() {
            let got = format!("{} bytes beside {} values", content.len(), list.len());
            return Err(Error::invalid(place, expected(), got));
        }
        return Ok(chunks.iter().map(|&raw| from_bytes(raw)).collect());
    }
    if list.len() > len || (list.len() < len && len > MAX_FILL) {
        return Err(Error::invalid(place, expected(), list.len()));
    }
    let mut data = list.to_vec();
    data.resize(len, list.last().copied().unwrap_or_default());
    Ok(data)
}

fn floats(shape: Vec<usize>, data: Vec<f32>, place: &str) -> Result<Data> {
    if data.iter().any(|v| !v.is_finite()) {
        return Err(Error::invalid(place, "finite numbers", "infinity or not a number"));
    }
    Ok(Data::Floats(Tensor::new(shape, data).map_err(|e| e.at(place))?))
}
