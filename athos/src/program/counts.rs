//! How many of what a program takes.

use super::PublicProgram;
use crate::domain::bits;
use crate::llil::{Instruction, Op, Precision, Sign};
use sci_core::geometry::PoolGeometry;
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
    /// Divisions by the size of a window, or by that and a power of two at once.
    pub divisions: u64,
}

/// How many bits an instruction looks at to read signs, to truncate or to divide: what its cost grows
/// with, and what narrowing saves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Its number.
    pub index: usize,
    /// Its layer.
    pub name: String,
    /// The operation.
    pub op: &'static str,
    /// How many numbers: elements of a ReLU or a truncation, comparisons of a MaxPool or an ArgMax,
    /// divided sums.
    pub numbers: u64,
    /// Bits of each that are looked at.
    pub bits: u32,
    /// Bits of each in all.
    pub width: u32,
}

impl Reading {
    /// Bits looked at in all.
    pub fn read(&self) -> u64 {
        self.numbers.saturating_mul(self.bits.into())
    }

    /// As many at full width.
    pub fn full(&self) -> u64 {
        self.numbers.saturating_mul(self.width.into())
    }
}

/// One fewer than members for every window.
fn comparisons(geometry: &PoolGeometry) -> u64 {
    geometry.members_len() - geometry.output_len() as u64
}

/// Sums that are not divided by 1.
fn divisions(geometry: &PoolGeometry, shift: u32) -> u64 {
    let divided = |p: &usize| shift > 0 || geometry.divisor(*p) > 1;
    let divided = (0..geometry.positions()).filter(divided).count();
    (divided * geometry.planes()) as u64
}

impl PublicProgram {
    /// How many bits each instruction looks at that looks at any. The sums of [`Reading::read`] and
    /// [`Reading::full`] are what is looked at, and what would be at full width.
    pub fn readings(&self) -> Vec<Reading> {
        let width = bits(self.domain);
        let reading = |(index, x): (usize, &Instruction)| {
            let numbers = match &x.op {
                Op::Relu | Op::Truncate { .. } => x.output.len() as u64,
                Op::MaxPool { geometry } => comparisons(geometry),
                Op::AvgPool { geometry, shift, .. } => divisions(geometry, *shift),
                Op::ArgMax { .. } => self.index_comparisons(x),
                _ => return None,
            };
            let bits = match x.precision {
                Precision::Full => width,
                Precision::Bits(bits) => bits,
            };
            let (name, op) = (x.name.clone(), x.op.name());
            Some(Reading { index, name, op, numbers, bits, width })
        };
        self.instructions.iter().enumerate().filter_map(reading).collect()
    }

    /// Comparisons of an ArgMax.
    fn index_comparisons(&self, x: &Instruction) -> u64 {
        let input = x.inputs.first().and_then(|id| self.instructions.get(id.index()));
        let all = input.map_or(0, |x| x.output.len() as u64);
        all.saturating_sub(x.output.len() as u64)
    }

    /// Counts elements, layer by layer: the figures that papers give of networks.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { macs: self.macs(), ..Counts::default() };
        for instruction in &self.instructions {
            let Instruction { op, output, .. } = instruction;
            let elements = output.len() as u64;
            match op {
                Op::Relu => counts.relus += elements,
                Op::Truncate { sign: Sign::Unknown, .. } => counts.truncations += elements,
                Op::Truncate { .. } => counts.truncations_of_known_sign += elements,
                Op::MaxPool { geometry } => counts.maxima += comparisons(geometry),
                Op::AvgPool { geometry, shift, .. } => {
                    counts.divisions += divisions(geometry, *shift);
                }
                Op::ArgMax { .. } => counts.maxima += self.index_comparisons(instruction),
                _ => {}
            }
        }
        counts
    }
}
