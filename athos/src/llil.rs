//! The low-level language: integer tensors over a domain, one instruction after another.
//!
//! A program is a list of instructions; instruction i defines tensor i and reads tensors below i,
//! so it is in static single assignment by construction. Instruction 0 is the input, the last one is
//! the output. Every tensor carries its shape and its scale s (the integer x stands for x·2^-s).
//! What each operation computes, bit by bit, is said at [`Op`]; [`crate::cleartext`] does exactly
//! that and every other backend has to agree with it.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod builder;
mod fusion;
mod infer;
mod liveness;
mod op;
mod parse;
mod print;
pub mod range;
mod rearrange;
mod statements;

pub use builder::Builder;
pub use fusion::Fusion;
pub use infer::{Context, infer};
pub use liveness::Liveness;
pub use op::{
    AxisGeometry, Broadcast, Instruction, Op, Precision, Sign, TensorId, TensorInfo, WeightId,
    WeightInfo, WeightRole, divides_by_shifting,
};
pub use parse::parse;
pub(crate) use print::{Shape, ShowPool, ShowWindow};
pub use rearrange::Rearrange;
pub use statements::Statements;
