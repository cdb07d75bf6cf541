//! Readers of model files.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod onnx;
mod protobuf;
pub mod tensorflow;

use crate::Result;
use crate::hlil::Graph;
use prost::encoding::WireType;
use std::path::Path;

pub use protobuf::{MAX_FILE_BYTES, MAX_MESSAGES};

/// Reads a model, ONNX or a frozen TensorFlow graph, whichever it is.
///
/// # Errors
/// As [`onnx::read`] and [`tensorflow::read`].
pub fn read(bytes: &[u8], input_shape: Option<&[usize]>) -> Result<Graph> {
    read_in(bytes, input_shape, None)
}

/// [`read`] for a model that may keep constants in files below a folder.
///
/// # Errors
/// As [`onnx::read_in`] and [`tensorflow::read`].
pub fn read_in(
    bytes: &[u8],
    input_shape: Option<&[usize]>,
    folder: Option<&Path>,
) -> Result<Graph> {
    // Field 1 of a GraphDef is a node, that of an ONNX model its version.
    match protobuf::first_field(bytes, 1) {
        Some(WireType::LengthDelimited) => tensorflow::read(bytes, input_shape, None),
        _ => onnx::read_in(bytes, input_shape, folder),
    }
}
