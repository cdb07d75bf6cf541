//! Rotation-free convolution and fully connected layers over Z_2^l and Z_n: products of polynomials
//! whose coefficients are the tensors themselves (PROTOCOLS C2, C3).
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

mod driver;
mod layout;
mod parties;

pub use driver::{run_client, run_server};
pub use layout::{Layout, Request, Response};
pub use parties::{Inbox, Weights};

use crate::cipher::Context;
use crate::params::{Demand, Params, Privacy, SECURITY};
use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, Window};
use sci_core::pack::packed_len;
use sci_core::{Cost, Domain, Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// A planned layer: shape, layout and lattice context. Public; both parties compute the same.
#[derive(Debug)]
pub struct Layer<D: Domain> {
    layout: Layout,
    context: Arc<Context<D>>,
}

impl<D: Domain> Layer<D> {
    /// Plans a convolution: of all degrees, tiles and packings, the one with the fewest bytes, a
    /// product counting as a byte for every 32 residues.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if no parameters hold the weights, terms and privacy.
    pub fn conv(
        geometry: &ConvGeometry,
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        let mut best: Option<(u64, Layout, Params<D>)> = None;
        let mut refused = None;
        for (degree, _) in SECURITY {
            let mut known: HashMap<usize, Option<Params<D>>> = HashMap::new();
            Layout::for_each(geometry, degree, |layout| {
                let params = known.entry(layout.filters_per_response()).or_insert_with(|| {
                    let terms = layout.terms() as u64;
                    let demand = Demand { domain, weight_bound, terms, privacy };
                    Params::new(demand, degree).map_err(|error| refused = Some(error)).ok()
                });
                let Some(params) = params else { return };
                let work = layout.products() * params.primes().len() * degree / 32;
                let score = cost(&layout, params).bytes() + work as u64;
                if best.as_ref().is_none_or(|(least, ..)| score < *least) {
                    best = Some((score, layout, params.clone()));
                }
            });
        }
        match (best, refused) {
            (Some((_, layout, params)), _) => {
                Ok(Self { layout, context: Arc::new(Context::new(params)?) })
            }
            (None, Some(error)) => Err(error),
            (None, None) => {
                let largest = SECURITY.iter().map(|(n, _)| n).max();
                Err(Error::invalid(
                    "convolution kernel",
                    format_args!("one whose extent fits {largest:?} coefficients"),
                    format_args!("{:?}", geometry.window().kernel),
                ))
            }
        }
    }

    /// Plans a fully connected layer: rows of x are images of one position, entries are channels.
    ///
    /// # Errors
    /// As [`Layer::conv`].
    pub fn fully_connected(
        geometry: &LinearGeometry,
        domain: D,
        weight_bound: u64,
        privacy: Privacy,
    ) -> Result<Self> {
        let geometry = ConvGeometry::new(ConvSpec {
            batch: geometry.rows(),
            in_channels: geometry.inner(),
            out_channels: geometry.outer(),
            groups: 1,
            input: [1; 3],
            window: Window::new([1; 3]),
        })?;
        Self::conv(&geometry, domain, weight_bound, privacy)
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

    /// Payload of a run, without the keys ([`crate::session::Setup::cost`]).
    pub fn cost(&self) -> Cost {
        cost(&self.layout, self.context.params())
    }
}

fn cost<D: Domain>(layout: &Layout, params: &Params<D>) -> Cost {
    let n = params.degree();
    let request = 16 + n as u64 * u64::from(params.request_bits()) / 8;
    // Every response ends at a byte.
    let c1 = layout.responses() * packed_len(n, params.c1_bits());
    let c0: usize =
        layout.response_sizes().map(|wanted| packed_len(wanted, params.c0_bits())).sum();
    Cost {
        client_to_server: layout.requests() as u64 * request,
        server_to_client: (c0 + c1) as u64,
        rounds: 2,
        ..Cost::ZERO
    }
}

#[cfg(test)]
mod tests;
