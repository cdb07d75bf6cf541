//! What is known of every tensor of a program.

use crate::failure::Result;
use crate::report::printable;
use athos::PublicProgram;
use athos::llil::range::Ranges;
use athos::llil::{Instruction, Precision};
use serde::Serialize;
use std::fmt::Write;

/// A tensor, by the instruction that computes it.
#[derive(Debug, Serialize)]
pub(super) struct Tensor {
    name: String,
    op: &'static str,
    shape: Vec<usize>,
    /// Bits after the binary point.
    scale: u32,
    /// Low bits of its operand that the instruction looks at, if these are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_at_bits: Option<u32>,
    /// Low bits of the result that the range is about; those of the domain for all of it.
    view_bits: u32,
    /// The range of these bits as a signed number, as far as the public program alone makes it certain.
    low: i64,
    high: i64,
    /// Bits that the range needs.
    range_bits: u32,
}

/// All tensors of a program.
///
/// # Errors
/// For a program that was not checked.
pub(super) fn of(public: &PublicProgram) -> Result<Vec<Tensor>> {
    let mut ranges = Ranges::new(public.domain, public.weight_bits);
    let tensor = |instruction: &Instruction| {
        let range = ranges.push(instruction)?;
        let within = |bound: i128| {
            i64::try_from(bound).unwrap_or(if bound < 0 { i64::MIN } else { i64::MAX })
        };
        Ok(Tensor {
            name: printable(&instruction.name),
            op: instruction.op.name(),
            shape: instruction.output.shape.clone(),
            scale: instruction.output.scale,
            looks_at_bits: match instruction.precision {
                Precision::Full => None,
                Precision::Bits(bits) => Some(bits),
            },
            view_bits: range.view,
            low: within(range.low),
            high: within(range.high),
            range_bits: range.bits(),
        })
    };
    public.instructions.iter().map(tensor).collect()
}

/// A line for each.
pub(super) fn table(tensors: &[Tensor]) -> String {
    let mut out = String::from(
        "\ntensor  operation   looks at  certain range of its low bits, as far as the program tells\n",
    );
    for (number, tensor) in tensors.iter().enumerate() {
        let looks = tensor.looks_at_bits.map_or(String::new(), |bits| format!("{bits} bits"));
        let Tensor { op, low, high, view_bits, range_bits, name, .. } = tensor;
        let _ = writeln!(
            out,
            "%{number:<5}  {op:10}  {looks:>8}  {low}..={high} ({range_bits} of {view_bits} bits)  {name}"
        );
    }
    out + "\n"
}
