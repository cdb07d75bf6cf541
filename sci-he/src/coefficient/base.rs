//! Between the modulus of a layer, that of packing, and that of its responses.

use crate::cipher::convert::{Conversion, cofactor};
use crate::modulus::Modulus;
use crate::packing::PackingContext;
use crate::params::Params;
use sci_core::{Domain, Error, Result};

/// The packing context of a layer with its changes of modulus.
#[derive(Debug)]
pub(super) struct PackingBase {
    pub(super) context: PackingContext,
    /// From q to q'.
    pub(super) from_request: Conversion,
    /// From q' to 2^b1 and to 2^b0.
    pub(super) to_response: [Conversion; 2],
    /// For each prime of q', the scalers of 2^-d and of (q'/p)^-1.
    scalers: Vec<[u32; 2]>,
}

impl PackingBase {
    /// `None` if the layer is not packed.
    pub(super) fn new<D: Domain>(params: &Params<D>) -> Result<Option<Self>> {
        let Some(packing) = params.packing() else { return Ok(None) };
        let context = PackingContext::new(params.degree(), packing)?;
        let primes = context.modulus_primes();
        if params.c1_bits() > 64 {
            return Err(Error::misuse("responses of more than 64 bits are not packed"));
        }
        let from_request = Conversion::to_primes(params.primes(), primes);
        let to_response =
            [params.c1_bits(), params.c0_bits()].map(|bits| Conversion::to_power(primes, bits));
        let scalers = (0..primes.len()).map(|digit| {
            let m = context.modulus(digit);
            let share = m.invert(1 << packing.levels());
            [m.scaler(share), m.scaler(m.invert(cofactor(primes, digit)))]
        });
        let scalers = scalers.collect();
        Ok(Some(Self { from_request, to_response, scalers, context }))
    }

    /// How many primes q' has.
    pub(super) fn digits(&self) -> usize {
        self.scalers.len()
    }

    /// A prime of q' with the scaler of 2^-d.
    pub(super) fn share(&self, digit: usize) -> (&Modulus, u32) {
        (self.context.modulus(digit), self.scalers[digit][0])
    }

    /// A prime of q' with the scaler of (q'/p)^-1.
    pub(super) fn cofactor(&self, digit: usize) -> (&Modulus, u32) {
        (self.context.modulus(digit), self.scalers[digit][1])
    }
}
