//! Which engine computes each product of a program, and what the lattice engine needs for it.
//!
//! Convolutions, linear layers and scalings by secret factors are done by correlated OT or by lattice
//! encryption. The [`Assignment`] says which; it is public. [`Protocols`] holds the layers that it gives
//! to the lattice engine, which both parties derive alike, and [`Prepared`] the server's weights for them.
//! Dilated convolutions go to it undilated where that is cheaper ([`phases`]).

mod assignment;
pub mod packing;
pub mod phases;
mod prepared;
mod protocols;

pub use assignment::{Assignment, Engine};
pub use packing::Packing;
pub use prepared::Prepared;
pub use protocols::{Privacy, Protocols, Style, candidate};

use athos::llil::Op;
use athos::{Error, PublicProgram, Result, WeightId};

/// Bits of the factors of a weight tensor, two's complement.
///
/// # Errors
/// [`Error::Misuse`] for a weight that the program does not have.
pub fn factor_bits(program: &PublicProgram, weight: WeightId) -> Result<u32> {
    let info = program.weights.get(weight.index());
    let info = info.ok_or_else(|| Error::Misuse(format!("no weight {weight}")))?;
    Ok(program.bits_of(info))
}

/// The weight that an instruction multiplies with, if it does.
pub fn factor(op: &Op) -> Option<WeightId> {
    match op {
        Op::Conv { weight, .. } | Op::Linear { weight, .. } | Op::MulWeight { weight } => {
            Some(*weight)
        }
        _ => None,
    }
}
