//! Products of a number of the server's and one of the client's: fixed point beside floating point.

use crate::job::{Data, Engine, Function, Job, Output};
use garbled::functions::single_product;
use garbled::{multiply_fixed_cost, multiply_single_cost};
use sci_core::{Cost, Domain, Error, Party, Result, Ring};
use sci_ot::linear::{Matrix, elementwise, elementwise_cost};
use truncation::Sign;
use truncation::truncate::{truncate, truncate_cost};

/// Weights may be any element of the ring.
const WEIGHT_BITS: u32 = u64::BITS;

/// The cost of a product, if the job is one.
///
/// # Errors
/// If it is impossible.
pub fn cost(job: &Job, ring: Ring) -> Result<Option<Cost>> {
    let (n, settings) = (job.elements, job.protocol.settings());
    Ok(Some(match (job.function, job.protocol.is_garbled()) {
        (Function::MultiplySingle, true) => {
            check_width(ring)?;
            multiply_single_cost(n, job.protocol.scheme())
        }
        (Function::MultiplySingle, false) => {
            return Err(Error::misuse("floating point is for garbled circuits"));
        }
        (Function::MultiplyFixed { shift }, true) => {
            multiply_fixed_cost(n, ring, shift, job.protocol.scheme())?
        }
        (Function::MultiplyFixed { shift }, false) => {
            elementwise_cost(settings.ot, ring, WEIGHT_BITS, n)
                + truncate_cost(n, ring, shift, Sign::Unknown, settings)?
        }
        _ => return Ok(None),
    }))
}

fn check_width(ring: Ring) -> Result<()> {
    match ring.bits() {
        32 => Ok(()),
        other => Err(Error::invalid("bits of a single", 32, other)),
    }
}

/// The shares of a product, if the job is one: of garbled circuits XOR shares, else additive ones.
///
/// # Errors
/// Those of the protocol.
pub fn run(
    engine: &mut Engine<'_>,
    job: &Job,
    party: Party,
    data: &Data<Ring>,
) -> Result<Option<Output>> {
    let ring = data.shares[0].domain();
    let own = if party == Party::Server { &data.first } else { &data.second };
    Ok(Some(match (engine, job.function) {
        (Engine::Garbled(gc), Function::MultiplySingle) => {
            let singles: Vec<f32> = own.iter().map(|&x| f32::from_bits(x as u32)).collect();
            gc.multiply_single(&singles)?.to_vec()
        }
        (Engine::Garbled(gc), Function::MultiplyFixed { shift }) => {
            gc.multiply_fixed(ring, shift, own)?.to_vec()
        }
        (Engine::Ours(peer), Function::MultiplyFixed { shift }) => {
            let weights: Vec<i64> = own.iter().map(|&x| ring.to_signed(x)).collect();
            let operand = match party {
                Party::Server => Matrix::Weights(&weights),
                Party::Client => Matrix::Inputs(own),
            };
            let product = elementwise(peer, ring, WEIGHT_BITS, operand)?;
            truncate(peer, &product, shift, Sign::Unknown)?.into_values()
        }
        _ => return Ok(None),
    }))
}

/// The product that element i of a job comes to, if the job is one.
pub fn expected<D: Domain>(job: &Job, domain: D, a: u64, b: u64) -> Option<u64> {
    match job.function {
        Function::MultiplySingle => {
            let [a, b] = [a, b].map(|x| f32::from_bits(x as u32));
            Some(single_product(a, b).to_bits().into())
        }
        Function::MultiplyFixed { shift } => {
            Some(domain.from_signed(domain.to_signed(domain.mul(a, b)) >> shift))
        }
        _ => None,
    }
}
