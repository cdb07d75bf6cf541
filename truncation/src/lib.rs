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
pub mod relu;
pub mod truncate;

use sci_core::{Bits, Domain, Result, Ring};
use sci_ot::cot::{self, Elements};
use sci_ot::{Lane, Role};
use zeroize::Zeroizing;

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

/// One COT of a pair of batches: the leader's correlation and the other's choice.
struct Product<'a> {
    correlations: &'a [u64],
    choices: &'a Bits,
}

/// Shares of leader's correlation times other's choice, for two batches of n over two domains, in the
/// flights of one: lambda + bits of the domain for each. Correlations are read at the leader, choices at
/// the other party.
fn products_lane<A: Domain>(
    lane: &mut Lane,
    (first, a): (A, Product<'_>),
    (second, b): (Ring, Product<'_>),
) -> Result<(Elements, Elements)> {
    match lane.role() {
        Role::Sender => {
            let n = a.correlations.len();
            lane.send.extend_cot(&mut lane.stream, n + b.correlations.len())?;
            let (mut x, messages) = cot::correct(&*lane.send, first, 0, a.correlations);
            cot::send_elements(&mut lane.stream, first, &messages)?;
            let (mut y, messages) = cot::correct(&*lane.send, second, n, b.correlations);
            cot::send_elements(&mut lane.stream, second, &messages)?;
            x.iter_mut().for_each(|x| *x = first.neg(*x));
            y.iter_mut().for_each(|y| *y = second.neg(*y));
            Ok((x, y))
        }
        Role::Receiver => {
            let n = a.choices.len();
            let mut choices = a.choices.clone();
            choices.extend(b.choices);
            lane.recv.extend_cot(&mut lane.stream, &choices)?;
            let messages = cot::recv_elements(&mut lane.stream, first, "carry corrections", n)?;
            let x = cot::apply(&*lane.recv, first, 0, a.choices, &messages);
            let messages =
                cot::recv_elements(&mut lane.stream, second, "carry corrections", b.choices.len())?;
            let y = cot::apply(&*lane.recv, second, n, b.choices, &messages);
            Ok((x, y))
        }
    }
}

/// -2 b: the correlation of B2A.
fn minus_two<D: Domain>(domain: D, bits: &Bits) -> Elements {
    let minus_two = domain.from_signed(-2);
    Zeroizing::new(bits.iter().map(|b| minus_two & b.wrapping_neg()).collect())
}
