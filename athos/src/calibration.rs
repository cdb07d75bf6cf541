//! What tensors of a program were seen to hold on sample inputs.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::cleartext::run_observed;
use crate::domain::with_domain;
use crate::llil::{Instruction, Op, Precision, TensorId};
use crate::program::Program;
use crate::{Error, Result};
use sci_core::Domain;

/// The smallest and largest element of every tensor over all inputs seen so far, and how many bits
/// more than they need are to be left to other inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibration {
    bounds: Vec<Option<(i64, i64)>>,
    margin: u32,
}

impl Calibration {
    /// Of a program, before any input. With a margin of m bits, a tensor may grow by 2^m beyond what
    /// was seen before a narrowed comparison reads a wrong sign.
    pub fn new(program: &Program, margin: u32) -> Self {
        Self { bounds: vec![None; program.public.instructions.len()], margin }
    }

    /// Runs the program on one more input. Meant for the program before it is narrowed.
    ///
    /// # Errors
    /// As [`crate::cleartext::run`]; [`Error::Misuse`] for another program.
    pub fn observe(&mut self, program: &Program, input: &[i64]) -> Result<()> {
        self.merge(&Self { bounds: bounds(program, input)?, margin: self.margin })
    }

    /// Adds what another one saw of the same program: inputs may be observed side by side.
    ///
    /// # Errors
    /// [`Error::Misuse`] for another program.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.len() != self.len() {
            return Err(Error::Misuse("calibrations of different programs".into()));
        }
        for (all, new) in self.bounds.iter_mut().zip(&other.bounds) {
            *all = match (*all, *new) {
                (Some((low, high)), Some((l, h))) => Some((low.min(l), high.max(h))),
                (all, new) => all.or(new),
            };
        }
        Ok(())
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether the program has none.
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// Bits left beyond what was seen.
    pub fn margin(&self) -> u32 {
        self.margin
    }

    /// The smallest and largest element seen of a tensor.
    pub fn bounds(&self, id: TensorId) -> Option<(i64, i64)> {
        self.bounds.get(id.index()).copied().flatten()
    }
}

/// The smallest and largest element of every tensor for an input, by the signed view.
fn bounds(program: &Program, input: &[i64]) -> Result<Vec<Option<(i64, i64)>>> {
    let mut bounds = Vec::with_capacity(program.public.instructions.len());
    with_domain!(program.public.domain, domain => {
        run_observed(program, input, |step| {
            let signed = step.value.iter().map(|&x| domain.to_signed(x));
            bounds.push(signed.fold(None, |all: Option<(i64, i64)>, x| {
                Some(all.map_or((x, x), |(low, high)| (low.min(x), high.max(x))))
            }));
        })?;
    });
    Ok(bounds)
}

/// An instruction whose operand is larger than the bits it looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    /// Its number.
    pub index: usize,
    /// Its layer.
    pub name: String,
    /// How many bits it looks at.
    pub bits: u32,
    /// How many bits its operand, or the difference of two of its elements, may need.
    pub needed: u32,
}

/// Where an input leaves the bits that a program was narrowed to: there the result may differ from
/// that of the program at full width. Empty for an input inside the calibrated range. Differences are
/// bounded by those of the whole tensor, so that a MaxPool may be named whose windows are all inside.
///
/// # Errors
/// As [`crate::cleartext::run`].
pub fn outside(program: &Program, input: &[i64]) -> Result<Vec<Outside>> {
    let bounds = bounds(program, input)?;
    let needed = |x: &Instruction| {
        let id = x.inputs.first()?;
        let (low, high) = bounds.get(id.index()).copied().flatten()?;
        let (low, high) = (i128::from(low), i128::from(high));
        let (low, high) = match x.op {
            Op::MaxPool { .. } | Op::ArgMax { .. } => (low - high, high - low),
            // The bits of a divided sum are certain.
            Op::AvgPool { .. } => return None,
            _ => (low, high),
        };
        Some(crate::llil::range::signed_width(low, high))
    };
    let instructions = program.public.instructions.iter().enumerate();
    Ok(instructions
        .filter_map(|(index, x)| match (x.precision, needed(x)) {
            (Precision::Bits(bits), Some(needed)) if needed > bits => {
                Some(Outside { index, name: x.name.clone(), bits, needed })
            }
            _ => None,
        })
        .collect())
}
