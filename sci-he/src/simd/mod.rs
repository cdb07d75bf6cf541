//! Convolution, fully connected layers and element-wise products over Z_n in batched slots: the original SCI-HE
//! (CrypTFlow2, section 6.1, after Gazelle and Delphi).
//!
//! *Functionality.* The parties hold additive shares of x over Z_n, n a prime that is 1 mod 2N; the
//! server holds W, whose bound is public. Both get fresh additive shares of W·x, exactly.
//!
//! *How.* A polynomial over Z_n has N slots that are added and multiplied independently
//! ([`Context`]). Requests hold many channels; the server rotates them, multiplies by plaintexts and
//! adds up, so that the channels of a response meet all inputs. Strided convolutions are sums of
//! stride-1 convolutions, fully connected layers take the hybrid diagonal method, element-wise products
//! no rotation at all. Rotations are on
//! both sides: few, sharing a decomposition, on the requests, the rest on the sums, the split of least
//! time and bytes chosen by a count of operations. Rotation keys are sent once per session, the
//! uniform half as seeds.
//!
//! *Who learns what.* As in the [crate docs](crate), whose proof holds as it stands with g the error
//! bounded in [`Params`]: the server adds to every response a fresh encryption of zero, flooding
//! and a uniform mask in every coefficient that travels, all modulo q, and only then rescales. Slots
//! that are no output hold partial sums, which the mask covers as well. Every coefficient of a
//! response counts against the privacy of a run ([`Layer::response_coefficients`]), those of unused
//! slots too. The plan comes from the shape and the domain alone.
//!
//! *Cost.* [`Layer::cost`]: one flight of requests, one of responses; [`Setup::cost`] for the keys.
//!
//! *Deviations from the original.* Channels are interleaved, so that a convolution's plaintexts are
//! sparse polynomials and weights stay small in memory; the server adds its share to the requests
//! homomorphically; the error is bounded and flooded at full modulus as above instead of by a fixed
//! number of bits; parameters keep to the security table with all keys counted.
//!
//! *What was measured.* `cargo bench -p sci-he --bench slots` over the 37-bit prime, 12-bit weights, 2^-40
//! for the run, one thread a party: CPU seconds of both parties and MiB, beside the original's on a
//! machine of the same class. All of ResNet50's convolutions and its classifier take 74 s, 393 MiB and
//! 64 rotation keys of 40 MiB together (the original: 231 MiB of keys); `SCI_HE_RESNET50=all` runs
//! them and checks every output.
//!
//! | layer | s | MiB | original s | original MiB |
//! |---|---|---|---|---|
//! | 230x230x3, 7x7, 64, stride 2 | 1.6 | 14.6 | 61.4 | 406 |
//! | 56x56x64, 3x3, 64 | 1.3 | 7.7 | 35.9 | 16.0 |
//! | 56x56x64, 1x1, 256 | 0.8 | 15.9 | 15.2 | 28.0 |
//! | 14x14x256, 3x3, 256 | 1.5 | 1.9 | 23.5 | 4.0 |
//! | 7x7x2048, 1x1, 512 | 1.1 | 2.8 | 12.9 | 6.5 |
//! | 2048 to 1001 | 0.10 | 0.68 | 2.9 | 0.50 |
//!
//! The classifier takes four requests rather than one so that few rotation keys do.

mod circuit;
mod context;
mod conv;
mod dense;
mod driver;
mod elementwise;
mod evaluate;
mod kernels;
mod keys;
pub mod params;
mod parties;
mod respond;
mod session;
mod small;
mod switch;

pub use context::Context;
pub use driver::{run_client, run_server};
pub use keys::SecretKey;
pub use params::Params;
pub use parties::{Inbox, Weights};
pub use session::{ClientKeys, ServerKeys, Setup};

