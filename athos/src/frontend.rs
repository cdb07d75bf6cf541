//! Readers of model files.

pub mod onnx;
