//! Exact ("faithful") division of shared values by public integers.
//!
//! Every function here computes floor(x / d) of the signed view bit for bit: no probabilistic
//! truncation, no off-by-one, unless [`Exactness::OneBitError`] is asked for by name. [`mod@divide`] serves any
//! d over any domain with n > 6d, [`mod@truncate`] powers of two over Z_2^l with one comparison,
//! [`avgpool`] sums windows first, [`mod@relu`] is ReLU and truncation by one comparison, [`one_bit`] is the mode
//! that leaves the low comparison out.

pub mod avgpool;
mod carries;
pub mod divide;
pub mod one_bit;
mod products;
pub mod relu;
pub mod truncate;

/// What both parties know of the sign of the dividend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// Nothing.
    #[default]
    Unknown,
    /// x >= 0, as after a ReLU.
    NonNegative,
    /// x < 0.
    Negative,
}

/// What a truncation computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Exactness {
    /// floor(x / 2^s), always.
    #[default]
    Faithful,
    /// floor(x / 2^s) or one less, which depends on the shares: what systems offer that save the
    /// comparison of the low parts. A run with it is not equal to the cleartext computation.
    OneBitError,
}

impl Exactness {
    /// The name that the command line and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faithful => "faithful",
            Self::OneBitError => "one-bit-error",
        }
    }
}
