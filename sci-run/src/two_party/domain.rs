//! What a domain must offer for programs to run over it.

use sci_core::{Cost, Error, Field, Result, Ring, Shares};
use sci_ot::linear::{Matrix, Product, elementwise, elementwise_cost, matmul};
use sci_ot::{OtKind, Peer};
use truncation::avgpool::QuotientDomain;

/// Rows, inner and columns of a product of the server's weights and the client's shares.
pub type ProductShape = [usize; 3];

/// A domain with signs, quotients, and products by OT.
pub trait NetDomain: QuotientDomain {
    /// Shares of W X for the client's X; two rounds.
    ///
    /// # Errors
    /// As the link and the peer behave.
    fn matmul(
        self,
        peer: &mut Peer,
        shape: ProductShape,
        weight_bits: u32,
        operand: Matrix<'_>,
    ) -> Result<Shares<Self>>;

    /// The cost of [`NetDomain::matmul`].
    ///
    /// # Errors
    /// A domain that has no such products.
    fn matmul_cost(self, ot: OtKind, shape: ProductShape, weight_bits: u32) -> Result<Cost>;

    /// Shares of w_i x_i for the client's x; two rounds.
    ///
    /// # Errors
    /// As the link and the peer behave.
    fn elementwise(
        self,
        peer: &mut Peer,
        weight_bits: u32,
        operand: Matrix<'_>,
    ) -> Result<Shares<Self>>;

    /// The cost of [`NetDomain::elementwise`].
    ///
    /// # Errors
    /// A domain that has no such products.
    fn elementwise_cost(self, ot: OtKind, count: usize, weight_bits: u32) -> Result<Cost>;
}

impl NetDomain for Ring {
    fn matmul(
        self,
        peer: &mut Peer,
        shape: ProductShape,
        weight_bits: u32,
        operand: Matrix<'_>,
    ) -> Result<Shares<Self>> {
        let product = product(self, shape, weight_bits);
        matmul(peer, &product, operand, product.cheapest(peer.settings().ot))
    }

    fn matmul_cost(self, ot: OtKind, shape: ProductShape, weight_bits: u32) -> Result<Cost> {
        let product = product(self, shape, weight_bits);
        Ok(product.cost(ot, product.cheapest(ot)))
    }

    fn elementwise(
        self,
        peer: &mut Peer,
        weight_bits: u32,
        operand: Matrix<'_>,
    ) -> Result<Shares<Self>> {
        elementwise(peer, self, weight_bits, operand)
    }

    fn elementwise_cost(self, ot: OtKind, count: usize, weight_bits: u32) -> Result<Cost> {
        Ok(elementwise_cost(ot, self, weight_bits, count))
    }
}

fn product(ring: Ring, [rows, inner, columns]: ProductShape, weight_bits: u32) -> Product {
    Product { ring, rows, inner, columns, weight_bits }
}

impl NetDomain for Field {
    fn matmul(self, _: &mut Peer, _: ProductShape, _: u32, _: Matrix<'_>) -> Result<Shares<Self>> {
        Err(no_products(self))
    }

    fn matmul_cost(self, _: OtKind, _: ProductShape, _: u32) -> Result<Cost> {
        Err(no_products(self))
    }

    fn elementwise(self, _: &mut Peer, _: u32, _: Matrix<'_>) -> Result<Shares<Self>> {
        Err(no_products(self))
    }

    fn elementwise_cost(self, _: OtKind, _: usize, _: u32) -> Result<Cost> {
        Err(no_products(self))
    }
}

fn no_products(field: Field) -> Error {
    Error::invalid("domain of a product by OT", "a ring Z_2^l", field)
}
