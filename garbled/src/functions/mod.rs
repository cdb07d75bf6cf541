//! The circuits of the papers' functions, and what they compute: share reconstruction, the function, and
//! fresh shares.
//!
//! The garbler enters whatever it can compute from its own share, the evaluator just its share: input bits of the
//! garbler cost nothing, those of the evaluator an OT each.
//!
//! | function | Z_2^l | Z_n, eta bits |
//! |---|---|---|
//! | comparison of l-bit integers | l | |
//! | ReLU | 3l - 2 | 7 eta at most |
//! | truncation by a power of two | 2l - 2 | 6 eta + 1 at most |
//! | division by d | 2l - 2 and about 2 log2 d a bit of the quotient | as much more |
//!
//! in AND gates. Over Z_2^l the result leaves as y + r with a uniform r that comes from the labels themselves, so
//! that no decoding table travels; over Z_n r is uniform in Z_n and the evaluator gets the eta colours of the
//! output: eta bits beside the formulas of the papers, which do not count them.

mod field;
mod multiply;
mod ring;

pub use multiply::{fixed_multiplication, single_multiplication, single_product};

use crate::circuit::{Builder, Circuit};
use sci_core::{Domain, Error, Prg, Result};
use zeroize::Zeroizing;

/// What the garbler enters for a batch.
pub struct GarblerInputs {
    /// For each word of [`Gadget::widths`] its values, one an element.
    pub words: Vec<Zeroizing<Vec<u64>>>,
    /// The garbler's new shares, as far as they are known before garbling.
    pub shares: Zeroizing<Vec<u64>>,
}

/// A function of one shared value with a shared result, as a circuit. Its inputs are words of the garbler,
/// then the evaluator's share; its output is the evaluator's new share.
pub trait Gadget: Send + Sync {
    /// The circuit.
    fn circuit(&self) -> &Circuit;

    /// Bits of the garbler's words.
    fn widths(&self) -> &[u32];

    /// Whether the output is decoded by colours that the garbler sends.
    fn decoded(&self) -> bool;

    /// The garbler's inputs from its shares.
    fn enter(&self, prg: &mut Prg, shares: &[u64]) -> GarblerInputs;

    /// The garbler's new share from the random bits of the circuit, where the output is not decoded.
    fn share_of_mask(&self, mask: u64) -> u64;
}

/// A domain over which circuits are at hand.
pub trait GarbledDomain: Domain {
    /// The circuit of max(x, 0) by the signed view.
    fn relu(self) -> Box<dyn Gadget>;

    /// The circuit of floor(x / d), d > 0, by the signed view.
    fn divide(self, d: u64) -> Box<dyn Gadget>;

    /// max(x_0 + x_1, 0) + r, where nothing of x_0 can be prepared: the garbler enters x_0, the evaluator x_1 and r, its
    /// output is in the clear.
    fn masked_relu(self) -> Circuit;
}

pub(crate) fn checked_divisor(d: u64) -> Result<u64> {
    if d == 0 { Err(Error::invalid("divisor", "at least 1", d)) } else { Ok(d) }
}

/// 1{a > b} of `bits`-bit integers, the garbler's and the evaluator's.
pub fn comparison(bits: u32) -> Circuit {
    let mut builder = Builder::default();
    let (a, b) = (builder.garbler_word(bits), builder.evaluator_word(bits));
    let greater = builder.greater(&a, &b);
    builder.finish(&[greater])
}

/// ReLU over Z_2^l or Z_n: AND gates, evaluator's inputs and so on can be read from it.
pub fn relu<D: GarbledDomain>(domain: D) -> Circuit {
    domain.relu().circuit().clone()
}

/// Division by d with rounding down.
///
/// # Errors
/// For d = 0.
pub fn division<D: GarbledDomain>(domain: D, d: u64) -> Result<Circuit> {
    Ok(domain.divide(checked_divisor(d)?).circuit().clone())
}
