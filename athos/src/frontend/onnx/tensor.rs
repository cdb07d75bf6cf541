//! Constants of a file.

use super::proto::TensorProto;
use crate::hlil::Tensor;
use crate::{Error, Result};

pub(super) const FLOAT: i32 = 1;
const INT32: i32 = 6;
const INT64: i32 = 7;
const BOOL: i32 = 9;
pub(super) const DOUBLE: i32 = 11;

/// What is in a constant.
pub(super) enum Data {
    Floats(Tensor),
    Ints { shape: Vec<usize>, data: Vec<i64> },
}

/// Bytes of an element in raw form.
pub(super) fn element_size(data_type: i32) -> Option<u64> {
    match data_type {
        BOOL => Some(1),
        FLOAT | INT32 => Some(4),
        DOUBLE | INT64 => Some(8),
        _ => None,
    }
}

/// Reads a constant whose data is inside; `place` is its name.
pub(super) fn read(tensor: &TensorProto, place: &str) -> Result<Data> {
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
    let dims = || format!("{:?}", tensor.dims);
    let shape = shape.ok_or_else(|| Error::invalid(place, "axes of at least 0", dims()))?;
    let len = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let len = len.ok_or_else(|| Error::invalid(place, "fewer elements", dims()))?;
    let data = match tensor.data_type {
        FLOAT => {
            let data = values(tensor, &tensor.float_data, f32::from_le_bytes, place)?;
            return floats(shape, len, data, place);
        }
        DOUBLE => {
            let data = values(tensor, &tensor.double_data, f64::from_le_bytes, place)?;
            return floats(shape, len, data.into_iter().map(|v| v as f32).collect(), place);
        }
        INT64 => values(tensor, &tensor.int64_data, i64::from_le_bytes, place)?,
        INT32 => values(tensor, &tensor.int32_data, i32::from_le_bytes, place)?
            .into_iter()
            .map(i64::from)
            .collect(),
        BOOL if tensor.raw_data.is_empty() => {
            tensor.int32_data.iter().map(|&v| i64::from(v)).collect()
        }
        BOOL => tensor.raw_data.iter().map(|&v| i64::from(v)).collect(),
        other => {
            let expected = "32- or 64-bit floats, 32- or 64-bit integers or truth values";
            return Err(Error::invalid(place, expected, format_args!("element type {other}")));
        }
    };
    check_len(data.len(), len, place)?;
    Ok(Data::Ints { shape, data })
}

/// From raw bytes or from the list for the type.
fn values<T: Copy, const N: usize>(
    tensor: &TensorProto,
    list: &[T],
    from_bytes: impl Fn([u8; N]) -> T,
    place: &str,
) -> Result<Vec<T>> {
    if tensor.raw_data.is_empty() {
        return Ok(list.to_vec());
    }
    let (chunks, rest) = tensor.raw_data.as_chunks::<N>();
    if !rest.is_empty() || !list.is_empty() {
        let got = format!("{} bytes beside {} values", tensor.raw_data.len(), list.len());
        return Err(Error::invalid(place, "whole elements, given once", got));
    }
    Ok(chunks.iter().map(|&raw| from_bytes(raw)).collect())
}

fn check_len(got: usize, expected: usize, place: &str) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    Err(Error::invalid(place, format_args!("{expected} elements"), got))
}

fn floats(shape: Vec<usize>, len: usize, data: Vec<f32>, place: &str) -> Result<Data> {
    check_len(data.len(), len, place)?;
    if data.iter().any(|v| !v.is_finite()) {
        return Err(Error::invalid(place, "finite numbers", "infinity or not a number"));
    }
    Ok(Data::Floats(Tensor::new(shape, data).map_err(|e| e.at(place))?))
}
