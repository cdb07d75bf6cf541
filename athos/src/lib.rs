//! From a trained network to an exact integer program, and what such a program means.
//!
//! ```text
//! ONNX --frontend--> HLIL (floats) --passes, lower--> LLIL (integers) --executor--> a Backend
//! ```
//!
//! * [`frontend`] reads model files into [`hlil`], a typed float graph whose interpreter is the
//!   reference for accuracy; [`passes`] make it cheaper; [`lower`] turns it into integers.
//! * [`llil`] is the language of integer programs; [`program`] holds one with its weights and knows
//!   how it travels; [`cleartext`] says what it computes, bit by bit; [`backend::Backend`] is what
//!   else can run it, through [`executor::execute`].
//! * [`autotune`] finds the scale and the bitwidth that a network needs; [`compare`] shows layer by
//!   layer what fixed point loses.
//! * [`preprocess`] turns pictures and tables into inputs; [`testing`] makes random programs; [`zoo`]
//!   holds known architectures.
//!
//! Models, program files and the public programs of a peer are hostile input: everything that comes
//! out of [`compile`], [`PublicProgram::from_blob`] and [`Program::from_bytes`] has been checked, and
//! nothing they are given makes them panic.

pub mod autotune;
pub mod backend;
pub mod calibration;
pub mod cleartext;
pub mod compare;
mod compile;
mod domain;
pub mod error;
pub mod executor;
mod fixed;
pub mod frontend;
mod gemm;
pub mod hlil;
pub mod llil;
pub mod lower;
pub mod passes;
pub mod preprocess;
pub mod program;
mod shape;
pub mod testing;
mod text;
pub mod zoo;

pub use backend::Backend;
pub use calibration::Calibration;
pub use cleartext::product;
pub use compile::{
    CompileOptions, Stage, compile, compile_graph, compile_observed, narrow, stages,
};
pub use error::{Error, Result};
pub use executor::{Step, execute};
pub use llil::WeightId;
pub use preprocess::{Preprocess, quantise};
pub use program::{Limits, OutputForm, Program, PublicProgram, Weights};