use self::circuit::{Packing, Weighing};
use self::conv::{ConvPacking, Phases};
use self::dense::DensePacking;
use self::elementwise::{ElementwisePacking, Shape};
use self::evaluate::Plaintexts;
use self::params::GROWTHS;
use crate::params::{MAX_WEIGHT, Privacy, SECURITY};
use sci_core::geometry::{ConvGeometry, LinearGeometry};
use sci_core::pack::packed_len;
use sci_core::{Cost, Domain, Error, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A planned layer: packing, circuit and lattice context. Public; both parties compute the same.
#[derive(Debug)]
pub struct Layer<D: Domain> {
    packing: Box<dyn Packing>,
    plaintexts: Plaintexts,
    context: Arc<Context<D>>,
    weight_bound: u64,
}

impl<D: Domain> Layer<D> {
    /// Plans a convolution: of the smallest parameters that hold any packing, the packing of least
    /// estimated time.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the domain is not Z_n with a prime n = 1 mod 2N, if no parameters hold the
    /// layer, or if a kernel has more taps or a larger extent than any plan admits.
    pub fn conv(
        geometry: &ConvGeometry,
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        let single = geometry.groups() == 1 && geometry.input() == [1; 3];
        if single && geometry.window().taps() == 1 && geometry.positions() == 1 {
            let (rows, inner) = (geometry.batch(), geometry.in_channels());
            let geometry = LinearGeometry::new(rows, inner, geometry.out_channels())?;
            return Self::fully_connected(&geometry, domain, weight_bound, privacy);
        }
        let phases = Phases::of(geometry)?;
        Self::plan(domain, weight_bound, privacy, |row, visit| {
            ConvPacking::for_each(geometry, &phases, row, |packing| visit(Box::new(packing)));
        })
    }

    /// Plans a fully connected layer. Each row of x is a unit of its own.
    ///
    /// # Errors
    /// As [`Layer::conv`].
    pub fn fully_connected(
        geometry: &LinearGeometry,
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        Self::plan(domain, weight_bound, privacy, |row, visit| {
            DensePacking::for_each(geometry, row, |packing| visit(Box::new(packing)));
        })
    }

    /// Plans x·w element by element, where every axis of the weights is 1 or that of the tensor.
    ///
    /// # Errors
    /// As [`Layer::conv`], and for shapes that do not fit.
    pub fn elementwise(
        shape: &[usize],
        weight_shape: &[usize],
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        let shape = Shape::new(shape, weight_shape)?;
        Self::plan(domain, weight_bound, privacy, |row, visit| {
            visit(Box::new(ElementwisePacking::new(&shape, row)));
        })
    }

    fn plan(
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
        for_each: impl Fn(usize, &mut dyn FnMut(Box<dyn Packing>)),
    ) -> Result<Self> {
        if !(1..=MAX_WEIGHT).contains(&weight_bound) {
            let expected = format_args!("1..={MAX_WEIGHT}");
            return Err(Error::invalid("weight bound", expected, weight_bound));
        }
        let mut refused = None;
        for (degree, _) in SECURITY {
            for growth in GROWTHS {
                let params = match Params::new(domain, degree, growth, privacy) {
                    Ok(params) => params,
                    Err(error) => {
                        refused = Some(error);
                        continue;
                    }
                };
                let weighing = weighing(&params);
                let mut best: Option<(f64, Box<dyn Packing>)> = None;
                for_each(degree / 2, &mut |packing| {
                    let wanted = packing.repeats().unwrap_or(degree);
                    let score = weighing.score(&*packing, response_len(&params, wanted));
                    let better = best.as_ref().is_none_or(|(least, _)| score < *least);
                    if better && params.admits(&packing.circuit().growth()) {
                        best = Some((score, packing));
                    }
                });
                let Some((_, packing)) = best else { continue };
                let context = Arc::new(Context::new(params)?);
                let plaintexts = Plaintexts::new(&context, packing.circuit().period);
                return Ok(Self { packing, plaintexts, context, weight_bound });
            }
        }
        Err(refused.unwrap_or_else(|| {
            Error::invalid("layer in slots", "a kernel and errors that fit the parameters", "more")
        }))
    }

    /// Parameters and tables.
    pub fn context(&self) -> &Context<D> {
        &self.context
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.packing.lengths()[0]
    }

    /// Weights.
    pub fn weight_len(&self) -> usize {
        self.packing.lengths()[1]
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.packing.lengths()[2]
    }

    /// Requests of a run.
    pub fn requests(&self) -> usize {
        self.packing.units() * self.packing.circuit().requests
    }

    /// Responses of a run.
    pub fn responses(&self) -> usize {
        self.packing.units() * self.packing.circuit().products.len()
    }

    /// Products of a ciphertext with a plaintext in a run.
    pub fn products(&self) -> usize {
        let one: usize = self.packing.circuit().products.iter().map(Vec::len).sum();
        self.packing.units() * one
    }

    /// Rotations of a run: of requests and of sums.
    pub fn rotations(&self) -> [usize; 2] {
        let circuit = self.packing.circuit();
        [self.packing.units() * circuit.early(), self.responses() * circuit.late()]
    }

    /// Coefficients that the responses of a run send, for [`Privacy::Run`]: those of all slots,
    /// outputs or not.
    pub fn response_coefficients(&self) -> usize {
        self.responses() * self.wanted()
    }

    /// Payload of a run, without the keys ([`Setup::cost`]).
    pub fn cost(&self) -> Cost {
        Cost {
            client_to_server: (self.requests() * self.context.request_len()) as u64,
            server_to_client: (self.responses() * self.context.response_len(self.wanted())) as u64,
            rounds: 2,
            ..Cost::ZERO
        }
    }

    /// Coefficients that a response sends.
    fn wanted(&self) -> usize {
        self.packing.repeats().unwrap_or(self.context.n())
    }

    /// Their exponents.
    fn positions(&self) -> Vec<usize> {
        let stride = match self.packing.repeats() {
            Some(count) => self.context.n() / (2 * count),
            None => 1,
        };
        (0..self.wanted()).map(|i| i * stride).collect()
    }

    /// The slots of the polynomial that these coefficients determine.
    fn slots(&self, coefficients: &[u64]) -> zeroize::Zeroizing<Vec<u64>> {
        let (n, domain) = (self.context.n(), self.context.params().domain());
        let mut poly = zeroize::Zeroizing::new(vec![0; n]);
        for (at, &x) in self.positions().into_iter().zip(coefficients) {
            poly[at] = x;
            if self.packing.repeats().is_some() && at > 0 {
                poly[n - at] = domain.neg(x);
            }
        }
        self.context.decode(poly)
    }

    /// The automorphisms that need rotation keys.
    fn elements(&self) -> BTreeSet<usize> {
        self.packing.circuit().elements()
    }
}

fn response_len<D: Domain>(params: &Params<D>, wanted: usize) -> usize {
    packed_len(params.degree(), params.c1_bits()) + packed_len(wanted, params.c0_bits())
}

fn weighing<D: Domain>(params: &Params<D>) -> Weighing {
    let n = params.degree();
    let residues = |primes: &[u32]| crate::wire::residues_len(primes, n);
    let (primes, special) = (residues(params.primes()), residues(params.special()));
    Weighing {
        degree: n,
        primes: params.primes().len(),
        special: params.special().len(),
        request_len: 16 + primes,
        rotation_key_len: 16 + params.digits() * (primes + special),
    }
}

#[cfg(test)]
mod tests;
