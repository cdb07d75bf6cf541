//! The server's weights as plaintexts of the lattice engine.

use super::packing::Weights;
use super::{Protocols, factor};
use athos::{Error, Program, Result};
use sci_core::Domain;

/// Weights by instruction; once for a served model, shared by all of its sessions.
#[derive(Debug)]
pub struct Prepared(Vec<Option<Weights>>);

impl Prepared {
    /// Transforms what fits into `memory` bytes; the rest is transformed while it is used. First come those that
    /// save the most work for a byte, which is the same for all, so that the order is that of the program.
    ///
    /// # Errors
    /// Weights that do not fit their declaration.
    pub fn new<D: Domain>(
        protocols: &Protocols<D>,
        program: &Program,
        memory: u64,
    ) -> Result<Self> {
        let mut left = memory;
        let layers = protocols.layers().iter().zip(&program.public.instructions);
        let weights = layers.map(|(layer, instruction)| {
            let (Some(layer), Some(weight)) = (layer, factor(&instruction.op)) else {
                return Ok(None);
            };
            let values = program.weights.get(weight)?.to_signed();
            let values: std::result::Result<Vec<i32>, _> =
                values.into_iter().map(i32::try_from).collect();
            let values = values.map_err(|_| Error::Misuse(format!("{weight} beyond 32 bits")))?;
            let room = left;
            left = left.checked_sub(Weights::prepared_bytes(layer)).unwrap_or(left);
            Ok(Some(Weights::within(layer, values, room)?))
        });
        Ok(Self(weights.collect::<Result<_>>()?))
    }

    /// Those of an instruction.
    ///
    /// # Errors
    /// [`Error::Misuse`] if it has none.
    pub fn weights(&self, instruction: usize) -> Result<&Weights> {
        let weights = self.0.get(instruction).and_then(Option::as_ref);
        weights.ok_or_else(|| Error::Misuse(format!("instruction {instruction} is no product")))
    }

    /// Bytes of what was transformed ahead, within the memory that was given.
    pub fn transformed_bytes(&self) -> u64 {
        self.0.iter().flatten().map(Weights::transformed_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Plan;
    use crate::linear::{Assignment, Engine, Style};
    use crate::model::Source;
    use sci_core::Ring;

    /// As much as fits is transformed ahead, nothing beyond the memory, and all of it once it fits.
    #[test]
    fn weights_are_transformed_as_far_as_memory_goes() {
        let program = Source::parse("digits").unwrap().load(&Plan::default()).unwrap();
        let ring = Ring::new(37).unwrap();
        let assignment = Assignment::uniform(&program.public, Engine::He);
        let style = Style::default();
        let protocols = Protocols::plan(&program.public, ring, &assignment, style).unwrap();
        let layers = protocols.layers().iter().flatten();
        let mut needed: Vec<u64> = layers.map(Weights::prepared_bytes).collect();
        needed.retain(|&bytes| bytes > 0);
        let all: u64 = needed.iter().sum();
        let (least, most) = (needed.iter().min().unwrap(), needed.iter().max().unwrap());
        assert!(needed.len() > 1 && least < most, "{needed:?}");
        let held = |memory| {
            let bytes = Prepared::new(&protocols, &program, memory).unwrap().transformed_bytes();
            assert!(bytes <= memory, "{bytes} of {memory}");
            bytes
        };
        assert_eq!(held(0), 0);
        assert_eq!(held(least - 1), 0);
        assert_eq!(held(*least), *least);
        assert!((1..all).contains(&held(all - 1)));
        assert_eq!(held(all), all);
        assert_eq!(held(u64::MAX), all);
    }
}
