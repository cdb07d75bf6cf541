//! What tensors of a program were seen to hold on sample inputs.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::cleartext::{derived, run_observed};
use crate::domain::with_domain;
use crate::llil::range::signed_width;
use crate::llil::{Instruction, Op, Precision, TensorId};
use crate::program::Program;
use crate::{Error, Result};
use sci_core::Domain;
use std::collections::HashMap;

/// The smallest and largest element of every tensor over all inputs seen so far, those of the differences
/// that maxima compare and of the sums that averages divide, and how many bits more than they need are to be
/// left to other inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibration {
    seen: Vec<Seen>,
    margin: u32,
}

/// Smallest and largest, by the signed view.
type Bounds = Option<(i64, i64)>;

/// Of one instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    elements: Bounds,
    /// Of what a MaxPool or an ArgMax compares, or an AvgPool divides.
    derived: Bounds,
}

fn union(all: Bounds, new: Bounds) -> Bounds {
    match (all, new) {
        (Some((low, high)), Some((l, h))) => Some((low.min(l), high.max(h))),
        (all, new) => all.or(new),
    }
}

impl Calibration {
    /// Of a program, before any input. With a margin of m bits, a tensor may grow by 2^m beyond what
    /// was seen before a narrowed comparison reads a wrong sign.
    pub fn new(program: &Program, margin: u32) -> Self {
        Self { seen: vec![Seen::default(); program.public.instructions.len()], margin }
    }

    /// Runs the program on one more input. Meant for the program before it is narrowed.
    ///
    /// # Errors
    /// As [`crate::cleartext::run`]; [`Error::Misuse`] for another program.
    pub fn observe(&mut self, program: &Program, input: &[i64]) -> Result<()> {
        self.merge(&Self { seen: watch(program, input)?, margin: self.margin })
    }

    /// Adds what another one saw of the same program: inputs may be observed side by side.
    ///
    /// # Errors
    /// [`Error::Misuse`] for another program.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.len() != self.len() {
            return Err(Error::Misuse("calibrations of different programs".into()));
        }
        for (all, new) in self.seen.iter_mut().zip(&other.seen) {
            all.elements = union(all.elements, new.elements);
            all.derived = union(all.derived, new.derived);
        }
        Ok(())
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether the program has none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Bits left beyond what was seen.
    pub fn margin(&self) -> u32 {
        self.margin
    }

    /// The smallest and largest element seen of a tensor.
    pub fn bounds(&self, id: TensorId) -> Option<(i64, i64)> {
        self.seen.get(id.index())?.elements
    }

    /// The smallest and largest difference that the MaxPool or ArgMax that defines a tensor compared, or
    /// sum that the AvgPool divided.
    pub fn derived(&self, id: TensorId) -> Option<(i64, i64)> {
        self.seen.get(id.index())?.derived
    }
}

/// What every instruction defines, and compares or sums, for an input.
fn watch(program: &Program, input: &[i64]) -> Result<Vec<Seen>> {
    let instructions = &program.public.instructions;
    // How many maxima and averages are still to read a tensor, and those tensors.
    let mut readers: HashMap<usize, usize> = HashMap::new();
    let derives = |x: &&Instruction| {
        matches!(x.op, Op::MaxPool { .. } | Op::ArgMax { .. } | Op::AvgPool { .. })
    };
    for id in instructions.iter().filter(derives).filter_map(|x| x.inputs.first()) {
        *readers.entry(id.index()).or_default() += 1;
    }
    let mut kept: HashMap<usize, Vec<u64>> = HashMap::new();
    let mut seen = Vec::with_capacity(instructions.len());
    with_domain!(program.public.domain, domain => {
        run_observed(program, input, |step| {
            let signed = step.value.iter().map(|&x| domain.to_signed(x));
            let elements = signed.fold(None, |all, x| union(all, Some((x, x))));
            let operand = step.instruction.inputs.first().filter(|_| derives(&step.instruction));
            let shape = operand.and_then(|id| instructions.get(id.index())).map(|x| &x.output.shape);
            let derived = operand.zip(shape).and_then(|(id, shape)| {
                derived(domain, step.instruction, shape, kept.get(&id.index())?)
            });
            seen.push(Seen { elements, derived });
            if let Some(left) = operand.and_then(|id| readers.get_mut(&id.index())) {
                *left -= 1;
            }
            kept.retain(|index, _| readers.get(index).is_some_and(|&left| left > 0));
            if readers.contains_key(&step.index) {
                kept.insert(step.index, step.value.clone());
            }
        })?;
    });
    Ok(seen)
}

/// An instruction that reads a number larger than the bits it looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its number.
    pub index: usize,
    /// Its layer.
    pub name: String,
    /// How many bits it looks at.
    pub bits: u32,
    /// How many bits the largest element of its operand has, or the largest difference that it compares or
    /// sum that it divides.
    pub needed: u32,
}

/// Where an input leaves the bits that a program was narrowed to: exactly the instructions that read a
/// number as another one than it is. There the result may differ from that of the program at full width;
/// where nothing is returned it is the same.
///
/// # Errors
/// As [`crate::cleartext::run`].
pub fn outside(program: &Program, input: &[i64]) -> Result<Vec<Outside>> {
    let seen = watch(program, input)?;
    let needed = |index: usize, x: &Instruction| {
        let (low, high) = match x.op {
            Op::MaxPool { .. } | Op::ArgMax { .. } | Op::AvgPool { .. } => {
                seen.get(index)?.derived?
            }
            _ => seen.get(x.inputs.first()?.index())?.elements?,
        };
        Some(signed_width(low.into(), high.into()))
    };
    let instructions = program.public.instructions.iter().enumerate();
    Ok(instructions
        .filter_map(|(index, x)| match (x.precision, needed(index, x)) {
            (Precision::Bits(bits), Some(needed)) if needed > bits => {
                Some(Outside { index, name: x.name.clone(), bits, needed })
            }
            _ => None,
        })
        .collect())
}
