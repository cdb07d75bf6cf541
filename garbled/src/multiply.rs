//! Products of numbers that one party each holds, the result shared bit by bit.

use crate::circuit::{Circuit, SINGLE_BITS};
use crate::evaluator::evaluate;
use crate::functions::{fixed_multiplication, single_multiplication};
use crate::garbler::garble;
use crate::protocol::{Garbling, Scheme, circuit_cost, plan, planes, values};
use sci_core::{Cost, Domain, Error, Result, Ring};
use sci_ot::Role;
use sci_ot::cot::Elements;
use zeroize::Zeroizing;

impl Garbling<'_> {
    /// XOR shares of the bits of a_i b_i for singles, the server's a and the client's b, as
    /// [`crate::functions::single_product`] says. Two rounds; 256 bits an AND gate and, with IKNP, 256 an input bit.
    ///
    /// # Errors
    /// As the link and the peer behave.
    pub fn multiply_single(&mut self, own: &[f32]) -> Result<Elements> {
        let words = Zeroizing::new(own.iter().map(|x| u64::from(x.to_bits())).collect::<Vec<_>>());
        self.multiply(&single_multiplication(), SINGLE_BITS, &words)
    }

    /// XOR shares of the bits of floor(a_i b_i / 2^shift) over Z_2^l ([`fixed_multiplication`]). Two rounds.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an element out of range or a shift of l or more; otherwise as the link and
    /// the peer behave.
    pub fn multiply_fixed(&mut self, ring: Ring, shift: u32, own: &[u64]) -> Result<Elements> {
        let circuit = fixed_multiplication(ring, shift)?;
        if let Some(at) = own.iter().position(|&x| !ring.is_canonical(x)) {
            let expected = format!("an element of Z_{ring}");
            return Err(Error::invalid("factor", expected, format!("a larger one at {at}")));
        }
        self.multiply(&circuit, ring.bits(), own)
    }

    /// Products commute: who garbles enters its own number first.
    fn multiply(&mut self, circuit: &Circuit, bits: u32, own: &[u64]) -> Result<Elements> {
        let plan = plan(own.len(), circuit, self.gates());
        let call = self.next_call();
        let parts = self.peer().map_chunks(&plan, |lane, range| {
            let n = range.len();
            let batch = call.batch(circuit, &range);
            let inputs = planes(&[&own[range]], &[bits]);
            let out = match lane.role() {
                Role::Sender => garble(lane, &batch, &inputs)?.colours,
                Role::Receiver => evaluate(lane, &batch, &inputs)?,
            };
            Ok(values(&out, bits, n))
        })?;
        Ok(Zeroizing::new(parts.iter().flat_map(|part| part.iter().copied()).collect()))
    }
}

/// The cost of [`Garbling::multiply_single`]. Hashes of gates count as pads.
pub fn multiply_single_cost(n: usize, scheme: impl Into<Scheme>) -> Cost {
    circuit_cost(n, &single_multiplication(), scheme.into(), 0)
}

/// The cost of [`Garbling::multiply_fixed`].
///
/// # Errors
/// For a shift of l or more.
pub fn multiply_fixed_cost(
    n: usize,
    ring: Ring,
    shift: u32,
    scheme: impl Into<Scheme>,
) -> Result<Cost> {
    Ok(circuit_cost(n, &fixed_multiplication(ring, shift)?, scheme.into(), 0))
}
