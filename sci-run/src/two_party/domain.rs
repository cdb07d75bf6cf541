//! What a domain must offer for programs to run over it.

use sci_core::{Cost, Result, Shares};
use sci_ot::linear::{Matrix, Product, ProductDomain, matmul};
use sci_ot::{OtKind, Peer};
use truncation::avgpool::QuotientDomain;

/// Rows, inner and columns of a product of the server's weights and the client's shares.
pub type ProductShape = [usize; 3];

/// A domain with signs, quotients, and products by OT.
pub trait NetDomain: QuotientDomain + ProductDomain {}

impl<D: QuotientDomain + ProductDomain> NetDomain for D {}

/// Shares of W X for the client's X, the cheapest way; two rounds.
///
/// # Errors
/// As the link and the peer behave.
pub fn cheapest_matmul<D: NetDomain>(
    peer: &mut Peer,
    domain: D,
    shape: ProductShape,
    weight_bits: u32,
    operand: Matrix<'_>,
) -> Result<Shares<D>> {
    let product = product(domain, shape, weight_bits);
    matmul(peer, &product, operand, product.cheapest(peer.settings().ot))
}

/// The cost of [`cheapest_matmul`].
pub fn cheapest_matmul_cost<D: NetDomain>(
    ot: OtKind,
    domain: D,
    shape: ProductShape,
    weight_bits: u32,
) -> Cost {
    let product = product(domain, shape, weight_bits);
    product.cost(ot, product.cheapest(ot))
}

fn product<D: NetDomain>(
    domain: D,
    [rows, inner, columns]: ProductShape,
    weight_bits: u32,
) -> Product<D> {
    Product { domain, rows, inner, columns, weight_bits }
}
