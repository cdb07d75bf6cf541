//! How many of what a program takes.

use super::PublicProgram;
use crate::llil::{Instruction, Op, Sign};
use serde::Serialize;

/// Elements that go through each kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Multiplications by weights.
    pub macs: u64,
    /// ReLUs.
    pub relus: u64,
    /// Comparisons of MaxPool and ArgMax.
    pub maxima: u64,
    /// Truncations of unknown sign.
    pub truncations: u64,
    /// Truncations of numbers that are known not to be negative.
    pub truncations_of_known_sign: u64,
    /// Divisions by the size of a window.
    pub divisions: u64,
}

impl PublicProgram {
    /// Counts elements, layer by layer: the figures that papers give of networks.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { macs: self.macs(), ..Counts::default() };
        for instruction in &self.instructions {
            let Instruction { op, inputs, output, .. } = instruction;
            let elements = output.len() as u64;
            match op {
                Op::Relu => counts.relus += elements,
                Op::Truncate { sign: Sign::Unknown, .. } => counts.truncations += elements,
                Op::Truncate { .. } => counts.truncations_of_known_sign += elements,
                Op::MaxPool { geometry } => {
                    let members = |p: usize| geometry.member_count(p).saturating_sub(1) as u64;
                    let plane: u64 = (0..geometry.positions()).map(members).sum();
                    counts.maxima += plane * geometry.planes() as u64;
                }
                Op::AvgPool { geometry, .. } => {
                    let divided = (0..geometry.positions()).filter(|&p| geometry.divisor(p) > 1);
                    counts.divisions += (divided.count() * geometry.planes()) as u64;
                }
                Op::ArgMax { .. } => {
                    let input = inputs.first().and_then(|id| self.instructions.get(id.index()));
                    let all = input.map_or(0, |x| x.output.len() as u64);
                    counts.maxima += all.saturating_sub(elements);
                }
                _ => {}
            }
        }
        counts
    }
}
