//! Readers of model files.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod onnx;
mod protobuf;
pub mod tensorflow;

use crate::Result;
use crate::hlil::Graph;
use prost::encoding::WireType;

pub use protobuf::{MAX_FILE_BYTES, MAX_MESSAGES};

/// Reads a model, ONNX or a frozen TensorFlow graph, whichever it is.
///
/// # Errors
/// As [`onnx::read`] and [`tensorflow::read`].
pub fn read(bytes: &[u8], input_shape: Option<&[usize]>) -> Result<Graph> {
    // Field 1 of a GraphDef is a node, that of an ONNX model its version.
    match protobuf::first_field(bytes, 1) {
        Some(WireType::LengthDelimited) => tensorflow::read(bytes, input_shape, None),
        _ => onnx::read(bytes, input_shape),
    }
}
