//! Rotation-free convolution and fully connected layers over Z_2^l and Z_n: products of polynomials
//! whose coefficients are the tensors themselves (Huang, Lu, Hong, Ding: Cheetah,
//! USENIX Security 2022, section 3).
//!
//! *Functionality.* The parties hold additive shares of x; the server holds W, whose bound is
//! public. Both get fresh additive shares of W·x, exactly, in the domain.
//!
//! *Who learns what.* The server sees encryptions. The client sees its own share of the outputs and
//! nothing else, up to the distance of the [`Privacy`] of the parameters ([crate docs](crate)). Plan, counts and
//! sizes come from the shape, the domain and the declared weight bound alone.
//!
//! *Cost.* [`Layer::cost`]: one flight of requests, one of responses. Beside the bytes, each
//! product is 2·N·k multiply-accumulates of 32-bit residues, k the number of primes.

mod base;
mod client;
mod driver;
mod form;
mod layout;
mod plan;
mod scalar;
mod server;
mod weights;

pub use driver::{run_client, run_server};
pub use form::ConvTransposedSpec;
pub use layout::{Layout, Leaf, Request};
pub use server::Inbox;
pub use weights::Weights;

use crate::cipher::Context;
use crate::packing::PackingContext;
use crate::params::{Params, Privacy};
use base::PackingBase;
use form::Form;
use plan::Plan;
use sci_core::geometry::{ConvGeometry, LinearGeometry};
use sci_core::pack::packed_len;
use sci_core::{Cost, Domain, Result};
use std::sync::Arc;

/// A planned layer: shape, layout and lattice context. Public; both parties compute the same.
#[derive(Debug)]
pub struct Layer<D: Domain> {
    form: Form,
    layout: Layout,
    context: Arc<Context<D>>,
    packing: Option<PackingBase>,
    scalar: bool,
    seconds: f64,
}

impl<D: Domain> Layer<D> {
    /// Plans a convolution: of all degrees, tiles and packings, the one that costs least in bytes and
    /// time. `weight_bound` bounds the absolute value of every weight; it is public.
    ///
    /// # Errors
    /// [`sci_core::Error::InvalidInput`] if no parameters hold the weights, terms and privacy, or if a kernel
    /// has more taps or a larger extent than any plan admits.
    pub fn conv(
        geometry: &ConvGeometry,
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        Self::plan(Form::conv(geometry), domain, weight_bound, privacy)
    }

    /// Plans a fully connected layer or matrix product: `[rows, inner]` to `[rows, outer]`, weights
    /// `[outer, inner]`.
    ///
    /// # Errors
    /// As [`Layer::conv`].
    pub fn fully_connected(
        geometry: &LinearGeometry,
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        Self::plan(Form::linear(geometry)?, domain, weight_bound, privacy)
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
        Self::plan(Form::elementwise(shape, weight_shape)?, domain, weight_bound, privacy)
    }

    /// Plans a transposed convolution.
    ///
    /// # Errors
    /// As [`Layer::conv`], and for shapes that do not fit.
    pub fn conv_transposed(
        spec: &ConvTransposedSpec,
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        Self::plan(Form::conv_transposed(spec)?, domain, weight_bound, privacy)
    }

    fn plan(form: Form, domain: D, weight_bound: u64, privacy: Privacy) -> Result<Self> {
        let Plan { layout, params, scalar, seconds } =
            plan::best(&form.geometry, domain, weight_bound, privacy)?;
        let packing = PackingBase::new(&params)?;
        Ok(Self {
            form,
            layout,
            context: Arc::new(Context::new(params)?),
            packing,
            scalar,
            seconds,
        })
    }

    /// What is where.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Parameters and tables.
    pub fn context(&self) -> &Context<D> {
        &self.context
    }

    /// The same, to be shared.
    pub(crate) fn shared_context(&self) -> &Arc<Context<D>> {
        &self.context
    }

    /// The base of packing, if responses are packed.
    pub(crate) fn packing(&self) -> Option<&Arc<PackingContext>> {
        self.packing.as_ref().map(|base| &base.context)
    }

    /// Whether products are sums of multiples, not transformed polynomials: such a layer has nothing to
    /// prepare.
    pub fn is_scalar(&self) -> bool {
        self.scalar
    }

    /// CPU seconds of both parties together that planning reckoned with, weights transformed on the fly, on one core
    /// of the machine that it was fitted to.
    pub fn estimated_seconds(&self) -> f64 {
        self.seconds
    }

    /// Elements of the input.
    pub fn input_len(&self) -> usize {
        self.form.input_len
    }

    /// Elements of the weights.
    pub fn weight_len(&self) -> usize {
        self.form.weight_len
    }

    /// Elements of the output.
    pub fn output_len(&self) -> usize {
        self.form.output_len
    }

    /// Payload of a run, without the keys ([`crate::session::Setup::cost`]).
    pub fn cost(&self) -> Cost {
        let params: &Params<D> = self.context.params();
        let n = params.degree();
        // Every response ends at a byte.
        let c1 = self.layout.responses() * packed_len(n, params.c1_bits());
        let sizes = self.layout.response_sizes();
        let c0: usize = sizes.map(|wanted| packed_len(wanted, params.c0_bits())).sum();
        Cost {
            client_to_server: (self.layout.requests() * self.context.request_len()) as u64,
            server_to_client: (c0 + c1) as u64,
            rounds: 2,
            ..Cost::ZERO
        }
    }
}

#[cfg(test)]
mod tests;
